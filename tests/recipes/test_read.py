"""What a recipe means, and what is refused before the first stage."""

import re
from pathlib import Path

import pytest
from mmengine.config import Config

from mmsemi.engine.runner.recipe import load_stage, read_recipe


def one(**changes) -> list[dict]:
    return [dict(name='a', config='toy.py') | changes]


def two(value: str, **changes) -> list[dict]:
    """Return a recipe whose second stage reads something."""
    options = {'load_from': value}
    return [*one(), dict(name='b', config='toy.py', cfg_options=options) | changes]


def test_stages(read, tmp_path):
    first, second, third = read()
    assert [s.folder for s in (first, second, third)] == [
        tmp_path / 'work' / name for name in ('first', 'second', 'third')
    ]
    assert (first.sources, second.sources, third.sources) == ([], ['first'], ['first'])
    assert [(r.key, r.stage, r.what) for r in second.reads] == [
        ('load_from', 'first', 'last'),
        ('train_dataloader.dataset.ann_file', 'first', ''),
    ]
    assert [(r.key, r.what) for r in third.reads] == [
        ('train_dataloader.labels.0', 'best')
    ]


def test_filled_config(read):
    """Only the placeholders are replaced; what is not said stays as in the file."""
    _, second, third = read()
    paths = {'{work_dir}': '/w', '{first.last}': '/w/l.pth', '{first.best}': '/w/b.pth'}
    cfg = second.config(paths)
    assert cfg.load_from == '/w/l.pth'
    assert cfg.train_dataloader.dataset.ann_file == '/w/first/lists/reliable.txt'
    assert cfg.model.channels == 8
    loader = third.config(paths).train_dataloader
    assert loader.labels == ['/w/b.pth', 'x{}.pth']
    assert loader.dataset.ann_file == 'all.txt'
    assert second.config().load_from == '{first.last}'


def test_options_of_all_and_of_one(read):
    options = {
        'model.channels': 16,
        'stages.second.model.channels': 32,
        'stages.third.load_from': '{second.last}',
    }
    stages = read(options=options, amp=True)
    assert [s.config().model.channels for s in stages] == [16, 32, 16]
    assert stages[2].sources == ['first', 'second']
    assert {s.config().optim_wrapper.type for s in stages} == {'AmpOptimWrapper'}


def test_config_from_the_current_folder(read, toy_config, monkeypatch, tmp_path):
    (tmp_path / 'here').mkdir()
    (tmp_path / 'here/other.py').write_text(toy_config.read_text())
    monkeypatch.chdir(tmp_path)
    (stage,) = read(one(config='here/other.py'))
    assert Path(stage.base.filename).resolve() == tmp_path / 'here/other.py'


def test_own_folder_and_no_folder(read):
    """A hook may read what another hook of the same stage has written."""
    first, second = read(two('{work_dir}/b/reliable.txt'))
    assert second.reads[0].stage == 'b' and second.sources == []
    assert read(two('{work_dir}'))[1].reads == first.reads == []


