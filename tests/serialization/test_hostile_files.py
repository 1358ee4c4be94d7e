"""What `load` is shown by somebody who knows the format: refused by one class, before memory is taken, and nothing is run."""

import contextlib
import io
import itertools
import json
import os
import resource
import struct
import sys
import zipfile

import keras
import numpy as np
import pandas as pd
import pytest
from model_files import at, edited, npy, places, read_members, replaced, write_sealed
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier

from keras_ssvae import M1, VAE, ModelFileError, SemiSupervisedVAE, load
from keras_ssvae.models.softmax_svc import SoftmaxSVC
from keras_ssvae.serialization import archive, keras_objects

SMALL = {"latent_dim": 2, "hidden_layer_sizes": (4,), "epochs": 1, "batch_size": 32, "random_state": 0, "jit_compile": False}
RNG = np.random.RandomState(0)
X = RNG.standard_normal((40, 3))
Y = np.where(np.arange(40) % 2, X[:, 0] > 0, -1)
FRAME = pd.DataFrame({
    "size": X[:, 0], "count": RNG.randint(0, 9, 40), "kind": RNG.choice([*"abc"], 40), "yes": X[:, 1] > 0,
    "day": pd.date_range("2020-01-01", periods=40), "gap": np.where(X[:, 2] > 1, np.nan, X[:, 2]),
    "cat": pd.Categorical(RNG.choice([*"xy"], 40)), "after": pd.to_timedelta(np.arange(40), "h"),
})  # fmt: skip
MODELS = {
    "VAE": (lambda: VAE(**SMALL).fit(X), X),
    "SemiSupervisedVAE": (lambda: SemiSupervisedVAE(experts=None, **SMALL).fit(FRAME, Y), FRAME),
    "M1": (lambda: M1(**SMALL).fit(X, Y), X),
}


class Subject:
    """A file, its parts, and all that its model answers."""

    def __init__(self, name, folder):
        make, self.rows = MODELS[name]
        self.path = folder / "model"
        make().save(self.path)
        self.members = read_members(self.path)
        self.header = json.loads(self.members["estimator.json"])
        self.answers = self.ask(load(self.path))

    def ask(self, model):
        methods = [name for name in ("transform", "reconstruct", "predict", "predict_proba") if hasattr(model, name)]
        answers = [getattr(model, name)(self.rows) for name in methods] + [model.sample(3, random_state=0)[0]]
        return [np.asarray(answer).astype(str) for answer in answers]

    def write(self, header=None, **members):
        changed = {f"{name[1:]}.npy" if name.startswith("_") else name: content for name, content in members.items()}
        header = self.header if header is None else header
        write_sealed(self.path, {**self.members, **changed, "estimator.json": json.dumps(header).encode()})

    def is_refused(self):
        """Whether the file is refused; if it is not, its model has to answer as before."""
        try:
            model = load(self.path)
        except ModelFileError as error:
            assert "model'" in str(error)
            return True
        for one, other in zip(self.answers, self.ask(model), strict=True):
            np.testing.assert_array_equal(one, other)
        return False


@pytest.fixture(scope="module", params=MODELS)
def subject(request, tmp_path_factory):
    return Subject(request.param, tmp_path_factory.mktemp("subject"))


@pytest.fixture(scope="module")
def vae(tmp_path_factory):
    return Subject("VAE", tmp_path_factory.mktemp("vae"))


@pytest.fixture(scope="module")
def m1(tmp_path_factory):
    return Subject("M1", tmp_path_factory.mktemp("m1"))


# One field or array that is something else

VALUES = [
    None, True, -1, 0, 3, 7, 0.5, -2.5, 1e300, float("nan"), float("inf"), 10**20, "x", "", [], [1], {}, {"tuple": []},
    {"dict": []}, {"array": "0.npy"}, {"array": "999.npy"}, {"dtype": "<M8[s]"}, {"missing": None}, "gaussian",
]  # fmt: skip


def mutations_of_header(header, count, seed):
    """Headers with one field replaced, left out or written twice."""
    rng, paths = np.random.RandomState(seed), list(places(header))[1:]
    for _ in range(count):
        path = paths[rng.randint(len(paths))]
        around, kind = at(header, path[:-1]), rng.randint(10)
        if kind > 1 or not isinstance(around, list):
            yield replaced(header, path, VALUES[rng.randint(len(VALUES))])
        else:
            i = path[-1]
            yield replaced(header, path[:-1], around[:i] + around[i + 1 :] if kind else [*around, around[i]])


