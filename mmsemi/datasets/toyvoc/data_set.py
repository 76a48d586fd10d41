"""ToyVOC, the embedded data set: generated on the spot in the layout of PASCAL VOC."""

import io
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from mmengine.utils import track_iter_progress
from mmseg.datasets import BaseSegDataset
from PIL import Image

from mmsemi.checks import check_range
from mmsemi.datasets.atomic import PathLike, write_splits
from mmsemi.datasets.splits.generate import generate_split, read_split
from mmsemi.registry import DATASETS

from .annotations import ToyImage, ToyObject
from .images import draw

CLASSES = (
    'background',
    'striped disc',
    'dotted disc',
    'dotted ring',
    'checked ring',
    'checked star',
    'striped star',
)
MANIFEST = 'toyvoc.json'
# a new number wherever the same settings would give other files
VERSION = 4
FOLDERS = ('JPEGImages', 'SegmentationClass', 'SegmentationObject', 'Annotations')


def voc_colour_map() -> np.ndarray:
    """Return PASCAL VOC's (256, 3) uint8 colours: bits of the label, dealt in turn."""
    labels = np.arange(256)
    colours = np.zeros((256, 3), dtype=np.uint8)
    for bit in range(8):
        channel, rank = bit % 3, 7 - bit // 3
        colours[:, channel] |= (((labels >> bit) & 1) << rank).astype(np.uint8)
    return colours


PALETTE = voc_colour_map()[: len(CLASSES)].tolist()


def voc_xml(name: str, size: tuple[int, int], objects: Iterable[ToyObject]) -> str:
    """Write the boxes as VOC does: 1-based, both ends inside.

    Args:
        name: Id of the picture.
        size: Its height and width.
        objects: What it shows.
    """
    root = ElementTree.Element('annotation')

    def add(parent: ElementTree.Element, **fields: object) -> None:
        for tag, value in fields.items():
            ElementTree.SubElement(parent, tag).text = str(value)

    add(root, folder='ToyVOC', filename=f'{name}.jpg')
    add(ElementTree.SubElement(root, 'size'), width=size[1], height=size[0], depth=3)
    add(root, segmented=1)
    for thing in objects:
        node = ElementTree.SubElement(root, 'object')
        add(node, name=CLASSES[thing.label], pose='Unspecified')
        add(node, truncated=int(thing.truncated), difficult=0)
        x1, y1, x2, y2 = thing.box
        box = ElementTree.SubElement(node, 'bndbox')
        add(box, xmin=x1 + 1, ymin=y1 + 1, xmax=x2, ymax=y2)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding='unicode') + '\n'


def save_png(path: Path, labels: np.ndarray) -> None:
    """Write an (H, W) uint8 map as a PNG with VOC's palette."""
    image = Image.fromarray(labels)
    image.putpalette(voc_colour_map().ravel().tolist())
    image.save(path)


def save(root: Path, name: str, picture: ToyImage, quality: int) -> list[str]:
    """Write the files of one picture and return its image tags."""
    jpeg = io.BytesIO()
    Image.fromarray(picture.image).save(jpeg, 'JPEG', quality=quality)
    (root / 'JPEGImages' / f'{name}.jpg').write_bytes(jpeg.getvalue())
    save_png(root / 'SegmentationClass' / f'{name}.png', picture.mask)
    save_png(root / 'SegmentationObject' / f'{name}.png', picture.instances)
    height, width = picture.mask.shape
    xml = voc_xml(name, (height, width), picture.objects)
    (root / 'Annotations' / f'{name}.xml').write_text(xml, 'utf-8')
    return [CLASSES[label] for label in sorted({o.label for o in picture.objects})]


def fill(root: Path, counts: dict[str, int], seed: int) -> None:
    """Write all files into ``root``, the manifest excepted."""
    for folder in (*FOLDERS, 'ImageSets/Segmentation'):
        (root / folder).mkdir(parents=True)
    jobs = [
        (part, index, f'{part}_{index:05d}')
        for part, count in counts.items()
        for index in range(count)
    ]
    tags = {}
    for part, index, name in track_iter_progress(jobs):
        # by position alone: more pictures leave the first ones as they are
        rng = np.random.default_rng([seed, int(part == 'val'), index])
        picture = draw(rng)
        tags[name] = save(root, name, picture, quality=int(rng.integers(40, 96)))
    (root / 'tags.json').write_text(json.dumps(tags, indent=0) + '\n', 'utf-8')
    for listed in ('train', 'val', 'trainval'):
        # "trainval" contains both names
        names = ''.join(f'{name}\n' for part, _, name in jobs if part in listed)
        path = root / 'ImageSets' / 'Segmentation' / f'{listed}.txt'
        path.write_text(names, 'utf-8')


