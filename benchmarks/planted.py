"""Does a detector find faults planted in mixed tables, and does its explanation name the column? KEEL's tables.

In 5 % of the rows one cell is changed: a category into another one (swapped), a cell into that of another row
(combination), a number by four to six standard deviations (shifted), a text into one that no other row has (typo). Recall:
the share of the faulty rows among as many strangest ones. Column first: the share of the faulty rows whose column has the
largest contribution.
"""

import numpy as np
import pandas as pd
from common import Rows, command_line, fit_seconds, load_tables, markdown, ours, tables_parser, variant, write_section
from sklearn.ensemble import IsolationForest
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

OURS = "AnomalyDetector"
METHODS = (OURS, "IsolationForest")
FAULTS = ("swapped", "combination", "shifted", "typo")
SHARE, MAX_ROWS = 0.05, 3000
NOTES = "IsolationForest, with its defaults, reads categories one-hot and gaps as means. Labels of the tables are not read."


def plant(frame, fault, seed):
    """Return the table with faults, their rows and their columns; None if no column can have such a fault."""
    rng = np.random.RandomState(seed)
    frame = frame.sample(n=min(MAX_ROWS, len(frame)), random_state=seed).reset_index(drop=True)
    numeric = [name for name in frame if pd.api.types.is_numeric_dtype(frame[name]) and frame[name].nunique() > 10]
    texts = [name for name in frame if not pd.api.types.is_numeric_dtype(frame[name]) and frame[name].nunique() > 1]
    names = {"swapped": texts, "combination": numeric + texts, "shifted": numeric, "typo": texts}[fault]
    if not names:
        return None
    rows = np.sort(rng.choice(len(frame), max(1, round(SHARE * len(frame))), replace=False))
    columns = rng.choice(names, len(rows))
    planted = frame.astype(dict.fromkeys(numeric, float))
    for row, name in zip(rows, columns, strict=True):
        value, column = frame.at[row, name], frame[name].dropna()
        if fault == "shifted":
            planted.at[row, name] = column.mean() + rng.choice([-1, 1]) * rng.uniform(4, 6) * column.std()
        elif fault == "typo":
            planted.at[row, name] = f"{value}-{row}"
        else:
            others = column[column != value]
            planted.at[row, name] = rng.choice(others.unique() if fault == "swapped" else others)
    return planted, rows, columns


def measure(key, frame, params):
    """Return the values of a row, or None where the table cannot have the fault."""
    found = plant(frame, key["fault"], key["seed"])
    if found is None:
        return None
    planted, rows, columns = found
    right = np.nan
    if key["method"].startswith(OURS):
        detector = ours(key["seed"], params, OURS)
        seconds = fit_seconds(detector, planted)
        scores = detector.decision_scores_
        right = (detector.explain(planted.iloc[rows]).idxmax(axis="columns").to_numpy() == columns).mean()
    else:
        numbers = pd.get_dummies(planted).to_numpy(float)
        detector = make_pipeline(SimpleImputer(), StandardScaler(), IsolationForest(random_state=key["seed"]))
        seconds = fit_seconds(detector, numbers)
        scores = -detector.score_samples(numbers)
    strangest = np.argsort(-scores)[: len(rows)]
    return {"recall": np.isin(rows, strangest).mean(), "column_first": right, "seconds": seconds}


def main():
    """Run what is not in the CSV yet, then write the section."""
    args = tables_parser(__doc__, METHODS).parse_args()
    tables = load_tables(args.data, args.tables)
    rows = Rows(args.out, "planted", ["method", "fault", "table", "seed"], ["recall", "column_first", "seconds"], args.resume)
    for seed in args.seeds:
        for name, (frame, _) in tables.items():
            for fault in FAULTS:
                for method in args.methods:
                    label = variant(method, args.params) if method == OURS else method
                    key = {"method": label, "fault": fault, "table": name, "seed": seed}
                    values = None if key in rows else measure(key, frame, args.params)
                    if values is not None:
                        rows.add(key, **values)
    frame = rows.frame()
    table = frame.pivot_table(index="fault", columns="method", values="recall").add_prefix("recall, ")
    table["column first"] = frame.groupby("fault")["column_first"].mean()
    table["tables"] = frame.groupby("fault")["table"].nunique()
    title = "Anomalies: faults planted in mixed tables"
    write_section(
        "planted", title, command_line(), markdown(table.reset_index(), 3), NOTES, rows=frame, out=args.out, needs=OURS
    )


if __name__ == "__main__":
    main()
