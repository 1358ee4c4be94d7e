"""What every family promises its user, checked on every family."""

import pickle
import random
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from instances import FAST, make

import keras_ssvae as ks

pytestmark = pytest.mark.parametrize("cls", FAST)


@pytest.fixture(scope="module")
def rows():
    """Three well separated classes of 30 rows, every third row labelled."""
    rng = np.random.RandomState(0)
    y = np.tile([0, 1, 2], 30)
    X = rng.standard_normal((90, 4)) + 6 * (y[:, None] == np.arange(4))
    return X, np.where(np.arange(90) < 30, y, -1), y


@pytest.fixture(scope="module")
def models(rows):
    """One fitted estimator a family, not to be changed."""
    X, y_partial, _ = rows
    return {cls: make(cls).fit(X, y_partial) for cls in FAST}


def assert_same_model(a, b, X, **tolerance):
    np.testing.assert_allclose(a.transform(X), b.transform(X), **{"rtol": 1e-5, "atol": 1e-6, **tolerance})


# Labels

MARKS = {
    "-1": (-1, {}),
    "None": (None, {}),
    "NaN": (np.nan, {}),
    "pd.NA": (pd.NA, {}),
    "custom": ("?", {"unlabeled": "?"}),
}


@pytest.mark.parametrize("mark", MARKS)
def test_every_mark_of_an_unlabelled_row_gives_the_same_model(cls, mark, rows, models):
    X, y_partial, _ = rows
    value, settings = MARKS[mark]
    y = pd.Series(np.where(y_partial < 0, None, y_partial), dtype=object)
    y[y_partial < 0] = value
    model = make(cls, **settings).fit(X, y)
    assert list(model.classes_) == [0, 1, 2]
    assert_same_model(model, models[cls], X)


@pytest.mark.parametrize(
    "labels",
    [
        np.array([10, 20, 30], np.int8),
        np.array(["a", "b", "c"]),
        pd.array(["a", "b", "c"], dtype="string"),
        pd.Categorical(["x", "y", "z"]),
        np.array([0.0, 1.0, 2.0]),
    ],
    ids=["int8", "str", "string", "categorical", "float"],
)
def test_predictions_are_labels_as_they_were_given(cls, labels, rows):
    X, _, y = rows
    given = pd.Series(labels).take(y)
    model = make(cls).fit(X, given)
    assert set(model.predict(X)) == set(labels)
    assert model.score(X, given) > 0.9


@pytest.mark.parametrize("share", [0.0, 1 / 90, 0.1, 0.5, 1.0])
def test_the_same_estimator_from_no_label_to_all(cls, share, rows):
    X, _, y = rows
    model = make(cls).fit(X, ks.mask_labels(y, labeled=share, random_state=0))
    assert model.transform(X).shape == (90, 2)
    assert np.isfinite(model.score_samples(X, n_draws=5)).all()
    if share == 0:
        with pytest.raises(ValueError, match="fitted without a label"):
            model.predict(X)
    else:
        proba = model.predict_proba(X)
        assert proba.shape == (90, len(model.classes_))
        np.testing.assert_allclose(proba.sum(axis=1), 1)


def test_without_labels_pi_clusters_into_declared_classes(cls, rows):
    X, _, _ = rows
    model = make(cls, classes=["p", "q", "r"]).fit(X)
    assert list(model.classes_) == ["p", "q", "r"]
    assert set(model.predict(X)) <= {"p", "q", "r"}


def test_a_declared_class_needs_no_label(cls, rows):
    X, y_partial, _ = rows
    model = make(cls, classes=4).fit(X, y_partial)
    assert model.predict_proba(X).shape == (90, 4)
    assert model.sample(3, y=3, random_state=0)[1].tolist() == [3, 3, 3]


def test_one_class_is_predicted_everywhere(cls, rows):
    X, _, _ = rows
    assert set(make(cls).fit(X, ["only"] * 90).predict(X)) == {"only"}


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.zeros(89), "inconsistent numbers of samples"),
        (np.linspace(0, 1, 90), "Unknown label type"),
        (np.full(90, np.inf), "infinity"),
        (np.zeros((90, 2)), "1d array"),
    ],
    ids=["length", "floats", "infinite", "two columns"],
)
def test_bad_labels_are_refused_and_leave_the_model_as_it_was(cls, y, message, rows, models):
    X, _, _ = rows
    model = pickle.loads(pickle.dumps(models[cls]))
    before = model.predict_proba(X)
    with pytest.raises(ValueError, match=message):
        model.fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), before)


