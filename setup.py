"""Installation of mmsemi, with configs and tools where mmengine looks for them."""

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
MIM_CONTENTS = ('configs', 'tools', 'model-index.yml')

EXTRAS = {
    'onedl': [
        'onedl-mmengine>=0.10.12',
        'onedl-mmcv>=2.3',
        'onedl-mmsegmentation>=1.4',
        'onedl-mmpretrain>=1.3',
        'torch',
        'torchvision',
        'ftfy',
        'regex',
    ],
    'openmmlab': [
        'mmengine==0.10.7',
        'mmcv==2.1.0',
        'mmsegmentation==1.2.2',
        'mmpretrain==1.2.0',
        'torch',
        'torchvision',
        'numpy<2',
        # mmengine 0.10.7 imports pkg_resources, which later versions dropped.
        'setuptools<70',
        'ftfy',
        'regex',
    ],
    # the original dense CRF, which has no wheels; without it ours is used
    'crf': ["pydensecrf2; python_version < '3.13'"],
    'tests': ['pytest', 'pytest-xdist', 'setuptools', 'wheel'],
    'dev': ['ruff', 'mypy', 'codespell'],
}


def read_version() -> str:
    """Return the version without importing the package, which needs OpenMMLab."""
    text = (ROOT / 'mmsemi' / '__init__.py').read_text(encoding='utf-8')
    match = re.search(r"^__version__ = '([^']+)'$", text, re.MULTILINE)
    if match is None:
        raise RuntimeError('mmsemi/__init__.py has no line `__version__ = ...`.')
    return match.group(1)


def read_readme() -> str:
    """Return the long description."""
    return (ROOT / 'README.md').read_text(encoding='utf-8')


class BuildWithMim(build_py):
    """Add ``mmsemi/.mim``: what `_base_ = 'mmsemi::...'` and MIM look up.

    setuptools runs this command for wheels, which get copies, and for editable
    installs, which get links, so that an edited config is seen at once.
    """

    def run(self) -> None:
        """Build the package, then fill its ``.mim`` folder."""
        super().run()
        package = ROOT if self.editable_mode else Path(self.build_lib)
        mim = package / 'mmsemi' / '.mim'
        shutil.rmtree(mim, ignore_errors=True)
        mim.mkdir(parents=True)
        for name in MIM_CONTENTS:
            source = ROOT / name
            if self.editable_mode:
                (mim / name).symlink_to(Path('..', '..', name))
            elif source.is_dir():
                ignored = shutil.ignore_patterns('__pycache__', '*.pyc')
                shutil.copytree(source, mim / name, ignore=ignored)
            else:
                shutil.copy(source, mim / name)


setup(
    name='mmsemi',
    version=read_version(),
    description='Semi-supervised training of any MMSegmentation model',
    long_description=read_readme(),
    long_description_content_type='text/markdown',
    author='mmsemi contributors',
    license='Apache-2.0',
    keywords='semantic segmentation, semi-supervised learning, MMSegmentation',
    python_requires='>=3.10',
    packages=find_packages(include=['mmsemi', 'mmsemi.*']),
    install_requires=['filelock', 'numpy', 'pillow', 'scipy'],
    extras_require=EXTRAS,
    cmdclass={'build_py': BuildWithMim},
    zip_safe=False,
)
