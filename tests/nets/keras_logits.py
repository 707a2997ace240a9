"""Writes the logits of a network of Keras Applications with variables under TF-Slim's names.

Without the variables of its logits, it writes the features of the network with ``include_top=False``.

    python keras_logits.py NETWORK VARIABLES.npz IMAGES.npy LOGITS.npy

Its own process, because Keras 3 cannot run in one in which TensorFlow 2's behaviour is off.
"""

import re
import sys

import keras
import numpy as np

NETWORKS = {
    "vgg_16": keras.applications.VGG16,
    "vgg_19": keras.applications.VGG19,
    "resnet_v1_50": keras.applications.ResNet50,
    "resnet_v1_101": keras.applications.ResNet101,
    "resnet_v1_152": keras.applications.ResNet152,
}
BATCH_NORM = ("gamma", "beta", "moving_mean", "moving_variance")


def slims_names(layer):
    """The names in TF-Slim, below the network's scope, of the variables of a Keras `layer`."""
    if layer in ("fc1", "fc2"):
        scope = {"fc1": "fc6", "fc2": "fc7"}[layer]
    elif match := re.fullmatch(r"block(\d)_conv(\d)", layer):
        scope = "conv{0}/conv{0}_{1}".format(*match.groups())
    elif match := re.fullmatch(r"conv(\d)_block(\d+)_(\d)_(conv|bn)", layer):
        stage, unit, number, _ = match.groups()
        part = "shortcut" if number == "0" else f"conv{number}"
        scope = f"block{int(stage) - 1}/unit_{unit}/bottleneck_v1/{part}"
    else:
        scope = {"conv1_conv": "conv1", "conv1_bn": "conv1"}[layer]
    if layer.endswith("_bn"):
        return [f"{scope}/BatchNorm/{name}" for name in BATCH_NORM]
    return [f"{scope}/weights", f"{scope}/biases"]


def main(network, variables, images, logits):
    variables, images = np.load(variables), np.load(images)
    last = "fc8" if network.startswith("vgg") else "logits"
    include_top = f"{network}/{last}/biases" in variables.files
    classes = variables[f"{network}/{last}/biases"].size if include_top else 1000
    # Every weight is assigned below; drawing VGG's from a distribution first takes seconds and a gigabyte.
    keras.initializers.GlorotUniform.__call__ = keras.initializers.Zeros.__call__
    model = NETWORKS[network](
        weights=None,
        include_top=include_top,
        input_shape=images.shape[1:],
        classes=classes,
        classifier_activation=None,
    )
    unused = set(variables.files)
    for layer in (layer for layer in model.layers if layer.weights):
        names = [f"{last}/weights", f"{last}/biases"] if layer.name == "predictions" else slims_names(layer.name)
        for weight, name in zip(layer.weights, names, strict=True):
            name = f"{network}/{name}"
            if name in unused:
                weight.assign(variables[name].reshape(weight.shape))
                unused.remove(name)
            else:
                # The bias of a convolution that batch normalization follows; it is zero.
                assert layer.name.endswith("_conv") and name.endswith("/biases"), name
    assert not unused, unused
    if network.startswith("resnet"):
        # As TF-Slim's SAME padding pools, and as the paper's authors did; Keras has (1, 1).
        model.get_layer("pool1_pad").padding = ((0, 1), (0, 1))
    np.save(logits, model(images, training=False))


if __name__ == "__main__":
    main(*sys.argv[1:])
