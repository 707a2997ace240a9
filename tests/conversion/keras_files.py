"""Writes Keras Applications' networks with random weights, as Keras saves them, and their logits.

    python keras_files.py FOLDER IMAGES.npy NETWORK...
    python keras_files.py --outlines keras_outlines.json.gz

For each network: NETWORK.h5 (Keras' legacy layout), NETWORK.weights.h5 (Keras 3's; not of VGG, which is large) and
NETWORK.logits.npy, computed with TF-Slim's padding; of ResNet50 and DenseNet121 also NETWORK.65.npy, the logits of
images of 65x65 pixels with Keras' own padding. The outlines are, of all networks, the number of parameters and, by
layer, the shape of each weight.
Its own process, because Keras 3 cannot run in one in which TensorFlow 2's behaviour is off.
"""

import gzip
import json
import pathlib
import sys

import keras
import numpy as np
from keras import applications

CLASSES = 7
# TF-Slim's network: Keras' function, its arguments, its preprocessing.
NETWORKS = {
    "vgg_16": (applications.VGG16, {}, applications.vgg16),
    "vgg_19": (applications.VGG19, {}, applications.vgg19),
    "resnet_v1_50": (applications.ResNet50, {}, applications.resnet),
    "resnet_v1_101": (applications.ResNet101, {}, applications.resnet),
    "resnet_v1_152": (applications.ResNet152, {}, applications.resnet),
    "resnet_v2_50": (applications.ResNet50V2, {}, applications.resnet_v2),
    "resnet_v2_101": (applications.ResNet101V2, {}, applications.resnet_v2),
    "resnet_v2_152": (applications.ResNet152V2, {}, applications.resnet_v2),
    "inception_v3": (applications.InceptionV3, {}, applications.inception_v3),
    "inception_resnet_v2": (applications.InceptionResNetV2, {}, applications.inception_resnet_v2),
    "mobilenet_v1": (applications.MobileNet, {}, applications.mobilenet),
    "mobilenet_v1_075": (applications.MobileNet, {"alpha": 0.75}, applications.mobilenet),
    "mobilenet_v1_050": (applications.MobileNet, {"alpha": 0.5}, applications.mobilenet),
    "mobilenet_v1_025": (applications.MobileNet, {"alpha": 0.25}, applications.mobilenet),
    "mobilenet_v2": (applications.MobileNetV2, {}, applications.mobilenet_v2),
    "mobilenet_v2_140": (applications.MobileNetV2, {"alpha": 1.4}, applications.mobilenet_v2),
    "mobilenet_v2_050": (applications.MobileNetV2, {"alpha": 0.5}, applications.mobilenet_v2),
    "mobilenet_v2_035": (applications.MobileNetV2, {"alpha": 0.35}, applications.mobilenet_v2),
    "mobilenet_v3_large": (applications.MobileNetV3Large, {}, applications.mobilenet_v3),
    "mobilenet_v3_small": (applications.MobileNetV3Small, {}, applications.mobilenet_v3),
    "mobilenet_v3_large_minimalistic": (
        applications.MobileNetV3Large,
        {"minimalistic": True},
        applications.mobilenet_v3,
    ),
    "mobilenet_v3_small_minimalistic": (
        applications.MobileNetV3Small,
        {"minimalistic": True},
        applications.mobilenet_v3,
    ),
    "densenet_121": (applications.DenseNet121, {}, applications.densenet),
    "densenet_169": (applications.DenseNet169, {}, applications.densenet),
    "nasnet_mobile": (applications.NASNetMobile, {}, applications.nasnet),
    "nasnet_large": (applications.NASNetLarge, {}, applications.nasnet),
}
SLIM_MEANS = (123.68, 116.78, 103.94)


