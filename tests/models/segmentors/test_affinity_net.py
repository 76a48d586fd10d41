"""AffinityNet: what its loss is on, and that it learns."""

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmsemi.models.losses.affinity_loss import affinity_loss
from mmsemi.registry import MODELS


@pytest.fixture
def net():
    torch.manual_seed(0)
    model = MODELS.build(
        ConfigDict(
            type='AffinityNet',
            backbone=dict(type='ResNet38', width=1 / 32),
            head=dict(
                type='AffinityHead', in_channels=(16, 32, 128), channels=(2, 3, 4)
            ),
            data_preprocessor=dict(type='SegDataPreProcessor', size=(32, 32)),
            radius=3,
        )
    )
    model.init_weights()
    return model


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    label = torch.randint(3, (2, 1, 4, 4), generator=generator)
    label[0, 0, 0] = 255
    images = torch.randn(3, 3, generator=generator)[label % 255 % 3][:, 0]
    images = images.permute(0, 3, 1, 2).repeat_interleave(8, 2).repeat_interleave(8, 3)
    samples = []
    for one in label.repeat_interleave(8, 2).repeat_interleave(8, 3):
        samples.append(SegDataSample(gt_sem_seg=PixelData(data=one)))
    return images, samples, label[:, 0]


def test_loss(net, batch):
    images, samples, small = batch
    net.eval()
    # untrained norms let the features grow; affinities would all be 0
    net.head.f9.weight.data.mul_(5e-3)
    for sample in samples:
        # only the first pixel of each cell counts
        label = sample.gt_sem_seg.data
        there = torch.zeros(32, 32, dtype=torch.bool)
        there[::8, ::8] = True
        sample.gt_sem_seg.data = torch.where(there, label, (label + 1) % 3)
    losses = net(images, samples, mode='loss')
    feature = net(images)
    assert 0.1 < (feature[..., 0] - feature[..., 1]).abs().mean() < 3
    assert feature.shape == (2, 9, 4, 4)
    assert list(losses) == ['loss_affinity']
    wanted = affinity_loss(feature, small, radius=3)
    torch.testing.assert_close(losses['loss_affinity'], wanted)


def test_learns(net, batch):
    images, samples, _ = batch
    net.train()
    for module in (net.backbone.b6, net.backbone.b7):
        module.eval()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    found = []
    for _ in range(12):
        loss = net.loss(images, samples)['loss_affinity']
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    assert found[-1] < 0.8 * found[0]
    assert all(p.grad is not None for p in net.parameters())


def test_predicts_nothing(net, batch):
    with pytest.raises(ValueError, match='predicts no classes'):
        net(batch[0], mode='predict')
