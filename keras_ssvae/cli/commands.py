"""The commands of the shell. What they print is an answer on stdout, and news on stderr."""

import inspect
import json
import os
import sys
import time
import typing
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import typer

import keras_ssvae
from keras_ssvae.cli import rows
from keras_ssvae.cli.reporting import reported, say, start
from keras_ssvae.cli.rows import STDIO
from keras_ssvae.cli.scoring import figures_of, predicts_numbers

__all__ = ["app"]

app = typer.Typer(
    name="keras-ssvae",
    help="Deep generative models of tables of which only some rows are labelled.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

NONE: list[str] = []  # typer makes a list of its own for each command
SHARES = ["0.01", "0.1", "1.0"]

ModelPath = typing.Annotated[str, typer.Argument(metavar="MODEL", help="A file that `fit` wrote.")]
Rows = typing.Annotated[
    str, typer.Argument(metavar="ROWS", help='A CSV or Parquet file, a folder of them, or "-" for CSV on stdin.')
]
Table = typing.Annotated[
    str, typer.Option("-o", "--output", metavar="FILE", help='A file, Parquet or CSV by its ending, or "-" for stdout.')
]
Keep = typing.Annotated[
    list[str], typer.Option("--keep", metavar="COLUMN", help="A column of the rows to put beside the answers; may be repeated.")
]
Append = typing.Annotated[bool, typer.Option("--append", help="Put all columns of the rows beside the answers.")]
AsJSON = typing.Annotated[bool, typer.Option("--json", help="Print JSON.")]
Target = typing.Annotated[str | None, typer.Option("--target", metavar="COLUMN", help="The column of the labels.")]
Settings = typing.Annotated[
    list[str], typer.Option("--set", metavar="NAME=VALUE", help="A parameter of the model, its value as JSON; may be repeated.")
]
Family = typing.Annotated[str, typer.Option("--model", metavar="NAME", help="The class of the model.")]
RandomState = typing.Annotated[int, typer.Option("--random-state", help="The same number gives the same model.")]
Drop = typing.Annotated[list[str], typer.Option("--drop", metavar="COLUMN", help="A column that is not read; may be repeated.")]


def command(example: str) -> Callable:
    """Decorator: a function is a command of the shell, its docstring the help and its name the name."""

    def add(function):
        app.command(epilog=f"Example: keras-ssvae {example}")(reported(function))
        return function

    return add


@command("fit labeled.csv --unlabeled more.parquet --target label -o model.ssvae")
def fit(
    paths: typing.Annotated[list[str], typer.Argument(metavar="ROWS...", help="CSV or Parquet files, or a folder of them.")],
    output: typing.Annotated[str, typer.Option("-o", "--output", metavar="FILE", help="The file of the model.")],
    target: Target = None,
    unlabeled: typing.Annotated[
        list[str], typer.Option("--unlabeled", metavar="ROWS", help="More rows, without labels; may be repeated.")
    ] = NONE,
    mark: typing.Annotated[str, typer.Option("--mark", help="What stands for no label, besides an empty cell.")] = "-1",
    drop: Drop = NONE,
    model: Family = "SemiSupervisedVAE",
    setting: Settings = NONE,
    epochs: typing.Annotated[int | None, typer.Option("--epochs", min=1, help="Passes over the rows.")] = None,
    random_state: RandomState = 0,
    checkpoint: typing.Annotated[
        str | None,
        typer.Option("--checkpoint", metavar="FOLDER", help="The same command goes on from here where it was stopped."),
    ] = None,
    stream: typing.Annotated[
        bool | None, typer.Option("--stream/--no-stream", help="Read rows in blocks; by itself above 2 GiB of files.")
    ] = None,
    verbose: typing.Annotated[int | None, typer.Option("--verbose", min=0, max=2, help="0, 1 or 2; 1 at a terminal.")] = None,
) -> None:
    """Fit a model to rows of which any number is labelled, and write it to a file."""
    if STDIO in unlabeled and STDIO in paths:
        raise typer.BadParameter("stdin can be read once only.")
    _check_place(output)
    estimator = _estimator(model, setting, random_state)
    given = {"epochs": epochs, "checkpoint": checkpoint, "verbose": int(sys.stderr.isatty()) if verbose is None else verbose}
    network = estimator if "epochs" in estimator.get_params() else estimator.estimator  # of a detector
    network.set_params(**{name: value for name, value in given.items() if value is not None})
    if stream is None:
        stream = rows.bytes_of([path for path in (*paths, *unlabeled) if path != STDIO]) > rows.IN_MEMORY
    began = time.perf_counter()
    try:
        _fit(estimator, paths, unlabeled, target, mark, drop, stream)
    except keras_ssvae.FitInterrupted as interrupted:
        if isinstance(interrupted.estimator, type(estimator)):  # and not the network of a detector
            interrupted.estimator.save(output)
            say(f"the model of the last epoch is in {output}")
        raise
    estimator.save(output)
    say(f"{model} fitted in {time.perf_counter() - began:.0f} s: {output}")


def _fit(estimator, paths, unlabeled, target, mark, drop, stream):
    parts = [(paths, True), (unlabeled, False)]
    if stream:
        if STDIO in (*paths, *unlabeled):
            raise typer.BadParameter("--stream reads its rows several times, which stdin does not allow.")

        def blocks():
            for some, labeled in parts:
                for path in some:
                    for frame in rows.blocks_of(path):
                        X, y = rows.split(frame, target, drop, labeled)
                        yield X if y is None else (X, y)

        if target is not None:
            _set_mark(estimator, mark, rows.labels_of(next(rows.blocks_of(paths[0])), target))
        estimator.fit(blocks)
        return
    split = [rows.split(rows.read(some), target, drop, labeled) for some, labeled in parts if some]
    rows.check_same_columns(
        split[0][0], split[-1][0], "rows of --unlabeled have other columns than those with labels (see --drop)"
    )
    X = pd.concat([X for X, _ in split], ignore_index=True)
    y = None if target is None else np.concatenate([np.asarray(y, dtype=object) for _, y in split])
    if target is not None:
        _set_mark(estimator, mark, split[0][1])
        n_labeled = int(rows.known(y, getattr(estimator, "unlabeled", -1)).sum())
        say(f"{len(X)} rows, {X.shape[1]} columns, {n_labeled} labels")
    estimator.fit(X, y)


def _set_mark(estimator, mark, labels):
    """Let the estimator know what stands for no label; a number where the labels are numbers."""
    if "unlabeled" not in estimator.get_params():
        return
    is_number = pd.api.types.is_numeric_dtype(labels) and not pd.api.types.is_bool_dtype(labels)
    try:
        number = float(mark) if is_number else None
    except ValueError as error:
        raise typer.BadParameter(f"--mark {mark!r} is no number, as the labels are.") from error
    estimator.set_params(unlabeled=mark if number is None else int(number) if number.is_integer() else number)


@command("predict model.ssvae rows.csv --keep id --proba -o answers.csv")
def predict(
    model: ModelPath, path: Rows, output: Table = STDIO, keep: Keep = NONE, append: Append = False,
    proba: typing.Annotated[bool, typer.Option("--proba", help="The probability of each class, too.")] = False,
) -> None:  # fmt: skip
    """Write the class of each row. Rows are read in blocks, so that a folder of any size has room."""
    estimator = _load(model, "predict_proba" if proba else "predict")
    classes = getattr(estimator, "classes_", ("normal", "anomaly"))  # of a detector

    def answers(frame, X):
        yield "prediction", estimator.predict(X)
        if proba:
            shares = estimator.predict_proba(X)
            yield from ((f"proba_{label}", shares[:, k]) for k, label in enumerate(classes))

    _answer(estimator, path, output, keep, append, answers)


@command("anomalies model.ssvae rows.csv --append --top 20")
def anomalies(
    model: ModelPath, path: Rows, output: Table = STDIO, keep: Keep = NONE, append: Append = False,
    top: typing.Annotated[int | None, typer.Option("--top", min=1, help="Only so many rows, the strangest first.")] = None,
    explain: typing.Annotated[
        bool, typer.Option("--explain", help="What each column adds to the score; of an AnomalyDetector.")
    ] = False,
) -> None:  # fmt: skip
    """Write how strange each row is: higher is stranger. The column "row" counts the rows from 0."""
    estimator = _load(model, "explain" if explain else "anomaly_score")
    seen = 0

    def answers(frame, X):
        nonlocal seen
        yield "row", np.arange(seen, seen + len(frame))
        yield "anomaly_score", estimator.anomaly_score(X)
        if explain:
            yield from ((f"why_{name}", column.to_numpy()) for name, column in estimator.explain(X).items())
        seen += len(frame)

    _answer(estimator, path, output, keep, append, answers, top)


@command("impute model.ssvae rows.csv -o complete.csv")
def impute(model: ModelPath, path: Rows, output: Table = STDIO) -> None:
    """Write the rows with their empty cells filled."""
    estimator = _load(model, "impute")

    def filled(frame):
        complete = estimator.impute(rows.columns_for(estimator, frame))
        return frame.assign(**complete) if isinstance(complete, pd.DataFrame) else pd.DataFrame(complete, columns=frame.columns)

    _written(rows.write(map(filled, rows.blocks_of(path)), output), "rows", output)


@command("sample model.ssvae -n 100 --class cat --where plan=paid --where age=30..40 -o made_up.csv")
def sample(
    model: ModelPath, output: Table = STDIO,
    n_samples: typing.Annotated[int, typer.Option("-n", "--n-samples", min=1, help="How many rows.")] = 10,
    label: typing.Annotated[str | None, typer.Option("--class", metavar="LABEL", help="All of this class.")] = None,
    where: typing.Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN=VALUE", help="What a column is to be: a value, or LOW..HIGH; may be given again."),
    ] = None,
    random_state: RandomState = 0,
) -> None:  # fmt: skip
    """Write rows that the model makes up, and their classes."""
    estimator = _load(model, "sample")
    y = None if label is None else _class_of(estimator, label)
    X, y = estimator.sample(n_samples, y, random_state, conditions=rows.conditions_of(where) if where else None)
    frame = X if isinstance(X, pd.DataFrame) else pd.DataFrame(np.reshape(X, (len(X), -1)))
    name = "class" if "class" not in frame else "sampled_class"
    _written(rows.write([frame if y is None else frame.assign(**{name: y})], output), "rows", output)


