"""A fit that is killed and started again is the fit that was not."""

import contextlib
import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_ssvae as ks
from keras_ssvae.serialization.model_file import UNREADABLE
from keras_ssvae.training.checkpoint import Checkpoint, FitState

R = np.random.RandomState(0)
ROWS = R.standard_normal((60, 3))
SMALL = {"latent_dim": 2, "hidden_layer_sizes": (8,), "epochs": 4, "random_state": 0, "jit_compile": False}
STATE = FitState(
    stage=1, records=[{"loss": [2.0, 1.0]}, {"loss": [0.1]}], best=float("inf"), waited=0, first_loss=float("nan"),
    variables=[np.arange(3, dtype=np.float32), np.uint32(7)], best_weights=[np.ones((2, 2), np.float32)],
    starts=[[np.zeros(1)], [np.ones(1)]],
)  # fmt: skip


class Killed(keras.callbacks.Callback):
    """Ends a fit by an error when its epoch is done, and its state kept."""

    def __init__(self, epoch):
        super().__init__()
        self.left = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if self.left == 0:
            raise OSError("the power went")
        self.left -= 1


def test_thirty_kills_at_random_moments():
    """Every family, streaming, early stopping, augmentation and no seed: the bits of the fit that nobody killed."""
    script = Path(__file__).with_name("kill_fits.py")
    done = subprocess.run([sys.executable, script, "30", "0"], capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = done.stdout.splitlines()
    assert len(lines) == 13
    found = [re.search(r"(\d+) kills, (\d+) went on, (\d+) files left, (\w+)$", line) for line in lines]
    assert sum(int(match[1]) for match in found) >= 20, done.stdout  # the others came when the fit was done
    assert sum(int(match[2]) for match in found) >= 13, done.stdout
    assert all(match[3] == "0" and match[4] == "True" for match in found), done.stdout


def killed(tmp_path, epoch=2, **changes):
    """A fit that ended after some epochs, with its states in a directory."""
    model = ks.VAE(**{**SMALL, **changes}, callbacks=[Killed(epoch)], checkpoint=tmp_path)
    with pytest.raises(OSError, match="the power went"):
        model.fit(ROWS)
    return model.set_params(callbacks=[keras.callbacks.Callback()])


def test_a_fit_that_goes_on_has_the_whole_history_and_trains_only_what_is_left(tmp_path):
    model, epochs = killed(tmp_path), []
    assert len(list(tmp_path.glob("*.npz"))) == 2
    model.set_params(callbacks=[keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: epochs.append(epoch))])
    whole = ks.VAE(**SMALL, callbacks=[keras.callbacks.Callback()]).fit(ROWS)
    assert model.fit(ROWS).history_.equals(whole.history_)
    np.testing.assert_array_equal(model.transform(ROWS), whole.transform(ROWS))
    assert epochs == [2, 3]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("other", ["rows", "seed", "learning_rate", "optimizer"])
def test_another_fit_neither_reads_nor_removes_the_state(tmp_path, other):
    model, rows = killed(tmp_path), ROWS
    states = sorted(tmp_path.iterdir())
    if other == "rows":
        rows = ROWS + (np.arange(60) == 3)[:, None]
    changes = {"seed": {"random_state": 1}, "learning_rate": {"learning_rate": 1e-3}, "optimizer": {"optimizer": "sgd"}}
    model.set_params(**changes.get(other, {})).fit(rows)
    assert model.n_iter_ == 4
    fresh = ks.VAE(**{**SMALL, **changes.get(other, {})}, callbacks=[keras.callbacks.Callback()]).fit(rows)
    np.testing.assert_array_equal(model.transform(rows), fresh.transform(rows))
    assert sorted(tmp_path.iterdir()) == states


def test_a_damaged_state_is_said_and_the_one_before_is_used(tmp_path):
    model = killed(tmp_path)
    last = max(tmp_path.glob("*.npz"))
    last.write_bytes(last.read_bytes()[:-100])
    with pytest.warns(UserWarning, match="cannot be read .* an earlier one is used"):
        model.fit(ROWS)
    whole = ks.VAE(**SMALL, callbacks=[keras.callbacks.Callback()]).fit(ROWS)
    np.testing.assert_array_equal(model.transform(ROWS), whole.transform(ROWS))


@pytest.mark.parametrize("bit", [1, 128])
def test_a_state_of_which_any_bit_is_another_is_read_or_refused(bit):
    content = STATE.to_bytes()
    for i in range(len(content)):
        with contextlib.suppress(UNREADABLE):
            again = FitState.from_bytes(content[:i] + bytes([content[i] ^ bit]) + content[i + 1 :])
            np.testing.assert_equal(again.variables, STATE.variables)


def test_a_seed_that_is_none_is_said(tmp_path):
    (tmp_path / "random_state").write_text("1.5")
    with pytest.raises(ValueError, match="random_state' holds no seed but b'1.5'"):
        ks.VAE(**{**SMALL, "random_state": None}, checkpoint=tmp_path).fit(ROWS)


def test_a_state_is_what_it_was():
    again = FitState.from_bytes(STATE.to_bytes())
    for field in dataclasses.fields(FitState):
        np.testing.assert_equal(getattr(again, field.name), getattr(STATE, field.name))


def test_the_last_two_states_are_kept(tmp_path):
    checkpoint = Checkpoint(tmp_path, 0.0, "a")
    for i in range(11):  # so many that their names are not in the order of the alphabet
        checkpoint.write(dataclasses.replace(STATE, waited=i))
    assert {path.name for path in tmp_path.iterdir()} == {"a-9.npz", "a-10.npz"}
    again = Checkpoint(tmp_path, 0.0, "a")
    assert again.read().waited == 10
    again.write(dataclasses.replace(STATE, waited=12))
    assert Checkpoint(tmp_path, 0.0, "a").read().waited == 12
    assert Checkpoint(tmp_path, 0.0, "b").read() is None


def test_minutes_between_two_states(tmp_path):
    assert Checkpoint(tmp_path, 0.0, "a").is_due()
    assert not Checkpoint(tmp_path, 1.0, "a").is_due()
    ks.VAE(**SMALL, checkpoint=str(tmp_path), checkpoint_minutes=60).fit(ROWS)
    model = ks.VAE(**SMALL, callbacks=[Killed(2)], checkpoint=tmp_path, checkpoint_minutes=60)
    with pytest.raises(OSError, match="the power went"):
        model.fit(ROWS)
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_is_a_directory_that_is_made(tmp_path):
    ks.VAE(**SMALL, checkpoint=tmp_path / "new" / "one").fit(ROWS)
    assert (tmp_path / "new" / "one").is_dir()
    ks.VAE(**SMALL, checkpoint=tmp_path).fit(ROWS).save(tmp_path / "model")
    assert ks.load(tmp_path / "model").checkpoint == str(tmp_path)
    file = tmp_path / "file"
    file.touch()
    for place in (file, file / "below"):
        with pytest.raises(ValueError, match=r"checkpoint must be a directory; '.*' is a file"):
            ks.VAE(**SMALL, checkpoint=place).fit(ROWS)


def test_a_partial_fit_keeps_no_state(tmp_path):
    ks.VAE(**SMALL, callbacks=[Killed(1)], checkpoint=tmp_path / "none").partial_fit(ROWS)
    assert not (tmp_path / "none").exists()
