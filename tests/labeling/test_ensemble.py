import numpy as np
import pytest
import torch

from mmsemi.labeling.ensemble import Ensemble, fuse_probabilities, pixel_noise
from mmsemi.models.utils.pseudo_label import weighted_fusion
from mmsemi.models.utils.tta import tta_probabilities


def draw(number, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(number, 2, 4, 5, 6, generator=generator)
    return list(logits.softmax(2))


@pytest.mark.parametrize(
    'weights', [None, [1.0], [1, 3], [0, 2], [1, 2, 5], [0, 0, 1, 1]]
)
def test_weighted_mean(weights):
    probs = draw(len(weights or 'xy'))
    got = fuse_probabilities(probs, weights)
    expected = np.average(np.stack(probs), axis=0, weights=weights)
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_two_networks_are_bsts_fusion():
    one, other = draw(2)
    noise = torch.randn(2, 1, 5, 6)
    label, confidence = weighted_fusion(one, other, 0.25, noise)
    fused = fuse_probabilities([one, other], [1, 3], noise)
    assert torch.equal(fused.argmax(1), label)
    assert torch.equal(fused.amax(1), confidence)


def test_noise_belongs_to_the_image():
    noise = pixel_noise('city/a', (60, 50), 0.2)
    assert noise.shape == (1, 60, 50) and noise.abs().max() <= 0.2
    # uniform: mean 0, variance (2 * 0.2)^2 / 12
    assert abs(noise.mean()) < 0.01
    assert noise.var().item() == pytest.approx(0.4**2 / 12, rel=0.05)
    assert torch.equal(noise, pixel_noise('city/a', (60, 50), 0.2))
    for other in ('city/b', 'ulm/a'):
        assert not torch.equal(noise, pixel_noise(other, (60, 50), 0.2))


def test_label_by_hand(tiny_net):
    nets = [tiny_net(0), tiny_net(1)]
    images = torch.randn(3, 3, 8, 10)
    ensemble = Ensemble(nets, scales=(1.0, 0.5), flip=True, weights=(1, 3), noise=0.3)
    labels, prob = ensemble.label(images, (9, 7), ['a', 'b', 'c'])
    assert labels.dtype == torch.uint8 and labels.shape == (3, 9, 7)
    for i, name in enumerate('abc'):
        alone = []
        for net in nets:
            one = Ensemble([net], scales=(1.0, 0.5), flip=True)
            alone.append(one.label(images[i : i + 1], (9, 7), [name])[1][0])
        alpha = (0.25 + pixel_noise(name, (9, 7), 0.3)).clamp(0, 1)
        expected = alpha * alone[0] + (1 - alpha) * alone[1]
        torch.testing.assert_close(prob[i], expected)
        assert (labels[i] == prob[i].argmax(0)).all()


@pytest.mark.parametrize('fuse', ['softmax', 'logits'])
def test_tags_and_fuse_by_hand(fuse, tiny_net):
    nets = [tiny_net(0), tiny_net(1)]
    images = torch.randn(3, 3, 8, 10)
    tags = torch.tensor([[1, 0, 1], [0, 1, 0], [1, 1, 1]]).bool()
    how = dict(scales=(1.0, 0.5), flip=True, fuse=fuse)
    ensemble = Ensemble(nets, weights=(1, 3), threshold=0.5, **how)
    labels, prob = ensemble.label(images, (9, 7), 'abc', tags)
    for i in range(3):
        expected = 0
        for net, weight in zip(nets, (0.25, 0.75), strict=True):
            alone = tta_probabilities(net, images[i : i + 1], size=(9, 7), **how)[0]
            alone[~tags[i]] = 0
            expected = expected + weight * alone / alone.sum(0)
        torch.testing.assert_close(prob[i], expected)
        best, first = expected.max(0)
        assert (labels[i] == torch.where(best < 0.5, 255, first)).all()
    # what is tagged with one class is labelled with it
    assert (labels[1] == 1).all()


def test_threshold(tiny_net):
    images = torch.randn(2, 3, 8, 10)
    plain, prob = Ensemble([tiny_net()]).label(images, (8, 10), 'ab')
    limit = float(prob.amax(1).median())
    labels, _ = Ensemble([tiny_net()], threshold=limit).label(images, (8, 10), 'ab')
    expected = torch.where(prob.amax(1) < limit, 255, plain)
    assert (labels == expected).all() and 0 < (labels == 255).sum() < labels.numel()


def test_half_precision_is_close(tiny_net):
    images = torch.randn(2, 3, 8, 10)
    exact = Ensemble([tiny_net()]).label(images, (8, 10), 'ab')[1]
    half = Ensemble([tiny_net()], amp=True).label(images, (8, 10), 'ab')[1]
    assert half.dtype == torch.float32 and not torch.equal(half, exact)
    torch.testing.assert_close(half, exact, atol=0.02, rtol=0)


@pytest.mark.parametrize(
    ('number', 'changes', 'message'),
    [
        (0, {}, 'no network'),
        (1, dict(scales=()), r'scales=\[\]'),
        (2, dict(weights=[1]), r'weights=\[1\] for 2 networks'),
        (2, dict(weights=[1, -1]), 'at least 0'),
        (2, dict(weights=[0, 0]), 'not all 0'),
        (1, dict(noise=0.1), 'noise=0.1 with 1 networks'),
        (3, dict(noise=0.1), 'noise=0.1 with 3 networks'),
        (2, dict(noise=-0.1), 'noise=-0.1'),
        (1, dict(threshold=1.5), 'threshold=1.5 is no probability'),
        (1, dict(fuse='max'), "fuse='max': choose one of"),
    ],
)
def test_bad_values(number, changes, message, tiny_net):
    with pytest.raises(ValueError, match=message):
        Ensemble([tiny_net(i) for i in range(number)], **changes)


def test_training_mode(tiny_net):
    with pytest.raises(ValueError, match=r'training mode: call eval\(\)'):
        Ensemble([tiny_net().train()])
