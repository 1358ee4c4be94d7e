"""What every family promises its user, checked on every family."""

import dataclasses
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from instances import FAST, PeakClassifier, assert_same_weights, families, make, states_of_generators
from sklearn.exceptions import NotFittedError

import keras_ssvae as ks
from keras_ssvae.estimators.mixins import DensityMixin
from keras_ssvae.training import trainer
from keras_ssvae.training.step_cache import STEP_CACHE

FEW = {"epochs": 5, "batch_size": 128}  # steps of each player and stage, so few that nothing is traced


@pytest.fixture(scope="module")
def rows():
    """Three well separated classes of 30 rows, every third row labelled."""
    rng = np.random.RandomState(0)
    y = np.tile([0, 1, 2], 30)
    X = rng.standard_normal((90, 4)) + 6 * (y[:, None] == np.arange(4))
    return X, np.where(np.arange(90) < 30, y, -1), y


@pytest.fixture(scope="module")
def models(rows):
    """One fitted estimator a family, made when it is asked for, and not to be changed."""
    X, y_partial, _ = rows

    return Models(X, y_partial)


@pytest.fixture(scope="module")
def quick_models(rows):
    """The same after a few steps, for what does not depend on how much was learned."""
    X, y_partial, _ = rows
    return Models(X, y_partial, **FEW)


class Models(dict):
    def __init__(self, X, y, **settings):
        self.X, self.y, self.settings = X, y, settings

    def __missing__(self, cls):
        self[cls] = make(cls, **self.settings).fit(self.X, self.y)
        return self[cls]


QUESTIONS = ("transform", "reconstruct", "predict_proba", "score_samples")


def answers(model, X):
    """What a model says of rows, by every method that it has."""
    return {name: _answer(model, name, X) for name in QUESTIONS if hasattr(type(model), name) and _can(model, name)}


def _answer(model, name, X):
    """One answer; a density from three draws, for which nothing is traced."""
    few = {"n_draws": 3} if name == "score_samples" and isinstance(model, DensityMixin) else {}
    return getattr(model, name)(X, **few)


def learns_from_labels(cls):
    """Whether labels shape the network, and not only what is put on top of it."""
    return hasattr(cls, "classification_weight")


def ask(model, X):
    """Any one question."""
    return next(getattr(model, name) for name in QUESTIONS if hasattr(type(model), name))(X)


def _can(model, name):
    return name != "predict_proba" or len(model.classes_) > 0


def assert_same_model(a, b, X, **tolerance):
    theirs = answers(b, X)
    for name, mine in answers(a, X).items():
        np.testing.assert_allclose(mine, theirs[name], **{"rtol": 1e-4, "atol": 1e-5, **tolerance}, err_msg=name)


# Labels

MARKS = {"-1": (-1, {}), "None": (None, {}), "NaN": (np.nan, {}), "pd.NA": (pd.NA, {}), "custom": ("?", {"unlabeled": "?"})}


@families("predict_proba")
@pytest.mark.parametrize("mark", MARKS)
def test_every_mark_of_an_unlabelled_row_gives_the_same_model(cls, mark, rows, quick_models):
    X, y_partial, _ = rows
    value, settings = MARKS[mark]
    y = pd.Series(np.where(y_partial < 0, None, y_partial), dtype=object)
    y[y_partial < 0] = value
    model = make(cls, **FEW, **settings).fit(X, y)
    assert list(model.classes_) == [0, 1, 2]
    assert_same_model(model, quick_models[cls], X)


@families("predict_proba")
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


@families("predict_proba")
@pytest.mark.parametrize("share", [0.0, 1 / 90, 0.1, 0.5, 1.0])
def test_the_same_estimator_from_no_label_to_all(cls, share, rows):
    X, _, y = rows
    model = make(cls, **FEW).fit(X, ks.mask_labels(y, labeled=share, random_state=0))
    assert all(np.isfinite(answer).all() for answer in answers(model, X).values())
    if share == 0:
        with pytest.raises(ValueError, match="fitted without a label"):
            model.predict(X)
    else:
        proba = model.predict_proba(X)
        assert proba.shape == (90, len(model.classes_))
        np.testing.assert_allclose(proba.sum(axis=1), 1)


