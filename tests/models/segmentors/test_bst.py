"""BST: two networks, their losses, weights and messages."""

import copy

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.runner import Runner
from mmseg.models import SegDataPreProcessor

from mmsemi.registry import MODELS

NETWORKS = ('branch1', 'branch2')


@pytest.fixture
def batch(make_batch):
    inputs, samples = make_batch()
    return inputs['sup'], samples['sup']


def test_losses_are_those_of_each_network_alone(make_bst, batch):
    model = make_bst()
    alone = make_bst()
    losses = model(*batch, mode='loss')
    assert set(losses) == {
        f'{name}.decode.{key}' for name in NETWORKS for key in ('loss_ce', 'acc_seg')
    }
    total, _ = model.parse_losses(losses)
    expected = [
        alone.networks()[name].loss(*batch)['decode.loss_ce'] for name in NETWORKS
    ]
    assert [losses[f'{name}.decode.loss_ce'] for name in NETWORKS] == expected
    torch.testing.assert_close(total, sum(expected))
    total.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


def test_networks_are_independent(bst_config):
    torch.manual_seed(0)
    model = MODELS.build(bst_config)
    first, second = model.branch1.state_dict(), model.branch2.state_dict()
    key = 'backbone.stem.0.weight'
    assert not torch.equal(first[key], second[key])
    before = first[key].clone()
    model.init_weights()
    assert not torch.equal(before, model.branch1.state_dict()[key])
    key = 'decode_head.conv_seg.weight'
    assert not torch.equal(first[key], second[key])
    for name in NETWORKS:
        std = model.networks()[name].decode_head.conv_seg.weight.std().item()
        assert std == pytest.approx(0.01, rel=0.5)  # mmseg's initialisation
    own = {p.data_ptr() for p in model.branch1.parameters()}
    assert not own & {p.data_ptr() for p in model.branch2.parameters()}


def test_second_network_as_changes_of_the_first(make_bst, bst_config):
    """Without a type, ``branch2`` is the first network's config with other values."""
    bst_config['branch2'] = dict(decode_head=dict(dropout_ratio=0.5))
    first = copy.deepcopy(bst_config['segmentor'])
    model = make_bst()
    ratios = [n.decode_head.dropout_ratio for n in model.networks().values()]
    assert ratios == [first['decode_head'].get('dropout_ratio', 0.1), 0.5]
    shapes = [
        {k: v.shape for k, v in network.state_dict().items()}
        for network in model.networks().values()
    ]
    assert shapes[0] == shapes[1]
    written = type(model).network_config(bst_config, 'branch2')
    first['decode_head']['dropout_ratio'] = 0.5
    assert written == first
    assert bst_config['segmentor']['decode_head'] != first['decode_head']


def test_both_networks_train(make_bst):
    model = make_bst()
    for mode in (False, True):
        model.train(mode)
        for network in model.networks().values():
            assert all(module.training is mode for module in network.modules())
    assert all(p.requires_grad for p in model.parameters())


def test_properties_are_those_of_the_first_network(make_bst, bst_config):
    bst_config['segmentor']['decode_head']['align_corners'] = True
    model = make_bst()
    assert (model.num_classes, model.out_channels, model.align_corners) == (4, 4, True)
    scores = torch.tensor([0.0, 1.0]).view(1, 1, 1, 2)
    assert model.upsample(scores, (1, 3)).flatten().tolist() == [0, 0.5, 1]


def test_preprocessor_is_the_plain_one(make_bst):
    model = make_bst()
    assert type(model.data_preprocessor) is SegDataPreProcessor
    assert tuple(model.data_preprocessor.size) == (33, 33)
    other = dict(type='SegDataPreProcessor', size=(40, 40))
    assert make_bst(data_preprocessor=other).data_preprocessor.size == (40, 40)


def test_plain_checkpoints_load_into_what_has_their_keys(make_bst, bst_config):
    model = make_bst()
    plain = MODELS.build(copy.deepcopy(bst_config['branch2'])).state_dict()
    before = copy.deepcopy(model.state_dict())
    report = model.load_state_dict(plain, strict=False)
    assert not report.missing_keys and not report.unexpected_keys
    own = [key for key in plain if '.attention.' in key]
    assert own and not any(f'branch1.{key}' in before for key in own)
    for name, network in model.networks().items():
        loaded = network.state_dict()
        assert all(torch.equal(loaded[key], plain[key]) for key in loaded), name

    plain = MODELS.build(copy.deepcopy(bst_config['segmentor'])).state_dict()
    report = model.load_state_dict(plain, strict=False)
    assert not report.unexpected_keys
    assert set(report.missing_keys) == {f'branch2.{key}' for key in own}


