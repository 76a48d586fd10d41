"""Heads with class activation maps."""

import pytest
import torch
import torch.nn.functional as F

from mmsemi.models.decode_heads import CamHead, ConformerCamHead


@pytest.fixture
def feature():
    torch.manual_seed(0)
    return torch.rand(2, 6, 4, 3)


@torch.no_grad()
def test_scores_are_the_mean_of_the_map(feature):
    head = CamHead(6, 3).eval()
    head.init_weights()
    plain = torch.einsum('bdhw,cd->bchw', feature, head.classifier.weight[:, :, 0, 0])
    torch.testing.assert_close(head([feature]), plain.mean((2, 3)))
    torch.testing.assert_close(head.cam([feature]), plain.clamp_min(0))
    assert head.classifier.bias is None and not head.has_affinity
    assert [n for n, _ in head.named_parameters()] == ['classifier.weight']


@torch.no_grad()
def test_whole_channels_are_dropped(feature):
    torch.manual_seed(0)
    head = CamHead(6, 3, dropout_ratio=0.5).train()
    dropped = head.dropout(feature)
    whole = (dropped == 0).flatten(2)
    assert (whole.all(2) == whole.any(2)).all() and whole.any()
    torch.testing.assert_close(dropped[~(dropped == 0)], 2 * feature[~(dropped == 0)])
    # what is dropped is missing in the scores only
    torch.testing.assert_close(head.cam([feature]), head.eval().cam([feature]))


@torch.no_grad()
@pytest.mark.parametrize('stride', [1, 2])
def test_affinity(feature, stride):
    head = CamHead(6, 3, affinity_channels=5, affinity_stride=stride).eval()
    affinity, grid = head.affinity([feature])
    pooled = feature
    if stride == 2:
        pooled = torch.zeros(2, 6, 2, 2)
        for y in range(2):
            for x in range(2):
                cell = feature[:, :, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2]
                pooled[:, :, y, x] = cell.mean((2, 3))
    assert grid == tuple(pooled.shape[2:])
    weight = head.projection.weight[:, :, 0, 0]
    vectors = (pooled.flatten(2).transpose(1, 2) @ weight.T).unbind(1)
    for i, one in enumerate(vectors):
        for j, other in enumerate(vectors):
            cosine = F.cosine_similarity(one, other, dim=1).clamp_min(0)
            torch.testing.assert_close(affinity[:, i, j], cosine, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_conformer_head(feature):
    torch.manual_seed(0)
    head = ConformerCamHead(3, in_channels=(6, 8)).eval()
    head.init_weights()
    tokens = torch.randn(2, 13, 8)
    parts = torch.randn(2, 4, 2, 2, 13, 4)
    features = (feature, tokens, parts)
    maps = F.conv2d(
        feature, head.conv_cls_head.weight, head.conv_cls_head.bias, padding=1
    )
    torch.testing.assert_close(head.cam(features), maps)
    linear = tokens[:, 0] @ head.trans_cls_head.weight.T + head.trans_cls_head.bias
    torch.testing.assert_close(head(features), maps.mean((2, 3)) + linear)
    affinity, grid = head.affinity(features)
    assert grid == (4, 3) and affinity.shape == (2, 12, 12)
    assert (affinity.sum(-1) < 4).all() and (affinity > 0).all()
    default = ConformerCamHead(20)
    assert default.conv_cls_head.weight.shape == (20, 1024, 3, 3)
    assert default.trans_cls_head.weight.shape == (20, 384)


def test_affinity_is_a_product_in_single_precision(feature):
    head = CamHead(in_channels=feature.shape[1], num_classes=3, affinity_channels=5)
    with torch.autocast('cpu', torch.bfloat16), torch.no_grad():
        found, _ = head.affinity([feature])
        vectors = head.projection(feature).float().flatten(2)
    vectors = vectors / vectors.norm(dim=1, keepdim=True)
    torch.testing.assert_close(found, (vectors.mT @ vectors).relu())
