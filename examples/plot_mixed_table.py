"""A table as it comes
===================

A table as it comes: numbers, counts, categories, dates, truth values, gaps everywhere, and a label here and there.

The customers are generated: four kinds of them, of which the table knows only what they do. One in ten was asked what kind they
are. Nothing is prepared: the DataFrame goes in as it is, and what comes back looks like it.

Usage: python plot_mixed_table.py [picture.png]
"""

import os
import sys

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import keras_ssvae as ks

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # no start-up lines of TensorFlow, unless they are asked for

KINDS = ["family", "pensioner", "student", "traveller"]
N = 2000


def customers(n, rng):
    """A DataFrame of customers, and what kind each one is."""
    kind = rng.integers(4, size=n)
    age = np.array([41, 72, 23, 35])[kind] + rng.normal(0, [6, 6, 2, 8], size=(n, 4))[np.arange(n), kind]
    frame = pd.DataFrame(
        {
            "income": np.exp(np.array([10.6, 10.1, 9.2, 10.9])[kind] + rng.normal(0, 0.35, n)).round(2),
            "visits": rng.poisson(np.array([9, 5, 3, 1])[kind]),
            "share online": rng.beta(np.array([4, 1, 6, 5])[kind], np.array([4, 6, 2, 2])[kind]).round(3),
            "newsletter": pd.array(rng.random(n) < np.array([0.6, 0.7, 0.1, 0.3])[kind], dtype="boolean"),
            "pays by": [
                rng.choice(["card", "cash", "phone"], p=p)
                for p in np.array([[0.7, 0.2, 0.1], [0.3, 0.7, 0], [0.3, 0.1, 0.6], [0.8, 0, 0.2]])[kind]
            ],
            "rating": pd.Categorical(
                np.array(["poor", "fair", "good"])[np.clip(rng.normal([1.5, 1.8, 0.8, 1.0], 0.7, (n, 4)).round(), 0, 2)
                                                    .astype(int)[np.arange(n), kind]],
                categories=["poor", "fair", "good"],
                ordered=True,
            ),
            "born": (pd.Timestamp("2026-01-01") - pd.to_timedelta(age * 365.25, unit="D")).strftime("%d.%m.%Y"),
        },
        index=pd.Index([f"C{i:05d}" for i in range(n)], name="customer"),
    )  # fmt: skip
    return frame, np.array(KINDS, dtype=object)[kind]


def with_gaps(frame, share, rng):
    """A copy of which a share of the cells is missing."""
    return frame.mask(pd.DataFrame(rng.random(frame.shape) < share, frame.index, frame.columns))


def main():
    """Fit, ask, fill gaps, make up customers, and draw."""
    rng = np.random.default_rng(0)
    complete, kind = customers(N, rng)
    table = with_gaps(complete, 0.15, rng)
    label = pd.Series(kind, table.index).where(rng.random(N) < 0.1)  # NaN where nobody asked

    model = ks.SemiSupervisedVAE(verbose="auto", random_state=0).fit(table, label)
    print("What each column was taken for:", dict(zip(table, model.table_.kinds_, strict=True)), sep="\n")

    new, new_kind = customers(1000, rng)
    print(f"\naccuracy with {label.notna().sum()} labels, on new customers: {model.score(new, new_kind):.3f}")
    print(f"the same where a third of the cells is missing: {model.score(with_gaps(new, 1 / 3, rng), new_kind):.3f}")

    filled = model.impute(table)
    print("\nGaps, and what the model puts there:", table.head(4), filled.head(4), sep="\n")
    gaps = table["income"].isna()
    error = (np.log(filled["income"]) - np.log(complete["income"]))[gaps].abs().median()
    naive = (np.log(table["income"].median()) - np.log(complete["income"]))[gaps].abs().median()
    print(f"\nmedian error of a filled income: {100 * error:.0f} %; of the median income: {100 * naive:.0f} %")

    made_up, made_up_kind = model.sample(1000, random_state=0)
    print("\nCustomers that nobody met:", made_up.head(4), sep="\n")
    row = {"income": 300.0, "visits": 0, "share online": 0.99, "newsletter": True, "pays by": "cash", "rating": "good"}
    odd = pd.DataFrame({**row, "born": "03.05.1931"}, index=["odd"]).astype(new.dtypes)
    stranger = model.anomaly_score(new) < model.anomaly_score(odd)[0]
    print(f"\na pensioner of 300 a year who does all online is stranger than {100 * stranger.mean():.1f} % of the customers")

    _, axes = plt.subplots(1, 3, figsize=(14, 4))
    tables = {"customers": (complete, kind), "made up by the model": (made_up, made_up_kind)}
    for ax, (title, (frame, kinds)) in zip(axes, tables.items(), strict=False):
        born = pd.to_datetime(frame["born"], format="%d.%m.%Y").dt.year
        for name in KINDS:
            ax.plot(born[kinds == name], frame["income"][kinds == name], ".", ms=3, label=name)
        ax.set(title=title, yscale="log", xlabel="born", ylabel="income", ylim=(3e3, 2e5))
    axes[1].legend(markerscale=3)
    shares = {t: pd.crosstab(kinds, frame["pays by"].to_numpy(), normalize="index") for t, (frame, kinds) in tables.items()}
    both = pd.concat(shares).swaplevel().sort_index(ascending=False)
    both.index = [f"{kind}, {title.split(' ')[0]}" for kind, title in both.index]
    both.plot.barh(stacked=True, ax=axes[2], title="how each kind pays")
    axes[2].legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=3, frameon=False)
    plt.tight_layout()
    if len(sys.argv) > 1:
        plt.savefig(sys.argv[1], dpi=100)
    else:
        plt.show()


if __name__ == "__main__":
    main()
