"""The descriptions that estimators share, written once and shown in the docstring of every one: parameters and attributes."""

import dataclasses
import inspect
import re
import typing
from collections.abc import Callable

__all__ = ["ATTRIBUTES", "SHARED"]

M = typing.TypeVar("M", bound=Callable)
T = typing.TypeVar("T", bound=type)

_HEADING = re.compile(r"^\w[\w ]*\n-+\n", re.MULTILINE)


def _entries(section: str) -> dict[str, str]:
    """Name -> entry of a section of a docstring."""
    entries = re.split(r"^(?=\w+ : )", section.strip(), flags=re.MULTILINE)
    return {entry.split(" : ")[0]: entry.rstrip() for entry in entries if entry}


SHARED = _entries("""
latent_dim : int
    Number of dimensions of z.
hidden_layer_sizes : tuple of int
    Units of the dense layers of the encoder; the decoder mirrors them. () gives a linear model.
activation : str or callable
    Keras activation of the hidden layers.
encoder : None, {"mlp", "conv"}, keras.Model or callable
    Body that reads x. None takes convolutions for images of 12 pixels a side or more, dense layers elsewhere. A Keras model
    gives the architecture, and is trained afresh in every fit; a callable returns the model, weights included. It returns
    features.
decoder : None, {"mlp", "conv"}, keras.Model or callable
    Body that reads (latent_dim,) values. If it returns as many values as a row has, they are the mean of x.
likelihood : "auto", str or dict of column to str
    p(x | z) of each column: "gaussian", "student_t" (heavy tails), "log_normal" (positive, skewed), "beta" or
    "continuous_bernoulli" (shares in [0, 1]), "bernoulli" (two values, or grey values that are resampled to zeros and ones
    in training), "poisson" or "negative_binomial" (counts), "categorical" or "ordinal". "auto" chooses by dtype and values
    as in `keras_ssvae.data.column_kinds.choose_kind`; a name is for all columns but categories; a dict for the columns it
    names, "auto" for the others. Images take one for all pixels: "bernoulli" by default, "continuous_bernoulli",
    "discretized" (256 levels) or "gaussian".
code_dim : int, None or "auto"
    Number of dimensions of the code u. None models x itself. "auto" takes 50 for images of more than 100 pixels, unless
    `encoder` or `decoder` is yours, and None elsewhere: what the code of a table leaves out may be what its labels are
    about.
code_layer_sizes : tuple of int
    Units of the dense layers between x and the code.
representation : {"features", "style"}
    What `transform` gives of a row. "features": z, and beside it what q(y | x) says of each class, so that what stands behind
    in a pipeline sees class and style. "style": z alone, which leaves the class out. It is read when `transform` is called.
classes : None, int or array-like
    All classes, if not all have a label; an int k means 0 to k - 1. Without any label, the rows are clustered into these.
unlabeled : scalar
    What stands for "no label" in y; None, NaN and pd.NA always do.
class_prior : {"empirical", "uniform"} or array-like of shape (n_classes,)
    p(y). "empirical" is the labels' frequencies with one more label for every class.
class_weight : None, "balanced" or dict of label to weight
    How often a labelled row of each class counts, besides `sample_weight`. "balanced": all classes alike.
classification_weight : float or "auto"
    Weight of the mean cross-entropy of the labels against the mean bound of a row. "auto" is the number of values that the
    model explains (columns, or dimensions of the code in use): a row is worth about a nat a value, and so few labels are
    neither drowned by many rows and columns nor the reverse.
regression_weight : float or "auto"
    Weight of the mean -log q(t | x) of the known targets against the mean bound of a row. "auto" is the number of columns.
consistency_weight : float or "auto"
    Weight of the consistency term, in units of the same number of nats. The term assumes that rows that lie together share
    a class. "auto" asks the labels: it is the agreement, from 0 for chance to 1, of each label with that of the nearest
    other labelled row (`keras_ssvae.data.label_summary.label_agreement`), and 1 where classes are declared but no row has a
    label. The term is that of V. Verma et al. (2019), "Interpolation Consistency Training", arXiv 1903.03825, with targets
    aligned to the class prior as in D. Berthelot et al. (2020), "ReMixMatch", arXiv 1911.09785, section 3.1.
experts : None or "auto"
    Who else says what class a row has. "auto" asks classifiers of the labelled rows, label propagation and mixtures of
    Gaussians; labels that are left out in turn decide how much each counts, and how certain all of them may be
    (`keras_ssvae.evidence.pool`). The model takes their opinion for the class prior of a row, and in the end pi is taught
    what they and it say together: `predict` asks nobody else. Above a code nobody is asked, which knows more of an image than
    its pixels tell. None: the labels alone, as in the paper.
kl_warmup : float
    Share of a stage's steps over which the weight of the latent variables' KL terms rises from 0 to 1.
mask_rate : float or "auto"
    Largest share of the cells of a row that training hides from the encoder; the share is drawn anew for every row and
    step, and the decoder still has to explain all cells. "auto" is a half where cells are missing, since an encoder of
    gappy rows must work with any gaps. Elsewhere it asks the labels: from a half where rows tell nothing of the labels that
    a left-out label would confirm, so that the few labels are not learned by heart, down to 0 where they tell half of what
    is left to chance (`keras_ssvae.data.label_summary.LabelSummary.signal`). 0 for complete images, and without labels.
optimizer : str or keras.optimizers.Optimizer
    A name ("adamw" has weight decay 1e-3), or an optimizer whose settings are copied, learning rate included.
learning_rate : float
    Learning rate; a fifth of it in the last 30 % of the steps.
batch_size : int
    Rows a batch, labelled ones included.
labeled_batch_size : int or "auto"
    Labelled rows in each batch. "auto" is their share of all rows, but a third of the batch if there are so many. Weights
    keep the expectation of the loss, whatever the number.
buffer_size : int
    Rows that are kept in memory where X is read in blocks, from files, functions and data sets (see `fit`): at most so many
    labelled rows, as many others, and as many in the pool in which the rows that stream by are shuffled.
epochs : int or "auto"
    Passes over the rows, all stages together. "auto" makes about 2500 steps, in 40 to 200 epochs, at most 100 where an
    epoch has up to four steps; in up to 1000 where cells are missing, so that small tables see enough different masks.
validation_fraction : float
    Share of the labelled and of the unlabelled rows held out with `early_stopping`.
early_stopping : bool
    Stop a stage when the held-out rows no longer improve, and keep the best weights: by the cross-entropy of 50 or more
    held-out labels, by the bound on log p(x) otherwise.
n_iter_no_change : int
    Epochs without improvement that early stopping waits for.
callbacks : list of keras.callbacks.Callback
    Passed to Keras in every stage, each of which is a training of its own for them: a `CSVLogger` needs ``append=True`` to keep
    more than the last. A learning rate that one of them sets holds to the end of the stage. Clones and pickles have copies of
    them, which know no model. `network_.load_weights` reads what a `ModelCheckpoint` has written.
augmentation : keras.layers.Layer
    Random changes that leave a row's class as it is, applied in training only, labelled and unlabelled rows alike: a Keras
    preprocessing layer, or a Sequential of several. Reads images (rows, height, width, channels), with values from 0 to 1
    where the likelihood is Bernoulli, or rows of scaled columns. A copy with a seed of ours is used.
jit_compile : bool or "auto"
    Whether XLA compiles the training step. "auto" decides by the number of steps, and runs a handful eagerly.
warm_start : bool
    Whether `fit` goes on from the weights of the last fit, with new labels, rows or classes; the scaling stays.
verbose : int or "auto"
    0 is silent, 1 one progress bar over all stages, 2 a line an epoch, on standard error; "auto" is 1 where that is a terminal
    or a notebook, else 0.
checkpoint : None, str or path-like
    Directory, or the address of one as "s3://bucket/run", in which `fit` keeps its state, the last two of it: killed at any
    moment, the same `fit` on the same rows goes on from there and ends with the same bits. It may be shared by fits of other
    rows or parameters, as in a grid search. What a fit has kept is removed when it is done. Interrupted by Ctrl-C, the
    estimator is fitted as of the last epoch.
checkpoint_minutes : float
    Minutes between two states; 0 keeps one of every epoch.
random_state : int, RandomState instance or None
    Seed of weights, order and noise. The same seed and rows give the same model.
""")
"""Parameter name -> its entry, without the default."""

