"""Files of rows in a folder, Parquet or CSV."""

from __future__ import annotations

import os
import re
import typing
from collections.abc import Iterator, Sequence

import pandas as pd

from keras_ssvae.data.csv_files import blocks_of_csv
from keras_ssvae.data.folders import Folder, open_folder

__all__ = []

SUFFIXES = {".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".csv.gz": "csv"}


class Files(typing.NamedTuple):
    """The files of rows of a folder, or the one at an address.

    Attributes
    ----------
    folder : Folder
        Where they are; with the address of a file, that file.
    names : list of str
        Their names there, sorted; [""] is the file itself.
    kind : str
        What all of them are, "parquet" or "csv".
    """

    folder: Folder
    names: list[str]
    kind: str


def files_of(address: str | os.PathLike) -> Files:
    """The files of rows of a file or folder, but hidden ones and those whose names begin with "_"."""
    folder = open_folder(address)
    kind = folder.kind()
    if kind is None:
        raise FileNotFoundError(f"X={str(folder)!r} is no file or folder.")
    names = [""] if kind == "file" else folder.names(below=True)
    names = [name for name in names if not any(part.startswith((".", "_")) for part in name.split("/"))]
    formats = {n: SUFFIXES[end] for n in names for end in SUFFIXES if folder.path_of(n).lower().endswith(end)}
    if not formats:
        raise FileNotFoundError(f"X={str(folder)!r} holds no file that ends in {', '.join(SUFFIXES)}.")
    if len(set(formats.values())) > 1:
        raise ValueError(f"X={str(folder)!r} holds Parquet and CSV files; only one of them can be the rows.")
    return Files(folder, list(formats), next(iter(formats.values())))


def csv_blocks(folder: Folder, name: str, rows: int) -> Iterator[pd.DataFrame]:
    """The rows of a CSV file, `rows` at a time."""
    path = folder.path_of(name)
    with folder.open(name) as file:
        yield from blocks_of_csv(file, rows, path, "gzip" if path.lower().endswith(".gz") else None)


def parquet_file(folder: Folder, name: str) -> typing.Any:
    """A pyarrow ParquetFile."""
    _check_pyarrow()
    import pyarrow.parquet

    return pyarrow.parquet.ParquetFile(folder.path_of(name), filesystem=folder.filesystem)


def parquet_dataset(folder: Folder, names: Sequence[str]) -> typing.Any:
    """Files as one pyarrow Dataset; folders named key=value are columns."""
    _check_pyarrow()
    import pyarrow.dataset

    paths = [folder.path_of(name) for name in names]
    settings = {
        "source": paths,
        "format": "parquet",
        "partitioning": "hive",
        "partition_base_dir": None if list(names) == [""] else folder.path_of(""),
        "filesystem": folder.filesystem,
    }
    schemas = [_schema_of(path, folder.filesystem) for path in paths]
    known = set(schemas[0].names)
    odd = {name for schema in schemas for name in known.symmetric_difference(schema.names)}
    numbered = {name for name in odd if re.fullmatch(r"__index_level_\d+__", name)}  # the index of some frames, by pandas
    odd -= numbered
    if odd:
        raise ValueError(f"All files of X must have the same columns; not in all of them are {sorted(odd)[:20]}.")
    for name in known - numbered:  # of another type from file to file
        if re.fullmatch(r"__index_level_\d+__", name) and len({schema.field(name).type for schema in schemas}) > 1:
            numbered.add(name)
    found = [pyarrow.dataset.dataset(**settings).schema, *schemas]
    if numbered:  # rows are numbered through, and what pandas says of an index is left out
        found = [pyarrow.schema([field for field in schema if field.name not in numbered]) for schema in found]
    try:
        schema = pyarrow.unify_schemas(found, promote_options="permissive")  # numbers that are whole here only
    except pyarrow.ArrowTypeError as error:
        raise ValueError(f"A column of X must be of one type in all files. {error}") from error
    return pyarrow.dataset.dataset(**settings, schema=schema)


def _schema_of(path, filesystem):
    """The columns of a Parquet file."""
    import pyarrow.parquet

    try:
        schema = pyarrow.parquet.read_schema(path, filesystem=filesystem)
    except pyarrow.ArrowInvalid as error:
        raise ValueError(f"{path} is no Parquet file of rows: {error}") from error
    if len(set(schema.names)) < len(schema.names):
        twice = sorted({name for name in schema.names if schema.names.count(name) > 1})
        raise ValueError(f"X must have unique column names; duplicates in {path} are {twice[:20]}.")
    return schema


def _check_pyarrow():
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "Parquet files are read by pyarrow, which is not installed: pip install 'keras_ssvae[streaming]'."
        ) from error
