"""The tables of docs/inputs.md: each container through a fit and back, each kind of column to numbers and back."""

import datetime
import decimal
import json
import re
import uuid
import warnings
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pyarrow
import pytest
import tensorflow as tf
from scipy import sparse

import keras_ssvae as ks
from keras_ssvae.data.schema import Schema
from keras_ssvae.serialization.reader import Reader
from keras_ssvae.serialization.writer import Writer

PAGE = (Path(__file__).parents[1] / "docs" / "inputs.md").read_text(encoding="utf-8")
N = 150
R = np.random.RandomState(0)
X = R.standard_normal((60, 2))
GAPS = X.copy()
GAPS[3, 0] = np.nan


def table(title):
    """The first cell of each line of a table of the page, and its last."""
    lines = re.findall(r"^\| (.*) \|$", PAGE.partition(f"## {title}\n")[2].partition("## ")[0], re.M)
    cells = [line.split(" | ") for line in lines[1:]]
    return {first: rest[-1] for first, *rest in cells if not first.startswith("-")}


class Batches(keras.utils.PyDataset):
    @property
    def num_batches(self):
        return 3

    def __getitem__(self, i):
        return X[20 * i : 20 * i + 20]


def polars(X):
    return pytest.importorskip("polars").DataFrame(X, ["a", "b"])


CONTAINERS = {
    "numpy array": lambda: X,
    "list of rows": X.tolist,
    "numpy structured array": lambda: np.rec.fromarrays(X.T, names=["a", "b"]),
    "numpy masked array": lambda: np.ma.masked_array(np.nan_to_num(GAPS, nan=1e9), np.isnan(GAPS)),
    "scipy sparse matrix": lambda: sparse.csr_matrix(X),
    "pandas DataFrame": lambda: pd.DataFrame(X, columns=["a", "b"]),
    "polars DataFrame": lambda: polars(X),
    "polars LazyFrame": lambda: polars(X).lazy(),
    "narwhals DataFrame": lambda: pytest.importorskip("narwhals").from_native(pd.DataFrame(X, columns=["a", "b"])),
    "pyarrow Table": lambda: pytest.importorskip("pyarrow").table({"a": X[:, 0], "b": X[:, 1]}),
    "DuckDB relation": lambda: pytest.importorskip("duckdb").from_df(pd.DataFrame(X, columns=["a", "b"])),
    "Hugging Face Dataset": lambda: pytest.importorskip("datasets").Dataset.from_dict({"a": X[:, 0], "b": X[:, 1]}),
    "dict of columns": lambda: {"a": X[:, 0], "b": X[:, 1]},
    "list of dicts": lambda: [{"a": a, "b": b} for a, b in X.tolist()],
    "tf.Tensor": lambda: tf.constant(X),
    "tf.data.Dataset": lambda: tf.data.Dataset.from_tensor_slices(X).batch(20),
    "keras PyDataset": Batches,
    "function that gives blocks": lambda: lambda: iter([X[:40], X[40:]]),
}


def test_the_page_has_every_container_and_kind_of_column():
    assert list(table("Containers")) == list(CONTAINERS)
    assert list(table("Columns")) == list(COLUMNS)


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_is_read_and_comes_back_as_the_page_says(name):
    given, back = CONTAINERS[name](), table("Containers")[name]
    model = ks.VAE(latent_dim=1, hidden_layer_sizes=(4,), epochs=1, random_state=0).fit(given)
    assert model.n_features_in_ == 2
    assert model.transform(given).shape == (60, 1)
    kind = {"array": np.ndarray, "polars DataFrame": "polars"}.get(back, pd.DataFrame)
    for rows in (model.reconstruct(given), model.impute(given), model.sample(3)[0]):
        assert type(rows).__module__.startswith(kind) if isinstance(kind, str) else isinstance(rows, kind)
        assert np.isfinite(np.asarray(rows, float)).all() and np.abs(np.asarray(rows, float)).max() < 10
    if name != "numpy masked array":  # the same rows in any container
        plain = ks.VAE(latent_dim=1, hidden_layer_sizes=(4,), epochs=1, random_state=0).fit(X)
        np.testing.assert_allclose(model.transform(given), plain.transform(X), atol=1e-5)


@pytest.mark.parametrize(
    "name", ["pandas DataFrame", "polars DataFrame", "pyarrow Table", "DuckDB relation", "dict of columns"]
)
def test_labels_may_be_a_column_of_any_frame(name):
    frame = pd.DataFrame(X, columns=["a", "b"]).assign(kind=np.arange(60) % 2)
    given = {
        "pandas DataFrame": lambda: frame,
        "polars DataFrame": lambda: pytest.importorskip("polars").from_pandas(frame),
        "pyarrow Table": lambda: pytest.importorskip("pyarrow").Table.from_pandas(frame),
        "DuckDB relation": lambda: pytest.importorskip("duckdb").from_df(frame),
        "dict of columns": lambda: {name: frame[name].to_numpy() for name in frame},
    }[name]()
    model = ks.M2(latent_dim=1, hidden_layer_sizes=(4,), epochs=1, random_state=0).fit(given, "kind")
    assert list(model.feature_names_in_) == ["a", "b"]
    assert model.score(given) == model.score(frame[["a", "b"]], frame["kind"])


