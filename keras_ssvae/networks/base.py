"""The Keras side: a network names its loss terms, and one training step minimises them.

To define a network, subclass `Network`: `loss_terms` (or `objectives`, with several players), and `stages` where training
has more than one.
"""

import collections
import dataclasses
import functools
import types

import keras
import numpy as np
import tensorflow as tf

from keras_ssvae.nn import noise
from keras_ssvae.nn.layers import given_variable

__all__ = ["Blueprint", "Network", "Stage", "shape_of"]

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        f"keras_ssvae needs Keras on TensorFlow; here it runs on {keras.backend.backend()!r}. Set KERAS_BACKEND=tensorflow "
        "before Keras is first imported."
    )


FUNCTIONS = 4  # that a stage keeps: of training and of judging, for chunks of several shapes


@dataclasses.dataclass(frozen=True)
class Stage:
    """One stage of training.

    Attributes
    ----------
    name : str
        As in the column "stage" of ``history_``.
    objectives : dict
        Objective name -> (function from batch to {term: (rows,) tensor}, layers it trains), in training order.
    share : float
        Share of the epochs; the shares of all stages add up to 1.
    learning_rate : float
        Factor on the learning rate.
    labeled_rows : bool
        Whether each batch holds a stated number of labelled rows; rows are drawn evenly otherwise.
    prepares : bool
        Whether a network that starts from trained weights can leave this stage out.
    continues : bool
        Whether the stage before has trained what this one trains, so that nothing has to be introduced step by step.
    compiles : bool
        Whether XLA makes the step faster.
    opposed : bool
        Whether objectives work against each other: with momentum their players would circle each other.
    """

    name: str
    objectives: dict
    share: float = 1.0
    learning_rate: float = 1.0
    labeled_rows: bool = True
    prepares: bool = False
    continues: bool = False
    compiles: bool = True
    opposed: bool = False


@dataclasses.dataclass(frozen=True)
class Blueprint:
    """What a network of the same architecture can be built from without calling it.

    Attributes
    ----------
    shapes : list of dict or None
        Keras' build configurations of all layers, those inside others too.
    dry : list of (list of str, int)
        Names of the terms of each stage, and how often they draw noise.
    """

    shapes: list
    dry: list


@dataclasses.dataclass
class _Training:
    """What a stage needs while it runs; kept apart from the layers, since Keras would track it as a part of the model."""

    stage: Stage | None = None
    optimizers: dict = dataclasses.field(default_factory=dict)
    names: list = dataclasses.field(default_factory=list)
    sums: np.ndarray = None
    ahead: collections.deque = dataclasses.field(default_factory=collections.deque)
    chunk_epochs: int = 1
    functions: collections.OrderedDict = dataclasses.field(default_factory=collections.OrderedDict)
    start: list = dataclasses.field(default_factory=list)
    testing: bool = False
    learning: bool = False
    n_known: int = 0
    all_labeled: bool = False
    noise: object = None


