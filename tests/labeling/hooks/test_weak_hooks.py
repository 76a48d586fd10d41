"""Seeds, sure labels and the walk: hooks of weakly supervised trainings."""

import itertools
import json
import os
import shutil
import signal

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.runner import Runner
from PIL import Image

from mmsemi.labeling import cam_store, pseudo_label_store
from mmsemi.labeling.cam_store import CamStore
from mmsemi.models.utils.affinity import affinity_matrix, random_walk
from mmsemi.models.utils.cam import normalize_cam
from mmsemi.registry import MODELS

NAMES = ['background', 'road', 'tree', 'car']
TAGS = dict(
    zip(
        'abcdef',
        (['road', 'tree'], ['car'], ['tree'], ['road', 'car'], ['car'], ['tree']),
        strict=True,
    )
)
NUMBERS = itertools.count()
PREPROCESSOR = dict(
    type='SegDataPreProcessor', mean=[120.0] * 3, std=[60.0] * 3, size=(33, 33)
)
BACKBONE = dict(type='ResNet38', width=1 / 64)


@pytest.fixture
def weak(tiny_images):
    """Images with tags; their masks are gone."""
    shutil.rmtree(tiny_images / 'masks')
    (tiny_images / 'tags.json').write_text(json.dumps(TAGS))
    return tiny_images


@pytest.fixture
def every(weak):
    """The data set of all six images."""
    return dict(
        data_root=str(weak), ann_file='all.txt', data_prefix=dict(img_path='images')
    )


@pytest.fixture
def train(weak, tmp_path, default_scope):
    """Return ``build(model, dataset, *hooks, work_dir)``, a runner of 2 steps."""

    def build(model, dataset, *hooks, work_dir='work', steps=2):
        torch.manual_seed(0)
        model = MODELS.build(dict(model, data_preprocessor=dict(PREPROCESSOR)))
        model.init_weights()
        return Runner(
            model=model,
            work_dir=str(tmp_path / work_dir),
            train_dataloader=dict(
                batch_size=2,
                num_workers=0,
                sampler=dict(type='MultiSourceSampler', num_per_source=dict(part=2)),
                dataset=dict(type='MultiSourceDataset', part=dataset),
            ),
            train_cfg=dict(type='IterBasedTrainLoop', max_iters=steps),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
            default_hooks=dict(
                checkpoint=dict(
                    type='AtomicCheckpointHook', by_epoch=False, interval=1
                ),
                logger=None,
            ),
            custom_hooks=[dict(type='ExactResumeHook'), *hooks],
            default_scope='mmsemi',
            experiment_name=f'weak{next(NUMBERS)}',
            log_level='ERROR',
            randomness=dict(seed=0),
        )

    return build


@pytest.fixture
def classify(train, weak, every):
    """Return ``build(*hooks, **changes)``, a training of the classifier."""
    steps = [
        dict(type='LoadImageFromFile'),
        dict(
            type='LoadImageTags',
            format='file',
            path=str(weak / 'tags.json'),
            classes=NAMES,
        ),
        dict(type='RandomCrop', crop_size=(33, 33)),
        dict(type='PackSemiInputs'),
    ]

    def build(*hooks, work_dir='work', **changes):
        model = dict(
            type='AVC',
            backbone=BACKBONE,
            head=dict(
                type='CamHead', in_channels=64, num_classes=3, affinity_channels=4
            ),
        )
        dataset = dict(every, type='UnlabeledDataset', pipeline=steps)
        time = dict(type='SetIterHook')
        return train(model | changes, dataset, time, *hooks, work_dir=work_dir)

    return build


@pytest.fixture
def cam_hook(weak, every):
    return dict(
        type='CamHook',
        dataset=every,
        tags=str(weak / 'tags.json'),
        classes=NAMES,
        scales=[1.0, 0.5],
        refine=True,
        num_workers=0,
    )


@pytest.fixture
def label_hook(every):
    return dict(
        type='AffinityLabelHook',
        dataset=every,
        classes=NAMES,
        foreground=dict(threshold=0.5),
        background=dict(threshold=0.2),
        num_workers=0,
    )


@pytest.fixture
def walk(train, weak, every, tmp_path):
    """Return ``build(**changes)``, a training of AffinityNet and its walk."""

    def build(work_dir='walk', cams='work/cams', **changes):
        head = dict(type='AffinityHead', in_channels=(8, 16, 64), channels=(2, 3, 4))
        dataset = dict(
            every,
            type='BaseSegDataset',
            data_prefix=dict(
                img_path='images', seg_map_path=str(tmp_path / 'work/affinity_labels')
            ),
            metainfo=dict(classes=NAMES),
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='LoadAnnotations'),
                dict(type='RandomCrop', crop_size=(33, 33)),
                dict(type='PackSegInputs'),
            ],
        )
        hook = dict(
            type='RandomWalkHook',
            dataset=every,
            cams=str(tmp_path / cams),
            classes=NAMES,
            beta=4,
            log_t=2,
            num_workers=0,
        )
        model = dict(type='AffinityNet', backbone=BACKBONE, head=head, radius=3)
        return train(model, dataset, hook | changes, work_dir=work_dir)

    return build


