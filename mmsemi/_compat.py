"""What ``import mmsemi`` checks, and the one thing that it tells mmengine."""

import warnings
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

# import name: lowest version tested of (onedl-*, the official distribution).
# Distributions are named after the import, but for mmseg.
TESTED = {
    'mmengine': ('0.10.12', '0.10.7'),
    'mmcv': ('2.3', '2.1.0'),
    'mmseg': ('1.4', '1.2.2'),
    'mmpretrain': ('1.3', '1.2.0'),
}
DISTRIBUTION = {'mmseg': 'mmsegmentation'}
# Slimmer builds of the official packages, which own the same import names.
VARIANTS = ('mmengine-lite', 'mmcv-lite', 'mmcv-full')
# mmpretrain is needed by some methods only.
REQUIRED = ('mmengine', 'mmcv', 'mmseg')


def _installed(names: list[str]) -> dict[str, str]:
    """Return ``{distribution: version}`` of those in ``names`` that are there."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _listing(found: dict[str, str]) -> str:
    """Return ``'mmcv 2.1.0, mmengine 0.10.7'``."""
    return ', '.join(f'{name} {found[name]}' for name in sorted(found))


def check_openmmlab() -> None:
    """Refuse an environment without OpenMMLab, or with a mixture of its two.

    The ``onedl-*`` packages and the official ones own the same import names, so
    that pip installs one over the other without a word.

    Raises:
        ImportError: If neither is installed, one lacks a part, or both are there.
    """
    names = [DISTRIBUTION.get(module, module) for module in TESTED]
    onedl = _installed([f'onedl-{name}' for name in names])
    official = _installed([*names, *VARIANTS])
    if onedl and official:
        raise ImportError(
            'mmsemi found a mixture of two OpenMMLab distributions: '
            f'{_listing(onedl)} (onedl) and {_listing(official)} (official). They '
            "overwrite each other's files. Remove all of them with `pip uninstall -y "
            f'{" ".join(sorted([*onedl, *official]))}`, then install one: '
            '`pip install "mmsemi[onedl]"`.'
        )
    missing = [module for module in REQUIRED if find_spec(module) is None]
    if missing:
        extra = 'openmmlab' if official else 'onedl'
        other = '' if onedl or official else ' (or "mmsemi[openmmlab]")'
        raise ImportError(
            f'mmsemi needs OpenMMLab, but {", ".join(missing)} cannot be found. '
            f'Install with `pip install "mmsemi[{extra}]"`{other}.'
        )
    _warn_if_older(onedl or official)


def _warn_if_older(found: dict[str, str]) -> None:
    """Warn about each distribution below the lowest version tested."""
    from packaging.version import Version

    for module, tested in TESTED.items():
        official = DISTRIBUTION.get(module, module)
        for name, lowest in zip((f'onedl-{official}', official), tested, strict=True):
            if name in found and Version(found[name]) < Version(lowest):
                warnings.warn(
                    f'{name} {found[name]} is older than {lowest}, the lowest version '
                    'mmsemi was tested with.',
                    stacklevel=2,
                )


def register_configs() -> None:
    """Let ``_base_ = 'mmsemi::...'`` and ``get_config('mmsemi::...')`` resolve.

    mmengine keeps a table of the packages that may be named so, and looks for
    configs in ``.mim/configs`` of the package.
    """
    from mmengine.config.utils import MODULE2PACKAGE

    # A module's name is looked up as Python does. That of the distribution need not
    # be there, or may be of another copy than the imported one; and mmengine 0.10.7
    # expects its files in site-packages, where an editable install has none.
    MODULE2PACKAGE['mmsemi'] = 'mmsemi.registry'
    package = Path(__file__).parent
    if not (package / '.mim/model-index.yml').is_file():
        warnings.warn(
            f'{package} has no .mim folder, so that no config can inherit from '
            f'mmsemi::…: run `pip install -e .` in {package.parent}.',
            stacklevel=2,
        )
