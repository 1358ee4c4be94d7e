"""Rows as arrays by name, and an order of them that depends on what they hold."""

import numpy as np

from keras_ssvae.data.rows import PreparedRows, canonical_order, row_keys


def some_rows(n, n_labeled, n_columns=3, seed=0):
    """Distinct rows whose first column is their number; labels on the first `n_labeled`, of two classes."""
    rng = np.random.RandomState(seed)
    x = rng.standard_normal((n, n_columns)).astype(np.float32)
    x[:, 0] = np.arange(n)
    codes = np.full(n, -1, np.int32)
    codes[:n_labeled] = np.arange(n_labeled) % 2
    return x, codes


def test_the_canonical_order_puts_equal_rows_side_by_side():
    x = np.array([[1, 2], [3, 4], [1, 2], [3, 4], [1, 2]], np.float32)
    codes = np.array([0, 1, 0, 1, -1], np.int32)
    order = canonical_order(x, codes).tolist()
    assert sorted(order) == [0, 1, 2, 3, 4]
    positions = {row: i for i, row in enumerate(order)}
    assert abs(positions[0] - positions[2]) == 1
    assert abs(positions[1] - positions[3]) == 1


def test_the_canonical_order_is_an_order_of_contents():
    x, codes = some_rows(20_000, 100)  # more than one block
    shuffle = np.random.RandomState(1).permutation(20_000)
    ordered = x[canonical_order(x, codes)]
    np.testing.assert_array_equal(ordered, x[shuffle][canonical_order(x[shuffle], codes[shuffle])])


def test_the_canonical_order_hashes_every_bit():
    """Rows that differ in one bit of one column, or in the label alone, have keys of their own."""
    x = np.zeros((97, 3), np.uint32)
    for column in range(3):
        for bit in range(32):
            x[1 + 32 * column + bit, column] = 1 << bit
    x = x.view(np.float32)
    for other in (np.random.RandomState(s).permutation(97) for s in range(3)):
        np.testing.assert_array_equal(
            x[canonical_order(x, np.zeros(97, np.int32))].view(np.uint32),
            x[other][canonical_order(x[other], np.zeros(97, np.int32))].view(np.uint32),
        )
    codes = np.arange(-1, 20, dtype=np.int32)
    alike = np.ones((21, 2), np.float32)
    backwards = codes[::-1]
    np.testing.assert_array_equal(codes[canonical_order(alike, codes)], backwards[canonical_order(alike, backwards)])


def test_the_canonical_order_modifies_nothing():
    x, codes = some_rows(30, 4)
    x.flags.writeable = codes.flags.writeable = False
    canonical_order(x, codes)


# Arrays by name


def arrays_of(n=6):
    x, codes = some_rows(n, 4)
    domain = np.arange(2 * n, dtype=np.int16).reshape(n, 2)
    return {"x": x, "y": codes, "observed": (x > 0).astype(np.float32), "domain": domain}


def test_all_arrays_of_a_row_stay_together():
    arrays = arrays_of()
    rows = PreparedRows(**arrays)
    assert len(rows) == 6
    for chosen in (slice(1, 3), np.array([4, 0, 4]), np.arange(6) % 2 == 0):
        part = rows[chosen]
        assert part.arrays.keys() == arrays.keys()
        for name, values in arrays.items():
            np.testing.assert_array_equal(part.arrays[name], values[chosen])


def test_rows_without_a_gap_have_no_mask():
    arrays = arrays_of()
    rows = PreparedRows(arrays["x"], None, y=arrays["y"])
    assert rows.observed is None
    assert list(rows.arrays) == ["x", "y"]
    assert rows.spec == {"x": ((3,), "float32"), "y": ((), "int32")}


def test_more_arrays_join_copies():
    arrays = arrays_of()
    rows = PreparedRows(arrays["x"], y=arrays["y"])
    more = rows.joined(domain=arrays["domain"], y=arrays["y"][::-1])
    assert list(rows.arrays) == ["x", "y"]
    assert more.spec == {**rows.spec, "domain": ((2,), "int16")}
    np.testing.assert_array_equal(more.y, arrays["y"][::-1])


def test_every_array_has_a_part_in_the_key():
    arrays = arrays_of()
    keys = PreparedRows(**arrays).keys()
    np.testing.assert_array_equal(keys, row_keys(**arrays))
    np.testing.assert_array_equal(PreparedRows(**arrays).order(), np.argsort(keys))
    changed = {"x": arrays["x"] + 1, "y": arrays["y"] + 1, "observed": 1 - arrays["observed"], "domain": arrays["domain"] + 1}
    for name, values in changed.items():
        assert (PreparedRows(**{**arrays, name: values}).keys() != keys).all(), name
    renamed = {"region" if name == "domain" else name: values for name, values in arrays.items()}
    assert (PreparedRows(**renamed).keys() != keys).all()
