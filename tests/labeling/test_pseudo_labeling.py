import json
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from mmengine.registry import DefaultScope
from mmseg.datasets import BaseSegDataset
from PIL import Image

from mmsemi.labeling.ensemble import Ensemble, pixel_noise
from mmsemi.labeling.image_batches import image_ids
from mmsemi.labeling.pseudo_label_store import PseudoLabelStore
from mmsemi.labeling.pseudo_labeling import generate_pseudo_labels
from mmsemi.models.utils.tta import tta_probabilities

CLASSES = ['x', 'y', 'z']
HOW = dict(scales=(1.0, 1.5), flip=True, batch_size=2, num_workers=0)


def open_store(folder: Path, **changes) -> PseudoLabelStore:
    manifest = dict(sha256=[], settings={}, classes=CLASSES, images={})
    return PseudoLabelStore(folder, manifest, [[0, 0, 0]] * 3, **changes)


@pytest.fixture
def label(mixed_images, tiny_net, preprocessor, tmp_path):
    """Return ``run(folder, **changes)``: the result of labelling a … g."""

    def run(folder='labels', names='abcdefg', nets=(0,), soft=False, **changes):
        return generate_pseudo_labels(
            [tiny_net(seed) for seed in nets],
            mixed_images(names),
            open_store(tmp_path / folder, soft=soft),
            preprocessor=preprocessor,
            **HOW | changes,
        )

    return run


def read(folder: Path) -> dict[str, np.ndarray]:
    return {
        path.relative_to(folder).with_suffix('').as_posix(): np.array(Image.open(path))
        for path in sorted(folder.rglob('*.png'))
    }


def in_bytes(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob('*.png')}


def slow(mixed_images, nets, noise=0.0):
    """Label one image after the other from its file."""
    dataset = mixed_images()
    found = {}
    for i, name in enumerate(image_ids(dataset)):
        rgb = np.array(Image.open(dataset.get_data_info(i)['img_path']))
        image = torch.from_numpy((rgb[..., ::-1].transpose(2, 0, 1) - 120.0) / 60.0)
        size = rgb.shape[:2]
        prob = [
            Ensemble([net], HOW['scales'], flip=True).label(
                image[None].float(), size, [name]
            )[1][0]
            for net in nets
        ]
        if len(nets) == 2:
            alpha = (0.25 + pixel_noise(name, size, noise)).clamp(0, 1)
            prob = [alpha * prob[0] + (1 - alpha) * prob[1]]
        found[name] = prob[0]
    return found


def test_labels_of_one_network(label, mixed_images, tiny_net, tmp_path):
    result = label()
    expected = slow(mixed_images, [tiny_net()])
    found = read(tmp_path / 'labels')
    assert list(found) == list(expected)
    for name, prob in expected.items():
        assert (found[name] == prob.argmax(0).numpy()).all(), name
    counts = np.bincount(np.concatenate([m.ravel() for m in found.values()]))
    assert list(result.pixels.values()) == counts.tolist()
    assert (result.void, result.written, result.skipped) == (0, 7, 0)
    assert result.miou is None
    manifest = json.loads((tmp_path / 'labels/manifest.json').read_text())
    assert manifest['finished'] and manifest['pixels'] == result.pixels
    assert manifest['number'] == 7
    assert '7 images labelled' in str(result)


def test_fusion_with_noise_threshold_and_probabilities(
    label, mixed_images, tiny_net, tmp_path
):
    expected = slow(mixed_images, [tiny_net(0), tiny_net(1)], noise=0.4)
    limit = float(torch.cat([p.amax(0).ravel() for p in expected.values()]).median())
    fusion = dict(nets=(0, 1), weights=[1, 3], noise=0.4)
    result = label(**fusion, threshold=limit, soft=True)
    found, void = read(tmp_path / 'labels'), 0
    for name, prob in expected.items():
        soft = np.load(tmp_path / f'labels/soft/{name}.npz')['prob']
        np.testing.assert_allclose(soft, prob, atol=1e-3)
        # leave out pixels at which rounding decides
        clear = ((prob.amax(0) - limit).abs() > 1e-5).numpy()
        one = torch.where(prob.amax(0) < limit, 255, prob.argmax(0)).numpy()
        assert clear.mean() > 0.95 and (found[name] == one)[clear].all()
        void += (found[name] == 255).sum()
    assert result.void == void > 0
    label('plain', **fusion | dict(noise=0.0))
    assert in_bytes(tmp_path / 'plain') != in_bytes(tmp_path / 'labels')


