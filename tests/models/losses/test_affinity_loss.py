"""AffinityNet's loss and labels against loops over pairs and blocks."""

import math

import pytest
import torch

from mmsemi.models.losses import affinity_loss, label_from_scores, sure_label


def make_batch(dtype=torch.float32, size=(6, 5)):
    generator = torch.Generator().manual_seed(0)
    feature = torch.randn(2, 3, *size, generator=generator).to(dtype)
    label = torch.randint(0, 3, (2, *size), generator=generator)
    label[torch.rand(label.shape, generator=generator) < 0.2] = 255
    return feature, label


def slow(feature, label, radius):
    """Each unordered pair of pixels once."""
    sums, counts = [0.0] * 3, [0] * 3
    batch, depth, height, width = feature.shape
    places = [(y, x) for y in range(height) for x in range(width)]
    for b in range(batch):
        for i, (y, x) in enumerate(places):
            for v, u in places[i + 1 :]:
                one, other = int(label[b, y, x]), int(label[b, v, u])
                if (y - v) ** 2 + (x - u) ** 2 >= radius**2 or 255 in (one, other):
                    continue
                a, c = feature[b, :, y, x].tolist(), feature[b, :, v, u].tolist()
                distance = sum(abs(p - q) for p, q in zip(a, c, strict=True)) / depth
                affinity = math.exp(-distance)
                kind = 2 if one != other else int(one != 0)
                near = -math.log(affinity + 1e-5)
                far = -math.log(1 + 1e-5 - affinity)
                sums[kind] += far if kind == 2 else near
                counts[kind] += 1
    means = [s / (n + 1e-5) for s, n in zip(sums, counts, strict=True)]
    assert min(counts) > 0
    return means[0] / 4 + means[1] / 4 + means[2] / 2


@pytest.mark.parametrize('radius', [2, 3, 5])
def test_matches_slow_computation(radius):
    feature, label = make_batch()
    found = affinity_loss(feature, label, radius=radius)
    assert found.item() == pytest.approx(slow(feature, label, radius), 1e-4)


def test_value():
    """A pair of one class and a pair of two, both of affinity 1/2."""
    feature = torch.tensor([0.0, math.log(2), 0]).view(1, 1, 1, 3)
    label = torch.tensor([[[1, 1, 0]]])
    loss = affinity_loss(feature, label, radius=2)
    assert loss.item() == pytest.approx(0.75 * math.log(2), 1e-4)


def test_gradcheck():
    feature, label = make_batch(torch.double, (3, 4))
    feature.requires_grad_()

    def loss(f):
        return affinity_loss(f, label, radius=3)

    assert torch.autograd.gradcheck(loss, (feature,))


@pytest.mark.parametrize('kind', ['void', 'one class', 'equal features', 'far'])
def test_finite(kind):
    feature, label = make_batch()
    if kind == 'void':
        label[:] = 255
    elif kind == 'one class':
        label[:] = 2
    else:
        feature = feature * 0 if kind == 'equal features' else feature * 1e4
    feature = feature.half().requires_grad_()
    loss = affinity_loss(feature, label)
    loss.backward()
    assert loss.dtype == torch.float32 and loss.isfinite()
    assert feature.grad.isfinite().all()
    assert (loss == 0) == (kind == 'void')


def test_wrong_label():
    feature, label = make_batch()
    with pytest.raises(ValueError, match=r'label has shape \(2, 6, 4\), but \(2, 6, 5'):
        affinity_loss(feature, label[..., :4])


@pytest.mark.parametrize('size', [(4, 6), (5, 7), (1, 1)])
def test_block_labels_match_loops(size):
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(2, 3, *size, generator=generator)
    scores[0, :, : min(2, size[0]), -2:] = 0
    found = label_from_scores(scores, 2)
    rows, columns = (size[0] + 1) // 2, (size[1] + 1) // 2
    assert found.shape == (2, rows, columns)
    for b in range(2):
        for y in range(rows):
            for x in range(columns):
                block = scores[b, :, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2]
                sums = [float(block[c].sum()) for c in range(3)]
                expected = sums.index(max(sums)) if max(sums) > 0 else 255
                assert found[b, y, x] == expected


def test_sure_labels():
    foreground = torch.tensor([1, 1, 0, 0, 2, 255, 0])
    background = torch.tensor([1, 2, 1, 0, 0, 1, 255])
    found = sure_label(foreground[None], background[None])
    # where even the weak background says background it is, as in PSA's code
    assert found.tolist() == [[1, 1, 255, 0, 0, 255, 255]]


def test_wrong_label_arguments():
    with pytest.raises(ValueError, match='stride=0: give an integer of at least 1'):
        label_from_scores(torch.ones(1, 2, 2), 0)
    with pytest.raises(ValueError, match=r'background has shape \(1, 3\)'):
        sure_label(torch.ones(1, 2), torch.ones(1, 3))
