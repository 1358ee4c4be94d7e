"""Bodies by name and from the user: shapes, copies, and errors that name the parameter."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssvae import VAE, SemiSupervisedVAE
from keras_ssvae.nn import backbones
from keras_ssvae.nn.backbones import Pretrained, resolve_decoder, resolve_encoder
from keras_ssvae.nn.layers import plain_activation

IMAGES = [(28, 28, 1), (8, 8, 1), (13, 17, 3), (32, 32, 3), (12, 40, 2), (5, 4, 1), (1, 1, 1)]


@pytest.fixture(autouse=True)
def _weights_are_the_same_at_every_run():
    keras.utils.set_random_seed(0)


def encoder(value, image_shape=None, n_columns=6, sizes=(8, 7), activation="relu"):
    return resolve_encoder(value, image_shape, n_columns, sizes, activation)


def decoder(value, input_dim=2, image_shape=None, n_columns=6, sizes=(8, 7), activation="relu", conv=False):
    return resolve_decoder(value, input_dim, image_shape, n_columns, sizes, activation, conv)


def rows(n, dim):
    return tf.constant(np.random.RandomState(0).standard_normal((n, dim)), tf.float32)


def sequential(inputs, *units, **settings):
    layers = [keras.layers.Dense(n, **settings) for n in units]
    return keras.Sequential([keras.Input((inputs,)), *layers], name="users")


class Sampling(keras.layers.Layer):
    """As in the VAE example of the Keras documentation."""

    def call(self, inputs):
        mean, log_variance = inputs
        return mean + keras.ops.exp(0.5 * log_variance) * keras.random.normal(keras.ops.shape(mean))


def classic_encoder(image_shape=(8, 8, 1), latent_dim=2):
    """The encoder of the Keras documentation's VAE example, made small."""
    inputs = keras.Input(image_shape)
    x = keras.layers.Conv2D(4, 3, activation="relu", strides=2, padding="same")(inputs)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(16, activation="relu")(x)
    mean = keras.layers.Dense(latent_dim, name="z_mean")(x)
    log_variance = keras.layers.Dense(latent_dim, name="z_log_var")(x)
    return keras.Model(inputs, [mean, log_variance, Sampling()([mean, log_variance])], name="encoder")


# Our own


def test_mlp_has_the_layers_asked_for():
    model = backbones.mlp((6,), (8, 7), "tanh", "body")
    assert [layer.units for layer in model.layers] == [8, 7]
    assert {layer.activation for layer in model.layers} == {keras.activations.tanh}
    assert model.name == "body"


@pytest.mark.parametrize("shape, given", [((6,), (5, 6)), ((2, 3), (5, 2, 3))])
def test_mlp_without_layers_is_the_identity(shape, given):
    x = tf.reshape(rows(5, 6), given)
    np.testing.assert_array_equal(backbones.mlp(shape, (), "relu", "body")(x), tf.reshape(x, (5, 6)))


@pytest.mark.parametrize("image_shape", IMAGES)
@pytest.mark.parametrize("name", ["conv", "mlp"])
def test_images_of_any_size_there_and_back(name, image_shape):
    n_columns = math.prod(image_shape)
    there = encoder(name, image_shape, n_columns)
    back = decoder(name, 7, image_shape, n_columns)
    assert there.shape == image_shape
    features = backbones.run(there, rows(3, n_columns))
    assert features.shape == (3, 7)
    decoded = backbones.run(back, features)
    assert back.output_kind == ("location" if name == "conv" else "features")
    assert decoded.shape == (3, n_columns if name == "conv" else 7)


