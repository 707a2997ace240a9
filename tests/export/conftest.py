"""A small run, and what bin/export makes of it, for all tests."""

import contextlib
import io
import json
import pathlib
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from slimft.cli import export, finetune
from slimft.export import check, consumer

FORMATS = ("saved_model", "frozen_graph", "tflite", "tflite_float16", "tflite_dynamic", "tflite_int8", "onnx")
CLASSES = ("a cat", "dog", "zebra, “plains”")
SIZE = 64


@pytest.fixture(scope="session")
def pictures(built_once):
    """A folder of images for each class, JPEG and PNG of several sizes; each class has a colour."""
    return built_once("export_pictures", draw)


def draw(folder):
    rng = np.random.default_rng(0)
    for label, name in enumerate(CLASSES):
        (folder / name).mkdir()
        for number in range(14):
            rows, columns = rng.integers(30, 150, 2)
            pixels = rng.integers(0, 100, (rows // 4 + 1, columns // 4 + 1, 3), np.uint8)
            pixels[..., label] += 120
            image = Image.fromarray(pixels).resize((columns, rows))
            image.save(folder / name / f"{number}.{'png' if number % 4 == 0 else 'jpg'}")


@pytest.fixture(scope="session")
def run_dir(pictures, built_once):
    """The directory of a finished run of a small network."""
    flags = ["--model=mobilenet_v1_025", "--dataset=image_folder", f"--data_dir={pictures}", f"--image_size={SIZE}"]
    flags += ["--steps=12", "--batch_size=8", "--precision=float32", "--learning_rate=0.02"]

    def make(folder):
        with contextlib.redirect_stdout(io.StringIO()):
            assert finetune.main(["finetune", *flags, f"--train_dir={folder / 'cats'}"]) == 0

    return built_once("export_run", make) / "cats"


class Exported(NamedTuple):
    """What the command wrote and printed."""

    folder: pathlib.Path
    card: dict


@pytest.fixture(scope="session")
def exported(run_dir, built_once):
    """The run in all formats."""
    for name in ("tf2onnx", "onnxruntime"):
        pytest.importorskip(name)

    def make(folder):
        printed = io.StringIO()
        flags = [f"--train_dir={run_dir}", f"--format={','.join(FORMATS)}"]
        with contextlib.redirect_stdout(printed):
            assert export.main(["export", *flags, str(folder / "out")]) == 0
        (folder / "printed.json").write_text(printed.getvalue().strip().splitlines()[-1])

    folder = built_once("exported", make)
    return Exported(folder / "out", json.loads((folder / "printed.json").read_text()))


@pytest.fixture
def read_here(monkeypatch):
    """Lets files be read in this process, where that they are read in a fresh one is tested already.

    Not SavedModels, which are read by TensorFlow 2's ways, and these are off here.
    """
    in_a_fresh_one = check._run

    def run(form, request):
        if request["kind"] == "saved_model":
            return in_a_fresh_one(form, request)
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            monkeypatch.setattr(consumer.sys, "argv", ["consumer", json.dumps(request)])
            consumer.main()
        return json.loads(printed.getvalue())

    monkeypatch.setattr(check, "_run", run)
