"""A parameter written once: what it accepts, what it is for, and how it is described."""

import inspect

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone

import keras_ssvae as ks
from keras_ssvae.estimators.parameters import ROLES, estimator, layer_sizes, param


@estimator
class Small(BaseEstimator):
    """A small model.

    Parameters
    ----------
    width : int, default=3
        How wide it is.

    Notes
    -----
    None.
    """

    width: int = param(default=3, accepts=[int], kw_only=False)
    beta: float = param(default=0.5, accepts=[float, None])
    verbose: int = param(default=0, accepts=["verbose"], role="training")
    unlabeled: object = param(default=-1, accepts="no_validation", role="data")
    depth: int = param(default=2, accepts=[int], role="head")


@estimator
class Smaller(Small):
    """A smaller model."""

    width: int = param(default=1, accepts=[int], role="data", kw_only=False)
    height: int = param(default=4, accepts=[int])


def test_what_is_accepted_reaches_the_validation():
    constraints = {"width": [int], "beta": [float, None], "verbose": ["verbose"], "unlabeled": "no_validation", "depth": [int]}
    assert Small._parameter_constraints == constraints
    assert Smaller._parameter_constraints == {**constraints, "height": [int]}


@pytest.mark.parametrize("value", ["no", 1])
def test_what_is_not_accepted_is_said(value):
    with pytest.raises(ValueError, match="'beta' parameter of Small"):
        Small(beta=value)._validate_params()
    Small(beta=None)._validate_params()


def test_the_network_is_given_what_is_for_the_network():
    assert Small._network_parameters == ("width", "beta")
    assert Smaller._network_parameters == ("beta", "height")
    assert ks.VAE(latent_dim=7)._network_params()["latent_dim"] == 7
    assert not {"epochs", "optimizer", "likelihood", "random_state"} & set(ks.VAE._network_parameters)


def test_the_constructor_is_that_of_scikit_learn():
    model = Smaller(5, height=6)
    assert model.get_params() == {"width": 5, "beta": 0.5, "verbose": 0, "unlabeled": -1, "depth": 2, "height": 6}
    assert clone(model).get_params() == model.get_params()
    with pytest.raises(TypeError, match="positional"):
        Small(5, 0.5)
    kinds = {name: parameter.kind.name for name, parameter in inspect.signature(Small).parameters.items()}
    assert kinds == dict.fromkeys(kinds, "KEYWORD_ONLY") | {"width": "POSITIONAL_OR_KEYWORD"}


def test_every_field_is_documented_in_the_order_of_the_constructor():
    for cls in (Small, Smaller):
        names = list(inspect.signature(cls).parameters)
        lines = [line for line in cls.__doc__.splitlines() if " : " in line]
        assert [line.split(" : ")[0] for line in lines] == names
    assert "width : int, default=3\n    How wide it is." in Small.__doc__
    assert 'unlabeled : scalar, default=-1\n    What stands for "no label"' in Small.__doc__  # as in all estimators
    assert "Notes\n-----\nNone." in Small.__doc__


def test_a_field_without_a_description_is_documented_by_its_type_and_default():
    assert "beta : float, default=0.5\n" in Small.__doc__
    assert "beta : float, default=0.5\n" in Smaller.__doc__
    assert "height : int, default=4\n" in Smaller.__doc__


@pytest.mark.parametrize("role", ROLES)
def test_roles(role):
    @estimator
    class Model(BaseEstimator):
        """A model."""

        size: int = param(default=1, accepts=[int], role=role)

    assert Model._network_parameters == (("size",) if role == "network" else ())


def test_an_unknown_role_is_said():
    with pytest.raises(ValueError, match="role must be one of .*'network', 'data', 'training', 'head'.*; got 'netwrok'"):
        param(default=1, accepts=[int], role="netwrok")


@pytest.mark.parametrize("sizes", [[8, 4], (np.int64(8), 4), np.array([8, 4])])
def test_layer_sizes_are_whole_numbers_of_python(sizes):
    read = layer_sizes({"hidden_layer_sizes": sizes}, "hidden_layer_sizes")
    assert read == (8, 4) and all(type(size) is int for size in read)


@pytest.mark.parametrize("sizes", [("a",), [2.5], (0,), [[8]], np.array(3), {3, 2}])
def test_other_layer_sizes_are_named(sizes):
    with pytest.raises(ValueError, match="code_layer_sizes must be a sequence of whole numbers from 1"):
        layer_sizes({"code_layer_sizes": sizes}, "code_layer_sizes")
