"""Questions in blocks: the block a row falls into, its neighbours and the padding never reach its answer."""

import gc
import tracemalloc
import types
import unittest.mock
import weakref

import keras
import numpy as np
import pytest
import sklearn.base
import tensorflow as tf

import keras_ssvae as ks
from keras_ssvae.data.rows import LazyRows, PreparedRows
from keras_ssvae.networks import inference

SIZES = [1, 31, 32, 33, 256, 257, 2048, 2049, 5000]
COLUMNS = 4


class Questions:
    """Answers row by row, as a trained network does, and keeps a record of the shapes it was asked in."""

    def __init__(self):
        self.seed, self.shapes, self.held = 0, [], types.SimpleNamespace(functions={})
        keras.utils.set_random_seed(0)
        self.model = keras.Sequential([keras.Input((COLUMNS,)), keras.layers.Dense(16, "tanh"), keras.layers.Dense(3)])

    def dense(self, batch):
        self.shapes.append(batch["x"].shape[0])
        return self.model(batch["x"])

    def share(self, batch):
        """No number at all where a row is zero, as the rows that fill a block are."""
        x = batch["x"]
        return x / tf.reduce_sum(tf.abs(x), axis=1, keepdims=True)

    def parts(self, batch):
        x, observed = batch["x"], batch["observed"]
        return {"sum": tf.reduce_sum(x, axis=1), "x": x, "observed": observed, "pair": (x[:, 0], {"last": x[:, -1]})}

    def power(self, z, codes, exponent):
        return z**exponent * tf.cast(codes, tf.float32)[:, None]

    def number(self, codes):
        return codes


@pytest.fixture(scope="module")
def network():
    return Questions()


def rows(n, seed=0):
    return np.random.RandomState(seed).standard_normal((n, COLUMNS)).astype(np.float32)


