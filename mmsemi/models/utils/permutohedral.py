"""Gaussian filters of high dimension on the permutohedral lattice, without a compiler.

`Fast High-Dimensional Filtering Using the Permutohedral Lattice
<https://graphics.stanford.edu/papers/permutohedral/>`_ (Adams, Baek, Davis;
Eurographics 2010), on numpy and sparse matrices of scipy.
"""

import numpy as np

BLOCK = 4
"""pydensecrf places points in blocks of four, the last one filled up with zeros."""


class PermutohedralLattice:
    """Approximates sums of values, weighted by a Gaussian of their distance.

    Each point's value is spread over the d + 1 corners of its simplex, the corners
    exchange a part with their neighbours along d + 1 directions, and each point
    gathers from its corners again. The coordinates are rounded as pydensecrf rounds
    them, in float32 and in its order: a corner that exists only by rounding lets the
    exchange through, which changes results by much more than the rounding.

    Args:
        features: Points (N, d), in units of the Gaussian's standard deviation.

    Raises:
        ValueError: The points are too far apart for the grid's keys.
    """

    def __init__(self, features: np.ndarray) -> None:
        # here, for the package must load where no CRF is run and scipy is missing
        from scipy import sparse

        number, dim = features.shape
        # their corners exist in pydensecrf, and let the exchange through
        filling = np.zeros((-number % BLOCK, dim), np.float32)
        points = np.concatenate([features.astype(np.float32), filling])
        nearest, rank, weights = _simplices(np.ascontiguousarray(points.T))
        codes, steps = _corner_codes(nearest, rank)
        corners, places = np.unique(codes.ravel(), return_inverse=True)
        places = places.reshape(codes.shape)[:, :number]
        self._size = len(corners)
        begins = np.arange(0, number * (dim + 1) + 1, dim + 1)
        entries = np.ascontiguousarray(weights[:, :number].T).ravel()
        columns = np.ascontiguousarray(places.T).ravel()
        shape = number, self._size
        self._gather = sparse.csr_matrix((entries, columns, begins), shape)
        self._spread = self._gather.T.tocsr()
        self._neighbours = [_neighbours(corners, step) for step in steps]
        self._scale = np.float32(1 / (1 + 2.0**-dim))

    def filter(self, values: np.ndarray) -> np.ndarray:
        """Return the weighted sums (N, K) of float32 values (N, K).

        The weights are about those of ``exp(-|f_i - f_j|² / 2)``, but for a common
        factor (0.88 in two dimensions), which the CRF's normalisation cancels.
        """
        grid = np.zeros((self._size + 1, values.shape[1]), np.float32)
        grid[:-1] = self._spread @ values
        for before, after in self._neighbours:
            # the last row stands for corners that do not exist, and stays 0
            # several times faster than an index in brackets
            both = np.take(grid, before, 0)
            both += np.take(grid, after, 0)
            both *= np.float32(0.5)
            grid[:-1] += both
        found = self._gather @ grid[:-1]
        found *= self._scale
        return found


def _elevate(points: np.ndarray) -> np.ndarray:
    """Place points (d, N) on the plane of zero sum in d + 1 dimensions."""
    dim = len(points)
    deviation = np.float64(np.float32(np.sqrt(2 / 3) * (dim + 1)))
    elevated = np.empty((dim + 1, points.shape[1]), np.float32)
    total = np.zeros(points.shape[1], np.float32)
    for i in range(dim, 0, -1):
        scaled = points[i - 1] * np.float32(1 / np.sqrt((i + 1) * i) * deviation)
        elevated[i] = total - np.float32(i) * scaled
        total += scaled
    elevated[0] = total
    return elevated


def _simplices(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the simplex around each point (d, N).

    Returns:
        Its corner of remainder 0 (d + 1, N), the order of the point's coordinates
        relative to it (d + 1, N), and the barycentric weights of the corners of
        remainder 0…d (d + 1, N).
    """
    elevated = _elevate(points)
    corners = np.float32(len(elevated))
    inverse = np.float32(1) / corners
    nearest = np.rint(elevated * inverse)
    surplus = nearest.sum(0)
    nearest *= corners
    rest = elevated - nearest
    rank = np.zeros_like(rest)
    for i in range(len(rest)):
        for j in range(i + 1, len(rest)):
            smaller = rest[i] < rest[j]
            rank[i] += smaller
            rank[j] += ~smaller
    # rounding may leave the plane; the coordinates that moved most move back
    rank += surplus
    move = corners * ((rank < 0).astype(np.float32) - (rank >= corners))
    rank += move
    nearest += move
    ranks = rank.astype(np.int64)
    by_rank = np.empty_like(rest)
    np.put_along_axis(by_rank, ranks, (elevated - nearest) * inverse, 0)
    weights = np.empty_like(rest)
    weights[0] = by_rank[-1] + (1 - by_rank[0])
    weights[1:] = by_rank[-2::-1] - by_rank[:0:-1]
    return nearest.astype(np.int64), ranks, weights


def _corner_codes(
    nearest: np.ndarray, rank: np.ndarray
) -> tuple[np.ndarray, list[np.int64]]:
    """Number the corners of all simplices, equal corners equally.

    A code is linear in the corner's coordinates, so that the neighbours along one
    direction are a constant step apart.

    Args:
        nearest: Corners of remainder 0 (d + 1, N).
        rank: (d + 1, N).

    Returns:
        Codes of the corners of remainder 0…d (d + 1, N), and the step of each of the
        d + 1 directions.
    """
    corners = len(nearest)
    dim = corners - 1
    # coordinates of one corner are equal modulo d + 1; the last follows from the rest
    base = np.concatenate([nearest[:1], (nearest[1:dim] - nearest[0]) // corners])
    least, most = base.min(1) - 2 * corners, base.max(1) + 2 * corners
    ranges = [int(n) for n in most - least + 1]
    strides = [1]
    for span in ranges[:-1]:
        strides.append(strides[-1] * span)
    if strides[-1] * ranges[-1] >= 2**63:
        raise ValueError(
            f'the lattice of {dim} dimensions is too fine for its keys: take a larger '
            'sxy or srgb'
        )
    weight = np.array(strides)

    def encode(first: np.ndarray, steps: np.ndarray) -> np.ndarray:
        return first * weight[0] + np.tensordot(weight[1:], steps, 1)

    origin = encode(base[0] - least[0], base[1:] - least[1:, None])
    codes = np.empty_like(nearest)
    for remainder in range(corners):
        # the coordinates of the smallest rest go down by d + 1
        down = (rank[:dim] > dim - remainder).astype(np.int64)
        first = remainder - corners * down[0]
        codes[remainder] = origin + encode(first, down[0] - down[1:])
    steps = []
    for axis in range(corners):
        down = np.zeros((dim, 1), np.int64)
        down[axis:] = np.arange(axis, dim)[:, None] == axis
        steps.append(encode(1 - corners * down[0], down[0] - down[1:])[0])
    return codes, steps


def _neighbours(corners: np.ndarray, step: np.int64) -> tuple[np.ndarray, np.ndarray]:
    """Find the corners one step before and after each; the last row for those absent.

    Args:
        corners: Sorted codes (M,).
        step: Difference of the neighbours' codes.
    """
    number = len(corners)
    after = np.searchsorted(corners, corners + step).clip(max=number - 1)
    there = np.flatnonzero(corners[after] == corners + step)
    forward = np.full(number, number)
    backward = np.full(number, number)
    forward[there] = after[there]
    backward[after[there]] = there
    return backward, forward
