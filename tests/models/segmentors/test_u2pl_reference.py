"""U2PL's page, term by term, against loops written from the paper."""

import copy
import math

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from mmsemi.models.decode_heads.contrastive_head import represent

SIZE, CELLS, CLASSES = 29, 8, 5
BANK, BANK_FIRST, ANCHORS, NEGATIVES = 60, 80, 7, 9  # those of the fixture
DRAWS = 2**62
TERMS = ('sup.decode.loss_ce', 'loss_unsup', 'loss_contrast')


def softmax(x, axis):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def upsampled(logits):
    size = (SIZE, SIZE)
    return interpolate(logits.double(), size, mode='bilinear').numpy()


def mixed(x, mask):
    """x (2, ..., H, W), mask (2, H, W): own pixels where True, else the next's."""
    out = x.copy()
    for i in range(2):
        out[i][..., ~mask[i]] = x[(i + 1) % 2][..., ~mask[i]]
    return out


def nearest(maps):
    """Read (B, H, W) maps at the pixel that holds each cell's centre."""
    index = np.array([int((i + 0.5) * SIZE / CELLS) for i in range(CELLS)])
    return maps[:, index][:, :, index]


def reference(model, inputs, samples, mask, seed):
    """Return the terms of the paper's loss, its diagnostics, and the bank's rows."""
    valid = np.stack([s.valid.data[0].numpy() for s in samples['unsup_teacher']])
    truth = np.stack([s.gt_sem_seg.data[0].numpy() for s in samples['sup']])
    strong = torch.from_numpy(mixed(inputs['unsup_student'].numpy(), mask))
    with torch.no_grad():
        weak = torch.cat([inputs['sup'], inputs['unsup_teacher']])
        _, (teacher,), z_teacher = represent(model.teacher, weak)
        both = torch.cat([inputs['sup'], strong])
        _, (student,), z = represent(model.student, both)

    # pseudo-labels, entropy (eq. 5), gamma_t (eq. 6, 7), L_s and L_u (eq. 2, 3, 8)
    prob_u = softmax(upsampled(teacher[2:]), 1)
    label = np.where(valid, prob_u.argmax(1), 255)
    uncertainty = -(prob_u * np.log(prob_u + 1e-10)).sum(1)
    label, uncertainty = mixed(label, mask), mixed(uncertainty, mask)
    alpha = 20 * (1 - 5 / 10)
    gamma = np.percentile(uncertainty[label != 255], 100 - alpha)
    reliable = np.where((label != 255) & (uncertainty < gamma), label, 255)
    log_prob = np.log(softmax(upsampled(student), 1))

    def cross_entropy(log_prob, target):
        pixels = np.argwhere(target != 255)
        return -np.mean([log_prob[b, target[b, y, x], y, x] for b, y, x in pixels])

    loss_sup = cross_entropy(log_prob[:2], truth)
    kept = (reliable != 255).sum()
    # padding is no pixel of the batch
    real = (label != 255).sum()
    loss_unsup = real / kept * cross_entropy(log_prob[2:], reliable)

    # the same at the size of the features
    prob = softmax(teacher.double().numpy(), 1)
    z_teacher, z = z_teacher.double().numpy(), z.double().numpy()
    small = nearest(mask)
    prob[2:], z_teacher[2:] = mixed(prob[2:], small), mixed(z_teacher[2:], small)
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
            if b < 2:
                is_key = c != own and rank < 3
            else:
                is_key = y_reliable[here] == 255 and 3 <= rank < 20
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
            own = math.exp(cosine(anchor, positive) / 0.5)
            others = sum(math.exp(cosine(anchor, n) / 0.5) for n in negatives)
            total -= math.log(own / (own + others)) / num_a / len(classes)
    terms = dict(zip(TERMS, (loss_sup, loss_unsup, 0.1 * total), strict=True))
    facts = dict(
        entropy_threshold=gamma,
        reliable_ratio=kept / reliable.size,
        contrast_classes=len(classes),
    )
    return terms | facts, queue


def test_matches_the_paper(u2pl, batch, monkeypatch):
    model = u2pl(max_keys=10**6)
    mask = torch.ones(2, 1, SIZE, SIZE, dtype=torch.bool)
    mask[0, 0, 3:20, 5:25] = mask[1, 0, 10:28, 2:18] = False
    monkeypatch.setattr(model, '_draw_mask', lambda label: mask)
    expected, queue = reference(
        copy.deepcopy(model), *batch, mask[:, 0].numpy(), seed=3
    )
    # the case is no empty one
    assert expected['contrast_classes'] >= 3
    assert max(map(len, queue.values())) == BANK_FIRST and BANK in map(
        len, queue.values()
    )

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
    uncertainty = -(prob * np.log(prob + 1e-10)).sum(1)[:, :, :-3]
    gamma = np.percentile(uncertainty, 90)
    assert losses['entropy_threshold'].item() == pytest.approx(gamma, rel=1e-4)
