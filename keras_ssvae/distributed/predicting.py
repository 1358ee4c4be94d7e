"""Answers about the rows of a folder, as files beside the keys of the rows, by workers that Ray starts."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import time
import typing
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from keras_ssvae.data.files import Files, csv_blocks, files_of, parquet_file
from keras_ssvae.data.folders import Folder, is_part, open_folder
from keras_ssvae.data.sources import BLOCK_ROWS
from keras_ssvae.distributed.cluster import WorkerLostError, connected_ray, on_all_machines, one_line, resources, start, stop

__all__ = ["predict"]

ASKED = "_asked.json"  # what the answers in a folder are; a name that reading a folder passes over


class Piece(typing.NamedTuple):
    """Rows of one file, and the file of the answers about them, by their names."""

    name: str
    start: int
    stop: int | None  # to its end
    answers: str


def pieces_of(files: Files, rows_per_file: int) -> list[Piece]:
    """All rows of some files; Parquet files of more rows are cut into pieces of `rows_per_file`."""
    found = []
    for name in files.names:
        path = PurePosixPath(name or os.path.basename(files.folder.path_of(name)))
        path = path.with_name(path.name.split(".")[0])
        count = None if files.kind == "csv" else parquet_file(files.folder, name).metadata.num_rows
        if count is None or count <= rows_per_file:
            found.append(Piece(name, 0, None, f"{path}.parquet"))
            continue
        digits = len(str(count))
        for begin in range(0, count, rows_per_file):
            found.append(Piece(name, begin, min(begin + rows_per_file, count), f"{path}-{begin:0{digits}}.parquet"))
    names = [piece.answers for piece in found]
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise ValueError(f"Files of {str(files.folder)!r} differ in their endings only: there would be two of {twice[:5]}.")
    return found


def blocks_of(files: Files, piece: Piece, rows: int) -> Iterator[pd.DataFrame]:
    """The rows of a piece, block by block."""
    if files.kind == "csv":
        yield from csv_blocks(files.folder, piece.name, rows)
        return
    file, at = parquet_file(files.folder, piece.name), 0
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


def write_answers(
    model: typing.Any,
    piece: Piece,
    files: Files,
    out: Folder,
    methods: Sequence[str],
    keys: Sequence[str] | None,
    block_rows: int,
) -> int:
    """Write the answers about a piece, as a whole or not at all; the number of rows. A piece without rows gives no file."""
    import pyarrow
    import pyarrow.parquet

    blocks = (answers_about(model, frame, methods, keys) for frame in blocks_of(files, piece, block_rows) if len(frame))
    first = next(blocks, None)
    if first is None:
        return 0
    total = 0
    schema = pyarrow.Schema.from_pandas(first, preserve_index=False)
    if files.kind != "csv":  # keys as they are there: those of one block may all be missing
        there = parquet_file(files.folder, piece.name).schema_arrow
        schema = pyarrow.schema([there.field(f.name) if f.name in there.names and f.name not in methods else f for f in schema])

    def write(file):
        nonlocal total
        with pyarrow.parquet.ParquetWriter(file, schema) as writer:
            for frame in itertools.chain([first], blocks):
                writer.write_table(pyarrow.Table.from_pandas(frame, schema=schema, preserve_index=False))
                total += len(frame)

    out.write(piece.answers, write)
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
    max_failures: int = 0, resources_per_worker: dict[str, float] | None = None, timeout: float = 3600.0, verbose: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """Answers about all rows of a folder, as Parquet files, by processes on the machines of a Ray cluster.

    Each file, or piece of one, gives one file of answers, which is there as a whole or not at all. A second call, after the
    first was lost, makes those that are not there yet. A worker keeps one model, and one block of rows, in memory.

    Parameters
    ----------
    model : GenerativeEstimator
        Fitted.
    X : str or path-like
        Folder of Parquet or CSV files, or a file, by the same path on all machines, or an address as "s3://bucket/rows".
    out : str or path-like
        Folder for the answers, which is made, or an address. The name of each file is that of the file of its rows.
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
        How many workers may be lost, or hang, and are replaced.
    resources_per_worker : dict, default=None
        As in `keras_ssvae.distributed.fit`.
    timeout : float, default=3600
        Seconds that a worker may take for a file of answers before it is said to hang; 0 waits for ever.
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
    files, folder = files_of(on_all_machines(X)), open_folder(on_all_machines(out))
    asked = list(methods), None if keys is None else list(keys)
    pieces, done = _begun(model, files, folder, rows_per_file, *asked)
    left = deque(piece for piece in pieces if piece not in done)
    arguments = [model, files, folder, *asked, block_rows]
    with tqdm(total=len(pieces), initial=len(done), disable=not verbose, unit="file") as bar:
        for piece, rows, number in _answered(left, num_workers, resources_per_worker, arguments, max_failures, timeout):
            done[piece] = rows, number
            bar.update()
    return pd.DataFrame([(p.answers, *done[p]) for p in pieces], columns=["file", "rows", "worker"])


