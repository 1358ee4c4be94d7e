"""Estimators that are told where rows come from."""

import pickle
import threading

import numpy as np
import pandas as pd
import pytest
from instances import SMALL
from sklearn import config_context
from sklearn.base import clone
from sklearn.model_selection import cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import keras_ssvae as ks

pytestmark = pytest.mark.xdist_group(ks.SemiSupervisedVAE.__name__)


def made(**settings):
    return ks.SemiSupervisedVAE(**{**SMALL, "random_state": 0, "jit_compile": False, **settings})


@pytest.fixture(scope="module")
def rows():
    """(X, y, domain): two classes in four columns, of which device "b" shifts the last two by 8; labels of "a" alone."""
    rng = np.random.RandomState(0)
    y, domain = rng.randint(2, size=240), np.array(["a", "b"])[rng.randint(2, size=240)]
    X = rng.normal(size=(240, 4)) + 3 * y[:, None]
    X[domain == "b", 2:] += 8
    return X, np.where(domain == "a", y, -1), domain, y


@pytest.fixture(scope="module")
def frame(rows):
    X, partly, domain, _ = rows
    return pd.DataFrame(X, columns=list("pqrs")).assign(site=domain, label=partly)


@pytest.fixture(scope="module")
def model(rows):
    X, partly, domain, _ = rows
    return made(epochs=40).fit(X, partly, domain=domain)


def test_labels_of_one_domain_serve_the_other(model, rows):
    X, _, domain, y = rows
    assert np.mean(model.predict(X[domain == "b"]) == y[domain == "b"]) > 0.9


def test_distances_are_a_frame_by_name(model):
    apart = model.domain_distances_
    assert apart.index.tolist() == apart.columns.tolist() == ["a", "b"]
    assert apart.loc["a", "b"] > 1.8
    assert apart.loc["a", "a"] == 0


def test_rows_are_made_up_in_a_domain(model):
    X_a, y_a = model.sample(200, domain="a", random_state=0)
    X_b, _ = model.sample(200, domain="b", random_state=0)
    assert (X_b - X_a)[:, 2:].mean() == pytest.approx(8, abs=1.5)
    assert abs((X_b - X_a)[:, :2].mean()) < 1.5
    mixed, labels = model.sample(y=[0, 1], domain=["a", "b"], random_state=0)
    assert mixed.shape == (2, 4)
    assert labels.tolist() == [0, 1]
    assert set(y_a) == {0, 1}


def test_rows_are_drawn_from_all_domains_by_default(model, rows):
    X, _, domain, _ = rows
    drawn, _ = model.sample(400, random_state=0)
    of_b = np.abs(drawn[:, 2:].mean(axis=1) - X[domain == "b", 2:].mean()) < 4
    assert np.mean(of_b) == pytest.approx(np.mean(domain == "b"), abs=0.15)


def test_rows_are_reconstructed_as_if_from_elsewhere(model, rows):
    X, _, domain, _ = rows
    of_a = X[domain == "a"]
    there = model.reconstruct(of_a, domain="b")
    assert (there - of_a)[:, 2:].mean() == pytest.approx(8, abs=1.5)
    own = model.reconstruct(X)
    assert np.abs(own - X)[:, 2:].mean() < 2  # each row in its own domain, which nobody said
    given = model.reconstruct(X, domain=domain)
    np.testing.assert_allclose(given, own, atol=1.5)


def test_codes_leave_the_domain_out(model, rows):
    X, partly, domain, _ = rows
    with pytest.warns(ks.UnlabeledShiftWarning):  # labels are in one domain alone
        plain = made(epochs=40).fit(X, partly)
    gap = {
        name: np.abs(np.subtract(*(m.transform(X)[:, :2][domain == k].mean(axis=0) for k in "ab"))).max()
        for name, m in {"told": model, "not told": plain}.items()
    }
    assert gap["told"] < 0.5 < gap["not told"]


