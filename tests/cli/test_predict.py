"""bin/predict as a person meets it: tables, JSON, names, exit statuses, one clear line for what is wrong."""

import contextlib
import fcntl
import json
import os
import pathlib
import pty
import struct
import subprocess
import sys
import termios
import time

import numpy as np
import pytest
from PIL import Image

from slimft import write_checkpoint
from slimft.cli import finetune, predict
from slimft.compat import tf
from slimft.data.class_names import write_labels
from slimft.nets import get_network

ROOT = pathlib.Path(__file__).resolve().parents[2]
RNG = np.random.default_rng(0)


def call(*arguments):
    return predict.main(["predict", *map(str, arguments)])


def rejects(capsys, arguments, *words):
    """The command exits with 2, prints nothing, and says `words` in one line."""
    assert call(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1 and captured.err.startswith("predict: ")
    for word in words:
        assert word in captured.err


@pytest.fixture
def checkpoint(tiny, tmp_path):
    """Makes a checkpoint of `tiny` with that many classes, whose likeliest is `best`."""

    def make(num_classes, best):
        with tf.Graph().as_default(), tf.Session() as session:
            get_network(tiny).build(tf.zeros([1, 32, 32, 3]), num_classes, is_training=False)
            session.run(tf.global_variables_initializer())
            values = session.run({variable.op.name: variable for variable in tf.global_variables()})
        values["tiny/logits/weights"] *= 1e-3
        values["tiny/logits/biases"] = np.where(np.arange(num_classes) == best, 10, 0).astype(np.float32)
        write_checkpoint(tmp_path / "checkpoint" / f"{num_classes}.ckpt", values)
        return f"--checkpoint={tmp_path}/checkpoint/{num_classes}.ckpt"

    (tmp_path / "checkpoint").mkdir()
    return make


@pytest.fixture
def photos(tmp_path):
    """A folder with three images, one of them in a folder of its own, and a note."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for name in ("b.jpg", "a.png", "more/c.webp"):
        Image.fromarray(RNG.integers(0, 256, (40, 50, 3), np.uint8)).save(folder / name)
    (folder / "note.txt").write_text("no image")
    return folder


def lines_of_json(captured):
    return [json.loads(line) for line in captured.out.splitlines()]


def test_a_table_for_each_image(checkpoint, photos, capsys):
    assert call("--model=tiny", checkpoint(1000, 285), photos) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert captured.err == f"predict: passed over: 1 file without an image's suffix (note.txt), of {photos}\n"
    assert len(lines) == 3 * 7
    names = ("a.png", "b.jpg", "more/c.webp")
    assert [lines[start] for start in (0, 7, 14)] == [str(photos / name) for name in names]
    assert lines[1].split() == ["rank", "probability", "class", "name"]
    rank, probability, number, name = lines[2].split(maxsplit=3)
    assert (rank, number, name) == ("1", "285", "Egyptian cat")
    assert 0.9 < float(probability) < 1
    assert [line.split()[0] for line in lines[2:7]] == list("12345")


@pytest.mark.parametrize("num_classes, best", [(1000, 285), (1001, 286)])
def test_json(checkpoint, photos, capsys, num_classes, best):
    assert call("--model=tiny", checkpoint(num_classes, best), photos / "b.jpg", photos / "a.png", "--json") == 0
    first, second = lines_of_json(capsys.readouterr())
    assert (first["path"], second["path"]) == (str(photos / "b.jpg"), str(photos / "a.png"))
    assert len(first["predictions"]) == 5
    likeliest = first["predictions"][0]
    assert 0.9 < likeliest.pop("probability") < 1
    assert likeliest == {"class": best, "name": "Egyptian cat", "imagenet_class": 285, "synset": "n02124075"}


def test_other_classes_have_numbers_or_the_labels_names(checkpoint, photos, tmp_path, capsys):
    flags = ["--model_name=tiny", checkpoint(3, 2).replace("checkpoint=", "checkpoint_path="), photos / "a.png"]
    assert call(*flags) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert captured.err == (
        "tiny, image size 32 (the network's own), head linear, 3 classes (names: none): "
        "the checkpoint is in no run's directory\n"
    )
    assert len(lines) == 5 and lines[1].split() == ["rank", "probability", "class"]
    assert lines[2].split()[::2] == ["1", "2"]
    assert call(*flags, "--json", "--top=1") == 0
    [found] = lines_of_json(capsys.readouterr())
    [likeliest] = found["predictions"]
    assert set(likeliest) == {"class", "name", "probability"} and likeliest["name"] is None
    labels = tmp_path / "names.txt"
    labels.write_text("cat\ndog\nred \x1b[31m panda\n")
    assert call(*flags, f"--labels={labels}") == 0
    assert capsys.readouterr().out.splitlines()[2].endswith("      2  red \\x1b[31m panda")
    labels.write_text("cat\ndog\n")
    rejects(capsys, [*flags, f"--labels={labels}"], str(labels), "2 names", "3 classes")
    rejects(capsys, [*flags, "--labels=nowhere"], "nowhere cannot be read")


def test_a_run_of_finetune(tiny, tmp_path, photos, capsys):
    run = tmp_path / "run"
    flags = ["--model=tiny", "--dataset=digits", "--steps=2", "--batch_size=64", "--image_size=16"]
    assert finetune.main(["finetune", *flags, f"--train_dir={run}"]) == 0
    write_labels(run, [f"digit {number}" for number in range(10)])
    capsys.readouterr()
    assert call(f"--train_dir={run}", photos / "a.png", "--json", "--top=99") == 0
    [found] = lines_of_json(capsys.readouterr())
    assert sorted(one["class"] for one in found["predictions"]) == list(range(10))
    assert all(one["name"] == f"digit {one['class']}" for one in found["predictions"])
    assert call(f"--train_dir={run}", f"--checkpoint={run}/best", photos / "a.png") == 0
    assert "digit" in capsys.readouterr().out
    rejects(capsys, [f"--train_dir={run}", "--model=vgg_16", photos / "a.png"], "--model=vgg_16: ", "a run of tiny")
    rejects(capsys, [f"--train_dir={run}", "--image_size=32", photos / "a.png"], "tiny/logits/weights", "differs")


def test_what_cannot_be_read_is_skipped(checkpoint, photos, tmp_path, capsys):
    broken, empty = photos / "broken.png", tmp_path / "empty"
    broken.write_bytes((photos / "a.png").read_bytes()[:500])
    empty.mkdir()
    flags = ["--model=tiny", checkpoint(1000, 285), "--json"]
    assert call(*flags, tmp_path / "nowhere", photos, empty, photos / "note.txt") == 1
    captured = capsys.readouterr()
    assert [pathlib.Path(one["path"]).name for one in lines_of_json(captured)] == ["a.png", "b.jpg", "c.webp"]
    errors = captured.err.splitlines()
    assert len(errors) == 5 and all(line.startswith("predict: ") for line in errors)
    for error, words in zip(
        errors,
        (
            "nowhere is not there",
            "passed over: 1 file",
            "empty holds no images",
            "broken.png cannot be read",
            "note.txt is no image",
        ),
    ):
        assert words in error


def test_nothing_to_do(checkpoint, photos, tmp_path, capsys):
    flags = ["--model=tiny", checkpoint(1000, 285)]
    rejects(capsys, flags, "name an image")
    rejects(capsys, [*flags, tmp_path / "nowhere.jpg"], "nowhere.jpg is not there")
    (tmp_path / "empty").mkdir()
    rejects(capsys, [*flags, tmp_path / "empty"], "empty holds no images", ".webp")


def test_bad_flags(checkpoint, photos, tmp_path, capsys):
    good = checkpoint(10, 0)
    rejects(capsys, [photos], "--model is missing")
    rejects(capsys, ["--model=tiny", photos], "--checkpoint is missing")
    rejects(capsys, ["--model=tinny", good, photos], "--model=tinny", "did you mean tiny")
    rejects(capsys, ["--model=tiny", "--checkpoint=no.ckpt", photos], "no.ckpt")
    rejects(capsys, ["--model=resnet_v1_50", good, photos], "resnet_v1_50/logits", "it has tiny")
    rejects(capsys, [f"--train_dir={tmp_path}", photos], "settings.json is missing")
    rejects(capsys, ["--model=tiny", good, photos, "--image_size=4"], "--image_size=4", "at least 8")
    for flag in ("--crop=0", "--crop=-1", "--crop=1.01", "--crop=nan", "--crop=x", "--top=0", "--batch_size=0"):
        rejects(capsys, ["--model=tiny", good, photos, flag], flag)
    rejects(capsys, ["--model=tiny", good, photos, "--tpo=3"], "tpo", "top")


def test_crop_takes_the_middle(checkpoint, tmp_path, capsys):
    """Two images with the same middle, and different borders, are the same to the network once that is cut off."""
    middle = RNG.integers(0, 256, (32, 32, 3), np.uint8)
    for name, border in (("one.png", 0), ("two.png", 255)):
        Image.fromarray(np.pad(middle, ((16, 16), (20, 20), (0, 0)), constant_values=border)).save(tmp_path / name)
    flags = ["--model=tiny", checkpoint(10, 0), "--json", tmp_path / "one.png", tmp_path / "two.png"]
    for crop, same in (("0.5", True), ("1", False)):
        assert call(*flags, f"--crop={crop}") == 0
        one, two = (found["predictions"] for found in lines_of_json(capsys.readouterr()))
        assert (one == two) == same


def test_bad_images_are_found_out_without_tensorflow(run_python, tmp_path):
    run_python(
        "import sys; from slimft.cli.predict import main; "
        "flags = ['predict', '--model=vgg_16', '--checkpoint=hed']; "
        "assert main(['predict', '--help']) == 0 and main([*flags, sys.argv[1] + '/no.jpg']) == 2; "
        "assert 'tensorflow' not in sys.modules",
        str(tmp_path),
    )


def test_help_names_every_flag(capsys):
    assert call("--help") == 0
    printed = capsys.readouterr().out
    assert printed.startswith("usage: predict IMAGE... [--flag=value ...]")
    for flag in ("--model --model_name", "--checkpoint --checkpoint_path", "--train_dir", "--labels", "--top",
                 "--image_size --eval_image_size", "--crop", "--batch_size", "--precision", "--json"):  # fmt: skip
        assert f"\n  {flag}\n" in printed


@pytest.mark.parametrize("count, bar", [(30, True), (3, False)])
def test_a_progress_bar_on_a_terminal_only(checkpoint, photos, monkeypatch, capfd, count, bar):
    flags = ["--model=tiny", checkpoint(1000, 285), *[photos / "a.png"] * count, "--batch_size=10", "--json"]
    assert call(*flags) == 0
    assert capfd.readouterr().err == ""
    ours, terminal = pty.openpty()
    os.set_blocking(ours, False)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    with open(terminal, "w") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        assert call(*flags) == 0
        print("the end", file=stderr)  # So that there is something to read.
        seen, ends = b"", time.monotonic() + 60
        while b"the end" not in seen and time.monotonic() < ends:
            with contextlib.suppress(BlockingIOError):  # It comes in pieces.
                seen += os.read(ours, 1 << 16)
    os.close(ours)
    assert len(capfd.readouterr().out.splitlines()) == count
    assert (b"/30 [" in seen) == bar and (seen == b"the end\r\n") == (not bar)


def test_the_script_in_bin():
    command = [sys.executable, ROOT / "bin" / "predict", "--model=zebra"]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/")
    assert done.returncode == 2
    assert done.stdout == "" and done.stderr.startswith("predict: --") and done.stderr.count("\n") == 1