@command("score model.ssvae test.csv --target label")
def score(
    model: ModelPath, path: Rows,
    target: typing.Annotated[str, typer.Option("--target", metavar="COLUMN", help="The column of the true labels.")],
    as_json: AsJSON = False,
) -> None:  # fmt: skip
    """Compare predictions with labels, or numbers; rows without one do not count."""
    estimator = _load(model, "predict")
    if not hasattr(estimator, "unlabeled"):
        raise ValueError(f"{model} holds a {type(estimator).__name__}, whose decisions are no labels to compare with others.")
    true, predicted = [], []
    for frame in rows.blocks_of(path):
        y = rows.labels_of(frame, target)
        is_known = rows.known(y, estimator.unlabeled)
        if is_known.any():
            true += [_class_of(estimator, label) for label in y[is_known]]
            predicted += list(estimator.predict(rows.columns_for(estimator, frame[is_known])))
    if not true:
        raise ValueError(f"--target {target!r} has no label in these rows.")
    _print({"rows": len(true), **figures_of(estimator, true, predicted)}, as_json)


@command("sweep labeled.csv --target label --labels 10 --labels 100 --plot sweep.png")
def sweep(
    paths: typing.Annotated[list[str], typer.Argument(metavar="ROWS...", help="CSV or Parquet files, or a folder of them.")],
    target: typing.Annotated[str, typer.Option("--target", metavar="COLUMN", help="The column of the labels.")],
    output: Table = STDIO,
    labels: typing.Annotated[
        list[str], typer.Option("--labels", help="How many labels are kept: a number, or a share as 0.1; may be repeated.")
    ] = SHARES,
    folds: typing.Annotated[int, typer.Option("--folds", min=2, help="Each share is fitted so many times.")] = 3,
    scoring: typing.Annotated[str, typer.Option("--scoring", help="A score of scikit-learn.")] = "accuracy",
    drop: Drop = NONE,
    model: Family = "SemiSupervisedVAE",
    setting: Settings = NONE,
    random_state: RandomState = 0,
    plot: typing.Annotated[str | None, typer.Option("--plot", metavar="FILE", help="A picture of the answer.")] = None,
) -> None:
    """Measure what labels are worth: hide all but some of them, fit, and score on rows that were left out."""
    estimator = _estimator(model, setting, random_state)
    X, y = rows.split(rows.read(paths), target, drop)
    kept = [_number(text) for text in labels]
    table = keras_ssvae.label_sweep(estimator, X, y, kept, cv=folds, scoring=scoring, random_state=random_state)
    _written(rows.write([table], output), "fits", output)
    if plot is not None:
        keras_ssvae.LabelSweepDisplay(table).plot().figure_.savefig(plot)


