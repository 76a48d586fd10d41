"""Views of one crop stay aligned."""

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose

from mmsemi.datasets import MultiBranch
from mmsemi.registry import TRANSFORMS

PACK = dict(type='PackSemiInputs')


def results() -> dict:
    rng = np.random.default_rng(0)
    label = rng.integers(0, 200, (40, 48), dtype=np.uint8)
    return dict(
        img=np.stack([label, label // 2, 255 - label], -1),
        gt_seg_map=label,
        seg_fields=['gt_seg_map'],
        img_path='x.jpg',
    )


@pytest.mark.parametrize('seed', range(3))
def test_geometry_is_shared_and_labels_follow(default_scope, seed):
    weak = [PACK]
    still = dict(type='StrongPhotometric', jitter_prob=0, gray_prob=0, blur_prob=0)
    pipeline = Compose(
        [
            TRANSFORMS.build(step)
            for step in (
                dict(type='RandomCrop', crop_size=(17, 23)),
                dict(type='RandomFlip', prob=0.5),
                dict(
                    type='MultiBranch',
                    sup=weak,
                    unsup_teacher=weak,
                    unsup_student=[still, PACK],
                ),
            )
        ]
    )
    np.random.seed(seed)
    views = pipeline(results())
    assert list(views) == ['sup', 'unsup_teacher', 'unsup_student']
    for view in views.values():
        image, sample = view['inputs'], view['data_samples']
        assert torch.equal(image, views['sup']['inputs'])
        # the first channel of the image is the label
        assert torch.equal(image[:1].long(), sample.gt_sem_seg.data)
        assert image.shape == (3, 17, 23)
    flips = {view['data_samples'].metainfo['flip'] for view in views.values()}
    assert len(flips) == 1


def test_branches_work_on_copies(default_scope):
    branch = MultiBranch(
        a=[dict(type='StrongPhotometric', jitter_prob=1, gray_prob=1), PACK], b=[PACK]
    )
    before = results()
    views = branch(before)
    untouched = torch.from_numpy(results()['img']).permute(2, 0, 1)
    assert torch.equal(views['b']['inputs'], untouched)
    assert not torch.equal(views['a']['inputs'], untouched)
    assert (before['img'] == results()['img']).all()


def test_messages(default_scope):
    with pytest.raises(ValueError, match='has no branch: name at least one'):
        MultiBranch()
    with pytest.raises(ValueError, match=r"branch 'sup' must be a list .* got dict"):
        MultiBranch(sup=PACK)
    with pytest.raises(ValueError, match=r"branch 'sup' is not packed.*PackSemiInputs"):
        MultiBranch(sup=[])(results())
