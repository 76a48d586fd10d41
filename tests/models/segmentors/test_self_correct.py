"""SelfCorrect: each mode's loss by hand, what is frozen, and its messages."""

import contextlib
import copy
import math

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData, PixelData
from mmseg.structures import SegDataSample

from mmsemi.registry import MODELS

SIZE, CLASSES = 33, 4
BOXES = [[0, 0, 20, 25], [8, 9, 15, 16], [-4, 20, 40, 40]]
ANCILLARY_MODES = 'none', 'linear', 'conv'


@pytest.fixture
def configs(tiny_segmentor) -> dict:
    """Return both models' configs; the ancillary's scores are of another size."""
    ancillary = copy.deepcopy(tiny_segmentor)
    ancillary['type'] = 'BoxConditionedSegmentor'
    ancillary['decode_head'] |= dict(type='BoxConditionedHead', num_box_classes=3)
    ancillary['backbone'] |= dict(strides=(2, 1, 2, 1))
    return dict(segmentor=tiny_segmentor, ancillary=ancillary)


@pytest.fixture
def build(configs):
    """Return a function that builds the method, its ancillary model sharp."""

    def make(mode='linear', **kwargs):
        torch.manual_seed(0)
        given = dict(ancillary=None) if mode == 'em-fixed' else {}
        cfg = configs | dict(type='SelfCorrect', mode=mode, hidden=6) | given | kwargs
        model = MODELS.build(ConfigDict(copy.deepcopy(cfg)))
        model.init_weights()
        model.primary.decode_head.conv_seg.weight.data.mul_(100)
        if model.ancillary is not None:
            model.ancillary.decode_head.conv_seg.weight.data.normal_(0, 5)
        model.set_iter(3, 10)
        return model.train()

    return make


@pytest.fixture
def batch():
    """Return 2 images with masks and boxes, and 2 with boxes and padding."""
    torch.manual_seed(1)
    inputs = {name: torch.randn(2, 3, SIZE, SIZE) for name in ('sup', 'weak')}
    samples = {name: [] for name in inputs}
    for name, listed in samples.items():
        for index in range(2):
            boxes = torch.tensor(BOXES[: 3 - index]).float().clamp(0, SIZE)
            sides = torch.tensor(BOXES[: 3 - index]).float()
            sample = SegDataSample(metainfo=dict(box_classes=('a', 'b', 'c')))
            sample.gt_instances = InstanceData(
                bboxes=boxes,
                labels=torch.tensor([1, 3, 2])[: 3 - index],
                areas=(sides[:, 2:] - sides[:, :2]).prod(1),
            )
            valid = torch.ones(1, SIZE, SIZE, dtype=torch.bool)
            if name == 'weak':
                valid[:, :, 28:] = False
            else:
                label = torch.randint(0, CLASSES, (1, SIZE, SIZE))
                label[:, :3] = 255
                sample.gt_sem_seg = PixelData(data=label)
            sample.valid = PixelData(data=valid)
            listed.append(sample)
    return inputs, samples


def resize(scores, size=(SIZE, SIZE)):
    return F.interpolate(scores, size, mode='bilinear', align_corners=False)


def weak_loss(logits, target):
    """Cross entropy over the pixels that are no padding, one column at a time."""
    logits, target = logits[..., :28], target[..., :28]
    terms = target * (logits - logits.exp().sum(1, keepdim=True).log())
    return -terms.sum(1).mean()