def test_a_label_outside_classes_is_refused(cls, rows):
    X, _, y = rows
    with pytest.raises(ValueError, match="not among the classes: .*2"):
        make(cls, classes=[0, 1]).fit(X, y)


# Rows


def _same_values(X):
    frame = pd.DataFrame(X, columns=list("abcd"))
    readonly = X.copy()
    readonly.flags.writeable = False
    return {
        "list": X.tolist(),
        "Fortran": np.asfortranarray(X),
        "read-only": readonly,
        "frame": frame,
        "object": X.astype(object),
    }


@pytest.mark.parametrize("kind", ["list", "Fortran", "read-only", "frame", "object"])
def test_the_container_of_the_rows_does_not_matter(cls, kind, rows, models):
    X, y_partial, _ = rows
    given = _same_values(X)[kind]
    model = make(cls).fit(given, y_partial)
    np.testing.assert_allclose(model.transform(given), models[cls].transform(X), rtol=1e-5, atol=1e-6)


def test_the_order_of_the_rows_does_not_matter(cls, rows, models):
    X, y_partial, _ = rows
    order = np.random.RandomState(0).permutation(90)
    assert_same_model(make(cls).fit(X[order], y_partial[order]), models[cls], X)


def test_weights_count_rows(cls, rows):
    X, y_partial, _ = rows
    X, y_partial = X[:30], y_partial[:30]
    weight = np.random.RandomState(0).randint(0, 3, 30)
    settings = {"batch_size": 128, "labeled_batch_size": "auto"}
    weighted = make(cls, **settings).fit(X, y_partial, sample_weight=weight)
    repeated = make(cls, **settings).fit(X.repeat(weight, axis=0), y_partial.repeat(weight))
    assert_same_model(weighted, repeated, X)


@pytest.mark.parametrize("n_rows", [1, 2, 3])
def test_a_handful_of_rows(cls, n_rows):
    X = np.arange(n_rows * 3.0).reshape(n_rows, 3)
    model = make(cls).fit(X, np.arange(n_rows))
    assert model.predict(X[:1]).shape == (1,)
    assert model.sample(2, random_state=0)[0].shape == (2, 3)


def test_constant_empty_and_huge_columns(cls, rows):
    X, y_partial, _ = rows
    X = np.column_stack([X, np.full(90, 7.0), np.full(90, np.nan), 1e12 + X[:, 0], 1e-12 * X[:, 1]])
    model = make(cls).fit(X, y_partial)
    assert np.isfinite(model.transform(X)).all()
    assert np.isfinite(model.anomaly_score(X)).all()
    np.testing.assert_allclose(model.reconstruct(X)[:, 4], 7.0, atol=1.0)


def test_infinite_and_sparse_rows_are_refused(cls, rows):
    from scipy.sparse import csr_array

    X, y_partial, _ = rows
    bad = X.copy()
    bad[3, 2] = np.inf
    with pytest.raises(ValueError, match="X contains infinity"):
        make(cls).fit(bad, y_partial)
    with pytest.raises(TypeError, match="[Ss]parse"):
        make(cls).fit(csr_array(X), y_partial)


def test_columns_must_be_those_of_the_fit(cls, rows, models):
    X, y_partial, _ = rows
    with pytest.raises(ValueError, match="4 features"):
        models[cls].predict(X[:, :3])
    frame = pd.DataFrame(X, columns=list("abcd"))
    model = make(cls).fit(frame, y_partial)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[["b", "a", "c", "d"]])


def test_what_comes_back_looks_like_what_went_in(cls, rows):
    X, y_partial, _ = rows
    frame = pd.DataFrame(X.astype(np.float32), columns=list("abcd")).assign(n=np.arange(90), flag=X[:, 0] > 3)
    model = make(cls).fit(frame, y_partial)
    for back in (
        model.reconstruct(frame),
        model.sample(90, random_state=0)[0],
        model.inverse_transform(model.transform(frame)),
    ):
        assert list(back.columns) == list(frame.columns)
        assert list(back.dtypes) == list(frame.dtypes)
        assert len(back) == 90


