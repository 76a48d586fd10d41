"""Pairs, affinities and the walk against loops over pairs of pixels."""

import math

import pytest
import torch

from mmsemi.models.utils import affinity as module
from mmsemi.models.utils import affinity_matrix, affinity_pairs, random_walk
from mmsemi.models.utils.affinity import _best_squarings, pair_affinity, pair_offsets


def make_feature(*shape, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(*shape, generator=generator, dtype=dtype)


def slow_matrix(feature, radius):
    """All ordered pairs of pixels of one map (D, h, w)."""
    depth, height, width = feature.shape
    places = [(y, x) for y in range(height) for x in range(width)]
    matrix = torch.zeros(len(places), len(places), dtype=torch.double)
    for i, (y, x) in enumerate(places):
        for j, (v, u) in enumerate(places):
            if (y - v) ** 2 + (x - u) ** 2 < radius**2:
                difference = sum(
                    abs(float(feature[d, y, x]) - float(feature[d, v, u]))
                    for d in range(depth)
                )
                matrix[i, j] = math.exp(-difference / depth)
    return matrix


def test_psa_has_34_steps():
    steps = pair_offsets(5)
    assert len(steps) == 34 and steps[:4] == [(0, 1), (0, 2), (0, 3), (0, 4)]
    assert (4, 4) not in steps and (4, -2) in steps and (1, -4) in steps
    both = set(steps) | {(-dy, -dx) for dy, dx in steps}
    assert len(both) == 68


@pytest.mark.parametrize('radius', [2, 3, 5])
@pytest.mark.parametrize('size', [(6, 7), (1, 5), (3, 2), (2, 9), (1, 1)])
def test_matrix_matches_slow_computation(radius, size):
    feature = make_feature(3, *size)
    found = affinity_matrix(feature, radius)
    expected = slow_matrix(feature, radius).float()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_matrix_of_a_batch():
    feature = make_feature(2, 3, 4, 5, 6)
    found = affinity_matrix(feature, 3)
    assert found.shape == (2, 3, 30, 30) and found.dtype == torch.float32
    for a in range(2):
        for b in range(3):
            torch.testing.assert_close(found[a, b], affinity_matrix(feature[a, b], 3))
    assert affinity_matrix(feature.half(), 3).dtype == torch.float32


def test_every_pixel_has_pairs():
    """The original leaves the corners without any: ten pixels of a 12 x 14 map."""
    matrix = affinity_matrix(make_feature(2, 12, 14), 5)
    neighbours = (matrix > 0).sum(1).view(12, 14) - 1
    assert neighbours[6, 7] == 68 and neighbours.min() == neighbours[0, 0] == 21
    assert torch.equal(neighbours, neighbours.flip(0, 1))


@pytest.mark.parametrize('radius', [2, 3, 5])
def test_pairs_match_slow_computation(radius):
    label = torch.randint(0, 3, (2, 5, 6), generator=torch.Generator().manual_seed(0))
    label[:, 1, 2] = label[0, 4] = 255
    found = affinity_pairs(label, radius)
    assert found.background.shape == (2, len(pair_offsets(radius)), 5, 6)
    for b in range(2):
        for p, (dy, dx) in enumerate(pair_offsets(radius)):
            for y in range(5):
                for x in range(6):
                    masks = [bool(mask[b, p, y, x]) for mask in found]
                    inside = y + dy < 5 and 0 <= x + dx < 6
                    one = int(label[b, y, x])
                    other = int(label[b, y + dy, x + dx]) if inside else 255
                    known = one != 255 and other != 255
                    assert masks == [
                        known and one == other == 0,
                        known and one == other != 0,
                        known and one != other,
                    ]


def test_pairs_by_hand():
    pairs = affinity_pairs(torch.tensor([[0, 0, 1], [0, 1, 1]]), 2)
    assert pair_offsets(2) == [(0, 1), (1, -1), (1, 0), (1, 1)]
    # 4 sideways, 3 down, and of the 4 diagonals, which are shorter than 2
    assert [int(mask.sum()) for mask in pairs] == [3, 3, 5]


def test_pairs_and_affinities_are_placed_alike():
    feature = make_feature(2, 4, 5)
    found = pair_affinity(feature, 3)
    matrix = slow_matrix(feature, 3)
    for p, (dy, dx) in enumerate(pair_offsets(3)):
        for y in range(4):
            for x in range(5):
                inside = y + dy < 4 and 0 <= x + dx < 5
                expected = matrix[y * 5 + x, (y + dy) * 5 + x + dx] if inside else 0
                assert float(found[p, y, x]) == pytest.approx(float(expected), 1e-5)


def test_gradcheck():
    feature = make_feature(1, 2, 3, 3, dtype=torch.double).requires_grad_()
    assert torch.autograd.gradcheck(lambda f: affinity_matrix(f, 3), (feature,))


def slow_walk(cam, affinity, beta, steps):
    """Step by step, one pixel after the other, in Python numbers."""
    count = len(affinity)
    power = [[float(a) ** beta for a in row] for row in affinity.double()]
    total = [sum(power[i][j] for i in range(count)) for j in range(count)]
    rows = cam.double().flatten(1).tolist()
    for _ in range(steps):
        rows = [
            [
                sum(row[i] * power[i][j] / total[j] for i in range(count))
                for j in range(count)
            ]
            for row in rows
        ]
    return torch.tensor(rows).view(cam.shape)


@pytest.mark.parametrize(('beta', 'log_t'), [(1, 0), (8, 2), (2.5, 3)])
def test_walk_matches_slow_computation(beta, log_t):
    affinity = affinity_matrix(make_feature(3, 4, 3), 3)
    cam = torch.rand(2, 4, 3, generator=torch.Generator().manual_seed(1))
    found = random_walk(cam, affinity, beta=beta, log_t=log_t)
    expected = slow_walk(cam, affinity, beta, 2**log_t)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_asymmetric_affinity_is_normalised_by_column():
    affinity = torch.tensor([[1.0, 3], [0, 1]])
    found = random_walk(torch.tensor([[[4.0, 8.0]]]), affinity, beta=1, log_t=0)
    assert found.flatten().tolist() == [4, 5]


@pytest.mark.parametrize('log_t', [0, 3, 8])
@pytest.mark.parametrize('classes', [1, 40])
def test_walk_is_the_power_of_the_matrix(log_t, classes):
    """Whatever part of it is squared."""
    affinity = affinity_matrix(make_feature(2, 3, 4, 5), 3)
    cam = torch.rand(2, classes, 4, 5, generator=torch.Generator().manual_seed(1))
    found = random_walk(cam, affinity, beta=4, log_t=log_t)
    walk = affinity.double() ** 4
    walk = torch.linalg.matrix_power(walk / walk.sum(1, keepdim=True), 2**log_t)
    expected = (cam.double().flatten(2) @ walk).view(cam.shape).float()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('batch', [(), (2,), (2, 1)])
def test_sparse_walk_is_the_same(batch, monkeypatch):
    affinity = affinity_matrix(make_feature(*batch, 3, 14, 15), 2)
    assert (affinity > 0).float().mean() < module.SPARSE_SHARE
    cam = torch.rand(*batch, 2, 14, 15, generator=torch.Generator().manual_seed(1))
    calls, walk = [], module._sparse_walk
    monkeypatch.setattr(
        module, '_sparse_walk', lambda *args: calls.append(args) or walk(*args)
    )
    found = random_walk(cam, affinity, beta=4, log_t=6)
    assert len(calls) == len(cam.view(-1, 2, 14, 15))
    power = affinity.double() ** 4
    power = torch.linalg.matrix_power(power / power.sum(-2, keepdim=True), 64)
    expected = (cam.double().flatten(-2) @ power).view(cam.shape).float()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    # with a gradient the dense way is taken
    affinity.requires_grad_()
    dense = random_walk(cam, affinity, beta=4, log_t=6)
    torch.testing.assert_close(dense, found, rtol=1e-4, atol=1e-6)
    dense.sum().backward()
    assert affinity.grad.isfinite().all()
    assert len(calls) == len(cam.view(-1, 2, 14, 15))


@pytest.mark.parametrize('size', [(4, 5), (14, 15)])
def test_strided_and_empty_maps(size):
    """The dense and the sparse way."""
    affinity = affinity_matrix(make_feature(2, 3, *size), 2)
    cam = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1))
    found = random_walk(cam, affinity, beta=4, log_t=4)
    turned = cam.transpose(0, 3).contiguous().transpose(0, 3)
    strided = affinity.permute(1, 2, 0).contiguous().permute(2, 1, 0)
    torch.testing.assert_close(random_walk(turned, strided, beta=4, log_t=4), found)
    none = random_walk(cam[:, :0], affinity, beta=4, log_t=4)
    assert none.shape == (2, 0, *size)


