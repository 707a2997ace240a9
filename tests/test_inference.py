"""How a checkpoint is used: which run it is of, and what comes from there, from its names, or from arguments."""

import json
import os
import shutil

import numpy as np
import pytest

import slimft
from slimft import CheckpointError, DataError, UsageError, open_checkpoint, write_checkpoint
from slimft.checkpoint.averages import averaged
from slimft.checkpoint.view import CheckpointView
from slimft.compat import tf
from slimft.data.class_names import write_labels
from slimft.inference import count_classes, find_class_names, find_network, run_of
from slimft.nets import get_network
from slimft.runs.settings import Settings
from slimft.runs.settings_file import save_settings

CLASSES = ("ant", "bee", "cat")


def values_of(num_classes=3, size=16, head="linear", seed=0):
    """Random values for the variables of `tiny`."""
    with tf.Graph().as_default():
        get_network("tiny").build(tf.zeros([1, size, size, 3]), num_classes, is_training=False, head=head)
        shapes = {variable.op.name: variable.shape.as_list() for variable in tf.global_variables()}
    rng = np.random.default_rng(seed)
    return {name: rng.uniform(0.5, 2, shape).astype(np.float32) for name, shape in shapes.items()}


def write_step(folder, step, values):
    """Writes a checkpoint as a run does, with TensorFlow's state file."""
    folder.mkdir(exist_ok=True)
    write_checkpoint(folder / f"model.ckpt-{step}", {**values, "global_step": np.int64(step)})
    (folder / "checkpoint").write_text(f'model_checkpoint_path: "model.ckpt-{step}"\n')
    return folder / f"model.ckpt-{step}"


@pytest.fixture
def run(tiny, tmp_path):
    """The directory of a run: step 5 is the best, step 7 the newest; moving averages, a head, 16x16 pixels."""
    return make_run(tmp_path / "runs" / "first")


def make_run(folder, **settings):
    folder.mkdir(parents=True)
    given = {"model": "tiny", "image_size": 16, "head": "mlp", "ema": 0.9, "dataset": "digits", **settings}
    save_settings(Settings(train_dir=str(folder), **given))
    write_labels(folder, CLASSES)
    values = values_of(head=given["head"])
    if given["ema"]:
        values.update({f"{name}/ExponentialMovingAverage": value / 2 for name, value in values.items()})
    write_step(folder / "best", 5, values)
    write_step(folder, 7, values)
    return folder


def test_every_way_to_name_a_checkpoint_of_a_run(run, tmp_path, monkeypatch):
    opened = open_checkpoint(run)
    ways = [
        run,
        f"{run}/",
        run / "model.ckpt-7",
        run / "model.ckpt-7.index",
        f"{run}/model.ckpt-7.data-00000-of-00001",
        run / "checkpoint",
        run / "best",
        f"{run}/best/",
        run / "best" / "model.ckpt-5",
        run / "best/checkpoint",
        run / "../first/best/..",
        opened,
        averaged(opened),
        CheckpointView(opened, {name: name for name in opened}),
    ]
    for way in ways:
        assert os.path.samefile(run_of(way), run), way
    assert run_of(str(run)) == run_of(run / "model.ckpt-7") == run_of(run / "best") == run
    monkeypatch.chdir(run.parent)
    monkeypatch.setenv("HOME", str(run.parent))
    assert str(run_of("first")) == str(run_of("first/model.ckpt-7")) == str(run_of("first/best/")) == "first"
    assert run_of("~/first/best") == run
    monkeypatch.chdir(run / "best")
    assert all(os.path.samefile(run_of(way), run) for way in (".", "model.ckpt-5", "..", "../best", "./checkpoint"))


