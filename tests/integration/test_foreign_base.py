"""A training whose config inherits from ``mmsemi::…``."""

from typing import Any

import pytest
from mmengine.config import Config


def with_scope(node: Any) -> Any:
    """Mark a config as mmengine marks one from a base of another package.

    The outermost dicts with a type get the scope's name as one more key.
    """
    if isinstance(node, dict):
        if 'type' in node:
            return {**node, '_scope_': 'mmsemi'}
        return {key: with_scope(value) for key, value in node.items()}
    return [with_scope(item) for item in node] if isinstance(node, list) else node


@pytest.mark.parametrize('method', ['U2PL', 'supervised'])
def test_trains(method, write_config, fork_train, tmp_path):
    path = write_config(method)
    cfg = Config.fromfile(path, import_custom_modules=False).to_dict()
    Config(with_scope(cfg)).dump(tmp_path / 'scoped.py')
    assert "_scope_='mmsemi'" in (tmp_path / 'scoped.py').read_text()
    assert fork_train(tmp_path / 'scoped.py', '--work-dir', tmp_path / 'run') == [0]
    assert (tmp_path / 'run/iter_12.pth').is_file()
