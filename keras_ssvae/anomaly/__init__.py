"""Anomalies: several views of how strange a row is, in one score, with whatever labels there are; and `load`, for all."""

from keras_ssvae.anomaly.detector import AnomalyDetector
from keras_ssvae.models import load

__all__ = ["AnomalyDetector", "load"]
