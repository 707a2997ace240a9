"""official.json against networks built here, published parameter counts and a real release."""

import importlib.util
import io
import json
import math
import pathlib
import re
import subprocess
import sys
import tarfile

import pytest

from slimft import CheckpointError, open_checkpoint
from slimft.checkpoint import official
from slimft.checkpoint.fetch import fetch
from slimft.checkpoint.official import ALIASES, OFFICIAL, checkpoint_directory, find_release
from slimft.nets import get_network, network_names

ROOT = pathlib.Path(__file__).resolve().parents[2]
# From research/slim's README and, for MobileNets, nets/mobilenet_v1.md and nets/mobilenet/README.md.
MODELS = "http://download.tensorflow.org/models/"
MOBILENET_V2 = "https://storage.googleapis.com/mobilenet_v2/checkpoints/"
MOBILENET_V3 = "https://storage.googleapis.com/mobilenet_v3/checkpoints/"
URLS = {
    "vgg_16": MODELS + "vgg_16_2016_08_28.tar.gz",
    "vgg_19": MODELS + "vgg_19_2016_08_28.tar.gz",
    "resnet_v1_50": MODELS + "resnet_v1_50_2016_08_28.tar.gz",
    "resnet_v1_101": MODELS + "resnet_v1_101_2016_08_28.tar.gz",
    "resnet_v1_152": MODELS + "resnet_v1_152_2016_08_28.tar.gz",
    "resnet_v2_50": MODELS + "resnet_v2_50_2017_04_14.tar.gz",
    "resnet_v2_101": MODELS + "resnet_v2_101_2017_04_14.tar.gz",
    "resnet_v2_152": MODELS + "resnet_v2_152_2017_04_14.tar.gz",
    "inception_v1": MODELS + "inception_v1_2016_08_28.tar.gz",
    "inception_v2": MODELS + "inception_v2_2016_08_28.tar.gz",
    "inception_v3": MODELS + "inception_v3_2016_08_28.tar.gz",
    "inception_v4": MODELS + "inception_v4_2016_09_09.tar.gz",
    "inception_resnet_v2": MODELS + "inception_resnet_v2_2016_08_30.tar.gz",
    "nasnet-a_mobile": MODELS + "nasnet-a_mobile_04_10_2017.tar.gz",
    "nasnet-a_large": MODELS + "nasnet-a_large_04_10_2017.tar.gz",
    "pnasnet-5_mobile": MODELS + "pnasnet-5_mobile_2017_12_13.tar.gz",
    "pnasnet-5_large": MODELS + "pnasnet-5_large_2017_12_13.tar.gz",
    "mobilenet_v1_1.0_224": MODELS + "mobilenet_v1_2018_02_22/mobilenet_v1_1.0_224.tgz",
    "mobilenet_v1_0.75_224": MODELS + "mobilenet_v1_2018_02_22/mobilenet_v1_0.75_224.tgz",
    "mobilenet_v1_0.5_224": MODELS + "mobilenet_v1_2018_02_22/mobilenet_v1_0.5_224.tgz",
    "mobilenet_v1_0.5_160": MODELS + "mobilenet_v1_2018_02_22/mobilenet_v1_0.5_160.tgz",
    "mobilenet_v1_0.25_224": MODELS + "mobilenet_v1_2018_02_22/mobilenet_v1_0.25_224.tgz",
    "mobilenet_v1_0.25_128": MODELS + "mobilenet_v1_2018_02_22/mobilenet_v1_0.25_128.tgz",
    "mobilenet_v2_1.0_224": MOBILENET_V2 + "mobilenet_v2_1.0_224.tgz",
    "mobilenet_v2_1.4_224": MOBILENET_V2 + "mobilenet_v2_1.4_224.tgz",
    "mobilenet_v2_0.5_224": MOBILENET_V2 + "mobilenet_v2_0.5_224.tgz",
    "mobilenet_v2_0.35_224": MOBILENET_V2 + "mobilenet_v2_0.35_224.tgz",
    "mobilenet_v3_large_1.0_224": MOBILENET_V3 + "v3-large_224_1.0_float.tgz",
    "mobilenet_v3_small_1.0_224": MOBILENET_V3 + "v3-small_224_1.0_float.tgz",
    "mobilenet_v3_large_minimalistic_1.0_224": MOBILENET_V3 + "v3-large-minimalistic_224_1.0_float.tgz",
    "mobilenet_v3_small_minimalistic_1.0_224": MOBILENET_V3 + "v3-small-minimalistic_224_1.0_float.tgz",
}

