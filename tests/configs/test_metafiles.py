"""The metafiles are what ``make_metafiles.py`` writes, and mim can read them."""

import runpy
from pathlib import Path

import pytest
from mmengine.fileio import load

ROOT = Path(__file__).resolve().parents[2]
TOOL = runpy.run_path(str(ROOT / 'tools/analysis_tools/make_metafiles.py'))
FOLDERS = sorted(path.parent for path in ROOT.glob('configs/*/metafile.yaml'))


@pytest.mark.parametrize('folder', FOLDERS, ids=lambda folder: folder.name)
def test_metafile_is_what_the_tool_writes(folder):
    kept = (folder / 'metafile.yaml').read_text()
    assert TOOL['metafile'](folder) == kept, (
        'run tools/analysis_tools/make_metafiles.py'
    )


def test_mim_reads_the_index():
    modelindex = pytest.importorskip('modelindex.load_model_index')
    index = modelindex.load(str(ROOT / 'model-index.yml'))
    index.check(silent=False)
    assert not index.check_errors
    there = {p for p in ROOT.glob('configs/*/*.py') if p.parent.name != '_base_'}
    assert {ROOT / model.config for model in index.models} == there


def test_published_numbers_are_those_of_the_next_column():
    readme = (
        '| split | published mIoU | R-101 | own head |\n| --- | --- | --- | --- |\n'
        '| 1 | 67.98 | [config](a.py) | [config](b.py) |\n'
        '| 2 | - | [config](c.py) | - |\n\n'
        '| split | mIoU | R-101 |\n| --- | --- | --- |\n| 1 | 5.0 | [config](d.py) |\n'
        '\n| published mIoU | a | published mIoU | b |\n| --- | --- | --- | --- |\n'
        '| 76 | [config](e.py) | 75.1 | [config](f.py) |\n'
    )
    assert TOOL['published'](readme) == {'a': 67.98, 'e': 76, 'f': 75.1}


def test_a_config_of_an_unknown_method_data_set_or_name_is_refused(tmp_path):
    for name, cause in {
        'magic_r50-d8_1xb2-9_camvid-12-8x8': "has 'magic' among its Methods",
        'u2pl_r50-d8_1xb2-9_mars-12-8x8': "add 'mars' to DATA",
        'mine': 'is not named METHOD',
    }.items():
        with pytest.raises(ValueError, match=f'{name}.py.*{cause}'):
            TOOL['model_entry'](tmp_path / f'{name}.py', {'u2pl': 'U2PL'}, None)


def test_every_collection_says_where_it_is_from():
    for folder in FOLDERS:
        for head in load(folder / 'metafile.yaml')['Collections']:
            assert (ROOT / head['README']).exists()
            assert 'Code' not in head or (ROOT / head['Code']['URL']).exists()
