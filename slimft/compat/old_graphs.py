"""Graphs that are written for other runtimes: `put_in` lets what TensorFlow 1.15 knows be enough to read them.

Operations have got attributes since, such as ``explicit_paddings`` of MaxPool. Today's TensorFlow writes each with
its default, at which the operation does what it always did, and TensorFlow 1.15 refuses any that it does not know.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Sequence

from tensorflow.core.framework import graph_pb2
from tensorflow.python.framework import convert_to_constants, op_def_registry, ops
from tensorflow.python.tools import freeze_graph

from slimft.compat.patches import Patches
from slimft.compat.v1 import tf

# What operations of 1.15 have that they had not got then: attributes, and the operations that got them. Read off
# TensorFlow 1.15.5's and 2.21's lists of operations, without TPUs' own and what tf.data adds as it runs.
_LATER = {
    "Tcomplex Treal": "IRFFT IRFFT2D IRFFT3D RFFT RFFT2D RFFT3D",
    "Tk index_type": "TopKV2",
    "Tsegmentids":
        "SparseSegmentMean SparseSegmentMeanGrad SparseSegmentMeanWithNumSegments SparseSegmentSqrtN "
        "SparseSegmentSqrtNGrad SparseSegmentSqrtNWithNumSegments SparseSegmentSum "
        "SparseSegmentSumWithNumSegments",
    "Tshape": "TensorListGetItem",
    "allow_missing_files": "MergeV2Checkpoints",
    "allowed_devices debug_name": "VarHandleOp",
    "axis": "Dequantize QuantizeAndDequantizeV2 QuantizeAndDequantizeV3 QuantizeV2",
    "bad_indices_policy":
        "GatherNd ResourceScatterNdAdd ResourceScatterNdSub ResourceScatterNdUpdate ScatterNd ScatterNdAdd "
        "ScatterNdNonAliasingAdd ScatterNdSub ScatterNdUpdate TensorScatterAdd TensorScatterSub "
        "TensorScatterUpdate",
    "batch_padding_policy enable_large_batch_splitting low_priority_allowed_batch_sizes "
    "low_priority_max_batch_size low_priority_batch_timeout_micros low_priority_max_enqueued_batches "
    "mixed_priority_policy":
        "BatchFunction",
    "blank_index": "CTCGreedyDecoder",
    "buffer_size_min": "PrefetchDataset",
    "drop_remainder": "SlidingWindowDataset",
    "dtype": "Dequantize",
    "ensure_minimum_range": "QuantizeV2",
    "explicit_paddings":
        "DepthwiseConv2dNative DepthwiseConv2dNativeBackpropFilter DepthwiseConv2dNativeBackpropInput MaxPool "
        "MaxPoolGrad",
    "exponential_avg_factor": "FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3",
    "force_synchronous": "ExperimentalMapDataset MapDataset",
    "grad_a grad_b": "MatMul",
    "grad_x grad_y": "BatchMatMul BatchMatMulV2",
    "is_files": "TensorSliceDataset",
    "log_warning": "ExperimentalIgnoreErrorsDataset IgnoreErrorsDataset",
    "metadata":
        "BatchDataset BatchDatasetV2 CacheDataset CacheDatasetV2 ConcatenateDataset DatasetToSingleElement "
        "FilterDataset FixedLengthRecordDataset FixedLengthRecordDatasetV2 FlatMapDataset GeneratorDataset "
        "GroupByWindowDataset InterleaveDataset MapAndBatchDataset MapDataset PaddedBatchDataset "
        "PaddedBatchDatasetV2 ParallelInterleaveDataset ParallelInterleaveDatasetV2 ParallelMapDataset "
        "PrefetchDataset RandomDataset RangeDataset ReduceDataset RepeatDataset ScanDataset ShardDataset "
        "ShuffleAndRepeatDataset ShuffleDataset ShuffleDatasetV2 SkipDataset TFRecordDataset TakeDataset "
        "TakeWhileDataset TensorDataset TensorSliceDataset TextLineDataset UnbatchDataset UniqueDataset "
        "WindowDataset ZipDataset",
    "multiply_linear_by_lr":
        "ApplyFtrl ApplyFtrlV2 ResourceApplyFtrl ResourceApplyFtrlV2 ResourceSparseApplyFtrl "
        "ResourceSparseApplyFtrlV2 SparseApplyFtrl SparseApplyFtrlV2",
    "narrow_range": "Dequantize QuantizeV2",
    "offset": "InitializeTableFromTextFile InitializeTableFromTextFileV2",
    "padding_list": "QuantizedDepthwiseConv2DWithBiasAndRelu QuantizedDepthwiseConv2DWithBiasAndReluAndRequantize",
    "perturb_singular": "TridiagonalSolve",
    "ragged_keys ragged_split_types ragged_value_types": "ParseExampleDataset",
    "replicate_on_split": "RangeDataset TensorSliceDataset",
    "reshuffle_each_iteration": "ShuffleAndRepeatDataset",
    "resize_if_index_out_of_bounds": "TensorListSetItem",
    "shape_type": "ConcatOffset",
    "sparse_gradient":
        "SparseSegmentMean SparseSegmentMeanWithNumSegments SparseSegmentSqrtN SparseSegmentSqrtNWithNumSegments "
        "SparseSegmentSum SparseSegmentSumWithNumSegments",
    "stop_on_empty_dataset": "DirectedInterleaveDataset",
    "timeout_seconds": "CollectiveBcastRecv CollectiveBcastSend CollectiveGather CollectiveReduce",
    "use_default_device": "ScanDataset",
    "validate_shape": "AssignVariableOp",
}  # fmt: skip

# Of these, what computes nothing: they go whatever they hold.
_HINTS = {"debug_name", "grad_a", "grad_b", "grad_x", "grad_y", "metadata"}


@functools.cache
def _later_defaults() -> dict[str, dict[str, bytes]]:
    """The later attributes of each operation, with their defaults as bytes."""
    found: dict[str, dict[str, bytes]] = {}
    for attributes, operations in _LATER.items():
        for operation in operations.split():
            definition = op_def_registry.get(operation)
            for attribute in () if definition is None else definition.attr:
                if attribute.name in attributes.split() and attribute.HasField("default_value"):
                    default = attribute.default_value.SerializeToString(deterministic=True)
                    found.setdefault(operation, {})[attribute.name] = default
    return found


def leave_out_later_defaults(graph_def: graph_pb2.GraphDef) -> graph_pb2.GraphDef:
    """Takes out of `graph_def`, in place, the attributes that came after 1.15 and have their default.

    What has another value stays, but for names and hints: the operation would compute something else without it.
    Types that were found of nodes go, too: 1.15 passes over them in bytes, and refuses them in text.
    """
    defaults = _later_defaults()
    functions = (function.node_def for function in graph_def.library.function)
    for nodes in (graph_def.node, *functions):
        for node in nodes:
            for name, default in defaults.get(node.op, {}).items():
                if name not in node.attr:
                    continue
                if name in _HINTS or node.attr[name].SerializeToString(deterministic=True) == default:
                    del node.attr[name]
            node.ClearField("experimental_type")
    return graph_def


def put_in(patches: Patches) -> None:
    """Lets what gives graphs as protos give such ones, until the patches are undone.

    From `tf.Graph.as_graph_def` come `Session.graph_def`, what `tf.train.write_graph` writes, the ``.meta`` files
    of Savers, and SavedModels.
    """
    patches.set(ops.Graph, "as_graph_def", _without_later_defaults(ops.Graph.as_graph_def))
    convert = _without_later_defaults(convert_to_constants.convert_variables_to_constants)
    for module in (convert_to_constants, tf.graph_util):
        patches.set(module, "convert_variables_to_constants", convert)
    for name in ("freeze_graph", "freeze_graph_with_def_protos"):
        patches.set(freeze_graph, name, _with_blacklist(getattr(freeze_graph, name)))
    patches.set(freeze_graph, "run_main", _run_main(freeze_graph.run_main))


def _without_later_defaults(function):
    @functools.wraps(function)
    def called(*args, **kwargs):
        return leave_out_later_defaults(function(*args, **kwargs))

    return called


def _with_blacklist(function):
    """`function` with an argument's name of 1.15."""

    @functools.wraps(function)
    def called(*args, **kwargs):
        if "variable_names_blacklist" in kwargs:
            kwargs["variable_names_denylist"] = kwargs.pop("variable_names_blacklist")
        return function(*args, **kwargs)

    return called


def _run_main(function):
    @functools.wraps(function)
    def run_main():
        sys.argv[1:] = freeze_graph_flags(sys.argv[1:])
        return function()

    return run_main


def freeze_graph_flags(arguments: Sequence[str]) -> list[str]:
    """The command line of freeze_graph, with a flag of 1.15 under today's name.

    >>> freeze_graph_flags(["--input_binary", "--variable_names_blacklist=w"])
    ['--input_binary', '--variable_names_denylist=w']
    """
    return [re.sub("^--?variable_names_blacklist(?==|$)", "--variable_names_denylist", each) for each in arguments]
