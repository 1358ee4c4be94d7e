"""The recipe of docs/many_machines.md for engines that have partitions: Dask, where it is installed."""

import functools

import numpy as np
import pandas as pd
import pytest
from instances import make

import keras_ssvae as ks

model = functools.lru_cache(ks.load)


def answers(rows, path):
    values = model(path).predict_proba(rows[list(model(path).feature_names_in_)])
    return rows.assign(**{f"p_{label}": values[:, i] for i, label in enumerate(model(path).classes_)})


def test_partitions_are_answered_as_the_whole(tmp_path, rows):
    dataframe = pytest.importorskip("dask.dataframe")
    X, y = pd.DataFrame(rows[0], columns=list("abcde")), rows[1]
    path = str(tmp_path / "model.ssvae")
    fitted = make(ks.SemiSupervisedVAE, epochs=1, experts=None).fit(X, y)
    fitted.save(path)
    parts = dataframe.from_pandas(X.assign(key=np.arange(len(X))), npartitions=4)
    found = parts.map_partitions(answers, path, meta=answers(parts.head(1), path).head(0)).compute(scheduler="threads")
    assert found["key"].tolist() == list(range(len(X)))
    np.testing.assert_array_equal(found.filter(like="p_"), fitted.predict_proba(X))
