"""Quickstart
==========

Learn ten digits from fifty labels: the main job, offline, in about half a minute.
"""

import os

from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

import keras_ssvae as ks

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # no start-up lines of TensorFlow, unless they are asked for

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=540, stratify=y, random_state=0)
y_partial = ks.mask_labels(y_train, labeled=50, random_state=0)  # 50 labels stay; all others become -1

model = ks.SemiSupervisedVAE(verbose="auto", random_state=0).fit(X_train, y_partial)
labeled = y_partial != -1
supervised = LogisticRegression(max_iter=1000).fit(X_train[labeled] / 16, y_train[labeled])

print(f"{len(X_train)} rows, {labeled.sum()} labels, {model.n_iter_} epochs")
print(f"accuracy on {len(X_test)} other rows: {model.score(X_test, y_test):.3f}")
print(f"logistic regression on the labels: {supervised.score(X_test / 16, y_test):.3f}")

Z = model.transform(X_test)
print("latent variables and classes:", Z.shape)
X_new, y_new = model.sample(5, y=3, random_state=0)
print("five threes that nobody wrote:", X_new.shape, y_new)
upside_down = X_test[:, ::-1]
scores = model.anomaly_score(X_test), model.anomaly_score(upside_down)
auc = roc_auc_score([0] * len(X_test) + [1] * len(X_test), [*scores[0], *scores[1]])
print(f"digits upside down are anomalies: ROC-AUC {auc:.3f}")