def random_value(rng, variable, gamma):
    """A value at which every weight matters and activations keep their size; of gammas, `gamma` is the least."""
    value = rng.random(variable.shape, dtype=np.float32)
    if variable.name == "gamma":
        return gamma + 0.5 * value
    if variable.name == "moving_variance":
        return 0.5 + value
    value -= 0.5  # of variance 1/12; with He et al.'s for kernels
    if "kernel" in variable.name:
        depthwise = "depthwise" in variable.path or "conv_dw" in variable.path
        value *= np.sqrt(24 / np.prod(variable.shape[: 2 if depthwise else -1]))
    return value


def with_slims_padding(model, images):
    """`images` as the model is to get them once it pads nothing but as TF-Slim's SAME does."""
    pads = [layer for layer in model.layers if isinstance(layer, keras.layers.ZeroPadding2D)]
    if model.name.startswith("resnet"):
        pads = [model.get_layer("pool1_pad")]
        model.get_layer("pool1_pool").padding = "same"
    elif model.name.startswith("densenet"):
        # conv1 too; TF-Slim's network takes what is outside of the image for the means' colour.
        model.get_layer("pool1").padding = "same"
        padded = np.full([len(images), *model.input_shape[1:]], SLIM_MEANS, np.float32)
        padded[:, 2:-3, 2:-3] = images
        images = padded
    elif model.name.startswith("nasnet"):
        # Zeros before a pooling are seen by it; those before a separable convolution are as SAME has them.
        pads = [layer for layer in pads if layer.name.startswith("reduction_pad_")]
        for layer in model.layers:
            if layer.name.startswith(("reduction_left2_", "reduction_left3_", "reduction_right5_")):
                layer.padding = "same"
    else:
        pads = []
    for layer in pads:
        layer.padding = ((0, 0), (0, 0))
    return images


def made(name, size):
    network, arguments, _ = NETWORKS[name]
    return network(
        weights=None, input_shape=(size, size, 3), classes=CLASSES, classifier_activation=None, **arguments
    )


def outlines():
    """Of each network ``{"parameters": number, "layers": {layer: {path of a weight: shape}}}``."""
    found = {}
    for name in NETWORKS:
        model = made(name, image_size(name))
        layers = {layer.name: {one.path: list(one.shape) for one in layer.weights} for layer in model.layers}
        found[name] = {"parameters": model.count_params(), "layers": layers}
        keras.backend.clear_session()  # So that names of layers do not go on counting.
    return found


def write(folder, images, name):
    size = image_size(name)
    all_images, images = images, images[:, :size, :size]
    model = made(name, size + (5 if name.startswith("densenet") else 0))
    rng = np.random.default_rng(20160831)
    # MobileNet has no shortcuts: what depends on the image would fade from layer to layer.
    gamma = 0.75 if name.startswith("mobilenet") else 0.5
    for variable in model.weights:
        variable.assign(random_value(rng, variable, gamma))
    model.save(folder / f"{name}.h5")
    if not name.startswith("vgg"):
        model.save_weights(folder / f"{name}.weights.h5")
    inputs = with_slims_padding(model, images)
    preprocess = NETWORKS[name][2].preprocess_input
    np.save(folder / f"{name}.logits.npy", model(preprocess(inputs.copy()), training=False))
    if name in ("resnet_v1_50", "densenet_121"):
        larger = made(name, 65)
        larger.set_weights(model.get_weights())
        np.save(folder / f"{name}.65.npy", larger(preprocess(all_images[:, :65, :65].copy()), training=False))


def image_size(name):
    if name.startswith("inception"):
        return 75
    return 224 if name.startswith("vgg") else 64


def main(folder, images, *names):
    # Every weight is assigned; drawing VGG's from a distribution first takes seconds and a gigabyte.
    keras.initializers.GlorotUniform.__call__ = keras.initializers.Zeros.__call__
    if folder == "--outlines":
        with gzip.GzipFile(images, "wb", mtime=0) as file:
            file.write(json.dumps(outlines(), separators=(",", ":")).encode())
        return
    for name in names:
        write(pathlib.Path(folder), np.load(images), name)


if __name__ == "__main__":
    main(*sys.argv[1:])
