"""Time and memory of U2PL's loss, and of a whole step against its floor.

Three measurements, each the least of some repeats:

* the contrastive part, forward and backward, with a full memory bank;
* the same loss with a loop over classes, boolean masks and queues that are
  concatenated, as it is often written;
* a whole training step against its floor: the plain student forward and backward
  and the plain teacher forward on the same images.
"""

import argparse
import resource
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor

from mmsemi.models import U2PL
from mmsemi.registry import MODELS


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--size', type=int, default=513, help='side of the crop')
    parser.add_argument('--classes', type=int, default=21)
    parser.add_argument('--images', type=int, default=4, help='of each half')
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument(
        '--small', action='store_true', help='2 + 2 images, crop 129, 1000 bank rows'
    )
    return parser.parse_args()


def build(args: argparse.Namespace) -> U2PL:
    """Build U2PL on a ResNet-18 DeepLabV3+ whose features have stride 4."""
    norm_cfg = dict(type='BN')
    segmentor = dict(
        type='EncoderDecoder',
        data_preprocessor=dict(type='SegDataPreProcessor', size=(args.size,) * 2),
        backbone=dict(
            type='ResNetV1c',
            depth=18,
            strides=(1, 2, 1, 1),
            dilations=(1, 1, 2, 4),
            norm_cfg=norm_cfg,
            contract_dilation=True,
        ),
        decode_head=dict(
            type='DepthwiseSeparableASPPHead',
            in_channels=512,
            in_index=3,
            channels=256,
            dilations=(1, 12, 24, 36),
            c1_in_channels=64,
            c1_channels=48,
            num_classes=args.classes,
            norm_cfg=norm_cfg,
            align_corners=True,
            loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
        ),
    )
    rows = dict(bank_size=1000, bank_size_first=1000) if args.small else {}
    model = MODELS.build(ConfigDict(type='U2PL', segmentor=segmentor, **rows))
    model.set_iter(1, 100)
    for c in range(args.classes):
        keys = torch.randn(int(model.memory_bank.size[c]), model.memory_bank.dim)
        model.memory_bank.push(keys, torch.full((len(keys),), c))
    return model.train()


def draw_maps(args: argparse.Namespace) -> dict[str, Tensor]:
    """Draw what the contrastive part gets: coarse regions, a fifth unreliable."""
    n, size = args.images, args.size
    cells = (size + 3) // 4
    coarse = 6 * torch.randn(2 * n, args.classes, 6, 6)
    prob = F.interpolate(coarse, (cells, cells), mode='bilinear').softmax(1)
    label = F.interpolate(prob, (size, size)).argmax(1)
    wrong = torch.randint(args.classes, (n, size, size))
    label[:n] = torch.where(torch.rand(n, size, size) < 0.1, wrong, label[:n])
    unsure = F.interpolate(torch.rand(n, 1, 20, 20), (size, size))[:, 0] < 0.2
    shape = (2 * n, 256, cells, cells)
    return dict(
        rep=torch.randn(shape).requires_grad_(),
        rep_teacher=torch.randn(shape),
        prob=prob,
        label_l=label[:n],
        label_u=label[n:],
        reliable=label[n:].masked_fill(unsure, 255),
    )


class NaiveContrast:
    """The same loss, class by class, on queues that are concatenated."""

    def __init__(self, model: U2PL) -> None:
        self.model = model
        classes = range(model.num_classes)
        self.queues = [model.memory_bank.rows(c).float() for c in classes]

    def __call__(
        self,
        rep: Tensor,
        rep_teacher: Tensor,
        prob: Tensor,
        label_l: Tensor,
        label_u: Tensor,
        reliable: Tensor,
    ) -> Tensor:
        """Compute the loss and push the keys."""
        size, n = rep.shape[-2:], len(label_l)
        one_hot = self._one_hot(torch.cat([label_l, label_u]), size)
        reliable = self._one_hot(torch.cat([label_l, reliable]), size).any(1)
        order = prob.sort(1, descending=True).indices
        student, teacher = (x.permute(0, 2, 3, 1) for x in (rep, rep_teacher))
        candidates, positives = [], []
        for c in range(self.model.num_classes):
            anchor = (prob[:, c] > 0.3) & one_hot[:, c] & reliable
            candidates.append(student[anchor])
            positives.append(teacher[anchor].mean(0))
            likely = (order[:, :3] == c).any(1)
            unlikely = (order[:, 3:20] == c).any(1)
            key = torch.cat(
                [likely[:n] & ~one_hot[:n, c], unlikely[n:] & ~reliable[n:]]
            )
            keys = teacher[key & one_hot.any(1)]
            keys = keys[torch.randperm(len(keys))[: self.model.max_keys]]
            queue = torch.cat([self.queues[c], F.normalize(keys, dim=1)])
            self.queues[c] = queue[-int(self.model.memory_bank.size[c]) :]
        losses = [
            self._info_nce(candidates[c], positives[c], self.queues[c])
            for c in range(self.model.num_classes)
            if len(candidates[c])
        ]
        return torch.stack(losses).mean()

    def _one_hot(self, label: Tensor, size: torch.Size) -> Tensor:
        maps = torch.stack([label == c for c in range(self.model.num_classes)], 1)
        return F.interpolate(maps.float(), size, mode='nearest-exact').bool()

    def _info_nce(self, anchors: Tensor, positive: Tensor, queue: Tensor) -> Tensor:
        q, n = self.model.num_anchors, self.model.num_negatives
        anchors = anchors[torch.randint(len(anchors), (q,))]
        negatives = queue[torch.randint(len(queue), (q * n,))].view(q, n, -1)
        others = torch.cat([positive.expand(q, 1, -1), negatives], 1)
        logits = F.cosine_similarity(anchors[:, None], others, dim=2)
        target = torch.zeros(q, dtype=torch.long)
        return F.cross_entropy(logits / self.model.temperature, target)


