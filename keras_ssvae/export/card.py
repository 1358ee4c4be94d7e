"""What is known of a fitted model, on a page in Markdown: nothing but what the model itself holds."""

import typing

import numpy as np
import pandas as pd

from keras_ssvae.data.schema_columns import Identifiers, Levels
from keras_ssvae.data.tables import TablePreprocessor

__all__ = ["card_of"]

HEADER = "column", "dtype", "read as", "values", "gaps"
MAX_LEVELS = 20  # of a column that are listed


def card_of(
    name: str, about: str, table: TablePreprocessor, labels: dict[str, float] | str, params: dict[str, typing.Any],
    history: pd.DataFrame, packages: dict[str, str],
) -> str:  # fmt: skip
    """The page of a model.

    Parameters
    ----------
    name, about : str
        The class of the model, and what it is in a sentence.
    table : TablePreprocessor
        Its columns.
    labels : dict or str
        Class -> weight of the rows that had it in the fit; or a sentence in place of a table.
    params : dict
        Parameters that are not the defaults.
    history : DataFrame
        A row an epoch.
    packages : dict
        Package -> version.
    """
    settings = [(f"`{key}`", f"`{value!r}`") for key, value in params.items()]
    parts = [
        f"# {name}\n\n{about}",
        "## Rows\n\n" + (_image_facts(table) if table.image_shape_ else _table(HEADER, _columns(table))),
        "## Labels\n\n" + (labels if isinstance(labels, str) else _table(("class", "weight of its rows"), labels.items())),
        f"## Training\n\n{len(history)} epochs; the last one:\n\n{_table(('measure', 'value'), _last(history))}",
        "## Parameters\n\n" + (_table(("parameter", "value"), settings) if settings else "All as by default."),
        "## Versions\n\n" + _table(("package", "version"), packages.items()),
        "## Not known to the model\n\nWhere the rows come from, whom they are about, what the answers are used for, and how "
        "good they are on other rows: whoever hands the model on says so here.",
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _table(header, rows):
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(_cell(value) for value in line)} |" for line in lines)


def _cell(value):
    text = f"{value:g}" if isinstance(value, (float, np.floating)) else str(value)
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")


def _image_facts(table):
    height, width, channels = table.image_shape_
    low, high = np.fmin.reduce(table.minimum_), np.fmax.reduce(table.maximum_)
    return (
        f"Images of {height} x {width} pixels and {channels} channel{'s' if channels > 1 else ''}, values from {low:g} to "
        f"{high:g}, read as {table.kinds_[0]}{', with gaps' if table.incomplete_.any() else ''}."
    )


def _columns(table):
    """A line a column: name, dtype, likelihood, range or levels, gaps."""
    schema = table.schema_
    columns = schema.columns or [None] * table.n_columns_
    ends = table.ungrouped(np.stack([table.minimum_, table.maximum_]))
    gaps = table.ungrouped(table.incomplete_)
    for j, (column, kind) in enumerate(zip(columns, table.kinds_, strict=True)):
        name = j if schema.names is None else schema.names[j]
        dtype = schema.dtype if column is None else column.dtype
        if isinstance(column, Identifiers):
            yield name, dtype, "left out", "", ""
        else:
            yield name, dtype, kind, _values(column, ends[:, j]), "yes" if gaps[j] else "no"


def _values(column, ends):
    if isinstance(column, Levels):
        more = len(column.levels) - MAX_LEVELS
        return ", ".join(map(str, column.levels[:MAX_LEVELS])) + (f" and {more} more" if more > 0 else "")
    if np.isnan(ends).any():
        return "none"
    if column is None:
        return f"{ends[0]:g} to {ends[1]:g}"
    low, high = pd.Series(column.values(ends)).tolist()
    return " to ".join(f"{end:g}" if isinstance(end, float) else str(end) for end in (low, high))


def _last(history):
    """What the last epoch says, without what it does not."""
    return [(key, value) for key, value in history.iloc[-1].items() if not pd.isna(value)] if len(history) else []