def test_links_to_checkpoints_of_a_run(run, tmp_path):
    (tmp_path / "run").symlink_to(run)
    (tmp_path / "chosen").symlink_to(run / "best")
    (tmp_path / "loose").mkdir()
    for file in run.glob("model.ckpt-7.*"):
        (tmp_path / "loose" / file.name).symlink_to(file)
    assert run_of(tmp_path / "run" / "best") == tmp_path / "run"
    for way in ("run", "chosen", "chosen/model.ckpt-5", "loose/model.ckpt-7"):
        assert os.path.samefile(run_of(tmp_path / way), run), way
        assert find_network(checkpoint=tmp_path / way).image_size == 16
    # A run whose best lies elsewhere.
    shutil.move(run / "best", tmp_path / "elsewhere")
    (run / "best").symlink_to(tmp_path / "elsewhere")
    assert run_of(run / "best" / "model.ckpt-5") == run
    # And one that is in another's directory, by a link: it is the one's that wrote it.
    other = make_run(tmp_path / "runs" / "second")
    (other / "first").symlink_to(run)
    for file in run.glob("model.ckpt-7.*"):
        (other / file.name).unlink()
        (other / file.name).symlink_to(file)
    assert os.path.samefile(run_of(other / "model.ckpt-7"), run)


def test_what_is_of_no_run(run, tmp_path, monkeypatch):
    alone = tmp_path / "alone"
    alone.mkdir()
    for file in run.glob("model.ckpt-7.*"):
        shutil.copy(file, alone)
    (alone / "best").mkdir()
    assert run_of(alone) is run_of(alone / "model.ckpt-7") is run_of(alone / "best") is None
    assert run_of(run / "model.ckpt-9") is run_of("") is run_of(tmp_path / "nowhere" / "model.ckpt") is None
    (alone / "settings.json").write_text('{"editor.fontSize": 12}')  # Another program's.
    assert run_of(alone / "model.ckpt-7") is None
    (alone / "settings.json").write_text('{"model": "tiny"')  # A run's, but damaged.
    with pytest.raises(slimft.SlimftError, match="settings.json is no JSON"):
        find_network("tiny", alone / "model.ckpt-7")
    # The name of a release, where a run is all around.
    monkeypatch.chdir(run)
    assert run_of("vgg_16") is None


@pytest.mark.parametrize("place", ["", "model.ckpt-7", "best", "best/model.ckpt-5"])
def test_a_runs_checkpoint_is_used_as_the_run_used_it(run, place):
    for model in (None, "tiny"):
        network = find_network(model, run / place)
        assert (network.spec.name, network.image_size, network.head) == ("tiny", 16, "mlp")
        assert network.averages and network.classes.names == CLASSES and network.run == run
        expected = values_of(head="mlp")["tiny/conv1/weights"] / 2
        np.testing.assert_array_equal(network.checkpoint["tiny/conv1/weights"], expected)
        assert network.describe() == (
            f"tiny, image size 16, head mlp, 3 classes (names: {run}/labels.txt), the weights' moving averages: as "
            f"in the run {run}"
        )
    given = find_network(checkpoint=run / place, image_size=32, averages=False, precision="bfloat16")
    assert (given.image_size, given.averages, given.precision) == (32, False, "bfloat16")
    assert "image size 32 (the run's is 16)" in given.describe()


def test_a_run_that_was_moved(run, tmp_path):
    shutil.move(run, tmp_path / "moved")
    for arguments in ({"train_dir": tmp_path / "moved"}, {"checkpoint": tmp_path / "moved" / "best"}):
        network = find_network(**arguments)
        assert network.run == tmp_path / "moved" and network.checkpoint.path.startswith(str(tmp_path / "moved"))


def test_the_precision_of_a_run(tiny, tmp_path):
    assert find_network(train_dir=make_run(tmp_path / "run", precision="bfloat16")).precision == "bfloat16"


@pytest.mark.parametrize("patience, step", [(0, 7), (3, 5)])
def test_what_a_run_ended_with(tiny, tmp_path, patience, step):
    """The same for --train_dir=RUN and --checkpoint=RUN; a checkpoint beside --train_dir is the one it names."""
    run = make_run(tmp_path / "run", patience=patience)
    words = {7: "the newest, which the run ended with", 5: "the best in validation, which the run ended with"}
    for arguments in ({"train_dir": run}, {"checkpoint": str(run)}, {"train_dir": f"{run}/"}):
        network = find_network(**arguments)
        assert network.checkpoint["global_step"] == step
        assert network.notes == (f"checkpoint {network.checkpoint.path}: {words[step]}",)
    for arguments in ({"train_dir": run / "best"}, {"train_dir": run, "checkpoint": run / "best"}):
        network = find_network(**arguments)
        assert network.checkpoint["global_step"] == 5 and network.run == run
        assert network.notes == (f"checkpoint {run}/best/model.ckpt-5: the best in validation",)
    assert find_network(train_dir=run, checkpoint=run).checkpoint["global_step"] == 7
    write_step(run, 9, values_of(head="mlp"))
    [note] = find_network(checkpoint=run / "model.ckpt-7", averages=True).notes
    assert note == f"checkpoint {run}/model.ckpt-7: not the newest, which is {run}/model.ckpt-9"


