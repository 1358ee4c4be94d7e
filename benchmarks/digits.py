"""How good is it with 50 labels? scikit-learn's digits, against its peers on the same splits.

1257 training rows of which a few are labelled, equally many a class; accuracy on 540 test rows that no method saw.
"""

from common import (
    OURS,
    SAME_NETWORK,
    Rows,
    argument_parser,
    command_line,
    digits_split,
    fit_seconds,
    hide_labels,
    labels_only,
    markdown,
    ours,
    variant,
    write_section,
)
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier
from sklearn.svm import SVC

NOTES = """
Accuracy on the test rows; std over seeds (ddof 1). SemiSupervisedVAE is handed the raw 0..16, the peers of
scikit-learn X / 16; all have their default parameters (LogisticRegression: max_iter=1000), nothing was tuned here.
The seconds are those of `fit`, with compilation. The network trained on labels only scales its inputs with all rows.
"""


def methods(seed, params):
    """Name -> (a function that makes the estimator, divisor of X, whether it is handed the unlabelled rows)."""
    logistic = LogisticRegression(max_iter=1000)
    return {
        variant(OURS, params): (lambda: ours(seed, params), 1, True),
        "LabelSpreading(knn)": (lambda: LabelSpreading(kernel="knn"), 16, True),
        "SelfTraining(LogisticRegression)": (lambda: SelfTrainingClassifier(logistic), 16, True),
        "LogisticRegression, labels only": (lambda: logistic, 16, False),
        "SVC, labels only": (SVC, 16, False),
        variant(SAME_NETWORK, params): (lambda: labels_only(**{"random_state": seed, **params}), 1, True),
    }


def summary(frame, name):
    """The two tables: every method's accuracy, and how far the method `name` is ahead on each seed."""
    groups = frame.groupby(["labels", "method"])
    table = groups["accuracy"].agg(["mean", "std", "min"]).join(groups["seconds"].mean().rename("seconds of fit"))
    table = table.sort_values(["labels", "mean"], ascending=[True, False]).reset_index()
    wide = frame.pivot(index=["labels", "method"], columns="seed", values="accuracy")
    ahead = wide.xs(name, level="method").reindex(wide.index.get_level_values("labels")).to_numpy() - wide
    ahead = ahead.drop(index=name, level="method").add_prefix("seed ")
    ahead.insert(0, "mean", ahead.mean(axis=1))
    ahead = ahead.reset_index()
    return f"{markdown(table)}\n\nAccuracy of {name} minus that of the other, seed by seed:\n\n{markdown(ahead)}"


def main():
    """Run the methods that are not in the CSV yet, then write the section."""
    parser = argument_parser(__doc__, seeds=5)
    parser.add_argument("--labels", type=int, nargs="+", default=[50], help="labelled rows in all")
    args = parser.parse_args()
    rows = Rows(args.out, "digits", ["method", "labels", "seed"], ["accuracy", "seconds"], args.resume)
    for labels in args.labels:
        for seed in args.seeds:
            X_train, X_test, y_train, y_test = digits_split(seed)
            y_few = hide_labels(y_train, labels, seed)
            for name, (make, divisor, reads_unlabelled) in methods(seed, args.params).items():
                key = {"method": name, "labels": labels, "seed": seed}
                if key in rows:
                    continue
                used = slice(None) if reads_unlabelled else y_few != -1
                estimator = make()
                seconds = fit_seconds(estimator, X_train[used] / divisor, y_few[used])
                rows.add(key, accuracy=accuracy_score(y_test, estimator.predict(X_test / divisor)), seconds=seconds)
    frame = rows.frame()
    table = summary(frame, variant(OURS, args.params))
    title = "Digits: a few labels, many methods"
    write_section("digits", title, command_line(), table, NOTES, rows=frame, out=args.out)


if __name__ == "__main__":
    main()
