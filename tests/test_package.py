"""The package as such: what an import costs, and what it offers."""

import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

import keras_ssvae

ROOT = Path(keras_ssvae.__file__).parents[1]


def run(code):
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_import_loads_no_library():
    loaded = run("import sys, keras_ssvae; print(*sys.modules)").split()
    assert "keras_ssvae" in loaded
    assert not {"tensorflow", "keras", "sklearn", "pandas", "numpy", "matplotlib"} & set(loaded)


def test_import_is_quick():
    code = "from time import perf_counter as now; start = now(); import keras_ssvae; print(now() - start)"
    assert min(float(run(code)) for _ in range(3)) < 0.2


def test_every_public_name_resolves_and_star_import_brings_them():
    code = "from keras_ssvae import *; import keras_ssvae as ks; print(set(ks.__all__) - set(globals()))"
    assert run(code) == "set()"


def test_dir_lists_the_public_names_before_their_first_use():
    assert run("import keras_ssvae as ks; print(set(ks.__all__) - set(dir(ks)))") == "set()"


def test_unknown_name():
    with pytest.raises(AttributeError, match="module 'keras_ssvae' has no attribute 'SemiSupervizedVAE'"):
        _ = keras_ssvae.SemiSupervizedVAE


def test_submodules_can_be_imported_from_their_folders():
    assert run("from keras_ssvae.data import labels; print(labels.__name__)") == "keras_ssvae.data.labels"


def test_version_is_that_of_the_installed_distribution():
    try:
        installed = version("keras_ssvae")
    except PackageNotFoundError:
        pytest.skip("not installed")
    assert keras_ssvae.__version__ == installed


def test_changelog_has_a_place_for_this_version():
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert {"Unreleased", keras_ssvae.__version__} & set(headings)
