"""The lattice against the paper's algorithm, one point and one corner at a time."""

import numpy as np
import pytest

from mmsemi.models.utils.permutohedral import PermutohedralLattice


def slow_simplex(point):
    """Corners (tuples of all d + 1 coordinates) and weights of one point.

    Adams et al. 2010, section 3.1, one number after the other. In float32, for a
    point between two simplices must fall into the same one as in the module; where
    two rests are equal, the coordinate of the higher number is taken as smaller.
    """
    d, single = len(point), np.float32
    deviation = float(single(np.sqrt(2 / 3) * (d + 1)))
    total, elevated = single(0), []
    for i in range(d, 0, -1):
        scaled = point[i - 1] * single(1 / np.sqrt(i * (i + 1)) * deviation)
        elevated.insert(0, total - single(i) * scaled)
        total = total + scaled
    elevated.insert(0, total)
    inverse = single(1) / single(d + 1)
    nearest = [(d + 1) * round(float(e * inverse)) for e in elevated]
    surplus = sum(nearest) // (d + 1)

    def rests():
        return [float(e - single(n)) for e, n in zip(elevated, nearest, strict=True)]

    rest = rests()
    order = sorted(range(d + 1), key=lambda i: (rest[i], -i))
    for i in order[:surplus] if surplus > 0 else order[d + 1 + surplus :]:
        nearest[i] -= (d + 1) * int(np.sign(surplus))
    assert sum(nearest) == 0
    # those that moved keep their place in the order, in a circle
    order = order[surplus:] + order[:surplus]
    rest = rests()
    corners, weights = [], []
    for k in range(d + 1):
        low = order[:k]
        corner = [n + k - (d + 1) * (i in low) for i, n in enumerate(nearest)]
        corners.append(tuple(corner))
    y = [rest[i] for i in order]
    weights.append(1 - (y[d] - y[0]) / (d + 1))
    weights += [(y[k] - y[k - 1]) / (d + 1) for k in range(1, d + 1)]
    return corners, weights


def slow_filter(features, values):
    """Splat, blur and slice with a dictionary of corners."""
    d = features.shape[1]
    grid = {}
    simplices = [slow_simplex(f) for f in features]
    for (corners, weights), value in zip(simplices, values, strict=True):
        for corner, weight in zip(corners, weights, strict=True):
            grid[corner] = grid.get(corner, 0) + weight * value.astype(np.float64)
    for axis in range(d + 1):
        blurred = {}
        for corner, value in grid.items():
            for sign in (1, -1):
                step = [sign * (1 - (d + 1) * (i == axis)) for i in range(d + 1)]
                near = tuple(c + s for c, s in zip(corner, step, strict=True))
                value = value + 0.5 * grid.get(near, 0)
            blurred[corner] = value
        grid = blurred
    return np.array(
        [
            sum(w * grid[c] for c, w in zip(corners, weights, strict=True))
            for corners, weights in simplices
        ]
    ) / (1 + 2.0**-d)


@pytest.mark.parametrize('dim', [1, 2, 3, 5])
@pytest.mark.parametrize('spread', [0.7, 4])
def test_matches_slow_computation(dim, spread):
    rng = np.random.default_rng(dim)
    features = (spread * rng.normal(size=(40, dim))).astype(np.float32)
    values = rng.normal(size=(40, 3)).astype(np.float32)
    found = PermutohedralLattice(features).filter(values)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, slow_filter(features, values), atol=2e-5)


def test_last_block_is_filled_with_zeros():
    """As in pydensecrf: the corners around 0 let the blur through to others."""
    features = np.array([[-1.6], [1.6]], np.float32)
    values = np.array([[1], [0]], np.float32)
    found = PermutohedralLattice(features).filter(values)
    filling = np.zeros((2, 1), np.float32)
    expected = slow_filter(
        np.concatenate([features, filling]), np.concatenate([values, filling])
    )
    np.testing.assert_allclose(found, expected[:2], atol=1e-6)
    assert abs(found - slow_filter(features, values)).max() > 1e-3


def test_approximates_the_gaussian():
    """Near the exact sum, on a grid of points much denser than the Gaussian."""
    axis = np.arange(40) / 8
    features = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2).astype(np.float32)
    values = np.random.default_rng(0).random((1600, 1)).astype(np.float32)
    found = PermutohedralLattice(features).filter(values)
    distance = ((features[:, None] - features[None]) ** 2).sum(-1)
    weight = np.exp(-distance / 2)
    inner = (np.abs(features - 2.5) < 1).all(1)
    ratio = (found / (weight @ values))[inner]
    # a common factor is cancelled by the CRF's normalisation
    assert 0.8 < ratio.mean() < 1.2 and ratio.std() < 0.02 * ratio.mean()


def test_filter_is_linear_and_deterministic():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(30, 5)).astype(np.float32)
    one, other = rng.normal(size=(2, 30, 2)).astype(np.float32)
    lattice = PermutohedralLattice(features)
    both = lattice.filter(one + 2 * other)
    expected = lattice.filter(one) + 2 * lattice.filter(other)
    np.testing.assert_allclose(both, expected, atol=1e-5)
    again = PermutohedralLattice(features).filter(one)
    assert (again == lattice.filter(one)).all()


def test_too_fine():
    features = np.array([[0] * 5, [1e6] * 5], np.float32)
    with pytest.raises(ValueError, match=r'lattice of 5 dimensions is too fine .* sxy'):
        PermutohedralLattice(features)
