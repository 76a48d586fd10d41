"""mmpretrain is optional."""

import subprocess
import sys

import pytest

from mmsemi.models.backbones import ConformerCam

WITHOUT = """
import sys
sys.modules['mmpretrain'] = None
import mmsemi, mmsemi.models, mmsemi.engine
print(mmsemi.models.ConformerCam.__name__)
"""


def test_message(monkeypatch):
    monkeypatch.setitem(sys.modules, 'mmpretrain', None)
    monkeypatch.setitem(sys.modules, 'mmpretrain.models', None)
    with pytest.raises(ImportError, match=r'pip install onedl-mmpretrain.*ResNet38'):
        ConformerCam()


def test_import_without():
    command = [sys.executable, '-c', WITHOUT]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == 'ConformerCam'