def expected_losses(model, batch):
    """Compute the losses of a copy: plain sums of their definitions."""
    model = copy.deepcopy(model)
    inputs, samples = batch
    scores = model.primary(torch.cat([inputs['sup'], inputs['weak']]))
    sup, logits = resize(scores[:2]), resize(scores[2:])
    label = torch.cat([sample.gt_sem_seg.data for sample in samples['sup']])
    losses = {'sup.decode.loss_ce': F.cross_entropy(sup, label, ignore_index=255)}
    if model.ancillary is not None:
        anc = {k: model.ancillary(inputs[k], samples[k]) for k in inputs}
    if model.mode == 'none':
        q = resize(anc['weak']).softmax(1)
    elif model.mode == 'linear':
        alpha = 30 * (0.5 / 30) ** 0.3
        p, p_anc = logits.softmax(1), resize(anc['weak']).softmax(1)
        q = (p * p_anc**alpha) ** (1 / (1 + alpha))
        q = q / q.sum(1, keepdim=True)
    elif model.mode == 'conv':
        size = scores.shape[2:]
        assert anc['sup'].shape[2:] != size
        layers = model.correction.layers
        joined = torch.cat([scores[2:], resize(anc['weak'], size)], 1)
        q = resize(layers(joined)).softmax(1)
        joined = torch.cat([scores[:2].detach(), resize(anc['sup'], size)], 1)
        losses['loss_correction'] = F.cross_entropy(
            resize(layers(joined)), label, ignore_index=255
        )
    else:
        q = torch.zeros_like(logits)
        raised = logits.detach().clone()
        raised[:, 0] += 5
        for i, sample in enumerate(samples['weak']):
            boxes = list(zip(BOXES, sample.gt_instances.labels, strict=False))
            # large ones first, so that small ones replace them
            rect = torch.zeros(SIZE, SIZE, dtype=torch.long)
            for (x1, y1, x2, y2), number in sorted(
                boxes, key=lambda b: -(b[0][2] - b[0][0]) * (b[0][3] - b[0][1])
            ):
                rect[max(y1, 0) : y2, max(x1, 0) : x2] = number
            for number in (1, 2, 3):
                raised[i, number] += 6 * (rect == number)
        q.scatter_(1, raised.argmax(1, keepdim=True), 1)
    losses['loss_weak'] = weak_loss(logits, q.detach())
    return model, losses


@pytest.mark.parametrize('mode', [*ANCILLARY_MODES, 'em-fixed'])
def test_losses_and_gradients(mode, build, batch):
    model = build(mode)
    copied, expected = expected_losses(model, batch)
    losses = model(*batch, mode='loss')
    assert {key for key in losses if 'loss' in key} == set(expected)
    for key, value in expected.items():
        torch.testing.assert_close(losses[key], value, rtol=1e-4, atol=1e-5, msg=key)
    total, _ = model.parse_losses(losses)
    torch.testing.assert_close(total, sum(expected.values()), rtol=1e-4, atol=1e-5)
    total.backward()
    sum(expected.values()).backward()
    pairs = zip(model.named_parameters(), copied.parameters(), strict=True)
    for (name, parameter), other in pairs:
        if name.startswith('ancillary.'):
            assert parameter.grad is None and not parameter.requires_grad
        else:
            torch.testing.assert_close(
                parameter.grad, other.grad, rtol=1e-3, atol=1e-5, msg=name
            )


def test_labels_are_constants(build, batch):
    """The correction learns from its own loss, and the primary not from that one."""
    model = build('conv')
    model(*batch, mode='loss')['loss_correction'].backward()
    assert all(p.grad is None for p in model.primary.parameters())
    assert all(p.grad.abs().sum() > 0 for p in model.correction.parameters())
    for mode in ANCILLARY_MODES:
        model = build(mode)
        model(*batch, mode='loss')['loss_weak'].backward()
        trained = {
            n.split('.')[0] for n, p in model.named_parameters() if p.grad is not None
        }
        assert trained == {'primary'}


def test_alpha_is_moved_at_each_step(build, batch):
    model = build(alpha_start=8, alpha_end=2)
    assert model.needs_time and not build('none').needs_time
    seen = []
    for i in range(3):
        model.set_iter(i, 4)
        seen.append(model(*batch, mode='loss')['alpha'].item())
    assert seen == pytest.approx([8, 8 / 4**0.25, 4])
    # the first labels are almost the ancillary's, the last ones a compromise
    scores = model.primary(batch[0]['weak']).detach()
    args = scores, batch[0]['weak'], batch[1]['weak']
    ancillary, primary = build('none').correct(*args), resize(scores).softmax(1)
    for i, alpha in ((0, 1e6), (4, 1e-6)):
        model = build(alpha_start=1e6, alpha_end=1e-6)
        model.set_iter(i, 4)
        close = ancillary if alpha > 1 else primary
        torch.testing.assert_close(model.correct(*args), close, rtol=1e-3, atol=1e-4)