@families("predict_proba")
def test_without_labels_pi_clusters_into_declared_classes(cls, rows):
    X, _, _ = rows
    model = make(cls, classes=["p", "q", "r"]).fit(X)
    assert list(model.classes_) == ["p", "q", "r"]
    assert set(model.predict(X)) <= {"p", "q", "r"}


@families("predict_proba")
def test_a_declared_class_needs_no_label(cls, rows):
    X, y_partial, _ = rows
    model = make(cls, classes=4).fit(X, y_partial)
    assert model.predict_proba(X).shape == (90, 4)
    assert model.sample(3, y=3, random_state=0)[1].tolist() == [3, 3, 3]


@families("predict_proba")
def test_one_class_is_predicted_everywhere(cls, rows):
    X, _, _ = rows
    assert set(make(cls).fit(X, ["only"] * 90).predict(X)) == {"only"}


@families("predict_proba")
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


@families("predict_proba")
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


@families()
@pytest.mark.parametrize("kind", ["list", "Fortran", "read-only", "frame", "object"])
def test_the_container_of_the_rows_does_not_matter(cls, kind, rows, quick_models):
    X, y_partial, _ = rows
    given = _same_values(X)[kind]
    model = make(cls, **FEW).fit(given, y_partial)
    for name, answer in answers(model, given).items():
        given = np.asarray(answer, float)
        np.testing.assert_allclose(given, answers(quick_models[cls], X)[name], rtol=1e-5, atol=1e-6, err_msg=name)


@families()
def test_the_order_of_the_rows_does_not_matter(cls, rows, quick_models):
    X, y_partial, _ = rows
    order = np.random.RandomState(0).permutation(90)
    assert_same_model(make(cls, **FEW).fit(X[order], y_partial[order]), quick_models[cls], X)


@families()
def test_weights_count_rows(cls, rows):
    X, y_partial, _ = rows
    X, y_partial = X[:30], y_partial[:30]
    weight = np.random.RandomState(0).randint(0, 3, 30)
    weighted = make(cls, batch_size=128).fit(X, y_partial, sample_weight=weight)
    repeated = make(cls, batch_size=128).fit(X.repeat(weight, axis=0), y_partial.repeat(weight))
    assert_same_model(weighted, repeated, X)


@families()
@pytest.mark.parametrize("n_rows", [1, 2, 3])
def test_a_handful_of_rows(cls, n_rows):
    X = np.arange(n_rows * 3.0).reshape(n_rows, 3)
    model = make(cls, **FEW).fit(X, np.arange(n_rows))
    assert all(len(answer) == 1 and np.isfinite(answer).all() for answer in answers(model, X[:1]).values())
    assert model.sample(2, random_state=0)[0].shape == (2, 3)


@families()
def test_constant_empty_and_huge_columns(cls, rows):
    X, y_partial, _ = rows
    X = np.column_stack([X, np.full(90, 7.0), np.full(90, np.nan), 1e12 + X[:, 0], 1e-12 * X[:, 1]])
    model = make(cls, **FEW).fit(X, y_partial)
    assert set(answers(model, X)) == set(answers(model, X[:3]))
    for name, answer in answers(model, X).items():
        given = np.delete(answer, 5, axis=1) if name == "reconstruct" else answer  # the column without a value stays missing
        assert np.isfinite(given).all(), name
    np.testing.assert_allclose(model.sample(20, random_state=0)[0][:, 4], 7.0, atol=1.0)


@families()
def test_infinite_rows_are_refused(cls, rows):
    X, y_partial, _ = rows
    bad = X.copy()
    bad[3, 2] = np.inf
    with pytest.raises(ValueError, match="X contains infinity"):
        make(cls).fit(bad, y_partial)


