"""Why a row is strange: by how much its score falls if a column is made ordinary."""

import typing
from collections.abc import Callable

import numpy as np

from keras_ssvae.data.rows import PreparedRows
from keras_ssvae.networks import inference

__all__ = []

TILES = 7  # of an image, along a side


def explain(estimator: typing.Any, score: Callable, ordinary: np.ndarray, rows: typing.Any) -> np.ndarray:
    """Contributions of the columns of X, or of pixels, to the scores of rows, (n, d), which add up to them.

    Parameters
    ----------
    estimator : generative estimator
        Fitted.
    score : callable
        Rows -> scores, (n,).
    ordinary : (n_columns,) float32 array
        See `typical`.
    rows : LazyRows or PreparedRows
        The rows.
    """
    rows, table = rows[:], estimator.table_
    whole = score(rows)
    groups = np.arange(table.n_columns_) if table.image_shape_ is None else _tiles(table.image_shape_)
    expected = [np.broadcast_to(ordinary, rows.x.shape)]
    if hasattr(estimator.network_, "reconstruct"):
        expected.append(inference.run(estimator.network_, "reconstruct", rows))
    contributions = np.empty(rows.x.shape)
    for group in range(groups.max() + 1):
        columns = groups == group
        falls = [whole - score(_replaced(rows, columns, values)) for values in expected]
        contributions[:, columns] = np.maximum.reduce(falls)[:, None] / np.count_nonzero(columns)
    contributions += ((whole - contributions.sum(axis=1)) / contributions.shape[1])[:, None]
    return table.ungrouped(contributions)


def _replaced(rows, columns, values):
    """Rows with other values in some columns, which then are there."""
    x = np.where(columns, values, rows.x).astype(np.float32)
    more = {} if rows.observed is None else {"observed": np.where(columns, np.float32(1), rows.observed)}
    return PreparedRows(**{**rows.arrays, "x": x, **more})


def _tiles(image_shape):
    """The number of the tile of each value of an image, (n_columns,)."""
    height, width, channels = image_shape
    row, column = (np.arange(size) * min(TILES, size) // size for size in (height, width))
    tile = row[:, None] * min(TILES, width) + column
    return np.repeat(tile.ravel(), channels)


def typical(table: typing.Any, rows: PreparedRows) -> np.ndarray:
    """An ordinary encoded value of each column, of rows that are mostly normal: (n_columns,), medians or commonest levels."""
    x = rows.x if rows.observed is None else np.where(rows.observed > 0, rows.x, np.nan)
    values = np.zeros(x.shape[1], np.float32)
    for group in table.groups_:
        for j in range(group.start, group.stop):
            known = x[:, j][~np.isnan(x[:, j])]
            if len(known):
                levels, counts = np.unique(known, return_counts=True)
                values[j] = levels[counts.argmax()] if table.is_code(group) else np.median(known)
    return values
