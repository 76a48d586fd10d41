"""The dense CRF against exact kernels, small lattices and, where there, pydensecrf."""

import importlib.util

import numpy as np
import pytest
import torch

from mmsemi.models.utils.dense_crf import dense_crf, has_pydensecrf

SETTINGS = [
    dict(iterations=10),  # PSA
    dict(iterations=3, gauss=(3, 7), bilateral=(60, 3, 8)),  # AVC at test
    dict(iterations=10, gauss=(3, 3), bilateral=(50, 5, 10)),  # IRN
    dict(iterations=2, gauss=(1.5, 4), bilateral=(4, 20, 5)),
]
library = pytest.mark.skipif(not has_pydensecrf(), reason='needs mmsemi[crf]')


def make(labels=3, size=(15, 14), seed=0):
    """An image of two colours with noise, and noisy probabilities."""
    rng = np.random.default_rng(seed)
    right = np.arange(size[1]) > size[1] / 2
    image = np.where(right[None, :, None], [40, 90, 30], [200, 180, 60])
    image = image + rng.integers(-25, 26, (*size, 3))
    scores = rng.normal(size=(labels, *size))
    scores[0] += 1.5 * right
    prob = np.exp(scores) / np.exp(scores).sum(0)
    return np.clip(image, 0, 255).astype(np.uint8), prob.astype(np.float32)


def features_of(image, sxy, srgb=None):
    """One pixel after the other."""
    found = []
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            place = [x / sxy, y / sxy]
            found.append(place + ([v / srgb for v in image[y, x]] if srgb else []))
    return np.array(found, np.float32)


def slow_mean_field(image, prob, filters, iterations, weights):
    """Mean field with functions (N, K) -> (N, K) as kernels, label by label."""
    labels = len(prob)
    unary = -np.log(np.maximum(prob, 1e-5)).reshape(labels, -1).T.astype(np.float64)
    ones = np.ones((len(unary), 1), np.float32)
    norms = [1 / np.sqrt(kernel(ones)) for kernel in filters]

    def softmax(x):
        e = np.exp(x - x.max(1, keepdims=True))
        return e / e.sum(1, keepdims=True)

    q = softmax(-unary)
    for _ in range(iterations):
        energy = unary.copy()
        for kernel, norm, weight in zip(filters, norms, weights, strict=True):
            energy -= weight * norm * kernel((norm * q).astype(np.float32))
        q = softmax(-energy)
    return q.T.reshape(prob.shape)


def exact_kernel(features):
    matrix = np.array([np.exp(-((f - features) ** 2).sum(1) / 2) for f in features])
    return lambda values: matrix @ values


def small_lattice(features):
    """The independent lattice of the other test file, with pydensecrf's filling."""
    missing = -len(features) % 4
    filled = np.concatenate([features, np.zeros((missing, features.shape[1]))])
    columns = slow_filter(filled.astype(np.float32), np.eye(len(filled)))
    matrix = columns[: len(features), : len(features)]
    return lambda values: matrix @ values


