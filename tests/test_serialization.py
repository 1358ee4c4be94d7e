"""One file and pickle: bit-equal answers, also in another process, and a file in which nothing is executed."""

import copy
import datetime
import io
import json
import os
import pickle
import random
import subprocess
import sys
import warnings
import zipfile
from fractions import Fraction
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from columns import COLUMNS, WITHOUT_GAPS, with_gaps
from model_files import npy, read_members, rewrite, write_sealed
from sklearn.exceptions import NotFittedError

import keras_ssvae
from keras_ssvae import SemiSupervisedVAE, load, serialization
from keras_ssvae.data.labels import LabelCodec
from keras_ssvae.data.schema import Schema
from keras_ssvae.nn.backbones import Pretrained
from keras_ssvae.registry import registered_class, registered_name

N = 40
RNG = np.random.RandomState(0)
X = RNG.standard_normal((N, 5))
CODES = RNG.randint(-1, 3, size=N)
ANIMALS = ["cat", "dog", "emu"]
NAMES = np.array([*ANIMALS, None], object)[CODES]
IMAGES = RNG.randint(0, 256, size=(N, 4, 4)).astype(np.uint8)
FRAME = pd.DataFrame(
    {
        "height": X[:, 0],
        "count": RNG.randint(0, 9, size=N),
        "Count": pd.array([None, *RNG.randint(0, 9, size=N - 1)], dtype="Int64"),
        "yes": X[:, 1] > 0,
        "Float": pd.array(X[:, 2], dtype="Float32"),
    }
)


def make(**settings):
    defaults = {"latent_dim": 2, "hidden_layer_sizes": (8,), "epochs": 1, "batch_size": 32, "random_state": 0}
    return SemiSupervisedVAE(**defaults | settings)


def users_model():
    return keras.Sequential([keras.Input((5,)), keras.layers.Dense(6, activation="relu"), keras.layers.Dropout(0.1)])


@keras.saving.register_keras_serializable("tests")
class Sampling(keras.layers.Layer):
    """The sampling layer of the VAE example in the Keras documentation, registered so that Keras can save it."""

    def call(self, inputs):
        mean, log_variance = inputs
        return mean + keras.ops.exp(0.5 * log_variance) * keras.random.normal(keras.ops.shape(mean))


def classic_encoder(sampling=Sampling, n_features=5):
    inputs = keras.Input((n_features,), name="rows")
    x = keras.layers.Dense(6, activation="relu")(inputs)
    mean, log_variance = keras.layers.Dense(2, name="z_mean")(x), keras.layers.Dense(2, name="z_log_var")(x)
    return keras.Model(inputs, [mean, log_variance, sampling()([mean, log_variance])], name="encoder")


def classic_decoder():
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(6, activation="relu"), keras.layers.Dense(5)])


USERS_OPTIMIZER = keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(1e-3, 9, 0.5))
# name -> (settings, X, y)
CASES = {
    "text labels": ({"unlabeled": "?"}, X, np.where(CODES < 0, "?", NAMES).astype(str)),
    "frame and objects": ({"class_prior": [1, 2.0, 1], "optimizer": USERS_OPTIMIZER}, FRAME, NAMES),
    "images": ({"hidden_layer_sizes": [8], "classes": 3}, IMAGES, None),
    "Keras models": ({"encoder": users_model(), "decoder": classic_decoder(), "classes": ANIMALS[::-1]}, X, NAMES),
    "callables": ({"encoder": users_model, "decoder": Pretrained(classic_decoder())}, X, CODES),
    # five columns, and for each a mark of what is missing
    "classic encoder and gaps": ({"encoder": classic_encoder(n_features=10)}, np.where(X > 1.5, np.nan, X), CODES),
    "code": ({"code_dim": 3, "code_layer_sizes": (8,)}, X, CODES),
}


ATTRIBUTES = ("classes_", "feature_names_in_", "n_features_in_", "n_iter_")


