"""LPL against the released formulas, in loops over pixels."""

import copy
import math
import multiprocessing
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope
from mmengine.structures import LabelData, PixelData
from mmseg.structures import SegDataSample
from torch.nn.functional import interpolate

from mmsemi.engine import SemiDistributedDataParallel
from mmsemi.registry import MODELS

RELEASED = dict(eps=1e-5, zero_iou_as_one=True, count_void=True, label_padding=True)
WEIGHTS = (0.5, 2.0, 1.0, 3.0)
TERMS = ('loss_cls_hybrid', 'loss_seg_hybrid', 'loss_seg_pseudo', 'loss_pct')


@pytest.fixture
def make_lpl(tiny_segmentor):
    """Return a function that builds LPL, initialised, with predictions that vary."""

    def build(**kwargs):
        torch.manual_seed(0)
        kwargs.setdefault('segmentor', copy.deepcopy(tiny_segmentor))
        model = MODELS.build(ConfigDict(type='LPL', **kwargs))
        model.init_weights()
        for network in model.networks().values():
            network.decode_head.conv_seg.weight.data.mul_(80)
        return model.train()

    return build


@pytest.fixture
def batch(make_batch):
    """2 + 2 images; the second weak one has a mask, both weak ones padding."""
    inputs, samples = make_batch()
    inputs = dict(sup=inputs['sup'], weak=inputs['unsup_teacher'])
    strong, weak = samples['sup'], samples['unsup_teacher']
    strong[0].gt_sem_seg.data[strong[0].gt_sem_seg.data == 1] = 2
    for sample in strong:
        # no class 3, so that it is never hit
        sample.gt_sem_seg.data[sample.gt_sem_seg.data == 3] = 255
    mask = torch.randint(2, (1, 33, 33), generator=torch.Generator().manual_seed(1))
    mask[:, -3:] = mask[..., -3:] = 255
    weak[1].gt_sem_seg = PixelData(data=mask)
    tags = [[1, 0, 1, 1], [1, 1, 1, 1], [0, 1, 0, 1], [1, 1, 0, 0]]
    for sample, row in zip([*strong, *weak], tags, strict=True):
        sample.gt_tags = LabelData(item=torch.tensor(row).bool())
    return inputs, dict(sup=strong, weak=weak)


def outputs(model, inputs):
    """Scores of both networks in train mode, doubles (4, C, 33, 33)."""
    images = torch.cat([inputs['sup'], inputs['weak']])
    return [
        interpolate(
            copy.deepcopy(network)(images, mode='tensor').detach().double(),
            (33, 33),
            mode='bilinear',
        ).numpy()
        for network in model.networks().values()
    ]


def cce(scores, label, tags, eps, weighted):
    """The released loss map (H, W) of one image, and where it counts."""
    terms = np.zeros(label.shape)
    weights = WEIGHTS if weighted else [1] * 4
    for y, x in np.ndindex(*label.shape):
        if label[y, x] != 255 and tags[label[y, x]]:
            prob = np.exp(scores[:, y, x] - scores[:, y, x].max() * (eps == 0))
            ratio = prob[label[y, x]] / (prob[tags].sum() + eps)
            terms[y, x] = -weights[label[y, x]] * math.log(ratio + eps)
    return terms, (label != 255) & tags[np.minimum(label, 3)]


def mean_cce(scores, labels, tags, *settings):
    parts = [cce(*image, *settings) for image in zip(scores, labels, tags, strict=True)]
    return sum(p[0].sum() for p in parts) / sum(p[1].sum() for p in parts)


