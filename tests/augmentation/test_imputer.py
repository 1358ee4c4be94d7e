"""GenerativeImputer: a transformer that fills cells, among scikit-learn's own."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

import keras_ssvae as ks

QUICK = {
    "latent_dim": 2,
    "hidden_layer_sizes": (16,),
    "epochs": 30,
    "batch_size": 64,
    "learning_rate": 2e-2,
    "jit_compile": False,
}
pytestmark = pytest.mark.xdist_group("GenerativeImputer")


def make(**settings):
    return ks.GenerativeImputer(ks.VAE(**QUICK), **{"random_state": 0, **settings})


@parametrize_with_checks([ks.GenerativeImputer(ks.VAE(**{**QUICK, "epochs": 1}))])
def test_scikit_learn_check(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    z = rng.standard_normal(200)
    complete = pd.DataFrame(
        {
            "a": z,
            "b": -2.0 * z + 0.1 * rng.standard_normal(200),
            "side": pd.Categorical(np.where(z > 0, "right", "left")),
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(np.round(10 * z), unit="D"),
        },
        index=np.arange(200) + 5,
    )
    return complete, complete.mask(rng.random(complete.shape) < 0.2)


@pytest.fixture(scope="module")
def imputer(frame):
    return make().fit(frame[1])


def test_gaps_are_filled_and_all_else_stays(frame, imputer):
    complete, gaps = frame
    filled = imputer.transform(gaps)
    assert filled.notna().all(axis=None)
    assert filled.where(gaps.notna()).equals(gaps)
    assert list(filled.dtypes) == list(complete.dtypes) and filled.index.equals(gaps.index)
    hidden = gaps["b"].isna()
    assert (filled["b"] - complete["b"])[hidden].std() < 0.6 * complete["b"].std()
    assert (filled["side"] == complete["side"])[gaps["side"].isna()].mean() > 0.7
    pd.testing.assert_frame_equal(filled, imputer.estimator_.impute(gaps))


def test_draws_follow_random_state(frame):
    gaps = frame[1]
    first, again, other = (make(sample_posterior=True, random_state=s).fit(gaps).set_params(random_state=t) for s, t in
                           [(0, 0), (0, 0), (0, 1)])  # fmt: skip
    pd.testing.assert_frame_equal(first.transform(gaps), again.transform(gaps))
    assert not first.transform(gaps).equals(other.transform(gaps))


def test_names_and_containers(frame, imputer):
    gaps = frame[1]
    assert list(imputer.get_feature_names_out()) == list(gaps) == list(imputer.feature_names_in_)
    numbers = gaps[["a", "b"]]
    as_frames = make().set_output(transform="pandas").fit(numbers.to_numpy())
    assert list(as_frames.transform(numbers.to_numpy())) == ["x0", "x1"]
    assert isinstance(make().fit(numbers.to_numpy()).transform(numbers.to_numpy()), np.ndarray)


def test_in_a_pipeline(frame):
    complete, gaps = frame
    y = (complete["a"] > 0).to_numpy()
    pipeline = make_pipeline(make(), LogisticRegression())
    assert clone(pipeline).fit(gaps[["a", "b"]], y).score(gaps[["a", "b"]], y) > 0.85


def test_labels_reach_an_estimator_that_learns_from_them(frame):
    gaps = frame[1]
    y = np.where(frame[0]["a"] > 0, "up", "down")
    imputer = ks.GenerativeImputer(ks.SemiSupervisedVAE(**{**QUICK, "epochs": 2}, experts=None), random_state=0).fit(gaps, y)
    assert list(imputer.estimator_.classes_) == ["down", "up"]


def test_the_default_fills_a_handful_of_rows():
    filled = ks.GenerativeImputer(random_state=0).fit_transform(np.array([[1.0, np.nan], [2.0, 3.0], [0.0, 1.0]]))
    assert 1.0 <= filled[0, 1] <= 3.0 and filled[2, 1] == 1.0


def test_an_estimator_that_cannot_fill_is_refused(frame):
    with pytest.raises(ValueError, match="SemiSupervisedGAN has none"):
        ks.GenerativeImputer(ks.SemiSupervisedGAN()).fit(frame[1])


def test_saved_and_loaded_it_answers_the_same(frame, imputer, tmp_path):
    imputer.save(tmp_path / "imputer.ssvae")
    loaded = ks.load(tmp_path / "imputer.ssvae")
    pd.testing.assert_frame_equal(loaded.transform(frame[1]), imputer.transform(frame[1]))
    assert type(loaded) is ks.GenerativeImputer
    loaded.set_params(sample_posterior=True), clone(imputer)
    pd.testing.assert_frame_equal(loaded.transform(frame[1]), clone(loaded).fit(frame[1]).transform(frame[1]))
