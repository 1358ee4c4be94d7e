"""Versions of what made a file, for pages about a model."""

import importlib.metadata
import platform

import keras_ssvae

__all__ = []

PACKAGES = ("tensorflow", "keras", "tensorflow-probability", "scikit-learn", "pandas", "numpy")


def versions() -> dict[str, str]:
    """The versions of Python, of this package and of those it stands on, by their names."""
    found = {package: importlib.metadata.version(package) for package in PACKAGES}
    return {"Python": platform.python_version(), "keras_ssvae": keras_ssvae.__version__, **found}
