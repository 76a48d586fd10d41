"""Draw the pictures of ToyVOC: a class is a shape together with a texture.

Every shape and every texture belongs to two classes, and both appear in the background
too (a disc of another texture, stripes of another shape), so neither cue alone
suffices. Colour says nothing.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator

from .annotations import ToyImage, annotate

KINDS = (
    ('disc', 'stripes'),
    ('disc', 'dots'),
    ('ring', 'dots'),
    ('ring', 'checks'),
    ('star', 'checks'),
    ('star', 'stripes'),
)
DECOYS = (
    *(('disc', 'grain'), ('ring', 'grain'), ('star', 'grain')),
    *(('disc', 'plain'), ('ring', 'plain'), ('star', 'plain')),
    *(('triangle', 'stripes'), ('triangle', 'dots'), ('triangle', 'checks')),
    *(('box', 'stripes'), ('box', 'dots'), ('box', 'checks')),
)


def smooth_noise(rng: Generator, shape: tuple[int, int], cells: float) -> np.ndarray:
    """Return (H, W) noise of about unit size with ``cells`` bumps along a side."""
    n = max(2, round(cells) + 1)
    coarse = rng.standard_normal((n, n)).astype(np.float32)
    return cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)


def shape_distance(
    kind: str, u: np.ndarray, v: np.ndarray, rng: Generator
) -> np.ndarray:
    """Return how far each point lies outside of a shape of radius about 1.

    Args:
        kind: disc, box, star, ring or triangle.
        u: (H, W) first coordinate in the frame of the shape.
        v: (H, W) second coordinate.
        rng: Draws the shape's own parameters.

    Returns:
        (H, W) float32, negative inside, with a slope of about 1 at the border.
    """
    radius = np.hypot(u, v)
    if kind == 'disc':
        return radius - 1
    if kind == 'box':
        corner = rng.uniform(10, 20)
        return (np.abs(u) ** corner + np.abs(v) ** corner) ** (1 / corner) - 0.85
    angle = np.arctan2(v, u)
    if kind == 'star':
        lobes, depth = rng.integers(4, 6), rng.uniform(0.4, 0.5)
        return (radius - 0.9 - depth * np.cos(lobes * angle)) * 0.6
    if kind == 'ring':
        return np.abs(radius - 0.75) - rng.uniform(0.28, 0.36)
    corners = np.pi * np.array([0, 2, 4]) / 3
    return np.max([u * np.cos(c) + v * np.sin(c) for c in corners], axis=0) - 0.6


def texture(kind: str, x: np.ndarray, y: np.ndarray, rng: Generator) -> np.ndarray:
    """Return the (H, W) share, 0...1, of a texture's second colour at each pixel.

    Args:
        kind: stripes, dots, checks, grain or plain.
        x: (H, W) column of each pixel.
        y: (H, W) row of each pixel.
        rng: Draws scale, direction, phase and irregularity.
    """
    period = rng.uniform(10, 13)
    angle, wobble = rng.uniform(0, np.pi), rng.uniform(0, 0.05)
    shape = (x.shape[0], x.shape[1])
    cos, sin = np.cos(angle) / period, np.sin(angle) / period
    phase = rng.uniform(0, 1, 2)
    a = x * cos + y * sin + phase[0] + wobble * smooth_noise(rng, shape, 4)
    b = y * cos - x * sin + phase[1] + wobble * smooth_noise(rng, shape, 4)
    a, b = 2 * np.pi * a, 2 * np.pi * b
    waves: dict[str, Callable[[], np.ndarray]] = {
        'stripes': lambda: np.sin(a),
        'dots': lambda: 1.5 * (np.cos(a) + np.cos(b)) - 1.5,
        'checks': lambda: 2 * np.sin(0.6 * a) * np.sin(0.6 * b),
        'grain': lambda: smooth_noise(rng, shape, 2.5 * max(shape) / period),
        'plain': lambda: 0.3 * smooth_noise(rng, shape, 3),
    }
    return np.clip(0.5 + waves[kind](), 0, 1)


def two_colours(rng: Generator, contrast: float) -> np.ndarray:
    """Draw (2, 3) RGB colours, 0...1, whose brightness differs by ``contrast``."""
    while True:
        colours = rng.uniform(0.05, 0.95, (2, 3))
        if abs(np.diff(colours.mean(1))[0]) >= contrast:
            return colours


def background(rng: Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Paint (H, W, 3) clutter: a gradient, coarse patches and a faint texture."""
    shape = (x.shape[0], x.shape[1])
    image = np.zeros((*shape, 3), dtype=np.float32)
    image += two_colours(rng, 0.0)[0]
    for cells in (rng.uniform(1, 3), rng.uniform(4, 8), rng.uniform(10, 20)):
        colours = two_colours(rng, 0.0)
        share = np.clip(0.5 * smooth_noise(rng, shape, cells), -1, 1)[..., None]
        image += share * (colours[1] - colours[0]) * rng.uniform(0.1, 0.3)
    kind = rng.choice(['stripes', 'dots', 'checks', 'grain', 'plain'])
    colours = two_colours(rng, 0.0)
    share = texture(kind, x, y, rng)[..., None] - 0.5
    image += share * (colours[1] - colours[0]) * rng.uniform(0, 0.3)
    return np.clip(image, 0, 1)


