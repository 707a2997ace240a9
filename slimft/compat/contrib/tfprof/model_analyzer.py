"""tf.contrib.tfprof.model_analyzer: `tf.profiler` by its first names.

Source of names and options: TensorFlow 1.15's tensorflow/contrib/tfprof/model_analyzer.py.
"""

from __future__ import annotations

from tensorflow.python.profiler.model_analyzer import ALL_ADVICE

from slimft.compat.v1 import tf

__all__ = [
    "ALL_ADVICE", "FLOAT_OPS_OPTIONS", "PRINT_ALL_TIMING_MEMORY", "Profiler", "TRAINABLE_VARS_PARAMS_STAT_OPTIONS",
    "advise", "print_model_analysis", "profile",
]  # fmt: skip

_Builder = tf.profiler.ProfileOptionBuilder
Profiler, profile = tf.profiler.Profiler, tf.profiler.profile
TRAINABLE_VARS_PARAMS_STAT_OPTIONS = _Builder.trainable_variables_parameter()
FLOAT_OPS_OPTIONS = _Builder.float_operation()
PRINT_ALL_TIMING_MEMORY = _Builder.time_and_memory(min_micros=1, min_bytes=1)


def print_model_analysis(graph, run_meta=None, op_log=None, tfprof_cmd="scope", tfprof_options=0):
    """`tf.profiler.profile` of a graph: what its ops and variables cost.

    Args:
        graph: a tf.Graph.
        run_meta: RunMetadata of a step, for time and memory.
        op_log: an OpLogProto with types and counts of ops.
        tfprof_cmd: ``scope``, ``graph``, ``op`` or ``code``.
        tfprof_options: a dict such as `FLOAT_OPS_OPTIONS`; 0 for the default.

    Returns:
        A GraphNodeProto or MultiGraphNodeProto with the totals.
    """
    return tf.profiler.profile(graph, run_meta, op_log, tfprof_cmd, **_options(tfprof_options))


def advise(graph, run_meta=None, tfprof_options=0):
    """`tf.profiler.advise` of a graph; an AdviceProto."""
    return tf.profiler.advise(graph, run_meta, **_options(tfprof_options))


def _options(options):
    # 0 stood for the default; the one of today is a module's own object.
    return {} if options == 0 else {"options": options}
