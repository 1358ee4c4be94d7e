"""The shell, command by command, as its user types it."""

import errno
import gzip
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris

import keras_ssvae as ks
from keras_ssvae.cli import main, rows

README = Path(__file__).parents[2] / "README.md"
FAST = ["--epochs", "2", "--set", "jit_compile=false", "--set", "experts=null", "--set", "hidden_layer_sizes=[8]"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """labeled.csv, more.parquet without labels, test.csv, a folder with both halves of test.csv, and a model of them."""
    folder = tmp_path_factory.mktemp("shell")
    frame = load_iris(as_frame=True).frame.rename(columns={"target": "species", "petal length (cm)": "petal"})
    frame = frame.assign(id=np.arange(150)).sample(frac=1, random_state=0).reset_index(drop=True)
    frame[:30].to_csv(folder / "labeled.csv", index=False)
    frame[30:100].drop(columns="species").to_parquet(folder / "more.parquet")
    frame[100:].to_csv(folder / "test.csv", index=False)
    (folder / "parts").mkdir()
    frame[100:120].to_csv(folder / "parts" / "a.csv", index=False)
    frame[120:].to_csv(folder / "parts" / "b.csv", index=False)
    assert main(["fit", str(folder / "labeled.csv"), "--unlabeled", str(folder / "more.parquet"), "--target", "species",
                 "--drop", "id", "-o", str(folder / "model.ssvae"), *FAST]) == 0  # fmt: skip
    return folder


def ask(folder, command, *arguments):
    """Run a command with the model of the folder."""
    return main([command, str(folder / "model.ssvae"), *(str(a) for a in arguments)])


def test_fit_reads_all_rows_and_predict_answers_as_the_estimator(folder, capsys):
    test = pd.read_csv(folder / "test.csv")
    model = ks.load(folder / "model.ssvae")
    assert list(model.feature_names_in_) == ["sepal length (cm)", "sepal width (cm)", "petal", "petal width (cm)"]
    assert model.classes_.tolist() == [0, 1, 2]
    assert ask(folder, "predict", folder / "test.csv", "--keep", "id", "--proba") == 0
    answers = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert list(answers) == ["id", "prediction", "proba_0", "proba_1", "proba_2"]
    assert answers["id"].tolist() == test["id"].tolist()
    X = test[list(model.feature_names_in_)]
    assert answers["prediction"].tolist() == model.predict(X).tolist()
    np.testing.assert_allclose(answers.iloc[:, 2:], model.predict_proba(X), rtol=1e-6)


def test_more_rows_without_labels_are_learned_from(folder, tmp_path, capsys):
    path = tmp_path / "fewer.ssvae"
    assert main(["fit", str(folder / "labeled.csv"), "--target", "species", "--drop", "id", "-o", str(path), *FAST]) == 0
    assert "30 rows, 4 columns, 30 labels" in capsys.readouterr().err
    fewer, more = ks.load(path), ks.load(folder / "model.ssvae")
    X = pd.read_csv(folder / "test.csv")[list(more.feature_names_in_)]
    assert not np.allclose(fewer.predict_proba(X), more.predict_proba(X))


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
def test_answers_go_to_files_and_rows_come_from_folders_and_stdin(folder, tmp_path, monkeypatch, ending):
    path = tmp_path / f"answers.{ending}"
    assert ask(folder, "predict", folder / "parts", "--append", "-o", path) == 0
    answers = pd.read_parquet(path) if ending == "parquet" else pd.read_csv(path)
    test = pd.read_csv(folder / "test.csv")
    pd.testing.assert_frame_equal(answers.drop(columns="prediction"), test, check_exact=False)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO((folder / "test.csv").read_bytes())))
    assert ask(folder, "predict", "-", "-o", tmp_path / "again.csv") == 0
    assert pd.read_csv(tmp_path / "again.csv")["prediction"].tolist() == answers["prediction"].tolist()