def test_contradictions(run, tmp_path):
    other = make_run(tmp_path / "runs" / "second")
    shutil.copytree(run, tmp_path / "copy", ignore=shutil.ignore_patterns("settings.json", "labels.txt"))
    for arguments, words in (
        ({"model": "vgg_16", "checkpoint": run}, "--model=vgg_16: .* is of a run of tiny"),
        ({"model": "vgg_16", "train_dir": run}, "--model=vgg_16: .* is of a run of tiny"),
        ({"train_dir": run, "checkpoint": other}, "is of the run in .*second, not of that in --train_dir=.*first"),
        ({"train_dir": run, "checkpoint": other / "best"}, "is of the run in .*second, not of that in"),
        ({"train_dir": tmp_path}, "settings.json is missing"),
        ({"train_dir": run, "image_size": 7}, "--image_size=7 is too small for tiny, which needs at least 8"),
        ({"model": "tiny"}, "--checkpoint is missing"),
        ({}, "--model is missing"),
        ({"checkpoint": tmp_path / "copy"}, "--model is missing"),
        ({"model": "tiny", "checkpoint": ""}, "--checkpoint= is empty"),
        ({"train_dir": ""}, "--train_dir= is empty"),
        ({"model": "", "train_dir": run}, "--model= is empty"),
    ):
        with pytest.raises(UsageError, match=words):
            find_network(**arguments)
    network = find_network(train_dir=run, checkpoint=tmp_path / "copy")
    assert network.image_size == 16 and "not in the run's directory, but used as the run's" in network.notes[0]
    write_labels(run, ("ant", "bee"))
    with pytest.raises(DataError, match="labels.txt has 2 names, and .* has 3 classes"):
        find_network(checkpoint=run)
    with pytest.raises(CheckpointError, match="has no tiny/logits"):
        find_network(checkpoint=run, head="linear")


def test_a_checkpoint_of_no_run_tells_what_it_can(tiny, tmp_path):
    values = values_of(head="bn_mlp")
    write_checkpoint(tmp_path / "plain.npz", values)
    network = find_network("tiny", tmp_path / "plain.npz")
    assert (network.image_size, network.head, network.averages, network.num_classes) == (None, "bn_mlp", False, 3)
    assert [network.sized(suggested).image_size for suggested in (None, 4, 48)] == [32, 8, 48]
    assert network.sized().describe() == (
        "tiny, image size 32 (the network's own), head bn_mlp, 3 classes (names: none): the checkpoint is in no "
        "run's directory"
    )
    averages = {f"{name}/ExponentialMovingAverage": value for name, value in values.items()}
    write_checkpoint(tmp_path / "both.npz", {**values, **averages})
    assert find_network("tiny", tmp_path / "both.npz").averages
    assert not find_network("tiny", tmp_path / "both.npz", averages=False).averages


def test_averages_that_a_checkpoint_of_the_run_lacks(run):
    write_checkpoint(run / "weights.npz", values_of(head="mlp"))
    network = find_network(checkpoint=run / "weights.npz")
    assert not network.averages and "lacks the moving averages of the run" in network.notes[1]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_floats_are_converted(run, dtype):
    numpy_dtype = tf.as_dtype(dtype).as_numpy_dtype
    opened = open_checkpoint(run)
    converted = {name: opened[name].astype(numpy_dtype) if opened[name].ndim else opened[name] for name in opened}
    write_checkpoint(run / "half.safetensors", converted)
    network = find_network(checkpoint=run / "half.safetensors")
    assert network.notes[-1] == f"{run}/half.safetensors holds {dtype}, which is converted to float32"
    images = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), np.uint8)
    found = []
    for one in (network, find_network(checkpoint=run)):
        with tf.Graph().as_default():
            logits = one.sized().architecture.outputs(tf.constant(images))
            with one.session() as session:
                found.append(session.run(logits))
    np.testing.assert_allclose(*found, rtol=0.05, atol=0.05)


