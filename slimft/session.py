"""How slimft's sessions are configured."""

from __future__ import annotations

from slimft.compat import tf


def session_config(precision: str = "float32", xla: bool = False) -> tf.ConfigProto:
    """How slimft's sessions run: GPU memory as needed; convolutions in bfloat16, and compiled, if told so.

    Args:
        precision: ``float32``, or ``bfloat16`` for oneDNN's bfloat16 kernels on a CPU. Variables stay
            float32.
        xla: whether XLA compiles what it can of the graph, on a GPU.
    """
    config = tf.ConfigProto()
    config.gpu_options.allow_growth = True
    if precision == "bfloat16":
        on = 1  # RewriterConfig.ON
        config.graph_options.rewrite_options.auto_mixed_precision_onednn_bfloat16 = on
    if xla:
        config.graph_options.optimizer_options.global_jit_level = tf.OptimizerOptions.ON_1
    return config
