"""stub"""
from typing import Any
from mmengine.config import Config

def without_scope(cfg: Config) -> Config:
    def walk(v: Any) -> Any:
        if isinstance(v, dict):
            return {k: walk(x) for k, x in v.items() if not (k == '_scope_' and x == 'mmsemi')}
        if isinstance(v, (list, tuple)):
            return type(v)(walk(x) for x in v)
        return v
    return Config(walk(cfg.to_dict()), filename=cfg.filename)
