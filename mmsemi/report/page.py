"""One HTML page that compares trainings: no script, nothing from the network."""

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

STYLE = """
:root{--ink:#1d2733;--soft:#5b6876;--line:#dde3ea;--paper:#fff;--wash:#f5f7fa;
--accent:#1f6fb2;--good:#2c7f4a;--bad:#b4402a}
*{box-sizing:border-box}
body{margin:0;background:var(--wash);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:1060px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:1.7rem;line-height:1.2;margin:0 0 4px}
h2{font-size:1.15rem;margin:0 0 4px}
section,header{background:var(--paper);border:1px solid var(--line);
border-radius:12px;padding:20px;margin:0 0 18px}
p{margin:0 0 12px;color:var(--soft);max-width:70ch}
.scores{display:flex;flex-wrap:wrap;gap:12px;margin-top:16px}
.score{flex:1 1 150px;background:var(--wash);border-radius:10px;padding:12px 16px}
.score b{display:block;font-size:2rem;line-height:1.15;
font-variant-numeric:tabular-nums}
.score span{color:var(--soft);font-size:.9rem}
.good b{color:var(--good)}.bad b{color:var(--bad)}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(290px,1fr));gap:20px}
figure{margin:0}figcaption{font-weight:600;font-size:.95rem}
svg{width:100%;height:auto;display:block}
svg text{font-size:12px;fill:var(--soft)}.grid{stroke:var(--line)}
.keys{display:flex;flex-wrap:wrap;gap:4px 14px;font-size:.85rem;color:var(--soft)}
.keys span{white-space:nowrap}
.keys i{display:inline-block;width:12px;height:12px;border-radius:3px;
margin-right:5px;vertical-align:-1px;border:1px solid #0002}
.heads{display:grid;grid-auto-flow:column;grid-auto-columns:1fr;gap:1%;
font-size:.82rem;color:var(--soft);text-align:center;line-height:1.2;
align-items:end;margin-top:12px}
.rows img{width:100%;display:block;margin:4px 0;image-rendering:pixelated}
.rows small{color:var(--soft);font-size:.78rem}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;
font-size:.92rem}
th,td{padding:5px 8px;border-bottom:1px solid var(--line);text-align:right}
th:first-child,td:first-child{text-align:left}
thead th{color:var(--soft);font-weight:600}tfoot td{font-weight:700;border:0}
td i{display:inline-block;width:12px;height:12px;border-radius:3px;margin-right:8px;
vertical-align:-1px;border:1px solid #0002}
table.facts td{text-align:left;vertical-align:top;overflow-wrap:anywhere}
table.facts td:first-child{color:var(--soft);width:11em}
pre{background:var(--wash);border-radius:8px;padding:10px 12px;margin:10px 0 0;
font-size:.82rem;white-space:pre-wrap;overflow-wrap:anywhere}
@media(max-width:560px){main{padding:12px 8px 40px}section,header{padding:14px 12px}
h1{font-size:1.35rem}.heads{font-size:.68rem}table.facts td:first-child{width:7em}}
@media print{body{background:#fff;font-size:11pt}main{max-width:none;padding:0}
section,header{border:0;padding:0 0 8pt;break-inside:avoid}
.charts{grid-template-columns:1fr 1fr}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
"""


@dataclass(frozen=True)
class Panels:
    """Rows of pictures under common headings.

    Attributes:
        title: Heading of the section.
        text: A sentence on what is to be seen.
        heads: Heading of each column.
        rows: (caption, PNG) of each row; the PNG holds all columns.
    """

    title: str
    text: str
    heads: Sequence[str]
    rows: Sequence[tuple[str, bytes]]


@dataclass(frozen=True)
class Report:
    """What the page shows.

    Attributes:
        title: Heading of the page.
        summary: Sentence below it.
        iou: Network -> IoU of each class in percent, the baseline first and the
            network of the headline last.
        classes: Names of the classes.
        palette: RGB colour of each class.
        charts: HTML figures, see :func:`mmsemi.report.curves.line_chart`.
        panels: Sections of pictures; the curves come after the first.
        facts: Setting -> value.
        commands: What to type to get the same.
    """

    title: str
    summary: str
    iou: Mapping[str, Sequence[float]]
    classes: Sequence[str]
    palette: Sequence[Sequence[int]]
    charts: Sequence[str] = ()
    panels: Sequence[Panels] = ()
    facts: Mapping[str, object] = field(default_factory=dict)
    commands: Sequence[str] = ()


