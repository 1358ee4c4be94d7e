"""Where rows come from: the names of domains, and which of them each row has."""

import typing

import numpy as np
import numpy.typing as npt

from keras_ssvae.data.labels import distinct_labels
from keras_ssvae.registry import register, require, require_keys

__all__ = ["DomainCodec", "Domains"]


@register
class DomainCodec:
    """Translate between the user's names of domains and indices 0, 1, ...

    Attributes
    ----------
    domains_ : (n_domains,) array
        The names, sorted: text, whole numbers or truth values.
    """

    domains_: np.ndarray

    def fit(self, domain: npt.ArrayLike, n_rows: int) -> typing.Self:
        """Learn the names from one for each row.

        Parameters
        ----------
        domain : array-like of shape (n_rows,)
            The domain of each row.
        n_rows : int
            Number of rows.

        Raises
        ------
        ValueError
            If there is not one domain a row, if one is missing, or if there is only one.
        """
        names, _ = self._read(domain, n_rows)
        if len(names) < 2:
            raise ValueError(
                f"domain must name at least two domains; got {names.tolist()}. Leave it out where there is but one."
            )
        self.domains_ = np.sort(names)
        return self

    def indices_of(self, domain: typing.Any, n_rows: int) -> np.ndarray:
        """Indices of the domains of rows, (n_rows,), from one name for all, or one for each.

        Raises a ValueError where a domain is unknown or missing, or where there are not as many as rows.
        """
        if np.ndim(domain) == 0:
            domain = [domain] * n_rows
        names, positions = self._read(domain, n_rows)
        known = self.domains_.tolist()
        unknown = [name for name in names.tolist() if name not in known]
        if unknown:
            raise ValueError(f"domain names unknown domains {unknown[:20]}; the model was fitted to {known[:20]}.")
        return np.array([known.index(name) for name in names.tolist()], int)[positions]

    def encode(self, domain: typing.Any, n_rows: int) -> np.ndarray:
        """One-hot rows, (n_rows, n_domains) float32, of what `indices_of` reads."""
        return np.eye(len(self.domains_), dtype=np.float32)[self.indices_of(domain, n_rows)]

    def _read(self, domain, n_rows):
        """Distinct names, and the position of each row's among them."""
        try:
            names, positions = distinct_labels(domain, None)
        except ValueError as error:
            raise ValueError(f"domain cannot be read as one name for each row: {error}") from error
        if len(positions) != n_rows:
            raise ValueError(f"domain must have one entry for each of the {n_rows} rows; got {len(positions)}.")
        if (positions < 0).any():
            raise ValueError(
                f"domain must be known for every row; it is missing for {np.count_nonzero(positions < 0)}. Give rows of an "
                "unknown domain a name of their own, such as 'unknown'."
            )
        return names, positions

    def _check_loaded(self):
        require_keys("DomainCodec", vars(self), {"domains_"})
        domains = self.domains_
        fits = isinstance(domains, np.ndarray) and domains.ndim == 1 and len(domains) > 1 and domains.dtype.kind in "biuUO"
        require(fits, "domains_ are no names")
        require(domains.dtype.kind != "O" or all(isinstance(name, str) for name in domains), "domains_ are no text")
        require(len(set(domains.tolist())) == len(domains), "domains_ are not distinct")


class Domains(typing.NamedTuple):
    """What a fit is given of domains.

    Attributes
    ----------
    codec : DomainCodec
        Their names.
    of_rows : array-like of shape (n,)
        The domain of each row.
    column : str or None
        The name of the column that it was.
    """

    codec: DomainCodec
    of_rows: typing.Any
    column: str | None
