"""What `tf.contrib.tensorboard` was: its plugins, which are TensorBoard's today."""
