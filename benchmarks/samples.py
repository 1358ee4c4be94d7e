"""How like the real rows are those that a model makes up?

Tables of KEEL: 70 % of the rows train (stratified, at most 2,100), with all labels; as many are made up, with a label each.
Ours beside a Gaussian copula of all columns and the label, and beside columns that are drawn one by one.
"""

import numpy as np
import pandas as pd
from common import (
    OURS,
    Rows,
    at_most,
    command_line,
    compare,
    fit_seconds,
    load_tables,
    markdown,
    ours,
    tables_parser,
    write_section,
)
from keel import full_name, prepare
from scipy.stats import ks_2samp, norm, rankdata
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict, train_test_split

COPULA, ALONE = "Gaussian copula", "columns one by one"
MOST_ROWS, MOST_PAIRS, N_BINS = 3000, 300, 10
TUNED = ("bands", "contraceptive", "phoneme", "saheart", "segment", "vehicle")  # on these the way rows are drawn was chosen
NOTES = f"""
Shapes: the mean over columns, the label among them, of 1 minus the Kolmogorov-Smirnov distance of numbers, or minus the total
variation distance of others. Pairs: the mean over (at most {MOST_PAIRS}) pairs of columns of 1 minus half the difference of the
correlations of numbers, or minus the total variation distance of the table of both, numbers in {N_BINS} bins of equal width.
Quality is the mean of both, as SDMetrics' quality report defines them. "Told apart": ROC-AUC of a random forest, and of
logistic regression, which tell real from made-up rows in five folds; 0.5 is best. "Lost": by how many points the accuracy on
the test rows is less where a random forest, or logistic regression, was trained on made-up rows in place of the real ones.

A table is the mean of its seeds. Tuned on: {", ".join(TUNED)} (seed 0); all others are new.
Defaults; rough seconds. Columns one by one are those of the real rows, in another order.
"""


# ------------------------------------------------------------------------------------------------------------- measures


def is_number(column):
    """Whether a column holds numbers, and not truth values."""
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def overlap(one, other):
    """1 minus the total variation distance of two columns of categories."""
    shares = [each.astype(str).value_counts(normalize=True) for each in (one, other)]
    return 1 - shares[0].sub(shares[1], fill_value=0).abs().sum() / 2


def shapes(real, made):
    """How alike the columns of two frames are, one by one: (d,) numbers up to 1."""
    alike = []
    for name in real:
        if is_number(real[name]):
            alike.append(1 - ks_2samp(real[name].dropna(), made[name].dropna(), method="asymp").statistic)
        else:
            alike.append(overlap(real[name], made[name]))
    return np.array(alike)


def pairs(real, made):
    """How alike pairs of columns are: numbers up to 1."""
    names = [(a, b) for i, a in enumerate(real) for b in list(real)[:i]]
    if len(names) > MOST_PAIRS:
        names = [names[i] for i in np.random.RandomState(0).permutation(len(names))[:MOST_PAIRS]]
    binned = [{name: in_bins(frame[name], real[name]) for name in real} for frame in (real, made)]
    alike = []
    for a, b in names:
        if is_number(real[a]) and is_number(real[b]):
            correlations = np.nan_to_num([frame[a].corr(frame[b]) for frame in (real, made)])
            alike.append(1 - abs(correlations[0] - correlations[1]) / 2)
        else:
            alike.append(overlap(*(each[a] + "|" + each[b] for each in binned)))
    return np.array(alike)


def in_bins(column, reference):
    """A column as text: of numbers the bin, of those of a reference."""
    if not is_number(reference):
        return column.astype(str)
    edges = np.histogram_bin_edges(reference.dropna(), N_BINS)
    return pd.Series(np.clip(np.searchsorted(edges, column, side="right"), 1, N_BINS), column.index).astype(str)


def classifiers():
    """Those that tell rows apart, and that learn from them."""
    return {"forest": RandomForestClassifier(random_state=0), "logistic": LogisticRegression(max_iter=1000)}


def told_apart(real, made):
    """ROC-AUC of each classifier between two frames, by name."""
    X, _ = prepare(pd.concat([real, made], ignore_index=True), real)
    y = np.repeat([0, 1], [len(real), len(made)])
    each = {name: cross_val_predict(model, X, y, cv=5, method="predict_proba")[:, 1] for name, model in classifiers().items()}
    return {name: roc_auc_score(y, p) for name, p in each.items()}


def lost(real, made, test):
    """Points of accuracy on test rows (X, y) that each classifier loses with made-up rows (X, y) in place of real ones."""
    X_real, X_test = prepare(real[0], test[0])
    _, X_made = prepare(real[0], made[0])
    points = {}
    for name, model in classifiers().items():
        with_real = model.fit(X_real, real[1]).score(X_test, test[1])
        with_made = (
            model.fit(X_made, made[1]).score(X_test, test[1]) if len(set(made[1])) > 1 else np.mean(test[1] == made[1][0])
        )
        points[name] = 100 * (with_real - with_made)
    return points