@pytest.mark.parametrize("given", ["array", "column"])
def test_a_frame_and_the_name_of_its_column(rows, frame, given):
    X, partly, domain, _ = rows
    columns = frame.drop(columns="label")
    if given == "column":
        model = made(epochs=2).fit(frame, "label", domain="site")
        asked = columns
    else:
        model = made(epochs=2).fit(columns.drop(columns="site"), partly, domain=frame["site"])
        asked = columns.drop(columns="site")
    assert model.feature_names_in_.tolist() == list("pqrs")
    again = made(epochs=2).fit(asked[list("pqrs")], partly, domain=domain.tolist())
    np.testing.assert_array_equal(model.predict_proba(asked), again.predict_proba(columns[list("pqrs")]))
    assert model.reconstruct(asked, domain="b").columns.tolist() == list("pqrs")
    assert model.loss_terms(asked).shape[0] == len(X)


def test_domains_of_numbers_any_number_of_them(rows):
    X, partly, _, _ = rows
    model = made(epochs=2).fit(X, partly, domain=np.arange(len(X)) % 3)
    assert model.domain_distances_.columns.tolist() == [0, 1, 2]
    assert model.sample(2, domain=2)[0].shape == (2, 4)


def test_without_labels_and_without_experts(rows):
    X, partly, domain, _ = rows
    for settings, y in (({}, None), ({"experts": None}, partly)):
        model = made(epochs=2, **settings).fit(X, y, domain=domain)
        assert model.domain_distances_.loc["a", "b"] > 1.8
        assert model.sample(3, domain="a")[0].shape == (3, 4)


def test_questions_about_rows_that_are_read_piece_by_piece(rows):
    X, partly, domain, _ = rows
    model = made(epochs=1, piecewise=True).fit(X, partly, domain=domain)
    np.testing.assert_array_equal(model.anomaly_score(X[:9]), model.anomaly_score(X)[:9])
    assert model.reconstruct(X[:9]).shape == (9, 4)


def test_images_with_a_code_and_a_decoder_of_ones_own(rows):
    _, partly, domain, _ = rows
    images = np.random.RandomState(0).rand(240, 12, 12)
    model = made(epochs=3, code_layer_sizes=(8,)).fit(images, partly, domain=domain)
    assert model.reconstruct(images[:3], domain="b").shape == model.sample(3, domain="a")[0].shape == (3, 12, 12)
    import keras

    decoder = keras.Sequential([keras.Input((2,)), keras.layers.Dense(4)])
    model = made(epochs=2, decoder=decoder).fit(rows[0], partly, domain=domain)
    assert np.abs(model.network_.domain_shift.numpy()).max() > 0


