"""DenseNet.

tests/nets/densenet_variables.json holds the variables' shapes, a dictionary a scope, of the networks that
nets/densenet.py of github.com/pudae/tensorflow-densenet builds (commit
1d282ea8aa69f73ae49f6ae24c9bdbff5f52f656, with tf_slim for tf.contrib.slim and keepdims for keep_dims) under its
densenet_arg_scope, with 1000 classes.
"""

import json
import pathlib

from ..entry import Counts, Entry

PORT = json.loads(pathlib.Path(__file__).parents[2].joinpath("densenet_variables.json").read_text(encoding="utf-8"))
BLOCKS = {121: (6, 12, 24, 16), 169: (6, 12, 32, 32)}


def flat(tree, scope):
    """The shapes of `tree`, a dictionary a scope, by whole name."""
    if isinstance(tree, list):
        return {scope: tree}
    return {name: shape for key in tree for name, shape in flat(tree[key], f"{scope}/{key}").items()}


def densenet(depth, trainable, total, channels, **arguments):
    scope, blocks = f"densenet{depth}", BLOCKS[depth]
    keys, shapes, width, size = ["conv1"], {"conv1": [112, 112, 64]}, 64, 56
    for block, layers in enumerate(blocks, start=1):
        for layer in range(1, layers + 1):
            inner = f"dense_block{block}/conv_block{layer}"
            keys += [f"{inner}/x1/Conv", f"{inner}/x1", f"{inner}/x2/Conv", f"{inner}/x2", inner]
        # Each layer adds its growth rate, 32; a transition halves channels, height and width.
        width += layers * 32
        keys.append(f"dense_block{block}")
        shapes[f"dense_block{block}"] = [size, size, width]
        if block < 4:
            width, size = width // 2, size // 2
            transition = f"transition_block{block}"
            keys += [f"{transition}/blk/Conv", f"{transition}/blk", transition]
            shapes[transition] = [size, size, width]
    layers = 1 + 2 * sum(blocks) + 3
    return Entry(
        name=f"densenet_{depth}",
        module="densenet",
        arg_scope="densenet_arg_scope",
        scope=scope,
        signature=(
            "(inputs, num_classes=1000, data_format='NHWC', is_training=True, reuse=None, spatial_squeeze=False)"
        ),
        # Each convolution has a batch_norm of its own, and there is one before the logits.
        counts=Counts(layers + 4 * (layers + 1) + 2, layers + 2 * (layers + 1) + 2, layers + 1, 2 * (layers + 1)),
        variables=flat(PORT[scope], scope),
        trainable=trainable,
        total=total,
        logits=("logits",),
        end_points=(*(f"{scope}/{key}" for key in (*keys, "logits")), "predictions"),
        shapes={
            **{f"{scope}/{key}": shape for key, shape in shapes.items()},
            f"{scope}/logits": [1, 1, 1000],
            "predictions": [1, 1, 1000],
        },
        ops={f"{scope}/logits": f"{scope}/logits/BiasAdd"},
        features=None,
        channels=channels,
        **arguments,
    )


# With 1000 classes: torchvision's numbers of parameters, which are those that are trained; Keras' count_params(),
# moving averages too.
NETWORKS = (
    densenet(121, 7_978_856, 8_062_504, 1024),
    densenet(169, 14_149_480, 14_307_880, 1664, slow=("ends",)),
)
