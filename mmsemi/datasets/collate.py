"""Batches grouped by branch."""

from collections.abc import Sequence
from functools import partial

from mmengine.registry import FUNCTIONS
from torch.utils.data import DataLoader

from mmsemi.datasets.transforms import MultiBranch


@FUNCTIONS.register_module()
def branch_collate(batch: Sequence[dict], _scope_: str | None = None) -> dict:
    """Group the samples of a batch by their branches.

    Args:
        batch: Samples as :class:`MultiBranch` leaves them,
            ``{branch: {'inputs': Tensor, 'data_samples': SegDataSample}}``.
            Samples may have different branches; the order within a branch is
            the order of the batch.
        _scope_: Not used. mmengine puts it into every dict of a base config of
            another package (``_base_ = 'mmsemi::…'``), and the runner passes it on.

    Returns:
        ``{'inputs': {branch: [Tensor]}, 'data_samples': {branch: [SegDataSample]}}``.
    """
    grouped: dict[str, dict[str, list]] = {'inputs': {}, 'data_samples': {}}
    for sample in batch:
        if 'inputs' in sample:
            raise ValueError(
                'branch_collate got a sample without branches: end the pipeline '
                "with dict(type='MultiBranch', sup=[dict(type='PackSemiInputs')])"
            )
        for branch, packed in sample.items():
            for key, lists in grouped.items():
                lists.setdefault(branch, []).append(packed[key])
    return grouped


def check_collate(dataloader: DataLoader) -> None:
    """Refuse a dataloader that does not group branches.

    Args:
        dataloader: The training dataloader, before the first step.

    Raises:
        ValueError: If the samples have branches and ``collate_fn`` is another one of
            mmengine's.
    """
    function = dataloader.collate_fn
    while isinstance(function, partial):
        function = function.func
    if function not in (
        FUNCTIONS.get('pseudo_collate'),
        FUNCTIONS.get('default_collate'),
    ):
        return
    for name, part in getattr(dataloader.dataset, 'sources', {}).items():
        steps = getattr(getattr(part, 'pipeline', None), 'transforms', None)
        if steps and isinstance(steps[-1], MultiBranch):
            raise ValueError(
                f'train_dataloader.collate_fn is {function.__name__}, but the samples '
                f"of {name!r} have branches: set collate_fn=dict(type='branch_collate')"
            )