@command("report model.ssvae rows.csv --target label -o report.html")
def report(
    model: ModelPath,
    path: Rows,
    output: typing.Annotated[str, typer.Option("-o", "--output", metavar="FILE", help="The page.")] = "report.html",
    target: Target = None,
    title: typing.Annotated[str | None, typer.Option("--title", help="The headline.")] = None,
) -> None:
    """Write a page with pictures and tables about a model and some rows: one HTML file that needs nothing else."""
    _check_place(output)
    estimator = _load(model, "fit")
    frame = rows.read([path])
    y = None
    if target is not None:
        labels = rows.labels_of(frame, target)
        y = np.array([None if pd.isna(label) else _class_of(estimator, label) for label in labels], dtype=object)
    say(keras_ssvae.report(estimator, rows.columns_for(estimator, frame), y, output, title=title))


@command("suggest model.ssvae unlabeled.csv -n 20 --append")
def suggest(
    model: ModelPath, path: Rows, output: Table = STDIO, keep: Keep = NONE, append: Append = False,
    n: typing.Annotated[int, typer.Option("-n", min=1, help="How many rows.")] = 20,
) -> None:  # fmt: skip
    """Write which rows to label next: the model is uncertain of them, and each stands for many others."""
    estimator = _load(model, "transform")
    frame = rows.read([path])
    found = keras_ssvae.suggest_labels(estimator, rows.columns_for(estimator, frame), n)
    chosen = frame.loc[found.index].reset_index(drop=True)
    beside = chosen if append else chosen[_kept(frame, keep)]
    answer = pd.DataFrame({"row": found.index, "uncertainty": found.to_numpy()})
    _written(rows.write([pd.concat([beside, answer], axis=1)], output), "rows", output)


