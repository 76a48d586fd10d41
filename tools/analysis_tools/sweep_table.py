"""The table of ``sweep_models.py``."""

from importlib.metadata import distributions
from pathlib import Path

SHOWN = {
    'mean-teacher': 'mean teacher',
    'fixmatch': 'FixMatch',
    'cps': 'CPS',
    'unimatch': 'UniMatch',
    'u2pl': 'U2PL',
}


def cause(error: BaseException) -> str:
    """Return the first line of an error and where it is from."""
    text = str(error).strip().splitlines()
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    place = Path(last.tb_frame.f_code.co_filename).name if last else ''
    first = text[0] if text else f'in {place}'
    return f'{type(error).__name__}: {first}'.replace('|', '/')[:160]


def table(rows: dict[str, dict[str, str]]) -> str:
    """Return the table of all models, and the causes below it."""
    lines = [
        f'| model | alone | {" | ".join(SHOWN.values())} |',
        f'| --- |{" --- |" * (len(SHOWN) + 1)}',
    ]
    causes = []
    for name, found in rows.items():
        marks = []
        for key in ('alone', *SHOWN):
            if key not in found:
                marks.append('')
            elif not found[key]:
                marks.append('yes')
            else:
                marks.append('no')
                what = 'alone' if key == 'alone' else f'with {SHOWN[key]}'
                causes.append(f'* {name} {what}: `{found[key]}`')
        lines.append(f'| {name} | {" | ".join(marks)} |')
    alone = [name for name, found in rows.items() if not found['alone']]
    whole = [name for name in alone if not any(rows[name].values())]
    says = (
        f'{len(alone)} of {len(rows)} models train alone, {len(whole)} of these with '
    )
    says += 'each method.'
    return '\n'.join([says, '', *lines, '', 'Causes:', '', *causes])


def versions() -> str:
    """Return the installed versions that the table holds for."""
    wanted = ('mmengine', 'mmcv', 'mmsegmentation', 'mmpretrain', 'torch', 'timm')
    names = {f'{prefix}{name}' for name in wanted for prefix in ('', 'onedl-')}
    found = {d.metadata['Name']: d.version for d in distributions()}
    return ', '.join(f'{name} {found[name]}' for name in sorted(names & set(found)))
