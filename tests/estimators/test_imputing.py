"""Missing cells given the observed ones: against the conditional distribution where it is known, and what draws promise."""

import pickle

import numpy as np
import pandas as pd
import pytest
from instances import make, one_worker, same

import keras_ssvae as ks
from keras_ssvae.networks import inference
from keras_ssvae.networks.completion import drawn_cells, expected_cells

GAPS = np.array([[0.5, np.nan, np.nan], [np.nan, -1.0, 0.3], [1.0, 0.8, np.nan], [np.nan, np.nan, np.nan]])


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    z = rng.standard_normal((300, 1))
    return z @ np.array([[1.0, -1.0, 0.5]]) + 0.5 * rng.standard_normal((300, 3))


@pytest.fixture(scope="module")
def linear(rows):
    """A linear-Gaussian model: p(x) is a normal distribution, and so is that of some cells given the others."""
    holes = np.where(np.random.default_rng(1).random(rows.shape) < 0.3, np.nan, rows)
    settings = {"hidden_layer_sizes": (), "likelihood": "gaussian", "epochs": 60, "learning_rate": 2e-2, "batch_size": 50}
    return ks.VAE(latent_dim=2, jit_compile=False, random_state=0, **settings).fit(holes)


def conditionals(model, observed, x):
    """Mean and covariance of all cells of encoded rows given the observed ones, of a linear-Gaussian model: one pair a row."""
    network = model.network_
    bias = network.location(np.zeros((1, 2), np.float32)).numpy()[0]
    W = network.location(np.eye(2, dtype=np.float32)).numpy() - bias
    (likelihood,) = network.observation.parts
    covariance = W.T @ W + np.diag(likelihood.scale().numpy() ** 2)
    for o, values in zip(observed > 0, x, strict=True):
        gain = covariance[:, o] @ np.linalg.inv(covariance[np.ix_(o, o)])
        yield bias + gain @ (values - bias)[o], covariance - gain @ covariance[o]


def test_expectations_are_those_of_the_conditional_distribution(linear):
    encoded = linear._rows(GAPS)[:]
    found = inference.run(linear.network_, expected_cells, encoded, n_draws=20_000)
    for row, observed, (mean, _) in zip(
        found, encoded.observed, conditionals(linear, encoded.observed, encoded.x), strict=True
    ):
        np.testing.assert_allclose(row[observed == 0], mean[observed == 0], atol=0.05)


def test_draws_are_those_of_the_conditional_distribution(linear):
    draws = np.stack(linear.impute(np.repeat(GAPS, 500, axis=0), n_draws=4, random_state=0))
    draws = draws.reshape(4, 4, 500, 3).transpose(1, 0, 2, 3).reshape(4, 2000, 3)
    encoded = linear._rows(GAPS)[:]
    for i, (mean, covariance) in enumerate(conditionals(linear, encoded.observed, encoded.x)):
        missing = encoded.observed[i] == 0
        x = (draws[i] - linear.table_.center_) / linear.table_.scale_
        np.testing.assert_allclose(x[:, missing].mean(axis=0), mean[missing], atol=0.15)
        np.testing.assert_allclose(np.cov(x[:, missing].T), covariance[np.ix_(missing, missing)].squeeze(), atol=0.2)


def test_parts_of_the_proposals_are_weighed_together(linear):
    encoded = linear._rows(GAPS)[:]
    uniform = np.random.default_rng(0).random((4, 300, 2)).astype(np.float32)
    seeds = np.arange(8, dtype=np.int32).reshape(4, 2)
    cells = inference.run(linear.network_, drawn_cells, encoded, uniform, seeds, n_draws=1000)
    expected = inference.run(linear.network_, expected_cells, encoded, n_draws=1000)
    missing = encoded.observed == 0
    assert cells.shape == (4, 300, 3)
    np.testing.assert_allclose(cells.mean(axis=1)[missing], expected[missing], atol=0.3)


