"""Tensors of different length, gathered over the ranks."""

import torch
import torch.distributed as dist
import torch.nn.functional as F
from mmengine.dist import get_world_size
from torch import Tensor


def all_gather_rows(rows: Tensor) -> Tensor:
    """Concatenate the rows of all ranks, in the order of the ranks.

    One gather of the lengths and one of the padded rows; without gradient.

    Args:
        rows: (M, …), with an M of its own on every rank.

    Returns:
        (sum of M, …), the same on every rank.
    """
    world_size = get_world_size()
    if world_size == 1:
        return rows
    length = torch.tensor([len(rows)], device=rows.device)
    lengths = [torch.empty_like(length) for _ in range(world_size)]
    dist.all_gather(lengths, length)
    sizes = torch.cat(lengths).tolist()
    padding = [0, 0] * (rows.ndim - 1) + [0, max(sizes) - len(rows)]
    padded = F.pad(rows, padding).contiguous()
    gathered = [torch.empty_like(padded) for _ in range(world_size)]
    dist.all_gather(gathered, padded)
    return torch.cat([part[:size] for part, size in zip(gathered, sizes, strict=True)])