def slow_filter(features, values):
    path = __file__.replace('test_dense_crf', 'test_permutohedral')
    spec = importlib.util.spec_from_file_location('slow_lattice', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.slow_filter(features, values)


def reference(image, prob, build, *, iterations, gauss=(3, 3), bilateral=(80, 13, 10)):
    filters = [
        build(features_of(image, gauss[0])),
        build(features_of(image, bilateral[0], bilateral[1])),
    ]
    weights = gauss[-1], bilateral[-1]
    return slow_mean_field(image, prob, filters, iterations, weights)


@pytest.mark.parametrize('settings', SETTINGS)
def test_matches_a_small_lattice(settings):
    image, prob = make(size=(9, 7))  # 63 pixels: the last block has one missing
    found = dense_crf(image, prob, backend='numpy', **settings)
    expected = reference(image, prob, small_lattice, **settings)
    np.testing.assert_allclose(found, expected, atol=5e-5)


@pytest.mark.parametrize('settings', [SETTINGS[0], SETTINGS[3]])
def test_is_near_exact_kernels(settings):
    """Looser: the lattice is an approximation (here 0.02 in the mean of |d|)."""
    image, prob = make()
    found = dense_crf(image, prob, backend='numpy', **settings)
    expected = reference(image, prob, exact_kernel, **settings)
    assert np.abs(found - expected).mean() < 0.02
    assert (found.argmax(0) == expected.argmax(0)).mean() > 0.97
    start = prob.argmax(0) == expected.argmax(0)
    assert start.mean() < 0.8  # so that agreement is no accident


@library
@pytest.mark.parametrize('settings', SETTINGS)
@pytest.mark.parametrize(('labels', 'size'), [(2, (40, 52)), (6, (41, 53))])
def test_agrees_with_the_library(settings, labels, size):
    image, prob = make(labels, size)
    ours = dense_crf(image, prob, backend='numpy', **settings)
    theirs = dense_crf(image, prob, backend='pydensecrf', **settings)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    assert (dense_crf(image, prob, **settings) == theirs).all()


BACKENDS = ['numpy', pytest.param('pydensecrf', marks=library)]


@pytest.mark.parametrize('backend', BACKENDS)
def test_without_kernels_or_steps_only_normalises(backend):
    image, prob = make()
    prob = prob * 0.5
    expected = prob / prob.sum(0)
    for options in (dict(iterations=0), dict(gauss=(3, 0), bilateral=(80, 13, 0))):
        found = dense_crf(image, prob, backend=backend, **options)
        np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize('backend', BACKENDS)
def test_one_kernel(backend):
    image, prob = make(size=(9, 7))
    found = dense_crf(image, prob, iterations=3, gauss=(3, 0), backend=backend)
    only = small_lattice(features_of(image, 80, 13))
    expected = slow_mean_field(image, prob, [only], 3, [10])
    np.testing.assert_allclose(found, expected, atol=5e-5)


@pytest.mark.parametrize('backend', BACKENDS)
def test_zero_probabilities_count_as_1e5(backend):
    image, prob = make()
    prob[:, :3] = 0
    prob[0, 3:6], prob[1:, 3:6] = 1, 0
    found = dense_crf(image, prob, iterations=4, backend=backend)
    raised = dense_crf(image, prob.clip(1e-5), iterations=4, backend=backend)
    assert np.isfinite(found).all() and (found == raised).all()
    np.testing.assert_allclose(found.sum(0), 1, atol=1e-5)


@pytest.mark.parametrize('backend', BACKENDS)
def test_one_label(backend):
    image, prob = make(1)
    assert (dense_crf(image, prob * 0.3, backend=backend) == 1).all()


@pytest.mark.parametrize('backend', BACKENDS)
@pytest.mark.parametrize('size', [(1, 1), (1, 6), (5, 2)])
def test_small_images(backend, size):
    image, prob = make(3, size)
    found = dense_crf(image, prob, backend=backend)
    assert found.shape == (3, *size) and np.isfinite(found).all()


def test_tensors_come_back_as_tensors():
    image, prob = make()
    expected = dense_crf(image, prob, iterations=2)
    tensor = torch.from_numpy(prob).requires_grad_()
    found = dense_crf(torch.from_numpy(image), tensor, iterations=2)
    assert isinstance(found, torch.Tensor) and found.dtype == torch.float32
    assert (found.numpy() == expected).all()
    half = dense_crf(image, prob.astype(np.float16), iterations=2)
    assert half.dtype == np.float32 and np.abs(half - expected).max() < 0.02


def test_input_stays_as_it_was():
    image, prob = make()
    before = image.copy(), prob.copy()
    dense_crf(image, prob, iterations=2)
    assert (image == before[0]).all() and (prob == before[1]).all()
    turned = np.ascontiguousarray(prob.transpose(0, 2, 1)).transpose(0, 2, 1)
    strided = np.ascontiguousarray(image.transpose(1, 0, 2)).transpose(1, 0, 2)
    found = dense_crf(strided, turned, iterations=2)
    assert (found == dense_crf(image, prob, iterations=2)).all()


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (
            dict(image=np.zeros((15, 14, 3))),
            r'the image is float64 \(15, 14, 3\): give',
        ),
        (dict(image=np.zeros((15, 14), np.uint8)), r'uint8 \(15, 14\): give uint8 RGB'),
        (
            dict(prob=np.ones((2, 14, 15))),
            r'prob has shape \(2, 14, 15\), but the image',
        ),
        (dict(prob=np.ones((15, 14))), r'give \(K, 15, 14\), resize one to the other'),
        (dict(prob=np.ones((0, 15, 14))), r'prob has shape \(0, 15, 14\)'),
        (dict(prob=np.full((2, 15, 14), 2.0)), 'prob goes from 2.0 to 2.0: give prob'),
        (dict(prob=np.full((2, 15, 14), np.nan)), 'prob goes from nan to nan'),
        (dict(iterations=-1), 'iterations=-1: give an integer of at least 0'),
        (
            dict(gauss=(0, 3)),
            r'gauss=\(0, 3\): the standard deviations must be above 0',
        ),
        (dict(gauss=(3, 3, 3)), r'gauss=\(3, 3, 3\): give 2 finite numbers'),
        (dict(bilateral=(80, 13, -1)), 'the weight at least 0'),
        (dict(bilateral=(80, np.inf, 1)), 'bilateral=.*: give 3 finite numbers'),
        (dict(backend='cuda'), r"backend='cuda': choose one of \('auto', 'pydensecrf'"),
    ],
)
def test_wrong_arguments(change, message):
    image, prob = make()
    with pytest.raises(ValueError, match=message):
        dense_crf(**dict(image=image, prob=prob) | change)


def test_without_the_library(monkeypatch):
    name = 'mmsemi.models.utils.dense_crf.has_pydensecrf'
    monkeypatch.setattr(name, lambda: False)
    image, prob = make()
    with pytest.raises(ImportError, match=r'pip install "mmsemi\[crf\]", or take'):
        dense_crf(image, prob, backend='pydensecrf')
    auto = dense_crf(image, prob, iterations=1)
    assert (auto == dense_crf(image, prob, iterations=1, backend='numpy')).all()
