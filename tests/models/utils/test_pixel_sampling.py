import pytest
import torch

from mmsemi.models.utils.contrast import gather_pixels, sample_anchors, select_keys


def seeded(seed):
    return torch.Generator().manual_seed(seed)


# sample_anchors -----------------------------------------------------------------------


def test_sample_anchors_draws_masked_pixels_of_the_class():
    label = torch.randint(0, 4, (3, 6, 7), generator=seeded(0))
    label[0, 0] = 255
    mask = torch.rand(3, 6, 7, generator=seeded(1)) < 0.5
    mask &= label != 2
    classes = torch.tensor([3, 0, 2, 9, 1])
    anchors = sample_anchors(label, mask, classes, 40, seeded(2))
    assert anchors.shape == (5, 40)
    for c, pixels in zip(classes.tolist(), anchors, strict=True):
        if c in (2, 9):
            assert (pixels == 0).all()
        else:
            assert (label.flatten()[pixels] == c).all() and mask.flatten()[pixels].all()
    assert torch.equal(anchors, sample_anchors(label, mask, classes, 40, seeded(2)))
    assert not torch.equal(anchors, sample_anchors(label, mask, classes, 40, seeded(3)))
    small = sample_anchors(label.byte(), mask, classes, 40, seeded(2))
    assert torch.equal(anchors, small)


def test_sample_anchors_is_uniform():
    label = torch.tensor([[[0, 1, 0, 1, 1, 0]]])
    mask = torch.tensor([[[True, True, True, False, True, True]]])
    drawn = sample_anchors(label, mask, torch.tensor([1, 0]), 6000, seeded(0))
    for pixels, expected in zip(drawn, ([1, 4], [0, 2, 5]), strict=True):
        found, number = pixels.unique(return_counts=True)
        assert found.tolist() == expected
        assert (number / 6000 - 1 / len(expected)).abs().max() < 0.03


def test_sample_anchors_without_any_candidate():
    label, mask = torch.zeros(1, 2, 2).long(), torch.zeros(1, 2, 2) > 0
    assert (sample_anchors(label, mask, torch.tensor([0, 1]), 3) == 0).all()
    assert sample_anchors(label, ~mask, torch.tensor([]).long(), 3).shape == (0, 3)


def test_sample_anchors_shape_error():
    with pytest.raises(ValueError, match='mask has shape'):
        sample_anchors(torch.zeros(1, 2, 2), torch.ones(1, 2, 3) > 0, torch.zeros(1), 3)


# select_keys --------------------------------------------------------------------------


@pytest.mark.parametrize('limit', [1, 3, 40, 1000])
def test_select_keys_is_a_bounded_ordered_subset(limit):
    mask = torch.rand(2, 5, 8, 9, generator=seeded(0)) < torch.tensor(
        [0.9, 0.02, 0.0, 0.5, 1.0]
    ).view(1, 5, 1, 1)
    pixel, classes = select_keys(mask, limit, seeded(1))
    flat = mask.transpose(0, 1).flatten(1)
    assert flat[classes, pixel].all()
    assert classes.bincount(minlength=5).tolist() == [
        min(limit, int(row.sum())) for row in flat
    ]
    number = classes * flat.shape[1] + pixel
    assert (number.diff() > 0).all()  # ordered, hence nothing twice


def test_select_keys_is_uniform():
    mask = torch.ones(1, 2, 2, 5, dtype=torch.bool)
    mask[0, 1, 0, 0] = False
    hits = torch.zeros(2, 10)
    generator = seeded(0)
    for _ in range(2000):
        pixel, classes = select_keys(mask, 3, generator)
        hits[classes, pixel] += 1
    assert hits[1, 0] == 0
    assert (hits[0] / 2000 - 3 / 10).abs().max() < 0.05
    assert (hits[1, 1:] / 2000 - 3 / 9).abs().max() < 0.05


def test_select_keys_many_candidates():
    mask = torch.ones(2, 3, 100, 100, dtype=torch.bool)
    pixel, classes = select_keys(mask, 64, seeded(0))
    assert classes.bincount().tolist() == [64, 64, 64]
    assert pixel.max() < 20000 and abs(pixel.float().mean() - 10000) < 1500
    again = select_keys(mask, 64, seeded(0))
    assert torch.equal(pixel, again[0]) and torch.equal(classes, again[1])


def test_select_keys_empty_and_error():
    pixel, classes = select_keys(torch.zeros(1, 2, 3, 3, dtype=torch.bool), 4)
    assert pixel.shape == classes.shape == (0,) and pixel.dtype == torch.long
    with pytest.raises(ValueError, match='max_per_class=0 must be at least 1'):
        select_keys(torch.zeros(1, 2, 3, 3, dtype=torch.bool), 0)


# gather_pixels ------------------------------------------------------------------------


@pytest.mark.parametrize('layout', ['contiguous', 'channels_last', 'slice'])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float16])
def test_gather_pixels_matches_indexing(layout, dtype):
    feature = torch.randn(3, 4, 5, 6, generator=seeded(0)).to(dtype)
    if layout == 'channels_last':
        feature = feature.to(memory_format=torch.channels_last)
    if layout == 'slice':
        feature = torch.cat((feature, feature), 1)[:, 2:6]
    index = torch.randint(0, 90, (2, 7, 3), generator=seeded(1))
    rows = gather_pixels(feature, index)
    assert rows.dtype == dtype
    assert torch.equal(rows, feature.permute(0, 2, 3, 1).reshape(-1, 4)[index])
    assert gather_pixels(feature, index[:0]).shape == (0, 7, 3, 4)


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
def test_gather_pixels_gradcheck(layout):
    feature = torch.randn(2, 3, 2, 2, dtype=torch.double, generator=seeded(0))
    feature = feature.to(memory_format=layout).requires_grad_()
    index = torch.tensor([[0, 7, 7], [3, 0, 7]])
    assert torch.autograd.gradcheck(lambda x: gather_pixels(x, index), (feature,))


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
def test_gather_pixels_backward_is_reproducible_on_two_threads(layout):
    feature = torch.randn(2, 64, 17, 17, generator=seeded(0))
    feature = feature.to(memory_format=layout).requires_grad_()
    index = torch.randint(0, 20, (21, 50), generator=seeded(1))  # many repetitions
    weight = torch.randn(21, 50, 64, generator=seeded(2))
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        grads = [
            torch.autograd.grad((gather_pixels(feature, index) * weight).sum(), feature)
            for _ in range(30)
        ]
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(grad[0], grads[0][0]) for grad in grads)