def test_state_dict_round_trip(make_bst, bst_config):
    expected = make_bst().state_dict()
    other = MODELS.build(bst_config)
    other.load_state_dict(expected)
    for key, value in other.state_dict().items():
        assert torch.equal(value, expected[key]), key


@pytest.mark.parametrize('name', NETWORKS)
@torch.no_grad()
def test_predicts_on_a_network(name, make_bst, batch):
    model = make_bst(predict_on=name).eval()
    network = model.networks()[name]
    results = model(batch[0], mode='predict')
    for result, expected in zip(results, network.predict(batch[0]), strict=True):
        assert torch.equal(result.seg_logits.data, expected.seg_logits.data)
    scores = model(batch[0], mode='tensor')
    assert torch.equal(scores, network(batch[0], mode='tensor'))


def test_predicts_on_the_second_by_default(make_bst):
    model = make_bst()
    assert model.predict_on == 'branch2'
    assert model.predictors() == ['branch1', 'branch2', 'fusion']
    assert list(model.networks()) == ['branch1', 'branch2']


def test_bad_values(make_bst, bst_config):
    with pytest.raises(ValueError, match=r'fusion_weight=1.5 must be in \[0, 1\]'):
        make_bst(fusion_weight=1.5)
    names = r"'branch1', 'branch2', 'fusion'"
    with pytest.raises(ValueError, match=rf"predict_on='teacher'.*\[{names}\]"):
        make_bst(predict_on='teacher')
    other = copy.deepcopy(bst_config['branch2'])
    other['decode_head']['num_classes'] = 5
    with pytest.raises(ValueError, match='segmentor has 4 classes and branch2 5'):
        make_bst(branch2=other)
    other = copy.deepcopy(bst_config['branch2'])
    other['data_preprocessor']['mean'] = [0, 0, 0]
    with pytest.raises(ValueError, match=r'branch2\.data_preprocessor differs'):
        make_bst(branch2=other)
    other = dict(bst_config['segmentor'])
    del other['data_preprocessor'], bst_config['branch2']['data_preprocessor']
    with pytest.raises(ValueError, match='no data_preprocessor: give it'):
        make_bst(segmentor=other)


def test_batch_with_branches(make_bst):
    message = r"branches \['sup', 'weak'\]: end the pipeline with PackSegInputs"
    with pytest.raises(ValueError, match=message):
        make_bst().train_step(dict(inputs=dict(sup=[], weak=[])), None)


@pytest.fixture
def runner(bst_config, tiny_images, tmp_path):
    """Return a function that builds a training of two steps and a validation."""

    def build(**kwargs: object) -> Runner:
        dataset = dict(
            type='BaseSegDataset',
            data_root=str(tiny_images),
            ann_file='labeled.txt',
            data_prefix=dict(img_path='images', seg_map_path='masks'),
            metainfo=dict(classes=('sky', 'road', 'tree', 'car')),
        )
        load = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
        crop = [dict(type='RandomCrop', crop_size=(33, 33)), dict(type='NoiseCutOut')]
        pack = [dict(type='PackSegInputs')]
        loader = dict(
            batch_size=2,
            num_workers=0,
            sampler=dict(type='InfiniteSampler', shuffle=True),
            dataset=dataset | dict(pipeline=load + crop + pack),
        )
        cfg = dict(
            model=ConfigDict(bst_config),
            work_dir=str(tmp_path / 'run'),
            train_dataloader=loader,
            train_cfg=dict(type='IterBasedTrainLoop', max_iters=2, val_interval=2),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
            val_dataloader=loader
            | dict(
                sampler=dict(type='DefaultSampler', shuffle=False),
                dataset=dataset | dict(pipeline=load + pack),
            ),
            val_cfg=dict(type='TeacherStudentValLoop'),
            val_evaluator=dict(type='IoUMetric', iou_metrics=['mIoU']),
            randomness=dict(seed=0),
            log_level='ERROR',
            default_scope='mmsemi',
            experiment_name=f'bst_{tmp_path.name}',
        )
        return Runner(**cfg | kwargs)

    return build


def test_two_steps_and_a_validation(runner):
    trained = runner()
    before = copy.deepcopy(trained.model.state_dict())
    trained.train()
    after = trained.model.state_dict()
    for name in NETWORKS:
        key = f'{name}.decode_head.conv_seg.weight'
        assert not torch.equal(before[key], after[key])
    metrics = trained.val_loop.run()
    assert metrics['mIoU'] == metrics['branch2/mIoU']
    assert 'branch1/mIoU' in metrics


def test_mean_teacher_hook_has_no_teacher_to_move(runner):
    wrong = runner(custom_hooks=[dict(type='MeanTeacherHook')])
    with pytest.raises(TypeError, match=r'with student and teacher.*BST'):
        wrong.train()
