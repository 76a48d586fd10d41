"""mmengine's wrappers for several processes and half precision, also on CPU."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmsemi.registry import MODEL_WRAPPERS, OPTIM_WRAPPERS


@MODEL_WRAPPERS.register_module()
class SemiDistributedDataParallel(MMDistributedDataParallel):
    """Data parallelism without a GPU, and with equal running statistics.

    mmengine passes ``device_ids`` and lets rank 0 overwrite all buffers
    before each forward; a memory bank is a buffer of hundreds of megabytes.
    Here nothing is broadcast. The running statistics of plain batch norm,
    which each rank gathers on its own images, are averaged over the ranks
    after each step in one collective; with SyncBN there is nothing to do.

    Args:
        module: The model.
        **kwargs: For ``torch.nn.parallel.DistributedDataParallel``.
    """

    def __init__(self, module: nn.Module, **kwargs: Any) -> None:
        if not next(module.parameters()).is_cuda:
            kwargs['device_ids'] = None
        kwargs['broadcast_buffers'] = False
        super().__init__(module=module, **kwargs)

    def train_step(self, data: Any, optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        """Do one step and average the running statistics."""
        logs = super().train_step(data, optim_wrapper)
        average_running_statistics(self.module)
        return logs


@torch.no_grad()
def average_running_statistics(model: nn.Module) -> None:
    """Average running mean and variance of plain batch norm over the ranks."""
    statistics = [
        buffer
        for layer in model.modules()
        if isinstance(layer, _BatchNorm) and not isinstance(layer, nn.SyncBatchNorm)
        for buffer in (layer.running_mean, layer.running_var)
        if buffer is not None
    ]
    if not statistics:
        return
    flat = torch.cat([buffer.flatten() for buffer in statistics])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    parts = flat.split([buffer.numel() for buffer in statistics])
    torch._foreach_copy_(statistics, list(parts))


@OPTIM_WRAPPERS.register_module()
class CPUAmpOptimWrapper(OptimWrapper):
    """bfloat16 autocast on the CPU; bfloat16 needs no loss scaling.

    ``tools/train.py --amp`` takes it where there is no GPU, and mmengine's
    ``AmpOptimWrapper`` where there is one.

    Args:
        **kwargs: Those of ``OptimWrapper``.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Run the forward pass in bfloat16."""
        with super().optim_context(model), torch.autocast('cpu', torch.bfloat16):
            yield