@pytest.mark.parametrize("kind", ["csr_array", "csc_matrix"])
def test_a_sparse_matrix_is_the_dense_one(kind, rows):
    X, y_partial, _ = rows
    X = np.where(np.abs(X) < 0.5, 0.0, X)
    sparse = getattr(scipy.sparse, kind)(X)
    model, dense = (make(ks.SemiSupervisedVAE, epochs=1).fit(rows, y_partial) for rows in (sparse, X))
    np.testing.assert_array_equal(model.predict_proba(sparse), dense.predict_proba(X))
    np.testing.assert_array_equal(model.impute(sparse), X)


@families()
def test_columns_must_be_those_of_the_fit(cls, rows, models):
    X, y_partial, _ = rows
    with pytest.raises(ValueError, match="4 features"):
        ask(models[cls], X[:, :3])
    frame = pd.DataFrame(X, columns=list("abcd"))
    model = make(cls).fit(frame, y_partial)
    with pytest.raises(ValueError, match="feature names"):
        ask(model, frame[["b", "a", "c", "d"]])


@families()
def test_what_comes_back_looks_like_what_went_in(cls, rows):
    X, y_partial, _ = rows
    frame = pd.DataFrame(X.astype(np.float32), columns=list("abcd")).assign(n=np.arange(90), flag=X[:, 0] > 3)
    model = make(cls).fit(frame, y_partial)
    backs = [model.sample(90, random_state=0)[0]]
    if hasattr(cls, "transform"):
        backs += [model.reconstruct(frame), model.inverse_transform(model.transform(frame))]
    for back in backs:
        assert list(back.columns) == list(frame.columns)
        assert list(back.dtypes) == list(frame.dtypes)
        assert len(back) == 90


@families("impute")
def test_impute_fills_the_gaps_and_nothing_else(cls, rows):
    X, y_partial, _ = rows
    holes = X.copy()
    holes[::4, 1] = np.nan
    longer = {"epochs": 60} if cls is ks.ConditionalVAE else {}  # or it says of a cell no more than the mean does
    filled = make(cls, **longer).fit(holes, y_partial).impute(holes)
    assert np.isfinite(filled).all()
    np.testing.assert_array_equal(filled[~np.isnan(holes)], holes[~np.isnan(holes)])
    mean_error = np.abs(np.nanmean(holes[:, 1]) - X[::4, 1]).mean()
    assert np.abs(filled[::4, 1] - X[::4, 1]).mean() < mean_error


@families("impute")
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


@families()
def test_names_of_mixed_types_are_refused_before_training(cls, rows):
    X, y_partial, _ = rows
    started = []
    import keras

    callback = keras.callbacks.LambdaCallback(on_train_begin=lambda logs: started.append(1))
    with pytest.raises(TypeError, match="Feature names"):
        make(cls, callbacks=[callback]).fit(pd.DataFrame(X, columns=[0, "a", 1, 2]), y_partial)
    assert not started


@families()
def test_parameters_set_after_the_fit_do_not_reach_the_fitted_model(cls, rows, models, tmp_path):
    X, _, _ = rows
    changed = {"latent_dim": 3, "class_prior": "uniform"} if hasattr(cls, "predict_proba") else {"latent_dim": 3}
    model = pickle.loads(pickle.dumps(models[cls])).set_params(**changed)
    model.save(tmp_path / "model.ssvae")
    for again in (pickle.loads(pickle.dumps(model)), ks.load(tmp_path / "model.ssvae")):
        assert again.latent_dim == 3
        for name, answer in answers(again, X).items():
            np.testing.assert_array_equal(answer, answers(models[cls], X)[name])
        np.testing.assert_array_equal(again.sample(5, random_state=1)[0], models[cls].sample(5, random_state=1)[0])


