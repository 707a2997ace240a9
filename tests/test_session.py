"""How sessions are configured."""

from slimft.compat import tf
from slimft.session import session_config


def test_memory_of_a_gpu_grows_and_xla_is_off_unless_asked_for():
    assert session_config().gpu_options.allow_growth
    level = tf.OptimizerOptions.GlobalJitLevel
    assert session_config().graph_options.optimizer_options.global_jit_level == level.Value("DEFAULT")
    assert session_config(xla=True).graph_options.optimizer_options.global_jit_level == level.Value("ON_1")
