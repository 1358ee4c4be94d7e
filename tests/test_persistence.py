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
import zipfile
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

import keras_ssvae
from keras_ssvae import SemiSupervisedVAE, load, persistence
from keras_ssvae.backbones import Pretrained

N = 40
RNG = np.random.RandomState(0)
X = RNG.standard_normal((N, 5))
CODES = RNG.randint(-1, 3, size=N)
NAMES = np.array(["cat", "dog", "emu", None], object)[CODES]
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
    defaults = {"latent_dim": 2, "hidden_layer_sizes": (8,), "epochs": 2, "batch_size": 32, "random_state": 0}
    return SemiSupervisedVAE(**defaults | settings)


def users_model():
    return keras.Sequential([keras.Input((5,), name="rows"), keras.layers.Dense(6, activation="relu"), keras.layers.Dropout(0.1)])


@keras.saving.register_keras_serializable("tests")
class Sampling(keras.layers.Layer):
    """The sampling layer of the VAE example in the Keras documentation, registered so that Keras can save it."""

    def call(self, inputs):
        mean, log_variance = inputs
        return mean + keras.ops.exp(0.5 * log_variance) * keras.random.normal(keras.ops.shape(mean))


def classic_encoder(sampling=Sampling):
    inputs = keras.Input((5,), name="rows")
    x = keras.layers.Dense(6, activation="relu")(inputs)
    mean, log_variance = keras.layers.Dense(2, name="z_mean")(x), keras.layers.Dense(2, name="z_log_var")(x)
    return keras.Model(inputs, [mean, log_variance, sampling()([mean, log_variance])], name="encoder")


def classic_decoder():
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(6, activation="relu"), keras.layers.Dense(5)])


# name -> (settings, X, y)
CASES = {
    "array": ({}, X, CODES),
    "text labels": ({"unlabeled": "?"}, X, np.where(CODES < 0, "?", NAMES).astype(str)),
    "frame and objects": ({"class_prior": [1, 2.0, 1]}, FRAME, NAMES),
    "images": ({"hidden_layer_sizes": [8]}, IMAGES, CODES),
    "gaps": ({"classes": ["emu", "cat", "dog"]}, np.where(X > 1.5, np.nan, X), NAMES),
    "no labels": ({"classes": 3}, X, None),
    "Keras models": ({"encoder": users_model(), "decoder": classic_decoder()}, X, CODES),
    "callables": ({"encoder": users_model, "decoder": Pretrained(classic_decoder())}, X, CODES),
    "classic encoder": ({"encoder": classic_encoder(), "decoder": classic_decoder()}, X, CODES),
    "optimizer": ({"optimizer": keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(1e-3, 9, 0.5))}, X, CODES),
    "code": ({"code_dim": 3, "code_layer_sizes": (8,)}, X, CODES),
}
FITTED = {}


@pytest.fixture(params=CASES)
def case(request):
    """(fitted estimator, X, y); fitted once for all tests of this file, and not to be changed by them."""
    settings, values, y = CASES[request.param]
    if request.param not in FITTED:
        FITTED[request.param] = make(**settings).fit(values, y)
    return FITTED[request.param], values, y


@pytest.fixture
def fitted():
    if "array" not in FITTED:
        FITTED["array"] = make().fit(X, CODES)
    return FITTED["array"]