def _check_positive(**numbers):
    wrong = sorted(name for name, value in numbers.items() if value < 1)
    if wrong:
        raise ValueError(f"num_workers, rows_per_file and block_rows must be positive, max_failures not negative: {wrong}.")


def _begun(model, files, out, rows_per_file, methods, keys):
    """The pieces of a folder, and what is known of those whose answers are there; their folder says what was asked."""
    pieces = pieces_of(files, rows_per_file)
    if not methods or not all(hasattr(model, name) for name in methods):
        raise ValueError(f"methods must be methods of {type(model).__name__}; got {methods}.")
    out.make()
    there = set(out.names(below=True))
    asked = {"model": _fingerprint(model), "methods": methods, "keys": keys, "rows_per_file": rows_per_file}
    if ASKED in there:
        before = json.loads(out.read(ASKED))
        differing = sorted(name for name in asked if asked[name] != before.get(name))
        if differing:
            raise ValueError(f"out={str(out)!r} holds answers that differ in {differing}; take an empty folder.")
    out.write(ASKED, lambda file: file.write(json.dumps(asked).encode()))
    for name in there:
        if is_part(name):  # that a lost worker has left
            out.remove(name)
    return pieces, {piece: (math.nan, -1) for piece in pieces if piece.answers in there}


def _answered(left, num_workers, resources_per_worker, arguments, max_failures, timeout):
    """(piece, rows, number of the worker), as they are done."""
    if not left:
        return
    ray, options, count = connected_ray(), resources(resources_per_worker), min(num_workers, len(left))
    arguments = [ray.put(value) for value in arguments]
    reasons, working = list[str](), {}
    actors = start(ray, AnsweringWorker, count, options, *arguments)

    def ask(number):
        piece = left.popleft()
        working[actors[number].answer.remote(piece)] = piece, number, time.monotonic()

    try:
        for number in range(count):
            ask(number)
        while working:
            first = next(iter(working))  # the one that was asked first
            patience = max(working[first][2] + timeout - time.monotonic(), 0) if timeout else None
            done, _ = ray.wait(list(working), timeout=patience)
            task = done[0] if done else first
            piece, number, _ = working.pop(task)
            try:
                rows = ray.get(task, timeout=0)
            except (ray.exceptions.RayActorError, ray.exceptions.GetTimeoutError) as error:
                hangs = isinstance(error, ray.exceptions.GetTimeoutError)
                reasons.append(f"no answers about {piece.name!r} within {timeout:g} seconds" if hangs else one_line(error))
                if len(reasons) > max_failures:
                    raise WorkerLostError(
                        f"{len(reasons)} workers were lost, max_failures={max_failures}: {reasons}."
                    ) from error
                left.appendleft(piece)
                stop(ray, [actors[number]])
                (actors[number],) = start(ray, AnsweringWorker, 1, options, *arguments)
            else:
                yield piece, rows, number
            if left:
                ask(number)
    finally:
        stop(ray, actors)


def _fingerprint(model):
    """What tells a fitted model from others."""
    digest = hashlib.blake2b(type(model).__qualname__.encode(), digest_size=12)
    for value in model.network_.get_weights():
        digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()
