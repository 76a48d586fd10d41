"""Train on a few labels with and without the unlabelled images, and compare.

    python tools/demo.py

makes ToyVOC, labels a few of its images, trains a supervised-only model and U2PL
on them, with the same crop, steps, optimiser and schedule, and writes a report. A
demo that was cut goes on where it was.
"""

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from mmengine.config import Config

from mmsemi.datasets.atomic import replacing
from mmsemi.datasets.toyvoc.data_set import generate_toyvoc, write_toyvoc_split
from mmsemi.recipes.config import enable_amp, load_config
from mmsemi.report.demo_report import SHOWN, Settings, write_report
from mmsemi.report.side_by_side import train_side_by_side

ROOT = Path(__file__).resolve().parents[1]
MODEL, DATA = 'deeplabv3plus_r18w32-d16', 'demo_toyvoc-96x96.py'
CONFIGS = {
    'supervised': ROOT / 'configs' / 'baselines' / f'supervised_{MODEL}_1xb8-{DATA}',
    'U2PL': ROOT / 'configs' / 'u2pl' / f'u2pl_{MODEL}_1xb16-{DATA}',
}


def parse_args(argv: Sequence[str] | None = None) -> tuple[Settings, Path]:
    """Read the command line: the settings and the folder of the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = Settings()
    number = '(default: %(default)s)'
    parser.add_argument('--seed', type=int, default=default.seed, help=number)
    parser.add_argument(
        '--labels',
        type=int,
        default=default.labels,
        help=f'labelled images of {default.num_train} {number}',
    )
    parser.add_argument(
        '--iters', type=int, default=default.iters, help=f'steps {number}'
    )
    parser.add_argument(
        '--amp', action='store_true', help='half precision: faster on newer machines'
    )
    parser.add_argument(
        '--data-root', default=default.data_root, help=f'where to make ToyVOC {number}'
    )
    parser.add_argument(
        '--work-dir', type=Path, help='default: work_dirs/demo/<settings>'
    )
    args = vars(parser.parse_args(argv))
    work_dir = args.pop('work_dir')
    settings = Settings(**args)
    if work_dir is None:
        name = f'seed{settings.seed}_labels{settings.labels}_iters{settings.iters}'
        work_dir = Path('work_dirs', 'demo', name + '_amp' * settings.amp)
    return settings, work_dir


def prepare_data(settings: Settings) -> Path:
    """Make the images and the split.

    Returns:
        The folder of the split's two lists.
    """
    root = Path(settings.data_root)
    if generate_toyvoc(root, settings.num_train, settings.num_val):
        print()  # the progress bar ends without one
    folder = write_toyvoc_split(root, settings.labels, settings.seed)
    rest = settings.num_train - settings.labels
    print(f'ToyVOC in {root}: {settings.labels} labelled, {rest} unlabelled')
    return folder


def make_config(path: Path, settings: Settings, split: Path) -> Config:
    """Set data, seed and length in one of the demo's configs."""
    cfg = load_config(str(path))
    iters, root = settings.iters, os.path.abspath(settings.data_root)
    for name, part in cfg.train_dataloader.dataset.items():
        if name in ('labeled', 'unlabeled'):
            part.data_root = root
            part.ann_file = str(split.absolute() / f'{name}.txt')
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.data_root = root
    cfg.randomness.seed = settings.seed
    # all other lengths are shares of it
    cfg.train_cfg.max_iters = iters
    cfg.default_hooks.logger.interval = max(1, min(20, iters // 4))
    if 'unlabeled' in cfg.train_dataloader.dataset:
        cfg.custom_hooks.append(
            dict(
                type='SemiVisualizationHook',
                interval=0.25,
                num_images=SHOWN,
                truth_dir=os.path.join(root, 'SegmentationClass'),
            )
        )
    if settings.amp:
        enable_amp(cfg)
    return cfg


def check_settings(settings: Settings, work_dir: Path) -> None:
    """Note the settings in the work dir, and refuse one of another demo."""
    if settings.iters < 4:
        raise ValueError(f'iters is {settings.iters}: give 4 or more')
    note = work_dir / 'demo.json'
    if note.is_file():
        found = json.loads(note.read_text('utf-8'))
        if found != asdict(settings):
            raise ValueError(
                f'{work_dir} holds a demo with {found}, not with {asdict(settings)}: '
                'give another --work-dir, or delete this one'
            )
        return
    with replacing(note) as aside:
        aside.write_text(json.dumps(asdict(settings)) + '\n', 'utf-8')


def run(settings: Settings, work_dir: Path) -> dict[str, float]:
    """Do the whole demo and return the mIoU of each network."""
    check_settings(settings, work_dir)
    split = prepare_data(settings)
    configs = {}
    for name, path in CONFIGS.items():
        configs[name] = work_dir / f'{name}.py'
        make_config(path, settings, split).dump(configs[name])
    print(f'Training both models on them, {settings.iters} steps; logs in {work_dir}')
    start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    train_side_by_side(ROOT / 'tools' / 'train.py', list(configs.values()))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print('Comparing them on the validation images ...')
    times = [time.monotonic() - start, cpu]
    scores = write_report(settings, work_dir, configs, times)
    for name, score in scores.items():
        print(f'  {name:16} {score:5.1f} mIoU')
    print(f'Report: {(work_dir / "report.html").resolve()}')
    return scores


def main(argv: Sequence[str] | None = None) -> None:
    """Run the demo; a mistake of the user ends it with one sentence."""
    try:
        run(*parse_args(argv))
    except (OSError, ValueError, RuntimeError) as error:
        sys.exit(f'error: {error}')


if __name__ == '__main__':
    main()
