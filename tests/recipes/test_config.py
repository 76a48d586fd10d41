"""How options and changes are merged into a config."""

import pytest
from mmengine.config import Config

from mmsemi.recipes.config import merge_change, merge_options


@pytest.mark.parametrize(
    'options',
    [
        {'crf.iterations': 1},
        {'hooks.5.type': 'x'},
        {'hooks.a.type': 'x'},
        {'scales.0': 0.4},
    ],
)
def test_options_that_do_not_fit(options):
    cfg = Config(dict(crf=None, hooks=[dict(type='a')], scales=[1.0]))
    with pytest.raises(ValueError, match=r'do not fit: .* key\._delete_=True'):
        merge_options(cfg, options)
    merge_options(cfg, None)
    merge_options(cfg, {'crf._delete_': True, 'crf.iterations': 1})
    assert cfg.crf == dict(iterations=1)


def test_merge_change():
    """As a child config does; neither the config nor the change is touched."""
    cfg = Config(dict(a=dict(b=1, c=[1, 2]), d=3, e=dict(f=1)), filename=__file__)
    before = cfg.to_dict()
    change = dict(
        a=dict(c=[5], g=dict(_delete_=True, h=1)), e=dict(_delete_=True, i=2), d=None
    )
    for _ in range(2):
        merged = merge_change(cfg, change)
        assert merged.to_dict() == dict(
            a=dict(b=1, c=[5], g=dict(h=1)), d=None, e=dict(i=2)
        )
    assert merged.filename == __file__
    assert cfg.to_dict() == before
    with pytest.raises(TypeError):
        merge_change(cfg, dict(d=dict(x=1)))


def test_options_serve_every_stage():
    """mmengine takes ``_delete_`` out of what it merges."""
    options = dict(a=dict(_delete_=True, b=1))
    for _ in range(2):
        cfg = Config(dict(a=dict(c=2)))
        merge_options(cfg, options)
        assert cfg.a == dict(b=1)