def test_impute_fills_the_gaps_and_nothing_else(cls, rows):
    X, y_partial, _ = rows
    holes = X.copy()
    holes[::4, 1] = np.nan
    filled = make(cls).fit(holes, y_partial).impute(holes)
    assert np.isfinite(filled).all()
    np.testing.assert_array_equal(filled[~np.isnan(holes)], holes[~np.isnan(holes)])
    mean_error = np.abs(np.nanmean(holes[:, 1]) - X[::4, 1]).mean()
    assert np.abs(filled[::4, 1] - X[::4, 1]).mean() < mean_error


def test_frames_keep_their_index(cls, rows):
    X, y_partial, _ = rows
    frame = pd.DataFrame(X, columns=list("abcd"), index=np.random.RandomState(0).permutation(90))
    model = make(cls, epochs=2).fit(frame, y_partial)
    assert model.reconstruct(frame).index.equals(frame.index)
    holes = frame.mask(frame > 5)
    assert model.impute(holes).index.equals(frame.index)
    from_array = make(cls, epochs=2).fit(X, y_partial).impute(holes)
    assert from_array.notna().all(axis=None)
    pd.testing.assert_frame_equal(from_array[holes.notna()], holes[holes.notna()])


def test_names_of_mixed_types_are_refused_before_training(cls, rows):
    X, y_partial, _ = rows
    started = []
    import keras

    callback = keras.callbacks.LambdaCallback(on_train_begin=lambda logs: started.append(1))
    with pytest.raises(TypeError, match="Feature names"):
        make(cls, callbacks=[callback]).fit(pd.DataFrame(X, columns=[0, "a", 1, 2]), y_partial)
    assert not started


def test_parameters_set_after_the_fit_do_not_reach_the_fitted_model(cls, rows, models, tmp_path):
    X, _, _ = rows
    model = pickle.loads(pickle.dumps(models[cls])).set_params(latent_dim=3, class_prior="uniform")
    model.save(tmp_path / "model.ssvae")
    for again in (pickle.loads(pickle.dumps(model)), ks.load(tmp_path / "model.ssvae")):
        assert again.latent_dim == 3
        np.testing.assert_array_equal(again.score_samples(X), models[cls].score_samples(X))
        assert again.inverse_transform(np.zeros((1, 2))).shape == (1, 4)


def test_images_of_bytes(cls):
    rng = np.random.RandomState(0)
    y = np.arange(40) % 2
    X = (rng.uniform(0, 80, (40, 12, 13)) + 170 * (y[:, None, None] == (np.arange(13) > 6))).astype(np.uint8)
    model = make(cls, code_dim=3, code_layer_sizes=(8,), epochs=30).fit(X, y)
    assert model.reconstruct(X).shape == X.shape
    assert model.reconstruct(X).dtype == np.uint8
    assert model.score(X, y) > 0.9
    assert model.sample(3, y=1, random_state=0)[0].shape == (3, 12, 13)
    with pytest.raises(ValueError, match="rows of shape"):
        model.predict(X[:, :6])


def test_augmentation_is_used_in_training_only(cls):
    import keras

    y = np.arange(40) % 2
    X = np.zeros((40, 8, 8), np.float32)
    X[np.arange(40), 4, 2 + 3 * y] = 1.0  # one pixel: which column tells the class, which row does not
    shift = keras.layers.RandomTranslation((-0.4, 0.4), 0.0, fill_mode="constant", interpolation="nearest", seed=0)
    settings = {"code_dim": None, "encoder": "mlp", "decoder": "mlp", "epochs": 60, "random_state": 0}
    state = shift.get_config()
    augmented = make(cls, augmentation=shift, **settings).fit(X, y)
    assert shift.get_config() == state
    other = np.roll(X, 2, axis=1)
    assert augmented.score(other, y) > 0.95
    np.testing.assert_array_equal(augmented.predict_proba(other), augmented.predict_proba(other))
    twin = make(cls, augmentation=shift, **settings).fit(X, y)
    np.testing.assert_array_equal(twin.predict_proba(other), augmented.predict_proba(other))


