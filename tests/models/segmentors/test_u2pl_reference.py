"""U2PL's page, term by term, against loops written from the paper."""

import copy
import math
from dataclasses import asdict, dataclass

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from mmsemi.models.decode_heads.decoding import represent

SIZE, CELLS, CLASSES = 29, 8, 5
BANK, BANK_FIRST, ANCHORS, NEGATIVES = 60, 80, 7, 9  # those of the fixture
DRAWS = 2**62
TERMS = ('sup.decode.loss_ce', 'loss_unsup', 'loss_contrast')


def softmax(x, axis):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def upsampled(logits, align_corners=False):
    size, mode = (SIZE, SIZE), 'bilinear'
    logits = logits.double()
    return interpolate(logits, size, mode=mode, align_corners=align_corners).numpy()


def mixed(x, mask):
    """x (B, ..., H, W), mask (B, H, W): own pixels where True, else the next's."""
    out = x.copy()
    for i in range(len(x)):
        out[i][..., ~mask[i]] = x[(i + 1) % len(x)][..., ~mask[i]]
    return out


def nearest(maps):
    """Read (B, H, W) maps at the pixel that holds each cell's centre."""
    index = np.array([int((i + 0.5) * SIZE / CELLS) for i in range(CELLS)])
    return maps[:, index][:, :, index]


@dataclass
class Case:
    """A setting of the method at one moment of the training."""

    time: tuple[int, int] = (5, 10)
    labeled: int = 2
    low_rank: int = 3
    high_rank: int = 20
    temperature: float = 0.5
    unsup_weight: float = 1.0
    contrast_weight: float = 0.1
    unreliable_percent: float = 20
    align_corners: bool = False

    @property
    def arguments(self):
        """What the method is built with."""
        others = ('time', 'labeled', 'align_corners')
        return {k: v for k, v in asdict(self).items() if k not in others}


CASES = [
    Case(),
    Case(
        time=(2, 10),
        labeled=1,
        low_rank=2,
        high_rank=4,
        temperature=0.3,
        unsup_weight=0.7,
        contrast_weight=0.4,
        align_corners=True,
    ),
    Case(time=(9, 10), labeled=3, unreliable_percent=60),
]


