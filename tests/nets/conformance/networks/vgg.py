"""VGG: configurations A, D and E, and that of POSTECH's course."""

from ..entry import Counts, Entry, TfSlim

WIDTHS = (64, 128, 256, 512, 512)


def variables_of(name, convolutions):
    """The variables of `convolutions` 3x3 layers a block, by the paper's table 1."""
    layers, channels = {}, 3
    for block, (repetitions, width) in enumerate(zip(convolutions, WIDTHS), start=1):
        for layer in range(1, repetitions + 1):
            layers[f"conv{block}/conv{block}_{layer}"] = (3, 3, channels, width)
            channels = width
    layers |= {"fc6": (7, 7, 512, 4096), "fc7": (1, 1, 4096, 4096), "fc8": (1, 1, 4096, 1000)}
    return {
        f"{name}/{layer}/{kind}": shape if kind == "weights" else shape[-1:]
        for layer, shape in layers.items()
        for kind in ("weights", "biases")
    }


def vgg(name, convolutions, parameters, **arguments):
    end_points, shapes = [], {}
    for block, (repetitions, width) in enumerate(zip(convolutions, WIDTHS), start=1):
        size = 448 // 2**block
        end_points += [f"conv{block}/conv{block}_{layer}" for layer in range(1, repetitions + 1)]
        shapes[end_points[-1]] = [size, size, width]
        end_points.append(f"pool{block}")
        shapes[f"pool{block}"] = [size // 2, size // 2, width]
    shapes |= {"fc6": [1, 1, 4096], "fc7": [1, 1, 4096], "fc8": [1000]}
    ops = {
        "conv5/conv5_2": "conv5/conv5_2/Relu",
        "pool5": "pool5/MaxPool",
        "fc6": "fc6/Relu",
        "fc7": "fc7/Relu",
        "fc8": "fc8/squeezed",
    }
    layers = sum(convolutions) + 3
    return Entry(
        name=name,
        module="vgg",
        arg_scope="vgg_arg_scope",
        signature=(
            "(inputs, num_classes=1000, is_training=True, dropout_keep_prob=0.5, spatial_squeeze=True, "
            f"reuse=None, scope='{name}', fc_conv_padding='VALID', global_pool=False"
            + (", fc_width=4096" if name == "vgg_16" else "")  # Ours alone, for the FCNs.
            + ", final_endpoint=None)"  # Ours alone.
        ),
        counts=Counts(2 * layers, 2 * layers, layers, 0),
        variables=variables_of(name, convolutions),
        trainable=parameters,
        total=parameters,
        logits=("fc8",),
        end_points=tuple(f"{name}/{key}" for key in (*end_points, "fc6", "fc7", "fc8")),
        shapes={f"{name}/{key}": shape for key, shape in shapes.items()},
        ops={f"{name}/{key}": f"{name}/{op}" for key, op in ops.items()},
        features="global_pool",
        channels=4096,
        **arguments,
    )


# As published, with 1000 classes: torchvision's number of parameters of vgg11, Keras' count_params() of VGG16 and
# VGG19. The last is VGG-19 with one more convolution of 128 filters and two of 512.
VGG_19 = 143_667_240
POSTECH = VGG_19 + (9 * 128 + 1) * 128 + 2 * (9 * 512 + 1) * 512
SIZES = (32, 64, 223, 224, 255, 256, 320)
AT_224 = TfSlim(logits_at=((224, False),), any_size=True)
NETWORKS = (
    vgg("vgg_a", (1, 1, 2, 2, 2), 132_863_336, sizes=SIZES, tf_slim=TfSlim(any_size=True)),
    vgg("vgg_16", (2, 2, 3, 3, 3), 138_357_544, tf_slim=AT_224, keras=True),
    vgg("vgg_19", (2, 2, 4, 4, 4), VGG_19, tf_slim=AT_224, keras=True, slow=("logits",)),
    vgg("vgg_postech", (2, 3, 4, 5, 5), POSTECH),
)
