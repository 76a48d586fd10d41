"""A queue of feature vectors for each class."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ._common import draw_below


class ClassMemoryBank(nn.Module):
    """First-in-first-out queues of keys, one for each class, in one buffer.

    The queues are ring buffers, one after the other in a flat tensor on the module's
    device. Pushing overwrites only the rows it replaces, sampling reads only the rows
    it returns. The state dict holds the filled rows alone, at their places in the
    ring, so that a resumed bank samples the same keys.

    Args:
        sizes: Rows of each class's queue; U2PL (CVPR 2022): 50000 for the
            background and 30000 for every other class.
        dim: Length D of a key.
        dtype: Data type in which the keys are stored.
        normalize: Whether keys are L2-normalised when they are pushed.

    Attributes:
        count: Filled rows of each class (C,), long.

    Raises:
        ValueError: There is no class, or a size or ``dim`` is below 1.
    """

    data: Tensor
    size: Tensor
    offset: Tensor
    pointer: Tensor
    count: Tensor

    def __init__(
        self,
        sizes: Sequence[int],
        dim: int,
        dtype: torch.dtype = torch.float16,
        normalize: bool = True,
    ) -> None:
        super().__init__()
        if len(sizes) == 0 or min(sizes) < 1 or dim < 1:
            raise ValueError(
                f'a bank needs a size of at least 1 for each class and dim >= 1, '
                f'not sizes {list(sizes)} and dim {dim}'
            )
        self.dim = dim
        self.normalize = normalize
        size = torch.tensor(list(sizes), dtype=torch.long)
        self.register_buffer('data', torch.zeros(sum(sizes), dim, dtype=dtype))
        self.register_buffer('size', size)
        self.register_buffer('offset', size.cumsum(0) - size, persistent=False)
        self.register_buffer('pointer', torch.zeros_like(size))
        self.register_buffer('count', torch.zeros_like(size))

    @torch.no_grad()
    def push(self, keys: Tensor, classes: Tensor) -> None:
        """Append keys to the queues of their classes; the oldest make room.

        Args:
            keys: Keys (M, D), in the order of their age, in any float dtype; values
                that are not finite count as 0.
            classes: Class of each key (M,), long, in any order.

        Raises:
            ValueError: The shapes do not fit each other or the bank.
        """
        if keys.dim() != 2 or keys.shape[1] != self.dim:
            raise ValueError(
                f'keys have shape {tuple(keys.shape)}, '
                f'but the bank holds keys (M, {self.dim})'
            )
        if classes.shape != keys.shape[:1]:
            raise ValueError(
                f'{keys.shape[0]} keys need as many classes, '
                f'not a tensor of shape {tuple(classes.shape)}'
            )
        classes, order = classes.sort(stable=True)
        every = torch.arange(self.size.numel(), device=classes.device)
        start = torch.searchsorted(classes, every)
        pushed = torch.searchsorted(classes, every, right=True) - start

        place = torch.arange(classes.numel(), device=classes.device)
        place = place - start.index_select(0, classes)
        size = self.size.index_select(0, classes)
        slot = (self.pointer.index_select(0, classes) + place) % size
        # keys beyond the size of a queue meet in a slot: all bring the newest of them
        newer = pushed.index_select(0, classes) - 1 - place
        newest = start.index_select(0, classes) + place + newer // size * size
        keys = keys.index_select(0, order.index_select(0, newest)).float()
        # a step that overflows must not poison those after it
        keys = keys.nan_to_num(0, 0, 0)
        if self.normalize:
            keys = F.normalize(keys, dim=1)
        row = self.offset.index_select(0, classes) + slot
        self.data.index_copy_(0, row, keys.to(self.data.dtype))
        self.pointer.copy_((self.pointer + pushed) % self.size)
        self.count.copy_(torch.minimum(self.count + pushed, self.size))

    @torch.no_grad()
    def sample(
        self,
        classes: Tensor,
        n: int | Sequence[int],
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Draw keys uniformly with replacement.

        Args:
            classes: Class indices (K,), long.
            n: Number of keys for each class, or a shape such as (Q, N).
            generator: Source of randomness.

        Returns:
            Keys (K, n, D), or (K, Q, N, D), in the bank's dtype; rows of zeros for a
            class with ``count`` 0, which the caller has to leave out.
        """
        shape = (n,) if isinstance(n, int) else tuple(n)
        broadcast = (-1, *(1 for _ in shape))
        count = self.count.index_select(0, classes).view(broadcast)
        row = draw_below(count, (classes.numel(), *shape), generator)
        row = row + self.offset.index_select(0, classes).view(broadcast)
        keys = self.data.index_select(0, row.flatten())
        return keys.view(classes.numel(), *shape, self.dim)

    def rows(self, c: int) -> Tensor:
        """Copy the keys (count, D) of class ``c``, oldest first."""
        size, count = int(self.size[c]), int(self.count[c])
        age = torch.arange(count, device=self.data.device)
        slot = (self.pointer[c] - count + age) % size
        return self.data.index_select(0, self.offset[c] + slot)

    def _filled(self, count: Tensor) -> Tensor:
        """Row numbers in the buffer of the first ``count`` (C,) slots of each class."""
        end = self.offset + self.size
        row = torch.arange(self.data.shape[0], device=self.data.device)
        owner = torch.searchsorted(end, row, right=True)
        slot = row - self.offset.index_select(0, owner)
        return (slot < count.index_select(0, owner)).nonzero().squeeze(1)

    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        """Save the filled rows in place of the whole buffer."""
        super()._save_to_state_dict(destination, prefix, keep_vars)
        filled = self._filled(self.count)
        destination[prefix + 'data'] = self.data.index_select(0, filled)

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Put saved rows back at their places; a bank that does not fit is an error."""
        names = ('data', 'size', 'pointer', 'count')
        missing = [prefix + name for name in names if prefix + name not in state_dict]
        if missing:
            missing_keys.extend(missing)
            return
        data, size, pointer, count = (state_dict[prefix + name] for name in names)
        if size.tolist() != self.size.tolist() or data.shape[1:] != (self.dim,):
            error_msgs.append(
                f'memory bank {prefix[:-1]!r}: the checkpoint has sizes '
                f'{size.tolist()} and dim {data.shape[-1]}, the model has sizes '
                f'{self.size.tolist()} and dim {self.dim}'
            )
            return
        if len(data) != int(count.sum()):
            error_msgs.append(
                f'memory bank {prefix[:-1]!r}: the checkpoint has {len(data)} rows, '
                f'but counts {count.tolist()}'
            )
            return
        with torch.no_grad():
            self.pointer.copy_(pointer)
            self.count.copy_(count)
            self.data.zero_()
            self.data.index_copy_(0, self._filled(self.count), data.to(self.data))
