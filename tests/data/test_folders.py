"""Folders of this machine and of stores: the same files, the same rows, the same fits, and never a lost state."""

import dataclasses
import errno
import gzip
import io
import os
import sys

import keras
import numpy as np
import pandas as pd
import pytest

import keras_ssvae as ks
from keras_ssvae.data.files import files_of
from keras_ssvae.data.folders import StoreError, StoreFolder, is_part, open_folder
from keras_ssvae.data.sources import open_source
from keras_ssvae.distributed import predicting
from keras_ssvae.training.checkpoint import Checkpoint, FitState, lasting_seed, open_directory

fs = pytest.importorskip("pyarrow.fs")
fsspec = pytest.importorskip("fsspec")
MemoryFileSystem = pytest.importorskip("fsspec.implementations.memory").MemoryFileSystem

ROWS = np.random.RandomState(0).standard_normal((60, 3))
SMALL = {"latent_dim": 2, "hidden_layer_sizes": (8,), "epochs": 4, "random_state": 0, "jit_compile": False}
STATE = FitState(0, [{"loss": [2.0, 1.0]}], 0.0, 0, 2.0, [np.arange(500.0)], [np.ones(2)], [[np.zeros(1)]])


class Faulty(MemoryFileSystem):
    """A store "faulty://" with `room` for so many bytes a file, or which does not answer."""

    store, pseudo_dirs, room, answers = {}, [""], sys.maxsize, True

    @classmethod
    def _strip_protocol(cls, path):
        return "/" + path.removeprefix("faulty://").strip("/")

    def _open(self, path, mode="rb", **settings):
        if not self.answers:
            raise TimeoutError("no answer")
        file = super()._open(path, mode, **settings)
        whole = file.write

        def write(content):
            whole(content[: self.room - file.tell()])
            if file.tell() == self.room:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return len(content)

        if mode == "wb":
            file.write = write
        return file


class WithoutMove(fs.FSSpecHandler):
    """As Azure without a hierarchy of names."""

    def move(self, src, dest):
        raise NotImplementedError


@pytest.fixture
def memory():
    """An address in memory, with nothing there."""
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]
    return "memory://bucket/run"


@pytest.fixture
def faulty(monkeypatch):
    """The class of a store in which "faulty://run" has nothing yet."""
    fsspec.register_implementation("faulty", Faulty, clobber=True)
    monkeypatch.setattr(Faulty, "store", {})
    monkeypatch.setattr(Faulty, "pseudo_dirs", [""])
    monkeypatch.setattr(Faulty, "room", sys.maxsize)
    monkeypatch.setattr(Faulty, "answers", True)
    return Faulty


@pytest.fixture(params=["path", "file", "below", "mock", "memory", "without move"])
def folder(request, tmp_path, memory):
    return {
        "path": lambda: open_folder(tmp_path / "run"),
        "file": lambda: open_folder(f"file://{tmp_path}/run/"),
        "below": lambda: StoreFolder("below", fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem()), "run"),
        "mock": lambda: StoreFolder("mock://run", fs._MockFileSystem(), "run"),
        "memory": lambda: open_folder(memory),
        "without move": lambda: StoreFolder(memory, fs.PyFileSystem(WithoutMove(fsspec.filesystem("memory"))), "/bucket/run"),
    }[request.param]()


def put(folder, name, content):
    folder.make()
    folder.write(name, lambda file: file.write(content))


def test_a_folder_gives_back_what_was_written(folder):
    assert folder.kind() is None
    assert folder.names(below=True) == []
    folder.make()
    folder.make()
    assert folder.kind() == "folder"
    for name in ("b", "a-b", "a/c.csv.gz", "a/.hidden", "b"):
        put(folder, name, f"first {name}".encode())
    put(folder, "b", b"second")
    assert folder.names() == ["a-b", "b"]
    assert folder.names(below=True) == ["a/.hidden", "a/c.csv.gz", "a-b", "b"]
    assert folder.read("b") == b"second"
    with folder.open("a/c.csv.gz") as file:
        assert file.read() == b"first a/c.csv.gz"
    folder.remove("b")
    folder.remove("b")
    assert folder.names() == ["a-b"]


def test_what_fails_leaves_the_file_that_was_there(folder):
    put(folder, "a", b"old")

    def fail(file):
        file.write(b"ne")
        raise KeyError("w")

    with pytest.raises(KeyError, match="w"):
        folder.write("a", fail)
    assert folder.names() == ["a"]
    assert folder.read("a") == b"old"


