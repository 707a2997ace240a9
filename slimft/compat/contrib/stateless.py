"""What `tf.contrib.stateless` was: random values that go by a seed which is a tensor.

Source of names: TensorFlow 1.15's tensorflow/contrib/stateless; they are in tf.random now.
"""

from slimft.compat.v1 import tf

stateless_multinomial = tf.random.stateless_multinomial
stateless_random_normal = tf.random.stateless_normal
stateless_random_uniform = tf.random.stateless_uniform
stateless_truncated_normal = tf.random.stateless_truncated_normal

__all__ = [
    "stateless_multinomial", "stateless_random_normal", "stateless_random_uniform", "stateless_truncated_normal",
]  # fmt: skip
