"""VGG as courses pass it on, written by NumPy in those files' layouts; the reference is NumPy's arithmetic."""

import numpy as np
import pytest

import slimft
from slimft.checkpoint.official import OFFICIAL
from slimft.conversion import conversion_advice, converted

BLOCKS = {"vgg_16": (2, 2, 3, 3, 3), "vgg_19": (2, 2, 4, 4, 4)}
MEANS = np.float32([123.68, 116.779, 103.939])


def layers_of(network, top, rng):
    """Weights and biases by Caffe's names, random, at a scale at which activations keep their size."""
    layers, inputs = {}, 3
    for block, number in enumerate(BLOCKS[network], start=1):
        for i in range(1, number + 1):
            outputs = min(512, 32 << block)
            layers[f"conv{block}_{i}"] = (3, 3, inputs, outputs)
            inputs = outputs
    layers |= {"fc6": (25088, 4096), "fc7": (4096, 4096), "fc8": (4096, 1000)} if top else {}
    made = {}
    for name, shape in layers.items():
        kernel = rng.random(shape, dtype=np.float32)
        kernel -= 0.5
        kernel *= np.float32(np.sqrt(24 / np.prod(shape[:-1])))
        made[name] = [kernel, rng.random(shape[-1], dtype=np.float32) - np.float32(0.5)]
    return made


def forward(layers, images):
    """What the files' own networks compute of images as they take them, up to conv5's last or fc8."""
    net, last = images, None
    for name, (kernel, bias) in layers.items():
        if name.startswith("conv"):
            if last is not None and name[4] != last[4]:
                net = pooled(net)
            padded = np.pad(net, [(0, 0), (1, 1), (1, 1), (0, 0)])
            height, width = net.shape[1:3]
            net = sum(padded[:, y : y + height, x : x + width] @ kernel[y, x] for y in range(3) for x in range(3))
            net = np.maximum(net + bias, 0)
        else:
            net = pooled(net) if name == "fc6" else net
            net = net.reshape(len(net), -1) @ kernel + bias
            net = np.maximum(net, 0) if name != "fc8" else net
        last = name
    return net


def pooled(net):
    count, height, width, channels = net.shape
    return net.reshape(count, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))


def write(file, layers):
    if file.suffix == ".npz":
        np.savez(file, **{f"{n}_{part}": value for n, pair in layers.items() for part, value in zip("Wb", pair)})
    else:
        np.save(file, layers, allow_pickle=True)
    return slimft.open_checkpoint(file)


def as_they_take(file, images):
    """vgg16.npy's networks take BGR, vgg16_weights.npz' RGB; both subtract Caffe's means."""
    return images - MEANS if file.suffix == ".npz" else (images - MEANS)[..., ::-1]


@pytest.fixture(scope="module")
def conv5(images):
    """conv5's last activations of a network here, restored from a checkpoint."""
    from slimft.compat import tf
    from slimft.data.preprocessing import PREPROCESSING
    from slimft.nets import get_network

    def run(network, checkpoint):
        with tf.Graph().as_default(), tf.Session() as session:
            spec = get_network(network)
            inputs = PREPROCESSING[spec.preprocessing](tf.constant(images[:, :32, :32]))
            _, end_points = spec.build(inputs, 7, is_training=False)
            slimft.restore(session, checkpoint, exclude=[f"{network}/fc{i}" for i in (6, 7, 8)])
            return session.run(end_points[f"{network}/conv5/conv5_{BLOCKS[network][-1]}"])

    return run


