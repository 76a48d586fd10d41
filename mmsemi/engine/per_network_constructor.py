"""Optimisers that look for a segmentor's backbone."""

from typing import Any

from mmengine.optim import OptimWrapper
from torch import nn

from mmsemi.engine.unwrap import unwrap
from mmsemi.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class PerNetworkConstructor:
    """Let a constructor of parameter groups see each network of a method by itself.

    mmseg's ``LearningRateDecayOptimizerConstructor`` (ConvNeXt, BEiT, MAE) reads
    ``model.backbone``, which a method has inside its networks.

    Args:
        optim_wrapper_cfg: As mmengine gives it to a constructor.
        paramwise_cfg: As for the other constructor, and its type as ``constructor``.

    Raises:
        ValueError: When it is called, if the method trains parameters that are in no
            network.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict) -> None:
        inner = dict(paramwise_cfg)
        self.inner: Any = OPTIM_WRAPPER_CONSTRUCTORS.build(
            dict(
                type=inner.pop('constructor'),
                optim_wrapper_cfg=dict(optim_wrapper_cfg),
                paramwise_cfg=inner,
            )
        )

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build the optimiser of all networks that a gradient trains."""
        method: Any = unwrap(model)
        groups: list[dict] = []
        for network in method.networks().values():
            # those of a teacher need no gradient, and are left out
            self.inner.add_params(groups, network)
        grouped = {id(p) for group in groups for p in group['params']}
        for name, parameter in method.named_parameters():
            if parameter.requires_grad and id(parameter) not in grouped:
                raise ValueError(
                    f'{name} of {type(method).__name__} is in none of its networks: '
                    'use an optim_wrapper without constructor'
                )
        optimizer = OPTIMIZERS.build(dict(self.inner.optimizer_cfg, params=groups))
        config = dict(self.inner.optim_wrapper_cfg)
        config.setdefault('type', 'OptimWrapper')
        return OPTIM_WRAPPERS.build(config, default_args=dict(optimizer=optimizer))
