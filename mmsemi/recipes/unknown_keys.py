"""stub"""

import difflib


def nearest(name, known):
    near = difflib.get_close_matches(name, known)
    return f'did you mean {near[0]}?' if near else f'choose from {sorted(known)}'


def check_keys(cfg, where):
    pass
