"""A config of mmseg's own scope that names mmsemi's types, and imports nothing."""

import sys

from mmengine.config import Config

PREFIXED = {
    'U2PL',
    'MultiSourceDataset',
    'UnlabeledDataset',
    'MultiSourceSampler',
    'MultiBranch',
    'PackSemiInputs',
    'StrongPhotometric',
    'branch_collate',
    'ExactResumeHook',
    'SetIterHook',
    'MeanTeacherHook',
    'AtomicCheckpointHook',
    'TeacherStudentValLoop',
}
SCRIPT = """
import sys
from mmengine.config import Config
from mmengine.runner import Runner

assert not any(name.startswith('mmsemi') for name in sys.modules)
runner = Runner.from_cfg(Config.fromfile(sys.argv[1]))
runner.train()
assert type(runner.model).__module__ == 'mmsemi.models.segmentors.u2pl'
"""


def prefix(node: object) -> None:
    """Write ``mmsemi.`` before each of our types, in place."""
    if isinstance(node, dict):
        if node.get('type') in PREFIXED:
            node['type'] = f'mmsemi.{node["type"]}'
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            prefix(child)


def test_two_iterations(write_config, command, tmp_path):
    cfg = Config.fromfile(write_config(), import_custom_modules=False)
    cfg.default_scope = 'mmseg'
    cfg.work_dir = str(tmp_path / 'run')
    cfg.train_cfg.update(max_iters=2, val_interval=2)
    assert cfg.pop('custom_imports')
    for part in cfg.train_dataloader.dataset.values():
        if isinstance(part, dict):
            steps = part['pipeline']
            part['pipeline'] = [s for s in steps if s['type'] != 'LogSample']
    cfg.custom_hooks = [h for h in cfg.custom_hooks if h['type'] != 'Probe']
    cfg = cfg.to_dict()
    prefix(cfg)
    path = tmp_path / 'plain.py'
    Config(cfg).dump(str(path))
    assert command(sys.executable, '-c', SCRIPT, path) == 0
    assert (tmp_path / 'run/iter_2.pth').exists()
