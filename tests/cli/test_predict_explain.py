"""bin/predict --explain as a person meets it: a heat map of each image, and one line for what cannot be."""

import json

import numpy as np
import pytest
from PIL import Image

from slimft import write_checkpoint
from slimft.cli import predict
from slimft.compat import tf
from slimft.data.class_names import write_labels
from slimft.nets import get_network


@pytest.fixture
def told(tiny, tmp_path, capsys):
    """Calls the command with a checkpoint of three classes; returns status, and lines on both streams."""
    (tmp_path / "own").mkdir()
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(1)
        get_network(tiny).build(tf.zeros([1, 32, 32, 3]), 3, is_training=False)
        session.run(tf.global_variables_initializer())
        values = session.run({variable.op.name: variable for variable in tf.global_variables()})
    values["tiny/logits/biases"] = np.array([0, 0, 50], np.float32)
    write_checkpoint(tmp_path / "own" / "c.ckpt", values)
    write_labels(tmp_path / "own", ["cat", "dog", "owl"])

    def call(*arguments):
        flags = ["--model=tiny", f"--checkpoint={tmp_path}/own/c.ckpt", *map(str, arguments)]
        status = predict.main(["predict", *flags])
        captured = capsys.readouterr()
        return status, captured.out.splitlines(), captured.err.splitlines()

    return call


@pytest.fixture
def pictures(tmp_path):
    """Two images of one name in two folders, one more, and one that is broken."""
    random = np.random.default_rng(0)
    for name in ("in/a/1.png", "in/b/1.png", "in/b/2.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (40, 50, 3), np.uint8)).save(tmp_path / name)
    (tmp_path / "in/b/3.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    return tmp_path / "in"


def test_each_image_has_its_heat_map(told, pictures, tmp_path):
    heat = tmp_path / "heat"
    status, out, err = told(f"--explain={heat}", "--json", "--top=1", pictures)
    lines = list(map(json.loads, out))
    assert status == 1 and len(lines) == 3 and any("3.png" in line for line in err)
    assert [line["explained"] for line in lines] == [{"class": 2, "name": "owl"}] * 3
    files = [line["heat_map"] for line in lines]
    assert files == [str(heat / one) for one in ("a/1_heat.jpg", "b/1_heat.jpg", "b/2_heat.jpg")]
    for file in files:
        assert Image.open(file).size == (224, 224)  # Seven times what the network saw.
    # Named by themselves, both of one name keep their suffixes, and the folder's names are not in the way.
    one = tmp_path / "one"
    status, out, _ = told(f"--explain={one}", pictures / "b/1.png", pictures / "b/2.jpg")
    assert status == 0 and {path.name for path in one.iterdir()} == {"1_heat.jpg", "2_heat.jpg"}
    assert f"what speaks for class 2: {one / '1_heat.jpg'}" in out


def test_another_class_is_another_map(told, pictures, tmp_path):
    shown = {}
    for chosen in ("cat", "0", "dog"):
        status, out, _ = told(f"--explain={tmp_path / chosen}", f"--explain_class={chosen}", pictures / "a/1.png")
        assert status == 0 and out[-1].startswith(f"what speaks for class {1 if chosen == 'dog' else 0}: ")
        shown[chosen] = (tmp_path / chosen / "1_heat.jpg").read_bytes()
    assert shown["cat"] == shown["0"] != shown["dog"]


@pytest.mark.parametrize(
    "flags, line",
    [
        (["--explain_class=owl"], "--explain_class=owl is for --explain=DIR; give that too"),
        (["--explain="], "--explain= is empty; give it a value, or leave it out"),
        (["--explain=X", "--explain_class=owll"], "there is no class owll; did you mean owl?"),
        (["--explain=X", "--explain_class=3"], "there is no class 3; they are cat, dog, owl"),
        (["--explain=IN/a"], "lies in"),
    ],
)
def test_what_cannot_be(told, pictures, monkeypatch, tmp_path, flags, line):
    monkeypatch.chdir(tmp_path)
    status, out, err = told(*(flag.replace("IN", str(pictures)) for flag in flags), pictures)
    assert status == 2 and out == [] and len(err) == 1 and line in err[0]
    assert not (tmp_path / "X").exists()


def test_two_images_of_one_name_are_never_one_file(told, pictures, tmp_path):
    status, out, err = told(f"--explain={tmp_path / 'heat'}", pictures / "a/1.png", pictures / "b/1.png")
    assert status == 2 and out == [] and "two of the images are called 1.png, and their heat maps" in err[0]


def test_a_name_that_is_too_long_for_a_heat_map_is_said(told, pictures, tmp_path):
    long = pictures / "a" / f"{'x' * 248}.png"
    long.write_bytes((pictures / "a/1.png").read_bytes())
    status, out, err = told(f"--explain={tmp_path / 'heat'}", long, pictures / "a/1.png")
    assert status == 1 and any("too long for that of a heat map" in line for line in err)
    assert (tmp_path / "heat" / "1_heat.jpg").exists() and str(pictures / "a/1.png") in out
