"""The networks that label, and what labels are made of."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dist import broadcast
from torch import Tensor, nn

from mmsemi.datasets import UnlabeledDataset

from .image_batches import image_ids


def choose_networks(
    model: Any, names: Sequence[str] | None = None
) -> dict[str, nn.Module]:
    """Return the networks of a model that label.

    Args:
        model: A method of mmsemi, or a plain segmentor, which is its own only
            network under the name ``'model'``.
        names: Names of the method's networks. By default the one that it predicts
            on, or all, if it predicts on none of them alone (a fusion).

    Raises:
        ValueError: The model has no network of this name, or one is named twice.
    """
    networks = model.networks() if hasattr(model, 'networks') else {'model': model}
    if names is None:
        chosen = getattr(model, 'predict_on', 'model')
        names = [chosen] if chosen in networks else list(networks)
    known = not isinstance(names, str) and set(names) <= set(networks)
    if not known or not names or len(set(names)) < len(names):
        raise ValueError(
            f'networks={names!r}: name some of {list(networks)}, those of '
            f'{type(model).__name__}, each once'
        )
    return {name: networks[name] for name in names}


def weights_sha256(network: nn.Module) -> str:
    """Hash the names, types, shapes and values of a network's weights and buffers.

    The file of a checkpoint would not do: it also holds optimiser, time and paths.
    """
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(f'{name} {value.dtype} {tuple(value.shape)} '.encode())
        flat = value.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def broadcast_weights(networks: Mapping[str, nn.Module]) -> None:
    """Give all ranks the weights of rank 0, which are those of the checkpoints.

    The running statistics of plain batch norm differ under mmengine's own wrapper.
    """
    for network in networks.values():
        for value in network.state_dict().values():
            broadcast(value)


def make_manifest(
    networks: Mapping[str, nn.Module],
    dataset: UnlabeledDataset,
    metainfo: Mapping[str, Any],
    settings: Mapping[str, Any],
    tags: Tensor | None = None,
    **origin: Any,
) -> dict[str, Any]:
    """Describe labels by what they are made of.

    Args:
        networks: The networks, by name.
        dataset: The images.
        metainfo: ``classes`` of the training data.
        settings: What else makes the labels what they are.
        tags: Tags of the images, from :func:`tags_to_label`.
        **origin: For the reader, e.g. ``model`` and ``checkpoints``.
    """
    ids = image_ids(dataset)
    first = next(iter(networks.values()))
    classes = metainfo.get('classes') or range(getattr(first, 'num_classes', 0))
    test_cfg = getattr(first, 'test_cfg', None)
    # without the addresses of steps that have no repr of their own
    pipeline = [re.sub(' at 0x\\w+', '', repr(t)) for t in dataset.pipeline.transforms]
    return dict(
        origin,
        networks=list(networks),
        sha256=[weights_sha256(network) for network in networks.values()],
        settings=dict(
            settings,
            test_cfg=_plain(test_cfg),
            pipeline=pipeline,
            tags=None if tags is None else _sha256_of_tags(tags),
        ),
        classes=[str(name) for name in classes],
        images=dict(
            number=len(ids), sha256=hashlib.sha256('\n'.join(ids).encode()).hexdigest()
        ),
    )


def _sha256_of_tags(tags: Tensor) -> str:
    """Hash the tags (N, C) in the order of the images, whatever file they are from."""
    return hashlib.sha256(np.packbits(tags.numpy(), axis=1).tobytes()).hexdigest()


def _plain(value: Any) -> Any:
    """Return a config as plain lists, dicts and words."""
    return json.loads(json.dumps(value, default=str))
