"""tf.contrib.compiler.xla (TF 1.15: contrib/compiler/xla.py)."""

from tensorflow.python.compiler.xla.xla import compile  # noqa: A004 - its name

__all__ = ["compile"]
