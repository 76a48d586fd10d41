"""A method built small, and a batch for it, without data or runner."""

import copy
import logging
from collections.abc import Callable, Iterator

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import MMLogger
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor

from mmsemi.models import BST, SemiBaseSegmentor
from mmsemi.models.decode_heads.decoding import represent
from mmsemi.registry import MODELS

U2PL = dict(bank_size=60, bank_size_first=80, num_anchors=7, num_negatives=9)
Batch = tuple[dict[str, Tensor], dict[str, list[SegDataSample]]]


@pytest.fixture(autouse=True)
def quiet(default_scope: None) -> Iterator[None]:
    """Resolve types in mmsemi, and do not log each initialised parameter."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.ERROR)
    yield
    logger.setLevel(level)


@pytest.fixture
def make_method(tiny_segmentor: dict) -> Callable[..., SemiBaseSegmentor]:
    """Return a function that builds and initialises a method, in train mode."""

    def make(kind: str, sharp: float = 1, **kwargs: object) -> SemiBaseSegmentor:
        """``sharp`` scales the classifier, so that predictions are not uniform."""
        torch.manual_seed(0)
        kwargs.setdefault('segmentor', copy.deepcopy(tiny_segmentor))
        model = MODELS.build(ConfigDict(type=kind, **kwargs))
        model.init_weights()
        model.student.decode_head.conv_seg.weight.data.mul_(sharp)
        model.teacher.load_state_dict(model.student.state_dict())
        model.set_iter(5, 10)
        return model.train()

    return make


@pytest.fixture
def make_batch() -> Callable[..., Batch]:
    """Return a function that draws 2 + 2 normalised images and their samples."""

    def make(size: int = 33, num_classes: int = 4, seed: int = 0) -> Batch:
        generator = torch.Generator().manual_seed(seed)

        def images() -> Tensor:
            # coarse structure: with white noise all pixels look alike
            coarse = torch.randn(2, 3, 5, 5, generator=generator)
            return torch.nn.functional.interpolate(coarse * 2, (size, size))

        branches = ('sup', 'unsup_teacher', 'unsup_student')
        inputs = {name: images() for name in branches}
        samples: dict[str, list[SegDataSample]] = {name: [] for name in branches}
        for i in range(2):
            sample = SegDataSample()
            label = torch.randint(num_classes, (1, 5, 5), generator=generator)
            label = torch.nn.functional.interpolate(label[None].float(), (size, size))
            label = label[0].long()
            label[:, :2] = 255
            sample.gt_sem_seg = PixelData(data=label)
            samples['sup'].append(sample)
            for name in branches[1:]:
                sample = SegDataSample()
                valid = torch.ones(1, size, size, dtype=torch.bool)
                # other columns of each image: mixing must move them as well
                valid[:, :, size - 3 - 4 * i :] = False
                sample.valid = PixelData(data=valid)
                samples[name].append(sample)
        return inputs, samples

    return make


@pytest.fixture
def u2pl(
    make_method: Callable[..., SemiBaseSegmentor], tiny_segmentor: dict, batch: Batch
) -> Callable[..., SemiBaseSegmentor]:
    """Return a function that builds U2PL with a teacher that is not the student."""
    tiny_segmentor['decode_head']['num_classes'] = 5

    def build(**kwargs):
        settings = dict(U2PL, sharp=150, rep_channels=6, mix_prob=1.0) | kwargs
        settings.setdefault('segmentor', tiny_segmentor)
        model = make_method('U2PL', **settings)
        # running statistics that fit: else all predictions in eval mode are alike
        model.teacher.train()
        with torch.no_grad():
            for _ in range(30):
                represent(model.teacher, torch.cat(list(batch[0].values())))
        model.teacher.eval()
        for parameter in model.teacher.parameters():
            parameter.data.mul_(1.05)
        return model

    return build


@pytest.fixture
def batch(make_batch: Callable[..., Batch]) -> Batch:
    """Return a batch of 2 + 2 images whose features are 8 x 8."""
    return make_batch(29, 5)


@pytest.fixture
def bst_config(tiny_segmentor: dict) -> dict:
    """Return the config of BST, its second network with branch attention."""
    branch2 = copy.deepcopy(tiny_segmentor)
    branch2['decode_head'] |= dict(type='BranchAttentionSepASPPHead')
    branch2['decode_head'] |= dict(attention_groups=4)
    return dict(type='BST', segmentor=tiny_segmentor, branch2=branch2)


@pytest.fixture
def make_bst(bst_config: dict) -> Callable[..., BST]:
    """Return a function that builds BST, initialised, with predictions that vary."""

    def build(**kwargs: object) -> BST:
        torch.manual_seed(0)
        model = MODELS.build(ConfigDict(bst_config | kwargs))
        model.init_weights()
        for network in model.networks().values():
            network.decode_head.conv_seg.weight.data.mul_(300)
            network.train()
            with torch.no_grad():
                for _ in range(20):
                    coarse = 2 * torch.randn(4, 3, 5, 5)
                    images = torch.nn.functional.interpolate(coarse, (33, 33))
                    network(images)
                mean = network.eval()(images).mean((0, 2, 3))
                network.decode_head.conv_seg.bias.sub_(mean)
        return model.train()

    return build
