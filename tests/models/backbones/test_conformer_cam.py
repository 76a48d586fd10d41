"""Conformer with its map, tokens and attention."""

import copy

import pytest
import torch

pytest.importorskip('mmpretrain')

from mmpretrain.models import Conformer

from mmsemi.models.backbones import ConformerCam
from mmsemi.models.backbones.conformer_cam import attention_affinity

TINY = dict(
    arch=dict(embed_dims=24, channel_ratio=1, num_heads=2, depths=12),
    base_channels=8,
    drop_path_rate=0.0,
)


@pytest.fixture(scope='module')
def net():
    torch.manual_seed(0)
    model = ConformerCam(**TINY)
    model.init_weights()
    # attention that is not even
    for name, value in model.net.named_parameters():
        if 'qkv.weight' in name:
            value.data.mul_(20)
    return model.eval()


@torch.no_grad()
def test_as_mmpretrain(net):
    images = torch.randn(2, 3, 64, 48)
    maps, tokens, queries_keys = net(images)
    assert maps.shape == (2, 32, 4, 3)
    assert tokens.shape == (2, 13, 24)
    assert queries_keys.shape == (2, 12, 2, 2, 13, 12)
    ((pooled, token),) = net.net(images)
    torch.testing.assert_close(maps.mean((2, 3)), pooled)
    torch.testing.assert_close(tokens[:, 0], token)


@torch.no_grad()
def test_the_last_fusion_keeps_the_size(net):
    plain = Conformer(**TINY)
    plain.load_state_dict(net.net.state_dict())
    plain.eval()
    seen = []
    plain.conv_trans_12.register_forward_hook(lambda m, i, o: seen.append(o))
    images = torch.randn(1, 3, 64, 64)
    plain(images)
    assert seen[0][0].shape == (1, 32, 2, 2)
    torch.testing.assert_close(net.net.trans_norm(seen[0][1]), net(images)[1])
    assert net(images)[0].shape == (1, 32, 4, 4)


@torch.no_grad()
def test_attention_is_the_one_that_the_layer_uses(net):
    layer = copy.deepcopy(net.net.trans_1.attn)
    x = torch.randn(1, 13, 24)
    value = layer.qkv(x).view(1, 13, 3, 2, 12)[:, :, 2].permute(0, 2, 1, 3)
    parts = layer.qkv(x).view(1, 13, 3, 2, 12)[:, :, :2].permute(0, 2, 3, 1, 4)
    query, key = parts.unbind(1)
    weights = (query @ key.transpose(-1, -2) / 12**0.5).softmax(-1)
    own = layer.proj((weights @ value).transpose(1, 2).reshape(1, 13, 24))
    torch.testing.assert_close(own, layer(x), rtol=1e-4, atol=1e-5)
    mean = weights.mean(1)[:, 1:, 1:]
    torch.testing.assert_close(attention_affinity(parts[:, None]), mean)


def test_affinity_against_loops():
    torch.manual_seed(1)
    parts = torch.randn(1, 3, 2, 2, 4, 5)
    wanted = torch.zeros(1, 3, 3)
    for layer in (0, 2):
        for head in range(2):
            for i in range(1, 4):
                logits = torch.stack(
                    [
                        parts[0, layer, 0, head, i] @ parts[0, layer, 1, head, j]
                        for j in range(4)
                    ]
                )
                row = (logits / 5**0.5).exp()
                wanted[0, i - 1] += (row / row.sum())[1:] / 2
    torch.testing.assert_close(attention_affinity(parts, layers=[0, 2]), wanted)


def test_gradient_reaches_the_layers(net):
    net.zero_grad()
    attention_affinity(net(torch.randn(1, 3, 32, 32))[2])[0, 0, 1].backward()
    assert net.net.trans_1.attn.qkv.weight.grad.abs().sum() > 0
    assert not any(m._forward_hooks for m in net.net.modules())


def test_published_checkpoint(tmp_path):
    """Its keys are those of mmpretrain's classifier: ``backbone.`` and ``head.``."""
    torch.manual_seed(2)
    published = Conformer(**TINY).state_dict()
    state = {f'backbone.{k}': torch.randn_like(v.float()) for k, v in published.items()}
    path = tmp_path / 'conformer.pth'
    torch.save(dict(state_dict=dict(state, **{'head.bias': torch.ones(3)})), path)
    init = dict(type='Pretrained', checkpoint=str(path), prefix='backbone')
    model = ConformerCam(**TINY, init_cfg=init)
    model.init_weights()
    loaded = model.net.state_dict()
    assert loaded.keys() == published.keys()
    for key, value in loaded.items():
        torch.testing.assert_close(
            value.float(), state[f'backbone.{key}'].to(value).float()
        )


def test_names_of_conformer_s():
    net = ConformerCam().net
    shapes = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    assert shapes['cls_token'] == (1, 1, 384)
    assert shapes['trans_patch_conv.weight'] == (384, 64, 4, 4)
    assert shapes['trans_1.attn.qkv.weight'] == (1152, 384)
    assert shapes['conv_trans_2.trans_block.ln1.weight'] == (384,)
    assert shapes['conv_trans_5.trans_block.ffn.layers.0.0.weight'] == (1536, 384)
    assert shapes['conv_trans_12.trans_block.ffn.layers.1.weight'] == (384, 1536)
    assert shapes['conv_trans_12.fusion_block.conv3.weight'] == (1024, 256, 1, 1)
    assert shapes['trans_norm.weight'] == (384,)
    assert [name for name in shapes if name.endswith('attn.qkv.bias')] == [
        'trans_1.attn.qkv.bias',
        *(f'conv_trans_{i}.trans_block.attn.qkv.bias' for i in range(2, 13)),
    ]


def test_size_is_checked(net):
    with pytest.raises(ValueError, match=r'40x48.*multiples of 16'):
        net(torch.zeros(1, 3, 40, 48))
