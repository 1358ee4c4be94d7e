"""Rows from files and stdin, block by block, and answers to files and stdout."""

import functools
import io
import sys
import typing
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

__all__ = []

STDIO = "-"
BLOCK_ROWS = 8192
IN_MEMORY = 2 * 2**30  # bytes on disk; a fit to more reads its rows in blocks
PARQUET = (".parquet", ".pq")


def blocks_of(path: str, rows: int = BLOCK_ROWS) -> Iterator[pd.DataFrame]:
    """The rows of a CSV or Parquet file, of a folder of them, or of CSV on stdin ("-"), in DataFrames of `rows` rows."""
    from keras_ssvae.data.sources import Source, open_source  # with TensorFlow, which `--help` does not wait for

    source = Source(functools.partial(_csv, path)) if path == STDIO or _is_csv(path) else open_source(Path(path))
    assert source is not None  # a path always is one
    for block, _ in source.blocks(rows):
        yield block


def _is_csv(path):
    """Whether a path is a file that is read as CSV: any but those of Parquet."""
    return Path(path).is_file() and not path.endswith(PARQUET)


def _csv(path, rows, rng):
    from keras_ssvae.data.csv_files import blocks_of_csv

    yield from blocks_of_csv(*((_stream("stdin").buffer, rows, "stdin") if path == STDIO else (path, rows, path)))


def _stream(name):
    """A standard stream, which is None in Python where whoever started the process has closed it."""
    stream = getattr(sys, name)
    if stream is None:
        raise OSError(f"{name} is closed, so {STDIO!r} cannot stand for it; name a file.")
    return stream


def conditions_of(texts: Sequence[str]) -> dict:
    """What "column=value" and "column=low..high" ask of columns, as `sample` reads it."""
    found: dict = {}
    for text in texts:
        name, sign, wanted = text.partition("=")
        low, dots, high = wanted.partition("..")
        if not (name and sign and wanted) or name in found:
            raise ValueError(f"--where must be COLUMN=VALUE or COLUMN=LOW..HIGH, once a column; got {text!r}.")
        found[name] = (_value(low), _value(high)) if dots else _value(wanted)
    return found


def _value(text):
    """The number that a text stands for, or the text; None of nothing."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text or None


def read(paths: Sequence[str]) -> pd.DataFrame:
    """All rows of some files, one below the other; whole columns are read at once, so each has one type."""
    from keras_ssvae.data.csv_files import naming_file

    frames = []
    for path in paths:
        if path == STDIO:
            with naming_file("stdin"):
                frames.append(pd.read_csv(_stream("stdin").buffer))
        elif _is_csv(path):
            with naming_file(path):
                frames.append(pd.read_csv(path))
        else:
            frames.append(pd.concat(list(blocks_of(path)), ignore_index=True))
    for path, frame in zip(paths, frames, strict=True):
        check_same_columns(frames[0], frame, f"{path} has other columns than {paths[0]}")
    return pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]


def check_same_columns(one: pd.DataFrame, other: pd.DataFrame, words: str) -> None:
    """Raise a ValueError that begins with these words where a column is in one of two tables only."""
    odd = sorted(map(str, set(one) ^ set(other)))
    if odd:
        raise ValueError(f"{words}: not in both are {odd[:20]}.")


def bytes_of(paths: Sequence[str]) -> int:
    """The size of files and folders on disk; 0 for stdin."""
    files = [file for path in paths for file in ([Path(path)] if Path(path).is_file() else Path(path).rglob("*"))]
    return sum(file.stat().st_size for file in files if file.is_file())


def labels_of(frame: pd.DataFrame, target: str) -> pd.Series:
    """The column of the labels; whole numbers stay whole where some of them are missing."""
    if target not in frame:
        raise ValueError(f"--target {target!r} is no column of the rows; they have {list(frame)[:20]}.")
    return frame[target].convert_dtypes()


def split(
    frame: pd.DataFrame, target: str | None, drop: Sequence[str], labeled: bool = True
) -> tuple[pd.DataFrame, typing.Any]:
    """Columns and labels of a fit.

    Parameters
    ----------
    frame : DataFrame
        The rows.
    target : str or None
        The column of the labels; None for a fit without any.
    drop : sequence of str
        Columns that are not read.
    labeled : bool, default=True
        Whether the rows are those with labels: they have to have `target`, and what others have there is not read.
    """
    unknown = [name for name in drop if name not in frame]
    if unknown and labeled:
        raise ValueError(f"--drop names {unknown}, which is no column of the rows; they have {list(frame)[:20]}.")
    X = frame.drop(columns=[*drop, *([] if target is None else [target])], errors="ignore")
    if target is None:
        return X, None
    return X, labels_of(frame, target) if labeled else np.full(len(frame), None)


def columns_for(model: typing.Any, frame: pd.DataFrame) -> typing.Any:
    """The columns that a fitted model reads, of rows that may have others, too."""
    names = getattr(model, "feature_names_in_", None)
    if names is None:
        return frame.to_numpy()
    missing = [name for name in names if name not in frame]
    if missing:
        raise ValueError(
            f"The rows have no column {missing[:20]}, which the model was fitted with; they have {list(frame)[:20]}."
        )
    return frame[list(names)]


def known(y: pd.Series, mark: typing.Any) -> np.ndarray:
    """True where a row has a label."""
    from keras_ssvae.data.labels import is_unlabeled

    return ~np.asarray(is_unlabeled(y, mark), dtype=bool)


def write(frames: Iterable[pd.DataFrame], path: str) -> int:
    """Write DataFrames with the same columns, one below the other; the file is there as a whole, or not at all.

    Parameters
    ----------
    frames : iterable of DataFrame
        The rows, in blocks.
    path : str
        A file, Parquet by its ending, else CSV; "-" is CSV on stdout.

    Returns
    -------
    int
        The number of rows.
    """
    from keras_ssvae.serialization.files import write_atomically

    if path == STDIO:
        stdout = _stream("stdout")
        count = _write_csv(frames, stdout)
        stdout.flush()  # what cannot be written is to be noticed here
        return count
    counts = []
    is_parquet = path.endswith(PARQUET)

    def fill(file):
        counts.append(_write_parquet(frames, file) if is_parquet else _write_compressed(frames, file, path))

    write_atomically(path, fill)
    return counts[0]


def _write_compressed(frames, file, path):
    if not path.endswith(".gz"):
        text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        count = _write_csv(frames, text)
        text.detach()
        return count
    import gzip

    with gzip.GzipFile(fileobj=file, mode="wb", mtime=0) as packed, io.TextIOWrapper(packed, "utf-8", newline="") as text:
        return _write_csv(frames, text)


def _write_csv(frames, file):
    count = 0
    for number, frame in enumerate(frames):
        frame.to_csv(file, index=False, header=number == 0, lineterminator="\n")
        count += len(frame)
    return count


def _write_parquet(frames, file):
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ImportError('Parquet files are written by pyarrow: pip install "keras_ssvae[streaming]"') from error
    writer, count = None, 0
    try:
        for frame in frames:
            table = pa.Table.from_pandas(frame, preserve_index=False)
            writer = writer or pq.ParquetWriter(file, table.schema)
            writer.write_table(table.cast(writer.schema))
            count += len(frame)
    finally:
        if writer is not None:
            writer.close()
    return count
