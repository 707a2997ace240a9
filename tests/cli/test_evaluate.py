"""bin/evaluate as a person meets it: what it takes from a run, tables, files, one clear line for what is wrong."""

import csv
import json
import re

import numpy as np
import pytest

from slimft import assessment, write_checkpoint
from slimft.cli import evaluate, predict
from slimft.data import load_dataset
from slimft.data.dataset import DataOptions
from slimft.evaluation import evaluate as evaluation_of
from slimft.progress_bar import PassBar

CLASSES = ("cat, tabby", "dog", 'the "red" panda')


def call(*arguments):
    return evaluate.main(["evaluate", *map(str, arguments)])


def result(capsys):
    captured = capsys.readouterr()
    assert captured.out.count("\n") == 1
    return json.loads(captured.out), captured.err


def rejects(capsys, arguments, *words):
    """The command exits with 2, prints nothing, and says `words` in one line."""
    capsys.readouterr()
    assert call(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1 and captured.err.startswith("evaluate: ")
    for word in words:
        assert word in captured.err


def rows_of(file):
    with open(file, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("head", ["linear", "bn_mlp"])
@pytest.mark.parametrize("averages", [False, True])
def test_a_train_dir_is_all_it_takes(make_run, images, capsys, head, averages):
    run = make_run(head=head, averages=averages)
    assert call(f"--train_dir={run}") == 0
    found, said = result(capsys)
    expected = evaluation_of(train_dir=run)
    assert list(found)[-6:] == [
        "roc_auc", "average_precision", "classes_with_areas", "ece", "intervals", "per_class",
    ]  # fmt: skip
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert (found["split"], found["step"], found["train_dir"]) == ("test", 7, str(run))
    assert found["checkpoint"] == str(run / "model.ckpt-7")
    assert (found["image_size"], found["head"], found["averages"]) == (16, head, averages)
    assert (found["data_dir"], found["left_out"]) == (str(images), 0)
    assert [row["class"] for row in found["per_class"]] == list(CLASSES)
    assert sum(row["examples"] for row in found["per_class"]) == found["examples"] == 3
    lines = said.splitlines()
    assert [line.split("  ")[0] for line in lines[-5:-2]] == list(CLASSES)
    assert f"accuracy {found['accuracy']:.4f}" in lines[-2] and f"(ECE) {found['ece']:.4f}" in lines[-2]
    assert ("moving averages" in lines[-2]) == averages
    assert lines[-1].startswith("95 % intervals (1000 bootstrap resamples of 3 images): accuracy ")
    assert call(f"--train_dir={run}", "--noaverages") == 0
    assert (result(capsys)[0]["loss"] == pytest.approx(found["loss"])) == (not averages)


def test_what_takes_long_tells_how_far_it_is(make_run, images, capfd, monkeypatch):
    """In a log a line now and then, with the speed and the time that is left; nothing where it is done soon."""
    run = make_run()
    assert call(f"--train_dir={run}") == 0
    assert "evaluating" not in capfd.readouterr().err
    monkeypatch.setattr(PassBar, "QUIET_SECONDS", 0)
    monkeypatch.setattr(PassBar, "LOG_SECONDS", 0)
    assert call(f"--train_dir={run}") == 0
    said = capfd.readouterr().err
    assert re.search(r"evaluating test: 100%.* \[00:.*images/s\]$", said, re.MULTILINE)
    assert predict.main(["predict", f"--train_dir={run}", "--json", str(images)]) == 0
    captured = capfd.readouterr()
    assert re.search(r"predicting: 100%.*images/s\]$", captured.err, re.MULTILINE)
    assert all(json.loads(line)["predictions"] for line in captured.out.splitlines())


def test_averages_that_are_not_there(make_run, capsys):
    rejects(capsys, [f"--train_dir={make_run()}", "--averages"], "model.ckpt-7 has no moving averages")


def test_what_a_run_is_evaluated_on(make_run, images, tmp_path, capsys):
    """The examples of the run's own split, by their names; of another one, those that the run did not train on."""
    run, file = make_run(folds=5, fold=2, split_seed=3), tmp_path / "predictions.csv"

    def names(*flags):
        assert call(f"--train_dir={run}", f"--predictions={file}", *flags) == 0
        found, _ = result(capsys)
        assert len(rows_of(file)) == found["examples"]
        return [row["name"] for row in rows_of(file)], found["left_out"]

    def expected(split="test", **options):
        data = load_dataset("image_folder", images, DataOptions(**options))[split]
        return [data.describe(index) for index in range(data.num_examples)]

    options = {"folds": 5, "fold": 2, "split_seed": 3}
    trained = expected("train", **options)
    assert names() == (expected(**options), 0)
    assert names("--split=validation") == (expected("validation", **options), 0)
    assert names("--dataset_split_name=train") == (trained, 0)
    others = [str(name) for name in sorted(images.rglob("*.png")) if str(name) not in trained]
    assert names("--split=all") == (others, len(trained))
    # The validation examples of this fold are in others.
    fold = next(fold for fold in (0, 1, 3, 4) if set(expected(**{**options, "fold": fold})) - set(trained))
    other = expected(**{**options, "fold": fold})
    rest = [name for name in other if name not in trained]
    assert names(f"--fold={fold}") == (rest, len(other) - len(rest)) and len(rest) < len(other)


def test_predictions_in_a_file(make_run, tmp_path, capsys):
    file = tmp_path / "predictions.csv"
    file.write_text("old")
    assert call(f"--train_dir={make_run()}", "--split=train", f"--predictions={file}") == 0
    found, _ = result(capsys)
    rows = rows_of(file)
    shares = [f"probability_{name}" for name in CLASSES]
    assert list(rows[0]) == ["name", "label", "predicted", "confidence", *shares]
    for row in rows:
        of = np.array([float(row[name]) for name in shares])
        assert of.sum() == pytest.approx(1, abs=1e-5) and CLASSES[of.argmax()] == row["predicted"]
        assert of.max() == pytest.approx(float(row["confidence"]), abs=1e-5)
    assert call(f"--train_dir={tmp_path / 'run'}", f"--predictions={file}", "--noprobabilities") == 0
    assert list(rows_of(file)[0]) == ["name", "label", "predicted", "confidence"]
    capsys.readouterr()
    assert np.mean([row["label"] == row["predicted"] for row in rows]) == pytest.approx(found["accuracy"])
    assert all(row["label"] in row["name"] and row["predicted"] in CLASSES for row in rows)
    assert all(1 / 3 <= float(row["confidence"]) <= 1 for row in rows)
    for path in (tmp_path, tmp_path / "nowhere" / "file.csv", "/dev/null"):
        flag = f"--predictions={path}"
        rejects(capsys, [f"--train_dir={tmp_path / 'run'}", flag], f"{flag} cannot be written")


@pytest.mark.parametrize("head", ["linear", "bn_mlp"])
def test_files_are_predicted_as_they_are_evaluated(make_run, tmp_path, capsys, head):
    """bin/predict takes the pixels as floats, evaluation rounds them to bytes."""
    run, file = make_run(head=head, averages=True), tmp_path / "predictions.csv"
    assert call(f"--train_dir={run}", "--split=train", f"--predictions={file}") == 0
    capsys.readouterr()
    rows = rows_of(file)
    assert predict.main(["predict", f"--train_dir={run}", "--json", *(row["name"] for row in rows)]) == 0
    predicted = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(predicted) == len(rows) > 5
    for row, found in zip(rows, predicted):
        shares = {one["name"]: one["probability"] for one in found["predictions"]}
        assert found["path"] == row["name"]
        assert shares[row["predicted"]] == pytest.approx(float(row["confidence"]), abs=0.01)
        assert shares[row["predicted"]] > max(shares.values()) - 0.02
    for flags in (["--model=tiny", f"--checkpoint={run}"], [f"--checkpoint={run}/model.ckpt-7"]):
        assert predict.main(["predict", *flags, "--json", *(row["name"] for row in rows)]) == 0
        captured = capsys.readouterr()
        assert [json.loads(line) for line in captured.out.splitlines()] == predicted
        assert f"tiny, image size 16, head {head}, 3 classes" in captured.err
        assert f"in the run {run}" in captured.err
    # The weights themselves would not do.
    assert predict.main(["predict", f"--train_dir={run}", "--noaverages", "--json", rows[0]["name"]]) == 0
    [found] = json.loads(capsys.readouterr().out)["predictions"][:1]
    assert abs(found["probability"] - float(rows[0]["confidence"])) > 0.01


def test_what_a_run_that_stops_early_ends_with(make_run, make_values, images, capsys):
    run = make_run(patience=2)
    (run / "best").mkdir()
    values = make_values(3, "linear", seed=3)
    write_checkpoint(run / "best" / "model.ckpt-5", {**values, "global_step": np.int64(5)})
    (run / "best" / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-5"\n')
    assert call(f"--train_dir={run}") == 0
    best, _ = result(capsys)
    assert (best["step"], best["checkpoint"]) == (5, str(run / "best" / "model.ckpt-5"))
    assert call(f"--train_dir={run}", f"--checkpoint={run}") == 0
    assert result(capsys)[0]["step"] == 7
    photo, shares = str(images / "dog" / "0.png"), []
    for flags in ([], [f"--checkpoint={run}/best"], [f"--checkpoint={run}"]):
        assert predict.main(["predict", f"--train_dir={run}", *flags, "--json", photo]) == 0
        shares.append(json.loads(capsys.readouterr().out)["predictions"])
    assert shares[0] == shares[1] != shares[2]


def test_a_cache_where_it_is_asked_for(make_run, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    run, losses = make_run(), []
    for flags, files in ([], 0), (["--cache=on"], 1), (["--cache=on"], 1):
        assert call(f"--train_dir={run}", *flags) == 0
        losses.append(result(capsys)[0]["loss"])
        assert len(list(tmp_path.glob("cache/slimft/images/*.images"))) == files
    assert losses[0] == losses[1] == losses[2]


def test_data_without_a_test_split(make_run, make_images, tmp_path, capsys):
    folder = tmp_path / "split"
    for split in ("train", "val"):
        make_images(folder / split, each=2)
    run = make_run(data_dir=str(folder))
    assert call(f"--train_dir={run}") == 0
    found, said = result(capsys)
    assert (found["split"], found["examples"]) == ("validation", 6)
    assert "has no test split" in said and "validation: accuracy" in said
    rejects(capsys, [f"--train_dir={run}", "--split=test"], "--split=test", "only train and validation")


def test_data_of_other_classes(make_run, make_images, tmp_path, capsys):
    others = make_images(tmp_path / "more", ("cat, tabby", "dog", "wolf"))
    rejects(capsys, [f"--train_dir={make_run()}", f"--data_dir={others}"], "not trained on: wolf")
    rejects(capsys, [f"--train_dir={tmp_path}/run", "--dataset=digits"], "digits", "not trained on: 0, 1, 2")


def test_an_image_that_cannot_be_read(make_run, images, capsys):
    run = make_run()
    for file in images.rglob("*.png"):
        file.write_bytes(file.read_bytes()[:200])
    rejects(capsys, [f"--train_dir={run}"], ".png cannot be read", str(images))


def test_the_worst_of_many_classes(make_run, make_images, tmp_path, monkeypatch, capsys):
    classes = [f"class {number:02}" for number in range(45)]
    folder = tmp_path / "many"
    for split in ("train", "val", "test"):
        make_images(folder / split, classes, each=1)
    assert call(f"--train_dir={make_run(classes=classes, data_dir=str(folder))}") == 0
    found, said = result(capsys)
    assert len(found["per_class"]) == 45
    shown = [line for line in said.splitlines() if line.startswith("class ") and "precision" not in line]
    assert len(shown) == 40 and "the 40 of 45 classes with the lowest F1" in said
    shown = [float(line.split()[-3]) for line in shown]
    assert shown == sorted(shown)
    assert shown == pytest.approx(sorted(row["f1"] for row in found["per_class"])[:40], abs=1e-4)
    monkeypatch.setattr(assessment, "MOST_IN_RESULT", 44)
    assert call(f"--train_dir={tmp_path / 'run'}") == 0
    assert result(capsys)[0] == {**found, "per_class": None}


def test_bad_flags_are_found_out_without_tensorflow(run_python):
    run_python(
        "import sys; from slimft.cli.evaluate import main; "
        "flags = ['evaluate', '--model=vgg_16', '--dataset=digits']; "
        "assert main(['evaluate', '--help']) == 0 and main([*flags, '--checkpoint=no.ckpt']) == 2; "
        "assert main([*flags, '--checkpoint=hed', '--predictions=/nowhere/file.csv']) == 2; "
        "assert 'tensorflow' not in sys.modules"
    )


def test_help_names_every_flag(capsys):
    assert call("--help") == 0
    printed = capsys.readouterr().out
    for flag in (
        "--train_dir", "--checkpoint --checkpoint_path", "--model --model_name", "--dataset --dataset_name",
        "--data_dir --dataset_dir", "--split --dataset_split_name", "--validation_share", "--test_share",
        "--split_seed", "--folds", "--fold", "--cache", "--image_size --eval_image_size", "--averages",
        "--batch_size", "--precision", "--predictions",
    ):  # fmt: skip
        assert f"\n  {flag}\n" in printed
