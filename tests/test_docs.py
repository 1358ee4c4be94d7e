"""The site is built without a warning, and the snippets of every page run, each alone where it imports the package."""

import importlib.util
import re
import shutil

import pytest
from scripts import ROOT, run_python, snippets_of

import keras_ssvae

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
RUN_EACH = """
import sys
for number, block in enumerate(sys.stdin.read().split("\\0")):
    print(f"block {number}", file=sys.stderr)
    exec(compile(block, f"block {number}", "exec"), {"__name__": "__main__"})
"""


OPTIONAL = ("mapie", "mlflow", "optuna")  # what only some recipes need, and the test extra does not install


def runnable(page):
    """The snippets of a page without those that need a package that is not here."""
    missing = [name for name in OPTIONAL if importlib.util.find_spec(name) is None]
    return [block for block in snippets_of(page) if not any(name in block for name in missing)]


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if runnable(page)], ids=lambda page: page.stem)
def test_snippets_run(page, tmp_path):
    snippets = runnable(page)
    told_as_one = not all("import keras_ssvae" in snippet for snippet in snippets)  # what follows goes on with what was before
    run_python(["-c", RUN_EACH], cwd=tmp_path, input=("\n" if told_as_one else "\0").join(snippets))


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path):
    pytest.importorskip("sphinx_gallery")
    copied = tmp_path / "checkout"  # what Sphinx makes beside the pages stays out of the working tree
    for name in ("docs", "examples", "benchmarks"):
        shutil.copytree(ROOT / name, copied / name, ignore=shutil.ignore_patterns("api", "gallery", "__pycache__"))
    for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"):
        shutil.copyfile(ROOT / name, copied / name)
    folders = ["-d", tmp_path / "trees", copied / "docs", tmp_path / "site"]
    run_python(["-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", *folders], cwd=tmp_path, DOCS_GALLERY="False")
    front = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        if page.stem != "index":
            assert f'href="{page.stem}.html"' in front  # every page is reached from the first
    public = (tmp_path / "site" / "api" / "keras_ssvae.SemiSupervisedVAE.html").read_text(encoding="utf-8")
    assert 'id="keras_ssvae.SemiSupervisedVAE.predict_proba"' in public


def test_every_public_name_has_a_page():
    listed = re.findall(r"^   (\w+)$", (ROOT / "docs" / "api.md").read_text(encoding="utf-8"), re.M)
    assert sorted(listed) == sorted(set(keras_ssvae.__all__) - {"__version__"})
