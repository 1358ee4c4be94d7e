"""How good is it on ordinary tables, numbers and words side by side, with a label for every tenth row?

Tables of KEEL: 30 % of the rows are the test rows (stratified); of the others, 10 % of each class are labelled, at least
two, and the rest are unlabelled. Error on the test rows, which no method saw.
"""

import warnings

from common import (
    OURS,
    SAME_NETWORK,
    Rows,
    command_line,
    compare,
    fit_seconds,
    hide_labels,
    labels_only,
    load_tables,
    markdown,
    ours,
    tables_parser,
    variant,
    write_section,
)
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier
from sklearn.svm import SVC

NOTES = """
Error in % on the test rows. Mean: over the tables, each the mean of its seeds. Rank: of the table's mean error among
the methods of the first table, 1 is best. A method that lacks some of the runs is left out of the first table, and has
a dash in the last. SemiSupervisedVAE is handed the table as pandas reads it. For the others numeric columns are filled
with the median and standardised, other columns are filled with the most frequent value and one-hot encoded; all
training rows, unlabelled ones too, decide on these. Defaults everywhere (LogisticRegression: max_iter=1000; the SVC in
SelfTraining: probability=True). The seconds are those of `fit`, and rough: other programs ran beside it.
"""


def split(X, y, seed):
    """Return ``X_train, X_test, y_few, y_test``; hidden labels are -1 in `y_few`."""
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, stratify=y, random_state=seed)
    return X_train, X_test, hide_labels(y_train, 0.1, seed, at_least=2), y_test


def prepare(X_train, X_test):
    """Return both as matrices for the peers: filled, standardised, one-hot; fitted on the training rows."""
    numeric = X_train.select_dtypes("number").columns
    words = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore", sparse_output=False))
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numeric),
        (words, X_train.columns.difference(numeric, sort=False)),
    )
    return columns.fit_transform(X_train), columns.transform(X_test)


def methods(seed, params):
    """Name -> (a function that makes the estimator, whether it is handed the unlabelled rows)."""
    forest = RandomForestClassifier(random_state=seed)
    # Deprecated, but the calibration that is to replace it refuses classes with fewer than five labels.
    machine = SVC(probability=True, random_state=seed)
    return {
        OURS: (lambda: ours(seed, params), True),
        "RandomForest, labels only": (lambda: forest, False),
        "SVC, labels only": (SVC, False),
        "SelfTraining(SVC)": (lambda: SelfTrainingClassifier(machine), True),
        "LogisticRegression, labels only": (lambda: LogisticRegression(max_iter=1000), False),
        "SelfTraining(RandomForest)": (lambda: SelfTrainingClassifier(forest), True),
        "LabelSpreading(knn)": (lambda: LabelSpreading(kernel="knn"), True),
        SAME_NETWORK: (lambda: labels_only(**{"random_state": seed, **params}), True),
    }


def full_name(name, params):
    """Return the name of a method in the tables: with the parameters, if it reads them."""
    return variant(name, params) if name in (OURS, SAME_NETWORK) else name


def run(table, X, y, seed, args, rows):
    """Run the methods that `rows` lacks on one split of one table."""
    X_train, X_test, y_few, y_test = split(X, y, seed)
    matrices = prepare(X_train, X_test)
    for name in args.methods:
        key = {"method": full_name(name, args.params), "table": table, "seed": seed}
        if key in rows:
            continue
        make, reads_unlabelled = methods(seed, args.params)[name]
        train, test = (X_train, X_test) if name == OURS else matrices
        used = slice(None) if reads_unlabelled else y_few != -1
        estimator = make()
        seconds = fit_seconds(estimator, train[used], y_few[used])
        rows.add(key, error=100 * (1 - accuracy_score(y_test, estimator.predict(test))), seconds=seconds)


def differences(frame, name, network):
    """Return in markdown by how much the errors of `name` are above those of `network`: each table, and all together."""
    wide = frame.pivot(index=["table", "seed"], columns="method", values="error")
    paired = (wide[name] - wide[network]).dropna().rename("difference").groupby("table")
    table = paired.agg(["mean", "std", "min", "max"]).reset_index()
    mean = table["mean"]
    words = (
        f"Error of {name} minus that of {network}, same splits: mean {mean.mean():.2f} ± {mean.sem():.2f} (standard error, "
        f"the tables being the sample), below zero on {(mean < 0).sum()} of {len(mean)} tables. By table, over its seeds:"
    )
    return f"{words}\n\n{markdown(table, 2)}"


def summary(frame, params):
    """The tables: every method over all tables, the difference to the labels-only network, and every table's errors."""
    overall, by_table = compare(frame, "error")
    parts = [markdown(overall.reset_index(names="method"), 2)]
    pair = [full_name(name, params) for name in (OURS, SAME_NETWORK)]
    if set(pair) <= set(by_table):
        parts.append(differences(frame, *pair))
    parts.append(f"Mean error of each table:\n\n{markdown(by_table.reset_index(), 1)}")
    return "\n\n".join(parts)


def main():
    """Run what is not in the CSV yet, then write the section."""
    args = tables_parser(__doc__, methods(0, {})).parse_args()
    warnings.filterwarnings("ignore", message="The `probability` parameter", category=FutureWarning)
    rows = Rows(args.out, "keel", ["method", "table", "seed"], ["error", "seconds"], args.resume)
    tables = load_tables(args.data, args.tables)
    for seed in args.seeds:
        for table, (X, y) in tables.items():
            run(table, X, y, seed, args, rows)
    frame = rows.frame()
    write_section(
        "keel",
        "Tables of KEEL: a label for every tenth row",
        command_line(),
        summary(frame, args.params),
        NOTES,
        rows=frame,
        out=args.out,
        needs=full_name(OURS, args.params),
    )


if __name__ == "__main__":
    main()
