"""p(x | z): the kinds of columns, the distribution of each, and columns of several kinds side by side."""

__all__ = []
