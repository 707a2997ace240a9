"""Segmentation from end to end: trained, evaluated, resumed, staged, predicted, with networks small and real."""

import json
import pathlib
import subprocess
import time

import numpy as np
import pytest
from PIL import Image

import slimft
from slimft import write_checkpoint
from slimft.checkpoint import open_checkpoint
from slimft.compat import slim, tf
from slimft.data import load_dataset
from slimft.errors import RestoreError, UsageError
from slimft.nets import vgg
from slimft.runs.settings import Settings
from slimft.segmenter import Segmenter
from slimft.tasks.segmentation_scores import SegmentationScores
from slimft.training.completion import complete
from slimft.training.run import prepare

QUICK = {"dataset": "voc", "batch_size": 2, "precision": "float32", "optimizer": "adam"}


def settings_of(voc, **options):
    return Settings(**{"model": "tiny_fcn", "data_dir": str(voc), "learning_rate": 0.02, **QUICK, **options})


def finished(command, *flags):
    """Runs a command to its end; returns its result and what it said."""
    done = subprocess.run([*command, *flags], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


@pytest.fixture(scope="module")
def trained(tmp_path_factory, voc, tiny_command):
    """A run of `tiny_fcn` that has come to its end: its directory and its result."""
    folder = tmp_path_factory.mktemp("trained")
    result, _ = finished(
        tiny_command, "--model=tiny_fcn", "--dataset=voc", f"--data_dir={voc}", f"--train_dir={folder}",
        "--epochs=30", "--batch_size=2", "--augment=flip", "--eval_every=40", "--optimizer=adam",
        "--learning_rate=0.02",
    )  # fmt: skip
    return folder, result


def test_learns_evaluates_and_reports(tiny, trained, voc):
    folder, result = trained
    assert result["split"] == "test" and result["examples"] == 3
    assert result["mean_iou"] > 0.6 and result["pixel_accuracy"] > 0.9
    assert result["best_validation_mean_iou"] > 0.6
    masks = [np.array(Image.open(voc / f"SegmentationClass/test_{i}.png")) for i in range(3)]
    assert result["pixels"] == sum(int((mask != 255).sum()) for mask in masks)
    found = slimft.evaluate(train_dir=folder, batch_size=1)
    for name in ("mean_iou", "pixel_accuracy", "mean_accuracy", "frequency_weighted_iou", "examples", "pixels"):
        assert found[name] == pytest.approx(result[name], abs=0.002), name
    assert found["longest_side"] == 1024 and "accuracy" not in found
    history = json.loads((folder / "history.json").read_text())
    assert {"mean_iou", "loss"} <= history["validation"][-1].keys()
    assert (folder / "report.html").exists()


def test_predicted_masks_are_what_is_evaluated(tiny, trained, voc):
    folder, _ = trained
    paths = [str(voc / f"JPEGImages/test_{i}.png") for i in range(3)]
    scores = SegmentationScores(3)
    with Segmenter(train_dir=folder) as segmenter:
        assert segmenter.classes.names == ("ground", "red", "green")
        for number, (path, mask, pixels) in enumerate(segmenter.segment_files(paths, batch_size=1)):
            assert path == paths[number] and mask.shape == pixels.shape[:2]
            truth = np.array(Image.open(voc / f"SegmentationClass/test_{number}.png"))
            confusion = np.zeros((1, 3, 3), np.int64)
            np.add.at(confusion[0], (truth[truth != 255], mask[truth != 255]), 1)
            scores.add({"confusion": confusion, "losses": np.zeros(1, np.float32)}, np.arange(1))
    found = slimft.evaluate(train_dir=folder, batch_size=1)
    assert scores.summary()["mean_iou"] == found["mean_iou"]


def variables_of(folder):
    checkpoint = open_checkpoint(folder)
    return {name: checkpoint[name] for name in checkpoint}


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def test_the_same_command_gives_the_same_bits(tiny_command, voc, tmp_path):
    """In processes of their own: determinism is the process's from then on."""
    flags = [
        "--model=tiny_fcn", "--dataset=voc", f"--data_dir={voc}", "--batch_size=2", "--steps=6", "--deterministic",
        "--augment=strong", "--balance=loss", "--learn_upsampling", "--label_smoothing=0.1", "--focal_gamma=1",
        "--ema=0.9", "--accumulate=2",
    ]  # fmt: skip
    for folder in ("one", "other"):
        finished(tiny_command, *flags, f"--train_dir={tmp_path / folder}")
    one, other = (variables_of(tmp_path / folder) for folder in ("one", "other"))
    assert_same(one, other)
    assert "tiny_fcn/up/up_filter/ExponentialMovingAverage" in one


def test_a_killed_run_ends_with_the_same_bits(tiny_command, voc, tmp_path):
    flags = [
        "--model=tiny_fcn", "--dataset=voc", f"--data_dir={voc}", "--batch_size=2", "--steps=40", "--save_secs=0",
        "--eval_every=7", "--deterministic", "--augment=strong", "--optimizer=adam", "--learning_rate=0.02",
        "--schedule=poly", "--balance=loss",
    ]  # fmt: skip

    expected, _ = finished(tiny_command, *flags, f"--train_dir={tmp_path / 'whole'}")
    killed = tmp_path / "killed"
    for at in (4, 19, 33):
        command = [*tiny_command, *flags, f"--train_dir={killed}"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        end = time.monotonic() + 200
        while max((int(file.stem.split("-")[1]) for file in killed.glob("model.ckpt-*.index")), default=0) < at:
            assert process.poll() is None and time.monotonic() < end, process.stderr.read()
            time.sleep(0.01)
        process.kill()
        process.communicate()
    found, said = finished(tiny_command, *flags, f"--train_dir={killed}")
    assert "resuming at step" in said
    for name in ("mean_iou", "pixel_accuracy", "loss", "best_validation_mean_iou", "step"):
        assert found[name] == expected[name], name
    assert_same(variables_of(tmp_path / "whole"), variables_of(killed))


def random_vgg(folder, width=16):
    """A checkpoint of VGG-16's variables with an fc6 and fc7 of some width, and fc8; its path."""
    with tf.Graph().as_default():
        tf.set_random_seed(0)
        with slim.arg_scope(vgg.vgg_arg_scope()):
            vgg.vgg_16(tf.zeros([1, 32, 32, 3]), 10, fc_conv_padding="SAME", global_pool=True, fc_width=width)
        shapes = {variable.op.name: variable.shape.as_list() for variable in tf.global_variables()}
    random = np.random.default_rng(5)
    values = {
        name: random.normal(0, (2 / max(np.prod(shape[:-1]), 1)) ** 0.5, shape).astype(np.float32)
        for name, shape in shapes.items()
    }
    path = str(folder / "vgg_16.ckpt")
    write_checkpoint(path, values)
    return path, values


@pytest.fixture(scope="module")
def vgg_checkpoint(tmp_path_factory):
    return random_vgg(tmp_path_factory.mktemp("vgg"))


def of_run(folder, **options):
    return {
        "train_dir": str(folder),
        "image_size": 48,
        "steps": 1,
        "fc_width": 16,
        "learning_rate": 1e-5,
        **options,
    }


def test_fcns_start_from_vgg_16_and_from_each_other(voc, vgg_checkpoint, tmp_path):
    """The course's way: 32s from VGG-16, 16s from that, 8s from that; only new scores start afresh."""
    path, values = vgg_checkpoint
    settings = settings_of(voc, model="fcn_32s", checkpoint=path, **of_run(tmp_path / "32s"))
    run = prepare(settings)
    assert not run.plan.missing and not run.plan.mismatched
    assert sorted(run.plan.unused) == ["vgg_16/fc8/biases", "vgg_16/fc8/weights"]
    with run.training.graph.as_default(), tf.Session() as session:
        assert run.restore(session) == 0
        for variable in tf.model_variables():
            name = variable.op.name
            if name in values:
                np.testing.assert_array_equal(session.run(variable), values[name], err_msg=name)
            elif "score" in name:
                assert not session.run(variable).any()
    assert "vgg_16/score_fr, vgg_16/up start afresh" in " ".join(run.notes)
    slimft.training.finetune(settings)
    earlier = tmp_path / "32s"
    for model, fresh in (
        ("fcn_16s", {"score_pool4", "upscore2", "upscore32"}),
        ("fcn_8s", {"score_pool3", "upscore_pool4", "upscore8"}),
    ):
        folder = tmp_path / model
        settings = settings_of(voc, model=model, checkpoint=str(earlier), **of_run(folder))
        run = prepare(settings)
        restored = {name.split("/")[1] for name in run.plan.restored}
        there = {
            variable.op.name.split("/")[1] for variable in run.training.graph.get_collection("model_variables")
        }
        assert there - restored == fresh
        assert all(f"vgg_16/{scope}" in run.plan.summary() for scope in fresh)
        slimft.training.finetune(settings)
        earlier = folder


def test_a_narrow_fcn_starts_from_every_so_many_th_filter(voc, vgg_checkpoint, tmp_path):
    path, values = vgg_checkpoint
    run = prepare(settings_of(voc, model="fcn_8s", checkpoint=path, **of_run(tmp_path, fc_width=4)))
    with run.training.graph.as_default(), tf.Session() as session:
        run.restore(session)
        found = {v.op.name: session.run(v) for v in tf.model_variables() if "/fc" in v.op.name}
    np.testing.assert_array_equal(found["vgg_16/fc6/weights"], values["vgg_16/fc6/weights"][..., ::4])
    np.testing.assert_array_equal(found["vgg_16/fc7/weights"], values["vgg_16/fc7/weights"][..., ::4, ::4])
    assert "every so many-th" in " ".join(run.notes)
    with pytest.raises(RestoreError, match="vgg_16/fc6"):
        prepare(settings_of(voc, model="fcn_8s", checkpoint=path, **of_run(tmp_path, fc_width=5))).check()


def test_a_resnet_trains_and_is_evaluated(voc, tmp_path):
    options = {"train_dir": str(tmp_path), "image_size": 48, "steps": 1, "output_stride": 8}
    result = slimft.training.finetune(settings_of(voc, model="fcn_resnet_v1_50", **options))
    found = slimft.evaluate(train_dir=tmp_path)
    assert found["mean_iou"] == pytest.approx(result["mean_iou"], abs=0.01)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"model": "vgg_16"}, "--model=vgg_16 is for classification, and --dataset=voc has masks"),
        ({"dataset": "digits", "data_dir": None}, "--model=tiny_fcn is for segmentation, and --dataset=digits"),
        ({"head": "mlp"}, "--head=mlp"),
        ({"mixup": 0.2}, "--mixup=0.2 mixes classes"),
        ({"cutmix": 1.0}, "--cutmix=1.0 mixes classes"),
        ({"cache_views": 2}, "--cache_views=2"),
        ({"balance": "sampler"}, "--balance=sampler draws images"),
        ({"balance_beta": 0.5}, "--balance_beta=0.5"),
        ({"metric": "accuracy"}, "--metric=accuracy: in segmentation it is one of mean_iou"),
        ({"trainable": ("tiny_fcn/up",)}, "--trainable=tiny_fcn/up: what enlarges scores trains with"),
        ({"fc_width": 64}, "--fc_width=64: tiny_fcn has no such option; it is for fcn_32s"),
        ({"output_stride": 8}, "--output_stride=8: tiny_fcn has no such option; it is for fcn_resnet"),
        ({"model": "fcn_resnet_v1_50", "output_stride": 12}, "--output_stride=12 must be 8, 16 or 32"),
        ({"model": "vgg_16", "dataset": "digits", "longest_side": 512}, "--longest_side=512"),
    ],
)
def test_what_does_not_go_together_is_refused(tiny, voc, options, message):
    with pytest.raises(UsageError) as caught:
        settings = complete(settings_of(voc, **options))
        load_dataset(settings.dataset, settings.data_dir, settings.data_options())
    assert str(caught.value).startswith(message)


