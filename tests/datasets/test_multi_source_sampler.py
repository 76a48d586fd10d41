"""The mixture, and the place of each image in the stream."""

from itertools import islice

import pytest
import torch
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmsemi.datasets import MultiSourceDataset, MultiSourceSampler, check_batch_size
from mmsemi.datasets.seeding import SeededIndex, derive_seed


class Numbers:
    """A part that holds numbers."""

    metainfo: dict = {}

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def get_data_info(self, index: int) -> dict:
        return dict(img_path=str(index))


def numbers(**sizes: int) -> MultiSourceDataset:
    parts = {name: Numbers(size) for name, size in sizes.items()}
    return MultiSourceDataset(allow_overlap=True, verify_files=False, **parts)


def make(num_per_source: dict, rank: int = 0, world: int = 1, **kwargs: object):
    sampler = MultiSourceSampler(
        numbers(labeled=3, unlabeled=10), num_per_source, seed=5, **kwargs
    )
    sampler.rank, sampler.world_size = rank, world
    return sampler


def take(sampler: MultiSourceSampler, count: int) -> list[tuple[int, int]]:
    return [(int(i), i.seed) for i in islice(iter(sampler), count)]


def stream(name: str, size: int, offset: int, count: int) -> list[tuple[int, int]]:
    """The stream of one source, epoch after epoch, written out."""
    images = []
    for epoch in range(count // size + 1):
        generator = torch.Generator()
        generator.manual_seed(derive_seed(5, name, 'order', epoch))
        images += torch.randperm(size, generator=generator).tolist()
    return [
        (image + offset, derive_seed(5, name, place))
        for place, image in enumerate(images[:count])
    ]


def test_batches_are_slices_of_the_streams_in_the_order_of_the_sources():
    for num_per_source in (
        dict(labeled=2, unlabeled=3),
        dict(unlabeled=3, labeled=2),
        dict(labeled=7, unlabeled=1),
        dict(unlabeled=4),
    ):
        streams = dict(
            labeled=stream('labeled', 3, 0, 140),
            unlabeled=stream('unlabeled', 10, 3, 140),
        )
        expected = []
        for _ in range(20):
            for name, number in num_per_source.items():
                expected += [streams[name].pop(0) for _ in range(number)]
        assert take(make(num_per_source), len(expected)) == expected


def test_two_ranks_see_what_one_sees():
    half, whole = dict(labeled=2, unlabeled=2), dict(labeled=4, unlabeled=4)
    one = take(make(whole), 8 * 25)
    two = [take(make(half, rank, 2), 4 * 25) for rank in (0, 1)]
    for step in range(25):
        first, second = (ranks[4 * step : 4 * step + 4] for ranks in two)
        together = first[:2] + second[:2] + first[2:] + second[2:]
        assert together == one[8 * step : 8 * step + 8]


def test_every_image_once_per_epoch_and_other_orders_in_the_next():
    drawn = [i for i, _ in take(make(dict(unlabeled=5)), 30)]
    epochs = [drawn[i : i + 10] for i in (0, 10, 20)]
    assert all(sorted(epoch) == list(range(3, 13)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_sources_are_independent():
    alone = take(make(dict(unlabeled=4)), 40)
    beside = take(make(dict(labeled=1, unlabeled=4)), 50)
    assert [x for x in beside if x[0] >= 3] == alone


def test_without_shuffle_in_order():
    drawn = take(make(dict(labeled=2), shuffle=False), 7)
    assert [i for i, _ in drawn] == [0, 1, 2, 0, 1, 2, 0]


@pytest.mark.parametrize('skipped', [0, 1, 4, 5, 13, 250])
def test_skip_is_absolute(skipped):
    for rank, world in ((0, 1), (1, 2)):
        sampler = make(dict(labeled=2, unlabeled=3), rank, world)
        full = take(sampler, skipped + 20)
        assert take(sampler, 20) == full[:20]
        sampler.skip(99)
        sampler.skip(skipped)
        assert take(sampler, 20) == take(sampler, 20) == full[skipped:]


def test_len_covers_each_image():
    assert len(make(dict(labeled=2, unlabeled=3))) == 4 * 5
    assert len(make(dict(labeled=1, unlabeled=9))) == 3 * 10
    assert len(make(dict(labeled=2, unlabeled=3), 1, 2)) == 2 * 5
    assert len(make(dict(labeled=2))) == 2 * 2


@pytest.mark.parametrize('number', [0, -1, 1.5, '2'])
def test_wrong_numbers(number):
    with pytest.raises(
        ValueError, match=r"num_per_source\['labeled'\] = .* at least 1"
    ):
        make(dict(labeled=number))


def test_wrong_names_and_data_sets():
    with pytest.raises(ValueError, match=r"\['lab'\].*\['labeled', 'unlabeled'\]"):
        make(dict(lab=2))
    with pytest.raises(ValueError, match='use these names'):
        make({})
    with pytest.raises(TypeError, match='MultiSourceDataset, got Numbers'):
        MultiSourceSampler(Numbers(3), dict(labeled=1), seed=0)
    with pytest.raises(ValueError, match='cannot skip -1 samples'):
        make(dict(labeled=2)).skip(-1)


def test_batch_size_must_be_the_mixture():
    sampler = make(dict(labeled=2, unlabeled=3))
    check_batch_size(DataLoader(sampler.dataset, batch_size=5, sampler=sampler))
    check_batch_size(DataLoader(sampler.dataset, batch_size=7))
    with pytest.raises(ValueError, match=r'batch_size = 4, .* sums to 5: set batch_'):
        check_batch_size(DataLoader(sampler.dataset, batch_size=4, sampler=sampler))


def batches(cfg: dict, workers: int, skipped: int = 0) -> list[dict]:
    """Three batches, from worker processes or not."""
    loader = Runner.build_dataloader(dict(cfg, num_workers=workers), seed=3)
    loader.sampler.skip(skipped)
    torch.manual_seed(workers + skipped)
    return list(islice(loader, 3))


def test_workers_and_skip_give_the_same_augmented_batches(
    tiny_dataloader, default_scope
):
    plain = batches(tiny_dataloader, 0)
    for other, expected in (
        (batches(tiny_dataloader, 2), plain),
        (batches(tiny_dataloader, 2, skipped=4), plain[1:]),
        (batches(tiny_dataloader, 0, skipped=8), plain[2:]),
    ):
        for got, batch in zip(other, expected, strict=False):
            for branch, images in batch['inputs'].items():
                for i, image in enumerate(images):
                    assert torch.equal(image, got['inputs'][branch][i])
                    label = batch['data_samples'][branch][i].get('gt_sem_seg')
                    if label is not None:
                        same = got['data_samples'][branch][i].gt_sem_seg.data
                        assert torch.equal(label.data, same)
    # the seed belongs to the visit and not to the image
    assert not torch.equal(plain[0]['inputs']['sup'][0], plain[1]['inputs']['sup'][0])
    assert isinstance(next(iter(make(dict(labeled=1)))), SeededIndex)