class Case:
    """A fitted estimator with its rows, its file, what was loaded from it, and all of its answers."""

    def __init__(self, folder, settings, values, y):
        with warnings.catch_warnings(record=True) as self.warnings:
            warnings.simplefilter("always", UserWarning)
            self.model, self.values, self.y = make(**settings).fit(values, y), values, y
        self.before = everything(self.model, values)
        self.parameters, self.state = self.model.get_params(), set(vars(self.model))
        self.path = folder / "model"
        self.model.save(self.path)
        self.loaded = load(self.path)


@pytest.fixture(scope="module", params=CASES)
def case(request, tmp_path_factory):
    return Case(tmp_path_factory.mktemp("case"), *CASES[request.param])


@pytest.fixture(scope="module")
def fitted():
    """Not to be changed."""
    return make().fit(X, CODES)


@pytest.fixture
def saved(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    return tmp_path / "model"


def everything(model, values):
    """Answers and attributes by name."""
    drawn, labels = model.sample(4, random_state=0)
    return {
        "predict": model.predict(values),
        "predict_proba": model.predict_proba(values),
        "transform": model.transform(values),
        "score_samples": model.score_samples(values, n_draws=2),
        "sample": drawn,
        "labels": labels,
        "history_": model.history_,
        **{name: np.asarray(getattr(model, name, None)) for name in ATTRIBUTES},
    }


def assert_same(one, other):
    """To the bit, with the same dtypes."""
    assert one.keys() == other.keys()
    for name, value in one.items():
        if isinstance(value, pd.DataFrame):
            pd.testing.assert_frame_equal(value, other[name], check_exact=True)
        else:
            np.testing.assert_array_equal(value, other[name], err_msg=name)
            assert value.dtype == other[name].dtype


# The same answers


def test_a_loaded_estimator_gives_the_same_answers(case):
    assert_same(case.before, everything(case.loaded, case.values))


def test_an_unpickled_estimator_gives_the_same_answers(case):
    assert_same(case.before, everything(pickle.loads(pickle.dumps(case.model)), case.values))


def test_saving_changes_nothing_in_the_estimator(case):
    pickle.dumps(case.model)
    assert_same(case.before, everything(case.model, case.values))
    assert set(vars(case.model)) == case.state == set(vars(case.loaded))
    assert all(case.model.get_params()[name] is value for name, value in case.parameters.items())


def test_a_loaded_estimator_can_be_saved_again(case, tmp_path):
    case.loaded.save(tmp_path / "again")
    with zipfile.ZipFile(case.path) as first, zipfile.ZipFile(tmp_path / "again") as second:
        assert first.namelist() == second.namelist()
        for name in first.namelist():
            if not name.endswith("keras"):  # Keras writes the date into its files
                assert first.read(name) == second.read(name)


def test_parameters_come_back(case):
    loaded = case.loaded.get_params()
    for name, value in case.parameters.items():
        if name in ("encoder", "decoder") and value is not None:
            assert isinstance(loaded[name], keras.Model)
        elif name == "optimizer" and not isinstance(value, str):
            assert type(loaded[name]) is type(value)
            assert loaded[name].get_config() == json.loads(json.dumps(value.get_config(), default=float))
        else:
            assert loaded[name] == value
            assert type(loaded[name]) is type(value)


def test_a_file_holds_no_pickle(case):
    with zipfile.ZipFile(case.path) as archive:
        assert {name.rsplit(".")[-1] for name in archive.namelist()} <= {"json", "npy", "keras"}
        for name in archive.namelist():
            if name.endswith("npy"):
                np.load(io.BytesIO(archive.read(name)), allow_pickle=False)


def test_building_a_network_warns_the_user_of_nothing(case):
    assert [str(w.message) for w in case.warnings if w.category is UserWarning] == []


def test_training_goes_on_as_if_nothing_had_happened(fitted, saved):
    results = []
    for model in (copy.copy(fitted), load(saved)):
        before = model.network_
        results.append(everything(model.partial_fit(X, CODES), X))
        assert model.network_ is not before
    assert_same(*results)


def test_the_container_of_transform_comes_back(fitted, tmp_path):
    model = copy.copy(fitted).set_output(transform="pandas")
    model.save(tmp_path / "model")
    for other in (pickle.loads(pickle.dumps(model)), load(tmp_path / "model")):
        pd.testing.assert_frame_equal(other.transform(X), model.transform(X))


KINDS = {
    "nothing": [None, pd.NA, float("nan"), float("inf"), -0.0],
    "plain": [True, 1, 2**70, 0.1, "cat", "", "1"],
    "nested": (1, [2, (3, {"a": [None], 4: "b", None: ()})]),
    "numpy": [np.float32(0.1), np.int8(-1), np.bool_(True), np.str_("cat"), np.float64(0.1)],
    "arrays": [np.arange(3), np.array(["a", "bc"]), np.zeros((0, 2)), np.array(True), np.array([0.1, np.nan])],
    "objects": np.array(["a", None, 1, pd.NA, (1, 2)], object),
    "columns": [
        pd.Index([*"ab"]), pd.Index([*"ab"], name="letter"), pd.Index([3, 1]), pd.Index(["a", 1]), pd.RangeIndex(2),
        pd.Index([*"ab"], dtype=object), pd.Index([1, 2], dtype="int8"), pd.interval_range(0.0, 2.0), pd.Index([0.5]),
        pd.MultiIndex.from_product([["a"], [1, 2]], names=["letter", None]),
        pd.Index([("a", 1), ("b", 2)], tupleize_cols=False),
    ],
    "dtypes": [
        np.dtype("float32"), np.dtype("<U3"), np.dtype(object), np.dtype("datetime64[s]"), pd.Int64Dtype(), pd.BooleanDtype(),
        pd.Float32Dtype(), pd.StringDtype(na_value=np.nan), pd.StringDtype("python"), pd.DatetimeTZDtype("us", "Europe/Berlin"),
        pd.CategoricalDtype([2, 1], ordered=True), pd.CategoricalDtype([("b", 2), ("a", 1)]),
    ],
    "intervals": [pd.Interval(0, 1), pd.Interval(-0.5, 0.5, "both")],
    "frame": pd.DataFrame({"epoch": [1, 2], "loss": [0.5, np.nan], "stage": ["a", "b"]}),
}  # fmt: skip


def assert_alike(value, other):
    if isinstance(value, (list, tuple, dict)):
        assert type(value) is type(other)
        assert len(value) == len(other)
        pairs = zip(value.items(), other.items()) if isinstance(value, dict) else zip(value, other)
        for mine, theirs in pairs:
            assert_alike(mine, theirs)
    elif isinstance(value, pd.Index):
        pd.testing.assert_index_equal(other, value, exact="equiv")
    elif isinstance(value, pd.DataFrame):
        pd.testing.assert_frame_equal(other, value)
    elif isinstance(value, np.ndarray) and value.dtype == object:
        assert_alike(value.tolist(), other.tolist())
    elif isinstance(value, (np.ndarray, float)):
        assert type(other) is type(value)
        np.testing.assert_array_equal(other, value, strict=True)
    else:
        assert type(other) is type(value)
        assert other is value or other == value


def test_values_of_every_kind_come_back(fitted, tmp_path):
    model = copy.copy(fitted)
    model.kinds_ = KINDS
    model.save(tmp_path / "model")
    loaded = load(tmp_path / "model").kinds_
    for kind, value in KINDS.items():
        assert_alike(value, loaded[kind])


NOT_DATA = {"Arrow dictionary"}  # what pandas has no name for
SCHEMAS = {name: Schema().fit(pd.DataFrame({"c": series})) for name, (series, _) in COLUMNS.items()}


@pytest.fixture(scope="module")
def loaded_schemas(fitted, tmp_path_factory):
    model, path = copy.copy(fitted), tmp_path_factory.mktemp("schemas") / "model"
    model.schemas_ = {name: schema for name, schema in SCHEMAS.items() if name not in NOT_DATA}
    model.save(path)
    return load(path).schemas_


@pytest.mark.parametrize("name", sorted({*COLUMNS} - NOT_DATA))
def test_columns_of_every_kind_come_back(name, loaded_schemas):
    frame = pd.DataFrame({"c": with_gaps(name)[0] if name not in WITHOUT_GAPS else COLUMNS[name][0]})
    values = loaded_schemas[name].read(frame)
    np.testing.assert_array_equal(values, SCHEMAS[name].read(frame))
    pd.testing.assert_frame_equal(loaded_schemas[name].write(values), SCHEMAS[name].write(values), check_exact=True)


@pytest.mark.parametrize("name", sorted({*COLUMNS} & NOT_DATA))
def test_a_column_that_cannot_be_written_as_data_is_refused_when_saving(name, fitted, tmp_path):
    model = copy.copy(fitted)
    model.schema_ = SCHEMAS[name]
    with pytest.raises(TypeError, match=r"save cannot write X\['c'\]\.dtype = .* use pickle"):
        model.save(tmp_path / "model")


def test_levels_that_cannot_be_written_are_named_by_their_column(fitted, tmp_path):
    model = copy.copy(fitted)
    model.schema_ = Schema().fit(np.array([["a", Fraction(1, 3)], ["b", Fraction(2, 3)]], object))
    with pytest.raises(TypeError, match=r"save cannot write X\[1\]\.levels = Fraction\(1, 3\) as data; .* use pickle"):
        model.save(tmp_path / "model")


def test_weights_that_no_file_has_a_name_for_are_refused(fitted, tmp_path):
    model = copy.copy(fitted)
    model.weights_ = tf.zeros(2, tf.bfloat16).numpy()
    with pytest.raises(TypeError, match="save cannot write weights_, an array of bfloat16, as data; .* pickle"):
        model.save(tmp_path / "model")


def test_more_levels_in_order_than_the_network_is_wide(tmp_path):
    rng = np.random.RandomState(0)
    levels = pd.Categorical(rng.randint(0, 40, 60), range(40), ordered=True)
    frame = pd.DataFrame({"a": rng.standard_normal(60), "level": levels})
    model = keras_ssvae.VAE(latent_dim=2, hidden_layer_sizes=(8,), epochs=1, jit_compile=False, random_state=0).fit(frame)
    model.save(tmp_path / "model")
    pd.testing.assert_frame_equal(load(tmp_path / "model").reconstruct(frame), model.reconstruct(frame))


IN_A_NEW_PROCESS = """
import pickle, sys
import numpy as np
import keras_ssvae
folder = sys.argv[1]
X = np.load(folder + "/X.npy")
with open(folder + "/pickle", "rb") as file:
    models = {"pickle": pickle.load(file)}
for name in ("file", "callable"):
    models[name] = keras_ssvae.load(folder + "/" + name)
out = {}
for name, model in models.items():
    out[name + "_proba"] = model.predict_proba(X)
    out[name + "_latent"] = model.transform(X)
    out[name + "_score"] = model.score_samples(X, n_draws=2)
    out[name + "_label"] = model.predict(X).astype(str)
np.savez(folder + "/out.npz", **out)
"""


def test_a_new_process_gives_the_same_answers_to_the_bit(fitted, tmp_path):
    named = make(encoder=users_model).fit(X, NAMES)
    fitted.save(tmp_path / "file")
    named.save(tmp_path / "callable")
    (tmp_path / "pickle").write_bytes(pickle.dumps(fitted))
    np.save(tmp_path / "X.npy", X)
    root = Path(keras_ssvae.__file__).parents[1]
    run = subprocess.run([sys.executable, "-c", IN_A_NEW_PROCESS, tmp_path], capture_output=True, text=True, cwd=root)
    assert run.returncode == 0, run.stderr
    out = np.load(tmp_path / "out.npz")
    for name, model in {"file": fitted, "callable": named, "pickle": fitted}.items():
        np.testing.assert_array_equal(out[f"{name}_proba"], model.predict_proba(X))
        np.testing.assert_array_equal(out[f"{name}_latent"], model.transform(X))
        np.testing.assert_array_equal(out[f"{name}_score"], model.score_samples(X, n_draws=2))
        np.testing.assert_array_equal(out[f"{name}_label"], model.predict(X).astype(str))


def test_the_users_generators_are_left_alone(case, tmp_path):
    for action in (lambda: case.model.save(tmp_path / "model"), lambda: load(case.path)):
        keras.utils.set_random_seed(5)
        expected = random.random(), np.random.random_sample()
        keras.utils.set_random_seed(5)
        action()
        assert (random.random(), np.random.random_sample()) == expected


# The file


@pytest.mark.parametrize("kind", [str, Path])
def test_paths(kind, fitted, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fitted.save(kind("model.ssvae"))
    assert os.listdir() == ["model.ssvae"]
    np.testing.assert_array_equal(load(kind("model.ssvae")).transform(X), fitted.transform(X))
    fitted.save(kind("model.ssvae"))  # again, over the first
    assert os.listdir() == ["model.ssvae"]


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_others_may_read_the_file_as_any_other(fitted, tmp_path):
    (tmp_path / "any").write_bytes(b"")
    fitted.save(tmp_path / "model")
    assert (tmp_path / "model").stat().st_mode == (tmp_path / "any").stat().st_mode


def test_a_folder_that_is_not_there(fitted, tmp_path):
    with pytest.raises(FileNotFoundError):
        fitted.save(tmp_path / "none" / "model")


@pytest.mark.parametrize("where", [(zipfile.ZipFile, "writestr"), (json, "dumps"), (os, "replace")])
@pytest.mark.parametrize("error", [OSError("No space left on device"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_the_old_file_and_no_other(where, error, fitted, tmp_path, monkeypatch):
    saved, before, done = tmp_path / "model", b"an old file", []
    saved.write_bytes(before)

    original = getattr(*where)

    def fail(*args, **kwargs):
        if where[1] == "writestr" and not done:  # the disk is full halfway
            return done.append(original(*args, **kwargs))
        raise error

    monkeypatch.setattr(*where, fail)
    with pytest.raises(type(error)):
        fitted.save(saved)
    monkeypatch.undo()
    assert saved.read_bytes() == before
    assert [p.name for p in saved.parent.iterdir()] == ["model"]


def test_a_failed_first_save_leaves_nothing(fitted, tmp_path):
    model = copy.copy(fitted)
    model.callbacks = [object()]
    with pytest.raises(TypeError):
        serialization.save(model, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_an_unfitted_estimator_is_not_saved(tmp_path):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        make().save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_an_unfitted_estimator_is_pickled():
    assert pickle.loads(pickle.dumps(make())).get_params() == make().get_params()


class UsersOptimizer(keras.optimizers.SGD):
    pass


def users_activation(x):
    return x


class NotRegistered(keras.layers.Layer):
    def call(self, inputs):
        return inputs[0]


UNSAVABLE = {
    "activation": users_activation,
    "callbacks": [keras.callbacks.TerminateOnNaN()],
    "random_state": np.random.RandomState(0),
    "optimizer": UsersOptimizer(0.1),
    "encoder": classic_encoder(NotRegistered),
    "decoder": keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda z: z), keras.layers.Dense(5)]),
    "classes": [Fraction(1, 3), Fraction(2, 3)],
}


@pytest.mark.parametrize("name", UNSAVABLE)
def test_what_cannot_be_written_as_data_is_named_when_saving(name, fitted, tmp_path):
    model = copy.copy(fitted)
    setattr(model, name, UNSAVABLE[name])
    with pytest.raises(TypeError, match=f"save cannot write {name} = .* use pickle"):
        model.save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_labels_that_cannot_be_written_are_named_when_saving(fitted, tmp_path):
    model = copy.copy(fitted)
    model._codec = LabelCodec().fit([Fraction(code, 3) for code in range(3)], 3)
    with pytest.raises(TypeError, match=r"save cannot write _codec\.classes_ = "):
        model.save(tmp_path / "model")


def test_labels_that_are_days_come_back(fitted, tmp_path):
    model, days = copy.copy(fitted), [datetime.date(2020 + code, 1, 1) for code in range(3)]
    model._codec = LabelCodec().fit(days, 3)
    model.classes_ = model._codec.classes_
    model.save(tmp_path / "model")
    assert load(tmp_path / "model").classes_.tolist() == days


# Families of the user


class VAE(keras_ssvae.VAE):
    """Has the name of a class of ours, and is not that class."""


@keras_ssvae.register(name="mine")
class Mine(keras_ssvae.VAE):
    """May be saved."""


def test_a_class_of_the_user_is_not_saved_under_the_name_of_ours(tmp_path):
    model = VAE(latent_dim=2, hidden_layer_sizes=(8,), epochs=1, random_state=0).fit(X)
    with pytest.raises(TypeError, match=r"save cannot write a \S*VAE, which load could not make: its class is not registered"):
        model.save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []
    again = pickle.loads(pickle.dumps(model))
    assert type(again) is VAE
    np.testing.assert_array_equal(again.transform(X), model.transform(X))


def test_a_registered_class_of_the_user_is_saved_and_loaded_by_its_name(tmp_path):
    model = Mine(latent_dim=2, hidden_layer_sizes=(8,), epochs=1, random_state=0).fit(X)
    model.save(tmp_path / "model")
    with zipfile.ZipFile(tmp_path / "model") as archive:
        assert json.loads(archive.read("estimator.json"))["estimator"] == "mine"
    again = load(tmp_path / "model")
    assert type(again) is Mine
    np.testing.assert_array_equal(again.transform(X), model.transform(X))


def test_a_name_that_is_taken_is_refused():
    class Other(keras_ssvae.VAE):
        pass

    for name in ("mine", "VAE"):
        with pytest.raises(ValueError, match=f"'{name}' is the registered name of .* already"):
            keras_ssvae.register(Other, name=name)
    assert registered_class("mine") is Mine
    assert registered_name(Other) is None


def test_a_class_that_is_defined_again_takes_its_own_place():
    """As a cell of a notebook that was run again."""

    def define():
        @keras_ssvae.register(name="again")
        class Again(keras_ssvae.VAE):
            pass

        return Again

    first, second = define(), define()
    assert registered_class("again") is second
    assert registered_name(first) is None


# What load refuses


def put(parameter, tree):
    """An edit that replaces the tree of a parameter."""

    def edit(header):
        (pair,) = [pair for pair in header["state"]["dict"] if pair[0] == parameter]
        pair[1] = tree

    return edit


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="No such file .*model"):
        load(tmp_path / "model")


@pytest.mark.parametrize("content", [b"", b"cats", b"PK\x03\x04cats"], ids=["empty", "text", "like a zip"])
def test_a_file_that_is_not_ours(content, tmp_path):
    (tmp_path / "model").write_bytes(content)
    with pytest.raises(ValueError, match="'.*model' is not a file that keras_ssvae wrote"):
        load(tmp_path / "model")
    with pytest.raises(IsADirectoryError):
        load(tmp_path)


def test_a_zip_that_is_not_ours(tmp_path):
    with zipfile.ZipFile(tmp_path / "model", "w") as archive:
        archive.writestr("cats.txt", "meow")
    with pytest.raises(ValueError, match="is not a file that keras_ssvae wrote"):
        load(tmp_path / "model")


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.6, 0.9, 0.999])
@pytest.mark.parametrize("damage", ["cut off", "a bit flipped"])
def test_a_damaged_file_is_never_taken_for_a_sound_one(damage, share, fitted, saved):
    content = bytearray(saved.read_bytes())
    position = int(share * (len(content) - 1))
    if damage == "cut off":
        del content[position:]
    else:
        content[position] ^= 0x10
    saved.write_bytes(content)
    try:
        loaded = load(saved)
    except ValueError as error:
        assert "model'" in str(error)
    else:  # a bit of the archive that means nothing, as a time stamp
        assert damage == "a bit flipped"
        np.testing.assert_array_equal(loaded.predict_proba(X), fitted.predict_proba(X))


