"""What `tf.contrib.keras` was: tf.keras; see `slimft.compat.keras_2`."""

from __future__ import annotations

from slimft.compat import keras_2


def __getattr__(name):
    keras = keras_2.resolve("")
    if keras is None:
        raise AttributeError(f"no tf.contrib.keras.{name}: it is Keras 2; pip install 'slimft[keras2]'")
    return getattr(keras, name)
