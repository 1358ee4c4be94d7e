"""What all tests share: quiet libraries, no windows, one thread for each worker, and a small data set."""

import os
import sys
from typing import NamedTuple

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
if "PYTEST_XDIST_WORKER" in os.environ:  # the workers are the parallelism; read when the libraries are first imported
    for variable in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(variable, "1")

import numpy as np
import pytest


class Split(NamedTuple):
    X_train: np.ndarray
    X_test: np.ndarray
    y_train: np.ndarray
    y_test: np.ndarray


@pytest.fixture(scope="session")
def digits():
    """Scikit-learn's 1,797 digits of 8 by 8 pixels in [0, 1], as rows of 64 numbers: 1,197 to train, 600 to test."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    X, y = load_digits(return_X_y=True)
    return Split(*train_test_split((X / 16).astype("float32"), y, test_size=600, stratify=y, random_state=0))


@pytest.fixture(scope="session")
def rows():
    """Sixty rows of three overlapping classes in five dimensions, and their labels, of which the first twenty are known."""
    rng = np.random.RandomState(0)
    y = rng.randint(3, size=60)
    X = rng.standard_normal((60, 5)).astype(np.float32) + 2 * y[:, None]
    y_partial = np.where(np.arange(60) < 20, y, -1)
    X.flags.writeable = y_partial.flags.writeable = False
    return X, y_partial


@pytest.fixture(autouse=True)
def _close_figures():
    """Figures that a test drew do not outlive it."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the marks
def pytest_collection_modifyitems(items):
    """Scikit-learn's checks of a family run in one process, as all tests of it do (see `instances.one_worker`)."""
    from instances import one_worker

    for item in items:
        estimator = getattr(item, "callspec", None) and item.callspec.params.get("estimator")
        if estimator is not None:
            item.add_marker(one_worker(type(estimator)))
