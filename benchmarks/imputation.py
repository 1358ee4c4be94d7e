"""How well does it fill gaps? Numeric tables from which cells are removed at random, filled by the model of the same rows.

Of every numeric table 20 % or 50 % of the cells are removed, completely at random, and no label is given. Every method is
fitted on what is left, and fills the gaps of these very rows.
"""

import numpy as np
import pandas as pd
from common import OURS, Rows, command_line, compare, load_tables, markdown, ours, tables_parser, timed, variant, write_section
from sklearn.experimental import enable_iterative_imputer  # noqa: F401  (it makes IterativeImputer importable)
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

MAX_ROWS = 5000
PEERS = {"mean of the column": SimpleImputer, "KNNImputer": KNNImputer, "IterativeImputer": IterativeImputer}
NOTES = f"""
Error: the root mean squared error of a column's removed cells, in units of the standard deviation of the complete
column, averaged over the columns that are not constant; 1 is about what the mean of the column gets. Mean: over the
tables, each the mean of its seeds. Rank: of the table's mean error among the methods of the first table, 1 is best. A
method that lacks some of the runs is left out of the first table, and has a dash in the second. All methods are handed
columns standardised by what is observed, and what they fill in is turned back; so none of them knows which columns hold
whole numbers (SemiSupervisedVAE would round there, at a cost of 0.05 to 0.17 where a column has few values). Defaults for
the others. Tables with more than {MAX_ROWS} rows are thinned to {MAX_ROWS}, drawn by the seed, the same for all methods. The
seconds are those of fitting and filling, and rough: other programs ran beside it.
"""


def is_numeric(X):
    """Tell whether every column holds numbers."""
    return X.select_dtypes("number").shape[1] == X.shape[1]


def thin(X, seed):
    """Return at most `MAX_ROWS` rows as floats, in their order."""
    rows = np.random.default_rng(seed).permutation(len(X))[:MAX_ROWS]
    return X.iloc[np.sort(rows)].reset_index(drop=True).astype(float)


def choose_cells(shape, share, seed):
    """Return a mask of the cells to remove, that share of all; a larger share of the same seed contains the smaller."""
    order = np.random.default_rng(seed).permutation(np.prod(shape))
    mask = np.zeros(order.size, dtype=bool)
    mask[order[: round(share * order.size)]] = True
    return mask.reshape(shape)


def fill(name, gaps, seed, params):
    """Return the table without gaps, and the seconds."""
    mean, deviation = gaps.mean(), gaps.std(ddof=0)
    scaled = (gaps - mean) / deviation.where(deviation > 0, 1.0)
    if name == OURS:
        estimator = ours(seed, params)
        filled, seconds = timed(lambda: estimator.fit(scaled).impute(scaled))
    else:
        filled, seconds = timed(PEERS[name]().fit_transform, scaled)
    return pd.DataFrame(filled, columns=gaps.columns) * deviation.where(deviation > 0, 1.0) + mean, seconds


def imputation_error(X, filled, removed):
    """Return the error as NOTES defines it.

    Parameters
    ----------
    X, filled : DataFrame of shape (n, d)
        The complete table, and what a method made of it.
    removed : ndarray of bool, shape (n, d)
        The cells that count.

    Returns
    -------
    float
    """
    squares = (filled - X).pow(2).where(removed)
    scaled = np.sqrt(squares.mean()) / X.std(ddof=0)
    return scaled[X.nunique() > 1].mean()


def run(table, X, seed, args, rows):
    """Run the methods that `rows` lacks on one table, for every share."""
    X = thin(X, seed)
    for share in args.shares:
        removed = choose_cells(X.shape, share, seed)
        gaps = X.mask(removed)
        for name in args.methods:
            method = variant(name, args.params) if name == OURS else name
            key = {"method": method, "table": table, "share": share, "seed": seed}
            if key not in rows:
                filled, seconds = fill(name, gaps, seed, args.params)
                rows.add(key, error=imputation_error(X, filled, removed), seconds=seconds)


def summary(frame):
    """The two tables: every method at every share, over all tables; and every table's errors."""
    parts = {f"{share:.0%}": compare(runs, "error") for share, runs in frame.groupby("share")}
    overall = pd.concat({share: first for share, (first, _) in parts.items()}, names=["removed", "method"])
    by_table = pd.concat({share: second for share, (_, second) in parts.items()}, names=["removed", "table"])
    return f"{markdown(overall.reset_index())}\n\nMean error of each table:\n\n{markdown(by_table.reset_index())}"


def main():
    """Run what is not in the CSV yet, then write the section."""
    parser = tables_parser(__doc__, [OURS, *PEERS])
    parser.add_argument("--shares", type=float, nargs="+", default=[0.2, 0.5], help="shares of the cells to remove")
    args = parser.parse_args()
    rows = Rows(args.out, "imputation", ["method", "table", "share", "seed"], ["error", "seconds"], args.resume)
    tables = {name: X for name, (X, _) in load_tables(args.data, args.tables).items() if is_numeric(X)}
    for seed in args.seeds:
        for table, X in tables.items():
            run(table, X, seed, args, rows)
    frame = rows.frame()
    title = "Gaps in numeric tables, filled without labels"
    name = variant(OURS, args.params)
    write_section("imputation", title, command_line(), summary(frame), NOTES, rows=frame, out=args.out, needs=name)


if __name__ == "__main__":
    main()