@families()
def test_images_of_bytes(cls):
    rng = np.random.RandomState(0)
    y = np.arange(40) % 2
    X = (rng.uniform(0, 80, (40, 12, 13)) + 170 * (y[:, None, None] == (np.arange(13) > 6))).astype(np.uint8)
    code = {"code_dim": 3, "code_layer_sizes": (8,)} if "code_dim" in make(cls).get_params() else {}
    model = make(cls, epochs=30, **code).fit(X, y)
    new = model.sample(3, random_state=0)[0]
    for images in [new, model.reconstruct(X[:3])] if hasattr(cls, "reconstruct") else [new]:
        assert images.shape == (3, 12, 13)
        assert images.dtype == np.uint8
    if learns_from_labels(cls):
        assert model.score(X, y) > 0.9
    if hasattr(cls, "predict"):
        assert model.sample(3, y=1, random_state=0)[0].shape == (3, 12, 13)
    with pytest.raises(ValueError, match="rows of shape"):
        ask(model, X[:, :6])


@families("classification_weight")
def test_augmentation_is_used_in_training_only(cls):
    import keras

    y = np.arange(40) % 2
    X = np.zeros((40, 8, 8), np.float32)
    X[np.arange(40), 4, 2 + 3 * y] = 1.0  # one pixel: which column tells the class, which row does not
    shift = keras.layers.RandomTranslation((-0.4, 0.4), 0.0, fill_mode="constant", interpolation="nearest", seed=0)
    settings = {"encoder": "mlp", "decoder": "mlp", "epochs": 60, "random_state": 0}
    state = shift.get_config()
    augmented = make(cls, augmentation=shift, **settings).fit(X, y)
    assert shift.get_config() == state
    other = np.roll(X, 2, axis=1)
    assert augmented.score(other, y) > 0.95
    np.testing.assert_array_equal(augmented.predict_proba(other), augmented.predict_proba(other))
    twin = make(cls, augmentation=shift, **settings).fit(X, y)
    np.testing.assert_array_equal(twin.predict_proba(other), augmented.predict_proba(other))


@families()
def test_augmentation_must_be_a_keras_layer(cls, rows):
    X, y_partial, _ = rows
    with pytest.raises(TypeError, match="augmentation must be None or a Keras layer"):
        make(cls, augmentation=lambda x: x).fit(X, y_partial)


# Randomness

PROGRAM = """
import sys; sys.path.insert(0, {tests!r})
import numpy as np
from instances import FAST, make
X = np.random.RandomState(0).standard_normal((40, 3))
for cls in FAST:
    model = make(cls, epochs=2).fit(X, np.arange(40) % 2)
    print(cls.__name__, *[float(np.sum(np.abs(w))).hex() for w in model.network_.get_weights()])
"""


