"""Train every model of the installed mmseg two steps, alone and with each method.

The models are those of mmseg's ``configs/_base_/models/`` and a list of mmpretrain's
backbones. Each is made small (few channels and layers, crops of 64 x 64) and sees the
same batch of ToyVOC. The table replaces the one in docs/support.md.

    python tools/analysis_tools/sweep_models.py --write docs/support.md
    python tools/analysis_tools/sweep_models.py --only danet_r50-d8 encnet_r50-d8
"""

import argparse
import copy
import json
import os
import select
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mmpretrain.models  # noqa: F401
import mmseg
import torch
from mmengine.config import Config, ConfigDict
from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapper
from mmengine.registry import FUNCTIONS, init_default_scope
from sweep_shrink import BACKBONES, backbone_segmentor, shrink
from sweep_table import SHOWN, cause, table, versions

from mmsemi.apis.semi_config import METHODS
from mmsemi.datasets.toyvoc.data_set import generate_toyvoc, write_toyvoc_split
from mmsemi.models.utils.ema import ema_update
from mmsemi.registry import DATASETS, MODELS

CLASSES = 7
CROPS = {'lraspp_m-v3-d8': 400}
"""LR-ASPP averages over 49 x 49 cells of a feature at stride 8."""
START, END = '<!-- sweep -->', '<!-- end of sweep -->'


def models() -> Iterator[tuple[str, Callable[[], ConfigDict]]]:
    """Yield the name of each model and what reads its config."""
    folder = Path(mmseg.__file__).parent / '.mim/configs/_base_/models'
    for path in sorted(folder.glob('*.py')):
        yield path.stem, lambda path=path: Config.fromfile(path).model
    for name, backbone in BACKBONES.items():
        yield name, lambda backbone=backbone: backbone_segmentor(backbone)


def load_batch(root: str, crop: int) -> dict:
    """Return two labelled and two unlabelled images of ToyVOC in all branches."""
    steps = [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(max(128, crop + 16),) * 2),
        dict(type='RandomCrop', crop_size=(crop, crop)),
    ]
    pack = dict(type='PackSemiInputs')
    strong = [dict(type='StrongPhotometric'), pack]
    folders = dict(img_path='JPEGImages', seg_map_path='SegmentationClass')
    labeled = dict(
        type='ToyVOCDataset',
        data_root=root,
        data_prefix=folders,
        ann_file='splits/seed0/4/labeled.txt',
        pipeline=[
            steps[0],
            dict(type='LoadAnnotations'),
            *steps[1:],
            dict(type='MultiBranch', sup=[pack]),
        ],
    )
    unlabeled = dict(
        type='UnlabeledDataset',
        data_root=root,
        data_prefix=dict(img_path=folders['img_path']),
        ann_file='splits/seed0/4/unlabeled.txt',
        pipeline=[
            *steps,
            dict(
                type='MultiBranch',
                unsup_teacher=[pack],
                unsup_student=strong,
                unsup_student2=strong,
            ),
        ],
    )
    parts = [DATASETS.build(part) for part in (labeled, unlabeled)]
    return FUNCTIONS.get('mmsemi.branch_collate')(
        [part[i] for part in parts for i in (0, 1)]
    )


def two_steps(config: dict, batch: dict) -> None:
    """Train a plain segmentor or a method for two steps.

    Raises:
        ArithmeticError: If the loss is not finite, or nothing has learnt from it.
    """
    torch.manual_seed(0)
    model: Any = MODELS.build(ConfigDict(copy.deepcopy(config)))
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    for step in range(2):
        data = copy.deepcopy(batch)
        if hasattr(model, 'set_iter'):
            model.set_iter(step, 2)
        else:
            data = {key: value['sup'] for key, value in data.items()}
        log = model.train_step(data, OptimWrapper(optimizer))
        if not log['loss'].isfinite():
            raise ArithmeticError(f'the loss is {log["loss"].item()}')
        if getattr(model, 'needs_mean_teacher', False):
            ema_update(model.teacher, model.student, 0.5, 'ema')
    after = model.parameters()
    if all(torch.equal(a, b) for a, b in zip(before, after, strict=True)):
        raise ArithmeticError('no parameter has changed')


def attempt(read: Callable[[], ConfigDict], batch: dict, crop: int) -> dict[str, str]:
    """Train a model alone and with each method.

    Returns:
        An empty string, or the cause of a failure, by method; ``'alone'`` first.
    """
    results: dict[str, str] = {}
    try:
        plain = shrink(read(), CLASSES, crop)
        two_steps(plain, batch)
    except Exception as error:
        return {'alone': cause(error)}
    results['alone'] = ''
    for name in SHOWN:
        small = dict(bank_size=100, rep_channels=8) if name == 'u2pl' else {}
        try:
            two_steps(dict(METHODS[name], segmentor=plain, **small), batch)
            results[name] = ''
        except Exception as error:
            results[name] = cause(error)
    return results


def in_fork(work: Callable[[], dict[str, str]], limit: float) -> dict[str, str]:
    """Do the work in a fork of this process, which has all imports.

    Args:
        work: What to do.
        limit: Seconds it may take.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            silence = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silence, 1), os.dup2(silence, 2)
            torch.set_num_threads(1)
            os.write(writer, json.dumps(work()).encode())
        finally:
            # whatever happens, this process must not go on as the other
            os._exit(1)
    os.close(writer)
    ready, _, _ = select.select([reader], [], [], limit)
    if not ready:
        os.kill(child, signal.SIGKILL)
    with os.fdopen(reader, 'rb') as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    if text:
        return json.loads(text)
    ended = f'ended with status {os.waitstatus_to_exitcode(status)}'
    return {'alone': f'took more than {limit:g} s' if not ready else ended}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--only', nargs='+', help='names of models')
    parser.add_argument('--limit', type=float, default=300, help='seconds for a model')
    parser.add_argument('--write', type=Path, help='page whose table is replaced')
    parser.add_argument('--json', type=Path, help='keep the results, and go on from it')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Train all models and print or write the table."""
    args = parse_args(argv)
    warnings.filterwarnings('ignore')
    MMLogger.get_instance('mmengine', log_level='ERROR')
    init_default_scope('mmsemi')
    rows: dict[str, dict[str, str]] = {}
    if args.json and args.json.exists():
        rows = json.loads(args.json.read_text())
    chosen = [m for m in models() if not args.only or m[0] in args.only]
    with tempfile.TemporaryDirectory() as root:
        generate_toyvoc(root, 8, 2, 0)
        write_toyvoc_split(root, 4, seed=0)
        batches = {
            crop: load_batch(root, crop)
            for crop in {CROPS.get(name, 64) for name, _ in chosen}
        }
        for name, read in chosen:
            if name in rows and not args.only:
                continue
            crop = CROPS.get(name, 64)
            rows[name] = in_fork(
                lambda: attempt(read, batches[crop], crop),  # noqa: B023
                args.limit,
            )
            wrong = {key: value for key, value in rows[name].items() if value}
            print(f'{name}: {wrong or "all"}', file=sys.stderr, flush=True)
            if args.json:
                args.json.write_text(json.dumps(rows, indent=1))
    rows = {name: rows[name] for name, _ in models() if name in rows}
    text = f'{versions()}\n\n{table(rows)}'
    if args.write is None:
        print(text)
        return
    page = args.write.read_text(encoding='utf-8')
    head, _, rest = page.partition(START)
    _, _, tail = rest.partition(END)
    args.write.write_text(f'{head}{START}\n{text}\n{END}{tail}', encoding='utf-8')


if __name__ == '__main__':
    main()
