import copy

import pytest
import torch
from mmengine.config import ConfigDict

from mmsemi.labeling.networks import choose_networks, make_manifest, weights_sha256
from mmsemi.registry import MODELS


class Fusion:
    """A method of two networks that predicts on both."""

    predict_on = 'fusion'

    def __init__(self, *nets):
        self.nets = dict(zip(('one', 'two'), nets, strict=True))

    def networks(self):
        return self.nets


def test_choose_networks(tiny_net):
    one, two = tiny_net(0), tiny_net(1)
    model = Fusion(one, two)
    assert choose_networks(model) == dict(one=one, two=two)
    assert list(choose_networks(model, ['two', 'one'])) == ['two', 'one']
    model.predict_on = 'two'
    assert choose_networks(model) == dict(two=two)
    assert choose_networks(one) == dict(model=one)


@pytest.mark.parametrize('names', [['three'], ['one', 'one'], []])
def test_unknown_networks(names, tiny_net):
    with pytest.raises(ValueError, match=r"name some of \['one', 'two'\], those of"):
        choose_networks(Fusion(tiny_net(), tiny_net()), names)


def test_networks_of_a_method(tiny_segmentor, default_scope):
    model = MODELS.build(ConfigDict(type='MeanTeacher', segmentor=tiny_segmentor))
    assert choose_networks(model) == dict(teacher=model.teacher)
    both = choose_networks(model, ['student', 'teacher'])
    assert both == dict(student=model.student, teacher=model.teacher)


def test_hash_of_the_weights(tiny_net):
    net = torch.nn.Sequential(tiny_net(), torch.nn.BatchNorm2d(3))
    first = weights_sha256(net)
    other = copy.deepcopy(net)
    assert weights_sha256(other) == first and len(first) == 64
    other[1].num_batches_tracked += 1
    assert weights_sha256(other) != first
    other = copy.deepcopy(net)
    other[0].conv.weight.data[0, 0, 0, 0] += 1e-7
    assert weights_sha256(other) != first
    assert weights_sha256(net.to(torch.bfloat16)) != first


def test_manifest(tiny_list, tiny_net):
    net = tiny_net()
    net.test_cfg = ConfigDict(mode='slide', crop_size=(3, 3))
    classes = dict(classes=('x', 'y', 'z'))
    made = make_manifest(
        dict(one=net), tiny_list('all'), classes, dict(flip=True), model='m.py'
    )
    assert made['model'] == 'm.py' and made['networks'] == ['one']
    assert made['sha256'] == [weights_sha256(net)] and made['classes'] == [*'xyz']
    assert made['settings'] == dict(
        flip=True, test_cfg=dict(mode='slide', crop_size=[3, 3]), pipeline=[], tags=None
    )
    assert made['images']['number'] == 6
    other = make_manifest(dict(one=net), tiny_list('unlabeled'), {}, {})
    assert other['images']['sha256'] != made['images']['sha256']
    assert other['classes'] == ['0', '1', '2']


def test_manifest_knows_the_tags_and_not_their_file(tiny_list, tiny_net):
    def note(tags):
        nets = dict(one=tiny_net())
        return make_manifest(nets, tiny_list('all'), {}, {}, tags)['settings']['tags']

    tags = torch.zeros(6, 21, dtype=torch.bool)
    first = note(tags)
    assert note(tags.clone()) == first and len(first) == 64
    for row, column in ((0, 0), (5, 20), (2, 9)):
        other = tags.clone()
        other[row, column] = True
        assert note(other) != first
