"""The classes of scikit-learn that a file may name; others can be registered by `keras_ssvae.register`."""

import importlib

__all__ = []

# name -> the module where it is public: what predicts from arrays alone, and can be written as data
_MODULE_OF = {
    name: f"sklearn.{module}"
    for module, names in {
        "decomposition": ["PCA", "TruncatedSVD"],
        "discriminant_analysis": ["LinearDiscriminantAnalysis", "QuadraticDiscriminantAnalysis"],
        "dummy": ["DummyClassifier"],
        "ensemble": ["StackingClassifier", "VotingClassifier"],
        "feature_selection": ["VarianceThreshold"],
        "impute": ["SimpleImputer"],
        "kernel_approximation": ["Nystroem", "RBFSampler"],
        "linear_model": ["LogisticRegression", "LogisticRegressionCV", "RidgeClassifier", "SGDClassifier"],
        "mixture": ["BayesianGaussianMixture", "GaussianMixture"],
        "multiclass": ["OneVsOneClassifier", "OneVsRestClassifier"],
        "naive_bayes": ["BernoulliNB", "CategoricalNB", "ComplementNB", "GaussianNB", "MultinomialNB"],
        "neighbors": ["KNeighborsClassifier", "NearestCentroid", "RadiusNeighborsClassifier"],
        "neural_network": ["MLPClassifier"],
        "pipeline": ["FeatureUnion", "Pipeline"],
        "preprocessing": [
            "Binarizer", "KBinsDiscretizer", "LabelBinarizer", "LabelEncoder", "MaxAbsScaler", "MinMaxScaler", "Normalizer",
            "OneHotEncoder", "PolynomialFeatures", "PowerTransformer", "QuantileTransformer", "RobustScaler", "StandardScaler",
        ],
        "semi_supervised": ["LabelPropagation", "LabelSpreading", "SelfTrainingClassifier"],
        "svm": ["LinearSVC", "NuSVC", "SVC"],
    }.items()
    for name in names
}  # fmt: skip


def sklearn_class(name: str) -> type | None:
    """The class of scikit-learn of this name, None if a file may not name it."""
    module = _MODULE_OF.get(name)
    return None if module is None else getattr(importlib.import_module(module), name)
