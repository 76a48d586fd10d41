"""Convert ResNet-38 of ImageNet: ``resnet38_params.py IN.params OUT.pth``.

The file ``ilsvrc-cls_rna-a1_cls1000_ep-0001.params`` is MXNet's; mxnet is not needed.
"""

import argparse
import re
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from mmsemi.datasets.atomic import replacing
from mmsemi.models.backbones import ResNet38

LIST_MAGIC = 0x112
TAGS_V1, TAGS_V2 = 0xF993FAC8, 0xF993FAC9
TYPES = dict(enumerate(('<f4', '<f8', '<f2', 'u1', '<i4', 'i1', '<i8')))
LAST = {'gamma': 'weight', 'beta': 'bias', 'mean': 'running_mean', 'var': 'running_var'}
BLOCK = re.compile(r'(res|bn)(\d)(?:a|b(\d+))_(branch\w+?)_(?:moving_)?(\w+)')


class Reader:
    """Numbers of a byte string, one after the other.

    Args:
        data: All bytes of a file.
        path: Where they are from, for the messages.
    """

    def __init__(self, data: bytes, path: str) -> None:
        self.data, self.path, self.place = data, path, 0

    def take(self, length: int) -> bytes:
        """Return the next bytes.

        Raises:
            ValueError: There are not that many.
        """
        part = self.data[self.place : self.place + length]
        if len(part) < length:
            raise ValueError(
                f'{self.path} ends at byte {len(self.data)}, in the middle of a value: '
                'it is truncated, download it again'
            )
        self.place += length
        return part

    def numbers(self, layout: str) -> tuple[int, ...]:
        """Return the next numbers, of a layout of :mod:`struct`."""
        layout = '<' + layout
        return struct.unpack(layout, self.take(struct.calcsize(layout)))


def read_array(reader: Reader) -> np.ndarray:
    """Read one array: its shape in one of three versions, its place, type and data.

    Raises:
        ValueError: It is sparse or of an unknown type, or the file is truncated.
    """
    (tag,) = reader.numbers('I')
    if tag == TAGS_V2:
        (storage,) = reader.numbers('i')
        if storage > 0:
            raise ValueError(f'{reader.path} holds a sparse array: give a dense one')
    if tag in (TAGS_V1, TAGS_V2):
        (dims,) = reader.numbers('I')
        shape = reader.numbers(f'{dims}q')
    else:
        shape = reader.numbers(f'{tag}I') if tag <= 32 else None
    if shape is None:
        raise ValueError(
            f'{reader.path} has no array at byte {reader.place - 4}: is it a .params '
            'file of MXNet? download it again'
        )
    _, _, kind = reader.numbers('iii')
    if kind not in TYPES:
        raise ValueError(f'{reader.path} holds an array of unknown type {kind}')
    dtype = np.dtype(TYPES[kind])
    number = int(np.prod(shape, dtype=np.int64))
    return np.frombuffer(reader.take(number * dtype.itemsize), dtype).reshape(shape)


def read_params(path: str | Path) -> dict[str, np.ndarray]:
    """Read a ``.params`` file of MXNet.

    A list of arrays, little endian: magic 0x112, a reserved 0, the number of arrays,
    the arrays, the number of names, the names. The layout is that of public readers of
    the format; it has not been tried on the released file.

    Args:
        path: The file.

    Returns:
        Arrays by name, e.g. ``arg:conv1a_weight``.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no such file, or truncated.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'there is no file {path}: correct the path')
    reader = Reader(Path(path).read_bytes(), str(path))
    magic, _, count = reader.numbers('QQQ')
    if magic != LIST_MAGIC:
        raise ValueError(
            f'{path} starts with {magic:#x}, not with {LIST_MAGIC:#x}: it is no '
            '.params file of MXNet'
        )
    arrays = [read_array(reader) for _ in range(count)]
    (names,) = reader.numbers('Q')
    if names != count:
        raise ValueError(f'{path} has {count} arrays, but {names} names')
    lengths_and_names = [reader.take(*reader.numbers('Q')) for _ in range(names)]
    return {
        name.decode(): array
        for name, array in zip(lengths_and_names, arrays, strict=True)
    }


def torch_name(name: str) -> str | None:
    """Return our name of a parameter; None for ImageNet's classifier.

    ``arg:res5b1_branch2a_weight`` is ``b5_1.conv_branch2a.weight``,
    ``aux:bn7_moving_mean`` is ``bn7.running_mean``.

    Raises:
        ValueError: The name is none of ResNet-38's.
    """
    plain = name.split(':')[-1]
    if 'linear1000' in plain:
        return None
    if 'conv1a' in plain:
        return 'conv1a.weight'
    found = BLOCK.fullmatch(plain)
    if found:
        kind, stage, number, branch, last = found.groups()
        block = f'b{stage}_{number}' if number else f'b{stage}'
        layer = 'conv' if kind == 'res' else 'bn'
        return f'{block}.{layer}_{branch}.{LAST.get(last, last)}'
    last = plain.split('_')[-1]
    if not plain.startswith('bn') or last not in LAST:
        raise ValueError(f'the parameter {name!r} is none of ResNet-38')
    return f'bn7.{LAST[last]}'


def convert(arrays: dict[str, np.ndarray], path: str, width: float) -> dict:
    """Name the arrays as :class:`ResNet38` does.

    Args:
        arrays: Of :func:`read_params`.
        path: Where they are from, for the message.
        width: Of the network.

    Returns:
        Its state dict, float32.

    Raises:
        ValueError: A parameter is unknown, missing, or of another shape.
    """
    found = {torch_name(name): array for name, array in arrays.items()}
    state = {
        name: torch.from_numpy(array.astype(np.float32))
        for name, array in found.items()
        if name is not None
    }
    wanted = {
        name: value
        for name, value in ResNet38(width=width).state_dict().items()
        if not name.endswith('num_batches_tracked')
    }
    wrong = [
        name
        for name in sorted({*wanted, *state})
        if name not in wanted
        or name not in state
        or wanted[name].shape != state[name].shape
    ]
    if wrong:
        name = wrong[0]
        shapes = [tuple(d[name].shape) if name in d else None for d in (state, wanted)]
        raise ValueError(
            f'{path}: {len(wrong)} parameters do not fit ResNet38(width={width}), e.g. '
            f'{name}, {shapes[0]} in the file and {shapes[1]} in the network'
        )
    return state


def main(argv: Sequence[str] | None = None) -> int:
    """Convert a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('params', help="MXNet's file")
    parser.add_argument('out', help='the .pth to write, for init_cfg of ResNet38')
    parser.add_argument('--width', type=float, default=1.0, help='of the network')
    args = parser.parse_args(argv)
    state = convert(read_params(args.params), args.params, args.width)
    with replacing(args.out) as aside:
        torch.save(dict(state_dict=state), aside)
    print(f'{args.out}: {len(state)} parameters')
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
