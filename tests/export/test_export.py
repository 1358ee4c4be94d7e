"""What is exported answers as the model does, of raw columns, without the package; and is there as a whole or not at all."""

import concurrent.futures
import json
import subprocess
import sys
import uuid

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import tensorflow as tf

import keras_ssvae as ks
from keras_ssvae.anomaly.graphs import leaf_means
from keras_ssvae.anomaly.trees import Trees
from keras_ssvae.data.schema import Schema
from keras_ssvae.data.tables import TablePreprocessor
from keras_ssvae.export.inputs import MISSING_INTEGER, batch_of, inputs_of

N_ROWS = 120
QUICK = {"latent_dim": 2, "hidden_layer_sizes": (8,), "epochs": 1, "jit_compile": False, "random_state": 0}
METHODS = ("predict_proba", "anomaly_score", "transform")
ALONE = """
import json, sys
sys.modules["keras_ssvae"] = None  # an import of it fails
import numpy as np
folder, format = sys.argv[1:]
rows = np.load(f"{folder}/rows.npz")
expected = np.load(f"{folder}/expected.npz")
rows = {name: rows[name].astype(object) if rows[name].dtype.kind == "U" else rows[name] for name in rows}
methods = json.load(open(f"{folder}/model/export.json"))["methods"]
if format == "savedmodel":
    import tensorflow as tf
    model = tf.saved_model.load(f"{folder}/model")
    answers = {m: getattr(model, m)(rows).numpy() for m in methods}
    for m in methods:
        served = model.signatures[m](**{name: tf.constant(values) for name, values in rows.items()})
        assert list(served) == [m] and np.array_equal(served[m], answers[m])
else:
    import onnxruntime
    answers = {m: onnxruntime.InferenceSession(f"{folder}/model/{m}.onnx").run([m], rows)[0] for m in methods}
    assert "tensorflow" not in sys.modules
for m in methods:
    assert answers[m].shape == expected[m].shape and np.isfinite(expected[m]).all()
    np.testing.assert_allclose(answers[m], expected[m], rtol=1e-5, atol=1e-5)
print("the same", *methods)
"""


def table_of(n=N_ROWS, seed=0):
    """Columns of all kinds that an export reads, with gaps."""
    rng = np.random.RandomState(seed)
    frame = pd.DataFrame({
        "length (cm)": rng.normal(100, 20, n),
        "größe": rng.lognormal(0, 2, n),
        "visits": rng.poisson(3, n),
        "number": 2**60 + rng.randint(0, 1000, n),
        "member": pd.array(rng.rand(n) > 0.5, dtype="boolean"),
        "plan": rng.choice(["free", "paid", "gift"], n),
        "size": pd.Categorical(rng.choice(["S", "M", "L"], n), ["S", "M", "L"], ordered=True),
        "rooms": pd.Categorical(rng.choice([1, 2, 5], n)),
        "day": pd.Timestamp("2024-03-01") + pd.to_timedelta(rng.randint(0, 300, n), unit="D"),
        "length/cm": rng.normal(0, 1, n),
    })  # fmt: skip
    for name in ("length (cm)", "member", "plan", "size", "rooms", "day"):
        frame.loc[rng.choice(n, 12, replace=False), name] = None
    return frame


def odd_rows():
    """Rows with what the fit did not see: categories, far cells, whole rows of gaps."""
    frame = table_of(seed=1)
    frame["plan"] = frame["plan"].astype(object)
    frame.loc[0, ["plan", "length (cm)", "length/cm"]] = ["other", 1e300, -1e9]
    frame.loc[1, ["length (cm)", "größe", "length/cm"]] = [-1e12, 0.0, 2e3]
    frame.loc[2, ["length (cm)", "größe", "length/cm", "plan", "size", "rooms", "day", "member"]] = None
    return frame


def raw(frame):
    """Columns as an exported model takes them."""
    seconds = (frame["day"] - pd.Timestamp(0)) / pd.Timedelta(seconds=1)
    return {
        "length__cm_": frame["length (cm)"].to_numpy(float),
        "gr__e": frame["größe"].to_numpy(float),
        "visits": frame["visits"].to_numpy(float),
        "number": frame["number"].to_numpy(np.int64),
        "member": frame["member"].to_numpy(float, na_value=np.nan),
        "plan": frame["plan"].fillna("").to_numpy(str),
        "size": frame["size"].astype(object).fillna("").to_numpy(str),
        "rooms": frame["rooms"].astype(float).to_numpy(),
        "day": seconds.to_numpy(float),
        "length_cm": frame["length/cm"].to_numpy(float),
    }


