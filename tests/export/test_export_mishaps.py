"""bin/export where the disk, another process or a signal comes between; and cards that must not claim too much."""

import contextlib
import errno
import io
import json
import os
import pathlib
import runpy
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from slimft.cli import export
from slimft.compat import tf
from slimft.data.image_files import FileSource
from slimft.errors import ExportError
from slimft.export import card, check, consumer, examples
from slimft.export.formats import FORMATS

ROOT = pathlib.Path(__file__).resolve().parents[2]
QUICK = ("--format=frozen_graph", "--checked_images=2")


def call(*arguments):
    return export.main(["export", *map(str, arguments)])


def test_who_is_first_has_the_name(run_dir, tmp_path, capsys, monkeypatch, read_here):
    """Another process writes OUT meanwhile."""
    out, write = tmp_path / "out", card.write_card

    def write_and_more(*arguments):
        out.mkdir()
        (out / "theirs").write_text("kept")
        write(*arguments)

    monkeypatch.setattr(card, "write_card", write_and_more)
    assert call(f"--train_dir={run_dir}", *QUICK, out) == 2
    assert f"cannot write {out}: " in capsys.readouterr().err.splitlines()[-1]
    assert os.listdir(tmp_path) == ["out"] and os.listdir(out) == ["theirs"]


def test_a_folder_that_is_gone_meanwhile(run_dir, tmp_path, capsys, monkeypatch, read_here):
    folder, write = tmp_path / "folder", card.write_card
    folder.mkdir()
    monkeypatch.setattr(card, "write_card", lambda *arguments: (shutil.rmtree(folder), write(*arguments)))
    assert call(f"--train_dir={run_dir}", *QUICK, folder / "out") == 2
    assert f"the folder {folder} is no more" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("kind", [tf.errors.ResourceExhaustedError, OSError])
def test_a_full_disk_is_told_as_one(run_dir, tmp_path, capsys, monkeypatch, read_here, kind):
    """TensorFlow's error for it is the one of too little memory."""
    error = (
        OSError(errno.ENOSPC, "No space left on device")
        if kind is OSError
        else kind(None, None, "variables; No space left on device")
    )

    def fail(*arguments):
        raise error

    monkeypatch.setattr(card, "write_card", fail)
    assert call(f"--train_dir={run_dir}", *QUICK, tmp_path / "out") == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert str(tmp_path / "out") in last and "No space left on device" in last
    assert os.listdir(tmp_path) == []


def test_a_mounted_folder_is_refused_at_once(run_dir, tmp_path, capsys, monkeypatch):
    """It could not be renamed to."""
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(os.path, "ismount", lambda path: str(path) == str(tmp_path / "out"))
    assert call(f"--train_dir={run_dir}", tmp_path / "out") == 2
    assert "a file system is mounted" in capsys.readouterr().err


def test_sigterm_leaves_nothing(run_dir, tmp_path):
    """Nor in the folder for temporary files, where TensorFlow's converter reads from."""
    places = [tmp_path / "outs", tmp_path / "temporary"]
    for place in places:
        place.mkdir()
    command = [sys.executable, ROOT / "bin" / "export", f"--train_dir={run_dir}", "--format=tflite"]
    environment = {**os.environ, "TMPDIR": str(places[1])}
    with subprocess.Popen(
        [*command, places[0] / "out"], stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        for line in process.stderr:
            if line.startswith("tried with"):
                break
        process.terminate()
        process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    assert [os.listdir(place) for place in places] == [[], []]


def test_the_consumer_imports_libraries_and_not_its_neighbours(monkeypatch):
    """Beside it lie onnx.py and tflite.py."""
    folder = os.path.dirname(consumer.__file__)
    monkeypatch.setattr(sys, "path", [folder, *sys.path])
    monkeypatch.setattr(sys, "argv", ["consumer", "{}"])
    monkeypatch.setitem(sys.modules, "keras", None)  # As the consumer has it, which is undone with this.
    with pytest.raises(KeyError):
        runpy.run_path(consumer.__file__, run_name="__main__")
    assert folder not in sys.path


def test_why_a_file_cannot_be_run_is_told(monkeypatch):
    """Of TensorFlow's errors the last line tells only where."""
    said = "Traceback:\nassertion failed: [an image is neither]\n\t [[{{node cond/Assert}}]]\n"
    monkeypatch.setattr(check.subprocess, "run", lambda *a, **k: subprocess.CompletedProcess(a, 1, "", said))
    with pytest.raises(ExportError, match="cannot be run: assertion failed: .an image is neither.$"):
        check._run(FORMATS["saved_model"], {})


def test_files_that_a_saved_model_does_not_decode_are_not_tried(tmp_path):
    rng = np.random.default_rng(0)
    for name, kind in (("grey16.png", np.uint16), ("grey8.png", np.uint8)):
        Image.fromarray(rng.integers(0, 200, (9, 9)).astype(kind)).save(tmp_path / name)
    Image.fromarray(rng.integers(0, 200, (9, 9, 3), np.uint8)).save(tmp_path / "a.webp")
    files = [tmp_path / name for name in ("grey16.png", "grey8.png", "a.webp")]
    collection = examples._Collection([FileSource(str(file)) for file in files], None, "image", None)
    found = [collection.picture(number, 8).encoded for number in range(3)]
    assert [one is None for one in found] == [True, False, True]


def card_of(*arguments):
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert call(*arguments) == 0
    return json.loads(printed.getvalue().splitlines()[-1])


def test_figures_are_of_the_checkpoint_as_it_was_evaluated(run_dir, tmp_path, read_here):
    """Not where it is used otherwise, or is another one of the same step."""
    assert card_of(f"--train_dir={run_dir}", *QUICK, tmp_path / "same")["run"]["metrics"] is not None
    other = card_of(f"--train_dir={run_dir}", *QUICK, "--image_size=48", tmp_path / "smaller")
    assert other["run"]["metrics"] is None
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for file in run_dir.glob("model.ckpt-12.*"):
        shutil.copy(file, elsewhere)
    flags = [f"--train_dir={run_dir}", f"--checkpoint={elsewhere / 'model.ckpt-12'}", *QUICK]
    assert card_of(*flags, tmp_path / "foreign")["run"]["metrics"] is None


def test_the_card_says_what_numbers_a_file_takes(exported):
    values = {one["format"]: one["values"] for one in exported.card["formats"]}
    assert values["frozen_graph"] == "takes preprocessed images: RGB * 2 / 255 - 1"
    assert "RGB in 0..255" in values["tflite"] and "/ 256" in values["tflite_int8"]
    readme = (exported.folder / "README.md").read_text()
    assert all(text in readme for text in values.values())


def test_names_are_no_markup_in_the_readme():
    assert card._one_line("a|b\n<script> [x](y) `z`") == "a\\|b \\<script\\> \\[x\\](y) \\`z\\`"
