"""What all hooks that label share."""

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mmsemi.labeling import (
    AffinityLabelHook,
    CamHook,
    PseudoLabelHook,
    RandomWalkHook,
    ReliabilityHook,
)
from mmsemi.labeling.hooks.labeling_hook import LabelingHook
from mmsemi.labeling.pseudo_label_store import PseudoLabelStore

SEEDS = dict(cams='cams', classes=['background', 'car'])
KINDS = {
    PseudoLabelHook: ('pseudo_labels', {}),
    CamHook: ('cams', dict(tags='tags.json', classes=['background', 'car'])),
    AffinityLabelHook: ('affinity_labels', SEEDS),
    RandomWalkHook: ('pseudo_labels', SEEDS),
}


class Grey(LabelingHook):
    """Label each image with its place in the list."""

    out_dir_default = 'grey'

    def label(self, runner, networks, dataset):
        self.seen = [dataset.get_data_info(i)['img_path'] for i in range(len(dataset))]
        store = PseudoLabelStore(self.folder(runner), dict(classes=['a', 'b']), [])
        with store:
            for name in 'cdef':
                store.write(name, np.ones((40, 48), np.uint8), None)
        self.report_truth(runner, store, dataset)
        return 'done'


@pytest.mark.parametrize('kind', KINDS)
def test_what_a_class_says_of_itself(kind):
    """Recipes ask the class, before a hook is built."""
    folder, needed = KINDS[kind]
    assert issubclass(kind, LabelingHook) and kind.labels_only
    assert kind.out_dir_default == kind({}, **needed).out_dir == folder
    assert kind(part='unlabeled', out_dir='x', **needed).out_dir == 'x'
    with pytest.raises(ValueError, match=f'{kind.__name__} is given no images: set'):
        kind(**needed)
    with pytest.raises(ValueError, match='num_workers=-1 must be at least 0'):
        kind({}, num_workers=-1, **needed)
    with pytest.raises(TypeError, match='truth'):
        kind({}, truth='masks', **needed)


def test_a_ranking_is_no_labelling():
    """It keeps weights during the training."""
    assert not issubclass(ReliabilityHook, LabelingHook)
    assert not getattr(ReliabilityHook, 'labels_only', False)
    assert ReliabilityHook(part='unlabeled').out_dir == '.'


def test_images_of_a_part(train_branches, tiny_images, images):
    runner = train_branches()
    runner.cfg = Config(
        dict(train_dataloader=dict(dataset=dict(rest=images | dict(pipeline='of it'))))
    )
    grey = Grey(dict(ann_file='all.txt'), part='rest')
    assert grey.dataset_config(runner) == images | dict(ann_file='all.txt')
    hook = Grey(part='rest')
    runner.register_hook(hook)
    said = []
    runner.logger.info = lambda text, *_: said.append(str(text))
    runner.train()
    assert hook.seen == [str(tiny_images / f'images/{name}.jpg') for name in 'cdef']
    assert (tiny_images.parent / 'work/grey/c.png').is_file()
    assert [text for text in said if text.endswith('grey: done')]


def test_mean_iou_with_the_truth(train_branches, images, tmp_path):
    truth = tmp_path / 'truth'
    truth.mkdir()
    mask = np.ones((40, 48), np.uint8)
    mask[:, :12], mask[:, 12:24] = 0, 255
    for name in 'cdef':
        Image.fromarray(mask).save(truth / f'{name}.png')
    runner = train_branches()
    runner.register_hook(Grey(images | dict(seg_map_suffix='.png'), truth_dir=truth))
    said = []
    runner.logger.info = lambda text, *_: said.append(str(text))
    runner.train()
    # of the pixels that are not void, 24 of 36 columns are right; class a is not there
    wanted = f'mIoU with the truth {100 * (2 / 3 + 0) / 2:.2f}'
    assert [text for text in said if wanted in text]


@pytest.mark.parametrize('folder', ['pseudo_labels', 'pseudo_labels/inner', '.'])
def test_a_folder_of_two_kinds(folder, train_branches, images):
    """Each would delete what the other has written."""
    runner = train_branches(dict(type='PseudoLabelHook', dataset=images))
    runner.register_hook(Grey(images, out_dir=folder))
    with pytest.raises(ValueError, match=r'both write into .*/work.*of their own'):
        runner.train()
    assert runner.iter == 0


def test_a_folder_of_ranks_and_labels(train_branches, images):
    rank = dict(type='ReliabilityHook', dataset=images, num_workers=0, out_dir='x')
    runner = train_branches(rank)
    runner.register_hook(Grey(images, out_dir='x'))
    with pytest.raises(ValueError, match='Grey and ReliabilityHook both write into'):
        runner.train()


def test_an_image_that_is_not_there(train_branches, tiny_images, images):
    (tiny_images / 'images/e.jpg').unlink()
    runner = train_branches()
    runner.register_hook(Grey(images))
    with pytest.raises(FileNotFoundError, match=r'e\.jpg'):
        runner.train()
    assert runner.iter == 0


def test_a_list_that_nobody_writes(train_branches, images):
    runner = train_branches()
    runner.register_hook(Grey(images | dict(ann_file='none.txt')))
    with pytest.raises(FileNotFoundError, match=r'none\.txt does not exist'):
        runner.train()
    assert runner.iter == 0
