"""Tensors of different length, gathered over the ranks."""

import torch
import torch.distributed as dist
import torch.nn.functional as F
from mmengine.dist import get_world_size
from torch import Tensor


def all_gather_rows(rows: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Concatenate the rows of all ranks, in the order of the ranks.

    One gather of the lengths and one of the padded rows, which carry their
    class as a last column; without gradient.

    Args:
        rows: (M, D), float32, with an M of its own on every rank.
        classes: Class of each row (M,), long, below 2**24.

    Returns:
        (sum of M, D) and (sum of M,), the same on every rank.
    """
    world_size = get_world_size()
    if world_size == 1:
        return rows, classes
    packed = torch.cat([rows, classes[:, None].to(rows.dtype)], 1)
    length = torch.tensor([len(rows)], device=rows.device)
    lengths = [torch.empty_like(length) for _ in range(world_size)]
    dist.all_gather(lengths, length)
    sizes = torch.cat(lengths).tolist()
    padded = F.pad(packed, (0, 0, 0, max(sizes) - len(rows)))
    gathered = [torch.empty_like(padded) for _ in range(world_size)]
    dist.all_gather(gathered, padded)
    packed = torch.cat(
        [part[:size] for part, size in zip(gathered, sizes, strict=True)]
    )
    return packed[:, :-1], packed[:, -1].long()
