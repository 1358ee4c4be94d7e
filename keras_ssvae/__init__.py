"""Deep generative models that learn from labelled and unlabelled rows: scikit-learn estimators on Keras 3.

The public names are loaded on first use, so that ``import keras_ssvae`` costs nothing until a model is made.
"""

from importlib import import_module

__version__ = "0.1.0"

_MODULE_OF = {
    "AdversarialAutoencoder": "families",
    "AugmentedClassifier": "augmentation",
    "ConditionalVAE": "families",
    "GenerativeOverSampler": "augmentation",
    "LabelSweepDisplay": "displays",
    "LadderVAE": "families",
    "LatentSpaceDisplay": "displays",
    "LossCurveDisplay": "displays",
    "M1": "families",
    "M1M2": "families",
    "M2": "families",
    "ReconstructionDisplay": "displays",
    "SamplesDisplay": "displays",
    "SemiSupervisedGAN": "families",
    "SemiSupervisedKFold": "model_selection",
    "SemiSupervisedVAE": "families",
    "UnlabeledWarning": "labels",
    "VAE": "families",
    "augment": "augmentation",
    "label_sweep": "model_selection",
    "labeled_scorer": "model_selection",
    "load": "persistence",
    "mask_labels": "model_selection",
}

__all__ = [*_MODULE_OF, "__version__"]


def __getattr__(name):
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value  # the next look-up does not come here
    return value


def __dir__():
    return sorted({*globals(), *__all__})
