"""BST's fusion against the mean of the two networks' probabilities."""

import copy

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmsemi.models import BST
from mmsemi.models.utils.pseudo_label import weighted_fusion


@pytest.fixture
def batch(make_batch):
    inputs, samples = make_batch()
    return inputs['sup'], samples['sup']


def probs(model: BST, images: torch.Tensor, samples: list | None = None) -> list:
    """Return each network's probabilities, in (C, H, W), of each image."""
    found = []
    for network in model.networks().values():
        results = network.predict(images, copy.deepcopy(samples))
        found.append([sample.seg_logits.data.softmax(0) for sample in results])
    return list(zip(*found, strict=True))


@pytest.mark.parametrize('weight', [0, 0.3, 0.5, 1])
@pytest.mark.parametrize('mode', ['whole', 'slide'])
@torch.no_grad()
def test_fusion_is_the_mean_at_the_original_size(
    weight, mode, make_bst, batch, bst_config
):
    if mode == 'slide':
        bst_config['branch2']['test_cfg'] = dict(
            mode='slide', crop_size=(20, 20), stride=(13, 13)
        )
    model = make_bst(predict_on='fusion', fusion_weight=weight).eval()
    samples = [
        SegDataSample(
            metainfo=dict(
                ori_shape=(19, 23),
                img_shape=(33, 30),
                pad_shape=(33, 33),
                img_padding_size=[0, 3, 0, 0],
                flip=flip,
                flip_direction='horizontal',
            )
        )
        for flip in (False, True)
    ]
    samples[0].gt_sem_seg = PixelData(data=torch.zeros(1, 19, 23))
    expected = probs(model, batch[0], samples)
    results = model(batch[0], samples, mode='predict')
    assert results[0].gt_sem_seg.shape == (19, 23)
    for result, (prob1, prob2) in zip(results, expected, strict=True):
        label, confidence = weighted_fusion(prob1[None], prob2[None], weight)
        assert torch.equal(result.pred_sem_seg.data, label)
        mean = result.seg_logits.data.softmax(0)
        for y in range(19):
            for x in range(23):
                own = [
                    weight * float(prob1[c, y, x])
                    + (1 - weight) * float(prob2[c, y, x])
                    for c in range(4)
                ]
                assert mean[:, y, x].tolist() == pytest.approx(own, abs=1e-6)
        torch.testing.assert_close(mean.amax(0, keepdim=True), confidence)
    assert len({int(c) for r in results for c in r.pred_sem_seg.data.unique()}) > 1


@torch.no_grad()
def test_fusion_without_samples_and_of_scores(make_bst, batch):
    model = make_bst(predict_on='fusion').eval()
    results = model(batch[0], mode='predict')
    for result, (prob1, prob2) in zip(results, probs(model, batch[0]), strict=True):
        mean = (prob1 + prob2) / 2
        torch.testing.assert_close(result.seg_logits.data.exp(), mean)
        assert torch.equal(result.pred_sem_seg.data[0], mean.argmax(0))
    scores = [net(batch[0], mode='tensor') for net in model.networks().values()]
    expected = (scores[0].softmax(1) + scores[1].softmax(1)) / 2
    torch.testing.assert_close(model(batch[0], mode='tensor').exp(), expected)


@torch.no_grad()
def test_fusion_of_certain_networks_is_finite_and_ties_take_the_lowest(make_bst, batch):
    model = make_bst(predict_on='fusion').eval()
    for network, answer in zip(model.networks().values(), (3, 1), strict=True):
        network.decode_head.conv_seg.weight.zero_()
        network.decode_head.conv_seg.bias.copy_(torch.eye(4)[answer] * 1e4)
    for result in model(batch[0], mode='predict'):
        assert (result.pred_sem_seg.data == 1).all()
        assert result.seg_logits.data.isfinite().all()
        prob = result.seg_logits.data.softmax(0)
        expected = torch.tensor([0, 0.5, 0, 0.5])[:, None, None].expand_as(prob)
        torch.testing.assert_close(prob, expected)