# Columns

DAYS = pd.Series(pd.Timestamp("2024-01-01") + pd.to_timedelta(R.randint(0, 90, N), unit="D"))
SECONDS = pd.Series(pd.Timestamp("2024-01-01") + pd.to_timedelta(R.randint(0, 10**7, N), unit="s"))
MONEY = pd.Series(R.gamma(3, 9, N).round(2))
BINS = pd.cut(pd.Series(R.standard_normal(N)), 4)


def objects(values):
    return pd.Series(list(values), dtype=object)


def iso(tail):
    return SECONDS.dt.strftime("%Y-%m-%dT%H:%M:%S") + tail


def has_places(values, n):
    return np.allclose(values.astype(float), values.astype(float).round(n), atol=1e-9 if values.dtype != "float32" else 1e-4)


def is_midnight(values):
    return (values.dt.normalize() == values).all()


CENTS = (lambda values: has_places(values, 2),)
COLUMNS = {  # values of each kind, and what holds of values that come back
    "int64": [(pd.Series(R.randint(0, 99, N)), lambda values: True)],
    "Int64": [(pd.Series(R.randint(0, 99, N), dtype="Int64").where(DAYS > DAYS.median()), lambda values: True)],
    "float64": [
        (MONEY, *CENTS),
        ((MONEY * 100).round(), lambda values: has_places(values, 0)),
        (pd.Series(R.standard_normal(N)), lambda v: True),
    ],
    "float32": [(MONEY.astype("f4"), *CENTS)],
    "Float64": [(MONEY.astype("Float64"), *CENTS)],
    "decimal.Decimal": [
        (
            objects(decimal.Decimal(int(c)) / 100 for c in R.randint(1, 9999, N)),
            lambda v: {x.as_tuple().exponent for x in v} == {-2},
        ),
        (objects(decimal.Decimal(int(c)) for c in R.randint(1, 9999, N)), lambda v: {x.as_tuple().exponent for x in v} == {0}),
    ],
    "decimal128 (Arrow)": [
        (
            objects(decimal.Decimal(int(c)) / 100 for c in R.randint(1, 9999, N)).astype(
                pd.ArrowDtype(pyarrow.decimal128(10, 2))
            ),
            *CENTS,
        )
    ],
    "bool": [(pd.Series(R.rand(N) < 0.5), lambda values: True)],
    "boolean": [(pd.Series(R.rand(N) < 0.5, dtype="boolean"), lambda values: True)],
    "text": [(pd.Series(R.choice(list("abc"), N)), lambda values: values.isin(list("abc")).all())],
    "category": [
        (pd.Series(R.choice(list("abc"), N), dtype="category"), lambda values: True),
        (pd.Series(pd.Categorical(R.choice(list("abc"), N), list("cba"), ordered=True)), lambda values: True),
    ],
    "category of dates": [
        (pd.Series(pd.Categorical(DAYS.dt.to_period("M"))), lambda values: True),
        (pd.Series(pd.Categorical(DAYS.dt.to_period("M").dt.to_timestamp())), lambda values: True),
    ],
    "bins of pd.cut": [(BINS, lambda values: True)],
    "interval": [(pd.Series(pd.arrays.IntervalArray(BINS)), lambda values: True)],
    "uuid.UUID": [(objects(uuid.UUID(int=i % 5) for i in range(N)), lambda values: True)],
    "datetime64": [(DAYS, is_midnight), (SECONDS, lambda values: (values.dt.floor("s") == values).all())],
    "datetime64 with a zone": [
        (DAYS.dt.tz_localize(zone), is_midnight)
        for zone in ("US/Eastern", "Asia/Kolkata", datetime.timezone(datetime.timedelta(hours=5, minutes=45)))
    ],
    "datetime.date": [(objects(DAYS.dt.date), lambda values: {type(v) for v in values} == {datetime.date})],
    "dates as text": [(DAYS.dt.strftime("%d.%m.%Y"), lambda values: values.str.fullmatch(r"\d\d\.\d\d\.2024").all())],
    "ISO 8601 text with Z or an offset": [
        *((iso(tail), lambda v, tail=tail: v.str.endswith(tail).all()) for tail in ("Z", "+00:00", "+02:00", "-0530")),
        (DAYS.dt.strftime("%Y-%m-%dT%H:%M:%S+05:30"), lambda values: values.str.contains("T00:00:00+05:30", regex=False).all()),
        (
            (SECONDS + pd.to_timedelta(R.randint(0, 1000, N), unit="ms")).dt.strftime("%Y-%m-%dT%H:%M:%S.%f").str[:-3] + "Z",
            lambda values: values.str.fullmatch(r"2024-.*\.\d{3}Z").all(),
        ),
    ],
    "timedelta64": [(pd.Series(pd.to_timedelta(R.randint(0, 90, N), unit="h")), lambda v: (v.dt.floor("h") == v).all())],
    "period": [
        (DAYS.dt.to_period("M"), lambda values: True),
        (DAYS.dt.to_period("W-SUN"), lambda values: True),
        (objects(DAYS.dt.to_period("M")), lambda values: {type(v) for v in values} == {pd.Period}),
    ],
    "datetime.time": [
        (objects(datetime.time(int(h), 30) for h in R.randint(0, 24, N)), lambda v: {t.minute for t in v} <= {0, 30})
    ],
}
CASES = [pytest.param(*case, id=f"{name} {i}") for name, cases in COLUMNS.items() for i, case in enumerate(cases)]