def is_complete(root: Path, settings: dict[str, int]) -> bool:
    """Say whether ``root`` holds this very data set; refuse one with anything else.

    Raises:
        ValueError: ``root`` was generated with other settings.
        FileExistsError: ``root`` holds something else.
    """
    manifest = root / MANIFEST
    if manifest.is_file():
        found = json.loads(manifest.read_text('utf-8'))
        if found != settings:
            raise ValueError(
                f'{root} holds a ToyVOC made with {found}, not with {settings}; '
                'give another folder, or delete this one to make it anew.'
            )
        return True
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise FileExistsError(
            f'{root} exists and is no complete ToyVOC (it has no {MANIFEST}); give '
            'another folder, or delete this one.'
        )
    return False


def generate_toyvoc(
    root: PathLike, num_train: int = 800, num_val: int = 200, seed: int = 0
) -> bool:
    """Generate ToyVOC: pictures, masks, boxes and image tags.

    The folder appears whole or not at all; where it is there already with the same
    settings, nothing is done. Picture ``train_00012`` depends on ``seed`` alone, not
    on the numbers of pictures.

    Args:
        root: Folder to make, with VOC's ``JPEGImages``, ``SegmentationClass``,
            ``SegmentationObject`` (palette PNGs, 255 is void), ``Annotations``,
            ``ImageSets/Segmentation`` and ``tags.json`` (id -> class names).
        num_train: Pictures of ``train.txt``.
        num_val: Pictures of ``val.txt``.
        seed: Not negative.

    Returns:
        Whether anything had to be generated.

    Raises:
        ValueError: A number is out of range, or ``root`` has other settings.
        FileExistsError: ``root`` holds something that is no ToyVOC.
    """
    settings = dict(version=VERSION, num_train=num_train, num_val=num_val, seed=seed)
    check_range('[1, inf)', num_train=num_train, num_val=num_val)
    check_range('[0, inf)', seed=seed)
    root = Path(root).resolve()
    if is_complete(root, settings):
        return False
    root.parent.mkdir(parents=True, exist_ok=True)
    aside = root.with_name(f'.{os.getpid()}.{root.name}')
    shutil.rmtree(aside, ignore_errors=True)
    try:
        fill(aside, dict(train=num_train, val=num_val), seed)
        (aside / MANIFEST).write_text(json.dumps(settings) + '\n', 'utf-8')
        # onto nothing or an empty folder: the system refuses any other
        os.replace(aside, root)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return True


@DATASETS.register_module()
class ToyVOCDataset(BaseSegDataset):
    """ToyVOC: background and six classes, each a shape together with a texture.

    ``tools/dataset_converters/make_toyvoc.py`` makes the folders.
    """

    METAINFO = dict(classes=CLASSES, palette=PALETTE)

    def __init__(
        self,
        img_suffix: str = '.jpg',
        seg_map_suffix: str = '.png',
        reduce_zero_label: bool = False,
        **kwargs: object,
    ) -> None:
        super().__init__(
            img_suffix=img_suffix,
            seg_map_suffix=seg_map_suffix,
            reduce_zero_label=reduce_zero_label,
            **kwargs,
        )


def write_toyvoc_split(root: PathLike, num_labeled: int, seed: int) -> Path:
    """Draw the labelled images and write both lists.

    Args:
        root: The data set.
        num_labeled: How many of its training images are labelled.
        seed: Which.

    Returns:
        The lists' folder, ``<root>/splits/seed<seed>/<num_labeled>``.

    Raises:
        ValueError: There are not that many images.
        FileExistsError: The folder holds other lists.
    """
    ids = read_split(Path(root, 'ImageSets', 'Segmentation', 'train.txt'))
    labeled, unlabeled = generate_split(ids, num_labeled, seed=seed)
    folder = Path(root, 'splits', f'seed{seed}', str(num_labeled))
    write_splits({folder / 'labeled.txt': labeled, folder / 'unlabeled.txt': unlabeled})
    return folder
