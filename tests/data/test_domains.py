"""Names of domains, to indices."""

import numpy as np
import pytest

from keras_ssvae.data.domains import DomainCodec


@pytest.mark.parametrize("names", [["b", "a", "b"], [2020, 1999, 2020], [True, False, True]], ids=["text", "numbers", "truth"])
def test_names_become_indices_in_their_order(names):
    codec = DomainCodec().fit(names, 3)
    assert codec.domains_.tolist() == sorted(set(names))
    np.testing.assert_array_equal(codec.encode(names, 3), [[0, 1], [1, 0], [0, 1]])
    np.testing.assert_array_equal(codec.indices_of(names[0], 2), [1, 1])


def test_minus_one_is_a_name_like_others():
    assert DomainCodec().fit([-1, 1, -1], 3).domains_.tolist() == [-1, 1]


@pytest.mark.parametrize(
    ("domain", "message"),
    [
        (["a", "b"], "one entry for each of the 3 rows; got 2"),
        (["a", None, "b"], "missing for 1"),
        ([np.nan, 1.0, 2.0], "missing for 1"),
        (["a", "a", "a"], "at least two domains"),
        ([0.5, 1.0, 2.0], "one name for each row: .*0.5"),
        ([["a", "b"]] * 3, "one name for each row"),
    ],
    ids=["length", "None", "NaN", "one", "fractions", "two columns"],
)
def test_what_is_no_domain_for_every_row_is_refused(domain, message):
    with pytest.raises(ValueError, match=message):
        DomainCodec().fit(domain, 3)


def test_unknown_names_are_refused():
    codec = DomainCodec().fit(["a", "b"], 2)
    with pytest.raises(ValueError, match=r"unknown domains \['c'\].*\['a', 'b'\]"):
        codec.indices_of(["a", "c"], 2)
