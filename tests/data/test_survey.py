"""What one pass over rows tells: their number, their labels, and a fair choice of those that stay in memory."""

import numpy as np
import pytest
from sources import blocks_of

from keras_ssvae.data.labels import distinct_labels
from keras_ssvae.data.sources import open_source
from keras_ssvae.data.survey import Reservoir, SourceSummary, fair_limit


@pytest.mark.parametrize(
    ("counts", "capacity", "limit"),
    [([5], 10, 5), ([50], 10, 10), ([2, 50], 10, 8), ([2, 50, 60], 10, 4), ([1, 1, 1, 50], 10, 7), ([9, 9, 9], 2, 1)],
)
def test_the_limit_of_a_group(counts, capacity, limit):
    assert fair_limit(np.array(counts), capacity) == limit


def test_small_groups_are_kept_whole_and_rows_stay_in_order():
    groups = np.random.RandomState(0).permutation(np.repeat([0, 1, 2], [500, 20, 300]))
    reservoir = Reservoir(100, np.random.RandomState(0))
    for start in range(0, len(groups), 30):
        number = np.arange(start, min(start + 30, len(groups)))
        reservoir.add(groups[number], number=number)
    rows = reservoir.rows()
    assert np.bincount(rows["group"]).tolist() == [40, 20, 40]
    assert reservoir.counts.tolist() == [500, 20, 300]
    np.testing.assert_array_equal(groups[rows["number"]], rows["group"])
    assert (np.diff(rows["number"]) > 0).all()
    np.testing.assert_allclose(rows["weight"], np.array([500 / 40, 1, 300 / 40])[rows["group"]])


def test_every_row_is_as_likely_to_be_kept():
    times, drawn = 2000, np.zeros(40)
    for seed in range(times):
        reservoir = Reservoir(10, np.random.RandomState(seed))
        for start in range(0, 40, 8):
            reservoir.add(np.zeros(8, int), number=np.arange(start, start + 8))
        drawn[reservoir.rows()["number"]] += 1
    error = np.sqrt(times * 0.25 * 0.75)
    assert (np.abs(drawn - times / 4) < 5 * error).all()


def test_a_survey_counts_and_chooses():
    X, y = np.arange(1000.0).reshape(-1, 1), np.full(1000, -1)
    y[::10] = np.arange(100) % 2
    survey = SourceSummary(open_source(blocks_of(X, y)), 200, distinct_labels, 0)
    assert (survey.n_rows, survey.n_labeled, len(survey.X)) == (1000, 100, 300)
    np.testing.assert_array_equal(survey.y, y[survey.X[:, 0].astype(int)])
    np.testing.assert_allclose(survey.weight, np.where(survey.y < 0, 900 / 200, 1))
    assert SourceSummary(open_source(blocks_of(X, y)), 900, distinct_labels, 0).weight is None