# Numbers of parameters, moving averages included, but without logits and auxiliary logits.
BODIES = {
    # testModelHasExpectedNumberOfParameters in research/slim's inception_v1_test.py to inception_v3_test.py.
    "inception_v1": 5_607_184,
    "inception_v2": 10_173_112,
    "inception_v3": 21_802_784,
    # count_params() of Keras Applications' models without their last layer. (Its ResNet V1 has biases more.)
    "vgg_16": 134_260_544,
    "vgg_19": 139_570_240,
    "resnet_v2_50": 23_564_800,
    "resnet_v2_101": 42_626_560,
    "resnet_v2_152": 58_331_648,
    "inception_resnet_v2": 54_336_736,
    "nasnet-a_mobile": 4_269_716,
    "nasnet-a_large": 84_916_818,
    "mobilenet_v1_1.0_224": 3_228_864,
    "mobilenet_v1_0.75_224": 1_832_976,
    "mobilenet_v1_0.5_224": 829_536,
    "mobilenet_v1_0.25_224": 218_544,
    "mobilenet_v2_1.0_224": 2_257_984,
    "mobilenet_v2_1.4_224": 4_363_712,
    "mobilenet_v2_0.5_224": 706_224,
    "mobilenet_v2_0.35_224": 410_208,
    # Likewise with the 1x1 convolution after the pooling.
    "mobilenet_v3_large_1.0_224": 4_226_432,
    "mobilenet_v3_small_1.0_224": 1_529_968,
    "mobilenet_v3_large_minimalistic_1.0_224": 2_667_688,
    "mobilenet_v3_small_minimalistic_1.0_224": 1_031_848,
}
# Of those nobody has published one.
WITHOUT_SHA256 = {"mobilenet_v3_large_minimalistic_1.0_224", "mobilenet_v3_small_minimalistic_1.0_224"}


def test_where_the_releases_are():
    assert {name: release.http_url or release.url for name, release in OFFICIAL.items()} == URLS
    for release in OFFICIAL.values():
        assert release.url.startswith("https://storage.googleapis.com/")
        if release.http_url:
            assert release.url == release.http_url.replace("http:/", "https://storage.googleapis.com")


def test_nearly_every_release_has_a_published_sha256_and_it_is_said_by_whom():
    assert {name for name, release in OFFICIAL.items() if release.sha256 is None} == WITHOUT_SHA256
    for release in (release for release in OFFICIAL.values() if release.sha256):
        assert re.fullmatch("[0-9a-f]{64}", release.sha256)
        assert release.sha256_from
        for place in release.sha256_from:
            assert re.fullmatch(r"github\.com/[\w-]+/[\w-]+/blob/[0-9a-f]{40}/[\w./-]+", place)
    assert len({release.sha256 for release in OFFICIAL.values()} - {None}) == len(OFFICIAL) - len(WITHOUT_SHA256)


