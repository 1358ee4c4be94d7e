"""How fast is it? Training, fixed cost, prediction, growth with the data, and memory, beside the same work done by others.

Every measurement runs in a process of its own, one at a time, with fixed threads; those that are compared take turns, so that
what else the machine does falls on all of them alike. Ratios are medians over the turns, with their extremes.
"""

import inspect
import json
import os
import statistics
import subprocess
import sys
import time

THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
BIG = {"columns": 784, "hidden": (500, 500), "latent": 50}
SMALL = {"columns": 64, "hidden": (64, 64), "latent": 10}
BATCH = 128
NOTES = """
Rows a second of training: whole epochs of `fit` after the first, batch 128, Adam, the same layer sizes, Bernoulli pixels, one
draw of z. Peers: stock Keras is a subclassed model with `train_step` through `fit`, with its default `jit_compile`; PyTorch a
hand-written loop over an index permutation; Pyro `TraceEnum_ELBO` with parallel enumeration of y, or two draws of it, whose
gradient is that of the score function. The limit is the rate of this machine's matrix products in TensorFlow, (batch x 500)
times (500 x 500), times the floating-point operations of a row: two for each weight forwards and four backwards. Fits and
predictions are those of default estimators.
"""


# Work, each in a process of its own: name -> function of the arguments, which returns numbers


def pixels(n_rows, n_columns, seed=0):
    """Binary rows of a few prototypes with noise, float32."""
    import numpy as np

    rng = np.random.default_rng(seed)
    prototypes = rng.random((10, n_columns)) < 0.3
    y = rng.integers(10, size=n_rows)
    return (prototypes[y] ^ (rng.random((n_rows, n_columns)) < 0.05)).astype("float32"), y


def epoch_rate(n_rows, seconds):
    """Rows a second, from the seconds of each epoch; the first has tracing in it."""
    return n_rows / statistics.median(seconds[1:])


