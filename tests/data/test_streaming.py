"""Rows read in blocks: the same model where they fit into memory, and the promises of a feed where they do not."""

import pickle
import sys

import numpy as np
import pandas as pd
import pyarrow.dataset
import pyarrow.fs
import pytest
import scipy.sparse
import tensorflow as tf
from instances import assert_same_weights
from sklearn.exceptions import NotFittedError
from sources import blocks_of

import keras_ssvae as ks
from keras_ssvae.data.labels import distinct_labels
from keras_ssvae.data.rows import PreparedRows
from keras_ssvae.data.shares import Share
from keras_ssvae.data.sources import open_source, resized, stack
from keras_ssvae.data.streaming import RowStream, StreamingSampler
from keras_ssvae.data.survey import SourceSummary
from keras_ssvae.estimators import blockwise

N = 300
SETTINGS = {
    "latent_dim": 2,
    "hidden_layer_sizes": (8,),
    "epochs": 3,
    "batch_size": 64,
    "learning_rate": 1e-2,
    "random_state": 0,
}


def make(**changes):
    return ks.SemiSupervisedVAE(**{**SETTINGS, **changes})


# What can be read


@pytest.fixture(scope="module")
def rows():
    """A frame of three kinds of columns with gaps, and labels of two classes, NaN on four fifths of the rows."""
    rng = np.random.RandomState(0)
    code = rng.randint(2, size=N)
    X = pd.DataFrame(
        {
            "a": np.round(rng.standard_normal(N) + 4 * code, 3),
            "b": np.round(rng.standard_normal(N) - 4 * code, 3),
            "c": np.array(["red", "green", "blue"])[rng.randint(3, size=N)],
        }
    )
    X.loc[::7, "b"] = np.nan
    y = np.where(np.arange(N) % 5 == 0, code, np.nan)
    return X, y, code


def write(folder, X, y, suffix):
    for i, part in enumerate(np.array_split(np.arange(N), 3)):
        frame = X.iloc[part].assign(label=y[part])
        path = folder / f"part-{i}.{suffix}"
        frame.to_parquet(path, index=False, row_group_size=30) if suffix == "parquet" else frame.to_csv(path, index=False)
    (folder / "README").write_text("not a table")
    (folder / f"_part.{suffix}").write_text("not a table")
    return folder


@pytest.fixture(scope="module")
def sources(rows, tmp_path_factory):
    """Name -> (X, y) that hold the same rows as the frame."""
    X, y, _ = rows
    parquet, csv = (write(tmp_path_factory.mktemp(end), X, y, end) for end in ("parquet", "csv"))
    columns = {name: X[name].to_numpy() for name in X}
    return {
        "Parquet folder": (str(parquet), "label"),
        "CSV folder": (csv, "label"),
        "pyarrow dataset": (pyarrow.dataset.dataset([str(f) for f in sorted(parquet.glob("part*"))]), "label"),
        "function of frames": (blocks_of(X, y), None),
        "function of frames, label by name": (blocks_of(X.assign(label=y)), "label"),
        "tf.data of columns": (tf.data.Dataset.from_tensor_slices((columns, y)).batch(64), None),
    }


@pytest.fixture(scope="module")
def arrays(rows, tmp_path_factory):
    """Name -> (X, y) that hold the same rows as the first two columns."""
    X, y, _ = rows
    values = X[["a", "b"]].to_numpy()
    path = tmp_path_factory.mktemp("memmap") / "X.dat"
    memmap = np.memmap(path, float, "w+", shape=values.shape)
    memmap[:] = values
    return {
        "memmap": (np.memmap(path, float, "r", shape=values.shape), y),
        "function of arrays": (blocks_of(values, y), None),
        "tf.data of rows": (tf.data.Dataset.from_tensor_slices((values, y)).batch(64), None),
    }


def all_sources(sources, arrays, rows):
    X = rows[0]
    yield from ((name, given, X) for name, given in sources.items())
    yield from ((name, given, X[["a", "b"]].to_numpy()) for name, given in arrays.items())


def test_rows_that_fit_into_the_buffer_give_the_model_of_an_array(sources, arrays, rows):
    expected = {}
    for name, (X, y), whole in all_sources(sources, arrays, rows):
        if type(whole) not in expected:
            expected[type(whole)] = make(epochs=1).fit(whole, rows[1]).predict_proba(whole)
        model = make(epochs=1).fit(X, y)
        np.testing.assert_array_equal(model.predict_proba(whole), expected[type(whole)], err_msg=name)
        assert list(model.classes_) == [0, 1]
        assert model.classes_.dtype == int


