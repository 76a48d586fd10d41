import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.evaluator import BaseMetric
from PIL import Image

from mmsemi.labeling import PseudoLabelHook, pseudo_label_store
from mmsemi.labeling.pseudo_label_store import PseudoLabelStore
from mmsemi.models.utils.tta import tta_probabilities


def hook(images, **changes) -> dict:
    return dict(
        type='PseudoLabelHook', dataset=images, num_workers=0, batch_size=3
    ) | dict(changes)


def read(folder: Path) -> dict[str, np.ndarray]:
    return {path.stem: np.array(Image.open(path)) for path in folder.glob('*.png')}


def predict(tiny_images, networks, weights) -> dict:
    """Label each image by itself, with its mirror."""
    found = {}
    for name in 'cdef':
        bgr = np.array(Image.open(tiny_images / f'images/{name}.jpg'))[..., ::-1]
        x = (torch.from_numpy(bgr.copy()).permute(2, 0, 1)[None].float() - 120) / 60
        with torch.no_grad():
            probs = [tta_probabilities(n, x, flip=True) for n in networks]
        parts = zip(probs, weights, strict=True)
        found[name] = sum(weight * prob[0] for prob, weight in parts)
    return found


def close(labels: dict, probs: dict) -> bool:
    """Compare label maps with the best classes, but where two are as likely."""
    assert labels.keys() == probs.keys()
    for name, prob in probs.items():
        top = prob.topk(2, 0).values
        clear = (top[0] - top[1] > 1e-4).numpy()
        assert clear.mean() > 0.9, name
        if not (labels[name] == prob.argmax(0).numpy())[clear].all():
            return False
    return True


def test_labels_of_the_last_checkpoint(
    train_branches, images, two_branches, tiny_images, tmp_path
):
    names = ['branch2', 'branch1']
    labels = hook(images, networks=names, weights=[3, 1], flip=True, out_dir='labels')
    train_branches(labels, steps=2).train()
    networks = two_branches(tmp_path / 'work/iter_2.pth').networks()
    expected = predict(tiny_images, [networks[n] for n in names], [0.75, 0.25])
    assert close(read(tmp_path / 'work/labels'), expected)
    manifest = json.loads((tmp_path / 'work/labels/manifest.json').read_text())
    assert manifest['finished'] and manifest['networks'] == names
    assert manifest['checkpoints'] == ['iteration 2']
    assert manifest['classes'] == ['sky', 'road', 'tree', 'car']
    palette = Image.open(tmp_path / 'work/labels/c.png').getpalette()
    assert palette[:6] == [70, 130, 180, 128, 64, 128]


def test_labels_of_the_best_checkpoint(
    train_branches, images, two_branches, tiny_images, tmp_path
):
    class Scores(BaseMetric):
        def process(self, data_batch, data_samples):
            self.results.append(0)

        def compute_metrics(self, results):
            return dict(mIoU=next(scores))

    scores = iter([0.1, 0.7, 0.3])
    model = two_branches()
    model.val_step = lambda data: [None]
    runner = train_branches(
        hook(images, checkpoint='best', networks=['branch1'], flip=True),
        model=model,
        checkpoint=dict(save_best='mIoU', rule='greater'),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=3, val_interval=1),
        val_cfg=dict(type='ValLoop'),
        val_dataloader=dict(
            num_workers=0, sampler=dict(type='DefaultSampler'), dataset=[dict()]
        ),
        val_evaluator=[Scores()],
    )
    runner.train()
    networks = two_branches(tmp_path / 'work/best_mIoU_iter_2.pth').networks()
    expected = predict(tiny_images, [networks['branch1']], [1.0])
    assert close(read(tmp_path / 'work/pseudo_labels'), expected)
    last = torch.load(tmp_path / 'work/iter_3.pth', weights_only=False)['state_dict']
    for name, value in runner.model.state_dict().items():
        assert torch.equal(value, last[name]), name