def test_augmentation_must_be_a_keras_layer(cls, rows):
    X, y_partial, _ = rows
    with pytest.raises(TypeError, match="augmentation must be None or a Keras layer"):
        make(cls, augmentation=lambda x: x).fit(X, y_partial)


# Randomness

PROGRAM = """
import sys; sys.path.insert(0, {tests!r})
import numpy as np
from instances import FAST, make
cls = next(c for c in FAST if c.__name__ == {name!r})
X = np.random.RandomState(0).standard_normal((40, 3))
model = make(cls, epochs=2).fit(X, np.arange(40) % 2)
print(*[float(np.sum(np.abs(w))).hex() for w in model.network_.get_weights()])
"""


@pytest.mark.slow
def test_same_seed_same_weights_in_a_new_process(cls):
    from pathlib import Path

    program = PROGRAM.format(name=cls.__name__, tests=str(Path(__file__).parent))
    outputs = [
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout for _ in range(2)
    ]
    assert outputs[0] == outputs[1]
    assert len(outputs[0].split()) > 5


def test_the_users_generators_do_not_move_and_do_not_matter(cls, rows):
    import keras

    X, y_partial, _ = rows
    results = []
    for seed in (1, 2):
        keras.utils.set_random_seed(seed)
        states = random.getstate(), np.random.get_state()[1].copy()
        model = make(cls, epochs=2).fit(X, y_partial)
        results.append((model.transform(X), model.sample(3, random_state=5)[0], model.score_samples(X)))
        assert random.getstate() == states[0]
        assert (np.random.get_state()[1] == states[1]).all()
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


def test_sampling_follows_its_own_seed(cls, models):
    model = models[cls]
    a, b, c = (model.sample(20, y=1, random_state=s)[0] for s in (0, 0, 1))
    np.testing.assert_array_equal(a, b)
    assert not np.allclose(a, c)


def test_fit_leaves_what_it_was_given_alone(cls, rows):
    X, y_partial, _ = rows
    X, y, weight = X.copy(), y_partial.copy(), np.ones(90)
    before = X.copy(), y.copy(), weight.copy()
    make(cls, epochs=2).fit(X, y, weight)
    for now, then in zip((X, y, weight), before, strict=True):
        np.testing.assert_array_equal(now, then)


# Questions to the model


def test_a_row_does_not_depend_on_the_rows_beside_it(cls, rows, models):
    X, y_partial, _ = rows
    model = models[cls]
    for question in (model.predict_proba, model.transform, model.reconstruct, model.score_samples):
        whole, alone = question(X), np.concatenate([question(X[i : i + 1]) for i in range(0, 90, 30)])
        np.testing.assert_allclose(alone, whole[::30], rtol=1e-5, atol=1e-6)
    terms = model.loss_terms(X, y_partial)
    single = pd.concat([model.loss_terms(X[i : i + 1], y_partial[i : i + 1]) for i in range(0, 90, 30)])
    np.testing.assert_allclose(single, terms.iloc[::30], rtol=1e-4, atol=1e-5)


def test_asked_twice_the_answer_is_the_same(cls, rows, models):
    X, _, _ = rows
    model = models[cls]
    for question in (model.predict_proba, model.transform, model.reconstruct, model.anomaly_score, model.loss_terms):
        np.testing.assert_array_equal(question(X), question(X))


def test_rows_far_from_all_others_are_anomalies(cls, rows, models):
    X, _, _ = rows
    model = models[cls]
    assert model.anomaly_score(X + 30).min() > model.anomaly_score(X).max()