@pytest.fixture(scope="module")
def model():
    frame = table_of()
    y = np.where(frame["length/cm"] > 0, "up", "down").astype(object)
    y[20:] = None
    likelihood = {"visits": "poisson"}  # scored by the logarithm of the gamma function, which ONNX does not know
    return ks.SemiSupervisedVAE(**QUICK, likelihood=likelihood).fit(frame, y)


def alone(folder, format):
    """Ask an export in a process in which the package cannot be imported."""
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(folder), format], capture_output=True, text=True, cwd=folder, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("format", ["savedmodel", "onnx"])
def test_answers_are_the_same_where_the_package_is_not(model, format, tmp_path):
    rows = odd_rows()
    model.export(tmp_path / "model", format=format)
    np.savez(tmp_path / "rows.npz", **raw(rows))
    np.savez(tmp_path / "expected.npz", **{method: getattr(model, method)(rows) for method in METHODS})
    assert alone(tmp_path, format) == ["the", "same", *METHODS]


@pytest.mark.filterwarnings("ignore::keras_ssvae.data.tables.ExtremeValueWarning")
def test_columns_are_coded_as_by_the_table():
    frame = table_of()
    frame.loc[3, "length/cm"] = 1e7
    schema = Schema().fit(frame)
    table = TablePreprocessor().fit(schema.read(frame), schema, np.ones(len(frame)))
    inputs = inputs_of(table)
    rows = odd_rows()
    coded = batch_of(table, inputs, {name: tf.constant(values) for name, values in raw(rows).items()})
    expected = table.encode(schema.read(rows))
    np.testing.assert_array_equal(coded["observed"], expected.observed)
    np.testing.assert_allclose(coded["x"], expected.x, rtol=1e-6)
    assert 0 < expected.observed.mean() < 1 and np.abs(expected.x).max() > 1000


def test_integers_with_many_digits_keep_their_differences():
    values = np.array([2**62, 2**62 + 1, 2**62 + 3, -(2**62)])
    schema = Schema().fit(pd.DataFrame({"key": values[:3]}))
    table = TablePreprocessor().fit(schema.read(pd.DataFrame({"key": values[:3]})), schema, np.ones(3))
    numbers = inputs_of(table)[0].numbers(tf.constant([*values, MISSING_INTEGER], tf.int64)).numpy()
    np.testing.assert_array_equal(numbers[:3], [0, 1, 3])
    assert numbers[3] == -(2.0**63) and np.isnan(numbers[4])


@pytest.mark.parametrize("format", ["savedmodel", "onnx"])
def test_columns_of_any_name_and_those_that_never_change(format, tmp_path):
    names = ["class", "self", "name", "graph", "False", "transform"]
    rng = np.random.RandomState(0)
    frame = pd.DataFrame(rng.normal(size=(40, 6)), columns=names).assign(same=3.0, none=np.nan)
    model = ks.VAE(**QUICK).fit(frame)
    model.export(tmp_path / "model", ["transform"], format)
    inputs = json.loads((tmp_path / "model" / "export.json").read_text())["inputs"]
    given = {i["name"]: frame[i["column"]].to_numpy(float) for i in inputs}
    if format == "savedmodel":
        signature = tf.saved_model.load(str(tmp_path / "model")).signatures["transform"]
        z = signature(**{name: tf.constant(values) for name, values in given.items()})["transform"]
    else:
        session = onnxruntime.InferenceSession(tmp_path / "model" / "transform.onnx")
        read = {i.name for i in session.get_inputs()}
        (z,) = session.run(None, {name: values for name, values in given.items() if name in read})
    np.testing.assert_allclose(z, model.transform(frame), rtol=1e-4, atol=1e-5)


def test_a_gap_is_another_text_where_the_empty_one_is_a_category():
    frame = pd.DataFrame({"answer": ["yes", "", "?", None] * 3, "other": ["a", "b", None, "a"] * 3})
    schema = Schema().fit(frame)
    first, second = inputs_of(TablePreprocessor().fit(schema.read(frame), schema, np.ones(12)))
    assert first.words == 'text, "??" where missing' and second.words == 'text, "" where missing'
    np.testing.assert_array_equal(first.numbers(tf.constant(["", "??", "?", "yes"])), [0, np.nan, 1, 2])


