"""Mean field of a dense CRF on lattices of our own."""

import numpy as np

from .permutohedral import PermutohedralLattice


def mean_field(
    image: np.ndarray,
    log_prob: np.ndarray,
    iterations: int,
    gauss: tuple[float, float],
    bilateral: tuple[float, float, float],
) -> np.ndarray:
    """Run the mean field of :func:`~mmsemi.models.utils.dense_crf.dense_crf`.

    Args:
        image: (H, W, 3) uint8 RGB.
        log_prob: (K, H, W) float32, finite.
        iterations: See :func:`dense_crf`, as ``gauss`` and ``bilateral``.
        gauss: Standard deviation and weight.
        bilateral: Standard deviations and weight.

    Returns:
        (K, H, W) float32.
    """
    scores = np.ascontiguousarray(log_prob.reshape(len(log_prob), -1).T)
    rows, columns = np.indices(log_prob.shape[1:], dtype=np.float32).reshape(2, -1)
    places = np.stack([columns, rows], 1)
    kernels = []
    if iterations and gauss[-1]:
        features = places / np.float32(gauss[0])
        kernels.append((gauss[-1], *_normalised(features)))
    if iterations and bilateral[-1]:
        colours = image.reshape(-1, 3).astype(np.float32) / np.float32(bilateral[1])
        features = np.concatenate([places / np.float32(bilateral[0]), colours], 1)
        kernels.append((bilateral[-1], *_normalised(features)))
    found = _softmax(scores.copy())
    for _ in range(int(iterations)):
        total = scores.copy()
        for weight, lattice, norm in kernels:
            message = lattice.filter(found * norm)
            message *= np.float32(weight) * norm
            total += message
        found = _softmax(total)
    return np.ascontiguousarray(found.T).reshape(log_prob.shape)


def _normalised(features: np.ndarray) -> tuple[PermutohedralLattice, np.ndarray]:
    """Return the lattice of features (N, d), and the factors (N, 1) D^-1/2."""
    lattice = PermutohedralLattice(features)
    total = lattice.filter(np.ones((len(features), 1), np.float32))
    return lattice, 1 / np.sqrt(total + np.float32(1e-20))


def _softmax(scores: np.ndarray) -> np.ndarray:
    """Turn scores (N, K) into probabilities, in place."""
    scores -= scores.max(1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(1, keepdims=True)
    return scores
