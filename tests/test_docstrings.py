"""Docstrings are complete, and their examples run."""

import ast
import doctest
import importlib
import inspect
import re
from dataclasses import is_dataclass
from pathlib import Path

import pytest
from instances import FAST
from numpydoc.docscrape import ClassDoc, FunctionDoc

import keras_ssvae

PACKAGE = Path(keras_ssvae.__file__).parent
VARIADIC = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}  # may be documented or not


def module_names():
    """All modules of the package, found without importing them."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        if parts[-1] != "__main__":
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = list(module_names())
PUBLIC_MODULES = [name for name in MODULES if "._" not in name]


def parameters_of(public):
    if inspect.isclass(public) and not {"__init__", "__new__"} & set(vars(public)):
        return []  # they are documented where the constructor is
    parameters = [p for p in inspect.signature(public).parameters.values() if p.kind not in VARIADIC]
    return [p.name for p in parameters]


def documented_parameters_of(public):
    doc = ClassDoc(public) if inspect.isclass(public) else FunctionDoc(public)
    sections = ["Parameters", "Other Parameters"]
    of_fields = is_dataclass(public) or (inspect.isclass(public) and issubclass(public, tuple))
    if of_fields and not doc["Parameters"]:  # the fields are both
        sections.append("Attributes")
    entries = [entry for section in sections for entry in doc[section]]
    names = [name.strip() for entry in entries for name in entry.name.split(",")]
    return [name for name in names if not name.startswith("*")]


def public_objects(module):
    for name in module.__all__:
        public = getattr(module, name)
        if inspect.isclass(public) or inspect.isfunction(public):
            yield name, public


@pytest.mark.parametrize("name", PUBLIC_MODULES)
def test_public_objects_and_all_their_parameters_are_documented(name):
    module = importlib.import_module(name)
    assert inspect.getdoc(module), f"{name} has no docstring"
    assert hasattr(module, "__all__"), f"{name} has no __all__"
    problems = {}
    for public_name, public in public_objects(module):
        if not (public.__doc__ or "").strip():
            problems[public_name] = "no docstring"
        elif parameters_of(public) not in ([], documented_parameters_of(public)):
            problems[public_name] = f"{documented_parameters_of(public)} are documented of {parameters_of(public)}"
    assert not problems


@pytest.mark.parametrize("cls", FAST)
def test_documented_defaults_are_the_defaults(cls):
    defaults = {name: p.default for name, p in inspect.signature(cls).parameters.items()}
    documented = {p.name: re.search("default=(.+)$", p.type) for p in ClassDoc(cls)["Parameters"]}
    assert {name: ast.literal_eval(found[1]) for name, found in documented.items()} == defaults


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name):
    module = importlib.import_module(name)
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert result.failed == 0  # doctest has printed what differs
