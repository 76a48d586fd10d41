"""Whole channels are dropped, image by image and level by level."""

import pytest
import torch

from mmsemi.models.utils.feature_dropout import append_perturbed, drop_channels
from mmsemi.models.utils.loss_weights import weigh_losses


def test_channels_are_dropped_whole_and_others_scaled():
    torch.manual_seed(0)
    feature = torch.rand(40, 50, 2, 3) + 0.1
    got = drop_channels(feature, 0.3)
    factor = got / feature
    torch.testing.assert_close(factor, factor[:, :, :1, :1].expand_as(factor))
    kept = factor[:, :, 0, 0] > 0
    torch.testing.assert_close(
        factor[:, :, 0, 0][kept], torch.full((int(kept.sum()),), 1 / 0.7)
    )
    assert abs(kept.float().mean() - 0.7) < 0.03
    # other channels in other images
    assert len(kept.unique(dim=0)) == 40


def test_gradient_flows_through_kept_channels_only():
    torch.manual_seed(0)
    feature = torch.rand(2, 8, 3, 3, requires_grad=True)
    drop_channels(feature, 0.5).sum().backward()
    assert set(feature.grad.unique().tolist()) == {0.0, 2.0}


@pytest.mark.parametrize('shape', [(2, 6), (2, 6, 3), (2, 6, 3, 3)])
def test_any_number_of_dimensions_and_precision(shape):
    feature = torch.ones(shape, dtype=torch.bfloat16)
    got = drop_channels(feature, 0.5)
    assert got.shape == shape and got.dtype == torch.bfloat16
    assert torch.equal(drop_channels(feature, 0.0), feature)


def test_copies_are_appended_to_each_level():
    torch.manual_seed(0)
    features = (torch.rand(5, 64, 4, 4), [torch.rand(5, 64, 2, 2), torch.rand(5, 64)])
    first, (second, token) = append_perturbed(features, 3, 0.5)
    for got, clean in ((first, features[0]), (second, features[1][0])):
        assert torch.equal(got[:5], clean) and len(got) == 7
        dropped = (got[5:] == 0).flatten(2)
        assert torch.equal(dropped.all(2), dropped.any(2))
        assert 0.3 < dropped.float().mean() < 0.7
    assert token.shape == (7, 64)
    dropped = [(level[5:] == 0).flatten(2).all(2) for level in (first, second)]
    assert not torch.equal(*dropped)


def test_generator():
    feature = torch.ones(2, 32, 1, 1)
    one, same, other = (
        drop_channels(feature, 0.5, torch.Generator().manual_seed(s)) for s in (1, 1, 2)
    )
    assert torch.equal(one, same) and not torch.equal(one, other)


@pytest.mark.parametrize('ratio', [-0.1, 1, 1.5])
def test_error(ratio):
    with pytest.raises(ValueError, match=f'ratio={ratio} must be in'):
        drop_channels(torch.ones(1, 2), ratio)


def test_weigh_losses_leaves_diagnostics():
    one = torch.ones(())
    got = weigh_losses({'sup.decode.loss_ce': one, 'sup.decode.acc_seg': one}, 0.5)
    assert got == {'sup.decode.loss_ce': 0.5, 'sup.decode.acc_seg': 1}
