"""The house: folders in one order, no circle, private names of libraries in one place, short files and functions."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import keras_ssvae

PACKAGE = Path(keras_ssvae.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
# From the ground up; what stands in one line may not import each other, and everything may import what stands above it here.
FLOORS = [
    {"_compat", "registry", "seeding"},
    {"serialization", "nn"},
    {"likelihoods"},
    {"data"},
    {"evidence"},
    {"networks", "model_selection"},
    {"training", "plotting", "export"},
    {"estimators"},
    {"models"},
    {"anomaly", "distributed"},
    {"augmentation"},
    {"cli"},
]
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
# What would change for all threads of the process, even for a moment.
OF_THE_PROCESS = re.compile(
    r"\b(random\.seed|random\.set_state|random\.setstate|set_seed|set_random_seed|set_floatx|catch_warnings|simplefilter"
    r"|filterwarnings|seterr|putenv|environ\[|setLevel|basicConfig|set_option|run_functions_eagerly|chdir)\b"
)
PRIVATE = re.compile(r"(?<![\w.])_[a-z]\w*")


def module_of(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path):
    """The modules of the package that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "keras_ssvae":
            for name in node.names:
                below = f"{node.module}.{name.name}"
                yield below if (PACKAGE.parent / Path(*below.split("."))).with_suffix(".py").exists() else node.module
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.startswith("keras_ssvae."))


ARROWS = {module_of(path): set(imports_of(path)) - {"keras_ssvae"} for path in FILES if path != PACKAGE / "__init__.py"}


def room_of(module):
    return module.split(".")[1]


def test_every_file_is_in_a_room():
    assert {room_of(module) for module in ARROWS} == set(FLOOR_OF)


def test_no_import_climbs():
    climbing = [
        (module, target)
        for module, targets in ARROWS.items()
        for target in targets
        if room_of(module) != room_of(target) and FLOOR_OF[room_of(target)] >= FLOOR_OF[room_of(module)]
    ]
    assert not climbing


def test_no_imports_in_a_circle():
    left = {module: set(targets) for module, targets in ARROWS.items()}
    while free := [module for module, targets in left.items() if not targets & set(left)]:
        for module in free:
            del left[module]
    assert not left


def test_rooms_and_arrows_are_few():
    between = {(room_of(module), room_of(target)) for module, targets in ARROWS.items() for target in targets}
    assert len(FLOOR_OF) <= 19
    assert len({arrow for arrow in between if arrow[0] != arrow[1]}) <= 70


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("__init__.py")), ids=module_of)
def test_every_folder_says_what_lives_there(path):
    module = importlib.import_module(module_of(path))
    assert module.__doc__.strip().endswith(".")
    assert isinstance(module.__all__, list)


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_files_and_functions_are_short(path):
    text = path.read_text()
    assert text.count("\n") <= 450
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    assert not [f"{node.name}: {node.end_lineno - node.lineno}" for node in functions if node.end_lineno - node.lineno > 60]


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_nothing_of_the_process_is_set(path):
    assert not OF_THE_PROCESS.findall(path.read_text())


def defined_in(tree):
    """Names that a file gives to functions, attributes, variables and arguments, and its texts, which may name a column."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.keyword) and node.arg:
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


TREES = {path: ast.parse(path.read_text()) for path in FILES if "_compat" not in path.parts}
OWN = {name for tree in TREES.values() for name in defined_in(tree)}


@pytest.mark.parametrize("path", TREES, ids=module_of)
def test_private_names_of_libraries_are_in_one_place(path):
    """Neither imports of names with an underscore, nor attributes with one of what is not our own object."""
    foreign = []
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] not in ("keras_ssvae", "__future__"):
            private = [part for part in (node.module or "").split(".") if part.startswith("_")]
            foreign += private + [name.name for name in node.names if name.name.startswith("_")]
        if isinstance(node, ast.Attribute) and PRIVATE.fullmatch(node.attr) and node.attr not in OWN:
            foreign.append(node.attr)
    assert not foreign


HINTED = [
    (module, name, value)
    for module in sorted(ARROWS)
    if not any(part.startswith("_") for part in module.split("."))
    for name, value in sorted(vars(importlib.import_module(module)).items())
    if not name.startswith("_") and getattr(value, "__module__", None) == module
    if inspect.isfunction(value) or inspect.isclass(value)
]


def functions_of(value):
    """The public functions: itself, or the methods that a class defines."""
    if inspect.isfunction(value):
        return [value]
    found = [member.fget if isinstance(member, property) else member for member in vars(value).values()]
    found = [inspect.unwrap(getattr(member, "__func__", member)) for member in found]
    public = [member for member in found if inspect.isfunction(member) and not member.__name__.startswith("_")]
    return [*public, *([value.__init__] if getattr(vars(value).get("__init__"), "__name__", "") == "__init__" else [])]


@pytest.mark.parametrize("module", sorted({module for module, _, _ in HINTED}))
def test_public_functions_have_type_hints(module):
    without = []
    for _, name, value in (hinted for hinted in HINTED if hinted[0] == module):
        for function in functions_of(value):
            if overrides_library(value, function.__name__):
                continue
            parameters = list(inspect.signature(function).parameters.values())
            if inspect.isclass(value) and not isinstance(vars(value).get(function.__name__), staticmethod):
                parameters = parameters[1:]
            missing = [
                p.name for p in parameters if p.annotation is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
            ]
            if function.__name__ != "__init__" and inspect.signature(function).return_annotation is inspect.Signature.empty:
                missing.append("return")
            without += [f"{name}.{function.__name__}: {missing}"] if missing else []
    assert not without


def overrides_library(value, name):
    """Whether a class of Keras says what the method takes and returns."""
    bases = value.__mro__[1:] if inspect.isclass(value) else ()
    return name != "__init__" and any(name in vars(b) and b.__module__.split(".")[0] in ("keras", "sklearn") for b in bases)


def test_plots_and_tools_for_labels_load_no_tensorflow():
    code = (
        "import sys, keras_ssvae as ks; ks.mask_labels, ks.SemiSupervisedKFold, ks.LossCurveDisplay, ks.label_sweep; "
        "print({'tensorflow', 'keras', 'matplotlib'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent)
    assert result.stdout.strip() == "set()", result.stderr


def test_dir_shows_public_names_only():
    assert dir(keras_ssvae) == sorted(keras_ssvae.__all__)
