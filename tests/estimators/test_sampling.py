"""Rows that are made up under conditions."""

import numpy as np
import pandas as pd
import pytest
from instances import make
from scipy.stats import ks_2samp

import keras_ssvae as ks
from keras_ssvae.estimators import sampling


@pytest.fixture(scope="module")
def frame():
    rng = np.random.RandomState(0)
    age = rng.randint(18, 80, 300)
    plan = np.where(rng.rand(300) < np.where(age > 40, 0.8, 0.2), "paid", "free")
    rows = pd.DataFrame({"age": age, "plan": plan, "spent": rng.lognormal(1, 0.5, 300) * (plan == "paid") + rng.rand(300)})
    rows["since"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.randint(0, 2000, 300), "D")
    rows["size"] = pd.Categorical(rng.choice(["S", "M", "L"], 300), categories=["S", "M", "L"], ordered=True)
    return rows


@pytest.fixture(scope="module")
def model(frame):
    y = np.where(np.arange(300) % 3 == 0, (frame["age"] > 40).map({True: "old", False: "young"}), None)
    return make(ks.SemiSupervisedVAE, latent_dim=2, hidden_layer_sizes=(32,), epochs=30, random_state=0).fit(frame, y)


@pytest.mark.parametrize(
    ("conditions", "holds"),
    [
        ({"plan": "paid"}, lambda X: X["plan"] == "paid"),
        ({"plan": ["paid", "free"], "age": (30, 40)}, lambda X: X["age"].between(30, 40)),
        ({"age": 30}, lambda X: X["age"] == 30),
        ({"spent": (None, 1.0)}, lambda X: X["spent"] <= 1),
        ({"spent": (2.0, None), "plan": "paid"}, lambda X: (X["spent"] >= 2) & (X["plan"] == "paid")),
        ({"since": (pd.Timestamp("2022-01-01"), None)}, lambda X: X["since"] >= "2022-01-01"),
        ({"size": ("M", "L")}, lambda X: X["size"].isin(["M", "L"])),
        ({"age": np.array([30, 40])}, lambda X: X["age"].isin([30, 40])),
        ({"age": pd.Series([30, 40])}, lambda X: X["age"].isin([30, 40])),
        ({"age": range(30, 40)}, lambda X: X["age"].between(30, 39)),
        ({"since": list(pd.date_range("2022-01-01", "2022-12-31").astype(str))}, lambda X: X["since"].dt.year == 2022),
        ({}, lambda X: X["age"] > 0),
    ],
)
def test_every_row_meets_all_conditions(model, conditions, holds):
    X, y = model.sample(40, random_state=0, conditions=conditions)
    assert len(X) == len(y) == 40
    assert holds(X).all()
    again, _ = model.sample(40, random_state=0, conditions=conditions)
    pd.testing.assert_frame_equal(again, X)


def test_what_comes_is_what_the_model_makes_up_under_the_conditions(model):
    """As all made-up rows of which those are kept that meet the conditions, classes among them."""
    X, y = model.sample(20_000, random_state=0)
    kept = X["plan"] == "paid"
    given, classes = model.sample(2000, random_state=1, conditions={"plan": "paid"})
    assert given["age"].mean() == pytest.approx(X.loc[kept, "age"].mean(), abs=1.5)
    assert (classes == "old").mean() == pytest.approx((y[kept] == "old").mean(), abs=0.04)
    assert abs((y[kept] == "old").mean() - (y == "old").mean()) > 0.05  # so that it could tell


def test_classes_that_were_asked_for_stay(model):
    asked = np.array(["old", "young"] * 10)
    X, y = model.sample(y=asked, random_state=0, conditions={"plan": "free"})
    np.testing.assert_array_equal(y, asked)
    assert (X["plan"] == "free").all()


def test_domains_that_were_asked_for_stay(frame):
    site = np.where(np.arange(300) < 150, "a", "b")
    moved = frame[["age", "spent"]].assign(spent=frame["spent"] + 50 * (site == "b"))
    model = make(ks.SemiSupervisedVAE, latent_dim=2, hidden_layer_sizes=(16,), epochs=20, random_state=0)
    model.fit(moved, np.where(np.arange(300) % 2, frame["plan"], None), domain=site)
    asked = np.array(["a", "b"] * 10)
    X, _ = model.sample(20, domain=asked, random_state=0, conditions={"age": (18, 60)})
    assert X["age"].between(18, 60).all()
    assert X["spent"][asked == "b"].min() > X["spent"][asked == "a"].max()
    with pytest.raises(ValueError, match="domain has 3 entries for 20 rows"):
        model.sample(20, domain=asked[:3], conditions={"age": (18, 60)})