def test_the_last_two_states_are_kept_in_a_store(folder):
    folder.make()
    checkpoint = Checkpoint("here", 0.0, "a")
    checkpoint.folder = folder
    for i in range(11):
        checkpoint.write(dataclasses.replace(STATE, waited=i))
    assert sorted(folder.names()) == ["a-10.npz", "a-9.npz"]
    assert checkpoint.read().waited == 10
    put(folder, "a-10.npz", folder.read("a-10.npz")[:-100])
    with pytest.warns(UserWarning, match=r"a-10.npz' cannot be read .* an earlier one is used"):
        assert checkpoint.read().waited == 9
    checkpoint.remove()
    assert folder.names() == []


@pytest.mark.parametrize("room", [0, 1, 2000])
def test_a_full_store_says_so_and_the_states_stay(faulty, room):
    checkpoint = Checkpoint("faulty://run", 0.0, "a")
    for i in range(2):
        checkpoint.write(dataclasses.replace(STATE, waited=i))
    faulty.room = room
    for _ in range(3):
        with pytest.raises(StoreError, match=r"'faulty://run' cannot be written: OSError: \[Errno 28\] No space left"):
            checkpoint.write(dataclasses.replace(STATE, waited=2))
    assert checkpoint.folder.names() == ["a-0.npz", "a-1.npz"]
    assert Checkpoint("faulty://run", 0.0, "a").read().waited == 1
    faulty.room = sys.maxsize
    checkpoint.write(dataclasses.replace(STATE, waited=3))
    assert checkpoint.folder.names() == ["a-1.npz", "a-2.npz"]


def test_a_store_that_does_not_answer_is_no_empty_one(faulty):
    Checkpoint("faulty://run", 0.0, "a").write(STATE)
    faulty.answers = False
    with pytest.raises(StoreError, match=r"'faulty://run' cannot be read: TimeoutError: no answer"):
        Checkpoint("faulty://run", 0.0, "a").read()


def test_what_a_lost_process_left_is_removed_with_the_states(memory):
    checkpoint, other = (Checkpoint(memory, 0.0, key) for key in "ab")
    for each in (checkpoint, other):
        each.write(STATE)
        put(each.folder, f".part-00-{each.key}-1.npz", b"half")
    assert is_part("below/.part-00-a-1.npz")
    assert checkpoint.read().waited == STATE.waited
    lasting = lasting_seed(memory)
    assert lasting_seed(memory) == lasting
    checkpoint.remove()
    assert checkpoint.folder.names() == [".part-00-b-1.npz", "b-0.npz", "random_state"]
    other.remove()
    assert other.folder.names() == []


class Ended(keras.callbacks.Callback):
    """Something happens before an epoch, once."""

    def __init__(self, epoch, happens):
        super().__init__()
        self.epoch, self.happens = epoch, happens

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            self.epoch = None
            self.happens()


def test_a_fit_goes_on_from_a_store_that_was_full(faulty):
    whole = ks.VAE(**SMALL, callbacks=[keras.callbacks.Callback()]).fit(ROWS)
    full = Ended(2, lambda: setattr(faulty, "room", 1000))
    model = ks.VAE(**SMALL, callbacks=[full], checkpoint="faulty://run")
    with pytest.raises(StoreError, match="'faulty://run' cannot be written"):
        model.fit(ROWS)
    assert len(open_folder("faulty://run").names()) == 2
    faulty.room = sys.maxsize
    seen = []
    model.set_params(callbacks=[keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: seen.append(epoch))])
    np.testing.assert_array_equal(model.fit(ROWS).transform(ROWS), whole.transform(ROWS))
    assert seen == [2, 3]
    assert open_folder("faulty://run").names() == []


def test_a_checkpoint_in_a_store_is_a_folder(tmp_path, memory):
    (tmp_path / "file").touch()
    put(open_folder(memory), "file", b"")
    for address in (f"file://{tmp_path}/file", f"{memory}/file"):
        with pytest.raises(ValueError, match=f"checkpoint must be a directory; '{address}' is a file"):
            open_directory(address)


# Rows


@pytest.fixture(scope="module")
def frames():
    """By the names of their files."""
    rng = np.random.RandomState(1)
    return {
        name: pd.DataFrame({"key": [f"{name} {i}" for i in range(n)], "a": rng.standard_normal(n), "b": rng.standard_normal(n)})
        for name, n in (("part=1/x", 30), ("part=2/x", 7), ("part=2/y", 20))
    }


