"""The report of the demo: a supervised training and U2PL, side by side."""

import json
import platform
from dataclasses import dataclass
from pathlib import Path

import mmcv
import mmengine
import mmseg
import torch
from mmengine.config import Config

import mmsemi
from mmsemi.datasets.atomic import replacing

from .compare import (
    Comparison,
    load_trained,
    miou_curves,
    pseudo_label_panels,
    validation_data,
)
from .curves import line_chart, read_scalars, smooth
from .page import Report, mean, render
from .side_by_side import count_cores

SHOWN = 6


@dataclass(frozen=True)
class Settings:
    """What decides the numbers of a demo."""

    seed: int = 0
    labels: int = 24
    iters: int = 1000
    amp: bool = False
    data_root: str = 'data/toyvoc'
    num_train: int = 800
    num_val: int = 200


def compare(configs: dict[str, Path]) -> Comparison:
    """Validate the supervised model, the student and the teacher."""
    cfgs = {name: Config.fromfile(path) for name, path in configs.items()}
    data = validation_data(cfgs['U2PL'])
    shown = [i * len(data) // SHOWN for i in range(SHOWN)]
    result = Comparison(data, shown)
    model = load_trained(cfgs['supervised'], configs['supervised'].with_suffix(''))
    result.add('supervised only', model)
    model = load_trained(cfgs['U2PL'], configs['U2PL'].with_suffix(''))
    result.add('U2PL student', model, 'student')
    result.add('U2PL teacher', model, 'teacher')
    return result


def draw_curves(configs: dict[str, Path]) -> list[str]:
    """Draw what both trainings have logged."""
    runs = {n: read_scalars(path.with_suffix('')) for n, path in configs.items()}
    semi = {key: smooth(series, 9) for key, series in runs['U2PL'].items()}
    losses = {
        'supervised only': smooth(runs['supervised']['decode.loss_ce'], 9),
        'U2PL, labelled': semi['sup.decode.loss_ce'],
        'U2PL, unlabelled': semi.get('loss_unsup', []),
        'U2PL, contrastive': semi.get('loss_contrast', []),
    }
    kept = [(step, 100 * value) for step, value in semi.get('reliable_ratio', [])]
    threshold = {'entropy threshold (nats)': semi.get('entropy_threshold', [])}
    return [
        line_chart('mIoU on the validation images', miou_curves(runs), '%'),
        line_chart('Loss terms', losses),
        line_chart('Pseudo-labelled pixels that are kept', {'reliable': kept}, '%'),
        line_chart('Entropy above which a pixel is dropped', threshold),
    ]


def facts(settings: Settings, seconds: float, cpu: float) -> dict[str, object]:
    """Collect what a reader needs to judge and repeat the numbers."""
    device = 'CPU'
    if torch.cuda.is_available():
        device = torch.cuda.get_device_name()
    libraries = (torch, mmengine, mmcv, mmseg, mmsemi)
    return {
        'data': f'ToyVOC, {settings.labels} labelled of {settings.num_train} images, '
        f'{settings.num_val} for validation',
        'steps': settings.iters,
        'seed': settings.seed,
        'precision': 'half (amp)' if settings.amp else 'float32',
        'hardware': f'{device}, {platform.machine()}, {count_cores()} cores',
        'versions': f'Python {platform.python_version()}, '
        + ', '.join(f'{lib.__name__} {lib.__version__}' for lib in libraries),
        'training time': f'{seconds / 60:.1f} min, {cpu / 60:.1f} min of CPU '
        '(of the last call, if it was resumed)',
    }


def write_report(
    settings: Settings, work_dir: Path, configs: dict[str, Path], times: list[float]
) -> dict[str, float]:
    """Compare the trainings and write ``report.html``.

    Returns:
        The mIoU of each network.
    """
    result = compare(configs)
    classes = result.dataset.metainfo
    options = f'--seed {settings.seed} --labels {settings.labels}'
    options += f' --iters {settings.iters}' + ' --amp' * settings.amp
    report = Report(
        title='What unlabelled images add',
        summary=f'{settings.labels} labelled images train both models; U2PL also sees '
        f'the other {settings.num_train - settings.labels}, without their labels. '
        'Same network, crop, steps, optimiser and schedule.',
        iou={name: iou.tolist() for name, iou in result.iou.items()},
        classes=classes['classes'],
        palette=classes['palette'],
        charts=draw_curves(configs),
        panels=[
            result.panels(['supervised only', 'U2PL teacher']),
            *pseudo_label_panels(configs['U2PL'].with_suffix('')),
        ],
        facts=facts(settings, *times),
        commands=[f'python tools/demo.py {options}']
        + [f'python tools/train.py {path}' for path in configs.values()],
    )
    with replacing(work_dir / 'report.html') as aside:
        aside.write_text(render(report), 'utf-8')
    scores = {name: mean(iou) for name, iou in report.iou.items()}
    with replacing(work_dir / 'result.json') as aside:
        aside.write_text(json.dumps(scores, indent=1) + '\n', 'utf-8')
    return scores