def test_columns_of_arrays_go_by_position():
    X = np.random.RandomState(0).standard_normal((200, 3))
    model = make(ks.VAE, latent_dim=2, hidden_layer_sizes=(8,), epochs=3).fit(X)
    for name in (1, np.int64(1), 1.0):
        made, _ = model.sample(10, random_state=0, conditions={name: (0, None)})
        assert made.shape == (10, 3) and (made[:, 1] >= 0).all()


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ({"colour": "red"}, r"'colour', which is no column of X; it has \['age', 'plan'"),
        ({"plan": "payed"}, r"asks for \['payed'\], of the column's values \['free', 'paid'\]"),
        ({"plan": ["paid", "gold"]}, r"asks for \['gold'\]"),
        ({"age": (1, 2, 3)}, r"conditions\['age'\] must be a value, a list of values, or \(low, high\)"),
        ({"age": {30: 40}}, r"conditions\['age'\] must be a value, a list of values, or \(low, high\); got {30: 40}"),
        ({"plan": pd.NA}, r"conditions\['plan'\] asks for a missing value, which no made-up row has; got <NA>"),
        ({"plan": ["paid", None]}, "asks for a missing value"),
        ({"age": (np.nan, 30)}, "asks for a missing value"),
        ({"plan": [["paid"]]}, r"asks for \[\['paid'\]\]"),
        ({"age": []}, "hardly a row"),
        ({"plan": (1, 2)}, r"conditions\['plan'\]=\(1, 2\) is a range, but the column has no such order"),
        ({"spent": 1.2345}, "hardly a row that the model makes up: for 2 of 2 none of 1000"),
        (["age"], "conditions must be a dict of columns; got list"),
    ],
)
def test_conditions_that_cannot_be_met_are_refused(model, conditions, message):
    with pytest.raises(ValueError, match=message):
        model.sample(2, conditions=conditions)


def test_images_have_no_columns():
    model = make(ks.VAE, epochs=1).fit(np.zeros((20, 4, 4), np.uint8))
    with pytest.raises(ValueError, match="images"):
        model.sample(2, conditions={0: 1})


def test_many_rows_are_made_up_in_parts(model, monkeypatch):
    monkeypatch.setattr(sampling, "MOST_ROWS", 7)
    X, _ = model.sample(20, random_state=0, conditions={"plan": "paid"})
    assert (X["plan"] == "paid").all() and len(X) == 20


def test_columns_are_distributed_as_those_of_the_fit(frame, model):
    X, _ = model.sample(3000, random_state=0)
    made = {name: ks_2samp(X[name].astype("int64") if name == "since" else X[name], frame[name].astype("int64")
                           if name == "since" else frame[name]).statistic for name in ("age", "spent", "since")}  # fmt: skip
    assert max(made.values()) < 0.1
    own = model._snapshot()
    own._marginals = None  # the model's own columns
    assert ks_2samp(own.sample(3000, random_state=0)[0]["spent"], frame["spent"]).statistic > 0.1


@pytest.mark.parametrize("prior", ["empirical", "uniform"])
def test_a_rare_class_stays_where_it_is(prior):
    """Its rows are compared with those of all classes as often as these are there, whatever the model's prior says."""
    rng = np.random.RandomState(0)
    y = (rng.rand(400) < 0.1).astype(int)
    X = rng.standard_normal((400, 3)) + 3 * y[:, None]
    model = make(ks.SemiSupervisedVAE, latent_dim=2, hidden_layer_sizes=(32,), epochs=40, class_prior=prior, random_state=0)
    model.fit(X, np.where(rng.rand(400) < 0.5, y, -1))
    assert model._marginals.class_shares[1] == pytest.approx(0.1, abs=0.05)
    made, _ = model.sample(500, y=1, random_state=0)
    np.testing.assert_allclose(made.mean(axis=0), X[y == 1].mean(axis=0), atol=0.6)


def test_later_passes_keep_what_the_first_one_saw():
    X = np.random.RandomState(0).lognormal(size=(100, 2))
    model = make(ks.VAE, latent_dim=2, hidden_layer_sizes=(8,), epochs=1, random_state=0).partial_fit(X)
    first = model._marginals
    assert model.partial_fit(X[:10])._marginals is first
    assert model.fit(X[:50])._marginals.quantiles[0, -1] == X[:50, 0].max()
