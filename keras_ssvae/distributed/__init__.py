"""The same fit by many processes, on one machine or many; and answers for folders that no machine holds."""

from keras_ssvae.data.folders import StoreError
from keras_ssvae.distributed.cluster import WorkerLostError
from keras_ssvae.distributed.fitting import fit
from keras_ssvae.distributed.predicting import predict
from keras_ssvae.distributed.workers import group
from keras_ssvae.training.distribution import WorkersDisagreeError

__all__ = ["StoreError", "WorkerLostError", "WorkersDisagreeError", "fit", "group", "predict"]
