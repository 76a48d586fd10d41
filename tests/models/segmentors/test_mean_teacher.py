"""Mean Teacher's loss against its definition."""

import math

import pytest
import torch
from torch.nn.functional import interpolate

from mmsemi.models.segmentors import mean_teacher
from mmsemi.registry import MODELS


def run(model, batch):
    losses = model(*batch, mode='loss')
    total, _ = model.parse_losses(losses)
    return losses, total


@pytest.mark.parametrize('consistency', ['cross_entropy', 'mse'])
@pytest.mark.parametrize('cutmix', [False, True])
def test_loss_keys_and_backward(consistency, cutmix, make_method, make_batch):
    model = make_method('MeanTeacher', consistency=consistency, cutmix=cutmix)
    losses, total = run(model, make_batch())
    assert set(losses) == {
        'sup.decode.loss_ce',
        'sup.decode.acc_seg',
        'loss_unsup',
        'confidence',
    }
    torch.testing.assert_close(
        total, losses['sup.decode.loss_ce'] + losses['loss_unsup']
    )
    total.backward()
    for name, parameter in model.student.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    assert all(p.grad is None for p in model.teacher.parameters())


def predict(network, images):
    """Class distributions at the images' size."""
    with torch.no_grad():
        scores = network(images, mode='tensor').double()
    return interpolate(scores, (33, 33), mode='bilinear').softmax(1)


def pasted(x, mask):
    """x (2, ..., H, W): own pixels where the mask is True, else the other's."""
    return torch.stack([torch.where(mask[i, 0], x[i], x[1 - i]) for i in range(2)])


@pytest.mark.parametrize('consistency', ['cross_entropy', 'mse'])
@pytest.mark.parametrize('cutmix', [False, True])
def test_matches_reference(consistency, cutmix, make_method, make_batch, monkeypatch):
    mask = torch.ones(2, 1, 33, 33, dtype=torch.bool)
    if cutmix:
        mask[0, 0, 4:20, 12:33] = mask[1, 0, 10:28, 2:18] = False
    monkeypatch.setattr(mean_teacher, 'cutmix_mask', lambda *args, **kwargs: mask)
    model = make_method(
        'MeanTeacher',
        sharp=100,
        unsup_weight=0.7,
        consistency=consistency,
        cutmix=cutmix,
    )
    for parameter in model.teacher.parameters():
        parameter.data.mul_(1.1)
    inputs, samples = make_batch()
    teacher = pasted(predict(model.teacher, inputs['unsup_teacher']), mask)
    student = predict(model.student, pasted(inputs['unsup_student'], mask))
    # the last 3 and 7 columns of the images are padding
    real = torch.ones(2, 33, 33, dtype=torch.bool)
    real[0, :, 30:] = real[1, :, 26:] = False
    real = pasted(real, mask)
    losses, _ = run(model, (inputs, samples))
    total = confidence = 0.0
    for i, y, x in real.nonzero().tolist():
        p, q = student[i, :, y, x], teacher[i, :, y, x]
        if consistency == 'mse':
            total += float(((p - q) ** 2).mean())
        else:
            total -= float((q * p.log()).sum())
        confidence += float(q.max())
    count = float(real.sum())
    assert losses['loss_unsup'].item() == pytest.approx(0.7 * total / count, rel=1e-4)
    assert losses['confidence'].item() == pytest.approx(confidence / count)


def test_perfect_agreement_gives_zero(make_method, make_batch):
    model = make_method('MeanTeacher', sharp=100, consistency='mse')
    inputs, samples = make_batch()
    inputs['unsup_student'] = inputs['unsup_teacher']
    model.student.eval()
    losses, _ = run(model, (inputs, samples))
    assert losses['loss_unsup'].item() == 0


def test_rampup(make_method, make_batch):
    full = make_method('MeanTeacher', consistency='mse', sharp=100)
    slow = make_method('MeanTeacher', consistency='mse', sharp=100, rampup_iters=20)
    batch = make_batch()
    batch[0]['unsup_student'] *= 2
    whole, part = (run(model, batch)[0]['loss_unsup'] for model in (full, slow))
    # set_iter(5, 10): a quarter of the way
    torch.testing.assert_close(part, whole * math.exp(-5 * 0.75**2))
    slow.set_iter(20, 40)
    slow.load_state_dict(full.state_dict())
    torch.testing.assert_close(
        run(slow, batch)[0]['loss_unsup'], run(full, batch)[0]['loss_unsup']
    )


def test_rampup_needs_the_time(tiny_segmentor):
    cfg = dict(type='MeanTeacher', segmentor=tiny_segmentor, rampup_iters=20)
    with pytest.raises(RuntimeError, match='SetIterHook'):
        MODELS.build(cfg).train_step({}, None)


def test_state_dict_round_trip(make_method, make_batch):
    model = make_method('MeanTeacher')
    model.teacher.decode_head.conv_seg.bias.data.fill_(3)
    run(model, make_batch())
    other = make_method('MeanTeacher')
    expected = model.state_dict()
    other.load_state_dict(expected)
    for key, value in other.state_dict().items():
        assert torch.equal(value, expected[key]), key


def test_unknown_consistency(make_method):
    with pytest.raises(ValueError, match="consistency='kl'"):
        make_method('MeanTeacher', consistency='kl')
