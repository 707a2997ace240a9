"""What tf.contrib had and TensorFlow 2 has not: a module or a package for each package of tf.contrib that is here.

``tensorflow.contrib.NAME`` finds its names in ``slimft.compat.contrib.NAME``, and so does every path below it, such
as ``tensorflow.contrib.NAME.python.ops.other``: see `slimft.compat.legacy_names`. What was only renamed is the
object of today under its old name; what is gone is written here anew, from its documentation in TensorFlow 1.15.
"""
