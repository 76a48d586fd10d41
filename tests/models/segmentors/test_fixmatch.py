"""FixMatch's page against loops written from the paper."""

import copy

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from torch.nn.functional import interpolate

from mmsemi.models.segmentors import fixmatch
from mmsemi.registry import MODELS

SIZE, CLASSES, THRESHOLD = 33, 4, 0.6


def auxiliary():
    return dict(
        type='FCNHead',
        in_channels=32,
        in_index=2,
        channels=8,
        num_convs=1,
        dropout_ratio=0,
        num_classes=CLASSES,
        norm_cfg=dict(type='BN'),
        align_corners=False,
        loss_decode=dict(type='CrossEntropyLoss', loss_weight=0.4, avg_non_ignore=True),
    )


@pytest.fixture
def build(tiny_segmentor):
    """Return a function that builds FixMatch with predictions that vary."""

    def make(**kwargs):
        torch.manual_seed(0)
        segmentor = dict(tiny_segmentor, auxiliary_head=auxiliary())
        settings = dict(segmentor=segmentor, threshold=THRESHOLD) | kwargs
        model = MODELS.build(ConfigDict(type='FixMatch', **settings))
        model.init_weights()
        model.student.decode_head.conv_seg.weight.data.mul_(100)
        return model.train()

    return make


def draw(mask):
    return lambda *args, **kwargs: mask


def some_boxes():
    mask = torch.ones(2, 1, SIZE, SIZE, dtype=torch.bool)
    mask[0, 0, 4:20, 12:33] = mask[1, 0, 10:28, 2:18] = False
    return mask


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


def supervised(prob, samples):
    """Mean of -log p of the label over the pixels that have one."""
    truth = np.stack([sample.gt_sem_seg.data[0].numpy() for sample in samples])
    values = [
        -np.log(prob[b, truth[b, y, x], y, x])
        for b, y, x in np.ndindex(truth.shape)
        if truth[b, y, x] != 255
    ]
    return np.mean(values)


def reference(model, inputs, samples, mask, threshold):
    """Return the terms of the loss, pixel by pixel."""
    net = model.student
    # batch statistics depend on which images go through together, and in which order
    features = net.extract_feat(torch.cat([inputs['sup'], inputs['unsup_teacher']]))
    prob = probabilities(net.decode_head(features))
    aux = probabilities(net.auxiliary_head([f[:2] for f in features]))
    strong = torch.from_numpy(mixed(inputs['unsup_student'].numpy(), mask))
    prob_s = probabilities(net.decode_head(net.extract_feat(strong)))

    weak = prob[2:]
    label, confidence = mixed(weak.argmax(1), mask), mixed(weak.max(1), mask)
    valid = np.stack([s.valid.data[0].numpy() for s in samples['unsup_teacher']])
    valid = mixed(valid, mask)
    total = kept = 0
    for b, y, x in np.ndindex(2, SIZE, SIZE):
        if valid[b, y, x] and confidence[b, y, x] >= threshold:
            total -= np.log(prob_s[b, label[b, y, x], y, x])
            kept += 1
    return {
        'sup.decode.loss_ce': supervised(prob[:2], samples['sup']) / 2,
        'sup.aux.loss_ce': 0.4 * supervised(aux, samples['sup']) / 2,
        'loss_unsup': total / valid.sum() / 2,
        'confident_ratio': kept / valid.sum(),
    }


@pytest.mark.parametrize('threshold', [THRESHOLD, 0.0])
def test_matches_the_paper(build, make_batch, monkeypatch, threshold):
    batch, mask = make_batch(), some_boxes()
    monkeypatch.setattr(fixmatch, 'random_box_mask', draw(mask))
    model = build(threshold=threshold)
    expected = reference(copy.deepcopy(model), *batch, mask.numpy(), threshold)
    # the case is no empty one
    assert threshold == 0 or 0.1 < expected['confident_ratio'] < 0.9
    losses = model(*batch, mode='loss')
    got = {name: losses[name].item() for name in expected}
    assert got == pytest.approx(expected, rel=1e-4)
    total, _ = model.parse_losses(losses)
    terms = [value for name, value in expected.items() if 'loss' in name]
    assert total.item() == pytest.approx(sum(terms), rel=1e-4)


def test_every_parameter_learns(build, make_batch):
    model = build()
    total, _ = model.parse_losses(model(*make_batch(), mode='loss'))
    total.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


def test_labels_have_no_gradient(build, make_batch):
    """With the supervised part taken away, the weak view is a constant."""
    model = build(cutmix_prob=0)
    inputs, samples = make_batch()
    inputs['unsup_teacher'].requires_grad_()
    inputs['unsup_student'].requires_grad_()
    model(inputs, samples, mode='loss')['loss_unsup'].backward()
    assert inputs['unsup_teacher'].grad is None
    assert inputs['unsup_student'].grad.abs().sum() > 0


def test_unsup_weight(build, make_batch):
    batch = make_batch()
    one, half = (
        build(unsup_weight=w, cutmix_prob=0)(*batch, mode='loss') for w in (1, 0.5)
    )
    torch.testing.assert_close(half['loss_unsup'], one['loss_unsup'] / 2)


def test_cutmix_draws_from_the_seed(build, make_batch):
    """The masks come from torch's generator: what seeds a step decides them."""
    batch, losses = make_batch(), []
    for seed, prob in ((0, 1.0), (0, 1.0), (1, 1.0), (0, 0.0), (1, 0.0)):
        model = build(cutmix_prob=prob)
        torch.manual_seed(seed)
        losses.append(model(*batch, mode='loss')['loss_unsup'].item())
    assert losses[0] == losses[1] != losses[2]
    assert losses[3] == losses[4] != losses[0]


def test_only_padding(build, make_batch):
    """A batch without a real pixel is finite."""
    inputs, samples = make_batch()
    for sample in samples['unsup_teacher']:
        sample.valid.data.fill_(False)
    losses = build()(inputs, samples, mode='loss')
    assert losses['loss_unsup'] == 0 and losses['confident_ratio'] == 0


def test_one_network(build, tiny_segmentor):
    model = build()
    assert list(model.networks()) == ['student'] and model.predict_on == 'student'
    # a plain checkpoint loads into it
    plain = MODELS.build(ConfigDict(tiny_segmentor)).state_dict()
    missing, unexpected = model.load_state_dict(plain, strict=False)
    assert unexpected == [] and {key.split('.')[1] for key in missing} == {
        'auxiliary_head'
    }
    with pytest.raises(ValueError, match="predict_on='teacher'"):
        build(predict_on='teacher')


def test_without_the_strong_view(build, make_batch):
    inputs, samples = make_batch()
    del inputs['unsup_student']
    with pytest.raises(ValueError, match=r"no \['unsup_student'\]"):
        build()(inputs, samples, mode='loss')


@pytest.mark.parametrize(
    'wrong', [dict(threshold=1.5), dict(unsup_weight=-1), dict(cutmix_prob=2)]
)
def test_errors(build, wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=name):
        build(**wrong)


def test_bfloat16(build, make_batch):
    """Under autocast the terms are float32 and near those of full precision."""
    batch = make_batch()
    exact = build(threshold=0.0, cutmix_prob=0)(*batch, mode='loss')
    with torch.autocast('cpu', torch.bfloat16):
        rough = build(threshold=0.0, cutmix_prob=0)(*batch, mode='loss')
    assert rough['loss_unsup'].dtype == torch.float32
    torch.testing.assert_close(
        rough['loss_unsup'], exact['loss_unsup'], rtol=0.2, atol=0.02
    )