ATTRIBUTES = _entries("""
classes_ : (n_labels,) array
    The labels, sorted; never the mark of unlabelled rows.
network_ : {network}
    The trained Keras model.
history_ : DataFrame
    One row an epoch: "stage", "loss" and its terms, in nats a row.
n_iter_ : int
    Epochs run.
table_ : TablePreprocessor
    Columns and scaling.
n_features_in_ : int
    Number of columns of X.
feature_names_in_ : array of str
    Names of the columns, if X was a DataFrame with names.
""")
"""Attribute name -> its entry; {network} is the class of the network."""


def with_shared_parameters(cls: T) -> T:
    """Class decorator: complete the sections "Parameters" and "Attributes" of a dataclass's docstring.

    The docstring describes what is the class's own or differs from what `SHARED` and `ATTRIBUTES` say; all else is added. A
    description of "name : ..." is put below the shared one. Parameters are put in the order of the constructor's arguments. A
    class without a network has no attributes.
    """
    if cls.__doc__ is None:  # python -OO
        return cls
    before, own, after = _parts(cls.__doc__, "Parameters")
    inherited = {}
    for base in cls.__mro__[:0:-1]:
        inherited.update(_parts(vars(base).get("__doc__") or "", "Parameters")[1])
    fields, entries = {field.name: field for field in dataclasses.fields(cls)}, []
    for name in inspect.signature(cls).parameters:
        shared = _parameter(fields[name])
        entry = own.pop(name, None) or (name not in SHARED and inherited.get(name)) or shared
        entries.append(entry.replace(f"{name} : ...", shared))
    if own:
        raise TypeError(f"{cls.__name__} has no parameters {sorted(own)}.")
    cls.__doc__ = _section(before, "Parameters", entries, after)
    network = getattr(cls, "_network_class", None)
    if network is not None:
        before, own, after = _parts(cls.__doc__, "Attributes")
        known = {name: entry.format(network=network.__name__) for name, entry in ATTRIBUTES.items()}
        cls.__doc__ = _section(before, "Attributes", {**known, **own}.values(), after)
    return cls


