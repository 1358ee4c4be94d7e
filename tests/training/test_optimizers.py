"""The optimizer on one vector against Keras' own, and the learning rate that falls late."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssvae.training.optimizers import LARGE, FlatAdamW, LateDrop, make_optimizer

SHAPES = [(3, 2), (2,), (), (LARGE // 100, 101), (4,)]


def variables():
    rng = np.random.RandomState(0)
    return [keras.Variable(rng.standard_normal(shape).astype("float32")) for shape in SHAPES]


def descend(optimizer, own, steps=7, without=None):
    """Steps with gradients that are the same for every optimizer; the variable `without` has none."""
    rng = np.random.RandomState(1)
    optimizer.build(own)
    for _ in range(steps):
        gradients = [tf.constant(rng.standard_normal(v.shape), tf.float32) for v in own]
        pairs = [(g, v) for i, (g, v) in enumerate(zip(gradients, own, strict=True)) if i != without]
        optimizer.apply([g for g, _ in pairs], [v for _, v in pairs])
    return [v.numpy() for v in own]


@pytest.mark.parametrize("without", [None, 1])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("beta_1", [0.0, 0.9])
def test_one_vector_gives_the_steps_of_keras(weight_decay, beta_1, without):
    settings = {"learning_rate": 0.05, "weight_decay": weight_decay, "beta_1": beta_1}
    mine, theirs = descend(FlatAdamW(**settings), variables(), without=without), None
    theirs = descend(keras.optimizers.AdamW(**settings), variables(), without=without)
    for a, b, start in zip(mine, theirs, variables(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
        assert (a == start.numpy()).all() == (without == 1 and a.shape == SHAPES[1])


@pytest.mark.parametrize("units", [2, LARGE // 3], ids=["small", "large"])
def test_gradients_of_gathered_rows_count_like_others(units):
    """A row that is gathered twice has the sum of both, and one that is not has none."""
    weights = []
    for gather in (lambda v: tf.gather(v, [3, 1, 3]), lambda v: tf.stack([v[3], v[1], v[3]])):
        own = keras.Variable(np.random.RandomState(0).standard_normal((5, units)).astype("float32"))
        optimizer = FlatAdamW(0.05)
        optimizer.build([own])
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(gather(tf.convert_to_tensor(own)) ** 2)
        optimizer.apply(tape.gradient(loss, [own.value]), [own])
        weights.append(own.numpy())
    np.testing.assert_allclose(*weights, rtol=1e-6)


def test_its_state_holds_no_weight_of_the_model():
    optimizer, own = FlatAdamW(0.1), variables()
    optimizer.build(own)
    assert not {id(v) for v in optimizer.variables} & {id(v) for v in own}


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_variables_of_other_types_keep_them(dtype):
    own = [*variables(), keras.Variable(np.ones(3), dtype=dtype)]
    optimizer = FlatAdamW(0.1, weight_decay=0.1)
    optimizer.build(own)
    optimizer.apply([tf.ones(v.shape, v.dtype) for v in own], own)
    np.testing.assert_allclose(own[-1].numpy().astype(float), 1 - 0.1 - 0.01, atol=0.01)


def test_a_config_makes_the_same_optimizer():
    made = make_optimizer("adamw", 0.1, keras.Variable(10.0))
    again = keras.optimizers.deserialize(keras.optimizers.serialize(made))
    assert isinstance(again, FlatAdamW)
    assert again.weight_decay == made.weight_decay
    assert float(again.learning_rate) == pytest.approx(0.1)


def test_constraints_hold():
    (variable,) = own = [keras.Variable(np.array([0.5, -0.5], "float32"))]
    variable.constraint = keras.constraints.NonNeg()
    descend(FlatAdamW(0.1), own)
    assert (variable.numpy() >= 0).all()


def test_the_rate_falls_in_the_last_three_tenths():
    total = keras.Variable(10.0)
    schedule = LateDrop(0.5, total)
    np.testing.assert_allclose([schedule(i) for i in range(10)], [0.5] * 8 + [0.1] * 2)
    total.assign(20.0)
    assert float(schedule(14)) == pytest.approx(0.5) and float(schedule(15)) == pytest.approx(0.1)


@pytest.mark.parametrize("name", ["adam", "Adam", "adamw", "AdamW", "sgd", "SGD", "rmsprop"])
def test_an_optimizer_by_name_has_the_learning_rate_and_its_decay(name):
    optimizer = make_optimizer(name, 0.5, keras.Variable(10.0))
    assert type(optimizer).__name__.lower().removeprefix("flat") == ("adamw" if name.lower() == "adam" else name.lower())
    rates = [float(optimizer._learning_rate(tf.constant(step))) for step in range(10)]
    np.testing.assert_allclose(rates, [0.5] * 8 + [0.1] * 2)
    constant = make_optimizer(name, 0.1, None)
    assert float(constant.learning_rate) == pytest.approx(0.1)
    assert not np.allclose(variables()[0].numpy(), descend(constant, variables(), steps=1)[0])


def test_weight_decay_belongs_to_adamw_alone():
    assert make_optimizer("adamw", 0.1, None).weight_decay == pytest.approx(1e-3)
    assert not make_optimizer("adam", 0.1, None).weight_decay


def test_an_unknown_optimizer_is_named():
    with pytest.raises(ValueError, match="optimizer.*'adm'"):
        make_optimizer("adm", 0.1, None)


def test_without_momentum_where_players_oppose_each_other():
    assert make_optimizer("adam", 0.1, None, opposed=True).beta_1 == 0.0
    assert make_optimizer("adam", 0.1, None).beta_1 == 0.9


@pytest.mark.parametrize(
    "users",
    [
        keras.optimizers.SGD(0.25, momentum=0.5),
        keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(0.25, 10, 0.5), clipnorm=1.0),
    ],
)
def test_the_users_optimizer_is_copied(users):
    first, second = (make_optimizer(users, 123.0, keras.Variable(10.0)) for _ in range(2))
    assert first is not users
    assert first is not second
    assert type(first) is type(users)
    assert first.get_config() == users.get_config()