def test_blocks_are_small_and_their_answers_those_of_all_rows(folder, tmp_path, monkeypatch):
    sizes = []
    asked = ks.SemiSupervisedVAE.anomaly_score
    monkeypatch.setattr(
        ks.SemiSupervisedVAE, "anomaly_score", lambda self, X, **given: sizes.append(len(X)) or asked(self, X, **given)
    )
    monkeypatch.setattr("keras_ssvae.cli.rows.blocks_of.__defaults__", (16,))
    assert ask(folder, "anomalies", folder / "test.csv", "-o", tmp_path / "a.csv") == 0
    assert sizes == [16, 16, 16, 2]
    answers = pd.read_csv(tmp_path / "a.csv")
    assert answers["row"].tolist() == list(range(50))
    assert ask(folder, "anomalies", folder / "test.csv", "--top", "3", "--keep", "id", "-o", tmp_path / "top.csv") == 0
    top = pd.read_csv(tmp_path / "top.csv")
    assert top["row"].tolist() == answers["anomaly_score"].sort_values(ascending=False).index[:3].tolist()


def test_impute_fills_gaps_and_keeps_the_other_cells(folder, tmp_path):
    frame = pd.read_csv(folder / "test.csv")
    frame.loc[::5, "petal"] = np.nan
    frame.to_csv(tmp_path / "gaps.csv", index=False)
    assert ask(folder, "impute", tmp_path / "gaps.csv", "-o", tmp_path / "complete.csv") == 0
    complete = pd.read_csv(tmp_path / "complete.csv")
    assert list(complete) == list(frame)
    assert complete["petal"].notna().all()
    pd.testing.assert_frame_equal(complete[frame.notna()], frame)


def test_sample_makes_rows_of_a_class(folder, capsys):
    assert ask(folder, "sample", "-n", "4", "--class", "2") == 0
    made = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert made["class"].tolist() == [2, 2, 2, 2]
    assert made.shape == (4, 5)
    assert ask(folder, "sample", "--class", "5") == 1
    assert "5" in capsys.readouterr().err


def test_sample_makes_rows_that_meet_conditions(folder, capsys):
    column = pd.read_csv(folder / "test.csv").columns[0]
    assert ask(folder, "sample", "-n", "5", "--where", f"{column}=5..6.5") == 0
    made = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert made[column].between(5, 6.5).all() and len(made) == 5
    assert ask(folder, "sample", "--where", "nothing=1") == 1
    assert "'nothing', which is no column" in capsys.readouterr().err
    assert ask(folder, "sample", "--where", column) == 1
    assert "COLUMN=VALUE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("a=3", 3), ("a=2.5", 2.5), ("a=paid", "paid"), ("a=1..2.5", (1, 2.5)), ("a=..7", (None, 7)), ("a=x=y", "x=y")],
)
def test_conditions_are_read_as_numbers_texts_and_ranges(text, wanted):
    assert rows.conditions_of([text]) == {"a": wanted}