def test_killed_while_writing_and_resumed(
    train_branches, images, tmp_path, monkeypatch
):
    train_branches(hook(images, batch_size=1, flip=True), work_dir='whole').train()
    whole = read(tmp_path / 'whole/pseudo_labels')
    child = os.fork()
    if child == 0:
        write, done = pseudo_label_store.write_whole, []

        def until(path, data):
            write(path, data)
            done.append(path)
            # the manifest, and two labels
            if len(done) == 3:
                os.kill(os.getpid(), signal.SIGKILL)

        monkeypatch.setattr(pseudo_label_store, 'write_whole', until)
        torch.set_num_threads(1)
        train_branches(hook(images, batch_size=1, flip=True)).train()
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    folder = tmp_path / 'work/pseudo_labels'
    kept = {p: p.stat().st_mtime_ns for p in folder.glob('*.png')}
    assert 1 <= len(kept) < 4
    train_branches(hook(images, batch_size=1, flip=True), resume=True).train()
    found = read(folder)
    assert found.keys() == whole.keys()
    assert all((found[name] == whole[name]).all() for name in whole)
    assert all(p.stat().st_mtime_ns == time for p, time in kept.items())


def test_a_new_training_replaces_the_labels(train_branches, images, tmp_path):
    train_branches(hook(images)).train()
    folder = tmp_path / 'work/pseudo_labels'
    (folder / 'old.png').write_bytes((folder / 'c.png').read_bytes())
    first = json.loads((folder / 'manifest.json').read_text())['sha256']
    train_branches(hook(images), randomness=dict(seed=1)).train()
    assert read(folder).keys() == set('cdef')
    assert json.loads((folder / 'manifest.json').read_text())['sha256'] != first


def test_a_list_that_is_written_during_the_training(train_branches, images, tmp_path):
    images['ann_file'] = str(tmp_path / 'work/reliable.txt')
    runner = train_branches(
        hook(images),
        dict(
            type='ReliabilityHook',
            dataset=images | dict(ann_file='unlabeled.txt'),
            num_checkpoints=2,
            num_workers=0,
        ),
    )
    runner.train()
    lines = (tmp_path / 'work/reliable.txt').read_text().split()
    assert len(lines) == 2
    assert read(tmp_path / 'work/pseudo_labels').keys() == set(lines)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(networks='branch1'), r"networks='branch1': name some of \['branch1'"),
        (dict(networks=['ema']), r"networks=\['ema'\]: name some of \['branch1'"),
        (dict(scales=[0]), r'scales=\[0\]'),
        (dict(noise=-0.1), 'noise=-0.1 with 2 networks'),
        (dict(checkpoint='best'), 'save_best'),
        (dict(out_dir='../tiny/masks'), 'masks holds 6 files not written by this'),
        (dict(ann_file='all.txt'), r'all.txt: 2 of the 6 images to label are labelled'),
        (dict(ann_file=''), r'2 of the 6 images to label are labelled'),
    ],
)
def test_refused_before_the_first_step(changes, message, train_branches, images):
    listed = changes.pop('ann_file', 'unlabeled.txt')
    runner = train_branches(hook(images | dict(ann_file=listed), **changes))
    with pytest.raises(ValueError, match=message):
        runner.train()
    assert runner.iter == 0


def test_labelled_images_in_a_list_written_late(train_branches, images, tmp_path):
    path = tmp_path / 'late.txt'
    runner = train_branches(hook(images | dict(ann_file=str(path))))
    late = PseudoLabelHook(images, out_dir='other')
    late.before_train = lambda runner: path.write_text('c\na\n')
    late.after_train = lambda runner: None
    runner.register_hook(late, priority='LOWEST')
    with pytest.raises(ValueError, match=r'late.txt: 1 of the 2 images'):
        runner.train()


def test_two_hooks_of_one_folder(train_branches, images, tmp_path):
    """Each would delete what the other has written."""
    runner = train_branches(hook(images))
    runner.register_hook(PseudoLabelHook(images))
    with pytest.raises(ValueError, match=r'PseudoLabelHook both write into .*_labels'):
        runner.train()
    assert not (tmp_path / 'work/pseudo_labels').exists()
    runner = train_branches(hook(images))
    runner.register_hook(PseudoLabelHook(images, out_dir='pseudo_labels/inner/'))
    with pytest.raises(ValueError, match=r'PseudoLabelHook both write into .*inner'):
        runner.train()