def image(weak, name):
    bgr = np.array(Image.open(weak / f'images/{name}.jpg'))[..., ::-1]
    return (torch.from_numpy(bgr.copy()).permute(2, 0, 1)[None].float() - 120) / 60


def read(folder):
    return {path.stem: np.array(Image.open(path)) for path in folder.glob('*.png')}


def test_the_whole_way(classify, walk, cam_hook, label_hook, weak, tmp_path):
    runner = classify(cam_hook, label_hook)
    runner.train()
    model = runner.model.eval()
    seeds = CamStore.load(tmp_path / 'work/cams')
    assert seeds.manifest['number'] == 6 and seeds.manifest['classes'] == NAMES
    labels = read(tmp_path / 'work/affinity_labels')
    for name, tags in TAGS.items():
        # 1. the maps of the image's classes
        classes, cam = seeds.read(name)
        assert classes.tolist() == [NAMES.index(tag) for tag in tags]
        with torch.no_grad():
            maps = model.cams(
                image(weak, name), (40, 48), scales=[1.0, 0.5], refine=True
            )[0, classes - 1]
        wanted = normalize_cam(maps, 'seam').numpy()
        np.testing.assert_allclose(cam, wanted, atol=2e-3)
        # 2. sure labels
        best, strongest = classes[cam.argmax(0)], cam.max(0)
        sure = np.where(strongest > 0.5, best, np.where(strongest > 0.2, 255, 0))
        assert (labels[name] == sure).all()
    assert {0, 255} < set(np.unique(list(labels.values())).tolist())
    # 3. the walk
    runner = walk(background=dict(threshold=0.3))
    runner.train()
    net = runner.model.eval()
    found = read(tmp_path / 'walk/pseudo_labels')
    assert found.keys() == TAGS.keys()
    for name, label in found.items():
        classes, cam = seeds.read(name)
        cam = torch.from_numpy(cam)
        scores = torch.cat([torch.full((1, 40, 48), 0.3), cam])
        cells = scores.unfold(1, 8, 8).unfold(2, 8, 8).mean((3, 4))
        with torch.no_grad():
            affinity = affinity_matrix(net(image(weak, name)), 3)[0]
        walked = random_walk(cells, affinity, beta=4, log_t=2)
        walked = F.interpolate(walked[None], (40, 48), mode='bilinear')[0]
        assert (label == np.array([0, *classes])[walked.argmax(0)]).all()
    manifest = json.loads((tmp_path / 'walk/pseudo_labels/manifest.json').read_text())
    assert manifest['finished'] and len(manifest['sha256']) == 2
    assert manifest['sha256'][0] == seeds.manifest['sha256'][0]


def killed(build, module, monkeypatch, after):
    """Train in a child that dies after it has written so many files."""
    child = os.fork()
    if child == 0:
        write, done = module.write_whole, []

        def until(path, data):
            write(path, data)
            done.append(path)
            if len(done) == after:
                os.kill(os.getpid(), signal.SIGKILL)

        monkeypatch.setattr(module, 'write_whole', until)
        torch.set_num_threads(1)
        build().train()
        os._exit(1)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL


def resumed(runner):
    runner._resume = True
    runner.train()


def test_killed_and_resumed(
    classify, walk, cam_hook, label_hook, tmp_path, monkeypatch
):
    classify(cam_hook, label_hook, work_dir='whole').train()
    killed(lambda: classify(cam_hook, label_hook), cam_store, monkeypatch, after=3)
    cams = tmp_path / 'work/cams'
    early = {path: path.stat().st_mtime_ns for path in cams.glob('*.npz')}
    assert 0 < len(early) < 6
    assert not json.loads((cams / 'manifest.json').read_text())['finished']
    with pytest.raises(ValueError, match='not all there'):
        CamStore.load(cams)
    resumed(classify(cam_hook, label_hook))
    assert all(path.stat().st_mtime_ns == time for path, time in early.items())
    for name in TAGS:
        one, other = (
            np.load(tmp_path / f'{run}/cams/{name}.npz') for run in ('work', 'whole')
        )
        assert (one['cam'] == other['cam']).all()
    labels = [read(tmp_path / f'{run}/affinity_labels') for run in ('work', 'whole')]
    assert all((labels[0][name] == labels[1][name]).all() for name in TAGS)

    walk('walk_whole').train()
    killed(walk, pseudo_label_store, monkeypatch, after=3)
    assert 0 < len(read(tmp_path / 'walk/pseudo_labels')) < 6
    resumed(walk())
    labels = [read(tmp_path / f'{run}/pseudo_labels') for run in ('walk', 'walk_whole')]
    assert labels[0].keys() == TAGS.keys()
    assert all((labels[0][name] == labels[1][name]).all() for name in TAGS)


