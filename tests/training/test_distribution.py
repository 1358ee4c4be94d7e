"""What workers send each other, and what they refuse to begin."""

import numpy as np
import pytest
import tensorflow as tf

import keras_ssvae as ks
from keras_ssvae import distributed
from keras_ssvae.nn.noise import Noise
from keras_ssvae.training.distribution import Group, Layout, Parts


def test_shares_of_all_workers_are_all_shares():
    groups = [Group(rank, 3, micro_batches=2) for rank in range(3)]
    assert [group.shares for group in groups] == [[0, 3], [1, 4], [2, 5]]
    rows = np.arange(25)
    of_share = {s: rows[g.rank :: 3][i::2] for g in groups for i, s in enumerate(g.shares)}
    assert all(of_share[s].tolist() == rows[s::6].tolist() for s in range(6))


def parts(seed, weight):
    r = np.random.RandomState(seed)
    gradients = [tf.constant(r.standard_normal((2, 3)), tf.float32), None, tf.constant(r.standard_normal(), tf.float32)]
    moves = [tf.constant(r.standard_normal(4), tf.float32)]
    return Parts(gradients, moves, {"loss": tf.constant(r.standard_normal(), tf.float32)}, tf.constant(weight, tf.float32))


def test_a_sum_of_vectors_is_the_weighted_mean():
    first, second = parts(0, 1.0), parts(1, 3.0)
    mean = Layout.of(first).unpack(first.pack() + second.pack())
    assert mean.gradients[1] is None
    assert mean.weight.numpy() == 4
    for one, other, both in (
        *((a, b, c) for a, b, c in zip(first.gradients, second.gradients, mean.gradients, strict=True) if a is not None),
        (first.moves[0], second.moves[0], mean.moves[0]),
        (first.terms["loss"], second.terms["loss"], mean.terms["loss"]),
    ):
        assert both.shape == one.shape
        np.testing.assert_allclose(both, (one + 3 * other) / 4, rtol=1e-6)


def test_each_share_has_noise_of_its_own_and_the_first_that_of_one_alone():
    like, noises = tf.zeros((50, 2)), []
    for share in (None, 0, 1, 2):
        noise = Noise(5)
        noises.append((noise if share is None else noise.of_share(share)).normal(like).numpy())
        assert noise.state.numpy().tolist() == [5, 1]
    assert (noises[0] == noises[1]).all()
    assert abs(np.corrcoef([noise.ravel() for noise in noises[1:]]) - np.eye(3)).max() < 0.4


@pytest.mark.parametrize(
    ("settings", "given", "message"),
    [
        ({"random_state": None}, {}, "random_state must be an int"),
        ({"random_state": np.random.RandomState(0)}, {}, "random_state must be an int"),
        ({"random_state": 0, "batch_size": 3}, {}, "batch_size is that of all workers: 3 rows are too few for 2 shares"),
    ],
)
def test_fits_that_are_refused(rows, settings, given, message):
    with distributed.group(micro_batches=2), pytest.raises(ValueError, match=message):
        ks.VAE(**settings).fit(rows[0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rank": 0}, "given together"),
        ({"rank": 2, "addresses": ["a:1", "b:2"]}, "one of the 2 workers"),
        ({"micro_batches": 2, "local_steps": 2}, "only one of them above 1"),
        ({"micro_batches": 0}, "must be positive"),
    ],
)
def test_groups_that_are_refused(settings, message):
    with pytest.raises(ValueError, match=message), distributed.group(**settings):
        pass


def test_a_group_is_told_by_the_environment(monkeypatch):
    with distributed.group() as alone:
        assert (alone.rank, alone.size) == (0, 1)
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}')
    with distributed.group(micro_batches=3) as one:
        assert (one.rank, one.size, one.shares) == (0, 1, [0, 1, 2])


def test_one_process_alone_fits_as_ever(rows):
    models = [ks.VAE(latent_dim=2, hidden_layer_sizes=(8,), epochs=2, random_state=0) for _ in range(2)]
    with distributed.group():
        models[0].fit(rows[0])
    models[1].fit(rows[0])
    assert all((a == b).all() for a, b in zip(*(m.network_.get_weights() for m in models), strict=True))
