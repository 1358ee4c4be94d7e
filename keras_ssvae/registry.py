"""Which classes a file may name: `load` makes these, and no others."""

import typing

__all__ = ["register"]

_registered: dict[str, type] = {}  # the one list of what `load` may make, besides scikit-learn's and Keras' own


def register(cls: type | None = None, *, name: str | None = None) -> typing.Any:
    """Class decorator: objects of the class, a family of yours for one, may be saved and loaded.

    `load` makes registered classes only, and finds them by this name: register them before.

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
