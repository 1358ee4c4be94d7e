"""The columns of tables, a panel each: histograms of numbers and dates, bars of categories, for several groups of rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

from keras_ssvae.data.containers import opened
from keras_ssvae.data.schema import as_frame

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = []

MAX_PANELS = 16
MAX_LEVELS = 8
N_BINS = 20
REST = "all others"


def as_table(X: Any) -> pd.DataFrame:
    """Rows as a DataFrame; the columns of an array are numbered."""
    X = in_memory(X)
    return X if isinstance(X, pd.DataFrame) else pd.DataFrame(np.reshape(X, (len(X), -1)))


def in_memory(X: Any) -> np.ndarray | pd.DataFrame:
    """Rows in any container that estimators read as an array, or a DataFrame; a TypeError of what is read in blocks."""
    X = opened(X)
    if sparse.issparse(X):
        return X.toarray()
    frame = as_frame(X)
    if isinstance(X, (list, tuple)):
        return np.asarray(X, dtype=None if frame is None else object)
    if not isinstance(X, np.ndarray) and frame is None:
        raise TypeError(f"X must be rows in memory, an array or a DataFrame; got {type(X).__name__}.")
    return X if isinstance(X, np.ndarray) else frame


def has_decimals(y: np.ndarray) -> bool:
    """Whether y, (n,), is numbers of which some have decimals, and not names of classes."""
    return all(isinstance(value, (float, np.floating)) for value in y) and bool((y.astype(float) % 1 != 0).any())


def shown(columns: Sequence) -> list:
    """The columns that have a panel: all, or as many as there is room for."""
    return list(columns)[:MAX_PANELS]


def draw_spread(ax: Axes, columns: Mapping[str, pd.Series], colors: Mapping[str, Any], filled: Sequence[str] = ()) -> None:
    """How the values of a column are spread, in each of some groups of rows.

    Parameters
    ----------
    ax : Axes
        The panel.
    columns : dict of str to Series
        The values of the column by group.
    colors : dict of str to colour
        Of each group.
    filled : sequence of str, default=()
        The groups that are drawn as areas, below the outlines of the others.
    """
    values = pd.concat(list(columns.values()), ignore_index=True)
    if is_measured(values):
        _draw_histograms(ax, columns, values, colors, filled)
    else:
        _draw_bars(ax, columns, values, colors)
    ax.set_ylabel("share of the rows")


def is_measured(values: pd.Series) -> bool:
    """Whether a column holds numbers or times, of which more than a few differ; else each value has a bar."""
    if pd.api.types.is_bool_dtype(values):
        return False
    if pd.api.types.is_datetime64_any_dtype(values) or pd.api.types.is_timedelta64_dtype(values):
        return True
    return pd.api.types.is_numeric_dtype(values) and values.nunique() > MAX_LEVELS


def _draw_histograms(ax, columns, values, colors, filled):
    if pd.api.types.is_timedelta64_dtype(values):
        columns = {name: column.dt.total_seconds() for name, column in columns.items()}
        values = values.dt.total_seconds()
        ax.set_xlabel("seconds")
    low, high = values.quantile([0.005, 0.995])  # a few far values would leave one bar of all others
    if pd.api.types.is_datetime64_any_dtype(values):
        edges = pd.date_range(low, high if high > low else low + pd.Timedelta(days=1), N_BINS + 1).to_numpy()
        ax.tick_params(axis="x", labelrotation=30)
    else:
        edges = np.linspace(float(low), float(high) if high > low else float(low) + 1.0, N_BINS + 1)
    for name, column in columns.items():
        inside = column.dropna().to_numpy(edges.dtype).clip(edges[0], edges[-1])
        style = {"histtype": "stepfilled", "alpha": 0.6} if name in filled else {"histtype": "step", "linewidth": 1.5}
        weights = np.full(len(inside), 1 / max(len(column), 1))
        ax.hist(inside, bins=edges, weights=weights, color=colors[name], label=name, **style)


def _draw_bars(ax, columns, values, colors):
    levels = list(values.value_counts().index[:MAX_LEVELS])
    if isinstance(values.dtype, pd.CategoricalDtype) or pd.api.types.is_numeric_dtype(values):
        levels = sorted(levels, key=list(values.cat.categories).index if hasattr(values, "cat") else None)
    names = [str(level) for level in levels] + ([REST] if values.nunique() > len(levels) else [])
    width = 0.8 / len(columns)
    for k, (name, column) in enumerate(columns.items()):
        shares = [float((column == level).sum()) for level in levels]
        heights = np.array([*shares, column.notna().sum() - sum(shares)])[: len(names)] / max(len(column), 1)
        ax.bar(np.arange(len(names)) + (k - (len(columns) - 1) / 2) * width, heights, width, color=colors[name], label=name)
    ax.set_xticks(np.arange(len(names)), names, rotation=30 if max(map(len, names), default=0) > 4 else 0, ha="center")


def draw_agreement(ax: Axes, original: pd.Series, reconstruction: pd.Series, color: Any, given: Any) -> None:
    """A column and the model's version of it: numbers against each other, the diagonal dotted; categories as bars of both."""
    if not is_measured(original):
        draw_spread(ax, {"original": original, "reconstruction": reconstruction}, {"original": given, "reconstruction": color})
        return
    x, y = (v.dt.total_seconds() if pd.api.types.is_timedelta64_dtype(v) else v for v in (original, reconstruction))
    ax.scatter(x, y, s=9, color=color, alpha=0.6, linewidth=0, label="rows")
    ends = [x.min(), x.max()]
    ax.plot(ends, ends, color=given, linestyle=":", label="perfect")
    ax.set(xlabel="original", ylabel="reconstruction")
    ax.tick_params(axis="x", labelrotation=30 if hasattr(x, "dt") else 0)
