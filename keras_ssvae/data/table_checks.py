"""Whether a `TablePreprocessor` from a file is one: kinds, groups and scales of the same columns."""

import math
import typing

import numpy as np

from keras_ssvae.data.schema import Schema
from keras_ssvae.data.schema_columns import Levels
from keras_ssvae.likelihoods.columns import LIKELIHOODS
from keras_ssvae.likelihoods.kinds import ColumnGroup
from keras_ssvae.registry import require

__all__ = []


def check_table(table: typing.Any, n_quantiles: int) -> None:
    """Raise a ValueError unless all attributes of a fitted table fit together; those that follow from others are not read."""
    shape, n_columns, schema = table.row_shape_, table.n_columns_, table.schema_
    require(isinstance(schema, Schema) and isinstance(table.likelihood, (str, dict)), "a table has no columns")
    is_shape = isinstance(shape, tuple) and 1 <= len(shape) <= 3 and all(type(n) is int and n > 0 for n in shape)
    require(is_shape and n_columns == math.prod(shape), f"rows of shape {shape!r:.60} have no {n_columns!r:.60} columns")
    image = None if len(shape) == 1 else (*shape[:2], shape[2] if len(shape) == 3 else 1)
    require(table.image_shape_ == image, f"rows of shape {shape} are no images of shape {table.image_shape_!r:.60}")
    _check_numbers(table, (n_columns,))
    _check_quantiles(table.quantiles_, (n_columns, n_quantiles))
    _check_groups(table, n_columns)


def _check_numbers(table, shape):
    for name in ("center_", "scale_", "link_center_", "link_scale_", "minimum_", "maximum_"):
        value, kinds = getattr(table, name), "fiub" if name.endswith("mum_") else "f"  # images may be whole numbers
        numbers = isinstance(value, np.ndarray) and value.shape == shape and value.dtype.kind in kinds
        require(numbers and not np.isinf(value).any(), f"{name} has not one number for each column")
    for name in ("center_", "scale_", "link_center_", "link_scale_"):
        value = getattr(table, name)
        positive = not name.endswith("scale_") or (value > 0).all()
        require(positive and not np.isnan(value).any(), f"{name} is not a number, or no scale, for some columns")
    for one, other in (("center_", "scale_"), ("link_center_", "link_scale_"), ("minimum_", "maximum_")):
        require(getattr(table, one).dtype == getattr(table, other).dtype, f"{one} and {other} have different dtypes")
    gaps = np.isnan(table.minimum_)
    require((gaps == np.isnan(table.maximum_)).all(), "only one end of a column is known")
    require((table.minimum_ <= table.maximum_)[~gaps].all(), "the range of a column is empty")
    for name in ("incomplete_", "graded_"):
        value = getattr(table, name)
        require(isinstance(value, np.ndarray) and value.shape == shape and value.dtype == bool, f"{name} is no mark of columns")
    require(table.incomplete_[gaps].all(), "a column without a value has no gap")


def _check_quantiles(quantiles, shape):
    numbers = isinstance(quantiles, np.ndarray) and quantiles.shape == shape and quantiles.dtype == np.float32
    require(numbers and not np.isinf(quantiles).any(), "quantiles_ are not those of the columns")
    known = ~np.isnan(quantiles)
    require((known.all(axis=1) == known.any(axis=1)).all(), "some quantiles_ of a column are missing")
    require((np.diff(quantiles[known.all(axis=1)], axis=1) >= 0).all(), "quantiles_ are not in order")


def _check_groups(table, n_columns):
    """Groups side by side, of the kinds and levels of the columns, in the order in which `TablePreprocessor` puts them."""
    kinds, groups, order, columns = table.kinds_, table.groups_, table._order, table.schema_.columns
    require(isinstance(groups, list) and all(isinstance(g, ColumnGroup) for g in groups), "groups_ are none")
    require(isinstance(kinds, list) and len(groups) > 0, "kinds_ are none")
    known = all(isinstance(k, str) and k in LIKELIHOODS for k in [*kinds, *(g.kind for g in groups)])
    require(known and len(kinds) == (1 if table.image_shape_ else n_columns), f"kinds_ are {kinds!r:.200}")
    ends = [0, *(g.stop for g in groups)]
    require([g.start for g in groups] == ends[:-1] and ends[-1] == n_columns, "groups_ are not side by side")
    for g in groups:
        kind = LIKELIHOODS[g.kind].kind
        some = g.n_levels > 0 or not kind.is_code
        require(some and g.n_levels == kind.group_levels(g.n_levels), f"{g} has impossible levels")
    if table.image_shape_:
        require(order is None and columns is None and [g.kind for g in groups] == kinds, "pixels have several kinds")
        return
    require(columns is None or len(columns) == n_columns, f"{len(columns or ())} columns of {n_columns}")
    if order is None:
        order = np.arange(n_columns)
    whole = isinstance(order, np.ndarray) and order.dtype.kind == "i" and order.shape == (n_columns,)
    require(whole and (np.sort(order) == np.arange(n_columns)).all(), "the order of the columns is none")
    keys = [(g.kind, g.n_levels) for g in groups]
    require(keys == sorted(set(keys)), "groups_ are not in order")
    for g in groups:
        members = order[g.start : g.stop]
        require((np.diff(members) > 0).all() and all(kinds[j] == g.kind for j in members), "kinds_ are not those of groups_")
        if columns is not None and LIKELIHOODS[g.kind].kind.is_code:
            wrong = [j for j in members if isinstance(columns[j], Levels) and len(columns[j].levels) != g.n_levels]
            require(not wrong, f"columns {wrong} have other levels")
