"""Boxes from files, and that they follow their image."""

import json

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from PIL import Image

from mmsemi.datasets import LoadBoxes, MultiSourceDataset
from mmsemi.datasets.toyvoc.data_set import CLASSES, ToyObject, voc_xml
from mmsemi.models.utils.boxes import boxes_to_mask
from mmsemi.registry import TRANSFORMS

HEIGHT, WIDTH = 24, 32
MAX_BOXES = 4
PADDING = 128
CROP = dict(type='RandomCropWithBoxes', crop_size=(20, 20))


@pytest.fixture(autouse=True)
def scope(default_scope):
    pass


def boxes_of(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw whole boxes inside of the image."""
    rng = np.random.default_rng(seed)
    number = int(rng.integers(1, MAX_BOXES + 1))
    x, y = (
        np.sort(rng.permuted(np.tile(np.arange(side + 1), (number, 1)), axis=1)[:, :2])
        for side in (WIDTH, HEIGHT)
    )
    boxes = np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], 1)
    return boxes, rng.integers(1, len(CLASSES), number)


@pytest.fixture
def folder(tmp_path):
    """Return a folder with an image, its XML, and the map of each box as a mask."""
    boxes, labels = boxes_of(0)
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    (tmp_path / 'images/deep').mkdir(parents=True)
    Image.fromarray(image).save(tmp_path / 'images/deep/a.jpg')
    things = [
        ToyObject(int(label), tuple(map(int, box)), False)
        for box, label in zip(boxes, labels, strict=True)
    ]
    xml = voc_xml('a', (HEIGHT, WIDTH), things)
    for place in ('', 'deep/'):
        (tmp_path / 'boxes' / place).mkdir(parents=True, exist_ok=True)
        (tmp_path / 'boxes' / place / 'a.xml').write_text(xml)
    return tmp_path


def load(folder, **options) -> dict:
    """Load the image and its boxes."""
    options = (
        dict(format='voc', path=str(folder / 'boxes'), classes='ToyVOCDataset')
        | options
    )
    results = TRANSFORMS.build(dict(type='LoadImageFromFile'))(
        dict(img_path=str(folder / 'images/deep/a.jpg'))
    )
    return LoadBoxes(**options)(results)


def test_loads(folder):
    results = load(folder)
    boxes, labels = boxes_of(0)
    assert results['gt_bboxes'].tolist() == [*boxes.tolist(), [0, 0, WIDTH, HEIGHT]]
    assert results['gt_bboxes_labels'].tolist() == [*labels, 0]
    assert results['box_classes'] == CLASSES[1:]


def test_folders_and_suffixes(folder):
    expected = load(folder)['gt_bboxes']
    (folder / 'boxes/a.xml').unlink()
    folders = dict(img_folder=str(folder / 'images'))
    assert np.array_equal(load(folder, **folders)['gt_bboxes'], expected)
    with pytest.raises(FileNotFoundError, match=r'no boxes at .*boxes/a\.xml: correct'):
        load(folder)
    (folder / 'boxes/deep/a.xml').rename(folder / 'boxes/deep/a.b')
    names = dict(img_suffix='a.jpg', suffix='a.b', **folders)
    assert np.array_equal(load(folder, **names)['gt_bboxes'], expected)


def test_class_names(folder):
    path = dict(format='voc', path='')
    assert LoadBoxes(classes=('cat', 'dog'), **path).classes == ['cat', 'dog']
    given = LoadBoxes(classes=('background', 'cat'), **path)
    assert given.classes == ['cat'] and given.background
    cityscapes = LoadBoxes(classes='CityscapesDataset', **path)
    assert len(cityscapes.classes) == 19 and not cityscapes.background
    assert len(LoadBoxes(classes='PascalVOCDataset', **path).classes) == 20


def test_other_formats(folder):
    """The same boxes, as COCO, polygons, instances and components."""
    boxes, labels = np.array([[2, 3, 9, 11], [20, 1, 30, 8]]), [2, 1]
    instances = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask = instances.copy()
    for number, ((x1, y1, x2, y2), label) in enumerate(
        zip(boxes, labels, strict=True), 1
    ):
        instances[y1:y2, x1:x2], mask[y1:y2, x1:x2] = number, label
    for name, found in (('instances', instances), ('masks', mask)):
        (folder / name).mkdir()
        Image.fromarray(found).save(folder / name / 'a.png')
    classes = ('background', 'cat', 'dog')
    annotations = [
        dict(image_id=1, category_id=label, bbox=[x1, y1, x2 - x1, y2 - y1])
        for (x1, y1, x2, y2), label in zip(boxes.tolist(), labels, strict=True)
    ]
    coco = dict(
        images=[dict(id=1, file_name='a.jpg')],
        categories=[dict(id=1, name='cat'), dict(id=2, name='dog')],
        annotations=annotations,
    )
    polygons = [
        dict(label=classes[label], polygon=[[x1, y2 - 1], [x2 - 1, y1]])
        for (x1, y1, x2, y2), label in zip(boxes.tolist(), labels, strict=True)
    ]
    scene = dict(imgHeight=HEIGHT, imgWidth=WIDTH, objects=polygons)
    (folder / 'coco.json').write_text(json.dumps(coco))
    (folder / 'boxes/a_gtFine_polygons.json').write_text(json.dumps(scene))
    for options in (
        dict(format='coco', path=str(folder / 'coco.json')),
        dict(format='cityscapes'),
        dict(
            format='instances',
            path=str(folder / 'instances'),
            mask_folder=str(folder / 'masks'),
        ),
        dict(format='components', path=str(folder / 'masks')),
    ):
        results = load(folder, classes=classes, **options)
        found = zip(results['gt_bboxes_labels'], results['gt_bboxes'], strict=True)
        got = sorted((int(label), box.tolist()) for label, box in found)
        expected = sorted(zip(labels, boxes.tolist(), strict=True))
        assert got == [(0, [0, 0, WIDTH, HEIGHT]), *expected], options


STEPS = [
    [dict(type='RandomFlip', prob=1.0, direction='horizontal')],
    [dict(type='RandomFlip', prob=1.0, direction='vertical')],
    [dict(type='RandomFlip', prob=1.0, direction='diagonal')],
    [CROP],
    [dict(type='Resize', scale_factor=2.0)],
    [dict(type='Resize', scale=(WIDTH * 3, HEIGHT * 2), keep_ratio=False)],
    [dict(type='Pad', size=(40, 40))],
    [dict(type='RandomFlip', prob=[0.3, 0.3, 0.3], direction=['horizontal', 'vertical',
      'diagonal']), CROP, dict(type='Resize', scale_factor=3.0), CROP,
     dict(type='RandomFlip', prob=0.5), dict(type='Pad', size=(30, 26)),
     dict(type='RandomFlip', prob=0.5), CROP],
]  # fmt: skip


@pytest.mark.parametrize('steps', STEPS, ids=lambda steps: steps[0]['type'])
@pytest.mark.parametrize('seed', range(3))
def test_boxes_follow_the_image(steps, seed, folder):
    """A box goes where a mask of its pixels goes, through whole factors."""
    boxes, _ = boxes_of(seed)
    results = load(folder)
    results['gt_bboxes'] = np.concatenate([boxes, [[0, 0, WIDTH, HEIGHT]]])
    results['gt_bboxes_labels'] = np.append(np.arange(1, len(boxes) + 1), 0)
    # bit i of the mask is the map of box i
    results['gt_seg_map'] = bits = np.zeros((HEIGHT, WIDTH), np.uint8)
    for bit, (x1, y1, x2, y2) in enumerate(boxes):
        bits[y1:y2, x1:x2] |= 1 << bit
    results['seg_fields'] = ['gt_seg_map']
    np.random.seed(seed)
    pad = dict(pad_val=dict(img=0, seg=PADDING))
    steps = [step | pad if step['type'] == 'Pad' else step for step in steps]
    results = Compose([TRANSFORMS.build(step) for step in steps])(results)
    sample = TRANSFORMS.build(dict(type='PackSemiInputs'))(results)['data_samples']
    got, bits = sample.gt_instances, sample.gt_sem_seg.data[0]
    assert torch.equal(sample.valid.data[0], bits != PADDING)
    bits[bits == PADDING] = 0
    maps = boxes_to_mask(got.bboxes, got.labels, len(boxes), bits.shape)
    for bit, found in enumerate(maps[1:]):
        assert torch.equal(found, (bits >> bit & 1).float())
    assert torch.equal(maps[0], (bits == 0).float())
    seen = {label for label in range(1, len(boxes) + 1) if maps[label].any()}
    assert seen == set(got.labels.tolist())


@pytest.mark.parametrize(
    'step',
    [
        dict(
            type='RandomResize', scale=(50, 60), ratio_range=(0.5, 2), keep_ratio=True
        ),
        dict(type='RandomScale'),
        dict(type='Resize', scale=(41, 23), keep_ratio=False),
    ],
    ids=lambda step: step['type'],
)
def test_any_size(step, folder):
    before = load(folder)['gt_bboxes']
    for seed in range(5):
        np.random.seed(seed)
        results = TRANSFORMS.build(step)(load(folder))
        height, width = results['img'].shape[:2]
        factor = np.array([width / WIDTH, height / HEIGHT] * 2)
        np.testing.assert_allclose(results['gt_bboxes'], before * factor, atol=1e-9)
        TRANSFORMS.build(dict(type='PackSemiInputs'))(results)


def test_packed(folder):
    results = TRANSFORMS.build(CROP)(load(folder))
    for view in ('one', 'two'):
        packed = TRANSFORMS.build(dict(type='PackSemiInputs'))(results)
        sample = packed['data_samples'].to('cpu')
        assert sample.gt_instances.bboxes.dtype == torch.float32, view
        assert sample.gt_instances.labels.dtype == torch.int64
        assert 'gt_instances' in sample and sample.box_classes == CLASSES[1:]
    plain = TRANSFORMS.build(dict(type='PackSemiInputs'))(dict(img=results['img']))
    assert 'gt_instances' not in plain['data_samples']


def test_boxes_outside_of_the_crop_are_dropped(folder):
    results = load(folder)
    results['gt_bboxes'] = np.array(
        [[-5, 2, 1, 9], [-5, 2, 0, 9], [19, 0, 25, 3], [20, 0, 25, 3], [0, 0, 20, 20]]
    )
    results['gt_bboxes_labels'] = np.array([1, 2, 3, 4, 0])
    results['img'] = results['img'][:20, :20]
    sample = TRANSFORMS.build(dict(type='PackSemiInputs'))(results)['data_samples']
    assert sample.gt_instances.labels.tolist() == [1, 3]
    assert sample.gt_instances.bboxes.tolist() == [[0, 2, 1, 9], [19, 0, 20, 3]]
    # of the whole boxes
    assert sample.gt_instances.areas.tolist() == [42, 18]


def test_a_crop_leaves_the_areas(folder):
    boxes, labels = boxes_of(0)
    whole = {int(c): np.prod(b[2:] - b[:2]) for b, c in zip(boxes, labels, strict=True)}
    assert len(whole) == len(labels)
    for seed in range(5):
        np.random.seed(seed)
        crop = TRANSFORMS.build(dict(type='RandomCropWithBoxes', crop_size=(9, 9)))
        results = TRANSFORMS.build(dict(type='PackSemiInputs'))(crop(load(folder)))
        got = results['data_samples'].gt_instances
        assert got.areas.tolist() == [whole[label] for label in got.labels.tolist()]
        assert (got.bboxes >= 0).all() and (got.bboxes <= 9).all()


def test_crop_is_that_of_mmseg(folder):
    load_image = TRANSFORMS.build(dict(type='LoadImageFromFile'))
    for kind in ('RandomCrop', 'RandomCropWithBoxes'):
        np.random.seed(3)
        results = load_image(dict(img_path=str(folder / 'images/deep/a.jpg')))
        results |= dict(gt_seg_map=results['img'][..., 0], seg_fields=['gt_seg_map'])
        crop = TRANSFORMS.build(dict(type=kind, crop_size=(9, 50)))
        results = crop(results)
        if kind == 'RandomCrop':
            expected = results
    assert list(results) == list(expected)
    for key in ('img', 'gt_seg_map', 'img_shape'):
        assert np.array_equal(results[key], expected[key])


def test_a_crop_that_left_the_boxes(folder):
    crop = TRANSFORMS.build(dict(type='RandomCrop', crop_size=(30, 20)))
    message = (
        r'a\.jpg are those of an image of 32 x 24, which now is 20 x 24: .*WithBoxes'
    )
    with pytest.raises(ValueError, match=message):
        TRANSFORMS.build(dict(type='PackSemiInputs'))(crop(load(folder)))


def edit(folder, *change):
    path = folder / 'boxes/a.xml'
    path.write_text(path.read_text().replace(*change))


def test_wrong_boxes(folder):
    path = folder / 'boxes/a.xml'
    whole = path.read_text()
    last = f'<xmax>{int(boxes_of(0)[0][0, 2])}</xmax>'
    for end in (34, 99):
        path.write_text(whole.replace(last, f'<xmax>{end}</xmax>', 1))
        message = rf'a\.xml has the box .* {end}\.0, .*image .*a\.jpg of 32 x 24'
        with pytest.raises(ValueError, match=message):
            load(folder)
    # some tools count from 0 or 1: one pixel outside is cut
    path.write_text(whole.replace(last, '<xmax>33</xmax>', 1))
    assert load(folder)['gt_bboxes'][0, 2] == 32
    path.write_text('<annotation></annotation>')
    with pytest.raises(ValueError, match=r'a\.xml has no box: add .*allow_empty=True'):
        load(folder)
    assert load(folder, allow_empty=True)['gt_bboxes'].tolist() == [[0, 0, 32, 24]]


def check_all(folder, **options):
    """Build a data set of the image, as a training does before its first step."""
    steps = [dict(type='LoadImageFromFile')]
    options = dict(format='voc', path=str(folder / 'boxes')) | options
    steps.append(dict(type='LoadBoxes', classes='ToyVOCDataset', **options))
    part = dict(
        type='UnlabeledDataset',
        data_prefix=dict(img_path=str(folder / 'images')),
        pipeline=[*steps, dict(type='PackSemiInputs')],
    )
    return MultiSourceDataset(weak=part)


def test_boxes_are_looked_at_before_the_first_step(folder):
    assert len(check_all(folder)) == 1
    path = folder / 'boxes/a.xml'
    whole = path.read_text()
    name = CLASSES[boxes_of(0)[1][0]]
    x1, x2 = int(boxes_of(0)[0][0, 0]) + 1, int(boxes_of(0)[0][0, 2])
    for before, after, match in (
        (whole, '<annotation></annotation>', r'a\.xml has no box'),
        (whole, whole[:-20], r'a\.xml cannot be read'),
        (f'<name>{name}<', '<name>cat<', r"a\.xml has a box of the class 'cat'"),
        (f'<xmax>{x2}<', f'<xmax>{x1 - 1}<', r'a\.xml: the box .* has no area'),
        (f'<xmax>{x2}<', '<xmax>99<', r'a\.xml has the box .* outside of its image'),
        ('bndbox', 'box', r'a\.xml: the object .* has no bndbox'),
    ):
        path.write_text(whole.replace(before, after))
        with pytest.raises(ValueError, match=match):
            check_all(folder)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r'no boxes at .*a\.xml: correct path'):
        check_all(folder)
    (folder / 'masks').mkdir()
    with pytest.raises(FileNotFoundError, match=r'no boxes at .*a\.png: correct path'):
        check_all(folder, format='components', path=str(folder / 'masks'))
    Image.new('L', (WIDTH, HEIGHT), 1).save(folder / 'masks/a.png')
    check_all(folder, format='components', path=str(folder / 'masks'))
    instances = dict(format='instances', path=str(folder / 'masks'))
    with pytest.raises(FileNotFoundError, match=r'no boxes at .*classes/a\.png'):
        check_all(folder, mask_folder=str(folder / 'classes'), **instances)
    check_all(folder, mask_folder=str(folder / 'masks'), **instances)
    coco = dict(images=[dict(id=1, file_name='b.jpg')], annotations=[], categories=[])
    (folder / 'coco.json').write_text(json.dumps(coco))
    with pytest.raises(ValueError, match=r'does not list the image a\.jpg'):
        check_all(folder, format='coco', path=str(folder / 'coco.json'))


def test_wrong_place(folder):
    results = load(folder)
    results = TRANSFORMS.build(dict(type='Resize', scale_factor=2.0))(results)
    step = LoadBoxes(format='voc', path=str(folder / 'boxes'), classes=CLASSES)
    with pytest.raises(ValueError, match='after its size changed: put it right behind'):
        step(results)


def test_images_that_are_not_there(folder):
    coco = dict(images=[dict(id=1, file_name='b.jpg')], annotations=[], categories=[])
    path = folder / 'coco.json'
    path.write_text(json.dumps(coco))
    options = dict(format='coco', path=str(path), allow_empty=True)
    with pytest.raises(ValueError, match=r'coco\.json does not list the image a\.jpg'):
        load(folder, **options)
    message = r'coco\.json has boxes for the image b\.jpg, which is not in .*images: '
    with pytest.raises(FileNotFoundError, match=message):
        load(folder, img_folder=str(folder / 'images'), **options)


def test_wrong_masks(folder):
    (folder / 'masks').mkdir()
    Image.fromarray(np.full((HEIGHT, WIDTH), 7, np.uint8)).save(folder / 'masks/a.png')
    message = r'masks/a\.png: the mask holds the class 7, but 1 to 6 have boxes'
    with pytest.raises(ValueError, match=message):
        load(folder, format='components', path=str(folder / 'masks'))


@pytest.mark.parametrize(
    ('options', 'match'),
    [
        (dict(format='yolo'), r"format='yolo': choose one of \['voc'"),
        (dict(format='instances'), "'instances' needs a mask_folder"),
        (dict(mask_folder='x'), "'voc' has no mask_folder"),
        (dict(min_area=9), "'voc' has no min_area: remove it"),
        (dict(classes='NoDataset'), "'NoDataset' is no data set with classes"),
        (dict(classes=('background',)), 'has no classes: name at least one'),
        (dict(classes=()), 'has no classes: name at least one'),
    ],
)
def test_wrong_options(options, match):
    with pytest.raises(ValueError, match=match):
        LoadBoxes(**dict(format='voc', path='x', classes=('cat',)) | options)
