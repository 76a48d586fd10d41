"""mmpretrain's Conformer, with all that class activation maps need."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor

from mmsemi.models.utils._common import as_float
from mmsemi.registry import MODELS


def attention_affinity(
    queries_keys: Tensor, layers: Sequence[int] | None = None
) -> Tensor:
    """Sum the attention among patches over layers.

    TransCAM: of softmax(q k^T / sqrt(d)), the mean over the heads, without the row
    and the column of the class token (so that rows sum to less than the number of
    layers).

    Args:
        queries_keys: (B, L, 2, heads, 1 + N, d) of L layers.
        layers: Which of them. By default all.

    Returns:
        (B, N, N), at least 0, float32.
    """
    chosen = range(queries_keys.shape[1]) if layers is None else layers
    total: Any = 0
    # one layer after the other: without gradient only one is in the memory
    for layer in chosen:
        query, key = as_float(queries_keys[:, layer]).unbind(1)
        scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
        total = total + scores.softmax(-1).mean(1)[:, 1:, 1:]
    return total


@MODELS.register_module()
class ConformerCam(BaseModule):
    """Conformer whose map and patches lie on one grid, at stride 16.

    `Conformer <https://arxiv.org/abs/2105.03889>`_ as TransCAM changes it: the last
    fusion block has stride 1 instead of 2. The network itself is mmpretrain's, as
    ``net``; its published checkpoint is loaded by ``init_cfg=dict(type='Pretrained',
    checkpoint=..., prefix='backbone')``.

    Args:
        arch: ``'tiny'``, ``'small'`` (TransCAM's), ``'base'``, or a dict of
            mmpretrain's four settings. Defaults to ``'small'``.
        drop_path_rate: Defaults to 0.1, TransCAM's.
        base_channels: Of the convolutions. Defaults to 64.
        init_cfg: mmengine's, for ``net``.

    Raises:
        ImportError: mmpretrain is not installed.
    """

    size_divisor = 16
    """What the sides of its images are multiples of."""

    def __init__(
        self,
        arch: str | dict = 'small',
        drop_path_rate: float = 0.1,
        base_channels: int = 64,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__()
        try:
            # here, since mmpretrain is optional and slow to import
            from mmpretrain.models import Conformer
        except ImportError as error:
            raise ImportError(
                f'ConformerCam is built on mmpretrain, which cannot be imported '
                f'({error}): pip install onedl-mmpretrain (with the official packages, '
                'mmpretrain), or take the backbone ResNet38'
            ) from error
        self.net = Conformer(
            arch=arch,
            drop_path_rate=drop_path_rate,
            base_channels=base_channels,
            init_cfg=init_cfg,
        )
        last = getattr(self.net, f'conv_trans_{self.net.fin_stage - 1}').fusion_block
        last.conv2.stride = last.residual_conv.stride = (1, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return map, tokens and what the attention is made of.

        Args:
            x: Images (B, 3, H, W), H and W multiples of 16.

        Returns:
            The map (B, D, H/16, W/16); the normed tokens (B, 1 + N, E), the class
            token first, then the patches row by row; queries and keys of the L
            layers (B, L, 2, heads, 1 + N, d), for :func:`attention_affinity`.

        Raises:
            ValueError: H or W is no multiple of 16.
        """
        if x.shape[2] % 16 or x.shape[3] % 16:
            raise ValueError(
                f'ConformerCam got images of {x.shape[2]}x{x.shape[3]}: pad them to '
                'multiples of 16 (size or size_divisor of the data preprocessor)'
            )
        net, found = self.net, []

        def keep(module: Any, inputs: Any, output: Tensor) -> None:
            batch, tokens, _ = output.shape
            parts = output.view(batch, tokens, 3, net.num_heads, -1)
            found.append(parts[:, :, :2].permute(0, 2, 3, 1, 4))

        # mmpretrain's attention returns no weights
        layers = [m for name, m in net.named_modules() if name.endswith('attn.qkv')]
        handles = [layer.register_forward_hook(keep) for layer in layers]
        try:
            maps, tokens = self._blocks(x)
        finally:
            for handle in handles:
                handle.remove()
        return maps, net.trans_norm(tokens), torch.stack(found, 1)

    def _blocks(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return map and tokens behind the last block, which mmpretrain pools."""
        net = self.net
        stem = net.auto_pad(net.maxpool(net.act1(net.bn1(net.conv1(x)))))
        maps = net.conv_1(stem, out_conv2=False)
        patches = net.trans_patch_conv(stem).flatten(2).transpose(1, 2)
        token = net.cls_token.expand(len(x), -1, -1)
        tokens = net.trans_1(torch.cat([token, patches], 1))
        for i in range(2, net.fin_stage):
            maps, tokens = getattr(net, f'conv_trans_{i}')(maps, tokens)
        return maps, tokens