def test_truth_is_for_the_report_only(
    classify, walk, cam_hook, label_hook, weak, every, tmp_path, caplog
):
    truth = weak / 'truth'
    truth.mkdir()
    for name in TAGS:
        Image.fromarray(np.full((40, 48), 2, np.uint8)).save(truth / f'{name}.png')
    dataset = dict(every, seg_map_suffix='.png')
    options = dict(dataset=dataset, truth_dir=str(truth))
    runner = classify(cam_hook | options, label_hook | options)
    said = []
    runner.logger.info = lambda text, *_: said.append(str(text))
    runner.train()
    assert (tmp_path / 'work/cams.png').is_file()
    reports = [text for text in said if 'mIoU' in text]
    assert 'at the background threshold' in reports[0]
    assert 'of the sure pixels' in reports[1] and len(reports) == 2
    label = np.stack(list(read(tmp_path / 'work/affinity_labels').values()))
    sure = label[label != 255]
    # the truth has one class: the others that are predicted have an IoU of 0
    mean = 100 * (sure == 2).mean() / len(set(sure.tolist()) | {2})
    assert f'{mean:.2f}' in reports[1]


def test_seeds_of_another_list(classify, walk, cam_hook, label_hook, every, tmp_path):
    some = dict(every, ann_file='unlabeled.txt')
    classify(cam_hook, label_hook).train()
    with pytest.raises(
        ValueError, match=r'seeds of another list .6 images; here are 4'
    ):
        walk(dataset=some).train()
    with pytest.raises(ValueError, match='holds no seeds'):
        walk(cams='work/affinity_labels').train()
    for index, (change, match) in enumerate(
        (
            (dict(beta=-1), 'beta=-1'),
            (dict(log_t=0.5), r'log_t=0\.5'),
            (dict(background=dict(treshold=1)), "'treshold'; a background has"),
            (dict(crf=dict(iteration=3)), "'iteration'; .* a CRF some of .*iterations"),
            (dict(num_workers=-1), 'num_workers=-1 must be at least 0'),
            (
                dict(classes=[NAMES[0], *NAMES[:0:-1]]),
                r'seeds of the classes .*, but here are',
            ),
        )
    ):
        with pytest.raises(ValueError, match=match):
            walk(work_dir=f'wrong{index}', **change).train()
    (tmp_path / 'work/cams/b.npz').unlink()
    with pytest.raises(ValueError, match=r'cams has no seed of b and 0 others: make'):
        walk().train()


def test_bad_input_before_the_first_step(classify, cam_hook, label_hook, weak, every):
    def refused(message, *hooks, **changes):
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            classify(*hooks, **changes).train()

    refused("'treshold'; a background", label_hook | dict(background=dict(treshold=1)))
    refused('num_workers=-1 must be at', label_hook | dict(num_workers=-1))
    refused('num_workers=-1 must be at', cam_hook | dict(num_workers=-1))
    refused('no CamHook before it', label_hook, cam_hook)
    refused('which holds none', cam_hook | dict(out_dir='seeds'), label_hook)
    refused("'iteration'", label_hook | dict(crf=dict(iteration=3)))
    folder = weak / 'taken'
    folder.mkdir()
    (folder / 'a.png').write_bytes(b'x')
    refused('taken', cam_hook | dict(out_dir=str(folder)))
    pseudo_label_store.PseudoLabelStore(weak / 'labels', {}, [])
    labels = str(weak / 'labels')
    refused('labels holds pseudo-labels: give', cam_hook | dict(out_dir=labels))
    refused('both write into', cam_hook, label_hook | dict(out_dir='cams'))
    plain = dict(type='CamHead', in_channels=64, num_classes=3)
    refused(
        'refine=True, but the head has no affinity',
        cam_hook,
        head=plain,
        consistency_weight=0,
    )
    classes = [*NAMES, 'boat']
    refused('CamHook needs a classifier of 5', cam_hook | dict(classes=classes))
    refused("normalize='l2'", cam_hook | dict(normalize='l2'))
    refused(r'squares=\[0\]', cam_hook | dict(squares=[0]))
    refused("truth_dir='none' is no folder", cam_hook | dict(truth_dir='none'))
    for tags, message in (
        (TAGS | {'c': []}, "image 'c', has no tag"),
        ({key: ['car'] for key in 'abcdef'}, r"tag.s. \['road', 'tree'\]"),
    ):
        path = weak / 'bad.json'
        path.write_text(json.dumps(tags))
        refused(message, cam_hook | dict(tags=str(path)))
    (weak / 'other.json').write_text(json.dumps({'x': ['car']}))
    refused('other.json', cam_hook | dict(tags=str(weak / 'other.json')))
