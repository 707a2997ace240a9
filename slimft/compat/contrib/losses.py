"""tf.contrib.losses: names of TensorFlow 0.9 that tf-slim lacks (contrib/losses/python/losses/loss_ops.py)."""

from tf_slim.losses import mean_pairwise_squared_error, mean_squared_error

sum_of_squares = mean_squared_error
sum_of_pairwise_squares = mean_pairwise_squared_error

__all__ = ["sum_of_pairwise_squares", "sum_of_squares"]
