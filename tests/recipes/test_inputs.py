"""Files of a later stage that are missing or wrong, before the first one starts."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from mmsemi.engine.runner.stage_inputs import check_inputs as check_states
from mmsemi.engine.runner.stage_runner import run_stages
from mmsemi.engine.runner.stage_state import State


@pytest.fixture
def part(tmp_path):
    """Return ``part(tags)``: a part of two images, whose tags are listed."""
    (tmp_path / 'images').mkdir()
    for name in 'ab':
        image = Image.fromarray(np.zeros((8, 8, 3), np.uint8))
        image.save(tmp_path / f'images/{name}.png')
    (tmp_path / 'weak.txt').write_text('a\nb\n')

    def write(tags: dict, name: str = 'tags.json') -> dict:
        (tmp_path / name).write_text(json.dumps(tags))
        load = dict(
            type='LoadImageTags',
            format='file',
            path=str(tmp_path / name),
            classes=['background', 'cat'],
            img_suffix='.png',
        )
        return dict(
            type='UnlabeledDataset',
            data_root=str(tmp_path),
            data_prefix=dict(img_path='images'),
            ann_file='weak.txt',
            img_suffix='.png',
            pipeline=[dict(type='LoadImageFromFile'), load],
        )

    return write


@pytest.fixture(autouse=True)
def no_training(monkeypatch):
    def train(cfg):
        raise AssertionError('the first stage started')

    monkeypatch.setattr('mmsemi.engine.runner.stage_runner.train', train)


def check_inputs(stages, *states):
    states = [*states, *[State()] * (len(stages) - len(states))]
    check_states(list(zip(stages, states, strict=True)))


TRAIN = 'stages.third.train_dataloader.dataset'
TAGS = dict(a=['cat'], b=['cat'])


def train_on(dataset: dict) -> dict:
    return {TRAIN: dict(dataset, _delete_=True)}


@pytest.mark.parametrize('place', ['train', 'part', 'val', 'hook', 'repeated'])
def test_image_without_tags(place, part, read):
    weak = part(dict(a=['cat']))
    options = {
        'train': train_on(weak),
        'part': train_on(dict(type='MultiSourceDataset', weak=weak)),
        'val': {'stages.third.val_dataloader': dict(dataset=weak)},
        'hook': {'stages.third.custom_hooks': [dict(type='X', dataset=weak)]},
        'repeated': train_on(dict(type='RepeatDataset', dataset=weak, times=2)),
    }[place]
    key = dict(val='val_dataloader', hook='custom_hooks.0').get(
        place, 'train_dataloader'
    )
    message = rf"stage 'third': {key}\.dataset: .*no tags of the image 'b'"
    with pytest.raises(ValueError, match=message):
        run_stages(read(options=options), again='…')


def test_data_that_is_right(part, read):
    with pytest.raises(RuntimeError, match='the first stage started'):
        run_stages(read(options=train_on(part(TAGS))), again='…')


def test_what_an_earlier_stage_writes_is_left_out(part, read):
    wrong = part(dict(a=['cat']), 'wrong.json')
    waits = dict(wrong, data_root='{work_dir}/first')
    check_inputs(read(options=train_on(waits)))
    both = dict(type='MultiSourceDataset', labels=waits)
    check_inputs(read(options=train_on(both)))
    both['weak'] = wrong
    with pytest.raises(ValueError, match="image 'b'"):
        check_inputs(read(options=train_on(both)))
    both['weak'] = part(TAGS)
    check_inputs(read(options=train_on(both)))


def test_nothing_is_looked_at_twice(part, read, monkeypatch):
    looked = []
    monkeypatch.setattr(
        'mmsemi.datasets.multi_source_dataset.check_images', looked.append
    )
    options = train_on(part(TAGS))
    options['stages.third.val_dataloader'] = dict(dataset=part(TAGS))
    check_inputs(read(options=options))
    assert len(looked) == 1
    options['stages.first.val_dataloader'] = dict(dataset=part(TAGS))
    check_inputs(read(options=options))
    assert len(looked) == 1, 'the first stage looks at its own'


def test_hooks_that_label_may_leave_out_the_type(part, read):
    dataset = part(dict(a=['cat']))
    del dataset['type']
    for hook, refused in (('mmsemi.PseudoLabelHook', True), ('OtherHook', False)):
        options = {'stages.third.custom_hooks': [dict(type=hook, dataset=dataset)]}
        if refused:
            with pytest.raises(ValueError, match=r"custom_hooks\.0\.dataset: .*'b'"):
                check_inputs(read(options=options))
        else:
            check_inputs(read(options=options))


def test_what_is_no_data_set_of_images(read):
    for value in ([], 'x', dict(dataset=3), dict(dataset=dict(ann_file=''))):
        check_inputs(read(options={'stages.third.val_dataloader': value}))
    check_inputs(read(options={'stages.third.custom_hooks': [None, 'x', dict()]}))


def test_wrong_files(part, read, tmp_path):
    cases = [
        (dict(part(TAGS), pipeline=[dict(type='LoadImageTags')]), ValueError, 'format'),
        (dict(part(TAGS), colour=3), ValueError, 'colour'),
        (dict(part(TAGS), type='NoDataset'), ValueError, 'NoDataset is not in the'),
        (part(dict(a=['cow'], b=['cat'])), ValueError, "'cow'"),
    ]
    for dataset, kind, match in cases:
        with pytest.raises(kind, match=rf"stage 'third'.*{match}"):
            check_inputs(read(options=train_on(dataset)))
    (tmp_path / 'images/b.png').unlink()
    many = dict(type='MultiSourceDataset', weak=part(TAGS))
    for dataset in (many, part(TAGS)):
        with pytest.raises(FileNotFoundError, match=r"stage 'third'.*b\.png"):
            check_inputs(read(options=train_on(dataset)))
    voc = dict(type='PascalVOCDataset', ann_file='weak.txt', data_root=str(tmp_path))
    voc['data_prefix'] = dict(img_path='gone', seg_map_path='gone')
    with pytest.raises(ValueError, match=r"third': train_.*dataset: AssertionError"):
        check_inputs(read(options=train_on(voc)))


@pytest.mark.parametrize(
    'key',
    [
        'load_from',
        'model.ancillary_checkpoint',
        'model.init_cfg.checkpoint',
        'model.pretrained',
    ],
)
def test_checkpoint(key, read, tmp_path, monkeypatch):
    def check(path: object, *states: State) -> None:
        check_inputs(read(options={f'stages.third.{key}': path}), *states)

    for fine in ('{first.last}', 'torchvision://resnet18', 'https://x/y.pth', None):
        check(fine)
    message = f"stage 'third': the checkpoint gone.pth ({key}) does not exist"
    with pytest.raises(FileNotFoundError, match=re.escape(message)):
        check('gone.pth')
    (tmp_path / 'net.pth').write_text('')
    check(str(tmp_path / 'net.pth'))
    monkeypatch.setenv('HOME', str(tmp_path))
    check('~/net.pth')
    # a stage that was cut goes on from its own checkpoint, and reads the others
    states = State(done=True), State(done=True), State(checkpoint='iter_3.pth')
    if key == 'load_from':
        check('gone.pth', *states)
    else:
        with pytest.raises(FileNotFoundError, match='gone'):
            check('gone.pth', *states)
    check('gone.pth', *[State(done=True)] * 3)


def test_names_that_nobody_loads(read):
    hook = dict(type='X', save_checkpoint='out.pth')
    check_inputs(read(options={'stages.third.custom_hooks': [hook]}))
