"""Several processes: one with a Python of its own works as any other, and a fork says what it cannot do, as a graph does."""

import concurrent.futures
import copy
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
import tensorflow as tf
import workers
from instances import assert_same_weights, families, make, one_worker, questions, same

import keras_ssvae as ks

FEW = {"epochs": 2, "batch_size": 64}


@pytest.fixture(scope="module")
def data():
    rng = np.random.RandomState(0)
    y = rng.randint(3, size=40)
    return rng.standard_normal((40, 4)) + 3 * y[:, None], np.where(np.arange(40) < 25, y, -1)


def in_fork(function):
    """What a function gives in a process that is forked here, and that is ended if it takes a minute."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        try:
            with os.fdopen(writer, "wb") as file:
                pickle.dump(function(), file)
        finally:  # an error is seen by what is missing: this is no process that runs further tests
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        content = file.read()
    os.waitpid(child, 0)
    return pickle.loads(content)


forked = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system with fork")


@forked
@families()
def test_a_fork_refuses_at_once_whatever_needs_tensorflow(cls, data, tmp_path):
    X, y = data
    model = make(cls, **FEW).fit(X, y)
    model.save(tmp_path / "model")
    packed = pickle.dumps(model)
    asked = {
        **questions(model, X, y), "fit": lambda: make(cls).fit(X, y), "partial_fit": lambda: model.partial_fit(X, y),
        "load": lambda: ks.load(tmp_path / "model"), "unpickle": lambda: pickle.loads(packed),
    }  # fmt: skip
    of_numbers = [asked.pop(name) for name in ("get_feature_names_out", "label_quality") if name in asked]

    def refused():
        errors = {}
        for name, ask in asked.items():
            try:
                ask()
            except RuntimeError as error:
                errors[name] = str(error)
        return errors

    errors = in_fork(refused)
    assert set(errors) == set(asked)
    assert all("'spawn'" in error for error in errors.values())
    assert of_numbers or not hasattr(cls, "predict")
    for ask in of_numbers:
        assert same(in_fork(ask), ask())
    model.predict(X) if hasattr(model, "predict") else model.transform(X)  # here nothing has changed


@forked
@one_worker(ks.SemiSupervisedVAE)
def test_a_fork_writes_what_was_fitted_before(data, tmp_path):
    model = make(ks.SemiSupervisedVAE, **FEW).fit(*data)
    in_fork(lambda: model.save(tmp_path / "model"))
    for copied in (ks.load(tmp_path / "model"), pickle.loads(in_fork(lambda: pickle.dumps(model)))):
        assert_same_weights(copied, model)


# Run with a Python of its own: in that of the tests TensorFlow has run.
EARLY_FORK = """
import os, sys
sys.path.insert(0, {tests!r})
import numpy as np
from instances import make
import keras_ssvae as ks
X = np.random.RandomState(0).standard_normal((40, 3))
child = os.fork()
if child == 0:
    make(ks.VAE, epochs=2, jit_compile=False).fit(X).transform(X)
    grandchild = os.fork()
    if grandchild == 0:
        try:
            make(ks.VAE, epochs=2).fit(X)
        except RuntimeError:
            os._exit(3)
        os._exit(4)
    os._exit(os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]))
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
import tensorflow as tf
tf.ones(3) + 1
child = os.fork()
if child == 0:
    for name in [name for name in sys.modules if name.startswith("keras_ssvae")]:
        del sys.modules[name]
    import keras_ssvae._compat.tensorflow
    try:
        keras_ssvae._compat.tensorflow.check_runtime()
    except RuntimeError:
        os._exit(5)
    os._exit(6)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
