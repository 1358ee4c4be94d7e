"""Rows of CSV files in blocks, and errors that say which file it was."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import pandas as pd

__all__ = []


def blocks_of_csv(file: object, rows: int, name: object, compression: str | None = "infer") -> Iterator[pd.DataFrame]:
    """The rows of a CSV file in DataFrames of at most `rows` rows.

    Parameters
    ----------
    file : path or binary file
        What is read.
    rows : int
        Rows of a block.
    name : object
        What errors call the file.
    compression : str or None, default="infer"
        As in `pandas.read_csv`, which infers it from a path alone.

    Raises
    ------
    ValueError
        If it is no CSV file of rows.
    """
    with naming_file(name), pd.read_csv(file, chunksize=rows, compression=compression) as blocks:
        yield from blocks


@contextmanager
def naming_file(name: object) -> Iterator[None]:
    """Say which file it is that cannot be read as CSV, where pandas and gzip say what is wrong alone."""
    try:
        yield
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{name} is no CSV file of rows: {str(error).strip()}") from error