@pytest.fixture(scope="module")
def models(rows):
    """Type of X -> a model of the frame, and one of its first two columns; not to be changed."""
    kinds = rows[0], rows[0][["a", "b"]].to_numpy()
    fitted = {type(X): make(epochs=1, buffer_size=200).fit(X, rows[1]) for X in kinds}
    for model in fitted.values():
        model._label_column = "label"
    return fitted


def test_predictions_for_a_source_are_those_for_its_rows(sources, arrays, rows, models):
    for name, (X, y), whole in all_sources(sources, arrays, rows):
        model = models[type(whole)]
        np.testing.assert_allclose(model.predict_proba(X), model.predict_proba(whole), rtol=1e-4, err_msg=name)
        assert model.score(X, y) == model.score(whole, rows[1]), name


METHODS = ["predict", "predict_log_proba", "transform", "score_samples", "anomaly_score", "reconstruct", "impute", "loss_terms"]


@pytest.mark.parametrize("method", METHODS)
def test_answers_about_a_source_are_those_about_its_rows(method, rows, models):
    whole, y, _ = rows
    labelings = [{}, {"y": y}] if method == "loss_terms" else [{}]
    for labels in labelings:
        model = models[pd.DataFrame]
        expected = getattr(model, method)(whole, **labels)
        answer = getattr(model, method)(blocks_of(whole, **labels))
        assert type(answer) is type(expected)
        if isinstance(expected, pd.DataFrame):
            pd.testing.assert_frame_equal(answer, expected, rtol=1e-4, atol=1e-5, check_index_type=False)
        else:
            np.testing.assert_allclose(answer, expected, rtol=1e-4, atol=1e-5)


def test_predicting_labels_collects_labels_only(rows, models, monkeypatch):
    """Logits of all rows may need more memory than the rows."""
    collected = []

    def record(parts):
        collected.append({np.ndim(part) for part in parts})
        return stack(parts)

    monkeypatch.setattr(blockwise, "stack", record)
    models[pd.DataFrame].predict(blocks_of(rows[0]))
    assert collected == [{1}]


def test_the_column_of_the_labels_is_no_column_of_x(sources, rows):
    X, y = sources["Parquet folder"]
    model = make(epochs=1).fit(X, y)
    assert model.feature_names_in_.tolist() == ["a", "b", "c"]
    assert len(model.predict(X)) == len(model.transform(X)) == N


def test_text_labels_and_unlabelled_marks(rows):
    X, _, code = rows
    y = np.where(np.arange(N) % 5 == 0, np.array(["no", "yes"])[code], "?")
    columns = {name: X[name].to_numpy() for name in X}
    tensors = tf.data.Dataset.from_tensor_slices((columns, y)).batch(50)
    expected = make(unlabeled="?", epochs=1).fit(X, y)
    for source in (tensors, blocks_of(X, y.tolist())):
        model = make(unlabeled="?", epochs=1).fit(source)
        assert list(model.classes_) == ["no", "yes"]
        np.testing.assert_array_equal(model.predict(X), expected.predict(X))


def test_blocks_with_and_without_labels(rows):
    X, y, _ = rows

    def blocks():
        yield X[:200], np.where(np.isnan(y[:200]), -1, y[:200]).astype(int)
        yield X[200:]

    model = make(epochs=1).fit(blocks)
    whole = make(epochs=1).fit(X, np.where(np.arange(N) < 200, y, np.nan))
    np.testing.assert_array_equal(model.predict_proba(X), whole.predict_proba(X))


def test_images(rows):
    X, y = np.random.RandomState(0).uniform(size=(60, 4, 4)).astype(np.float32), np.arange(60) % 2
    expected = make(epochs=1).fit(X, y).transform(X)
    model = make(epochs=1).fit(tf.data.Dataset.from_tensor_slices((X, y)).batch(16))
    np.testing.assert_array_equal(model.transform(X), expected)
    np.testing.assert_allclose(model.transform(blocks_of(X)), expected, rtol=1e-4, atol=1e-5)


def test_folders_named_by_a_value_are_a_column(tmp_path):
    for year in (2001, 2002):
        (tmp_path / f"year={year}").mkdir()
        pd.DataFrame({"a": np.arange(5.0)}).to_parquet(tmp_path / f"year={year}" / "part.parquet")
    X, _ = next(open_source(tmp_path).blocks())
    assert X["year"].tolist() == [2001] * 5 + [2002] * 5


def test_an_index_that_differs_from_file_to_file_is_no_column(tmp_path):
    pytest.importorskip("pyarrow")
    pd.DataFrame({"a": [1.0, 2.0]}, index=[3, 7]).to_parquet(tmp_path / "0.parquet")
    pd.DataFrame({"a": [5.0, 6.0]}, index=["x", "y"]).to_parquet(tmp_path / "1.parquet")
    X = pd.concat([block for block, _ in open_source(tmp_path).blocks(10)])
    pd.testing.assert_frame_equal(X, pd.DataFrame({"a": [1.0, 2.0, 5.0, 6.0]}))


