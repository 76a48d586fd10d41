import pytest

from mmsemi.datasets.atomic import replacing, write_splits
from mmsemi.datasets.splits.files import (
    image_id,
    import_splits,
    parse_split,
    read_pair,
    read_split,
)

CITY = 'leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png'
CITY_MASK = 'gtFine/train/aachen/aachen_000000_000019_gtFine_labelTrainIds.png'
CITY_ID = 'aachen/aachen_000000_000019'


def write(path, text):
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize(
    'text, ids, line_format',
    [
        ('2008_006748\n2007_000032', ['2008_006748', '2007_000032'], 'id'),
        ('2008_006748\r\n\r\n2007_000032\r\n', ['2008_006748', '2007_000032'], 'id'),
        ('\ufeff2008_006748\n', ['2008_006748'], 'id'),
        (f'{CITY_ID}\n', [CITY_ID], 'id'),
        (
            'JPEGImages/2008_006748.jpg SegmentationClass/2008_006748.png\n\n',
            ['2008_006748'],
            'image mask',
        ),
        ('/JPEGImages/a.jpg\tSegmentationClassAug/a.png', ['a'], 'image mask'),
        (f'{CITY} {CITY_MASK}', [CITY_ID], 'image mask'),
        (CITY, [CITY_ID], 'path'),
        (f'/data/cityscapes/{CITY}\n', [CITY_ID], 'path'),
        ('shots\\day\\a.v2.jpg', ['shots/day/a.v2'], 'path'),
    ],
)
def test_line_formats(tmp_path, text, ids, line_format):
    path = write(tmp_path / 'list.txt', text)
    assert parse_split(path) == (ids, line_format)
    assert read_split(path) == ids


def test_ids_find_the_files_in_mmseg(tmp_path):
    from mmseg.datasets import CityscapesDataset

    ann_file = tmp_path / 'labeled.txt'
    write_splits({ann_file: read_split(write(tmp_path / 'published.txt', CITY))})
    dataset = CityscapesDataset(
        data_root=str(tmp_path),
        ann_file=str(ann_file),
        data_prefix=dict(img_path='leftImg8bit/train', seg_map_path='gtFine/train'),
    )
    info = dataset.get_data_info(0)
    assert info['img_path'] == str(tmp_path / CITY)
    assert info['seg_map_path'] == str(tmp_path / CITY_MASK)


def test_image_id_with_own_prefix_and_suffix():
    assert image_id('x/train/a_rgb.png', 'x/train/', '_rgb.png') == 'a'
    with pytest.raises(
        ValueError, match=r"'x/val/a.png' does not start with .*x/train"
    ):
        image_id('x/val/a.png', 'x/train')
    with pytest.raises(ValueError, match=r"does not end with the suffix '\.jpg'"):
        image_id('a.png', None, '.jpg')


@pytest.mark.parametrize(
    'text, message',
    [
        ('', r'list\.txt is empty'),
        (' \n\r\n', r'list\.txt is empty'),
        ('a\nb\n\na', r"list\.txt, line 4 repeats 'a' of line 1"),
        ('a\nJPEGImages/b.jpg', r"line 2 has the format 'path', .* 'id'"),
        ('a 1', r"line 1: 'a 1' is neither an id, nor a path"),
        ('i/a.jpg m/b.png', r"line 1: mask 'm/b.png' is not named after image 'i/a"),
    ],
)
def test_bad_lists(tmp_path, text, message):
    path = write(tmp_path / 'list.txt', text)
    with pytest.raises(ValueError, match=message):
        read_split(path)


def test_no_text(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'gone\.txt; make it with tools/make_'):
        read_split(tmp_path / 'gone.txt')
    (tmp_path / 'image.jpg').write_bytes(b'\xff\xd8\xff\xe0')
    with pytest.raises(ValueError, match=r'image\.jpg is not a text file'):
        read_split(tmp_path / 'image.jpg')


def test_overlap_names_images_and_files(tmp_path):
    labeled = write(tmp_path / 'l.txt', 'a\nb\nc')
    unlabeled = write(tmp_path / 'u.txt', 'c\nd\na')
    with pytest.raises(ValueError, match=r'2 images .* .*l\.txt and .*u\.txt \(a, c\)'):
        read_pair(labeled, unlabeled)


def test_write_splits_refuses_and_repeats(tmp_path):
    first, second = tmp_path / 'new' / 'labeled.txt', tmp_path / 'new' / 'unlabeled.txt'
    assert write_splits({first: ['a', 'b']}) == [first]
    assert first.read_bytes() == b'a\nb\n'
    assert write_splits({first: ['a', 'b']}) == []
    with pytest.raises(FileExistsError, match=r'labeled\.txt exists .* pass --force'):
        write_splits({second: ['c'], first: ['b']})
    assert first.read_bytes() == b'a\nb\n' and not second.exists()
    write_splits({second: ['c'], first: ['b']}, force=True)
    assert read_split(first) == ['b'] and read_split(second) == ['c']


def test_replacing_is_all_or_nothing(tmp_path):
    path = write(tmp_path / 'list.txt', 'old')
    with pytest.raises(RuntimeError, match='cut'), replacing(path) as aside:
        aside.write_text('half')
        raise RuntimeError('cut')
    assert path.read_text() == 'old' and list(tmp_path.iterdir()) == [path]
    with replacing(path) as aside:
        aside.write_text('new')
        assert path.read_text() == 'old'
    assert path.read_text() == 'new' and list(tmp_path.iterdir()) == [path]


def test_import_splits(tmp_path):
    for folder, names in (('p/x', ('a.jpg', 'b.jpg c.jpg')), ('p/y', ('a b', 'c'))):
        (tmp_path / folder).mkdir(parents=True)
        for kind, text in zip(('labeled', 'unlabeled'), names, strict=True):
            lines = '\n'.join(text.split())
            write(tmp_path / folder / f'{kind}.txt', lines)
    src, out, ids = tmp_path / 'p', tmp_path / 'out', ['a', 'b', 'c']
    folders = import_splits(src, out, ids, {1: 'classic', 2: 'blender'})
    assert folders == [out / 'classic/1', out / 'blender/2']
    assert read_pair(*[folders[1] / f'{k}labeled.txt' for k in ('', 'un')]) == (
        ['a', 'b'],
        ['c'],
    )
    with pytest.raises(ValueError, match=r'size of no published family.*--family'):
        import_splits(src, out, ids, {1: 'classic'})
    with pytest.raises(ValueError, match=r"names 'c' \(1 in all\), .* no train image"):
        import_splits(src, out, ['a', 'b'], 'mine')
    write(src / 'x' / 'labeled.txt', 'b\nc')
    write(src / 'x' / 'unlabeled.txt', 'a')
    with pytest.raises(ValueError, match='second split with 2 labeled images'):
        import_splits(src, out, ids, 'mine')
    with pytest.raises(FileNotFoundError, match=r'no labeled\.txt below'):
        import_splits(tmp_path / 'out' / 'none', out, ids, 'mine')
