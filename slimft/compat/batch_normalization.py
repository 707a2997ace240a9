"""Batch normalization for TF-Slim, on `tf.nn.fused_batch_norm` and without Keras.

slim's own `batch_norm` has three implementations. Two of them (for `batch_weights`,
`zero_debias_moving_mean`, rank-2 inputs and collections other than UPDATE_OPS) are plain TensorFlow,
still work and are used as they are. The third and most common one is a Keras layer that is gone; it is
written here anew, with the same variables, collections, update ops and numbers.
"""

from __future__ import annotations

import numpy as np
import tf_slim as slim
from tensorflow.compat import v1 as tf
from tf_slim.layers import layers

from slimft.compat.batch_norm_contexts import BatchNormMove, decays_here, freezes_here, move, replica_here
from slimft.errors import UsageError

_slims_batch_norm = slim.batch_norm.__wrapped__
# The least epsilon of cuDNN's kernels, and so of tf.nn.fused_batch_norm's.
_LEAST_EPSILON = 1.001e-5


def batch_norm(
    inputs,
    decay=0.999,
    center=True,
    scale=False,
    epsilon=0.001,
    activation_fn=None,
    param_initializers=None,
    param_regularizers=None,
    updates_collections=tf.GraphKeys.UPDATE_OPS,
    is_training=True,
    reuse=None,
    variables_collections=None,
    outputs_collections=None,
    trainable=True,
    batch_weights=None,
    fused=None,
    data_format="NHWC",
    zero_debias_moving_mean=False,
    scope=None,
    renorm=False,
    renorm_clipping=None,
    renorm_decay=0.99,
    adjustment=None,
):
    """Adds a batch normalization layer (Ioffe and Szegedy, arXiv:1502.03167).

    The arguments are those of `tf_slim.batch_norm`. In training mode the batch's own mean and variance
    normalize, and ops that move `moving_mean` and `moving_variance` towards them by ``1 - decay`` join
    the collection `updates_collections`; run these with the train op. The variance that enters the
    moving average is the unbiased one (n - 1), except where the fused kernel cannot be used
    (`fused=False`, `renorm`, `adjustment`, float64, ranks other than 4 and 5). An `epsilon` below
    1.001e-5 counts as that in the fused kernel, for cuDNN's sake.

    Args:
        inputs: tensor of rank 2 or more: ``[batch, ..., channels]``, or ``[batch, channels, ...]``
            with `data_format` ``NCHW``; the number of channels must be known.
        decay: decay of the moving averages, between 0 and 1.
        center: whether to add the variable `beta`.
        scale: whether to multiply by the variable `gamma`.
        epsilon: added to the variance.
        activation_fn: applied to the result; None for none.
        param_initializers: initializers by variable name (`beta`, `gamma`, `moving_mean`,
            `moving_variance`).
        param_regularizers: regularizers of `beta` and `gamma`, by name.
        updates_collections: collection for the update ops; None updates in place.
        is_training: bool or bool tensor: normalize with the batch's statistics, or the stored ones.
        reuse: whether to reuse the variables; `scope` must be given.
        variables_collections: further collections for the variables: a list, or a dictionary of lists
            by variable name.
        outputs_collections: collections for the result.
        trainable: whether `beta` and `gamma` join TRAINABLE_VARIABLES. As in slim, False also means that
            no update ops are collected for the averages, except with rank 2, `batch_weights`,
            `zero_debias_moving_mean` or other `updates_collections`.
        batch_weights: ``[batch]`` weights of the examples in the batch's statistics.
        fused: None or True use the fused kernel where it applies, False never does.
        data_format: ``NHWC`` (channels last) or ``NCHW``.
        zero_debias_moving_mean: whether to debias `moving_mean`.
        scope: variable scope; ``BatchNorm`` by default.
        renorm: whether to apply batch renormalization (arXiv:1702.03275).
        renorm_clipping: `rmin`, `rmax`, `dmax` to clip its correction with.
        renorm_decay: decay of renormalization's own moving averages.
        adjustment: takes the shape tensor of `inputs`, returns a scale and a bias for the normalized
            values in training.

    Returns:
        A tensor of the shape and dtype of `inputs`.

    Raises:
        ValueError: `data_format` is unknown, or the rank or number of channels is.
    """
    inputs = tf.convert_to_tensor(inputs)
    rank = inputs.shape.ndims
    if not tf.is_tensor(is_training):
        is_training = bool(is_training)
    if freezes_here.get():
        with tf.variable_scope(scope, "BatchNorm", [inputs], reuse=reuse) as sc:
            if any(freezes(sc.name) for freezes in freezes_here.get()):
                is_training = False
            scope = sc
    for decay_of in decays_here.get():
        decay = decay_of(decay)
    own_kind_of_update = updates_collections is not tf.GraphKeys.UPDATE_OPS or zero_debias_moving_mean
    fusable = fused is not False and not renorm and adjustment is None
    fusable_here = fusable and rank in (4, 5) and inputs.dtype in (tf.float32, tf.float16, tf.bfloat16)
    if replica_here.get() is not None and is_training is not False and (own_kind_of_update or not fusable_here):
        raise UsageError(
            "--num_replicas: a batch_norm layer of this network keeps statistics that several replicas cannot "
            "average; choose --num_replicas=1"
        )
    if batch_weights is not None or own_kind_of_update or (fusable and rank == 2):
        return _slims_batch_norm(
            inputs,
            decay,
            center,
            scale,
            epsilon,
            activation_fn,
            param_initializers,
            param_regularizers,
            updates_collections,
            is_training,
            reuse,
            variables_collections,
            outputs_collections,
            trainable,
            batch_weights,
            fused,
            data_format,
            zero_debias_moving_mean,
            scope,
            renorm,
            renorm_clipping,
            renorm_decay,
            adjustment,
        )
    axis = _channels_axis(inputs, data_format)
    with tf.variable_scope(
        scope, "BatchNorm", [inputs], reuse=reuse, custom_getter=_model_variable_getter(scope)
    ) as sc:
        variables = _Variables(
            sc, inputs, axis, center, scale, trainable, param_initializers or {}, param_regularizers or {}
        )
        if fusable_here:
            outputs = _fused(inputs, variables, axis, decay, epsilon, is_training)
        else:
            correct = None
            if renorm:
                correct = _Renorm(variables, renorm_clipping or {}, renorm_decay, epsilon)
            outputs = _unfused(inputs, variables, axis, decay, epsilon, is_training, adjustment, correct)
        variables.add_to(variables_collections)
        if activation_fn is not None:
            outputs = activation_fn(outputs)
        return slim.utils.collect_named_outputs(outputs_collections, sc.name, outputs)


