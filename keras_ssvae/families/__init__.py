"""One file a family: a network and its estimator."""

from keras_ssvae.families.adversarial_autoencoder import AdversarialAutoencoder
from keras_ssvae.families.conditional_vae import ConditionalVAE
from keras_ssvae.families.ladder_vae import LadderVAE
from keras_ssvae.families.m1 import M1
from keras_ssvae.families.m1m2 import M1M2
from keras_ssvae.families.m2 import M2
from keras_ssvae.families.semi_supervised_gan import SemiSupervisedGAN
from keras_ssvae.families.semi_supervised_vae import SemiSupervisedVAE
from keras_ssvae.families.vae import VAE

__all__ = [
    "AdversarialAutoencoder",
    "ConditionalVAE",
    "LadderVAE",
    "M1",
    "M1M2",
    "M2",
    "SemiSupervisedGAN",
    "SemiSupervisedVAE",
    "VAE",
]
