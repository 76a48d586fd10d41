"""The installation: the check of OpenMMLab, ``.mim``, and what may not be shipped."""

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.fileio import load

import mmsemi
from mmsemi import _compat

ROOT = Path(__file__).resolve().parents[1]
ONEDL = {
    'onedl-mmengine': '0.10.12',
    'onedl-mmcv': '2.3.6',
    'onedl-mmsegmentation': '1.4.2',
    'onedl-mmpretrain': '1.3.6',
}
OFFICIAL = {'mmengine': '0.10.7', 'mmcv': '2.1.0', 'mmsegmentation': '1.2.2'}


@pytest.fixture
def pretend(monkeypatch):
    """Return a function that fakes the installed distributions and modules."""

    def fake(versions: dict[str, str], modules: tuple[str, ...]) -> None:
        def version(name: str) -> str:
            if name not in versions:
                raise PackageNotFoundError(name)
            return versions[name]

        monkeypatch.setattr(_compat, 'version', version)
        monkeypatch.setattr(
            _compat, 'find_spec', lambda name: name if name in modules else None
        )

    return fake


ALL = ('mmengine', 'mmcv', 'mmseg', 'mmpretrain')


@pytest.mark.parametrize('versions', [ONEDL, OFFICIAL, {}], ids=['onedl', 'mm', 'path'])
def test_check_accepts_one_distribution(pretend, versions, recwarn):
    pretend(versions, ALL)  # {}: source checkouts on PYTHONPATH have no metadata
    _compat.check_openmmlab()
    assert not recwarn.list


def test_check_without_openmmlab_names_both_remedies(pretend):
    pretend({}, ())
    with pytest.raises(ImportError) as error:
        _compat.check_openmmlab()
    message = str(error.value)
    assert 'mmengine, mmcv, mmseg cannot be found' in message
    assert '`pip install "mmsemi[onedl]"`' in message
    assert '"mmsemi[openmmlab]"' in message


def test_check_names_the_missing_part_and_the_extra_of_the_rest(pretend):
    pretend({'mmengine': '0.10.7', 'mmcv': '2.1.0'}, ('mmengine', 'mmcv'))
    with pytest.raises(ImportError) as error:
        _compat.check_openmmlab()
    message = str(error.value)
    assert 'but mmseg cannot be found' in message
    assert '`pip install "mmsemi[openmmlab]"`' in message
    assert 'onedl' not in message


@pytest.mark.parametrize(
    ('mixture', 'uninstall'),
    [
        ({**ONEDL, 'mmengine': '0.10.7'}, 'mmengine onedl-mmcv onedl-mmengine'),
        (
            {'onedl-mmcv': '2.3.6', 'mmsegmentation': '1.2.2'},
            'mmsegmentation onedl-mmcv',
        ),
        ({'onedl-mmcv': '2.3.6', 'mmcv-lite': '2.1.0'}, 'mmcv-lite onedl-mmcv'),
    ],
)
def test_check_refuses_a_mixture(pretend, mixture, uninstall):
    pretend(mixture, ALL)
    with pytest.raises(ImportError, match='mixture') as error:
        _compat.check_openmmlab()
    message = str(error.value)
    for name, version in mixture.items():
        assert f'{name} {version}' in message
    assert f'`pip uninstall -y {uninstall}' in message
    assert 'pip install "mmsemi[onedl]"' in message


def test_check_warns_below_the_tested_minimum(pretend):
    pretend({**ONEDL, 'onedl-mmcv': '2.2.9'}, ALL)
    with pytest.warns(UserWarning, match=r'onedl-mmcv 2\.2\.9 is older than 2\.3'):
        _compat.check_openmmlab()


def test_mmengine_knows_the_package():
    assert MODULE2PACKAGE['mmsemi'].split('.')[0] == 'mmsemi'


def test_a_copy_without_the_links_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(_compat, '__file__', str(tmp_path / 'mmsemi/_compat.py'))
    with pytest.warns(
        UserWarning, match='no .mim folder.*`pip install -e .` in'
    ) as all_:
        _compat.register_configs()
    assert str(tmp_path) in str(all_[0].message)


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    """Return a copy of what a build reads, with two configs of its own."""
    copy = tmp_path_factory.mktemp('source')
    for name in ('setup.py', 'pyproject.toml', 'MANIFEST.in', 'LICENSE'):
        shutil.copy(ROOT / name, copy)
    (copy / 'README.md').write_text('mmsemi')
    ignored = shutil.ignore_patterns('.mim', '__pycache__')
    shutil.copytree(ROOT / 'mmsemi', copy / 'mmsemi', ignore=ignored)
    (copy / 'tools').mkdir()
    (copy / 'tools/train.py').touch()
    (copy / 'configs/probe').mkdir(parents=True)
    (copy / 'configs/probe/base.py').write_text('depth = 18')
    (copy / 'configs/probe/leaf.py').write_text("_base_ = 'base.py'\nwidth = 8")
    (copy / 'configs/probe/metafile.yaml').write_text(
        'Models:\n- Name: leaf\n  Config: configs/probe/leaf.py\n'
    )
    (copy / 'model-index.yml').write_text('Import:\n- configs/probe/metafile.yaml\n')
    return copy