def least(step: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Return the least wall and processor time of a step in seconds."""
    wall, processor = [], []
    for _ in range(repeats + 1):  # the first warms up
        start = time.perf_counter(), time.process_time()
        step()
        wall.append(time.perf_counter() - start[0])
        processor.append(time.process_time() - start[1])
    return min(wall[1:]), min(processor[1:])


def report(name: str, times: tuple[float, float]) -> None:
    """Print one row."""
    print(f'{name:<42}{times[0] * 1e3:>9.0f} ms wall{times[1] * 1e3:>9.0f} ms CPU')


def peak() -> float:
    """Return the most memory the process had so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure_contrast(model: U2PL, args: argparse.Namespace) -> None:
    """Compare the page's contrastive part with the loop over classes."""
    maps = draw_maps(args)

    def step(loss: Callable[..., Tensor]) -> None:
        maps['rep'].grad = None
        loss(**maps).backward()

    size = ', '.join(map(str, maps['rep'].shape))
    data = model.memory_bank.data
    rows = f'{len(data)} rows of {data.dtype}'
    print(f'contrastive part at ({size}), {args.classes} classes, {rows}')
    before = peak()
    ours = least(
        lambda: step(lambda **m: model._contrastive_loss(**m)[0]), args.repeats
    )
    report('mmsemi, forward and backward', ours)
    bank = data.numel() * data.element_size() / 2**20
    print(f'{"memory: bank, and peak beyond the inputs":<42}{bank:>9.0f} MB', end='')
    print(f'{peak() - before:>14.0f} MB')
    loop = NaiveContrast(model)
    naive = least(lambda: step(loop), args.repeats)
    report('loop over classes, forward and backward', naive)
    print(f'ratio{naive[1] / ours[1]:>46.1f} x\n')


def measure_step(model: U2PL, args: argparse.Namespace) -> None:
    """Compare a whole step with its floor."""
    n, size = args.images, args.size
    inputs = {name: torch.randn(n, 3, size, size) for name in ('sup', 'unsup_teacher')}
    samples: dict[str, list[SegDataSample]] = dict(sup=[], unsup_teacher=[])
    for _ in range(n):
        label = F.interpolate(torch.rand(1, 1, 6, 6) * args.classes, (size, size))
        sample = SegDataSample(gt_sem_seg=PixelData(data=label[0].long()))
        samples['sup'].append(sample)
        valid = torch.ones(1, size, size, dtype=torch.bool)
        samples['unsup_teacher'].append(SegDataSample(valid=PixelData(data=valid)))
    both = torch.cat(list(inputs.values()))

    def floor() -> None:
        model.zero_grad()
        with torch.no_grad():
            model.teacher(both)
        loss = model.student.loss(both, samples['sup'] * 2)
        model.parse_losses(loss)[0].backward()

    def step() -> None:
        model.zero_grad()
        model.parse_losses(model(inputs, samples, mode='loss'))[0].backward()

    print(f'whole step, {n} + {n} images of {size}, DeepLabV3+ with a ResNet-18')
    bare, whole = least(floor, args.repeats), least(step, args.repeats)
    report('floor: student and teacher, plain', bare)
    report('U2PL', whole)
    print(f'ratio{whole[1] / bare[1]:>46.2f} x')


def main() -> None:
    """Measure and print."""
    args = parse_args()
    if args.small:
        args.size, args.images = 129, 2
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    init_default_scope('mmsemi')
    model = build(args)
    measure_contrast(model, args)
    measure_step(model, args)


if __name__ == '__main__':
    main()
