"""Missing, empty and cut files, told before the first step."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmsemi.datasets.file_checks import check_image_file, check_list_file


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