def test_padding_does_not_count(build, batch):
    for mode in ('linear', 'em-fixed'):
        # batch norm would see the padding
        model = build(mode).eval()
        before = model(*batch, mode='loss')['loss_weak']
        samples = copy.deepcopy(batch[1])
        for sample in samples['weak']:
            sample.valid.data[:] = False
        assert model(batch[0], samples, mode='loss')['loss_weak'] == 0
        for sample in samples['weak']:
            sample.valid.data[:] = True
        after = model(batch[0], samples, mode='loss')['loss_weak']
        assert not torch.isclose(before, after)


@pytest.mark.parametrize('mode', ANCILLARY_MODES)
def test_confidence_is_the_mean_of_real_pixels(mode, build, batch):
    model = build(mode).eval()
    confidence = model(*batch, mode='loss')['confidence']
    weak, samples = batch[0]['weak'], batch[1]['weak']
    q = model.correct(model.primary(weak), weak, samples)
    assert not torch.isclose(confidence, q.amax(1).mean())
    torch.testing.assert_close(confidence, q.amax(1)[..., :28].mean())


def test_void_masks_are_finite(build, batch):
    for sample in batch[1]['sup']:
        sample.gt_sem_seg.data[:] = 255
    losses = build('conv')(*batch, mode='loss')
    assert losses['loss_correction'] == 0
    assert all(torch.isfinite(value).all() for value in losses.values())


def test_weights_of_the_terms(build, batch):
    plain = build('conv')(*batch, mode='loss')
    model = build('conv', sup_weight=0.7, weak_weight=0.3)
    losses = model(*batch, mode='loss')
    for key, weight in (
        ('sup.decode.loss_ce', 0.7),
        ('loss_weak', 0.3),
        ('loss_correction', 1),
        ('sup.decode.acc_seg', 1),
    ):
        torch.testing.assert_close(losses[key], plain[key] * weight)


def test_second_stage_needs_no_weak_images(build, batch):
    inputs, samples = ({'sup': part['sup']} for part in batch)
    model = build('conv', weak_weight=0)
    losses = model(inputs, samples, mode='loss')
    assert {key for key in losses if 'loss' in key} == {
        'sup.decode.loss_ce',
        'loss_correction',
    }
    third = build('conv')
    report = third.load_state_dict(model.state_dict())
    assert not report.missing_keys and not report.unexpected_keys
    with pytest.raises(ValueError, match=r"the batch has no \['weak'\]"):
        third(inputs, samples, mode='loss')


def test_auxiliary_heads_see_the_labelled_images(build, configs, batch):
    configs['segmentor']['auxiliary_head'] = dict(
        type='FCNHead',
        in_channels=32,
        in_index=2,
        channels=8,
        num_classes=4,
        num_convs=1,
    )
    model = build().eval()
    losses = model(*batch, mode='loss')
    plain = model.primary.loss(batch[0]['sup'], batch[1]['sup'])
    for key, value in plain.items():
        torch.testing.assert_close(losses[f'sup.{key}'], value)


def test_without_a_background(build, configs, batch):
    """Every class has boxes; outside of them the best score counts."""
    model = build('em-fixed', num_box_classes=4, fg_bias=1000.0).eval()
    for listed in batch[1].values():
        for sample in listed:
            sample.set_metainfo(dict(box_classes=('a', 'b', 'c', 'd')))
    logits = resize(model.primary(batch[0]['weak']))
    label = logits.argmax(1)
    for i, sample in enumerate(batch[1]['weak']):
        label[i, 0:25, 0:20] = 1 - 1
        if i == 0:
            keep = label[i, 20:25, :20].clone()
            label[i, 20:33] = 2 - 1
            label[i, 20:25, :20] = keep
        label[i, 9:16, 8:15] = 3 - 1
        sample.valid.data[:] = True
    expected = F.cross_entropy(logits, label)
    got = model(*batch, mode='loss')['loss_weak']
    torch.testing.assert_close(got, expected)


