"""Rows from several domains, sites or devices for one: an estimator that is told where each row comes from."""

import typing

import numpy as np
import numpy.typing as npt
import pandas as pd

from keras_ssvae._compat.sklearn import fit_context
from keras_ssvae.data.containers import has_column, opened, split_labels
from keras_ssvae.data.domains import DomainCodec, Domains
from keras_ssvae.estimators.blockwise import blockwise
from keras_ssvae.estimators.consistent import consistent
from keras_ssvae.networks import inference
from keras_ssvae.registry import require

__all__ = ["DomainMixin"]


class DomainMixin:
    """Domains of rows: for networks that are a `keras_ssvae.networks.domain.DomainNetwork`."""

    _domain_codec: DomainCodec | None = None
    _domain_column: str | None = None  # the name that was domain in the fit
    _domain_counts: np.ndarray | None = None  # rows of each domain in all fits that this one adds to

    @property
    def _domain_shares(self):
        return self._domain_counts / self._domain_counts.sum()

    @fit_context
    def fit(
        self, X: typing.Any, y: typing.Any = None, sample_weight: npt.ArrayLike | None = None,
        validation_data: tuple | None = None, domain: typing.Any = None,
    ) -> typing.Self:  # fmt: skip
        """Fit the model to rows of which any number is labelled, from one domain or several.

        Parameters
        ----------
        X, y, sample_weight : as in `keras_ssvae.estimators.base.GenerativeEstimator.fit`
            Rows, labels, and how often each row counts.
        validation_data : tuple (X, y), default=None
            As in `keras_ssvae.estimators.base.GenerativeEstimator.fit`; not beside domains.
        domain : array-like of shape (n,), or str, default=None
            Where each row comes from: text or whole numbers, at least two different ones. Of a DataFrame also the name of a
            column, which is no feature then. Labels may be known in all domains or in some. None: one domain.

        Raises
        ------
        ValueError
            If something cannot be read, a domain is missing, there is only one, or X is read in blocks; the estimator is
            unchanged then.
        """
        return self._fit_domains(X, y, sample_weight, domain, validation_data=validation_data)

    @fit_context
    def partial_fit(
        self, X: typing.Any, y: typing.Any = None, classes: typing.Any = None, sample_weight: npt.ArrayLike | None = None,
        domain: typing.Any = None,
    ) -> typing.Self:  # fmt: skip
        """One more pass over these rows, keeping all that was learned; the first call fixes columns, scaling, classes, domains.

        Parameters
        ----------
        X, y, sample_weight, domain : as in `fit`
            Rows, with the columns of the first call, labels, weights, and domains of the first call.
        classes : array-like or int, default=None
            All labels that will ever come, for the first call; by default the `classes` parameter, then those in `y`.
        """
        return self._fit_domains(X, y, sample_weight, domain, classes=classes, one_pass=True)

    def _fit_domains(self, X, y, sample_weight, domain, **given):
        before = self._snapshot()
        warm = ("one_pass" in given or before.warm_start) and hasattr(before, "network_")
        codec, column = (before._domain_codec, before._domain_column) if warm else (None, None)
        X = opened(X) if domain is not None or column is not None else X
        if domain is None and codec is not None and has_column(X, column):
            domain = column
        if warm and (domain is None) != (codec is None):
            told, now = ("without", "with") if codec is None else ("with", "without")
            raise ValueError(
                f"The model was fitted {told} domain, and cannot go on {now} it; fit a new one (warm_start=False), or "
                f"{'leave domain out' if codec is None else 'pass domain'}."
            )
        if domain is not None and given.get("validation_data") is not None:
            raise ValueError("validation_data must be None where domain is given: its rows have no domains.")
        if domain is not None:
            column = domain if isinstance(domain, str) else None
            X, domain = split_labels(X, domain, argument="domain")
            if not (hasattr(X, "shape") or isinstance(X, (list, tuple))):
                raise ValueError("domain must be None where X is read in blocks; pass X as an array or a DataFrame.")
            given["domain"] = Domains(codec or DomainCodec().fit(domain, _count(X)), domain, column)
        return self._fit(X, y, sample_weight, warm=warm, **given)

    def _extra_arrays(self, X, **extra):
        domain = extra.get("domain")
        return {} if domain is None else {"domain": domain.codec.encode(domain.of_rows, _count(X))}

    @classmethod
    def _make_network(cls, params, table, summary, spec, weights_seed, seed):
        n_domains = spec["domain"][0][0] if "domain" in spec else 0
        return super()._make_network({**params, "n_domains": n_domains}, table, summary, spec, weights_seed, seed)

    def _fit_head(self, network, data):
        domain, head = data.extra.get("domain"), super()._fit_head(network, data)
        if domain is None:
            nothing = dict.fromkeys(("domain_distances_", "_domain_codec", "_domain_column", "_domain_counts"))
            return {**head, **nothing}
        names = pd.Index(domain.codec.domains_)
        counts = data.weight @ data.rows.arrays["domain"].astype(float)
        return {
            **head,
            "domain_distances_": pd.DataFrame(data.distances, names, names),
            "_domain_codec": domain.codec,
            "_domain_column": domain.column,
            "_domain_counts": counts + self._domain_counts if data.goes_on else counts,
        }

    def _open(self, X, y=None):
        return super()._open(split_labels(opened(X), None, self._domain_column)[0], y)

    def _draw(self, y_index, rng, domain=None):
        if domain is None and self._domain_codec is None:
            return super()._draw(y_index, rng)
        if domain is None:
            index = rng.choice(len(self._domain_shares), len(y_index), p=self._domain_shares)
        else:
            index = self._known_domains().indices_of(domain, len(y_index))
        return self.network_.sample(y_index, rng, self.table_.graded_, domain=index)

    def _known_domains(self):
        if self._domain_codec is None:
            raise ValueError(f"domain must be None: this {type(self).__name__} was fitted without domain.")
        return self._domain_codec

    def _read_codes(self, Z, y):
        codes = super()._read_codes(Z, y)
        if self._domain_codec is None:
            return codes
        return *codes, np.tile(self._domain_shares, (len(Z), 1)).astype(np.float32)

    @consistent
    def sample(
        self: typing.Any, n_samples: int = 1, y: typing.Any = None, random_state: typing.Any = None,
        conditions: dict | None = None, domain: typing.Any = None,
    ) -> tuple[typing.Any, np.ndarray]:  # fmt: skip
        """Draw rows from the model.

        Parameters
        ----------
        n_samples, y, random_state, conditions : as in `keras_ssvae.estimators.sampling.SamplingMixin.sample`
            Number of rows, their classes, the seed, and what their columns are to be.
        domain : name or array-like of shape (n_samples,), default=None
            The domain of the rows; by default drawn from the shares of the domains in the fit.

        Returns
        -------
        X : array or DataFrame of n_samples rows
            In the columns, dtypes and units of the fit. Grey pixels are means, all other values draws.
        y : (n_samples,) array
            The labels; -1 throughout where the model knows no class.

        Raises
        ------
        ValueError
            If the fit knew no such domain or label, or hardly a row of the model meets the conditions.
        """
        return self._sample(n_samples, y, random_state, conditions, **({} if domain is None else {"domain": domain}))

    @blockwise
    def reconstruct(self: typing.Any, X: typing.Any, domain: typing.Any = None) -> typing.Any:
        """The model's version of X: the mean of p(x) given the posterior mean of what the encoder makes of it.

        Parameters
        ----------
        domain : name or array-like of shape (n,), default=None
            As if the rows came from there. None: from their own domain, as far as they tell it.

        Returns
        -------
        X : array or DataFrame
            In the columns, dtypes and units of the fit.

        Raises
        ------
        ValueError
            If the fit knew no such domain.
        """
        rows = self._rows(X)
        if domain is not None:
            rows = rows.joined(domain=self._known_domains().encode(domain, len(rows)))
        x = inference.run(self.network_, "reconstruct", rows)
        return self.table_.decode(x, X.index if isinstance(X, pd.DataFrame) else None)

    def _check_loaded(self):
        super()._check_loaded()
        codec, counts, spec = self._domain_codec, self._domain_counts, self._spec
        require(isinstance(codec, (DomainCodec, type(None))), "_domain_codec is none")
        require(isinstance(self._domain_column, (str, type(None))), "_domain_column is no name")
        require((codec is None) == ("domain" not in spec) == (counts is None), "domains are there in part")
        if codec is None:
            return
        n = len(codec.domains_)
        require(spec["domain"] == ((n,), "float32"), f"array 'domain' of the rows is {spec['domain']}")
        fits = isinstance(counts, np.ndarray) and counts.shape == (n,) and counts.dtype == float
        require(fits and (counts >= 0).all() and 0 < counts.sum() < np.inf, "_domain_counts are none")
        apart = vars(self).get("domain_distances_")
        require(isinstance(apart, pd.DataFrame) and apart.shape == (n, n), "domain_distances_ are not those of the domains")


def _count(X):
    """Number of rows of what `fit` reads from memory."""
    return X.shape[0] if hasattr(X, "shape") else len(X)
