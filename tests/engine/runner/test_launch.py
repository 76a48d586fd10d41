"""Which checkpoints fit a model of several networks; where a run goes on from."""

import pytest
import torch
from torch import nn

from mmsemi.engine.runner import launch


class TwoNets(nn.Module):
    """Two networks, of which the second has a layer more."""

    def __init__(self):
        super().__init__()
        self.one = nn.Sequential(*[nn.Linear(2, 2, bias=False)] * 3)
        self.two = nn.Sequential(*self.one, nn.Linear(2, 5, bias=False))

    def networks(self):
        return dict(one=self.one, two=self.two)


def test_start_of_two_networks(tmp_path, monkeypatch):
    """A network's checkpoint starts the method; it is not the method's own."""
    model, path = TwoNets(), str(tmp_path / 'one.pth')
    torch.save(dict(state_dict=model.one.state_dict()), path)
    said: list[str] = []
    monkeypatch.setattr(launch, 'print_log', lambda text, **_: said.append(text))
    launch.check_checkpoint(path, model, whole=False)
    assert '1 of 4 tensors do not fit, the first is 3.weight' in said[0]
    with pytest.raises(ValueError, match=r'one.pth is of another model: 1 of 4'):
        launch.check_checkpoint(path, model, whole=True)
    torch.save(dict(state_dict=model.state_dict()), path)
    launch.check_checkpoint(path, model, whole=True)


@pytest.mark.parametrize('moved', [False, True])
def test_last_checkpoint(tmp_path, moved):
    """It is found in a folder that was moved, and elsewhere if it is written there."""
    folder, noted = tmp_path / 'run', tmp_path / 'out/iter_4.pth'
    for path in (folder / 'x', noted):
        path.parent.mkdir()
    assert launch.last_checkpoint(str(folder)) is None
    (folder / 'last_checkpoint').write_text(str(noted))
    expected = folder / 'iter_4.pth' if moved else noted
    expected.write_text('weights')
    assert launch.last_checkpoint(str(folder)) == str(expected)