def reference(model, inputs, samples, mask, seed, case):
    """Return the terms of the paper's loss, its diagnostics, and the bank's rows."""
    n, align = case.labeled, case.align_corners
    valid = np.stack([s.valid.data[0].numpy() for s in samples['unsup_teacher']])
    truth = np.stack([s.gt_sem_seg.data[0].numpy() for s in samples['sup']])
    strong = torch.from_numpy(mixed(inputs['unsup_student'].numpy(), mask))
    with torch.no_grad():
        weak = torch.cat([inputs['sup'], inputs['unsup_teacher']])
        _, (teacher,), z_teacher = represent(model.teacher, weak)
        both = torch.cat([inputs['sup'], strong])
        _, (student,), z = represent(model.student, both)

    # pseudo-labels, entropy (eq. 5), gamma_t (eq. 6, 7), L_s and L_u (eq. 2, 3, 8)
    prob_u = softmax(upsampled(teacher[n:], align), 1)
    label = np.where(valid, prob_u.argmax(1), 255)
    uncertainty = -(prob_u * np.log(prob_u + 1e-10)).sum(1)
    label, uncertainty = mixed(label, mask), mixed(uncertainty, mask)
    alpha = case.unreliable_percent * (1 - case.time[0] / case.time[1])
    gamma = np.percentile(uncertainty[label != 255], 100 - alpha)
    reliable = np.where((label != 255) & (uncertainty < gamma), label, 255)
    log_prob = np.log(softmax(upsampled(student, align), 1))

    def cross_entropy(log_prob, target):
        pixels = np.argwhere(target != 255)
        return -np.mean([log_prob[b, target[b, y, x], y, x] for b, y, x in pixels])

    loss_sup = cross_entropy(log_prob[:n], truth)
    kept = (reliable != 255).sum()
    # padding is no pixel of the batch
    real = (label != 255).sum()
    loss_unsup = real / kept * cross_entropy(log_prob[n:], reliable)

    # the same at the size of the features
    prob = softmax(teacher.double().numpy(), 1)
    z_teacher, z = z_teacher.double().numpy(), z.double().numpy()
    small = nearest(mask)
    prob[n:], z_teacher[n:] = mixed(prob[n:], small), mixed(z_teacher[n:], small)
    y = nearest(np.concatenate([truth, label]))
    y_reliable = nearest(np.concatenate([truth, reliable]))
    anchors = {c: [] for c in range(CLASSES)}  # A_c (eq. 10 to 12)
    keys = {c: [] for c in range(CLASSES)}  # n_c (eq. 13 to 16)
    for b, row, col in np.ndindex(4, CELLS, CELLS):
        here, own = (b, row, col), y[b, row, col]
        if own == 255:
            continue
        p = prob[b, :, row, col]
        order = sorted(range(CLASSES), key=lambda c: -p[c])
        if y_reliable[here] != 255 and p[own] > 0.3:
            anchors[own].append(here)
        for c in range(CLASSES):
            rank = order.index(c)
            if b < n:
                is_key = c != own and rank < case.low_rank
            else:
                between = case.low_rank <= rank < case.high_rank
                is_key = y_reliable[here] == 255 and between
            if is_key:
                keys[c].append(here)

    def vector(feature, here):
        b, row, col = here
        return feature[b, :, row, col]

    # queues as rings: the newest key overwrites the oldest
    sizes = [BANK_FIRST, *[BANK] * (CLASSES - 1)]
    bank, queue = {}, {}
    for c in range(CLASSES):
        bank[c], queue[c] = [], []
        for i, here in enumerate(keys[c]):
            key = vector(z_teacher, here)
            key = (key / np.linalg.norm(key)).astype(np.float16).astype(np.float64)
            queue[c].append(key)
            if i < sizes[c]:
                bank[c].append(key)
            else:
                bank[c][i % sizes[c]] = key
        queue[c] = queue[c][-sizes[c] :]

    # the draws of the page, in its order: subsets of keys, anchors, negatives
    classes = [c for c in range(CLASSES) if anchors[c] and bank[c]]
    torch.manual_seed(seed)
    torch.rand(CLASSES, 4 * CELLS * CELLS)
    num_a, num_n = ANCHORS, NEGATIVES
    draw_a = torch.randint(DRAWS, (len(classes), num_a)).numpy()
    draw_n = torch.randint(DRAWS, (len(classes), num_a, num_n)).numpy()

    def cosine(a, b):
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    total = 0.0
    for k, c in enumerate(classes):
        positive = np.mean([vector(z_teacher, here) for here in anchors[c]], 0)
        for i in range(num_a):
            anchor = vector(z, anchors[c][draw_a[k, i] % len(anchors[c])])
            negatives = [bank[c][d % len(bank[c])] for d in draw_n[k, i]]
            own = math.exp(cosine(anchor, positive) / case.temperature)
            others = sum(
                math.exp(cosine(anchor, key) / case.temperature) for key in negatives
            )
            total -= math.log(own / (own + others)) / num_a / len(classes)
    loss_unsup *= case.unsup_weight
    loss_contrast = case.contrast_weight * total
    terms = dict(zip(TERMS, (loss_sup, loss_unsup, loss_contrast), strict=True))
    facts = dict(
        entropy_threshold=gamma,
        reliable_ratio=kept / reliable.size,
        contrast_classes=len(classes),
    )
    return terms | facts, queue


def split(batch, other, labeled):
    """Return a batch of ``labeled`` labelled and 4 - ``labeled`` unlabelled images."""
    wanted = dict(sup=labeled, unsup_teacher=4 - labeled, unsup_student=4 - labeled)
    inputs, samples = (
        {k: part[k][:m] for k, m in wanted.items() for part in [both]}
        for both in (
            {k: torch.cat([v, other[0][k]]) for k, v in batch[0].items()},
            {k: v + other[1][k] for k, v in batch[1].items()},
        )
    )
    return inputs, samples