"""


@pytest.mark.slow
@forked
def test_a_process_that_is_forked_before_tensorflow_runs_is_as_any_other():
    program = EARLY_FORK.format(tests=str(Path(__file__).parent))
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def started_by(way):
    """function, arguments -> the answer of a process that is started in this way."""
    if way == "loky":
        return lambda function, *args: joblib.Parallel(2)([joblib.delayed(function)(*args)] * 2)[0]

    def ask(function, *args):
        with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context(way)) as pool:
            return pool.submit(function, *args).result(timeout=120)

    return ask


@pytest.mark.slow
@one_worker(ks.SemiSupervisedVAE)
@pytest.mark.parametrize("way", ["spawn", "forkserver", "loky"])
def test_a_new_process_fits_and_answers_as_this_one(way, data):
    model = make(ks.SemiSupervisedVAE, **FEW).fit(*data)
    weights, answer = started_by(way)(workers.fit_and_ask, model, *data)
    for mine, theirs in zip(model.network_.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(answer, model.predict_proba(data[0]))


BITS = """
import hashlib, os, sys
sys.path.insert(0, {tests!r})
if {pinned}:
    os.sched_setaffinity(0, list(os.sched_getaffinity(0))[:1])
import numpy as np
from instances import make
import keras_ssvae as ks
rng = np.random.RandomState(0)
y = rng.randint(3, size=600)
X = rng.standard_normal((600, 12)) + y[:, None]
for name in {order}:
    settings = {{"hidden_layer_sizes": (64, 64), "epochs": 3, "batch_size": 64, "jit_compile": False}}
    model = make(getattr(ks, name), **settings).fit(X, np.where(np.arange(600) < 90, y, -1))
    bits = b"".join(v.numpy().tobytes() for v in model.network_.trainable_variables) + model.transform(X).tobytes()
    print(name, hashlib.sha256(bits).hexdigest())
"""


@pytest.mark.slow
def test_a_table_gives_the_same_bits_on_any_number_of_threads_and_in_any_order():
    def run(threads, pinned, order):
        settings = dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"), str(threads))
        program = BITS.format(tests=str(Path(__file__).parent), pinned=pinned, order=order)
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, **settings},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        return done.stdout.split("\n")[:-1]

    can_pin = hasattr(os, "sched_setaffinity")
    first = run(1, False, ("SemiSupervisedVAE", "VAE"))
    second = run(2, can_pin, ("VAE", "SemiSupervisedVAE", "VAE"))  # the last on a step that is there already
    assert len(first) == 2
    assert set(second) == set(first)
    assert set(run(2, False, ("VAE",))) < set(first)


def test_a_tape_of_the_users_changes_nothing(data):
    expected = make(ks.SemiSupervisedVAE, **FEW).fit(*data).predict_proba(data[0])  # of a network that is gone
    with tf.GradientTape(persistent=True):
        np.testing.assert_array_equal(make(ks.SemiSupervisedVAE, **FEW).fit(*data).predict_proba(data[0]), expected)


@pytest.mark.parametrize("ask", ["fit", "predict", "sample", "load"])
def test_where_a_graph_is_made_nothing_is_computed(ask, data, tmp_path):
    model = make(ks.SemiSupervisedVAE, **FEW).fit(*data)
    model.save(tmp_path / "model")
    asked = {"fit": lambda: model.fit(*data), "predict": lambda: model.predict(data[0]), "sample": lambda: model.sample(2)}
    asked["load"] = lambda: ks.load(tmp_path / "model")
    with tf.Graph().as_default(), pytest.raises(RuntimeError, match="Nothing is computed here.*Call the estimator outside"):
        asked[ask]()


def test_variables_that_a_strategy_spreads_are_refused(data, tmp_path):
    model = make(ks.SemiSupervisedVAE, **FEW).fit(*data)
    expected = model.predict(data[0])
    model.save(tmp_path / "model")
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        np.testing.assert_array_equal(model.predict(data[0]), expected)
        for ask in (
            lambda: ks.load(tmp_path / "model"),
            lambda: make(ks.VAE, **FEW).fit(data[0]),
            lambda: copy.deepcopy(model),
        ):
            with pytest.raises(RuntimeError, match="inside the scope of a MirroredStrategy"):
                ask()
