"""mmengine's mark of a base read as ``mmsemi::…``."""

from mmengine.config import Config

from mmsemi.config_scope import without_scope


def test_every_mark_goes_and_all_else_stays():
    ours = dict(type='A', _scope_='mmsemi')
    theirs = dict(type='B', _scope_='mmpretrain', inner=dict(ours))
    value = dict(a=ours, b=[dict(ours), (dict(ours), 1)], c=theirs, _scope_='mmsemi')
    cfg = Config(value)
    assert without_scope(cfg) is cfg
    plain = dict(type='A')
    assert cfg.to_dict() == dict(
        a=plain,
        b=[plain, (plain, 1)],
        c=dict(type='B', _scope_='mmpretrain', inner=plain),
    )


def test_a_base_of_another_package(tmp_path):
    path = tmp_path / 'user.py'
    path.write_text(
        "_base_ = 'mmsemi::_base_/datasets/voc12aug.py'\n"
        'test_dataloader = _base_.val_dataloader\n'
    )
    cfg = Config.fromfile(path)
    assert "_scope_='mmsemi'" in cfg.pretty_text
    assert '_scope_' not in without_scope(cfg).pretty_text
