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


@pytest.fixture(autouse=True)
def _close_figures():
    """Figures that a test drew do not outlive it."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