def test_samples_of_a_class_look_like_the_class(cls, rows):
    X, _, y = rows
    model = make(cls, epochs=60).fit(X, y)
    for label in range(3):
        new, labels = model.sample(200, y=label, random_state=0)
        assert (labels == label).all()
        np.testing.assert_allclose(new.mean(axis=0), X[y == label].mean(axis=0), atol=1.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, X: m.sample(0), "n_samples must be an integer of at least 1"),
        (lambda m, X: m.sample(3, y="nobody"), "not among the classes"),
        (lambda m, X: m.sample(3, y=[0, 1]), "does not match the 2 labels"),
        (lambda m, X: m.inverse_transform(np.zeros((2, 7))), "Z has 7 columns"),
        (lambda m, X: m.score_samples(X, n_draws=0), "n_draws must be an integer of at least 1"),
        (lambda m, X: m.score(X, np.full(90, -1)), "at least one label"),
    ],
    ids=["n_samples", "class", "labels", "Z", "n_draws", "score"],
)
def test_bad_questions_are_refused(cls, call, message, rows, models):
    with pytest.raises(ValueError, match=message):
        call(models[cls], rows[0])


# Going on


def test_partial_fit_goes_on_and_takes_new_rows_and_labels(cls, rows):
    X, y_partial, y = rows
    model = make(cls, epochs=1).partial_fit(X[:45], y_partial[:45], classes=[0, 1, 2])
    for _ in range(40):
        model.partial_fit(X[45:], y[45:])
    assert model.score(X, y) > 0.9
    assert len(model.history_) == 41
    with pytest.raises(ValueError, match="not among the classes"):
        model.partial_fit(X, np.full(90, 9))
    with pytest.raises(ValueError, match="classes must be those of the first call"):
        model.partial_fit(X, y, classes=[0, 1])


def test_labels_that_arrive_in_steps_end_as_good_as_labels_at_once(cls, rows):
    X, y_partial, y = rows
    model = make(cls, warm_start=True).fit(X)
    for labels in (ks.mask_labels(y, labeled=6, random_state=0), y):
        model.fit(X, labels)
    assert list(model.classes_) == [0, 1, 2]
    assert model.score(X, y) >= make(cls).fit(X, y).score(X, y) - 0.02


def test_a_warm_start_keeps_every_weight(cls, rows, models):
    X, y_partial, _ = rows
    model = pickle.loads(pickle.dumps(models[cls])).set_params(warm_start=True, learning_rate=1e-12, epochs=1)
    assert_same_model(model.fit(X, y_partial), models[cls], X, rtol=1e-3, atol=1e-3)


def test_a_warm_start_with_a_new_class_keeps_the_old_ones(cls, rows, models):
    X, y_partial, y = rows
    model = pickle.loads(pickle.dumps(models[cls])).set_params(warm_start=True, learning_rate=1e-12, epochs=1)
    model.fit(X, np.where(y_partial == -1, -1, y_partial + 0), sample_weight=None)
    known = model.predict(X)
    y_more = y_partial.copy()
    y_more[60:63] = 7
    model.fit(X, y_more)
    assert list(model.classes_) == [0, 1, 2, 7]
    assert (model.predict(X) == known).mean() > 0.95


def test_a_warm_start_of_another_shape_is_refused(cls, rows, models):
    X, y_partial, _ = rows
    model = pickle.loads(pickle.dumps(models[cls])).set_params(warm_start=True, latent_dim=5)
    with pytest.raises(ValueError, match="must stay as they were"):
        model.fit(X, y_partial)


def test_early_stopping_restores_the_best_weights(cls, rows):
    X, y_partial, y = rows
    model = make(cls, early_stopping=True, n_iter_no_change=2, epochs=200, validation_fraction=0.2).fit(X, y_partial)
    assert model.n_iter_ < 200
    assert "val_loss" in model.history_
    by_label = make(cls, early_stopping=True, n_iter_no_change=2, epochs=200, validation_fraction=0.6).fit(X, y)
    assert "val_classification" in by_label.history_
    assert by_label.history_["val_classification"].notna().all()


def test_callbacks_of_keras_are_called(cls, rows):
    import keras

    X, y_partial, _ = rows
    seen = []
    make(
        cls, epochs=3, callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs["loss"]))]
    ).fit(X, y_partial)
    assert len(seen) == 3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("latent_dim", 0),
        ("epochs", -1),
        ("batch_size", "many"),
        ("learning_rate", 0),
        ("likelihood", "cauchy"),
        ("encoder", "rnn"),
    ],
)
def test_a_bad_parameter_is_named(cls, name, value, rows):
    X, y_partial, _ = rows
    with pytest.raises(ValueError, match=name):
        make(cls, **{name: value}).fit(X, y_partial)