def test_nothing_of_tensorflow_is_needed_to_find_out(run_python, tmp_path):
    (tmp_path / "settings.json").write_text(json.dumps({"model": "vgg_16", "image_size": 64}))
    run_python(
        "import sys, slimft; from slimft.inference import find_network, run_of\n"
        "try: find_network(train_dir=sys.argv[1])\n"
        "except slimft.CheckpointError as error: assert 'no checkpoint' in str(error)\n"
        "else: raise AssertionError\n"
        "assert 'tensorflow' not in sys.modules",
        str(tmp_path),
    )


@pytest.fixture
def classes_checkpoint(tmp_path):
    """Makes a checkpoint whose last layer has that many classes, in the folder `run`."""

    def make(num_classes, name="model.ckpt-1"):
        path = tmp_path / "run" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shapes = {
            "net/conv1/weights": (3, 3, 3, 4),
            "net/logits/BatchNorm/gamma": (4,),
            "net/logits/weights/Adam": (1, 4, 2),
            "net/logits/fc/weights": (1, 1, 4, num_classes),
            "net/logits/fc/biases": (num_classes,),
            "net/logits2/weights": (4, 3),
        }
        values = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
        write_checkpoint(path, values)
        return open_checkpoint(path)

    return make


def test_counting_the_classes(classes_checkpoint):
    assert count_classes(classes_checkpoint(7), "net/logits") == 7
    with pytest.raises(CheckpointError, match=r"no net/fc8/\.\.\./weights.*\(it has net\).*choose the model"):
        count_classes(classes_checkpoint(7), "net/fc8")


def test_imagenets_names_are_those_of_1000_or_1001_classes(classes_checkpoint):
    plain = find_class_names(classes_checkpoint(1000), "net/logits")
    assert plain.describe(285) == {
        "class": 285,
        "name": "Egyptian cat",
        "imagenet_class": 285,
        "synset": "n02124075",
    }
    shifted = find_class_names(classes_checkpoint(1001), "net/logits")
    assert shifted.describe(286) == {**plain.describe(285), "class": 286}
    assert shifted.describe(0) == {"class": 0, "name": "background", "imagenet_class": None, "synset": None}
    assert shifted.describe(1000)["name"].startswith("toilet tissue")
    for other in (2, 999, 1002):
        names = find_class_names(classes_checkpoint(other), "net/logits")
        assert names.describe(1) == {"class": 1, "name": None} and names.num_classes == other


@pytest.mark.parametrize("num_classes", [1000, 1001])
def test_a_runs_classes_are_never_taken_for_imagenets(classes_checkpoint, tmp_path, num_classes):
    opened = classes_checkpoint(num_classes)
    run = tmp_path / "run"
    assert find_class_names(opened, "net/logits", run=run).describe(5) == {"class": 5, "name": None}
    own = [f"own {number}" for number in range(num_classes)]
    write_labels(run, own)
    best = classes_checkpoint(num_classes, "best/model.ckpt-1")
    for one, train_dir in ((opened, run), (opened, None), (best, run), (best, None)):
        names = find_class_names(one, "net/logits", run=train_dir)
        assert names.describe(5) == {"class": 5, "name": "own 5"}
    other = tmp_path / "other.txt"
    other.write_text("\n".join(f"other {number}" for number in range(num_classes)))
    assert find_class_names(opened, "net/logits", other, run).describe(5) == {"class": 5, "name": "other 5"}


def test_labels_have_to_be_as_many_as_the_classes(classes_checkpoint, tmp_path):
    write_labels(tmp_path, ["cat", "dog"])
    with pytest.raises(DataError, match=r"labels.txt has 2 names.* has 3 classes"):
        find_class_names(classes_checkpoint(3), "net/logits", tmp_path / "labels.txt")
    names = find_class_names(classes_checkpoint(2), "net/logits", str(tmp_path / "labels.txt"))
    assert names.names == ("cat", "dog") and names.first_imagenet_class is None