def reference(f_h, f_p, samples, state, *, released, first, weighted):
    """The four terms, and the state (T, Q, TP) that is updated in place."""
    eps = 1e-5 if released else 0
    every = [*samples['sup'], *samples['weak']]
    tags = [sample.gt_tags.item.numpy() for sample in every]
    truth = [s.gt_sem_seg.data[0].numpy() for s in samples['sup']]
    y_h, y_p = (
        [np.where(t[:, None, None], f, -np.inf).argmax(0) for f, t in zip(scores, tags)]  # noqa: B905
        for scores in (f_h, f_p)
    )
    cross = {}
    for name, labels in (('h', y_h), ('p', y_p)):
        first_weak = labels[2].copy()
        if not released:
            first_weak[:, -3:] = 255
        cross[name] = [first_weak, samples['weak'][1].gt_sem_seg.data[0].numpy()]
    cls = []
    for scores, row in zip(f_h, tags, strict=True):
        for c in range(first, 4):
            p = 1 / (1 + math.exp(-scores[c].max()))
            cls.append(-math.log(p if row[c] else 1 - p))
    for c in range(4):
        for index, count in enumerate(
            (
                sum((t == c).sum() for t in truth),
                sum(
                    ((p == c) & (released | (t != 255))).sum()
                    for p, t in zip(y_p[:2], truth, strict=True)
                ),
                sum(
                    ((p == c) & (t == c)).sum()
                    for p, t in zip(y_p[:2], truth, strict=True)
                ),
            )
        ):
            state[index, c] = 0.99 * state[index, c] + count
    iou = state[2] / (state[0] + state[1] - state[2])
    pct = 0.0
    for i in range(2):
        known = [iou[c] for c in range(4) if tags[2 + i][c]]
        if released:
            known = [value or 1.0 for value in known]
        pct += (
            min(known) ** 8
            * cce(f_h[2 + i], cross['p'][i], tags[2 + i], eps, weighted)[0].sum()
        )
    return dict(
        loss_cls_hybrid=np.mean(cls),
        loss_seg_hybrid=mean_cce(f_h[:2], truth, tags[:2], eps, weighted),
        loss_seg_pseudo=mean_cce(f_p[2:], cross['h'], tags[2:], eps, weighted),
        loss_pct=pct / (2 * 33 * 33),
    )


@pytest.mark.parametrize('background', [True, False])
@pytest.mark.parametrize('released', [False, True])
@pytest.mark.parametrize('hit', [0, 2800])
@pytest.mark.parametrize('weighted', [False, True])
def test_matches_reference(weighted, hit, released, background, make_lpl, batch):
    settings = dict(class_weight=WEIGHTS) if weighted else {}
    settings |= RELEASED if released else {}
    model = make_lpl(background=background, **settings)
    # class 3 is a tag of the weak image without a mask
    state = np.array([[3e3] * 4, [3e3] * 4, [2900, 2800, 2700, hit]])
    for name, row in zip(('true', 'predicted', 'hit'), state, strict=True):
        getattr(model.running_iou, name).copy_(torch.from_numpy(row))
    for _ in range(2):
        expected = reference(
            *outputs(model, batch[0]),
            batch[1],
            state,
            released=released,
            first=int(background),
            weighted=weighted,
        )
        losses = model(*batch, mode='loss')
        for name in TERMS:
            assert losses[name].item() == pytest.approx(expected[name], 1e-4), name
        iou = state[2] / (state[0] + state[1] - state[2])
        assert model.running_iou.iou.tolist() == pytest.approx(iou.tolist(), 1e-5)
        assert losses['running_miou'].item() == pytest.approx(iou.mean(), 1e-5)
    assert losses['loss_pct'] > 1e-3 and 0 < losses['image_reliability'] < 1
    assert (iou[3] == 0) == (hit == 0)


def test_total_is_the_sum_of_four(make_lpl, batch):
    losses = make_lpl()(*batch, mode='loss')
    assert set(losses) == {
        *TERMS,
        'image_reliability',
        'running_miou',
        'outside_tags_ratio',
    }
    total, _ = make_lpl().parse_losses(losses)
    torch.testing.assert_close(total, sum(losses[name] for name in TERMS))
    assert losses['outside_tags_ratio'] == 0


