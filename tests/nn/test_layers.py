"""Layers between the bodies: shapes, bounds, and what merging a label with z must not change."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssvae.nn.layers import GaussianHead, LabelMerge, PiLayer

ROWS, DIM, CLASSES = 7, 4, 3


@pytest.fixture(autouse=True)
def _weights_are_the_same_at_every_run():
    keras.utils.set_random_seed(0)


@pytest.fixture
def z():
    return tf.constant(np.random.RandomState(0).standard_normal((ROWS, DIM)), tf.float32)


MERGES = {
    "shift": {},
    "affine": {"units": 6},
    "affine with activation": {"units": 6, "activation": "tanh"},
    "as wide as z": {"units": DIM, "activation": "silu"},
}
merges = pytest.mark.parametrize("settings", MERGES.values(), ids=MERGES)


def trained(layer, z):
    """The layer with weights that are not those it starts from."""
    layer(z)
    rng = np.random.RandomState(1)
    layer.set_weights([rng.standard_normal(w.shape) for w in layer.get_weights()])
    return layer


# LabelMerge


@merges
def test_all_classes_at_once_are_the_classes_one_by_one(settings, z):
    merge = trained(LabelMerge(CLASSES, **settings), z)
    at_once = tf.reshape(merge(z), (CLASSES, ROWS, -1))
    for k in range(CLASSES):
        one_hot = tf.one_hot(tf.fill([ROWS], k), CLASSES)
        np.testing.assert_allclose(at_once[k], merge(z, one_hot), rtol=1e-5, atol=1e-6)


def test_with_units_it_is_a_dense_layer_on_z_and_y(z):
    merge = trained(LabelMerge(CLASSES, 6, "tanh"), z)
    labels = np.random.RandomState(2).dirichlet(np.ones(CLASSES), size=ROWS).astype(np.float32)
    kernel = np.concatenate([merge.dense.kernel, merge.shift])
    expected = np.tanh(np.concatenate([z, labels], axis=1) @ kernel + merge.dense.bias)
    np.testing.assert_allclose(merge(z, labels), expected, rtol=1e-5, atol=1e-6)


def test_soft_labels_shift_by_the_mean_of_the_classes(z):
    merge = trained(LabelMerge(CLASSES), z)
    labels = np.random.RandomState(2).dirichlet(np.ones(CLASSES), size=ROWS).astype(np.float32)
    np.testing.assert_allclose(merge(z, labels), z + labels @ merge.shift, rtol=1e-5, atol=1e-6)


def test_without_units_a_trained_decoder_starts_as_it_was(z):
    merge = LabelMerge(CLASSES)
    np.testing.assert_array_equal(merge(z), np.tile(z, (CLASSES, 1)))
    np.testing.assert_array_equal(merge(z, tf.one_hot(tf.zeros(ROWS, tf.int32), CLASSES)), z)


def test_with_units_the_classes_differ_from_the_start(z):
    by_class = tf.reshape(LabelMerge(CLASSES, 6)(z), (CLASSES, ROWS, -1)).numpy()
    assert not np.allclose(by_class[0], by_class[1])


def test_an_activation_without_units_would_change_a_trained_decoder_and_is_left_out(z):
    np.testing.assert_array_equal(LabelMerge(CLASSES, None, "relu")(z), np.tile(z, (CLASSES, 1)))


@merges
def test_every_weight_learns_from_both_calls(settings, z):
    for call in (lambda m: m(z), lambda m: m(z, tf.one_hot(tf.range(ROWS) % CLASSES, CLASSES))):
        merge = trained(LabelMerge(CLASSES, **settings), z)
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(call(merge)))
        for slope in tape.gradient(loss, merge.trainable_variables):
            assert np.abs(slope).max() > 0


@merges
def test_the_layer_can_be_built_by_either_call(settings, z):
    labels = tf.one_hot(tf.zeros(ROWS, tf.int32), CLASSES)
    first, second = LabelMerge(CLASSES, **settings), LabelMerge(CLASSES, **settings)
    first(z)
    second(z, labels)
    assert [w.shape for w in first.weights] == [w.shape for w in second.weights]


def test_one_class_is_a_constant_shift(z):
    merge = trained(LabelMerge(1), z)
    np.testing.assert_allclose(merge(z), z + merge.shift, rtol=1e-6)


# PiLayer and GaussianHead


@pytest.mark.parametrize("latent_dim, n_classes", [(1, 1), (2, 5)])
def test_the_pi_layer_gives_mean_log_variance_and_logits(latent_dim, n_classes, z):
    layer = trained(PiLayer(latent_dim, n_classes), z)
    mean, log_variance, logits = layer(z)
    assert mean.shape == log_variance.shape == (ROWS, latent_dim)
    assert logits.shape == (ROWS, n_classes)
    np.testing.assert_allclose(logits, z @ layer.pi.kernel + layer.pi.bias, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(mean, layer.gaussian(z)[0])


def test_the_gaussian_head_starts_at_one_variance_for_all_rows(z):
    _, log_variance = GaussianHead(3)(z)
    np.testing.assert_array_equal(log_variance, np.full((ROWS, 3), log_variance[0, 0]))


@pytest.mark.parametrize("bias, expected", [(-1e6, -12.0), (1e6, 6.0), (-3.0, -3.0), (-2.9, -2.9), (-3.1, -3.1)])
def test_the_log_variance_is_bounded_and_straight_in_the_middle(bias, expected, z):
    head = GaussianHead(3)
    head(z)
    head.log_variance.bias.assign(np.full(3, bias))
    np.testing.assert_allclose(head(z)[1], np.full((ROWS, 3), expected), atol=1e-4)


def test_the_mean_is_not_bounded(z):
    head = GaussianHead(3)
    head(z)
    head.mean.bias.assign(np.full(3, 1e6))
    assert head(z)[0].numpy().min() > 9e5
