"""A file is there as a whole or as it was before, with the mode and owner it had, and nothing lasts beside it."""

import concurrent.futures
import os
import select
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import pytest
from instances import states_of_generators

import keras_ssvae
from keras_ssvae.serialization import files
from keras_ssvae.serialization.files import write_atomically

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links and modes of POSIX")
ROOT = Path(keras_ssvae.__file__).parents[1]


def write(path, content=b"new"):
    write_atomically(path, lambda file: file.write(content))


@pytest.fixture(params=["nameless", "named"])
def folder(request, tmp_path, monkeypatch):
    """A folder, on a file system with files without a name, or as if on one without."""
    if request.param == "named":
        monkeypatch.setattr(files, "_nameless", lambda folder, mode: None)
    return tmp_path


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_path_may_be_bytes(folder):
    write(os.fsencode(folder / "m\u00f6del"))
    assert (folder / "m\u00f6del").stat().st_size


def test_errors_tell_the_folder_that_is_missing(folder):
    with pytest.raises(FileNotFoundError) as raised:
        write(folder / "none" / "file")
    assert raised.value.filename == str(folder / "none")


def test_a_new_file_has_the_mode_of_any_other(folder):
    (folder / "any").touch()
    write(folder / "new")
    assert mode_of(folder / "new") == mode_of(folder / "any")


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666, 0o444])
def test_a_file_that_is_replaced_keeps_its_mode(mode, folder):
    (folder / "file").touch()
    (folder / "file").chmod(mode)
    write(folder / "file")
    assert mode_of(folder / "file") == mode
    assert (folder / "file").read_bytes() == b"new"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
def test_a_file_that_is_replaced_keeps_its_owner(folder):
    (folder / "file").touch()
    os.chown(folder / "file", 1234, 4321)
    write(folder / "file")
    assert ((folder / "file").stat().st_uid, (folder / "file").stat().st_gid) == (1234, 4321)


def test_an_owner_that_may_not_be_kept_is_no_error(folder, monkeypatch):
    asked = []

    def refuse(handle, user, group):
        asked.append((user, group))
        raise PermissionError

    (folder / "file").touch()
    owner = (folder / "file").stat()
    monkeypatch.setattr(files, "_state", lambda path: os.stat_result((owner.st_mode, 0, 0, 1, 77, 78, 0, 0, 0, 0)))
    monkeypatch.setattr(os, "fchown", refuse)
    write(folder / "file")
    assert asked == [(77, 78), (-1, 78)]
    assert (folder / "file").read_bytes() == b"new"


@pytest.mark.parametrize("is_there", [True, False])
def test_a_link_stays_and_its_target_is_replaced(is_there, folder):
    (folder / "elsewhere").mkdir()
    target = folder / "elsewhere" / "target"
    if is_there:
        target.write_bytes(b"old")
    (folder / "second").symlink_to(target)
    (folder / "first").symlink_to("second")
    write(folder / "first")
    assert target.read_bytes() == b"new"
    assert (folder / "first").is_symlink() and (folder / "second").is_symlink()
    assert sorted(os.listdir(folder)) == ["elsewhere", "first", "second"]
    assert os.listdir(folder / "elsewhere") == ["target"]


def test_what_is_no_file_is_refused_and_stays(folder):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "s"))
        with pytest.raises(ValueError, match="s' is a socket or a device"):
            write(folder / "s")
    with pytest.raises(ValueError, match="/dev/null' is a socket or a device"):
        write("/dev/null")
    with pytest.raises(IsADirectoryError):
        write(folder)
    assert os.listdir(folder) == ["s"]


def test_who_reads_a_pipe_is_given_the_bytes(folder):
    os.mkfifo(folder / "pipe")
    content = bytes(range(256)) * 1000  # more than a pipe holds
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        handle = os.open(folder / "pipe", os.O_RDONLY | os.O_NONBLOCK)
        os.set_blocking(handle, True)
        written = pool.submit(write, folder / "pipe", content)
        with os.fdopen(handle, "rb") as reader:
            select.select([reader], [], [])
            assert reader.read() == content
        written.result()
    assert stat.S_ISFIFO((folder / "pipe").stat().st_mode)


