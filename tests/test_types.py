"""A type checker finds nothing to say of the package, knows its public names, and sees the mistakes of those who use it."""

import re
from pathlib import Path

import pytest

import keras_ssvae as ks

PACKAGE = Path(ks.__file__).parent

RIGHT = """
from typing import Any, assert_type

import numpy as np

import keras_ssvae as ks
from keras_ssvae.estimators.parameters import estimator, param
from keras_ssvae.models.vae import VAENetwork

assert_type(ks.SemiSupervisedVAE(latent_dim=3).fit([[0.0]], [1]), ks.SemiSupervisedVAE)
assert_type(ks.SemiSupervisedVAE(3, epochs=1).fit([[0.0]], [1]).predict([[0.0]]), np.ndarray)
assert_type(ks.M1().partial_fit([[0.0]], classes=2), ks.M1)
assert_type(ks.SemiSupervisedGAN(class_weight="balanced").anomaly_score([[0.0]]), np.ndarray)
ks.mask_labels([0, 1], 0.5, random_state=0)
ks.load("model.keras").predict([[0.0]])
assert_type(ks.LossCurveDisplay.from_estimator(ks.VAE().fit([[0.0]])), ks.LossCurveDisplay)


class Network(VAENetwork):
    def __init__(self, seed: int, *, sparsity: float, **kwargs: Any):
        super().__init__(seed, **kwargs)


@estimator
class Own(ks.VAE):
    sparsity: float = param(default=0.1, accepts=[float])
    _network_class = Network


assert_type(Own(latent_dim=3, sparsity=0.2).sample()[1], np.ndarray)
"""

WRONG = {
    "ks.SemiSupervisedVAE(latent_dims=3)": 'Unexpected keyword argument "latent_dims" for "SemiSupervisedVAE"',
    'ks.SemiSupervisedVAE(latent_dim="three")': 'Argument "latent_dim" to "SemiSupervisedVAE" has incompatible type "str"',
    "ks.SemiSupervisedVAE(3, (64,))": 'Too many positional arguments for "SemiSupervisedVAE"',
    "ks.M1M2(joint=None)": 'Argument "joint" to "M1M2" has incompatible type "None"',
    "ks.VAE(class_weight='balanced')": 'Unexpected keyword argument "class_weight" for "VAE"',
    "ks.VAE().fit()": 'Missing positional argument "X" in call to "fit" of "GenerativeEstimator"',
    "ks.VAE().fit([[0.0]]).transform([[0.0]], [1])": 'Too many arguments for "transform" of "EncoderMixin"',
    "ks.mask_labels()": 'Missing positional argument "y" in call to "mask_labels"',
    "ks.load()": 'Missing positional argument "path" in call to "load"',
    "ks.LossCurveDisplay.from_estimator()": 'Missing positional argument "estimator" in call to "from_estimator"',
    "ks.SemiSupervisedVEA()": 'Module has no attribute "SemiSupervisedVEA"',
}


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """What mypy says, by file and line, of the package and of both snippets: one run, without what an earlier one has kept."""
    api, folder = pytest.importorskip("mypy.api"), tmp_path_factory.mktemp("types")
    (folder / "right.py").write_text("\n".join([RIGHT, *(f"ks.{name}" for name in ks.__all__)]))
    (folder / "wrong.py").write_text("\n".join(["import keras_ssvae as ks", *WRONG]))
    options = ["--config-file", str(PACKAGE.parent / "pyproject.toml"), "--cache-dir", str(folder / "cache")]
    files = [str(PACKAGE), *(str(folder / f"{name}.py") for name in ("right", "wrong"))]
    # a strict user's options look into the package, too
    out, error, _ = api.run([*options, "--no-implicit-reexport", "--no-pretty", "--hide-error-context", *files])
    assert not error
    found = re.findall(r"^(.*?):(\d+): error: (.*)$", out, flags=re.MULTILINE)
    assert found, out  # or it has not looked at the mistakes
    return [(Path(file).name, int(line), message) for file, line, message in found]


def test_the_package_and_who_uses_it_rightly_pass(reports):
    assert not [report for report in reports if report[0] != "wrong.py"]


@pytest.mark.parametrize("mistake", WRONG)
def test_a_mistake_is_reported(reports, mistake):
    line = 2 + list(WRONG).index(mistake)
    messages = [message for file, at, message in reports if (file, at) == ("wrong.py", line)]
    assert len(messages) == 1 and messages[0].startswith(WRONG[mistake])