def draw_tags(number: int) -> torch.Tensor:
    """Tags (number, 3) of one or two classes for each image."""
    rows = [[1, 1, 0], [0, 1, 1], [0, 0, 1], [1, 0, 1], [1, 0, 0], [0, 1, 0]]
    return torch.tensor([rows[i % 6] for i in range(number)]).bool()


@pytest.mark.parametrize('fuse', ['softmax', 'logits'])
def test_each_image_has_its_own_tags(fuse, label, mixed_images, tiny_net, tmp_path):
    """In whatever batch it is, also after a cut."""
    tags = draw_tags(7)
    label(tags=tags, fuse=fuse)
    found, net = read(tmp_path / 'labels'), tiny_net()
    for i, name in enumerate(image_ids(mixed_images())):
        rgb = np.array(Image.open(mixed_images().get_data_info(i)['img_path']))
        image = torch.from_numpy((rgb[..., ::-1].transpose(2, 0, 1) - 120.0) / 60.0)
        with torch.no_grad():
            prob = tta_probabilities(
                net,
                image[None].float(),
                scales=HOW['scales'],
                flip=True,
                size=rgb.shape[:2],
                fuse=fuse,
            )[0]
        expected = np.zeros(rgb.shape[:2], dtype=np.uint8)
        for y, x in np.ndindex(*expected.shape):
            allowed = [c for c in range(3) if tags[i, c]]
            expected[y, x] = max(allowed, key=lambda c: prob[c, y, x])
        assert (found[name] == expected).all(), name
    assert len({m.max() for m in found.values()}) > 1
    whole = in_bytes(tmp_path / 'labels')
    for name in ('x/c', 'y/e'):
        (tmp_path / f'labels/{name}.png').unlink()
    assert label(tags=tags, fuse=fuse).written == 2
    assert in_bytes(tmp_path / 'labels') == whole
    label('free', fuse=fuse)
    assert in_bytes(tmp_path / 'free') != whole


def test_tags_of_other_images(label):
    with pytest.raises(ValueError, match='6 rows of tags for 7 images'):
        label(tags=draw_tags(6))


@pytest.mark.parametrize('cut', [['x/b'], ['x/a', 'y/g'], ['x/c', 'y/d', 'y/e']])
def test_a_cut_run_goes_on(cut, label, tmp_path, monkeypatch):
    label('whole')
    whole = in_bytes(tmp_path / 'whole')
    label()
    for name in cut:
        (tmp_path / f'labels/{name}.png').unlink()
    kept = {p: p.stat().st_mtime_ns for p in (tmp_path / 'labels').rglob('*.png')}
    batches = []
    original = Ensemble.label

    def noted(self, images, size, ids, tags):
        batches.append(list(ids))
        return original(self, images, size, ids, tags)

    monkeypatch.setattr(Ensemble, 'label', noted)
    result = label()
    assert (result.written, result.skipped) == (len(cut), 7 - len(cut))
    assert in_bytes(tmp_path / 'labels') == whole
    # what is there is not written again, and the batches are those of the whole list
    assert all(p.stat().st_mtime_ns == time for p, time in kept.items())
    plan = [['x/a', 'x/c'], ['x/b', 'y/e'], ['y/d', 'y/f'], ['y/g']]
    assert batches == [batch for batch in plan if set(batch) & set(cut)]
    assert result.pixels == label('other').pixels


def test_a_damaged_label_is_made_again(label, tmp_path):
    label()
    before = in_bytes(tmp_path / 'labels')
    (tmp_path / 'labels/x/a.png').write_bytes(before['x/a.png'][:50])
    assert label().written == 1
    assert in_bytes(tmp_path / 'labels') == before


def write_truth(folder: Path, shape_of: dict[str, np.ndarray], low=0) -> dict:
    rng = np.random.default_rng(5)
    truths = {}
    for name, found in shape_of.items():
        truth = rng.integers(low, 3 + low, found.shape).astype(np.uint8)
        truth[rng.random(found.shape) < 0.1] = 255
        path = folder / f'{name}_gt.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(truth).save(path)
        truths[name] = truth
    return truths


