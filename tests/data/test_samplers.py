"""Batches: each row's share is exact, labelled rows are in every batch, and the order of the user's rows is nothing."""

import math
import tracemalloc

import numpy as np
import pytest

from keras_ssvae.data.rows import PreparedRows
from keras_ssvae.data.samplers import BatchSampler, Stratum, labeled_rows_per_batch


def some_rows(n, n_labeled, n_columns=3, seed=0):
    """Distinct rows whose first column is their number; labels on the first `n_labeled`, of two classes."""
    rng = np.random.RandomState(seed)
    x = rng.standard_normal((n, n_columns)).astype(np.float32)
    x[:, 0] = np.arange(n)
    codes = np.full(n, -1, np.int32)
    codes[:n_labeled] = np.arange(n_labeled) % 2
    return x, codes


def make_feed(x, codes, weight=None, batch_size=10, labeled="auto", seed=0, observed=None, **settings):
    weight = np.ones(len(x)) if weight is None else np.asarray(weight, float)
    return BatchSampler(PreparedRows(x, observed, y=codes), weight, batch_size, labeled, seed, **settings)


def epochs_of(feed, epochs=1):
    """The batches of that many epochs: a list of dicts of arrays."""
    chunks = feed.dataset().take(epochs * feed.chunks()[0]).as_numpy_iterator()
    return [{k: v[i] for k, v in chunk.items()} for chunk in chunks for i in range(len(chunk["y"]))]


def numbers_of(batch):
    return batch["x"][:, 0].astype(int)


def draws_of(feed, n_rows):
    """How often one epoch draws each row, by the number in the first column."""
    return np.bincount(np.concatenate([numbers_of(batch) for batch in epochs_of(feed)]), minlength=n_rows)


def assert_same_batches(one, other):
    for mine, theirs in zip(one, other, strict=True):
        assert mine.keys() == theirs.keys()
        for name in mine:
            np.testing.assert_array_equal(mine[name], theirs[name])


# Strata


def test_each_row_is_drawn_its_share_of_the_weight_to_within_one_draw():
    weight = np.random.RandomState(0).uniform(0.01, 3, size=57)
    stratum = Stratum(np.arange(57), weight)
    for count in (1, 10, 57, 500, 4096):
        share = count * weight / weight.sum()
        drawn = np.bincount(stratum.draw(count, np.random.RandomState(count)), minlength=57)
        assert drawn.sum() == count
        assert (np.abs(drawn - share) < 1).all()


