"""Eq. 3, 4 and 6 of self-correcting networks, in float64."""

import math

import pytest
import torch

from mmsemi.models.utils.self_correction import (
    ConvSelfCorrection,
    exponential_alpha,
    linear_self_correction,
)

SHAPE = 2, 5, 3, 4


@pytest.fixture
def logits() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    primary, ancillary = 3 * torch.randn(2, *SHAPE, dtype=torch.float64)
    return primary, ancillary


def objective(q, p, p_anc, alpha):
    """Eq. 3 at each pixel."""
    q = q.clamp_min(1e-300)
    return (q * ((q / p).log() + alpha * (q / p_anc).log())).sum(1)


@pytest.mark.parametrize('alpha', [0, 1e-9, 0.5, 1, 3.872983, 30, 1e30, math.inf])
def test_matches_both_forms_of_eq_4(logits, alpha):
    primary, ancillary = logits
    got = linear_self_correction(*logits, alpha)
    assert got.dtype == torch.float64
    p, p_anc = primary.softmax(1), ancillary.softmax(1)
    if math.isinf(alpha):
        expected = p_anc
    else:
        product = p ** (1 / (1 + alpha)) * p_anc ** (alpha / (1 + alpha))
        expected = product / product.sum(1, keepdim=True)
        for b, h, w in [(0, 0, 0), (1, 2, 3)]:
            column = [
                math.exp((x + alpha * y) / (alpha + 1))
                for x, y in zip(primary[b, :, h, w], ancillary[b, :, h, w], strict=True)
            ]
            by_hand = torch.tensor(column, dtype=torch.float64) / sum(column)
            torch.testing.assert_close(got[b, :, h, w], by_hand)
    torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize('alpha', [0, 0.5, 4, 30])
def test_minimises_eq_3(logits, alpha):
    p, p_anc = (x.softmax(1) for x in logits)
    q = linear_self_correction(*logits, alpha)
    least = objective(q, p, p_anc, alpha)
    product = p ** (1 / (1 + alpha)) * p_anc ** (alpha / (1 + alpha))
    torch.testing.assert_close(least, -(1 + alpha) * product.sum(1).log())
    for spread in (0.01, 0.3, 3):
        for _ in range(50):
            other = (q.log() + spread * torch.randn_like(q)).softmax(1)
            assert (objective(other, p, p_anc, alpha) > least).all()
    for other in (p, p_anc, torch.full_like(p, 0.2), (p + alpha * p_anc) / (1 + alpha)):
        assert (objective(other, p, p_anc, alpha) >= least - 1e-12).all()


def test_ends_are_exact(logits):
    primary, ancillary = logits
    # an infinite score times a weight of 0 would be no number
    primary[0, 0], ancillary[1, 1] = -math.inf, -math.inf
    assert torch.equal(linear_self_correction(*logits, 0), primary.softmax(1))
    assert torch.equal(linear_self_correction(*logits, math.inf), ancillary.softmax(1))


def test_computes_in_single_precision(logits):
    half = [x.bfloat16() for x in logits]
    for alpha in (0, 2, math.inf):
        got = linear_self_correction(*half, alpha)
        assert got.dtype == torch.float32
        exact = linear_self_correction(*(x.double() for x in half), alpha)
        torch.testing.assert_close(got, exact.float(), rtol=1e-5, atol=1e-6)
    large = linear_self_correction(*(60000 * x.float() for x in logits), 1e30)
    assert large.isfinite().all()


def test_linear_gradient(logits):
    inputs = [x.requires_grad_() for x in logits]
    assert torch.autograd.gradcheck(
        lambda x, y: linear_self_correction(x, y, 0.7), inputs
    )


def test_alpha_falls_from_30_to_a_half():
    assert exponential_alpha(0, 30000) == 30
    assert exponential_alpha(30000, 30000) == pytest.approx(0.5)
    assert exponential_alpha(15000, 30000) == pytest.approx(3.872983, abs=1e-6)
    # 1 at step 24921.2
    assert exponential_alpha(24921, 30000) > 1 > exponential_alpha(24922, 30000)
    assert exponential_alpha(1, 2, start=2, end=8) == pytest.approx(4)
    ratios = [exponential_alpha(i + 1, 9) / exponential_alpha(i, 9) for i in range(9)]
    assert ratios == pytest.approx([60 ** (-1 / 9)] * 9)


def test_wrong_numbers(logits):
    for alpha in (-0.1, math.nan):
        with pytest.raises(ValueError, match=r'alpha is .* from \[0, inf\]'):
            linear_self_correction(*logits, alpha)
    with pytest.raises(ValueError, match='ancillary_logits has shape'):
        linear_self_correction(logits[0], logits[1][:, 1:], 1)
    for i, n in ((-1, 5), (6, 5), (0, 0)):
        with pytest.raises(ValueError, match=f'step {i} of {n}'):
            exponential_alpha(i, n)
    for start, end in ((0, 1), (1, 0), (-1, -2), (math.inf, 1)):
        with pytest.raises(ValueError, match='finite ones above 0'):
            exponential_alpha(0, 5, start, end)


def slow_conv(x, weight, bias):
    """Convolve (C, H, W) by a 3x3 kernel, zeros around it, one product at a time."""
    _, height, width = x.shape
    result = bias[:, None, None].repeat(1, height, width)
    for i in range(height):
        for j in range(width):
            for di in (-1, 0, 1):
                for dj in (-1, 0, 1):
                    if 0 <= i + di < height and 0 <= j + dj < width:
                        kernel = weight[:, :, di + 1, dj + 1]
                        result[:, i, j] += kernel @ x[:, i + di, j + dj]
    return result


@pytest.mark.parametrize('final_relu', [False, True])
def test_conv_against_a_loop(logits, final_relu):
    model = ConvSelfCorrection(5, hidden=7, final_relu=final_relu).double()
    got = model(*logits)
    first, second = (m for m in model.modules() if isinstance(m, torch.nn.Conv2d))
    for i in range(2):
        x = torch.cat([logits[0][i], logits[1][i]])
        x = slow_conv(x, first.weight, first.bias).clamp(min=0)
        x = slow_conv(x, second.weight, second.bias)
        assert (x < 0).any()
        torch.testing.assert_close(got[i], x.clamp(min=0) if final_relu else x)


def test_conv_sizes():
    model = ConvSelfCorrection(21)
    shapes = {name: tuple(value.shape) for name, value in model.named_parameters()}
    assert list(shapes.values()) == [
        (128, 42, 3, 3),
        (128,),
        (21, 128, 3, 3),
        (21,),
    ]
    with pytest.raises(
        ValueError, match=r'ancillary_logits .*\(1, 21, 4, 4\) is needed'
    ):
        model(torch.zeros(1, 21, 4, 4), torch.zeros(1, 20, 4, 4))
    with pytest.raises(ValueError, match=r'primary_logits has shape \(1, 20, 4, 4\)'):
        model(torch.zeros(1, 20, 4, 4), torch.zeros(1, 22, 4, 4))
    with pytest.raises(ValueError, match='num_classes=0 must be at least 1'):
        ConvSelfCorrection(0)
