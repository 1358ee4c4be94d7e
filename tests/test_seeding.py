"""Randomness follows random_state, and the user's generators are neither read nor moved."""

import random
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssvae import SemiSupervisedVAE
from keras_ssvae._compat.keras import isolated_seed
from keras_ssvae.seeding import derive_seeds


def next_numbers():
    """What the generators that belong to the user would give next."""
    return {
        "python": random.random(),
        "numpy": np.random.random_sample(),
        "tensorflow": float(tf.random.uniform(())),
        "keras": float(keras.random.uniform(())),
    }


@pytest.fixture
def untouched():
    """Asserts that what ran in between was not noticed by the user's generators."""
    keras.utils.set_random_seed(3)
    expected = next_numbers()
    keras.utils.set_random_seed(3)
    yield
    assert next_numbers() == expected


# derive_seeds


def test_seeds_are_ints_in_range_and_as_many_as_asked_for():
    for state in (0, 2**32 - 1, np.random.RandomState(0), None):
        for count in (0, 1, 5):
            seeds = derive_seeds(state, count)
            assert len(seeds) == count
            assert all(type(seed) is int and 0 <= seed < 2**31 - 1 for seed in seeds)


def test_fresh_seeds_stay_in_range_at_the_extreme(monkeypatch):
    class Extreme:
        def generate_state(self, count):
            return np.full(count, 2**32 - 1, np.uint32)

    monkeypatch.setattr(np.random, "SeedSequence", Extreme)
    assert derive_seeds(None, 1)[0] < 2**31 - 1


def test_an_int_gives_the_same_seeds_again_and_another_int_others():
    assert derive_seeds(1, 4) == derive_seeds(1, 4)
    assert derive_seeds(1, 4) == derive_seeds(np.int64(1), 4)
    assert len(set(derive_seeds(1, 4) + derive_seeds(2, 4))) == 8


def test_an_int_is_the_generator_of_that_seed():
    assert derive_seeds(7, 3) == derive_seeds(np.random.RandomState(7), 3)


def test_a_generator_is_advanced():
    generator = np.random.RandomState(0)
    first, second = derive_seeds(generator, 2), derive_seeds(generator, 2)
    assert first + second == derive_seeds(0, 4)


def test_none_draws_fresh_seeds(untouched):
    seeds = [seed for _ in range(10) for seed in derive_seeds(None, 2)]
    assert len(set(seeds)) == 20


def test_an_int_leaves_the_global_generators_alone(untouched):
    derive_seeds(0, 3)


def test_what_is_no_random_state_is_refused():
    with pytest.raises(ValueError, match="random_state must be None, an int .*; 'cat' cannot be used to seed"):
        derive_seeds("cat", 1)
    with pytest.raises(ValueError, match="random_state must be None, an int from 0"):
        derive_seeds(-1, 1)


# isolated_seed


def kernel():
    """The weights of a layer that is given no seed."""
    layer = keras.layers.Dense(3)
    layer.build((None, 4))
    return layer.kernel.numpy()


def test_the_generators_do_what_they_do_outside_the_block(untouched):
    with isolated_seed(0):
        kernel()


def test_a_block_that_fails_ends():
    with pytest.raises(KeyError), isolated_seed(0):
        raise KeyError
    state = random.getstate()
    kernel()
    assert random.getstate() != state


def test_the_seeds_are_those_of_pythons_generator():
    random.seed(5)
    expected = kernel()
    with isolated_seed(5):
        np.testing.assert_array_equal(kernel(), expected)


def test_a_block_within_a_block_has_its_own_seeds():
    with isolated_seed(0):
        expected = [kernel(), kernel()]
    with isolated_seed(0):
        first = kernel()
        with isolated_seed(1):
            assert not np.array_equal(kernel(), expected[1])
        np.testing.assert_array_equal([first, kernel()], expected)


def test_a_block_is_that_of_its_thread():
    with isolated_seed(0), ThreadPoolExecutor(1) as pool:
        state = random.getstate()
        assert pool.submit(random.getstate).result() == state
        pool.submit(kernel).result()
        assert random.getstate() != state  # as without a block, which is another thread's


def test_weights_of_keras_layers_follow_the_seed():
    weights = []
    for seed in (0, 0, 1):
        with isolated_seed(seed):
            layer = keras.layers.Dense(3)
            layer.build((None, 4))
        weights.append(layer.kernel.numpy())
    np.testing.assert_array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])


def test_dropout_follows_the_seed():
    drawn = []
    for seed in (0, 0, 1):
        with isolated_seed(seed):
            layer = keras.layers.Dropout(0.5)
        drawn.append(layer(tf.ones((1, 50)), training=True).numpy())
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])


# The estimator


def users_encoder():
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(5, "relu"), keras.layers.Dropout(0.2)])


@pytest.mark.parametrize("random_state", [0, None])
def test_an_estimator_is_not_noticed(random_state, untouched):
    X = np.random.RandomState(0).standard_normal((30, 4))
    model = SemiSupervisedVAE(
        latent_dim=2, hidden_layer_sizes=(5,), epochs=1, batch_size=16, encoder=users_encoder, random_state=random_state
    ).fit(X, np.arange(30) % 3 - 1)
    model.predict(X)
    model.score_samples(X, n_draws=2)
    model.sample(3, random_state=random_state)


def test_the_same_random_state_gives_the_same_weights_whatever_the_global_seeds():
    X = np.random.RandomState(0).standard_normal((30, 4))
    latent = []
    for state in (0, 0, 1):
        keras.utils.set_random_seed(len(latent))
        model = SemiSupervisedVAE(
            latent_dim=2, hidden_layer_sizes=(5,), epochs=1, batch_size=16, encoder=users_encoder, random_state=state
        )
        latent.append(model.fit(X, np.arange(30) % 3 - 1).transform(X))
    np.testing.assert_array_equal(latent[0], latent[1])
    assert not np.allclose(latent[0], latent[2])
