"""Frozen layers are computed once: the run is the same as without that, bit for bit, whatever happens meanwhile."""

import json
import os
import pathlib
import signal
import subprocess
import time

import numpy as np
import pytest
from PIL import Image

import slimft
from slimft.compat import tf
from slimft.data import load_dataset, pipeline, record_cache
from slimft.nets import vgg
from slimft.training import Settings, feature_records, features, finetune
from slimft.training.run import prepare

# The layer before the dropout is the last that is frozen.
FAST = dict(
    model="tiny", dataset="digits", batch_size=64, train_examples=200, epochs=3, learning_rate=0.05, augment="none",
    trainable=("head",), save_secs=1e9,
)  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The folder of the features, in tmp_path."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(record_cache, "_damage_is_told", record_cache.threading.Event())
    return tmp_path / "cache" / "slimft" / "features"


@pytest.fixture
def computed(monkeypatch):
    """How many examples' features were computed, a number for each batch."""
    counts, run = [], feature_records.Records._run

    def noted(records, view, batch, pixels):
        counts.append(len(pixels))
        return run(records, view, batch, pixels)

    monkeypatch.setattr(feature_records.Records, "_run", noted)
    return counts


def outcome(folder, **changes):
    """All that a run has computed."""
    settings = Settings(**{**FAST, "train_dir": str(folder), **changes})
    result = finetune(settings)
    history = json.loads(pathlib.Path(folder, "history.json").read_text())
    checkpoint = slimft.open_checkpoint(str(folder))
    of_time = ("seconds", "images_per_second")
    return {
        "train": [{name: point[name] for name in point if name not in of_time} for point in history["train"]],
        "validation": history["validation"],
        "loss": result["loss"],
        **{name: checkpoint[name] for name in checkpoint},
    }


def assert_same(left, right):
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"steps": 2, "batch_size": 8},
        {"balance": "sampler", "accumulate": 2, "batch_size": 32},
        {"trainable": ("top",), "ema": 0.9, "optimizer": "adam"},
        {"trainable": (), "stage": ("1:head@0.1", "1:top@0.05", "1:all@0.01")},
        {"head": "bn_mlp", "label_smoothing": 0.1, "focal_gamma": 1.0},
        {"batch_size": 300},
        {"patience": 1, "eval_every": 1, "trainable": (), "stage": ("1:all@0.01", "2:head@9")},
    ],
)
def test_the_run_is_the_same_to_the_last_bit(tiny, tmp_path, monkeypatch, capfd, changes, in_memory):
    expected = outcome(tmp_path / "off", cache="off", **changes)
    assert "frozen layers" not in capfd.readouterr().err
    monkeypatch.setattr(features, "MOST_IN_MEMORY", 512 << 20 if in_memory else 0)
    assert_same(outcome(tmp_path / "on", **changes), expected)
    assert "frozen layers are computed once" in capfd.readouterr().err


@pytest.mark.parametrize(
    "model", ["vgg_a", "mobilenet_v1_025", pytest.param("resnet_v2_50", marks=pytest.mark.slow)]
)
def test_the_run_is_the_same_of_real_networks(tmp_path, monkeypatch, model):
    """But for rounding: on some processors a convolution's depends on how many images are computed at a time."""
    wide = vgg.fully_connected_conv2d  # VGG's fc6 and fc7 get fewer filters, for saving them takes seconds.
    monkeypatch.setattr(
        vgg, "fully_connected_conv2d", lambda net, width, *rest, **more: wide(net, 64, *rest, **more)
    )
    changes = {"model": model, "batch_size": 32, "train_examples": 70, "epochs": 1.5}
    kept, anew = outcome(tmp_path / "on", **changes), outcome(tmp_path / "off", cache="off", **changes)
    assert kept.keys() == anew.keys() and kept.pop("loss") == pytest.approx(anew.pop("loss"), rel=1e-4)
    for name in ("train", "validation"):
        for one, other in zip(kept.pop(name), anew.pop(name), strict=True):
            assert one == pytest.approx(other, rel=1e-4)
    for name in kept:
        np.testing.assert_allclose(kept[name], anew[name], rtol=1e-3, atol=1e-4, err_msg=name)