@pytest.mark.parametrize(
    ("cls", "n_labeled", "decoded_rows"),
    [
        *((cls, 90, 90) for cls in (ks.SemiSupervisedVAE, ks.M2, ks.M1M2, ks.LadderVAE)),
        *((cls, 30, 22 + 3 * 68) for cls in (ks.SemiSupervisedVAE, ks.M2, ks.M1M2)),
    ],
)
def test_a_label_is_the_only_class_that_is_decoded_and_the_result_is_the_same(cls, n_labeled, decoded_rows, rows, monkeypatch):
    from keras_ssvae.likelihoods.mixed import MixedLikelihood

    X, y_partial, y = rows
    decoded, call = [], MixedLikelihood.call
    monkeypatch.setattr(MixedLikelihood, "call", lambda self, values: decoded.append(values.shape[0]) or call(self, values))

    def fit():
        STEP_CACHE.clear()
        decoded.clear()
        model = make(cls, epochs=5, batch_size=90, optimizer="sgd", learning_rate=1e-3)
        return model.fit(X, y if n_labeled == 90 else y_partial), max(decoded)

    model, most = fit()
    execution_of = trainer.execution_of
    nothing_known = {"n_leading_labeled": 0, "all_labeled": False}
    monkeypatch.setattr(trainer, "execution_of", lambda *args: dataclasses.replace(execution_of(*args), **nothing_known))
    same, most_with_every_class = fit()
    assert (most, most_with_every_class) == (decoded_rows, 270)
    np.testing.assert_allclose(model.history_["loss"], same.history_["loss"], rtol=1e-4)
    for a, b in zip(model.network_.get_weights(), same.network_.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_same_seed_same_weights_in_a_new_process():
    from pathlib import Path

    program = PROGRAM.format(tests=str(Path(__file__).parent))
    outputs = [
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.splitlines()
        for _ in range(2)
    ]
    assert len(outputs[0]) == len(FAST)
    for first, second in zip(*outputs, strict=True):
        assert first == second
        assert len(first.split()) > 5


@families()
def test_fits_of_the_same_shape_share_a_traced_step_and_no_number(cls, rows):
    X, y_partial, y = rows
    other, other_y = (
        (3.0 * X + 1.0)[::-1],
        np.where(np.arange(90) % 4 == 0, y[::-1], -1),
    )  # other scales, prior, weights of labels
    STEP_CACHE.clear()
    alone = make(cls).fit(other, other_y)
    STEP_CACHE.clear()
    make(cls, random_state=1).fit(X, y_partial)
    traced = len(STEP_CACHE)
    after = make(cls).fit(other, other_y)
    assert len(STEP_CACHE) == traced == 1
    assert_same_weights(after, alone)


@pytest.mark.parametrize(("policy", "inside"), [("mixed_bfloat16", "bfloat16"), ("float64", "float64")])
@families()
def test_bodies_follow_the_users_dtype_policy(cls, policy, inside, models, tmp_path):
    import keras

    X, y = np.random.RandomState(0).standard_normal((60, 4)) + 2.0 * (np.arange(60) % 2)[:, None], np.arange(60) % 2
    ask = "transform" if hasattr(cls, "transform") else "score_samples"
    expected = getattr(models[cls], ask)(X)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = make(cls, epochs=2).fit(X, y)
        assert keras.config.dtype_policy().name == policy
        bodies = [layer for layer in model.network_._flatten_layers() if isinstance(layer, keras.Sequential)]
        computed = {layer.compute_dtype for body in bodies for layer in body.layers if layer.weights}
        # the dense layers of a small LadderVAE, and those of the GAN's players, are not in bodies
        assert computed == (set() if cls in (ks.LadderVAE, ks.SemiSupervisedGAN) else {inside})
        heads = [layer for layer in model.network_._flatten_layers() if layer.name == "location"]
        in_bodies = {id(w) for part in (*bodies, *heads) for w in part.weights}
        assert {w.dtype for w in model.network_.weights if id(w) not in in_bodies} == {"float32"}
        assert np.isfinite(model.history_["loss"]).all()
        answer = getattr(model, ask)(X)
        assert np.isfinite(answer).all()
        assert answer.dtype == expected.dtype
        assert np.isfinite(model.sample(3, random_state=0)[0]).all()
        assert np.isfinite(model.loss_terms(X, y)).all(axis=None)
        model.save(tmp_path / "model")
    finally:
        keras.config.set_dtype_policy(before)
    there = ks.load(tmp_path / "model")
    np.testing.assert_array_equal(getattr(there, ask)(X), answer)
    assert keras.config.dtype_policy() is before


@families()
def test_the_users_generators_do_not_move_and_do_not_matter(cls, rows):
    import keras

    X, y_partial, _ = rows
    results = []
    for seed in (1, 2):
        keras.utils.set_random_seed(seed)
        states = states_of_generators()
        model = make(cls, epochs=2).fit(X, y_partial)
        results.append((model.sample(3, random_state=5)[0], *answers(model, X).values()))
        assert states_of_generators() == states
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


@families()
def test_sampling_follows_its_own_seed(cls, models):
    model = models[cls]
    y = 1 if hasattr(cls, "predict_proba") else None
    a, b, c = (model.sample(20, y=y, random_state=s)[0] for s in (0, 0, 1))
    np.testing.assert_array_equal(a, b)
    assert not np.allclose(a, c)


@families()
def test_fit_leaves_what_it_was_given_alone(cls, rows):
    X, y_partial, _ = rows
    X, y, weight = X.copy(), y_partial.copy(), np.ones(90)
    before = X.copy(), y.copy(), weight.copy()
    make(cls, epochs=2).fit(X, y, weight)
    for now, then in zip((X, y, weight), before, strict=True):
        np.testing.assert_array_equal(now, then)


# Questions to the model


@families()
def test_a_row_does_not_depend_on_the_rows_beside_it(cls, rows, models):
    X, y_partial, _ = rows
    model = models[cls]
    alone = [answers(model, X[i : i + 1]) for i in range(0, 90, 30)]
    for name, whole in answers(model, X).items():
        np.testing.assert_allclose(np.concatenate([a[name] for a in alone]), whole[::30], rtol=1e-5, atol=1e-5, err_msg=name)
    terms = model.loss_terms(X, y_partial)
    single = pd.concat([model.loss_terms(X[i : i + 1], y_partial[i : i + 1]) for i in range(0, 90, 30)])
    np.testing.assert_allclose(single, terms.iloc[::30], rtol=1e-4, atol=1e-5)


@families()
def test_asked_twice_the_answer_is_the_same(cls, rows, models):
    X, _, _ = rows
    model = models[cls]
    first, second = answers(model, X), answers(model, X)
    for name, answer in first.items():
        np.testing.assert_array_equal(answer, second[name])
    np.testing.assert_array_equal(model.loss_terms(X), model.loss_terms(X))


@families()
def test_loss_terms_of_many_threads_are_those_of_one(cls, rows, models):
    X, y_partial, _ = rows
    model = models[cls]
    batches = [(X[i::8], y_partial[i::8]) for i in range(8)] * 3
    expected = [model.loss_terms(*batch) for batch in batches]
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda batch: model.loss_terms(*batch), batches))
    for one, other in zip(got, expected, strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)


