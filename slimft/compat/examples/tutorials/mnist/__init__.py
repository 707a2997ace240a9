"""tensorflow.examples.tutorials.mnist: its data and its network."""

from slimft.compat.examples.tutorials.mnist import input_data, mnist

__all__ = ["input_data", "mnist"]
