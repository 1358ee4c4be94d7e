"""Files of fitted estimators, taken apart and put together again under a valid checksum: as who knows the format could."""

import io
import json
import zipfile

import numpy as np

from keras_ssvae.serialization.archive import write_archive


def read_members(path):
    """Name -> content."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_sealed(path, members):
    """A file of these members, with the checksum that belongs to them."""
    with open(path, "w+b") as file:
        write_archive(file, members)


def rewrite(path, edit):
    """Change the header of a file by `edit`, which gets it as a dict and may return another one."""
    members = read_members(path)
    header = json.loads(members["estimator.json"])
    members["estimator.json"] = json.dumps(edit(header) or header).encode()
    write_sealed(path, members)


def npy(array, allow_pickle=False):
    """An array as the content of a member."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=allow_pickle)
    return buffer.getvalue()


def places(tree, path=()):
    """The path of each value in a header."""
    yield path
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from places(value, (*path, key))
    elif isinstance(tree, list):
        for i, value in enumerate(tree):
            yield from places(value, (*path, i))


def at(tree, path):
    """The value at a path."""
    for key in path:
        tree = tree[key]
    return tree


def edited(tree, **changes):
    """A copy of a header with other trees for some attributes, wherever their names stand."""
    if isinstance(tree, dict):
        return {key: edited(value, **changes) for key, value in tree.items()}
    if not isinstance(tree, list):
        return tree
    if len(tree) == 2 and isinstance(tree[0], str) and tree[0] in changes:
        return [tree[0], changes[tree[0]]]
    return [edited(value, **changes) for value in tree]


def replaced(tree, path, value):
    """A copy of a header with another value at a path."""
    copy = json.loads(json.dumps(tree))
    if not path:
        return value
    at(copy, path[:-1])[path[-1]] = value
    return copy