# ----------------------------------------------------------------------------------------------------------------- peers


def from_copula(X, y, seed):
    """Rows and labels from normal scores with the correlations of the real ones; gaps are filled with the median."""
    rng, frame = np.random.RandomState(seed), X.assign(**{"": y})
    columns = [column.fillna(column.median()) if is_number(column) else column.astype(str) for _, column in frame.items()]
    codes = [column.to_numpy(float) if is_number(column) else pd.factorize(column, sort=True)[0] for column in columns]
    jitter = rng.random_sample((len(codes), len(X)))  # among equal values
    scores = norm.ppf(
        [(rankdata(np.lexsort((j, code)).argsort()) - 0.5) / len(X) for code, j in zip(codes, jitter, strict=True)]
    )
    drawn = norm.cdf(rng.multivariate_normal(np.zeros(len(scores)), np.corrcoef(scores), len(X), check_valid="ignore"))
    made = {
        name: np.sort(column.to_numpy())[np.minimum((u * len(X)).astype(int), len(X) - 1)]
        for name, column, u in zip(frame, columns, drawn.T, strict=True)
    }
    made = pd.DataFrame(made)
    return made[list(X)], made[""].to_numpy()


def one_by_one(X, y, seed):
    """Each column, and the labels, in an order of its own."""
    rng = np.random.RandomState(seed)
    return pd.DataFrame({name: rng.permutation(X[name].to_numpy()) for name in X}), rng.permutation(y)


PEERS = {COPULA: from_copula, ALONE: one_by_one}


# ------------------------------------------------------------------------------------------------------------------ runs


def plainly(X):
    """Numbers as floats, all else as text, a missing cell among them as a word of its own: what measures read."""
    return pd.DataFrame({name: X[name].astype(float) if is_number(X[name]) else X[name].astype(str) for name in X})


def run(table, X, y, seed, args, rows):
    """Run the methods that `rows` lacks on one split of one table."""
    y = np.asarray(y).astype(str)
    X, y = at_most(MOST_ROWS, X, y, seed)
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.3, stratify=y, random_state=seed)
    X = X.reset_index(drop=True)
    for name in args.methods:
        key = {"method": full_name(name, args.params), "table": table, "seed": seed}
        if key in rows:
            continue
        seconds = 0.0
        if name == OURS:
            model = ours(seed, args.params)
            seconds = fit_seconds(model, X, y)
            X_made, y_made = model.sample(len(X), random_state=seed)
        else:
            X_made, y_made = PEERS[name](X, y, seed)
        real, made = plainly(X), plainly(X_made)
        alike = {"shapes": shapes(real.assign(y=y), made.assign(y=y_made)).mean()}
        alike["pairs"] = pairs(real.assign(y=y), made.assign(y=y_made)).mean()
        apart = told_apart(real.assign(y=y), made.assign(y=y_made))
        points = lost((real, y), (made, y_made), (plainly(X_test), y_test))
        values = {f"told apart, {k}": v for k, v in apart.items()} | {f"lost, {k}": v for k, v in points.items()}
        rows.add(key, quality=np.mean(list(alike.values())), **alike, **values, seconds=seconds)


def summary(frame):
    """Means over tables, those tuned on and the others, and every table's quality."""
    measures = [name for name in frame if name not in ("method", "table", "seed", "code")]
    by_table = frame.groupby(["table", "method"])[measures].mean().reset_index()
    kind = by_table["table"].map(lambda name: "tuned on" if name in TUNED else "new")
    means = by_table.groupby([kind.rename("tables"), "method"])[measures].mean()
    _, quality = compare(frame, "quality")
    return f"{markdown(means.reset_index())}\n\nQuality of each table:\n\n{markdown(quality.reset_index())}"


def main():
    """Run what is not in the CSV yet, then write the section."""
    args = tables_parser(__doc__, [OURS, *PEERS]).parse_args()
    measures = ["quality", "shapes", "pairs"]
    measures += [f"{what}, {name}" for what in ("told apart", "lost") for name in classifiers()]
    rows = Rows(args.out, "samples", ["method", "table", "seed"], [*measures, "seconds"], args.resume)
    for seed in args.seeds:
        for table, (X, y) in load_tables(args.data, args.tables).items():
            run(table, X, y, seed, args, rows)
    frame = rows.frame()
    title, name = "Rows that are made up, beside real ones", full_name(OURS, args.params)
    write_section("samples", title, command_line(), summary(frame), NOTES, rows=frame, out=args.out, needs=name)


if __name__ == "__main__":
    main()
