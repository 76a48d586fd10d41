"""A projector on any decode head, which goes on as it was."""

import copy

import pytest
import torch
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import nn

from mmsemi.models.decode_heads.contrastive_head import (
    contrastive_head_class,
    with_representation,
)
from mmsemi.models.decode_heads.decoding import represent
from mmsemi.registry import MODELS

FCN = dict(
    type='FCNHead',
    in_channels=4,
    in_index=0,
    channels=6,
    num_convs=1,
    num_classes=3,
    dropout_ratio=0,
    norm_cfg=dict(type='BN'),
)


@pytest.fixture(autouse=True)
def scope(default_scope):
    torch.manual_seed(0)


def contrastive(**kwargs):
    head = dict(FCN, **kwargs)
    return MODELS.build(dict(type='ContrastiveHead', head=head, rep_channels=5))


def test_scores_are_those_of_the_plain_head():
    plain, head = MODELS.build(FCN).eval(), contrastive().eval()
    report = head.load_state_dict(plain.state_dict(), strict=False)
    assert not report.unexpected_keys
    assert all(key.startswith('projector.') for key in report.missing_keys)
    features = [torch.randn(2, 4, 7, 7)]
    expected = plain(features)
    scores, rep = head.forward_with_representation(features)
    assert torch.equal(scores, expected) and torch.equal(head(features), expected)
    assert rep.shape == (2, 5, 7, 7) and head.rep_channels == 5
    # the projector sees the classifier's own input
    assert torch.equal(rep, head.projector(head._forward_feature(features)))


def test_nothing_is_kept_after_a_forward():
    head = contrastive()
    features = [torch.randn(2, 4, 7, 7)]
    head(features)
    head.forward_with_representation(features)
    copy.deepcopy(head)  # a kept feature with a graph cannot be copied
    assert not any(isinstance(value, torch.Tensor) for value in vars(head).values())
    assert head._seen is None


def test_one_class_for_each_head():
    kind = MODELS.get('FCNHead')
    assert contrastive_head_class(kind) is contrastive_head_class(kind)
    assert contrastive_head_class(kind).__name__ == 'ContrastiveFCNHead'


def test_unknown_head():
    with pytest.raises(KeyError, match="decode head 'NoHead' is not in the registry"):
        contrastive(type='NoHead')


@pytest.mark.parametrize('levels', [1, 2])
def test_head_without_a_classifier_of_its_own(levels):
    """The projector reads what the head reads, several levels at the first's size."""

    class NoClassifier(BaseDecodeHead):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            del self.conv_seg

        def forward(self, inputs):
            return inputs[0][:, :3]

    head = dict(type=NoClassifier, in_channels=4, channels=6, num_classes=3)
    if levels == 2:
        head |= dict(input_transform='multiple_select')
        head |= dict(in_channels=[4, 2], in_index=[0, 1])
    head = MODELS.build(dict(type='ContrastiveHead', head=head, rep_channels=5))
    features = [torch.randn(2, 4, 8, 8), torch.randn(2, 2, 4, 4)]
    read = features[0]
    if levels == 2:
        low = nn.functional.interpolate(features[1], (8, 8), mode='bilinear')
        read = torch.cat([read, low], dim=1)
    else:
        features.reverse()
        features.append(read)
    scores, rep = head.eval().forward_with_representation(features)
    assert torch.equal(scores, features[0][:, :3])
    torch.testing.assert_close(rep, head.projector(read))


def test_head_with_two_outputs():
    class Two(MODELS.get('FCNHead')):
        def forward(self, inputs):
            return self.cls_seg(self.convs(inputs[0])), 0

    with pytest.raises(TypeError, match=r'Two called cls_seg.. 1 times and gave a tup'):
        contrastive(type=Two).forward_with_representation([torch.randn(2, 4, 7, 7)])


def test_with_representation_wraps_the_last_head():
    single = with_representation(dict(decode_head=FCN), 9)['decode_head']
    assert single['head'] == FCN and single['rep_channels'] == 9
    cascade = dict(decode_head=[FCN, dict(FCN, channels=8)])
    before = copy.deepcopy(cascade)
    first, last = with_representation(cascade, 9)['decode_head']
    assert first == FCN and last['head'] == dict(FCN, channels=8)
    assert cascade == before
    # PointRend's head gives no map: the one before it does
    points = dict(decode_head=[FCN, dict(type='PointHead')])
    first, last = with_representation(points, 9)['decode_head']
    assert first['head'] == FCN and last == dict(type='PointHead')


@pytest.mark.parametrize(
    'head', [dict(type='ContrastiveHead', head=FCN), dict(type='U2PLHead')]
)
def test_with_representation_leaves_what_has_one(head):
    assert with_representation(dict(decode_head=head), 9)['decode_head'] == head


class Cascade(nn.Module):
    """The parts of mmseg's CascadeEncoderDecoder that are read."""

    def __init__(self):
        super().__init__()

        class Second(MODELS.get('FCNHead')):
            def forward(self, inputs, previous):
                return super().forward(inputs) + previous

        self.decode_head = nn.ModuleList([MODELS.build(FCN), contrastive(type=Second)])

    def extract_feat(self, images):
        return [images]


def test_cascade_passes_scores_on():
    model, images = Cascade().eval(), torch.randn(2, 4, 7, 7)
    features, scores, rep = represent(model, images)
    first, second = model.decode_head
    assert features == [images] and rep.shape == (2, 5, 7, 7)
    assert torch.equal(scores[0], first(images[None]))
    assert torch.equal(scores[1], second([images], scores[0]))