@pytest.fixture
def saved(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    return tmp_path / "model"


def answers(model, values):
    return {
        "predict_proba": model.predict_proba(values),
        "transform": model.transform(values),
        "score_samples": model.score_samples(values, n_draws=5),
    }


def assert_same(one, other, values):
    mine, theirs = answers(one, values), answers(other, values)
    for name in mine:
        np.testing.assert_array_equal(mine[name], theirs[name], err_msg=name)
        assert mine[name].dtype == theirs[name].dtype
    np.testing.assert_array_equal(one.predict(values), other.predict(values))
    assert one.classes_.dtype == other.classes_.dtype
    drawn, again = one.sample(4, random_state=0), other.sample(4, random_state=0)
    if isinstance(values, pd.DataFrame):
        pd.testing.assert_frame_equal(drawn[0], again[0])
        pd.testing.assert_frame_equal(one.reconstruct(values), other.reconstruct(values))
    else:
        np.testing.assert_array_equal(drawn[0], again[0])
        assert drawn[0].dtype == again[0].dtype
    np.testing.assert_array_equal(drawn[1], again[1])
    pd.testing.assert_frame_equal(one.history_, other.history_)
    for name in ("n_features_in_", "n_iter_"):
        assert getattr(one, name) == getattr(other, name)
    assert list(getattr(one, "feature_names_in_", [])) == list(getattr(other, "feature_names_in_", []))


# The same answers


def test_save_and_load(case, tmp_path):
    model, values, _ = case
    model.save(tmp_path / "model")
    assert_same(model, load(tmp_path / "model"), values)


def test_pickle(case):
    model, values, _ = case
    if callable(model.encoder) and not isinstance(model.encoder, keras.Model):
        model = copy.copy(model).set_params(decoder=None, encoder=None) if False else model
    assert_same(model, pickle.loads(pickle.dumps(model)), values)


def test_saving_changes_nothing_in_the_estimator(case, tmp_path):
    model, values, _ = case
    before, parameters, state = answers(model, values), model.get_params(), set(vars(model))
    model.save(tmp_path / "model")
    pickle.dumps(model)
    assert set(vars(model)) == state
    assert all(model.get_params()[name] is value for name, value in parameters.items())
    for name, value in answers(model, values).items():
        np.testing.assert_array_equal(value, before[name])


def test_parameters_come_back(case, tmp_path):
    model, *_ = case
    model.save(tmp_path / "model")
    loaded = load(tmp_path / "model").get_params()
    for name, value in model.get_params().items():
        if name in ("encoder", "decoder") and value is not None:
            assert isinstance(loaded[name], keras.Model)
        elif name == "optimizer" and not isinstance(value, str):
            assert type(loaded[name]) is type(value)
            expected = json.dumps(value.get_config(), default=float)
            assert json.loads(json.dumps(loaded[name].get_config(), default=float)) == json.loads(expected)
        else:
            assert loaded[name] == value
            assert type(loaded[name]) is type(value)


@pytest.mark.parametrize("way", ["file", "pickle"])
def test_training_goes_on_as_if_nothing_had_happened(way, fitted, saved):
    loaded = load(saved) if way == "file" else pickle.loads(pickle.dumps(fitted))
    original = pickle.loads(pickle.dumps(fitted))  # the fixture itself stays as it is
    assert_same(original.partial_fit(X, CODES), loaded.partial_fit(X, CODES), X)


def test_a_loaded_estimator_can_be_saved_again(case, tmp_path):
    model, values, _ = case
    model.save(tmp_path / "first")
    load(tmp_path / "first").save(tmp_path / "second")
    assert_same(model, load(tmp_path / "second"), values)


def test_the_container_of_transform_comes_back(tmp_path):
    model = make().fit(X, CODES).set_output(transform="pandas")
    model.save(tmp_path / "model")
    for other in (load(tmp_path / "model"), pickle.loads(pickle.dumps(model))):
        pd.testing.assert_frame_equal(other.transform(X), model.transform(X))


def test_names_of_columns_come_back(tmp_path):
    columns = pd.MultiIndex.from_tuples([("a", i) for i in range(5)], names=["letter", "number"])
    model = make(epochs=1).fit(pd.DataFrame(X, columns=columns), CODES)
    model.save(tmp_path / "model")
    pd.testing.assert_index_equal(load(tmp_path / "model").sample(2)[0].columns, columns)


@pytest.mark.parametrize("unlabeled", [None, float("nan"), pd.NA, 99, "?"])
def test_the_mark_of_unlabelled_rows_comes_back(unlabeled, tmp_path):
    y = np.array([unlabeled, *["a", "b"] * 10], object) if isinstance(unlabeled, str) else [unlabeled, *[0, 1] * 10]
    model = make(unlabeled=unlabeled, epochs=1).fit(X[:21], y)
    model.save(tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert loaded.unlabeled is unlabeled or loaded.unlabeled == unlabeled or np.isnan(loaded.unlabeled)
    pd.testing.assert_frame_equal(loaded.loss_terms(X[:21], y), model.loss_terms(X[:21], y))


IN_A_NEW_PROCESS = """
import pickle, sys
import numpy as np
import keras_ssvae
folder = sys.argv[1]
X = np.load(folder + "/X.npy")
with open(folder + "/pickle", "rb") as file:
    models = {"file": keras_ssvae.load(folder + "/file"), "callable": keras_ssvae.load(folder + "/callable"), "pickle": pickle.load(file)}
out = {}
for name, model in models.items():
    out[name + "_proba"] = model.predict_proba(X)
    out[name + "_latent"] = model.transform(X)
    out[name + "_score"] = model.score_samples(X, n_draws=5)
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
        expected = answers(model, X)
        np.testing.assert_array_equal(out[f"{name}_proba"], expected["predict_proba"])
        np.testing.assert_array_equal(out[f"{name}_latent"], expected["transform"])
        np.testing.assert_array_equal(out[f"{name}_score"], expected["score_samples"])
        np.testing.assert_array_equal(out[f"{name}_label"], model.predict(X).astype(str))


@pytest.mark.parametrize("encoder", [None, users_model, users_model()], ids=["own", "callable", "model"])
def test_the_users_generators_are_left_alone(encoder, tmp_path):
    model = make(encoder=encoder, epochs=1).fit(X, CODES)
    for action in (lambda: model.save(tmp_path / "model"), lambda: load(tmp_path / "model")):
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
    assert_same(fitted, load(kind("model.ssvae")), X)
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
def test_a_write_that_fails_leaves_the_old_file_and_no_other(where, error, saved, monkeypatch):
    before, done = saved.read_bytes(), []

    def fail(*args, original=getattr(*where), **kwargs):
        if where[1] == "writestr" and not done:  # the disk is full halfway
            return done.append(original(*args, **kwargs))
        raise error

    other = make(epochs=1).fit(X, CODES)
    monkeypatch.setattr(*where, fail)
    with pytest.raises(type(error)):
        other.save(saved)
    monkeypatch.undo()
    assert saved.read_bytes() == before
    assert [p.name for p in saved.parent.iterdir()] == ["model"]


def test_a_failed_first_save_leaves_nothing(fitted, tmp_path):
    model = copy.copy(fitted)
    model.callbacks = [object()]
    with pytest.raises(TypeError):
        persistence.save(model, tmp_path / "model")
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
    "classes": [datetime.date(2020, 1, 1), datetime.date(2021, 1, 1)],
}


@pytest.mark.parametrize("name", UNSAVABLE)
def test_what_cannot_be_written_as_data_is_named_when_saving(name, fitted, tmp_path):
    model = copy.copy(fitted)
    setattr(model, name, UNSAVABLE[name])
    with pytest.raises(TypeError, match=f"save cannot write {name} = .* use pickle"):
        model.save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_labels_that_cannot_be_written_are_named_when_saving(tmp_path):
    y = [datetime.date(2020 + code, 1, 1) if code >= 0 else None for code in CODES]
    model = make(epochs=1).fit(X, y)
    assert pickle.loads(pickle.dumps(model)).predict(X).tolist() == model.predict(X).tolist()
    with pytest.raises(TypeError, match=r"save cannot write _codec\.classes_ = "):
        model.save(tmp_path / "model")


# What load refuses


def rewrite(path, edit):
    """Change the header of a file by `edit`, which gets it as a dict and may return another one."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    header = json.loads(files["estimator.json"])
    header = edit(header) or header
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**files, "estimator.json": json.dumps(header)}.items():
            archive.writestr(name, content)


def put(parameter, tree):
    """An edit that replaces the tree of a parameter."""

    def edit(header):
        (pair,) = [pair for pair in header["state"]["dict"] if pair[0] == parameter]
        pair[1] = tree

    return edit


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="No such file: .*model"):
        load(tmp_path / "model")


