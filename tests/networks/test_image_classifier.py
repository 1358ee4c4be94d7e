"""pi that reads images by convolutions: what it is taught, when it is there, and that it answers."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits

import keras_ssvae as ks
from keras_ssvae.networks import image_classifier
from keras_ssvae.networks.image_classifier import LEFT, moved
from keras_ssvae.networks.stages import StepContext
from keras_ssvae.nn.noise import FixedNoise

STAGES = ["pretrain", "semi-supervised", "together", "images"]


def images(n):
    """Digits of 16 x 16 pixels, and their classes."""
    X, y = load_digits(return_X_y=True)
    return np.kron(X[:n].reshape(-1, 8, 8) / 16, np.ones((2, 2))), y[:n]


def fitted(X, y, **settings):
    settings = {
        "latent_dim": 2,
        "hidden_layer_sizes": (8,),
        "code_layer_sizes": (8,),
        "random_state": 0,
        "epochs": 4,
        **settings,
    }
    return ks.SemiSupervisedVAE(**settings).fit(X, y)


@pytest.fixture(scope="module")
def data():
    X, y = images(120)
    return X, np.where(np.arange(len(y)) % 3 == 0, y, -1)


@pytest.fixture(scope="module")
def model(data):
    return fitted(*data)


def test_images_are_moved_as_the_noise_says():
    image = np.random.RandomState(0).rand(1, 28, 28, 2).astype(np.float32)
    still = np.full((1, 5), 0.5, np.float32)
    np.testing.assert_allclose(moved(image, still), image, atol=1e-6)
    shifted = moved(image, np.array([[(0.07 * 28 + 2) / (4 * 0.07 * 28), 0.5, 0.5, 0.5, 0.5]], np.float32)).numpy()
    pixels = 0.07 * 28 * (2 * (0.07 * 28 + 2) / (4 * 0.07 * 28) - 1)  # how far to the left: a fraction of a pixel
    np.testing.assert_allclose(shifted[:, :, :-1], image[:, :, :-1] + pixels * np.diff(image, axis=2), atol=1e-5)
    np.testing.assert_array_equal(shifted[:, :, -1], image[:, :, -1])  # drawn out at the border
    turned = moved(image, np.array([[0.5, 0.5, 1.0, 0.5, 0.5]], np.float32)).numpy()
    back = moved(image[:, ::-1], np.array([[0.5, 0.5, 0.0, 0.5, 0.5]], np.float32)).numpy()
    assert np.abs(turned - image).mean() > 0.1
    np.testing.assert_allclose(turned, back[:, ::-1], atol=1e-5)  # the other way round in a mirror
    both = moved(np.repeat(image, 2, axis=0), np.concatenate([still, [[0.5, 0.5, 1.0, 0.5, 0.5]]]).astype(np.float32))
    np.testing.assert_allclose(both, np.concatenate([image, turned]), atol=1e-6)  # each in its own way


def test_a_stage_teaches_the_classifier_alone(model):
    assert list(model.history_["stage"].unique()) == STAGES
    stages = {stage.name: stage for stage in model.network_.stages()}
    assert stages["images"].objectives["loss"][1] == [model.network_.image_pi]
    assert stages["together"].compiles  # convolutions of the classifier hold nobody up
    assert not stages["images"].compiles


@pytest.mark.parametrize(
    "settings, shape",
    [
        ({"classification_weight": 0}, (12, 12)),
        ({"consistency_weight": 0}, (12, 12)),
        ({"convolutional_pi": False}, (12, 12)),
        ({}, (7, 30)),
        ({}, (144,)),
    ],
)
def test_where_pi_does_not_read_the_image(settings, shape):
    X = np.random.RandomState(0).rand(12, *shape)
    assert fitted(X, np.arange(12) % 2, epochs=1, experts=None, **settings).network_.image_pi is None


def test_pixels_of_small_images_are_repeated():
    classifier = image_classifier.ImageClassifier((8, 9, 1), 3)
    rows = np.arange(144, dtype=np.float32).reshape(2, 72)
    read = classifier.images(tf.constant(rows)).numpy()
    np.testing.assert_array_equal(read[..., 0], np.kron(rows.reshape(2, 8, 9), np.ones((1, 2, 2))))
    large = image_classifier.ImageClassifier((28, 16, 2), 3)
    assert large.images(tf.zeros((2, 896))).shape == (2, 28, 16, 2)


def test_small_images_without_a_code(data):
    X, y = data
    model = fitted(X[:, ::2, ::2], y, epochs=2)
    assert list(model.history_["stage"].unique()) == ["train", "teach", "images"]
    assert np.isfinite(model.loss_terms(X[:3, ::2, ::2], y[:3])["reconstruction"]).all()  # those of the model, not of "images"


def test_bodies_of_the_code_are_dense_where_pi_has_convolutions_of_its_own(model):
    assert not any(isinstance(layer, keras.layers.Conv2D) for layer in model.network_.lower.encoder.layers)
    large = fitted(np.random.RandomState(0).rand(8, 33, 33), [0, 1] * 4, epochs=1)
    assert any(isinstance(layer, keras.layers.Conv2D) for layer in large.network_.lower.encoder.layers)
    assert large.network_.image_pi is not None


def test_a_table_has_no_convolutions():
    with pytest.raises(ValueError, match=r"convolutional_pi=True needs images"):
        fitted(np.random.RandomState(0).rand(12, 4), np.arange(12) % 2, convolutional_pi=True)


def test_the_classifier_answers(data, model):
    X, _ = data
    rows = tf.constant(model.table_.encode(X).x)
    expected = keras.ops.softmax(model.network_.image_pi(model.network_.image_pi.images(model.network_.encoder_inputs(rows))))
    np.testing.assert_allclose(model.predict_proba(X), expected, atol=1e-5)
    logits = model.transform(X)[:, 2:]
    np.testing.assert_allclose(keras.ops.softmax(logits), expected, atol=1e-5)


@pytest.mark.parametrize("progress", [0.0, 1.0])
def test_unlabelled_images_are_taught_what_the_code_says_and_later_the_classifier_itself(data, model, progress, monkeypatch):
    network = model.network_
    x = model.table_.encode(data[0]).x
    batch = {"x": tf.constant(x), "y": tf.constant(np.r_[0, 1, np.full(len(x) - 2, -1)], tf.int32), "view": tf.constant(x)}
    stage = network.stages()[-1]
    step = StepContext("build", stage, FixedNoise(0), progress=progress)
    features = network.encoder_inputs(batch["x"])
    of_code = tf.nn.log_softmax(network.logits(network.coded({"inputs": features}))).numpy()
    own = tf.nn.log_softmax(network.image_pi(network.image_pi.images(features))).numpy()
    joint = own + LEFT * of_code if progress else of_code
    told = np.exp(joint) / np.exp(joint).sum(axis=1, keepdims=True) * network.class_prior / network.class_usage.numpy()
    told /= told.sum(axis=1, keepdims=True)
    enough = np.median(told.max(axis=1))
    monkeypatch.setattr(image_classifier, "SURE", enough)
    terms = {name: values.numpy() for name, values in network.image_terms(batch, step).items()}
    log_q = tf.nn.log_softmax(network.image_pi.thinned(network.image_pi.images(features), FixedNoise(0).uniform)).numpy()
    sure = (told.max(axis=1) > enough) & (batch["y"].numpy() < 0)
    weight = network.constants.consistency_weight.numpy()
    np.testing.assert_allclose(terms["consistency"], -weight * sure * (told * log_q).sum(axis=1), rtol=1e-3, atol=1e-4)
    of_label = np.where(batch["y"].numpy() >= 0, -log_q[np.arange(len(x)), np.maximum(batch["y"].numpy(), 0)], 0)
    np.testing.assert_allclose(terms["classification"], network.constants.label_weight.numpy() * of_label, rtol=1e-3, atol=1e-4)


def test_it_reads_more_of_images_than_the_code_does():
    X, y = images(900)
    partly = ks.mask_labels(y[:700], labeled=60, random_state=0)
    settings = {"latent_dim": 5, "hidden_layer_sizes": (64,), "code_layer_sizes": (64,), "epochs": 90}
    model = fitted(X[:700], partly, **settings)
    of_code = (
        model.network_.logits(model.network_.read({"x": tf.constant(model.table_.encode(X[700:]).x)})).numpy().argmax(axis=1)
    )
    assert model.score(X[700:], y[700:]) > max(0.85, np.mean(of_code == y[700:]))


def test_images_of_a_few_pixels(data):
    X, y = data
    assert np.isfinite(fitted(X[:, ::8, ::8], y, convolutional_pi=True, epochs=1).predict_proba(X[:, ::8, ::8])).all()


def test_labels_and_classes_may_come_later(data):
    X, y = data
    model = fitted(X, None, warm_start=True, epochs=1)
    assert "images" not in set(model.history_["stage"])  # there is nothing to tell apart
    assert not any(stage.more_steps for stage in model.network_.stages())
    model.fit(X, np.where(y < 5, y, -1)).partial_fit(X[:40], np.where(y < 5, y, -1)[:40])
    assert model.predict_proba(X).shape == (len(X), 5)
    kernel = model.network_.image_pi.head.kernel.numpy()
    model.fit(X, y)
    assert model.network_.image_pi.head.kernel.shape == (128, 10) != kernel.shape
    assert np.isfinite(model.predict_proba(X)).all()


def test_a_file_keeps_it_and_older_files_have_none(data, model, tmp_path):
    X, _ = data
    model.save(tmp_path / "new.ssvae")
    np.testing.assert_array_equal(ks.load(tmp_path / "new.ssvae").predict_proba(X), model.predict_proba(X))
    older = fitted(*data, convolutional_pi=False, epochs=1)
    expected = older.predict_proba(X)
    del older.convolutional_pi
    del older._fitted_params["convolutional_pi"]
    older.save(tmp_path / "old.ssvae")
    read = ks.load(tmp_path / "old.ssvae")
    assert read.convolutional_pi is False
    np.testing.assert_array_equal(read.predict_proba(X), expected)


def test_the_user_s_augmentation_is_what_images_are_moved_by(data):
    @keras.saving.register_keras_serializable("tests")
    class Blank(keras.layers.Layer):
        def call(self, images, training=False):
            return 0.0 * images

    X, y = data
    layers = Blank(), keras.layers.Identity()
    first = [fitted(X, y, augmentation=layer, optimizer="sgd").network_.image_pi.model.layers[0].kernel for layer in layers]
    untrained = fitted(X, y, optimizer="sgd", learning_rate=1e-30).network_.image_pi.model.layers[0].kernel
    np.testing.assert_allclose(first[0], untrained, atol=1e-6)  # of blank images the first layer learns nothing
    assert np.abs(first[1] - untrained).max() > 5e-5
