"""AVC's classifier: its losses, its time, its maps."""

import math

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.structures import LabelData
from mmseg.structures import SegDataSample

from mmsemi.models.losses.affinity_vector_consistency import (
    affinity_vector_consistency,
)
from mmsemi.registry import MODELS

WIDTH = 1 / 32


def make_avc(**kwargs):
    torch.manual_seed(0)
    head = dict(type='CamHead', in_channels=128, num_classes=3, affinity_channels=8)
    head.update(kwargs.pop('head', {}))
    model = MODELS.build(
        ConfigDict(
            type='AVC',
            backbone=dict(type='ResNet38', width=WIDTH),
            head=head,
            data_preprocessor=dict(type='SegDataPreProcessor', size=(32, 32)),
            **kwargs,
        )
    )
    model.init_weights()
    return model


@pytest.fixture
def batch():
    """Two images of 32 x 32, the second padded; tags of background + 3 classes."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(2, 3, 4, 4, generator=generator)
    inputs = torch.nn.functional.interpolate(coarse, (32, 32), mode='bilinear')
    samples = []
    for tags, padding in (([1, 1, 0, 1], 0), ([1, 0, 1, 0], 16)):
        sample = SegDataSample(metainfo=dict(padding_size=(0, padding, 0, 0)))
        sample.gt_tags = LabelData(item=torch.tensor(tags).bool())
        samples.append(sample)
    return inputs, samples


def soft_margin(scores, tags):
    """The mean over the classes of the binary cross entropies, in a loop."""
    total = 0.0
    for row, classes in zip(scores.tolist(), tags, strict=True):
        for score, there in zip(row, classes, strict=True):
            prob = 1 / (1 + math.exp(-score))
            total -= math.log(prob if there else 1 - prob) / len(row)
    return total / len(scores)


def test_classification_loss(batch):
    model = make_avc(consistency_weight=0).eval()
    losses = model.loss(*batch)
    assert list(losses) == ['loss_cls'] and not model.needs_time
    wanted = soft_margin(model(batch[0]), [[1, 0, 1], [0, 1, 0]])
    assert losses['loss_cls'].item() == pytest.approx(wanted, rel=1e-5)


def reference_labels(model, features, tags, low, high):
    """Refine, scale and cut in loops; the right half of the second image is void."""
    maps = model.head.cam(features)
    affinity, _ = model.head.affinity(features)
    label = torch.full((2, 4, 4), 255)
    for b in range(2):
        refined = (affinity[b] @ maps[b].flatten(1).T).T.reshape(3, 4, 4)
        scaled = torch.zeros(3, 4, 4)
        for c in range(3):
            if tags[b][c]:
                inside = refined[c, :, : 2 if b else 4]
                least, most = inside.min(), inside.max()
                scaled[c] = (refined[c] - least) / (most - least + 1e-5)
        for y in range(4):
            for x in range(2 if b else 4):
                most = scaled[:, y, x].max()
                if most < low:
                    label[b, y, x] = 0
                elif most > high:
                    label[b, y, x] = 1 + scaled[:, y, x].argmax()
    return label


@pytest.mark.parametrize('mode', ['target', 'pair', 'view'])
def test_consistency_term(batch, mode):
    model = make_avc(consistency_weight=0.5, mode=mode, warmup=0.2).eval()
    assert model.needs_time
    model.set_iter(30, 100)
    losses = model.loss(*batch)
    features = model.backbone(batch[0])
    tags = [[1, 0, 1], [0, 1, 0]]
    label = reference_labels(model, features, tags, 0.25, 0.6)
    assert 2 < len(label.unique()) and (label != 255).sum() > 8
    affinity, _ = model.head.affinity(features)
    extra = {}
    if mode == 'view':
        mirrored = model.head.affinity(model.backbone(batch[0].flip(3)))[0]
        extra = dict(flipped=mirrored, width=4)
    term = affinity_vector_consistency(affinity, label.flatten(1), mode=mode, **extra)
    # at 30 % of the training half of the ramp from 20 % to 40 % is done
    torch.testing.assert_close(losses['loss_consistency'], 0.25 * term)
    torch.testing.assert_close(losses['inconsistency'], term.detach())
    ratio = (label != 255).float().mean()
    torch.testing.assert_close(losses['labelled_token_ratio'], ratio)
    total, _ = model.parse_losses(losses)
    torch.testing.assert_close(total, losses['loss_cls'] + losses['loss_consistency'])


@pytest.mark.parametrize(
    'step, weight', [(0, 0), (24, 0), (25, 0), (30, 0.02), (50, 0.1), (99, 0.1)]
)
def test_weight_over_time(step, weight):
    model = make_avc()
    model.set_iter(step, 100)
    assert model.weight_now() == pytest.approx(weight)
    model.warmup = 0
    model.set_iter(step, 100)
    assert model.weight_now() == pytest.approx(0.1)


def test_warm_up_in_steps():
    steps, share = make_avc(warmup=20), make_avc(warmup=0.2)
    for iteration in (0, 19, 20, 29, 99):
        for model in (steps, share):
            model.set_iter(iteration, 100)
        assert steps.weight_now() == share.weight_now()
    with pytest.raises(ValueError, match=r'AVC warmup=20: .* consistency term is used'):
        steps.set_iter(0, 20)


def test_every_parameter_has_a_gradient_in_the_warm_up(batch):
    model = make_avc().train()
    model.set_iter(0, 100)
    sum(v for k, v in model.loss(*batch).items() if 'loss' in k).backward()
    for name, value in model.named_parameters():
        assert value.grad is not None and value.grad.isfinite().all(), name
    assert not model.head.projection.weight.grad.any()
    model.zero_grad()
    model.set_iter(99, 100)
    model.loss(*batch)['loss_consistency'].backward()
    assert model.head.projection.weight.grad.any()


@torch.no_grad()
def test_predict(batch):
    model = make_avc().eval()
    inputs, samples = batch
    found = model(inputs, samples, mode='predict')
    torch.testing.assert_close(
        torch.stack([s.pred_score for s in found]), model(inputs).sigmoid()
    )
    assert found[0].gt_score.tolist() == [1, 0, 1]
    assert 'gt_score' not in model.predict(inputs)[0]


@torch.no_grad()
def test_cams(batch):
    model = make_avc().eval()
    images = batch[0][:1]
    found = model.cams(images, (20, 24), scales=[1.0], flip=False)
    maps = model.head.cam(model.backbone(images))
    wanted = torch.nn.functional.interpolate(maps, (20, 24), mode='bilinear')
    torch.testing.assert_close(found, wanted)
    affinity, _ = model.head.affinity(model.backbone(images))
    refined = (maps.flatten(2) @ affinity.transpose(1, 2)).view_as(maps)
    wanted = torch.nn.functional.interpolate(refined, (20, 24), mode='bilinear')
    found = model.cams(images, (20, 24), scales=[1.0], flip=False, refine=True)
    torch.testing.assert_close(found, wanted)
    both = model.cams(images, (20, 24), scales=[1.0])
    other = model.cams(images.flip(3), (20, 24), scales=[1.0])
    torch.testing.assert_close(both, other.flip(3), rtol=1e-4, atol=1e-5)


def test_errors(batch):
    for wrong, message in (
        (dict(consistency_weight=-1), 'consistency_weight=-1'),
        (dict(warmup=1.5), 'warmup=1.5'),
        (dict(low=0.7), r'low=0.7 is above high=0\.6'),
        (dict(mode='rows'), "mode='rows': choose"),
        (dict(head=dict(affinity_channels=0)), 'set its affinity_channels'),
    ):
        with pytest.raises(ValueError, match=message):
            make_avc(**wrong)
    model = make_avc(consistency_weight=0, head=dict(affinity_channels=0))
    with pytest.raises(ValueError, match='refine=True'):
        model.cams(batch[0], (4, 4), refine=True)
    with pytest.raises(ValueError, match="mode='train'"):
        model(batch[0], mode='train')
    with pytest.raises(ValueError, match='no image tags'):
        model.loss(batch[0], [SegDataSample(), SegDataSample()])


def test_conformer(batch):
    pytest.importorskip('mmpretrain')
    torch.manual_seed(0)
    model = MODELS.build(
        ConfigDict(
            type='AVC',
            backbone=dict(
                type='ConformerCam',
                arch=dict(embed_dims=24, channel_ratio=1, num_heads=2, depths=12),
                base_channels=8,
            ),
            head=dict(type='ConformerCamHead', num_classes=3, in_channels=(32, 24)),
            data_preprocessor=dict(type='SegDataPreProcessor', size=(32, 32)),
            warmup=0,
        )
    )
    model.init_weights()
    losses = model.train().loss(*batch)
    sum(v for k, v in losses.items() if 'loss' in k).backward()
    lacking = [n for n, p in model.named_parameters() if p.grad is None]
    assert not lacking
    assert losses['loss_consistency'] > 0
    with torch.no_grad():
        maps = model.eval().cams(batch[0], (33, 30), squares=[32, 48], refine=True)
    assert maps.shape == (2, 3, 33, 30)
