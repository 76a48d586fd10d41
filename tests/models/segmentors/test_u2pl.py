"""U2PL: gradients in every case, warm-up, mixing, state and messages."""

import copy

import numpy as np
import pytest
import torch

from mmsemi.models.utils import mixing
from mmsemi.registry import MODELS

SIZE, CLASSES = 29, 5
TERMS = ('sup.decode.loss_ce', 'loss_unsup', 'loss_contrast')


@pytest.mark.parametrize('mix', ['cutmix', 'classmix', 'cutout', None])
@pytest.mark.parametrize('teacher_passes', [1, 2])
def test_loss_keys_and_backward(mix, teacher_passes, u2pl, batch):
    model = u2pl(mix=mix, teacher_passes=teacher_passes)
    losses = model(*batch, mode='loss')
    diagnostics = {'entropy_threshold', 'reliable_ratio', 'contrast_classes'}
    assert set(losses) == {*TERMS, *diagnostics, 'sup.decode.acc_seg'}
    total, _ = model.parse_losses(losses)
    torch.testing.assert_close(total, sum(losses[name] for name in TERMS))
    assert losses['contrast_classes'] > 1
    total.backward()
    check_gradients(model)


def check_gradients(model):
    for name, parameter in model.student.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    assert all(p.grad is None for p in model.teacher.parameters())


@pytest.mark.parametrize('case', ['no anchor', 'no reliable pixel', 'warm-up', 'void'])
def test_every_parameter_has_a_gradient(case, u2pl, batch):
    model = u2pl(anchor_threshold=1.0 if case == 'no anchor' else 0.3)
    if case == 'no reliable pixel':
        # equal scores: a constant entropy, of which nothing is below its percentile
        model.teacher.decode_head.conv_seg.weight.data.zero_()
        model.teacher.decode_head.conv_seg.bias.data.zero_()
    if case == 'void':
        for sample in batch[1]['unsup_teacher']:
            sample.valid.data.fill_(False)
        for sample in batch[1]['sup']:
            sample.gt_sem_seg.data.fill_(255)
    if case == 'warm-up':
        model.warmup_iters = 6
        model.set_iter(5, 10)
    losses = model(*batch, mode='loss')
    assert losses['loss_contrast'] == 0
    if case in ('no reliable pixel', 'void'):
        assert losses['loss_unsup'] == 0 and losses['reliable_ratio'] == 0
    total, _ = model.parse_losses(losses)
    assert total.isfinite()
    total.backward()
    check_gradients(model)


def test_warmup_sees_no_unlabelled_image(u2pl, batch):
    model = u2pl(warmup_iters=6)
    batch[0]['unsup_teacher'].fill_(torch.nan)
    batch[0]['unsup_student'].fill_(torch.nan)
    losses = model(*batch, mode='loss')
    assert set(losses) == {'sup.decode.loss_ce', 'sup.decode.acc_seg', 'loss_contrast'}
    assert all(value.isfinite().all() for value in losses.values())
    assert model.memory_bank.count.sum() == 0
    model.set_iter(6, 10)
    assert 'loss_unsup' in model(*batch, mode='loss')


def test_one_pass_leaves_the_teacher_alone(u2pl, batch):
    model = u2pl()
    before = copy.deepcopy(model.teacher.state_dict())
    model(*batch, mode='loss')
    after = model.teacher.state_dict()
    assert all(torch.equal(after[key], before[key]) for key in before)


def test_without_a_student_view_the_teachers_serves(u2pl, batch):
    inputs, samples = batch
    inputs['unsup_student'] = inputs['unsup_teacher']
    model, found = u2pl(), []
    for _ in range(2):
        torch.manual_seed(1)
        found.append(copy.deepcopy(model)(inputs, samples, mode='loss'))
        inputs.pop('unsup_student', None)
    torch.testing.assert_close(found[0], found[1])


def test_mixing_is_drawn_with_its_probability(u2pl, batch, monkeypatch):
    model = u2pl(mix_prob=0.3)
    label = torch.zeros(2, SIZE, SIZE, dtype=torch.long)
    torch.manual_seed(0)
    drawn = sum(model._draw_mask(label) is not None for _ in range(400))
    assert 90 < drawn < 150  # 120 expected, standard deviation 9
    model.mix_prob, model.mix = 1.0, 'classmix'
    monkeypatch.setattr(mixing, 'classmix_mask', lambda label: 'classes')
    assert model._draw_mask(label) == 'classes'
    model.mix = None
    assert model._draw_mask(label) is None


def test_cutout(u2pl, batch, monkeypatch):
    """The hole has no image and no label; all else stays."""
    model = u2pl(mix='cutout')
    keep = torch.ones(2, 1, SIZE, SIZE, dtype=torch.bool)
    keep[0, 0, 4:12, 5:25] = keep[1, 0, 10:28, 2:18] = False
    monkeypatch.setattr(model, '_draw_mask', lambda label: keep)
    inputs, samples = batch
    valid = torch.stack([s.valid.data[0] for s in samples['unsup_teacher']])
    weak, strong = inputs['unsup_teacher'], inputs['unsup_student']
    seen, label, *_ = model._ask_teacher(inputs['sup'], weak, strong, valid)
    model.mix = None
    monkeypatch.setattr(model, '_draw_mask', lambda label: None)
    _, whole, *_ = model._ask_teacher(inputs['sup'], weak, strong, valid)
    for b, y, x in np.ndindex(2, SIZE, SIZE):
        if keep[b, 0, y, x]:
            assert torch.equal(seen[b, :, y, x], strong[b, :, y, x])
            assert label[b, y, x] == whole[b, y, x]
        else:
            assert (seen[b, :, y, x] == 0).all() and label[b, y, x] == 255


