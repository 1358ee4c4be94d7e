"""Estimators that ask experts: when they do, what they keep of it, and that every way to fit goes on from there."""

import numpy as np
import pytest
from instances import FAST, assert_same_weights, make
from sources import blocks_of

import keras_ssvae as ks
from keras_ssvae.data.streaming import StreamingSampler
from keras_ssvae.estimators.fit_data import prepare

pytestmark = pytest.mark.xdist_group(ks.SemiSupervisedVAE.__name__)


def quick(**settings):
    return make(ks.SemiSupervisedVAE, **{"hidden_layer_sizes": (8,), "epochs": 3, "batch_size": 32, **settings})


@pytest.fixture(scope="module")
def model(rows):
    return quick().fit(*rows)


def stages(model):
    return list(dict.fromkeys(model.history_["stage"]))


def test_experts_are_asked_by_default(model):
    assert stages(model) == ["train", "teach"]
    assert model.evidence_.columns.tolist() == ["weight", "log_loss", "accuracy"]
    assert model.evidence_.index[-1] == "all"
    assert model._labels.advised


def test_none_are_asked_where_none_are_wanted(rows):
    model = quick(experts=None).fit(*rows)
    assert stages(model) == ["train"]
    assert model.evidence_ is None


@pytest.mark.parametrize("labels", [[], [0]], ids=["no label", "one class"])
def test_none_are_asked_of_fewer_than_two_classes(rows, labels):
    X, y = rows
    model = quick(classes=[0, 1, 2]).fit(X, np.where(np.isin(y, labels), y, -1))
    assert stages(model) == ["train"]
    assert model.evidence_ is None


def test_none_are_asked_of_one_pass(rows):
    model = quick().partial_fit(*rows)
    assert "teach" not in stages(model.partial_fit(*rows))
    assert model.evidence_ is None


def test_unlabelled_rows_are_told_what_experts_say(rows):
    X, y = rows
    data = prepare(quick(), X, y, None, warm=False)
    np.testing.assert_array_equal(data.rows.arrays["advice"], data.evidence.log_posterior)
    assert "advice" not in prepare(quick(experts=None), X, y, None, warm=False).rows.arrays
    assert "advice" not in prepare(quick(), X, y, None, warm=False, one_pass=True).rows.arrays


def test_a_saved_estimator_says_the_same(model, rows, tmp_path):
    model.save(tmp_path / "model.ssvae")
    loaded = ks.load(tmp_path / "model.ssvae")
    np.testing.assert_array_equal(loaded.predict_proba(rows[0]), model.predict_proba(rows[0]))
    assert loaded.evidence_.equals(model.evidence_)


# One fit after another: the network keeps the shape that it has


@pytest.mark.parametrize("goes_on", ["fit without labels", "partial_fit", "fit"])
def test_a_fit_goes_on_from_one_with_experts(rows, goes_on):
    X, y = rows
    model = quick(warm_start=True, classes=[0, 1, 2]).fit(X, y)
    shapes = [w.shape for w in model.network_.get_weights()]
    if goes_on == "partial_fit":
        model.partial_fit(X, y)
    else:
        model.fit(X, y if goes_on == "fit" else None)
    assert [w.shape for w in model.network_.get_weights()] == shapes
    assert (model.evidence_ is not None) == (goes_on == "fit")
    assert model.history_["stage"].iloc[-1] == ("teach" if goes_on == "fit" else "train")
    assert np.isfinite(model.predict_proba(X)).all()


@pytest.mark.parametrize("first", ["fit without labels", "partial_fit"])
def test_a_fit_with_experts_goes_on_from_one_without(rows, first, tmp_path):
    X, y = rows
    model = quick(warm_start=True, classes=[0, 1, 2])
    model = model.partial_fit(X, y) if first == "partial_fit" else model.fit(X)
    shapes = [w.shape for w in model.network_.get_weights()]
    model.fit(X, y)
    assert model.evidence_ is not None
    assert [w.shape for w in model.network_.get_weights()] == shapes
    model.save(tmp_path / "model.ssvae")
    np.testing.assert_array_equal(ks.load(tmp_path / "model.ssvae").predict(X), model.predict(X))


# Rows, whatever their order and number


def test_the_order_of_rows_does_not_matter(model, rows):
    X, y = rows
    order = np.random.RandomState(0).permutation(60)
    assert_same_weights(quick().fit(X[order], y[order]), model)


def test_a_weight_is_a_number_of_rows(rows):
    X, y = rows
    times = np.random.RandomState(0).randint(1, 4, 60)
    weighted = prepare(quick(), X, y, times, warm=False).evidence
    repeated = prepare(quick(), X.repeat(times, axis=0), y.repeat(times), None, warm=False).evidence
    np.testing.assert_allclose(np.exp(repeated.log_posterior), np.exp(weighted.log_posterior).repeat(times, axis=0), atol=1e-6)
    settings = {"epochs": 30, **{k: v for k, v in FAST[ks.SemiSupervisedVAE].items() if k != "epochs"}}
    one = quick(**settings).fit(X, y, sample_weight=np.full(60, 2.0))
    other = quick(**settings).fit(X.repeat(2, axis=0), y.repeat(2))
    np.testing.assert_allclose(one.predict_proba(X), other.predict_proba(X), atol=0.1)


def test_rows_that_stream_by_are_learned_from_beside_those_that_experts_know(rows):
    X, y = rows
    model = quick(buffer_size=25).fit(blocks_of(X, y, sizes=(20, 7)))
    assert stages(model) == ["train", "teach"]
    assert np.isfinite(model.history_["loss"]).all()
    assert model.predict(X).shape == (60,)


def test_what_experts_say_of_held_out_rows_does_not_let_them_stream_by(rows):
    """A row is known by what it holds, though those that stream by come without advice, and the advice of others changes."""
    X, y = rows
    stream = prepare(quick(buffer_size=25), blocks_of(X, y, sizes=(20, 7)), None, None, warm=False).stream
    held = np.arange(len(stream.rows)) % 5 == 0
    kept = stream.rows[~held]
    kept = kept.joined(advice=kept.arrays["advice"] / 2)  # as the stage that teaches does
    sampler = StreamingSampler(stream, kept, stream.weight[~held], 16, None, 0)
    assert sorted(sampler._held_out) == sorted(stream.rows[held].keys())
    passing = np.concatenate([block["x"] for block in sampler._streaming(kept.arrays, np.random.RandomState(0), None)])
    assert len(passing) == 60 - held.sum()
    out = {bytes(x) for x in stream.rows.x[held]}
    assert not out & {bytes(x) for x in passing}
