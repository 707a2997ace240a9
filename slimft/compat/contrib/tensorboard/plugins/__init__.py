"""What `tf.contrib.tensorboard.plugins` was: the projector."""
