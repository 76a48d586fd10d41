import itertools
import os
import time

import numpy as np
import pytest
import torch
from mmseg.models import SegDataPreProcessor
from mmseg.structures import SegDataSample
from PIL import Image

from mmsemi.datasets import UnlabeledDataset
from mmsemi.labeling.image_batches import (
    image_ids,
    load_batches,
    plan_batches,
    progress,
    size_divisor,
)
from mmsemi.models import MultiBranchDataPreprocessor


def test_batches_of_equal_size_in_list_order(mixed_images):
    # large: a 0, c 2, d 3, f 5, g 6; small: b 1, e 4
    assert plan_batches(mixed_images(), 2) == [[0, 2], [1, 4], [3, 5], [6]]
    assert plan_batches(mixed_images(), 9) == [[0, 2, 3, 5, 6], [1, 4]]
    assert plan_batches(mixed_images(), 1) == [[i] for i in range(7)]
    assert plan_batches(mixed_images()) == [[i] for i in range(7)]
    assert plan_batches(mixed_images(), None, 'cuda:0') == [[0, 2, 3, 5, 6], [1, 4]]


@pytest.mark.parametrize(
    ('size', 'most'),
    [((375, 500), 8), ((512, 1024), 4), ((1024, 2048), 1), ((4096, 4096), 1)],
)
def test_large_images_go_in_small_batches(mixed_images, monkeypatch, size, most):
    monkeypatch.setattr('mmsemi.labeling.image_batches.picture_size', lambda path: size)
    batches = plan_batches(mixed_images(), None, 'cuda:0')
    assert max(map(len, batches)) == min(most, 7)
    with pytest.raises(ValueError, match='batch_size=0: give at least 1'):
        plan_batches(mixed_images(), 0)


def test_ids_are_those_of_the_list(mixed_images):
    expected = ['x/a', 'x/b', 'x/c', 'y/d', 'y/e', 'y/f', 'y/g']
    assert image_ids(mixed_images()) == expected
    assert image_ids(mixed_images('ga')) == ['y/g', 'x/a']
    folder = mixed_images(ann_file='', img_suffix=None)
    assert image_ids(folder) == expected


def test_ids_lose_a_long_suffix(tmp_path):
    path = tmp_path / 'ulm' / '1_leftImg8bit.png'
    path.parent.mkdir()
    Image.new('RGB', (4, 4)).save(path)
    dataset = UnlabeledDataset(
        data_prefix=dict(img_path=str(tmp_path)), img_suffix='_leftImg8bit.png'
    )
    assert image_ids(dataset) == ['ulm/1']


def test_an_image_twice(mixed_images):
    with pytest.raises(ValueError, match=r"aba.txt names the image 'x/a' twice"):
        image_ids(mixed_images('aba'))


def test_an_image_outside_of_the_folder(mixed_images):
    """Its label would be written over whatever lies beside the labels' folder."""
    dataset = mixed_images()
    root = dataset.data_prefix['img_path']
    dataset.data_prefix['img_path'] = f'{root}/x'
    with pytest.raises(ValueError, match=r"image '../y/d', outside of .*/x: give a"):
        image_ids(dataset)


def test_several_suffixes(mixed_images):
    dataset = mixed_images(ann_file='', img_suffix=None)
    root = dataset.data_prefix['img_path']
    Image.new('RGB', (4, 4)).save(f'{root}/x/a.jpg')
    with pytest.raises(ValueError, match=r'end with .jpg, .png, but mmseg'):
        image_ids(mixed_images(ann_file='', img_suffix=None))


@pytest.mark.parametrize(
    ('content', 'error', 'message'),
    [
        (None, FileNotFoundError, 'image to label .*b.png does not exist'),
        (b'\x89PNG', ValueError, 'b.png is truncated'),
        (b'no picture IEND', ValueError, r'b.png is no picture'),
    ],
)
def test_bad_images(content, error, message, mixed_images):
    dataset = mixed_images()
    path = dataset.get_data_info(1)['img_path']
    if content is None:
        os.unlink(path)
    else:
        with open(path, 'wb') as file:
            file.write(content)
    with pytest.raises(error, match=message):
        plan_batches(dataset, 2)


