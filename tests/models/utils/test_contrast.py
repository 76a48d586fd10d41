import math

import pytest
import torch
import torch.nn.functional as F

from mmsemi.models.utils.contrast import (
    anchor_mask,
    class_prototypes,
    info_nce,
    negative_mask,
)


def make_batch(batch=4, num_classes=6, size=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, size, size)
    prob = torch.randn(batch, num_classes, size, size, generator=generator).softmax(1)
    label = torch.randint(0, num_classes, shape, generator=generator)
    label[torch.rand(shape, generator=generator) < 0.2] = 255
    return prob, label, torch.rand(shape, generator=generator) < 0.5


# negative_mask ------------------------------------------------------------------------


def reference_negatives(prob, label, unreliable, num_labeled, low_rank, high_rank):
    batch, num_classes, height, width = prob.shape
    mask = torch.zeros(prob.shape, dtype=torch.bool)
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                values = prob[b, :, y, x].tolist()
                order = sorted(range(num_classes), key=lambda c: (-values[c], c))
                own = int(label[b, y, x])
                for rank, c in enumerate(order):
                    if own == 255:
                        continue
                    if b < num_labeled:
                        key = rank < low_rank and c != own
                    else:
                        key = unreliable[b, y, x] and low_rank <= rank < high_rank
                    mask[b, c, y, x] = bool(key)
    return mask


@pytest.mark.parametrize('num_labeled', [0, 2, 4])
@pytest.mark.parametrize('ranks', [(3, 5), (1, 20), (0, 2)])
def test_negative_mask_matches_reference(num_labeled, ranks):
    prob, label, unreliable = make_batch()
    prob[:, :, :2] = (prob[:, :, :2] * 8).round() / 8  # many ties
    args = (prob, label, unreliable, num_labeled)
    mask = negative_mask(*args, low_rank=ranks[0], high_rank=ranks[1])
    assert mask.dtype == torch.bool
    assert torch.equal(mask, reference_negatives(*args, *ranks))
    small = negative_mask(
        prob, label.byte(), unreliable, num_labeled, low_rank=1, high_rank=20
    )
    assert torch.equal(small, reference_negatives(*args, 1, 20))


def test_negative_mask_value():
    prob = torch.tensor([0.5, 0.3, 0.15, 0.05]).view(1, 4, 1, 1).repeat(2, 1, 1, 1)
    label = torch.tensor([1, 0]).view(2, 1, 1)
    unreliable = torch.ones(2, 1, 1, dtype=torch.bool)
    mask = negative_mask(prob, label, unreliable, 1, low_rank=2, high_rank=3)
    assert mask.flatten(1).tolist() == [
        [True, False, False, False],
        [False, False, True, False],
    ]


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_negative_mask_half(dtype):
    prob, label, unreliable = make_batch()
    prob = prob.to(dtype)
    args = (prob, label, unreliable, 2)
    mask = negative_mask(*args, low_rank=2, high_rank=4)
    assert torch.equal(mask, reference_negatives(*args, 2, 4))


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (
            {'low_rank': 6},
            'low_rank 6 must be below the number of classes 6: use low_r',
        ),
        ({'low_rank': -1}, 'low_rank -1 must be'),
        ({'high_rank': 3}, 'high_rank 3 must be above low_rank 3'),
        ({'num_labeled': 5}, r'num_labeled 5 is not in \[0, 4\]'),
        ({'label': torch.zeros(4, 5, 4)}, r'label has shape \(4, 5, 4\)'),
        ({'unreliable': torch.zeros(4, 4, 5) > 0}, 'unreliable has shape'),
    ],
)
def test_negative_mask_errors(change, message):
    prob, label, unreliable = make_batch()
    arguments = {'prob': prob, 'label': label, 'unreliable': unreliable}
    arguments |= {'num_labeled': 2, 'low_rank': 3, 'high_rank': 5}
    with pytest.raises(ValueError, match=message):
        negative_mask(**(arguments | change))


