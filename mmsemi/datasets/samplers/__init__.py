from .multi_source_sampler import MultiSourceSampler, check_batch_size

__all__ = ['MultiSourceSampler', 'check_batch_size']