def test_version_is_the_one_setup_reads(source):
    command = [sys.executable, 'setup.py', '--version']
    done = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == mmsemi.__version__
    assert re.fullmatch(r'\d+\.\d+\.\d+', mmsemi.__version__)


READ_CONFIGS = """
import sys
import mmsemi
from mmengine.config import Config
from mmengine.hub import get_config
user = Config.fromfile(sys.argv[1])
named = get_config('mmsemi::probe/leaf.py')
print(user.depth, user.width, named.depth, named.width, mmsemi.__file__, sep='|')
"""


@pytest.mark.parametrize('mode', ['wheel', 'editable'])
def test_configs_resolve_by_package_name(source, tmp_path, mode):
    if mode == 'wheel':
        build, package = 'build_wheel', tmp_path
    else:
        build, package = 'build_editable', source
    code = (
        f'from setuptools import build_meta as b; print(b.{build}({str(tmp_path)!r}))'
    )
    command = [sys.executable, '-c', code]
    built = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    if mode == 'wheel':
        wheel = tmp_path / built.stdout.split()[-1]
        shutil.unpack_archive(wheel, package, 'zip')
    assert (package / 'mmsemi/.mim/tools/train.py').exists()
    assert (package / 'mmsemi/.mim/configs').is_symlink() == (mode == 'editable')

    user = tmp_path / 'user.py'
    user.write_text("_base_ = 'mmsemi::probe/leaf.py'")
    command = [sys.executable, '-c', READ_CONFIGS, str(user)]
    path = os.pathsep.join([str(package), os.environ.get('PYTHONPATH', '')])
    env = {**os.environ, 'PYTHONPATH': path}
    read = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert read.returncode == 0, read.stderr
    *values, file = read.stdout.strip().split('|')
    assert values == ['18', '8', '18', '8']
    assert Path(file) == package / 'mmsemi/__init__.py'


def tracked(*paths: str) -> list[str]:
    """Return what git has or would have of some paths."""
    command = ['git', 'ls-files', '--cached', '--others', '--exclude-standard', '-z']
    try:
        done = subprocess.run(
            [*command, *paths], cwd=ROOT, capture_output=True, check=True
        )
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip('not a git checkout')
    return [name for name in done.stdout.decode().split('\0') if name]


READ_UNINSTALLED = """
import importlib.metadata, sys
import mmsemi
from mmengine.config import Config
from mmengine.hub import get_config
try:
    importlib.metadata.distribution('mmsemi')
except importlib.metadata.PackageNotFoundError:
    user = Config.fromfile(sys.argv[1])
    print(user.default_scope, get_config(user.leaf).model.type, mmsemi.__file__)
"""


def test_configs_resolve_in_a_checkout_that_is_not_installed(tmp_path):
    checkout, site = tmp_path / 'checkout', tmp_path / 'site'
    names = tracked('mmsemi', 'configs', 'model-index.yml')
    for name in names:
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, checkout / name, follow_symlinks=False)
    # all that is installed but mmsemi
    site.mkdir()
    for folder in (Path(p) for p in sys.path if p.endswith('-packages')):
        for path in folder.iterdir():
            if 'mmsemi' not in path.name and not (site / path.name).exists():
                (site / path.name).symlink_to(path)

    user = tmp_path / 'user.py'
    leaf = next(p.name for p in (ROOT / 'configs/u2pl').glob('*demo_toyvoc*.py'))
    user.write_text(
        f"_base_ = 'mmsemi::_base_/default_runtime.py'\nleaf = 'mmsemi::u2pl/{leaf}'\n"
    )
    path = os.pathsep.join([str(checkout), str(site)])
    env = {**os.environ, 'PYTHONPATH': path, 'PYTHONDONTWRITEBYTECODE': '1'}
    # -S: no .pth file, which an editable install is
    command = [sys.executable, '-S', '-c', READ_UNINSTALLED, str(user)]
    read = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert read.returncode == 0, read.stderr
    found = ['mmsemi', 'U2PL', str(checkout / 'mmsemi/__init__.py')]
    assert read.stdout.split() == found
    assert '.mim' not in read.stderr
    left = {str(p.relative_to(checkout)) for p in checkout.rglob('*') if p.is_file()}
    assert left <= set(names)


def test_model_index_lists_every_metafile():
    listed = load(ROOT / 'model-index.yml')['Import']
    there = {str(p.relative_to(ROOT)) for p in ROOT.glob('configs/*/metafile.yaml')}
    assert set(listed) == there


def test_no_config_inherits_from_mmseg():
    faulty = [p for p in ROOT.glob('configs/**/*.py') if 'mmseg::' in p.read_text()]
    assert not faulty, 'mmseg:: does not resolve with the onedl packages'


def test_no_file_names_a_path_of_the_machine_it_was_written_on():
    paths = [ROOT / name for name in tracked()]
    assert paths
    # In halves, or this file would name them.
    machine = re.compile(rb'(?<![\w.])/(wo' + rb'rk|tmp/w)/')
    texts = {p: p.read_bytes() for p in paths if p.is_file()}
    assert not [str(p) for p, text in texts.items() if machine.search(text)]
