import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmsemi.models.utils.pseudo_label import (
    drop_unreliable,
    entropy,
    reliability_score,
    reweighted_cross_entropy,
    weighted_fusion,
)


def random_prob(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).softmax(1)


# entropy ------------------------------------------------------------------------------


def test_entropy_value():
    prob = torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.25, 0.75]])
    expected = [0, math.log(2), -0.25 * math.log(0.25) - 0.75 * math.log(0.75)]
    torch.testing.assert_close(entropy(prob), torch.tensor(expected))
    assert entropy(prob)[0] == 0


def test_entropy_dim():
    prob = random_prob(2, 3, 4, 5)
    torch.testing.assert_close(entropy(prob.movedim(1, 3), dim=3), entropy(prob))


def test_entropy_gradient_is_finite_at_zero():
    prob = torch.tensor([[1.0, 0.0]], requires_grad=True)
    entropy(prob).sum().backward()
    assert prob.grad.isfinite().all()


def test_entropy_gradcheck():
    assert torch.autograd.gradcheck(
        entropy, random_prob(2, 3).double().requires_grad_()
    )


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_entropy_half(dtype):
    prob = torch.tensor([[1, 0, 0], [1e-6, 0.5, 0.5]], dtype=dtype)
    result = entropy(prob)
    assert result.dtype == torch.float32 and result.isfinite().all()
    torch.testing.assert_close(
        result, torch.tensor([0, math.log(2)]), atol=1e-3, rtol=0
    )


# drop_unreliable ----------------------------------------------------------------------


@pytest.mark.parametrize('percent', [0, 12.5, 20, 80, 99.9, 100])
def test_drop_unreliable_matches_numpy(percent):
    generator = torch.Generator().manual_seed(1)
    uncertainty = torch.rand(2, 7, 9, generator=generator)
    label = torch.randint(0, 4, (2, 7, 9), generator=generator)
    label[torch.rand(2, 7, 9, generator=generator) < 0.3] = 255

    kept, threshold = drop_unreliable(label, uncertainty, percent)
    valid = label.numpy() != 255
    expected = np.percentile(uncertainty.numpy()[valid].astype(np.float64), percent)
    assert threshold.shape == () and threshold.item() == pytest.approx(expected, 1e-6)
    below = uncertainty.numpy() < threshold.item()
    np.testing.assert_array_equal(kept, np.where(valid & below, label, 255))


def test_drop_unreliable_100_drops_only_the_largest():
    uncertainty = torch.tensor([[[0.1, 0.9], [0.9, 0.3]]])
    kept, _ = drop_unreliable(torch.ones(1, 2, 2).long(), uncertainty, 100)
    assert kept.tolist() == [[[1, 255], [255, 1]]]


def test_drop_unreliable_constant_entropy_keeps_nothing():
    kept, threshold = drop_unreliable(
        torch.zeros(1, 2, 2).long(), torch.full((1, 2, 2), 0.5), 80
    )
    assert (kept == 255).all() and threshold == 0.5


def test_drop_unreliable_without_a_valid_pixel():
    label = torch.full((1, 2, 2), 255)
    kept, threshold = drop_unreliable(label, torch.rand(1, 2, 2), 80)
    assert (kept == 255).all() and threshold == 0


def test_drop_unreliable_one_valid_pixel_and_another_ignore_index():
    label = torch.tensor([[[7, 7, 3]]])
    values = torch.tensor([[[9.0, 9.0, 0.25]]])
    kept, threshold = drop_unreliable(label, values, 50, ignore_index=7)
    assert threshold == 0.25 and (kept == 7).all()


def test_drop_unreliable_leaves_its_input_alone():
    label = torch.zeros(1, 1, 2).long()
    drop_unreliable(label, torch.tensor([[[0.1, 0.2]]]), 50)
    assert (label == 0).all()


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_drop_unreliable_half(dtype):
    values = torch.tensor([[[0.0, 0.25, 0.5, 1.0]]], dtype=dtype)
    kept, threshold = drop_unreliable(torch.zeros(1, 1, 4).long(), values, 50)
    assert threshold.dtype == torch.float32 and threshold == 0.375
    assert kept.tolist() == [[[0, 0, 255, 255]]]


@pytest.mark.slow
def test_drop_unreliable_beyond_2_to_the_24():
    values = torch.arange(2**24 + 3).flip(0).double()[None, None]
    _, threshold = drop_unreliable(torch.zeros_like(values).long(), values, 50)
    assert threshold == (2**24 + 2) / 2