@pytest.mark.parametrize("n", SIZES)
def test_answers_are_those_of_one_direct_call(n, network):
    x = rows(n)
    answer = inference.run(network, "dense", PreparedRows(x))
    assert answer.shape == (n, 3)
    assert answer.dtype == np.float32
    np.testing.assert_allclose(answer, network.model(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_blocks_side_by_side_keep_their_order(threads, network, monkeypatch):
    monkeypatch.setattr(inference, "_threads", lambda: threads)
    x = rows(20 * inference.BLOCK + 1)
    np.testing.assert_array_equal(inference.run(network, "parts", PreparedRows(x))["x"], x)


def test_an_error_in_a_later_block_is_told(network):
    class Failing(LazyRows):
        def __getitem__(self, chosen):
            if chosen.start > 5 * inference.BLOCK:
                raise OSError("the disk is gone")
            return PreparedRows(rows(inference.BLOCK))

    with pytest.raises(OSError, match="the disk is gone"):
        inference.run(network, "dense", Failing(None, range(10 * inference.BLOCK)))


def test_users_choose_how_many_blocks_are_computed_at_a_time(monkeypatch):
    monkeypatch.setenv("TF_NUM_INTEROP_THREADS", "5")
    assert inference._threads() == 5
    monkeypatch.delenv("TF_NUM_INTEROP_THREADS")
    assert inference._threads() > 1


@pytest.mark.parametrize("n", SIZES)
def test_what_fills_a_block_never_reaches_an_answer(n, network):
    x = rows(n)
    expected = x / np.abs(x).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(inference.run(network, "share", PreparedRows(x)), expected, rtol=1e-5)


@pytest.mark.parametrize("n", SIZES)
def test_answers_by_name_keep_their_order_of_rows(n, network):
    x = rows(n)
    answer = inference.run(network, "parts", PreparedRows(x, (x > 0).astype(np.float32)))
    assert set(answer) == {"sum", "x", "observed", "pair"}
    np.testing.assert_array_equal(answer["x"], x)
    np.testing.assert_array_equal(answer["observed"], x > 0)
    np.testing.assert_allclose(answer["sum"], x.sum(axis=1), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(answer["pair"][0], x[:, 0])
    np.testing.assert_array_equal(answer["pair"][1]["last"], x[:, -1])


@pytest.mark.parametrize("n", [33, 2048, 5000])
def test_the_order_of_the_rows_does_not_matter(n, network):
    x, order = rows(n), np.random.RandomState(1).permutation(n)
    answer = inference.run(network, "dense", PreparedRows(x))
    np.testing.assert_allclose(inference.run(network, "dense", PreparedRows(x[order])), answer[order], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("neighbour", [0.0, 1e9, np.nan, np.inf])
@pytest.mark.parametrize("n", [20, 300, 3000])
def test_neighbours_do_not_matter(n, neighbour, network):
    x = rows(n)
    alone = inference.run(network, "dense", PreparedRows(x))
    others = np.repeat(x, 2, axis=0)
    others[1::2] = neighbour
    among = inference.run(network, "dense", PreparedRows(others))[::2]
    np.testing.assert_allclose(among, alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("n", SIZES)
def test_a_row_alone_and_a_row_given_again_have_the_same_answer(n, network):
    x = rows(n)
    many = inference.run(network, "dense", PreparedRows(x))
    for i in {0, n // 2, n - 1}:
        alone = inference.run(network, "dense", PreparedRows(x[i : i + 1]))
        np.testing.assert_allclose(alone[0], many[i], rtol=1e-5, atol=1e-6)
    again = inference.run(network, "dense", PreparedRows(np.repeat(x[:1], n, axis=0)))
    np.testing.assert_allclose(again, np.repeat(many[:1], n, axis=0), rtol=1e-5, atol=1e-6)


def test_one_trace_serves_any_number_of_rows():
    network = Questions()
    for n in (*SIZES, 2, 100, 1000, 4000):
        inference.run(network, "dense", PreparedRows(rows(n)))
    assert network.shapes == [None]


def test_a_question_within_a_fit_is_not_worth_a_trace_unless_rows_are_many():
    network = Questions()
    for n in (1, 100, inference.BLOCK):
        inference.run(network, "dense", PreparedRows(rows(n)), once=True)
    assert network.shapes == [8, 104, inference.BLOCK]
    inference.run(network, "dense", PreparedRows(rows(inference.BLOCK + 1)), once=True)
    assert network.shapes[3:] == [None]


@pytest.fixture(scope="module")
def model():
    X = np.random.RandomState(0).standard_normal((300, 7))
    settings = {"epochs": 1, "hidden_layer_sizes": (13, 5), "latent_dim": 3, "jit_compile": False}
    return ks.SemiSupervisedVAE(**settings, random_state=0).fit(X, np.arange(300) % 3), X


@pytest.mark.parametrize("name", ["predict_proba", "transform", "reconstruct", "score_samples", "loss_terms"])
def test_the_answer_for_a_row_is_the_same_to_the_bit_in_any_request(name, model):
    ask, X = getattr(model[0], name), model[1]
    whole = np.asarray(ask(np.repeat(X, 10, axis=0)))[::10]  # 3000 rows: in blocks
    for part in (slice(0, 1), slice(3, 5), slice(7, 14), slice(100, 237)):
        np.testing.assert_array_equal(np.asarray(ask(X[part])), whole[part])


def test_networks_of_one_architecture_share_a_trace_and_answer_each_for_itself(model):
    first, X = model
    second = sklearn.base.clone(first).fit(2 * X[::-1], np.arange(300) % 3)
    inference.GRAPHS.clear()
    for fitted in (first, second):
        fitted.network_.held.functions.clear()
    with unittest.mock.patch.object(tf, "function", side_effect=tf.function) as traced:
        shared = [fitted.predict_proba(X) for fitted in (first, second)]
        assert traced.call_count == 1
    for fitted, answer in zip((first, second), shared, strict=True):
        inference.GRAPHS.clear()
        fitted.network_.held.functions.clear()
        np.testing.assert_array_equal(fitted.predict_proba(X), answer)
    assert not np.allclose(*shared)


def test_what_was_traced_holds_no_network():
    inference.GRAPHS.clear()
    X = np.random.RandomState(0).standard_normal((20, 3))
    fitted = ks.VAE(epochs=1, hidden_layer_sizes=(4,), jit_compile=False, random_state=0).fit(X)
    fitted.score_samples(X)
    network = weakref.ref(fitted.network_)
    del fitted
    gc.collect()
    assert network() is None


def test_all_cells_count_as_observed_where_no_mask_is_given(network):
    np.testing.assert_array_equal(inference.run(network, "parts", PreparedRows(rows(40)))["observed"], 1)


@pytest.mark.parametrize("n", [5, 2049])
@pytest.mark.parametrize("exponent", [1, 2])
def test_arrays_and_settings_are_passed_on(n, exponent, network):
    z, codes = rows(n), np.arange(n, dtype=np.int32) % 3
    answer = inference.run(network, "power", z, codes, exponent=exponent)
    np.testing.assert_allclose(answer, z**exponent * codes[:, None], rtol=1e-5)


@pytest.mark.parametrize("n", [5, 5000])
def test_one_number_a_row_keeps_its_dtype(n, network):
    codes = np.arange(n, dtype=np.int32)
    answer = inference.run(network, "number", codes)
    assert answer.dtype == np.int32
    np.testing.assert_array_equal(answer, codes)


def test_the_users_rows_are_not_modified_and_not_handed_out(network):
    x = rows(2048)
    x.flags.writeable = False
    answer = inference.run(network, "parts", PreparedRows(x))
    assert not np.shares_memory(answer["x"], x)


def test_rows_to_be_encoded_later_need_no_memory_of_their_own(monkeypatch):
    monkeypatch.setattr(inference, "GROUP", 2)
    values = np.random.RandomState(0).standard_normal((40_000, 20))
    values[::7, 3] = np.nan
    model = ks.SemiSupervisedVAE(epochs=1, hidden_layer_sizes=(8,), random_state=0).fit(values[:100], np.arange(100) % 20)

    def peak(n):
        tracemalloc.start()
        answer = model.predict(values[:n])
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return answer, most

    peak(5000)
    few, little = peak(5000)
    all_of_them, more = peak(40_000)
    np.testing.assert_array_equal(all_of_them[:5000], few)
    assert (more - little) / 35_000 < 32  # bytes a row: codes and labels, and not the row or its logits
