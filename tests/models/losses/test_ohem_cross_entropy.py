import math

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.models.decode_heads import FCNHead
from mmseg.structures import SegDataSample

from mmsemi.models.losses import BatchOhemCrossEntropy, ohem_cross_entropy
from mmsemi.registry import MODELS


def make_batch(void=0.2, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(2, 3, 6, 5, generator=generator)
    label = torch.randint(0, 3, (2, 6, 5), generator=generator)
    label[torch.rand(2, 6, 5, generator=generator) < void] = 255
    return logits.to(dtype), label


def reference(logits, label, threshold, min_kept):
    prob, loss = [], []
    for b, y, x in (label != 255).nonzero().tolist():
        p = logits[b, :, y, x].double().softmax(0)[label[b, y, x]].item()
        prob.append(p)
        loss.append(-math.log(p))
    if 0 < min_kept <= len(prob):
        bound = max(threshold, sorted(prob)[min_kept - 1])
        loss = [v for v, p in zip(loss, prob, strict=True) if p <= bound * (1 + 1e-6)]
    return sum(loss) / len(loss)


@pytest.mark.parametrize('threshold', [0, 0.3, 0.7, 1])
@pytest.mark.parametrize('min_kept', [0, 1, 10, 40, 55, 60, 100000])
def test_matches_reference(threshold, min_kept):
    logits, label = make_batch()
    loss = ohem_cross_entropy(logits, label, threshold=threshold, min_kept=min_kept)
    expected = reference(logits, label, threshold, min_kept)
    assert loss.item() == pytest.approx(expected, 1e-5)


def test_value():
    # probabilities of the labels: 0.5, 0.75 and 0.9; the second is above 0.7
    odds = torch.tensor([1.0, 3, 9]).log().view(1, 1, 1, 3)
    logits, label = torch.cat((odds, 0 * odds), 1), torch.zeros(1, 1, 3).long()
    loss = ohem_cross_entropy(logits, label, min_kept=1)
    assert loss.item() == pytest.approx(-math.log(0.5))
    loss = ohem_cross_entropy(logits, label, min_kept=2)
    assert loss.item() == pytest.approx(-(math.log(0.5) + math.log(0.75)) / 2)


def test_counts_over_the_batch():
    easy = torch.tensor([4.0, 0]).view(1, 2, 1, 1).expand(1, 2, 2, 2)
    logits = torch.cat((easy, -easy))  # all of image 1 is wrong
    loss = ohem_cross_entropy(logits, torch.zeros(2, 2, 2).long(), min_kept=4)
    assert loss.item() == pytest.approx(math.log(1 + math.exp(4)))


def test_ignore_index():
    logits, label = make_batch()
    moved = label.masked_fill(label == 255, 9)
    torch.testing.assert_close(
        ohem_cross_entropy(logits, moved, min_kept=10, ignore_index=9),
        ohem_cross_entropy(logits, label, min_kept=10),
    )


@pytest.mark.parametrize('min_kept', [0, 5, 100000])
def test_empty(min_kept):
    logits, label = make_batch()
    logits.requires_grad_()
    loss = ohem_cross_entropy(logits, label.fill_(255), min_kept=min_kept)
    loss.backward()
    assert loss == 0 and (logits.grad == 0).all()


def test_gradcheck():
    logits, label = make_batch(dtype=torch.double)
    logits.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: ohem_cross_entropy(x, label, min_kept=10), (logits,)
    )


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half(dtype):
    logits, label = make_batch()
    logits = (1000 * logits).to(dtype).requires_grad_()
    loss = ohem_cross_entropy(logits, label.byte(), min_kept=10)
    loss.backward()
    assert loss.dtype == torch.float32 and loss.isfinite()
    assert logits.grad.isfinite().all()


def test_errors():
    logits, label = make_batch()
    with pytest.raises(ValueError, match='label has shape'):
        ohem_cross_entropy(logits, label[:1])
    with pytest.raises(ValueError, match=r'threshold=1.5 must be in \[0, 1\]'):
        BatchOhemCrossEntropy(threshold=1.5)
    with pytest.raises(ValueError, match='min_kept=-1 must be at least 0'):
        BatchOhemCrossEntropy(min_kept=-1)
    with pytest.raises(ValueError, match="remove the decode head's sampler"):
        BatchOhemCrossEntropy()(logits, label, weight=torch.ones(2, 6, 5))


def test_as_the_loss_of_a_decode_head():
    logits, label = make_batch()
    config = {
        'type': 'mmsemi.BatchOhemCrossEntropy',
        'min_kept': 10,
        'loss_weight': 0.4,
    }
    head = FCNHead(
        in_channels=3,
        channels=3,
        num_classes=3,
        num_convs=0,
        concat_input=False,
        loss_decode=[config, {**config, 'loss_name': 'loss_second'}],
    )
    samples = [SegDataSample(gt_sem_seg=PixelData(data=item[None])) for item in label]
    losses = head.loss_by_feat(logits, samples)
    expected = 0.4 * reference(logits, label, 0.7, 10)
    assert losses['loss_ohem'].item() == pytest.approx(expected, 1e-5)
    assert losses['loss_second'] == losses['loss_ohem']


def test_is_registered_beside_mmsegs_own():
    assert MODELS.get('BatchOhemCrossEntropy') is BatchOhemCrossEntropy
    assert MODELS.get('OhemCrossEntropy') is not BatchOhemCrossEntropy
