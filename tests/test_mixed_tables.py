"""Tables as they come, from fit to file: columns of every kind, gaps, categories, and what comes back of them."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from columns import COLUMNS, WITHOUT_GAPS, with_gaps
from scipy.special import logsumexp
from scipy.stats import norm

import keras_ssvae as ks
from keras_ssvae.data.column_base import ColumnWarning
from keras_ssvae.nn import noise

N = 120
CLASS = np.tile(["a", "b", "c"], N // 3)


def make(**settings):
    defaults = {"latent_dim": 2, "hidden_layer_sizes": (16,), "epochs": 5, "batch_size": 64, "random_state": 0}
    return ks.SemiSupervisedVAE(**defaults | settings)


def customers(seed=0):
    """A frame with a column of every kind of likelihood."""
    rng = np.random.RandomState(seed)
    kind = np.tile([0, 1, 2], N // 3)
    return pd.DataFrame(
        {
            "height": (rng.standard_normal(N) + 4 * kind).astype("float32"),
            "income": np.exp(rng.standard_normal(N)),
            "visits": rng.poisson(0.5, N),
            "rooms": pd.array(rng.randint(1, 9, N), dtype="Int64"),
            "age": rng.randint(18, 99, N).astype(float),  # whole numbers, made floats by the gaps that follow
            "animal": rng.choice(["cat", "dog", "emu"], N),
            "size": pd.Categorical(rng.choice(["s", "m", "l"], N), ["s", "m", "l", "xl"], ordered=True),
            "colour": pd.Categorical(np.array(["red", "green", "blue"])[kind]),
            "code": pd.Categorical(rng.choice([10, 20, 40], N)),
            "member": pd.array(rng.uniform(size=N) < 0.5, dtype="boolean"),
            "flag": rng.uniform(size=N) < 0.5,
            "born": pd.Timestamp("1980-05-05") + pd.to_timedelta(rng.randint(9999, size=N), unit="D"),
            "seen": (pd.Timestamp("2020-05-05") + pd.to_timedelta(rng.randint(999, size=N), unit="D")).strftime("%d.%m.%Y"),
            "stay": pd.to_timedelta(rng.randint(1, 99, N), unit="h"),
            "country": "Utopia",
        },
        index=pd.Index([f"C{i}" for i in rng.permutation(N)], name="customer"),
    )


def with_holes(frame, share=0.15, seed=1):
    """A share of the cells missing, in the columns whose dtype has room for that."""
    rng, frame = np.random.RandomState(seed), frame.copy()
    for name in frame.columns.difference(["visits", "flag"], sort=False):
        frame.loc[rng.uniform(size=len(frame)) < share, name] = None
    return frame


WHOLE = customers()
FRAME = with_holes(WHOLE)
PARTIAL = np.where(np.random.RandomState(2).uniform(size=N) < 0.5, CLASS, None)
NUMBERS = ["height", "income", "visits", "rooms", "age", "born", "stay"]
INTEGERS = ["visits", "rooms", "age"]


@pytest.fixture(scope="module")
def model():
    """Not to be changed."""
    return make().fit(FRAME, PARTIAL)


def questions(model):
    """What a model says of rows, as numbers."""
    return model.predict_proba, model.transform, lambda rows: model.score_samples(rows, n_draws=2)


def assert_same_kind(back, frame):
    assert list(back.columns) == list(frame.columns)
    pd.testing.assert_series_equal(back.dtypes, frame.dtypes)  # of categoricals, with their categories and order


# What comes back


def answers(model):
    return {
        "reconstruct": model.reconstruct(FRAME),
        "sample": model.sample(300, random_state=0)[0],
        "sample of a class": model.sample(20, y="b", random_state=0)[0],
        "inverse_transform": model.inverse_transform(model.transform(FRAME)),
        "impute": model.impute(FRAME),
    }


@pytest.mark.parametrize("name", ["reconstruct", "sample", "sample of a class", "inverse_transform", "impute"])
def test_what_comes_back_looks_like_what_went_in(name, model):
    back = answers(model)[name]
    assert_same_kind(back, FRAME)
    assert back.notna().all(axis=None)
    for column in NUMBERS:
        assert back[column].min() >= FRAME[column].min()
        assert back[column].max() <= FRAME[column].max()
    for column in INTEGERS:
        assert (back[column].astype(float) % 1 == 0).all()
    for column in FRAME.columns.difference([*NUMBERS, "seen"]):
        assert set(back[column]) <= set(FRAME[column].dropna())
    days = pd.to_datetime(back["seen"], format="%d.%m.%Y")
    seen = pd.to_datetime(FRAME["seen"], format="%d.%m.%Y")
    assert days.between(seen.min(), seen.max()).all()
    assert (back["born"] == back["born"].dt.normalize()).all()
    assert (back["stay"] % pd.Timedelta("1h") == pd.Timedelta(0)).all()
    assert back.index.equals(FRAME.index if name in ("reconstruct", "impute") else pd.RangeIndex(len(back)))


def test_kinds_of_likelihood_follow_from_the_columns(model):
    assert dict(zip(FRAME, model.table_.kinds_, strict=True)) == {
        **dict.fromkeys(["height", "rooms", "age", "born", "seen", "stay"], "gaussian"),
        "income": "log_normal",
        "visits": "poisson",
        **dict.fromkeys(["animal", "colour", "code"], "categorical"),
        "size": "ordinal",
        **dict.fromkeys(["member", "flag"], "bernoulli"),
        "country": "constant",
    }


def test_samples_vary_as_the_rows_do(model):
    drawn, labels = model.sample(300, random_state=0)
    assert set(labels) == {"a", "b", "c"}
    for column in FRAME.columns.difference(["country"]):
        assert drawn[column].nunique() >= min(10, FRAME[column].nunique() - 1)


def test_impute_changes_nothing_but_gaps(model):
    filled = model.impute(FRAME)
    for column in FRAME:
        known = FRAME[column].notna()
        pd.testing.assert_series_equal(filled[column][known], FRAME[column][known], check_exact=True)
    pd.testing.assert_frame_equal(model.impute(WHOLE), WHOLE)


def test_gaps_are_filled_by_what_the_other_columns_say():
    model = make(epochs=80, learning_rate=1e-2).fit(FRAME, PARTIAL)
    filled = model.impute(FRAME)
    for column in ("colour", "height"):  # both are functions of the class, up to noise
        gap = FRAME[column].isna()
        if column == "colour":
            assert (filled[column][gap] == WHOLE[column][gap]).mean() > 0.8
        else:
            error = (filled[column] - WHOLE[column])[gap].abs().mean()
            assert error < 0.6 * (WHOLE[column] - FRAME[column].mean())[gap].abs().mean()


def test_the_users_frame_stays_as_it_is():
    frame = FRAME.copy(deep=True)
    model = make(epochs=1).fit(frame, PARTIAL)
    for question in (*questions(model), model.impute, model.reconstruct):
        question(frame)
    pd.testing.assert_frame_equal(frame, FRAME)


# Every column that there is


def test_every_column_that_there_is():
    columns = {name: with_gaps(name)[0] if name not in WITHOUT_GAPS else series for name, (series, _) in COLUMNS.items()}
    frame = pd.concat([pd.DataFrame(columns)] * 3, ignore_index=True)
    y = np.tile([0, 1, None], 12)
    model = make(epochs=2).fit(frame, y)
    drawn, _ = model.sample(10, random_state=0)
    for back in (model.reconstruct(frame), model.impute(frame), drawn):
        assert_same_kind(back, frame)
        assert back.notna().all(axis=None)
    for question in questions(model):
        assert np.isfinite(question(frame)).all()
    again = pickle.loads(pickle.dumps(model))
    pd.testing.assert_frame_equal(again.sample(10, random_state=0)[0], drawn)


@pytest.mark.parametrize("settings", [{"code_dim": 3, "code_layer_sizes": (8,)}, {"label_input": "soft"}], ids=["code", "soft"])
def test_the_other_models_read_such_tables_too(settings):
    model = make(**settings).fit(FRAME, PARTIAL)
    for back in answers(model).values():
        assert_same_kind(back, FRAME)
        assert back.notna().all(axis=None)
    for question in questions(model):
        assert np.isfinite(question(FRAME)).all()


# Rows to come


def nothing(n_rows):
    return pd.DataFrame({name: pd.Series([None] * n_rows, dtype=object) for name in FRAME})


def test_rows_of_gaps_alone_are_all_the_same_row(model):
    for question in questions(model):
        answer = question(nothing(4))
        assert np.isfinite(answer).all()
        np.testing.assert_array_equal(answer, answer[[0, 0, 0, 0]])
    assert set(model.predict(nothing(2))) <= {"a", "b", "c"}
    assert model.impute(nothing(2)).notna().all(axis=None)
    assert_same_kind(model.reconstruct(nothing(2)), FRAME)


def test_of_rows_without_a_cell_the_mean_weight_is_that_of_the_latent_variables_alone(model):
    """log p(nothing) = 0 = log E[p(z) / q(z | x)]: with no cell to explain, p(x | z, y) is one."""
    network, encoded = model.network_, model.table_.encode(np.full((1, FRAME.shape[1]), np.nan))
    features = network.encoder_inputs(tf.constant(encoded.x), tf.constant(encoded.observed))
    mean, log_variance, _ = (part.numpy()[0] for part in network.posterior({"inputs": features}))
    eps = noise.normal((network.seed, 0), (20, 1, 2)).numpy()[:, 0]
    z = mean + np.exp(0.5 * log_variance) * eps
    log_weight = (norm.logpdf(z) - norm.logpdf(z, mean, np.exp(0.5 * log_variance))).sum(axis=1)
    assert model.score_samples(nothing(1), n_draws=20)[0] == pytest.approx(logsumexp(log_weight) - np.log(20), abs=1e-4)


def test_a_category_that_the_fit_did_not_see_is_a_gap(model):
    rows, gaps = WHOLE.iloc[:5].copy(), WHOLE.iloc[:5].copy()
    rows["animal"], gaps["animal"] = "yak", None
    rows["code"], gaps["code"] = pd.Categorical([30] * 5), np.nan
    for question in questions(model):
        np.testing.assert_array_equal(question(rows), question(gaps))


def test_the_dtypes_of_rows_to_come_do_not_matter(model):
    others = {
        "objects": FRAME.astype(object),
        "text, dates and floats": FRAME.astype(
            {"size": "str", "colour": object, "rooms": "float64", "member": object, "visits": "Int8"}
        ),
        "categories in another order": FRAME.assign(
            colour=FRAME["colour"].cat.set_categories(["red", "white", "blue", "green"])
        ),
        "another unit": FRAME.assign(born=FRAME["born"].astype("datetime64[ns]"), stay=FRAME["stay"].astype("timedelta64[s]")),
    }
    for name, rows in others.items():
        np.testing.assert_array_equal(model.predict_proba(rows), model.predict_proba(FRAME), err_msg=name)


COLUMNS_OF_OTHERS = {
    "another order": (lambda X: X[X.columns[::-1]], "Feature names must be in the same order as they were in fit"),
    "one more": (lambda X: X.assign(more=1), "(?s)feature names .* unseen at fit time:\n- more"),
    "one less": (lambda X: X.drop(columns="animal"), "(?s)feature names .* seen at fit time, yet now missing:\n- animal"),
    "another name": (
        lambda X: X.rename(columns={"animal": "pet"}),
        "(?s)unseen at fit time:\n- pet.*yet now missing:\n- animal",
    ),
    "no rows": (lambda X: X.iloc[:0], "Found array with 0 sample"),
}


@pytest.mark.parametrize(("change", "message"), COLUMNS_OF_OTHERS.values(), ids=COLUMNS_OF_OTHERS)
@pytest.mark.parametrize("method", ["predict", "transform", "reconstruct", "impute", "score_samples"])
def test_columns_must_be_those_of_the_fit(change, message, method, model):
    with pytest.raises(ValueError, match=message):
        getattr(model, method)(change(FRAME))


def test_a_value_that_cannot_be_read_is_named(model):
    with pytest.raises(ValueError, match="column 'rooms' holds other values than in the fit"):
        model.predict(FRAME.assign(rooms="many"))


def test_sparse_columns_are_refused():
    with pytest.raises(TypeError, match="Sparse data was passed: column 'b' .*to_dense"):
        make().fit(pd.DataFrame({"a": [1.0, 2], "b": pd.arrays.SparseArray([0, 1])}), None)


def test_infinity_is_refused():
    with pytest.raises(ValueError, match="X contains infinity"):
        make().fit(WHOLE.assign(income=np.inf), CLASS)


# Other containers


def test_rows_as_lists_and_as_an_array_of_objects():
    X = FRAME[["height", "animal", "member"]].astype(object).to_numpy()
    X = np.where(pd.isna(X), None, X)
    models = {}
    for name, rows in {"array": X, "list": X.tolist()}.items():
        model = models[name] = make(epochs=2).fit(rows, PARTIAL)
        for back in (model.reconstruct(rows), model.impute(rows), model.sample(5, random_state=0)[0]):
            assert isinstance(back, np.ndarray)
            assert back.dtype == object
            assert set(back[:, 1]) <= {"cat", "dog", "emu"}
            assert set(back[:, 2]) <= {True, False}
    np.testing.assert_array_equal(models["array"].predict_proba(X), models["list"].predict_proba(X.tolist()))


def test_an_array_or_a_list_may_follow_a_frame_of_numbers():
    frame = FRAME[["height", "income", "age"]].astype("float64")
    model = make(epochs=1).fit(frame, PARTIAL)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "X does not have valid feature names")
        for rows in (frame.to_numpy(), frame.to_numpy().tolist()):
            np.testing.assert_array_equal(model.predict_proba(rows), model.predict_proba(frame))
            filled = model.impute(rows)
            np.testing.assert_array_equal(filled, model.impute(frame).to_numpy())
            pd.testing.assert_frame_equal(model.reconstruct(rows), model.reconstruct(frame).reset_index(drop=True))


def test_names_that_are_no_text():
    for columns in (pd.MultiIndex.from_product([["x"], ["a", "b", "c"]]), [3, 1, 2]):
        frame = FRAME[["height", "animal", "born"]].set_axis(columns, axis=1)
        model = make(epochs=1).fit(frame, PARTIAL)
        assert model.sample(3, random_state=0)[0].columns.equals(frame.columns)
        assert_same_kind(model.impute(frame), frame)


# The same model


def test_the_order_of_the_rows_does_not_matter(model):
    order = np.random.RandomState(3).permutation(N)
    shuffled = make().fit(FRAME.iloc[order], PARTIAL[order])
    np.testing.assert_allclose(shuffled.predict_proba(FRAME), model.predict_proba(FRAME), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("how", ["save", "pickle"])
def test_a_stored_model_gives_the_same_answers(how, model, tmp_path):
    model.save(tmp_path / "model")
    other = ks.load(tmp_path / "model") if how == "save" else pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(other.predict(FRAME), model.predict(FRAME))
    for mine, theirs in zip(questions(model), questions(other), strict=True):
        np.testing.assert_array_equal(theirs(FRAME), mine(FRAME))
    others = answers(other)
    for name, back in answers(model).items():
        pd.testing.assert_frame_equal(others[name], back, check_exact=True)


def test_training_goes_on_with_rows_in_the_columns_of_the_fit():
    model = make(epochs=1).partial_fit(FRAME.iloc[:60], PARTIAL[:60], classes=["a", "b", "c"])
    scaling = model.table_.center_
    model.partial_fit(FRAME.iloc[60:], PARTIAL[60:])
    assert model.table_.center_ is scaling
    assert len(model.history_) == 2
    with pytest.raises(ValueError, match="feature names"):
        model.partial_fit(FRAME.drop(columns="animal"), PARTIAL)


# Likelihoods by name


def test_likelihoods_by_name():
    wishes = {"height": "student_t", "animal": "ordinal", "rooms": "negative_binomial", "flag": "categorical"}
    model = make(likelihood=wishes).fit(FRAME, PARTIAL)
    kinds = dict(zip(FRAME, model.table_.kinds_, strict=True))
    assert {name: kinds[name] for name in wishes} == wishes
    assert kinds["income"] == "log_normal"
    assert_same_kind(model.sample(20, random_state=0)[0], FRAME)
    assert np.isfinite(model.score_samples(FRAME, n_draws=2)).all()


@pytest.mark.parametrize(
    ("likelihood", "message"),
    [
        ({"weight": "gaussian"}, r"likelihood names columns that X does not have: \['weight'\]"),
        ({"height": "poisson"}, "likelihood='poisson' accepts whole numbers from 0; column 'height' of X"),
        ({"height": "cauchy"}, "likelihood of column 'height' must be 'auto' or one of"),
        ("cauchy", "likelihood"),
        (["gaussian"], "likelihood"),
    ],
)
def test_a_likelihood_that_does_not_fit_leaves_the_model_as_it_was(likelihood, message, model):
    again = pickle.loads(pickle.dumps(model)).set_params(likelihood=likelihood)
    with pytest.raises(ValueError, match=message):
        again.fit(FRAME, PARTIAL)
    np.testing.assert_array_equal(again.predict_proba(FRAME), model.predict_proba(FRAME))


def test_names_of_people_are_left_out_with_a_warning(model):
    frame = FRAME.assign(name=[f"N{i}" for i in range(N)])
    with pytest.warns(ColumnWarning, match="column 'name' has 120 different values in 120 rows"):
        named = make().fit(frame, PARTIAL)
    assert named.sample(3, random_state=0)[0]["name"].isna().all()
    pd.testing.assert_series_equal(named.impute(frame)["name"], frame["name"])
    others = frame.assign(name=None)
    np.testing.assert_array_equal(named.predict_proba(others), named.predict_proba(frame))


# Weights of classes


def rare(y=CLASS):
    """Labels of which "c" is rare, and rows without."""
    y = np.where((y == "c") & (np.arange(N) > 9), "a", y).astype(object)
    y[::7] = None
    return y


def transform(**settings):
    sample_weight = settings.pop("sample_weight", None)
    return make(epochs=3, **settings).fit(FRAME, rare(), sample_weight=sample_weight).transform(FRAME)


def test_class_weights_are_sample_weights_of_the_labelled_rows():
    weights = {"a": 0.5, "c": 4.0}
    expected = transform(sample_weight=pd.Series(rare()).map({"b": 1.0, **weights}).fillna(1.0))
    np.testing.assert_allclose(transform(class_weight=weights), expected, rtol=1e-5, atol=1e-6)


def test_balanced_gives_every_class_the_same_weight_and_the_labels_the_same_sum():
    counts = pd.Series(rare()).value_counts()
    weights = {label: counts.sum() / (3 * count) for label, count in counts.items()}
    np.testing.assert_allclose(transform(class_weight="balanced"), transform(class_weight=weights), rtol=1e-5, atol=1e-6)


def test_balanced_counts_what_the_sample_weights_count():
    times = np.random.RandomState(0).randint(1, 4, N).astype(float)
    totals = pd.Series(times).groupby(rare()).sum()
    weights = {label: totals.sum() / (3 * total) for label, total in totals.items()}
    expected = transform(class_weight=weights, sample_weight=times)
    np.testing.assert_allclose(transform(class_weight="balanced", sample_weight=times), expected, rtol=1e-5, atol=1e-6)


def test_class_weights_say_nothing_where_no_row_has_a_label():
    plain, balanced = (make(epochs=1, class_weight=w).fit(FRAME) for w in (None, "balanced"))
    np.testing.assert_array_equal(plain.transform(FRAME), balanced.transform(FRAME))


@pytest.mark.parametrize(
    ("class_weight", "message"),
    [
        ({"d": 2.0}, r"class_weight names labels that are not among the classes: \['d'\]"),
        ({"a": 0.0}, "class_weight must hold positive weights; got "),
        ({"a": -1.0}, "class_weight must hold positive weights; got "),
        ({"a": np.nan}, "class_weight must hold positive weights; got "),
        ({"a": np.inf}, "class_weight must hold positive weights; got "),
        ("heavy", "class_weight"),
        (2.0, "class_weight"),
    ],
)
def test_class_weights_that_make_no_sense_are_refused(class_weight, message):
    with pytest.raises(ValueError, match=message):
        make(class_weight=class_weight).fit(FRAME, PARTIAL)
