"""The strong photometric view of the field's consistency methods."""

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from torchvision.transforms import functional as F

from mmsemi.checks import check_range
from mmsemi.registry import TRANSFORMS


@TRANSFORMS.register_module()
class StrongPhotometric(BaseTransform):
    """Colour jitter, random greyscale and Gaussian blur, as in ST++ and UniMatch.

    The geometry stays as it is, so that a teacher's label of the weak view
    fits the strong view pixel by pixel. The operations are torchvision's, on
    the BGR image that mmcv loads.

    Args:
        brightness: Factor drawn from [1 - b, 1 + b]. Defaults to 0.5.
        contrast: As brightness. Defaults to 0.5.
        saturation: As brightness. Defaults to 0.5.
        hue: Shift drawn from [-hue, hue], in turns of the colour circle, at
            most 0.5. Defaults to 0.25.
        jitter_prob: Probability of the four above. Defaults to 0.8.
        gray_prob: Probability of greyscale. Defaults to 0.2.
        blur_prob: Probability of blur. Defaults to 0.5.
        blur_sigma: Range of its sigma in pixels. Defaults to (0.1, 2).
    """

    def __init__(
        self,
        brightness: float = 0.5,
        contrast: float = 0.5,
        saturation: float = 0.5,
        hue: float = 0.25,
        jitter_prob: float = 0.8,
        gray_prob: float = 0.2,
        blur_prob: float = 0.5,
        blur_sigma: tuple[float, float] = (0.1, 2.0),
    ) -> None:
        probs = dict(jitter_prob=jitter_prob, gray_prob=gray_prob, blur_prob=blur_prob)
        jitter = dict(brightness=brightness, contrast=contrast, saturation=saturation)
        check_range('[0, 1]', 'StrongPhotometric', **probs)
        check_range('[0, inf)', 'StrongPhotometric', **jitter)
        check_range('[0, 0.5]', 'StrongPhotometric', hue=hue)
        check_range('(0, inf)', 'StrongPhotometric', blur_sigma=blur_sigma)
        self.brightness = brightness
        self.contrast = contrast
        self.saturation = saturation
        self.hue = hue
        self.jitter_prob = jitter_prob
        self.gray_prob = gray_prob
        self.blur_prob = blur_prob
        self.blur_sigma = blur_sigma

    def transform(self, results: dict) -> dict:
        """Change ``img``, (H, W, 3) uint8 BGR.

        Raises:
            ValueError: If it is anything else.
        """
        array = results['img']
        if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
            raise ValueError(
                'StrongPhotometric needs an image of (H, W, 3) uint8, got '
                f'{array.shape} {array.dtype} from {results.get("img_path")}: load '
                "it with dict(type='LoadImageFromFile'), without to_float32"
            )
        rgb = np.ascontiguousarray(array[..., ::-1].transpose(2, 0, 1))
        image = torch.from_numpy(rgb)
        if np.random.random() < self.jitter_prob:
            image = self._jitter(image)
        if np.random.random() < self.gray_prob:
            image = F.rgb_to_grayscale(image, num_output_channels=3)
        if np.random.random() < self.blur_prob:
            sigma = float(np.random.uniform(*self.blur_sigma))
            # three sigma on each side hold the kernel's mass
            size = 2 * max(1, round(3 * sigma)) + 1
            limit = min(image.shape[-2:])
            size = min(size, limit - 1 + limit % 2)
            image = F.gaussian_blur(image, [size, size], [sigma, sigma])
        results['img'] = np.ascontiguousarray(
            image.numpy().transpose(1, 2, 0)[..., ::-1]
        )
        return results

    def _jitter(self, image: torch.Tensor) -> torch.Tensor:
        """Apply the four colour operations in random order."""
        steps = [
            (F.adjust_brightness, 1, self.brightness),
            (F.adjust_contrast, 1, self.contrast),
            (F.adjust_saturation, 1, self.saturation),
            (F.adjust_hue, 0, self.hue),
        ]
        for i in np.random.permutation(len(steps)):
            operation, centre, spread = steps[i]
            low = max(centre - spread, 0) if centre else -spread
            image = operation(image, float(np.random.uniform(low, centre + spread)))
        return image
