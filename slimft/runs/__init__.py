"""A run as its directory keeps it: what it was told, what it measured. No TensorFlow; below training and report."""
