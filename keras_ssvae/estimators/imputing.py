"""Missing cells: their expectation, or draws of them, given what was observed of the row."""

import numbers
import typing

import numpy as np
import pandas as pd

from keras_ssvae.data.rows import PreparedRows
from keras_ssvae.estimators.blockwise import blockwise
from keras_ssvae.networks import inference
from keras_ssvae.networks.completion import drawn_cells, expected_cells
from keras_ssvae.seeding import derive_seeds

__all__ = ["ImputationMixin"]

PROPOSALS = 100  # draws of the latent variables that stand for all that a row may be
GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class ImputationMixin:
    """Missing cells of rows: for networks with `proposals`, or at least `reconstruct`."""

    @blockwise
    def impute(self: typing.Any, X: typing.Any, n_draws: int | None = None, random_state: typing.Any = None) -> typing.Any:
        """X with its missing cells filled, and every other cell as it was.

        Parameters
        ----------
        n_draws : int or None, default=None
            None: each cell is filled by what is to be expected of it given the observed cells of its row: its mean, of
            categories the most probable one. An int m: m completed X, whose missing cells are draws given the observed ones,
            those of a row together: what is to be done with X is done with each, and how much the results differ says what
            the gaps leave open (multiple imputation).
        random_state : int, RandomState instance or None, default=None
            Seed of the draws. Those of a row depend on it and on the row alone; rows that are equal have different draws.

        Returns
        -------
        X : array or DataFrame, or list of n_draws of them
            Copies without missing cells, except in columns of which the fit saw no value.

        Raises
        ------
        ValueError
            If `n_draws` is no integer of at least 1.

        Notes
        -----
        Both weigh 100 latent variables that the encoder proposes by how well they explain the observed cells (P.-A. Mattei, J.
        Frellsen 2019, "MIWAE", arXiv 1812.02633), as far as a quarter of them still counts. Images are filled by
        `reconstruct`, unless draws are asked for.
        """
        schema, rows = self.table_.schema_, self._rows(X)
        if n_draws is None:
            return schema.fill(X, self.table_.numbers(self._expected(rows)))
        if not isinstance(n_draws, numbers.Integral) or n_draws < 1:
            raise ValueError(f"n_draws must be None or an integer of at least 1; got {n_draws!r}.")
        draws = self._drawn(rows[:], int(n_draws), derive_seeds(random_state, 1)[0])
        return [schema.fill(X, self.table_.numbers(draws[:, i])) for i in range(int(n_draws))]

    def _expected(self, rows):
        """What is to be expected of all cells of rows, (n, n_columns)."""
        if self.table_.image_shape_ or not hasattr(self.network_, "proposals"):
            return inference.run(self.network_, "reconstruct", rows)
        return inference.run(self.network_, expected_cells, rows, n_draws=PROPOSALS)

    def _drawn(self, rows, n_draws, seed):
        """Draws of all cells of `PreparedRows`, (n, n_draws, n_columns)."""
        means = tuple(np.flatnonzero(self.table_.graded_).tolist())
        uniform, seeds = _noise(rows, n_draws, seed)
        return inference.run(self.network_, drawn_cells, rows, uniform, seeds, n_draws=PROPOSALS, means=means)


def _noise(rows, n_draws, seed):
    """Noise of rows on (0, 1), (n, n_draws, 2), and two integers of each: functions of the seed, of what the row holds, and of
    how many rows before it hold the same."""
    given = {name: array for name, array in rows.arrays.items() if name in ("x", "observed")}
    keys = pd.Series(PreparedRows(**given).joined(y=np.zeros(len(rows), int)).keys())
    nth = keys.groupby(keys).cumcount().to_numpy().astype(np.uint64)
    key = _scrambled(_scrambled(keys.to_numpy() + nth * GOLDEN) ^ np.uint64(seed))
    bits = _scrambled(key[:, None] + np.arange(1, 2 * n_draws + 2, dtype=np.uint64) * GOLDEN)
    uniform = ((bits[:, 1:] >> np.uint64(41)).astype(np.float32) + np.float32(0.5)) * np.float32(2.0**-23)
    return uniform.reshape(-1, n_draws, 2), bits[:, :1].copy().view(np.int32)


def _scrambled(bits):
    """A bijection of uint64 in which every bit changes about half of the others (that of S. Vigna's splitmix64)."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
