"""CPS's page against loops written from the paper."""

import copy

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.structures import PixelData
from torch.nn.functional import interpolate

from mmsemi.models.segmentors import cps
from mmsemi.registry import MODELS

SIZE = 33
NETWORKS = ('net1', 'net2')


@pytest.fixture
def build(tiny_segmentor):
    """Return a function that builds CPS with predictions that vary."""

    def make(**kwargs):
        torch.manual_seed(0)
        settings = dict(segmentor=copy.deepcopy(tiny_segmentor)) | kwargs
        model = MODELS.build(ConfigDict(type='CPS', **settings))
        model.init_weights()
        for network in model.networks().values():
            network.decode_head.conv_seg.weight.data.mul_(100)
        return model.train()

    return make


@pytest.fixture
def batch(make_batch):
    """Return a batch of weak views; two rows of the labelled images are padding."""
    inputs, samples = make_batch()
    del inputs['unsup_student'], samples['unsup_student']
    for sample in samples['sup']:
        valid = torch.ones(1, SIZE, SIZE, dtype=torch.bool)
        valid[:, -2:] = False
        sample.valid = PixelData(data=valid)
    return inputs, samples


def softmax(x):
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def predict(network, images):
    """Probabilities at image size, in train mode: the statistics are the batch's."""
    with torch.no_grad():
        scores = network.decode_head(network.extract_feat(images)).double()
    size = (SIZE, SIZE)
    return softmax(
        interpolate(scores, size, mode='bilinear', align_corners=False).numpy()
    )


def mixed(x, mask):
    """x (2, ..., H, W): own pixels where the mask is True, else the other's."""
    return np.stack([np.where(mask[i, 0], x[i], x[1 - i]) for i in range(2)])


def mean_cross_entropy(prob, label, valid):
    values = [
        -np.log(prob[b, label[b, y, x], y, x])
        for b, y, x in np.ndindex(label.shape)
        if valid[b, y, x]
    ]
    return np.mean(values)


def stacked(samples, field):
    return np.stack([getattr(sample, field).data[0].numpy() for sample in samples])


def reference(model, inputs, samples, mask):
    """Return the terms of the loss, pixel by pixel."""
    networks = model.networks().values()
    sup, unsup = inputs['sup'], inputs['unsup_teacher']
    truth = stacked(samples['sup'], 'gt_sem_seg')
    valid = stacked(samples['unsup_teacher'], 'valid')
    prob_l = [predict(network, sup) for network in networks]
    if mask is None:
        prob = [
            np.concatenate([p, predict(network, unsup)])
            for p, network in zip(prob_l, networks, strict=True)
        ]
        label = [p.argmax(1) for p in prob]
        valid = np.concatenate([stacked(samples['sup'], 'valid'), valid])
    else:
        label = [mixed(predict(net, unsup).argmax(1), mask) for net in networks]
        unsup = torch.from_numpy(mixed(unsup.numpy(), mask))
        prob = [predict(network, unsup) for network in networks]
        valid = mixed(valid, mask)
    crossed = mean_cross_entropy(prob[0], label[1], valid)
    crossed += mean_cross_entropy(prob[1], label[0], valid)
    terms = {
        f'{name}.sup.decode.loss_ce': mean_cross_entropy(p, truth, truth != 255)
        for name, p in zip(NETWORKS, prob_l, strict=True)
    }
    return terms | dict(
        loss_cps=model.cps_weight * crossed,
        agreement=(label[0] == label[1])[valid].mean(),
    )


@pytest.mark.parametrize('cps_weight', [1.5, 0.4])
@pytest.mark.parametrize('cutmix', [False, True])
def test_matches_the_paper(build, batch, monkeypatch, cutmix, cps_weight):
    mask = torch.ones(2, 1, SIZE, SIZE, dtype=torch.bool)
    mask[0, 0, 4:20, 12:33] = mask[1, 0, 10:28, 2:18] = False
    monkeypatch.setattr(cps, 'several_boxes_mask', lambda *a, **k: mask)
    model = build(cutmix=cutmix, cps_weight=cps_weight)
    expected = reference(copy.deepcopy(model), *batch, mask.numpy() if cutmix else None)
    assert expected['loss_cps'] > 0 and expected['agreement'] < 0.9
    losses = model(*batch, mode='loss')
    got = {name: losses[name].item() for name in expected}
    assert got == pytest.approx(expected, rel=1e-4)
    total, _ = model.parse_losses(losses)
    terms = [value for name, value in expected.items() if 'loss' in name]
    assert total.item() == pytest.approx(sum(terms), rel=1e-4)