@pytest.mark.parametrize("count", [8, 16, 80])
def test_equal_weights_in_whole_epochs_are_shuffles(count):
    for seed in range(20):
        drawn = Stratum(np.arange(8), np.full(8, 0.1)).draw(count, np.random.RandomState(seed))
        assert np.bincount(drawn, minlength=8).tolist() == [count // 8] * 8


def test_the_expected_number_of_draws_is_the_share():
    weight, times = np.array([1.0, 2.5, 0.2, 4.0, 0.7]), 4000
    stratum, rng = Stratum(np.arange(5), weight), np.random.RandomState(0)
    drawn = np.array([np.bincount(stratum.draw(7, rng), minlength=5) for _ in range(times)])
    error = drawn.std(axis=0) / math.sqrt(times)
    assert (np.abs(drawn.mean(axis=0) - 7 * weight / weight.sum()) <= 5 * error + 1e-12).all()


def test_every_position_of_an_epoch_is_as_likely_for_every_row():
    stratum, rng, times = Stratum(np.arange(6), np.ones(6)), np.random.RandomState(0), 6000
    drawn = np.array([stratum.draw(6, rng) for _ in range(times)])
    table = np.array([np.bincount(column, minlength=6) for column in drawn.T])
    chi_square = ((table - times / 6) ** 2 / (times / 6)).sum()
    assert abs(chi_square - 25) < 5 * math.sqrt(2 * 25)  # 5 x 5 degrees of freedom


def test_an_integer_weight_is_a_row_given_several_times():
    times = np.array([3, 1, 2, 1, 5])
    weighted = Stratum(np.arange(5), times.astype(float))
    repeated = Stratum(np.repeat(np.arange(5), times), np.ones(times.sum()))
    for count in (1, 7, 12, 1000):
        drawn = [s.draw(count, np.random.RandomState(count)).tolist() for s in (weighted, repeated)]
        assert drawn[0] == drawn[1]


def test_only_the_ratios_of_the_weights_matter():
    weight = np.random.RandomState(0).randint(1, 9, size=20).astype(float)
    strata = [Stratum(np.arange(20), scale * weight) for scale in (1, 2.0**-30, 2.0**30)]
    drawn = [stratum.draw(100, np.random.RandomState(0)) for stratum in strata]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    np.testing.assert_array_equal(drawn[0], drawn[2])


def test_rounding_never_draws_beyond_the_last_row():
    class Last:
        """A generator whose uniform number is as near to one as it can be."""

        def permutation(self, places):
            return places

        def random_sample(self):
            return np.nextafter(1, 0)

    for n in (1, 3, 7, 49, 1000):
        for weight in (np.full(n, 0.1), np.append(np.full(n, 0.1), 0.2)):
            drawn = Stratum(np.arange(len(weight)), weight).draw(3 * n, Last())
            assert drawn.max() == len(weight) - 1


@pytest.mark.parametrize("count", [20_000, 40_000, 60_000])
def test_rows_of_equal_weight_are_drawn_as_rows_of_other_weights_are(count):
    weight = np.repeat([2.0, 1.0], [10_000, 20_000])
    repeated = np.repeat(np.arange(30_000), weight.astype(int))
    spread = Stratum(np.arange(30_000), weight).spread(count)
    np.testing.assert_array_equal(spread, repeated[Stratum(np.arange(40_000), np.ones(40_000)).spread(count)])


# Labelled rows in a batch


@pytest.mark.parametrize(
    "n_labeled, n_rows, batch_size, requested, expected",
    [
        (0, 1000, 100, "auto", 0),
        (0, 1000, 100, 30, 0),
        (1000, 1000, 100, "auto", 100),
        (1000, 1000, 100, 30, 100),
        (500, 1000, 100, "auto", 50),  # their share
        (100, 1000, 100, "auto", 33),  # a third of the batch
        (10, 1000, 100, "auto", 10),  # no more than there are
        (1, 1000, 100, "auto", 1),
        (999, 1000, 100, "auto", 99),  # an unlabelled row is never left out
        (100, 1000, 100, 7, 7),
        (3, 1000, 100, 50, 50),  # more than there are: on request
        (500, 1000, 100, 100, 99),
        (500, 1000, 100, 1000, 99),
        (1, 2, 2, "auto", 1),
        (1, 1000, 2, "auto", 1),  # a label is never left out
        (1000, 100_000, 2, "auto", 1),
        (1, 1000, 3, "auto", 1),
    ],
)
def test_labeled_rows_per_batch(n_labeled, n_rows, batch_size, requested, expected):
    assert labeled_rows_per_batch(n_labeled, n_rows, batch_size, requested) == expected


@pytest.mark.parametrize("labeled, expected", [("auto", 33), (7, 7), (99, 99), (100, 99)])
def test_every_batch_holds_the_stated_number_of_labelled_rows(labeled, expected):
    x, codes = some_rows(1000, 100)
    feed = make_feed(x, codes, batch_size=100, labeled=labeled)
    assert feed.n_labeled == expected
    batches = epochs_of(feed)
    assert len(batches) >= feed.steps_per_epoch
    assert {int((b["y"] >= 0).sum()) for b in batches} == {expected}


def test_rows_are_drawn_alike_where_labels_do_not_count():
    x, codes = some_rows(100, 10)
    feed = make_feed(x, codes, labeled=None)
    assert feed.n_labeled == 0
    assert draws_of(feed, 100).tolist() == [1] * 100
    assert {w for b in epochs_of(feed) for w in b["weight"]} == {1.0}


EXTREMES = {
    "no label": (20, 0),
    "one label": (20, 1),
    "all but one": (20, 19),
    "all labels": (20, 20),
    "one row": (1, 0),
    "one row with its label": (1, 1),
    "two rows": (2, 1),
}


@pytest.mark.parametrize("labeled, batch_size", [("auto", 2), ("auto", 64), (3, 7), (None, 7)])
@pytest.mark.parametrize("n, n_labeled", EXTREMES.values(), ids=EXTREMES)
def test_all_rows_have_a_part_in_the_loss(n, n_labeled, batch_size, labeled):
    x, codes = some_rows(n, n_labeled)
    feed = make_feed(x, codes, batch_size=batch_size, labeled=labeled)
    seen = set()
    for batch in epochs_of(feed, 60):
        numbers = numbers_of(batch)
        assert batch["x"].shape == (batch_size, 3)
        np.testing.assert_array_equal(batch["x"], x[numbers])
        np.testing.assert_array_equal(batch["y"], codes[numbers])
        np.testing.assert_allclose(batch["weight"].sum(), batch_size, rtol=1e-5)
        seen |= set(numbers)
    assert seen == set(range(n))


# Rare classes


def rows_of_classes(counts, n_unlabeled=0):
    """Distinct rows whose first column is their number, `counts` of each class, and rows without a label."""
    codes = np.concatenate([np.repeat(np.arange(len(counts)), counts), np.full(n_unlabeled, -1)]).astype(np.int32)
    x = np.random.RandomState(0).standard_normal((len(codes), 3)).astype(np.float32)
    x[:, 0] = np.arange(len(codes))
    return x, codes


@pytest.mark.parametrize(
    ("counts", "n_unlabeled", "batch_size", "expected"),
    [
        ([95, 4, 1], 0, 10, [8, 1, 1]),
        ([90, 9, 1], 0, 100, [90, 9, 1]),
        ([950, 40, 10], 0, 20, [18, 1, 1]),
        ([950, 40, 10], 1000, 30, [13, 1, 1]),  # half of the batch is labelled
        ([5, 5], 1000, 30, [5, 5]),
        ([50, 30, 20], 0, 3, [1, 1, 1]),
        ([1, 1, 1], 0, 128, [43, 43, 42]),
    ],
)
def test_every_class_is_in_every_batch_in_its_share_as_far_as_that_goes(counts, n_unlabeled, batch_size, expected):
    x, codes = rows_of_classes(counts, n_unlabeled)
    for batch in epochs_of(make_feed(x, codes, batch_size=batch_size), 3):
        held = np.bincount(batch["y"][batch["y"] >= 0], minlength=len(counts))
        assert sorted(held, reverse=True) == expected
        if counts[0] > counts[-1]:
            assert held.tolist() == expected


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_unlabeled", [0, 300])
def test_a_class_has_its_share_of_the_weight_in_every_batch(n_unlabeled, weighted):
    x, codes = rows_of_classes([95, 4, 1], n_unlabeled)
    weight = np.random.RandomState(1).uniform(0.1, 3, size=len(codes)) if weighted else np.ones(len(codes))
    shares = np.bincount(codes + 1, weight, minlength=4) / weight.sum()
    for batch in epochs_of(make_feed(x, codes, weight, batch_size=24), 3):
        in_batch = np.bincount(batch["y"] + 1, batch["weight"], minlength=4) / batch["weight"].sum()
        np.testing.assert_allclose(in_batch, shares, rtol=1e-5)


def test_a_batch_that_cannot_hold_every_class_holds_rows_as_they_come():
    x, codes = rows_of_classes([10] * 12)
    feed = make_feed(x, codes, batch_size=8)
    assert draws_of(feed, 120).tolist() == [1] * 120
    assert {w for b in epochs_of(feed) for w in b["weight"]} == {1.0}


# The mean over batches is the mean over rows


@pytest.mark.parametrize("labeled", ["auto", 2, 9, None])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_part_of_a_row_in_the_weighted_means_is_its_share_of_the_weight(labeled, weighted):
    n, n_labeled, epochs = 60, 15, 10
    x, codes = some_rows(n, n_labeled)
    weight = np.random.RandomState(1).uniform(0.1, 3, size=n) if weighted else np.ones(n)
    part, batches = np.zeros(n), epochs_of(make_feed(x, codes, weight, 10, labeled), epochs)
    for batch in batches:
        np.add.at(part, numbers_of(batch), batch["weight"] / batch["weight"].sum())
    one_draw = np.where(codes >= 0, batches[0]["weight"][0], batches[0]["weight"][-1]) / batches[0]["weight"].sum()
    expected = weight / weight.sum() * len(batches)
    assert (np.abs(part - expected) < epochs * one_draw + 1e-4).all()  # every epoch is exact to within one draw
    for group in (codes >= 0, codes < 0):
        np.testing.assert_allclose(part[group].sum(), expected[group].sum(), rtol=1e-5 if labeled else 0.5)


def test_whole_epochs_of_equal_weights_are_exact():
    """90 unlabelled rows nine at a time, 10 labelled rows one at a time: every row once an epoch, of weight one."""
    x, codes = some_rows(100, 10)
    feed = make_feed(x, codes, labeled=1)
    assert feed.steps_per_epoch == 10
    assert draws_of(feed, 100).tolist() == [1] * 100
    np.testing.assert_allclose([b["weight"] for b in epochs_of(feed)], 1.0, rtol=1e-6)


def test_the_expected_loss_is_the_mean_over_all_rows():
    x, codes = some_rows(200, 20)
    loss = np.random.RandomState(5).gamma(1.0, size=200)
    feed = make_feed(x, codes, batch_size=16)
    means = [np.average(loss[numbers_of(batch)], weights=batch["weight"]) for batch in epochs_of(feed, 60)]
    error = np.std(means) / math.sqrt(len(means))
    assert abs(np.mean(means) - loss.mean()) < 5 * error


def test_the_share_of_labelled_weight_is_kept_when_they_are_drawn_more_often():
    x, codes = some_rows(100, 10)
    weight = np.where(codes >= 0, 3.0, 1.0)
    for batch in epochs_of(make_feed(x, codes, weight, batch_size=12)):
        known = batch["y"] >= 0
        np.testing.assert_allclose(batch["weight"][known].sum() / batch["weight"].sum(), 30 / 120, rtol=1e-5)


def test_shares_of_sample_weights():
    x, codes = some_rows(4, 0)
    feed = make_feed(x, codes, weight=[1, 2, 4, 9], batch_size=16)
    assert draws_of(feed, 4).tolist() == [1, 2, 4, 9]


# Order and repetition


@pytest.mark.parametrize("labeled", ["auto", None])
def test_the_order_of_the_users_rows_does_not_matter(labeled):
    x, codes = some_rows(70, 12)
    weight = np.random.RandomState(2).uniform(0.5, 2, size=70)
    order = np.random.RandomState(1).permutation(70)
    given, shuffled = (x, codes, weight), (x[order], codes[order], weight[order])
    feeds = [make_feed(*rows, labeled=labeled) for rows in (given, shuffled)]
    assert_same_batches(*(epochs_of(feed, 2) for feed in feeds))


def test_the_order_does_not_matter_with_equal_rows_and_missing_cells():
    """Columns of zeros and ones with gaps: x is 0 where a cell is missing, and only the mask tells the rows apart."""
    rng = np.random.RandomState(0)
    observed = (rng.uniform(size=(60, 3)) < 0.6).astype(np.float32)
    x = observed * rng.randint(0, 2, size=(60, 3)).astype(np.float32)
    codes = np.full(60, -1, np.int32)
    order = np.random.RandomState(1).permutation(60)
    feeds = [make_feed(x, codes, observed=observed), make_feed(x[order], codes, observed=observed[order])]
    assert_same_batches(*(epochs_of(feed, 2) for feed in feeds))


@pytest.mark.parametrize("count", [7, 40, 128])
def test_integer_weights_are_rows_given_several_times(count):
    times = np.random.RandomState(3).randint(1, 4, size=40)
    weighted = Stratum(np.arange(40), times).draw(count, np.random.RandomState(0))
    repeated = Stratum(np.arange(40).repeat(times), np.ones(times.sum())).draw(count, np.random.RandomState(0))
    np.testing.assert_array_equal(weighted, repeated)


def test_large_weights_do_not_make_an_epoch_longer():
    x, codes = some_rows(40, 6)
    assert make_feed(x, codes, np.full(40, 1000.0)).steps_per_epoch == make_feed(x, codes).steps_per_epoch


# Randomness


def test_seeds_tell_feeds_apart_and_epochs_differ():
    x, codes = some_rows(70, 12)
    drawn = [[numbers_of(b).tolist() for b in epochs_of(make_feed(x, codes, seed=seed), 2)] for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]
    steps = len(drawn[0]) // 2
    assert drawn[0][:steps] != drawn[0][steps:]


# Several workers


@pytest.mark.parametrize("limit", [1, 1000, 10**9])
@pytest.mark.parametrize("batch_size", [10, 9])
@pytest.mark.parametrize("labeled", ["auto", None])
def test_shares_are_together_the_whole_batch(monkeypatch, labeled, batch_size, limit):
    monkeypatch.setattr(BatchSampler, "max_chunk_bytes", limit)
    x, codes = some_rows(70, 12)
    given = x, codes, np.random.RandomState(2).uniform(0.5, 2, size=70), batch_size, labeled
    whole, *shares = (make_feed(*given, share=share) for share in (slice(None), slice(0, None, 2), slice(1, None, 2)))
    assert [feed.chunks() for feed in shares] == [whole.chunks()] * 2
    assert [feed.joint_epochs(12) for feed in shares] == [whole.joint_epochs(12)] * 2
    for batch, first, second in zip(*(epochs_of(feed, 2) for feed in (whole, *shares)), strict=True):
        assert batch.keys() == first.keys() == second.keys()
        for name in batch:
            np.testing.assert_array_equal(first[name], batch[name][0::2])
            np.testing.assert_array_equal(second[name], batch[name][1::2])
        assert [feed.n_labeled for feed in shares] == [whole.n_labeled] * 2


# Shapes and memory


@pytest.mark.parametrize("n_rows, batch_size, steps", [(1, 10, 1), (10, 10, 1), (11, 10, 2), (99, 10, 10), (5, 128, 1)])
def test_an_epoch_sees_every_row_once(n_rows, batch_size, steps):
    x, codes = some_rows(n_rows, 0)
    assert make_feed(x, codes, batch_size=batch_size).steps_per_epoch == steps


def test_an_epoch_is_one_pass_over_the_group_that_fills_most_of_the_batch():
    x, codes = some_rows(1000, 100)
    assert make_feed(x, codes, batch_size=100).steps_per_epoch == math.ceil(900 / 67)
    assert make_feed(x, codes, batch_size=100, labeled=99).steps_per_epoch == math.ceil(100 / 99)
    assert make_feed(x, codes, batch_size=100, labeled=50).steps_per_epoch == math.ceil(900 / 50)


@pytest.mark.parametrize("observed", [False, True])
@pytest.mark.parametrize("limit", [1, 2000, 10_000, 10**9])
def test_chunks_are_bounded_equal_and_hold_an_epoch(monkeypatch, limit, observed):
    monkeypatch.setattr(BatchSampler, "max_chunk_bytes", limit)
    x, codes = some_rows(333, 20, n_columns=5)
    feed = make_feed(x, codes, observed=np.ones_like(x) if observed else None)
    count, steps = feed.chunks()
    assert feed.steps_per_epoch <= count * steps < feed.steps_per_epoch + count
    chunks = list(feed.dataset().take(count).as_numpy_iterator())
    assert {c["x"].shape for c in chunks} == {(steps, 10, 5)}
    size = sum(a.nbytes for a in chunks[0].values())
    assert size <= limit or steps == 1
    if limit == 10**9:
        assert count == 1


@pytest.mark.parametrize(("epochs", "joint"), [(1, 1), (7, 7), (12, 12), (40, 20), (46, 23), (47, 1)])
def test_small_epochs_share_a_chunk(monkeypatch, epochs, joint):
    monkeypatch.setattr(BatchSampler, "max_joint_steps", 100)
    x, codes = some_rows(33, 5)
    feed, same = make_feed(x, codes), make_feed(x, codes)
    assert feed.steps_per_epoch == 4
    assert feed.joint_epochs(epochs) == joint
    chunks = list(feed.dataset(epochs, joint).as_numpy_iterator())
    assert [len(chunk["y"]) for chunk in chunks] == [4 * joint] * (epochs // joint)
    batches = [{k: v[i] for k, v in chunk.items()} for chunk in chunks for i in range(len(chunk["y"]))]
    for batch, expected in zip(batches, epochs_of(same, epochs), strict=True):
        for name in expected:
            np.testing.assert_array_equal(batch[name], expected[name])


@pytest.mark.parametrize("n_columns", [20, 500])
def test_chunks_of_a_large_table_need_little_memory(n_columns):
    x, codes = some_rows(2_000_000 // n_columns, 50, n_columns=n_columns)
    weight = np.ones(len(x))
    tracemalloc.start()
    feed = make_feed(x, codes, weight, batch_size=128)
    chunks = feed.chunks()[0]
    for _ in feed.dataset(1).take(min(chunks, 10)):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    per_row = 40 * len(x)  # indices: an order, those of each group, and those drawn
    in_flight = 4 * max(x.nbytes // 32, BatchSampler.min_chunk_bytes)
    assert chunks > 1
    assert peak < per_row + in_flight


@pytest.mark.parametrize("limit", ["max_joint_bytes", "max_chunk_bytes"])
def test_large_epochs_do_not_share_a_chunk(monkeypatch, limit):
    monkeypatch.setattr(BatchSampler, limit, 600)
    assert make_feed(*some_rows(33, 5)).joint_epochs(12) == 1


def test_the_end_of_a_dataset_does_not_wait_for_a_tuner():
    x, codes = some_rows(33, 5)
    assert make_feed(x, codes).dataset().options().autotune.enabled is False


@pytest.mark.parametrize("observed", [False, True])
def test_shapes_are_static(observed):
    x, codes = some_rows(33, 5)
    feed = make_feed(x, codes, observed=np.ones_like(x) if observed else None)
    steps = feed.chunks()[1]
    spec = {name: (tuple(s.shape), s.dtype.name) for name, s in feed.dataset().element_spec.items()}
    expected = {"x": ((steps, 10, 3), "float32"), "y": ((steps, 10), "int32"), "weight": ((steps, 10), "float32")}
    assert spec == expected | ({"observed": ((steps, 10, 3), "float32")} if observed else {})


def test_the_mask_of_missing_cells_stays_with_its_row():
    x, codes = some_rows(30, 5)
    observed = np.random.RandomState(0).randint(0, 2, size=x.shape).astype(np.float32)
    for batch in epochs_of(make_feed(x, codes, observed=observed)):
        np.testing.assert_array_equal(batch["observed"], observed[numbers_of(batch)])


def test_the_users_rows_are_not_modified():
    x, codes = some_rows(30, 5)
    weight = np.ones(30)
    for array in (x, codes, weight):
        array.flags.writeable = False
    epochs_of(make_feed(x, codes, weight))
