"""Does it work with the oldest and with the newest of what setup.cfg promises, and do they read each other's files?

    python benchmarks/versions.py --folder versions

Makes two virtual environments, one of every lower bound in ``install_requires`` and one of the newest releases, runs some
of the tests in each, and lets the newest read what the oldest has saved. Environments that are there are used again.
"""

import argparse
import configparser
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = ("tests/data", "tests/likelihoods", "tests/nn", "tests/networks/test_inference.py", "tests/serialization")
TOOLS = ("pytest", "hypothesis")
EXTRAS = ("pyarrow>=17", "matplotlib>=3.8")  # of setup.cfg; the newest pyarrow cannot be imported beside NumPy 1
COLUMNS = """
import numpy as np, pandas as pd, keras_ssvae as ks
rng = np.random.RandomState(0)
y = rng.randint(3, size=60)
X = pd.DataFrame(rng.standard_normal((60, 3)) + y[:, None], columns=list("abc"))
X["text"], X["flag"], X["day"] = rng.choice(["x", "y", "z"], 60), y > 0, pd.Timestamp(2020, 1, 1) + pd.to_timedelta(y, unit="D")
X.loc[::7, "b"] = np.nan
FAMILIES = ("SemiSupervisedVAE", "VAE", "M1", "M2", "ConditionalVAE", "LadderVAE")
"""
WRITE = (
    COLUMNS
    + """
import sys
for name in FAMILIES:
    model = getattr(ks, name)(latent_dim=2, hidden_layer_sizes=(8,), epochs=3, jit_compile=False, random_state=0)
    model.fit(X, np.where(np.arange(60) < 30, y, -1)).save(f"{sys.argv[1]}/{name}.ssvae")
    np.savez(f"{sys.argv[1]}/{name}.npz", transform=model.transform(X), score=model.score_samples(X, n_draws=5))
"""
)
READ = (
    COLUMNS
    + """
import sys
for name in FAMILIES:
    model, answers = ks.load(f"{sys.argv[1]}/{name}.ssvae"), np.load(f"{sys.argv[1]}/{name}.npz")
    np.testing.assert_allclose(model.transform(X), answers["transform"], rtol=1e-5, atol=1e-5, err_msg=name)
    np.testing.assert_allclose(model.score_samples(X, n_draws=5), answers["score"], rtol=1e-5, atol=1e-4, err_msg=name)
    model.reconstruct(X), model.sample(3, random_state=0)
    print(name, "reads")
"""
)


def requirements(newest: bool) -> list[str]:
    """What setup.cfg needs, at its lower bounds or at the newest."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    lines = [line for line in setup["options"]["install_requires"].splitlines() if line and not line.startswith("#")]
    return [re.split("[><=]", line)[0] if newest else oldest(line) for line in (*lines, *EXTRAS)]


def oldest(line: str) -> str:
    """``name>=1.2`` -> ``name==1.2.*``: the bound with its repairs."""
    name, bound = line.split(">=")
    return f"{name}=={bound}.*"


def environment(folder: Path, name: str, python: str, needs: list[str]) -> Path:
    """The interpreter of a virtual environment with these packages."""
    place = folder / name
    interpreter = place / "bin" / "python"
    if not (place / "ready").exists():
        subprocess.run([python, "-m", "venv", "--clear", place], check=True)
        subprocess.run([interpreter, "-m", "pip", "install", "-q", *needs, *TOOLS], check=True)
        (place / "ready").touch()
    return interpreter


def run(interpreter: Path, *arguments: object) -> bool:
    """Whether a command of Python ends well, with the package of this checkout."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "TF_USE_LEGACY_KERAS": "0"}
    return subprocess.run([interpreter, *map(str, arguments)], cwd=ROOT, env=environ, check=False).returncode == 0


def main() -> None:
    """Print a table; the exit status says whether anything failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where environments and files are kept")
    parser.add_argument("--only", nargs="+", choices=("oldest", "newest"), default=["oldest", "newest"])
    parser.add_argument("--old-python", default=sys.executable)
    parser.add_argument("--new-python", default=sys.executable)
    parser.add_argument("--tests", nargs="*", default=TESTS)
    parser.add_argument("--install", action="store_true", help="make the environments, and nothing else")
    args = parser.parse_args()
    (args.folder / "files").mkdir(parents=True, exist_ok=True)
    pythons = {"oldest": args.old_python, "newest": args.new_python}
    interpreters = {name: environment(args.folder, name, pythons[name], requirements(name == "newest")) for name in args.only}
    if args.install:
        return
    outcomes = {}
    for name, interpreter in interpreters.items():
        files = args.folder / "files"
        if args.tests:
            outcomes[name, "tests"] = run(interpreter, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *args.tests)
        work = {"writes files": WRITE, "reads its own": READ} if name == "oldest" else {"reads files of the oldest": READ}
        for what, code in work.items():
            outcomes[name, what] = run(interpreter, "-c", code, files)
    print("| environment | what | works |\n|---|---|---|")
    for (name, what), works in outcomes.items():
        print(f"| {name} | {what} | {works} |")
    sys.exit(not all(outcomes.values()))


if __name__ == "__main__":
    main()
