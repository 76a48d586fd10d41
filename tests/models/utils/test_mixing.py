import warnings

import pytest
import torch

from mmsemi.models.utils.mixing import classmix_mask, cutmix_mask, mix


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def boxes_of(mask):
    """Left, top, width, height of each rectangle; asserts that it is one."""
    boxes = []
    for image in ~mask[:, 0]:
        y, x = image.nonzero().T
        box = (x.min(), y.min(), x.max() - x.min() + 1, y.max() - y.min() + 1)
        left, top, width, height = map(int, box)
        assert int(image.sum()) == width * height
        boxes.append((left, top, width, height))
    return torch.tensor(boxes)


@pytest.mark.parametrize('area', [0.5, 0.25])
def test_cutmix_mask_geometry(area):
    height, width = 40, 64
    mask = cutmix_mask(3000, (height, width), area, seeded(0))
    assert mask.shape == (3000, 1, height, width) and mask.dtype == torch.bool
    left, top, box_w, box_h = boxes_of(mask).T
    assert box_w.min() == int(area * width) + 1 and box_w.max() == width - 1
    expected = (area * height * width / box_w).round().long()
    assert torch.equal(box_h, expected)
    # the width is uniform, and the position is uniform in what the box leaves free
    assert abs(box_w.float().mean() - (area * width + width) / 2) < 0.6
    for start, free in ((left, width - box_w), (top, height - box_h)):
        assert start.min() == 0 and (start == free).any()
        assert abs((start.float() - free / 2).mean()) < 0.5


def test_cutmix_mask_of_the_papers_crop():
    box_w, box_h = boxes_of(cutmix_mask(300, (513, 513), generator=seeded(0)))[:, 2:].T
    assert 257 <= box_w.min() and box_w.max() <= 512
    assert 257 <= box_h.min() and box_h.max() <= 512


@pytest.mark.parametrize('size', [(1, 1), (1, 5), (2, 1), (2, 2), (3, 2)])
def test_cutmix_mask_tiny_and_whole(size):
    assert boxes_of(cutmix_mask(20, size, generator=seeded(0))).shape == (20, 4)
    assert not cutmix_mask(2, size, area=1).any()
    assert cutmix_mask(0, size).shape == (0, 1, *size)


def test_cutmix_mask_generator():
    one, same, other = (
        cutmix_mask(4, (20, 20), generator=seeded(s)) for s in (1, 1, 2)
    )
    assert torch.equal(one, same) and not torch.equal(one, other)


@pytest.mark.parametrize('area', [0, -0.5, 1.1])
def test_cutmix_mask_error(area):
    with pytest.raises(ValueError, match=r'area=.* must be in \(0, 1\]'):
        cutmix_mask(1, (4, 4), area)


def test_classmix_mask_keeps_half_of_the_classes():
    label = torch.randint(0, 9, (8, 12, 12), generator=seeded(0))
    label[1] = label[1].clamp_max(2)
    label[2] = 4
    label[3] = 255
    label[torch.rand(8, 12, 12, generator=seeded(1)) < 0.1] = 255
    mask = classmix_mask(label, seeded(2))
    assert mask.shape == (8, 1, 12, 12) and mask.dtype == torch.bool
    for image, kept in zip(label, mask[:, 0], strict=True):
        classes = set(image.unique().tolist()) - {255}
        chosen = set(image[kept].unique().tolist())
        assert len(chosen) == len(classes) // 2 and 255 not in chosen
        assert torch.equal(kept, torch.isin(image, torch.tensor(sorted(chosen))))
    assert torch.equal(mask, classmix_mask(label.byte(), seeded(2)))
    assert not torch.equal(mask, classmix_mask(label, seeded(3)))


def test_classmix_mask_is_uniform_and_reads_ignore_index():
    label = torch.tensor([0, 3, 255, 7]).view(1, 1, 4).expand(3000, 1, 4)
    share = classmix_mask(label, seeded(0), ignore_index=7)[:, 0, 0].float().mean(0)
    torch.testing.assert_close(
        share, torch.tensor([1 / 3, 1 / 3, 1 / 3, 0]), atol=0.03, rtol=0
    )


def test_classmix_mask_shape_error():
    with pytest.raises(ValueError, match=r'label must be \(n, H, W\)'):
        classmix_mask(torch.zeros(1, 1, 4, 4).long())


@pytest.mark.parametrize(
    'dtype', [torch.float32, torch.float16, torch.uint8, torch.bool]
)
@pytest.mark.parametrize('channels', [(), (3,)])
def test_mix_matches_reference(dtype, channels):
    x = (4 * torch.rand(3, *channels, 5, 6, generator=seeded(0))).to(dtype)
    mask = torch.rand(3, 1, 5, 6, generator=seeded(1)) < 0.5
    mixed = mix(x, mask)
    assert mixed.dtype == dtype
    for i in range(3):
        for y in range(5):
            for column in range(6):
                source = i if mask[i, 0, y, column] else (i + 1) % 3
                assert torch.equal(mixed[i, ..., y, column], x[source, ..., y, column])


def test_mix_of_one_image_is_itself():
    x = torch.rand(1, 2, 4, 4)
    with pytest.warns(UserWarning, match='at least two unlabelled images'):
        assert torch.equal(mix(x, torch.zeros(1, 1, 4, 4) > 0), x)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        mix(x, torch.ones(1, 1, 4, 4) > 0)


@pytest.mark.parametrize('shape', [(2, 4, 4), (1, 1, 4, 4), (2, 1, 4, 5)])
def test_mix_error(shape):
    with pytest.raises(ValueError, match=r'must be \(B, 1, H, W\)'):
        mix(torch.rand(2, 3, 4, 4), torch.ones(shape) > 0)
