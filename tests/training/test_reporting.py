"""What a fit shows while it runs, on standard error, and that it trains the same whether somebody looks or not."""

import io
import sys
import threading

import numpy as np
import pytest
from descent import Mean, train

import keras_ssvae as ks
from keras_ssvae.training.reporting import Report, is_seen

STAGES = {"first": {"share": 0.25}, "second": {"share": 0.75}}


def shown(capsys):
    """Nothing on standard output, and the states of a bar, or lines, on standard error."""
    out, err = capsys.readouterr()
    assert out == ""
    return [line for line in err.replace("\r", "\n").split("\n") if line.strip()]


@pytest.mark.parametrize("verbose", [0, False, "auto"])
def test_nothing_is_shown_where_nobody_asks_or_looks(verbose, capsys):
    train(Mean(), verbose=verbose)
    assert shown(capsys) == []


def test_one_bar_goes_over_all_stages(capsys):
    threads = threading.active_count()
    train(Mean(STAGES), epochs=8, verbose=1)
    states = shown(capsys)
    assert states[0].startswith("first:   0%") and " 0/8 [" in states[0]
    assert any(state.startswith("second:  25%") and " 2/8 [" in state for state in states)
    assert (
        states[-1].startswith("second: 100%")
        and " 8/8 [" in states[-1]
        and "loss " in states[-1]
        and "other_half" in states[-1]
    )
    assert threading.active_count() == threads


def test_a_line_an_epoch_has_all_terms_and_the_loss_first(capsys):
    history = train(Mean(STAGES), epochs=8, verbose=2)
    lines = shown(capsys)
    assert [line.partition(":")[0] for line in lines] == ["first 1/2", "first 2/2", *(f"second {i}/6" for i in range(1, 7))]
    last = history.iloc[-1]
    assert (
        lines[-1].partition(": ")[2] == f"loss {last['loss']:.4g}, half {last['half']:.4g}, other_half {last['other_half']:.4g}"
    )


@pytest.mark.parametrize("verbose", [1, 2])
def test_an_early_stop_is_said(verbose, capsys):
    stopping = {"early_stopping": True, "n_iter_no_change": 2, "learning_rate": 1.0}  # w jumps to and fro
    history = train(Mean(start=2.0), epochs=50, verbose=verbose, **stopping)
    best = int(history["val_loss"].argmin()) + 1
    told = f"train stopped early, after {len(history)} of 50 epochs; the weights are those of epoch {best}"
    lines = shown(capsys)
    assert told in lines
    if verbose == 1:
        assert f" {len(history)}/{len(history)} [" in lines[-1]


@pytest.mark.parametrize("epochs", [6, 7])
def test_who_looks_changes_nothing(epochs):
    X, y = np.random.RandomState(0).standard_normal((60, 3)), np.arange(60) % 2
    settings = {"latent_dim": 2, "hidden_layer_sizes": (8,), "epochs": epochs, "random_state": 0, "experts": None}
    fits = [ks.SemiSupervisedVAE(**settings, verbose=verbose).fit(X, y) for verbose in (0, 1)]
    np.testing.assert_array_equal(*(fit.predict_proba(X) for fit in fits))
    np.testing.assert_array_equal(*(fit.history_["loss"] for fit in fits))


def test_auto_asks_whether_standard_error_is_seen(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    assert is_seen() and Report("auto").verbose == 1
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert not is_seen() and Report("auto").verbose == 0
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    assert is_seen()