@families("anomaly_score")
def test_rows_far_from_all_others_are_anomalies(cls, rows, models):
    X, _, _ = rows
    model = models[cls]
    assert model.anomaly_score(X + 30).min() > model.anomaly_score(X).max()


@families("predict_proba")
def test_samples_of_a_class_look_like_the_class(cls, rows):
    X, _, y = rows
    model = make(cls, epochs={ks.M1M2: 300, PeakClassifier: 400}.get(cls, 60)).fit(X, y)  # codes must have been learned
    for label in range(3):
        new, labels = model.sample(200, y=label, random_state=0)
        assert (labels == label).all()
        np.testing.assert_allclose(new.mean(axis=0), X[y == label].mean(axis=0), atol=1.5)


ALL_QUESTIONS = (
    "transform",
    "reconstruct",
    "impute",
    "score_samples",
    "anomaly_score",
    "predict_log_proba",
    "predict_proba",
    "predict",
)


@families()
def test_an_unfitted_estimator_says_so_whatever_it_is_asked(cls, rows):
    X, _, y = rows
    model = make(cls)
    questions = [lambda name=name: getattr(model, name)(X) for name in (*ALL_QUESTIONS, "loss_terms") if hasattr(model, name)]
    if hasattr(model, "score"):
        questions.append(lambda: model.score(X, y))
    for ask in (*questions, model.sample):
        with pytest.raises(NotFittedError):
            ask()