def test_score_ignores_rows_without_label(folder, tmp_path, capsys):
    frame = pd.read_csv(folder / "test.csv")
    frame.loc[:9, "species"] = np.nan
    frame.to_csv(tmp_path / "partly.csv", index=False)
    assert ask(folder, "score", tmp_path / "partly.csv", "--target", "species", "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    model = ks.load(folder / "model.ssvae")
    rest = frame[10:]
    assert figures["rows"] == 40
    assert figures["accuracy"] == pytest.approx(model.score(rest[list(model.feature_names_in_)], rest["species"].astype(int)))


def test_info_says_what_was_fitted(folder, capsys):
    assert ask(folder, "info", "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["model"] == "SemiSupervisedVAE"
    assert figures["classes"] == ["0", "1", "2"]
    assert figures["parameters"]["epochs"] == "2"
    assert ask(folder, "info") == 0
    assert "petal width (cm)" in capsys.readouterr().out


def test_sweep_writes_a_row_a_fit_and_a_picture(folder, tmp_path, capsys):
    arguments = ["--labels", "6", "--labels", "0.9", "--folds", "2", "--drop", "id", "--plot", str(tmp_path / "sweep.png")]
    fast = [text for text in FAST if text != "--epochs" and text != "2"]
    assert main(["sweep", str(folder / "test.csv"), "--target", "species", *arguments, *fast, "--set", "epochs=1"]) == 0
    table = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert table["n_labels"].tolist() == [6, 6, 22, 22]
    assert table["score"].between(0, 1).all()
    assert (tmp_path / "sweep.png").read_bytes().startswith(b"\x89PNG")


def test_report_and_suggest_know_the_labels_and_the_rows(folder, tmp_path, capsys):
    assert (
        ask(folder, "report", folder / "test.csv", "--target", "species", "-o", tmp_path / "page.html", "--title", "Flowers")
        == 0
    )
    page = (tmp_path / "page.html").read_text()
    assert "<title>Flowers</title>" in page and "50 of them with a label" in page and "is 2" in page
    capsys.readouterr()
    assert ask(folder, "suggest", folder / "test.csv", "-n", "3", "--keep", "id") == 0
    answers = pd.read_csv(io.StringIO(capsys.readouterr().out))
    test = pd.read_csv(folder / "test.csv")
    assert answers["id"].tolist() == test["id"][answers["row"]].tolist() and len(answers) == 3
    assert ask(folder, "suggest", folder / "test.csv", "--keep", "name") == 1
    assert "--keep names ['name']" in capsys.readouterr().err


def test_a_detector_is_fitted_and_says_why(folder, tmp_path, capsys):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(200, 3)), columns=["a", "b", "c"]).assign(fault=-1)
    frame.loc[7, "b"] = 9.0
    frame.to_csv(tmp_path / "rows.csv", index=False)
    path = tmp_path / "detector.ssvae"
    fit = ["fit", str(tmp_path / "rows.csv"), "--target", "fault", "--model", "AnomalyDetector", "--epochs", "2"]
    assert main([*fit, "--verbose", "0", "-o", str(path)]) == 0
    capsys.readouterr()
    assert main(["anomalies", str(path), str(tmp_path / "rows.csv"), "--top", "1", "--explain"]) == 0
    answers = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert answers["row"].tolist() == [7]
    assert answers.filter(like="why_").idxmax(axis=1).tolist() == ["why_b"]
    assert main(["predict", str(path), str(tmp_path / "rows.csv"), "--proba"]) == 0
    answers = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert list(answers) == ["prediction", "proba_normal", "proba_anomaly"]
    assert answers["prediction"][7] == -1 and answers["proba_anomaly"].idxmax() == 7
    assert main(["info", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["columns"] == ["a", "b", "c"]
    assert ask(folder, "anomalies", folder / "test.csv", "--explain") == 1
    assert "has no explain" in capsys.readouterr().err


def test_streamed_rows_and_a_mark_of_text(folder, tmp_path):
    frame = pd.read_csv(folder / "labeled.csv")
    frame["species"] = np.where(frame.index % 3 == 0, "?", "kind " + frame["species"].astype(str))
    frame.to_parquet(tmp_path / "rows.parquet")
    fit = ["fit", str(tmp_path / "rows.parquet"), "--unlabeled", str(folder / "more.parquet"), "--target", "species"]
    path = tmp_path / "streamed.ssvae"
    assert main([*fit, "--mark", "?", "--drop", "id", "--stream", "-o", str(path), *FAST]) == 0
    assert ks.load(path).classes_.tolist() == ["kind 0", "kind 1", "kind 2"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["predict", "{}/none.ssvae", "{}/test.csv"], 1, "none.ssvae"),
        (["predict", "{}/test.csv", "{}/test.csv"], 1, "is not a file that keras_ssvae wrote"),
        (["predict", "{}/model.ssvae", "{}/none.csv"], 1, "none.csv"),
        (["predict", "{}/model.ssvae", "{}/test.csv", "--keep", "name"], 1, "--keep names ['name']"),
        (["score", "{}/model.ssvae", "{}/test.csv", "--target", "class"], 1, "--target 'class'"),
        (["score", "{}/model.ssvae", "{}/test.csv", "--target", "petal"], 1, "None of the labels is a class of the model"),
        (["fit", "{}/labeled.csv", "--target", "class", "-o", "{}/new.ssvae"], 1, "--target 'class'"),
        (["fit", "{}/labeled.csv", "--target", "species", "-o", "{}/no/new.ssvae"], 1, "there is no folder"),
        (["fit", "{}/labeled.csv", "--target", "species", "-o", "{}/parts"], 1, "is a folder or a device, and no file"),
        (["report", "{}/model.ssvae", "{}/test.csv", "-o", "/dev/null"], 1, "is a folder or a device, and no file"),
        (["fit", "{}/labeled.csv", "--model", "Forest", "-o", "{}/new.ssvae"], 2, "--model 'Forest'"),
        (["fit", "{}/labeled.csv", "--set", "size=3", "-o", "{}/new.ssvae"], 2, "--set 'size=3'"),
        (["fit", "{}/labeled.csv", "--set", "latent_dim=-3", "-o", "{}/new.ssvae"], 1, "latent_dim"),
        (["fit", "{}/labeled.csv"], 2, "--output"),
        (["swim"], 2, "swim"),
    ],
)
def test_errors_are_a_line_and_a_code(folder, capsys, arguments, code, said):
    assert main([text.format(folder) for text in arguments]) == code
    seen = capsys.readouterr()
    assert said in seen.err
    assert "Traceback" not in seen.err
    assert not (folder / "new.ssvae").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [(b"", "No columns to parse"), (b"a,b\n1,2\n1,2,3,4\n", "line 3"), ("a,b\nß,1\n".encode("latin1"), "utf-8")],
    ids=["empty", "ragged", "latin-1"],
)
def test_a_file_that_is_no_table_is_named(folder, tmp_path, monkeypatch, capsys, text, said):
    path = tmp_path / "odd.csv"
    path.write_bytes(text)
    for command in (["fit", str(path), "-o", str(tmp_path / "new.ssvae")], ["predict", str(folder / "model.ssvae"), str(path)]):
        assert main(command) == 1
        error = capsys.readouterr().err
        assert "odd.csv is no CSV file of rows" in error and said in error and error.count("\n") == 1
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    assert ask(folder, "predict", "-") == 1
    assert "stdin is no CSV file of rows" in capsys.readouterr().err


