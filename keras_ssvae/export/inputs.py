"""What an exported model is given, a tensor a column, and how a graph makes of it what a network reads.

It does what `keras_ssvae.data.schema.Schema` and `keras_ssvae.data.tables.TablePreprocessor.encode` do, in TensorFlow.
"""

import dataclasses
import keyword
import re
import typing
from collections.abc import Callable, Iterable

import numpy as np
import tensorflow as tf

from keras_ssvae.data.column_base import Column
from keras_ssvae.data.number_columns import Numbers
from keras_ssvae.data.schema_columns import Identifiers, Levels
from keras_ssvae.data.tables import FLOATS, REACH, TablePreprocessor
from keras_ssvae.data.time_columns import Dates, Durations, Periods, TimesOfDay

__all__ = []

MISSING_INTEGER = int(np.iinfo(np.int64).min)  # of integers so long that they come as such, which know no NaN
WORDS = {
    Dates: "seconds since 1970-01-01 00:00 UTC, NaN where missing",
    Durations: "seconds, NaN where missing",
    TimesOfDay: "seconds since midnight, NaN where missing",
    Periods: "number of the period, 0 for that of 1970-01-01, NaN where missing",
}


@dataclasses.dataclass(frozen=True)
class Input:
    """A tensor that an exported model is given.

    Attributes
    ----------
    name : str
        Its name, in letters, digits and underscores.
    position : int or None
        Of the column in X; None where it is X as a whole.
    column : str or None
        The name of the column.
    spec : TensorSpec
        Its shape and dtype.
    words : str
        What to pass.
    numbers : callable
        Makes float64 of it, NaN where missing: what `Schema.read` gives.
    levels : list of str or None
        Of a column of texts: those that are known, in the order of their numbers.
    """

    name: str
    position: int | None
    column: str | None
    spec: tf.TensorSpec
    words: str
    numbers: Callable[[tf.Tensor], tf.Tensor]
    levels: list | None = None

    def as_position(self) -> "Input":
        """The same where texts were looked up before: float64, NaN where missing."""
        if self.levels is None:
            return self
        name = f"{self.name}.position"  # with a dot, which no column has
        return dataclasses.replace(self, name=name, spec=tf.TensorSpec((None,), tf.float64, name=name), numbers=tf.identity)


def inputs_of(table: TablePreprocessor, taken: Iterable[str] = ()) -> list[Input]:
    """The inputs of a fitted table: one for each column that is not left out, or a single one for an array of numbers.

    `taken` are names that none of them can have, those of what the graphs give.

    Raises a ValueError that names the column where TensorFlow cannot read a column of its kind.
    """
    schema = table.schema_
    if schema.columns is None:
        spec = tf.TensorSpec((None, *table.row_shape_), tf.float64, name="X")
        return [Input("X", None, None, spec, "numbers, NaN where missing", tf.identity)]
    names = [f"x{j}" for j in range(len(schema.columns))] if schema.names is None else [str(name) for name in schema.names]
    inputs: list[Input] = []
    unfit = {*taken, *keyword.kwlist, "self"}  # names are those of arguments, too
    for j, (column, name) in enumerate(zip(schema.columns, names, strict=True)):
        if not isinstance(column, Identifiers):
            dtype, words, numbers = _reader(column, repr(j) if schema.names is None else repr(schema.names[j]))
            plain = _plain(name, {*unfit, *(known.name for known in inputs)})
            levels = column.levels if isinstance(column, Levels) and dtype == tf.string else None
            inputs.append(Input(plain, j, name, tf.TensorSpec((None,), dtype, name=plain), words, numbers, levels))
    return inputs


