"""A fixed mixture of labelled and unlabelled images in every batch."""

import math
from collections.abc import Iterator
from itertools import islice

import torch
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import DataLoader, Sampler

from mmsemi.datasets.multi_source_dataset import MultiSourceDataset
from mmsemi.datasets.seeding import SeededIndex, derive_seed
from mmsemi.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class MultiSourceSampler(Sampler):
    """Draw ``num_per_source`` images of each source for each batch, endlessly.

    Every source has one global stream: permutation after permutation of its
    images, each seeded by (seed, source, epoch). Step ``t`` takes the next
    ``k * world_size`` positions of the stream and rank ``r`` the ``r``-th
    slice of them, so that two processes with 4 + 4 images see in every step
    what one process with 8 + 8 sees. The sources run independently: a short
    one starts again while a long one goes on.

    Each index is a :class:`~mmsemi.datasets.seeding.SeededIndex` whose seed
    depends on (seed, source, stream position) only. A resumed run therefore
    needs no replay: :meth:`skip` sets the position.

    Args:
        dataset: The :class:`MultiSourceDataset` to draw from.
        num_per_source: Source name to number of images per batch and rank,
            e.g. ``dict(labeled=4, unlabeled=4)``. The batch holds the sources
            in this order. The sum must be the ``batch_size`` of the
            dataloader.
        shuffle: Permute each pass over a source. Defaults to True.
        seed: Seed of the streams; by default one that all ranks agree on.

    Raises:
        ValueError: If a source is unknown or a number is not positive.
    """

    def __init__(
        self,
        dataset: MultiSourceDataset,
        num_per_source: dict[str, int],
        shuffle: bool = True,
        seed: int | None = None,
    ) -> None:
        if not isinstance(dataset, MultiSourceDataset):
            raise TypeError(
                'MultiSourceSampler draws from a MultiSourceDataset, got '
                f'{type(dataset).__name__}: wrap the data set, e.g. '
                "dict(type='MultiSourceDataset', labeled=…, unlabeled=…)"
            )
        unknown = set(num_per_source) - set(dataset.sources)
        if unknown or not num_per_source:
            raise ValueError(
                f'num_per_source names {sorted(unknown)}, but the dataset has the '
                f'sources {list(dataset.sources)}: use these names'
            )
        for name, number in num_per_source.items():
            if not isinstance(number, int) or number < 1:
                raise ValueError(
                    f'num_per_source[{name!r}] = {number} must be a whole number '
                    'of at least 1: leave the source out to draw nothing from it'
                )
        self.dataset = dataset
        self.num_per_source = dict(num_per_source)
        self.shuffle = shuffle
        self.seed = sync_random_seed() if seed is None else seed
        self.rank, self.world_size = get_dist_info()
        self._start = 0

    @property
    def samples_per_batch(self) -> int:
        """Images per batch and rank."""
        return sum(self.num_per_source.values())

    def skip(self, num_samples: int) -> None:
        """Let the next iteration start after ``num_samples`` of this rank.

        Args:
            num_samples: Counted from the start of the stream, not from the
                current position.
        """
        if num_samples < 0:
            raise ValueError(f'cannot skip {num_samples} samples: give 0 or more')
        self._start = num_samples

    def set_epoch(self, epoch: int) -> None:
        """Do nothing: the streams do not know epochs of the runner."""

    def __iter__(self) -> Iterator[int]:
        """Yield the indices of this rank from the skipped position on."""
        first_step, offset = divmod(self._start, self.samples_per_batch)
        return islice(self._samples(first_step), offset, None)

    def __len__(self) -> int:
        """Samples of this rank until each image has been drawn once."""
        steps = max(
            math.ceil(len(self.dataset.sources[name]) / (number * self.world_size))
            for name, number in self.num_per_source.items()
        )
        return steps * self.samples_per_batch

    def _samples(self, step: int) -> Iterator[int]:
        """Yield the samples of this rank, batch after batch."""
        orders: dict[str, tuple[int, list[int]]] = {}
        while True:
            for name, number in self.num_per_source.items():
                first = (step * self.world_size + self.rank) * number
                for position in range(first, first + number):
                    yield self._sample(name, position, orders)
            step += 1

    def _sample(self, name: str, position: int, orders: dict) -> SeededIndex:
        """Return the image at one position of a source's stream."""
        epoch, place = divmod(position, len(self.dataset.sources[name]))
        if orders.get(name, (-1,))[0] != epoch:
            orders[name] = epoch, self._order(name, epoch)
        index = self.dataset.offsets[name] + orders[name][1][place]
        return SeededIndex(index, derive_seed(self.seed, name, position))

    def _order(self, name: str, epoch: int) -> list[int]:
        """Return the order in which one pass visits the images of a source."""
        size = len(self.dataset.sources[name])
        if not self.shuffle:
            return list(range(size))
        generator = torch.Generator().manual_seed(
            derive_seed(self.seed, name, 'order', epoch)
        )
        return torch.randperm(size, generator=generator).tolist()


def check_batch_size(dataloader: DataLoader) -> None:
    """Refuse a dataloader whose batches would shift the mixture.

    Args:
        dataloader: The training dataloader, before the first step.

    Raises:
        ValueError: If its ``batch_size`` is not the sum of the sampler's
            ``num_per_source``.
    """
    sampler = dataloader.sampler
    if not isinstance(sampler, MultiSourceSampler):
        return
    if dataloader.batch_size != sampler.samples_per_batch:
        raise ValueError(
            f'train_dataloader.batch_size = {dataloader.batch_size}, but '
            f'MultiSourceSampler.num_per_source = {sampler.num_per_source} sums to '
            f'{sampler.samples_per_batch}: set batch_size to that sum'
        )
