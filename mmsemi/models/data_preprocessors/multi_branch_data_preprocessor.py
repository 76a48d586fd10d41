"""One preprocessor for batches of branches."""

import torch.nn.functional as F
from mmengine.model import BaseDataPreprocessor
from mmseg.models import SegDataPreProcessor

from mmsemi.registry import MODELS, model_class


@MODELS.register_module()
class MultiBranchDataPreprocessor(BaseDataPreprocessor):
    """Run the segmentor's own preprocessor on every branch.

    A training batch ``{'inputs': {branch: [Tensor]}, 'data_samples': {branch:
    [SegDataSample]}}`` becomes ``{'inputs': {branch: (N, 3, H, W)},
    'data_samples': {branch: [SegDataSample]}}``; where the preprocessor pads
    an image, its ``valid`` map is continued with False. A batch without
    branches (validation, test) goes through unchanged in form.

    Args:
        data_preprocessor: Config of the segmentor's preprocessor, usually
            mmseg's ``SegDataPreProcessor``.
    """

    def __init__(self, data_preprocessor: dict) -> None:
        super().__init__()
        self.data_preprocessor = MODELS.build(data_preprocessor)

    def forward(self, data: dict, training: bool = False) -> dict:
        """Move to the device, normalise, pad and stack each branch."""
        if not isinstance(data['inputs'], dict):
            return self.data_preprocessor(data, training)
        inputs, data_samples = {}, {}
        for branch in data['inputs']:
            part = self.data_preprocessor(
                dict(
                    inputs=data['inputs'][branch],
                    data_samples=data['data_samples'][branch],
                ),
                training,
            )
            inputs[branch], data_samples[branch] = part['inputs'], part['data_samples']
            for sample in part['data_samples']:
                if 'valid' in sample:
                    # only training pads and notes it; PixelData refuses a new
                    # size while it holds the old map
                    padding = sample.metainfo.get('padding_size', (0, 0, 0, 0))
                    valid = sample.valid.data
                    del sample.valid.data
                    sample.valid.data = F.pad(valid, padding)
        return dict(inputs=inputs, data_samples=data_samples)


def is_plain(data_preprocessor: dict) -> bool:
    """Whether the config of a preprocessor is that of mmseg's, for one branch."""
    kind = model_class(data_preprocessor)
    return isinstance(kind, type) and issubclass(kind, SegDataPreProcessor)
