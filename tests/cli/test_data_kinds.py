"""Data of other programs, from bin/finetune to bin/evaluate and bin/predict."""

import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from slimft.cli import evaluate, finetune, predict
from slimft.compat import tf
from slimft.runs.settings_file import load_settings

pytestmark = pytest.mark.usefixtures("plain_charts")

RNG = np.random.default_rng(0)
FLAGS = ["--model=tiny", "--image_size=16", "--batch_size=8", "--steps=6", "--cache=off", "--augment=none"]


def result(capsys, command, *flags):
    status = command.main(["the_command", *map(str, flags)])
    captured = capsys.readouterr()
    assert status == 0, captured.err
    return json.loads(captured.out.splitlines()[-1]), captured.err


def refusal(capsys, *flags):
    assert finetune.main(["finetune", *FLAGS, *map(str, flags)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()[-1]


def test_compressed_records_with_labels_from_one(tiny, tmp_path, capsys):
    """What Adrian's and others' tutorials write: TFRecordWriter, GZIP, names of ImageNet's kind."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "labels.txt").write_text("1:ant\n2:bee\n")
    image = tmp_path / "image.png"
    for split, count in (("train", 24), ("validation", 8), ("test", 10)):
        path = data / f"insects_{split}_00000-of-00001.tfrecord"
        with tf.io.TFRecordWriter(str(path), tf.io.TFRecordOptions("GZIP")) as writer:
            for number in range(count):
                Image.fromarray(RNG.integers(0, 256, (20, 20, 3), np.uint8)).save(image)
                features = {
                    "pixels": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image.read_bytes()])),
                    "kind": tf.train.Feature(int64_list=tf.train.Int64List(value=[number % 2 + 1])),
                }
                writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
    flags = ["--dataset_name=tfrecord", f"--dataset_dir={data}", f"--train_dir={tmp_path}/run"]
    assert refusal(capsys, *flags).endswith("say with --image_key=pixels which is the image")
    assert not (tmp_path / "run").exists()
    flags += ["--image_key=pixels", "--label_key=kind", "--labels_offset=1"]
    trained, _ = result(capsys, finetune, *FLAGS, *flags)
    assert trained["examples"] == 10 and trained["split"] == "test"
    assert (tmp_path / "run" / "labels.txt").read_text() == "0:ant\n1:bee\n"
    again, said = result(capsys, evaluate, f"--train_dir={tmp_path}/run")
    assert again["loss"] == pytest.approx(trained["loss"]) and "labels are counted from 1: 1 is ant" in said
    other, _ = result(capsys, evaluate, f"--train_dir={tmp_path}/run", "--split=validation")
    assert other["examples"] == 8
    changed = [*flags[:-1], "--labels_offset=0"]
    assert "holds a run with --labels_offset=1, not 0; name another directory" in refusal(capsys, *changed)


def write_tiffs(folder, brightest):
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for number in range(20):
            values = RNG.integers(0, brightest + 1, (20, 20)).astype(np.uint16)
            tifffile.imwrite(folder / name / f"{number}.tif", values, photometric="minisblack")


def test_a_camera_of_12_bits(tiny, tmp_path, capsys):
    """The run keeps how many bits there are, and evaluation and prediction see images as training did."""
    write_tiffs(tmp_path / "data", 4095)
    run = tmp_path / "run"
    flags = ["--dataset=image_folder", f"--data_dir={tmp_path}/data", f"--train_dir={run}"]
    trained, said = result(capsys, finetune, *FLAGS, *flags)
    assert "16-bit grey images use 12 bits at most, and are seen as such, 4095 as white" in said
    assert load_settings(run).grey_bits == 12
    again, _ = result(capsys, evaluate, f"--train_dir={run}", f"--predictions={tmp_path}/all.csv")
    assert again["loss"] == pytest.approx(trained["loss"])
    # One that by itself would be taken for 8 bits.
    dark = tmp_path / "new" / "cat" / "dark.tif"
    dark.parent.mkdir(parents=True)
    tifffile.imwrite(dark, RNG.integers(0, 250, (20, 20)).astype(np.uint16), photometric="minisblack")
    found, _ = result(capsys, predict, f"--train_dir={run}", "--json", dark)
    data = ["--dataset=image_folder", f"--data_dir={tmp_path}/new", f"--predictions={tmp_path}/one.csv"]
    result(capsys, evaluate, f"--train_dir={run}", *data)
    row = (tmp_path / "one.csv").read_text().splitlines()[1].split(",")
    assert row[2] == found["predictions"][0]["name"]
    assert float(row[3]) == pytest.approx(found["predictions"][0]["probability"], abs=2e-6)
    as_16_bits, _ = result(capsys, predict, f"--train_dir={run}", "--json", "--grey_bits=16", dark)
    as_8_bits, _ = result(capsys, predict, f"--train_dir={run}", "--json", "--grey_bits=8", dark)
    assert len({str(one["predictions"]) for one in (found, as_16_bits, as_8_bits)}) == 3
    # A brighter image is no matter of silence.
    tifffile.imwrite(dark, np.full((20, 20), 60000, np.uint16), photometric="minisblack")
    assert predict.main(["predict", f"--train_dir={run}", str(dark)]) == 1
    assert "its brightest value is 60000, and --grey_bits=12; choose --grey_bits=16, or" in capsys.readouterr().err
    more, said = result(capsys, finetune, *FLAGS[:3], "--steps=9", *FLAGS[4:], *flags)
    assert more["step"] == 9 and load_settings(run).grey_bits == 12


def test_a_bad_test_image_is_found_before_anything_is_trained(tiny, tmp_path, capsys):
    for split, count in (("train", 8), ("val", 3), ("test", 3)):
        for name in ("cat", "dog"):
            (tmp_path / "data" / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = RNG.integers(0, 256, (40, 40, 3), np.uint8)
                Image.fromarray(pixels).save(tmp_path / "data" / split / name / f"{number}.jpg")
    bad = tmp_path / "data/test/dog/2.jpg"
    bad.write_bytes(bad.read_bytes()[:-900])
    (tmp_path / "data/val/cat/0.jpg").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    flags = ["--dataset=image_folder", f"--data_dir={tmp_path}/data", f"--train_dir={tmp_path}/run"]
    for more in ([], ["--dry_run"], ["--cache=on"]):
        said = refusal(capsys, *flags, *more)
        assert said.startswith("finetune: 2 images cannot be read: ") and str(bad) in said
        assert "val/cat/0.jpg is no image, but a pointer of Git LFS; run git lfs pull" in said
        assert not (tmp_path / "run").exists()
