"""What a config and its stages mean, and what is refused when they are read."""

import re

import pytest
from mmengine.config import Config

from mmsemi.recipes.read import load_stage


def one(**changes) -> dict:
    return dict(a=changes)


def two(value: str, **changes) -> dict:
    """Return a recipe whose second stage reads something."""
    return dict(a={}, b=dict(load_from=value) | changes)


def test_plain_config_is_one_training(read_plain, tmp_path):
    stage = read_plain()
    assert (stage.name, stage.reads, stage.title) == ('', [], 'the training')
    assert stage.folder == stage.root == tmp_path / 'work'
    text = (tmp_path / 'configs/toy.py').read_text()
    assert stage.raw.to_dict() == Config.fromstring(text, '.py').to_dict()


def test_stages(read, tmp_path):
    first, second, third = read()
    assert [s.folder for s in (first, second, third)] == [
        tmp_path / 'work' / name for name in ('first', 'second', 'third')
    ]
    assert {s.root for s in (first, second, third)} == {tmp_path / 'work'}
    assert (first.sources, second.sources, third.sources) == ([], ['first'], ['first'])
    assert sorted((r.key, r.stage, r.what) for r in second.reads) == [
        ('load_from', 'first', 'last'),
        ('train_dataloader.dataset.ann_file', 'first', ''),
    ]
    assert [(r.key, r.what) for r in third.reads] == [
        ('model.init_cfg.checkpoint.0', 'best')
    ]


def test_filled_config(read):
    """Only the placeholders are replaced; what is not said stays as in the file."""
    _, second, third = read()
    paths = {'{work_dir}': '/w', '{first.last}': '/w/l.pth', '{first.best}': '/w/b.pth'}
    cfg = second.config(paths)
    assert cfg.load_from == '/w/l.pth'
    assert cfg.train_dataloader.dataset.ann_file == '/w/first/lists/reliable.txt'
    assert cfg.model.channels == 8
    assert 'stages' not in cfg
    filled = third.config(paths)
    assert filled.model.init_cfg.checkpoint == ['/w/b.pth', 'x{}.pth']
    assert filled.train_dataloader.dataset.ann_file == 'all.txt'
    assert second.config().load_from == '{first.last}'


def test_options_of_all_and_of_one(read):
    options = {
        'model.channels': 16,
        'stages.second.model.channels': 32,
        'stages.third.load_from': '{second.last}',
    }
    stages = read(options=options, amp=True)
    assert [s.config().model.channels for s in stages] == [16, 32, 16]
    assert sorted(stages[2].sources) == ['first', 'second']
    assert {s.config().optim_wrapper.type for s in stages} == {'AmpOptimWrapper'}


def test_own_folder_and_no_folder(read):
    """A hook may read what another hook of the same stage has written."""
    first, second = read(two('{work_dir}/b/reliable.txt'))
    assert second.reads[0].stage == 'b' and second.sources == []
    assert read(two('{work_dir}'))[1].reads == first.reads == []


NESTED = """
model = dict(depth=dict(type='Head', width=4), sizes=[1, 2])
stages = dict(
    b=dict(train_cfg=dict(max_iters=5), model=dict(sizes=[3])),
    a=dict(
        model=dict(depth=dict(_delete_=True, type='Other')),
        default_hooks=dict(logger=dict(type='LoggerHook')),
        randomness=dict(seed=7),
    ),
)
"""


def test_a_stage_merges_as_a_child_config(read_text):
    b, a = read_text(NESTED)
    # in the order of the dict, not of the alphabet
    assert (b.name, a.name) == ('b', 'a')
    assert b.raw.train_cfg == dict(type='IterBasedTrainLoop', max_iters=5)
    assert a.raw.train_cfg.max_iters == 9
    # lists are replaced, dicts merge, and _delete_ leaves nothing behind
    assert (b.raw.model.sizes, a.raw.model.sizes) == ([3], [1, 2])
    assert b.raw.model.depth == dict(type='Head', width=4)
    assert a.raw.model.depth == dict(type='Other')
    assert (b.raw.model.channels, a.raw.model.channels) == (8, 8)
    assert 'logger' not in b.raw.default_hooks
    assert set(a.raw.default_hooks) == {'checkpoint', 'logger'}