@pytest.mark.parametrize(
    "network, name", [("vgg_16", "vgg16.npy"), ("vgg_16", "vgg16_weights.npz"), ("vgg_19", "vgg19.npy")]
)
def test_convolutions(tmp_path, images, conv5, assert_close, network, name):
    file = tmp_path / name
    layers = layers_of(network, False, np.random.default_rng(1))
    checkpoint = converted(write(file, layers), network)
    assert len(checkpoint) == 2 * sum(BLOCKS[network])
    assert any(("BGR" if name.endswith("npy") else "RGB") in note for note in checkpoint.notes)
    assert any("fc6" in note and "left out" in note for note in checkpoint.notes)
    expected = forward(layers, as_they_take(file, images[:, :32, :32]))
    # Most of the difference: TF-Slim subtracts 116.78 and 103.94.
    assert_close(conv5(network, checkpoint), expected, within=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vgg16.npy", "vgg16_weights.npz"])
def test_logits(tmp_path, images, run_network, assert_close, name):
    file = tmp_path / name
    layers = layers_of("vgg_16", True, np.random.default_rng(2))
    checkpoint = converted(write(file, layers), "vgg_16")
    assert {name: checkpoint.shape(name) for name in checkpoint} == OFFICIAL["vgg_16"].variables
    expected = forward(layers, as_they_take(file, images))
    del layers
    assert_close(run_network("vgg_16", checkpoint, 224, 1000).logits, expected, within=1e-4)


def test_rows_of_dense_layers_are_positions_row_by_row(tmp_path):
    layers = layers_of("vgg_16", False, np.random.default_rng(3))
    kernel = np.zeros((25088, 4096), np.float32)
    rng = np.random.default_rng(4)
    places = [(int(r), int(c)) for r, c in zip(rng.integers(25088, size=50), rng.integers(4096, size=50))]
    for value, place in enumerate(places, start=1):
        kernel[place] = value
    arrays = {f"{n}_{part}": value for n, pair in layers.items() for part, value in zip("Wb", pair)}
    np.savez_compressed(tmp_path / "w.npz", **arrays, fc6_W=kernel, fc6_b=np.zeros(4096, np.float32))
    del kernel
    checkpoint = converted(slimft.open_checkpoint(tmp_path / "w.npz"), "vgg_16")
    found = checkpoint["vgg_16/fc6/weights"]
    assert found.shape == (7, 7, 512, 4096)
    for value, (row, column) in enumerate(places, start=1):
        assert found[row // (7 * 512), row // 512 % 7, row % 512, column] == value


def alexnet(file):
    """The layout of bvlc_alexnet.npy, conv2, conv4 and conv5 of two groups; the dense layers smaller."""
    shapes = {
        "conv1": (11, 11, 3, 96),
        "conv2": (5, 5, 48, 256),
        "conv3": (3, 3, 256, 384),
        "conv4": (3, 3, 192, 384),
        "conv5": (3, 3, 192, 256),
        "fc6": (92, 40),
        "fc7": (40, 40),
        "fc8": (40, 10),
    }
    return write(file, {n: [np.ones(s, np.float32), np.ones(s[-1], np.float32)] for n, s in shapes.items()})


def test_caffes_alexnet_is_listed_and_said_to_be_another_network(tmp_path, capsys):
    from slimft.cli.convert_checkpoint import main

    checkpoint = alexnet(tmp_path / "bvlc_alexnet.npy")
    assert checkpoint.shape("conv2/0") == (5, 5, 48, 256) and len(checkpoint) == 16
    reason = r"another network than alexnet_v2: its conv2, conv4 and conv5 are grouped convolutions"
    for network in ("alexnet_v2", "vgg_16"):
        with pytest.raises(slimft.CheckpointError, match=reason):
            converted(checkpoint, network)
    assert "another network than alexnet_v2" in conversion_advice(checkpoint)
    arguments = ["convert_checkpoint", str(tmp_path / "bvlc_alexnet.npy"), str(tmp_path / "a.ckpt")]
    assert main([*arguments, "--model=alexnet_v2"]) == 2
    assert "grouped convolutions" in capsys.readouterr().err


def test_files_of_the_other_network_and_with_more(tmp_path):
    layers = layers_of("vgg_19", False, np.random.default_rng(5))
    source = write(tmp_path / "vgg19.npy", layers)
    with pytest.raises(slimft.CheckpointError, match="has the layer conv3_4, .* give --model=vgg_19"):
        converted(source, "vgg_16")
    layers["extra"] = [np.ones(3)]
    with pytest.raises(slimft.CheckpointError, match="has the layer extra/0, which the network has not"):
        converted(write(tmp_path / "more.npy", layers), "vgg_19")
    assert "weights of Caffe; convert them first" in conversion_advice(source)