def test_keys_are_capped(u2pl, batch):
    model = u2pl(max_keys=3)
    model(*batch, mode='loss')
    assert model.memory_bank.count.max() == 3


def test_initial_weights_of_both_networks(tiny_segmentor):
    model = MODELS.build(dict(type='U2PL', segmentor=tiny_segmentor))
    with torch.no_grad():
        for parameter in model.teacher.parameters():
            parameter.fill_(7)
    model.init_weights()
    teacher = model.teacher.state_dict()
    for key, value in model.student.state_dict().items():
        assert torch.equal(value, teacher[key]), key


def test_state_dict_round_trip_with_bank(u2pl, batch):
    model = u2pl()
    model(*batch, mode='loss')
    assert model.memory_bank.count.sum() > 0
    other = u2pl()
    expected = model.state_dict()
    other.load_state_dict(copy.deepcopy(expected))
    for key, value in other.state_dict().items():
        assert torch.equal(value, expected[key]), key
    for c in range(CLASSES):
        assert torch.equal(other.memory_bank.rows(c), model.memory_bank.rows(c))


def test_auxiliary_head_sees_labelled_images_only(u2pl, batch, tiny_segmentor):
    tiny_segmentor['auxiliary_head'] = dict(
        type='FCNHead',
        in_channels=32,
        in_index=2,
        channels=8,
        num_convs=1,
        num_classes=CLASSES,
        norm_cfg=dict(type='BN'),
        loss_decode=dict(type='CrossEntropyLoss', loss_weight=0.4, avg_non_ignore=True),
    )
    model = u2pl(segmentor=tiny_segmentor)
    seen = []
    head = model.student.auxiliary_head
    forward = head.forward
    head.forward = lambda features: seen.append(len(features[2])) or forward(features)
    losses = model(*batch, mode='loss')
    total, _ = model.parse_losses(losses)
    total.backward()
    check_gradients(model)
    assert seen == [2]
    torch.testing.assert_close(
        total, sum(losses[name] for name in (*TERMS, 'sup.aux.loss_ce'))
    )


def test_cascade(u2pl, batch, tiny_segmentor):
    norm_cfg = tiny_segmentor['decode_head']['norm_cfg']
    common = dict(
        in_channels=64, in_index=3, channels=8, num_classes=CLASSES, norm_cfg=norm_cfg
    )
    tiny_segmentor.update(
        type='CascadeEncoderDecoder',
        num_stages=2,
        decode_head=[
            dict(type='FCNHead', num_convs=1, **common),
            dict(type='OCRHead', ocr_channels=8, **common),
        ],
    )
    model = MODELS.build(dict(type='U2PL', segmentor=tiny_segmentor)).train()
    model.set_iter(1, 10)
    losses = model(*batch, mode='loss')
    assert {'sup.decode_0.loss_ce', 'sup.decode_1.loss_ce'} < set(losses)
    model.parse_losses(losses)[0].backward()
    check_gradients(model)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(low_rank=5), 'low_rank=5 must be .* below the 5 classes'),
        (dict(low_rank=3, high_rank=3), 'below high_rank=3'),
        (dict(low_rank=0), 'low_rank=0 must be at least 1'),
        (dict(low_rank=3, high_rank=2), 'below high_rank=2 .* use low_rank=1'),
        (dict(low_rank=1, high_rank=1), 'use a larger high_rank'),
        (dict(num_anchors=0), 'num_anchors=0 must be at least 1'),
        (dict(num_negatives=0), 'num_negatives=0 must be at least 1'),
        (dict(max_keys=0), 'max_keys=0 must be at least 1'),
        (dict(temperature=0), 'temperature=0 must be above 0'),
        (dict(unsup_weight=-1), 'unsup_weight=-1 must be at least 0'),
        (dict(warmup_iters=-1), 'warmup_iters=-1: give a whole number of steps'),
        (dict(mix_prob=1.5), r'mix_prob=1.5 must be in .0, 1.'),
        (dict(anchor_threshold=1.5), r'anchor_threshold=1.5 must be in .0, 1.'),
        (dict(mix='mixup'), "mix='mixup'"),
        (dict(teacher_passes=3), 'teacher_passes=3'),
        (dict(unreliable_percent=120), 'unreliable_percent=120'),
        (dict(bank_size=[10, 10]), 'bank_size lists 2 numbers for 5 classes'),
    ],
)
def test_bad_values(change, message, u2pl):
    with pytest.raises(ValueError, match=message):
        u2pl(**change)


def test_without_set_iter_hook(tiny_segmentor):
    model = MODELS.build(dict(type='U2PL', segmentor=tiny_segmentor))
    with pytest.raises(RuntimeError, match='SetIterHook'):
        model.train_step({}, None)