def test_a_leaf_changes_a_stage_of_its_base(read_text):
    """With mmengine's own inheritance, which keeps order and ``_delete_``."""
    read_text(NESTED, 'base.py')
    b, a = read_text(
        "_base_ = './base.py'\n"
        'stages = dict(a=dict(train_cfg=dict(max_iters=3), model=dict('
        "depth=dict(width=2), sizes=[4])), b=dict(model=dict(_delete_=True, type='N')))"
    )
    assert (b.name, a.name) == ('b', 'a')
    assert (b.raw.train_cfg.max_iters, a.raw.train_cfg.max_iters) == (5, 3)
    assert a.raw.model.depth == dict(type='Other', width=2)
    assert a.raw.model.sizes == [4]
    assert a.raw.model.channels == 8
    assert a.raw.randomness.seed == 8


def test_a_leaf_may_add_and_remove(read_text):
    read_text(NESTED, 'base.py')
    text = "_base_ = './base.py'\nstages = dict({})"
    *_, c = read_text(text.format('c=dict(load_from="{a.last}")'))
    assert (c.name, c.sources) == ('c', ['a'])
    # None takes away what was there; of its own hooks the Runner must be told
    _, a = read_text(
        text.format(
            'a=dict(default_hooks=dict(logger=None), load_from=None, randomness=None)'
        )
    )
    assert a.raw.default_hooks.logger is None
    assert (a.raw.load_from, a.raw.randomness) == (None, None)


def test_options_merge_into_a_stage(read_text):
    options = {
        'stages.a.train_cfg.max_iters': 20,
        'stages.a.model.depth.width': 1,
        'model.sizes': [9],
        'stages.b.model.depth._delete_': True,
        'stages.b.model.depth.type': 'Third',
    }
    b, a = read_text(NESTED, options=options)
    assert (b.raw.train_cfg.max_iters, a.raw.train_cfg.max_iters) == (5, 20)
    assert a.raw.model.depth == dict(type='Other', width=1)
    assert b.raw.model.depth == dict(type='Third')
    # the command line comes after what the stage itself says
    assert (b.raw.model.sizes, a.raw.model.sizes) == ([9], [9])
    both = read_text(NESTED, options={'train_cfg.max_iters': 2})
    assert [s.raw.train_cfg.max_iters for s in both] == [2, 2]
    options = {'train_cfg.max_iters': 2, 'stages.b.train_cfg.max_iters': 4}
    both = read_text(NESTED, options=dict(reversed(options.items())))
    assert [s.raw.train_cfg.max_iters for s in both] == [4, 2]


