"""`tf.layers` and `tf.nn.rnn_cell`, which TensorFlow 2.16 and later refuse to give beside Keras 3.

TensorFlow still has these layers and cells, in private modules, all but batch normalization. That one is
written here on the ops of `slimft.compat.batch_normalization`.
"""

import importlib
import inspect

from tensorflow.compat import v1 as tf
from tensorflow.python.keras.layers.legacy_rnn import rnn_cell_impl
from tensorflow.python.layers import base, convolutional, core, normalization, pooling
from tensorflow.python.ops import rnn_cell as private_cells
from tensorflow.python.ops import rnn_cell_impl as private_cell_impl
from tensorflow.python.util import lazy_loader

from slimft.compat import batch_normalization as ops


class BatchNormalization(base.Layer):
    """Batch normalization (Ioffe and Szegedy, arXiv:1502.03167) as an object: `tf.layers.BatchNormalization`.

    Has the arguments of TensorFlow 1's layer. Calling it with `training` true normalizes with the batch's
    statistics and collects the updates of the moving averages in UPDATE_OPS; otherwise the moving averages
    normalize.

    Args:
        axis: the axis of the channels.
        momentum: decay of the moving averages.
        epsilon: added to the variance.
        center: whether to add the variable `beta`.
        scale: whether to multiply by the variable `gamma`.
        trainable: whether `beta` and `gamma` join TRAINABLE_VARIABLES; False also stops the updates.
        fused: None or True use the fused kernel where it applies, False never does.
        adjustment, renorm, renorm_clipping, renorm_momentum: as `slim.batch_norm`'s; momentum is decay.
        beta_initializer, gamma_initializer, moving_mean_initializer, moving_variance_initializer,
            beta_regularizer, gamma_regularizer: of the variable in the name.

    Raises:
        ValueError: for a constraint or `virtual_batch_size`, which are not supported.
    """

    def __init__(
        self,
        axis=-1,
        momentum=0.99,
        epsilon=1e-3,
        center=True,
        scale=True,
        beta_initializer=None,
        gamma_initializer=None,
        moving_mean_initializer=None,
        moving_variance_initializer=None,
        beta_regularizer=None,
        gamma_regularizer=None,
        beta_constraint=None,
        gamma_constraint=None,
        renorm=False,
        renorm_clipping=None,
        renorm_momentum=0.99,
        fused=None,
        trainable=True,
        virtual_batch_size=None,
        adjustment=None,
        name=None,
        **kwargs,
    ):
        super().__init__(trainable=trainable, name=name, **kwargs)
        for value in (beta_constraint, gamma_constraint, virtual_batch_size):
            if value is not None:
                raise ValueError("batch normalization here has no constraints and no virtual_batch_size.")
        initializers = {
            "beta": beta_initializer,
            "gamma": gamma_initializer,
            "moving_mean": moving_mean_initializer,
            "moving_variance": moving_variance_initializer,
        }
        # Plain attributes of a layer that are dictionaries would be wrapped to be saved with it.
        self._make = lambda inputs, channels: ops._Variables(
            tf.get_variable_scope(),
            inputs,
            channels,
            center,
            scale,
            self.trainable,
            {key: value for key, value in initializers.items() if value is not None},
            {"beta": beta_regularizer, "gamma": gamma_regularizer},
        )
        self._make_renorm = lambda made: (
            renorm and ops._Renorm(made, renorm_clipping or {}, renorm_momentum, epsilon)
        )
        self.axis = axis[0] if isinstance(axis, (list, tuple)) else axis
        self.momentum, self.epsilon, self.fused = momentum, epsilon, fused
        self.adjustment, self._made = adjustment, None
        self._fusable = fused is not False and not renorm and adjustment is None

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs, training=False):
        """Normalizes `inputs`; returns a tensor of their shape and dtype."""
        inputs = tf.convert_to_tensor(inputs)
        rank = inputs.shape.ndims
        axis = self.axis % rank
        if self._made is None:
            self._made = self._make(inputs, axis)
            self._renorm = self._make_renorm(self._made) or None
            self._note_weights()
        if not tf.is_tensor(training):
            training = bool(training)
        collected = tf.get_collection_ref(tf.GraphKeys.UPDATE_OPS)
        before = len(collected)
        args = inputs, self._made, axis, self.momentum, self.epsilon, training
        half_or_float = inputs.dtype in (tf.float32, tf.float16, tf.bfloat16)
        if self._fusable and half_or_float and (rank, axis) in ((4, 3), (4, 1), (5, 4), (5, 1)):
            outputs = ops._fused(*args)
        else:
            outputs = ops._unfused(*args, self.adjustment, self._renorm)
        self.add_update(collected[before:])
        return outputs

    def _note_weights(self):
        """Makes the variables attributes, as the layer had them, and its weights."""
        self.gamma, self.beta = self._made.gamma, self._made.beta
        self.moving_mean, self.moving_variance = self._made.moving_mean, self._made.moving_variance
        # Made inside of `call`, Keras does not count them by itself.
        for weights, names in (
            (self._trainable_weights, ("gamma", "beta")),
            (self._non_trainable_weights, ("moving_mean", "moving_variance")),
        ):
            weights[:] = [variable for variable in map(self.__dict__.get, names) if variable is not None]