def test_class_weights_are_said_and_frozen_layers_are_not_kept(tiny, voc, tmp_path, capsys):
    settings = settings_of(voc, train_dir=str(tmp_path), steps=2, balance="loss", trainable=("head",))
    slimft.training.finetune(settings)
    said = capsys.readouterr().err
    assert "pixels weigh, by the median of the classes' frequencies: ground 0." in said
    assert "frozen layers are computed anew in each pass" in said


def test_a_changed_mask_is_noticed(tiny, make_voc, tmp_path, capsys):
    data = make_voc(tmp_path / "data")
    settings = settings_of(data, train_dir=str(tmp_path / "run"), steps=2)
    slimft.training.finetune(settings)
    mask = data / "SegmentationClass/train_0.png"
    image = Image.open(mask)
    image.putpixel((3, 30), 2 if image.getpixel((3, 30)) != 2 else 1)
    image.save(mask)
    capsys.readouterr()
    slimft.training.finetune(settings_of(data, train_dir=str(tmp_path / "run"), steps=3))
    assert (
        "the data has changed since the run was last trained: 1 mask has other content" in capsys.readouterr().err
    )
    pathlib.Path(data / "JPEGImages/val_0.png").write_bytes((data / "JPEGImages/train_1.png").read_bytes())
    (data / "SegmentationClass/val_0.png").write_bytes((data / "SegmentationClass/train_1.png").read_bytes())
    slimft.evaluate(train_dir=tmp_path / "run", split="validation")
    assert "left out: 1 image that the run trained on" in capsys.readouterr().err