@pytest.mark.parametrize(
    ('stages', 'message'),
    [
        ({}, 'stages={} must be a dict of one or more stages, name=dict(key=…)'),
        (3, 'stages=3 must be a dict of one or more stages'),
        (
            [dict(name='a', config='toy.py')],
            'recipe.py: stages is a list, the form of earlier versions: write a dict, '
            'stages=dict(supervised=dict(train_cfg=…), retrain=dict(…)), whose values '
            'are changes of this config',
        ),
        (dict(a='b'), "stage 'a' is 'b': write what differs from the config"),
        (dict(a=None), "stage 'a' is None: write what differs from the config"),
        ({'a/b': {}}, "a stage is named 'a/b', which is to be a folder: use letters"),
        (
            one(model=dict(type=dict(x=3))),
            "recipe.py, stage 'a' does not fit its config: ",
        ),
        (one(method=3), "stage 'a': method=3: write dict(type='LPL', …), whose segm"),
        (one(method=dict(crf=None)), "method={'crf': None}: write dict(type='LPL', …)"),
        (two('{c.last}'), "{c.last} reads 'c', which is no stage of this recipe"),
        (two('{b.last}'), "{b.last} reads 'b', which is not done by then"),
        (
            two('{work_dir}/c/pseudo_labels'),
            "'b': load_from='{work_dir}/c/pseudo_labels': {work_dir} reads 'c', which "
            "is no stage of this recipe; choose from the stages before it: ['a']",
        ),
        (dict(a=dict(load_from='{work_dir}/b'), b={}), 'not done by then'),
    ],
)
def test_wrong_recipe(read, stages, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        read(stages)


@pytest.mark.parametrize(
    'value',
    ['{workdir}/a', '{a.lats}', '{a.lasst}', '{a}', '{split}/labeled.txt', '{model}'],
)
def test_other_placeholders(read_text, value):
    """Those of mmsemi 0.1 stood for keys of the file."""
    token = re.escape(value.partition('/')[0])
    message = (
        rf"recipe.py, stage 'b': load_from='.*': {token} is none of "
        r'\{work_dir\}, \{<stage>.last\} and \{<stage>.best\}, the only placeholders: '
        'write the value itself'
    )
    with pytest.raises(ValueError, match=message):
        read_text(f"split = 'splits/12'\nstages = {two(value)!r}")


@pytest.mark.parametrize('value', ['{workdir}/a', '{split}/labeled.txt', '{model}'])
def test_other_placeholders_in_a_plain_config(read_plain, value):
    match = r"plain.py: load_from='.*': \{\w+\} is none of \{work_dir\}"
    with pytest.raises(ValueError, match=match):
        read_plain(f"split = 'splits/12'\nload_from = {value!r}")


@pytest.mark.parametrize('value', ['{a.last}', '{supervised.best}'])
def test_a_plain_config_reads_no_stage(read_plain, value):
    with pytest.raises(ValueError, match='reads a stage, but the config has no stages'):
        read_plain(f'load_from = {value!r}')


@pytest.mark.parametrize(
    'value', ['iter_{}.pth', '{:.2f}', '{0}', '{iter:06d}', '{name}_{}', '{', '{}{}']
)
def test_braces_of_others(read, read_plain, value):
    assert read(two(value))[1].config({'{work_dir}': 'x'}).load_from == value
    stage = read_plain(f'load_from = {value!r}')
    assert (stage.raw.load_from, stage.reads) == (value, [])


def test_variables_of_the_file_are_not_read(read_text, read_plain):
    """They may hold anything, also placeholders that this stage could not read."""
    text = "later = dict(ann_file='{work_dir}/b/x.txt')\nold = '{split}'\n"
    a, b = read_text(f'{text}stages = dict(a=dict(), b=dict())')
    assert a.reads == b.reads == []
    assert read_plain(text).reads == []


@pytest.mark.parametrize(
    ('what', 'hook', 'message'),
    [
        ('best', dict(save_best=None), "'a' does not keep one best checkpoint"),
        ('best', dict(save_best=['mIoU', 'mAcc']), "(save_best=[['mIoU', 'mAcc']])"),
        ('last', None, "stage 'a' writes no checkpoint"),
    ],
)
def test_checkpoint_that_is_not_written(read, what, hook, message):
    stages = two(f'{{a.{what}}}')
    stages['a'] = dict(default_hooks=dict(checkpoint=hook))
    with pytest.raises(ValueError, match=re.escape(message)):
        read(stages)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'stages.b.x': 1}, "stages.<name>.<key>=<value> with a name of ['a']"),
        ({'stages.a': 1}, 'write stages.<name>.<key>=<value>'),
        ({'stages': 1}, 'write stages.<name>.<key>=<value>'),
        (
            {'modelx.channels': 1},
            "recipe.py has no key 'modelx': did you mean model?",
        ),
        (
            {'stages.a.modelx.channels': 1},
            '--cfg-options modelx.channels: ',
        ),
        (
            {'stages.a.modelx.channels': 1},
            "recipe.py, stage 'a' has no key 'modelx': did you mean model?",
        ),
        ({'work_dir': 'x'}, '--cfg-options work_dir=x: give the folder as --work-dir'),
        (
            {'stages.a.model.type.x': 3},
            'recipe.py and --cfg-options model.type.x=3 do not fit: ',
        ),
        (
            {'train_cfg.max_iter': 3},
            'train_cfg.max_iter is no argument of IterBasedTrainLoop: did you mean '
            'max_iters?',
        ),
    ],
)
def test_wrong_options(read, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        read(one(), options=options)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (
            {'stages.a.train_cfg.max_iters': 1},
            'write stages.<name>.<key>=<value> with a name of none, since the config '
            'has no stages',
        ),
        ({'modelx.channels': 1}, "plain.py has no key 'modelx': did you mean model?"),
        ({'work_dir': 'x'}, '--cfg-options work_dir=x: give the folder as --work-dir'),
    ],
)
def test_wrong_options_of_a_plain_config(read_plain, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        read_plain(options=options)


PARTS = """
split = 'splits/12'
crop_size = (8, 8)
data_root = 'data'
lists = dict(a='a.txt')
train_dataloader = dict(
    batch_size=None,
    sampler=dict(
        type='MultiSourceSampler', num_per_source=dict(labeled=2, unlabeled=3)
    ),
    dataset=dict(
        _delete_=True,
        type='MultiSourceDataset',
        split=split,
        labeled=dict(type='BaseSegDataset', data_root=data_root, img_suffix='.png'),
        unlabeled=dict(
            type='UnlabeledDataset',
            data_root=data_root,
            data_prefix=dict(img_path='images'),
            img_suffix='.jpg',
            pipeline=[dict(type='RandomCrop', crop_size=crop_size)],
        ),
    ),
)
model = dict(data_preprocessor=dict(size=crop_size), crop_size=crop_size)
"""
RECIPE = 'stages = dict(a=dict(), b=dict(train_cfg=dict(max_iters=5)))\n'


def test_option_of_all_stages_in_the_place_of_a_checkpoint(read):
    message = (
        r"load_from=x.pth: .*'second' starts from {first.last}: give stages.<name>"
    )
    with pytest.raises(ValueError, match=message):
        read(options={'load_from': 'x.pth'})
    stages = read(options={'stages.second.load_from': 'x.pth'})
    assert [s.raw.get('load_from') for s in stages][:2] == [None, 'x.pth']


def test_numbers_of_parts_for_all_stages(read_text):
    """They reach the stages that draw from the part, and add it to no other."""
    shares = dict(sampler=dict(num_per_source=dict(_delete_=True, labeled=4)))
    changes = dict(a=dict(train_dataloader=shares), b=dict())
    text = f'{PARTS}stages={changes!r}'
    prefix = 'train_dataloader.sampler.num_per_source'
    a, b = read_text(text, options={f'{prefix}.unlabeled': 7})
    numbers = [s.raw.train_dataloader.sampler.num_per_source for s in (a, b)]
    assert numbers == [dict(labeled=4), dict(labeled=2, unlabeled=7)]
    with pytest.raises(ValueError, match=r'num_per_source.weak: no stage of .* draws'):
        read_text(text, options={f'{prefix}.weak': 1})


@pytest.mark.parametrize('stages', ['', RECIPE], ids=['plain', 'recipe'])
def test_epochs_where_steps_count(read_text, stages):
    """They would be passed over in silence."""
    options = {'train_cfg.type': 'MultiSourceTrainLoop', 'train_cfg.max_epochs': 2}
    with pytest.raises(ValueError, match=r'max_iters=9, which counts before it: give'):
        read_text(PARTS + stages, options=options)
    options = {**options, 'train_cfg.max_iters': None}
    loops = [s.raw.train_cfg for s in read_text(PARTS + stages, options=options)]
    assert all((loop.max_epochs, loop.max_iters) == (2, None) for loop in loops)


@pytest.mark.parametrize('stages', ['', RECIPE], ids=['plain', 'recipe'])
@pytest.mark.parametrize(
    ('option', 'problem'),
    [
        (
            {'split': 'splits/24'},
            "'split' is a variable of {}, which nothing reads once the file is read: "
            'set train_dataloader.dataset.split',
        ),
        (
            {'data_root': 'elsewhere'},
            "'data_root' is a variable of {}, which nothing reads once the file is "
            'read: set train_dataloader.dataset.labeled.data_root and '
            'train_dataloader.dataset.unlabeled.data_root',
        ),
        (
            {'crop_size': (4, 4)},
            "'crop_size' is a variable of {}, which nothing reads once the file is "
            'read: set model.crop_size',
        ),
        (
            {'lists.a': 'b.txt'},
            "'lists' is a variable of {}, which nothing reads once the file is read: "
            'change the keys that were made of it',
        ),
        (
            {'splits': 'splits/24'},
            "{} has no key 'splits': choose from ",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else '',
)
def test_options_that_nothing_reads(read_text, tmp_path, stages, option, problem):
    """The same sentence, with the place that is read, for both forms."""
    path = str(tmp_path / 'configs/recipe.py')
    key = next(iter(option))
    expected = f'--cfg-options {key}: {problem.format(path)}'
    with pytest.raises(ValueError, match=re.escape(expected)):
        read_text(PARTS + stages, options=option)


@pytest.mark.parametrize('stages', ['', RECIPE], ids=['plain', 'recipe'])
def test_options_for_all_parts(read_text, stages):
    """``split`` is read; ``data_root`` is not where each part has its own."""
    found = read_text(
        PARTS + stages, options={'train_dataloader.dataset.split': 'splits/24'}
    )
    assert {s.raw.train_dataloader.dataset.split for s in found} == {'splits/24'}
    message = (
        '--cfg-options train_dataloader.dataset.data_root=x: every part of .* has its '
        'own data_root, which counts: set train_dataloader.dataset.labeled.data_root '
        'and train_dataloader.dataset.unlabeled.data_root'
    )
    with pytest.raises(ValueError, match=message):
        read_text(PARTS + stages, options={'train_dataloader.dataset.data_root': 'x'})


def test_parts_that_a_stage_does_not_draw_from(read_text):
    changes = dict(
        a=dict(
            train_dataloader=dict(
                sampler=dict(num_per_source=dict(_delete_=True, labeled=4))
            )
        ),
        b=dict(),
        c=dict(train_dataloader=dict(batch_size=7)),
    )
    a, b, c = (s.raw.train_dataloader for s in read_text(f'{PARTS}stages={changes!r}'))
    assert (a.batch_size, b.batch_size, c.batch_size) == (4, 5, 7)
    assert set(a.dataset) == {'type', 'split', 'labeled'}
    assert set(b.dataset) == {'type', 'split', 'labeled', 'unlabeled'}
    (plain,) = read_text(PARTS)
    assert plain.raw.train_dataloader == b
    # None takes a part away
    key = 'train_dataloader.sampler.num_per_source.unlabeled'
    (stage,) = read_text(PARTS, options={key: None})
    assert set(stage.raw.train_dataloader.dataset) == {'type', 'split', 'labeled'}
    assert stage.raw.train_dataloader.sampler.num_per_source == dict(labeled=2)
    assert stage.raw.train_dataloader.batch_size == 2
    # a part that is none is the preflight's to name, with all that there are
    key = 'train_dataloader.sampler.num_per_source.weak'
    (stage,) = read_text(PARTS, options={key: 1})
    assert set(stage.raw.train_dataloader.dataset) > {'labeled', 'unlabeled'}
    assert stage.raw.train_dataloader.batch_size is None


def test_method_wraps_the_model(read_text):
    text = f"""{PARTS}
model.pop('crop_size')
method = dict(type='MeanTeacher', unsup_weight=2.0)
stages = dict(
    a=dict(method=dict(_delete_=True, type='CPS', cutmix=True)),
    b=dict(model=dict(channels=4)),
    c=dict(method=None),
)
"""
    options = {'model.channels': 6, 'stages.b.method.unsup_weight': 1.0}
    a, b, c = (s.raw for s in read_text(text))
    network = dict(type='Net', channels=8, data_preprocessor=dict(size=(8, 8)))
    assert a.model == dict(type='CPS', cutmix=True, segmentor=network)
    assert b.model == dict(
        type='MeanTeacher', unsup_weight=2.0, segmentor=dict(network, channels=4)
    )
    assert c.model == network
    assert not any('method' in cfg for cfg in (a, b, c))
    # what changes the model changes it in every stage
    a, b, c = (s.raw.model for s in read_text(text, options=options))
    assert [m.channels for m in (a.segmentor, b.segmentor, c)] == [6, 6, 6]
    assert b.unsup_weight == 1.0


def test_method_of_a_plain_config(read_plain):
    stage = read_plain("method = dict(type='MeanTeacher')")
    network = dict(type='Net', channels=8)
    assert stage.raw.model == dict(type='MeanTeacher', segmentor=network)
    options = {'method.type': 'MeanTeacher', 'method.unsup_weight': 3.0}
    stage = read_plain(options=options)
    assert stage.raw.model == dict(
        type='MeanTeacher', unsup_weight=3.0, segmentor=network
    )


HOOKS = f"""{PARTS}
default_hooks = dict(pseudo_labels=dict(scales=[1.0]))
stages = dict(
    a=dict(
        default_hooks=dict(
            pseudo_labels=dict(type='PseudoLabelHook', part='unlabeled', flip=True),
            reliability=dict(
                type='ReliabilityHook',
                part='unlabeled',
                dataset=dict(ann_file='{{work_dir}}/a/some.txt'),
            ),
        ),
        train_dataloader=dict(
            sampler=dict(num_per_source=dict(_delete_=True, labeled=4))
        ),
    ),
    b=dict(),
)
"""


def test_named_hooks(read_text):
    """Options of a hook reach the stages that have it; ``part`` names its images."""
    options = {'default_hooks.pseudo_labels.noise': True}
    a, b = (s.raw.default_hooks for s in read_text(HOOKS, options=options))
    images = dict(
        data_root='data', data_prefix=dict(img_path='images'), img_suffix='.jpg'
    )
    assert a.pseudo_labels == dict(
        type='PseudoLabelHook',
        flip=True,
        scales=[1.0],
        noise=True,
        dataset=dict(images, ann_file='splits/12/unlabeled.txt'),
    )
    # what the hook says of its images comes before what the part says
    assert a.reliability.dataset == dict(images, ann_file='{work_dir}/a/some.txt')
    assert set(b) == {'checkpoint'}
    # where the images are is said once
    options = {
        'train_dataloader.dataset.split': 'splits/24',
        'train_dataloader.dataset.unlabeled.data_root': 'x',
    }
    a = read_text(HOOKS, options=options)[0].raw.default_hooks
    assert a.pseudo_labels.dataset.ann_file == 'splits/24/unlabeled.txt'
    assert a.reliability.dataset.data_root == 'x'


@pytest.mark.parametrize('key', ['', 'stages.a.'])
def test_a_named_hook_is_taken_away(read_text, key):
    options = {f'{key}default_hooks.pseudo_labels': None}
    for stage in read_text(HOOKS, options=options):
        assert 'pseudo_labels' not in stage.raw.default_hooks


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (
            {'default_hooks.pseudo_label.noise': True},
            'recipe.py: default_hooks.pseudo_label has options but no type, so it is '
            'no hook: did you mean pseudo_labels?',
        ),
        (
            {'stages.a.default_hooks.pseudo_label.noise': True},
            "recipe.py, stage 'a': default_hooks.pseudo_label has options but no type, "
            'so it is no hook: did you mean pseudo_labels?',
        ),
        (
            {'stages.b.default_hooks.pseudo_labels.noise': True},
            "stage 'b': default_hooks.pseudo_labels has options but no type",
        ),
        (
            {'stages.a.default_hooks.pseudo_labels.part': 'labelled'},
            "stage 'a': default_hooks.pseudo_labels: part='labelled', but "
            "train_dataloader.dataset has the parts ['labeled', 'unlabeled']: name",
        ),
        (
            {'default_hooks.pseudo_labels.noize': True},
            'default_hooks.pseudo_labels.noize is no argument of PseudoLabelHook: did '
            'you mean noise?',
        ),
    ],
)
def test_wrong_options_of_named_hooks(read_text, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        read_text(HOOKS, options=options)


def test_wrong_options_of_named_hooks_in_the_file(read_text, read_plain):
    text = HOOKS.replace('b=dict()', 'b=dict(default_hooks=dict(cams=dict(flip=True)))')
    with pytest.raises(ValueError, match=r"stage 'b': default_hooks.cams has options"):
        read_text(text)
    for text in ('default_hooks = dict(check_point=dict(interval=5))', ''):
        options = None if text else {'default_hooks.check_point.interval': 5}
        with pytest.raises(ValueError, match=r'plain.py: .* did you mean checkpoint\?'):
            read_plain(text, options=options)


def test_amp_of_another_wrapper(read, read_plain):
    options = {'optim_wrapper.type': 'Other'}
    with pytest.raises(ValueError, match=r"stage 'a'.*optim_wrapper.type is 'Other'"):
        read(one(), options=options, amp=True)
    with pytest.raises(ValueError, match=r"plain.py: .*optim_wrapper.type is 'Other'"):
        read_plain(options=options, amp=True)


def test_each_stage_has_a_seed_of_its_own(read_text, read_plain):
    """From one seed, networks would start from the same weights."""

    def seeds(text: str, options: dict | None = None) -> list:
        stages = read_text(f'{text}stages = {two("x")!r}', options=options)
        return [stage.raw.randomness.get('seed') for stage in stages]

    assert seeds('randomness = dict(seed=5)\n') == [5, 6]
    assert seeds('randomness = dict(seed=5)\n', {'randomness.seed': 1}) == [1, 2]
    options = {'stages.b.randomness.seed': 3}
    assert seeds('randomness = dict(seed=5)\n', options) == [5, 4]
    assert seeds('randomness = dict(deterministic=True)\n') == [None, None]
    assert read_plain('randomness = dict(seed=5)').raw.randomness.seed == 5


def test_ground_truth_in_the_place_of_labels(read_text, tmp_path):
    """What an option puts there, of all stages or of one."""
    part = dict(data_prefix=dict(seg_map_path='{work_dir}/a/pseudo_labels'))
    change = dict(train_dataloader=dict(dataset=dict(labeled=part)))
    text = f'{PARTS}stages = {dict(a={}, b=change)!r}'
    key = 'train_dataloader.dataset.labeled.data_prefix.seg_map_path'
    assert len(read_text(text)) == 2
    for prefix in ('', 'stages.b.'):
        with pytest.raises(ValueError) as caught:
            read_text(text, options={prefix + key: 'masks'})
        assert f"recipe.py, stage 'b': {key}='masks' takes the place of the labels of "
        assert "stage 'a', but data/masks has no manifest" in str(caught.value)
    read_text(text, options={f'stages.a.{key}': 'masks'})


def test_tools_take_the_last_stage_of_a_recipe(read_text, toy_config, monkeypatch):
    """What does not train reads a recipe as the config of one of its stages."""
    monkeypatch.chdir(toy_config.parent)
    read_text(f'stages = {two("{work_dir}/a/x.pth", model=dict(channels=3))!r}')
    path = str(toy_config.with_name('recipe.py'))
    last = load_stage(path, {'train_cfg.max_iters': 3})
    assert (last.model.channels, last.train_cfg.max_iters) == (3, 3)
    work = toy_config.parent / 'work_dirs/recipe'
    assert last.load_from == f'{work}/a/x.pth'
    assert load_stage(path, work_dir='/w').load_from == '/w/a/x.pth'
    assert load_stage(path, name='a').model.channels == 8
    assert 'work_dir' not in last
    with pytest.raises(ValueError, match=r"no stage 'c', but \['a', 'b'\]"):
        load_stage(path, name='c')


def test_tools_take_a_plain_config(toy_config):
    """Also one that trains nothing."""
    plain = load_stage(str(toy_config), {'model.channels': 4})
    assert plain.model.channels == 4
    with pytest.raises(ValueError, match=r"has no stage 'one', but no stages"):
        load_stage(str(toy_config), name='one')
    toy_config.write_text("work_dir = 'own'\ntta_model = dict(type='SegTTAModel')\n")
    plain = load_stage(str(toy_config))
    assert plain.to_dict() == dict(tta_model=dict(type='SegTTAModel'), work_dir='own')


def test_child_of_a_recipe_with_a_key_of_its_own(read_text):
    """A change that is made of a variable is written with ``_base_``."""
    read_text(f'{PARTS}stages = dict(a=dict(), b=dict())', 'base.py')
    *_, b = read_text(
        "_base_ = './base.py'\n"
        'stages = dict(b=dict(model=dict(crop_size=_base_.crop_size)))'
    )
    assert b.raw.model.crop_size == (8, 8)


def test_no_file(toy_config):
    with pytest.raises(FileNotFoundError, match=r'gone.py does not exist'):
        load_stage(str(toy_config.with_name('gone.py')))
