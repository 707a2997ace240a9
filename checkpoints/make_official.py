"""Writes official.json: every official release's URL, SHA-256, network, and its variables' names and shapes.

    python checkpoints/make_official.py path/to/models/research/slim

Needs slimft's dependencies and a copy of research/slim of github.com/tensorflow/models that imports
`tensorflow.compat.v1` and `tf_slim`, as it does since 2020. No checkpoint is read: each network is built
with as many classes and at the image size that its release was made with, and its variables are listed.
VGG, ResNet and Inception V1 to V3 are built by PyPI's tf-slim 1.1.0, the others by research/slim/nets.

Where the facts come from:

- URLs of all releases but three, and that VGG and ResNet V1 alone have 1000 classes, the others 1001:
  research/slim/README.md, "Pre-trained Models" and "Troubleshooting".
- URLs of MobileNet V1 0.75_224, 0.5_224 and 0.25_224: research/slim/nets/mobilenet_v1.md; of MobileNet V2 0.5 and
  0.35 and of MobileNet V3: research/slim/nets/mobilenet/README.md. Those of MobileNetEdgeTPU there need signing in,
  and nobody says what is in the archives; they are not listed.
- The image size, where the shape of a variable (of the auxiliary logits) depends on it: the
  `default_image_size` of each network in research/slim/nets.
- https: storage.googleapis.com/download.tensorflow.org is the bucket that download.tensorflow.org serves; the
  WORKSPACE of github.com/tensorflow/tensorflow names both for one file and its SHA-256, and the Yocto recipes
  for TensorFlow Lite that NXP and others publish fetch the archive of MobileNet V1 1.0_224 from there.
- SHA-256 of the archives: what other projects pin, see `SHA256` below. Their authors did not publish any. Each was
  read there; where several projects have one for an archive, they agree. For MobileNet V3's minimalistic ones there
  is none.
- File names inside the archives: the README's own examples (inception_v3.ckpt, mobilenet_v1_1.0_224.ckpt.*)
  and public scripts that unpack the others and name what they find; all four of NASNet and PNASNet hold a
  model.ckpt.*. MobileNet V3's have two checkpoints, in ``pristine`` and, of the moving averages under the
  variables' own names, in ``ema``, which is the one to use: github.com/taehoonlee/tensornets, translations/*,
  loads it, and tfhub.dev's models are made of it.
"""

import importlib
import json
import pathlib
import sys

import numpy as np

from slimft.compat import install, slim, tf
from slimft.files import write_atomically

FILE = pathlib.Path(__file__).parent / "official.json"
SOURCE = (
    "URLs: research/slim/README.md, research/slim/nets/mobilenet_v1.md and research/slim/nets/mobilenet/README.md "
    "of github.com/tensorflow/models. "
    "SHA-256: of the archives, as the files in sha256_from pin them. "
    "Variables: those of each network as tf-slim 1.1.0 or research/slim/nets builds it; see make_official.py."
)
TF_SLIM, RESEARCH = "tf_slim.nets", "nets"
HTTP_HOST, HTTPS_HOST = "http://download.tensorflow.org/", "https://storage.googleapis.com/download.tensorflow.org/"
MODELS = f"{HTTPS_HOST}models"
MOBILENET_V1 = f"{MODELS}/mobilenet_v1_2018_02_22"
MOBILENET_V2 = "https://storage.googleapis.com/mobilenet_v2/checkpoints"
MOBILENET_V3 = "https://storage.googleapis.com/mobilenet_v3/checkpoints"

# Files of projects that pin the SHA-256 of archives, at the commit where they were read.
GUILD = "github.com/guildai/packages/blob/5a149d2f1adaf9e84f5aff73488ab63ee9b2f9cf/gpkg/slim/guild.yml"
GUILD_NASNET = "github.com/guildai/packages/blob/266ca42aaae390f58b42a1a03603940a833a4bfa/gpkg/slim/guild.yml"
OPEN_MODEL_ZOO = (
    "github.com/openvinotoolkit/open_model_zoo/blob/f672dc50383de0f217c7187d305562850c0d38c0/"
    "models/public/{}/model.yml"
)
RENESAS = (
    "github.com/renesas-rz/meta-renesas-ai/blob/10e2ad5dcae6e4362203c614b60e1a8f3c278f04/"
    "meta-benchmark/recipes-benchmark/benchmark/benchmark.bb"
)
TFI = "github.com/ajbouh/tfi/blob/6e89e8c8f1ca3b285c788cc6b802fc44f9001290/README.rst"
ADVIS = "github.com/jtagscherer/advis/blob/66a36e4539de7728800aa1f71129d10d8f9a3af1/WORKSPACE"

