"""The networks of TensorFlow's first tutorials: LeNet and CifarNet."""

from ..entry import Counts, Entry


def tutorial(name, scope, layers, **arguments):
    return Entry(
        name=name,
        module=name,
        arg_scope=f"{name}_arg_scope",
        scope=scope,
        classes=10,
        signature=(
            "(images, num_classes=10, is_training=False, dropout_keep_prob=0.5, prediction_fn=softmax, "
            f"scope='{scope}')"
        ),
        variables={
            f"{scope}/{layer}/{kind}": shape if kind == "weights" else shape[-1:]
            for layer, shape in layers.items()
            for kind in ("weights", "biases")
        },
        end_points=tuple(arguments["shapes"]),
        **arguments,
    )


NETWORKS = (
    tutorial(
        "lenet",
        "LeNet",
        {"conv1": (5, 5, 1, 32), "conv2": (5, 5, 32, 64), "fc3": (3136, 1024), "fc4": (1024, 10)},
        image_size=28,
        counts=Counts(8, 8, 0, 0),
        trainable=3_274_634 + 990 * 1025,  # Its layers', with 10 classes, summed up by hand.
        logits=("fc4",),
        shapes={
            "conv1": [28, 28, 32], "pool1": [14, 14, 32], "conv2": [14, 14, 64], "pool2": [7, 7, 64],
            "Flatten": [3136], "fc3": [1024], "dropout3": [1024], "Logits": [10], "Predictions": [10],
        },
        ops={"Logits": "LeNet/fc4/BiasAdd", "Predictions": "Predictions/Reshape_1"},
        features="fc3",
        channels=1024,
        sizes=(13, 28, 32),
    ),
    tutorial(
        "cifarnet",
        "CifarNet",
        {
            "conv1": (5, 5, 3, 64), "conv2": (5, 5, 64, 64), "fc3": (4096, 384), "fc4": (384, 192),
            "logits": (192, 10),
        },
        image_size=32,
        counts=Counts(10, 10, 2, 0),
        # "Convolutional Neural Networks", with 10 classes, has 1,068,298: it sees crops of 24x24, so that its fc3
        # has 2304 inputs.
        trainable=1_068_298 + (4096 - 2304) * 384 + 990 * 193,
        logits=("logits",),
        shapes={
            "conv1": [32, 32, 64], "pool1": [16, 16, 64], "conv2": [16, 16, 64], "pool2": [8, 8, 64],
            "Flatten": [4096], "fc3": [384], "fc4": [192], "Logits": [10], "Predictions": [10],
        },
        ops={"Logits": "CifarNet/logits/BiasAdd", "Predictions": "CifarNet/Predictions/Reshape_1"},
        features="fc4",
        channels=192,
        sizes=(13, 24, 32),
    ),
)  # fmt: skip
