from mmsemi.datasets import COCOObjectDataset


def test_classes():
    classes = COCOObjectDataset.METAINFO['classes']
    assert len(set(classes)) == len(classes) == 81
    assert (classes[0], classes[1], classes[80]) == (
        'background',
        'person',
        'toothbrush',
    )
    assert (classes[12], classes[40], classes[61]) == (
        'stop sign',
        'bottle',
        'dining table',
    )
    assert len(COCOObjectDataset.METAINFO['palette']) == 81
