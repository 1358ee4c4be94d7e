"""One file a family: a network and its estimator."""

from keras_ssvae.families.semi_supervised_vae import SemiSupervisedVAE

__all__ = ["SemiSupervisedVAE"]
