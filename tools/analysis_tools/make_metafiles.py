"""Write the ``metafile.yaml`` of each folder of configs, by which mim finds them.

The models are the configs that are there, with what their names and merged contents
say. The head of a collection (paper, README, code, and the methods, as in the names of
its configs) is kept from the file, where it is written by hand once; a collection
without a config goes. A published number is that of a README's table: of the config
linked right of a column ``published mIoU``. It stands under Metadata, since Results
would be those of the config itself.
"""

import argparse
import re
from pathlib import Path

from mmengine.config import Config
from mmengine.fileio import dump, load

from mmsemi.recipes.read import load_stage

ROOT = Path(__file__).resolve().parents[2]
NAME = re.compile(
    r'(?P<method>[a-z0-9-]+)_.*?(?P<gpus>\d+)xb\d+-\w+'
    r'_(?P<data>[a-z0-9]+)(-(?P<split>[a-z0-9-]+))?-\d+x\d+'
)
DATA = {
    'ade20k': 'ADE20K',
    'camvid': 'CamVid',
    'cityscapes': 'Cityscapes',
    'coco14': 'COCO 2014',
    'toyvoc': 'ToyVOC',
    'voc12aug': 'PASCAL VOC 2012 + aug',
}


def last_stage(path: Path) -> Config:
    """Read a config, of a recipe that of its last stage."""
    return load_stage(str(path))


def model_entry(path: Path, owners: dict[str, str], number: float | None) -> dict:
    """Return what the metafile says of a config."""
    where, match = f'configs/{path.parent.name}/{path.name}', NAME.fullmatch(path.stem)
    if match is None:
        raise ValueError(f'{where} is not named METHOD…_GxbB-N_DATA[-SPLIT]-HxW.py')
    if match['method'] not in owners:
        raise ValueError(
            f'{where}: no collection of the metafile.yaml beside it has '
            f'{match["method"]!r} among its Methods, but {sorted(owners)}'
        )
    if match['data'] not in DATA:
        raise ValueError(
            f'{where}: add {match["data"]!r} to DATA of {Path(__file__).name}'
        )
    cfg = last_stage(path)
    network = cfg.model.get('segmentor', cfg.model)
    backbone = network.backbone
    depth = f'-{backbone.depth}' if 'depth' in backbone else ''
    height, width = network.data_preprocessor.size
    facts = {
        'Training Data': DATA[match['data']],
        'Split': match['split'],
        'Task': 'Semantic Segmentation',
        'Architecture': [f'{backbone.type}{depth}', network.decode_head.type],
        'Batch Size': int(match['gpus']) * cfg.train_dataloader.batch_size,
        'Crop Size': f'{height}x{width}',
        'Published mIoU': number,
    }
    return {
        'Name': path.stem,
        'In Collection': owners[match['method']],
        'Config': where,
        'Metadata': {key: fact for key, fact in facts.items() if fact is not None},
    }


def published(readme: str) -> dict[str, float]:
    """Return the number that a README's tables have for each config's stem."""
    found: dict[str, float] = {}
    columns: list[str] = []
    for line in readme.splitlines():
        cells = [cell.strip() for cell in line.strip('| ').split('|')]
        if not line.startswith('|'):
            columns = []
        elif not columns:
            columns = cells
        else:
            for at in range(len(columns) - 1):
                link = re.search(r'\(([^()/]+)\.py\)', cells[at + 1])
                number = re.fullmatch(r'\d+(\.\d+)?', cells[at])
                if columns[at] == 'published mIoU' and link and number:
                    found[link[1]] = float(cells[at])
    return found


def metafile(folder: Path) -> str:
    """Return the text of a folder's metafile."""
    numbers = published((folder / 'README.md').read_text())
    heads = load(folder / 'metafile.yaml')['Collections']
    owners = {m: head['Name'] for head in heads for m in head['Metadata']['Methods']}
    paths = sorted(folder.glob('*.py'))
    models = [model_entry(path, owners, numbers.get(path.stem)) for path in paths]
    data: dict[str, set] = {}
    for model in models:
        used = data.setdefault(model['In Collection'], set())
        used.add(model['Metadata']['Training Data'])
    heads = [head for head in heads if head['Name'] in data]
    for head in heads:
        head['Metadata']['Training Data'] = sorted(data[head['Name']])
    content = {'Collections': heads, 'Models': models}
    return dump(content, file_format='yaml', sort_keys=False, width=200)


def main() -> None:
    """Write all metafiles."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    for old in sorted(ROOT.glob('configs/*/metafile.yaml')):
        old.write_text(metafile(old.parent))


if __name__ == '__main__':
    main()
