"""The reader of MXNet's files, on files written here byte by byte."""

import importlib.util
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from mmsemi.models.backbones import ResNet38

SCRIPT = Path(__file__).parents[2] / 'tools' / 'model_converters' / 'resnet38_params.py'
spec = importlib.util.spec_from_file_location('resnet38_params', SCRIPT)
tool = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tool)
CODES = {'f4': 0, 'f8': 1, 'f2': 2, 'u1': 3, 'i4': 4, 'i1': 5, 'i8': 6}


def array_bytes(array, version):
    dims = array.shape
    if version == 2:
        head = struct.pack(f'<IiI{len(dims)}q', 0xF993FAC9, 0, len(dims), *dims)
    elif version == 1:
        head = struct.pack(f'<II{len(dims)}q', 0xF993FAC8, len(dims), *dims)
    else:
        head = struct.pack(f'<I{len(dims)}I', len(dims), *dims)
    kind = CODES[array.dtype.str[1:]]
    return head + struct.pack('<iii', 1, 0, kind) + array.tobytes()


def write(path, arrays, version=0):
    data = struct.pack('<QQQ', 0x112, 0, len(arrays))
    for array in arrays.values():
        data += array_bytes(array, version)
    data += struct.pack('<Q', len(arrays))
    for name in arrays:
        data += struct.pack('<Q', len(name)) + name.encode()
    path.write_bytes(data)
    return path


@pytest.mark.parametrize('version', [0, 1, 2])
def test_read(tmp_path, version):
    rng = np.random.default_rng(0)
    arrays = {f'arg:{kind}': (rng.random((2, 3, 1)) * 9).astype(kind) for kind in CODES}
    arrays['aux:vector'] = np.arange(5, dtype='<f4')
    found = tool.read_params(write(tmp_path / 'x.params', arrays, version))
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def mxnet_names(net):
    """Name ResNet-38's parameters as the public file does."""
    last = dict(weight='gamma', bias='beta', running_mean='moving_mean')
    last['running_var'] = 'moving_var'
    names = {}
    for name in net.state_dict():
        if name.endswith('num_batches_tracked'):
            continue
        block, *rest = name.split('.')
        if block in ('conv1a', 'bn7'):
            end = 'weight' if block == 'conv1a' else last[rest[0]]
            names[name] = f'{block}_{end}'
            continue
        layer, end = rest
        stage, _, number = block[1:].partition('_')
        kind, _, branch = layer.partition('_')
        place = f'{stage}b{number}' if number else f'{stage}a'
        prefix = 'res' if kind == 'conv' else 'bn'
        end = end if kind == 'conv' else last[end]
        names[name] = f'{prefix}{place}_{branch}_{end}'
    return names


def test_names():
    for name, ours in {
        'arg:conv1a_weight': 'conv1a.weight',
        'arg:res2a_branch1_weight': 'b2.conv_branch1.weight',
        'arg:res5b1_branch2a_weight': 'b5_1.conv_branch2a.weight',
        'arg:bn4b5_branch2b1_gamma': 'b4_5.bn_branch2b1.weight',
        'arg:bn6a_branch2b2_beta': 'b6.bn_branch2b2.bias',
        'aux:bn2a_branch2a_moving_mean': 'b2.bn_branch2a.running_mean',
        'aux:bn7_moving_var': 'bn7.running_var',
        'arg:bn7_gamma': 'bn7.weight',
        'arg:linear1000_bias': None,
    }.items():
        assert tool.torch_name(name) == ours
    with pytest.raises(ValueError, match='fc_weight'):
        tool.torch_name('arg:fc_weight')


def test_convert_and_load(tmp_path, capsys):
    torch.manual_seed(0)
    net = ResNet38(width=1 / 64)
    for value in net.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.randn_like(value))
    state = net.state_dict()
    arrays = {
        ('aux:' if 'moving' in theirs else 'arg:') + theirs: state[ours].numpy()
        for ours, theirs in mxnet_names(net).items()
    }
    arrays['arg:linear1000_weight'] = np.zeros((2, 2), np.float32)
    source = write(tmp_path / 'a.params', arrays)
    out = tmp_path / 'new' / 'a.pth'
    assert tool.main([str(source), str(out), '--width', str(1 / 64)]) == 0
    assert f'{len(arrays) - 1} parameters' in capsys.readouterr().out
    init = dict(type='Pretrained', checkpoint=str(out))
    loaded = ResNet38(width=1 / 64, init_cfg=init)
    loaded.init_weights()
    for name, value in loaded.state_dict().items():
        torch.testing.assert_close(value, state[name])
    del arrays['arg:bn7_gamma']
    short = write(tmp_path / 'b.params', arrays)
    with pytest.raises(ValueError, match=r'1 parameters do not fit.*bn7.weight, None'):
        tool.main([str(short), str(out), '--width', str(1 / 64)])


def test_damaged_files(tmp_path):
    good = write(tmp_path / 'x.params', {'arg:a': np.ones(4, '<f4')}).read_bytes()
    path = tmp_path / 'y.params'
    for data, message in (
        (good[:50], 'ends at byte 50.*truncated'),
        (b'PK' + good[2:], 'starts with .*no .params file'),
        (good[:24] + struct.pack('<I', 77) + good[28:], 'no array at byte 24'),
        (good[:24] + struct.pack('<Ii', 0xF993FAC9, 1) + good[28:], 'sparse'),
        (good[:40] + struct.pack('<i', 9) + good[44:], 'unknown type 9'),
    ):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=message):
            tool.read_params(path)
    with pytest.raises(FileNotFoundError, match='no file'):
        tool.read_params(tmp_path / 'none.params')