def test_numbers_that_are_whole_in_one_file_only(tmp_path):
    pd.DataFrame({"a": [1, 2]}).to_parquet(tmp_path / "0.parquet")
    pd.DataFrame({"a": [0.5, np.nan]}).to_parquet(tmp_path / "1.parquet")
    X, _ = next(open_source(tmp_path).blocks())
    np.testing.assert_array_equal(X["a"], [1, 2, 0.5, np.nan])


def test_parts_come_in_random_order_and_all_of_them(sources, arrays):
    for name in ("Parquet folder", "CSV folder", "pyarrow dataset"):
        source = open_source(*sources[name])
        X, y = (stack(parts) for parts in zip(*source.blocks(20), strict=True))
        other_X, other_y = (stack(parts) for parts in zip(*source.blocks(20, np.random.RandomState(0)), strict=True))
        assert not X["a"].reset_index(drop=True).equals(other_X["a"].reset_index(drop=True))
        assert sorted(zip(X["a"], y.fillna(-1), strict=True)) == sorted(zip(other_X["a"], other_y.fillna(-1), strict=True))
    source = open_source(*arrays["memmap"], buffer_size=20)
    firsts = [X[0, 0] for X, _ in source.blocks(20, np.random.RandomState(0))]
    assert sorted(firsts) == sorted(arrays["memmap"][0][::20, 0])
    assert firsts != arrays["memmap"][0][::20, 0].tolist()


def test_a_filtered_pyarrow_dataset(sources):
    dataset = sources["pyarrow dataset"][0].filter(pyarrow.dataset.field("a") > 2)
    X, _ = next(open_source(dataset).blocks(rng=np.random.RandomState(0)))
    assert (X["a"] > 2).all()


def test_blocks_are_resized():
    parts = [{"a": np.arange(start, stop)} for start, stop in ((0, 3), (3, 3), (3, 17), (17, 18))]
    for rows in (1, 4, 6, 100):
        sizes = [part["a"] for part in resized(parts, rows)]
        assert [len(part) for part in sizes[:-1]] == [rows] * (len(sizes) - 1)
        np.testing.assert_array_equal(np.concatenate(sizes), np.arange(18))


def test_categories_of_all_blocks_are_united():
    parts = [pd.DataFrame({"c": pd.Categorical(values)}) for values in (["a", "b"], ["c", "a"])]
    assert stack(parts)["c"].cat.categories.tolist() == ["a", "b", "c"]
    assert stack([part["c"] for part in parts]).tolist() == ["a", "b", "c", "a"]
    assert stack([np.array(["a"]), np.array([-1])]).tolist() == ["a", -1]


# What cannot be read


def empty_folder(path):
    (path / "README").write_text("")
    return path


def differing_files(path):
    for i, name in enumerate("ab"):
        pd.DataFrame({name: [1.0, 2.0]}).to_parquet(path / f"{i}.parquet")
    return path


def two_formats(path):
    pd.DataFrame({"a": [1.0]}).to_parquet(path / "0.parquet")
    (path / "1.csv").write_text("a\n1\n")
    return path


def files_of_types(*columns):
    def write(path):
        for i, column in enumerate(columns):
            pd.DataFrame({"a": column}).to_parquet(path / f"{i}.parquet")
        return path

    return write


def names_twice(path):
    table = pyarrow.table([[1.0], [2.0], [3.0]], names=["a", "b", "a"])
    pyarrow.parquet.write_table(table, path / "0.parquet")
    return path


def no_parquet(path):
    (path / "0.parquet").write_text("a,b")
    return path


def again_and_again():
    while True:
        yield from (ROWS + 1, ROWS, np.c_[ROWS, np.full((len(ROWS), 1), np.nan)][:, 1:])