def _channels_axis(inputs, data_format):
    """The index of the axis to normalize along; raises ValueError where that cannot be."""
    if data_format not in ("NHWC", "NCHW"):
        raise ValueError(f"data_format has to be either NCHW or NHWC, not {data_format!r}.")
    if inputs.shape.ndims is None:
        raise ValueError(f"Inputs {inputs.name} has undefined rank.")
    axis = 1 if data_format == "NCHW" else inputs.shape.ndims - 1
    if tf.dimension_value(inputs.shape[axis]) is None:
        raise ValueError(f"Inputs {inputs.name} has undefined channels dimension.")
    return axis


def _model_variable_getter(scope):
    """slim's getter that makes model variables; None where `scope` has it already, as inside slim.conv2d.

    A second one would change nothing, only do all the work of the first again for every variable.
    """
    if not isinstance(scope, tf.VariableScope):
        scope = tf.get_variable_scope()
    getter = layers._build_variable_getter()
    return None if getattr(scope.custom_getter, "__code__", None) is getter.__code__ else getter


class _Variables:
    """The layer's variables, made in the order Keras made them: gamma, beta, then the averages."""

    def __init__(self, scope, inputs, axis, center, scale, trainable, initializers, regularizers):
        self._shape = [tf.dimension_value(inputs.shape[axis])]
        # Half-precision inputs keep their statistics and parameters in float32.
        half = inputs.dtype in (tf.float16, tf.bfloat16)
        self.dtype = tf.float32 if half else inputs.dtype
        self.mean_initializer = initializers.get("moving_mean", tf.zeros_initializer())
        self.variance_initializer = initializers.get("moving_variance", tf.ones_initializer())
        self.trainable = trainable
        self._scope = scope
        self.gamma = self.beta = None
        if scale:
            self.gamma = tf.get_variable(
                "gamma",
                self._shape,
                self.dtype,
                initializers.get("gamma", tf.ones_initializer()),
                regularizers.get("gamma"),
                trainable,
            )
        if center:
            self.beta = tf.get_variable(
                "beta",
                self._shape,
                self.dtype,
                initializers.get("beta", tf.zeros_initializer()),
                regularizers.get("beta"),
                trainable,
            )
        self.moving_mean = self.average("moving_mean", self.mean_initializer)
        self.moving_variance = self.average("moving_variance", self.variance_initializer)

    def average(self, name, initializer):
        """A variable that is no parameter; never partitioned, because it is assigned to."""
        partitioner = self._scope.partitioner
        self._scope.set_partitioner(None)
        try:
            return tf.get_variable(
                name,
                self._shape,
                self.dtype,
                initializer,
                trainable=False,
                synchronization=tf.VariableSynchronization.ON_READ,
                aggregation=tf.VariableAggregation.MEAN,
            )
        finally:
            self._scope.set_partitioner(partitioner)

    def add_to(self, collections):
        """Adds the variables to the layer's `variables_collections`."""
        for name in ("moving_mean", "moving_variance", "beta", "gamma"):
            if getattr(self, name) is not None:
                layers._add_variable_to_collections(getattr(self, name), collections, name)