def test_who_learns_from_what(make_lpl, batch):
    """No gradient crosses; PseudoNet learns from one term, HybridNet from three."""
    for name in TERMS:
        model = make_lpl()
        # a weight that is not too small for float32
        model.running_iou.hit.fill_(1e6)
        model.running_iou.true.fill_(1e6)
        model.running_iou.predicted.fill_(1e6)
        model(*batch, mode='loss')[name].backward()
        learner, other = model.hybrid, model.pseudo
        if name == 'loss_seg_pseudo':
            learner, other = other, learner
        for key, parameter in learner.named_parameters():
            assert parameter.grad is not None, (name, key)
            assert parameter.grad.isfinite().all(), (name, key)
        assert learner.decode_head.conv_seg.weight.grad.abs().sum() > 0, name
        assert all(p.grad is None for p in other.parameters()), name


def test_masks_of_strong_images_reach_pseudonet_by_no_way(make_lpl, batch):
    """Its gradient is the same whatever the masks of the strong half are."""
    gradients = []
    for value in (0, 2):
        model = make_lpl()
        inputs, samples = copy.deepcopy(batch)
        for sample in samples['sup']:
            sample.gt_sem_seg.data.fill_(value)
        model.parse_losses(model(inputs, samples, mode='loss'))[0].backward()
        gradients.append([p.grad for p in model.pseudo.parameters()])
    assert all(map(torch.equal, *gradients))


def test_labels_outside_tags_are_counted(make_lpl, batch):
    inputs, samples = batch
    samples['sup'][0].gt_sem_seg.data[0, 10:12, :] = 1
    losses = make_lpl()(inputs, samples, mode='loss')
    assert losses['outside_tags_ratio'].item() == pytest.approx(1 / 33)
    assert all(losses[name].isfinite() for name in TERMS)


def test_networks_are_alike_but_independent(make_lpl):
    model = make_lpl()
    first, second = (n.state_dict() for n in model.networks().values())
    assert {k: v.shape for k, v in first.items()} == {
        k: v.shape for k, v in second.items()
    }
    for key in ('backbone.stem.0.weight', 'decode_head.conv_seg.weight'):
        assert not torch.equal(first[key], second[key])
    assert all(p.requires_grad for p in model.parameters())
    assert all(m.training for m in model.modules())
    assert model.predictors() == ['hybrid', 'pseudo'] and model.predict_on == 'hybrid'


def test_checkpoints(make_lpl, batch, tiny_segmentor):
    model = make_lpl()
    model(*batch, mode='loss')
    other = make_lpl()
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.running_iou.iou, model.running_iou.iou)
    assert model.running_iou.iou.any()
    plain = MODELS.build(copy.deepcopy(tiny_segmentor)).state_dict()
    report = other.load_state_dict(plain, strict=False)
    assert not report.unexpected_keys
    assert all(key.startswith('running_iou.') for key in report.missing_keys)
    for network in other.networks().values():
        assert all(torch.equal(v, plain[k]) for k, v in network.state_dict().items())


@pytest.mark.parametrize('name', ['hybrid', 'pseudo'])
@torch.no_grad()
def test_prediction_with_tags(name, make_lpl, batch, monkeypatch):
    said = []
    monkeypatch.setattr(
        'mmsemi.models.segmentors.lpl.print_log', lambda text, logger: said.append(text)
    )
    model = make_lpl(predict_on=name, predict_with_tags=True).eval()
    inputs, samples = batch
    images, samples = inputs['sup'], samples['sup']
    for sample in samples:
        sample.set_metainfo(dict(ori_shape=(40, 30), img_shape=(33, 33)))
    plain = model.networks()[name].predict(images, copy.deepcopy(samples))
    for before, after in zip(plain, model.predict(images, samples), strict=True):
        tags = after.gt_tags.item
        prob = after.seg_logits.data.softmax(0)
        assert prob.shape == (4, 40, 30) and (prob[~tags] == 0).all()
        torch.testing.assert_close(
            prob[tags], before.seg_logits.data[tags].softmax(0), rtol=1e-4, atol=1e-6
        )
        expected = tags.nonzero()[:, 0][before.seg_logits.data[tags].argmax(0)]
        assert torch.equal(after.pred_sem_seg.data[0], expected)
    model.predict(images, copy.deepcopy(samples))
    model.predict_with_tags = False
    assert len(said) == 1 and 'with tags' in said[0]
    again = model.predict(images, copy.deepcopy(samples))
    assert torch.equal(again[0].seg_logits.data, plain[0].seg_logits.data)


