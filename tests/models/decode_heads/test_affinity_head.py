"""AffinityNet's feature."""

import pytest
import torch
import torch.nn.functional as F

from mmsemi.models.decode_heads import AffinityHead


def test_size():
    head = AffinityHead()
    assert {name: tuple(p.shape) for name, p in head.named_parameters()} == {
        'f8_3.weight': (64, 512, 1, 1),
        'f8_4.weight': (128, 1024, 1, 1),
        'f8_5.weight': (256, 4096, 1, 1),
        'f9.weight': (448, 448, 1, 1),
    }
    torch.manual_seed(0)
    head.init_weights()
    # Xavier, gain 4: variance 16 * 2 / (448 + 448)
    assert head.f9.weight.var().item() == pytest.approx(32 / 896, rel=0.02)


@torch.no_grad()
def test_values():
    torch.manual_seed(0)
    head = AffinityHead((3, 4, 5), (2, 3, 4))
    features = [torch.randn(2, c, 3, 2) for c in (3, 4, 5)]
    layers = (head.f8_3, head.f8_4, head.f8_5)
    parts = [
        F.elu(torch.einsum('bdhw,cd->bchw', x, layer.weight[:, :, 0, 0]))
        for x, layer in zip(features, layers, strict=True)
    ]
    joined = torch.einsum(
        'bdhw,cd->bchw', torch.cat(parts, 1), head.f9.weight[:, :, 0, 0]
    )
    torch.testing.assert_close(head(features), F.elu(joined))


def test_error():
    with pytest.raises(ValueError, match='three numbers'):
        AffinityHead((3, 4), (2, 3, 4))