def free_place(
    rng: Generator, shape: tuple[int, int], taken: list[np.ndarray]
) -> np.ndarray:
    """Return the one of a few random points that is furthest from those ``taken``."""
    points = rng.uniform(0.1, 0.9, (3, 2)) * shape[::-1]
    gaps = [min((np.hypot(*(p - t)) for t in taken), default=0.0) for p in points]
    return points[int(np.argmax(gaps))]


def coverage(
    kind: str, centre: np.ndarray, x: np.ndarray, y: np.ndarray, rng: Generator
) -> np.ndarray:
    """Return the (H, W) opacity, 0...1, of a shape of random size and pose."""
    size = rng.uniform(0.26, 0.4) * min(x.shape)
    aspect = np.exp(rng.uniform(-0.2, 0.2))
    angle, shear = rng.uniform(0, 2 * np.pi), rng.uniform(-0.15, 0.15)
    cos, sin = np.cos(angle) / size, np.sin(angle) / size
    dx, dy = x - centre[0], y - centre[1]
    bend = rng.uniform(0, 0.04)
    u = (dx * cos + dy * sin) * aspect + bend * smooth_noise(rng, x.shape, 4)
    v = (dy * cos - dx * sin) / aspect + bend * smooth_noise(rng, x.shape, 4)
    return np.clip(0.5 - shape_distance(kind, u + shear * v, v, rng) * size, 0, 1)


def photograph(rng: Generator, image: np.ndarray) -> np.ndarray:
    """Add light, blur and noise to (H, W, 3) in 0...1; return it as uint8."""
    shape = (image.shape[0], image.shape[1])
    light = rng.uniform(0.75, 1.15) + rng.uniform(0, 0.2) * smooth_noise(rng, shape, 1)
    tint = rng.uniform(0.8, 1.2, 3)
    image = image * np.clip(light, 0.25, 1.6)[..., None] * tint
    sigma = rng.uniform(0.0, 0.9)
    if sigma > 0.3:
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    image = image + rng.uniform(0.0, 0.05) * rng.standard_normal(image.shape)
    return (np.clip(image, 0, 1) * 255).round().astype(np.uint8)


def draw(rng: Generator) -> ToyImage:
    """Draw one picture, 96 to 128 pixels a side, with one to three objects."""
    height, width = (int(side) for side in rng.integers(96, 129, 2))
    y, x = np.mgrid[:height, :width].astype(np.float32)
    wanted = [int(label) for label in rng.integers(1, len(KINDS) + 1, rng.integers(3))]
    wanted += [0] * int(rng.integers(0, 2))
    # an object in front, so that no picture is empty
    last = int(rng.integers(1, len(KINDS) + 1))
    labels = [0, *(int(label) for label in rng.permutation(wanted)), last]
    image = background(rng, x, y)
    depth, areas = np.zeros((height, width), dtype=np.int64), [0]
    taken: list[np.ndarray] = []
    for thing, label in enumerate(labels[1:], start=1):
        shape, surface = (
            KINDS[label - 1] if label else DECOYS[rng.integers(len(DECOYS))]
        )
        taken.append(free_place(rng, (height, width), taken))
        alpha = coverage(shape, taken[-1], x, y, rng)
        colours = two_colours(rng, 0.6)
        share = texture(surface, x, y, rng)[..., None]
        paint = colours[0] + share * (colours[1] - colours[0])
        image += alpha[..., None] * (paint - image)
        depth[alpha >= 0.5] = thing
        areas.append(int((alpha >= 0.5).sum()))
    return ToyImage(photograph(rng, image), *annotate(depth, labels, areas))
