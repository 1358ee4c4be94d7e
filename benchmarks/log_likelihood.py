"""Do several levels of latent variables explain MNIST better than one? log p(x) of binarised test images, without labels.

A VAE with one layer of latent variables and a ladder of three, both with warm-up of the KL terms, are trained on the training
images, whose grey pixels are resampled to zeros and ones in every step, and judged by test images that are binarised once.
"""

import numpy as np
from common import Rows, argument_parser, command_line, fit_seconds, load_mnist, markdown, ours, timed, variant, write_section

SIZES = (512, 256, 128)
MODELS = {
    "VAE": {"latent_dim": 64, "hidden_layer_sizes": SIZES[:2], "kl_warmup": 0.3},  # a third layer made it worse
    "LadderVAE": {"latent_dim": 16, "hidden_layer_sizes": SIZES, "level_dims": (64, 32)},
}
PUBLISHED = """
| method | nats | draws | source |
|---|---|---|---|
| VAE, one layer | -86.76 | 5000 | Burda 2016 (arXiv 1509.00519), table 1 |
| Ladder VAE, five layers | -82.12 | 5000 | Sønderby 2016 (arXiv 1602.02282) |
| the same, fine-tuned | -81.84 | 5000 | same |
| the same, trained with ten importance samples | -81.74 | 5000 | same |
"""


def notes(n_draws):
    """What has to be said about the table."""
    return f"""
Nats an image, the mean over the test images; "error" is the standard error of that mean. The images are binarised once, by
seed: every pixel is one with the probability of its grey value, for all models alike. log p(x): the logarithm of the mean of
{n_draws} importance weights, a lower bound in expectation that rises with their number. Training bound: the loss of the last
epoch, on training images. Minutes of `fit` alone, with compilation; nothing is chosen on the test images.

VAE: 64 dimensions behind dense layers of 512 and 256 units; a third layer of 128 made it worse on held-out training images.
LadderVAE: 64, 32 and 16 dimensions on layers of 512, 256 and 128.

The published models are trained for thousands of epochs, and judged by 5000 draws:
{PUBLISHED}"""


def binarise(images, seed):
    """Return images of zeros and 255s, each pixel bright with the probability of its grey value."""
    noise = np.random.default_rng(seed).random(images.shape)
    return np.where(noise < images / 255, 255, 0).astype(np.uint8)


def main():
    """Run what is not in the CSV yet, then write the section."""
    parser = argument_parser(__doc__, seeds=1)
    parser.add_argument("--data", required=True, metavar="PATH", help="npz with x_train, x_test")
    parser.add_argument("--families", nargs="+", choices=list(MODELS), default=list(MODELS), help="which models")
    parser.add_argument("--rows", type=int, default=60_000, help="training images")
    parser.add_argument("--test-rows", type=int, default=2000, help="test images")
    parser.add_argument("--held-out", action="store_true", help="judge by the last training images, to choose settings")
    parser.add_argument("--draws", type=int, default=500, help="importance weights an image")
    args = parser.parse_args()
    columns = ["log p(x)", "error", "training bound", "epochs", "seconds"]
    rows = Rows(args.out, "log_likelihood", ["method", "rows", "draws", "judged by", "seed"], columns, args.resume)
    X_train, X_test, _, _ = load_mnist(args.data)
    judged = X_train[len(X_train) - args.test_rows :] if args.held_out else X_test[: args.test_rows]
    n_training = min(args.rows, len(X_train) - (args.test_rows if args.held_out else 0))
    for family in args.families:
        params = {**MODELS[family], "encoder": "mlp", "decoder": "mlp", **args.params}
        for seed in args.seeds:
            method = variant(family, args.params)
            by = f"{len(judged)} {'held-out' if args.held_out else 'test'} images"
            key = {"method": method, "rows": n_training, "draws": args.draws, "judged by": by, "seed": seed}
            if key in rows:
                continue
            print(f"{method}, {n_training} images, seed {seed}: fitting", flush=True)
            estimator = ours(seed, params, family=family)
            seconds = fit_seconds(estimator, X_train[:n_training], None)
            scores, asking = timed(estimator.score_samples, binarise(judged, seed), args.draws)
            print(f"  fitted in {seconds:.0f} s, judged in {asking:.0f} s: {scores.mean():.2f}", flush=True)
            rows.add(
                key,
                **{"log p(x)": scores.mean(), "error": scores.std(ddof=1) / np.sqrt(len(scores))},
                **{"training bound": -estimator.history_["loss"].iloc[-1], "epochs": estimator.n_iter_},
                seconds=seconds,
            )
    frame = rows.frame()
    table = frame.sort_values(["rows", "method", "seed"]).rename(columns={"rows": "training images"})
    table["minutes"] = (table["seconds"] / 60).map("{:.1f}".format)
    shown = [
        "training images",
        "judged by",
        "method",
        "seed",
        "log p(x)",
        "error",
        "training bound",
        "epochs",
        "draws",
        "minutes",
    ]
    title = "MNIST: log p(x) under dynamic binarisation, one level or three"
    text = markdown(table[shown], 2)
    write_section("log_likelihood", title, command_line(), text, notes(args.draws), rows=frame, out=args.out)


if __name__ == "__main__":
    main()
