"""Fitted models as graphs that read raw columns, for processes without this package; and what a page says of a model."""

__all__: list[str] = []
