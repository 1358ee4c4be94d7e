"""skops, and MLflow by it: a fitted estimator is the bytes of our own file, and is checked as such."""

import numpy as np
import pandas as pd
import pytest
import sklearn.base
from instances import assert_same_weights, make, one_worker

import keras_ssvae


@pytest.mark.parametrize("cls", [pytest.param(cls, marks=one_worker(cls)) for cls in (keras_ssvae.VAE, keras_ssvae.M1)])
def test_skops_writes_the_bytes_of_our_file_and_pickle_all_attributes(cls, tmp_path):
    skops = pytest.importorskip("skops.io")
    from skops.io.exceptions import UntrustedTypesFoundException

    X = np.random.RandomState(0).standard_normal((40, 4)) + 3 * (np.arange(40) % 3)[:, None]
    frame = pd.DataFrame(X, columns=list("abcd")).assign(e=pd.Categorical(["x", "y"] * 20))
    model = make(cls, epochs=1, jit_compile=False).fit(frame, np.arange(40) % 3)
    skops.dump(model, tmp_path / "model.skops")
    asked = skops.get_untrusted_types(file=tmp_path / "model.skops")
    assert asked == [f"{cls.__module__}.{cls.__qualname__}"]
    with pytest.raises(UntrustedTypesFoundException):
        skops.load(tmp_path / "model.skops")
    loaded = skops.load(tmp_path / "model.skops", trusted=asked)
    assert type(loaded) is cls
    assert_same_weights(loaded, model)
    assert loaded.get_params(deep=False).keys() == model.get_params(deep=False).keys()
    if hasattr(cls, "predict_proba"):
        np.testing.assert_array_equal(loaded.predict_proba(frame), model.predict_proba(frame))
    assert "saved" not in vars(loaded)
    clone = skops.loads(skops.dumps(sklearn.base.clone(model)), trusted=asked)
    assert clone.get_params(deep=False).keys() == model.get_params(deep=False).keys() and not hasattr(clone, "network_")


def test_a_state_for_skops_is_checked_as_a_file_is():
    model = make(keras_ssvae.VAE, epochs=1).fit(np.random.RandomState(0).standard_normal((20, 3)))
    state = model.__getstate__()
    for wrong in (state["saved"][:-5], b"", state["saved"][:200] + b"!" + state["saved"][201:]):
        with pytest.raises(keras_ssvae.ModelFileError):
            keras_ssvae.VAE.__new__(keras_ssvae.VAE).__setstate__({"saved": wrong})
    with pytest.raises(keras_ssvae.ModelFileError, match="that of a VAE, not of a M1"):
        keras_ssvae.M1.__new__(keras_ssvae.M1).__setstate__(state)
