"""Two small branches that are trained in milliseconds, and images to label."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmseg.models import SegDataPreProcessor
from torch import nn

NUMBERS = itertools.count()


class Branch(nn.Module):
    """A convolution and a batch norm that tell four classes apart."""

    num_classes = 4

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4)
        )

    def forward(self, x):
        return 3 * self.layers(x)


class TwoBranches(BaseModel):
    """A method that predicts on the fusion of two networks."""

    predict_on = 'fusion'

    def __init__(self) -> None:
        super().__init__(
            data_preprocessor=SegDataPreProcessor(
                mean=[120.0] * 3, std=[60.0] * 3, size=(33, 33)
            )
        )
        self.branch1, self.branch2 = Branch(), Branch()

    def networks(self):
        return dict(branch1=self.branch1, branch2=self.branch2)

    def forward(self, inputs, data_samples, mode):
        assert mode == 'loss'
        label = torch.stack([s.gt_sem_seg.data[0].long() for s in data_samples])
        losses = {}
        for name, network in self.networks().items():
            logits = F.interpolate(network(inputs), label.shape[-2:], mode='bilinear')
            losses[f'{name}.loss'] = F.cross_entropy(logits, label, ignore_index=255)
        return losses


@pytest.fixture
def images(tiny_images: Path) -> dict:
    """Return the data set of the images without labels, c … f."""
    return dict(
        data_root=str(tiny_images),
        ann_file='unlabeled.txt',
        data_prefix=dict(img_path='images'),
    )


@pytest.fixture
def two_branches() -> Callable[..., TwoBranches]:
    """Return ``build(checkpoint)``, the method in eval mode."""

    def build(checkpoint: Path | None = None) -> TwoBranches:
        torch.manual_seed(0)
        model = TwoBranches()
        if checkpoint is not None:
            saved = torch.load(checkpoint, weights_only=False)
            model.load_state_dict(saved['state_dict'])
        return model.eval()

    return build


@pytest.fixture
def train_branches(
    tiny_images, tiny_dataloader, two_branches, tmp_path, default_scope
) -> Callable[..., Runner]:
    """Return ``build(*hooks, steps=5, work_dir='work', checkpoint={}, **changes)``."""

    def build(*hooks, steps=5, work_dir='work', checkpoint=(), **changes) -> Runner:
        labeled = dict(tiny_dataloader['dataset']['labeled'])
        labeled['pipeline'] = [
            *labeled['pipeline'][:-1],
            dict(type='PackSegInputs'),
        ]
        checkpoint = dict(checkpoint)
        cfg = dict(
            model=two_branches(),
            work_dir=str(tmp_path / work_dir),
            train_dataloader=dict(
                batch_size=2,
                num_workers=0,
                sampler=dict(type='MultiSourceSampler', num_per_source=dict(labeled=2)),
                dataset=dict(type='MultiSourceDataset', labeled=labeled),
            ),
            train_cfg=dict(type='IterBasedTrainLoop', max_iters=steps),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
            default_hooks=dict(
                checkpoint=dict(type='AtomicCheckpointHook', by_epoch=False, interval=1)
                | checkpoint,
                logger=None,
            ),
            custom_hooks=[dict(type='ExactResumeHook'), *hooks],
            default_scope='mmsemi',
            experiment_name=f'branches{next(NUMBERS)}',
            log_level='ERROR',
            randomness=dict(seed=0),
        )
        return Runner(**cfg | changes)

    return build