# anchor_mask --------------------------------------------------------------------------


def test_anchor_mask_matches_reference():
    prob, label, reliable = make_batch()
    mask = anchor_mask(prob, label, reliable, threshold=0.2)
    for b, y, x in torch.ones_like(mask).nonzero().tolist():
        own = int(label[b, y, x])
        expected = own != 255 and prob[b, own, y, x] > 0.2 and reliable[b, y, x]
        assert mask[b, y, x] == bool(expected)
    assert mask.any()
    moved = label.masked_fill(label == 255, 9)
    assert torch.equal(
        anchor_mask(prob, moved, reliable, threshold=0.2, ignore_index=9), mask
    )
    assert torch.equal(anchor_mask(prob, label.byte(), reliable, threshold=0.2), mask)


def test_anchor_mask_threshold_is_strict_and_void_is_empty():
    prob = torch.full((1, 2, 2, 2), 0.5)
    ones = torch.ones(1, 2, 2, dtype=torch.bool)
    zeros = torch.zeros(1, 2, 2).long()
    assert not anchor_mask(prob, zeros, ones, threshold=0.5).any()
    assert not anchor_mask(prob, zeros + 255, ones).any()
    assert anchor_mask(prob, zeros, ones).all()


def test_anchor_mask_shape_error():
    prob, label, reliable = make_batch()
    with pytest.raises(ValueError, match='reliable has shape'):
        anchor_mask(prob, label, reliable[:2])


# class_prototypes ---------------------------------------------------------------------


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16, torch.bfloat16])
def test_class_prototypes_matches_reference(dtype):
    _, label, mask = make_batch()
    label[label == 4] = 1  # class 4 is absent
    feature = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(1))
    feature = feature.to(dtype)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        sums, counts = class_prototypes(feature, label, mask, 6)
    assert sums.dtype == counts.dtype == torch.float32
    rows = feature.float().permute(0, 2, 3, 1)
    for c in range(6):
        chosen = rows[(label == c) & mask]
        assert counts[c] == len(chosen)
        torch.testing.assert_close(sums[c], chosen.sum(0), atol=1e-5, rtol=1e-5)
    assert counts[4] == 0 and (sums[4] == 0).all()


def test_class_prototypes_gradcheck_and_shape_error():
    _, label, mask = make_batch(batch=1, num_classes=2, size=3)
    feature = torch.randn(1, 2, 3, 3, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x: class_prototypes(x, label, mask, 2)[0], (feature,)
    )
    with pytest.raises(ValueError, match='mask has shape'):
        class_prototypes(feature, label, mask[:, :2], 2)


# info_nce -----------------------------------------------------------------------------


def random_vectors(*shapes, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator).to(dtype) for shape in shapes]


def reference_info_nce(anchors, positive, negatives, temperature, counted):
    def cosine(one, two):
        return (one @ two / (one.norm() * two.norm())).item()

    means = []
    for k in counted:
        losses = []
        for q, anchor in enumerate(anchors[k]):
            pos = math.exp(cosine(anchor, positive[k]) / temperature)
            neg = [math.exp(cosine(anchor, n) / temperature) for n in negatives[k, q]]
            losses.append(-math.log(pos / (pos + sum(neg))))
        means.append(sum(losses) / len(losses))
    return sum(means) / len(means)


@pytest.mark.parametrize('num_negatives', [1, 7])
@pytest.mark.parametrize('counted', [None, [0, 2]])
def test_info_nce_matches_reference(num_negatives, counted):
    vectors = random_vectors((3, 5, 8), (3, 8), (3, 5, num_negatives, 8))
    mask = None
    if counted is not None:
        mask = torch.zeros(3, dtype=torch.bool).index_fill_(0, torch.tensor(counted), 1)
    expected = reference_info_nce(*vectors, 0.5, counted or [0, 1, 2])
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert info_nce(*vectors, 0.5, mask).item() == pytest.approx(expected, 1e-5)


