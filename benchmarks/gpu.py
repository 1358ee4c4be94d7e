"""Does all of it work on a GPU, are answers those of the CPU, and what does it gain?

Without a GPU it says so and ends; with ``--anyway`` it runs on what there is. Under eight minutes on a GPU.

    python benchmarks/gpu.py
"""

import argparse
import pickle
import sys
import time

import numpy as np

import keras_ssvae as ks

FAMILIES = (
    *("SemiSupervisedVAE", "VAE", "M1", "M2", "M1M2", "ConditionalVAE", "LadderVAE"),
    *("AdversarialAutoencoder", "SemiSupervisedGAN"),
)
DENSE = {"hidden_layer_sizes": (500, 500), "latent_dim": 50}


def digits(n_labeled=200):
    """Scikit-learn's digits as images, and labels of which some are known."""
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return (X / 16).astype(np.float32).reshape(-1, 8, 8), np.where(np.arange(len(y)) < n_labeled, y, -1)


def answer(model, X):
    return model.predict_proba(X) if hasattr(model, "predict_proba") else model.transform(X)


def check_families(epochs, tolerance):
    """Train each family where TensorFlow puts it, and answer there and on the CPU; the names of those that differ."""
    import tensorflow as tf

    X, y = digits()
    differing = []
    for name in FAMILIES:
        start = time.perf_counter()
        model = getattr(ks, name)(latent_dim=5, hidden_layer_sizes=(64,), epochs=epochs, random_state=0).fit(X, y)
        seconds, here = time.perf_counter() - start, answer(model, X)
        with tf.device("/CPU:0"):
            there = answer(pickle.loads(pickle.dumps(model)), X)  # with variables of its own, on the CPU
        off = float(np.abs(here - there).max())
        good = np.isfinite(here).all() and off < tolerance
        differing += [] if good else [name]
        print(
            f"{name:24s} {seconds:6.1f} s   largest difference to the CPU {off:.1e}   {'' if good else 'NOT EQUAL'}", flush=True
        )
    return differing


def rows_a_second(X, epochs, **settings):
    """Of the epochs after the first."""
    import keras

    marks = []

    class Mark(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            marks.append(time.perf_counter())

    ks.VAE(**settings, epochs=epochs + 1, random_state=0, callbacks=[Mark()]).fit(X)
    return len(X) * epochs / (marks[-1] - marks[0])


def rows_a_second_of_torch(X, epochs, batch_size):
    """Of the same dense VAE in PyTorch, eager; NaN where it is not installed."""
    try:
        import torch
    except ImportError:
        return float("nan")
    from torch import nn

    device = "cuda" if torch.cuda.is_available() else "cpu"
    sizes, code = (X.shape[1], *DENSE["hidden_layer_sizes"]), DENSE["latent_dim"]
    layers = [part for a, b in zip(sizes, sizes[1:], strict=False) for part in (nn.Linear(a, b), nn.SiLU())]
    encoder = nn.Sequential(*layers, nn.Linear(sizes[-1], 2 * code)).to(device)
    back = (code, *sizes[:0:-1])
    layers = [part for a, b in zip(back, back[1:], strict=False) for part in (nn.Linear(a, b), nn.SiLU())]
    decoder = nn.Sequential(*layers, nn.Linear(back[-1], sizes[0])).to(device)
    optimizer = torch.optim.AdamW([*encoder.parameters(), *decoder.parameters()], lr=1e-3)
    rows, start = torch.tensor(X, device=device), 0.0
    for epoch in range(epochs + 1):
        if epoch == 1:
            start = time.perf_counter()
        for chosen in torch.randperm(len(X), device=device).split(batch_size):
            x = rows[chosen]
            mean, log_variance = encoder(x).chunk(2, dim=1)
            z = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
            kl = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum(dim=1)
            loss = (0.5 * ((decoder(z) - x) ** 2).sum(dim=1) + kl).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        float(loss)  # waits for the device
    return len(X) * epochs / (time.perf_counter() - start)


def check_speed(n_rows, epochs):
    """Print rows a second, dense and with convolutions, with and without XLA, in half precision, and of PyTorch."""
    import keras

    rng = np.random.RandomState(0)
    X = rng.standard_normal((n_rows, 784)).astype(np.float32)
    images = rng.uniform(size=(n_rows // 4, 28, 28)).astype(np.float32)
    for jit_compile in (False, True):
        speed = rows_a_second(X, epochs, batch_size=1024, jit_compile=jit_compile, **DENSE)
        print(f"dense, 1024 rows a batch, jit_compile={jit_compile}: {speed:.0f} rows/s", flush=True)
        speed = rows_a_second(images, epochs, batch_size=256, jit_compile=jit_compile)
        print(f"convolutions, 256 rows a batch, jit_compile={jit_compile}: {speed:.0f} rows/s", flush=True)
    print(f"dense in PyTorch, eager: {rows_a_second_of_torch(X, epochs, 1024):.0f} rows/s", flush=True)
    before = keras.config.dtype_policy()
    try:
        for policy in ("mixed_bfloat16", "mixed_float16"):
            keras.config.set_dtype_policy(policy)
            speed = rows_a_second(X, epochs, batch_size=1024, jit_compile=True, **DENSE)
            print(f"dense, {policy}: {speed:.0f} rows/s", flush=True)
    finally:
        keras.config.set_dtype_policy(before)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anyway", action="store_true", help="run without a GPU, too")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--tolerance", type=float, default=1e-3, help="how far answers may lie from those of the CPU")
    options = parser.parse_args()
    import tensorflow as tf

    devices = tf.config.list_physical_devices("GPU")
    print(f"TensorFlow {tf.__version__}, GPUs: {[device.name for device in devices]}", flush=True)
    if not devices and not options.anyway:
        print("There is no GPU: nothing was checked.")
        return 0
    differing = check_families(options.epochs, options.tolerance)
    check_speed(options.rows, max(2, options.epochs // 5))
    if differing:
        print(f"answers are not those of the CPU: {differing}")
    return int(bool(differing))


if __name__ == "__main__":
    sys.exit(main())
