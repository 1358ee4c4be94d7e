"""What may come as X, y, weights and parameters, drawn at random: it works with all promises, or is refused in words."""

import importlib
import pickle
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as of_numpy
from instances import families, make
from sklearn.exceptions import NotFittedError

import keras_ssvae as ks
from keras_ssvae.estimators.fit_data import prepare

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SMALL = {"latent_dim": 2, "hidden_layer_sizes": (4,), "epochs": 1, "batch_size": 16, "jit_compile": False, "random_state": 0}
CHECKED = {"deadline": None, "derandomize": True, "database": None, "suppress_health_check": list(HealthCheck)}

SHAPES = of_numpy.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8)
NUMBERS = st.sampled_from([np.float64, np.float32, np.float16, ">f8", np.int64, np.uint64, np.int8, ">i4", bool]).flatmap(
    lambda dtype: of_numpy.arrays(dtype, SHAPES)
)
HUGE = of_numpy.arrays(np.float64, SHAPES, elements=st.sampled_from([0.0, 1.0, -1e300, 1.7e308, 5e-324, 1e-300, np.nan, 1e15]))
CELLS = st.one_of(st.integers(), st.floats(), st.text(max_size=2), st.booleans(), st.none(), st.dates(), st.complex_numbers())
OBJECTS = of_numpy.arrays(object, SHAPES, elements=CELLS)
CONTAINERS = st.sampled_from(
    [
        lambda X: X, np.asfortranarray, lambda X: X[::-1], lambda X: X.tolist(), pd.DataFrame, lambda X: pd.DataFrame(X).T,
        lambda X: {f"c{j}": X[:, j] for j in range(X.shape[1])}, lambda X: np.ma.masked_array(X, np.eye(*X.shape) > 0),
    ]
)  # fmt: skip
WEIGHTS = st.one_of(st.none(), st.floats(), of_numpy.arrays(np.float64, st.integers(1, 8)))


def is_ours(error):
    """Whether an exception comes from a check of ours or of scikit-learn's."""
    traceback = error.__traceback__
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return any(package in traceback.tb_frame.f_code.co_filename for package in ("keras_ssvae", "sklearn"))


@settings(max_examples=240, **CHECKED)
@example(values=np.array([[2.0**63]], dtype=object), container=lambda X: X, weight=None)
@given(values=st.one_of(NUMBERS, HUGE, OBJECTS), container=CONTAINERS, weight=WEIGHTS)
def test_rows_are_prepared_as_finite_numbers_or_refused(values, container, weight):
    X = container(values)
    before = values.tobytes() if values.dtype != object else repr(values.tolist())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            data = prepare(ks.VAE(random_state=0), X, None, weight, warm=False)
    except (TypeError, ValueError) as error:
        assert is_ours(error) and len(str(error).split()) > 3
    else:
        table, rows = data.table, data.rows
        assert rows.x.dtype == np.float32 and np.isfinite(rows.x).all()
        assert np.isfinite(data.weight).all() and (data.weight > 0).all()
        back = table.numbers(rows.x)
        known = ~np.isnan(table.numbers(np.zeros_like(rows.x)))
        assert np.isfinite(back[known]).all()
        assert len(table.decode(rows.x)) == len(rows)
    assert before == (values.tobytes() if values.dtype != object else repr(values.tolist()))


@pytest.fixture(scope="module")
def fuzz():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        yield importlib.import_module("fuzz")


@pytest.mark.parametrize("first", range(0, 45, 9))
def test_fits_of_anything_work_or_are_refused(fuzz, first):
    """A case of every family; ``python benchmarks/fuzz.py`` makes thousands."""
    found = []
    for i, name in enumerate(fuzz.FAMILIES):
        faults, case = fuzz.faults(np.random.RandomState([7, first + i]), name)
        found += [(name, faults, case)] if faults else []
    assert not found


def test_the_fuzz_sees_what_is_no_promise(fuzz):
    assert "none of the promised exceptions" in fuzz.fault_of_refusal(KeyError("a key that is not there at all"))
    assert "with the message" in fuzz.fault_of_refusal(ValueError("no"))
    try:
        np.array([[1, 2], [3]])
    except ValueError as error:
        assert "ValueError from" in fuzz.fault_of_refusal(error)
    try:
        ks.VAE(latent_dim=0).fit([[1.0]])
    except ValueError as error:
        assert fuzz.fault_of_refusal(error) is None
    assert "not finite" in fuzz.fault_of_answer("transform", np.array([[np.nan]]), 1)
    assert "2 rows for 3" in fuzz.fault_of_answer("predict", np.zeros(2), 3)
    assert fuzz.fault_of_answer("reconstruct", np.array([[np.nan]]), 1) is None


