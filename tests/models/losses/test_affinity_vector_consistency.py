"""The reconstruction of AVC's loss against loops over tokens."""

import math

import pytest
import torch

from mmsemi.models.losses import affinity_vector_consistency as avc


def make_batch(dtype=torch.float32):
    """Two images of 2 x 4 tokens, three classes, some void."""
    generator = torch.Generator().manual_seed(0)
    affinity = torch.rand(2, 8, 8, generator=generator).to(dtype)
    label = torch.tensor([[0, 0, 1, 1, 255, 2, 0, 0], [3, 255, 255, 0, 0, 0, 0, 3]])
    return affinity, label


def cosine(a, b):
    norms = [max(math.sqrt(sum(x * x for x in v)), 1e-6) for v in (a, b)]
    return sum(x * y for x, y in zip(a, b, strict=True)) / (norms[0] * norms[1])


def known(affinity, label, b):
    """The rows of one image without void columns, by token."""
    tokens = [i for i in range(8) if label[b, i] != 255]
    return {i: [float(affinity[b, i, j]) for j in tokens] for i in tokens}


def slow_target(affinity, label, balanced):
    terms = {}
    for b in range(2):
        rows = known(affinity, label, b)
        for i, row in rows.items():
            target = [float(label[b, i] == label[b, j]) for j in rows]
            key = (b, int(label[b, i]))
            terms.setdefault(key, []).append(1 - cosine(row, target))
    if balanced:
        return sum(sum(t) / len(t) for t in terms.values()) / len(terms)
    every = [x for t in terms.values() for x in t]
    return sum(every) / len(every)


def slow_pair(affinity, label):
    sums, counts = [0.0, 0.0], [1, 1]
    for b in range(2):
        rows = known(affinity, label, b)
        for i in rows:
            for j in rows:
                different = int(label[b, i] != label[b, j])
                similar = cosine(rows[i], rows[j])
                sums[different] += similar if different else 1 - similar
                counts[different] += 1
    return 0.5 * sums[0] / counts[0] + 0.5 * sums[1] / counts[1]


def mirrored(i):
    """The token that token i of the 2 x 4 grid becomes."""
    return i // 4 * 4 + 3 - i % 4


def slow_view(affinity, flipped, label):
    terms = []
    for b in range(2):
        tokens = [i for i in range(8) if label[b, i] != 255]
        for i in tokens:
            row = [float(affinity[b, i, j]) for j in tokens]
            other = [float(flipped[b, mirrored(i), mirrored(j)]) for j in tokens]
            terms.append(1 - cosine(row, other))
    return sum(terms) / len(terms)


@pytest.mark.parametrize('balanced', [False, True])
def test_target_matches_slow_computation(balanced):
    affinity, label = make_batch()
    found = avc(affinity, label, balanced=balanced)
    expected = slow_target(affinity, label, balanced)
    assert found.item() == pytest.approx(expected, 1e-5)


def test_pair_matches_slow_computation():
    affinity, label = make_batch()
    found = avc(affinity, label, mode='pair')
    assert found.item() == pytest.approx(slow_pair(affinity, label), 1e-5)


def test_view_matches_slow_computation():
    affinity, label = make_batch()
    flipped = torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(1))
    found = avc(affinity, label, mode='view', flipped=flipped, width=4)
    expected = slow_view(affinity, flipped, label)
    assert found.item() == pytest.approx(expected, 1e-5)


def test_view_of_the_mirrored_matrix_is_zero():
    affinity, label = make_batch()
    order = [mirrored(i) for i in range(8)]
    flipped = affinity[:, order][:, :, order]
    found = avc(affinity, label, mode='view', flipped=flipped, width=4)
    assert found.item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize('mode', ['target', 'pair', 'view'])
def test_symmetric_is_the_mean_of_both(mode):
    affinity, label = make_batch()
    flipped = torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(1))

    def loss(a, f, **options):
        if mode == 'view':
            options |= dict(flipped=f, width=4)
        return avc(a, label, mode=mode, **options)

    other = loss(affinity.transpose(1, 2), flipped.transpose(1, 2))
    expected = (loss(affinity, flipped) + other) / 2
    torch.testing.assert_close(loss(affinity, flipped, symmetric=True), expected)


def test_values():
    """The figure's pattern is perfect; one column for all is not."""
    label = torch.tensor([[1, 1, 0, 0]])
    blocks = (label[0, :, None] == label[0]).float()[None]
    for mode in ('target', 'pair'):
        assert avc(0.3 * blocks, label, mode=mode).item() == pytest.approx(0, abs=1e-6)
    sink = torch.zeros(1, 4, 4)
    sink[..., 0] = 1
    assert avc(sink, label).item() == pytest.approx(1 - 0.5 / math.sqrt(2))
    # 8 pairs of two classes with cosine 1, their count is 9
    assert avc(sink, label, mode='pair').item() == pytest.approx(8 / 18)


def test_gradcheck():
    affinity, label = make_batch(torch.double)
    flipped = torch.rand(2, 8, 8, dtype=torch.double, requires_grad=True)
    affinity.requires_grad_()
    for options in (dict(balanced=True), dict(mode='pair', symmetric=True)):
        assert torch.autograd.gradcheck(
            lambda a, o=options: avc(a, label, **o), affinity
        )

    def view(a, f):
        return avc(a, label, mode='view', flipped=f, width=4)

    assert torch.autograd.gradcheck(view, (affinity, flipped))


@pytest.mark.parametrize('options', [{}, dict(balanced=True), dict(mode='pair')])
def test_void_and_zero_rows_are_finite(options):
    affinity, label = make_batch()
    affinity[0, 2] = 0
    affinity[:, :, 3] = 0
    label[1] = 255
    affinity = affinity.half().requires_grad_()
    loss = avc(affinity, label, **options)
    loss.backward()
    assert loss.dtype == torch.float32 and loss.isfinite() and loss > 0
    assert affinity.grad.isfinite().all() and affinity.grad[0].any()
    assert not affinity.grad[1].any()
    assert not affinity.grad[0, :, 4].any() and not affinity.grad[0, 4].any()


@pytest.mark.parametrize('options', [{}, dict(balanced=True), dict(mode='pair')])
def test_all_void_is_zero(options):
    affinity, label = make_batch()
    affinity.requires_grad_()
    loss = avc(affinity, torch.full_like(label, 255), **options)
    loss.backward()
    assert loss == 0 and not affinity.grad.any()


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(mode='rows'), r"mode='rows': choose one of \('target', 'pair', 'view'\)"),
        (dict(label=torch.zeros(2, 7)), r'affinity has shape \(2, 8, 8\), but \(2, 7'),
        (dict(mode='pair', balanced=True), "balanced=True is for mode='target', not"),
        (dict(width=4), "flipped and width are for mode='view', not 'target'"),
        (dict(mode='view', width=4), "mode='view' needs flipped"),
        (
            dict(mode='view', width=3, flipped=torch.zeros(2, 8, 8)),
            'width=3 does not divide the 8 tokens',
        ),
        (
            dict(mode='view', width=4, flipped=torch.zeros(1, 8, 8)),
            r'flipped has shape \(1, 8, 8\)',
        ),
    ],
)
def test_wrong_arguments(options, message):
    affinity, label = make_batch()
    with pytest.raises(ValueError, match=message):
        avc(**dict(affinity=affinity, label=label) | options)
