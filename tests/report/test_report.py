import base64
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from mmsemi.engine.panels import colour_labels, encode_png, entropy_image, hatch, row
from mmsemi.report.compare import class_iou, confusion, miou_curves, pseudo_label_panels
from mmsemi.report.curves import line_chart, read_scalars, smooth, ticks
from mmsemi.report.page import Panels, Report, mean, render


def write_log(work_dir, run, entries, cut=False):
    folder = work_dir / run / 'vis_data'
    folder.mkdir(parents=True)
    text = ''.join(json.dumps(entry) + '\n' for entry in entries)
    (folder / 'scalars.json').write_text(text + '{"loss": 0.1, "st' * cut)


def test_read_scalars_joins_resumed_runs(tmp_path):
    write_log(
        tmp_path,
        '20260101_000000',
        [dict(loss=3.0, step=20), dict(loss=2.0, step=40), dict(mIoU=9.0, step=40)],
        cut=True,
    )
    write_log(
        tmp_path,
        '20260102_000000',
        [dict(loss=2.5, step=40), dict(loss=float('nan'), step=60)],
    )
    scalars = read_scalars(tmp_path)
    assert scalars['loss'] == [(20, 3.0), (40, 2.5)]
    assert scalars['mIoU'] == [(40, 9.0)]


def test_read_scalars_without_logs(tmp_path):
    with pytest.raises(FileNotFoundError, match='has logged at least once'):
        read_scalars(tmp_path)


def test_miou_curves_names_the_networks():
    curves = miou_curves(
        {
            'A': {'mIoU': [(1, 2.0)], 'loss': [(1, 9.0)]},
            'B': {
                'mIoU': [(1, 4.0)],
                'student/mIoU': [(1, 3.0)],
                'teacher/mIoU': [(1, 4.0)],
            },
        }
    )
    assert curves == {
        'A': [(1, 2.0)],
        'B student': [(1, 3.0)],
        'B teacher': [(1, 4.0)],
    }


def test_smooth_averages_neighbours():
    assert smooth([(0, 0.0), (1, 3.0), (2, 6.0)], 3) == [(0, 1.5), (1, 3.0), (2, 4.5)]


@pytest.mark.parametrize(
    ('low', 'high', 'expected'),
    [
        (0, 1600, [0, 500, 1000, 1500]),
        (0, 47.2, [0, 10, 20, 30, 40]),
        (0.0, 0.9, [0, 0.2, 0.4, 0.6, 0.8]),
    ],
)
def test_ticks(low, high, expected):
    assert ticks(low, high) == expected


def test_line_chart_places_points():
    svg = line_chart('t', {'a': [(0, 0.0), (10, 2.0)], 'empty': []})
    points = re.search(r'<polyline points="([^"]+)"', svg)[1].split()
    (x0, y0), (x1, y1) = (map(float, point.split(',')) for point in points)
    # left and bottom of the axes; right, and 2 of 2.1 of the height
    assert (x0, y0) == (44, 220)
    assert x1 == 448
    assert y1 == pytest.approx(12 + 208 * 0.1 / 2.1, abs=0.06)
    assert 'empty' not in svg
    assert line_chart('t', {'empty': []}) == ''


def test_confusion_and_iou_against_loops():
    rng = np.random.default_rng(0)
    truth, label = rng.integers(0, 3, (2, 6, 5))
    truth[0, :2] = 255
    counts = confusion(label, truth, 4)
    for c in range(3):
        same = ((label == c) & (truth == c)).sum()
        either = (((label == c) | (truth == c)) & (truth != 255)).sum()
        assert class_iou(counts)[c] == pytest.approx(100 * same / either)
    assert np.isnan(class_iou(counts)[3])


def test_panels_paint_what_they_say():
    palette = [[0, 0, 0], [200, 10, 20]]
    painted = colour_labels(np.array([[0, 1, 255]]), palette)
    assert painted.tolist() == [[[0, 0, 0], [200, 10, 20], [214, 214, 214]]]
    covered = hatch(np.zeros((4, 4, 3), np.uint8), np.eye(4, dtype=bool))
    assert (covered[~np.eye(4, dtype=bool)] == 0).all()
    assert (covered[np.eye(4, dtype=bool)] >= 150).all()
    bright = entropy_image(np.array([[0.0, np.log(2) / 2, np.log(2)]]), 2).sum(-1)[0]
    assert bright[0] < bright[1] < bright[2]
    strip = row([np.zeros((4, 8, 3), np.uint8)] * 2, size=8)
    assert strip.shape == (8, 20, 3)
    assert (strip[2:6, :8] == 0).all()
    assert (strip[:2] == 255).all()


def test_mean_leaves_absent_classes_out():
    assert mean([10.0, float('nan'), 20.0]) == 15.0


class Page(HTMLParser):
    """Checks that tags are closed, and collects what the page loads and says."""

    def __init__(self, text):
        super().__init__()
        self.open, self.sources, self.text = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.sources += [v for k, v in attrs if k in ('src', 'href')]
        if tag not in ('meta', 'img', 'line', 'circle', 'polyline'):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_report_shows_everything_and_loads_nothing():
    png = encode_png(np.zeros((2, 3, 3), np.uint8))
    report = Report(
        title='A <b> title',
        summary='Eight labels.',
        iou={'supervised': [90.0, 10.0], 'U2PL': [92.0, 30.0]},
        classes=['ground', 'disc & ring'],
        palette=[[0, 0, 0], [128, 0, 0]],
        charts=[line_chart('Losses', {'loss_unsup': [(0, 1.0), (9, 0.5)]}), ''],
        panels=[Panels('Validation', 'Unseen.', ['image', 'truth'], [('one', png)])],
        facts={'seed': 7},
        commands=['python tools/demo.py --seed 7'],
    )
    html = render(report)
    page = Page(html)
    text = ' '.join(page.text)
    assert not page.open
    for wanted in ('A <b> title', '50.0', '61.0', '+11.0', '+20.0', 'disc & ring'):
        assert wanted in text
    for wanted in ('loss_unsup', 'Unseen.', '--seed 7', 'truth'):
        assert wanted in text
    assert len(page.sources) == 1
    head, data = page.sources[0].split(',')
    assert head == 'data:image/png;base64'
    assert base64.b64decode(data) == png
    assert '<script' not in html
    assert 'http' not in html


def test_pseudo_label_panels_collects_the_drawings(tmp_path):
    assert pseudo_label_panels(tmp_path) == []
    for name in ('x', 'y'):
        folder = tmp_path / 'vis_data' / 'pseudo_labels' / name
        folder.mkdir(parents=True)
        for step in (20, 40, 100):
            (folder / f'iter_{step:06d}.png').write_bytes(f'{name}{step}'.encode())
    middle, over_time = pseudo_label_panels(tmp_path)
    assert middle.rows == [('step 40', b'x40'), ('step 40', b'y40')]
    assert [png for _, png in over_time.rows] == [b'x20', b'x40', b'x100']
