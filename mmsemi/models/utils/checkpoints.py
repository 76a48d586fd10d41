"""Weights of a network that is not trained any more."""

import os
import pickle

from mmengine.runner import CheckpointLoader
from torch import nn


def load_frozen(network: nn.Module, path: str, name: str) -> None:
    """Load all weights of a network, and refuse those of another one.

    Args:
        network: The network, changed in place.
        path: Checkpoint of mmengine, a file or an address.
        name: What the network is to the reader, e.g. ``'ancillary'``.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file cannot be read, a weight is missing, unknown or of another
            shape.
    """
    if '://' not in path and not os.path.isfile(path):
        raise FileNotFoundError(
            f'{name}_checkpoint {path} does not exist: train the {name} model first, '
            'or correct the path'
        )
    try:
        checkpoint = CheckpointLoader.load_checkpoint(path, map_location='cpu')
        weights = checkpoint.get('state_dict', checkpoint)
        found = {key: tuple(value.shape) for key, value in weights.items()}
    except (
        AttributeError,
        EOFError,
        KeyError,
        RuntimeError,
        ValueError,
        pickle.UnpicklingError,
    ) as error:
        raise ValueError(
            f'{name}_checkpoint {path} cannot be read as a checkpoint ({error}): it is '
            'damaged or something else, copy it again or correct the path'
        ) from error
    needed = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    wrong = [key for key in {**needed, **found} if needed.get(key) != found.get(key)]
    if wrong:
        # the classifier first, which tells most
        key = min(wrong, key=lambda key: 'conv_seg' not in key)
        here, there = (
            f'of shape {shapes[key]}' if key in shapes else 'missing'
            for shapes in (needed, found)
        )
        raise ValueError(
            f'{name}_checkpoint {path} is of another model: {key} is {there} there and '
            f'{here} here ({len(wrong)} weights differ); train the {name} model with '
            'this config, or give its own config and number of classes'
        )
    network.load_state_dict(weights)