def mean(values: Sequence[float]) -> float:
    """Average numbers; nan, the IoU of a class that is nowhere, is left out."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known)


def render(report: Report) -> str:
    """Return the page as one self-contained HTML text."""
    legend = _legend(report)
    parts = [_headline(report)]
    parts += [_panels(panels, legend) for panels in report.panels[:1]]
    if any(report.charts):
        parts.append(
            '<section><h2>Curves</h2><p>Over the training steps.</p>'
            f'<div class="charts">{"".join(report.charts)}</div></section>'
        )
    parts += [_panels(panels, legend) for panels in report.panels[1:]]
    parts += [_classes(report), _facts(report)]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<title>{escape(report.title)}</title><style>{STYLE}</style></head>'
        f'<body><main>{"".join(parts)}</main></body></html>\n'
    )


def _score(value: str, label: str, kind: str = '') -> str:
    return (
        f'<div class="score {kind}"><b>{escape(value)}</b>'
        f'<span>{escape(label)}</span></div>'
    )


def _headline(report: Report) -> str:
    """Draw the title and the numbers that matter."""
    names = list(report.iou)
    first, last = mean(report.iou[names[0]]), mean(report.iou[names[-1]])
    gain = last - first
    scores = [_score(f'{first:.1f}', f'{names[0]}, mIoU')]
    scores.append(_score(f'{last:.1f}', f'{names[-1]}, mIoU'))
    scores.append(
        _score(f'{gain:+.1f}', 'gain, mIoU points', 'good' if gain > 0 else 'bad')
    )
    return (
        f'<header><h1>{escape(report.title)}</h1><p>{escape(report.summary)}</p>'
        f'<div class="scores">{"".join(scores)}</div></header>'
    )


def _swatch(colour: Sequence[int]) -> str:
    return '<i style="background:rgb({},{},{})"></i>'.format(*colour)


def _legend(report: Report) -> str:
    keys = [
        f'<span>{_swatch(colour)}{escape(name)}</span>'
        for name, colour in zip(report.classes, report.palette, strict=True)
    ]
    return f'<div class="keys">{"".join(keys)}</div>'


def _panels(panels: Panels, legend: str) -> str:
    """Draw rows of pictures."""
    heads = ''.join(f'<span>{escape(head)}</span>' for head in panels.heads)
    rows = []
    for caption, png in panels.rows:
        data = base64.b64encode(png).decode()
        note = f'<small>{escape(caption)}</small>' if caption else ''
        rows.append(
            f'<div>{note}<img src="data:image/png;base64,{data}" '
            f'alt="{escape(caption or panels.title)}"></div>'
        )
    return (
        f'<section><h2>{escape(panels.title)}</h2><p>{escape(panels.text)}</p>{legend}'
        f'<div class="rows"><div class="heads">{heads}</div>{"".join(rows)}</div>'
        '</section>'
    )


def _classes(report: Report) -> str:
    """Draw the table of the IoU of each class."""
    names = list(report.iou)
    heads = ''.join(f'<th>{escape(name)}</th>' for name in names)
    body = []
    for i, (name, colour) in enumerate(
        zip(report.classes, report.palette, strict=True)
    ):
        values = [report.iou[network][i] for network in names]
        body.append(_iou_row(_swatch(colour) + escape(name), values))
    foot = _iou_row('mean', [mean(report.iou[name]) for name in names])
    return (
        '<section><h2>IoU of each class</h2><p>Validation images, in percent.</p>'
        f'<div class="wide"><table><thead><tr><th>class</th>{heads}<th>gain</th></tr>'
        f'</thead><tbody>{"".join(body)}</tbody><tfoot>{foot}</tfoot></table></div>'
        '</section>'
    )


def _iou_row(head: str, values: Sequence[float]) -> str:
    cells = ''.join(f'<td>{value:.1f}</td>' for value in values)
    return f'<tr><td>{head}</td>{cells}<td>{values[-1] - values[0]:+.1f}</td></tr>'


def _facts(report: Report) -> str:
    """Draw the settings and the commands."""
    rows = ''.join(
        f'<tr><td>{escape(name)}</td><td>{escape(str(value))}</td></tr>'
        for name, value in report.facts.items()
    )
    commands = escape('\n'.join(report.commands))
    return (
        f'<section><h2>Settings</h2><table class="facts">{rows}</table>'
        f'<pre>{commands}</pre></section>'
    )