HEADERS = {
    "no format": lambda h: {k: v for k, v in h.items() if k != "format"},
    "a format of text": lambda h: h | {"format": "new"},
    "no estimator": lambda h: {k: v for k, v in h.items() if k != "estimator"},
    "no state": lambda h: {k: v for k, v in h.items() if k != "state"},
    "a list": lambda h: [1, 2],
    "a list as state": lambda h: h | {"state": []},
    "an empty state": lambda h: h | {"state": {"dict": []}},
    "an unknown estimator": lambda h: h | {"estimator": "Popen"},
    "a module": lambda h: h | {"estimator": "semi_supervised_vae"},
    "an estimator in a list": lambda h: h | {"estimator": ["SemiSupervisedVAE"]},
}


@pytest.mark.parametrize("edit", HEADERS.values(), ids=HEADERS)
def test_a_header_that_makes_no_sense_is_refused(edit, saved):
    rewrite(saved, edit)
    with pytest.raises(ValueError, match="model'"):
        load(saved)


def test_a_header_that_is_no_json_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "model", "w") as archive:
        archive.writestr("estimator.json", "{cats")
    with pytest.raises(ValueError, match="'.*model'"):
        load(tmp_path / "model")


def test_a_later_format_is_refused_by_its_version(saved):
    rewrite(saved, lambda h: h | {"format": serialization.FORMAT + 1, "version": "99.0"})
    with pytest.raises(ValueError, match="written by keras_ssvae 99.0, which is newer"):
        load(saved)


