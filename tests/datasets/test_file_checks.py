"""Missing, empty and cut files, told before the first step."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmsemi.datasets.file_checks import (
    check_image_file,
    check_list_file,
    check_mask_file,
    picture_size,
)


@pytest.fixture
def picture() -> Image.Image:
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))


@pytest.mark.parametrize('name', ['a.jpg', 'a.JPEG', 'a.png', 'a.bmp'])
def test_whole_file_passes(tmp_path, picture, name):
    picture.save(tmp_path / name)
    check_image_file(str(tmp_path / name), 'image')


@pytest.mark.parametrize('name', ['a.jpg', 'a.png'])
@pytest.mark.parametrize('kept', [0, 0.3, 0.9])
def test_cut_file_is_refused(tmp_path, picture, name, kept):
    path = tmp_path / name
    picture.save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(ValueError, match=r'truncated .* without an end mark') as info:
        check_image_file(str(path), 'labeled image')
    assert str(path) in str(info.value) and 'labeled image' in str(info.value)
    assert 'copy it again' in str(info.value)


def test_bytes_after_the_end_and_wrong_suffixes_pass(tmp_path, picture):
    phone = tmp_path / 'phone.jpg'
    picture.save(phone)
    phone.write_bytes(phone.read_bytes() + b'\0' * 5000)
    picture.save(tmp_path / 'web.png')
    web = (tmp_path / 'web.png').rename(tmp_path / 'web.jpg')
    for path in (phone, web):
        check_image_file(str(path), 'image')


def test_missing_file_and_other_storages(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'mask .*no\.png does not exist'):
        check_image_file(str(tmp_path / 'no.png'), 'mask')
    check_image_file('s3://bucket/no.png', 'mask')
    check_list_file('s3://bucket/no.txt', 'list')


def test_lists(tmp_path: Path):
    path = tmp_path / 'labeled.txt'
    with pytest.raises(FileNotFoundError, match=r'the list .*labeled\.txt does not'):
        check_list_file(str(path), 'the list')
    path.write_text('\n  \n')
    with pytest.raises(ValueError, match=r'the list .*labeled\.txt is empty'):
        check_list_file(str(path), 'the list')
    path.write_text('a\n')
    check_list_file(str(path), 'the list')
    check_list_file(str(tmp_path), 'the list')


@pytest.mark.parametrize(
    ('name', 'remedy'),
    [
        ('\ufeffa.jpg', 'byte order mark, save it as UTF-8 without'),
        ('.jpg', 'has a blank line, delete it'),
        ('_gt.png', 'restore the file'),
        ('a.png.jpg', 'make_splits.py import'),
        ('a.jpg masks/a.png.jpg', 'make_splits.py import'),
        ('a.v2.jpg', 'restore the file'),
    ],
)
def test_missing_file_tells_what_is_wrong_with_the_list(tmp_path, name, remedy):
    with pytest.raises(FileNotFoundError, match=remedy):
        check_image_file(str(tmp_path / name), 'image')


def test_size_of_a_turned_photograph(tmp_path):
    path = tmp_path / 'a.jpg'
    exif = Image.Exif()
    for orientation in range(1, 9):
        exif[0x0112] = orientation
        Image.new('RGB', (6, 4)).save(path, exif=exif)
        # 5 to 8 lie on their side
        assert picture_size(str(path)) == ((4, 6) if orientation < 5 else (6, 4))
    path.write_text('a text')
    with pytest.raises(ValueError, match=rf'{path} is no picture'):
        picture_size(str(path))


def test_masks(tmp_path):
    image, mask = str(tmp_path / 'a.jpg'), str(tmp_path / 'a.png')
    Image.new('RGB', (6, 4)).save(image)
    for mode in ('L', 'P', 'I;16', '1'):
        Image.new(mode, (6, 4)).save(mask)
        check_mask_file(mask, image, 'mask')
    for mode in ('RGB', 'LA'):
        Image.new(mode, (6, 4)).save(mask)
        with pytest.raises(ValueError, match=rf'{mask} is a picture of mode {mode}'):
            check_mask_file(mask, image, 'mask')
    Image.new('L', (4, 6)).save(mask)
    with pytest.raises(ValueError, match=rf'{mask} is 6x4 .* its image {image} 4x6'):
        check_mask_file(mask, image, 'mask')
    check_mask_file('s3://bucket/a.png', image, 'mask')
