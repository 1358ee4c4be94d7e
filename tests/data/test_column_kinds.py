"""Which likelihood a column gets: by its dtype and values, or by the user's wish, what is refused, and far outliers."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from keras_ssvae.data.column_base import ColumnWarning
from keras_ssvae.data.column_kinds import choose_kind, kind_names, standardisation
from keras_ssvae.data.schema import Schema
from keras_ssvae.data.tables import ExtremeValueWarning, TablePreprocessor
from keras_ssvae.likelihoods.kinds import ColumnGroup

NAN = float("nan")
N = 5000


def rng(seed=0):
    return np.random.RandomState(seed)


def fitted(X, likelihood="auto", weight=None):
    schema = Schema().fit(X)
    values = schema.read(X)
    values = values if values.ndim > 2 else values.astype(float)
    return TablePreprocessor(likelihood).fit(values, schema, np.ones(len(values)) if weight is None else weight)


def chosen(values, weight=None, is_integer=False, n_levels=0, is_ordered=False):
    values = np.asarray(values, float)
    return choose_kind(values, np.ones(len(values)) if weight is None else weight, is_integer, n_levels, is_ordered)


# The documented rules, on draws from the distribution in question: law -> kind

FLOATS = {
    "normal": (stats.norm(3, 2), "gaussian"),
    "uniform": (stats.uniform(0, 1), "gaussian"),
    "beta": (stats.beta(2, 5), "gaussian"),
    "logistic": (stats.logistic(), "gaussian"),  # excess kurtosis 1.2
    "gamma": (stats.gamma(2), "gaussian"),  # more than half as skewed on a log scale, to the other side
    "t with 3 degrees of freedom": (stats.t(3), "student_t"),
    "Cauchy": (stats.cauchy(), "student_t"),
    "log-normal": (stats.lognorm(1.0), "log_normal"),
    "log-normal of wide spread": (stats.lognorm(3.0), "log_normal"),
    "log-normal of narrow spread": (stats.lognorm(0.1), "gaussian"),  # skewness 0.3
    "log-normal with values below zero": (stats.lognorm(1.0, loc=-0.5), "student_t"),
}
COUNTS = {
    "Poisson of few": (stats.poisson(0.5), "poisson"),
    "Poisson of many": (stats.poisson(20), "gaussian"),
    "geometric": (stats.geom(0.3, loc=-1), "negative_binomial"),
    "negative binomial": (stats.nbinom(0.5, 0.1), "negative_binomial"),
    "differences": (stats.skellam(0.5, 0.5), "gaussian"),
    "binomial": (stats.binom(10, 0.5), "gaussian"),
    "dice": (stats.randint(1, 7), "gaussian"),
}


@pytest.mark.parametrize(("law", "kind"), FLOATS.values(), ids=FLOATS)
def test_kinds_of_real_numbers_in_any_unit(law, kind):
    values = law.rvs(N, random_state=0)
    assert [chosen(values * unit) for unit in (1.0, 1e-200, 1000.0, 1e200)] == [kind] * 4


def test_skewed_to_the_left_is_not_log_normal():
    assert chosen(-stats.lognorm(1.0).rvs(N, random_state=0)) == "student_t"


@pytest.mark.parametrize(("law", "kind"), COUNTS.values(), ids=COUNTS)
def test_kinds_of_whole_numbers(law, kind):
    assert chosen(law.rvs(N, random_state=0), is_integer=True) == kind


@pytest.mark.parametrize("law", [stats.poisson(0.5), stats.nbinom(0.5, 0.1)], ids=["poisson", "negative binomial"])
def test_numbers_that_are_not_whole_by_nature_are_no_counts(law):
    assert chosen(law.rvs(N, random_state=0)) == "gaussian"


@pytest.mark.parametrize("law", [stats.t(3), stats.cauchy()], ids=["t", "Cauchy"])
def test_heavy_tails_around_a_value_that_many_rows_share_are_gaussian(law):
    values = law.rvs(N, random_state=0)
    values[rng().uniform(size=N) < 0.06] = 0.0
    assert chosen(values) == "gaussian"


FEW = {
    "none": ([], "constant"),
    "gaps alone": ([NAN, NAN], "constant"),
    "one": ([3.5, 3.5], "constant"),
    "one and gaps": ([NAN, 3.5], "constant"),
    "two": ([0, 1, 1], "bernoulli"),
    "any two": ([-3.5, 1e9], "bernoulli"),
    "two and gaps": ([1, NAN, 2], "bernoulli"),
    "three": ([1, 2, 3], "gaussian"),
}


@pytest.mark.parametrize(("values", "kind"), FEW.values(), ids=FEW)
@pytest.mark.parametrize("is_integer", [False, True])
def test_kinds_of_few_values(values, kind, is_integer):
    assert chosen(values, is_integer=is_integer) == kind


@pytest.mark.parametrize(
    ("codes", "n_levels", "is_ordered", "kind"),
    [
        ([0, 1, 2], 3, False, "categorical"),
        ([0, 1, 2], 3, True, "ordinal"),
        ([0, 1, 0], 2, False, "bernoulli"),
        ([0, 1, 0], 2, True, "bernoulli"),
        ([0, 2, 0], 3, False, "categorical"),
        ([1, 1, 1], 3, False, "constant"),
        ([0, 0, 0], 1, False, "constant"),
        ([NAN, NAN], 3, True, "constant"),
    ],
)
def test_kinds_of_categories(codes, n_levels, is_ordered, kind):
    assert chosen(codes, is_integer=True, n_levels=n_levels, is_ordered=is_ordered) == kind


def test_gaps_have_no_part_in_the_choice():
    for law, kind in (*FLOATS.values(), *COUNTS.values()):
        values = law.rvs(N, random_state=1)
        gaps = np.append(values, np.full(N, NAN))
        assert chosen(gaps, is_integer=True) == chosen(values, is_integer=True), kind


def test_the_choice_is_that_of_rows_given_as_often_as_their_weights_say():
    values = np.arange(10)
    for seed in range(30):
        times = rng(seed).randint(1, 50, size=10) ** rng(seed).randint(1, 4)
        assert chosen(values, times, is_integer=True) == chosen(values.repeat(times), is_integer=True)
    by_probability = stats.poisson(0.5).pmf(values)
    assert chosen(values, by_probability, is_integer=True) == "poisson"


# Columns of X

AUTO = {
    "floats": (stats.norm().rvs(N, random_state=0), "gaussian"),
    "incomes": (stats.lognorm(1.0).rvs(N, random_state=0).round(2) + 0.01, "log_normal"),
    "counts": (stats.poisson(0.5).rvs(N, random_state=0), "poisson"),
    "counts with gaps": (np.append(stats.poisson(0.5).rvs(N - 1, random_state=0).astype(float), NAN), "poisson"),
    "counts as floats": (stats.poisson(0.5).rvs(N, random_state=0).astype(float), "gaussian"),
    "nullable counts": (
        pd.array([None, *stats.nbinom(0.5, 0.1).rvs(N - 1, random_state=0)], dtype="Int64"),
        "negative_binomial",
    ),
    "truth values": (rng().uniform(size=N) > 0.5, "bernoulli"),
    "true": (np.full(N, True), "constant"),
    "two categories": (rng().choice(["yes", "no"], N), "bernoulli"),
    "three categories": (rng().choice(["yes", "no", "maybe"], N), "categorical"),
    "ordered categories": (pd.Categorical(rng().choice(["a", "b", "c"], N), ordered=True), "ordinal"),
    "one category of three": (pd.Categorical(["b"] * N, categories=["a", "b", "c"]), "constant"),
    "days": (pd.date_range("1960-01-01", periods=N), "gaussian"),
    "durations": (pd.to_timedelta(stats.lognorm(1.0).rvs(N, random_state=0), unit="h"), "log_normal"),
    "nothing": (np.full(N, None), "constant"),
}


def test_kinds_of_the_columns_of_a_frame():
    table = fitted(pd.DataFrame({name: values for name, (values, _) in AUTO.items()}))
    assert dict(zip(AUTO, table.kinds_, strict=True)) == {name: kind for name, (_, kind) in AUTO.items()}


ARRAYS = {
    "floats": (rng().standard_normal((40, 2)), "gaussian"),
    "zeros and ones": (np.array([[0.0, 1], [1, 0]]), "bernoulli"),
    "zeros, ones and gaps": (np.array([[0.0, 1], [1, NAN], [0, 0]]), "bernoulli"),
    "between 0 and 1": (np.array([[0.0, 0.5], [1, 0], [0.5, 0.7]]), "gaussian"),
    "0, 1 and 2": (np.array([[0.0, 1], [1, 0], [2, 2]]), "gaussian"),
    "counts": (stats.poisson(0.5).rvs((N, 2), random_state=0), "poisson"),
    "bytes": (stats.poisson(0.5).rvs((N, 2), random_state=0).astype(np.uint8), "poisson"),
    "counts as floats": (stats.poisson(0.5).rvs((N, 2), random_state=0).astype(float), "gaussian"),
    "truth values": (np.array([[True, False], [False, True]]), "bernoulli"),
    "constants alone": (np.array([[1.0, 2], [1, 2]]), "gaussian"),  # what further rows hold is still to come
    "gaps alone": (np.full((3, 2), NAN), "gaussian"),
}


@pytest.mark.parametrize(("X", "kind"), ARRAYS.values(), ids=ARRAYS)
def test_kinds_of_the_columns_of_an_array(X, kind):
    assert fitted(X).kinds_ == [kind, kind]


def test_images_are_of_one_kind():
    assert fitted(np.zeros((3, 2, 2))).kinds_ == ["bernoulli"]
    assert fitted(np.zeros((3, 2, 2)), "discretized").groups_ == [ColumnGroup("discretized", 0, 4, 256)]


# Groups

MIXED = pd.DataFrame(
    {
        "b": [0.1, 0.2, 0.4, 0.3],
        "three": ["x", "y", "z", "x"],
        "two": ["x", "y", "x", "x"],
        "four": ["x", "y", "z", "w"],
        "also three": ["p", "q", "r", "r"],
        "a": [0.1, 0.2, 0.4, 0.5],
        "one": [5, 5, 5, 5],
    }
)


def test_columns_of_one_kind_and_number_of_levels_stand_side_by_side():
    table = fitted(MIXED)
    assert table.groups_ == [
        ColumnGroup("bernoulli", 0, 1),
        ColumnGroup("categorical", 1, 3, 3),
        ColumnGroup("categorical", 3, 4, 4),
        ColumnGroup("constant", 4, 5),
        ColumnGroup("gaussian", 5, 7),
    ]
    codes = table.encode(table.schema_.read(MIXED)).x
    np.testing.assert_array_equal(codes[:, 1:4], [[0, 0, 1], [1, 1, 2], [2, 2, 3], [0, 2, 0]])  # w, x, y, z
    np.testing.assert_allclose(codes[:, 5:].mean(axis=0), 0, atol=1e-6)
    pd.testing.assert_frame_equal(table.decode(codes), MIXED, rtol=1e-6)


# The user's wish

POSITIVE = np.array([[0.25, 1.0], [0.5, 2.0], [0.75, 3.0]])


@pytest.mark.parametrize("kind", kind_names())
def test_every_kind_can_be_had_for_an_array_by_its_position(kind):
    whole = kind in ("poisson", "negative_binomial", "categorical", "ordinal")
    assert fitted(POSITIVE, {int(whole): kind}).kinds_ == (["gaussian", kind] if whole else [kind, "gaussian"])


def test_kinds_by_name_leave_the_other_columns_to_their_values():
    table = fitted(MIXED, {"a": "student_t", "three": "ordinal", "b": "auto"})
    expected = {**dict(zip(MIXED, fitted(MIXED).kinds_)), "a": "student_t", "three": "ordinal"}
    assert dict(zip(MIXED, table.kinds_, strict=True)) == expected


def test_one_kind_for_all_leaves_the_categories_to_theirs():
    assert fitted(MIXED, "student_t").kinds_ == [
        *("student_t", "categorical", "bernoulli", "categorical", "categorical", "student_t", "student_t")
    ]


def test_a_dict_names_columns_of_several_levels_and_of_one_name():
    two = pd.DataFrame(POSITIVE, columns=pd.MultiIndex.from_tuples([("a", 1), ("a", 2)]))
    assert fitted(two, {("a", 2): "log_normal"}).kinds_ == ["gaussian", "log_normal"]
    twins = pd.DataFrame(POSITIVE, columns=["a", "a"])
    assert fitted(twins, {"a": "log_normal"}).kinds_ == ["log_normal", "log_normal"]


@pytest.mark.parametrize("kind", ["categorical", "ordinal"])
def test_levels_of_a_column_of_numbers_are_all_up_to_the_largest(kind):
    X = np.array([[0.0, 0.5], [3, 0.1], [NAN, 0.2]])
    assert fitted(X, {0: kind}).groups_[-1 if kind == "ordinal" else 0] == ColumnGroup(
        kind, *((1, 2) if kind == "ordinal" else (0, 1)), 4
    )


@pytest.mark.parametrize("kind", ["categorical", "ordinal"])
@pytest.mark.parametrize("column", [pd.Series([0, 0, 0]), pd.Series([NAN] * 3), pd.Series(["x"] * 3, dtype="category")])
def test_codes_of_a_single_level_are_a_constant(kind, column):
    table = fitted(pd.DataFrame({"a": column, "b": [0.5, 1.5, 1.7]}), {"a": kind})
    assert table.kinds_ == ["constant", "gaussian"]


def test_identifiers_are_left_out_whatever_is_wished():
    X = pd.DataFrame({"name": [f"N{i}" for i in range(101)], "x": np.linspace(0, 1, 101)})
    with pytest.warns(ColumnWarning, match="'name' has 101 different values"):
        table = fitted(X, {"name": "categorical"})
    assert table.kinds_ == ["constant", "gaussian"]


# What is refused

WRONG = {
    "fraction as a count": ({"a": "poisson"}, "likelihood='poisson' accepts whole numbers from 0; column 'a' .* 0.1 to 0.5"),
    "negative counts": ({"minus": "negative_binomial"}, "'negative_binomial' accepts whole numbers from 0; column 'minus'"),
    "negative logarithm": (
        {"minus": "log_normal"},
        "likelihood='log_normal' accepts values above 0; column 'minus' .* -2 to 1",
    ),
    "logarithm of zero": ({"zero": "log_normal"}, "'log_normal' accepts values above 0; column 'zero' .* 0 to 2"),
    "share above one": ({"zero": "beta"}, "likelihood='beta' accepts values between 0 and 1; column 'zero' .* from 0 to 2"),
    "grey above one": ({"zero": "continuous_bernoulli"}, "accepts values between 0 and 1; column 'zero'"),
    "grid above one": ({"zero": "discretized"}, "likelihood='discretized' accepts values between 0 and 1; column 'zero'"),
    "three values as two": ({"zero": "bernoulli"}, "likelihood='bernoulli' accepts values between 0 and 1; column 'zero'"),
    "fraction as a code": ({"a": "categorical"}, "column 'a' needs whole numbers from 0 to at most 255; .* 0.1 to 0.5"),
    "negative code": ({"minus": "ordinal"}, "column 'minus' needs whole numbers from 0 to at most 255; .* from -2 to 1"),
    "too large a code": ({"large": "ordinal"}, "column 'large' needs whole numbers from 0 to at most 255; .* from 0 to 256"),
    "category as a number": ({"three": "gaussian"}, "column 'three' must be 'categorical' or 'ordinal'; got 'gaussian'"),
    "category as a truth value": ({"three": "bernoulli"}, "column 'three' must be 'categorical' or 'ordinal'; got 'bernoulli'"),
    "unknown column": ({"A": "gaussian"}, r"likelihood names columns that X does not have: \['A'\]; X has \['b', "),
    "position for a name": ({0: "gaussian"}, r"likelihood names columns that X does not have: \[0\]"),
    "unknown kind": ({"a": "cauchy"}, "likelihood of column 'a' must be 'auto' or one of .*'student_t'.*; got 'cauchy'"),
    "kind of no name": ({"a": None}, "likelihood of column 'a' must be 'auto' or one of .*; got None"),
    "constant": ({"a": "constant"}, "likelihood of column 'a' must be 'auto' or one of .*; got 'constant'"),
}


@pytest.mark.parametrize(("likelihood", "message"), WRONG.values(), ids=WRONG)
def test_a_kind_that_does_not_fit_is_refused_by_the_name_of_its_column(likelihood, message):
    X = MIXED.assign(minus=[-2, 0, 1, 1], zero=[0, 1, 2, 2], large=[0, 1, 2, 256])
    with pytest.raises(ValueError, match=message):
        fitted(X, likelihood)


def test_columns_of_an_array_are_named_by_position():
    with pytest.raises(
        ValueError, match="likelihood='beta' accepts values between 0 and 1; column 1 of X has values from 1 to 3"
    ):
        fitted(POSITIVE, "beta")
    with pytest.raises(ValueError, match=r"columns that X does not have: \[2\]; X has \[0, 1\]"):
        fitted(POSITIVE, {2: "beta"})


@pytest.mark.parametrize("X", [[[0.0], [0.5], [1.5]], [[-0.1], [NAN], [0.5], [1.0]]])
def test_bernoulli_refuses_values_outside_the_unit_interval(X):
    with pytest.raises(ValueError, match="likelihood='bernoulli' accepts values between 0 and 1; column 0 of X has values"):
        fitted(np.array(X), "bernoulli")


@pytest.mark.parametrize("likelihood", ["poisson", "beta", "categorical", "student_t", {0: "gaussian"}, {}])
def test_images_have_likelihoods_of_their_own(likelihood):
    with pytest.raises(ValueError, match="likelihood of images must be 'auto', 'gaussian', .*; got "):
        fitted(np.zeros((3, 2, 2)), likelihood)


# Outliers


def ramp(n=1001):
    """Evenly spaced values from 0 to 1: the middle nine tenths are 0.9 wide, so drawing in starts at 0.95 + 2.7."""
    return np.linspace(0, 1, n)[:, None]


@pytest.mark.parametrize("outlier", [3.6, 4.0, 1e3, 1e300, -1e9])
def test_values_beyond_three_widths_of_the_middle_count_as_lying_there(outlier):
    X = np.append(ramp(), [[outlier]], axis=0)
    inside = np.append(ramp(), [[np.clip(outlier, 0.05 - 2.7, 0.95 + 2.7)]], axis=0)
    center, scale = standardisation(X, np.ones(len(X)))
    np.testing.assert_allclose(center, inside.mean(), atol=2e-3)  # the edges of the middle are values of the column
    np.testing.assert_allclose(scale, inside.std(), rtol=1e-2)


def test_a_fifth_of_outliers_on_one_side_is_no_outlier():
    X = np.append(np.full((80, 1), 0.0) + ramp(80), np.full((20, 1), 1e3), axis=0)
    center, scale = standardisation(X, np.ones(100))
    np.testing.assert_allclose([center[0], scale[0]], [X.mean(), X.std()], rtol=1e-5)


def test_where_nine_tenths_are_one_value_nothing_is_drawn_in():
    X = np.append(np.zeros((98, 1)), [[5.0], [1e4]], axis=0)
    center, scale = standardisation(X, np.ones(100))
    np.testing.assert_allclose([center[0], scale[0]], [X.mean(), X.std()], rtol=1e-5)


def test_a_row_of_great_weight_is_no_outlier():
    X = np.append(ramp(), [[1e3]], axis=0)
    weight = np.append(np.ones(1001), 500.0)
    center, scale = standardisation(X, weight)
    mean = np.average(X[:, 0], weights=weight)
    np.testing.assert_allclose(center, mean, rtol=1e-5)
    np.testing.assert_allclose(scale, np.sqrt(np.average((X[:, 0] - mean) ** 2, weights=weight)), rtol=1e-5)


def test_an_outlier_keeps_its_value_and_comes_back():
    X = np.append(ramp(), [[1e4]], axis=0)
    with pytest.warns(ExtremeValueWarning, match="number of cells by column: 0: 1, such as 10000"):
        table = fitted(X)
    x = table.encode(X).x
    assert x[-1, 0] > 1e3
    np.testing.assert_allclose(table.decode(x)[-1], 1e4, rtol=1e-3)
    np.testing.assert_allclose(x[:-1, 0].std(), 1, rtol=0.1)  # all others fill the unit that the network reads


def test_a_column_of_a_table_on_a_grid_comes_back_as_it_was():
    """It used to be standardised, and then put into the unit interval: its lower half was lost."""
    shares = np.column_stack([np.linspace(0, 1, 51), np.linspace(-1, 1, 51)])
    table = fitted(shares, {0: "discretized"})
    np.testing.assert_allclose(table.numbers(table.encode(shares).x), shares, atol=1e-6)
    with pytest.raises(ValueError, match="values between 0 and 1; column 1 of X has values from -1"):
        fitted(shares, {1: "discretized"})


def test_the_least_numbers_are_standardised():
    X = np.array([[0.0], [1.0], [3.0]]) * 2.0**-1074
    center, scale = standardisation(X, np.ones(3))
    np.testing.assert_array_equal(center, 2.0**-1074)
    assert scale > 0 and np.isfinite(X / scale).all()


@pytest.mark.parametrize("together", [False, True])
def test_columns_that_fill_the_range_of_floats_have_a_scale(together):
    largest = np.finfo(float).max
    center, scale = standardisation(np.array([[largest], [-largest]] * 5), np.ones(10), together)
    assert center.tolist() == [0.0]
    assert np.isfinite(scale).all()
    np.testing.assert_allclose(scale, largest, rtol=1e-6)
