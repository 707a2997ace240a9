"""tensorflow.examples.tutorials: the part that scripts import."""