def with_rows(method: M) -> M:
    """Method decorator: add to the docstring that the first parameter X is rows as in `fit`."""
    if method.__doc__ is not None:
        before, own, after = _parts(method.__doc__, "Parameters")
        rows = "X : as in `fit`, (n, ...)\n    Rows."
        method.__doc__ = _section(before, "Parameters", [rows, *own.values()], after).strip()
    return method


def _parts(doc, heading):
    """A docstring in three: what comes before a section, its entries by name, what comes after. Where there is none with the
    heading, parameters come first and all else last."""
    doc = inspect.cleandoc(doc)
    start = re.search(rf"^{heading}\n-+\n", doc, re.MULTILINE)
    if start is None:
        first = _HEADING.search(doc) if heading == "Parameters" else None
        stop = first.start() if first else len(doc)
        return doc[:stop], {}, doc[stop:]
    end = _HEADING.search(doc, start.end())
    stop = end.start() if end else len(doc)
    return doc[: start.start()], _entries(doc[start.end() : stop]), doc[stop:]


def _section(before, heading, entries, after):
    return "\n".join([before.rstrip(), "", heading, "-" * len(heading), *entries, "", after])


def _parameter(field: dataclasses.Field) -> str:
    """What `SHARED` says of a field, or its type alone."""
    kind = field.type if isinstance(field.type, str) else inspect.formatannotation(field.type)
    shown = f'"{field.default}"' if isinstance(field.default, str) else repr(field.default)
    head, *text = SHARED.get(field.name, f"{field.name} : {kind}").split("\n")
    return "\n".join([f"{head}, default={shown}", *text])