def test_a_pipe_that_nobody_reads_would_lose_the_bytes(folder):
    os.mkfifo(folder / "pipe", 0o600)
    with pytest.warns(UserWarning, match="Nobody reads the pipe '.*pipe': it is replaced by a file"):
        write(folder / "pipe")
    assert (folder / "pipe").read_bytes() == b"new"
    assert stat.S_IMODE((folder / "pipe").stat().st_mode) == 0o600
    assert os.listdir(folder) == ["pipe"]


@pytest.mark.parametrize("name", ["m" * 250, "ä" * 125, "a b\n", "-", ".hidden", "*"])
def test_any_name_that_the_file_system_takes(name, folder):
    for content in (b"one", b"two"):
        write(folder / name, content)
        assert os.listdir(folder) == [name]
        assert (folder / name).read_bytes() == content


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(folder):
    def fail(file):
        file.write(b"half")
        raise OSError("No space left on device")

    (folder / "file").write_bytes(b"old")
    for path in (folder / "file", folder / "other"):
        with pytest.raises(OSError, match="No space left"):
            write_atomically(path, fail)
    assert os.listdir(folder) == ["file"]
    assert (folder / "file").read_bytes() == b"old"


def test_the_bytes_reach_the_disk_before_the_name_does(folder, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        original = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, original=original, name=name: (calls.append(name), original(*args)))
    write(folder / "file")
    assert calls == ["fsync", "replace", "fsync"]  # the file, its name, and the folder that has the name


def test_leftovers_of_processes_that_ended_are_removed_and_no_others(folder):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    prefix, other = files._prefix(str(folder / "file")), files._prefix(str(folder / "other"))
    dead, alive = f"{prefix}{ended.pid}-01234567", f"{prefix}{os.getppid()}-01234567"
    kept = {alive, f"{other}{ended.pid}-01234567", f"{prefix}{ended.pid}-mine", "file.tmp"}
    for name in (dead, *kept):
        (folder / name).touch()
    write(folder / "file")
    assert set(os.listdir(folder)) == kept | {"file"}


def test_many_threads_write_one_file(folder):
    contents = [bytes([65 + i]) * 100_000 for i in range(8)]
    failed = []

    def keep_writing(content):
        try:
            for _ in range(20):
                write(folder / "file", content)
        except OSError as error:
            failed.append(error)

    threads = [threading.Thread(target=keep_writing, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert not (folder / "file").exists() or (folder / "file").read_bytes() in contents
    assert not failed
    assert os.listdir(folder) == ["file"]


WRITES = """
import sys
from keras_ssvae.serialization.files import write_atomically
content = bytes(3_000_000)
print("ready", flush=True)
while True:
    write_atomically(sys.argv[1], lambda file: file.write(content))
"""


def test_a_process_that_is_killed_leaves_a_whole_file_and_nothing_beside_it(tmp_path):
    for i in range(2):
        run = [sys.executable, "-c", WRITES, str(tmp_path / "file")]
        with subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT) as process:
            process.stdout.readline()
            time.sleep(0.05 + 0.03 * i)
            process.send_signal(signal.SIGKILL)
    assert (tmp_path / "file").stat().st_size == 3_000_000
    write(tmp_path / "file")  # where there are no nameless files, this is what cleans up
    assert os.listdir(tmp_path) == ["file"]


def test_nothing_of_the_process_is_touched(folder, monkeypatch):
    def fail(mask):
        pytest.fail("the umask is that of all threads")

    monkeypatch.setattr(os, "umask", fail)
    before = dict(os.environ), list(warnings.filters), *states_of_generators()
    write(folder / "file")
    assert (dict(os.environ), list(warnings.filters), *states_of_generators()) == before
