import itertools
from pathlib import Path

import pytest
import torch
from mmcv.transforms import LoadImageFromFile
from mmengine.config import ConfigDict
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.models import EncoderDecoder

CLASSES = ('sky', 'road', 'tree', 'car')
NUMBERS = itertools.count()


@pytest.fixture
def method(tiny_segmentor) -> dict:
    return dict(type='MeanTeacher', segmentor=tiny_segmentor)


@pytest.fixture
def build(tiny_images, tmp_path):
    """Return ``build(model, loop, **changes)``, a Runner; student is not teacher."""

    def builder(model: dict, loop: str, **changes) -> Runner:
        dataset = dict(
            type='BaseSegDataset',
            data_root=str(tiny_images),
            ann_file='all.txt',
            data_prefix=dict(img_path='images', seg_map_path='masks'),
            metainfo=dict(classes=CLASSES),
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='LoadAnnotations'),
                dict(type='PackSegInputs'),
            ],
        )
        cfg = dict(
            model=ConfigDict(model),
            work_dir=str(tmp_path / 'run'),
            val_dataloader=dict(
                batch_size=2,
                num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=False),
                dataset=dataset,
            ),
            val_cfg=dict(type=loop),
            val_evaluator=dict(type='IoUMetric', iou_metrics=['mIoU', 'mDice']),
            randomness=dict(seed=0),
            log_level='ERROR',
            default_scope='mmsemi',
            experiment_name=f'val_{next(NUMBERS)}',
        )
        runner = Runner(**cfg | changes)
        # wide scores and the running statistics of noise: predictions that vary
        generator = torch.Generator().manual_seed(2)
        noise = torch.randn(20, 4, 3, 33, 33, generator=generator)
        for network in runner.model.children():
            if isinstance(network, EncoderDecoder):
                network.decode_head.conv_seg.weight.data.normal_(generator=generator)
                network.train()
                with torch.no_grad():
                    [network(images) for images in noise]
        return runner

    return builder


def test_a_fusion_is_validated_beside_its_networks(build, tiny_segmentor):
    method = dict(type='BST', segmentor=tiny_segmentor, branch2=tiny_segmentor)
    alone = {
        name: build(method | dict(predict_on=name), 'ValLoop').val()
        for name in ('branch1', 'branch2', 'fusion')
    }
    assert len({found['mIoU'] for found in alone.values()}) == 3
    fused = build(method | dict(predict_on='fusion'), 'TeacherStudentValLoop').val()
    named = {f'{n}/{k}': v for n, found in alone.items() for k, v in found.items()}
    assert fused == alone['fusion'] | named
    one = build(method, 'TeacherStudentValLoop').val()
    assert one['mIoU'] == alone['branch2']['mIoU'] and 'fusion/mIoU' not in one


def test_each_network_has_the_metrics_of_a_loop_of_its_own(build, method):
    alone = {
        name: build(method | dict(predict_on=name), 'ValLoop').val()
        for name in ('student', 'teacher')
    }
    assert alone['student'] != alone['teacher']
    for shown in alone:
        both = build(method | dict(predict_on=shown), 'TeacherStudentValLoop').val()
        named = {f'{n}/{k}': v for n, found in alone.items() for k, v in found.items()}
        assert both == alone[shown] | named
        # save_best='auto' takes the first
        assert list(both)[: len(alone[shown])] == list(alone[shown])


def test_two_runs_of_one_loop_do_not_add_up(build, method):
    runner = build(method, 'TeacherStudentValLoop')
    assert runner.val() == runner.val()


def test_each_image_is_loaded_once(build, method, monkeypatch):
    loaded = []
    transform = LoadImageFromFile.transform

    def counted(self, results):
        loaded.append(Path(results['img_path']).stem)
        return transform(self, results)

    monkeypatch.setattr(LoadImageFromFile, 'transform', counted)
    build(method, 'TeacherStudentValLoop').val()
    assert loaded == list('abcdef')


def test_hooks_see_the_network_of_predict_on_once_a_batch(build, method):
    seen = {}

    class Watch(Hook):
        def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            seen[batch_idx] = torch.stack([o.pred_sem_seg.data for o in outputs])

    method['predict_on'] = 'student'
    runner = build(method, 'TeacherStudentValLoop', custom_hooks=[Watch()])
    runner.val()
    assert list(seen) == [0, 1, 2]
    with torch.no_grad():
        for i, batch in enumerate(runner.val_dataloader):
            expected = runner.model.student.val_step(batch)
            expected = torch.stack([o.pred_sem_seg.data for o in expected])
            assert torch.equal(seen[i], expected)


def test_plain_segmentor_is_validated_as_mmengine_does(build, tiny_segmentor):
    assert (
        build(tiny_segmentor, 'TeacherStudentValLoop').val()
        == build(tiny_segmentor, 'ValLoop').val()
    )


def test_predict_on_is_restored_after_an_exception(build, method):
    class Broken(BaseMetric):
        def process(self, data_batch, data_samples):
            raise RuntimeError('no space left')

        def compute_metrics(self, results):
            return {}

    runner = build(method, 'TeacherStudentValLoop', val_evaluator=[Broken()])
    with pytest.raises(RuntimeError, match='no space left'):
        runner.val()
    assert runner.model.predict_on == 'teacher'

    def fail(*args, **kwargs):
        raise RuntimeError('inside the student')

    runner.model.student.predict = fail
    with pytest.raises(RuntimeError, match='inside the student'):
        runner.val()
    assert runner.model.predict_on == 'teacher'


@pytest.mark.parametrize('key', ['mIoU', 'teacher/mIoU', 'auto'])
def test_save_best(build, method, tiny_dataloader, tmp_path, key):
    checkpoint = dict(
        type='AtomicCheckpointHook', by_epoch=False, interval=1, save_best=key
    )
    if key == 'auto':
        checkpoint['rule'] = 'greater'
    runner = build(
        method,
        'TeacherStudentValLoop',
        train_dataloader=tiny_dataloader,
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=2, val_interval=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        default_hooks=dict(checkpoint=checkpoint),
        custom_hooks=[dict(type='MeanTeacherHook')],
    )
    runner.train()
    name = {'auto': 'aAcc'}.get(key, key)
    best = runner.message_hub.get_info('best_score')
    history, _ = runner.message_hub.get_scalar(f'val/{name}').data
    assert len(history) == 2 and best == history.max()
    step = 1 + history.argmax()
    [path] = (tmp_path / 'run').glob('best_*')
    assert path.name == f'best_{name.replace("/", "_")}_iter_{step}.pth'
