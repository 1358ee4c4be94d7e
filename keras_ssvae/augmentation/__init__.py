"""Generated rows beside the given ones: as a function, a sampler and a classifier."""

__all__ = []