def test_labels_of_another_training(train_branches, images, tmp_path):
    PseudoLabelStore(tmp_path / 'other', {}, [])
    (tmp_path / 'other/a.png').write_text('a label')
    runner = train_branches(hook(images, out_dir='../other'))
    with pytest.raises(ValueError, match='other holds labels of another training'):
        runner.train()
    assert (tmp_path / 'other/a.png').exists()


@pytest.mark.parametrize(
    'change',
    [dict(scales=1.0), dict(weights=0.5), dict(flip='no'), dict(noise='a')],
)
def test_settings_of_another_type(images, change):
    (text,) = (f'{name}={value!r}' for name, value in change.items())
    with pytest.raises(ValueError, match=f'PseudoLabelHook .*{text}.*: give'):
        PseudoLabelHook(images, **change)


@pytest.mark.parametrize(
    ('truth', 'message'),
    [('gone', "truth_dir='.*gone' is no folder"), ('.', r'the true mask .*c.png does')],
)
def test_truth_that_is_not_there(truth, message, train_branches, images, tmp_path):
    """It shows before the training, not after it."""
    truth = str(tmp_path / truth)
    with pytest.raises(FileNotFoundError, match=message):
        train_branches(hook(images, truth_dir=truth)).train()
    assert not (tmp_path / 'work/iter_1.pth').exists()


def test_unknown_checkpoint(images):
    with pytest.raises(ValueError, match="choose 'last' or 'best'"):
        PseudoLabelHook(images, checkpoint='iter_3.pth')


def write_tags(path: Path, **tags: list[str]) -> str:
    path.write_text(json.dumps(tags))
    return str(path)


def test_mean_of_scores_within_the_tags(
    train_branches, images, two_branches, tiny_images, tmp_path
):
    tags = dict(c=['sky'], d=['road', 'car'], e=['sky', 'tree'], f=['road', 'car'])
    path = write_tags(tmp_path / 'tags.json', **tags)
    labels = hook(
        images, networks=['branch1'], scales=(1.0, 0.5), fuse='logits', tags=path
    )
    train_branches(labels, steps=2).train()
    network = two_branches(tmp_path / 'work/iter_2.pth').networks()['branch1']
    found = read(tmp_path / 'work/pseudo_labels')
    for name, classes in tags.items():
        bgr = np.array(Image.open(tiny_images / f'images/{name}.jpg'))[..., ::-1]
        x = (torch.from_numpy(bgr.copy()).permute(2, 0, 1)[None].float() - 120) / 60
        with torch.no_grad():
            prob = tta_probabilities(network, x, scales=(1.0, 0.5), fuse='logits')[0]
        allowed = [('sky', 'road', 'tree', 'car').index(c) for c in classes]
        expected = np.array(allowed)[prob[allowed].argmax(0).numpy()]
        assert (found[name] == expected).mean() > 0.99
        assert set(np.unique(found[name])) <= set(allowed)
    manifest = json.loads((tmp_path / 'work/pseudo_labels/manifest.json').read_text())
    assert manifest['settings']['fuse'] == 'logits' and manifest['tag_file'] == path
    assert len(manifest['settings']['tags']) == 64


def test_bad_tags_before_the_first_step(train_branches, images, tmp_path):
    path = write_tags(tmp_path / 'tags.json', c=['sky'], d=['road'], e=['car'])
    runner = train_branches(hook(images, tags=path))
    with pytest.raises(ValueError, match="no tags of the image 'f'"):
        runner.train()
    assert runner.iter == 0
    runner = train_branches(hook(images, fuse='max'), work_dir='other')
    with pytest.raises(ValueError, match="fuse='max': choose one of"):
        runner.train()
    assert runner.iter == 0
