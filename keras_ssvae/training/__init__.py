"""From a network and rows to a trained network: the step, its cache, stages and epochs."""

__all__ = []
