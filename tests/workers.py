"""What other processes do in tests: they import it by name."""

from sklearn.base import clone


def fit_and_ask(model, X, y):
    """The weights of a clone that is fitted here, and what the model, which was fitted elsewhere, says here."""
    return clone(model).fit(X, y).network_.get_weights(), model.predict_proba(X)
