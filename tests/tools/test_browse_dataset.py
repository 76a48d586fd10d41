"""The pictures show what is trained on."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.runner import Runner
from PIL import Image

SCRIPT = Path(__file__).parents[2] / 'tools' / 'browse_dataset.py'
spec = importlib.util.spec_from_file_location('browse_dataset', SCRIPT)
browse_dataset = importlib.util.module_from_spec(spec)
sys.modules['browse_dataset'] = browse_dataset
spec.loader.exec_module(browse_dataset)

ZOOM = 4  # 41 pixels -> at least 160


@pytest.fixture
def config(tiny_dataloader, tiny_segmentor, tmp_path) -> Path:
    tiny_segmentor['data_preprocessor']['size'] = (41, 41)
    cfg = dict(
        default_scope='mmsemi',
        randomness=dict(seed=7),
        model=dict(type='MeanTeacher', segmentor=tiny_segmentor),
        train_dataloader=dict(tiny_dataloader, num_workers=2, persistent_workers=True),
    )
    Config(cfg).dump(tmp_path / 'semi.py')
    return tmp_path / 'semi.py'


def tile(sheet: np.ndarray, row: int, column: int) -> np.ndarray:
    """Cut one image out of a picture and undo the zoom."""
    size = 41 * ZOOM
    top = row * (size + browse_dataset.TITLE + browse_dataset.GAP)
    top, left = top + browse_dataset.TITLE, column * (size + browse_dataset.GAP)
    return sheet[top : top + size, left : left + size][::ZOOM, ::ZOOM]


def show(config: Path, out: Path, *options: str) -> list[np.ndarray]:
    browse_dataset.main([str(config), '--num', '2', '--out', str(out), *options])
    pictures = sorted(out.iterdir())
    assert [path.name for path in pictures] == ['batch_0000.png', 'batch_0001.png']
    return [np.array(Image.open(path)) for path in pictures]


def test_each_branch_as_the_network_sees_it(config, tiny_dataloader, tmp_path):
    sheets = show(config, tmp_path / 'out')
    loader = Runner.build_dataloader(tiny_dataloader, seed=7)
    # a dumped config has its keys sorted
    rows = {'sup': 0, 'unsup_student': 2, 'unsup_teacher': 3}
    for sheet, batch in zip(sheets, loader, strict=False):
        for branch, row in rows.items():
            for column, image in enumerate(batch['inputs'][branch]):
                got = tile(sheet, row, column)
                rgb = image.permute(1, 2, 0).numpy()[..., ::-1]
                # 33 x 33 in 41 x 41: the last line before the padding is red
                assert (got[:32, :32] == rgb[:32, :32]).all()
                assert (got[32, :33] == [255, 0, 0]).all()
                assert (got[:33, 32] == [255, 0, 0]).all()
                # zero after the normalisation is the mean
                assert (got[33:] == [124, 116, 104]).all()
        palette = np.array(loader.dataset.metainfo['palette'])
        for column, sample in enumerate(batch['data_samples']['sup']):
            got, plain = tile(sheet, 1, column), tile(sheet, 0, column)
            label = sample.gt_sem_seg.data[0].numpy()
            for y in range(32):
                for x in range(32):
                    expected = plain[y, x]
                    if label[y, x] != 255:
                        expected = (plain[y, x] + palette[label[y, x]]) // 2
                    assert (got[y, x] == expected).all()


def test_plain_supervised_config(config, tiny_dataloader, tiny_segmentor, tmp_path):
    cfg = Config.fromfile(config)
    cfg.model = cfg.model.segmentor
    labeled = cfg.train_dataloader.dataset.labeled
    labeled.pipeline[-1] = dict(type='PackSegInputs')
    cfg.train_dataloader = dict(
        batch_size=2,
        num_workers=0,
        sampler=dict(type='InfiniteSampler', shuffle=False),
        dataset=labeled,
    )
    cfg.dump(config)
    sheets = show(config, tmp_path / 'out', '--cfg-options', 'randomness.seed=1')
    step = 41 * ZOOM + browse_dataset.TITLE + browse_dataset.GAP
    assert sheets[0].shape == (2 * step, 2 * (41 * ZOOM + browse_dataset.GAP), 3)
    assert (tile(sheets[0], 0, 1)[32, :33] == [255, 0, 0]).all()
    assert (tile(sheets[0], 1, 0)[:32, :32] != tile(sheets[0], 0, 0)[:32, :32]).any()


def test_long_titles_keep_the_branch():
    shorten = browse_dataset.shorten
    assert shorten('sup: a', 22) == 'sup: a'
    assert shorten('unsup_teacher: 0016E5_06960', 22) == 'unsup_teacher: ..06960'
    assert shorten('unsup_teacher label', 10) == 'unsup_teacher label'


def test_model_without_preprocessor():
    with pytest.raises(ValueError, match=r'model U2PL .* names no data_preprocessor'):
        browse_dataset.find_preprocessor(dict(type='U2PL', segmentor=dict(type='X')))