FRAME = pd.DataFrame({"a": [0.0, 1.0], "b": [2.0, 3.0]})
ROWS = np.zeros((100, 2))
ERRORS = {
    "generator": (lambda path: (x for x in [ROWS]), None, TypeError, "read once only.*X=blocks, not X=blocks"),
    "no folder": (lambda path: path / "nothing", None, FileNotFoundError, "no file or folder"),
    "no file": (empty_folder, None, FileNotFoundError, "holds no file that ends in .parquet"),
    "two formats": (two_formats, None, ValueError, "Parquet and CSV"),
    "files differ": (differing_files, None, ValueError, "same columns; .*'a', 'b'"),
    "types differ": (files_of_types([True], [1]), None, ValueError, "column of X must be of one type .*a .* bool vs int64"),
    "values beyond a type": (
        files_of_types(np.array([2**63], "u8"), [-1]),
        None,
        ValueError,
        r"columns of several types, which not all values fit: {'a': \['int64', 'uint64'\]}",
    ),
    "names twice": (names_twice, None, ValueError, r"unique column names; duplicates in .*0\.parquet are \['a'\]"),
    "no Parquet": (no_parquet, None, ValueError, r"0\.parquet is no Parquet file of rows"),
    "no such label": (
        lambda path: lambda: iter([FRAME]),
        "label",
        ValueError,
        r"names no column of X; its columns are \['a', 'b'\]",
    ),
    "name for arrays": (lambda path: lambda: iter([ROWS]), "label", ValueError, "arrays without names"),
    "no block": (lambda path: lambda: iter([]), None, ValueError, "gave no row"),
    "no row": (lambda path: lambda: iter([ROWS[:0]]), None, ValueError, "gave no row"),
    "no iterator": (lambda path: lambda: ROWS, None, TypeError, "must return an iterator of blocks.*ndarray"),
    "labels twice": (lambda path: lambda: iter([(FRAME, [0, 1])]), "a", ValueError, "given twice"),
    "labels beside": (lambda path: lambda: iter([(FRAME, [0, 1])]), [0, 1], ValueError, "y must be None or the name"),
    "labels missing": (lambda path: lambda: iter([(FRAME, [0])]), None, ValueError, "2 rows and 1 labels"),
    "labels that are numbers": (lambda path: lambda: iter([(FRAME, [0.5, 1.5])]), None, ValueError, "Unknown label type"),
    "other columns": (lambda path: lambda: iter([FRAME, FRAME[["a"]]]), None, ValueError, "same columns; .*'b'"),
    "other widths": (lambda path: lambda: iter([ROWS, ROWS[:, :1]]), None, ValueError, r"shape \(1,\) where .* \(2,\)"),
    "names and none": (lambda path: lambda: iter([ROWS, FRAME]), None, ValueError, "has names where the first had rows"),
    "three parts": (lambda path: lambda: iter([(ROWS, [0] * 100, [1] * 100)]), None, ValueError, "tuple of 3"),
    "a list of both": (
        lambda path: lambda: iter([[ROWS, [0] * 100]]),
        None,
        ValueError,
        r"tuples \(X, y\); got a list that is no array",
    ),
    "infinity": (lambda path: lambda: iter([FRAME, FRAME / 0]), None, ValueError, "infinity"),
    "not batched": (lambda path: tf.data.Dataset.from_tensor_slices(ROWS), None, ValueError, "Is it batched"),
    "columns not batched": (lambda path: tf.data.Dataset.from_tensor_slices(dict(FRAME)), None, ValueError, "batched"),
    "without end": (lambda path: tf.data.Dataset.from_tensors(ROWS).repeat(), None, ValueError, "without end"),
    "again and again": (lambda path: again_and_again, None, ValueError, "same 300 rows again and again, 1000 times"),
    "generated again": (
        lambda path: tf.data.Dataset.from_generator(again_and_again, output_signature=tf.TensorSpec((None, 2))),
        None,
        ValueError,
        "same 300 rows again and again",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_what_cannot_be_read_is_said(case, tmp_path):
    source, y, error, message = ERRORS[case]
    model = make(buffer_size=1000 if "again" in case else 2)
    with pytest.raises(error, match=message):
        model.fit(source(tmp_path), y)
    assert not hasattr(model, "network_")


def test_blocks_may_be_sparse():
    block = scipy.sparse.csr_matrix(np.eye(3))
    X, _ = next(open_source(lambda: iter([block, np.ones((2, 3)), block])).blocks())
    np.testing.assert_array_equal(X, np.concatenate([np.eye(3), np.ones((2, 3)), np.eye(3)]))


def test_what_is_given_many_times_and_ends_is_read():
    rows = np.arange(200.0).reshape(100, 2)
    given = {"equal": [ROWS] * 1100 + [rows], "alike": [rows] * 3 + [ROWS] + [rows] * 1100, "few": [rows[:2]] * 2000}
    for blocks in given.values():
        count = sum(len(block) for block, _ in open_source(lambda blocks=blocks: iter(blocks)).blocks())
        assert count == sum(map(len, blocks))


def test_a_function_of_one_iterator_is_found_out(rows):
    once = iter(blocks_of(*rows[:2])())
    with pytest.raises(ValueError, match="must return a new iterator at each call"):
        make(buffer_size=50).fit(lambda: once)


def test_row_weights_are_refused(rows):
    with pytest.raises(ValueError, match="sample_weight must be None"):
        make().fit(blocks_of(*rows[:2]), sample_weight=np.ones(N))


def test_with_row_weights_a_memmap_is_an_array(arrays):
    X, y = arrays["memmap"]
    weight = np.arange(N) % 3
    whole, mapped = (
        make(epochs=1, buffer_size=100).fit(given, y, sample_weight=weight).predict_proba(X[:20])
        for given in (np.asarray(X), X)
    )
    np.testing.assert_array_equal(mapped, whole)


def test_labels_of_a_memmap(arrays):
    X, y = arrays["memmap"]
    for labels, message in ((y[:-1], r"inconsistent numbers of samples: \[300, 299\]"), ("label", "an array without names")):
        with pytest.raises(ValueError, match=message):
            make(buffer_size=100).fit(X, labels)


def test_pyarrow_is_asked_for_where_it_is_needed(sources, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"pip install 'keras_ssvae\[streaming\]'"):
        make().fit(*sources["Parquet folder"])
    open_source(*sources["CSV folder"])


def test_an_unfitted_estimator_reads_nothing():
    with pytest.raises(NotFittedError):
        make().predict(lambda: pytest.fail("it was called"))


@pytest.mark.parametrize("buffer_size", [1, 2.5, None])
def test_the_size_of_the_buffer_is_checked(buffer_size):
    with pytest.raises(ValueError, match="buffer_size"):
        make(buffer_size=buffer_size).fit(ROWS)


def test_an_error_of_a_later_pass_is_the_users_own(rows):
    calls = []

    def blocks():
        calls.append(0)
        yield rows[0]
        if len(calls) > 2:
            raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError, match="the disk is gone"):
        make(buffer_size=50).fit(blocks)


# The feed


def stream_of(n, n_labeled, buffer_size, n_classes=2, class_weight=None):
    """A stream of rows whose first column is their number, labels on some; and the number of the class of each."""
    x = np.random.RandomState(1).standard_normal((n, 3)).astype(np.float32)
    x[:, 0] = np.arange(n)
    codes = np.full(n, -1, np.int32)
    codes[np.random.RandomState(2).permutation(n)[:n_labeled]] = np.arange(n_labeled) % n_classes
    source = open_source(blocks_of(x, codes), buffer_size=buffer_size)
    survey = SourceSummary(source, buffer_size, distinct_labels, 0)
    kept = PreparedRows(survey.X, y=survey.y.astype(np.int32))
    weight = survey.weight * (np.ones(n_classes + 1) if class_weight is None else class_weight)[kept.y]

    def prepare(X, y):
        return PreparedRows(X, y=y.astype(np.int32))

    return RowStream(source, prepare, buffer_size, kept, survey.weight, weight), codes


def feed_of(stream, batch_size=20, labeled="auto", seed=0, rows=slice(None), **settings):
    return StreamingSampler(stream, stream.rows[rows], stream.weight[rows], batch_size, labeled, seed, **settings)


def epochs_of(feed, epochs=1):
    """The batches of each epoch: lists of dicts of arrays."""
    chunks = iter(feed.dataset().as_numpy_iterator())
    given = [[next(chunks) for _ in range(feed.chunks()[0])] for _ in range(epochs)]
    return [[{k: v[i] for k, v in chunk.items()} for chunk in epoch for i in range(len(chunk["y"]))] for epoch in given]


def test_the_stream_ends_with_the_last_epoch():
    feed = feed_of(stream_of(1000, 25, 200)[0])
    assert feed.joint_epochs(6) == 1
    dataset = feed.dataset(epochs=2)
    assert sum(1 for _ in dataset.as_numpy_iterator()) == 2 * feed.chunks()[0]
    assert dataset.options().autotune.enabled is False


def numbers_of(batches):
    return np.concatenate([batch["x"][:, 0].astype(int) for batch in batches])


@pytest.mark.parametrize("buffer_size", [30, 200, 800])
@pytest.mark.parametrize("n_labeled", [0, 25])
def test_every_row_streams_by_once_an_epoch_up_to_the_last_batch(buffer_size, n_labeled):
    stream, codes = stream_of(1000, n_labeled, buffer_size)
    feed = feed_of(stream)
    count, steps = feed.chunks()
    for epoch in epochs_of(feed, 3):
        drawn = np.bincount(numbers_of(epoch), minlength=1000)[codes < 0]
        assert drawn.min() == 1
        assert drawn.sum() == count * steps * (20 - feed.n_labeled)
        assert drawn.sum() < (feed.steps_per_epoch + count) * (20 - feed.n_labeled)
        for batch in epoch:
            np.testing.assert_array_equal(batch["y"], codes[batch["x"][:, 0].astype(int)])


@pytest.mark.parametrize(("labeled", "expected"), [("auto", 6), (2, 2), (19, 19)])
def test_labelled_rows_are_in_every_batch_and_drawn_evenly(labeled, expected):
    stream, codes = stream_of(1000, 25, 200)
    feed = feed_of(stream, labeled=labeled)
    assert feed.n_labeled == expected
    batches = sum(epochs_of(feed, 4), [])
    assert {int((batch["y"] >= 0).sum()) for batch in batches} == {expected}
    drawn = np.bincount(numbers_of(batches), minlength=1000)
    for k in (0, 1):
        of_class = drawn[codes == k]
        assert of_class.min() > 0
        assert of_class.max() - of_class.min() <= 6


@pytest.mark.parametrize(
    ("n_labeled", "labeled"), [(25, "auto"), (25, 2), (0, "auto"), (300, "auto"), (900, "auto"), (25, None)]
)
def test_weights_keep_the_expectation_of_the_loss(n_labeled, labeled):
    stream, codes = stream_of(1000, n_labeled, 100)
    loss = np.random.RandomState(5).gamma(1.0, size=1000) + 3 * (codes >= 0)
    batches = sum(epochs_of(feed_of(stream, labeled=labeled), 20), [])
    means = [np.average(loss[batch["x"][:, 0].astype(int)], weights=batch["weight"]) for batch in batches]
    error = np.std(means) / np.sqrt(len(means))
    assert abs(np.mean(means) - loss.mean()) < 5 * error
    for batch in batches:
        np.testing.assert_allclose(batch["weight"].sum(), 20, rtol=1e-5)


def test_many_labelled_rows_stream_like_all():
    for n_labeled, labeled in ((1000, "auto"), (900, "auto"), (400, "auto"), (400, None)):
        stream, _ = stream_of(1000, n_labeled, 100)
        feed = feed_of(stream, labeled=labeled)
        assert feed.n_labeled == 0
        for epoch in epochs_of(feed, 2):
            drawn = np.bincount(numbers_of(epoch), minlength=1000)
            assert drawn.min() == 1


def test_scarce_labelled_rows_that_do_not_fit_into_memory_take_turns():
    stream, codes = stream_of(2000, 200, 100, n_classes=3)
    feed = feed_of(stream)
    assert feed.n_labeled == 6
    batches = sum(epochs_of(feed, 6), [])
    for batch in batches:
        assert set(batch["y"][batch["y"] >= 0]) == {0, 1, 2}
        np.testing.assert_allclose(batch["weight"][batch["y"] >= 0].sum(), 20 * 200 / 2000, rtol=1e-5)
        np.testing.assert_array_equal(batch["y"], codes[batch["x"][:, 0].astype(int)])
    assert set(np.flatnonzero(codes >= 0)) <= set(numbers_of(batches))
    known = stream.rows[stream.rows.y >= 0]
    np.testing.assert_array_equal(known.y, codes[known.x[:, 0].astype(int)])


@pytest.mark.parametrize("n_labeled", [100, 900])
def test_weights_of_classes(n_labeled):
    """Class 1 counts thrice."""
    stream, codes = stream_of(1000, n_labeled, 150, class_weight=np.array([1.0, 3.0, 1.0]))
    part = np.zeros(3)
    for batch in sum(epochs_of(feed_of(stream), 3), []):
        np.add.at(part, batch["y"], batch["weight"])
    expected = np.bincount(codes + 1)[[1, 2, 0]] * [1, 3, 1]
    np.testing.assert_allclose(part / part.sum(), expected / expected.sum(), rtol=0.03)


def test_rows_held_out_do_not_stream_by():
    for n_labeled in (0, 100, 900):
        stream, codes = stream_of(1000, n_labeled, 200)
        held, used = np.arange(0, len(stream.rows.y), 5), np.flatnonzero(np.arange(len(stream.rows.y)) % 5)
        feed = feed_of(stream, rows=used)
        out = stream.rows.x[held, 0].astype(int)
        for epoch in epochs_of(feed, 2):
            drawn = np.bincount(numbers_of(epoch), minlength=1000)
            assert (drawn[out] == 0).all()
            assert drawn[np.setdiff1d(np.flatnonzero(codes < 0), out)].min(initial=1) == 1


def test_the_sample_has_the_shares_of_all_rows():
    stream, codes = stream_of(1000, 100, 200)
    numbers = feed_of(stream).sample().x[:, 0].astype(int)
    assert len(numbers) == 300
    assert abs((codes[numbers] >= 0).sum() - 30) <= 1


def test_the_pool_mixes_what_is_sorted():
    """Half of the rows may stream by before the pool; their order is nearly that of a shuffle."""
    stream, _ = stream_of(1000, 0, 500)
    first = numbers_of(epochs_of(feed_of(stream))[0])[:1000]
    assert abs(np.corrcoef(np.arange(1000), first)[0, 1]) < 0.7
    small = numbers_of(epochs_of(feed_of(stream_of(1000, 0, 30)[0]))[0])[:1000]
    assert np.corrcoef(np.arange(1000), small)[0, 1] > 0.9


def test_seeds_tell_streams_apart_and_epochs_differ():
    stream, _ = stream_of(500, 30, 100)
    drawn = [[numbers_of(epoch).tolist() for epoch in epochs_of(feed_of(stream, seed=seed), 2)] for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]
    assert drawn[0][0] != drawn[0][1]
    feed = feed_of(stream)
    assert numbers_of(epochs_of(feed)[0]).tolist() == numbers_of(epochs_of(feed)[0]).tolist() == drawn[0][0]


def test_gaps_that_no_row_in_memory_has_leave_their_rows_out():
    stream, codes = stream_of(600, 30, 100)
    with_gap = np.setdiff1d(np.flatnonzero(codes < 0), stream.rows.x[:, 0])[:40]

    def prepare(X, y):
        observed = np.ones_like(X)
        observed[np.isin(X[:, 0], with_gap), 1] = 0
        return PreparedRows(X, observed, y=y.astype(np.int32))

    stream.prepare = prepare
    (batches,) = epochs_of(feed_of(stream))
    assert "observed" not in batches[0]
    assert not np.isin(numbers_of(batches), with_gap).any()


def test_blocks_without_gaps_are_all_observed():
    stream, _ = stream_of(600, 30, 100)
    observed = np.ones_like(stream.rows.x)
    observed[0, 1] = 0
    stream.rows = stream.rows.joined(observed=observed)
    (batches,) = epochs_of(feed_of(stream))
    streamed = np.concatenate([batch["observed"][batch["y"] < 0] for batch in batches])
    assert (streamed == 1).all()


# What several workers read


@pytest.mark.parametrize("batch_size", [20, 21])
@pytest.mark.parametrize("n_labeled", [0, 25, 900])
def test_workers_draw_labelled_rows_together_and_read_a_part_of_the_others_each(n_labeled, batch_size):
    stream, _ = stream_of(1000, n_labeled, 200)
    shares = slice(0, None, 1), slice(0, None, 2), slice(1, None, 2)
    whole, *halves = (feed_of(stream, batch_size, share=share) for share in shares)
    assert [feed.chunks() for feed in halves] == [whole.chunks()] * 2
    assert [feed.n_labeled for feed in halves] == [whole.n_labeled] * 2
    batches, *parts = (sum(epochs_of(feed, 1), []) for feed in (whole, *halves))
    for batch, *shares in zip(batches, *parts, strict=True):
        assert [len(share["y"]) for share in shares] == [-(-batch_size // 2), batch_size // 2]
        if whole.n_labeled:
            labeled = [share["x"][share["y"] >= 0] for share in shares]
            assert sum(map(len, labeled)) == whole.n_labeled
            together = np.empty((whole.n_labeled, labeled[0].shape[1]), np.float32)
            together[0::2], together[1::2] = labeled
            np.testing.assert_array_equal(together, batch["x"][batch["y"] >= 0])
        assert sum(share["weight"].sum() for share in shares) == pytest.approx(batch["weight"].sum())
    streamed = [numbers_of(part)[np.concatenate([b["y"] for b in part]) < 0] for part in parts]
    assert len(set(streamed[0]) & set(streamed[1])) < 50  # where a batch is odd, one worker is earlier in its second pass
    read = len(set(streamed[0]) | set(streamed[1]))
    assert read > 0.9 * (1000 - n_labeled) or n_labeled == 900


def test_a_worker_without_rows_that_stream_by_waits_for_a_pass_that_has_some():
    """Of thirty rows each pass gives one at most to each of forty workers, and ten of them are labelled."""
    stream, _ = stream_of(30, 10, 12)
    feed = feed_of(stream, 120, 40, share=slice(1, None, 40))
    (batches,) = epochs_of(feed)
    assert [(batch["y"] < 0).sum() for batch in batches] == [2] * len(batches)


def read_by(source, size, seed, passes=1):
    """The numbers of the rows that each worker reads in each pass, (passes, size) lists."""
    shares = [Share(rank, size, np.random.RandomState(seed)) for rank in range(size)]
    own = [np.random.RandomState(rank) for rank in range(size)]
    return [
        [[n for X, _ in source.blocks(7, own[s.rank], s) for n in np.asarray(X)[:, 0].astype(int)] for s in shares]
        for _ in range(passes)
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("kind", ["parquet", "elsewhere", "csv", "function"])
@pytest.mark.parametrize("counts", [(60, 40), (100,), (0, 3), (1, 0, 50, 5)], ids=str)
def test_what_workers_read_is_disjoint_and_complete_and_as_much(tmp_path, kind, counts, size):
    frame = pd.DataFrame({"number": np.arange(sum(counts)), "other": 0.5})
    parts = [frame[stop - count : stop] for count, stop in zip(counts, np.cumsum(counts), strict=True)]
    for i, part in enumerate(parts):
        if kind == "csv":
            part.to_csv(tmp_path / f"{i}.csv", index=False)
        else:
            part.to_parquet(tmp_path / f"{i}.parquet", row_group_size=13)
    X = tmp_path
    if kind == "function":
        X = lambda: iter([part for part in parts if len(part)])  # noqa: E731
    elif kind == "elsewhere":  # on another file system, and sent to another process
        there = pyarrow.fs.SubTreeFileSystem(str(tmp_path.parent), pyarrow.fs.LocalFileSystem())
        X = pickle.loads(pickle.dumps(pyarrow.dataset.dataset(tmp_path.name, filesystem=there)))
    source = open_source(X)
    passes = read_by(source, size, 0, 3)
    for read in passes:
        assert sorted(sum(read, [])) == list(range(len(frame)))
        assert max(map(len, read)) - min(map(len, read)) <= 1
    if kind in ("parquet", "elsewhere") and 1 < size and len(frame) > 10:
        assert passes[0][0] != passes[1][0]


def test_chunks_are_a_part_of_the_buffer():
    for buffer_size, steps in ((800, 10), (100, 1), (30, 1)):
        assert feed_of(stream_of(2000, 50, buffer_size)[0]).chunks()[1] == steps


# Training


@pytest.fixture(scope="module")
def many():
    """Three classes of 1000 rows, every twentieth with a label."""
    rng = np.random.RandomState(0)
    y = rng.randint(3, size=3000)
    X = (rng.standard_normal((3000, 5)) + 3 * (y[:, None] == np.arange(5))).astype(np.float32)
    return X, np.where(np.arange(3000) % 20 == 0, y, -1), y


@pytest.fixture(scope="module")
def streamed(many):
    X, y_partial, _ = many
    return make(buffer_size=300).fit(blocks_of(X, y_partial, sizes=(256,)))


def test_it_learns_from_more_rows_than_the_buffer_holds(streamed, many):
    X, y_partial, y = many
    whole = make().fit(X, y_partial)
    assert streamed.score(X, y) > whole.score(X, y) - 0.02 > 0.9
    assert len(streamed.history_) == 3
    np.testing.assert_allclose(streamed.history_["reconstruction"], whole.history_["reconstruction"], rtol=0.05)


def test_the_same_seed_gives_the_same_weights(streamed, many):
    X, y_partial, _ = many
    for source in (blocks_of(X, y_partial, sizes=(500, 7)), tf.data.Dataset.from_tensor_slices((X, y_partial)).batch(99)):
        assert_same_weights(make(buffer_size=300).fit(source), streamed)


def test_what_is_known_of_all_rows_enters_the_model(streamed, many):
    _, y_partial, _ = many
    np.testing.assert_allclose(streamed._labels.class_weight, np.bincount(y_partial[y_partial >= 0]))
    assert streamed._labels.rows_per_label == pytest.approx(20)


def test_all_stages_and_early_stopping(many):
    X, y_partial, y = many
    model = make(buffer_size=300, code_dim=4, code_layer_sizes=(8,), epochs=9, early_stopping=True, class_weight="balanced")
    model.fit(blocks_of(X, y_partial))
    assert model.history_["stage"].unique().tolist() == ["pretrain", "semi-supervised", "together"]
    assert np.isfinite(model.history_["val_loss"]).all()
    assert model.score(X, y) > 0.8


def test_more_passes_and_more_rows(many, tmp_path):
    X, y_partial, y = many
    memmap = np.memmap(tmp_path / "X.dat", np.float32, "w+", shape=X.shape)
    memmap[:] = X
    model = make(buffer_size=300)
    for _ in range(3):
        model.partial_fit(memmap, y_partial)
    assert len(model.history_) == 3
    assert model.score(X, y) > 0.85
    before = model.network_.get_weights()
    model.set_params(warm_start=True, epochs=1).fit(blocks_of(X, y_partial))
    assert any((mine != theirs).any() for mine, theirs in zip(model.network_.get_weights(), before, strict=True))


def test_a_category_that_no_row_in_memory_has_is_missing():
    X = pd.DataFrame({"a": np.arange(400.0), "c": np.array(["p", "q"])[np.arange(400) % 2]})
    source = SourceSummary(open_source(blocks_of(X)), 50, distinct_labels, 0)
    rare = np.setdiff1d(X.index, source.X.index)[0]
    X.loc[rare, "c"] = "rare"
    model = make(buffer_size=50, epochs=1).fit(blocks_of(X))
    assert model.table_.schema_.columns[1].levels == ["p", "q"]
    assert np.isfinite(model.transform(X)).all()


def test_a_saved_model_reads_sources(streamed, many, tmp_path):
    streamed.save(tmp_path / "model.ssvae")
    model = ks.load(tmp_path / "model.ssvae")
    np.testing.assert_array_equal(model.predict(blocks_of(many[0])), streamed.predict(many[0]))