def _fused(inputs, variables, axis, decay, epsilon, is_training):
    data_format = {(4, 3): "NHWC", (4, 1): "NCHW", (5, 4): "NDHWC", (5, 1): "NCDHW"}[inputs.shape.ndims, axis]
    channels = variables.moving_mean.shape
    gamma = tf.ones(channels) if variables.gamma is None else variables.gamma
    beta = tf.zeros(channels) if variables.beta is None else variables.beta

    def train():
        return tf.nn.fused_batch_norm(inputs, gamma, beta, epsilon=epsilon, data_format=data_format)

    def infer():
        return tf.nn.fused_batch_norm(
            inputs,
            gamma,
            beta,
            variables.moving_mean,
            variables.moving_variance,
            epsilon=epsilon,
            data_format=data_format,
            is_training=False,
        )

    replica = replica_here.get()
    if replica is not None and replica.together is not None and is_training is True:
        outputs, mean, variance = _synchronised(inputs, gamma, beta, epsilon, axis, replica)
    else:
        outputs, mean, variance = slim.utils.smart_cond(is_training, train, infer)
    training = slim.utils.constant_value(is_training)
    if training is not False and variables.trainable:
        if training is None:
            decay = tf.cond(is_training, lambda: tf.convert_to_tensor(decay), lambda: tf.constant(1.0))
        # Float32 already before 1 is subtracted from, as Keras rounds it.
        share = 1.0 - decay if tf.is_tensor(decay) else tf.constant(np.float32(1) - np.float32(decay))
        for average, value in ((variables.moving_mean, mean), (variables.moving_variance, variance)):
            if replica is None:
                tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, move(average, value, share).op)
            else:
                replica.moves.append(BatchNormMove(average, value, share))
    outputs.set_shape(inputs.shape)
    return outputs


def _synchronised(inputs, gamma, beta, epsilon, axis, replica):
    """Normalizes by the statistics of all replicas; returns the outputs, the mean and the unbiased variance."""
    rank = inputs.shape.ndims
    others = [one for one in range(rank) if one != axis]

    def along_channels(vector):
        return tf.reshape(vector, [-1] + [1] * (rank - 1 - axis))

    values = tf.cast(inputs, tf.float32)
    mean = replica.together(tf.reduce_mean(values, others))
    # Of the distances from the mean of all, so that nothing cancels out.
    variance = replica.together(tf.reduce_mean(tf.square(values - along_channels(mean)), others))
    outputs = tf.nn.batch_normalization(
        values, *map(along_channels, (mean, variance, beta, gamma)), max(epsilon, _LEAST_EPSILON)
    )
    number = tf.cast(tf.size(inputs), tf.float32) * replica.ratio / inputs.shape.as_list()[axis]
    return tf.cast(outputs, inputs.dtype), mean, variance * number / tf.maximum(number - 1, 1)