@pytest.mark.parametrize(
    "change, message",
    [
        ({"longest_side": 32}, "--longest_side=1024, not 32"),
        ({"train_list": "val"}, "--train_list=train, not val"),
        ({"learn_upsampling": True}, "--learn_upsampling=False, not True"),
    ],
)
def test_a_run_keeps_what_says_which_data_and_which_network(tiny, voc, trained, change, message):
    """A finished run was evaluated with other data, and its result said to be of its own."""
    before = (trained[0] / "result.json").read_bytes()
    with pytest.raises(UsageError, match=f"holds a run with {message}; name another directory"):
        slimft.training.finetune(settings_of(voc, train_dir=str(trained[0]), **change))
    assert (trained[0] / "result.json").read_bytes() == before


def test_images_smaller_than_the_network_can_take(tiny, make_voc, tmp_path):
    data = make_voc(tmp_path / "data", sizes=((5, 7), (30, 6)))
    result = slimft.training.finetune(settings_of(data, train_dir=str(tmp_path / "run"), steps=2))
    assert result["examples"] == 3


def test_small_crops_train_all_variables_and_say_what_they_do_not_reach(make_voc, tmp_path, capsys):
    """Also where images are added later, which are larger than the others, the run goes on."""
    data = make_voc(tmp_path / "data", sizes=((40, 48),))
    options = {"model": "fcn_32s", **of_run(tmp_path / "run", fc_width=4)}
    slimft.training.finetune(settings_of(data, **options))
    assert "vgg_16/fc6/weights/Adam" in open_checkpoint(tmp_path / "run")
    assert "train the middle of fc6 only" not in capsys.readouterr().err
    larger = make_voc(tmp_path / "larger", train=1, val=0, test=0, sizes=((130, 132),))
    for folder in ("JPEGImages", "SegmentationClass"):
        (larger / folder / "train_0.png").rename(data / folder / "large.png")
    with (data / "ImageSets/Segmentation/train.txt").open("a") as file:
        file.write("large\n")
    slimft.training.finetune(settings_of(data, **{**options, "steps": 2}))
    said = capsys.readouterr().err
    assert "1 image was added" in said
    assert "crops of 48 pixels train the middle of fc6 only, and images of 132 are evaluated with all of it" in said