def test_what_is_there_is_not_computed_again(tiny, tmp_path, computed):
    first = outcome(tmp_path / "1")
    # 200, 144 and 360 images in batches of 64, and a batch of each to see that its examples are independent.
    assert len(computed) == 4 + 3 + 6 + 3
    computed.clear()
    assert_same(outcome(tmp_path / "2"), first)
    assert computed == []


TWO_STEPS = {"batch_size": 4, "train_examples": 400, "schedule": "fixed", "precision": "float32"}


@pytest.mark.parametrize("in_memory", [True, False])
def test_of_few_steps_only_what_they_need_is_computed(tiny, tmp_path, computed, capfd, monkeypatch, in_memory):
    """Two steps of four images, of the hundred batches that the split has."""
    if not in_memory:
        monkeypatch.setattr(features, "MOST_IN_MEMORY", 0)
    without = outcome(tmp_path / "without", cache="off", steps=2, **TWO_STEPS)
    assert not computed
    capfd.readouterr()
    assert_same(outcome(tmp_path / "run", steps=2, **TWO_STEPS), without)
    others = sum(load_dataset("digits")[split].num_examples for split in ("validation", "test"))
    few = sum(computed) - others
    assert 2 * 4 <= few <= (2 * 4 + 3) * 4  # Whole batches, and one of each split to check by.
    assert "of 400 images of train are left out" in capfd.readouterr().err
    # Going on needs the rest.
    expected = outcome(tmp_path / "longer", cache="off", steps=150, **TWO_STEPS)
    resumed = outcome(tmp_path / "run", steps=150, **TWO_STEPS)
    for one in (expected, resumed):
        del one["train"], one["validation"]
    assert_same(resumed, expected)
    assert "left out" not in capfd.readouterr().err and sum(computed) - others >= 400


@pytest.mark.parametrize(
    "changes",
    [{"seed": 1}, {"image_size": 30}, {"batch_size": 50}, {"precision": "bfloat16"}, {"trainable": ("top",)}],
)
def test_what_changes_features_has_them_computed_again(tiny, tmp_path, computed, changes):
    """Another seed makes other variables; another precision another graph or other kernels."""
    outcome(tmp_path / "1")
    computed.clear()
    outcome(tmp_path / "2", **changes)
    assert len(computed) >= 4 + 3 + 6


def test_another_checkpoint_of_the_same_name_has_them_computed_again(tiny, tmp_path, computed):
    outcome(tmp_path / "first", trainable=())
    values = slimft.open_checkpoint(str(tmp_path / "first"))
    values = {name: values[name] for name in values if name.startswith("tiny/")}
    path = str(tmp_path / "start.ckpt")
    slimft.write_checkpoint(path, values)
    outcome(tmp_path / "1", checkpoint=path)
    computed.clear()
    slimft.write_checkpoint(str(tmp_path / "copy.ckpt"), values)
    outcome(tmp_path / "2", checkpoint=str(tmp_path / "copy.ckpt"))
    assert computed == []
    values["tiny/conv1/weights"] = values["tiny/conv1/weights"] * np.float32(1.01)
    slimft.write_checkpoint(path, values)
    assert_same(outcome(tmp_path / "3", checkpoint=path), outcome(tmp_path / "4", checkpoint=path, cache="off"))
    assert len(computed) == 4 + 3 + 6 + 3


def flip_a_byte(folder, which=0):
    """Changes a byte in the last record of each file."""
    for file in folder.iterdir():
        content = bytearray(file.read_bytes())
        content[-5 - which] ^= 1
        file.write_bytes(content)


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_damaged_record_is_computed_anew(tiny, tmp_path, folder, computed, monkeypatch, capfd, in_memory):
    monkeypatch.setattr(features, "MOST_IN_MEMORY", 512 << 20 if in_memory else 0)
    expected = outcome(tmp_path / "1")
    flip_a_byte(folder)
    computed.clear()
    capfd.readouterr()
    assert_same(outcome(tmp_path / "2"), expected)
    # One of each of three files; batches are read ahead, so that one may be met again before it is mended.
    assert 3 <= len(computed) <= 6 and "is damaged: a record fails its checksum" in capfd.readouterr().err
    computed.clear()
    assert_same(outcome(tmp_path / "3"), expected)
    assert computed == []


