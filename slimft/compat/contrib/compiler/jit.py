"""tf.contrib.compiler.jit (TF 1.15: contrib/compiler/jit.py)."""

from tensorflow.python.compiler.xla.jit import experimental_jit_scope

__all__ = ["experimental_jit_scope"]