# Of each archive for which somebody has one, and who says so.
SHA256 = {
    "vgg_16": ("de44460bf79d3da5d843946bbee82a9a872a8bf020787922914aa9a4b125126e", [GUILD]),
    "vgg_19": ("9071fd96f91e261c62378cd073897cf038a278a1fbd6c763a8f9eecf311a3cf8", [GUILD]),
    "resnet_v1_50": ("91a0dc25289e7ef648df304b15f06c43ce6f4446d08eb0168479dd2295101c73", [GUILD]),
    "resnet_v1_101": ("5d813fcf5e56e7c9c2483d73b46644394cdbb31f9f4bf7140fb2809f7aa11a19", [GUILD]),
    "resnet_v1_152": ("c89b549ada486d9c0db6d90e874a1a652d899f9b541ae9c430fee8251572181d", [GUILD]),
    "resnet_v2_50": ("2c5c3a852526d0d6e8a35829d4e50533468baaed834a0046ba430e80982ed57c", [GUILD]),
    "resnet_v2_101": ("b324d02f28839d11f382785bdf4444ec3bdccb28e1b691a4f45b8f04370e4191", [GUILD]),
    "resnet_v2_152": ("c3ec824f19b4919fc7d069dc3a2a9d0f045f35e843c563c4eeeefbedf4852867", [GUILD]),
    "inception_v1": (
        "7a620c430fcaba8f8f716241f5148c4c47c035cce4e49ef02cfbe6cd1adf96a6",
        [GUILD, OPEN_MODEL_ZOO.format("googlenet-v1-tf"), TFI],
    ),
    "inception_v2": (
        "3b9d269984402003d8330affc4e1463c0b4cfd536339ad12446a48d72477480a",
        [GUILD, OPEN_MODEL_ZOO.format("googlenet-v2-tf")],
    ),
    "inception_v3": ("9430692d3002277fa1e1a94fb82331fe5da68b9afd725c2679c21a0319933228", [GUILD, ADVIS]),
    "inception_v4": (
        "272a2b24f68b2e51f3081479df075dd62b019ccda630e998fb7f6cf314c0f304",
        [GUILD, OPEN_MODEL_ZOO.format("googlenet-v4-tf")],
    ),
    "inception_resnet_v2": ("3471bf35c5322271081346a0bdfae0aee706561b8243ec3ba2249aea2dcb8506", [GUILD]),
    "nasnet-a_mobile": ("aafa7066c238f02776da34b12fd6560e8d6784f73687ec5519d863a531335f38", [GUILD_NASNET]),
    "nasnet-a_large": ("385a9aa44f1554e1e6cedf19b4e1bfe9b14b704b32acbf8f9f4f8327d72ad3fb", [GUILD_NASNET]),
    "pnasnet-5_mobile": ("06ce8bf80d7711e820d6d1266c5b23c4820c8cabf827c65b1cfed2e4b16b5b93", [GUILD_NASNET]),
    "pnasnet-5_large": ("ce5fa64421d5285ae0a434b51d9ab142c88b3d7e542558e6c91bd4f6533d17e3", [GUILD_NASNET]),
    "mobilenet_v1_1.0_224": ("1ccb74dbd9c5f7aea879120614e91617db9534bdfaa53dfea54b7c14162e126b", [GUILD, RENESAS]),
    "mobilenet_v1_0.75_224": ("bf61b3ce7ca2d045bb35fa6ab9a68732e3531291266db4a8c7715227d7425657", [RENESAS]),
    "mobilenet_v1_0.5_224": ("0eb9be8d18dcf9466a2a2d2157e71c83cd70dc168255d76d72bfe965318db725", [RENESAS]),
    "mobilenet_v1_0.5_160": ("fb01b76ca1fb053e5f98d297e21c6c53d0d9f6a8b02ad2e88ac22b33b2adf729", [RENESAS]),
    "mobilenet_v1_0.25_224": ("eee166d4d1de004e2ee5de19a4f5045574d764ef59569dc284545f805a295074", [RENESAS]),
    "mobilenet_v1_0.25_128": ("34c52de7562259f66399993ef5ea222cc625d2e6f6f886a01fdc6cc99a0c7ee6", [RENESAS]),
    "mobilenet_v2_1.0_224": (
        "318084bc1b63d6d7b854553e09cdf77078b1c0168be27c59a0d44253b5ed49dc",
        [OPEN_MODEL_ZOO.format("mobilenet-v2-1.0-224"), RENESAS],
    ),
    "mobilenet_v2_1.4_224": (
        "a20d0c8d698502dc6a620528871c97a588885df7737556243a3412b39fce85e0",
        [GUILD, OPEN_MODEL_ZOO.format("mobilenet-v2-1.4-224"), RENESAS],
    ),
    "mobilenet_v2_0.5_224": ("813febbdbe2a7a50055ee2f6b374938aed03e2f607f63f3479622aefc4e12b00", [RENESAS]),
    "mobilenet_v2_0.35_224": ("efcc34277c52f7dd4b0b26c2f52686793f4ea5fdddc899ac5aac9eb8d5861550", [RENESAS]),
    "mobilenet_v3_large_1.0_224": ("9be8563f92022f412c82f2811d670888d6db998e2da9af3e71415fdde2f4f504", [RENESAS]),
    "mobilenet_v3_small_1.0_224": ("e60ad9f450f892ae56f8b9122ffc750d88940d9e6b63f6dc70649179fb3a9065", [RENESAS]),
}
# What the checkpoint is called in the archive, where that is not its name here.
ARCHIVED = {
    "mobilenet_v3_large_1.0_224": "model-540000",
    "mobilenet_v3_small_1.0_224": "model-388500",
    "mobilenet_v3_large_minimalistic_1.0_224": "model-342500",
    "mobilenet_v3_small_minimalistic_1.0_224": "model-498000",
    **dict.fromkeys(("nasnet-a_mobile", "nasnet-a_large", "pnasnet-5_mobile", "pnasnet-5_large"), "model.ckpt"),
}


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
    for module, name, date in (("nasnet", "nasnet-a", "04_10_2017"), ("pnasnet", "pnasnet-5", "2017_12_13")):
        for size, pixels in (("mobile", 224), ("large", 331)):
            network, release = f"{module}_{size}", f"{name}_{size}"
            build = builder(RESEARCH, f"nasnet.{module}", f"build_{network}", f"{network}_arg_scope", 1001, pixels)
            url = f"{MODELS}/{release}_{date}.tar.gz"
            yield release, network, url, f"{release}.ckpt", "tensorflow_v2", build
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
        ("0.5", "mobilenet_v2_050", "mobilenet_v2_050"),
        ("0.35", "mobilenet_v2_035", "mobilenet_v2_035"),
    ):
        name = f"mobilenet_v2_{depth}_224"
        build = builder(RESEARCH, "mobilenet.mobilenet_v2", function, "training_scope", 1001, 224)
        yield name, network, f"{MOBILENET_V2}/{name}.tgz", f"{name}.ckpt", "tensorflow_v2", build
    for function in ("large", "small", "large_minimalistic", "small_minimalistic"):
        network = f"mobilenet_v3_{function}"
        build = builder(RESEARCH, "mobilenet.mobilenet_v3", function, "training_scope", 1001, 224)
        url = f"{MOBILENET_V3}/v3-{function.replace('_', '-')}_224_1.0_float.tgz"
        yield f"{network}_1.0_224", network, url, f"{network}_1.0_224.ckpt", "tensorflow_v2", build


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
    """Names, sorted, and shapes of the variables of the network that `build` builds, without the global step."""
    with tf.Graph().as_default():
        build()
        return {v.op.name: v.shape.as_list() for v in sorted(tf.model_variables(), key=lambda v: v.op.name)}


