"""AnomalyDetector: what it promises of scores, thresholds, labels, files and explanations."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.utils.estimator_checks import parametrize_with_checks

import keras_ssvae as ks

QUICK = {
    "latent_dim": 2,
    "hidden_layer_sizes": (16,),
    "epochs": 12,
    "batch_size": 64,
    "learning_rate": 3e-2,
    "jit_compile": False,
}
FACES = pytest.mark.xdist_group("AnomalyDetector")
pytestmark = FACES


def make(**settings):
    return ks.AnomalyDetector(ks.VAE(**{**QUICK, **settings}), random_state=0)


class TakesNoLabels(ks.AnomalyDetector):
    """Scikit-learn's checks give classes as y, from 0 on; here y says what is known of a row."""

    def fit(self, X, y=None):
        return super().fit(X)

    def partial_fit(self, X, y=None):
        return super().partial_fit(X)


@parametrize_with_checks([TakesNoLabels(ks.VAE(**{**QUICK, "epochs": 1}))])
def test_scikit_learn_check(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def table():
    """Rows in two correlated columns and three others; the last twenty are far out in column 2, ten more in a narrow cluster
    near the middle of all columns, which nothing but labels tells from the others."""
    rng = np.random.RandomState(0)
    X = rng.standard_normal((430, 5))
    X[:, 1] += X[:, 0]
    X[400:420, 2] += 6.0
    X[420:] = 0.8 + 0.05 * rng.standard_normal((10, 5))
    return X


@pytest.fixture(scope="module")
def detector(table):
    return make().fit(table)


def test_scores_agree_with_each_other(detector, table):
    scores = detector.anomaly_score(table)
    np.testing.assert_array_equal(detector.score_samples(table), -scores)
    np.testing.assert_array_equal(detector.decision_function(table), -scores - detector.offset_)
    np.testing.assert_array_equal(detector.predict(table), np.where(scores > detector.threshold_, -1, 1))
    np.testing.assert_array_equal(detector.decision_scores_, scores)
    np.testing.assert_array_equal(detector.labels_, (detector.predict(table) == -1).astype(int))
    assert detector.threshold_ == -detector.offset_


def test_far_rows_are_strange_and_ordinary_ones_are_not(detector, table):
    assert roc_auc_score(np.arange(420) >= 400, detector.anomaly_score(table[:420])) > 0.99
    assert (detector.predict(table[400:420]) == -1).mean() > 0.9
    assert (detector.predict(table[:400]) == -1).mean() < 0.1


def test_probabilities_are_one_half_at_the_threshold_and_sum_to_one(detector, table):
    proba, sure = detector.predict_proba(table, return_confidence=True)
    np.testing.assert_allclose(proba.sum(axis=1), 1.0)
    np.testing.assert_array_equal(proba[:, 1] > 0.5, detector.predict(table) == -1)
    assert ((sure >= 0) & (sure <= 1)).all() and sure[detector.anomaly_score(table).argmax()] > 0.9


@pytest.mark.parametrize("contamination", [0.05, 0.2])
def test_contamination_is_the_share_of_training_rows_found(table, contamination):
    detector = make(epochs=1).set_params(contamination=contamination)
    assert (detector.fit_predict(table) == -1).mean() == pytest.approx(contamination, abs=1.5 / len(table))


def test_a_row_alone_and_among_many_has_the_same_bits(detector, table):
    scores = detector.anomaly_score(table)
    np.testing.assert_array_equal(
        [detector.anomaly_score(table[i : i + 1])[0] for i in (0, 17, 255, 429)], scores[[0, 17, 255, 429]]
    )
    many = detector.anomaly_score(np.tile(table, (7, 1)))
    np.testing.assert_array_equal(many, np.tile(scores, 7))
    np.testing.assert_array_equal(detector.anomaly_score(table[::-1]), scores[::-1])


def test_fits_with_one_seed_are_the_same(detector, table):
    np.testing.assert_array_equal(clone(detector).fit(table).anomaly_score(table), detector.anomaly_score(table))


def labels(table, anomalies=(), normal=()):
    y = np.full(len(table), -1)
    y[list(anomalies)], y[list(normal)] = 1, 0
    return y


def test_known_anomalies_find_their_kind(detector, table):
    hidden = np.arange(425, 430)
    truth = np.isin(np.arange(430), hidden)[~np.isin(np.arange(430), range(400, 425))]
    rest = table[~np.isin(np.arange(430), range(400, 425))]
    assert roc_auc_score(truth, detector.anomaly_score(rest)) < 0.5
    assert roc_auc_score(truth, make().fit(table, labels(table, range(420, 425))).anomaly_score(rest)) > 0.97


def test_a_kind_that_no_label_names_is_still_found(table):
    scores = make().fit(table, labels(table, range(420, 425))).anomaly_score(table)
    assert roc_auc_score(np.arange(420) >= 400, scores[:420]) > 0.9  # by the forest alone 0.7


def test_known_normal_rows_count_as_normal(table):
    normal = range(400, 415)
    plain, told = make().fit(table), make().fit(table, labels(table, range(420, 425), normal))
    rank = [(detector.anomaly_score(table[415:420]).mean() > np.sort(detector.anomaly_score(table[:400]))).mean()
            for detector in (plain, told)]  # fmt: skip
    assert rank[1] < rank[0]


def test_threshold_asks_the_known_anomalies(table):
    detector = make().fit(table, labels(table, [*range(400, 410), *range(420, 425)]))
    found = detector.predict(table) == -1
    assert found[400:].mean() > 0.7 and found[:400].mean() < 0.03


def test_partial_fit_learns_new_labels(table):
    detector = make().fit(table)
    before = roc_auc_score(np.arange(430) >= 425, detector.anomaly_score(table))
    detector.partial_fit(table[420:425], np.ones(5))
    assert before < 0.6 < 0.95 < roc_auc_score(np.delete(np.arange(430) >= 425, range(400, 425)),
                                               np.delete(detector.anomaly_score(table), range(400, 425)))  # fmt: skip
    assert len(detector._memory) == 435


def test_file_and_pickle_bring_the_same_bits(detector, table, tmp_path):
    told = make().fit(table, labels(table, range(420, 425), range(50)))
    for fitted in (detector, told):
        fitted.save(tmp_path / "detector.ssvae")
        for again in (ks.load(tmp_path / "detector.ssvae"), pickle.loads(pickle.dumps(fitted))):
            np.testing.assert_array_equal(again.anomaly_score(table), fitted.anomaly_score(table))
            np.testing.assert_array_equal(again.explain(table[:2]), fitted.explain(table[:2]))
            assert again.threshold_ == fitted.threshold_ and again.get_params()["estimator__latent_dim"] == 2


def test_an_altered_forest_is_refused(detector, tmp_path):
    altered = pickle.loads(pickle.dumps(detector))
    altered.members_.trees.left[0] = 10**6
    altered.save(tmp_path / "altered.ssvae")
    with pytest.raises(ks.ModelFileError, match="a child in a tree is none"):
        ks.load(tmp_path / "altered.ssvae")


def test_a_family_inside_another_file_is_refused(detector, tmp_path):
    inside = ks.M1(classifier=ks.SemiSupervisedVAE(), **QUICK).fit(np.random.RandomState(0).standard_normal((40, 3)))
    inside.save(tmp_path / "inside.ssvae")
    with pytest.raises(ks.ModelFileError, match="nor registered"):
        ks.load(tmp_path / "inside.ssvae")


def test_explanation_adds_up_and_names_the_column(detector, table):
    frame = detector.explain(table[400:420])
    np.testing.assert_allclose(frame.sum(axis="columns"), detector.anomaly_score(table[400:420]))
    assert (frame.to_numpy().argmax(axis=1) == 2).mean() >= 0.85


@pytest.fixture(scope="module")
def mixed():
    rng = np.random.RandomState(1)
    size, kind = rng.standard_normal(300), rng.randint(2, size=300)
    frame = pd.DataFrame(
        {
            "size": size,
            "kind": np.array(["small", "large"])[(size > 0).astype(int)],
            "price": 2 * size + 0.1 * rng.standard_normal(300),
            "other": kind.astype(float),
        }
    )
    frame.loc[::7, "other"] = np.nan
    return frame


def test_mixed_table_with_gaps_and_its_faults(mixed):
    detector = make(epochs=40).fit(mixed)
    faulty = mixed.iloc[:60].copy()
    faulty.loc[:19, "price"] += 8.0
    faulty.loc[20:39, "kind"] = "a typo"
    faulty.loc[40:, "size"] = np.nan  # where no cell was missing
    scores = detector.anomaly_score(faulty)
    assert roc_auc_score(np.repeat([0, 1], [300, 60]), np.concatenate([detector.anomaly_score(mixed), scores])) > 0.95
    explained = detector.explain(faulty)
    assert list(explained.columns) == list(mixed.columns) and explained.index.equals(faulty.index)
    assert (explained.idxmax(axis="columns").to_numpy() == np.repeat(["price", "kind", "size"], 20)).mean() >= 0.85


def test_images_have_a_map():
    rng = np.random.RandomState(0)
    images = (rng.uniform(size=(80, 8, 8)) < np.linspace(0.1, 0.9, 8)).astype("float32")
    detector = make().fit(images)
    strange = images[:1].copy()
    strange[0, :4] = 1 - strange[0, :4]
    explained = detector.explain(strange)
    assert explained.shape == (1, 8, 8)
    assert explained.sum() == pytest.approx(detector.anomaly_score(strange)[0])


def test_rows_are_read_in_blocks(table):
    def blocks():
        for start in range(0, 400, 100):
            yield table[start : start + 100], labels(table)[start : start + 100]

    detector = make(buffer_size=200).fit(blocks)
    assert len(detector.decision_scores_) == 200
    np.testing.assert_array_equal(detector.anomaly_score(blocks), detector.anomaly_score(table[:400]))


@pytest.mark.parametrize(
    "cls", [ks.M2, ks.LadderVAE, ks.SemiSupervisedGAN, ks.SemiSupervisedVAERegressor, ks.AdversarialAutoencoder]
)
def test_any_family_with_a_score(cls, table):
    detector = ks.AnomalyDetector(cls(latent_dim=2, hidden_layer_sizes=(16,), epochs=1, jit_compile=False), random_state=0)
    if not hasattr(cls, "score_samples"):
        with pytest.raises(ValueError, match="estimator must have score_samples; AdversarialAutoencoder has none"):
            detector.fit(table)
        return
    assert roc_auc_score(np.arange(420) >= 400, detector.fit(table, labels(table, [401])).anomaly_score(table[:420])) > 0.9


@pytest.mark.parametrize(
    ("settings", "y", "message"),
    [
        ({"contamination": 0.6}, None, "contamination.*must be a str among {'auto'} or a float in the range \\(0.0, 0.5\\]"),
        ({"estimator": "vae"}, None, "estimator.*must be an instance of.*GenerativeEstimator.*or None"),
        ({}, [2] * 430, r"labels that are not among the classes: \[2\]. Classes: \[0, 1\]; unlabelled rows: unlabeled=-1"),
        ({}, [1] * 3, "y needs one entry for each of the 430 rows, got 3"),
    ],
)  # fmt: skip
def test_what_is_not_accepted_is_named_and_changes_nothing(table, detector, settings, y, message):
    fitted = pickle.loads(pickle.dumps(detector)).set_params(**settings)
    before = vars(fitted).copy()
    with pytest.raises(ValueError, match=message):
        fitted.fit(table, y)
    assert vars(fitted) == before


def test_all_rows_known(table):
    assert make(epochs=1).fit(table, np.zeros(430)).labeled_ is None
    y = np.repeat([0, 1], [400, 30])
    assert roc_auc_score(y, make(epochs=1).fit(table, y).anomaly_score(table)) > 0.95
    assert np.isfinite(make(epochs=1).fit(table, np.ones(430)).anomaly_score(table)).all()


def test_displays(detector, table):
    ax = ks.AnomalyScoreDisplay.from_estimator(detector, table, labels(table, [400])).ax_
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["unlabelled", "known anomaly", "threshold"]
    display = ks.AnomalyExplanationDisplay.from_estimator(detector, table[400:], n_columns=3)
    assert len(display.ax_.patches) == 3 and display.ax_.get_yticklabels()[-1].get_text() == "2"