def test_ancillary_stays_as_it_is(build, batch):
    model = build('conv')
    before = copy.deepcopy(model.ancillary.state_dict())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
    for mode in (True, False, True):
        model.train(mode)
        assert model.primary.training is model.correction.training is mode
        assert not any(module.training for module in model.ancillary.modules())
        model.parse_losses(model(*batch, mode='loss'))[0].backward()
        optimizer.step()
    for key, value in model.ancillary.state_dict().items():
        assert torch.equal(value, before[key]), key


@torch.no_grad()
def test_predicts_without_boxes(build, batch):
    model = build().eval()
    assert list(model.networks()) == model.predictors() == ['primary']
    images = batch[0]['weak']
    got, expected = model(images, mode='predict'), model.primary.predict(images)
    for a, b in zip(got, expected, strict=True):
        assert torch.equal(a.seg_logits.data, b.seg_logits.data)


def test_predicts_by_the_correction(build, batch):
    """q_conv of the whole image, from both networks' scores, as in the training."""
    inputs, samples = batch
    model = build('conv', predict_on='corrected').eval()
    assert model.predictors() == ['primary', 'corrected']
    for sample in samples['weak']:
        sample.set_metainfo(dict(ori_shape=(66, 50), img_shape=(33, 33)))
    with torch.no_grad():
        scores = model.primary(inputs['weak'], mode='tensor')
        other = model.ancillary(inputs['weak'], samples['weak'], mode='tensor')
        other = resize(other, scores.shape[2:])
        expected = model.correction.layers(torch.cat([scores, other], 1))
        torch.testing.assert_close(
            model(inputs['weak'], samples['weak'], mode='tensor'), expected
        )
        results = model(inputs['weak'], samples['weak'], mode='predict')
    expected = resize(resize(expected), (66, 50))
    for result, one in zip(results, expected, strict=True):
        torch.testing.assert_close(result.seg_logits.data, one)
        assert torch.equal(result.pred_sem_seg.data[0], one.argmax(0))
    with pytest.raises(ValueError, match='a sample has no boxes: put LoadBoxes'):
        model(inputs['weak'], None, mode='predict')
    with pytest.raises(ValueError, match=r"choose from \['primary'\]"):
        build('linear', predict_on='corrected')


def test_plain_checkpoint_goes_to_the_primary(build, configs):
    plain = MODELS.build(copy.deepcopy(configs['segmentor'])).state_dict()
    model = build()
    before = copy.deepcopy(model.ancillary.state_dict())
    model.load_state_dict(plain, strict=False)
    for key, value in model.primary.state_dict().items():
        assert torch.equal(value, plain[key])
    for key, value in model.ancillary.state_dict().items():
        assert torch.equal(value, before[key])


@pytest.mark.parametrize('wrapped', [True, False])
def test_ancillary_checkpoint(wrapped, build, configs, tmp_path):
    torch.manual_seed(5)
    weights = MODELS.build(copy.deepcopy(configs['ancillary'])).state_dict()
    path = tmp_path / 'ancillary.pth'
    torch.save(dict(state_dict=weights) if wrapped else weights, path)
    cfg = configs | dict(type='SelfCorrect', ancillary_checkpoint=str(path))
    model = MODELS.build(copy.deepcopy(cfg))
    model.init_weights()
    for key, value in model.ancillary.state_dict().items():
        assert torch.equal(value, weights[key]), key
    assert model._ancillary_is_trained


def test_wrong_ancillary_checkpoints(build, configs, tmp_path):
    path = tmp_path / 'ancillary.pth'
    with pytest.raises(
        FileNotFoundError, match=r'ancillary\.pth does not exist: train'
    ):
        build(ancillary_checkpoint=str(path))
    path.write_bytes(b'no checkpoint')
    with pytest.raises(
        ValueError, match=r'ancillary\.pth cannot be read as a checkpoint'
    ):
        build(ancillary_checkpoint=str(path))
    other = copy.deepcopy(configs['ancillary'])
    other['decode_head'] |= dict(num_classes=5, num_box_classes=4)
    torch.save(MODELS.build(other).state_dict(), path)
    message = (
        r'another model: decode_head\.conv_seg\.weight is of shape \(5, 8, 1, 1\) '
        r'there and of shape \(4, 8, 1, 1\) here'
    )
    with pytest.raises(ValueError, match=message):
        build(ancillary_checkpoint=str(path))
    weights = build().ancillary.state_dict()
    plain = {key: value for key, value in weights.items() if '_attention.' not in key}
    torch.save(plain, path)
    message = r'_attention\.conv\.weight is missing there .* \(4 weights differ\)'
    with pytest.raises(ValueError, match=message):
        build(ancillary_checkpoint=str(path))