def main() -> None:
    """Writes the file whole or not at all."""
    if len(sys.argv) != 2 or not pathlib.Path(sys.argv[1], "nets", "inception_v4.py").is_file():
        sys.exit(f"usage: {sys.argv[0]} path/to/models/research/slim (see the top of this file)")
    sys.path.insert(0, sys.argv[1])
    np.int = int  # Which research/slim's mobilenet_v3 has from older NumPy.
    install()  # research/slim's nasnet imports tensorflow.contrib.
    entries = {}
    for name, network, url, file, kind, build in releases():
        entries[name] = {**origin(name, network, url, file, kind), "variables": variables(build)}
        print(f"{name}: {len(entries[name]['variables'])} variables")
    write_atomically(FILE, compact({"source": SOURCE, "releases": entries}) + "\n")


def origin(name: str, network: str, url: str, file: str, kind: str) -> dict:
    """All that official.json has of a release but its variables."""
    http = {"http_url": url.replace(HTTPS_HOST, HTTP_HOST)} if url.startswith(HTTPS_HOST) else {}
    sha256 = dict(zip(("sha256", "sha256_from"), SHA256.get(name, ())))
    archived = {"archived": ARCHIVED[name]} if name in ARCHIVED else {}
    return {"network": network, "url": url, **http, **sha256, "file": file, **archived, "format": kind}


def compact(value, indent: str = "") -> str:
    """JSON with one line for each entry, so that what changes in it is easy to see."""
    if not isinstance(value, dict):
        return json.dumps(value, separators=(",", ":"))
    inner = indent + " "
    lines = [f"{inner}{json.dumps(key)}: {compact(item, inner)}" for key, item in value.items()]
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"


if __name__ == "__main__":
    main()
