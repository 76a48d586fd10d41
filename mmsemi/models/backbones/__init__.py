from .conformer_cam import ConformerCam
from .resnet38 import ResNet38

__all__ = ['ConformerCam', 'ResNet38']