@pytest.mark.parametrize("kind", ["parquet", "csv", "csv.gz"])
def test_rows_of_a_store_are_those_of_a_folder(folder, frames, kind, tmp_path):
    for name, frame in frames.items():
        content = frame.to_parquet(row_group_size=10) if kind == "parquet" else frame.to_csv(index=False).encode()
        content = gzip.compress(content) if kind == "csv.gz" else content
        put(folder, f"{name}.{kind}", content)
        put(folder, f"_{name}.{kind}", b"passed over")
        (tmp_path / "local" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "local" / f"{name}.{kind}").write_bytes(content)
    files = files_of(tmp_path / "local")
    there = files._replace(folder=folder, names=[n for n in folder.names(below=True) if not n.startswith("_")])
    assert there.names == files.names == [f"{name}.{kind}" for name in frames]
    pieces = predicting.pieces_of(there, 10)
    assert pieces == predicting.pieces_of(files, 10)
    for piece in pieces:
        read, expected = (pd.concat(predicting.blocks_of(given, piece, 4)) for given in (there, files))
        pd.testing.assert_frame_equal(read, expected)


@pytest.mark.parametrize("kind", ["parquet", "csv"])
@pytest.mark.parametrize("scheme", ["file", "memory"])
def test_a_model_is_fitted_to_an_address_and_answers_about_it(frames, memory, scheme, kind, tmp_path):
    address = memory if scheme == "memory" else f"file://{tmp_path}/store"
    for folder in (open_folder(address), open_folder(tmp_path / "local")):
        for name, frame in frames.items():
            frame = frame.drop(columns="key")
            put(folder, f"{name}.{kind}", frame.to_parquet() if kind == "parquet" else frame.to_csv(index=False).encode())
    for size in (20, 1000):
        small = {**SMALL, "epochs": 1, "buffer_size": size}
        model, local = (ks.VAE(**small).fit(X) for X in (address, tmp_path / "local"))
        assert list(model.feature_names_in_) == list(local.feature_names_in_)
        np.testing.assert_array_equal(model.transform(address), local.transform(str(tmp_path / "local")))


@pytest.mark.parametrize("scheme", ["file", "memory"])
def test_answers_in_a_store(frames, memory, scheme, tmp_path):
    address = memory if scheme == "memory" else f"file://{tmp_path}/store"
    rows, out = open_folder(f"{address}/rows"), open_folder(f"{address}/out")
    for name, frame in frames.items():
        put(rows, f"{name}.parquet", frame.to_parquet())
    model = ks.VAE(**{**SMALL, "epochs": 1}).fit(frames["part=1/x"][["a", "b"]])
    assert files_of(f"{address}/rows/part=2/x.parquet").names == [""]
    for files, count in ((files_of(rows.address), 57), (files_of(f"{address}/rows/part=2/x.parquet"), 7)):
        pieces = predicting.pieces_of(files, 12)
        written = [predicting.write_answers(model, piece, files, out, ["transform"], None, 8) for piece in pieces]
        assert sum(written) == count
    names = out.names(below=True)
    assert names == [*(f"part=1/x-{i:02}.parquet" for i in (0, 12, 24)), "part=2/x.parquet", *(
        f"part=2/y-{i:02}.parquet" for i in (0, 12)
    ), "x.parquet"]  # fmt: skip
    found = pd.concat(pd.read_parquet(io.BytesIO(out.read(name))) for name in names[:-1])
    expected = pd.concat(frames.values())
    assert found["key"].tolist() == expected["key"].tolist()
    np.testing.assert_allclose(found.filter(like="transform"), model.transform(expected[["a", "b"]]), rtol=1e-4, atol=1e-5)


def test_answers_that_do_not_fit_into_a_store_are_not_there(faulty, tmp_path):
    frame = pd.DataFrame({"a": ROWS[:, 0], "b": ROWS[:, 1]})
    frame.to_parquet(tmp_path / "x.parquet")
    model = ks.VAE(**{**SMALL, "epochs": 1}).fit(frame)
    files, out = files_of(tmp_path), open_folder("faulty://out")
    faulty.room = 500
    (piece,) = predicting.pieces_of(files, 100)
    with pytest.raises(StoreError, match="'faulty://out' cannot be written"):
        predicting.write_answers(model, piece, files, out, ["transform"], None, 10)
    assert out.names() == []


# Addresses


def test_addresses_that_nobody_knows(tmp_path):
    with pytest.raises(ValueError, match=r"'nope://x' is no address that pyarrow or fsspec knows"):
        open_source("nope://x")
    with pytest.raises(FileNotFoundError, match=r"X='file://.*/none' is no file or folder"):
        open_source(f"file://{tmp_path}/none")


def test_without_pyarrow_an_address_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"'s3://x' is reached by pyarrow, .*keras_ssvae\[streaming\]"):
        open_folder("s3://x")


def test_without_fsspec_an_address_of_pyarrow_is_read(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    assert open_folder(f"file://{tmp_path}").kind() == "folder"
    with pytest.raises(ValueError, match=r"'memory://x' is no address that pyarrow or fsspec knows"):
        open_folder("memory://x")