@pytest.mark.parametrize('percent', [-1, 100.1, math.nan])
def test_drop_unreliable_percent_error(percent):
    with pytest.raises(ValueError, match=r'percent=.* must be in \[0, 100\]'):
        drop_unreliable(torch.zeros(1, 2, 2).long(), torch.rand(1, 2, 2), percent)


def test_drop_unreliable_shape_error():
    with pytest.raises(ValueError, match=r'entropy has shape \(1, 2, 3\)'):
        drop_unreliable(torch.zeros(1, 2, 2).long(), torch.rand(1, 2, 3), 80)


# reweighted_cross_entropy -------------------------------------------------------------


def test_reweighted_cross_entropy_value():
    label = torch.tensor([[[0, 255], [255, 255]]])
    loss = reweighted_cross_entropy(torch.zeros(1, 2, 2, 2), label)
    assert loss.item() == pytest.approx(4 * math.log(2))


def test_reweighted_cross_entropy_matches_reference():
    torch.manual_seed(0)
    logits, label = torch.randn(2, 3, 4, 5), torch.randint(0, 3, (2, 4, 5))
    label[torch.rand(2, 4, 5) < 0.4] = 255
    terms = [
        -logits[b, :, y, x].double().log_softmax(0)[label[b, y, x]]
        for b, y, x in (label != 255).nonzero().tolist()
    ]
    expected = sum(terms) / len(terms) * (label.numel() / len(terms))
    assert reweighted_cross_entropy(logits, label).item() == pytest.approx(
        expected.item(), 1e-5
    )
    moved = label.masked_fill(label == 255, 9)
    torch.testing.assert_close(
        reweighted_cross_entropy(logits, moved, ignore_index=9),
        reweighted_cross_entropy(logits, label),
    )


@pytest.mark.parametrize('scale', [1, 1e30])
def test_reweighted_cross_entropy_empty(scale):
    logits = (scale * torch.randn(1, 3, 2, 2)).requires_grad_()
    loss = reweighted_cross_entropy(logits, torch.full((1, 2, 2), 255))
    loss.backward()
    assert loss == 0 and (logits.grad == 0).all()


def test_reweighted_cross_entropy_gradcheck():
    torch.manual_seed(0)
    label = torch.tensor([[[0, 2], [255, 1]]])
    logits = torch.randn(1, 3, 2, 2, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x: reweighted_cross_entropy(x, label), (logits,)
    )


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_reweighted_cross_entropy_half(dtype):
    torch.manual_seed(0)
    logits = (1000 * torch.randn(1, 3, 2, 2)).to(dtype).requires_grad_()
    label = torch.tensor([[[0, 2], [255, 1]]])
    loss = reweighted_cross_entropy(logits, label.byte())
    loss.backward()
    expected = F.cross_entropy(logits.detach().float(), label, ignore_index=255) * 4 / 3
    torch.testing.assert_close(loss, expected)
    assert logits.grad.isfinite().all()


def test_reweighted_cross_entropy_shape_error():
    with pytest.raises(ValueError, match=r'label has shape \(1, 4, 4\)'):
        reweighted_cross_entropy(torch.zeros(1, 2, 2, 2), torch.zeros(1, 4, 4).long())


# reliability_score --------------------------------------------------------------------


def test_reliability_score_value():
    last = torch.tensor([[[0, 0, 1, 1]]])
    first = torch.tensor([[[0, 1, 1, 1]]])  # IoU 1/2 and 2/3, class 2 in neither
    score = reliability_score(torch.stack((first, last, last)), 3)
    assert score.item() == pytest.approx(((1 / 2 + 2 / 3) / 2 + 1) / 2)


def test_reliability_score_matches_reference():
    torch.manual_seed(0)
    maps = torch.randint(0, 5, (4, 3, 6, 7))
    maps[:, 1] = maps[:, 1].clamp_max(1)
    maps[-1, 2, 0] = 255
    expected = []
    for b in range(3):
        mious = []
        for k in range(3):
            one, two = maps[k, b], maps[3, b]
            one, two = one[two != 255], two[two != 255]
            ious = [
                ((one == c) & (two == c)).sum() / ((one == c) | (two == c)).sum()
                for c in range(5)
                if ((one == c) | (two == c)).any()
            ]
            mious.append(sum(ious) / len(ious))
        expected.append(sum(mious) / 3)
    torch.testing.assert_close(reliability_score(maps, 5), torch.stack(expected))
    torch.testing.assert_close(reliability_score(maps.byte(), 5), torch.stack(expected))