def test_half_precision(make_lpl, batch):
    model = make_lpl()
    with torch.autocast('cpu', torch.bfloat16):
        losses = model(*batch, mode='loss')
        total, _ = model.parse_losses(losses)
    total.backward()
    assert total.dtype == torch.float32 and total.isfinite()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_wrong_options(make_lpl, tiny_segmentor):
    with pytest.raises(ValueError, match=r"predict_on='teacher' .* \['hybrid', 'pseud"):
        make_lpl(predict_on='teacher')
    with pytest.raises(ValueError, match=r'eps=0: give 1e-5 as released'):
        make_lpl(eps=0)
    with pytest.raises(ValueError, match='reliability_power=-1 must be at least 0'):
        make_lpl(reliability_power=-1)
    with pytest.raises(ValueError, match=r'iou_decay=1\.5 must be in \[0, 1\)'):
        make_lpl(iou_decay=1.5)
    with pytest.raises(ValueError, match='class_weight lists 3 numbers for 4 classes'):
        make_lpl(class_weight=[1, 2, 3])
    head = dict(tiny_segmentor['decode_head'], type='FCNHead')
    with pytest.raises(ValueError, match="set the segmentor's auxiliary_head=None"):
        make_lpl(segmentor=tiny_segmentor | dict(auxiliary_head=head))


def test_wrong_batches(make_lpl, batch):
    model = make_lpl()
    inputs, samples = batch
    with pytest.raises(ValueError, match=r"LPL trains .* but the batch has no \['weak"):
        model({'sup': inputs['sup']}, samples, mode='loss')
    without = copy.deepcopy(samples)
    del without['weak'][1].gt_tags
    with pytest.raises(ValueError, match='no image tags: put LoadImageTags into its'):
        model(inputs, without, mode='loss')
    other = copy.deepcopy(samples)
    other['sup'][0].gt_tags = LabelData(item=torch.ones(5).bool())
    with pytest.raises(ValueError, match='are of 5 classes, but the network has 4'):
        model(inputs, other, mode='loss')
    smaller = dict(inputs, weak=inputs['weak'][..., :20])
    with pytest.raises(ValueError, match='give both pipelines the same crop_size'):
        model(smaller, samples, mode='loss')
    model.predict_with_tags = True
    with pytest.raises(ValueError, match='no image tags'):
        model.eval().predict(inputs['sup'], [SegDataSample(), SegDataSample()])


def work(rank: int, folder: Path, model, batches: list) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        'gloo', init_method=f'file://{folder}/rendezvous', rank=rank, world_size=2
    )
    with DefaultScope.overwrite_default_scope('mmsemi'):
        wrapped = SemiDistributedDataParallel(model, find_unused_parameters=False)
        for inputs, samples in batches[rank]:
            losses = wrapped(inputs, samples, mode='loss')
            wrapped.zero_grad()
            model.parse_losses(losses)[0].backward()
    iou = model.running_iou.iou
    gradients = [p.grad for p in model.parameters()]
    torch.save((iou, gradients), folder / f'{rank}.pt')
    dist.destroy_process_group()


def test_two_processes_share_the_running_iou(make_lpl, batch, tmp_path):
    model = make_lpl()
    inputs, samples = batch
    second = {name: images.flip(-1) for name, images in inputs.items()}
    void = copy.deepcopy(samples)
    for sample in void['sup']:
        sample.gt_sem_seg.data.fill_(255)
    batches = [[batch, batch], [(second, samples), (second, void)]]
    context = multiprocessing.get_context('fork')
    workers = [
        context.Process(target=work, args=(rank, tmp_path, model, batches))
        for rank in (0, 1)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(300)
        assert worker.exitcode == 0
    (iou, gradients), (other, others) = (
        torch.load(tmp_path / f'{rank}.pt') for rank in (0, 1)
    )
    assert torch.equal(iou, other) and iou.any()
    for mine, theirs in zip(gradients, others, strict=True):
        assert mine is not None and torch.equal(mine, theirs)
