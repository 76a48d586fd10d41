"""Draw the pictures of ToyVOC: a class is a shape together with a texture.

Every shape and every texture belongs to two classes, and both appear in the background
too (a disc of another texture, stripes of another shape), so neither cue alone
suffices. Colour says nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

KINDS = (
    ('disc', 'stripes'),
    ('disc', 'dots'),
    ('box', 'dots'),
    ('box', 'checks'),
    ('star', 'checks'),
    ('star', 'stripes'),
)
DECOYS = (
    *(('disc', 'grain'), ('box', 'grain'), ('star', 'grain')),
    *(('disc', 'plain'), ('box', 'plain'), ('star', 'plain')),
    *(('blob', 'stripes'), ('blob', 'dots'), ('blob', 'checks')),
    *(('ring', 'stripes'), ('ring', 'dots'), ('ring', 'checks')),
)
VOID = 255
# fewer pixels, or a smaller share of the whole object, cannot be recognised
MIN_VISIBLE_PIXELS, MIN_VISIBLE_SHARE = 20, 0.2


@dataclass(frozen=True)
class ToyObject:
    """One visible object.

    Attributes:
        label: Class 1...C.
        box: Extent of its pixels in ``instances``, half-open ``(x1, y1, x2, y2)``.
        truncated: Whether the picture's edge or another object hides part of it.
    """

    label: int
    box: tuple[int, int, int, int]
    truncated: bool


@dataclass(frozen=True)
class ToyImage:
    """A picture with all of its annotations.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) uint8, class of each pixel, 255 void.
        instances: (H, W) uint8, 1...N for ``objects``, 0 background, 255 void.
        objects: The N objects, back to front.
    """

    image: np.ndarray
    mask: np.ndarray
    instances: np.ndarray
    objects: tuple[ToyObject, ...]


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
        kind: disc, box, star, ring or blob.
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
        corner = rng.uniform(6, 12)
        return (np.abs(u) ** corner + np.abs(v) ** corner) ** (1 / corner) - 0.88
    angle = np.arctan2(v, u)
    if kind == 'star':
        lobes, depth = rng.integers(4, 7), rng.uniform(0.28, 0.4)
        return (radius - 0.9 - depth * np.cos(lobes * angle)) * 0.6
    if kind == 'ring':
        return np.abs(radius - 0.8) - rng.uniform(0.2, 0.3)
    edge = 0.8 + sum(
        rng.uniform(0.1, 0.25) * np.cos(k * angle + rng.uniform(0, 2 * np.pi))
        for k in (1, 2, 3)
    )
    return (radius - edge) * 0.8


def texture(kind: str, x: np.ndarray, y: np.ndarray, rng: Generator) -> np.ndarray:
    """Return the (H, W) share, 0...1, of a texture's second colour at each pixel.

    Args:
        kind: stripes, dots, checks, grain or plain.
        x: (H, W) column of each pixel.
        y: (H, W) row of each pixel.
        rng: Draws scale, direction, phase and irregularity.
    """
    period = rng.uniform(6, 12)
    angle, wobble = rng.uniform(0, np.pi), rng.uniform(0, 0.25)
    shape = (x.shape[0], x.shape[1])
    cos, sin = np.cos(angle) / period, np.sin(angle) / period
    phase = rng.uniform(0, 1, 2)
    a = x * cos + y * sin + phase[0] + wobble * smooth_noise(rng, shape, 4)
    b = y * cos - x * sin + phase[1] + wobble * smooth_noise(rng, shape, 4)
    a, b = 2 * np.pi * a, 2 * np.pi * b
    waves: dict[str, Callable[[], np.ndarray]] = {
        'stripes': lambda: np.sin(a) + rng.uniform(-0.3, 0.3),
        'dots': lambda: np.cos(a) + np.cos(b) - rng.uniform(0.5, 0.9),
        'checks': lambda: 2 * np.sin(0.75 * a) * np.sin(0.75 * b),
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
        image += share * (colours[1] - colours[0]) * rng.uniform(0.1, 0.5)
    kind = rng.choice(['stripes', 'dots', 'checks', 'grain', 'plain'])
    colours = two_colours(rng, 0.0)
    share = texture(kind, x, y, rng)[..., None] - 0.5
    image += share * (colours[1] - colours[0]) * rng.uniform(0, 0.4)
    return np.clip(image, 0, 1)


def coverage(kind: str, x: np.ndarray, y: np.ndarray, rng: Generator) -> np.ndarray:
    """Place a shape at random and return its (H, W) opacity, 0...1."""
    height, width = x.shape
    size = rng.uniform(0.2, 0.32) * min(height, width)
    aspect = np.exp(rng.uniform(-0.3, 0.3))
    centre = rng.uniform(0.1, 0.9, 2) * (width, height)
    angle, shear = rng.uniform(0, 2 * np.pi), rng.uniform(-0.2, 0.2)
    cos, sin = np.cos(angle) / size, np.sin(angle) / size
    dx, dy = x - centre[0], y - centre[1]
    bend = rng.uniform(0, 0.08)
    u = (dx * cos + dy * sin) * aspect + bend * smooth_noise(rng, x.shape, 4)
    v = (dy * cos - dx * sin) / aspect + bend * smooth_noise(rng, x.shape, 4)
    return np.clip(0.5 - shape_distance(kind, u + shear * v, v, rng) * size, 0, 1)


def photograph(rng: Generator, image: np.ndarray) -> np.ndarray:
    """Add light, blur and noise to (H, W, 3) in 0...1; return it as uint8."""
    shape = (image.shape[0], image.shape[1])
    light = rng.uniform(0.75, 1.15) + rng.uniform(0, 0.2) * smooth_noise(rng, shape, 1)
    tint = rng.uniform(0.8, 1.2, 3)
    image = image * np.clip(light, 0.25, 1.6)[..., None] * tint
    sigma = rng.uniform(0.0, 1.1)
    if sigma > 0.3:
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    image = image + rng.uniform(0.0, 0.05) * rng.standard_normal(image.shape)
    return (np.clip(image, 0, 1) * 255).round().astype(np.uint8)


def outline(depth: np.ndarray, is_object: np.ndarray) -> np.ndarray:
    """Find the pixels that touch something in front of them, (H, W) bool.

    Args:
        depth: (H, W) number of the topmost thing, larger is nearer.
        is_object: (number of things,) bool; edges between two others do not count.
    """
    padded = np.pad(depth, 1, mode='edge')
    edge = np.zeros(depth.shape, dtype=bool)
    for near in (
        padded[:-2, 1:-1],
        padded[2:, 1:-1],
        padded[1:-1, :-2],
        padded[1:-1, 2:],
    ):
        edge |= (near > depth) & (is_object[near] | is_object[depth])
    return edge


def annotate(
    depth: np.ndarray, labels: list[int], areas: list[int]
) -> tuple[np.ndarray, np.ndarray, tuple[ToyObject, ...]]:
    """Turn the topmost thing of each pixel into masks and boxes.

    Args:
        depth: (H, W) number of the topmost thing, 0 the background.
        labels: Class of each thing, 0 for a decoy; the background is the first.
        areas: Pixels of each thing if nothing hid it inside the picture.

    Returns:
        ``mask``, ``instances`` and ``objects`` of :class:`ToyImage`.
    """
    mask = np.array(labels, dtype=np.uint8)[depth]
    instances = np.zeros_like(mask)
    void = outline(depth, np.array(labels) > 0)
    objects = []
    for thing in np.flatnonzero(labels):
        visible = (depth == thing) & ~void
        if visible.sum() < max(MIN_VISIBLE_PIXELS, MIN_VISIBLE_SHARE * areas[thing]):
            void |= depth == thing
            continue
        rows, columns = np.nonzero(visible)
        box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        height, width = depth.shape
        cut = box[0] == 0 or box[1] == 0 or box[2] == width or box[3] == height
        hidden = (depth == thing).sum() < 0.95 * areas[thing]
        x1, y1, x2, y2 = (int(side) for side in box)
        objects.append(ToyObject(labels[thing], (x1, y1, x2, y2), bool(cut or hidden)))
        instances[visible] = len(objects)
    mask[void], instances[void] = VOID, VOID
    return mask, instances, tuple(objects)


def draw(rng: Generator) -> ToyImage:
    """Draw one picture, 96 to 128 pixels a side, with one to four objects."""
    height, width = (int(side) for side in rng.integers(96, 129, 2))
    y, x = np.mgrid[:height, :width].astype(np.float32)
    wanted = [int(label) for label in rng.integers(1, len(KINDS) + 1, rng.integers(4))]
    wanted += [0] * int(rng.integers(0, 3))
    # an object in front, so that no picture is empty
    last = int(rng.integers(1, len(KINDS) + 1))
    labels = [0, *(int(label) for label in rng.permutation(wanted)), last]
    image = background(rng, x, y)
    depth, areas = np.zeros((height, width), dtype=np.int64), [0]
    for thing, label in enumerate(labels[1:], start=1):
        shape, surface = KINDS[label - 1] if label else rng.choice(DECOYS)
        alpha = coverage(shape, x, y, rng)
        colours = two_colours(rng, 0.3)
        share = texture(surface, x, y, rng)[..., None]
        paint = colours[0] + share * (colours[1] - colours[0])
        image += alpha[..., None] * (paint - image)
        depth[alpha >= 0.5] = thing
        areas.append(int((alpha >= 0.5).sum()))
    return ToyImage(photograph(rng, image), *annotate(depth, labels, areas))
