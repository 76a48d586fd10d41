"""Write one network of a method as a plain mmseg checkpoint and config."""

import argparse
import inspect
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import DefaultScope, Registry, init_default_scope
from mmengine.runner import load_checkpoint
from mmseg.datasets import BaseSegDataset
from torch import nn

from mmsemi.config_scope import without_scope
from mmsemi.engine.runner.launch import check_checkpoint
from mmsemi.models import build_contrastive_head
from mmsemi.recipes.read import load_stage
from mmsemi.registry import DATASETS, METRICS, MODELS, TRANSFORMS

PIPELINES = ('pipeline', 'transforms')
RUNTIME = ('env_cfg', 'vis_backends', 'visualizer', 'log_processor', 'log_level')
SUFFIXES = ('img_suffix', 'seg_map_suffix', 'reduce_zero_label')


def translate(node: Any, registry: Registry, foreign: set[str]) -> Any:
    """Rewrite a config so that mmseg alone builds it.

    The projector of a contrastive head is taken off, data sets of mmsemi become
    ``BaseSegDataset`` with classes and suffixes, and losses, which nothing needs
    any more, ``CrossEntropyLoss``.

    Args:
        node: Config, or a part of it.
        registry: Where its types are found.
        foreign: Gets the types that only mmsemi has.
    """
    if isinstance(node, (list, tuple)):
        return type(node)(translate(item, registry, foreign) for item in node)
    if not isinstance(node, dict):
        return node
    kind = node.get('type')
    found = registry.get(kind) if isinstance(kind, str) else kind
    if found is build_contrastive_head:
        return translate(node['head'], registry, foreign)
    node = {
        key: translate(value, TRANSFORMS if key in PIPELINES else registry, foreign)
        for key, value in node.items()
    }
    module = getattr(found, '__module__', '')
    if not module.startswith('mmsemi.'):
        return node
    if module.startswith('mmsemi.models.losses'):
        return dict(type='CrossEntropyLoss', loss_weight=node.get('loss_weight', 1.0))
    if getattr(found, 'load_data_list', None) is BaseSegDataset.load_data_list:
        return plain_dataset(node, found)
    node['type'] = f'mmsemi.{found.__name__}'
    foreign.add(node['type'])
    return node


def plain_dataset(node: dict, kind: type[BaseSegDataset]) -> dict:
    """Write a data set that differs from mmseg's base in its defaults only."""
    parameters = inspect.signature(kind.__init__).parameters
    defaults = {
        name: parameters[name].default for name in SUFFIXES if name in parameters
    }
    metainfo = {**kind.METAINFO, **node.get('metainfo', {})}
    return {**defaults, **node, 'type': 'BaseSegDataset', 'metainfo': metainfo}


def plain_segmentor(model: ConfigDict, which: str, foreign: set[str]) -> dict:
    """Return the config of network ``which`` of the method for mmseg."""
    choose = getattr(MODELS.get(model.type), 'network_config', None)
    segmentor = (choose(model, which) if choose else model).to_dict()
    if 'data_preprocessor' not in segmentor:
        own = model.get('data_preprocessor') or model.segmentor.data_preprocessor
        segmentor['data_preprocessor'] = own.get('data_preprocessor', own)
    segmentor = translate(segmentor, MODELS, foreign)
    # the weights come with the checkpoint
    segmentor['pretrained'] = None
    segmentor['backbone'].pop('init_cfg', None)
    return segmentor


def plain_config(cfg: Config, segmentor: dict, foreign: set[str]) -> Config:
    """Return a config with which mmseg tests and predicts."""
    plain: dict[str, Any] = dict(default_scope='mmseg', model=segmentor)
    for part in ('val', 'test'):
        loader = cfg.get(f'{part}_dataloader')
        if loader is None:
            continue
        plain[f'{part}_dataloader'] = {
            **loader.to_dict(),
            'dataset': translate(loader.dataset.to_dict(), DATASETS, foreign),
        }
        plain[f'{part}_evaluator'] = translate(
            cfg[f'{part}_evaluator'], METRICS, foreign
        )
        plain[f'{part}_cfg'] = dict(type=f'{part.title()}Loop')
    for name in ('test_pipeline', 'tta_pipeline'):
        if name in cfg:
            plain[name] = translate(cfg[name], TRANSFORMS, foreign)
    if 'test_pipeline' not in plain and 'test_dataloader' in plain:
        plain['test_pipeline'] = plain['test_dataloader']['dataset']['pipeline']
    if 'tta_model' in cfg:
        plain['tta_model'] = translate(cfg.tta_model, MODELS, foreign)
    plain.update({name: cfg[name] for name in RUNTIME if name in cfg})
    plain['default_hooks'] = dict(
        timer=dict(type='IterTimerHook'),
        logger=dict(type='LoggerHook'),
        visualization=dict(type='SegVisualizationHook'),
    )
    return Config(plain)


