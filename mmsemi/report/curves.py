"""Scalars of a training, read from mmengine's logs and drawn as SVG."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path

Series = list[tuple[int, float]]
COLOURS = ('#1f6fb2', '#d9632a', '#3a9d5d', '#8a5cc2', '#b8860b', '#666666')
WIDTH, HEIGHT = 460, 250
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 12, 30


def read_scalars(work_dir: Path) -> dict[str, Series]:
    """Read what a training logged, over all the runs that it was resumed in.

    Where a resumed run did steps again, its values stand.

    Args:
        work_dir: Folder of the training; its logs are in
            ``<timestamp>/vis_data/scalars.json``.

    Returns:
        Name -> (step, value) pairs, sorted by step; values that are not finite are
        left out.

    Raises:
        FileNotFoundError: There is no log.
    """
    # the timestamps sort as the runs do
    logs = sorted(Path(work_dir).glob('*/vis_data/scalars.json'))
    if not logs:
        raise FileNotFoundError(
            f'{work_dir} holds no */vis_data/scalars.json: give the work dir of a '
            'training that has logged at least once'
        )
    found: dict[str, dict[int, float]] = {}
    for log in logs:
        for line in log.read_text('utf-8').splitlines():
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                continue  # a kill cuts the last line
            step = entry.get('step')
            for name, value in entry.items():
                if isinstance(value, (int, float)) and math.isfinite(value):
                    found.setdefault(name, {})[step] = float(value)
    return {name: sorted(values.items()) for name, values in found.items()}


def smooth(series: Series, width: int) -> Series:
    """Average each value with its neighbours, ``width`` in all, fewer at the ends."""
    half = width // 2
    out = []
    for i, (step, _) in enumerate(series):
        near = [v for _, v in series[max(0, i - half) : i + half + 1]]
        out.append((step, sum(near) / len(near)))
    return out


def ticks(low: float, high: float, number: int = 5) -> list[float]:
    """Return about ``number`` round values inside ``[low, high]``."""
    rough = (high - low) / number
    power = 10 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(i * step, 10) for i in range(first, last + 1)]


def line_chart(title: str, lines: Mapping[str, Series], unit: str = '') -> str:
    """Draw named series over the steps as one SVG figure, with a legend.

    Args:
        title: Heading of the figure.
        lines: Legend -> series; empty ones are left out.
        unit: Written behind the values of the y axis.

    Returns:
        HTML of a ``<figure>``; '' if there is nothing to draw.
    """
    shown = {name: series for name, series in lines.items() if series}
    if not shown:
        return ''
    steps = [step for series in shown.values() for step, _ in series]
    values = [value for series in shown.values() for _, value in series]
    x1 = max(max(steps), 1)
    y0, y1 = min(0.0, min(values)), max(values)
    y1 = y1 + 0.05 * (y1 - y0) if y1 > y0 else y0 + 1

    def place(step: float, value: float) -> str:
        x = LEFT + (WIDTH - LEFT - RIGHT) * step / x1
        y = TOP + (HEIGHT - TOP - BOTTOM) * (y1 - value) / (y1 - y0)
        return f'{x:.1f},{y:.1f}'

    parts = [*_grid(place, x1, ticks(y0, y1), unit)]
    keys = []
    for (name, series), colour in zip(shown.items(), COLOURS, strict=False):
        points = ' '.join(place(step, value) for step, value in series)
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" '
            'stroke-width="2" stroke-linejoin="round"/>'
        )
        if len(series) <= 12:
            parts += [
                '<circle cx="{}" cy="{}" r="3" fill="{}"/>'.format(
                    *place(step, value).split(','), colour
                )
                for step, value in series
            ]
        keys.append(f'<span><i style="background:{colour}"></i>{escape(name)}</span>')
    return (
        f'<figure><figcaption>{escape(title)}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f'{"".join(parts)}</svg><div class="keys">{"".join(keys)}</div></figure>'
    )


def _grid(
    place: Callable[[float, float], str], x1: int, rows: Sequence[float], unit: str
) -> list[str]:
    """Draw the grid and the numbers at the axes."""
    out = []
    for value in rows:
        y = place(0, value).split(',')[1]
        out.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" class="grid"/>'
            f'<text x="{LEFT - 6}" y="{float(y) + 4:.1f}" text-anchor="end">'
            f'{value:g}{escape(unit)}</text>'
        )
    for step in ticks(0, x1):
        x = place(step, 0).split(',')[0]
        out.append(
            f'<text x="{x}" y="{HEIGHT - 10}" text-anchor="middle">{step:g}</text>'
        )
    return out