def epoch_clock():
    """A Keras callback that notes the seconds of each epoch in `seconds`."""
    import keras

    class Clock(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.seconds = []

        def on_epoch_begin(self, epoch, logs=None):
            self.start = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            self.seconds.append(time.perf_counter() - self.start)

    return Clock()


def train_ours(
    family="VAE", columns=784, hidden=(500, 500), latent=50, rows=12800, epochs=6, jit_compile=True, policy=None, **settings
):  # fmt: skip
    """Rows a second of an estimator of this package; one in a hundred rows has a label where the family reads labels."""
    import keras
    import numpy as np

    import keras_ssvae as ks

    if policy:
        keras.config.set_dtype_policy(policy)
    X, y = pixels(rows, columns)
    n_classes = settings.pop("n_classes", None)
    if n_classes:
        y = np.arange(rows) % n_classes
    clock = epoch_clock()
    model = getattr(ks, family)(
        hidden_layer_sizes=tuple(hidden),
        latent_dim=latent,
        batch_size=BATCH,
        epochs=epochs,
        likelihood="bernoulli",
        mask_rate=0.0,
        optimizer="adam",
        jit_compile=jit_compile,
        callbacks=[clock],
        random_state=0,
        **settings,
    )
    model.fit(X, None if family == "VAE" else np.where(np.arange(rows) < max(rows // 100, n_classes or 10), y, -1))
    return {"rows/s": epoch_rate(rows, clock.seconds)}


def train_keras(columns=784, hidden=(500, 500), latent=50, rows=12800, epochs=6):
    """Rows a second of the same VAE as a subclassed Keras model through stock `fit`."""
    import keras
    import tensorflow as tf

    def body(sizes):
        return [keras.layers.Dense(n, "silu") for n in sizes]

    class VAE(keras.Model):
        def __init__(self):
            super().__init__()
            self.encoder = keras.Sequential([keras.Input((columns,)), *body(hidden)])
            self.mean, self.log_variance = keras.layers.Dense(latent), keras.layers.Dense(latent)
            decoder = [*body(hidden[::-1]), keras.layers.Dense(columns)]
            self.decoder = keras.Sequential([keras.Input((latent,)), *decoder])
            self.seeds = keras.random.SeedGenerator(0)

        def call(self, x):
            h = self.encoder(x)
            mean, log_variance = self.mean(h), self.log_variance(h)
            z = mean + tf.exp(0.5 * log_variance) * keras.random.normal(tf.shape(mean), seed=self.seeds)
            return mean, log_variance, self.decoder(z)

        def train_step(self, x):
            with tf.GradientTape() as tape:
                mean, log_variance, logits = self(x, training=True)
                log_p = -tf.nn.sigmoid_cross_entropy_with_logits(labels=x, logits=logits)
                kl = 0.5 * (mean**2 + tf.exp(log_variance) - 1.0 - log_variance)
                loss = tf.reduce_mean(tf.reduce_sum(kl, axis=1) - tf.reduce_sum(log_p, axis=1))
            variables = self.trainable_variables
            self.optimizer.apply(tape.gradient(loss, variables), variables)
            return {"loss": loss}

    X, _ = pixels(rows, columns)
    clock = epoch_clock()
    model = VAE()
    model.compile(optimizer=keras.optimizers.Adam(1e-3))
    model.fit(X, batch_size=BATCH, epochs=epochs, verbose=0, callbacks=[clock])
    return {"rows/s": epoch_rate(rows, clock.seconds)}


def train_torch(columns=784, hidden=(500, 500), latent=50, rows=12800, epochs=6):
    """Rows a second of the same VAE, written by hand in PyTorch."""
    import torch
    from torch import nn

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    torch.manual_seed(0)

    def body(sizes):
        return [layer for a, b in zip(sizes, sizes[1:], strict=False) for layer in (nn.Linear(a, b), nn.SiLU())]

    encoder = nn.Sequential(*body((columns, *hidden)))
    heads = nn.Linear(hidden[-1], 2 * latent)
    decoder = nn.Sequential(*body((latent, *hidden[::-1])), nn.Linear(hidden[0], columns))
    parameters = [p for module in (encoder, heads, decoder) for p in module.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=1e-3)
    X = torch.from_numpy(pixels(rows, columns)[0])
    seconds = []
    for _ in range(epochs):
        start = time.perf_counter()
        for chosen in torch.randperm(rows).split(BATCH):
            x = X[chosen]
            mean, log_variance = heads(encoder(x)).chunk(2, dim=1)
            z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
            log_p = nn.functional.binary_cross_entropy_with_logits(decoder(z), x, reduction="sum")
            kl = 0.5 * (mean**2 + log_variance.exp() - 1.0 - log_variance).sum()
            loss = (log_p + kl) / len(x)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        seconds.append(time.perf_counter() - start)
    return {"rows/s": epoch_rate(rows, seconds)}


def train_pyro(columns=784, hidden=(500, 500), latent=50, rows=2560, epochs=3, n_classes=10, draws=None):
    """Rows a second of M2 without labels in Pyro: q(y | x), q(z | x, y), p(x | y, z); y enumerated, or so many draws of it."""
    import pyro
    import pyro.distributions as dist
    import torch
    from pyro import poutine
    from pyro.infer import SVI, TraceEnum_ELBO, config_enumerate
    from torch import nn

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    pyro.set_rng_seed(0)

    def body(*sizes):
        return [layer for a, b in zip(sizes, sizes[1:], strict=False) for layer in (nn.Linear(a, b), nn.SiLU())]

    class M2(nn.Module):
        def __init__(self):
            super().__init__()
            self.classify = nn.Sequential(*body(columns, *hidden), nn.Linear(hidden[-1], n_classes))
            self.encode = nn.Sequential(*body(columns + n_classes, *hidden), nn.Linear(hidden[-1], 2 * latent))
            self.decode = nn.Sequential(*body(latent + n_classes, *hidden[::-1]), nn.Linear(hidden[0], columns))

        def model(self, x):
            pyro.module("m2", self)
            with pyro.plate("rows", len(x)):
                y = pyro.sample("y", dist.OneHotCategorical(torch.ones(len(x), n_classes) / n_classes))
                z = pyro.sample("z", dist.Normal(torch.zeros(len(x), latent), 1.0).to_event(1))
                y = y.expand(*z.shape[:-1], n_classes) if y.dim() <= z.dim() else y
                z = z.expand(*y.shape[:-1], latent)
                pyro.sample("x", dist.Bernoulli(logits=self.decode(torch.cat([z, y], -1))).to_event(1), obs=x)

        def guide(self, x):
            with pyro.plate("rows", len(x)):
                y = pyro.sample("y", dist.OneHotCategorical(logits=self.classify(x)))
                read = torch.cat([x.expand(*y.shape[:-1], columns), y], -1)
                mean, log_variance = self.encode(read).chunk(2, dim=-1)
                z = dist.Normal(mean, torch.exp(0.5 * log_variance)).to_event(1)
                pyro.sample("z", z, infer={"enumerate": None})  # one draw for each value of y

    network = M2()
    guide = config_enumerate(network.guide, "parallel", expand=True, num_samples=draws)
    svi = SVI(network.model, guide, pyro.optim.Adam({"lr": 1e-3}), TraceEnum_ELBO(max_plate_nesting=1))
    X = torch.from_numpy(pixels(rows, columns)[0])
    poutine.trace(network.guide).get_trace(X[:2])  # a mistake in the shapes should show before the clock runs
    seconds = []
    for _ in range(epochs):
        start = time.perf_counter()
        for chosen in torch.randperm(rows).split(BATCH):
            svi.step(X[chosen])
        seconds.append(time.perf_counter() - start)
    return {"rows/s": epoch_rate(rows, seconds)}


def products(size=500, seconds=1.0):
    """Floating-point operations a second of matrix products in TensorFlow."""
    import tensorflow as tf

    a, b = tf.random.normal((BATCH, size)), tf.random.normal((size, size))

    @tf.function(jit_compile=True)
    def many(a):
        return tf.while_loop(lambda i, _: i < 100, lambda i, a: (i + 1, tf.matmul(a, b) * 0.04), (0, a))[1]

    many(a)
    calls, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        many(a).numpy()
        calls += 1
    return {"flop/s": calls * 100 * 2 * BATCH * size**2 / (time.perf_counter() - start)}


def fixed_cost():
    """Seconds of the import, of the first and of later fits of 200 rows and 10 columns, and of a grid search."""
    start = time.perf_counter()
    import keras_ssvae as ks

    imported = time.perf_counter() - start
    import numpy as np
    from sklearn.model_selection import GridSearchCV

    rng = np.random.default_rng(0)
    y = rng.integers(3, size=200)
    X = rng.standard_normal((200, 10)) + y[:, None]
    y_partial = np.where(np.arange(200) < 60, y, -1)
    start = time.perf_counter()
    ks.SemiSupervisedVAE.fit  # noqa: B018  (imports TensorFlow)
    libraries = time.perf_counter() - start
    numbers = {"import": imported, "TensorFlow": libraries}
    for name in ("first fit", "second fit", "third fit"):
        start = time.perf_counter()
        ks.SemiSupervisedVAE(random_state=0).fit(X, y_partial)
        numbers[name] = time.perf_counter() - start
    from keras_ssvae.training.step_cache import STEP_CACHE

    grid = {"classification_weight": [0.5, 1.0, 2.0, 4.0]}
    for name, kept in (("grid search, 5 folds x 4 settings", STEP_CACHE.size), ("the same without sharing steps", 0)):
        STEP_CACHE.clear()
        STEP_CACHE.size = kept
        start = time.perf_counter()
        GridSearchCV(ks.SemiSupervisedVAE(epochs=20, random_state=0), grid, cv=5, error_score="raise").fit(X, y)
        numbers[name] = time.perf_counter() - start
    return numbers


def prediction(rows=200_000, columns=20):
    """Rows a second of each question, and milliseconds for one row."""
    import resource

    import numpy as np

    import keras_ssvae as ks

    rng = np.random.default_rng(0)
    X = rng.standard_normal((rows, columns)).astype("float32")
    y = np.where(np.arange(2000) < 200, np.arange(2000) % 3, -1)
    model = ks.SemiSupervisedVAE(epochs=2, random_state=0).fit(X[:2000], y)
    numbers = {}
    questions = {
        "predict": model.predict,
        "transform": model.transform,
        "score_samples, one draw": lambda X: model.score_samples(X, n_draws=1),
    }
    for name, ask in questions.items():
        ask(X[:5000])
        ask(X[:1])
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        many = []
        for _ in range(3):
            start = time.perf_counter()
            ask(X)
            many.append(time.perf_counter() - start)
        numbers[f"{name}: rows/s"] = rows / statistics.median(many)
        numbers[f"{name}: peak MB more"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        one = []
        for _ in range(20):
            start = time.perf_counter()
            ask(X[:1])
            one.append(time.perf_counter() - start)
        numbers[f"{name}: ms for one row"] = 1000 * statistics.median(one)
    return numbers


def latency(table="array", seconds=3.0):
    """Milliseconds of questions about 1 and 200 rows, p50 and p99: 10 classes, and 64 pixels or a frame of 17 columns."""
    import numpy as np
    import pandas as pd
    from sklearn.datasets import load_digits

    import keras_ssvae as ks

    X, y = load_digits(return_X_y=True)
    if table == "frame":
        rng = np.random.default_rng(0)
        X = pd.DataFrame(X[:, 20:30], columns=[f"pixel {i}" for i in range(10)]).assign(
            **{f"letter {i}": rng.choice(list("abcd"), len(X)) for i in range(4)},
            count=rng.poisson(3, len(X)),
            flag=rng.random(len(X)) < 0.5,
            day=pd.Timestamp(2020, 1, 1) + pd.to_timedelta(rng.integers(1000, size=len(X)), unit="D"),
        )
    model = ks.SemiSupervisedVAE(random_state=0).fit(X, np.where(np.arange(len(X)) % 10 == 0, y, -1))
    numbers = {}
    for name in ("predict", "anomaly_score", "transform", "reconstruct"):
        for rows in (1, 200):
            ask, some, taken = getattr(model, name), X[:rows], []
            start = time.perf_counter()
            ask(some)
            first = 1000 * (time.perf_counter() - start)
            ask(some)
            while sum(taken) < seconds:
                start = time.perf_counter()
                ask(some)
                taken.append(time.perf_counter() - start)
            p50, p99 = 1000 * np.quantile(taken, (0.5, 0.99))
            numbers |= {f"{name}, {rows} rows: ms p50": p50, f"{name}, {rows} rows: ms p99": p99}
            if rows == 1:
                numbers[f"{name}, 1 rows: ms of the first"] = first
    return numbers


def many_scores(rows=200_000, columns=20):
    """Seconds of `anomaly_score` of many rows, of a VAE."""
    import numpy as np

    import keras_ssvae as ks

    X = np.random.default_rng(0).standard_normal((rows, columns)).astype("float32")
    model = ks.VAE(epochs=2, random_state=0).fit(X[:2000])
    model.anomaly_score(X[:5000])
    start = time.perf_counter()
    model.anomaly_score(X)
    return {"seconds": time.perf_counter() - start}


def growth(rows=10_000, columns=20, epochs=3):
    """Seconds and peak memory of a fit, without start-up: a smaller one, and the trace of its graph, goes before."""
    import resource

    import numpy as np

    import keras_ssvae as ks

    rng = np.random.default_rng(0)
    X = rng.standard_normal((rows, columns)).astype("float32")
    y = np.where(np.arange(rows) < 200, np.arange(rows) % 3, -1)
    ks.SemiSupervisedVAE(epochs=40, jit_compile=False, random_state=0).fit(X[:2000], y[:2000])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    ks.SemiSupervisedVAE(epochs=epochs, jit_compile=False, random_state=0).fit(X, y)
    seconds = time.perf_counter() - start
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    return {"seconds": seconds, "peak MB more": peak / 2**20, "peak by size of X": peak / X.nbytes}


WORK = {
    f.__name__: f
    for f in (train_ours, train_keras, train_torch, train_pyro, products, fixed_cost, prediction, latency, many_scores, growth)
}


# What is compared with what: part -> {name: (work, arguments)}; the first is ours


def parts():
    """The measurements, by part."""
    m2 = {"family": "M2", "rows": 2560, "epochs": 4, "classification_weight": 1.0, "consistency_weight": 0.0}
    return {
        "products": {"TensorFlow, (128 x 500) times (500 x 500)": ("products", {})},
        "VAE 784-500-500-50": {
            "VAE": ("train_ours", BIG),
            "stock Keras": ("train_keras", BIG),
            "PyTorch": ("train_torch", BIG),
        },
        "VAE 64-64-64-10": {
            "VAE": ("train_ours", {**SMALL, "rows": 51200}),
            "stock Keras": ("train_keras", {**SMALL, "rows": 51200}),
            "PyTorch": ("train_torch", {**SMALL, "rows": 51200}),
        },
        "M2 784-500-500-50, 10 classes": {
            "M2, exact": ("train_ours", {**BIG, **m2}),
            "M2, 1 class and one draw": ("train_ours", {**BIG, **m2, "n_enumerated": 1}),
            "M2, exact, bodies in bfloat16": ("train_ours", {**BIG, **m2, "policy": "mixed_bfloat16"}),
            "Pyro, enumerated": ("train_pyro", BIG),
            "Pyro, two draws of the class": ("train_pyro", {**BIG, "draws": 2}),
        },
        "M2, 3 classes enumerated": {
            "10 classes": ("train_ours", {**BIG, **m2, "n_enumerated": 3}),
            "100 classes": ("train_ours", {**BIG, **m2, "n_enumerated": 3, "n_classes": 100}),
        },
        "VAE 784-500-500-50, how the step runs": {
            "default": ("train_ours", BIG),
            "bodies in bfloat16": ("train_ours", {**BIG, "policy": "mixed_bfloat16"}),
            "without XLA": ("train_ours", {**BIG, "jit_compile": False}),
            "without XLA, bodies in bfloat16": ("train_ours", {**BIG, "jit_compile": False, "policy": "mixed_bfloat16"}),
            "one thread": ("train_ours", {**BIG, "environment": dict.fromkeys(THREADS, "1")}),
            "without oneDNN": ("train_ours", {**BIG, "environment": {"TF_ENABLE_ONEDNN_OPTS": "0"}}),
        },
        "fixed cost": {"seconds": ("fixed_cost", {})},
        "prediction, 20 columns": {"200,000 rows": ("prediction", {}), "400,000 rows": ("prediction", {"rows": 400_000})},
        "latency on one thread, default SemiSupervisedVAE": {
            f"{what}": ("latency", {"table": table, "environment": dict.fromkeys(THREADS, "1")})
            for what, table in (("array, 64 columns, 10 classes", "array"), ("frame, 17 columns of 5 kinds", "frame"))
        },
        "anomaly_score of many rows": {"VAE, 200,000 rows, 20 columns": ("many_scores", {})},
        "growth": {
            **{f"{rows:,} rows, 20 columns": ("growth", {"rows": rows}) for rows in (10_000, 100_000, 1_000_000)},
            "100,000 rows, 200 columns": ("growth", {"rows": 100_000, "columns": 200}),
            **{f"10,000 rows, {columns:,} columns": ("growth", {"columns": columns}) for columns in (200, 2000)},
        },
    }


def measure(work, arguments, threads):
    """The numbers of one piece of work, in a new process; its arguments may change the environment."""
    arguments = dict(arguments)
    environment = {**os.environ, **dict.fromkeys(THREADS, str(threads)), "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment |= arguments.pop("environment", {})
    command = [sys.executable, __file__, "--work", work, json.dumps(arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{work} {arguments} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def tables(frame):
    """A table for each part: medians and extremes over the turns, and for rates the ratio of the first to each."""
    import pandas as pd
    from common import markdown

    text = []
    for part, rows in frame.groupby("part", sort=False):
        wide = rows.pivot(index="seed", columns=["number", "method"], values="value")
        lines = []
        for (number, method), values in wide.items():
            line = {"measured": method, "number": number, "median": f"{values.median():,.4g}"}
            line |= {"least": f"{values.min():,.4g}", "most": f"{values.max():,.4g}"}
            if number == "rows/s":
                ratio = wide[number][rows["method"].iloc[0]] / values
                line["first / this"] = f"{ratio.median():.2f} ({ratio.min():.2f} to {ratio.max():.2f})"
            lines.append(line)
        text.append(f"**{part}**\n\n{markdown(pd.DataFrame(lines))}")
    rates = frame[frame["number"] == "rows/s"].groupby(["part", "method"])["value"].median()
    key = ("VAE 784-500-500-50", "VAE")
    products_rate = frame.loc[frame["number"] == "flop/s", "value"]
    if key in rates.index and len(products_rate):
        share = rates[key] * flops_a_row(**BIG) / products_rate.median()
        text.append(f"VAE 784-500-500-50: {100 * share:.0f} % of the rate of matrix products.")
    return "\n\n".join(text)


def flops_a_row(columns, hidden, latent):
    """Floating-point operations of the matrix products of a training step, for each row."""
    sizes = [columns, *hidden, 2 * latent]
    back = [latent, *hidden[::-1], columns]
    weights = sum(a * b for layers in (sizes, back) for a, b in zip(layers, layers[1:], strict=False))
    return 6 * weights - 2 * columns * hidden[0]  # the first layer sends no gradient on


def draw_growth(frame, path):
    """Seconds of a fit by rows and by columns, with lines of linear growth from the smallest."""
    import matplotlib.pyplot as plt

    seconds = frame[(frame["part"] == "growth") & (frame["number"] == "seconds")].groupby("method")["value"].median()
    defaults = {name: value.default for name, value in inspect.signature(growth).parameters.items()}
    sizes = {
        name: tuple({**defaults, **arguments}[axis] for axis in ("rows", "columns"))
        for name, (_, arguments) in parts()["growth"].items()
    }
    figure, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained", sharey=True)
    for ax, axis, fixed, label in ((axes[0], 0, 20, "rows, of 20 columns"), (axes[1], 1, 10_000, "columns, of 10,000 rows")):
        points = sorted((sizes[name][axis], value) for name, value in seconds.items() if sizes[name][1 - axis] == fixed)
        x, y = zip(*points, strict=True)
        ax.loglog(x, y, "o-", label="measured")
        ax.loglog(x, [y[0] * each / x[0] for each in x], ":", color="grey", label="linear")
        ax.set(xlabel=label)
        ax.legend()
    axes[0].set(ylabel="seconds of three epochs")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main():
    """Measure what is not in the CSV yet, turn by turn, then write the section."""
    if sys.argv[1:2] == ["--work"]:
        print(json.dumps(WORK[sys.argv[2]](**json.loads(sys.argv[3]))))
        return
    from common import Rows, argument_parser, command_line, write_section

    parser = argument_parser(__doc__, seeds=3)
    parser.add_argument("--parts", nargs="+", default=list(parts()), choices=list(parts()), metavar="PART")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="threads of each process")
    args = parser.parse_args()
    rows = Rows(args.out, "speed", ["part", "method", "seed"], ["number", "value", "seconds"], args.resume)
    for part in args.parts:
        for turn in args.seeds:
            for method, (work, arguments) in parts()[part].items():
                key = {"part": part, "method": method, "seed": turn}
                if key in rows:
                    continue
                start = time.perf_counter()
                numbers = measure(work, arguments, args.threads)
                seconds = time.perf_counter() - start
                for number, value in numbers.items():
                    rows.add(key, number=number, value=value, seconds=seconds / len(numbers))
    frame = rows.frame()
    title, notes = f"Speed, {args.threads} threads", NOTES
    if "growth" in set(frame["part"]):
        draw_growth(frame, args.out / "figures" / "growth.png")
        notes += "\n![seconds of a fit by rows and columns](figures/growth.png)"
    write_section("speed", title, command_line(), tables(frame), notes, rows=frame, out=args.out)


if __name__ == "__main__":
    main()
