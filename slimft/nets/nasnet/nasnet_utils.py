"""What NASNet and PNASNet are made of: cells, and layers in either data format.

A cell (Zoph et al., arXiv:1707.07012, figures 3 and 4) sees the outputs of the two cells before it and makes five
states, each the sum of two operations on earlier states; its output are the states that no other one uses,
concatenated. Names of variables and arg_scopes, arguments and order of operations are those of
research/slim/nets/nasnet/nasnet_utils.py (github.com/tensorflow/models).

What drops draws from the seed of slimft's training loop, where there is one (`slimft.compat.dropout_seed`).
"""

import re

from slimft.compat import seeded_uniform, slim, tf

arg_scope = slim.arg_scope
DATA_FORMAT_NCHW = "NCHW"
DATA_FORMAT_NHWC = "NHWC"
# What a data format is until an arg_scope sets it.
INVALID = "null"
# With bounded activations no operation's result is larger.
CLIP_BY_VALUE_CAP = 6

# Only a separable convolution has a number of layers.
_OPERATION = re.compile(
    r"(?:(?P<separable>separable)|(?:avg|max)_pool)_(?P<side>\d+)x(?P=side)(?(separable)(?:_(?P<layers>\d+))?)"
)


def calc_reduction_layers(num_cells, num_reduction_layers):
    """The numbers of the cells that reductions come before, which part the cells into runs of equal length.

    >>> calc_reduction_layers(18, 2)
    [6, 12]
    """
    return [int(i / (num_reduction_layers + 1) * num_cells) for i in range(1, num_reduction_layers + 1)]


def _is_channels_last(data_format):
    if data_format not in (DATA_FORMAT_NHWC, DATA_FORMAT_NCHW):
        raise ValueError(f"data_format={data_format!r} is neither NHWC nor NCHW; set it by an arg_scope")
    return data_format == DATA_FORMAT_NHWC


@slim.add_arg_scope
def get_channel_index(data_format=INVALID):
    """The axis of the channels in a data format."""
    return 3 if _is_channels_last(data_format) else 1


@slim.add_arg_scope
def get_channel_dim(shape, data_format=INVALID):
    """The number of channels in a shape of four dimensions."""
    if len(shape) != 4:
        raise ValueError(f"shape {shape} has not four dimensions")
    return int(shape[3 if _is_channels_last(data_format) else 1])


@slim.add_arg_scope
def global_avg_pool(x, data_format=INVALID):
    """The means ``[batch, channels]`` over all positions."""
    axes = [1, 2] if _is_channels_last(data_format) else [2, 3]
    if x.shape.ndims != 4:
        raise ValueError(f"shape {x.shape} has not four dimensions")
    return tf.reduce_mean(x, axes)