def mutations_of_array(array):
    """Other dtypes and shapes, and values that are no numbers."""
    yield from (array.astype(dtype) for dtype in ("U9", complex, "M8[s]") if array.dtype.kind in "fiub")
    yield array[None]
    if array.ndim and len(array):
        yield from (array[:-1], np.concatenate([array, array[-1:]]), array.reshape(-1, 1))
    for value in (np.nan, np.inf):
        if array.dtype.kind == "f" and array.size and not np.isnan(array).all():
            yield np.where(np.arange(array.size).reshape(array.shape) == 0, value, array).astype(array.dtype)


def test_another_field_of_the_header_is_refused_or_means_nothing(subject):
    refused = [(subject.write(header), subject.is_refused())[1] for header in mutations_of_header(subject.header, 130, 0)]
    assert sum(refused) > 90


def test_another_array_is_refused_or_means_nothing(subject):
    arrays = {name: np.load(io.BytesIO(content)) for name, content in subject.members.items() if name.endswith("npy")}
    refused, of_any_length = [], {name for name, array in arrays.items() if array.shape[1:] == (SMALL["latent_dim"],)}
    for name, other in [(name, other) for name, array in arrays.items() for other in mutations_of_array(array)][::3]:
        if name in of_any_length and other.ndim == 2 and other.dtype.kind == "f":
            continue  # the codes from which M1 draws may be any number: a draw is another one then
        subject.write(**{name: npy(other)})
        refused.append(subject.is_refused())
    assert np.mean(refused) > 0.75


MEANINGS = {
    "classes of another length": {"classes_": {"array": "0.npy"}},
    "more columns": {"n_features_in_": 4},
    "no columns": {"n_columns_": 0, "row_shape_": {"tuple": [0]}},
    "unknown kind": {"kinds_": ["gaussian", "gaussian", "cats"]},
    "another kind": {"kinds_": ["gaussian", "gaussian", "student_t"]},
    "a beta of text": {"beta": "x"},
    "a negative beta": {"beta": -1.0},
    "another latent_dim": {"latent_dim": 3},
    "a huge latent_dim": {"latent_dim": 10**9},
    "other layers": {"hidden_layer_sizes": {"tuple": [4, 4]}},
    "layers of text": {"hidden_layer_sizes": ["x"]},
    "huge layers": {"hidden_layer_sizes": {"tuple": [12000, 12000]}},
    "very many layers": {"hidden_layer_sizes": [1] * 100_000},
    "an activation that is none": {"activation": "cats"},
    "a method": {"_label_column": "x", "_prepared": "x"},
    "another policy": {"_dtype_policy": "cats"},
    "a longer history": {"n_iter_": 2},
    "a history that is none": {"history_": [1]},
    "other rows": {"_spec": {"dict": []}},
}


@pytest.mark.parametrize("changes", MEANINGS.values(), ids=MEANINGS)
def test_attributes_that_do_not_fit_together_are_refused(changes, vae):
    vae.write(edited(vae.header, **changes))
    assert vae.is_refused()


def member_of(subject, name):
    """The member with the array of an attribute."""
    (path,) = [path for path in places(subject.header) if at(subject.header, path) == name]
    return at(subject.header, path[:-1])[1]["array"]


@pytest.mark.parametrize("value", [-1.0, 0.0, np.nan, np.inf])
@pytest.mark.parametrize("name", ["scale_", "link_scale_"])
def test_a_scale_that_is_none_is_refused(name, value, vae):
    vae.write(**{member_of(vae, name): npy(np.array([1.0, value, 1.0]))})
    assert vae.is_refused()


@pytest.mark.parametrize("name", ["predict", "transform", "__class__", "_n_features_out", "get_params"])
def test_an_attribute_in_the_place_of_a_method_is_refused(name, m1):
    m1.write({**m1.header, "state": {"dict": [*m1.header["state"]["dict"], [name, [1]]]}})
    assert m1.is_refused()


def test_what_an_estimator_that_was_tampered_with_wrote_is_refused(tmp_path):
    """Its checksum is right: `save` made it."""
    model = VAE(**SMALL).fit(X)
    model.table_.scale_[1] = -1.0
    model.save(tmp_path / "model")
    with pytest.raises(ModelFileError, match="scale_ is not a number, or no scale"):
        load(tmp_path / "model")


@pytest.mark.parametrize("name", ["support_", "support_vectors_", "_n_support", "_dual_coef_", "_intercept_", "_probA"])
def test_a_support_vector_machine_whose_arrays_do_not_fit_is_refused(name, m1):
    array = np.load(io.BytesIO(m1.members[member_of(m1, name)]))
    for other in (array[:-1], array * 0 - 7 if array.dtype.kind == "i" else np.append(array, array)):
        if other.shape != array.shape or array.size:
            m1.write(**{member_of(m1, name): npy(other)})
            assert m1.is_refused()


# The checksum