def test_the_facts_are_those_of_the_script_that_writes_them():
    spec = importlib.util.spec_from_file_location("make_official", ROOT / "checkpoints" / "make_official.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    written = json.loads((ROOT / "checkpoints" / "official.json").read_text())
    assert written["source"] == script.SOURCE
    facts = {name: script.origin(name, *others) for name, *others, _ in script.releases()}
    for entry in written["releases"].values():
        entry.pop("variables")
    assert written["releases"] == facts


def test_what_the_entries_look_like():
    for name, release in OFFICIAL.items():
        stem = re.sub(r"\.tar\.gz$|\.tgz$", "", release.url.rsplit("/", 1)[1])
        assert release.name == name
        if name.startswith("mobilenet_v3"):
            assert stem == f"v3-{release.network[13:].replace('_', '-')}_224_1.0_float"
            assert re.fullmatch("model-[0-9]{6}", release.archived) and release.file == f"{name}.ckpt"
        else:
            assert stem.startswith(name)
            assert release.archived == ("model.ckpt" if "nasnet" in name else None)
            assert release.file in (f"{name}.ckpt", f"{stem}.ckpt")
        is_v2 = name.startswith(("mobilenet", "nasnet", "pnasnet"))
        assert release.format == ("tensorflow_v2" if is_v2 else "tensorflow_v1")
        assert "nasnet" in name or len({variable.split("/")[0] for variable in release.variables}) == 1
        assert list(release.variables) == sorted(release.variables)
        for shape in release.variables.values():
            assert shape and all(type(size) is int and size > 0 for size in shape)
    for alias, name in ALIASES.items():
        assert find_release(alias).name == name and alias not in OFFICIAL


HEAD = re.compile("/(fc8|logits|(Aux)?Logits/[A-Za-z0-9_]+|FC)/biases$")
AUXILIARY = ("inception_v3", "inception_v4", "inception_resnet_v2", "nasnet", "pnasnet")


def test_the_page_lists_them_all():
    page = (ROOT / "checkpoints" / "README.md").read_text()
    row = r"^\| `(.+?)` \| `(.+?)` \| (\d+) \| .+? \| `(.+?)` \| \[.+?\]\((.+?)\) \|$"
    rows = re.findall(row, page, re.MULTILINE)
    assert rows == [
        (release.name, release.network, str(len(release.variables)), release.file, release.url)
        for release in OFFICIAL.values()
    ]


def test_only_vgg_and_resnet_v1_have_no_background_class():
    for name, release in OFFICIAL.items():
        classes = 1000 if name.startswith(("vgg", "resnet_v1")) else 1001
        heads = [shape for variable, shape in release.variables.items() if HEAD.search(variable)]
        assert heads == [(classes,)] * (2 if name.startswith(AUXILIARY) else 1)


@pytest.mark.parametrize("name", BODIES)
def test_the_number_of_parameters_is_the_published_one(name):
    shapes = OFFICIAL[name].variables
    heads = re.compile(r"/(fc8|logits|Logits|AuxLogits)/|^(final_layer|aux_\d+)/")
    assert sum(math.prod(shapes[variable]) for variable in shapes if not heads.search(variable)) == BODIES[name]


def test_the_names_by_which_the_official_files_are_known():
    # The oddest of them, as the code that restores the files has them.
    for name, variable, shape in (
        ("inception_v1", "InceptionV1/Mixed_5b/Branch_2/Conv2d_0a_3x3/weights", (3, 3, 32, 128)),
        ("inception_v4", "InceptionV4/AuxLogits/Aux_logits/biases", (1001,)),
        ("resnet_v2_50", "resnet_v2_50/block1/unit_1/bottleneck_v2/shortcut/biases", (256,)),
        ("mobilenet_v2_1.4_224", "MobilenetV2/Conv_1/weights", (1, 1, 448, 1792)),
    ):
        assert OFFICIAL[name].variables[variable] == shape
    # github.com/tensorflow/models/issues/5824 shows which of its variables in order this one is.
    assert list(OFFICIAL["resnet_v1_50"].variables)[265] == "resnet_v1_50/logits/biases"
    for name in ("inception_v1", "inception_v2", "inception_v3", "inception_v4", "inception_resnet_v2"):
        assert not [variable for variable in OFFICIAL[name].variables if variable.endswith("/gamma")]


def test_every_network_that_names_its_release_is_in_it():
    for network in network_names():
        spec = get_network(network)
        if spec.official_checkpoint is not None:
            release = find_release(spec.official_checkpoint)
            of = get_network(release.network)
            assert of.scope == spec.scope and (of == spec or spec.task == "segmentation")
            assert all(map(spec.has, release.variables))


def built(function, arg_scope, size, classes):
    from slimft.compat import slim, tf

    with tf.Graph().as_default():
        with slim.arg_scope(arg_scope):
            function(tf.placeholder(tf.float32, [1, size, size, 3]), num_classes=classes)
        return {variable.op.name: tuple(variable.shape.as_list()) for variable in tf.global_variables()}


@pytest.mark.parametrize("name", ["vgg_16", "vgg_19", "resnet_v1_50"])
def test_the_networks_of_slimft_have_these_variables(name):
    spec = get_network(name)
    assert built(spec.function, spec.arg_scope(), 224, 1000) == OFFICIAL[name].variables


@pytest.mark.parametrize(
    ("name", "size"), [("vgg_16", 224), ("resnet_v2_50", 64), ("inception_v1", 224), ("inception_v3", 299)]
)
def test_the_networks_of_tf_slim_have_these_variables(name, size):
    importlib.import_module("slimft.compat")
    module = importlib.import_module(f"tf_slim.nets.{re.sub('_[0-9]+$', '', name)}")
    if name.startswith("resnet"):
        scope = importlib.import_module("tf_slim.nets.resnet_utils").resnet_arg_scope()
    else:
        scope = getattr(module, "vgg_arg_scope" if name == "vgg_16" else f"{name}_arg_scope")()
    classes = 1000 if name == "vgg_16" else 1001
    assert built(getattr(module, name), scope, size, classes) == OFFICIAL[name].variables


@pytest.mark.real
def test_a_real_release_is_as_described(shared):
    checkpoint = open_checkpoint(shared / "checkpoints" / "mobilenet_v1_1.0_224.ckpt")
    release = OFFICIAL["mobilenet_v1_1.0_224"]
    assert checkpoint.format == release.format
    assert {name: checkpoint.shape(name) for name in checkpoint if name != "global_step"} == release.variables
    assert len(release.variables) == 137


@pytest.mark.real
def test_a_real_trunk_is_as_described(shared):
    checkpoint = open_checkpoint(shared / "checkpoints" / "vgg_16_hed.ckpt")
    extras = {"global_step", "vgg_16/mean_rgb"}
    trunk = {name: shape for name, shape in OFFICIAL["vgg_16"].variables.items() if "/conv" in name}
    assert {name: checkpoint.shape(name) for name in checkpoint if name not in extras} == trunk


@pytest.mark.real
def test_a_real_release_is_fetched_and_a_damaged_one_is_not(shared, serve, ranged_file, tmp_path, monkeypatch):
    release = OFFICIAL["mobilenet_v1_1.0_224"]
    files = sorted((shared / "checkpoints").glob(f"{release.file}.*"))
    contents = {f"./{file.name}": file.read_bytes() for file in files}

    def archive():
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as tar:
            for name, data in contents.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
        return out.getvalue()

    server = ranged_file(archive())
    # The files are real, but not the archive.
    entry = {**vars(release), "url": serve(server, f"{release.name}.tgz"), "sha256": None, "http_url": None}
    monkeypatch.setattr(official, "_read", lambda: {release.name: official.Release(**entry)})
    path = fetch("mobilenet_v1", tmp_path)
    names = [*(file.name for file in files), f"{release.file}.sha256"]
    assert sorted(file.name for file in tmp_path.iterdir()) == names
    assert open_checkpoint(path).shape("MobilenetV1/Logits/Conv2d_1c_1x1/biases") == (1001,)
    name, data = max(contents.items(), key=lambda item: len(item[1]))
    contents[name] = data[:9_000_000] + bytes([data[9_000_000] ^ 1]) + data[9_000_001:]
    server.data = archive()
    with pytest.raises(CheckpointError, match="checksum"):
        fetch("mobilenet_v1", tmp_path / "again")
    assert not list((tmp_path / "again").iterdir())


def test_the_file_is_not_read_before_it_is_asked_for(run_python):
    run_python(
        "import sys, slimft.checkpoint, slimft.cli.fetch_checkpoint, slimft.cli.finetune\n"
        "from slimft.checkpoint import official\n"
        "assert official._read.cache_info().misses == 0 and 'tensorflow' not in sys.modules\n"
        "assert 'vgg_16' in official.OFFICIAL and official._read.cache_info().misses == 1"
    )


def test_a_file_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    for text in (None, "{", "[]", '{"source": ""}'):
        if text is not None:
            (tmp_path / "official.json").write_text(text)
        monkeypatch.setattr(official, "_INSTALLED", tmp_path / "official.json")
        monkeypatch.setattr(official, "_CHECKOUT", tmp_path / "official.json")
        monkeypatch.setattr(official, "_read", official._read.__wrapped__)
        with pytest.raises(CheckpointError, match=f"{tmp_path}/official.json.*cannot be read"):
            find_release("vgg_16")
        monkeypatch.undo()


def test_where_checkpoints_are_looked_for(tmp_path, monkeypatch):
    for variable in ("SLIMFT_CHECKPOINTS", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert checkpoint_directory() == ROOT / "checkpoints"
    (tmp_path / "official.json").touch()
    monkeypatch.setattr(official, "_INSTALLED", tmp_path / "official.json")
    assert checkpoint_directory() == tmp_path / ".cache/slimft/checkpoints"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert checkpoint_directory() == tmp_path / ".cache/slimft/checkpoints"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert checkpoint_directory() == tmp_path / "cache/slimft/checkpoints"
    monkeypatch.setenv("SLIMFT_CHECKPOINTS", "~/mine")
    assert checkpoint_directory() == tmp_path / "mine"


def test_a_built_package_has_the_file(tmp_path):
    pytest.importorskip("setuptools")
    folders = "--build-base", str(tmp_path), "--build-lib", str(tmp_path)
    subprocess.run([sys.executable, "setup.py", "-q", "build", *folders], cwd=ROOT, check=True, capture_output=True)
    there = tmp_path / "slimft" / "checkpoint" / "official.json"
    assert json.loads(there.read_text()) == json.loads((ROOT / "checkpoints" / "official.json").read_text())
