"""MNIST with 100 or 1000 labels, beside the published error rates.

60,000 training rows of which a few are labelled, equally many a class; error on the 10,000 test rows.
"""

from common import (
    OURS,
    Rows,
    argument_parser,
    command_line,
    ece,
    fit_seconds,
    hide_labels,
    load_mnist,
    markdown,
    ours,
    variant,
    write_section,
)
from sklearn.metrics import accuracy_score
from sklearn.semi_supervised import LabelSpreading

PUBLISHED = """
| method | 100 | 600 | 1000 | 3000 | all | source |
|---|---|---|---|---|---|---|
| MLP, labels only | 22.9 | 11.4 | 11.4 | 8.9 | | Pyro tutorial |
| M1+TSVM | 11.82 ± .25 | 5.72 | 4.24 | 3.49 | | Kingma 2014 (arXiv 1406.5298), table 1 |
| M2 | 11.97 ± 1.71 | 4.94 | 3.60 | 3.92 | | same |
| M1+M2 | 3.33 ± .14 | 2.59 | 2.40 | 2.18 | 0.96 | same |
| M2, enumerated, with a classification loss | 6.81 | 5.63 | 5.13 | 4.18 | | Pyro tutorial |
| adversarial autoencoder | 1.90 ± .10 | | 1.60 | | 0.85 | Makhzani 2015 (arXiv 1511.05644) |
| Ladder network | 1.06 ± .37 | | 0.84 | | 0.57 | Rasmus 2015 (arXiv 1507.02672) |
| SDGM | 1.32 | | | | | Maaløe 2016 (arXiv 1602.05473) |
| ADGM | 0.96 | | | | | same |
| CatGAN | 1.91 | | | | | Springenberg 2015 (arXiv 1511.06390) |
| Improved GAN | 0.93 | | | | | Salimans 2016 (arXiv 1606.03498) |
| Bad GAN | 0.795 | | | | | Dai 2017 (arXiv 1705.09783) |
| VAT, MLP | 1.36 | | | | | Miyato 2017 (arXiv 1704.03976) |
| SHOT-VAE | 3.12 | | | | | Feng 2020 (arXiv 2011.10684) |
"""
NOTES = f"""
Error and expected calibration error in % on the 10,000 test rows; minutes of `fit` alone, with compilation; nothing is
chosen on the test rows.
"Augmented" shifts training images by up to two pixels and turns them by up to eleven degrees, and the convolutional pi of
`SemiSupervisedVAE` (stage "images") moves them by itself; the published figures do without: compare with that in mind.
Default parameters: `--seeds 3 4 5`, and `--labels 1000 --seeds 3`.
Stages: their epochs, and the last value of the columns of `history_` that speak of error or accuracy, if any.

Published, error in % by number of labels:
{PUBLISHED}"""


def stages(history):
    """Return in words the stages of a history: their epochs, and the last error or accuracy if any."""
    if history is None or "stage" not in history:
        return ""
    measures = [name for name in history if "accuracy" in name or "error" in name]
    words = []
    for stage, epochs in history.groupby("stage", sort=False):
        last = epochs[measures].iloc[-1].dropna()
        words.append(f"{stage}: {len(epochs)} epochs" + "".join(f", {name} {value:.4f}" for name, value in last.items()))
    return "; ".join(words)


def shift_and_turn():
    """Up to two pixels each way, up to eleven degrees: known to leave a digit what it is."""
    import keras

    empty = {"fill_mode": "constant", "fill_value": 0.0}
    layers = keras.layers.RandomTranslation(0.07, 0.07, **empty), keras.layers.RandomRotation(0.03, **empty)
    return keras.Sequential([keras.Input((28, 28, 1)), *layers])


def main():
    """Run what is not in the CSV yet, then write the section."""
    parser = argument_parser(__doc__, seeds=1)
    parser.add_argument("--data", required=True, metavar="PATH", help="npz with x_train, y_train, x_test, y_test")
    parser.add_argument("--family", default=OURS, help="an estimator of keras_ssvae")
    parser.add_argument("--labels", type=int, nargs="+", default=[100], help="labelled rows in all")
    parser.add_argument("--flat", action="store_true", help="hand the images over as (n, 784) instead of (n, 28, 28)")
    parser.add_argument("--augment", action="store_true", help="shift and turn the training images a little")
    parser.add_argument("--label-spreading", action="store_true", help="label spreading, ten neighbours, as M1's classifier")
    args = parser.parse_args()
    method = variant(args.family, args.params) + (", flat" if args.flat else "") + (", augmented" if args.augment else "")
    method += ", label spreading" if args.label_spreading else ""
    values = ["error", "ece", "stages", "seconds"]
    rows = Rows(args.out, "mnist", ["method", "labels", "seed"], values, args.resume)
    X_train, X_test, y_train, y_test = load_mnist(args.data)
    if args.flat:
        X_train, X_test = X_train.reshape(len(X_train), -1), X_test.reshape(len(X_test), -1)
    for labels in args.labels:
        for seed in args.seeds:
            key = {"method": method, "labels": labels, "seed": seed}
            if key in rows:
                continue
            print(f"{method}, {labels} labels, seed {seed}: fitting", flush=True)
            extra = {"augmentation": shift_and_turn()} if args.augment else {}
            if args.label_spreading:
                extra["classifier"] = LabelSpreading(kernel="knn", n_neighbors=10, alpha=0.99, max_iter=100)
            estimator = ours(seed, {**args.params, **extra}, family=args.family)
            seconds = fit_seconds(estimator, X_train, hide_labels(y_train, labels, seed))
            rows.add(
                key,
                error=100 * (1 - accuracy_score(y_test, estimator.predict(X_test))),
                ece=100 * ece(y_test, estimator.predict_proba(X_test)),
                stages=stages(getattr(estimator, "history_", None)),
                seconds=seconds,
            )
    frame = rows.frame()
    table = frame.sort_values(["labels", "method", "seed"]).rename(columns={"error": "error %", "ece": "calibration error %"})
    table["minutes"] = (table["seconds"] / 60).map("{:.1f}".format)
    shown = markdown(table[["labels", "method", "seed", "error %", "calibration error %", "minutes", "stages"]], 2)
    title = "MNIST: a few labels, beside the published errors"
    write_section("mnist", title, command_line(), shown, NOTES, rows=frame, out=args.out)


if __name__ == "__main__":
    main()
