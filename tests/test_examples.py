"""The examples, and the code in the README, run to their end as they stand."""

import pytest
from scripts import ROOT, run_python, snippets_of


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(ROOT.glob("examples/*.py")), ids=lambda path: path.stem)
def test_example_runs_and_says_something(path, tmp_path):
    draws, is_short = ("sys.argv[" + n + "]" in path.read_text() for n in "12")  # a picture, and the number of epochs
    arguments = ["picture.png", "2"][: draws + is_short]
    assert run_python([path, *arguments], cwd=tmp_path).strip()
    assert (tmp_path / "picture.png").exists() == draws


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
    blocks = snippets_of(ROOT / "CONTRIBUTING.md")
    assert blocks
    run_python(["-c", "\n".join(blocks) + USES], cwd=tmp_path)