@pytest.mark.parametrize(
    "question", ["transform", "reconstruct", "impute", "score_samples", "anomaly_score", "predict", "score"]
)
@families()
def test_an_unfitted_estimator_says_so(cls, question, rows):
    if hasattr(cls, question):
        with pytest.raises(NotFittedError, match=f"This {cls.__name__} instance is not fitted yet"):
            getattr(make(cls), question)(rows[0])


@families()
def test_far_cells_give_finite_answers_and_are_no_normal_rows(cls):
    rng = np.random.RandomState(0)
    X, y = rng.standard_normal((60, 3)), np.arange(60) % 2
    X[:3, 1] = 1e30
    with pytest.warns(ks.data.tables.ExtremeValueWarning, match="number of cells by column: 1: 3, such as 1e"):
        model = cls(**SMALL).fit(X, y)
    asked = np.array([[0.0, 0.0, 0.0], [1e300, 0, 0], [0, -1e300, 0], [0, 0, 5e-324], [1.7e308, -1.7e308, 1e4]])
    for question in ("predict_proba", "transform", "reconstruct", "score_samples", "loss_terms"):
        if hasattr(model, question):
            assert np.isfinite(np.asarray(getattr(model, question)(asked), float)).all(), question
    assert np.isfinite(model.sample(5, random_state=0)[0]).all()
    if hasattr(model, "anomaly_score") and isinstance(model, ks.VAE):
        scores = model.anomaly_score(asked)
        assert scores[[1, 2, 4]].min() > 100 * np.abs(scores[[0, 3]]).max()


@pytest.mark.parametrize(("cls", "exponents"), [(ks.M2, (30, 30)), (ks.M2, (-300, 300)), (ks.SemiSupervisedVAE, (-300, 300))])
def test_extreme_weights_are_fitted(cls, exponents, rows):
    weight = np.where(np.arange(60) % 2, 10.0 ** exponents[0], 10.0 ** exponents[1])
    proba = cls(**SMALL).fit(*rows, sample_weight=weight).predict_proba(rows[0])
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-6)


def test_a_column_of_a_frame_may_be_the_labels(rows):
    X, y = rows
    frame = pd.DataFrame(X, columns=list("abcde")).assign(kind=y)
    model = ks.SemiSupervisedVAE(**SMALL).fit(frame, "kind")
    same = ks.SemiSupervisedVAE(**SMALL).fit(frame.drop(columns="kind"), y)
    assert list(model.feature_names_in_) == list("abcde")
    np.testing.assert_array_equal(model.predict_proba(frame), same.predict_proba(frame.drop(columns="kind")))
    assert model.score(frame) == same.score(frame.drop(columns="kind"), y)
    assert list(model.reconstruct(frame).columns) == list("abcde")
    assert len(model.loss_terms(frame, "kind")) == 60


@pytest.mark.parametrize("wrap", [pd.DataFrame, np.asarray])
def test_long_integers_come_back_as_they_were(wrap):
    ids = 2**60 + np.random.RandomState(0).randint(50, size=(60, 2))
    X = wrap(ids)
    model = ks.VAE(**SMALL).fit(X)
    assert (np.asarray(model.impute(X)) == ids).all()
    drawn = np.asarray(model.sample(20, random_state=0)[0])
    assert drawn.dtype == np.int64 and (drawn >= 2**60).all() and (drawn < 2**60 + 50).all() and len(np.unique(drawn)) > 5
    np.testing.assert_array_equal(model.transform(X), model.transform(X if wrap is np.asarray else X.astype(object)))


@pytest.mark.parametrize("cls", [ks.SemiSupervisedVAE, ks.SemiSupervisedVAERegressor, ks.AnomalyDetector])
def test_answers_do_not_depend_on_what_numpy_does_about_underflow(cls, tmp_path):
    rng = np.random.RandomState(0)
    frame = pd.DataFrame({"count": rng.poisson(9, 80), "wide": np.exp(3 * rng.standard_normal(80)), "z": rng.rand(80)})
    y = np.where(np.arange(80) % 2, np.nan, np.arange(80) // 40)
    model = cls(ks.VAE(**SMALL), random_state=0) if cls is ks.AnomalyDetector else cls(**SMALL)
    expected = model.fit(frame, y).predict(frame)
    with np.errstate(all="raise"):
        model.fit(frame, y)
        np.testing.assert_array_equal(model.predict(frame), expected)
        assert np.isfinite(model.score_samples(frame)).all()
        model.save(tmp_path / "model")
        for copied in (ks.load(tmp_path / "model"), pickle.loads(pickle.dumps(model))):
            np.testing.assert_array_equal(copied.predict(frame), expected)
        assert set(np.geterr().values()) == {"raise"}