@pytest.mark.parametrize(
    "image_shape, sides", [((28, 28, 1), [14, 7]), ((8, 8, 1), [4]), ((13, 17, 3), [7]), ((32, 32, 3), [16, 8, 4])]
)
def test_convolutions_halve_the_image_until_it_is_small(image_shape, sides):
    body = encoder("conv", image_shape, math.prod(image_shape))
    convolutions = [layer for layer in body.model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert [layer.output.shape[1] for layer in convolutions] == sides


@pytest.mark.parametrize("corner", [(0, 0), (12, 0), (0, 16), (12, 16)])
def test_every_corner_of_an_odd_image_is_decoded_and_read(corner):
    image_shape = (13, 17, 3)
    n_columns, index = math.prod(image_shape), np.ravel_multi_index((*corner, 1), image_shape)
    there, back = encoder("conv", image_shape, n_columns), decoder("conv", 7, image_shape, n_columns)
    x, features = rows(1, n_columns), rows(1, 7)
    with tf.GradientTape() as tape:
        tape.watch(x)
        read = tf.reduce_sum(tf.abs(backbones.run(there, x)))
    assert tape.gradient(read, x).numpy()[0, index] != 0
    with tf.GradientTape() as tape:
        tape.watch(features)
        written = backbones.run(back, features)[0, index]
    assert np.abs(tape.gradient(written, features)).max() > 0


def test_run_gives_the_rows_of_an_image_in_the_order_of_numpy():
    shape = (2, 3, 2)
    body = backbones.Body(keras.Sequential([keras.Input(shape), keras.layers.Cropping2D(((1, 0), (0, 2)))]), shape)
    images = np.arange(24.0).reshape(2, *shape)
    np.testing.assert_array_equal(backbones.run(body, images.reshape(2, -1))[:, 0, 0], images[:, 1, 0])


def test_run_hands_training_to_the_layers():
    body = backbones.Body(keras.Sequential([keras.Input((50,)), keras.layers.Dropout(0.5)]), (50,))
    x = tf.ones((1, 50))
    np.testing.assert_array_equal(backbones.run(body, x, training=False), x)
    assert 0 in backbones.run(body, x, training=True).numpy()


@pytest.mark.parametrize(
    "image_shape, n_columns, conv", [(None, 784, False), ((11, 40, 1), 440, False), ((12, 12, 1), 144, True)]
)
def test_none_chooses_convolutions_for_images_worth_it(image_shape, n_columns, conv):
    body = encoder(None, image_shape, n_columns)
    assert any(isinstance(layer, keras.layers.Conv2D) for layer in body.model.layers) == conv


@pytest.mark.parametrize("conv", [False, True])
def test_none_as_decoder_follows_the_encoder(conv):
    body = decoder(None, 2, (12, 12, 1), 144, conv=conv)
    assert any(isinstance(layer, keras.layers.Conv2DTranspose) for layer in body.model.layers) == conv


@pytest.mark.parametrize("name", ["conv", "mlp"])
def test_no_hidden_layers_are_a_choice_or_a_named_error(name):
    """hidden_layer_sizes=() is the identity for "mlp"; "conv" has to say what it needs."""
    shape = (12, 12, 1)
    for resolve in (lambda: encoder(name, shape, 144, sizes=()), lambda: decoder(name, 2, shape, 144, sizes=())):
        try:
            resolve()
        except ValueError as error:
            assert "hidden_layer_sizes" in str(error)


# From the user


def test_a_keras_model_is_copied_and_not_touched():
    model = sequential(6, 5, activation="relu")
    before = [w.copy() for w in model.get_weights()]
    body = encoder(model)
    assert body.model is not model
    assert not {id(w) for w in body.model.weights} & {id(w) for w in model.weights}
    assert body.model.get_config()["layers"][1]["config"]["units"] == 5
    assert not np.array_equal(body.model.get_weights()[0], before[0])  # architecture only: weights of its own
    body.model.set_weights([w + 1 for w in before])
    for now, then in zip(model.get_weights(), before):
        np.testing.assert_array_equal(now, then)
    assert decoder(sequential(2, 5)).model is not body.model


def test_what_a_callable_returns_is_used_as_it_is():
    model = sequential(6, 5)
    assert encoder(lambda: model).model is model
    assert decoder(lambda: sequential(2, 5)).output_kind == "features"


def test_a_method_and_an_object_with_call_are_callables_too():
    class Maker:
        def __call__(self):
            return sequential(6, 5)

        make = __call__

    assert encoder(Maker()).model.output_shape == (None, 5)
    assert encoder(Maker().make).model.output_shape == (None, 5)


def test_pretrained_keeps_weights_and_leaves_the_original_alone():
    model = sequential(6, 5)
    make = Pretrained(model)
    first, second = make(), make()
    for copy in (first, second, encoder(make).model):
        for mine, theirs in zip(copy.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(mine, theirs)
    first.set_weights([w * 0 for w in first.get_weights()])
    assert np.abs(second.get_weights()[0]).max() > 0
    assert np.abs(model.get_weights()[0]).max() > 0


def test_pretrained_keeps_states_that_are_no_weights_of_a_gradient():
    model = keras.Sequential([keras.Input((6,)), keras.layers.BatchNormalization()])
    model.layers[0].moving_mean.assign(np.arange(6.0))
    np.testing.assert_array_equal(Pretrained(model)().layers[0].moving_mean, np.arange(6.0))


def test_an_encoder_of_images_reads_flat_rows():
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(3, 3)])
    body = encoder(model, (8, 8, 1), 64)
    assert body.shape == (8, 8, 1)
    x = rows(2, 64)
    expected = tf.reshape(body.model.layers[0](tf.reshape(x, (2, 8, 8, 1))), (2, -1))
    np.testing.assert_allclose(backbones.run(body, x), expected, rtol=1e-5)