def batch_of(table: TablePreprocessor, inputs: list[Input], tensors: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """The batch of a question to a network, {"x", "observed"}, of tensors by the names of the inputs."""
    numbers = {given.position: given.numbers(tensors[given.name]) for given in inputs}
    if None in numbers:
        flat = tf.reshape(numbers[None], (-1, table.n_columns_))
    else:
        left_out = tf.fill(tf.shape(numbers[inputs[0].position]), tf.constant(np.nan, tf.float64))
        flat = tf.stack([numbers.get(j, left_out) for j in range(table.n_columns_)], axis=1)
    return _encoded(table, flat)


def _encoded(table, flat):
    """`TablePreprocessor.encode` of numbers (n, d)."""
    coding = {name: tf.constant(v, tf.float64 if v.dtype.kind == "f" else v.dtype) for name, v in table.coding.items()}
    ordered = tf.gather(flat, coding["order"], axis=1)
    is_nan = tf.math.is_nan(ordered)
    missing = is_nan | coding["is_unknown"]
    x = (tf.where(is_nan, coding["center"], ordered) - coding["center"]) / coding["scale"]
    far = (tf.abs(x) > REACH) & coding["is_open"]
    size = tf.where(far, tf.minimum(tf.abs(x), FLOATS.max) / REACH, tf.constant(1.0, tf.float64))
    x = tf.where(far, tf.sign(x) * (REACH + tf.math.log(size)), tf.minimum(tf.maximum(x, coding["low"]), coding["high"]))
    x = tf.where(missing, coding["filler"], tf.where(coding["is_whole"], tf.round(x), x))
    return {"x": tf.cast(x, tf.float32), "observed": 1.0 - tf.cast(missing, tf.float32)}


def _plain(name, taken):
    """A name that all formats can have, and none of the others has."""
    plain = re.sub(r"\W", "_", name, flags=re.ASCII)
    plain = plain if re.match("[A-Za-z]", plain) else f"x{plain}"
    candidates = (plain if i == 1 else f"{plain}_{i}" for i in range(1, len(taken) + 2))
    return next(candidate for candidate in candidates if candidate.lower() not in {other.lower() for other in taken})


def _reader(column: Column, name: str) -> tuple[tf.DType, str, typing.Any]:
    """dtype, words and numbers of the input of a column."""
    if isinstance(column, Levels):
        return _levels_reader(column.levels, name)
    if isinstance(column, Dates) and column.format is not None:
        raise ValueError(
            f"column {name} holds dates as text, which a graph cannot read. Fit to dates, as pd.to_datetime makes them: what "
            f"is exported then takes {WORDS[Dates]}."
        )
    if isinstance(column, Numbers) and column.offset:
        return _long_integer_reader(column.offset, name)
    return tf.float64, WORDS.get(type(column), "a number, NaN where missing"), tf.identity


def _levels_reader(levels, name):
    if all(isinstance(level, str) for level in levels):
        missing = next(text for text in ("?" * i for i in range(len(levels) + 1)) if text not in levels)
        known, dtype, words = list(levels), tf.string, f'text, "{missing}" where missing'
    elif all(isinstance(level, (int, float, np.number, np.bool_)) and float(level) == level for level in levels):
        known, dtype, words = [float(level) for level in levels], tf.float64, "a number, NaN where missing"
    else:
        odd = next(level for level in levels if not isinstance(level, str))
        raise ValueError(
            f"column {name} holds categories such as {odd!r} of type {type(odd).__name__}, which a graph cannot look up. "
            "Fit to its text, `astype(str)`, or to numbers."
        )

    def numbers(values):
        matches = tf.equal(values[:, None], tf.constant(known, dtype)[None, :])
        position = tf.cast(tf.argmax(tf.cast(matches, tf.int32), axis=1), tf.float64)
        return tf.where(tf.reduce_any(matches, axis=1), position, tf.constant(np.nan, tf.float64))

    return dtype, words, numbers


def _long_integer_reader(offset, name):
    if not MISSING_INTEGER < offset <= np.iinfo(np.int64).max:
        raise ValueError(f"column {name} holds integers beyond int64, which no input can be. Fit to smaller ones.")

    def numbers(values):
        exact = tf.cast(values - offset, tf.float64)  # of other signs, differences may not fit, and floats lose nothing
        apart = tf.cast(values, tf.float64) - float(offset)
        differences = tf.where((values < 0) == (offset < 0), exact, apart)
        return tf.where(values == MISSING_INTEGER, tf.constant(np.nan, tf.float64), differences)

    return tf.int64, f"an integer, {MISSING_INTEGER} where missing", numbers
