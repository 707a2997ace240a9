"""TensorFlow 1's interface, the same module whenever it is asked for.

``import tensorflow.compat.v1.logging``, by whomever, puts another module in the place of the one that
``from tensorflow.compat import v1`` gives before, with other submodules.
"""

from tensorflow.compat import v1 as tf

__all__ = ["tf"]