def test_an_encoder_of_flat_rows_reads_images():
    body = encoder(sequential(64, 5), (8, 8, 1), 64)
    assert body.shape == (64,)
    assert backbones.run(body, rows(2, 64)).shape == (2, 5)


@pytest.mark.parametrize("n_outputs", [2, 3])
def test_a_classic_encoder_gives_mean_log_variance_and_the_layer_below(n_outputs):
    full = classic_encoder()
    model = keras.Model(full.inputs, full.outputs[:n_outputs])
    body = encoder(Pretrained(model), (8, 8, 1), 64)
    assert body.output_kind == "gaussian"
    x = rows(5, 64)
    features, mean, log_variance = backbones.run(body, x)
    expected = model(tf.reshape(x, (5, 8, 8, 1)))
    np.testing.assert_allclose(mean, expected[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(log_variance, expected[1], rtol=1e-5, atol=1e-6)
    assert features.shape == (5, 16)
    layer = body.model.get_layer("z_mean")
    np.testing.assert_allclose(features @ layer.kernel + layer.bias, mean, rtol=1e-5, atol=1e-6)


def test_outputs_of_nested_models_have_a_layer_below_too():
    inputs = keras.Input((6,))
    x = keras.layers.Dense(5)(inputs)
    heads = [keras.Sequential([keras.Input((5,)), keras.layers.Dense(4), keras.layers.Dense(2)])(x) for _ in range(2)]
    given = rows(3, 6)
    model = keras.Model(inputs, heads)
    features, mean, _ = backbones.run(encoder(lambda: model), given)
    np.testing.assert_allclose(features, model.layers[1](given), rtol=1e-5)
    np.testing.assert_allclose(mean, model(given)[0], rtol=1e-5)


@pytest.mark.parametrize("mean_first", [True, False])
def test_the_layer_below_is_that_of_the_mean_when_one_layer_gives_both(mean_first):
    inputs = keras.Input((6,))
    shared, body = keras.layers.Dense(2), keras.layers.Dense(6, activation="relu")
    below = body(inputs)
    outputs = [shared(below), shared(inputs)] if mean_first else [shared(inputs), shared(below)][::-1]
    given = rows(3, 6)
    features, mean, _ = backbones.run(encoder(Pretrained(keras.Model(inputs, outputs))), given)
    np.testing.assert_allclose(features, body(given), rtol=1e-5)
    np.testing.assert_allclose(mean, shared(body(given)), rtol=1e-5)


def mean_of_two_layers(inputs, x):
    return keras.layers.Add()([keras.layers.Dense(2)(x), keras.layers.Dense(2)(inputs)])


def mean_of_a_whole_model(inputs, x):
    return keras.Model(inputs, keras.layers.Dense(2)(x))(inputs)


def mean_without_a_layer(inputs, x):
    return inputs


@pytest.mark.parametrize("mean_of", [mean_of_two_layers, mean_of_a_whole_model, mean_without_a_layer])
def test_a_mean_without_one_layer_below_has_features_all_the_same(mean_of):
    inputs = keras.Input((6,))
    x = keras.layers.Dense(5)(inputs)
    model = keras.Model(inputs, [mean_of(inputs, x), keras.layers.Dense(2)(x)])
    given = rows(3, 6)
    features, mean, _ = backbones.run(encoder(lambda: model), given)
    assert features.shape[0] == 3
    np.testing.assert_allclose(mean, model(given)[0], rtol=1e-5)


def test_a_classic_encoder_inside_another_model_is_one_too():
    inner, inputs = classic_encoder(), keras.Input((8, 8, 1))
    body = encoder(lambda: keras.Model(inputs, inner(inputs)), (8, 8, 1), 64)
    features, mean, _ = backbones.run(body, rows(3, 64))
    assert features.shape[0] == 3
    np.testing.assert_allclose(mean, inner(tf.reshape(rows(3, 64), (3, 8, 8, 1)))[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("units, gives", [(6, "mean"), (5, "features")])
def test_a_decoder_of_the_size_of_x_gives_the_mean(units, gives):
    assert decoder(sequential(2, units)).output_kind == gives


def test_a_decoder_of_images_is_flattened():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(64), keras.layers.Reshape((8, 8, 1))])
    body = decoder(model, 2, (8, 8, 1), 64)
    assert body.output_kind == "mean"
    assert backbones.run(body, rows(3, 2)).shape == (3, 64)


# Errors


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(3)

    def call(self, x):
        return self.dense(x)


def two_inputs():
    inputs = [keras.Input((3,)), keras.Input((3,))]
    return keras.Model(inputs, keras.layers.Concatenate()(inputs))


WRONG = {
    "unknown name": ("resnet", ValueError, r"must be None, one of \['conv', 'mlp'\], a Keras model or a callable"),
    "number": (3, ValueError, "must be None, one of .* got 3"),
    "layer": (keras.layers.Dense, ValueError, "must be None, one of"),
    "returns a number": (lambda: 3, TypeError, "must return a Keras model; it returned int"),
    "returns None": (lambda: None, TypeError, "must return a Keras model; it returned NoneType"),
    "not built": (keras.Sequential([keras.layers.Dense(3)]), ValueError, "one input of known shape"),
    "unknown side": (keras.Sequential([keras.Input((None, 3))]), ValueError, "one input of known shape"),
    "two inputs": (two_inputs(), ValueError, "one input of known shape"),
    "subclassed": (Subclassed(), ValueError, "one input of known shape"),
    "conv for a table": ("conv", ValueError, "needs images"),
}


@pytest.mark.parametrize("resolve", [encoder, decoder])
@pytest.mark.parametrize("value, error, message", WRONG.values(), ids=WRONG)
def test_what_is_no_body_is_refused_by_name(resolve, value, error, message):
    with pytest.raises(error, match=message) as caught:
        resolve(value)
    assert str(caught.value).startswith(resolve.__name__)


def test_an_encoder_of_other_rows_is_refused():
    with pytest.raises(ValueError, match=r"encoder reads rows of shape \(5,\); X has rows of shape \(6,\)"):
        encoder(sequential(5, 3))
    with pytest.raises(ValueError, match=r"encoder reads rows of shape \(5,\); X has rows of shape \(8, 8, 1\)"):
        encoder(sequential(5, 3), (8, 8, 1), 64)


@pytest.mark.parametrize("dims", [(3, 3), (2, 3)])
def test_an_encoder_with_a_mean_of_other_dimensions_is_refused(dims):
    inputs = keras.Input((4,))
    outputs = [keras.layers.Dense(dim)(keras.layers.Dense(5)(inputs)) for dim in dims]
    model = SemiSupervisedVAE(latent_dim=2, encoder=keras.Model(inputs, outputs), epochs=1, batch_size=8)
    with pytest.raises(ValueError, match="encoder .* latent_dim=2"):
        model.fit(np.random.RandomState(0).standard_normal((8, 4)), [0, 1] * 4)


def test_a_decoder_of_other_latent_variables_is_refused():
    message = r"decoder must read rows of shape \(2,\), the latent variables; it reads \(3,\)"
    with pytest.raises(ValueError, match=message):
        decoder(sequential(3, 6))


def test_a_decoder_with_two_outputs_is_refused_by_name():
    inputs = keras.Input((2,))
    with pytest.raises(ValueError, match="decoder"):
        decoder(keras.Model(inputs, [keras.layers.Dense(6)(inputs), keras.layers.Dense(6)(inputs)]))


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "float64"])
@pytest.mark.parametrize("regularizer", ["kernel_regularizer", "activity_regularizer"])
def test_regularizers_of_a_body_are_part_of_the_loss(regularizer, policy):
    dense = keras.layers.Dense(7, "relu", dtype=policy, **{regularizer: keras.regularizers.L2(1.0)})
    body = keras.Sequential([keras.Input((6,)), dense])
    X = np.random.RandomState(0).standard_normal((40, 6))
    last = VAE(latent_dim=2, encoder=body, epochs=2, random_state=0).fit(X).history_.iloc[-1]
    assert last["loss"] > last["reconstruction"] + last["kl_latent"] + 0.5


def test_images_have_their_channels_last_whatever_keras_is_set_to():
    def built():
        keras.utils.set_random_seed(0)
        encoder = backbones.conv_encoder((12, 16, 2), (8,), "relu", "encoder")
        decoder = backbones.conv_decoder((4,), (8,), "relu", "decoder", (12, 16, 2))
        dense = backbones.mlp((3, 4, 2), (5,), "relu", "dense")
        x = np.random.RandomState(0).standard_normal((2, 3, 4, 2))
        return encoder.input_shape, decoder.output_shape, dense(x).numpy(), decoder(np.ones((2, 4))).numpy()

    expected = built()
    keras.config.set_image_data_format("channels_first")
    try:
        found = built()
    finally:
        keras.config.set_image_data_format("channels_last")
    assert found[:2] == expected[:2] == ((None, 12, 16, 2), (None, 12 * 16 * 2))
    np.testing.assert_array_equal(found[2], expected[2])
    np.testing.assert_array_equal(found[3], expected[3])


def test_an_activation_that_keras_does_not_know_is_named():
    with pytest.raises(ValueError, match="activation must be a function or its name in Keras, such as 'relu'; got 'nonsense'"):
        plain_activation("nonsense")