def load_network(cfg: Config, checkpoint: str, which: str | None) -> tuple:
    """Build the method, load its checkpoint and pick a network.

    Returns:
        The network, its name and the checkpoint's ``meta``.
    """
    model = MODELS.build(cfg.model)
    networks = model.networks() if hasattr(model, 'networks') else {'student': model}
    which = which or getattr(model, 'predict_on', 'student')
    if which not in networks:
        kind, names = type(model).__name__, list(networks)
        if which in getattr(model, 'predictors', list)():
            raise ValueError(
                f'--which {which}: this is {" and ".join(names)} of {kind} together, '
                'but a plain model is one network: export each with --which NETWORK'
            )
        raise ValueError(f'--which {which}: the networks of {kind} are {names}')
    check_checkpoint(checkpoint, model, whole=True)
    meta = load_checkpoint(model, checkpoint, map_location='cpu').get('meta', {})
    return networks[which], which, meta


def dataset_meta(meta: dict, plain: Config) -> dict:
    """Return classes and palette, which mmseg's inferencer reads."""
    known = meta.get('dataset_meta') or {}
    if not known.get('classes') and 'test_dataloader' in plain:
        dataset = plain.test_dataloader.dataset
        found = DATASETS.get(dataset.type)
        known = {**getattr(found, 'METAINFO', {}), **dataset.get('metainfo', {})}
    return {name: known.get(name) for name in ('classes', 'palette')}


def plain_weights(network: nn.Module, segmentor: dict) -> dict[str, torch.Tensor]:
    """Return the weights that the plain segmentor has, after trying them on it."""
    with DefaultScope.overwrite_default_scope('mmseg'):
        plain = MODELS.build(ConfigDict(segmentor))
    weights = network.state_dict()
    weights = {key: weights[key] for key in plain.state_dict() if key in weights}
    plain.load_state_dict(weights, strict=True)
    return weights


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Write one network of a method as a plain mmseg model'
    )
    parser.add_argument('config', help='config of the training')
    parser.add_argument('checkpoint', help='checkpoint of the training')
    parser.add_argument('out_dir', help='folder for NAME.py and NAME.pth')
    parser.add_argument(
        '--which',
        metavar='NETWORK',
        help='student, teacher, branch1 or another of the method; by default the '
        'one that the config validates (predict_on)',
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Write the config and the checkpoint."""
    args = parse_args(argv)
    # what follows looks types up in mmsemi, whatever the config's own scope is
    cfg = without_scope(load_stage(args.config))
    init_default_scope('mmsemi')
    network, which, meta = load_network(cfg, args.checkpoint, args.which)
    foreign: set[str] = set()
    segmentor = plain_segmentor(cfg.model, which, foreign)
    plain = plain_config(cfg, segmentor, foreign)
    weights = plain_weights(network, segmentor)

    target = Path(args.out_dir) / f'{Path(args.config).stem}_{which}'
    target.parent.mkdir(parents=True, exist_ok=True)
    plain.dump(f'{target}.py')
    saved = dict(state_dict=weights, meta=dict(dataset_meta=dataset_meta(meta, plain)))
    torch.save(saved, f'{target}.pth')
    print(f'wrote {target}.py and {target}.pth ({which}, {len(weights)} tensors)')
    if foreign:
        print(
            f'The config names {", ".join(sorted(foreign))}: mmsemi must be installed '
            'where it is used, mmseg alone does not have these.'
        )


if __name__ == '__main__':
    main()