@pytest.mark.parametrize('zero', [False, True])
def test_miou_with_the_truth(
    zero, label, mixed_images, tiny_net, preprocessor, tmp_path
):
    label(threshold=0.4)
    found = read(tmp_path / 'labels')
    truths = write_truth(tmp_path / 'truth', found, low=int(zero))
    # a batch is missing, the others are read from their files
    (tmp_path / 'labels/x/b.png').unlink()
    dataset = mixed_images(seg_map_suffix='_gt.png', reduce_zero_label=zero)
    result = generate_pseudo_labels(
        [tiny_net()],
        dataset,
        open_store(tmp_path / 'labels'),
        preprocessor=preprocessor,
        threshold=0.4,
        truth_dir=str(tmp_path / 'truth'),
        **HOW,
    )
    assert result.written == 1 and result.void > 0
    hit, union = np.zeros(3), np.zeros(3)
    for name, truth in truths.items():
        for t, p in zip(truth.ravel().tolist(), found[name].ravel(), strict=True):
            t = t - 1 if zero and t != 255 else t
            if t == 255 or p == 255:
                continue
            hit[p] += t == p
            union[p] += 1
            union[t] += t != p
    assert result.miou == pytest.approx(100 * (hit / union).mean())
    manifest = json.loads((tmp_path / 'labels/manifest.json').read_text())
    assert manifest['miou'] == result.miou and 'mIoU' in str(result)


def test_no_mask_is_opened_without_truth(label, mixed_images, tmp_path, monkeypatch):
    opened = []
    original = Image.open
    monkeypatch.setattr(Image, 'open', lambda p, *a: opened.append(p) or original(p))
    label()
    pictures = {mixed_images().get_data_info(i)['img_path'] for i in range(7)}
    assert set(map(str, opened)) == pictures


@pytest.mark.parametrize(
    ('kind', 'error', 'message'),
    [
        ('absent', FileNotFoundError, r'x/c_gt.png does not exist \(1 of 7 are'),
        ('size', ValueError, r'x/c_gt.png is \(4, 4\), but its image \(12, 16\)'),
        ('label', ValueError, r'x/c_gt.png holds the label 3, outside the 3 classes'),
    ],
)
def test_bad_truth(
    kind, error, message, label, mixed_images, tiny_net, preprocessor, tmp_path
):
    label('first')
    write_truth(tmp_path / 'truth', read(tmp_path / 'first'))
    path = tmp_path / 'truth/x/c_gt.png'
    path.unlink()
    if kind != 'absent':
        size = (4, 4) if kind == 'size' else (12, 16)
        Image.fromarray(np.full(size, 3, dtype=np.uint8)).save(path)
    with pytest.raises(error, match=message):
        generate_pseudo_labels(
            [tiny_net()],
            mixed_images(seg_map_suffix='_gt.png'),
            open_store(tmp_path / 'labels'),
            preprocessor=preprocessor,
            truth_dir=str(tmp_path / 'truth'),
            num_workers=0,
        )


def test_a_data_set_with_masks(tiny_images, tiny_net, preprocessor, tmp_path):
    with DefaultScope.overwrite_default_scope('mmsemi'):
        dataset = BaseSegDataset(
            data_root=str(tiny_images), data_prefix=dict(img_path='images')
        )
    with pytest.raises(TypeError, match='BaseSegDataset: take UnlabeledDataset'):
        generate_pseudo_labels(
            [tiny_net()],
            dataset,
            open_store(tmp_path / 'labels'),
            preprocessor=preprocessor,
        )


def test_batch_size_zero(label):
    with pytest.raises(ValueError, match='batch_size=0'):
        label(batch_size=0)


def work(rank: int, rendezvous: Path, label) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        'gloo', init_method=f'file://{rendezvous}', rank=rank, world_size=2
    )
    result = label('two', threshold=0.4)
    Path(f'{rendezvous}.{rank}').write_text(str(result))
    with pytest.raises(ValueError, match='other classes'):
        PseudoLabelStore(
            rendezvous.parent / 'two', dict(sha256=[], settings={}, images={}), []
        )
    # a rank that leaves closes the connection on what the other still reads
    dist.barrier()
    dist.destroy_process_group()


def test_two_processes_write_the_files_of_one(label, tmp_path):
    label('one', threshold=0.4)
    context = multiprocessing.get_context('fork')
    rendezvous = tmp_path / 'rendezvous'
    workers = [
        context.Process(target=work, args=(rank, rendezvous, label)) for rank in (0, 1)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
        assert worker.exitcode == 0
    assert in_bytes(tmp_path / 'two') == in_bytes(tmp_path / 'one')
    one, two = (
        json.loads((tmp_path / name / 'manifest.json').read_text())
        for name in ('one', 'two')
    )
    assert one == two
    told = [Path(f'{rendezvous}.{rank}').read_text() for rank in (0, 1)]
    assert told[0] == told[1] and '7 images labelled' in told[0]
    assert os.path.isfile(tmp_path / 'two/y/g.png')
