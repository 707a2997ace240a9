"""tf.contrib.tfprof: tf.profiler, and a context that profiles nothing (TF 1.15: contrib/tfprof/__init__.py)."""

from __future__ import annotations

import warnings

from tensorflow.python.profiler import tfprof_logger

from slimft.compat.contrib.tfprof import model_analyzer

__all__ = ["ProfileContext", "model_analyzer", "tfprof_logger"]


class ProfileContext:
    """A context in which nothing is profiled, said in a warning; TensorFlow 2 has no hooks into sessions for it."""

    def __init__(self, profile_dir, trace_steps=None, dump_steps=None, enabled=True, debug=False):
        self._profile_dir, self._enabled = profile_dir, enabled

    def add_auto_profiling(self, cmd, options, profile_steps):
        """Nothing."""

    def trace_next_step(self):
        """Nothing."""

    def dump_next_step(self):
        """Nothing."""

    def get_profiles(self, cmd):
        raise ValueError(f"there is no profile {cmd!r}: ProfileContext profiles nothing on TensorFlow 2")

    def __enter__(self):
        if self._enabled:
            warnings.warn(
                f"ProfileContext profiles nothing on TensorFlow 2, {self._profile_dir} stays as it is; "
                "use tf.profiler.Profiler with RunMetadata, or TensorFlow 2's profiler",
                stacklevel=2,
            )
        return self

    def __exit__(self, *_):
        return None
