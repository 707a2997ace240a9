"""Writes official.json: every official release's URL, network, and its variables' names and shapes.

    python checkpoints/make_official.py path/to/models/research/slim

Needs slimft's dependencies and a copy of research/slim of github.com/tensorflow/models that imports
`tensorflow.compat.v1` and `tf_slim`, as it does since 2020. No checkpoint is read: each network is built
with as many classes and at the image size that its release was made with, and its variables are listed.
VGG, ResNet and Inception V1 to V3 are built by PyPI's tf-slim 1.1.0, the others by research/slim/nets.

Where the facts come from:

- URLs of all releases but three, and that VGG and ResNet V1 alone have 1000 classes, the others 1001:
  research/slim/README.md, "Pre-trained Models" and "Troubleshooting".
- URLs of MobileNet V1 0.75_224, 0.5_224 and 0.25_224: research/slim/nets/mobilenet_v1.md.
- The image size, where the shape of a variable (of the auxiliary logits) depends on it: the
  `default_image_size` of each network in research/slim/nets.
- File names inside the archives: the README's own examples (inception_v3.ckpt, mobilenet_v1_1.0_224.ckpt.*)
  and public scripts that unpack the others and name what they find.
"""

import importlib
import json
import pathlib
import sys

from slimft.compat import slim, tf
from slimft.files import write_atomically

FILE = pathlib.Path(__file__).parent / "official.json"
SOURCE = (
    "URLs: research/slim/README.md and research/slim/nets/mobilenet_v1.md of github.com/tensorflow/models. "
    "Variables: those of each network as tf-slim 1.1.0 or research/slim/nets builds it; see make_official.py."
)
TF_SLIM, RESEARCH = "tf_slim.nets", "nets"
MODELS = "http://download.tensorflow.org/models"
MOBILENET_V1 = f"{MODELS}/mobilenet_v1_2018_02_22"
MOBILENET_V2 = "https://storage.googleapis.com/mobilenet_v2/checkpoints"


def releases():
    """Yields name, network, URL, file, format and the function that builds the network, of each release."""
    for name in ("vgg_16", "vgg_19"):
        build = builder(TF_SLIM, "vgg", name, "vgg_arg_scope", 1000, 224)
        yield name, name, f"{MODELS}/{name}_2016_08_28.tar.gz", f"{name}.ckpt", "tensorflow_v1", build
    for module, date, classes in (("resnet_v1", "2016_08_28", 1000), ("resnet_v2", "2017_04_14", 1001)):
        for depth in (50, 101, 152):
            name = f"{module}_{depth}"
            build = builder(TF_SLIM, module, name, None, classes, 224)
            yield name, name, f"{MODELS}/{name}_{date}.tar.gz", f"{name}.ckpt", "tensorflow_v1", build
    for name, date, package, size in (
        ("inception_v1", "2016_08_28", TF_SLIM, 224),
        ("inception_v2", "2016_08_28", TF_SLIM, 224),
        ("inception_v3", "2016_08_28", TF_SLIM, 299),
        ("inception_v4", "2016_09_09", RESEARCH, 299),
        ("inception_resnet_v2", "2016_08_30", RESEARCH, 299),
    ):
        # The one archive whose file carries the date.
        file = f"{name}_{date}.ckpt" if name == "inception_resnet_v2" else f"{name}.ckpt"
        build = builder(package, name, name, f"{name}_arg_scope", 1001, size)
        yield name, name, f"{MODELS}/{name}_{date}.tar.gz", file, "tensorflow_v1", build
    for depth, size, network in (
        ("1.0", 224, "mobilenet_v1"),
        ("0.75", 224, "mobilenet_v1_075"),
        ("0.5", 224, "mobilenet_v1_050"),
        ("0.5", 160, "mobilenet_v1_050"),
        ("0.25", 224, "mobilenet_v1_025"),
        ("0.25", 128, "mobilenet_v1_025"),
    ):
        name = f"mobilenet_v1_{depth}_{size}"
        build = builder(RESEARCH, "mobilenet_v1", network, "mobilenet_v1_arg_scope", 1001, size)
        yield name, network, f"{MOBILENET_V1}/{name}.tgz", f"{name}.ckpt", "tensorflow_v2", build
    for depth, network, function in (
        ("1.0", "mobilenet_v2", "mobilenet"),
        ("1.4", "mobilenet_v2_140", "mobilenet_v2_140"),
    ):
        name = f"mobilenet_v2_{depth}_224"
        build = builder(RESEARCH, "mobilenet.mobilenet_v2", function, "training_scope", 1001, 224)
        yield name, network, f"{MOBILENET_V2}/{name}.tgz", f"{name}.ckpt", "tensorflow_v2", build


def builder(package: str, module: str, function: str, arg_scope: str | None, classes: int, size: int):
    """A function that builds a network in the default graph."""

    def build():
        network = importlib.import_module(f"{package}.{module}")
        if arg_scope is None:
            scope = importlib.import_module(f"{package}.resnet_utils").resnet_arg_scope()
        else:
            scope = getattr(network, arg_scope)()
        with slim.arg_scope(scope):
            getattr(network, function)(tf.placeholder(tf.float32, [1, size, size, 3]), num_classes=classes)

    return build


def variables(build) -> dict[str, list[int]]:
    """Names, sorted, and shapes of the variables of the network that `build` builds."""
    with tf.Graph().as_default():
        build()
        return {v.op.name: v.shape.as_list() for v in sorted(tf.global_variables(), key=lambda v: v.op.name)}


def main() -> None:
    """Writes the file whole or not at all."""
    if len(sys.argv) != 2 or not pathlib.Path(sys.argv[1], "nets", "inception_v4.py").is_file():
        sys.exit(f"usage: {sys.argv[0]} path/to/models/research/slim (see the top of this file)")
    sys.path.insert(0, sys.argv[1])
    entries = {}
    for name, network, url, file, kind, build in releases():
        entry = {"network": network, "url": url, "file": file, "format": kind, "variables": variables(build)}
        entries[name] = entry
        print(f"{name}: {len(entry['variables'])} variables")
    write_atomically(FILE, compact({"source": SOURCE, "releases": entries}) + "\n")


def compact(value, indent: str = "") -> str:
    """JSON with one line for each entry, so that what changes in it is easy to see."""
    if not isinstance(value, dict):
        return json.dumps(value, separators=(",", ":"))
    inner = indent + " "
    lines = [f"{inner}{json.dumps(key)}: {compact(item, inner)}" for key, item in value.items()]
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"


if __name__ == "__main__":
    main()
