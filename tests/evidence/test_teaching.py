import numpy as np
import pytest
from scipy.special import log_softmax

from keras_ssvae.evidence.teaching import taught


@pytest.fixture
def opinions():
    """Advice about 200 rows, of which the first 20 have a label and of the last 30 no expert was asked; log q, and labels."""
    rng = np.random.RandomState(0)
    advice = log_softmax(2 * rng.standard_normal((200, 4)), axis=1).astype(np.float32)
    advice[170:] = 0
    log_q = log_softmax(9 * rng.standard_normal((200, 4)), axis=1).astype(np.float32)
    y = np.where(np.arange(200) < 20, rng.randint(4, size=200), -1)
    return advice, log_q, y


def certainty(log_p):
    return np.exp(log_p.max(axis=1)).mean()


@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
def test_what_is_taught_is_as_certain_as_the_advice(opinions, scale):
    advice, log_q, y = opinions
    told = taught(advice, log_softmax(scale * log_q, axis=1), y)[20:170]
    assert certainty(told) == pytest.approx(certainty(advice[20:170]), abs=1e-3)
    np.testing.assert_allclose(np.exp(told).sum(axis=1), 1, rtol=1e-5)


def test_how_certain_the_network_is_of_itself_does_not_matter(opinions):
    advice, log_q, y = opinions
    once, sharper = (taught(advice, log_softmax(scale * log_q, axis=1), y) for scale in (1.0, 3.0))
    np.testing.assert_allclose(sharper, once, atol=1e-3)


def test_labelled_rows_and_rows_without_advice_stay(opinions):
    advice, log_q, y = opinions
    told = taught(advice, log_q, y)
    np.testing.assert_array_equal(told[:20], advice[:20])
    np.testing.assert_array_equal(told[170:], 0)
    assert (told[20:170] != advice[20:170]).any(axis=1).all()


def test_the_input_is_not_changed(opinions):
    before = [a.copy() for a in opinions]
    taught(*opinions)
    for a, b in zip(opinions, before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_agreement_strengthens_and_disagreement_weakens():
    half = [[0.6, 0.3, 0.1]] * 10
    advice = np.log(np.array(half + half))
    log_q = np.log(np.array([[0.6, 0.3, 0.1]] * 10 + [[0.1, 0.3, 0.6]] * 10))
    told = np.exp(taught(advice, log_q, np.full(20, -1)))
    assert (told[:10, 0] > 0.6).all()
    assert (told[10:, 0] < 0.6).all()
    assert (told.argmax(axis=1) == 0).all()  # the experts count more


def test_nothing_to_teach(opinions):
    advice, log_q, y = opinions
    np.testing.assert_array_equal(taught(advice, log_q, np.zeros(200, int)), advice)
    np.testing.assert_array_equal(taught(np.zeros_like(advice), log_q, y), 0)


@pytest.mark.parametrize("log_p", [np.log([0.5, 0.5]), [0.0, -1e4]], ids=["undecided", "certain"])
def test_extreme_opinions_stay_finite(log_p):
    told = taught(np.tile(log_p, (5, 1)), np.tile([-1e4, 0.0], (5, 1)), np.full(5, -1))
    assert np.isfinite(told).all()
    np.testing.assert_allclose(np.exp(told).sum(axis=1), 1)


def test_a_network_that_is_sure_beyond_measure_does_not_overrule_sure_experts():
    advice = np.log(np.tile([0.99, 0.01], (20, 1))).astype(np.float32)
    log_q = np.tile([-1.0, 0.0], (20, 1)).astype(np.float32)
    log_q[0] = [-5000.0, 0.0]
    told = taught(advice, log_q, np.full(20, -1))
    assert (told.argmax(axis=1) == 0).all()