TREES = {
    "unknown tag": {"pickle": "0.npy"},
    "tag of a Python method": {"_getattribute__": "value"},
    "tag of a Python class": {"_class__": None},
    "tag of the reader itself": {"_init__": None},
    "unknown part": {"part": ["Popen", {"dict": []}]},
    "two tags": {"tuple": [], "dict": []},
    "no tag": {},
    "array that is not there": {"array": "../../model"},
    "model that is not there": {"model": "nothing.keras"},
    "unknown dtype": {"dtype": "cats"},
    "optimizer that is none": {"optimizer": {"module": "keras.layers", "class_name": "Dense", "config": {"units": 3}}},
    "optimizer by another name": {"optimizer": {"module": "os", "class_name": "system", "config": {"command": "true"}}},
    "optimizer of text": {"optimizer": "sgd"},
}


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
def test_a_value_that_makes_no_sense_is_refused(tree, saved):
    rewrite(saved, put("optimizer", tree))
    with pytest.raises(ValueError, match="model'"):
        load(saved)


# Nothing is executed


class Trap:
    """Pickled, it makes a file where it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_an_array_of_objects_is_not_unpickled(saved, tmp_path):
    trap = npy(np.array([Trap(tmp_path / "sprung")], object), allow_pickle=True)
    write_sealed(saved, {**read_members(saved), "999.npy": trap})
    rewrite(saved, put("classes", {"array": "999.npy"}))
    with pytest.raises(ValueError, match="is no dtype of an array that load reads"):
        load(saved)
    assert not (tmp_path / "sprung").exists()


def test_code_inside_a_keras_model_is_not_run(saved, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = keras.Sequential([keras.Input((5,)), keras.layers.Lambda(lambda x: [x, open("sprung", "w").close()][0])])
    model.save("trap.keras")
    os.unlink("sprung")  # made where the model was, and not to be made again
    write_sealed(saved, {**read_members(saved), "999.keras": Path("trap.keras").read_bytes()})
    rewrite(saved, put("encoder", {"model": "999.keras"}))
    with pytest.raises(ValueError, match="it names 'Lambda' of 'keras.layers', which load does not make"):
        load(saved)
    assert not os.path.exists("sprung")


@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")
def test_code_inside_an_optimizer_is_not_run(saved):
    optimizer = keras.optimizers.serialize(keras.optimizers.SGD(0.1))
    function = keras.saving.serialize_keras_object(lambda: pytest.fail("executed"))
    optimizer["config"]["learning_rate"] = function
    rewrite(saved, put("optimizer", {"optimizer": json.loads(json.dumps(optimizer, default=float))}))
    with pytest.raises(ValueError, match="model'"):
        load(saved)
