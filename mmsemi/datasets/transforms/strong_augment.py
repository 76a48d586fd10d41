"""The strong augmentation of labelled images, colours and geometry."""

from collections.abc import Callable, Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from PIL import Image, ImageEnhance, ImageOps

from mmsemi.checks import check_range
from mmsemi.registry import TRANSFORMS

IMAGENET_MEAN = (124, 116, 104)
NEAREST, BICUBIC = Image.Resampling.NEAREST, Image.Resampling.BICUBIC
Photometric = Callable[[Image.Image], Image.Image]


def _uniform(low: float, high: float) -> float:
    return float(np.random.uniform(low, high))


def _blend(changed: Image.Image, image: Image.Image, share: float) -> Image.Image:
    """Mix, or exaggerate where ``share``, that of the unchanged image, is above 1."""
    return Image.blend(changed, image, share)


def auto_contrast(image: Image.Image) -> Image.Image:
    """Stretch each channel to 0…255, mixed with the image."""
    return _blend(ImageOps.autocontrast(image), image, _uniform(0, 1))


def brightness(image: Image.Image) -> Image.Image:
    """Multiply by 0.5…1.5."""
    return ImageEnhance.Brightness(image).enhance(_uniform(0.5, 1.5))


def color(image: Image.Image) -> Image.Image:
    """Saturate by 0.5…1.5."""
    return ImageEnhance.Color(image).enhance(_uniform(0.5, 1.5))


def contrast(image: Image.Image) -> Image.Image:
    """Spread around the mean grey by 0.5…1.5."""
    return ImageEnhance.Contrast(image).enhance(_uniform(0.5, 1.5))


def equalize(image: Image.Image) -> Image.Image:
    """Equalise each channel's histogram, mixed with the image."""
    return _blend(ImageOps.equalize(image), image, _uniform(0.5, 1.5))


def invert(image: Image.Image) -> Image.Image:
    """Take the negative, mixed with the image."""
    return _blend(ImageOps.invert(image), image, _uniform(0, 1))


def posterize(image: Image.Image) -> Image.Image:
    """Keep the 1…8 highest bits."""
    return ImageOps.posterize(image, int(np.random.randint(1, 9)))


def sharpness(image: Image.Image) -> Image.Image:
    """Blur: 0 the most, 1 not at all."""
    return ImageEnhance.Sharpness(image).enhance(_uniform(0, 1))


def solarize(image: Image.Image) -> Image.Image:
    """Take the negative of what is above a threshold in 0…255."""
    return ImageOps.solarize(image, int(_uniform(0, 255)))


PHOTOMETRIC: tuple[Photometric, ...] = (
    auto_contrast,
    brightness,
    color,
    contrast,
    equalize,
    invert,
    posterize,
    sharpness,
    solarize,
)


@TRANSFORMS.register_module()
class StrongAugment(BaseTransform):
    """Some photometric and some geometric operations, as LPL augments labelled images.

    m, uniform in 0…``num_ops``, photometric operations and then ``num_ops`` - m
    geometric ones, each kind drawn with replacement. Photometric: auto contrast,
    brightness, colour, contrast, equalise, invert, posterise, sharpness, solarise.
    Geometric: scale by 0.5…2, mirror every second time, shear both axes by -0.3…0.3
    and rotate by whole degrees in -45…45, both about the centre. The operations are
    Pillow's; images are interpolated by cubic splines, labels by the nearest pixel.

    The size of the image may change: let ``RandomCrop`` follow. As geometry moves, it
    is no view of consistency methods (for these, :class:`StrongPhotometric`).

    Args:
        num_ops: Operations for each image. Defaults to 2.
        fill: RGB colour outside of the image. Defaults to ImageNet's mean.
        ignore_index: Label outside of the image. Defaults to 255.

    Raises:
        ValueError: ``num_ops`` is below 0.
    """

    def __init__(
        self,
        num_ops: int = 2,
        fill: Sequence[int] = IMAGENET_MEAN,
        ignore_index: int = 255,
    ) -> None:
        check_range('[0, inf)', 'StrongAugment', num_ops=num_ops)
        self.num_ops = num_ops
        self.fill = tuple(fill)
        self.ignore_index = ignore_index
        self.geometric = (self._scale, self._mirror, self._shear, self._rotate)

    def transform(self, results: dict) -> dict:
        """Change ``img``, (H, W, 3) uint8 BGR, and the label maps, (H, W) uint8.

        Raises:
            ValueError: They are anything else, or there are boxes.
        """
        self._check(results)
        number = np.random.randint(self.num_ops + 1)
        image = Image.fromarray(np.ascontiguousarray(results['img'][..., ::-1]))
        for index in np.random.randint(len(PHOTOMETRIC), size=number):
            image = PHOTOMETRIC[index](image)
        fields = results.get('seg_fields', [])
        maps = [Image.fromarray(results[name]) for name in fields]
        for index in np.random.randint(len(self.geometric), size=self.num_ops - number):
            image, *maps = self.geometric[index](image, *maps)
        results['img'] = np.ascontiguousarray(np.asarray(image)[..., ::-1])
        results['img_shape'] = results['img'].shape[:2]
        for name, changed in zip(fields, maps, strict=True):
            results[name] = np.array(changed)
        return results

    def _scale(self, image: Image.Image, *maps: Image.Image) -> list[Image.Image]:
        factor = _uniform(0.5, 2)
        width, height = (max(round(side * factor), 1) for side in image.size)
        return [
            image.resize((width, height), BICUBIC),
            *(label.resize((width, height), NEAREST) for label in maps),
        ]

    def _mirror(self, *pictures: Image.Image) -> list[Image.Image]:
        if np.random.random() < 0.5:
            return list(pictures)
        return [ImageOps.mirror(picture) for picture in pictures]

    def _shear(self, image: Image.Image, *maps: Image.Image) -> list[Image.Image]:
        x, y = _uniform(-0.3, 0.3), _uniform(-0.3, 0.3)
        width, height = image.size
        # where each pixel comes from; the centre stays
        source = (1, x, -x * height / 2, y, 1, -y * width / 2)
        affine = Image.Transform.AFFINE
        return [
            image.transform(image.size, affine, source, BICUBIC, fillcolor=self.fill),
            *(
                label.transform(
                    image.size, affine, source, NEAREST, fillcolor=self.ignore_index
                )
                for label in maps
            ),
        ]

    def _rotate(self, image: Image.Image, *maps: Image.Image) -> list[Image.Image]:
        angle = int(np.random.randint(-45, 46))
        return [
            image.rotate(angle, BICUBIC, fillcolor=self.fill),
            *(
                label.rotate(angle, NEAREST, fillcolor=self.ignore_index)
                for label in maps
            ),
        ]

    @staticmethod
    def _check(results: dict) -> None:
        image, path = results['img'], results.get('img_path')
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(
                'StrongAugment needs an image of (H, W, 3) uint8, got '
                f'{image.shape} {image.dtype} from {path}: load it with '
                "dict(type='LoadImageFromFile'), without to_float32"
            )
        for name in results.get('seg_fields', []):
            label = results[name]
            if label.dtype != np.uint8 or label.shape != image.shape[:2]:
                raise ValueError(
                    f'StrongAugment needs {name} of {image.shape[:2]} uint8, as the '
                    f'image {path}, got {label.shape} {label.dtype}'
                )
        if 'gt_bboxes' in results:
            raise ValueError(
                f'StrongAugment does not move the boxes of {path}: use it without '
                'LoadBoxes'
            )

    def __repr__(self) -> str:
        return f'{type(self).__name__}(num_ops={self.num_ops})'
