"""tf.contrib.lite: the converters and the interpreter, which are tf.lite's now.

Source: tensorflow/contrib/lite/python of TensorFlow 1.12, and tensorflow/lite/python of 1.15.
"""

from __future__ import annotations

from slimft.compat.v1 import tf

__all__ = ["Interpreter", "OpHint", "Optimize", "OpsSet", "RepresentativeDataset", "TFLiteConverter", "TargetSpec",
           "TocoConverter", "constants", "experimental", "lite_constants", "toco_convert"]  # fmt: skip

constants = lite_constants = tf.lite.constants
experimental = tf.lite.experimental
Interpreter, OpHint = tf.lite.Interpreter, tf.lite.OpHint
Optimize, OpsSet, TargetSpec = tf.lite.Optimize, tf.lite.OpsSet, tf.lite.TargetSpec
RepresentativeDataset = tf.lite.RepresentativeDataset
TFLiteConverter, TocoConverter = tf.lite.TFLiteConverter, tf.lite.TocoConverter
toco_convert = tf.lite.toco_convert
# What ``tensorflow.contrib.lite.python.lite_constants`` had.
FLOAT, INT32, INT64, STRING = constants.FLOAT, constants.INT32, constants.INT64, constants.STRING
QUANTIZED_UINT8, TFLITE, GRAPHVIZ_DOT = constants.QUANTIZED_UINT8, constants.TFLITE, constants.GRAPHVIZ_DOT
