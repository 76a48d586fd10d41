from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel

from mmsemi.engine import SetIterHook


def test_model_knows_the_time_of_each_step(toy_runner):
    times = []

    class Reader(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            times.append(runner.model.time)

    toy_runner(custom_hooks=[SetIterHook(), Reader()]).train()
    assert times == [(i, 7) for i in range(7)]


def test_model_without_set_iter(toy_runner):
    class Plain(BaseModel):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(3, 1)

        def forward(self, inputs, mode):
            return dict(loss=self.layer(torch.stack(inputs)).mean())

    runner = toy_runner(model=Plain(), custom_hooks=[SetIterHook()])
    with pytest.raises(TypeError, match='the model is a Plain: remove the hook'):
        runner.train()


def test_validation_is_looked_at_before_the_first_step(toy_runner, toy_validation):
    class Tags:
        def check_image(self, path):
            if path == 'b.jpg':
                raise ValueError(f'{path} has no tags')

    class Listed(list):
        pipeline = SimpleNamespace(transforms=[object(), Tags()])

        def get_data_info(self, index):
            return dict(img_path='ab'[index] + '.jpg')

    images = [dict(inputs=torch.zeros(3))] * 2
    for dataset, refused in ((Listed(images[:1]), False), (Listed(images), True)):
        options = toy_validation({2: 1, 4: 1, 6: 1, 7: 1})
        options['val_dataloader']['dataset'] = dataset
        hook = SetIterHook()
        runner = toy_runner(custom_hooks=[hook], **options)
        if refused:
            with pytest.raises(ValueError, match=r'b\.jpg has no tags'):
                runner.train()
            assert runner.iter == 0
        else:
            runner.train()