def test_intervals_of_draws_cover(rows, linear):
    hidden = np.random.default_rng(2).random(rows.shape) < 0.3
    draws = np.stack(linear.impute(np.where(hidden, np.nan, rows), n_draws=60, random_state=0))
    low, high = np.quantile(draws, [0.05, 0.95], axis=0)
    assert 0.85 < ((rows >= low) & (rows <= high))[hidden].mean() < 0.95


# those that propose latent variables in a way of their own
PROPOSING = (ks.VAE, ks.SemiSupervisedVAE, ks.M1M2, ks.ConditionalVAE, ks.LadderVAE, ks.AdversarialAutoencoder)


@pytest.mark.parametrize("cls", [pytest.param(cls, marks=one_worker(cls), id=cls.__name__) for cls in PROPOSING])
def test_draws_are_of_the_row_and_the_seed_alone(cls):
    rng = np.random.RandomState(0)
    X = rng.standard_normal((60, 4))
    frame = pd.DataFrame({"a": X[:, 0], "b": X[:, 0] + X[:, 1], "c": np.where(X[:, 2] > 0, "p", "q"), "d": rng.poisson(3, 60)})
    frame["d"] = frame["d"].astype("Int64")
    gaps = frame.mask(rng.uniform(size=frame.shape) < 0.3)
    y = np.where(np.arange(60) % 3, -1, X[:, 0] > 0)
    model = make(cls, epochs=1, jit_compile=False, **{"experts": None} if hasattr(cls, "experts") else {}).fit(gaps, y)
    first, second = model.impute(gaps, n_draws=2, random_state=0)
    assert first.notna().all(axis=None) and list(first.dtypes) == list(gaps.dtypes)
    assert first.where(gaps.notna()).equals(gaps)
    assert not first.equals(second)
    assert same((first, second), tuple(pickle.loads(pickle.dumps(model)).impute(gaps, n_draws=2, random_state=0)))
    assert not first.equals(model.impute(gaps, n_draws=2, random_state=1)[0])
    assert same(model.impute(gaps.iloc[7:20], n_draws=2, random_state=0)[1], second.iloc[7:20])
    twice = model.impute(pd.concat([gaps, gaps]), n_draws=2, random_state=0)[0]
    assert not twice.iloc[:60].equals(twice.iloc[60:])
    assert same(model.impute(gaps).iloc[7:20], model.impute(gaps.iloc[7:20]))


def test_rows_in_blocks_are_drawn_as_in_memory(linear):
    in_memory = linear.impute(np.tile(GAPS[:3], (2, 1))[:3], n_draws=2, random_state=0)
    in_blocks = linear.impute(lambda: iter([GAPS[:2], GAPS[2:3]]), n_draws=2, random_state=0)
    assert [same(a, b) for a, b in zip(in_memory, in_blocks, strict=True)] == [True, True]


@pytest.mark.parametrize("n_draws", [0, -1, 1.5, "two"])
def test_a_wrong_number_of_draws_is_refused(linear, n_draws):
    with pytest.raises(ValueError, match="n_draws must be None or an integer of at least 1"):
        linear.impute(GAPS, n_draws=n_draws)


def test_images_are_drawn_pixel_by_pixel():
    images = np.random.RandomState(0).randint(0, 256, (20, 4, 4)).astype(np.float32)
    model = ks.VAE(latent_dim=2, hidden_layer_sizes=(8,), epochs=1, jit_compile=False, random_state=0).fit(images)
    holes = images.copy()
    holes[:, 1, 1] = np.nan
    (drawn,) = model.impute(holes, n_draws=1, random_state=0)
    assert drawn.shape == images.shape and ((drawn >= 0) & (drawn <= 255)).all()
    np.testing.assert_array_equal(drawn[~np.isnan(holes)], images[~np.isnan(holes)])
    np.testing.assert_array_equal(model.impute(holes)[:, 1, 1], model.reconstruct(holes)[:, 1, 1])
