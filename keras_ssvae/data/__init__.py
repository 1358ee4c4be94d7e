"""From what a user passes to rows that a network reads, and back: columns, labels, scaling, batches, sources on disk."""

__all__ = []
