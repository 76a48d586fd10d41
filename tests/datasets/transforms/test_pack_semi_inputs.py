"""The end of a branch."""

import numpy as np
import torch

from mmsemi.datasets import PackSemiInputs


def test_labelled_and_unlabelled():
    image = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    label = np.arange(20, dtype=np.uint8).reshape(4, 5)
    labelled = PackSemiInputs()(dict(img=image, gt_seg_map=label, img_path='x.jpg'))
    unlabelled = PackSemiInputs()(dict(img=image))
    for packed in (labelled, unlabelled):
        for channel in range(3):
            got = packed['inputs'][channel].numpy()
            assert (got == image[:, :, channel]).all()
        valid = packed['data_samples'].valid.data
        assert valid.dtype == torch.bool and valid.shape == (1, 4, 5) and valid.all()
    sample = labelled['data_samples']
    assert sample.img_path == 'x.jpg'
    assert sample.gt_sem_seg.data.dtype == torch.int64
    assert (sample.gt_sem_seg.data[0].numpy() == label).all()
    assert 'gt_sem_seg' not in unlabelled['data_samples']
