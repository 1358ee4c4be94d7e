"""A fitted model behind servers: many clients at once get the answers of one, and memory stays as it is."""

import os

import numpy as np
import pytest
import service

import keras_ssvae as ks

N_REQUESTS = 300  # of each server; benchmarks/faults.py makes 20,000


@pytest.fixture(scope="module")
def model():
    rng = np.random.RandomState(0)
    y = rng.randint(3, size=400)
    X = rng.standard_normal((400, 6)) + 2 * y[:, None]
    settings = {"epochs": 3, "hidden_layer_sizes": (16,), "latent_dim": 2, "jit_compile": False, "experts": None}
    return ks.SemiSupervisedVAE(**settings, random_state=0).fit(X, np.where(rng.uniform(size=400) < 0.3, y, -1)), X


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="memory is read from Linux")
@pytest.mark.parametrize("name", service.SERVERS)
def test_requests_of_sixteen_clients_are_answered_as_one_by_one(name, model):
    if name == "uvicorn":
        pytest.importorskip("uvicorn")
    model, X = model
    expected = {question: getattr(model, question)(X) for question in service.QUESTIONS}
    asked = service.requests(X, N_REQUESTS)
    with service.SERVERS[name](model) as port:
        assert service.ask_all(port, X, asked, expected)[0] == 0
        before = service.memory()
        lost, seconds = service.ask_all(port, X, asked, expected)
        assert (lost, len(seconds)) == (0, N_REQUESTS)
        assert service.memory() < 1.02 * before
