"""Writes models of Keras with MobileNet as a layer, as of transfer learning: keras_nested.py FOLDER IMAGES.npy

sequential, functional and flat (the head on the base's own output), each as .h5, .weights.h5 and .keras; and
features.npy, what the base gives of the images. Its own process, as keras_files.py.
"""

import pathlib
import sys

import keras
import keras_files
import numpy as np
from keras import applications, layers


def base(rng):
    model = applications.MobileNet(weights=None, input_shape=(64, 64, 3), alpha=0.25, include_top=False)
    for variable in model.weights:
        variable.assign(keras_files.random_value(rng, variable, 0.75))
    return model


def head(values):
    values = layers.GlobalAveragePooling2D()(values)
    values = layers.BatchNormalization()(layers.Dense(8, activation="relu")(values))
    return layers.Dense(3)(values)


def main(folder, images):
    folder, images = pathlib.Path(folder), np.load(images)[:, :64, :64]
    model = base(np.random.default_rng(7))
    np.save(folder / "features.npy", model(applications.mobilenet.preprocess_input(images.copy()), training=False))
    inputs = keras.Input((64, 64, 3))
    scaled = layers.Rescaling(1 / 127.5, -1)
    models = {
        "sequential": keras.Sequential([inputs, scaled, model, layers.Flatten(), layers.Dense(3)]),
        "functional": keras.Model(inputs, head(model(inputs))),
        "flat": keras.Model(model.input, layers.Dense(3)(layers.Dense(8)(layers.Flatten()(model.output)))),
    }
    models["twice"] = keras.Sequential([inputs, models["functional"], layers.Dense(2)])
    for name, outer in models.items():
        outer.save(folder / f"{name}.h5")
        outer.save(folder / f"{name}.keras")
        outer.save_weights(folder / f"{name}.weights.h5")


if __name__ == "__main__":
    main(*sys.argv[1:])
