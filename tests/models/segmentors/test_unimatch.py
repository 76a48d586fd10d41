"""UniMatch's page against loops written from the paper."""

import copy

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from torch.nn.functional import interpolate

from mmsemi.models.segmentors import unimatch
from mmsemi.registry import MODELS

SIZE, THRESHOLD = 33, 0.6
TERMS = ('sup.decode.loss_ce', 'loss_features', 'loss_images')


@pytest.fixture
def build(tiny_segmentor):
    """Return a function that builds UniMatch with predictions that vary."""

    def make(**kwargs):
        torch.manual_seed(0)
        settings = dict(segmentor=tiny_segmentor, threshold=THRESHOLD) | kwargs
        model = MODELS.build(ConfigDict(type='UniMatch', **settings))
        model.init_weights()
        model.student.decode_head.conv_seg.weight.data.mul_(100)
        return model.train()

    return make


@pytest.fixture
def views(make_batch):
    """Return a batch with a second strong view."""
    inputs, samples = make_batch()
    other, _ = make_batch(seed=1)
    inputs['unsup_student2'] = other['unsup_student']
    samples['unsup_student2'] = samples['unsup_student']
    return inputs, samples


def softmax(x):
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def probabilities(scores):
    scores = scores.detach().double()
    size = (SIZE, SIZE)
    return softmax(
        interpolate(scores, size, mode='bilinear', align_corners=False).numpy()
    )


def mixed(x, mask):
    """x (2, ..., H, W): own pixels where the mask is True, else the other's."""
    return np.stack([np.where(mask[i, 0], x[i], x[1 - i]) for i in range(2)])


def drop(feature, ratio):
    """Drop channels by the draws that the page makes."""
    draws = torch.rand(feature.shape[:2])
    out = feature.clone()
    for i, c in np.ndindex(feature.shape[:2]):
        out[i, c] = 0 if draws[i, c] < ratio else feature[i, c] / (1 - ratio)
    return out


def confident_loss(prob, label, confidence, valid):
    """Sum of -log p over the confident real pixels, over the real pixels."""
    total = 0.0
    for b, y, x in np.ndindex(2, SIZE, SIZE):
        if valid[b, y, x] and confidence[b, y, x] >= THRESHOLD:
            total -= np.log(prob[b, label[b, y, x], y, x])
    return total / valid.sum()


def reference(model, inputs, samples, masks, seed, case):
    """Return the terms of the loss, pixel by pixel."""
    net = model.student
    with torch.no_grad():
        features = net.extract_feat(torch.cat([inputs['sup'], inputs['unsup_teacher']]))
        torch.manual_seed(seed)
        perturbed = [drop(level[2:], case['feature_dropout']) for level in features]
        # the decoder's batch statistics are those of clean and perturbed features
        both = [torch.cat(pair) for pair in zip(features, perturbed, strict=True)]
        prob = probabilities(net.decode_head(both))
        strong = [
            torch.from_numpy(mixed(inputs[name].numpy(), mask))
            for name, mask in zip(
                ('unsup_student', 'unsup_student2'), masks, strict=True
            )
        ]
        prob_s = probabilities(net.decode_head(net.extract_feat(torch.cat(strong))))
    weak, prob_fp = prob[2:4], prob[4:]
    label, confidence = weak.argmax(1), weak.max(1)
    valid = np.stack([s.valid.data[0].numpy() for s in samples['unsup_teacher']])
    loss_s = [
        confident_loss(part, *(mixed(x, mask) for x in (label, confidence, valid)))
        for part, mask in zip((prob_s[:2], prob_s[2:]), masks, strict=True)
    ]
    truth = np.stack([s.gt_sem_seg.data[0].numpy() for s in samples['sup']])
    sup = [
        -np.log(prob[b, truth[b, y, x], y, x])
        for b, y, x in np.ndindex(truth.shape)
        if truth[b, y, x] != 255
    ]
    fp = confident_loss(prob_fp, label, confidence, valid)
    return {
        'sup.decode.loss_ce': np.mean(sup) / 2,
        'loss_features': case['feature_weight'] * fp / 2,
        'loss_images': case['image_weight'] / 2 * sum(loss_s) / 2,
        'confident_ratio': ((confidence >= THRESHOLD) & valid).sum() / valid.sum(),
    }