def test_images_and_arrays_are_one_tensor(tmp_path):
    X = np.random.RandomState(0).rand(30, 6, 6).astype("float32")
    images = ks.VAE(**QUICK).fit(X)
    images.export(tmp_path / "images")
    exported = tf.saved_model.load(str(tmp_path / "images"))
    given = {"X": X.astype(float)}
    np.testing.assert_allclose(exported.transform(given), images.transform(X), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(exported.anomaly_score(given), images.anomaly_score(X), rtol=1e-5, atol=1e-4)
    facts = json.loads((tmp_path / "images" / "export.json").read_text())
    assert facts["methods"] == ["anomaly_score", "transform"] and facts["inputs"][0]["shape"] == [None, 6, 6]


def test_a_classifier_of_scikit_learn_stays_outside(tmp_path):
    X = np.random.RandomState(0).normal(size=(60, 3))
    model = ks.M1(**QUICK).fit(X, (X[:, 0] > 0).astype(int))
    with pytest.raises(ValueError, match="classifier of scikit-learn"):
        model.export(tmp_path / "m1", methods=["predict_proba"])
    assert not list(tmp_path.iterdir())
    model.export(tmp_path / "m1", format="onnx")
    z = onnxruntime.InferenceSession(tmp_path / "m1" / "transform.onnx").run(["transform"], {"X": X})[0]
    np.testing.assert_allclose(z, model.transform(X), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(model.classifier_.predict_proba(z), model.predict_proba(X), atol=1e-4)


@pytest.fixture(scope="module")
def detector():
    frame = table_of(200)
    y = np.repeat([1, 0, -1], [12, 12, 176])
    return ks.AnomalyDetector(ks.VAE(**QUICK), random_state=0).fit(frame, y)


@pytest.mark.parametrize(
    ("format", "methods"),
    [("savedmodel", ["predict_proba", "decision_function", "predict"]), ("onnx", ["anomaly_score"])],
    ids=["savedmodel", "onnx"],
)
def test_a_detector_answers_where_the_package_is_not(detector, format, methods, tmp_path):
    rows = odd_rows()
    detector.export(tmp_path / "model", methods, format)
    np.savez(tmp_path / "rows.npz", **raw(rows))
    np.savez(tmp_path / "expected.npz", **{method: getattr(detector, method)(rows) for method in methods})
    assert alone(tmp_path, format) == ["the", "same", *methods]
    assert len(np.unique(detector.predict(rows))) == 2 and detector.labeled_ is not None
    with pytest.raises(ValueError, match="methods must be some of .*'decision_function'.* AnomalyDetector has; got "):
        detector.export(tmp_path / "other", ["transform"])


@pytest.mark.parametrize(("family", "shape"), [(ks.VAE, (6, 6)), (ks.M2, (3,)), (ks.SemiSupervisedGAN, (6, 6))])
def test_all_voices_of_a_detector_are_exported(family, shape, tmp_path):
    X = np.random.RandomState(0).rand(120, *shape)
    detector = ks.AnomalyDetector(family(**QUICK), random_state=0).fit(X[:80])
    detector.export(tmp_path / "model", ["score_samples"])
    served = tf.saved_model.load(str(tmp_path / "model"))
    np.testing.assert_allclose(served.score_samples({"X": X[80:]}), detector.score_samples(X[80:]), rtol=1e-5, atol=1e-5)


def test_leaves_are_the_same_where_values_lie_on_thresholds():
    rng = np.random.RandomState(0)
    rows = rng.randint(0, 4, (300, 2)).astype(np.float32) / 3
    trees = Trees.isolating(rows, 0)
    trees.threshold[::3] = np.float32(trees.threshold[::3])
    on = np.unique(np.float32(trees.threshold[trees.left >= 0]))
    near = np.concatenate([on, np.nextafter(on, np.float32(9)), np.nextafter(on, np.float32(-9))])
    grid = np.stack([rng.choice(near, 500), rng.choice(near, 500)], axis=1)
    np.testing.assert_allclose(leaf_means(trees)(tf.constant(grid)), trees(grid), rtol=1e-12)


LITE = """
import sys
sys.modules["keras_ssvae"] = None
import numpy as np
import tensorflow as tf
folder = sys.argv[1]
rows, expected = np.load(f"{folder}/rows.npz"), np.load(f"{folder}/expected.npz")
for m in expected:
    model = tf.lite.Interpreter(f"{folder}/model/{m}.tflite")
    answers = model.get_signature_runner(m)(**rows)[m]
    np.testing.assert_allclose(answers, expected[m], rtol=1e-4, atol=1e-4)
print("the same", *expected)
"""


def test_columns_of_numbers_become_tensorflow_lite(tmp_path):
    rng = np.random.RandomState(0)
    frame = pd.DataFrame({
        "length": rng.normal(100, 20, 150),
        "price": rng.lognormal(0, 2, 150),
        "visits": rng.poisson(3, 150),
        "rooms": pd.Categorical(rng.choice([1, 2, 5], 150)),
        "day": pd.Timestamp("2024-03-01") + pd.to_timedelta(rng.randint(0, 300, 150), unit="D"),
    })  # fmt: skip
    frame.loc[::7, ["length", "rooms", "day"]] = None
    frame.loc[149, "length"] = -1e9
    model = ks.SemiSupervisedVAE(**QUICK).fit(frame[:120], np.where(frame["price"] > 1, "up", "down")[:120])
    methods = ["predict_proba", "transform"]
    model.export(tmp_path / "model", methods, "tflite")
    seconds = (frame["day"] - pd.Timestamp(0)) / pd.Timedelta(seconds=1)
    given = {**{name: frame[name].astype(float) for name in ("length", "price", "visits", "rooms")}, "day": seconds}
    np.savez(tmp_path / "rows.npz", **{name: values.to_numpy(np.float32)[120:] for name, values in given.items()})
    np.savez(tmp_path / "expected.npz", **{method: getattr(model, method)(frame[120:]) for method in methods})
    done = subprocess.run([sys.executable, "-c", LITE, str(tmp_path)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and done.stdout.split() == ["the", "same", *methods], done.stderr
    facts = json.loads((tmp_path / "model" / "export.json").read_text())
    assert {given["dtype"] for given in facts["inputs"]} == {"float32"}
    with pytest.raises(ValueError, match=r"Lite has no operation .*'SparseSoftmax\w+'\], of which 'anomaly_score'"):
        model.export(tmp_path / "model", ["anomaly_score"], "tflite")


def test_a_detector_becomes_tensorflow_lite(tmp_path):
    X = np.random.RandomState(0).normal(size=(120, 3)).astype("float32")
    X[100:, 0] *= 5
    detector = ks.AnomalyDetector(ks.VAE(**QUICK), random_state=0).fit(X[:80])
    methods = ["predict_proba", "predict"]
    detector.export(tmp_path / "model", methods, "tflite")
    for method in methods:
        runner = tf.lite.Interpreter(str(tmp_path / "model" / f"{method}.tflite")).get_signature_runner(method)
        np.testing.assert_allclose(runner(X=X[80:])[method], getattr(detector, method)(X[80:]), rtol=1e-4, atol=1e-4)
    assert len(np.unique(detector.predict(X[80:]))) == 2


def test_what_tensorflow_lite_cannot_do_is_said(model, tmp_path):
    with pytest.raises(ValueError, match=r"columns \['plan', 'size'\] are of text.*'savedmodel' or 'onnx'"):
        model.export(tmp_path / "model", format="tflite")
    odd = ks.VAE(**QUICK, activation=tf.math.bessel_i0e).fit(np.random.RandomState(0).normal(size=(60, 3)))
    with pytest.raises(ValueError, match=r"Lite has no operation \['BesselI0e'\].*'transform'.*savedmodel"):
        odd.export(tmp_path / "model", ["transform"], "tflite")
    assert not list(tmp_path.iterdir())


def test_what_onnx_cannot_do_is_said(tmp_path):
    model = ks.VAE(**QUICK, activation=tf.math.bessel_i0e).fit(np.random.RandomState(0).normal(size=(60, 3)))
    with pytest.raises(ValueError, match=r"ONNX has no operation \['BesselI0e'\].*transform.*savedmodel"):
        model.export(tmp_path / "model", methods=["transform"], format="onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("column", "error"),
    [
        ([f"2024-01-0{d}" for d in range(1, 10)], r"column 'odd' holds dates as text.*pd.to_datetime.*seconds since 1970"),
        ([uuid.UUID(int=k % 3) for k in range(9)], r"column 'odd' holds categories such as UUID.*astype\(str\)"),
        (np.arange(9, dtype="uint64") + np.uint64(2**63 + 5), "column 'odd' holds integers beyond int64"),
    ],
    ids=["dates", "uuids", "integers"],
)
def test_columns_that_no_graph_reads_are_named(column, error):
    frame = pd.DataFrame({"plain": np.arange(9.0), "odd": column})
    schema = Schema().fit(frame)
    table = TablePreprocessor().fit(schema.read(frame), schema, np.ones(9))
    with pytest.raises(ValueError, match=error):
        inputs_of(table)


def test_impossible_requests(model, tmp_path):
    with pytest.raises(ValueError, match=r"format must be one of \['savedmodel', 'onnx', 'tflite'\]; got 'keras'.*TFSMLayer"):
        model.export(tmp_path / "model", format="keras")
    for methods in ("transform", [], ["sample"]):
        with pytest.raises(ValueError, match="methods must be some of"):
            model.export(tmp_path / "model", methods=methods)
    assert not list(tmp_path.iterdir())


def test_an_export_in_place_of_another_has_its_mode_and_no_other_folder_stays(model, tmp_path, monkeypatch):
    target = tmp_path / "model"
    model.export(target, methods=["transform"])
    target.chmod(0o700)
    with concurrent.futures.ThreadPoolExecutor(3) as threads:
        done = [threads.submit(model.export, target, ["transform"]) for _ in range(6)]
    assert [future.exception() for future in done] == [None] * 6
    assert target.stat().st_mode & 0o777 == 0o700 and list(tmp_path.iterdir()) == [target]
    monkeypatch.chdir(target)
    with pytest.raises(FileExistsError, match="is the working directory"):
        model.export(".")
    with pytest.raises(FileNotFoundError, match=r"No such file or directory: '.*/none'"):
        model.export(tmp_path / "none" / "model")


def test_a_folder_is_replaced_if_it_is_an_export(model, tmp_path, monkeypatch):
    target = tmp_path / "model"
    target.mkdir()
    model.export(target, methods=["transform"])  # it was empty
    model.export(target, methods=["predict_proba"])
    assert json.loads((target / "export.json").read_text())["methods"] == ["predict_proba"]
    before = sorted(target.rglob("*"))

    def fail(module, folder, **kwargs):
        raise OSError("no room")

    monkeypatch.setattr(tf.saved_model, "save", fail)
    with pytest.raises(OSError, match="no room"):
        model.export(target, methods=["transform"])
    assert sorted(target.rglob("*")) == before and list(tmp_path.iterdir()) == [target]
    monkeypatch.undo()
    model.export(tmp_path / ("m" * 250), methods=["transform"])  # as long as a name may be
    (target / "export.json").unlink()
    with pytest.raises(FileExistsError, match="no export"):
        model.export(target)


def test_the_card_of_a_detector_says_where_its_threshold_is(detector, tmp_path):
    detector.model_card(tmp_path / "card.md")
    card = (tmp_path / "card.md").read_text()
    assert card.startswith("# AnomalyDetector\n") and "| plan | " in card and "| keras_ssvae | " in card
    found = f"{detector.labels_.sum()} of 200 training rows"
    assert f"some anomalies were known. Scores above {detector.threshold_:g} are anomalies: {found}." in card


def test_model_card_says_what_the_model_knows(model, tmp_path):
    model.model_card(tmp_path / "card.md")
    card = (tmp_path / "card.md").read_text()
    assert card.startswith("# SemiSupervisedVAE\n")
    assert "| plan | " in card and "| free, gift, paid | yes |" in card
    assert "| visits | int64 | poisson | " in card
    assert "| latent_dim | " not in card and "| `latent_dim` | `2` |" in card and "`batch_size`" not in card
    y = model._labels.class_weight
    assert f"| down | {y[0]:g} |" in card and f"| up | {y[1]:g} |" in card
    assert f"| keras_ssvae | {ks.__version__} |" in card and f"| tensorflow | {tf.__version__} |" in card
    loss = model.history_["loss"].iloc[-1]
    assert f"| loss | {loss:g} |" in card