@pytest.mark.parametrize('cutmix', [False, True])
def test_every_parameter_learns(build, batch, cutmix):
    model = build(cutmix=cutmix)
    total, _ = model.parse_losses(model(*batch, mode='loss'))
    total.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


def test_labels_have_no_gradient(build, batch):
    """Each term trains the network that it supervises, not the one that labels."""
    model = build()
    terms = []

    def spy(logits, label, keep):
        terms.append(original(logits, label, keep))
        return terms[-1]

    original, cps.masked_cross_entropy = cps.masked_cross_entropy, spy
    try:
        model(*batch, mode='loss')
    finally:
        cps.masked_cross_entropy = original
    terms[0].backward()
    assert all(p.grad is None for p in model.net2.parameters())
    assert any(p.grad is not None for p in model.net1.parameters())


def test_networks_differ_from_the_start(build, tiny_segmentor):
    model = MODELS.build(ConfigDict(type='CPS', segmentor=tiny_segmentor))
    for _ in ('built', 'initialised'):
        for key, value in model.net1.state_dict().items():
            if key.endswith('conv_seg.weight') or 'stem.0.weight' in key:
                assert not torch.equal(value, model.net2.state_dict()[key]), key
        model.init_weights()
    own = {p.data_ptr() for p in model.net1.parameters()}
    assert not own & {p.data_ptr() for p in model.net2.parameters()}


def test_either_network_predicts(build, batch):
    model = build(predict_on='net2').eval()
    images = batch[0]['sup']
    assert list(model.networks()) == list(NETWORKS)
    assert torch.equal(model(images), model.net2(images))
    with model.predicting_on('net1'):
        assert torch.equal(model(images), model.net1(images))
    with pytest.raises(ValueError, match="predict_on='teacher'"):
        build(predict_on='teacher')


def test_equal_networks_agree(build, batch):
    model = build()
    model.net2.load_state_dict(model.net1.state_dict())
    assert model(*batch, mode='loss')['agreement'] == 1


def test_a_plain_checkpoint_makes_them_equal(build, tiny_segmentor, recwarn):
    model = build()
    plain = MODELS.build(ConfigDict(copy.deepcopy(tiny_segmentor))).state_dict()
    backbone = {key: plain[key] for key in plain if key.startswith('backbone.')}
    model.load_state_dict(backbone, strict=False)
    model.load_state_dict(model.state_dict())
    assert not [w for w in recwarn if 'CPS' in str(w.message)]
    with pytest.warns(UserWarning, match='net1 and net2 of CPS .* init_cfg'):
        model.load_state_dict(plain)


def test_cutmix_draws_from_the_seed(build, batch):
    losses = []
    for seed in (0, 0, 1):
        model = build(cutmix=True)
        torch.manual_seed(seed)
        losses.append(model(*batch, mode='loss')['loss_cps'].item())
    assert losses[0] == losses[1] != losses[2]


def test_only_padding(build, batch):
    inputs, samples = batch
    for sample in samples['unsup_teacher']:
        sample.valid.data.fill_(False)
    losses = build(cutmix=True)(inputs, samples, mode='loss')
    assert losses['loss_cps'] == 0 and losses['agreement'] == 0


def test_images_of_two_sizes(build, batch):
    inputs, samples = batch
    inputs['sup'] = inputs['sup'][..., :-4]
    for sample in samples['sup']:
        for field in ('gt_sem_seg', 'valid'):
            data = getattr(sample, field).data[..., :-4]
            setattr(sample, field, PixelData(data=data))
    with pytest.raises(ValueError, match='same crop_size'):
        build()(inputs, samples, mode='loss')


def test_warmup(build, batch):
    """Labelled images alone, then all as without a warm-up."""
    model, plain = build(warmup_iters=5), build()
    model.set_iter(4, 10)
    losses = copy.deepcopy(model)(*batch, mode='loss')
    assert {name for name in losses if 'loss' in name} == {
        f'{name}.sup.decode.loss_ce' for name in NETWORKS
    }
    model.set_iter(5, 10)
    expected = plain(*batch, mode='loss')
    assert model(*batch, mode='loss') == expected and 'loss_cps' in expected


def test_warmup_needs_the_time(build):
    with pytest.raises(RuntimeError, match='SetIterHook'):
        build(warmup_iters=5).train_step({}, None)


@pytest.mark.parametrize('wrong', [dict(cps_weight=-1), dict(warmup_iters=-1)])
def test_errors(build, wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=f'{name}={value}'):
        build(**wrong)
