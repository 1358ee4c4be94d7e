"""Hashes of what every family learns and answers: equal before and after a change that is to leave all results as they are.

One line a fit: the weights, sorted by content and without counters of steps, and what the model says of rows. Run it with one
thread, since sums of several depend on their timing: ``OMP_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1``.
"""

import argparse
import hashlib
import sys

import numpy as np

import keras_ssvae as ks

FAMILIES = (
    *("SemiSupervisedVAE", "VAE", "M1", "M2", "M1M2", "ConditionalVAE", "LadderVAE"),
    *("AdversarialAutoencoder", "SemiSupervisedGAN"),
)
QUESTIONS = ("predict_proba", "transform", "reconstruct", "impute", "loss_terms")
SETTINGS = {"latent_dim": 2, "hidden_layer_sizes": (16, 8), "batch_size": 32}


def digest(arrays):
    """Twelve hexadecimal digits of arrays, in whatever order they come."""
    hashes = sorted(hashlib.sha256(np.ascontiguousarray(a).tobytes() + str(np.shape(a)).encode()).hexdigest() for a in arrays)
    return hashlib.sha256("".join(hashes).encode()).hexdigest()[:12]


def weights(model):
    """All weights but counters of steps."""
    return [v.numpy() for v in model.network_.weights if v.name not in ("step", "total_steps", "steps_done")]


def answers(model, X):
    """What the model says of rows, by every method it has."""
    found = [np.asarray(getattr(model, name)(X), float) for name in QUESTIONS if hasattr(model, name)]
    if hasattr(model.network_, "log_likelihood"):
        found.append(model.score_samples(X, n_draws=3))
    elif hasattr(model, "score_samples"):
        found.append(model.score_samples(X))
    return [*found, np.asarray(model.sample(5, random_state=0)[0], float)]


def table(n=90):
    """Rows of several kinds of columns, a third of them labelled."""
    rng = np.random.RandomState(0)
    y = rng.randint(3, size=n)
    numbers = rng.standard_normal((n, 4)) + 3 * (y[:, None] == np.arange(4))
    X = np.column_stack([numbers, rng.poisson(2 + 3 * y), rng.lognormal(y / 2, 1.0), y % 2])
    return X, np.where(np.arange(n) < n // 3, y, -1)


def cases():
    """Name -> (X, y, settings)."""
    X, y = table()
    gaps = np.where(np.random.RandomState(1).uniform(size=X.shape) < 0.1, np.nan, X)
    images = np.random.RandomState(2).uniform(size=(60, 12, 12)) * (0.5 + 0.5 * (y[:60, None, None] == 1))

    def blocks():
        for start in range(0, len(X), 25):
            yield X[start : start + 25], y[start : start + 25]

    return {
        "table": (X, y, {"epochs": 12}),
        "gaps": (gaps, y, {"epochs": 2}),
        "images": (images, y[:60], {"epochs": 2}),
        "stream": (blocks, None, {"epochs": 2, "buffer_size": 40}),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--families", nargs="*", default=FAMILIES)
    parser.add_argument("--cases", nargs="*", default=None)
    options = parser.parse_args()
    for name in options.families:
        cls = getattr(ks, name)
        for case, (X, y, settings) in cases().items():
            if options.cases and case not in options.cases:
                continue
            rows = next(X())[0] if callable(X) else X[:20]
            model = cls(**{**SETTINGS, **settings, "random_state": 0})
            if "code_dim" in model.get_params() and case != "gaps":
                model.set_params(code_dim=4, code_layer_sizes=(8,))
            print(name, case, "fit", digest(weights(model.fit(X, y))), digest(answers(model, rows)))
            model.set_params(random_state=1)
            print(name, case, "again", digest(weights(model.fit(X, y))))
            model.partial_fit(X, y)
            print(name, case, "partial", digest(weights(model.partial_fit(X, y))), digest(answers(model, rows)))
            sys.stdout.flush()


if __name__ == "__main__":
    main()
