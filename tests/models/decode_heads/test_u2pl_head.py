"""The paper's decoder: sizes and parameter counts of the reference."""

import pytest
import torch

from mmsemi.registry import MODELS

CONFIG = dict(
    type='mmsemi.U2PLHead',
    in_channels=2048,
    in_index=3,
    c1_in_channels=256,
    channels=256,
    num_classes=21,
    dropout_ratio=0.1,
    norm_cfg=dict(type='BN'),
    align_corners=True,
)


def count(*modules: torch.nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


def test_parameter_counts():
    head = MODELS.build(CONFIG)
    classifier = count(head.classifier, head.conv_seg)
    representation = count(head.representation)
    assert round(classifier / 1e6, 3) == 1.776
    assert round(representation / 1e6, 3) == 1.837
    # image pool and 1x1: 2048 x 256 each; three 3x3; 3x3 of 1280; 1x1 of 256, bias;
    # seven batch norms of 2 x 256
    rest = 2 * 2048 * 256 + 3 * 9 * 2048 * 256 + 9 * 1280 * 256 + 256 * 256 + 256
    rest += 7 * 512
    assert count(head) - classifier - representation == rest
    # the reference gives 21.84 M for all, which counts its low-level branch too
    assert count(head) / 1e6 == pytest.approx(21.84, abs=0.01)


def test_dilations():
    head = MODELS.build(CONFIG)
    assert [conv.conv.dilation[0] for conv in head.aspp] == [1, 12, 24, 36]


def test_output_shapes():
    config = CONFIG | dict(in_channels=32, c1_in_channels=8, channels=8, num_classes=5)
    head = MODELS.build(config | dict(rep_channels=6)).eval()
    # of a 65 x 65 image: stride 4 and 8, as 513 gives 129 and 65
    features = [
        torch.randn(1, channels, size, size)
        for channels, size in ((8, 17), (16, 9), (24, 9), (32, 9))
    ]
    with torch.no_grad():
        scores, rep = head.forward_with_representation(features)
        assert scores.shape == (1, 5, 17, 17) and rep.shape == (1, 6, 17, 17)
        torch.testing.assert_close(head(features), scores)
    assert head.rep_channels == 6


@pytest.mark.slow
def test_output_shapes_of_the_reference():
    head = MODELS.build(CONFIG).eval()
    features = [
        torch.randn(1, channels, size, size)
        for channels, size in ((256, 129), (512, 65), (1024, 65), (2048, 65))
    ]
    with torch.no_grad():
        scores, rep = head.forward_with_representation(features)
    assert scores.shape == (1, 21, 129, 129) and rep.shape == (1, 256, 129, 129)