def test_photographs_that_are_turned_do_not_meet_others(tmp_path):
    for name, orientation in zip('abc', (1, 6, 1), strict=True):
        image = Image.new('RGB', (16, 12))
        exif = image.getexif()
        exif[0x0112] = orientation
        image.save(tmp_path / f'{name}.jpg', exif=exif)
    dataset = UnlabeledDataset(data_prefix=dict(img_path=str(tmp_path)))
    assert plan_batches(dataset, 3) == [[0, 2], [1]]


@pytest.mark.parametrize('num_workers', [0, 2])
@pytest.mark.parametrize('kind', ['plain', 'padding', 'branches'])
def test_images_are_normalised_and_not_padded(
    kind, num_workers, mixed_images, preprocessor
):
    if kind == 'padding':
        preprocessor = SegDataPreProcessor(
            mean=[120.0] * 3, std=[60.0] * 3, test_cfg=dict(size_divisor=32)
        )
        assert size_divisor(preprocessor) == 32
    elif kind == 'branches':
        inner = dict(type='SegDataPreProcessor', mean=[120.0] * 3, std=[60.0] * 3)
        preprocessor = MultiBranchDataPreprocessor(dict(inner, _scope_='mmseg'))
    if kind != 'padding':
        assert size_divisor(preprocessor) == 1
    dataset = mixed_images()
    batches = [[0, 2], [1]]
    state = torch.get_rng_state()
    found = list(load_batches(dataset, batches, preprocessor, num_workers))
    assert torch.equal(torch.get_rng_state(), state)
    assert [(b.indices, b.size) for b in found] == [([0, 2], (12, 16)), ([1], (10, 14))]
    for batch in found:
        for i, image in zip(batch.indices, batch.images, strict=True):
            rgb = np.array(Image.open(dataset.get_data_info(i)['img_path']))
            expected = (rgb[..., ::-1].transpose(2, 0, 1) - 120.0) / 60.0
            np.testing.assert_allclose(image, expected, rtol=1e-6)


def test_resized_images_keep_the_size_of_the_file(mixed_images, preprocessor):
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(24, 24), keep_ratio=True),
        dict(type='PackSemiInputs'),
    ]
    (batch,) = load_batches(mixed_images(pipeline=pipeline), [[0, 2]], preprocessor, 0)
    assert batch.images.shape == (2, 3, 18, 24) and batch.size == (12, 16)


def test_pipeline_without_an_end(mixed_images, preprocessor):
    dataset = mixed_images(pipeline=[dict(type='LoadImageFromFile')])
    with pytest.raises(ValueError, match='must end with PackSegInputs'):
        next(load_batches(dataset, [[0]], preprocessor, 0))


def test_progress(capsys):
    with progress(3) as advance:
        advance(1)
        advance(2)
    with progress(0) as advance:
        pass
    assert '3/3' in capsys.readouterr().out.splitlines()[-1]


class Slow:
    """Images that take the longer to load the earlier they are; the fourth fails."""

    def __init__(self) -> None:
        self.loaded: list[int] = []

    def __getitem__(self, index: int) -> dict:
        time.sleep(0.02 * (3 - index % 3))
        self.loaded.append(index)
        if index == 40:
            raise ValueError('image 40 is truncated')
        size = (4, 4 + index)
        sample = SegDataSample(metainfo=dict(ori_shape=size, img_shape=size))
        return dict(inputs=torch.zeros(3, *size), data_samples=sample)


@pytest.mark.parametrize('num_workers', [0, 3])
def test_images_come_in_order_a_few_batches_ahead(num_workers, preprocessor):
    dataset = Slow()
    batches = [[i] for i in range(20)] + [[40], [41]]
    found = load_batches(dataset, batches, preprocessor, num_workers)
    for i in range(4):
        batch = next(found)
        assert (batch.indices, batch.size) == ([i], (4, 4 + i))
    assert max(dataset.loaded) <= (3 if num_workers == 0 else 4 + 2 * num_workers)
    assert [batch.indices for batch in itertools.islice(found, 16)] == batches[4:20]
    # the image's own error, without the words of a worker process around it
    with pytest.raises(ValueError, match=r'^image 40 is truncated$'):
        next(found)


def test_loading_ends_with_the_labelling(preprocessor):
    dataset = Slow()
    found = load_batches(dataset, [[i] for i in range(30)], preprocessor, 2)
    next(found)
    found.close()
    before = len(dataset.loaded)
    time.sleep(0.2)
    assert len(dataset.loaded) == before < 10
