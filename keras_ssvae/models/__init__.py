"""The families, a file each: a network and its estimator; and `load`, which knows them all once they are here."""

from keras_ssvae.models.adversarial_autoencoder import AdversarialAutoencoder
from keras_ssvae.models.conditional_vae import ConditionalVAE
from keras_ssvae.models.ladder_vae import LadderVAE
from keras_ssvae.models.m1 import M1
from keras_ssvae.models.m1m2 import M1M2
from keras_ssvae.models.m2 import M2
from keras_ssvae.models.semi_supervised_gan import SemiSupervisedGAN
from keras_ssvae.models.semi_supervised_vae import SemiSupervisedVAE
from keras_ssvae.models.semi_supervised_vae_regressor import SemiSupervisedVAERegressor
from keras_ssvae.models.vae import VAE
from keras_ssvae.serialization import load

__all__ = [
    "AdversarialAutoencoder", "ConditionalVAE", "LadderVAE", "M1", "M1M2", "M2", "SemiSupervisedGAN", "SemiSupervisedVAE",
    "SemiSupervisedVAERegressor", "VAE", "load",
]  # fmt: skip
