"""Seconds that the random walk and the dense CRF take for an image, in one run.

The walk is compared with the original's way, which squares the whole matrix, and the
CRF with pydensecrf where it is installed. All take turns, and each is measured by the
least of some repeats. The differences of their results are printed too.
"""

import argparse
import time
from collections.abc import Callable, Mapping

import cv2
import numpy as np
import torch
from torch import Tensor

from mmsemi.models.utils.affinity import affinity_matrix, random_walk
from mmsemi.models.utils.dense_crf import dense_crf, has_pydensecrf

SETTINGS: dict[str, dict] = {
    'PSA, 3 labels': dict(labels=3, iterations=10),
    'PSA, 21 labels': dict(labels=21, iterations=10),
    'AVC at test, 21 labels': dict(
        labels=21, iterations=3, gauss=(3, 7), bilateral=(60, 3, 8)
    ),
}
STRIDE = 8


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--size', type=int, nargs=2, default=(375, 500), metavar=('HEIGHT', 'WIDTH')
    )
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument('--image', help='a photograph; by default a drawn image')
    parser.add_argument('--beta', type=float, default=14)
    parser.add_argument('--log-t', type=int, default=7)
    return parser.parse_args()


def read_image(args: argparse.Namespace) -> np.ndarray:
    """Return an RGB image of the size."""
    height, width = args.size
    if args.image:
        found = cv2.imread(args.image)
        if found is None:
            raise SystemExit(f'{args.image} cannot be read: give a photograph')
        rgb = cv2.cvtColor(found, cv2.COLOR_BGR2RGB)
        return cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (height // 20, width // 20, 3), dtype=np.uint8)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    noisy = smooth.astype(int) + rng.integers(-6, 7, smooth.shape)
    return noisy.clip(0, 255).astype(np.uint8)


def draw_scores(labels: int, size: tuple[int, int]) -> np.ndarray:
    """Return smooth probabilities (labels, H, W)."""
    rng = np.random.default_rng(labels)
    coarse = 3 * rng.normal(size=(size[0] // 30, size[1] // 30, labels))
    maps = [cv2.resize(c, (size[1], size[0])) for c in coarse.transpose(2, 0, 1)]
    prob = torch.tensor(np.stack(maps), dtype=torch.float32).softmax(0)
    return prob.numpy()


def squared_walk(cam: Tensor, affinity: Tensor, beta: float, log_t: int) -> Tensor:
    """Walk as the original does: square the matrix, then multiply once."""
    walk = affinity**beta
    walk = walk / walk.sum(0, keepdim=True)
    for _ in range(log_t):
        walk = walk @ walk
    return (cam.flatten(1) @ walk).view(cam.shape)


def measure(ways: Mapping[str, Callable[[], np.ndarray]], repeats: int) -> None:
    """Run all in turns, and print the least time of each."""
    times: dict[str, list[float]] = {way: [] for way in ways}
    results = {}
    for _ in range(repeats):
        for way, call in ways.items():
            start = time.perf_counter()
            results[way] = call()
            times[way].append(time.perf_counter() - start)
    ours = next(iter(results.values()))
    for way, result in results.items():
        difference = np.abs(result - ours).max()
        print(
            f'{way:<44}{min(times[way]):>9.3f} s   largest difference {difference:.1e}'
        )


def main() -> None:
    """Measure and print."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    image, size = read_image(args), tuple(args.size)
    cells = -(-size[0] // STRIDE), -(-size[1] // STRIDE)
    generator = torch.Generator().manual_seed(0)
    feature = torch.randn(448, *cells, generator=generator).to(device)
    cam = torch.rand(3, *cells, generator=generator).to(device)
    affinity = affinity_matrix(feature, 5)
    walk = cam, affinity
    steps = dict(beta=args.beta, log_t=args.log_t)
    print(
        f'image of {size[0]} x {size[1]}, {cells[0]} x {cells[1]} cells, walk on '
        f'{device}, CRF on the CPU, {args.threads} threads, least of {args.repeats}'
    )
    ways: dict[str, Callable[[], np.ndarray]] = {
        'affinities of 448 channels': lambda: affinity_matrix(feature, 5).cpu().numpy()
    }
    measure(ways, args.repeats)
    ways = {
        'walk, ours': lambda: random_walk(*walk, **steps).cpu().numpy(),
        'walk, matrix squared': lambda: squared_walk(*walk, **steps).cpu().numpy(),
    }
    measure(ways, args.repeats)
    backends = ['numpy', 'pydensecrf'] if has_pydensecrf() else ['numpy']
    for name, settings in SETTINGS.items():
        options = dict(settings)
        prob = draw_scores(options.pop('labels'), size)
        ways = {
            f'CRF, {name}, {backend}': lambda p=prob, o=options, b=backend: dense_crf(
                image, p, backend=b, **o
            )
            for backend in backends
        }
        measure(ways, args.repeats)
    if len(backends) == 1:
        print('pydensecrf is not installed: pip install "mmsemi[crf]" compares with it')


if __name__ == '__main__':
    main()