def _unfused(inputs, variables, axis, decay, epsilon, is_training, adjustment, renorm):
    rank = inputs.shape.ndims

    def along_channels(vector):
        """`vector` of shape [channels], made to broadcast against the inputs."""
        last = axis == rank - 1
        return vector if vector is None or last else tf.reshape(vector, [-1] + [1] * (rank - 1 - axis))

    def if_training(value, otherwise):
        return slim.utils.smart_cond(is_training, value, otherwise)

    mean, variance = variables.moving_mean, variables.moving_variance
    scale, offset = along_channels(variables.gamma), along_channels(variables.beta)
    values = tf.cast(inputs, variables.dtype)
    if slim.utils.constant_value(is_training) is not False:
        if adjustment is not None:
            by, plus = adjustment(tf.shape(inputs))
            by = if_training(lambda: by, lambda: tf.ones_like(by))
            plus = if_training(lambda: plus, lambda: tf.zeros_like(plus))
            scale, offset = _compose(by, plus, scale, offset)
        batch_mean, batch_variance = tf.nn.moments(values, [i for i in range(rank) if i != axis])
        mean = if_training(lambda: batch_mean, lambda: tf.identity(variables.moving_mean))
        variance = if_training(lambda: batch_variance, lambda: tf.identity(variables.moving_variance))
        new_mean, new_variance = mean, variance
        if renorm is not None:
            r, d, new_mean, new_variance = renorm.correction(mean, variance, if_training)
            scale, offset = _compose(along_channels(r), along_channels(d), scale, offset)

        move_variance = move if renorm is None else renorm.move_variance
        share = 1.0 - decay
        updates = (
            if_training(lambda: move(variables.moving_mean, new_mean, share), lambda: variables.moving_mean),
            if_training(
                lambda: move_variance(variables.moving_variance, new_variance, share),
                lambda: variables.moving_variance,
            ),
        )
        if variables.trainable:
            tf.get_collection_ref(tf.GraphKeys.UPDATE_OPS).extend(update.op for update in updates)
    outputs = tf.nn.batch_normalization(
        values, along_channels(mean), along_channels(variance), offset, scale, epsilon
    )
    outputs = tf.cast(outputs, inputs.dtype)
    outputs.set_shape(inputs.shape)
    return outputs


def _compose(then_scale, then_offset, scale, offset):
    """The scale and offset that apply (`then_scale`, `then_offset`) and after it (`scale`, `offset`)."""
    if scale is not None:
        then_scale, then_offset = then_scale * scale, then_offset * scale
    return then_scale, then_offset if offset is None else then_offset + offset


class _Renorm:
    """Batch renormalization (Ioffe, arXiv:1702.03275) in the form Keras gave it."""

    def __init__(self, variables, clipping, decay, epsilon):
        if not clipping.keys() <= {"rmin", "rmax", "dmax"}:
            raise ValueError(f"renorm_clipping knows the keys rmin, rmax and dmax, not {sorted(clipping)}.")

        def stddev_initializer(*args, **kwargs):
            return tf.sqrt(variables.variance_initializer(*args, **kwargs))

        self._clipping = clipping
        self._share = 1.0 - decay
        self._epsilon = epsilon
        self._stddev = variables.average("moving_stddev", stddev_initializer)
        self._renorm_mean = variables.average("renorm_mean", variables.mean_initializer)
        self._renorm_stddev = variables.average("renorm_stddev", stddev_initializer)

    def correction(self, mean, variance, if_training):
        """Returns r, d and the batch's mean and variance, which wait for renorm's own averages."""
        stddev = tf.sqrt(variance + self._epsilon)
        known = tf.maximum(self._renorm_stddev, tf.sqrt(self._epsilon))
        r, d = stddev / known, (mean - self._renorm_mean) / known
        with tf.control_dependencies([r, d]):
            mean, stddev = tf.identity(mean), tf.identity(stddev)
        if self._clipping.get("rmin") is not None:
            r = tf.maximum(r, self._clipping["rmin"])
        if self._clipping.get("rmax") is not None:
            r = tf.minimum(r, self._clipping["rmax"])
        if self._clipping.get("dmax") is not None:
            d = tf.minimum(tf.maximum(d, -self._clipping["dmax"]), self._clipping["dmax"])
        r = if_training(lambda: r, lambda: tf.ones_like(r))
        d = if_training(lambda: d, lambda: tf.zeros_like(d))

        def moved(average, value):
            return if_training(lambda: move(average, value, self._share), lambda: tf.identity(average))

        with tf.control_dependencies([moved(self._renorm_mean, mean), moved(self._renorm_stddev, stddev)]):
            new_mean, new_variance = tf.identity(mean), tf.identity(variance)
        return tf.stop_gradient(r), tf.stop_gradient(d), new_mean, new_variance

    def move_variance(self, moving_variance, variance, share):
        """Moves the stored standard deviation and sets `moving_variance` to go with it."""
        stddev = move(self._stddev, tf.sqrt(variance + self._epsilon), share)
        return tf.assign(moving_variance, tf.nn.relu(stddev * stddev - self._epsilon))
