"""CamVid's classes and files."""

from mmsemi.datasets import CamVidDataset


def test_classes_and_suffixes(tmp_path):
    (tmp_path / 'train.txt').write_text('0001TP_1\nsub/0001TP_2\n')
    dataset = CamVidDataset(
        data_root=str(tmp_path),
        ann_file='train.txt',
        data_prefix=dict(img_path='images', seg_map_path='annotations'),
    )
    assert len(dataset) == 2
    info = dataset.get_data_info(1)
    assert info['img_path'] == str(tmp_path / 'images/sub/0001TP_2.jpg')
    assert info['seg_map_path'] == str(tmp_path / 'annotations/sub/0001TP_2.png')
    assert not info['reduce_zero_label'] and info['label_map'] is None
    classes, palette = dataset.metainfo['classes'], dataset.metainfo['palette']
    assert len(classes) == len(set(classes)) == len(palette) == 11
    assert len({tuple(colour) for colour in palette}) == 11
    # the colours of SegNet's authors
    assert palette[classes.index('car')] == [64, 0, 128]
    assert palette[classes.index('road')] == [128, 64, 128]
