"""MobileNet V2 and V3 and what they are made of; importing this package imports no TensorFlow.

`mobilenet` makes networks of tables of layers, `conv_blocks` has the layers, `mobilenet_v2` and `mobilenet_v3` the
tables. Source of the facts: research/slim/nets/mobilenet/ (github.com/tensorflow/models).
"""
