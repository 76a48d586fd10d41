"""The model of a training: without its wrapper, and for a while in eval mode."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn


def unwrapped(runner: Runner) -> Any:
    """Return the model of a runner without the wrapper of several processes."""
    return unwrap(runner.model)


def unwrap(model: nn.Module) -> Any:
    """Return a model without the wrapper of several processes."""
    return model.module if is_model_wrapper(model) else model


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Switch to eval mode inside the block, and each module back after it."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
