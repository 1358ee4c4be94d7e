"""Every family on scikit-learn's digits with 100 labels, beside logistic regression on the labels alone.

1257 training rows of which 100 are labelled, ten of each digit; accuracy on 540 test rows that no method saw.
"""

from common import (
    Rows,
    argument_parser,
    command_line,
    digits_split,
    fit_seconds,
    hide_labels,
    markdown,
    ours,
    variant,
    write_section,
)
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score

FAMILIES = [
    "SemiSupervisedVAE",
    "M1",
    "M2",
    "M1M2",
    "ConditionalVAE",
    "LadderVAE",
    "AdversarialAutoencoder",
    "SemiSupervisedGAN",
]
PEER = "LogisticRegression, labels only"
NOTES = """
Accuracy on the test rows, the same splits and labels for all; std over seeds (ddof 1). "Behind" counts the seeds on which a
family is worse than logistic regression. All have their default parameters (LogisticRegression: X / 16, max_iter=1000), and
are handed rows of 64 numbers. The seconds are those of `fit`, with tracing and compilation.
"""


def summary(frame):
    """One line a method: its accuracy, how far it is ahead of the peer seed by seed, and the seconds of a fit."""
    wide = frame.pivot(index="method", columns="seed", values="accuracy")
    ahead = wide - wide.loc[PEER]
    table = frame.groupby("method")["accuracy"].agg(["mean", "std", "min"])
    table["mean ahead"], table["behind"] = ahead.mean(axis=1), (ahead < 0).sum(axis=1)
    seconds = frame.groupby("method")["seconds"]
    table["seconds of fit"], table["longest"] = seconds.mean(), seconds.max()
    return table.sort_values("mean", ascending=False).reset_index()


def main():
    """Run what is not in the CSV yet, then write the section."""
    parser = argument_parser(__doc__, seeds=5)
    parser.add_argument("--labels", type=int, default=100, help="labelled rows in all")
    parser.add_argument("--families", nargs="+", default=FAMILIES, metavar="FAMILY", help="estimators of keras_ssvae")
    args = parser.parse_args()
    rows = Rows(args.out, "families", ["method", "seed"], ["accuracy", "seconds"], args.resume)
    for seed in args.seeds:
        X_train, X_test, y_train, y_test = digits_split(seed)
        y_few = hide_labels(y_train, args.labels, seed)
        for name in [PEER, *args.families]:
            key = {"method": name if name == PEER else variant(name, args.params), "seed": seed}
            if key in rows:
                continue
            if name == PEER:
                known = y_few != -1
                estimator = LogisticRegression(max_iter=1000)
                seconds = fit_seconds(estimator, X_train[known] / 16, y_few[known])
                predicted = estimator.predict(X_test / 16)
            else:
                estimator = ours(seed, args.params, family=name)
                seconds = fit_seconds(estimator, X_train, y_few)
                predicted = estimator.predict(X_test)
            rows.add(key, accuracy=accuracy_score(y_test, predicted), seconds=seconds)
    frame = rows.frame()
    title = f"Digits: every family with {args.labels} labels"
    write_section("families", title, command_line(), markdown(summary(frame)), NOTES, rows=frame, out=args.out)


if __name__ == "__main__":
    main()
