"""ResNet-38, the wide residual network of weak supervision."""

from collections.abc import Sequence

import torch
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmsemi.registry import MODELS

NORM = dict(type='BN', momentum=3e-4)
# name, channels (in, hidden, out), stride, dilation of the first and the second conv
BLOCKS: tuple[tuple[str, tuple[int, int, int], int, int, int], ...] = (
    ('b2', (64, 128, 128), 2, 1, 1),
    *((f'b2_{i}', (128, 128, 128), 1, 1, 1) for i in (1, 2)),
    ('b3', (128, 256, 256), 2, 1, 1),
    *((f'b3_{i}', (256, 256, 256), 1, 1, 1) for i in (1, 2)),
    ('b4', (256, 512, 512), 2, 1, 1),
    *((f'b4_{i}', (512, 512, 512), 1, 1, 1) for i in (1, 2, 3, 4, 5)),
    ('b5', (512, 512, 1024), 1, 1, 2),
    *((f'b5_{i}', (1024, 512, 1024), 1, 2, 2) for i in (1, 2)),
)
# name, channels (in, of the two hidden layers, out)
BOTTLENECKS = (
    ('b6', (1024, 512, 1024, 2048)),
    ('b7', (2048, 1024, 2048, 4096)),
)
NAMES = [name for name, *_ in BLOCKS] + [name for name, *_ in BOTTLENECKS]
FROZEN = (('conv1a', 'b2', 'b2_1', 'b2_2'), ('b3', 'b3_1', 'b3_2'))


