"""Rows that experts learn from, and rows of which a label is another one."""

import dataclasses

import numpy as np

from keras_ssvae.evidence.rows import KnownRows


def blobs(n=90, n_classes=3, labeled=30, distance=3.0, columns=4):
    """Gaussian clusters in `columns` dimensions: x, (n, d), their classes, and the labels of which the first are known."""
    rng = np.random.RandomState(0)
    y = np.arange(n) % n_classes
    x = rng.standard_normal((n, columns)) + distance * rng.standard_normal((n_classes, columns))[y]
    return x.astype(np.float32).astype(float), y, np.where(np.arange(n) < labeled, y, -1)


def known_of(x, y, weight=None, n_classes=None):
    """`KnownRows` of rows as they are."""
    x, y = np.asarray(x, np.float32), np.asarray(y)
    weight = np.ones(len(y)) if weight is None else np.asarray(weight, float)
    return KnownRows({"scaled": x}, y, weight, y.max() + 1 if n_classes is None else n_classes)


def relabeled(known, row):
    """The same rows in the same folds, where a labelled row has the label of the next class."""
    y = known.y.copy()
    y[row] = (y[row] + 1) % known.n_classes
    other = dataclasses.replace(known, y=y)
    vars(other)["fold"] = known.fold
    return other


def assert_left_out_label_is_not_read(ask, known):
    """Assert that what ``ask(known)`` says of a left-out label, its second answer, is the same whatever the label is."""
    left_out = ask(known)[1]
    for i in (0, len(known.labeled) // 2, len(known.labeled) - 1):
        other = ask(relabeled(known, known.labeled[i]))[1]
        np.testing.assert_allclose(other[i], left_out[i], rtol=1e-9, atol=1e-12)
        assert np.abs(other - left_out).max() > 1e-6  # others do read it


def assert_probabilities(*answers):
    """Assert that all rows of all answers are probabilities."""
    for p in answers:
        assert np.isfinite(p).all()
        assert (p >= 0).all()
        np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)
