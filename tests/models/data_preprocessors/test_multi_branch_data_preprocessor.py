"""Normalised, padded, and what is padding."""

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmsemi.registry import MODELS

MEAN, STD = [10.0, 20.0, 30.0], [1.0, 2.0, 4.0]


@pytest.fixture
def preprocessor() -> torch.nn.Module:
    own = dict(
        type='SegDataPreProcessor',
        mean=MEAN,
        std=STD,
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(9, 11),
    )
    return MODELS.build(dict(type='MultiBranchDataPreprocessor', data_preprocessor=own))


def sample(size: tuple[int, int], *, labelled: bool) -> SegDataSample:
    data = SegDataSample(valid=PixelData(data=torch.ones(1, *size, dtype=torch.bool)))
    if labelled:
        data.gt_sem_seg = PixelData(data=torch.randint(0, 4, (1, *size)))
    return data


def batch(sizes: dict[str, list[tuple[int, int]]]) -> dict:
    torch.manual_seed(0)
    inputs = {
        branch: [torch.randint(0, 256, (3, *size), dtype=torch.uint8) for size in list_]
        for branch, list_ in sizes.items()
    }
    samples = {
        branch: [sample(size, labelled=branch == 'sup') for size in list_]
        for branch, list_ in sizes.items()
    }
    return dict(inputs=inputs, data_samples=samples)


def test_each_branch_is_normalised_and_padded(preprocessor):
    views = [(9, 11), (6, 11)]
    sizes = dict(sup=[(9, 11), (7, 5)], unsup_teacher=views, unsup_student=views)
    raw = batch(sizes)
    images = {branch: list(raw['inputs'][branch]) for branch in sizes}
    labels = [x.gt_sem_seg.data.clone() for x in raw['data_samples']['sup']]
    out = preprocessor(raw, training=True)
    assert list(out['inputs']) == list(out['data_samples']) == list(sizes)
    for branch, list_ in sizes.items():
        got = out['inputs'][branch]
        assert got.dtype == torch.float32 and got.shape == (len(list_), 3, 9, 11)
        for i, (height, width) in enumerate(list_):
            expected = torch.zeros(3, 9, 11)
            for channel in range(3):
                value = images[branch][i][2 - channel].float()
                expected[channel, :height, :width] = (value - MEAN[channel]) / STD[
                    channel
                ]
            torch.testing.assert_close(got[i], expected)
            valid = torch.zeros(1, 9, 11, dtype=torch.bool)
            valid[:, :height, :width] = True
            data = out['data_samples'][branch][i]
            assert torch.equal(data.valid.data, valid)
            if branch == 'sup':
                label = data.gt_sem_seg.data
                assert torch.equal(label[:, :height, :width], labels[i])
                assert (label[~valid] == 255).all()
            else:
                assert 'gt_sem_seg' not in data


def test_without_branches_and_without_padding(preprocessor):
    raw = batch(dict(sup=[(9, 11)]))
    flat = dict(inputs=raw['inputs']['sup'], data_samples=raw['data_samples']['sup'])
    plain = preprocessor(flat, training=False)
    assert plain['inputs'].shape == (1, 3, 9, 11)
    branches = preprocessor(batch(dict(sup=[(9, 11)])), training=False)
    assert torch.equal(branches['inputs']['sup'], plain['inputs'])
    assert branches['data_samples']['sup'][0].valid.data.all()