def test_what_a_checkpoint_outside_of_its_run_tells(voc, tmp_path):
    from slimft.inference import find_network
    from slimft.nets import get_network

    for model, options in (("fcn_16s", {"fc_width": 4}), ("fcn_resnet_v1_50", {"output_stride": 8})):
        with tf.Graph().as_default():
            get_network(model).build(tf.zeros([1, 40, 40, 3]), 3, is_training=False, options=options)
            shapes = {variable.op.name: variable.shape.as_list() for variable in tf.global_variables()}
        path = str(tmp_path / f"{model}.npz")
        write_checkpoint(path, {name: np.zeros(shape, np.float32) for name, shape in shapes.items()})
        assert find_network(model, path).options == options


@pytest.mark.parametrize(
    "images", [np.zeros((1, 8, 8, 3)), np.zeros((8, 8, 3), np.uint8), np.zeros((0, 8, 8, 3), np.uint8)]
)
def test_images_of_another_kind_are_refused(tiny, trained, images):
    with Segmenter(train_dir=trained[0]) as segmenter:
        with pytest.raises(UsageError, match="they have to be uint8 .batch, height, width, 3."):
            segmenter.segment(images)


def test_large_images_are_said_to_be_scaled_down(tiny, trained, tmp_path, capsys):
    Image.new("RGB", (90, 50)).save(tmp_path / "a.png")
    with Segmenter(train_dir=trained[0], longest_side=45) as segmenter:
        ((_, mask, _),) = segmenter.segment_files([str(tmp_path / "a.png")])
    assert mask.shape == (50, 90)
    assert "a.png has 90x50 pixels: such images are scaled down" in capsys.readouterr().err
