import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_blobs


@pytest.fixture(scope="module")
def blobs():
    """60 rows: 30, 12 and 12 with a label of three classes, 6 without."""
    X, y = make_blobs([30, 12, 12, 6], 3, centers=[[-6, 0, 0], [0, 6, 0], [6, 0, 0], [0, 6, 0]], random_state=0)
    return X, np.where(y == 3, -1, y)


@pytest.fixture(scope="module")
def table():
    rng = np.random.RandomState(0)
    frame = pd.DataFrame(
        {
            "size": rng.standard_normal(40).astype(np.float32),
            "count": pd.array(rng.poisson(3, 40), dtype="Int64"),
            "whole": rng.randint(0, 50, 40).astype(np.int16),
            "colour": pd.Categorical(rng.choice(["red", "green"], 40), ["green", "red", "blue"]),
            "text": rng.choice(["x", "y"], 40),
            "yes": pd.array(rng.rand(40) < 0.5, dtype="boolean"),
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.randint(0, 99, 40), unit="D"),
        },
        index=np.arange(40) + 7,
    )
    frame.loc[9:12, ["size", "count", "colour", "text", "yes", "day"]] = None
    return frame, pd.Series(["u"] * 20 + ["v"] * 10 + [None] * 10, index=frame.index, name="kind", dtype=object)
