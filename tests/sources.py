"""Rows in blocks."""


def blocks_of(X, y=None, sizes=(70, 1, 129)):
    """A function that cuts rows into blocks of these sizes, over and over."""

    def blocks():
        start, i = 0, 0
        while start < len(X):
            part = slice(start, start + sizes[i % len(sizes)])
            yield X[part] if y is None else (X[part], y[part])
            start, i = part.stop, i + 1

    return blocks