@pytest.mark.parametrize('case', CASES, ids=['half', 'early', 'late'])
def test_matches_the_paper(case, u2pl, make_batch, tiny_segmentor, monkeypatch):
    tiny_segmentor['decode_head']['align_corners'] = case.align_corners
    # another size than the features have
    batches = (make_batch(SIZE, CLASSES, seed=i) for i in (0, 1))
    batch = split(*batches, case.labeled)
    model = u2pl(max_keys=10**6, segmentor=tiny_segmentor, **case.arguments)
    model.set_iter(*case.time)
    mask = torch.ones(4, 1, SIZE, SIZE, dtype=torch.bool)
    mask[0, 0, 3:20, 5:25] = mask[1, 0, 10:28, 2:18] = mask[2, 0, :9] = False
    mask = mask[: 4 - case.labeled]
    monkeypatch.setattr(model, '_draw_mask', lambda label: mask)
    expected, queue = reference(
        copy.deepcopy(model), *batch, mask[:, 0].numpy(), seed=3, case=case
    )
    # the case is no empty one
    assert expected['contrast_classes'] >= 2
    assert all(expected[name] > 0 for name in TERMS)

    torch.manual_seed(3)
    losses = model(*batch, mode='loss')
    got = {name: losses[name].item() for name in expected}
    assert got == pytest.approx(expected, rel=1e-4)
    for c in range(CLASSES):
        rows = model.memory_bank.rows(c).float()
        assert len(rows) == len(queue[c])
        if len(rows):
            np.testing.assert_allclose(rows.numpy(), np.stack(queue[c]), atol=1e-3)


def test_two_passes(u2pl, batch):
    """Labels from the clean images in eval mode, the rest from train mode."""
    model = u2pl(teacher_passes=2, mix=None)
    teacher, modes = copy.deepcopy(model.teacher), []
    model.teacher.backbone.register_forward_pre_hook(
        lambda module, args: modes.append((module.training, args[0]))
    )
    losses = model(*batch, mode='loss')
    (first, clean), (second, strong) = modes
    assert (first, second, model.teacher.training) == (False, True, False)
    assert torch.equal(clean[2:], batch[0]['unsup_teacher'])
    assert torch.equal(strong[2:], batch[0]['unsup_student'])

    with torch.no_grad():
        teacher.train()
        _, (scores,), _ = represent(teacher, strong)
    for name, buffer in teacher.named_buffers():
        torch.testing.assert_close(model.teacher.get_buffer(name), buffer)
    prob = softmax(upsampled(scores[2:]), 1)
    valid = np.stack([s.valid.data[0].numpy() for s in batch[1]['unsup_teacher']])
    uncertainty = -(prob * np.log(prob + 1e-10)).sum(1)
    gamma = np.percentile(uncertainty[valid], 90)
    assert losses['entropy_threshold'].item() == pytest.approx(gamma, rel=1e-4)


def test_two_passes_of_mixed_images(u2pl, batch, monkeypatch):
    """Labels are mixed as the images are; all else is of the mixed images."""
    model = u2pl(teacher_passes=2)
    mask = torch.ones(2, 1, SIZE, SIZE, dtype=torch.bool)
    mask[0, 0, 3:20, 5:25] = mask[1, 0, 10:28, 2:18] = False
    monkeypatch.setattr(model, '_draw_mask', lambda label: mask)
    teacher, own = copy.deepcopy(model.teacher), mask[:, 0].numpy()
    inputs, samples = batch
    valid = torch.stack([s.valid.data[0] for s in samples['unsup_teacher']])
    sup, weak, strong = (inputs[k] for k in ('sup', 'unsup_teacher', 'unsup_student'))
    seen, label, uncertainty, prob, rep = model._ask_teacher(sup, weak, strong, valid)

    expected = torch.from_numpy(mixed(strong.numpy(), own))
    assert torch.equal(seen, expected)
    with torch.no_grad():
        _, (clean,), _ = represent(teacher, torch.cat([sup, weak]))
        teacher.train()
        _, (scores,), z = represent(teacher, torch.cat([sup, expected]))
    clean_label = np.where(valid.numpy(), upsampled(clean[2:]).argmax(1), 255)
    assert (label.numpy() == mixed(clean_label, own)).all()
    np.testing.assert_allclose(prob.numpy(), softmax(scores.numpy(), 1), atol=1e-5)
    torch.testing.assert_close(rep, z)
    p = softmax(upsampled(scores[2:]), 1)
    entropy = -(p * np.log(p + 1e-10)).sum(1)
    np.testing.assert_allclose(uncertainty.numpy(), entropy, atol=1e-4)