@pytest.mark.parametrize("content", [b"", b"cats", b"PK\x03\x04cats"], ids=["empty", "text", "like a zip"])
def test_a_file_that_is_not_ours(content, tmp_path):
    (tmp_path / "model").write_bytes(content)
    with pytest.raises(ValueError, match="'.*model' is not a file that keras_ssvae wrote"):
        load(tmp_path / "model")
    with pytest.raises(ValueError, match="is not a file that keras_ssvae wrote"):
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
        assert "model" in str(error)
    else:  # a bit of the archive that means nothing, as a time stamp
        assert damage == "a bit flipped"
        assert_same(fitted, loaded, X)


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
    with pytest.raises(ValueError, match="model"):
        load(saved)


def test_a_header_that_is_no_json_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "model", "w") as archive:
        archive.writestr("estimator.json", "{cats")
    with pytest.raises(ValueError, match="'.*model'"):
        load(tmp_path / "model")


def test_a_later_format_is_refused_by_its_version(saved):
    rewrite(saved, lambda h: h | {"format": persistence.FORMAT + 1, "version": "99.0"})
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
    with pytest.raises(ValueError, match="model"):
        load(saved)


# Nothing is executed


class Trap:
    """Pickled, it makes a file where it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_a_file_holds_no_pickle(case, tmp_path):
    model, *_ = case
    model.save(tmp_path / "model")
    with zipfile.ZipFile(tmp_path / "model") as archive:
        assert {name.rsplit(".")[-1] for name in archive.namelist()} <= {"json", "npy", "keras"}
        for name in archive.namelist():
            if name.endswith("npy"):
                np.load(io.BytesIO(archive.read(name)), allow_pickle=False)


def test_an_array_of_objects_is_not_unpickled(saved, tmp_path):
    buffer = io.BytesIO()
    np.save(buffer, np.array([Trap(tmp_path / "sprung")], object), allow_pickle=True)
    with zipfile.ZipFile(saved, "a") as archive:
        archive.writestr("trap.npy", buffer.getvalue())
    rewrite(saved, put("classes", {"array": "trap.npy"}))
    with pytest.raises(ValueError, match="model"):
        load(saved)
    assert not (tmp_path / "sprung").exists()


def test_code_inside_a_keras_model_is_not_run(saved, tmp_path):
    model = keras.Sequential([keras.Input((5,)), keras.layers.Lambda(lambda x: open("sprung", "w") and x)])
    model.save(tmp_path / "trap.keras")
    (tmp_path / "sprung").unlink(missing_ok=True)
    with zipfile.ZipFile(saved, "a") as archive:
        archive.write(tmp_path / "trap.keras", "trap.keras")
    rewrite(saved, put("encoder", {"model": "trap.keras"}))
    with pytest.raises(ValueError, match="model"):
        load(saved)


def test_code_inside_an_optimizer_is_not_run(saved):
    optimizer = keras.optimizers.serialize(keras.optimizers.SGD(0.1))
    function = keras.saving.serialize_keras_object(lambda: pytest.fail("executed"))
    optimizer["config"]["learning_rate"] = function
    rewrite(saved, put("optimizer", {"optimizer": json.loads(json.dumps(optimizer, default=float))}))
    with pytest.raises(ValueError, match="model"):
        load(saved)