@pytest.mark.parametrize(
    ("having", "call", "message"),
    [
        ("sample", lambda m, X: m.sample(0), "n_samples must be an integer of at least 1"),
        ("predict_proba", lambda m, X: m.sample(3, y="nobody"), "not among the classes"),
        ("predict_proba", lambda m, X: m.sample(3, y=[0, 1]), "does not match the 2 labels"),
        ("inverse_transform", lambda m, X: m.inverse_transform(np.zeros((2, 7))), "Z has 7 columns"),
        ("inverse_transform", lambda m, X: m.inverse_transform(np.ma.masked_equal(np.eye(2), 1)), "Input Z contains NaN"),
        ("kl_warmup", lambda m, X: m.score_samples(X, n_draws=0), "n_draws must be an integer of at least 1"),
        ("predict_proba", lambda m, X: m.score(X, np.full(90, -1)), "at least one label"),
    ],
    ids=["n_samples", "class", "labels", "Z", "masked Z", "n_draws", "score"],
)
def test_bad_questions_are_refused(having, call, message, rows, models):
    asked = [cls for cls in FAST if hasattr(cls, having)]
    assert asked
    for model in map(models.__getitem__, asked):
        with pytest.raises(ValueError, match=message):
            call(model, rows[0])


# Going on


@families("predict_proba")
def test_partial_fit_goes_on_and_takes_new_rows_and_labels(cls, rows):
    X, y_partial, y = rows
    model = make(cls, epochs=1).partial_fit(X[:45], y_partial[:45], classes=[0, 1, 2])
    for _ in range(20):
        model.partial_fit(X[45:], y[45:])
    assert model.score(X, y) > 0.9
    assert len(model.history_) == 21 * model.history_["stage"].nunique()
    with pytest.raises(ValueError, match="not among the classes"):
        model.partial_fit(X, np.full(90, 9))
    with pytest.raises(ValueError, match="classes must be those of the first call"):
        model.partial_fit(X, y, classes=[0, 1])


@families("predict_proba")
def test_labels_that_arrive_in_steps_end_as_good_as_labels_at_once(cls, rows):
    X, y_partial, y = rows
    model = make(cls, warm_start=True).fit(X)
    for labels in (ks.mask_labels(y, labeled=6, random_state=0), y):
        model.fit(X, labels)
    assert list(model.classes_) == [0, 1, 2]
    assert model.score(X, y) >= make(cls).fit(X, y).score(X, y) - 0.02


@families()
def test_a_warm_start_keeps_every_weight(cls, rows, models):
    X, y_partial, _ = rows
    model = pickle.loads(pickle.dumps(models[cls])).set_params(warm_start=True, learning_rate=1e-12, epochs=1)
    model.fit(X, y_partial)
    drawn = {"score_samples"} if learns_from_labels(cls) else {"score_samples", "predict_proba"}
    for name in set(answers(model, X)) - drawn:  # what is not new draws is as it was
        np.testing.assert_allclose(answers(model, X)[name], answers(models[cls], X)[name], rtol=1e-3, atol=1e-3, err_msg=name)


@families("predict_proba")
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


@families()
def test_a_warm_start_of_another_shape_is_refused(cls, rows, models):
    X, y_partial, _ = rows
    model = pickle.loads(pickle.dumps(models[cls])).set_params(warm_start=True, latent_dim=5)
    with pytest.raises(ValueError, match="must stay as they were"):
        model.fit(X, y_partial)


@families()
def test_early_stopping_restores_the_best_weights(cls, rows):
    X, y_partial, y = rows
    model = make(cls, early_stopping=True, n_iter_no_change=2, epochs=200, validation_fraction=0.2).fit(X, y_partial)
    assert model.n_iter_ < 200
    assert "val_loss" in model.history_
    if not learns_from_labels(cls):
        return
    by_label = make(cls, early_stopping=True, n_iter_no_change=2, epochs=200, validation_fraction=0.6).fit(X, y)
    assert "val_classification" in by_label.history_
    judged = by_label.history_[by_label.history_["classification"].notna()]  # a stage that prepares reads no label
    assert judged["val_classification"].notna().all()


@families()
def test_callbacks_of_keras_are_called(cls, rows):
    import keras

    X, y_partial, _ = rows
    seen = []
    make(
        cls, epochs=3, callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs["loss"]))]
    ).fit(X, y_partial)
    assert len(seen) == 3


@families()
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
