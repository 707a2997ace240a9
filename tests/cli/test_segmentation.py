"""bin/predict and bin/evaluate with a network for segmentation."""

import csv
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from slimft import write_checkpoint
from slimft.cli import evaluate, predict
from slimft.compat import tf
from slimft.data import load_dataset
from slimft.data.class_names import write_labels
from slimft.data.fingerprint import Fingerprint
from slimft.nets import get_network
from slimft.runs.data_record import write_data_record
from slimft.runs.settings import Settings
from slimft.runs.settings_file import save_settings

CLASSES = ("ground", "red", "green")


@pytest.fixture
def run_folder(tiny, voc, tmp_path):
    """The directory of a run of `tiny_fcn` whose scores are those of a pixel's red, green and blue."""
    folder = tmp_path / "run"
    with tf.Graph().as_default():
        get_network("tiny_fcn").build(tf.zeros([1, 16, 16, 3]), 3, is_training=False)
        shapes = {variable.op.name: variable.shape.as_list() for variable in tf.global_variables()}
    random = np.random.default_rng(0)
    values = {
        name: (np.ones(shape) if "variance" in name else random.normal(0, 0.3, shape)).astype(np.float32)
        for name, shape in shapes.items()
    }
    folder.mkdir()
    write_checkpoint(folder / "model.ckpt-7", {**values, "global_step": np.int64(7)})
    (folder / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-7"\n')
    settings = Settings(model="tiny_fcn", dataset="voc", data_dir=str(voc), train_dir=str(folder), image_size=32)
    save_settings(settings)
    write_labels(folder, CLASSES)
    write_data_record(folder, Fingerprint.of(load_dataset("voc", voc)))
    return folder


@pytest.fixture
def pictures(voc, tmp_path):
    """A folder with three images, one of them in a folder of its own, and one that is cut off."""
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    shutil.copy(voc / "JPEGImages/test_0.png", folder / "a.png")
    shutil.copy(voc / "JPEGImages/test_1.png", folder / "more/a.png")
    Image.fromarray(np.zeros((90, 33), np.uint8)).save(folder / "grey.jpg")
    (folder / "broken.png").write_bytes((folder / "a.png").read_bytes()[:200])
    return folder


def run(command, *arguments):
    return command.main(["command", *map(str, arguments)])


def test_masks_and_overlays_of_files_and_folders(run_folder, pictures, tmp_path, capsys):
    output = tmp_path / "masks"
    assert run(predict, f"--train_dir={run_folder}", f"--output_dir={output}", "--json", pictures) == 1
    found = capsys.readouterr()
    assert "broken.png cannot be read" in found.err
    told = {one["path"]: one for one in map(json.loads, found.out.splitlines())}
    assert sorted(told) == [str(pictures / name) for name in ("a.png", "grey.jpg", "more/a.png")]
    files = sorted(str(file.relative_to(output)) for file in output.rglob("*.*"))
    assert files == [
        "a.png", "a_overlay.jpg", "grey.png", "grey_overlay.jpg", "more/a.png", "more/a_overlay.jpg"
    ]  # fmt: skip
    for path, one in told.items():
        mask, image = Image.open(one["mask"]), Image.open(path)
        assert mask.mode == "P" and mask.size == image.size
        numbers = np.array(mask)
        assert numbers.max() < 3 and mask.getpalette()[3:6] == [128, 0, 0]
        shares = {entry["class"]: entry["share"] for entry in one["classes"]}
        assert {entry["name"] for entry in one["classes"]} <= set(CLASSES)
        for label, share in shares.items():
            assert share == pytest.approx((numbers == label).mean())
        assert list(shares.values()) == sorted(shares.values(), reverse=True)
        drawn = Image.open(one["overlay"])
        assert drawn.width > image.width and drawn.height >= image.height
    assert run(predict, f"--train_dir={run_folder}", f"--output_dir={output}", "--top=1", pictures / "a.png") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith(f"{output / 'a.png'}, {output / 'a_overlay.jpg'}") and len(lines) == 2


def test_no_image_is_replaced_and_no_mask_takes_anothers_place(run_folder, pictures, tmp_path, capsys):
    before = (pictures / "a.png").read_bytes()
    assert run(predict, f"--train_dir={run_folder}", f"--output_dir={pictures / 'masks'}", pictures) == 2
    assert "where the masks would be taken for images the next time" in capsys.readouterr().err
    assert run(predict, f"--train_dir={run_folder}", f"--output_dir={pictures}", pictures / "a.png") == 2
    assert "is one of the images, and would be replaced" in capsys.readouterr().err
    assert (pictures / "a.png").read_bytes() == before
    one, other = pictures / "a.png", pictures / "more/a.png"
    assert run(predict, f"--train_dir={run_folder}", f"--output_dir={tmp_path / 'm'}", one, other) == 2
    assert "two of the images are called a.png" in capsys.readouterr().err
    Image.open(one).convert("RGB").save(pictures / "a.bmp")
    assert run(predict, f"--train_dir={run_folder}", f"--output_dir={tmp_path / 'm'}", one, pictures / "a.bmp") == 0
    assert {file.name for file in (tmp_path / "m").glob("*.png")} == {"a.png.png", "a.bmp.png"}


@pytest.mark.parametrize(
    "flag, message",
    [
        ("--crop=0.5", "--crop=0.5: tiny_fcn sees images whole"),
        ("--image_size=64", "--image_size=64: tiny_fcn sees images whole"),
        ("--output_dir=/dev/null/masks", "--output_dir=/dev/null/masks cannot be made"),
    ],
)
def test_flags_that_do_not_fit(run_folder, pictures, flag, message, capsys):
    assert run(predict, f"--train_dir={run_folder}", flag, pictures / "a.png") == 2
    assert message in capsys.readouterr().err


def test_what_cannot_be_written_is_one_line(run_folder, pictures, tmp_path, capsys):
    (tmp_path / "m/a.png").mkdir(parents=True)
    assert run(predict, f"--train_dir={run_folder}", f"--output_dir={tmp_path / 'm'}", pictures / "a.png") == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert "a.png: " in last and "report it" not in last


def test_a_classifier_writes_no_masks(tiny, tmp_path, make_values, capsys):
    write_checkpoint(tmp_path / "c.npz", make_values(4, "linear", 0))
    image = tmp_path / "x.png"
    Image.new("RGB", (20, 20)).save(image)
    arguments = ["--model=tiny", f"--checkpoint={tmp_path / 'c.npz'}", "--output_dir=masks", image]
    assert run(predict, *arguments) == 2
    assert "--output_dir=masks: tiny makes no masks" in capsys.readouterr().err


def test_evaluation_tells_each_class_and_each_image(run_folder, voc, tmp_path, capsys):
    table = tmp_path / "images.csv"
    assert run(evaluate, f"--train_dir={run_folder}", f"--predictions={table}") == 0
    found = capsys.readouterr()
    result = json.loads(found.out)
    assert result["split"] == "test" and result["examples"] == 3 and result["left_out"] == 0
    assert [row["class"] for row in result["per_class"]] == list(CLASSES)
    assert sum(row["pixels"] for row in result["per_class"]) == result["pixels"]
    assert "iou" in found.err and "mean IoU" in found.err and "ece" not in result
    rows = list(csv.DictReader(table.open(encoding="utf-8")))
    assert len(rows) == 3 and all(0 <= float(row["mean_iou"]) <= 1 for row in rows)
    assert rows[0]["name"].startswith(str(voc / "JPEGImages"))


def test_data_of_another_task_is_refused(run_folder, capsys):
    assert run(evaluate, f"--train_dir={run_folder}", "--dataset=digits") == 2
    assert "--dataset=digits is for classification, and tiny_fcn is for segmentation" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--tta=flips", "--top=1", "--bootstrap=9", "--threshold_for=recall:0.9"])
def test_what_only_classes_of_whole_images_have_is_refused(run_folder, flag, capsys):
    assert run(evaluate, f"--train_dir={run_folder}", flag) == 2
    said = capsys.readouterr().err
    assert f"{flag}: it is for classes of whole images, and tiny_fcn segments" in said and said.count("\n") == 1
    assert run(evaluate, f"--train_dir={run_folder},{run_folder}") == 2
    assert "tiny_fcn segments; an ensemble" in capsys.readouterr().err


def test_a_sample_of_images_with_masks(run_folder, capsys):
    assert run(evaluate, f"--train_dir={run_folder}", "--examples=2") == 0
    found = capsys.readouterr()
    result = json.loads(found.out)
    assert (result["examples"], result["examples_in_split"]) == (2, 3)
    assert "a sample: 2 of 3 examples" in found.err and "test, 2 of 3 examples: mean IoU" in found.err