def test_squarings_are_of_least_work():
    assert _best_squarings(8, 3, 2961) == 0  # 256 * 16 < 2961 + 128 * 16
    assert _best_squarings(8, 81, 2961) == 2  # 2 * 2961 + 64 * 81
    assert _best_squarings(8, 3, 20) == 7
    assert _best_squarings(0, 3, 20) == 0


def test_walk_keeps_constants_and_stays_inside():
    affinity = affinity_matrix(make_feature(3, 5, 5), 5)
    cam = torch.rand(1, 5, 5, generator=torch.Generator().manual_seed(1))
    one = random_walk(torch.ones(1, 5, 5), affinity, beta=10, log_t=6)
    torch.testing.assert_close(one, torch.ones_like(one), rtol=1e-4, atol=1e-4)
    found = random_walk(cam, affinity, beta=0.5, log_t=6)
    assert found.min() > cam.min() and found.max() < cam.max()


def test_pixel_without_affinity_is_finite():
    affinity = torch.diag(torch.tensor([1.0, 0, 1]))
    found = random_walk(torch.ones(1, 1, 3).half(), affinity, beta=8, log_t=2)
    assert found.flatten().tolist() == [1, 0, 1] and found.dtype == torch.float32


@pytest.mark.parametrize(
    ('call', 'message'),
    [
        (lambda: pair_offsets(1), 'radius=1: give an integer of at least 2'),
        (lambda: affinity_pairs(torch.ones(2, 2), 2.5), 'radius=2.5: give an integer'),
        (lambda: affinity_pairs(torch.ones(2), 2), r'label must be \(…, h, w\)'),
        (lambda: affinity_matrix(torch.ones(2, 2), 2), r'feature must be \(…, D, h'),
        (lambda: walk(size=5), r'affinity has shape \(5, 5\), but \(4, 4\) is needed'),
        (lambda: walk(beta=0), 'beta=0 must be above 0'),
        (lambda: walk(log_t=-1), 'log_t=-1: give an integer of at least 0'),
        (lambda: walk(log_t=1.5), 'log_t=1.5: give an integer'),
    ],
)
def test_wrong_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def walk(size=4, beta=8, log_t=2):
    return random_walk(torch.ones(1, 2, 2), torch.eye(size), beta=beta, log_t=log_t)
