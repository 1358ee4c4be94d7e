"""M1M2: M2 on the code of a variational autoencoder."""

import dataclasses
import typing
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from keras_ssvae.estimators.mixins import CodeMixin
from keras_ssvae.estimators.parameters import AUTO, POSITIVE, estimator, param
from keras_ssvae.models.m2 import M2, M2Network
from keras_ssvae.networks.stages import Stage, StepContext
from keras_ssvae.nn import losses

__all__ = ["M1M2", "M1M2Network"]


class M1M2Network(M2Network):
    """p(y) p(z) p(u | z, y) p(x | u), with q(u | x) q(y | u) q(z | u, y).

    Parameters
    ----------
    seed, sample_codes, joint, **kwargs
        As in `M2Network`, and in `M1M2`.
    """

    shares_steps = True

    def __init__(self, seed: int, *, sample_codes: bool, joint: bool, **kwargs: typing.Any):
        super().__init__(seed, **kwargs)
        self.sample_codes = sample_codes
        self.joint = joint

    def stages(self) -> list[Stage]:
        pretrain, semi_supervised, together = super().stages()
        if self.joint:
            return [pretrain, semi_supervised, together]
        return [pretrain, dataclasses.replace(semi_supervised, share=semi_supervised.share + together.share)]

    def end_stage(self, name: str, sample: Callable) -> None:
        if not (name == "semi-supervised" and self.sample_codes):  # p(u | z, y) explains draws already
            super().end_stage(name, sample)

    def still_code(self, seen: dict, step: StepContext) -> dict:
        if not self.sample_codes or step.mode == "evaluate":
            return super().still_code(seen, step)
        mean, log_variance = self.lower.encode(seen["inputs"])
        v = self.lower.standardise(losses.gaussian_draw(mean, log_variance, step.normal(mean)))
        return {"inputs": v, "x": v}

    def drawn_code(self, y_index: np.ndarray, rng: np.random.RandomState) -> tf.Tensor:
        """Draws of u whose rows are of the classes: weak dimensions of the code, mostly noise, scatter far beyond the class."""
        drawn = super().drawn_code

        def draw(y_index):
            u = drawn(y_index, rng)
            return u, self.logits(self.coded({"inputs": self.observation.expected_features(self.lower.decode(u))}))

        return self.first_of_class(y_index, draw)


@estimator
class M1M2(CodeMixin, M2):
    """M1+M2 of Kingma et al.: a variational autoencoder of all rows, and M2 on its codes.

    The model is ``p(y) p(z) p(u | z, y) p(x | u)`` with ``q(u | x) q(y | u) q(z | u, y)``. It is trained in stages: the
    autoencoder of x and u on all rows ("pretrain"), M2 on its codes ("semi-supervised"), and, unless `joint` is False, all
    layers at once ("together"). The loss of M2 is in `M2`, with the code u for x.

    Parameters
    ----------
    code_dim : int or "auto", default="auto"
        Number of dimensions of the code u. "auto" is half the number of encoded columns, but not less than 10, if there
        are so many, nor more than 50.
    sample_codes : bool, default=False
        Whether the second stage reads draws of the codes, as in the paper, or their means.
    joint : bool, default=True
        Whether all layers are trained together in the end; the paper leaves it out.

    Notes
    -----
    `sample` generates 20 candidates for each row, and takes the first that is predicted to be of its class, as that of
    `SemiSupervisedGAN` does: p(u | z, y) is wide where a dimension of the code is mostly noise, and draws from it often belong
    to no class.

    References
    ----------
    D. P. Kingma et al. (2014), "Semi-supervised Learning with Deep Generative Models", arXiv 1406.5298, section 2, "Stacked
    generative semi-supervised model (M1+M2)".

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from keras_ssvae import M1M2, mask_labels
    >>> X, y = load_iris(return_X_y=True)
    >>> model = M1M2(latent_dim=2, random_state=0).fit(X, mask_labels(y, labeled=15, random_state=0))
    >>> list(model.history_["stage"].unique())
    ['pretrain', 'semi-supervised', 'together']
    """

    code_dim: int | str = param(default="auto", accepts=[POSITIVE, AUTO])
    sample_codes: bool = param(default=False, accepts=["boolean"])
    joint: bool = param(default=True, accepts=["boolean"])

    _network_class: typing.ClassVar[typing.Any] = M1M2Network

    @classmethod
    def _resolve(cls, params, table, summary):
        code_dim = params["code_dim"]
        if code_dim == "auto":
            code_dim = min(max(table.n_columns_ // 2, min(table.n_columns_, 10)), 50)
        return super()._resolve({**params, "code_dim": code_dim}, table, summary)
