"""The commands in bin/: flags in, one call, text out. None imports TensorFlow before it must."""