def test_any_bit_that_is_flipped_is_noticed(vae):
    vae.write()
    content = vae.path.read_bytes()
    for position in np.linspace(0, len(content) - 1, 200).astype(int):
        damaged = bytearray(content)
        damaged[position] ^= 1 << position % 8
        vae.path.write_bytes(damaged)
        with pytest.raises(ModelFileError, match="model'"):
            load(vae.path)


def test_a_file_that_is_cut_off_or_goes_on_is_refused(vae):
    vae.write()
    content = vae.path.read_bytes()
    for other in (content[:0], content[:-1], content[:100], content[1:], content + b"x", b"x" + content):
        vae.path.write_bytes(other)
        with pytest.raises(ModelFileError, match="model'"):
            load(vae.path)


# Memory


@contextlib.contextmanager
def little_memory():
    """Whatever takes 300 MB more than now is a MemoryError."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + 300 * 2**20, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def shape_of(shape, dtype="<f8", content=b"\0" * 64):
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": dtype, "fortran_order": False, "shape": shape})
    return buffer.getvalue() + content


needs_limits = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of Linux")
ARRAYS = {
    "a huge shape": shape_of((10**13,)),
    "a huge product": shape_of((2**33, 2**33)),
    "a negative shape": shape_of((-1, -8)),
    "huge and empty": shape_of((10**12, 0), content=b""),
    "values of no bytes": shape_of((10**13,), "<U0"),
    "huge values": shape_of((1,), "<U1000000000"),
    "an odd dtype": shape_of((8,), "V8"),
    "records": shape_of((4,), [("a", "<f8"), ("b", "<f8")]),
    "objects": shape_of((8,), "|O"),
    "no array": b"cats" * 20,
    "nothing": b"",
    "a header of code": shape_of((8,)).replace(b"'<f8'", b"open "),
}


@needs_limits
@pytest.mark.parametrize("content", ARRAYS.values(), ids=ARRAYS)
def test_an_array_is_no_larger_than_its_member(content, vae):
    vae.write(**{"0.npy": content})
    with little_memory():
        assert vae.is_refused()


@needs_limits
def test_members_do_not_inflate_without_end(vae, monkeypatch):
    monkeypatch.setattr(archive, "MAX_RATIO", 10**6)  # as somebody else would write it
    vae.write(**{"0.npy": shape_of((25_000_000,), content=bytes(200_000_000))})
    monkeypatch.undo()
    assert vae.path.stat().st_size < 500_000
    with little_memory(), pytest.raises(ModelFileError, match="which is too much for"):
        load(vae.path)


def test_what_is_all_zeros_is_saved_so_that_it_can_be_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "SLACK", 1000)
    with open(tmp_path / "file", "w+b") as file:
        archive.write_archive(file, {"0.npy": bytes(10**6)})
        size = file.seek(0, os.SEEK_END)
        assert size > 10**6
        assert archive.Archive(file, size, r"0\.npy", archive.SEAL).read("0.npy") == bytes(10**6)


@needs_limits
@pytest.mark.parametrize("sizes", [[12000, 12000], [10**6], [2**31]])
def test_layers_are_not_made_before_their_weights_are_seen(sizes, vae):
    vae.write(edited(vae.header, hidden_layer_sizes={"tuple": sizes}))
    with little_memory(), pytest.raises(ModelFileError, match="ask for more weights than it has"):
        load(vae.path)


HEADERS = {
    "too deep": b"[" * 100_000 + b"]" * 100_000,
    "deep": b'{"format": 2, "version": "1", "estimator": "VAE", "state": ' + b'{"tuple": [' * 300 + b"]}" * 300 + b"}",
    "too many values": b"[" + b"[]," * 3_000_000 + b"[]]",
    "too long": b'"' + b"x" * 2**25 + b'"',
    "not in UTF-8": '{"format": 2}'.encode("utf-16"),
    "no text": b"\xff\xfe\x00",
    "a huge number": b'{"format": ' + b"9" * 10_000 + b"}",
}


@needs_limits
@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_a_header_without_end_is_refused(header, vae):
    write_sealed(vae.path, {**vae.members, "estimator.json": header})
    with little_memory():
        assert vae.is_refused()


def patched(content, signature, offset, value):
    """An archive with other bytes at an offset of each of its records with this signature."""
    out, start = bytearray(content), -1
    while (start := content.find(signature, start + 1)) >= 0:
        out[start + offset : start + offset + len(value)] = value
    return bytes(out)


def zipped(members, compression):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return buffer.getvalue()


def old(vae):
    """The members as format 1, which has no checksum, had them."""
    return {**vae.members, "estimator.json": json.dumps({**vae.header, "format": 1}).encode()}


def test_an_archive_of_another_kind_is_refused(vae):
    plain = zipped(old(vae), zipfile.ZIP_DEFLATED)
    vae.path.write_bytes(plain)
    assert not vae.is_refused()
    encrypted = patched(plain, b"PK\1\2", 8, b"\1\0")
    odd = [zipped(old(vae), method) for method in (zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2)]
    lying = patched(plain, b"PK\1\2", 24, struct.pack("<L", 50_000_000))
    twice = zipped(old(vae), zipfile.ZIP_STORED).replace(b"2.npy", b"1.npy").replace(b"11.npy", b"12.npy")
    stray = zipped({**old(vae), "cats.txt": b""}, zipfile.ZIP_DEFLATED)
    crowd = zipped({f"{i}.npy": b"" for i in range(archive.MAX_MEMBERS + 1)} | old(vae), zipfile.ZIP_STORED)
    for content in (encrypted, *odd, lying, twice, stray, crowd):
        vae.path.write_bytes(content)
        assert vae.is_refused()


# Nothing but known classes


def estimators(*classes):
    return [{"estimator": [module, name, {"dict": []}]} for module, name in classes]


def test_no_module_is_imported_because_a_file_names_it(m1):
    for named in estimators(
        ("sklearn.nope", "A"), ("sklearn.datasets._openml", "OpenMLError"), ("sklearn.tree", "DecisionTreeClassifier"),
        ("antigravity", "A"), ("sklearn.experimental.enable_halving_search_cv", "SVC"), ("os", "system"), (["x"], "SVC"),
    ):  # fmt: skip
        loaded = set(sys.modules)
        m1.write(edited(m1.header, classifier_=named))
        assert m1.is_refused()
        assert set(sys.modules) == loaded


def test_an_estimator_of_scikit_learn_with_other_parameters_is_refused(m1):
    for changes in ({"C": -1.0}, {"kernel": "cats"}, {"threshold": "x"}, {"kernel": {"array": "0.npy"}}):
        m1.write(edited(m1.header, **changes))
        assert m1.is_refused()


CLASSIFIERS = [
    LogisticRegression(), SoftmaxSVC(kernel="linear"), GaussianNB(), make_pipeline(StandardScaler(), LogisticRegression()),
    SelfTrainingClassifier(LogisticRegression()), LabelSpreading(), KNeighborsClassifier(3, algorithm="brute"),
]  # fmt: skip


@pytest.mark.parametrize("classifier", CLASSIFIERS, ids=lambda classifier: type(classifier).__name__)
def test_classifiers_that_a_head_may_have_are_saved(classifier, tmp_path):
    model = M1(classifier=classifier, **SMALL).fit(X, Y)
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(load(tmp_path / "model").predict_proba(X), model.predict_proba(X))


def configs():
    layer = keras.saving.serialize_keras_object(keras.layers.Dense(3))
    for module, name in itertools.product(("os", "subprocess", "builtins", "keras.utils"), ("system", "Popen", "get_file")):
        yield {"module": module, "class_name": name, "config": {}, "registered_name": None}
        yield {"module": module, "class_name": "function", "config": name, "registered_name": name}
        yield replaced(layer, ("config", "kernel_initializer"), {"module": module, "class_name": name, "config": {}})
    for name in ("Lambda", "TorchModuleWrapper", "StringLookup", "TFSMLayer"):
        yield {"module": "keras.layers", "class_name": name, "config": {}, "registered_name": None}
    yield {"class_name": "__lambda__", "config": {"value": "x"}}
    yield {"class_name": "__typespec__", "spec_name": "x", "module": "os", "registered_name": None, "config": []}
    yield {"class_name": ["x"], "config": {}}


def test_configurations_of_keras_name_classes_of_keras_only():
    for config in configs():
        with pytest.raises(ValueError, match="which load does not make"):
            keras_objects.check_config([{"layers": [config]}])
    keras_objects.check_config(keras.saving.serialize_keras_object(keras.layers.Dense(3, "relu", kernel_regularizer="l2")))


@needs_limits
def test_a_keras_model_is_no_larger_than_its_weights(tmp_path):
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(6)])
    model.save(tmp_path / "model.keras")
    members = read_members(tmp_path / "model.keras")
    config = json.loads(members["config.json"])
    config["config"]["layers"][1]["config"]["units"] = 10**8
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in {**members, "config.json": json.dumps(config)}.items():
            file.writestr(name, content)
    with little_memory(), pytest.raises(ValueError, match="ask for more weights than it has"):
        keras_objects.read_model(buffer.getvalue())


def test_what_the_system_says_of_a_path_comes_as_it_is(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing")
    with pytest.raises(IsADirectoryError):
        load(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ModelFileError, match="is not a file that keras_ssvae wrote"):  # and not waited for
        load(tmp_path / "pipe")
    assert issubclass(ModelFileError, ValueError)