@pytest.mark.parametrize(("column", "is_as_given"), CASES)
def test_a_column_comes_back_in_its_dtype_and_on_its_grid(column, is_as_given):
    frame = pd.DataFrame({"column": column})
    schema = Schema().fit(frame)
    numbers = schema.read(frame)
    back = schema.write(numbers)["column"]
    pd.testing.assert_series_equal(back, column, check_names=False)
    drawn = numbers[R.permutation(len(numbers))] * 0.5 + numbers * 0.5  # between values that there are
    drawn = schema.write(drawn)["column"].dropna()
    assert drawn.dtype == column.dtype and is_as_given(drawn)
    if column.dtype != "int64" and column.dtype != bool:
        assert pd.isna(schema.write(np.array([[np.nan], numbers[-1]]))["column"][0])
    filled = schema.fill(pd.DataFrame({"column": column.where(np.arange(len(column)) > 9)}), numbers)["column"]
    assert filled.map(type).nunique() == column.dropna().map(type).nunique() or column.hasnans


@pytest.mark.parametrize(("column", "is_as_given"), CASES)
def test_a_file_holds_every_kind_of_column(column, is_as_given):
    schema, writer = Schema().fit(pd.DataFrame({"column": column})), Writer()
    tree = json.loads(json.dumps(writer.tree(schema.columns, "columns")))

    class Archive:
        read = staticmethod(writer.members.__getitem__)

    (again,) = Reader(Archive()).value(tree)
    assert vars(again) == vars(schema.columns[0])


@pytest.mark.parametrize("dtype", [">f8", ">i4", ">f4"])
def test_big_endian_columns(dtype):
    values = R.randint(0, 99, N)
    given, plain = (
        ks.VAE(latent_dim=1, epochs=1, random_state=0).fit(pd.DataFrame({"a": v, "b": v[::-1]}))
        for v in (values.astype(dtype), values.astype(dtype[1:]))
    )
    frame = pd.DataFrame({"a": values.astype(dtype), "b": values[::-1].astype(dtype)})
    np.testing.assert_array_equal(given.transform(frame), plain.transform(frame.astype(dtype[1:])))


def test_a_category_of_many_levels_keeps_the_most_frequent():
    column = pd.Series([f"level {i % 120}" for i in range(400)], dtype="category")  # the first forty are there four times
    with pytest.warns(ks.data.column_base.ColumnWarning, match="column 'c' has 120 categories; all but the 100 most frequent"):
        schema = Schema().fit(pd.DataFrame({"c": column}))
    frame = pd.DataFrame({"c": column})
    back = schema.write(schema.read(frame))["c"]
    assert back.dtype == column.dtype and back.nunique() == 100
    assert (back.dropna() == column[back.notna()]).all() and back[:40].notna().all()


def names_of(warned):
    return [str(w.message) for w in warned]


@pytest.mark.parametrize("kind", ["object", "category", "uuid"])
def test_identifiers_of_any_dtype_are_left_out_with_a_warning(kind):
    values = (
        objects(uuid.UUID(int=i**9) for i in range(N))
        if kind == "uuid"
        else pd.Series([f"person {i}" for i in range(N)], dtype=kind)
    )
    with pytest.warns(ks.data.column_base.ColumnWarning, match="column 'name' has 150 different values"):
        schema = Schema().fit(pd.DataFrame({"name": values}))
    back = schema.write(np.zeros((2, 1)))["name"]
    assert back.isna().all() and back.dtype == values.dtype


@pytest.mark.parametrize("form", ["{:.3f}", "{:,.2f}", "${:.2f}", "{:.1f} %", "{:.2f} EUR"])
def test_numbers_as_text_are_called_numbers(form):
    texts = pd.Series([form.format(v) for v in 1000 * R.rand(N) + 1000])
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        Schema().fit(pd.DataFrame({"price": texts.mask(texts.index == 3, "?")}))
    assert any("are numbers" in message and "'price'" in message for message in names_of(warned))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([datetime.time(1, tzinfo=datetime.UTC)] * 3, "column 'c' holds times of day with a zone; convert them"),
        (
            [pd.Period("2024-01", "M"), pd.Period("2024", "Y")],
            "column 'c' mixes times of several kinds, .*; convert them to one",
        ),
        ([{1}, {2}], "column 'c' holds .* Convert it by"),
    ],
)
def test_a_refusal_names_the_column_and_a_way_out(values, message):
    with pytest.raises(TypeError, match=message):
        Schema().fit(pd.DataFrame({"c": objects(values)}))
