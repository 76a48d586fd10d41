from .contrastive_head import RepresentationHead, build_contrastive_head
from .u2pl_head import U2PLHead

__all__ = ['RepresentationHead', 'U2PLHead', 'build_contrastive_head']
