"""What a file may say: `load` makes registered classes, and no others, of states that pass their checks."""

import typing

__all__ = ["ModelFileError", "register"]


class ModelFileError(ValueError):
    """A file that `load` refuses: it was damaged or altered, or is none that `save` wrote."""


_registered: dict[str, type] = {}  # the one list of what `load` may make, besides scikit-learn's and Keras' own


def register(cls: type | None = None, *, name: str | None = None) -> typing.Any:
    """Class decorator: objects of the class, a family of yours for one, may be saved and loaded.

    `load` makes registered classes only, and finds them by this name: register them before. Where a class has a method
    `_check_loaded`, it is called on each object that comes from a file, and raises a ValueError unless all attributes are as
    they should be.

    Parameters
    ----------
    cls : type
        The class, which comes back: an estimator, or what its attributes are made of. Without it, a decorator comes back.
    name : str, default=None
        What a file calls it; None is the name of a class of this package, and module and name of any other.

    Raises
    ------
    ValueError
        If another class has the name.
    """
    if cls is None:
        return lambda cls: register(cls, name=name)
    place = f"{cls.__module__}.{cls.__qualname__}"
    name = name or (cls.__name__ if cls.__module__.startswith("keras_ssvae.") else place)
    other = _registered.get(name, cls)
    if f"{other.__module__}.{other.__qualname__}" != place:  # the same place: a cell of a notebook that was run again
        raise ValueError(f"{name!r} is the registered name of {other!r} already; pass another name for {place}.")
    _registered[name] = cls
    return cls


def registered_name(cls: type) -> str | None:
    """The name under which a class is registered, None if it is not: a class of the same name does not count."""
    return next((name for name, known in _registered.items() if known is cls), None)


def registered_class(name: str) -> type | None:
    """The class that is registered under a name, None if there is none."""
    return _registered.get(name)


def require(condition: object, wrong: str) -> None:
    """Raise a ValueError that says what is wrong with a state from a file, unless the condition holds."""
    if not condition:
        raise ValueError(wrong)


def require_keys(name: str, state: dict, wanted: set[str]) -> None:
    """Raise a ValueError unless a state has these attributes and no others."""
    if set(state) != wanted:
        raise ValueError(f"{name} lacks {sorted(wanted - set(state))}, or should not have {sorted(set(state) - wanted)}")