def test_reliability_score_class_in_one_map_only_counts_as_0():
    last = torch.zeros(1, 2, 2).long()
    first = torch.tensor([[[0, 0], [0, 1]]])  # IoU 3/4 and 0/1
    for maps in ((first, last), (last, first)):
        assert reliability_score(torch.stack(maps), 3).item() == 3 / 8


def test_reliability_score_of_equal_agreement_is_a_tie():
    """Bit for bit, wherever the image stands and whichever classes it has."""
    torch.manual_seed(0)
    one = torch.randint(0, 3, (3, 1, 6, 7))
    moved = one.flatten(2)[..., torch.randperm(42)].view_as(one)
    maps = torch.cat([one, torch.randint(0, 3, (3, 1, 6, 7)), moved, one + 3], 1)
    score = reliability_score(maps, 6)
    assert score[0] == score[2] == score[3] == reliability_score(one, 6)[0]
    assert score[0] != score[1]
    assert reliability_score(one[-1:].expand(3, 1, 6, 7), 6) == 1


def test_reliability_score_all_void():
    assert reliability_score(torch.full((2, 1, 2, 2), 255), 3) == 0


@pytest.mark.parametrize('shape', [(1, 2, 4, 4), (3, 4, 4)])
def test_reliability_score_shape_error(shape):
    with pytest.raises(ValueError, match='K >= 2 checkpoints'):
        reliability_score(torch.zeros(shape).long(), 3)


# weighted_fusion ----------------------------------------------------------------------


def test_weighted_fusion_value():
    one = torch.tensor([0.9, 0.1]).view(1, 2, 1, 1)
    two = torch.tensor([0.2, 0.8]).view(1, 2, 1, 1)
    label, confidence = weighted_fusion(one, two)
    assert label.tolist() == [[[0]]] and confidence.item() == pytest.approx(0.55)
    label, confidence = weighted_fusion(one, two, weight=0.25)
    assert label.tolist() == [[[1]]] and confidence.item() == pytest.approx(0.625)


def test_weighted_fusion_noise_matches_reference():
    torch.manual_seed(0)
    one, two = random_prob(2, 3, 4, 5), random_prob(2, 3, 4, 5).flip(1)
    noise = 2 * torch.rand(2, 1, 4, 5) - 1
    label, confidence = weighted_fusion(one, two, 0.4, noise)
    for b in range(2):
        for y in range(4):
            for x in range(5):
                alpha = min(max(0.4 + noise[b, 0, y, x].item(), 0), 1)
                fused = alpha * one[b, :, y, x] + (1 - alpha) * two[b, :, y, x]
                assert label[b, y, x] == fused.argmax()
                assert confidence[b, y, x].item() == pytest.approx(fused.max().item())


def test_weighted_fusion_tie_takes_the_lowest_class():
    prob = torch.full((1, 4, 2, 2), 0.25, dtype=torch.float16)
    label, confidence = weighted_fusion(prob, prob)
    assert (label == 0).all() and confidence.dtype == torch.float32


def test_weighted_fusion_noise_decides_a_tie_for_the_pixel_and_not_for_a_class():
    one = torch.tensor([0.1, 0.2, 0.5, 0.2]).view(1, 4, 1, 1).expand(1, 4, 1, 5)
    two = one.flip(1)  # 0.15, 0.35, 0.35, 0.15 at equal weights
    noise = torch.tensor([0, 0.25, -0.25, 3, -3]).view(1, 1, 1, 5)
    label, confidence = weighted_fusion(one, two, noise=noise)
    assert label.tolist() == [[[1, 2, 1, 2, 1]]]
    expected = torch.tensor([[[0.35, 0.425, 0.425, 0.5, 0.5]]])
    torch.testing.assert_close(confidence, expected)


@pytest.mark.parametrize('weight', [0, 1])
def test_weighted_fusion_of_one_network_only(weight):
    prob = random_prob(2, 3, 4, 5)
    label, confidence = weighted_fusion(prob, prob.flip(1), weight)
    chosen = prob if weight else prob.flip(1)
    assert torch.equal(label, chosen.argmax(1))
    assert torch.equal(confidence, chosen.amax(1))


def test_weighted_fusion_errors():
    prob = random_prob(1, 2, 3, 3)
    with pytest.raises(ValueError, match=r'weight=1.5 must be in \[0, 1\]'):
        weighted_fusion(prob, prob, 1.5)
    with pytest.raises(ValueError, match='prob2 has shape'):
        weighted_fusion(prob, random_prob(1, 3, 3, 3))
    with pytest.raises(ValueError, match='noise has shape'):
        weighted_fusion(prob, prob, noise=torch.zeros(1, 2, 3, 3))
