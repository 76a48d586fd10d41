"""What stands where in a config, and in which registries its types are."""

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

from mmengine.registry import FUNCTIONS, Registry
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from mmengine.utils.dl_utils import set_multi_processing
from torch import nn
from torch.utils.data import DataLoader

from mmsemi import registry


def names_of(*functions: Callable) -> set[str]:
    """Return the names of the arguments of functions."""
    return {name for f in functions for name in inspect.signature(f).parameters}


@dataclass(frozen=True)
class Place:
    """What a dict at some place of a config may hold.

    Args:
        nodes: Registries in which its ``type`` is looked up, in this order.
        names: Keys that it may have if there is no class that says so.
        extra: Keys for whoever builds the class, beside the class's arguments.
        default: ``type`` of a dict without one.
        loose: Whether other keys may be right: only near misses are refused.
        inside: Places of its keys.
        others: That of its other keys, by default this place.
    """

    nodes: tuple[Registry, ...] = ()
    names: Collection[str] = ()
    extra: Collection[str] = ()
    default: str | None = None
    loose: bool = False
    inside: Mapping[str, 'Place'] = field(default_factory=dict)
    others: 'Place | None' = None

    def at(self, key: str) -> 'Place':
        """Return the place of a key."""
        # mmcv's builders take keys out of conv_cfg and its like
        free = self.nodes == MODEL.nodes and key.endswith('_cfg')
        same = replace(self, loose=free, default=None) if self.nodes else FREE
        return self.inside.get(key, self.others or same)


FREE = Place()
MODEL = Place(
    (registry.MODELS, registry.TASK_UTILS),
    extra={'postfix'},
    inside={
        'init_cfg': Place((registry.WEIGHT_INITIALIZERS,), extra={'override', 'name'}),
        'norm_cfg': Place(
            names={'type', 'requires_grad', 'eps', 'momentum', 'affine', 'num_groups'},
            loose=True,
        ),
        'test_cfg': Place(
            names={'mode', 'crop_size', 'stride', 'size', 'size_divisor'}, loose=True
        ),
    },
)
TRANSFORM = Place((registry.TRANSFORMS,), inside={'policies': FREE})
DATASET = Place(
    (registry.DATASETS,),
    # MultiSourceDataset reads it of its parts
    extra={'subset'},
    inside={
        'pipeline': TRANSFORM,
        'data_prefix': Place(
            names={'img_path', 'seg_map_path', 'img_path2'}, loose=True
        ),
        'metainfo': Place(names={'classes', 'palette'}, loose=True),
    },
)
# what a hook labels
LABELED_SET = replace(DATASET, default='UnlabeledDataset')
FUNCTION = Place((FUNCTIONS,))
SAMPLER = Place((registry.DATA_SAMPLERS,))
LOADER = Place(
    names={*names_of(DataLoader), 'num_batch_per_epoch', 'disable_subprocess_warning'},
    inside={
        'dataset': DATASET,
        'sampler': SAMPLER,
        'batch_sampler': SAMPLER,
        'collate_fn': FUNCTION,
        'worker_init_fn': FUNCTION,
    },
)
PARAMWISE = Place(
    names={
        *('custom_keys', 'bias_lr_mult', 'bias_decay_mult', 'norm_decay_mult'),
        *('flat_decay_mult', 'dwconv_decay_mult', 'dcn_offset_lr_mult'),
        'bypass_duplicate',
    },
    inside={
        'custom_keys': Place(others=Place(names={'lr_mult', 'decay_mult'}, loose=True))
    },
)
LAYER_DECAY = {'num_layers', 'decay_rate', 'decay_type', 'layer_decay_rate'}
CLIP_GRAD = names_of(nn.utils.clip_grad_norm_, nn.utils.clip_grad_value_)
OPTIM_WRAPPER = Place(
    (registry.OPTIM_WRAPPERS,),
    extra={'constructor', 'paramwise_cfg'},
    default='OptimWrapper',
    inside={
        'optimizer': Place((registry.OPTIMIZERS,)),
        'clip_grad': Place(names={*CLIP_GRAD, 'type'} - {'parameters'}),
        'paramwise_cfg': PARAMWISE,
    },
)
HOOK = Place(
    (registry.HOOKS,),
    extra={'priority'},
    inside={
        'dataset': LABELED_SET,
        'pipeline': TRANSFORM,
        'switch_pipeline': TRANSFORM,
    },
)
HOOKS = {
    *('runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler'),
    *('checkpoint', 'visualization'),
}
EVALUATOR = Place((registry.METRICS, registry.EVALUATOR), names={'metrics'})
LOOP = Place((registry.LOOPS,))
TRAIN_LOOP = replace(
    LOOP, names={*names_of(EpochBasedTrainLoop, IterBasedTrainLoop), 'by_epoch'}
)
VISUALIZER = Place(
    (registry.VISUALIZERS,), inside={'vis_backends': Place((registry.VISBACKENDS,))}
)
ENV = Place(
    names={'cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit'},
    inside={
        'mp_cfg': Place(names=names_of(set_multi_processing)),
        'dist_cfg': Place(names={'backend', 'timeout', 'init_backend'}, loose=True),
    },
)
TOP: dict[str, Place] = {
    'model': MODEL,
    'method': MODEL,
    'tta_model': MODEL,
    'data_preprocessor': MODEL,
    'model_wrapper_cfg': Place((registry.MODEL_WRAPPERS,)),
    **{f'{split}_dataloader': LOADER for split in ('train', 'val', 'test')},
    'tta_pipeline': TRANSFORM,
    'optim_wrapper': OPTIM_WRAPPER,
    'param_scheduler': Place(
        (registry.PARAM_SCHEDULERS,), extra={'convert_to_iter_based', 'epoch_length'}
    ),
    'train_cfg': TRAIN_LOOP,
    'val_cfg': replace(LOOP, default='ValLoop'),
    'test_cfg': replace(LOOP, default='TestLoop'),
    'val_evaluator': EVALUATOR,
    'test_evaluator': EVALUATOR,
    'default_hooks': Place(names=HOOKS, loose=True, others=HOOK),
    'custom_hooks': HOOK,
    'visualizer': VISUALIZER,
    'log_processor': Place((registry.LOG_PROCESSORS,), default='LogProcessor'),
    'env_cfg': ENV,
    'randomness': Place(names=names_of(Runner.set_randomness)),
    'auto_scale_lr': Place(names={'enable', 'base_batch_size'}),
    'custom_imports': Place(names={'imports', 'allow_failed_imports'}),
}
# read from the config itself, by mmengine or by our tools
KNOWN = {*names_of(Runner), *TOP, 'find_unused_parameters', 'stages', 'sync_bn'}
KNOWN |= {'activation_checkpointing', 'efficient_conv_bn_eval', 'compile'}
# variables of config files, which look like those
HABITUAL = {
    *('train_pipeline', 'val_pipeline', 'test_pipeline', 'mode', 'experiment'),
    *('train_loader', 'val_loader', 'test_loader', 'preprocessor', 'evaluator'),
    'tags',
}
