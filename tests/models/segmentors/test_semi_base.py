"""Networks, loading, modes and messages that all methods share."""

import copy

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.runner.checkpoint import _load_checkpoint_to_model
from mmseg.structures import SegDataSample

from mmsemi.models.utils.batches import (
    join_images,
    resize_nearest,
    stack_labels,
    stack_valid,
)
from mmsemi.registry import MODELS

METHODS = ('MeanTeacher', 'U2PL')


@pytest.mark.parametrize('kind', METHODS)
def test_teacher_is_a_frozen_copy_after_initialisation(kind, make_method):
    model = make_method(kind)
    student, teacher = model.student.state_dict(), model.teacher.state_dict()
    assert student.keys() == teacher.keys()
    assert all(torch.equal(student[key], teacher[key]) for key in student)
    own = {p.data_ptr() for p in model.student.parameters()}
    assert not own & {p.data_ptr() for p in model.teacher.parameters()}
    assert not any(p.requires_grad for p in model.teacher.parameters())
    assert all(p.requires_grad for p in model.student.parameters())


def test_teacher_stays_in_eval_mode(make_method):
    model = make_method('MeanTeacher').train()
    assert model.student.training
    assert not any(module.training for module in model.teacher.modules())


@pytest.mark.parametrize('kind', METHODS)
@pytest.mark.parametrize('load', ['torch', 'mmengine'])
def test_plain_checkpoint_loads_into_both(kind, load, make_method, tiny_segmentor):
    torch.manual_seed(1)
    plain = MODELS.build(copy.deepcopy(tiny_segmentor))
    weights = plain.state_dict()
    model = make_method(kind)
    if load == 'torch':
        report = model.load_state_dict(weights, strict=False)
        assert not report.unexpected_keys
        own = ('decode_head.projector', 'memory_bank')
        assert all(any(o in key for o in own) for key in report.missing_keys)
    else:
        _load_checkpoint_to_model(model, {'state_dict': weights})
    for network in (model.student, model.teacher):
        loaded = network.state_dict()
        assert all(torch.equal(loaded[key], weights[key]) for key in weights)


def test_own_checkpoint_is_not_spread(make_method):
    model = make_method('MeanTeacher')
    model.teacher.decode_head.conv_seg.bias.data.fill_(7)
    other = make_method('MeanTeacher')
    other.load_state_dict(copy.deepcopy(model.state_dict()))
    assert (other.teacher.decode_head.conv_seg.bias == 7).all()
    assert (other.student.decode_head.conv_seg.bias != 7).all()


@pytest.mark.parametrize('kind', METHODS)
def test_predict_uses_the_chosen_network(kind, make_method, make_batch):
    model = make_method(kind).eval()
    model.teacher.decode_head.conv_seg.bias.data[3] = 1e4
    images = make_batch()[0]['sup']
    with torch.no_grad():
        for name, network in model.networks().items():
            with model.predicting_on(name):
                results = model(images, mode='predict')
                scores = model(images, mode='tensor')
            torch.testing.assert_close(scores, network(images, mode='tensor'))
            for result, expected in zip(results, network.predict(images), strict=True):
                assert torch.equal(result.pred_sem_seg.data, expected.pred_sem_seg.data)
        default = model(images, mode='predict')
    assert model.predict_on == 'teacher'
    assert all((sample.pred_sem_seg.data == 3).all() for sample in default)


def test_predicting_on_is_undone_after_an_error(make_method):
    model = make_method('MeanTeacher')
    with pytest.raises(RuntimeError), model.predicting_on('student'):
        raise RuntimeError
    assert model.predict_on == 'teacher'


def test_unknown_network(make_method):
    with pytest.raises(ValueError, match=r"predict_on='ema'.*\['student', 'teacher'\]"):
        make_method('MeanTeacher', predict_on='ema')


def test_config_is_left_as_it_is(tiny_segmentor):
    tiny_segmentor = ConfigDict(tiny_segmentor)
    before = copy.deepcopy(tiny_segmentor)
    MODELS.build(ConfigDict(type='U2PL', segmentor=tiny_segmentor))
    assert tiny_segmentor == before


@pytest.mark.parametrize('kind', METHODS)
def test_binary_head_is_refused(kind, make_method, tiny_segmentor):
    tiny_segmentor['decode_head'].update(
        num_classes=2,
        out_channels=1,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=True),
    )
    with pytest.raises(ValueError, match=r'one output channel.*out_channels=num_cl'):
        make_method(kind, segmentor=tiny_segmentor)


def test_segmentor_without_preprocessor(make_method, tiny_segmentor):
    del tiny_segmentor['data_preprocessor']
    with pytest.raises(ValueError, match='no data_preprocessor: give it'):
        make_method('MeanTeacher', segmentor=tiny_segmentor)


@pytest.mark.parametrize('kind', METHODS)
def test_batch_without_branches(kind, make_method, make_batch):
    model, (inputs, samples) = make_method(kind), make_batch()
    with pytest.raises(ValueError, match=r"has no \['sup'.*branch_collate"):
        model(inputs['sup'], samples['sup'], mode='loss')
    del inputs['unsup_teacher']
    with pytest.raises(ValueError, match=r"the batch has no \['unsup_teacher'\]"):
        model(inputs, samples, mode='loss')


def test_unknown_mode(make_method, make_batch):
    with pytest.raises(ValueError, match="mode='train'"):
        make_method('MeanTeacher')(make_batch()[0]['sup'], mode='train')


def test_stacks(make_batch):
    _, samples = make_batch()
    label, valid = stack_labels(samples['sup']), stack_valid(samples['unsup_teacher'])
    assert label.shape == valid.shape == (2, 33, 33)
    assert valid.sum() == 33 * (30 + 26) and (label[:, :2] == 255).all()
    with pytest.raises(ValueError, match='PackSemiInputs, not with PackSegInputs'):
        stack_valid([SegDataSample()])


def test_images_of_two_sizes():
    with pytest.raises(ValueError, match=r'\(8, 9\) and unlabelled ones \(8, 8\)'):
        join_images(torch.zeros(1, 3, 8, 9), torch.zeros(1, 3, 8, 8))


def test_resize_nearest():
    maps = torch.arange(25).view(1, 5, 5)
    # centres of 2 cells over 5 pixels: 1.25 and 3.75
    assert resize_nearest(maps, (2, 2)).tolist() == [[[6, 8], [16, 18]]]
    assert resize_nearest(maps > 7, (2, 2)).tolist() == [[[False, True], [True, True]]]