@pytest.mark.parametrize(
    ('stages', 'message'),
    [
        ([], 'stages must be a list of one or more stages'),
        (['a'], "stage 1 is 'a': write dict(name=…, config=…)"),
        ([dict(config='toy.py')], 'stage 1 has no name'),
        ([dict(name='a')], "'a': its config, "),
        ([dict(name='a')], 'recipe.py, trains nothing: it has no model'),
        (one(config=3), 'stage 1: config=3 must be a path'),
        (one(config_options={}), "stage 1 has the unknown key 'config_options'"),
        (one(name='a/b'), "stage 1 is named 'a/b'"),
        (one() + one(), "stage 2 is named 'a' as one before it: rename one"),
        (one(cfg_options=['x=1']), 'stage 1: cfg_options must be a dict'),
        (one(config='recipe.py'), 'recipe.py is itself a recipe: name the config'),
        (one(cfg_options=dict(model=3)), 'toy.py, trains nothing: it has no model'),
        (one(cfg_options={'model.type.x': 3}), 'toy.py and its options do not fit: '),
        (two('{c.last}'), "{c.last} reads 'c', which is no stage of this recipe"),
        (two('{b.last}'), "{b.last} reads 'b', which is not done by then"),
        (two('{a.lats}'), '{a.lats} is none of {work_dir}, {<stage>.last} and'),
        (two('{workdir}/a'), '{workdir} is none of {work_dir}'),
        (
            two('{work_dir}/c/pseudo_labels'),
            "'b': load_from='{work_dir}/c/pseudo_labels': {work_dir} reads 'c', which "
            "is no stage of this recipe; choose from the stages before it: ['a']",
        ),
        (one(cfg_options=dict(x='{work_dir}/b')) + one(name='b'), 'not done by then'),
    ],
)
def test_wrong_recipe(read, stages, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        read(stages)


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
    stages[0]['cfg_options'] = {'default_hooks.checkpoint': hook}
    with pytest.raises(ValueError, match=re.escape(message)):
        read(stages)


def test_config_that_is_not_there(read, tmp_path):
    message = f'the config gone.py does not exist, neither in {tmp_path / "configs"} '
    with pytest.raises(FileNotFoundError, match=re.escape(message)):
        read(one(config='gone.py'))


def test_config_that_cannot_be_read(read, toy_config):
    toy_config.write_text('model = dict(')
    with pytest.raises(ValueError, match=r"stage 'a': cannot read .*toy.py"):
        read(one())


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'stages.b.x': 1}, "stages.<name>.<key>=<value> with a name of ['a']"),
        ({'stages.a': 1}, 'write stages.<name>.<key>=<value>'),
        (
            {'modle.channels': 1},
            "no key 'modle' that a training reads; did you mean one of ['model",
        ),
        (
            {'stages.a.modle.channels': 1},
            "modle.channels: stage 'a' of",
        ),
        ({'work_dir': 'x'}, '--cfg-options work_dir=x: give the folder as --work-dir'),
    ],
)
def test_wrong_options(read, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        read(one(), options=options)


def test_amp_of_another_wrapper(read):
    with pytest.raises(ValueError, match=r"stage 'a'.*optim_wrapper.type is 'Other'"):
        read(one(cfg_options={'optim_wrapper.type': 'Other'}), amp=True)


SHARED = """
_base_ = './toy.py'
split = 'splits/12'
root = 'data'
rate = 0.25
batch = dict(labeled=4)
lists = dict(ann_file='{root}/{split}/labeled.txt')
train_dataloader = dict(dataset=dict(ann_file='{split}/all.txt'), batch='{batch}')
stages = [
    dict(name='one', cfg_options={'optim_wrapper.optimizer.lr': '{rate}'}),
    dict(
        name='two',
        cfg_options={
            'train_dataloader.dataset': '{lists}',
            'load_from': '{one.last}',
            'labels': '{work_dir}/one/{split}',
        },
    ),
]
"""


@pytest.fixture
def read_text(toy_config, tmp_path):
    """Return ``read(text, options)``: the stages of a recipe that has its own keys."""

    def read_stages(text: str, options: dict | None = None):
        path = toy_config.with_name('shared.py')
        path.write_text(text)
        return read_recipe(Config.fromfile(path), str(tmp_path / 'work'), options)

    return read_stages


def test_recipe_that_is_the_config_of_its_stages(read_text):
    one, two = (stage.config() for stage in read_text(SHARED))
    assert one.model == two.model == dict(type='Net', channels=8)
    assert 'stages' not in one
    assert one.train_dataloader.dataset.ann_file == 'splits/12/all.txt'
    # alone in its string, a placeholder has the value's type
    assert (one.optim_wrapper.optimizer.lr, two.optim_wrapper.optimizer.lr) == (
        0.25,
        0.1,
    )
    assert one.train_dataloader.batch == {'labeled': 4}
    assert two.train_dataloader.dataset.ann_file == 'data/splits/12/labeled.txt'
    assert two.load_from == '{one.last}'
    assert two.labels == '{work_dir}/one/splits/12'


def test_options_reach_the_placeholders(read_text):
    options = {'split': 'x', 'batch.pseudo': 2}
    one, two = (stage.config() for stage in read_text(SHARED, options))
    assert one.train_dataloader.dataset.ann_file == 'x/all.txt'
    assert two.train_dataloader.dataset.ann_file == 'data/x/labeled.txt'
    assert one.train_dataloader.batch == {'labeled': 4, 'pseudo': 2}


def test_own_keys_of_one_stage(read_text):
    """And what a stage does not read does not change its config."""
    plain = [stage.config() for stage in read_text(SHARED)]
    options = {'stages.two.root': 'x', 'stages.one.rate': 0.5}
    one, two = (stage.config() for stage in read_text(SHARED, options))
    assert one.optim_wrapper.optimizer.lr == 0.5
    assert two.train_dataloader.dataset.ann_file == 'x/splits/12/labeled.txt'
    assert one.train_dataloader == plain[0].train_dataloader
    assert two.optim_wrapper == plain[1].optim_wrapper
    for cfg in (one, two):
        assert not {'split', 'root', 'rate', 'batch', 'lists'} & set(cfg)
    (faster, same) = (stage.config() for stage in read_text(SHARED, {'rate': 0.5}))
    assert faster.to_dict() != plain[0].to_dict()
    assert same.to_dict() == plain[1].to_dict()


def test_each_stage_has_a_seed_of_its_own(read_text):
    """From one seed, networks would start from the same weights."""
    text = SHARED + 'randomness = dict(seed=5)\n'
    assert [s.config().randomness.seed for s in read_text(text)] == [5, 6]
    options = {'randomness.seed': 1}
    assert [s.config().randomness.seed for s in read_text(text, options)] == [1, 2]
    text = SHARED + 'randomness = dict(deterministic=True)\n'
    assert ['seed' in s.config().randomness for s in read_text(text)] == [False] * 2


@pytest.mark.parametrize(
    ('old', 'new', 'message'),
    [
        ("'{split}/all.txt'", "'{slit}/all.txt'", "ann_file='{slit}/all.txt' names no"),
        ("'{split}/all.txt'", "'{batch}/all.txt'", "batch is {'labeled': 4}, which is"),
        ("'data'", "'{split}'", None),
        ("'{batch}'", "'{work_dir}/one'", "stand in a stage's cfg_options only"),
        ('rate = 0.25', "rate = '{rat}'\nrat = '{rate}'", "['rat', 'rate'] name each"),
        ("name='one'", "config='toy.py', name='one'", None),
    ],
)
def test_own_keys(read_text, old, new, message):
    assert old in SHARED
    if message is None:
        read_text(SHARED.replace(old, new))
        return
    with pytest.raises(ValueError, match=re.escape(message)):
        read_text(SHARED.replace(old, new))


def test_shared_config_that_no_stage_uses(read_text):
    text = SHARED.replace("name='one'", "config='toy.py', name='one'")
    text = text.replace("name='two'", "config='toy.py', name='two'")
    with pytest.raises(ValueError, match='all its stages have a config of their own'):
        read_text(text)


def test_tools_take_the_last_stage_of_a_recipe(read_text, toy_config, monkeypatch):
    """What does not train reads a recipe as the config of one of its stages."""
    monkeypatch.chdir(toy_config.parent)
    path = toy_config.with_name('shared.py')
    path.write_text(SHARED)
    last = load_stage(str(path), {'root': 'x'})
    assert last.train_dataloader.dataset.ann_file == 'x/splits/12/labeled.txt'
    work = toy_config.parent / 'work_dirs/shared'
    assert last.labels == f'{work}/one/splits/12'
    assert load_stage(str(path), work_dir='/w').labels == '/w/one/splits/12'
    first = load_stage(str(path), name='one')
    assert first.train_dataloader.dataset.ann_file == 'splits/12/all.txt'
    plain = load_stage(str(toy_config), {'model.channels': 4})
    assert plain.model.channels == 4
    with pytest.raises(ValueError, match=r"no stage 'three', but \['one', 'two'\]"):
        load_stage(str(path), name='three')
    with pytest.raises(ValueError, match="is no recipe and has no stage 'one'"):
        load_stage(str(toy_config), name='one')
