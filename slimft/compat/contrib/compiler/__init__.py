"""What `tf.contrib.compiler` was (TF 1.15: contrib/compiler/__init__.py): XLA, which is in tf.xla today."""

from slimft.compat.contrib.compiler import jit, xla

__all__ = ["jit", "xla"]
