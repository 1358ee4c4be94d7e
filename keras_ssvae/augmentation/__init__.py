"""Generated rows and cells beside the given ones: function, sampler, classifier, imputer; and `load`, for all."""

from keras_ssvae.anomaly import load
from keras_ssvae.augmentation.imputer import GenerativeImputer

__all__ = ["GenerativeImputer", "load"]