def test_info_nce_value():
    ones = torch.ones(1, 1, 4)
    equal = info_nce(ones, ones[0], ones.expand(1, 1, 3, 4), 0.5)
    assert equal.item() == pytest.approx(math.log(4))
    opposed = info_nce(ones, ones[0], -ones.expand(1, 1, 50, 4), 0.5)
    assert opposed.item() == pytest.approx(math.log(1 + 50 * math.exp(-4)))


def test_info_nce_does_not_depend_on_norms():
    anchors, positive, negatives = random_vectors((2, 3, 4), (2, 4), (2, 3, 5, 4))
    torch.testing.assert_close(
        info_nce(7 * anchors, 0.1 * positive, 30 * negatives, 0.5),
        info_nce(anchors, positive, negatives, 0.5),
    )


def test_info_nce_no_class_counts():
    anchors, positive, negatives = random_vectors((2, 3, 4), (2, 4), (2, 3, 5, 4))
    anchors.requires_grad_()
    loss = info_nce(anchors, positive, negatives, 0.5, torch.zeros(2) > 0)
    loss.backward()
    assert loss == 0 and (anchors.grad == 0).all()
    empty = info_nce(anchors[:0], positive[:0], negatives[:0], 0.5)
    assert empty == 0 and empty.requires_grad


def test_info_nce_absent_class_does_not_poison():
    anchors, positive, negatives = random_vectors((2, 3, 4), (2, 4), (2, 3, 5, 4))
    expected = info_nce(anchors[:1], positive[:1], negatives[:1], 0.5)
    positive[1], negatives[1] = math.nan, 0
    anchors[1] = 0
    anchors.requires_grad_()
    loss = info_nce(anchors, positive, negatives, 0.5, torch.tensor([True, False]))
    loss.backward()
    torch.testing.assert_close(loss, expected)
    assert anchors.grad.isfinite().all() and (anchors.grad[1] == 0).all()


def test_info_nce_gradcheck():
    vectors = random_vectors((2, 3, 4), (2, 4), (2, 3, 5, 4), dtype=torch.double)
    for vector in vectors:
        vector.requires_grad_()
    mask = torch.tensor([True, False])
    assert torch.autograd.gradcheck(lambda *v: info_nce(*v, 0.5), vectors)
    assert torch.autograd.gradcheck(lambda *v: info_nce(*v, 0.5, mask), vectors)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_info_nce_half(dtype):
    anchors, positive, negatives = random_vectors((2, 3, 4), (2, 4), (2, 3, 5, 4))
    half = [(1e4 * v).to(dtype) for v in (anchors, positive, negatives)]
    half[0].requires_grad_()
    loss = info_nce(*half, 0.5)
    loss.backward()
    assert loss.dtype == torch.float32 and half[0].grad.isfinite().all()
    torch.testing.assert_close(loss, info_nce(*(v.float() for v in half), 0.5))
    unit = F.normalize(negatives, dim=-1).to(dtype)
    torch.testing.assert_close(
        info_nce(anchors, positive, unit, 0.5),
        info_nce(anchors, positive, negatives, 0.5),
        atol=1e-2,
        rtol=0,
    )


def test_info_nce_errors():
    anchors, positive, negatives = random_vectors((2, 3, 4), (2, 4), (2, 3, 5, 4))
    with pytest.raises(ValueError, match='temperature=0 must be above 0'):
        info_nce(anchors, positive, negatives, 0)
    with pytest.raises(ValueError, match=r'positive has shape \(1, 4\)'):
        info_nce(anchors, positive[:1], negatives, 0.5)
    with pytest.raises(ValueError, match=r'negatives has shape \(2, 2, 5, 4\)'):
        info_nce(anchors, positive, negatives[:, :2], 0.5)
    with pytest.raises(ValueError, match='mask has shape'):
        info_nce(anchors, positive, negatives, 0.5, torch.ones(3) > 0)
