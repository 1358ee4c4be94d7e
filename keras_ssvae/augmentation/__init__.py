"""Generated rows and cells beside the given ones: as a function, a sampler, a classifier and an imputer; and `load`, for all."""

from keras_ssvae.anomaly import load
from keras_ssvae.augmentation.imputer import GenerativeImputer

__all__ = ["GenerativeImputer", "load"]