@pytest.fixture
def pictures(tmp_path):
    """A folder of 60 pictures of two classes."""
    draws = np.random.default_rng(0)
    for number in range(60):
        file = tmp_path / "pictures" / "ab"[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draws.integers(0, 256, (40, 40, 3), np.uint8)).save(file)
    return tmp_path / "pictures"


def of_pictures(pictures, **changes):
    files = {"dataset": "image_folder", "data_dir": str(pictures), "train_examples": None, "batch_size": 16}
    return {**files, "image_size": 32, **changes}


def test_only_an_image_that_changed_is_computed_again(tiny, tmp_path, pictures, computed):
    outcome(tmp_path / "1", **of_pictures(pictures))
    computed.clear()
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(pictures / "a" / "0.png")
    options = of_pictures(pictures)
    assert_same(outcome(tmp_path / "2", **options), outcome(tmp_path / "3", cache="off", **options))
    assert len(computed) == 2  # Its batch, and another to see that examples are independent.


def test_images_are_not_decoded_into_a_cache_if_their_features_are_kept(tiny, tmp_path, pictures, folder):
    outcome(tmp_path / "1", **of_pictures(pictures))
    assert folder.exists() and not (folder.parent / "images").exists()
    outcome(tmp_path / "2", **of_pictures(pictures, trainable=()))
    assert (folder.parent / "images").exists()


def test_without_room_on_the_disk_they_are_in_the_memory_or_computed_each_time(
    tiny, tmp_path, folder, monkeypatch, capfd
):
    expected = outcome(tmp_path / "off", cache="off")
    monkeypatch.setattr(record_cache.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    assert_same(outcome(tmp_path / "memory"), expected)
    assert "is kept in the memory only: they take" in capfd.readouterr().err
    monkeypatch.setattr(features, "MOST_IN_MEMORY", 0)
    assert_same(outcome(tmp_path / "neither"), expected)
    assert "is computed anew in each pass: they take" in capfd.readouterr().err
    assert list(folder.iterdir()) == []


def test_a_disk_that_fills_up(tiny, tmp_path, folder, monkeypatch, capfd):
    expected, write, left = outcome(tmp_path / "off", cache="off"), os.pwrite, [40]

    def full(descriptor, data, offset):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        return write(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", full)
    monkeypatch.setattr(features, "MOST_IN_MEMORY", 0)
    assert_same(outcome(tmp_path / "on"), expected)
    assert "No space left on device" in capfd.readouterr().err


def test_cache_gb_bounds_them_all_together(tiny, tmp_path, folder, capfd):
    expected = outcome(tmp_path / "off", cache="off")
    record = 8 * 8 * 16 * 4
    assert_same(outcome(tmp_path / "some", cache_gb=345 * record / 1e9), expected)  # 200, 144, and not 360.
    told = capfd.readouterr().err
    assert "computed anew in each pass over test: they take" in told and "train, 200 images" in told
    assert_same(outcome(tmp_path / "none", cache_gb=1e-6), expected)
    assert "frozen layers are computed once" not in capfd.readouterr().err


def test_large_records_are_not_kept(tiny, tmp_path, folder, monkeypatch, capfd):
    monkeypatch.setattr(features, "MOST_RECORD_BYTES", 4095)
    outcome(tmp_path / "run")
    assert "of one image they make 0.0 MiB, which is no sooner read than computed" in capfd.readouterr().err
    assert not folder.exists()


def test_what_depends_on_the_batch_is_not_kept(tiny, tmp_path, folder, monkeypatch, capfd):
    expected = outcome(tmp_path / "off", cache="off")
    monkeypatch.setattr(np, "array_equal", lambda *arrays: False)
    assert_same(outcome(tmp_path / "on"), expected)
    assert "what they make of an image depends on others of its batch" in capfd.readouterr().err


# Views.


def test_with_augmentation_the_choice_is_offered(tiny, tmp_path, capfd):
    outcome(tmp_path / "run", augment="standard")
    told = capfd.readouterr().err
    assert "--augment=standard shows images differently each time; --cache_views=4 would" in told
    assert "validation, 144 images" in told  # Which is not augmented.


def test_one_view_is_the_image_as_it_is(tiny, tmp_path, capfd):
    expected = outcome(tmp_path / "none")
    assert_same(outcome(tmp_path / "one", augment="strong", cache_views=1), expected)
    assert "training sees each image as it is, without --augment=strong" in capfd.readouterr().err


@pytest.mark.parametrize("augment", ["standard", "strong", "randaugment", "augmix"])
def test_views_are_the_same_in_turn_whatever_was_there(tiny, tmp_path, computed, folder, augment):
    views = {"augment": augment, "cache_views": 3, "epochs": 4}
    first = outcome(tmp_path / "1", **views)
    # One more where the pass begins, by chance, with a view that is no plain one.
    assert len(computed) - (3 * 4 + 3 + 6 + 3) in (0, 1)
    assert_same(outcome(tmp_path / "2", **views), first)
    flip_a_byte(folder)
    assert_same(outcome(tmp_path / "3", **views), first)
    plain = outcome(tmp_path / "plain", epochs=4)
    assert plain["train"] != first["train"]


def test_views_differ_and_the_first_is_plain(tiny, tmp_path):
    settings = Settings(**{**FAST, "augment": "strong", "cache_views": 3, "train_dir": str(tmp_path / "run")})
    run = prepare(settings)
    parts = features.cut_graph(run)
    with run.training.graph.as_default(), tf.Session() as session:
        run.restore(session)
        made = features.Features(run, parts, session)
        made.compute(("train",))
        records = made._records["train"]._values.reshape(3, 200, -1)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert (records[one] != records[other]).any(axis=1).all()


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"cache_views": 2, "augment": "none"}, "--augment=none has one view"),
        ({"cache_views": 2, "augment": "flip", "mixup": 0.2}, "--cache_views keeps views of single images"),
        ({"cache_views": 1, "cache": "off"}, "--cache=off keeps nothing"),
    ],
)
def test_contradictions(tiny, tmp_path, changes, message):
    with pytest.raises(slimft.UsageError, match=message):
        outcome(tmp_path / "run", **changes)