@command("info model.ssvae --json")
def info(model: ModelPath, as_json: AsJSON = False) -> None:
    """Say what a file holds: the model, its columns and classes, and what was set."""
    estimator = _load(model, "fit")
    defaults = type(estimator)().get_params()
    figures = {
        "model": type(estimator).__name__,
        **_training_of(estimator),
        "columns": [str(name) for name in getattr(estimator, "feature_names_in_", range(estimator.n_features_in_))],
        "classes": [str(label) for label in getattr(estimator, "classes_", [])],
        "parameters": {k: repr(v) for k, v in estimator.get_params().items() if repr(v) != repr(defaults.get(k))},
        "bytes": Path(model).stat().st_size,
    }
    _print(figures, as_json)


# What the commands share


def _answer(estimator, path, output, keep, append, answers, top=None):
    """Write the answers to all rows, or the `top` rows by the last of the answers."""

    def answered():
        for frame in rows.blocks_of(path):
            kept = list(frame) if append else _kept(frame, keep)
            found = dict(answers(frame, rows.columns_for(estimator, frame)))
            beside = frame[kept].reset_index(drop=True)
            taken = [name for name in found if name in beside]
            if taken:
                raise ValueError(f"The rows have a column {taken[0]!r} of their own; keep others beside the answers.")
            yield beside.assign(**found)

    frames = answered()
    if top is not None:
        frames = [_strangest(frames, top)]
    _written(rows.write(frames, output), "rows", output)