@pytest.mark.parametrize(
    'case',
    [
        dict(feature_weight=0.5, image_weight=0.5, feature_dropout=0.5),
        dict(feature_weight=0.8, image_weight=0.3, feature_dropout=0.2),
    ],
)
def test_matches_the_paper(build, views, monkeypatch, case):
    masks = torch.ones(2, 2, 1, SIZE, SIZE, dtype=torch.bool)
    masks[0, 0, 0, 4:20, 12:33] = masks[0, 1, 0, 10:28, 2:18] = False
    masks[1, 0, 0, 15:, :9] = False
    drawn = iter(masks)
    monkeypatch.setattr(unimatch, 'random_box_mask', lambda *a, **k: next(drawn))
    model = build(**case)
    expected = reference(copy.deepcopy(model), *views, masks.numpy(), seed=3, case=case)
    assert 0.1 < expected['confident_ratio'] < 0.9
    assert all(expected[name] > 0 for name in TERMS)
    torch.manual_seed(3)
    losses = model(*views, mode='loss')
    got = {name: losses[name].item() for name in expected}
    assert got == pytest.approx(expected, rel=1e-4)
    total, _ = model.parse_losses(losses)
    assert total.item() == pytest.approx(sum(expected[k] for k in TERMS), rel=1e-4)


def test_defaults_are_the_papers(build):
    model = build(threshold=0.95)
    assert (model.feature_weight, model.image_weight) == (0.5, 0.5)
    assert (model.feature_dropout, model.cutmix_prob) == (0.5, 0.5)


def test_every_parameter_learns(build, views):
    model = build()
    total, _ = model.parse_losses(model(*views, mode='loss'))
    total.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


def test_perturbed_features_teach_the_backbone(build, views):
    """Their gradient reaches the weak image; that of the labels does not."""
    inputs, samples = views
    inputs['unsup_teacher'].requires_grad_()
    losses = build()(inputs, samples, mode='loss')
    losses['loss_features'].backward(retain_graph=True)
    assert inputs['unsup_teacher'].grad.abs().sum() > 0
    inputs['unsup_teacher'].grad = None
    losses['loss_images'].backward()
    assert inputs['unsup_teacher'].grad is None


def test_the_views_have_masks_of_their_own(build, views, monkeypatch):
    drawn = []
    draw = unimatch.random_box_mask

    def spy(*args, **kwargs):
        drawn.append(draw(*args, **kwargs))
        return drawn[-1]

    monkeypatch.setattr(unimatch, 'random_box_mask', spy)
    torch.manual_seed(0)
    build(cutmix_prob=1.0)(*views, mode='loss')
    assert len(drawn) == 2 and not torch.equal(*drawn)


def test_nothing_perturbed_nothing_differs(build, views):
    """Without dropout the perturbed features are the clean ones."""
    inputs, samples = views
    model = build(feature_dropout=0.0, cutmix_prob=0.0, threshold=0.0).eval()
    for name in ('unsup_student', 'unsup_student2'):
        inputs[name] = inputs['unsup_teacher']
    losses = model(inputs, samples, mode='loss')
    torch.testing.assert_close(losses['loss_features'], losses['loss_images'])


def test_cascade(build, views, tiny_segmentor):
    """The last head of a cascade labels; each has its supervised loss."""
    head = tiny_segmentor['decode_head']
    first = dict(
        type='FCNHead',
        in_channels=32,
        in_index=2,
        channels=8,
        num_convs=1,
        num_classes=4,
        norm_cfg=dict(type='BN'),
        loss_decode=dict(type='CrossEntropyLoss', loss_weight=0.4),
    )
    last = dict(type='OCRHead', in_channels=64, in_index=3, channels=8, ocr_channels=4)
    last |= dict(num_classes=4, norm_cfg=head['norm_cfg'])
    last |= dict(loss_decode=dict(type='CrossEntropyLoss'))
    tiny_segmentor |= dict(type='CascadeEncoderDecoder', num_stages=2)
    tiny_segmentor['decode_head'] = [first, last]
    torch.manual_seed(0)
    model = MODELS.build(ConfigDict(type='UniMatch', segmentor=tiny_segmentor))
    losses = model(*views, mode='loss')
    names = {name for name in losses if 'loss' in name}
    assert names == {
        'sup.decode_0.loss_ce',
        'sup.decode_1.loss_ce',
        'loss_features',
        'loss_images',
    }
    model.parse_losses(losses)[0].backward()


def test_without_the_second_strong_view(build, make_batch):
    with pytest.raises(ValueError, match=r"no \['unsup_student2'\]"):
        build()(*make_batch(), mode='loss')


@pytest.mark.parametrize(
    'wrong',
    [
        dict(threshold=-0.1),
        dict(feature_weight=-1),
        dict(image_weight=-1),
        dict(feature_dropout=1.0),
        dict(cutmix_prob=2),
    ],
)
def test_errors(build, wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=name):
        build(**wrong)