# Interruptions.


def test_a_run_that_resumes_goes_on_as_if_nothing_had_happened(tiny, tmp_path):
    expected = outcome(tmp_path / "whole", schedule="fixed")
    outcome(tmp_path / "parts", schedule="fixed", epochs=1)
    resumed = outcome(tmp_path / "parts", schedule="fixed")
    # Curves and validations have a point where a run ended, too.
    for one in (expected, resumed):
        del one["train"], one["validation"]
    assert_same(resumed, expected)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_while_they_are_computed(tiny_command, tiny, tmp_path, folder, number):
    flags = [
        "--model=tiny",
        "--dataset=digits",
        "--trainable=head",
        "--augment=none",
        "--batch_size=2",
        f"--train_dir={tmp_path / 'run'}",
    ]
    process = subprocess.Popen([*tiny_command, *flags, "--steps=5000"], stderr=subprocess.PIPE)
    while not folder.exists() or not any(folder.iterdir()):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    time.sleep(0.2)
    process.send_signal(number)
    err = process.communicate(timeout=60)[1].decode()
    if number == signal.SIGTERM:
        assert process.returncode == 128 + number and "Traceback" not in err, err
        assert "stopped by SIGTERM at step 0" in err.splitlines()[-1]
    again = subprocess.run([*tiny_command, *flags, "--steps=5"], capture_output=True)
    assert again.returncode == 0, again.stderr


def test_the_order_is_that_of_the_graph():
    dataset = load_dataset("digits")["train"]
    with tf.Graph().as_default():
        step = tf.placeholder(tf.int64, [])
        wanted = pipeline.shuffled_indices(step, 7, tf.constant(dataset.num_examples, tf.int64), 5)
        with tf.Session() as session:
            expected = [session.run(wanted, {step: number}) for number in range(250, 265)]
    found = pipeline.shuffled_places(250, 7, dataset.num_examples, 5)
    for one in expected:
        np.testing.assert_array_equal(one, next(found))


def test_more_views_are_computed_beside_those_that_are_there(tiny, tmp_path, computed):
    outcome(tmp_path / "1", augment="standard", cache_views=1)
    computed.clear()
    outcome(tmp_path / "2", augment="standard", cache_views=3)
    assert len(computed) - 2 * 4 in (1, 2)  # Two views more, and what the check takes.
