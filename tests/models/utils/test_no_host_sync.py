"""None of the promised functions reads a value back to the host."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mmsemi.models import losses, utils

SYNCING = ('_local_scalar_dense', 'nonzero', 'masked_select', 'bincount', 'unique')


class SyncRecorder(TorchDispatchMode):
    """Collects the operators that would wait for a GPU."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        indices = args[1] if name.startswith('index') and len(args) > 1 else ()
        if isinstance(indices, list | tuple) and any(
            index is not None and index.dtype == torch.bool for index in indices
        ):
            self.found.append(name)
        if any(name.startswith(word) for word in SYNCING):
            self.found.append(name)
        return func(*args, **(kwargs or {}))


def calls():
    torch.manual_seed(0)
    logits = torch.randn(4, 5, 6, 6, requires_grad=True)
    prob = logits.detach().softmax(1)
    label = torch.randint(0, 5, (4, 6, 6))
    mask = torch.rand(4, 6, 6) < 0.5
    classes = torch.arange(5)
    bank = utils.ClassMemoryBank([8] * 5, 5)
    anchors = torch.randn(5, 2, 5, requires_grad=True)
    boxes = torch.tensor([[0.0, 1, 4, 5], [2, 2, 9, 4]])
    labels, tags = torch.tensor([1, 3]), torch.ones(4, 5, dtype=torch.bool)
    correction, running = utils.ConvSelfCorrection(5, 4), utils.RunningClassIoU(5)
    return {
        'drop_unreliable': lambda: utils.drop_unreliable(label, prob[:, 0], 80)[1],
        'reweighted': lambda: utils.reweighted_cross_entropy(logits, label),
        'reliability': lambda: utils.reliability_score(
            label[None].repeat(3, 1, 1, 1), 5
        ),
        'fusion': lambda: utils.weighted_fusion(prob, prob)[1],
        'negative_mask': lambda: utils.negative_mask(
            prob, label, mask, 2, low_rank=1, high_rank=4
        ),
        'anchor_mask': lambda: utils.anchor_mask(prob, label, mask),
        'prototypes': lambda: utils.class_prototypes(logits, label, mask, 5)[0],
        'sample_anchors': lambda: utils.sample_anchors(label, mask, classes, 3),
        'gather_pixels': lambda: utils.gather_pixels(logits, classes),
        'info_nce': lambda: utils.info_nce(
            anchors, torch.randn(5, 5), torch.randn(5, 2, 3, 5), 0.5, classes > 2
        ),
        'push': lambda: bank.push(torch.randn(40, 5), torch.arange(40) % 5),
        'sample': lambda: bank.sample(classes, (2, 3)),
        'cutmix': lambda: utils.cutmix_mask(4, (6, 6)),
        'classmix': lambda: utils.mix(label, utils.classmix_mask(label)),
        'random_box': lambda: utils.cutmix_masks.random_box_mask(4, (6, 6)),
        'several_boxes': lambda: utils.cutmix_masks.several_boxes_mask(4, (6, 6)),
        'hard_label': lambda: utils.hard_label.hard_label(logits)[1],
        'masked': lambda: utils.hard_label.masked_cross_entropy(logits, label, mask),
        'channels': lambda: utils.feature_dropout.append_perturbed([logits], 2)[0],
        'soft': lambda: losses.soft_cross_entropy(logits, prob, mask),
        'boxes_to_mask': lambda: utils.boxes_to_mask(boxes, labels, 4, (6, 6)),
        'boxes_to_label': lambda: utils.boxes_to_label(boxes, labels, (6, 6)),
        'em_fixed': lambda: utils.em_fixed_label(logits, label),
        'linear': lambda: utils.linear_self_correction(logits, logits.detach(), 2.0),
        'conv': lambda: correction(logits, logits.detach()),
        'running_iou': lambda: running.update(label, label),
        'image_reliability': lambda: utils.image_reliability(running.iou, tags),
        'class_aware': lambda: losses.class_aware_cross_entropy(logits, label, tags),
        'ohem': lambda: losses.ohem_cross_entropy(logits, label, min_kept=9),
    }


@pytest.mark.parametrize('name', list(calls()))
def test_no_host_sync(name):
    call = calls()[name]
    with SyncRecorder() as recorder:
        result = call()
        if result is not None and result.requires_grad:
            result.sum().backward()
    assert recorder.found == []


def test_the_recorder_sees_a_sync():
    with SyncRecorder() as recorder:
        x = torch.rand(3)
        x[x > 0.5], x.sum().item()
    assert recorder.found == ['index', '_local_scalar_dense']
