"""How Sphinx builds the site: python -m sphinx -W --keep-going -b html docs site."""

import os

import keras_ssvae

project = "keras_ssvae"
copyright = "keras_ssvae developers"
version = release = keras_ssvae.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_templates"]
templates_path = ["_templates"]
html_theme = "furo"
html_title = f"keras_ssvae {version}"
html_static_path: list[str] = []

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3

autosummary_generate = True
numpydoc_show_class_members = False  # the template lists methods and attributes itself
numpydoc_class_members_toctree = False
autodoc_typehints = "none"  # types stand in the docstrings, in words

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": "plot_",
    "plot_gallery": os.environ.get("DOCS_GALLERY", "True"),  # False: the pages without running the examples
    "download_all_examples": False,
    "show_memory": False,
    "remove_config_comments": True,
}


def skip_member(app, what, name, obj, skip, options):
    """Leave out what is scikit-learn's: its own site explains it, and its links lead there."""
    return skip or str(getattr(obj, "__module__", "")).startswith("sklearn") or name.endswith("_request")


def setup(app):
    """Called by Sphinx."""
    app.connect("autodoc-skip-member", skip_member)
