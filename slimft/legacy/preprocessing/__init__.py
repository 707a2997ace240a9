"""Preprocessing of single images, as research/slim's `preprocessing` does it for its networks.

For scripts of that time: each module has ``preprocess_image(image, output_height, output_width, is_training, ...)``
with the signature of its namesake in research/slim/preprocessing (github.com/tensorflow/models).
`slimft.data.preprocessing` is what slimft's own commands use.
"""
