"""Activation maps against loops over their values."""

import math

import pytest
import torch

from mmsemi.models.utils import add_background, cam_to_label, normalize_cam, refine_cam


def make_cam(*shape, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(*shape, generator=generator, dtype=dtype)


def slow_map(values, mode):
    """One map as a flat list of Python numbers."""
    if mode in ('max', 'irn'):
        return [v / (max(values) + 1e-5) for v in values]
    if mode == 'minmax':
        span = max(values) - min(values) + 1e-5
        return [(v - min(values)) / span for v in values]
    values = [0.0 if v < 0 else v for v in values]
    least, most = min(values), max(values)
    values = [0.0 if v < least + 1e-5 else v for v in values]
    return [(v - least - 1e-5) / (most - least + 1e-5) for v in values]


@pytest.mark.parametrize('mode', ['max', 'seam', 'minmax', 'irn'])
@pytest.mark.parametrize('shape', [(3, 4, 5), (2, 3, 4, 5), (2, 1, 2, 3, 2)])
@pytest.mark.parametrize('shift', [0, 4])
def test_matches_slow_computation(mode, shape, shift):
    cam = make_cam(*shape) + shift
    found = normalize_cam(cam, mode)
    maps = cam.double().flatten(-2).flatten(0, -2).tolist()
    expected = torch.tensor([slow_map(values, mode) for values in maps])
    torch.testing.assert_close(found, expected.view(shape), rtol=1e-4, atol=1e-4)
    assert found.dtype == torch.float32


def test_values():
    cam = torch.tensor([[[-2.0, 0], [1, 2]]])
    close = torch.testing.assert_close
    close(normalize_cam(cam, 'max'), torch.tensor([[[-1.0, 0], [0.5, 1]]]), **TOL)
    close(normalize_cam(cam, 'seam'), torch.tensor([[[0.0, 0], [0.5, 1]]]), **TOL)
    close(normalize_cam(cam, 'minmax'), torch.tensor([[[0, 0.5], [0.75, 1]]]), **TOL)


TOL = dict(rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    ('mode', 'zeros', 'negative'),
    [('max', 0, 0), ('irn', 0, 0), ('seam', -1, -1), ('minmax', 0, None)],
)
def test_maps_without_activation_are_finite(mode, zeros, negative):
    assert (normalize_cam(torch.zeros(1, 2, 2), mode) == zeros).all()
    found = normalize_cam(-1 - make_cam(1, 2, 2).abs(), mode)
    assert found.half().isfinite().all()
    if negative is not None:
        assert (found == negative).all()


def test_half_precision_is_computed_in_single():
    cam = make_cam(2, 3, 4).abs().half()
    found = normalize_cam(cam, 'max')
    assert torch.equal(found, normalize_cam(cam.float(), 'max'))


def test_wrong_arguments():
    with pytest.raises(ValueError, match=r"mode='mean': choose one of \('max', 'seam'"):
        normalize_cam(torch.zeros(1, 2, 2), 'mean')
    with pytest.raises(ValueError, match=r'cam must be \(…, K, H, W\), not \(2, 2\)'):
        normalize_cam(torch.zeros(2, 2), 'max')


def test_background():
    cam = torch.tensor([[[0.2, 0.9]], [[0.5, 0.1]]])
    constant = add_background(cam, threshold=0.3)
    expected = torch.tensor([[[0.3, 0.3]], [[0.2, 0.9]], [[0.5, 0.1]]])
    assert torch.equal(constant, expected)
    soft = add_background(cam[None], power=4)[0, 0, 0]
    assert soft.tolist() == pytest.approx([0.5**4, 0.1**4], 1e-5)
    assert add_background(cam[:0], power=4).tolist() == [[[1.0, 1.0]]]
    assert add_background(cam - 2, power=4).max() == 1  # and not above


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(), 'threshold=None and power=None: give exactly one'),
        (dict(threshold=0.1, power=4), 'threshold=0.1 and power=4: give exactly one'),
        (dict(power=0), 'power=0 must be above 0'),
        (dict(threshold=math.nan), r'threshold=nan must be in \(-inf, inf\)'),
    ],
)
def test_wrong_background(options, message):
    with pytest.raises(ValueError, match=message):
        add_background(torch.zeros(1, 2, 2), **options)


def test_refine_matches_loops():
    cam, affinity = make_cam(2, 3, 2, 3), make_cam(2, 6, 6, seed=1)
    expected = torch.zeros(2, 3, 6)
    for b in range(2):
        for k in range(3):
            for i in range(6):
                for j in range(6):
                    gathered = affinity[b, i, j] * cam[b, k, j // 3, j % 3]
                    expected[b, k, i] += gathered
    torch.testing.assert_close(refine_cam(cam, affinity), expected.view(cam.shape))
    with pytest.raises(ValueError, match=r'affinity has shape \(2, 6, 5\)'):
        refine_cam(cam, affinity[..., :5])


def test_labels_match_loops():
    cam = make_cam(3, 4, 5, 6)
    tags = torch.tensor([[1, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]]).bool()
    found = cam_to_label(cam, tags, low=0.4, high=0.7)
    for b in range(3):
        scaled = [slow_map(m.flatten().tolist(), 'minmax') for m in cam[b]]
        for place in range(30):
            known = [(m[place], c) for c, m in enumerate(scaled) if tags[b, c]]
            most, c = max(known, default=(0, None))
            label = 0 if most < 0.4 else c + 1 if most > 0.7 else 255
            assert found[b, place // 6, place % 6] == label
    assert {0, 1, 3, 255} == set(found[0].flatten().tolist())
    assert not found[2].any()


def test_padding_moves_no_label():
    cam = make_cam(1, 2, 4, 6)
    tags, valid = torch.ones(1, 2), torch.ones(1, 4, 6, dtype=torch.bool)
    valid[:, :, 4:] = False
    label = cam_to_label(cam[..., :4], tags)
    cam[..., 4:] = 50
    found = cam_to_label(cam, tags, valid=valid)
    assert torch.equal(found[..., :4], label) and len(label.unique()) > 2
    assert (found[..., 4:] == 255).all()


def test_wrong_label_arguments():
    with pytest.raises(ValueError, match=r'low=0\.7 is above high=0\.6'):
        cam_to_label(torch.zeros(1, 2, 3, 3), torch.ones(1, 2), low=0.7)
    with pytest.raises(ValueError, match=r'tags has shape \(1, 3\), but \(1, 2\)'):
        cam_to_label(torch.zeros(1, 2, 3, 3), torch.ones(1, 3))
