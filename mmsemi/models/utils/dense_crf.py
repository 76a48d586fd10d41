"""Fully connected conditional random field of one image."""

from importlib.util import find_spec
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from mmsemi.checks import check_choice

from .mean_field import mean_field

BACKENDS = ('auto', 'pydensecrf', 'numpy')
LEAST_PROBABILITY = 1e-5
Array = TypeVar('Array', np.ndarray, Tensor)


def has_pydensecrf() -> bool:
    """Say whether the optional package pydensecrf2 is installed."""
    return find_spec('pydensecrf') is not None


def dense_crf(
    image: np.ndarray | Tensor,
    prob: Array,
    *,
    iterations: int = 10,
    gauss: tuple[float, float] = (3, 3),
    bilateral: tuple[float, float, float] = (80, 13, 10),
    backend: str = 'auto',
) -> Array:
    r"""Sharpen class probabilities along the edges of an image.

    Krähenbühl and Koltun (NIPS 2011), mean field with Potts compatibility:
    :math:`Q = \mathrm{softmax}(\log p)`, then ``iterations`` times
    :math:`Q = \mathrm{softmax}(\log p + \sum_k w_k \hat K_k Q)`, with p bounded by
    1e-5 from below, :math:`\hat K = D^{-1/2} K D^{-1/2}`, :math:`D = K 1`, and
    :math:`K_{ij} = \exp(-|f_i - f_j|^2 / 2)` (i = j included) for
    :math:`f = (x, y) / s_{xy}` and :math:`f = ((x, y) / s_{xy}, rgb / s_{rgb})`. The
    kernels are approximated on the permutohedral lattice. The defaults are PSA's.

    Args:
        image: (H, W, 3) uint8 RGB.
        prob: (K, H, W) of the K labels, in [0, 1]; need not sum to 1. An array or a
            tensor on any device; the work is done on the CPU.
        iterations: Steps of mean field; 0 normalises ``prob`` only.
        gauss: Standard deviation in pixels, and weight, of the Gaussian kernel.
            A weight of 0 leaves a kernel out.
        bilateral: Standard deviations in pixels and in grey levels, and weight, of
            the bilateral kernel.
        backend: ``'pydensecrf'`` (extra ``[crf]``), ``'numpy'`` (the one of our own,
            without a compiler; equal to it to 1e-4), or ``'auto'``: the first where
            it is installed.

    Returns:
        Probabilities (K, H, W) that sum to 1, float32, of the type and on the device
        of ``prob``. With one label, ones.

    Raises:
        ValueError: Image and probabilities do not fit, a probability is not in
            [0, 1], or another argument is outside its range.
        ImportError: The backend is not installed.
    """
    rgb = _check_image(image)
    given = prob.detach().cpu().numpy() if isinstance(prob, Tensor) else prob
    found = _check_prob(np.asarray(given), rgb)
    _check_settings(iterations, gauss, bilateral)
    name = _choose(backend)
    if len(found) == 1:
        result = np.ones_like(found)
    else:
        log_prob = np.log(found.clip(LEAST_PROBABILITY, 1)).astype(np.float32)
        infer = _pydensecrf if name == 'pydensecrf' else mean_field
        result = infer(rgb, log_prob, iterations, gauss, bilateral)
    if isinstance(prob, Tensor):
        return torch.from_numpy(result).to(prob.device)
    return result


def _check_image(image: np.ndarray | Tensor) -> np.ndarray:
    found = image.cpu().numpy() if isinstance(image, Tensor) else np.asarray(image)
    if found.dtype != np.uint8 or found.ndim != 3 or found.shape[2] != 3:
        raise ValueError(
            f'the image is {found.dtype} {found.shape}: give uint8 RGB (H, W, 3)'
        )
    return np.ascontiguousarray(found)


def _check_prob(prob: np.ndarray, image: np.ndarray) -> np.ndarray:
    if prob.ndim != 3 or prob.shape[1:] != image.shape[:2] or not prob.size:
        raise ValueError(
            f'prob has shape {prob.shape}, but the image {image.shape}: give '
            f'(K, {image.shape[0]}, {image.shape[1]}), resize one to the other'
        )
    prob = prob.astype(np.float32)
    # not `low < 0 or high > 1`: that is False for NaN
    if not (prob.min() >= 0 and prob.max() <= 1 + 1e-3):
        raise ValueError(
            f'prob goes from {prob.min()} to {prob.max()}: give probabilities, e.g. '
            'a softmax of logits'
        )
    return prob


def _check_settings(
    iterations: int,
    gauss: tuple[float, float],
    bilateral: tuple[float, float, float],
) -> None:
    if iterations != int(iterations) or iterations < 0:
        raise ValueError(f'iterations={iterations}: give an integer of at least 0')
    wanted = dict(gauss=(gauss, 2), bilateral=(bilateral, 3))
    for name, (values, length) in wanted.items():
        if len(values) != length or not np.isfinite(values).all():
            raise ValueError(f'{name}={values}: give {length} finite numbers')
        if min(values[:-1]) <= 0 or values[-1] < 0:
            raise ValueError(
                f'{name}={values}: the standard deviations must be above 0, the '
                'weight at least 0'
            )


def _choose(backend: str) -> str:
    check_choice(backend=(backend, BACKENDS))
    if backend == 'auto':
        return 'pydensecrf' if has_pydensecrf() else 'numpy'
    if backend == 'pydensecrf' and not has_pydensecrf():
        raise ImportError(
            'backend=\'pydensecrf\' is not installed: pip install "mmsemi[crf]", or '
            "take backend='numpy'"
        )
    return backend


def _pydensecrf(
    image: np.ndarray,
    log_prob: np.ndarray,
    iterations: int,
    gauss: tuple[float, float],
    bilateral: tuple[float, float, float],
) -> np.ndarray:
    """Run the optional package on log-probabilities (K, H, W)."""
    from pydensecrf import densecrf

    number, height, width = log_prob.shape
    field = densecrf.DenseCRF2D(width, height, number)
    field.setUnaryEnergy(np.ascontiguousarray(-log_prob.reshape(number, -1)))
    if gauss[-1]:
        field.addPairwiseGaussian(sxy=gauss[0], compat=gauss[1])
    if bilateral[-1]:
        field.addPairwiseBilateral(
            sxy=bilateral[0], srgb=bilateral[1], rgbim=image, compat=bilateral[2]
        )
    found = np.array(field.inference(int(iterations)), dtype=np.float32)
    return found.reshape(log_prob.shape)
