"""Deep generative models that learn from labelled and unlabelled rows: scikit-learn estimators on Keras 3.

The public names are loaded on first use, so that ``import keras_ssvae`` costs nothing until a model is made.
"""

from importlib import import_module

TYPE_CHECKING = False  # as type checkers know it, without loading `typing`

__version__ = "0.1.0"

_MODULE_OF = {
    "AdversarialAutoencoder": "models",
    "AnomalyDetector": "anomaly",
    "AnomalyExplanationDisplay": "plotting.anomalies",
    "AnomalyScoreDisplay": "plotting.anomalies",
    "AugmentedClassifier": "augmentation.classifier",
    "CalibrationDisplay": "plotting.calibration",
    "ConditionalVAE": "models",
    "DivergenceError": "training.progress",
    "DivergenceWarning": "training.progress",
    "FitInterrupted": "training.progress",
    "GenerativeImputer": "augmentation",
    "GenerativeOverSampler": "augmentation.oversampling",
    "LabelSweepDisplay": "plotting.curves",
    "LadderVAE": "models",
    "LatentSpaceDisplay": "plotting.latent_space",
    "LossCurveDisplay": "plotting.curves",
    "M1": "models",
    "M1M2": "models",
    "M2": "models",
    "ModelFileError": "registry",
    "ReconstructionDisplay": "plotting.rows",
    "SamplesDisplay": "plotting.rows",
    "SemiSupervisedGAN": "models",
    "SemiSupervisedKFold": "model_selection",
    "SemiSupervisedVAE": "models",
    "SemiSupervisedVAERegressor": "models",
    "UnlabeledShiftWarning": "evidence.shift",
    "UnlabeledWarning": "data.labels",
    "VAE": "models",
    "WithUnlabeled": "estimators.combining",
    "augment": "augmentation.functions",
    "distributed": "distributed",
    "label_quality": "evidence.quality",
    "label_sweep": "model_selection",
    "labeled_scorer": "model_selection",
    "load": "augmentation",
    "mask_labels": "model_selection",
    "register": "registry",
    "report": "plotting.report",
    "split_unlabeled": "model_selection",
    "suggest_labels": "evidence.suggestion",
}

__all__ = [*_MODULE_OF, "__version__"]

if TYPE_CHECKING:
    from keras_ssvae import distributed as distributed
    from keras_ssvae.anomaly import *
    from keras_ssvae.augmentation import *
    from keras_ssvae.augmentation.classifier import *
    from keras_ssvae.augmentation.functions import *
    from keras_ssvae.augmentation.oversampling import *
    from keras_ssvae.data.labels import UnlabeledWarning as UnlabeledWarning
    from keras_ssvae.estimators.combining import *
    from keras_ssvae.evidence.quality import *
    from keras_ssvae.evidence.shift import *
    from keras_ssvae.evidence.suggestion import *
    from keras_ssvae.model_selection import *
    from keras_ssvae.models import *
    from keras_ssvae.plotting.anomalies import *
    from keras_ssvae.plotting.calibration import *
    from keras_ssvae.plotting.curves import *
    from keras_ssvae.plotting.latent_space import *
    from keras_ssvae.plotting.report import *
    from keras_ssvae.plotting.rows import *
    from keras_ssvae.registry import ModelFileError as ModelFileError
    from keras_ssvae.registry import register as register
    from keras_ssvae.training.progress import *
else:

    def __getattr__(name):
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = import_module(f"{__name__}.{_MODULE_OF[name]}")
        value = module if _MODULE_OF[name] == name else getattr(module, name)
        globals()[name] = value  # the next look-up does not come here
        return value


def __dir__():
    return sorted(__all__)
