"""Answers about the rows of a folder, as files beside the keys of the rows, by workers that Ray starts."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import typing
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from keras_ssvae.data.csv_files import blocks_of_csv
from keras_ssvae.data.sources import BLOCK_ROWS, files_of
from keras_ssvae.distributed.cluster import WorkerLostError, connected_ray, resources, start, stop
from keras_ssvae.serialization.files import write_atomically

__all__ = ["predict"]

ASKED = "_asked.json"  # what the answers in a folder are; a name that reading a folder passes over


class Piece(typing.NamedTuple):
    """Rows of one file, and the file of the answers about them."""

    path: Path
    start: int
    stop: int | None  # to its end
    answers: Path


def pieces_of(folder: Path, out: Path, rows_per_file: int) -> list[Piece]:
    """All rows of a folder; Parquet files of more rows are cut into pieces of `rows_per_file`."""
    files, kind = files_of(folder)
    found = []
    for path in files:
        name = out / (path.name if folder.is_file() else path.relative_to(folder))
        name = name.with_name(name.name.split(".")[0])
        count = None if kind == "csv" else _parquet_file(path).metadata.num_rows
        if count is None or count <= rows_per_file:
            found.append(Piece(path, 0, None, name.with_suffix(".parquet")))
            continue
        digits = len(str(count))
        for begin in range(0, count, rows_per_file):
            answers = name.with_name(f"{name.name}-{begin:0{digits}}.parquet")
            found.append(Piece(path, begin, min(begin + rows_per_file, count), answers))
    names = [piece.answers for piece in found]
    twice = sorted({str(name) for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise ValueError(f"Files of {str(folder)!r} differ in their endings only: there would be two of {twice[:5]}.")
    return found


def _parquet_file(path):
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError("Parquet files need pyarrow, which is not installed: pip install 'keras_ssvae[ray]'.") from error
    return pyarrow.parquet.ParquetFile(path)


def _is_csv(path):
    return path.name.lower().endswith((".csv", ".csv.gz"))


def blocks_of(piece: Piece, rows: int) -> Iterator[pd.DataFrame]:
    """The rows of a piece, block by block."""
    if _is_csv(piece.path):
        yield from blocks_of_csv(piece.path, rows, piece.path)
        return
    file, at = _parquet_file(piece.path), 0
    groups, stop = [], math.inf if piece.stop is None else piece.stop
    for i in range(file.metadata.num_row_groups):
        count = file.metadata.row_group(i).num_rows
        if at < stop and at + count > piece.start:
            groups.append((i, at))
        at += count
    if not groups:
        return
    at = groups[0][1]
    for batch in file.iter_batches(batch_size=rows, row_groups=[i for i, _ in groups]):
        first, last = max(piece.start - at, 0), int(min(stop - at, len(batch)))
        at += len(batch)
        if first < last:
            yield batch.slice(first, last - first).to_pandas()


def answers_about(model: typing.Any, frame: pd.DataFrame, methods: Sequence[str], keys: Sequence[str] | None) -> pd.DataFrame:
    """The keys of rows and, by method, what a model says of them: a column each, or several of numbers or names."""
    names = list(getattr(model, "feature_names_in_", []))
    missing = [name for name in [*names, *(keys or [])] if name not in frame]
    if missing:
        raise ValueError(f"Rows of a folder must have the columns of the fit, and keys; not there are {missing[:20]}.")
    keys = [name for name in frame if name not in names] if keys is None and names else list(keys or [])
    X = frame[names] if names else frame.drop(columns=keys).to_numpy()
    columns = {name: frame[name].reset_index(drop=True) for name in keys}
    for method in methods:
        values = getattr(model, method)(X)
        if np.ndim(values) == 1:
            columns[method] = pd.Series(np.asarray(values))
            continue
        parts = model.classes_ if method in ("predict_proba", "predict_log_proba") else getattr(values, "columns", None)
        parts = range(np.shape(values)[1]) if parts is None else parts
        several = pd.DataFrame(values).set_axis([f"{method}_{part}" for part in parts], axis=1).reset_index(drop=True)
        columns.update(several.items())
    clashing = sorted(set(keys) & {name for name in columns if name not in keys})
    if clashing:
        raise ValueError(f"keys have the names of answers: {clashing}.")
    return pd.DataFrame(columns)


def write_answers(model: typing.Any, piece: Piece, methods: Sequence[str], keys: Sequence[str] | None, block_rows: int) -> int:
    """Write the answers about a piece, as a whole or not at all; the number of rows. A piece without rows gives no file."""
    import pyarrow
    import pyarrow.parquet

    blocks = (answers_about(model, frame, methods, keys) for frame in blocks_of(piece, block_rows) if len(frame))
    first = next(blocks, None)
    if first is None:
        return 0
    total = 0
    schema = pyarrow.Schema.from_pandas(first, preserve_index=False)
    if not _is_csv(piece.path):  # keys as they are there: those of one block may all be missing
        there = _parquet_file(piece.path).schema_arrow
        schema = pyarrow.schema([there.field(f.name) if f.name in there.names and f.name not in methods else f for f in schema])

    def write(file):
        nonlocal total
        with pyarrow.parquet.ParquetWriter(file, schema) as writer:
            for frame in itertools.chain([first], blocks):
                writer.write_table(pyarrow.Table.from_pandas(frame, schema=schema, preserve_index=False))
                total += len(frame)

    piece.answers.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(piece.answers, write)
    return total


class AnsweringWorker:
    """One process that answers, with one model."""

    def __init__(self, model: typing.Any, *asked: typing.Any):
        self.model, self.asked = model, asked

    def ready(self) -> bool:
        """Whether the model is there."""
        return True

    def answer(self, piece: Piece) -> int:
        """Write the answers about a piece; the number of rows."""
        return write_answers(self.model, piece, *self.asked)


def predict(
    model: typing.Any, X: str | os.PathLike, out: str | os.PathLike, *, methods: Sequence[str] = ("predict_proba",),
    num_workers: int, keys: Sequence[str] | None = None, rows_per_file: int = 100_000, block_rows: int = BLOCK_ROWS,
    max_failures: int = 0, resources_per_worker: dict[str, float] | None = None, verbose: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """Answers about all rows of a folder, as Parquet files, by processes on the machines of a Ray cluster.

    Each file, or piece of one, gives one file of answers, which is there as a whole or not at all. A second call, after the
    first was lost, makes those that are not there yet. A worker keeps one model, and one block of rows, in memory.

    Parameters
    ----------
    model : GenerativeEstimator
        Fitted.
    X : str or path-like
        Folder of Parquet or CSV files, or a file, by the same path on all machines.
    out : str or path-like
        Folder for the answers, which is made. The name of each file is that of the file of its rows.
    methods : sequence of str, default=("predict_proba",)
        Methods of the model that answer row by row. Of one number or label a row comes a column of the name of the method, of
        several "predict_proba_cat", "transform_0", ...
    num_workers : int
        Processes. More than there are files of answers to make are not started.
    keys : sequence of str, default=None
        Columns that are written beside the answers. None: all that the model does not read.
    rows_per_file : int, default=100_000
        Parquet files of more rows are cut into pieces.
    block_rows : int, default=8192
        Rows in memory.
    max_failures : int, default=0
        How many workers may be lost, and are replaced.
    resources_per_worker : dict, default=None
        As in `keras_ssvae.distributed.fit`.
    verbose : int, default=0
        With 1 a bar shows how many files are done.

    Returns
    -------
    done : DataFrame
        A row for each file of answers: "file", "rows" (NaN where it was there before) and "worker" (-1 there).

    Raises
    ------
    WorkerLostError
        If more workers were lost than `max_failures`.
    ValueError
        If `out` holds answers of another model, or to other questions.
    """
    _check_positive(num_workers=num_workers, rows_per_file=rows_per_file, block_rows=block_rows, max_failures=max_failures + 1)
    out, asked = Path(out).absolute(), (list(methods), None if keys is None else list(keys))
    pieces = _begun(model, Path(X).absolute(), out, rows_per_file, *asked)
    done = {piece: (math.nan, -1) for piece in pieces if piece.answers.exists()}
    left = deque(piece for piece in pieces if piece not in done)
    if left:
        ray, count = connected_ray(), min(num_workers, len(left))
        arguments = [ray.put(model), *asked, block_rows]
        with tqdm(total=len(pieces), initial=len(done), disable=not verbose, unit="file") as bar:
            for piece, rows, number in _answered(ray, left, count, resources(resources_per_worker), arguments, max_failures):
                done[piece] = rows, number
                bar.update()
    return pd.DataFrame([(str(p.answers.relative_to(out)), *done[p]) for p in pieces], columns=["file", "rows", "worker"])


def _check_positive(**numbers):
    wrong = sorted(name for name, value in numbers.items() if value < 1)
    if wrong:
        raise ValueError(f"num_workers, rows_per_file and block_rows must be positive, max_failures not negative: {wrong}.")


def _begun(model, folder, out, rows_per_file, methods, keys):
    """The pieces of a folder, and a folder for the answers that says what was asked."""
    pieces = pieces_of(folder, out, rows_per_file)
    if not methods or not all(hasattr(model, name) for name in methods):
        raise ValueError(f"methods must be methods of {type(model).__name__}; got {methods}.")
    out.mkdir(parents=True, exist_ok=True)
    _note(out / ASKED, {"model": _fingerprint(model), "methods": methods, "keys": keys, "rows_per_file": rows_per_file})
    return pieces


def _answered(ray, left, count, options, arguments, max_failures):
    """(piece, rows, number of the worker), as they are done."""
    failures, working = 0, {}
    actors = start(ray, AnsweringWorker, count, options, *arguments)
    try:
        for number, actor in enumerate(actors):
            piece = left.popleft()
            working[actor.answer.remote(piece)] = piece, number
        while working:
            (task,), _ = ray.wait(list(working), num_returns=1)
            piece, number = working.pop(task)
            try:
                rows = ray.get(task)
            except ray.exceptions.RayActorError as error:
                failures += 1
                if failures > max_failures:
                    raise WorkerLostError(f"{failures} workers were lost, max_failures={max_failures}: {error}") from error
                left.appendleft(piece)
                (actors[number],) = start(ray, AnsweringWorker, 1, options, *arguments)
            else:
                yield piece, rows, number
            if left:
                piece = left.popleft()
                working[actors[number].answer.remote(piece)] = piece, number
    finally:
        stop(ray, actors)


def _note(path, asked):
    """Write down what is asked; a ValueError where something else was."""
    if path.exists():
        before = json.loads(path.read_text())
        differing = sorted(name for name in asked if asked[name] != before.get(name))
        if differing:
            raise ValueError(f"out={str(path.parent)!r} holds answers that differ in {differing}; take an empty folder.")
    write_atomically(path, lambda file: file.write(json.dumps(asked).encode()))


def _fingerprint(model):
    """What tells a fitted model from others."""
    digest = hashlib.blake2b(type(model).__qualname__.encode(), digest_size=12)
    for value in model.network_.get_weights():
        digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()