class Network(keras.Model):
    """Base of all networks: objectives made of named terms, trained by one step on a chunk of batches.

    A batch is a dict: "x" (rows, n_columns), "y" (rows,) class codes with negatives for unknown, "weight" (rows,), and
    "observed" (rows, n_columns) where cells are missing. A chunk is a dict of the same with a leading axis of steps. The loss
    of an objective is the weighted mean over rows of the sum of its terms.

    A class that says ``shares_steps = True`` in its own body promises that what is traced of it reads only the constructor's
    arguments, the batch and variables; then fits of the same arguments share one traced step. Arguments that are named in
    `data_constants` are numbers of the data: they are given by `give`, and fits with other numbers share the step, too.

    Parameters
    ----------
    seed : int
        Seed of all noise inside the training step.
    """

    shares_steps = False  # not inherited: a subclass has to promise it anew
    data_constants = ()  # of this class; those of its bases are added

    def __init__(self, seed, **kwargs):
        super().__init__(dtype="float32", **kwargs)  # all but bodies, which follow the user's policy
        self.noise = keras.random.SeedGenerator(seed)
        self.seed = seed
        self.total_steps = self.add_weight(shape=(), initializer="ones", trainable=False, name="total_steps")
        self.step = self.add_weight(shape=(), initializer="zeros", trainable=False, name="step")
        self.is_twin = False  # whether what it traces is kept for others, see `workshop`
        self.given = types.SimpleNamespace()  # no weights: they come anew from the data, and Keras must not track them
        self._training = _Training()
        self._functions = _Functions()

    # What a family defines

    def loss_terms(self, batch):
        """Batch -> {term name: (rows,) tensor}."""
        raise TypeError(f"{type(self).__name__} defines no loss_terms")

    def objectives(self):
        """Objective name -> (terms, layers it trains), in training order. A VAE is a game with one player."""
        return {"loss": (self.loss_terms, [self])}

    def stages(self):
        """What is trained one after the other; one stage unless a family says otherwise."""
        return [Stage("train", self.objectives())]

    def end_stage(self, name, sample):
        """Called after a stage; `sample` gives training rows, each as often as it counts, as `PreparedRows`."""

    @property
    def judges_labels(self):
        """Whether held-out labels say how good the stage is."""
        return "classification" in self.term_names

    def class_variables(self):
        """[(variable, axis)]: the variables with an axis of classes."""
        return []

    # What all share

    def give(self, **values):
        """Set numbers that the data decide and training does not, as variables of the namespace `given`."""
        vars(self.given).update((name, given_variable(name, value)) for name, value in values.items())

    def given_variables(self):
        """The variables of `given`; a family whose layers have such variables adds them."""
        return list(vars(self.given).values())

    @property
    def progress(self):
        """How far the stage has come, from 0 to 1; held-out rows are always judged by the final loss."""
        return 1.0 if self._training.testing else tf.minimum(self.step / self.total_steps, 1.0)

    @property
    def stage(self):
        """The stage in training."""
        return self._training.stage

    @property
    def is_testing(self):
        """Whether terms are computed to judge and not to train."""
        return self._training.testing

    @property
    def is_learning(self):
        """Whether terms are computed inside an optimizer step, the only place where running means may move."""
        return self._training.learning

    @property
    def n_known(self):
        """Rows, the first of a training step's batch, that are known to have a label: their sum over classes is one addend."""
        return self._training.n_known if self._training.learning else 0

    @property
    def knows_classes(self):
        """Whether this holds for all rows of the batch."""
        return self._training.learning and self._training.all_labeled

    @property
    def metrics(self):
        return []  # the functions of `fit` return the means of the epoch so far

    def reset_metrics(self):
        self._training.sums = np.zeros(len(self._training.names) + 1)

    @property
    def term_names(self):
        """Names of the terms of the stage."""
        return self._training.names[1:]

    def normal(self, like):
        """Standard normal noise of the shape of a (rows, k) tensor; the same for every row while testing row by row."""
        if self._training.noise is not None:
            return self._training.noise.normal(like)
        return noise.normal(self.noise.next(), shape_of(like))

    def uniform(self, like):
        """Uniform noise on (0, 1) of the shape of a tensor; new at every call."""
        return noise.uniform(self.noise.next(), shape_of(like))

    def call(self, batch, objective, training=False):
        terms, _ = self._training.stage.objectives[objective]
        self._training.learning = training
        return terms(batch)

    def build_for(self, n_columns):
        """Create all variables for rows of `n_columns`, by one dry call of every objective.

        Returns
        -------
        Blueprint
            With which `build_like` builds another network of this architecture.
        """
        self.built, dry = True, []  # or Keras would warn of layers that only a later stage calls
        for stage in self.stages():
            self._training.stage = stage
            dry.append(self._dry_call(n_columns))
        return Blueprint([_plain_shapes(layer.get_build_config()) for layer in self._inner_layers()], dry)

    def build_like(self, blueprint):
        """As `build_for`, without calls.

        Weights are equal where layers that draw in `build` are attributes in the order in which they are first called.

        Parameters
        ----------
        blueprint : Blueprint
            Of a network of this architecture.
        """
        self.built = True
        with keras.name_scope(self.name):  # variables are named as in a call
            for layer, shapes in zip(self._inner_layers(), blueprint.shapes, strict=True):
                if shapes is not None and not layer.built:
                    layer.build_from_config(shapes)
        for stage, (names, used) in zip(self.stages(), blueprint.dry, strict=True):
            self._training.stage = stage
            self._functions.dry[_dry_key(stage)] = names, used
            self.noise.state.assign_add([0, used])  # where the call would leave it

    def _inner_layers(self):
        return list(self._flatten_layers(include_self=False))

    def _dry_call(self, n_columns):
        """Names of the terms of the stage, and how often they draw noise, from a batch of empty rows; made once a stage."""
        stage = self._training.stage
        key = _dry_key(stage)
        if key in self._functions.dry:
            names, used = self._functions.dry[key]
            self.noise.state.assign_add([0, used])  # where the call would leave it
            return names, used
        before = int(self.noise.state.numpy()[1])
        batch = {"x": tf.zeros((2, n_columns)), "y": tf.fill([2], -1), "weight": tf.ones(2)}
        names = [name for objective in stage.objectives for name in self(batch, objective=objective, training=False)]
        used = int(self.noise.state.numpy()[1]) - before
        self._functions.dry[key] = names, used
        return names, used

    def inherit(self, trained, sources):
        """Take over every weight of a network of the same architecture.

        Parameters
        ----------
        trained : Network
            The source.
        sources : list of int or None
            For each class of this network its index there, None for a new class: it starts from the mean of the classes there.
        """
        axes = {id(v): axis for v, axis in self.class_variables()}
        if len(self.weights) != len(trained.weights):
            raise ValueError("The trained model has other layers: parameters that shape the network must stay as they were.")
        for mine, theirs in zip(self.weights, trained.weights, strict=True):
            value = theirs.numpy()
            if id(mine) in axes:
                value = self._inherit_classes(mine.numpy(), value, axes[id(mine)], sources)
            if mine.shape != value.shape:
                raise ValueError(
                    f"The trained model has {tuple(theirs.shape)} weights in {theirs.path!r} where this one has "
                    f"{tuple(mine.shape)}: parameters that shape the network must stay as they were."
                )
            mine.assign(value)

    @staticmethod
    def _inherit_classes(mine, theirs, axis, sources):
        """Known classes as they were; a new one at the mean of those, with noise of its own that tells it from others."""
        value = mine - mine.mean(axis=axis, keepdims=True) + theirs.mean(axis=axis, keepdims=True)
        for target, source in enumerate(sources):
            if source is not None:
                value[(slice(None),) * axis + (target,)] = theirs[(slice(None),) * axis + (source,)]
        return value

    def state(self):
        """All variables that training depends on; those of the optimizers start anew in each stage."""
        return [*self.weights, *self.given_variables(), self.noise.state]

    def become(self, other):
        """Take over all of `state` from a network of the same architecture."""
        for mine, theirs in zip(self.state(), other.state(), strict=True):
            mine.assign(theirs)

    def prepare(
        self, stage, make_optimizer, total_steps, n_columns, jit_compile, run_eagerly, chunk_epochs=1, n_known=0,
        all_labeled=False,
    ):  # fmt: skip
        """Make the network ready to train a stage, with the same functions as the last time, if there was one.

        Parameters
        ----------
        stage : Stage
            The stage.
        make_optimizer : function
            Makes a Keras optimizer; called for each objective.
        total_steps : int
            Optimizer steps the stage is planned to take.
        n_columns : int
            Number of columns of the encoded x.
        jit_compile, run_eagerly : bool
            How the step is executed.
        chunk_epochs : int, default=1
            Epochs in a chunk; an epoch of several chunks counts as one.
        n_known : int, default=0
            A number of rows at the beginning of every batch that have a label; others may have one, too.
        all_labeled : bool, default=False
            Whether all rows of every batch have one.
        """
        self.total_steps.assign(total_steps)
        self.step.assign(0)
        key = (stage.name, jit_compile, run_eagerly, n_known, all_labeled)
        prepared = self._functions.prepared.get(key)
        self._training = _Training(stage, n_known=n_known, all_labeled=all_labeled) if prepared is None else prepared
        names, _ = self._dry_call(n_columns)
        if prepared is not None:
            for optimizer, start in zip(self._training.optimizers.values(), self._training.start, strict=True):
                optimizer.set_weights(start)
        else:
            self._functions.prepared[key] = self._training
            self._training.names = list(dict.fromkeys(["loss", *names]))
            for objective in stage.objectives:
                optimizer = self._training.optimizers[objective] = make_optimizer()
                optimizer.build(self._variables_of(objective))
                self._training.start.append([v.numpy().copy() for v in optimizer.variables])
        self._training.chunk_epochs = chunk_epochs
        self._training.ahead.clear()
        self.reset_metrics()
        optimizer = next(iter(self._training.optimizers.values()))
        self.compile(optimizer=optimizer, jit_compile=jit_compile, run_eagerly=run_eagerly)

    def release(self):
        """Let go of optimizers and functions of the training."""
        self._training, self._functions = _Training(self._training.stage), _Functions()
        self.train_function = self.test_function = None
        if self.compiled:
            self.compiled = False
            self._compile_config = None  # where Keras keeps the optimizer, too
            del self.optimizer  # and not None, which TensorFlow's own list of attributes would not notice

    def make_train_function(self, force=False):
        run, training = self._function("train", self.train_step), self._training

        def train(iterator):
            """The means of the epoch so far; what a chunk holds of later epochs is trained at once, and told when they come."""
            if not training.ahead:
                training.ahead.extend(np.split(run(next(iterator)), training.chunk_epochs))
            values = training.ahead.popleft()
            return self._track(values.mean(axis=0), len(values))

        self.train_function = train

    def make_test_function(self, force=False):
        run = self._function("test", self.test_step)

        def test(iterator):
            chunk = next(iterator)
            return self._track(run(chunk)[0], float(tf.reduce_sum(chunk["weight"])))

        self.test_function = test

    def _track(self, values, weight):
        """The means of the epoch so far, with these values in them."""
        sums = self._training.sums
        sums += weight * np.append(values, 1.0)
        return dict(zip(self._training.names, (sums[:-1] / max(sums[-1], 1e-12)).tolist(), strict=True))

    def _function(self, name, step):
        """Chunk -> values of the terms, (steps, n_terms) array; made once a stage and shape of chunks.

        It is one graph function, and not two inside each other as Keras makes them, of which it never frees the inner one.
        """
        functions = self._training.functions

        def run(chunk):
            if self.run_eagerly:
                return step(chunk).numpy()
            # without XLA, for any number of steps: so no other fit decides how this one computes
            steps = chunk["weight"].shape[0] if self.jit_compile else None
            shapes = {key: tf.TensorSpec((steps, *values.shape[1:]), values.dtype) for key, values in chunk.items()}
            kind = (name, *shapes.items())
            if kind not in functions:
                graph = tf.function(step, autograph=False, jit_compile=self.jit_compile)
                functions[kind] = graph.get_concrete_function(shapes)
                while len(functions) > FUNCTIONS:
                    functions.popitem(last=False)
            functions.move_to_end(kind)
            return functions[kind](chunk).numpy()

        return run

    def _variables_of(self, objective):
        unique = {}
        for layer in self._training.stage.objectives[objective][1]:
            unique.update((id(v), v) for v in layer.trainable_variables)
        return list(unique.values())

    def _loss(self, batch, objective, training):
        """The loss of an objective and the weighted means of its terms."""
        terms = self(batch, objective=objective, training=training)
        share = batch["weight"] / tf.maximum(tf.reduce_sum(batch["weight"]), 1e-12)
        # a row of weight 0 may hold anything, and 0 times infinity is no number
        means = {name: tf.reduce_sum(tf.math.multiply_no_nan(values, share)) for name, values in terms.items()}
        penalties = [tf.cast(penalty, tf.float32) for penalty in self.losses]  # regularizers of the user's own layers
        return tf.add_n([*means.values(), *penalties]), means

    def _update(self, batch):
        """One optimizer step per objective; returns the loss and the value of every term."""
        values = {"loss": 0.0}
        for objective, optimizer in self._training.optimizers.items():
            variables = self._variables_of(objective)
            with tf.GradientTape() as tape:
                loss, means = self._loss(batch, objective, training=True)
            gradients = tape.gradient(loss, variables)
            pairs = [(g, v) for g, v in zip(gradients, variables, strict=True) if g is not None]
            optimizer.apply([g for g, _ in pairs], [v for _, v in pairs])
            values["loss"] += loss
            values |= means
        self.step.assign_add(1.0)
        return tf.stack([values[name] for name in self._training.names])

    def train_step(self, chunk):
        """All optimizer steps of a chunk; the values of the terms at each, (steps, n_terms)."""
        steps = shape_of(chunk["weight"])[0]
        values = tf.TensorArray(tf.float32, steps, element_shape=(len(self._training.names),))

        def one_step(i, values):
            return i + 1, values.write(i, self._update({k: v[i] for k, v in chunk.items()}))

        return tf.while_loop(lambda i, _: i < steps, one_step, (0, values), maximum_iterations=steps)[1].stack()

    def test_step(self, chunk):
        """The terms of the first objective on the held-out rows of a chunk of one batch, (1, n_terms)."""
        batch = {k: v[0] for k, v in chunk.items()}
        self._training.testing = True
        loss, means = self._loss(batch, next(iter(self._training.stage.objectives)), training=False)
        self._training.testing = False
        values = {"loss": loss, **means}
        return tf.stack([values.get(name, 0.0) for name in self._training.names])[None]

    # After training

    def graph_function(self, method, **settings):
        """A graph function of a method, made once."""
        key = (method, *sorted(settings.items()))
        if key not in self._functions.by_key:
            function = functools.partial(getattr(self, method), **settings)
            self._functions.by_key[key] = tf.function(function, autograph=False, reduce_retracing=True)
        return self._functions.by_key[key]

    def row_terms(self, x, observed, codes):
        """The terms of the last stage, row by row, with noise that is fixed and the same for every row."""
        stage = self.stages()[-1]
        terms, _ = next(iter(stage.objectives.values()))
        before, self._training = self._training, _Training(stage, testing=True, noise=_FixedNoise(self.seed))
        values = terms({"x": x, "y": codes, "observed": observed})
        self._training = before
        return values


def _dry_key(stage):
    """Equal for stages of one name with the same functions."""
    return stage.name, *(terms for terms, _ in stage.objectives.values())


def _plain_shapes(config):
    """A build configuration of Keras without its own dict, through which it would keep the layer and its weights alive."""
    if config is None:
        return None
    return {name: dict(value) if isinstance(value, dict) else value for name, value in config.items()}


def shape_of(tensor):
    """The static shape where it is known: XLA turns it into constants, and gradients need fewer operations.

    Parameters
    ----------
    tensor : tf.Tensor
        Any.
    """
    return tuple(tensor.shape) if tensor.shape.is_fully_defined() else tf.shape(tensor)


class _Functions:
    """Graph functions by method, trainings and dry calls by stage; an object of its own, since Keras would track a dict."""

    def __init__(self):
        self.by_key = {}
        self.prepared = {}
        self.dry = {}


class _FixedNoise:
    """Noise that depends on a seed and a column, not on the row."""

    def __init__(self, seed):
        self.seed, self.calls = seed, 0

    def normal(self, like):
        self.calls += 1
        row = noise.normal((self.seed, self.calls), (1, like.shape[-1]))
        return tf.broadcast_to(row, tf.shape(like))