def batch_normalization(
    inputs,
    axis=-1,
    momentum=0.99,
    epsilon=1e-3,
    center=True,
    scale=True,
    beta_initializer=None,
    gamma_initializer=None,
    moving_mean_initializer=None,
    moving_variance_initializer=None,
    beta_regularizer=None,
    gamma_regularizer=None,
    beta_constraint=None,
    gamma_constraint=None,
    training=False,
    trainable=True,
    name=None,
    reuse=None,
    renorm=False,
    renorm_clipping=None,
    renorm_momentum=0.99,
    fused=None,
    virtual_batch_size=None,
    adjustment=None,
):
    """Batch normalization as a function: `tf.layers.batch_normalization`.

    Args:
        inputs: tensor of rank 2 or more with a known number of channels.
        training: bool or bool tensor: normalize with the batch's statistics, or the stored ones.
        name: variable scope; ``batch_normalization`` by default.
        reuse: whether to reuse the variables; `name` must be given.
        others: see `BatchNormalization`.

    Returns:
        A tensor of the shape and dtype of `inputs`.
    """
    layer = BatchNormalization(
        axis,
        momentum,
        epsilon,
        center,
        scale,
        beta_initializer,
        gamma_initializer,
        moving_mean_initializer,
        moving_variance_initializer,
        beta_regularizer,
        gamma_regularizer,
        beta_constraint,
        gamma_constraint,
        renorm,
        renorm_clipping,
        renorm_momentum,
        fused,
        trainable,
        virtual_batch_size,
        adjustment,
        name,
        dtype=inputs.dtype.base_dtype,
        _reuse=reuse,
        _scope=name,
    )
    return layer(inputs, training=training)


normalization.BatchNormalization = normalization.BatchNorm = BatchNormalization
normalization.batch_normalization = normalization.batch_norm = batch_normalization


def _contrib_cell(name):
    """What was in TensorFlow's private modules of cells, and in `tf.nn.rnn_cell` of TensorFlow 0.x."""
    # Imported when it is used.
    value = None if name.startswith("__") else vars(importlib.import_module("slimft.compat.contrib.rnn")).get(name)
    if value is None:
        raise AttributeError(f"neither tf.nn.rnn_cell nor tf.contrib.rnn has {name}")
    return value


# Scripts import `_linear`, `_Linear` and `_like_rnncell` from these.
private_cells.__getattr__ = private_cell_impl.__getattr__ = _contrib_cell
# TensorFlow 0.x had these in tf.nn.
_OLD_LOOPS = {f"{kind}rnn": f"static_{kind}rnn" for kind in ("", "bidirectional_", "state_saving_")}


class _Cells(lazy_loader.KerasLazyLoader):
    """`tf.nn.rnn_cell`, with the cells that moved to tf.contrib."""

    def __getattr__(self, name):
        return _contrib_cell(name)


def _give_old_names(nn):
    """Gives `tf.nn` the names of TensorFlow 0.x that are looked up when they are used: rnn, seq2seq and others."""

    def old(name):
        if name == "seq2seq":
            return importlib.import_module("slimft.compat.contrib.legacy_seq2seq")
        if name in _OLD_LOOPS:
            return getattr(nn, _OLD_LOOPS[name])
        raise AttributeError(f"module {nn.__name__!r} has no attribute {name!r}")

    nn.__getattr__ = old


def put_back(module):
    """Gives a module that is `tf.compat.v1` its `layers` and `nn.rnn_cell` again."""
    loader = vars(module.layers)
    for source in (base, core, convolutional, pooling, normalization):
        for name, value in vars(source).items():
            if not name.startswith("_") and (inspect.isclass(value) or inspect.isfunction(value)):
                loader[name] = value
    cells = vars(module.nn.rnn_cell)
    for name, value in vars(rnn_cell_impl).items():
        if inspect.isclass(value) and name.endswith(("Cell", "Wrapper", "LSTMStateTuple")):
            cells[name] = value
    # The loader loads what it has not at any other way of setting this.
    object.__setattr__(module.nn.rnn_cell, "__class__", _Cells)
    _give_old_names(getattr(module.nn, "_tfmw_wrapped_module", module.nn))