def test_packed_files_that_are_cut_are_named(folder, tmp_path, capsys):
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress((folder / "test.csv").read_bytes())[:300])
    assert ask(folder, "predict", tmp_path / "cut.csv.gz", "-o", tmp_path / "answers.csv") == 1
    assert "cut.csv.gz is no CSV file of rows" in capsys.readouterr().err
    assert not (tmp_path / "answers.csv").exists()


def test_closed_streams_are_said(folder, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", None)
    assert ask(folder, "predict", "-") == 1
    assert "stdin is closed" in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdout", None)
    assert ask(folder, "predict", folder / "test.csv") == 1
    monkeypatch.undo()
    assert "stdout is closed" in capsys.readouterr().err


def test_news_never_come_among_the_answers(folder, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", None)
    assert ask(folder, "predict", folder / "none.csv") == 1
    assert capsys.readouterr().out == ""


class FullDisk(io.StringIO):
    """Text that is kept until it is flushed, and has no place then."""

    def flush(self):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("command", [["predict", "test.csv"], ["info", "--json"]])
def test_a_full_disk_behind_stdout_is_said(folder, monkeypatch, capsys, command):
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", FullDisk())
        assert ask(folder, command[0], *(folder / text if "." in text else text for text in command[1:])) == 1
    assert os.strerror(errno.ENOSPC) in capsys.readouterr().err


def test_report_of_rows_of_which_some_have_no_label(folder, tmp_path):
    frame = pd.read_csv(folder / "test.csv")
    frame["species"] = frame["species"].astype("Int64").mask(frame.index < 20)
    frame.to_csv(tmp_path / "partly.csv", index=False)
    assert ask(folder, "report", tmp_path / "partly.csv", "--target", "species", "-o", tmp_path / "page.html") == 0
    assert "30 of them with a label" in (tmp_path / "page.html").read_text()


def test_a_missing_column_is_named_and_no_file_is_left(folder, tmp_path, capsys):
    pd.read_csv(folder / "test.csv").drop(columns="petal").to_csv(tmp_path / "fewer.csv", index=False)
    assert ask(folder, "predict", tmp_path / "fewer.csv", "-o", tmp_path / "answers.csv") == 1
    assert "no column ['petal']" in capsys.readouterr().err
    assert not (tmp_path / "answers.csv").exists()


def test_a_folder_that_may_not_be_written_to_is_said_before_the_fit(folder, monkeypatch, capsys):
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != folder.resolve() or mode != os.W_OK)
    monkeypatch.setattr(ks.SemiSupervisedVAE, "fit", None)
    assert main(["fit", str(folder / "labeled.csv"), "--target", "species", "-o", str(folder / "new.ssvae")]) == 1
    assert "may not be written to" in capsys.readouterr().err


def test_ctrl_c_leaves_the_model_of_the_last_epoch(folder, tmp_path, monkeypatch, capsys):
    def interrupted(self, X, y):
        error = ks.FitInterrupted("interrupted after epoch 3", None, True)
        error.estimator = ks.load(folder / "model.ssvae")
        raise error

    monkeypatch.setattr(ks.SemiSupervisedVAE, "fit", interrupted)
    path = tmp_path / "half.ssvae"
    assert main(["fit", str(folder / "labeled.csv"), "--target", "species", "-o", str(path)]) == 128 + signal.SIGINT
    assert "after epoch 3" in capsys.readouterr().err
    assert ks.load(path).classes_.tolist() == [0, 1, 2]


def test_help_needs_no_tensorflow_and_says_an_example():
    code = "import sys; from keras_ssvae.cli import main; main(['fit', '--help']); sys.exit('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert "keras-ssvae fit labeled.csv" in " ".join(done.stdout.split())


def test_without_typer_it_is_said_what_to_install():
    code = "import sys; sys.modules['typer'] = None; from keras_ssvae.cli import main; sys.exit(main(['info']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert 'pip install "keras_ssvae[cli]"' in done.stderr


def test_a_process_of_its_own_is_silent_and_a_reader_may_stop(folder):
    command = f"{sys.executable} -m keras_ssvae.cli predict {folder}/model.ssvae {folder}/test.csv | head -2"
    env = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}  # which says what is to be seen
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=120, env=env)
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr == ""