def _conv(
    channels: int, out: int, size: int, stride: int = 1, rate: int = 1
) -> nn.Conv2d:
    """Make a convolution without bias that keeps the size at stride 1."""
    padding = rate * (size // 2)
    return nn.Conv2d(channels, out, size, stride, padding, rate, bias=False)


def _norm(norm_cfg: dict, channels: int) -> nn.Module:
    return build_norm_layer(norm_cfg, channels)[1]


class PreActBlock(nn.Module):
    """Two 3x3 convolutions, each behind a norm and a ReLU, and a shortcut.

    The shortcut is the input where the shape stays, else a 1x1 convolution of the
    normed input. Args: as the rows of ``BLOCKS``.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        stride: int,
        first_rate: int,
        rate: int,
        norm_cfg: dict,
    ) -> None:
        super().__init__()
        channels, hidden, out = sizes
        self.bn_branch2a = _norm(norm_cfg, channels)
        self.conv_branch2a = _conv(channels, hidden, 3, stride, first_rate)
        self.bn_branch2b1 = _norm(norm_cfg, hidden)
        self.conv_branch2b1 = _conv(hidden, out, 3, rate=rate)
        self.same_shape = channels == out and stride == 1
        if not self.same_shape:
            self.conv_branch1 = _conv(channels, out, 1, stride)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the output and the normed input (B, C, h, w)."""
        normed = self.bn_branch2a(x).relu()
        shortcut = x if self.same_shape else self.conv_branch1(normed)
        hidden = self.bn_branch2b1(self.conv_branch2a(normed)).relu()
        return self.conv_branch2b1(hidden) + shortcut, normed


class PreActBottleneck(nn.Module):
    """1x1, dilated 3x3 and 1x1 convolution, and a 1x1 convolution as the shortcut.

    Whole channels are dropped before the last two. Args: sizes as in
    ``BOTTLENECKS``, share of the channels dropped, norm.
    """

    def __init__(self, sizes: Sequence[int], dropout: float, norm_cfg: dict) -> None:
        super().__init__()
        channels, hidden, hidden2, out = sizes
        self.bn_branch2a = _norm(norm_cfg, channels)
        self.conv_branch2a = _conv(channels, hidden, 1)
        self.bn_branch2b1 = _norm(norm_cfg, hidden)
        self.dropout_2b1 = nn.Dropout2d(dropout)
        self.conv_branch2b1 = _conv(hidden, hidden2, 3, rate=4)
        self.bn_branch2b2 = _norm(norm_cfg, hidden2)
        self.dropout_2b2 = nn.Dropout2d(dropout)
        self.conv_branch2b2 = _conv(hidden2, out, 1)
        self.conv_branch1 = _conv(channels, out, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the output and the normed input (B, C, h, w)."""
        normed = self.bn_branch2a(x).relu()
        y = self.bn_branch2b1(self.conv_branch2a(normed)).relu()
        y = self.bn_branch2b2(self.conv_branch2b1(self.dropout_2b1(y))).relu()
        y = self.conv_branch2b2(self.dropout_2b2(y))
        return y + self.conv_branch1(normed), normed


@MODELS.register_module()
class ResNet38(BaseModule):
    """ResNet-38 with output stride 8, as PSA and its followers use it.

    `Wider or deeper <https://arxiv.org/abs/1611.10080>`_, model A1, with dilation
    instead of the last strides: pre-activation, no pooling behind the first
    convolution. Sizes are halved three times, rounded up (65 -> 9). Parameters have
    PSA's names, which ``tools/model_converters/resnet38_params.py`` gives to the
    public ImageNet file; at ``width=1`` they are 105.07 million.

    The published protocols differ in the norm. PSA, SEAM: ``norm_eval=True``,
    ``norm_cfg.requires_grad=False``, ``frozen_stages=1``. DeepLabV1 on it, as released
    with AVC: ``norm_eval=False``, ``norm_cfg.requires_grad=False``, nothing frozen
    (the affine weights are in no optimiser, the statistics are those of the batch).
    With the momentum of 3e-4 running statistics need about 10000 steps to be of use:
    set ``norm_cfg=dict(type='BN', momentum=0.1)`` where a network starts from scratch.

    Args:
        width: Factor of all channel numbers. Defaults to 1.
        norm_cfg: mmcv's. Defaults to BN of momentum 3e-4.
        norm_eval: Keep the norm layers in eval mode. Defaults to False.
        frozen_stages: 0: none; 1: the first convolution and stage 2; 2: and stage 3.
            Their norm layers stay in eval mode. Defaults to 0.
        dropout: Shares of the channels dropped in the last two blocks. Defaults to
            the published (0.3, 0.5).
        init_cfg: mmengine's. By default Kaiming's for convolutions.

    Raises:
        ValueError: A value is outside its range.
    """

    def __init__(
        self,
        width: float = 1.0,
        norm_cfg: dict | None = None,
        norm_eval: bool = False,
        frozen_stages: int = 0,
        dropout: Sequence[float] = (0.3, 0.5),
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        if init_cfg is None:
            init_cfg = dict(type='Kaiming', layer='Conv2d', mode='fan_out')
        super().__init__(init_cfg=init_cfg)
        if not width > 0:
            raise ValueError(
                f'ResNet38 width={width}: give a factor above 0, e.g. 0.25'
            )
        if frozen_stages not in (0, 1, 2):
            raise ValueError(
                f'ResNet38 frozen_stages={frozen_stages}: choose 0, 1 or 2'
            )
        norm = NORM if norm_cfg is None else norm_cfg

        def wide(*channels: int) -> list[int]:
            return [max(round(number * width), 1) for number in channels]

        self.conv1a = _conv(3, wide(64)[0], 3)
        for name, sizes, stride, first, rate in BLOCKS:
            block = PreActBlock(wide(*sizes), stride, first, rate, norm)
            self.add_module(name, block)
        for (name, widths), share in zip(BOTTLENECKS, dropout, strict=True):
            self.add_module(name, PreActBottleneck(wide(*widths), share, norm))
        self.out_channels = tuple(wide(512, 1024, 4096))
        self.bn7 = _norm(norm, self.out_channels[-1])
        self.norm_eval = norm_eval
        self._frozen = [name for stage in FROZEN[:frozen_stages] for name in stage]
        for name in self._frozen:
            getattr(self, name).requires_grad_(False)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return three features at stride 8 of images (B, 3, H, W).

        The normed inputs of b5 and b6 and the last output, (B, D, h, w) with D = 512,
        1024, 4096 at ``width=1``: those that PSA's AffinityNet reads.
        """
        normed: dict[str, Tensor] = {}
        x = self.conv1a(x)
        for name in NAMES:
            x, normed[name] = getattr(self, name)(x)
        return normed['b5'], normed['b6'], torch.relu(self.bn7(x))

    def train(self, mode: bool = True) -> 'ResNet38':
        """Switch the mode; what is frozen stays in eval mode."""
        super().train(mode)
        frozen: Sequence[nn.Module] = [getattr(self, name) for name in self._frozen]
        for module in [self] if self.norm_eval else frozen:
            for layer in module.modules():
                if isinstance(layer, _BatchNorm):
                    layer.eval()
        return self