def _training_of(estimator):
    """How long a model was trained, and where that ended; nothing of a detector."""
    if not hasattr(estimator, "history_"):
        return {}
    return {"epochs": int(estimator.n_iter_), "loss": float(estimator.history_["loss"].iloc[-1])}


def _kept(frame, keep):
    missing = [name for name in keep if name not in frame]
    if missing:
        raise ValueError(f"--keep names {missing}, which is no column of the rows; they have {list(frame)[:20]}.")
    return list(keep)


def _strangest(frames, top):
    best = None
    for frame in frames:
        both = frame if best is None else pd.concat([best, frame], ignore_index=True)
        best = both.sort_values("anomaly_score", ascending=False, kind="stable").head(top)
    return best


def _load(path, method):
    start()
    model = keras_ssvae.load(path)
    if not hasattr(model, method):
        raise ValueError(f"{path} holds a {type(model).__name__}, which has no {method}.")
    return model


def _families():
    """The estimators that can be fitted by name."""
    models = start()
    classes = {name: getattr(models, name) for name in models.__all__}
    families = {name: cls for name, cls in classes.items() if inspect.isclass(cls)}
    return {**families, "AnomalyDetector": keras_ssvae.AnomalyDetector}


def _estimator(name, settings, random_state):
    families = _families()
    if name not in families:
        raise typer.BadParameter(f"--model {name!r} is none of {', '.join(sorted(families))}.")
    params = {"random_state": random_state}
    if "estimator" in families[name]().get_params():
        params["estimator"] = families["VAE"]()  # whose settings the command may change
    for text in settings:
        key, equals, value = text.partition("=")
        if not equals or key not in families[name]().get_params():
            raise typer.BadParameter(f"--set {text!r} is not NAME=VALUE of a parameter of {name}; see its documentation.")
        try:
            params[key] = json.loads(value)
        except json.JSONDecodeError:
            params[key] = value
    return families[name](**params)


def _class_of(estimator, label):
    """The class of a model that a text, or a number read from a file, stands for; a number where the model predicts one."""
    if predicts_numbers(estimator):
        try:
            return float(label)
        except ValueError as error:
            raise ValueError(f"{label!r} is no number, which a {type(estimator).__name__} predicts.") from error
    for known in estimator.classes_:
        if known == label or str(known) == str(label):
            return known
    return label


def _number(text):
    try:
        return int(text) if text.isdigit() else float(text)
    except ValueError as error:
        raise typer.BadParameter(f"--labels {text!r} is neither a number nor a share.") from error


def _check_place(path):
    """Fail before the work where the result would have no place."""
    place = Path(path).resolve()
    if not place.parent.is_dir():
        raise FileNotFoundError(f"--output {path!r}: there is no folder {str(place.parent)!r}.")
    if place.exists() and not place.is_file():
        raise OSError(f"--output {path!r} is a folder or a device, and no file.")
    if not os.access(place.parent, os.W_OK):
        raise PermissionError(f"--output {path!r}: the folder {str(place.parent)!r} may not be written to.")


def _print(figures, as_json):
    if as_json:
        print(json.dumps(figures), flush=True)
        return
    for name, value in figures.items():
        if isinstance(value, dict):
            value = ", ".join(f"{k}={v}" for k, v in value.items()) or "defaults"
        elif isinstance(value, list):
            value = ", ".join(value) or "none"
        print(f"{name:<18} {value:.4f}" if isinstance(value, float) else f"{name:<18} {value}")


def _written(count, of_what, output):
    if output != STDIO:
        say(f"{count} {of_what}: {output}")
