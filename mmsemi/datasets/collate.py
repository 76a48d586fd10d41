"""Batches grouped by branch."""

from collections.abc import Sequence

from mmengine.registry import FUNCTIONS


@FUNCTIONS.register_module()
def branch_collate(batch: Sequence[dict]) -> dict:
    """Group the samples of a batch by their branches.

    Args:
        batch: Samples as :class:`MultiBranch` leaves them,
            ``{branch: {'inputs': Tensor, 'data_samples': SegDataSample}}``.
            Samples may have different branches; the order within a branch is
            the order of the batch.

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