@slim.add_arg_scope
def factorized_reduction(net, output_filters, stride, data_format=INVALID):
    """Another number of channels, by 1x1 convolutions, and with a stride of 2 half the size.

    With a stride, half of the channels are made of the positions 0, 2, 4 and so on, the others of those one further
    down and to the right, with zeros beyond the border: each second position in both directions is used.

    Args:
        net: tensor of four dimensions.
        output_filters: number of channels; of an odd number the second half has one more.
        stride: 1 or the factor by which height and width shrink, rounded up.
        data_format: of `net`.
    """
    is_last = _is_channels_last(data_format)
    if stride == 1:
        net = slim.conv2d(net, output_filters, 1, scope="path_conv")
        return slim.batch_norm(net, scope="path_bn")
    strides = [1, stride, stride, 1] if is_last else [1, 1, stride, stride]

    def path(net, filters, scope):
        net = tf.nn.avg_pool2d(net, [1, 1, 1, 1], strides, "VALID", data_format=data_format)
        return slim.conv2d(net, filters, 1, scope=scope)

    first = path(net, output_filters // 2, "path1_conv")
    if is_last:
        shifted = tf.pad(net, [[0, 0], [0, 1], [0, 1], [0, 0]])[:, 1:, 1:, :]
    else:
        shifted = tf.pad(net, [[0, 0], [0, 0], [0, 1], [0, 1]])[:, :, 1:, 1:]
    second = path(shifted, output_filters // 2 + output_filters % 2, "path2_conv")
    net = tf.concat([first, second], get_channel_index(data_format=data_format))
    return slim.batch_norm(net, scope="final_path_bn")


@slim.add_arg_scope
def drop_path(net, keep_prob, is_training=True):
    """In training, zeros in place of a whole image's map, or the map divided by `keep_prob`, with which it is kept.

    Args:
        net: tensor ``[batch, ...]`` of four dimensions.
        keep_prob: probability above 0, a number or a float32 tensor.
        is_training: whether to drop; else `net` comes back.
    """
    if not is_training:
        return net
    uniform = seeded_uniform([tf.shape(net)[0], 1, 1, 1])
    is_kept = tf.cast(tf.floor(keep_prob + uniform), net.dtype)
    return net * tf.cast(1.0 / keep_prob, net.dtype) * is_kept


def _stacked_separable_conv(net, stride, side, layers, filters, activation_fn):
    """So many layers of non-linearity, separable convolution and batch normalization; the first has the stride."""
    for layer in range(1, layers + 1):
        net = activation_fn(net)
        scope = f"separable_{side}x{side}_{layer}"
        net = slim.separable_conv2d(net, filters, side, depth_multiplier=1, scope=scope, stride=stride)
        net = slim.batch_norm(net, scope=f"bn_sep_{side}x{side}_{layer}")
        stride = 1
    return net


class NasNetABaseCell:
    """A cell, which is called with what it sees.

    Args:
        num_conv_filters: number of channels of each state, for a `filter_scaling` of 1.
        operations: ten, two for each new state: ``none``, ``separable_5x5_2`` (two separable 5x5 convolutions),
            ``avg_pool_3x3`` or ``max_pool_3x3``, or others of their kinds.
        used_hiddenstates: for each of the seven states, whether another one uses it; those that none uses are the
            output.
        hiddenstate_indices: the state that each operation sees: 0 is the input, 1 the output of the cell before
            it, the others are new.
        drop_path_keep_prob: probability with which the last cell keeps an operation's result at the end of
            training; 1 for no `drop_path`.
        total_num_cells: number of cells of the network.
        total_training_steps: over how many steps `drop_path` grows.
        use_bounded_activation: whether non-linearities are ReLU6, and what lies between is clipped to 6.
    """

    def __init__(
        self,
        num_conv_filters,
        operations,
        used_hiddenstates,
        hiddenstate_indices,
        drop_path_keep_prob,
        total_num_cells,
        total_training_steps,
        use_bounded_activation=False,
    ):
        self._num_conv_filters = num_conv_filters
        self._operations = operations
        self._used_hiddenstates = used_hiddenstates
        self._hiddenstate_indices = hiddenstate_indices
        self._drop_path_keep_prob = drop_path_keep_prob
        self._total_num_cells = total_num_cells
        self._total_training_steps = total_training_steps
        self._use_bounded_activation = use_bounded_activation
        self._activation_fn = tf.nn.relu6 if use_bounded_activation else tf.nn.relu

    def __call__(
        self,
        net,
        scope=None,
        filter_scaling=1,
        stride=1,
        prev_layer=None,
        cell_num=-1,
        current_step=None,
    ):
        """Builds the cell.

        Args:
            net: the input, of known height and width.
            scope: variable scope.
            filter_scaling: factor of the number of channels.
            stride: 2 for an output of half the size.
            prev_layer: the output of the cell before the one that made `net`; None for `net` itself.
            cell_num: number of the cell in the network, from 0.
            current_step: step of training that `drop_path` grows by; None for the global step.
        """
        self._cell_num = cell_num
        self._filter_scaling = filter_scaling
        self._filter_size = int(self._num_conv_filters * filter_scaling)
        with tf.variable_scope(scope):
            states = self._cell_base(net, prev_layer)
            sides = list(zip(self._hiddenstate_indices, self._operations))
            for i, (left, right) in enumerate(zip(sides[::2], sides[1::2])):
                with tf.variable_scope(f"comb_iter_{i}"):
                    results = []
                    for side, (index, operation) in (("left", left), ("right", right)):
                        with tf.variable_scope(side):
                            results.append(
                                self._apply_conv_operation(
                                    states[index], operation, stride, index < 2, current_step
                                )
                            )
                    with tf.variable_scope("combine"):
                        state = results[0] + results[1]
                        states.append(tf.nn.relu6(state) if self._use_bounded_activation else state)
            with tf.variable_scope("cell_output"):
                return self._combine_unused_states(states)

    def _cell_base(self, net, prev_layer):
        """The first two states, of as many channels as the others."""
        prev_layer = self._reduce_prev_layer(prev_layer, net)
        net = slim.conv2d(self._activation_fn(net), self._filter_size, 1, scope="1x1")
        return [slim.batch_norm(net, scope="beginning_bn"), prev_layer]

    def _reduce_prev_layer(self, prev_layer, curr_layer):
        """`prev_layer` with the size of `curr_layer` and the cell's number of channels."""
        if prev_layer is None:
            return curr_layer
        filters = self._filter_size
        if _width(prev_layer) != _width(curr_layer):
            return factorized_reduction(self._activation_fn(prev_layer), filters, stride=2)
        if get_channel_dim(prev_layer.shape) != filters:
            net = slim.conv2d(self._activation_fn(prev_layer), filters, 1, scope="prev_1x1")
            return slim.batch_norm(net, scope="prev_bn")
        return prev_layer

    def _apply_conv_operation(self, net, operation, stride, is_from_original_input, current_step):
        """An operation on a state; new states have the output's size already."""
        match = _OPERATION.fullmatch(operation)
        if match is None and operation != "none":
            raise ValueError(
                f"operation {operation!r}: there are none, separable_5x5_2, avg_pool_3x3, max_pool_3x3 and others "
                "of their kinds, with square windows"
            )
        if not is_from_original_input:
            stride = 1
        is_bounded, filters = self._use_bounded_activation, self._filter_size
        other_channels = get_channel_dim(net.shape) != filters
        side = match and int(match["side"])
        clips = is_bounded
        if operation.startswith("separable"):
            layers = int(match["layers"] or 1)
            net = _stacked_separable_conv(net, stride, side, layers, filters, self._activation_fn)
        elif operation == "none":
            clips = is_bounded and (stride > 1 or other_channels)
            if is_bounded or stride > 1 or other_channels:
                net = self._activation_fn(net)
            if stride > 1 or other_channels:
                net = slim.batch_norm(slim.conv2d(net, filters, 1, stride=stride, scope="1x1"), scope="bn_1")
        else:
            net = tf.nn.relu6(net) if is_bounded else net
            pool = slim.avg_pool2d if operation.startswith("avg") else slim.max_pool2d
            net = pool(net, side, stride=stride, padding="SAME")
            if other_channels:
                net = slim.batch_norm(slim.conv2d(net, filters, 1, stride=1, scope="1x1"), scope="bn_1")
        if clips:
            net = tf.clip_by_value(net, -CLIP_BY_VALUE_CAP, CLIP_BY_VALUE_CAP)
        return net if operation == "none" else self._apply_drop_path(net, current_step=current_step)

    def _combine_unused_states(self, net):
        """The states that no other one uses, concatenated, with the size and channels of the last one."""
        if len(self._used_hiddenstates) != len(net):
            raise ValueError(f"{len(self._used_hiddenstates)} used_hiddenstates are told, of {len(net)} states")
        width, filters = _width(net[-1]), get_channel_dim(net[-1].shape)
        unused = []
        for i, (state, is_used) in enumerate(zip(net, self._used_hiddenstates)):
            if is_used:
                continue
            stride = 2 if _width(state) != width else 1
            if stride == 2 or get_channel_dim(state.shape) != filters:
                with tf.variable_scope(f"reduction_{i}"):
                    state = factorized_reduction(state, filters, stride)
            unused.append(state)
        return tf.concat(unused, get_channel_index())

    @slim.add_arg_scope
    def _apply_drop_path(self, net, current_step=None, use_summaries=False, drop_connect_version="v3"):
        """`drop_path`, of a probability that grows with the cell's place and over training.

        Args:
            net: tensor of four dimensions.
            current_step: step of training; None for the global step.
            use_summaries: whether to write the probability and its factors as summaries.
            drop_connect_version: ``v1`` grows over training only, ``v2`` from cell to cell only, ``v3`` does both.
        """
        keep_prob = self._drop_path_keep_prob
        if keep_prob >= 1.0:
            return net
        if drop_connect_version not in ("v1", "v2", "v3"):
            raise ValueError(f"drop_connect_version={drop_connect_version!r} is none of v1, v2 and v3")
        summaries = {}
        if drop_connect_version != "v1":
            if self._cell_num == -1:
                raise ValueError("cell_num is needed, by which drop_path grows from cell to cell")
            ratio = summaries["layer_ratio"] = (self._cell_num + 1) / self._total_num_cells
            keep_prob = 1 - ratio * (1 - keep_prob)
        if drop_connect_version != "v2":
            step = _global_step() if current_step is None else current_step
            ratio = tf.minimum(1.0, tf.cast(step, tf.float32) / self._total_training_steps)
            summaries["current_ratio"] = ratio
            keep_prob = 1 - ratio * (1 - keep_prob)
        summaries["drop_path_keep_prob"] = keep_prob
        if use_summaries:
            with tf.device("/cpu:0"):
                for name, value in summaries.items():
                    tf.summary.scalar(name, value)
        return drop_path(net, keep_prob)


def _global_step():
    """The global step; where there is none it is made under its own name, not in the scope of the cell."""
    with tf.variable_scope(tf.VariableScope(reuse=False, name=""), auxiliary_name_scope=False):
        return tf.train.get_or_create_global_step()


def _width(net):
    """The third dimension, which is the width or, in NCHW, the height."""
    if net.shape[2] is None or tf.Dimension(net.shape[2]).value is None:
        raise ValueError(f"a cell has to know the height and width of its inputs, and one is of shape {net.shape}")
    return int(net.shape[2])


class PublishedCell(NasNetABaseCell):
    """A cell whose operations and states are its class'; its arguments are the others of `NasNetABaseCell`."""

    operations: tuple[str, ...]
    used_hiddenstates: tuple[int, ...]
    hiddenstate_indices: tuple[int, ...]

    def __init__(
        self,
        num_conv_filters,
        drop_path_keep_prob,
        total_num_cells,
        total_training_steps,
        use_bounded_activation=False,
    ):
        super().__init__(
            num_conv_filters,
            self.operations,
            self.used_hiddenstates,
            self.hiddenstate_indices,
            drop_path_keep_prob,
            total_num_cells,
            total_training_steps,
            use_bounded_activation,
        )


class NasNetANormalCell(PublishedCell):
    """NASNet-A's cell of the input's size."""

    operations = (
        *("separable_5x5_2", "separable_3x3_2"),
        *("separable_5x5_2", "separable_3x3_2"),
        *("avg_pool_3x3", "none"),
        *("avg_pool_3x3", "avg_pool_3x3"),
        *("separable_3x3_2", "none"),
    )
    used_hiddenstates = (1, 0, 0, 0, 0, 0, 0)
    hiddenstate_indices = (0, 1, 1, 1, 0, 1, 1, 1, 0, 0)


class NasNetAReductionCell(PublishedCell):
    """NASNet-A's cell of half the input's size."""

    operations = (
        *("separable_5x5_2", "separable_7x7_2"),
        *("max_pool_3x3", "separable_7x7_2"),
        *("avg_pool_3x3", "separable_5x5_2"),
        *("none", "avg_pool_3x3"),
        *("separable_3x3_2", "max_pool_3x3"),
    )
    used_hiddenstates = (1, 1, 1, 0, 0, 0, 0)
    hiddenstate_indices = (0, 1, 0, 1, 0, 1, 3, 2, 2, 0)
