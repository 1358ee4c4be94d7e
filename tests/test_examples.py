"""The examples, and the code in the README, run to their end as they stand."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(arguments, cwd):
    """Run Python elsewhere than in the checkout, but with the checkout's package, and return what it printed."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    result = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path, "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(ROOT.glob("examples/*.py")), ids=lambda path: path.stem)
def test_example_runs_and_says_something(path, tmp_path):
    draws, is_short = ("sys.argv[" + n + "]" in path.read_text() for n in "12")  # a picture, and the number of epochs
    arguments = ["picture.png", "2"][: draws + is_short]
    assert run([path, *arguments], cwd=tmp_path).strip()
    assert (tmp_path / "picture.png").exists() == draws


def blocks_of(page):
    """The Python on a page, one block after the other."""
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.M | re.S)
    assert blocks
    return "\n".join(blocks)


@pytest.mark.slow
def test_code_in_readme_runs(tmp_path):
    run(["-c", blocks_of("README.md")], cwd=tmp_path)


# What only some recipes need, and the test extra does not install.
OPTIONAL = ("mapie", "optuna")


@pytest.mark.slow
@pytest.mark.parametrize("page", ["docs/partial_labels.md"])
def test_code_in_docs_runs(page, tmp_path):
    missing = [name for name in OPTIONAL if importlib.util.find_spec(name) is None]
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.M | re.S)
    run(["-c", "\n".join(block for block in blocks if not any(name in block for name in missing))], cwd=tmp_path)


USES = """
import numpy as np

X = np.random.RandomState(0).laplace(size=(60, 4))
model = SparseVAE(sparsity=0.2, likelihood="laplace", epochs=2, random_state=0).fit(X)
assert model.table_.kinds_ == ["laplace"] * 4
assert "sparsity" in model.history_ and (model.loss_terms(X)["sparsity"] > 0).all()
model.save("sparse.ssvae")
assert np.array_equal(ks.load("sparse.ssvae").transform(X), model.transform(X))
assert len(AnomalyHistogramDisplay.from_estimator(model, X).ax_.patches) == 30
"""


@pytest.mark.slow
def test_code_for_contributors_runs(tmp_path):
    run(["-c", blocks_of("CONTRIBUTING.md") + USES], cwd=tmp_path)