def test_save_load_pickle_and_clone(model, rows, tmp_path):
    X = rows[0][:9]
    model.save(tmp_path / "m.ssvae")
    for copy in (ks.load(tmp_path / "m.ssvae"), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(copy.predict_proba(X), model.predict_proba(X))
        np.testing.assert_array_equal(copy.reconstruct(X, domain="b"), model.reconstruct(X, domain="b"))
        np.testing.assert_array_equal(copy.sample(5, random_state=1)[0], model.sample(5, random_state=1)[0])
        pd.testing.assert_frame_equal(copy.domain_distances_, model.domain_distances_)
    assert not hasattr(clone(model), "domain_distances_")


def test_the_same_domains_give_the_same_bits(rows):
    X, partly, domain, _ = rows
    one, two = (made(epochs=2).fit(X, partly, domain=domain).predict_proba(X) for _ in range(2))
    np.testing.assert_array_equal(one, two)


def test_partial_fit_and_warm_start_know_the_domains(rows):
    X, partly, domain, _ = rows
    model = (
        made().partial_fit(X[:120], partly[:120], domain=domain[:120]).partial_fit(X[120:], partly[120:], domain=["b"] * 120)
    )
    expected = np.mean(np.concatenate([domain[:120] == "b", np.ones(120)]))
    assert model._domain_shares[1] == pytest.approx(expected)
    warm = made(epochs=2, warm_start=True).fit(X, partly, domain=domain)
    before = warm.predict_proba(X)
    assert np.abs(warm.fit(X, partly, domain=domain).predict_proba(X) - before).max() > 0
    with pytest.raises(ValueError, match=r"unknown domains \['c'\]"):
        model.partial_fit(X, partly, domain=["a", "c"] * 120)
    with pytest.raises(ValueError, match="fitted with domain, and cannot go on without it"):
        model.partial_fit(X, partly)
    with pytest.raises(ValueError, match="fitted without domain, and cannot go on with it"):
        made(epochs=1, warm_start=True, experts=None).fit(X, partly).fit(X, partly, domain=domain)


def test_metadata_reaches_the_fit_through_a_pipeline(rows):
    X, partly, domain, _ = rows
    with config_context(enable_metadata_routing=True):
        model = made(epochs=1).set_fit_request(domain=True).set_score_request()
        pipeline = make_pipeline(StandardScaler(), model).fit(X, partly, domain=domain)
        assert pipeline[-1].domain_distances_.shape == (2, 2)
        scores = cross_validate(pipeline, X, partly, params={"domain": domain}, cv=2, error_score="raise")
    assert len(scores["test_score"]) == 2


def test_questions_while_another_thread_fits(rows):
    X, partly, domain, _ = rows
    model = made(epochs=2).fit(X, partly, domain=domain)
    expected, errors = model.reconstruct(X[:5], domain="b"), []

    def fit():
        try:
            model.fit(X, partly, domain=np.where(domain == "a", "x", "y"))
        except ValueError as error:
            errors.append(error)

    thread = threading.Thread(target=fit)
    snapshot = model._snapshot()
    thread.start()
    np.testing.assert_array_equal(snapshot.reconstruct(X[:5], domain="b"), expected)
    thread.join()
    assert not errors
    assert model.domain_distances_.columns.tolist() == ["x", "y"]


@pytest.mark.parametrize(
    ("domain", "message"),
    [
        (["a"] * 3, "one entry for each of the 240 rows; got 3"),
        (["a", None] * 120, "must be known for every row; it is missing for 120"),
        (["a"] * 240, "at least two domains"),
        ("site", "names a column, but X is an array"),
    ],
    ids=["length", "missing", "one", "no frame"],
)
def test_what_is_no_domain_is_refused_and_changes_nothing(rows, domain, message):
    model = made()
    with pytest.raises(ValueError, match=message):
        model.fit(rows[0], rows[1], domain=domain)
    assert not hasattr(model, "network_")


def test_a_column_that_is_not_there(frame):
    with pytest.raises(ValueError, match=r"domain='place' names no column of X; its columns are \['p'"):
        made().fit(frame, "label", domain="place")


def test_rows_in_blocks_have_no_domains(rows, frame, tmp_path):
    frame.to_csv(tmp_path / "rows.csv", index=False)
    with pytest.raises(ValueError, match="domain must be None where X is read in blocks"):
        made().fit(tmp_path / "rows.csv", "label", domain="site")


def test_unknown_domains_of_questions(model, rows):
    with pytest.raises(ValueError, match=r"unknown domains \['c'\]; the model was fitted to \['a', 'b'\]"):
        model.sample(3, domain="c")
    with pytest.raises(ValueError, match=r"unknown domains \['c'\]"):
        model.reconstruct(rows[0], domain="c")
    plain = made(epochs=1, experts=None).fit(rows[0], rows[1])
    assert plain.domain_distances_ is None
    for ask in (lambda: plain.sample(3, domain="a"), lambda: plain.reconstruct(rows[0], domain="a")):
        with pytest.raises(ValueError, match="was fitted without domain"):
            ask()
