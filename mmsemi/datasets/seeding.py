"""Seeds that depend on a position only, so that nothing has to be replayed."""

import random
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


class SeededIndex(int):
    """A dataset index that carries the seed of this one visit.

    It is an ``int`` to every dataset; :class:`MultiSourceDataset` reads
    :attr:`seed` and seeds the augmentation of the sample with it.
    """

    seed: int

    def __new__(cls, index: int, seed: int) -> 'SeededIndex':
        """Make the index ``index`` with ``seed``."""
        self = super().__new__(cls, index)
        self.seed = seed
        return self

    def __reduce__(self) -> tuple:
        return SeededIndex, (int(self), self.seed)


def derive_seed(*parts: int | str) -> int:
    """Hash integers and names to one seed in ``[0, 2**63)``.

    Args:
        *parts: For example ``(seed, 'labeled', position)``. The same parts
            give the same seed on every machine.
    """
    words = [zlib.crc32(p.encode()) if isinstance(p, str) else int(p) for p in parts]
    state = np.random.SeedSequence(words).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))


def seed_everything(seed: int) -> None:
    """Seed the global generators of ``random``, numpy and torch."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the global CPU generators inside the block, restore them after it."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