def test_the_commands_of_the_readme_run(folder, tmp_path, monkeypatch, capsys):
    block = next(
        text for text in re.findall(r"^```sh\n(.*?)^```", README.read_text(), re.M | re.S) if text.startswith("keras-ssvae")
    )
    for name in ("labeled.csv", "test.csv"):
        pd.read_csv(folder / name).rename(columns={"species": "label"}).to_csv(tmp_path / name, index=False)
    (tmp_path / "more.parquet").symlink_to(folder / "more.parquet")
    (tmp_path / "rows").symlink_to(folder / "parts")
    monkeypatch.chdir(tmp_path)
    commands = [shlex.split(line.partition("|")[0])[1:] for line in block.splitlines()]
    assert [command[0] for command in commands] == ["fit", "score", "predict", "anomalies", "impute"]
    for command in commands:
        assert main([*command, *(FAST if command[0] == "fit" else [])]) == 0
    assert "accuracy" in capsys.readouterr().out
    assert len(pd.read_parquet("answers.parquet")) == 50


@pytest.mark.parametrize("stream", [[], ["--stream"]], ids=["in memory", "streamed"])
def test_files_with_other_columns_are_named_not_filled_with_gaps(folder, tmp_path, capsys, stream):
    other = pd.read_csv(folder / "test.csv").rename(columns={"petal": "leaf"})
    other.to_csv(tmp_path / "other.csv", index=False)
    output = ["-o", str(tmp_path / "model"), *FAST, *stream]
    assert (
        main(["fit", str(folder / "labeled.csv"), "--unlabeled", str(tmp_path / "other.csv"), "--target", "species", *output])
        == 1
    )
    assert "leaf" in capsys.readouterr().err
    assert main(["fit", str(folder / "labeled.csv"), str(tmp_path / "other.csv"), "--target", "species", *output]) == 1
    assert "leaf" in capsys.readouterr().err
    assert not (tmp_path / "model").exists()