def test_untrained_ancillary(build):
    model = build()
    with pytest.raises(
        RuntimeError, match='random weights, or some: give ancillary_ch'
    ):
        model.train_step({}, None)
    model.load_state_dict(build().state_dict())
    with pytest.raises(AttributeError, match='optim_context'):
        model.train_step({}, None)  # goes on
    # inside of another module, as in mmengine's wrappers
    model = build()
    wrapped = torch.nn.ModuleDict(dict(module=model))
    wrapped.load_state_dict(wrapped.state_dict())
    with pytest.raises(AttributeError, match='optim_context'):
        model.train_step({}, None)


def test_partly_trained_ancillary(build, batch, monkeypatch):
    inputs, samples = batch
    whole = build().state_dict()
    key = 'ancillary.decode_head.conv_seg.bias'
    for weights in (
        {name: value for name, value in whole.items() if name != key},
        whole | {key: torch.zeros(9)},
    ):
        model = build()
        with contextlib.suppress(RuntimeError):  # torch on the shape
            model.load_state_dict(weights, strict=False)
        with pytest.raises(RuntimeError, match='random weights, or some'):
            model.train_step({}, None)
        # as in data parallelism, which calls the loss itself
        module = 'mmsemi.models.segmentors.self_correct.is_distributed'
        monkeypatch.setattr(module, lambda: True)
        with pytest.raises(RuntimeError, match='holds all of it'):
            model.loss(inputs, samples)
        monkeypatch.undo()


def test_wrong_options(build, configs):
    for kwargs, match in (
        (dict(mode='soft'), r"mode='soft': choose one of \('none', 'linear', 'conv'"),
        (dict(ancillary=None), "mode='linear' needs the ancillary model"),
        (
            dict(mode='em-fixed', ancillary=configs['ancillary']),
            "'em-fixed' has no ancillary model",
        ),
        (dict(weak_weight=0), "weak_weight=0 leaves nothing to mode='linear'"),
        (dict(weak_weight=-1), 'weak_weight=-1 must be at least 0'),
        (dict(sup_weight=-1), 'sup_weight=-1 must be at least 0'),
        (dict(alpha_end=0), 'alpha goes from 30.0 to 0: give finite ones above 0'),
        (dict(alpha_start=math.inf), 'alpha goes from inf'),
        (dict(mode='em-fixed', num_box_classes=2), 'num_box_classes=2, but of 4'),
        (dict(predict_on='ancillary'), r"choose from \['primary'\]"),
    ):
        with pytest.raises(ValueError, match=match):
            build(**kwargs)
    other = copy.deepcopy(configs['ancillary'])
    other['decode_head'] |= dict(num_classes=5, num_box_classes=4)
    with pytest.raises(ValueError, match='segmentor has 4 classes and ancillary 5'):
        build(ancillary=other)
    other = copy.deepcopy(configs['ancillary'])
    other['data_preprocessor']['mean'] = [0, 0, 0]
    with pytest.raises(ValueError, match=r'ancillary\.data_preprocessor differs'):
        build(ancillary=other)
    with pytest.raises(
        TypeError, match=r'ancillary has the type EncoderDecoder: .* must'
    ):
        build(ancillary=configs['segmentor'])
    with pytest.raises(TypeError, match=r'segmentor has the type BoxCond.* exchange'):
        build(segmentor=configs['ancillary'])


def test_batches_without_boxes(build, batch):
    inputs, samples = batch
    for sample in samples['sup']:
        del sample.gt_instances
    build()(inputs, samples, mode='loss')
    with pytest.raises(ValueError, match='a sample has no boxes: put LoadBoxes'):
        build('conv')(inputs, samples, mode='loss')
    for sample in samples['weak']:
        del sample.gt_instances
    for mode in ('none', 'em-fixed'):
        with pytest.raises(ValueError, match='a sample has no boxes: put LoadBoxes'):
            build(mode)(inputs, samples, mode='loss')
