"""--fold=all: each fold a run, gone on with where it stopped; each example predicted once, by the fold that did not
train on it; and what the other commands make of the directory.
"""

import contextlib
import csv
import dataclasses
import io
import json
import os
import pathlib
import shutil
import signal
import threading

import numpy as np
import pytest
import sklearn.metrics
from PIL import Image

import slimft
from slimft.cli import evaluate, export, finetune, report
from slimft.cli.network_flags import define_network_flags, networks_of
from slimft.ensemble import Ensemble
from slimft.errors import UsageError
from slimft.inference import find_network
from slimft.prediction import Classifier
from slimft.runs.data_record import read_data_record
from slimft.runs.folds import is_cross_validation, read_folds, runs_of

FOLDS = 3


def write_images(folder, each=8):
    """Images of three classes, each of its own colour; no two are alike. Of each, patients a to d have two.

    The last one of each lies in the wrong folder.
    """
    rng = np.random.default_rng(7)
    for label, name in enumerate(("blue", "green", "red")):
        (folder / name).mkdir(parents=True)
        for number in range(each):
            pixels = rng.integers(0, 156, (20, 20, 3), np.uint8)
            pixels[..., 2 - (label + (number == each - 1)) % 3] += 100
            Image.fromarray(pixels).save(folder / name / f"{'abcd'[number // 2]}{label}-{number}.png")
    return folder


def run(command, *flags):
    """A command's exit status, its last line on standard output, and what it said."""
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        status = command.main(["the_command", *flags])
    lines = output.getvalue().splitlines()
    return status, lines[-1] if lines else "", errors.getvalue()


def flags_of(tiny, data_dir, train_dir, **others):
    given = {
        "model": tiny, "dataset": "image_folder", "data_dir": data_dir, "train_dir": train_dir, "folds": FOLDS,
        "fold": "all", "steps": 12, "batch_size": 6, "image_size": 16, "augment": "none", "learning_rate": 0.05,
        "precision": "float32", "validation_share": 0.2,
    }  # fmt: skip
    return [f"--{name}={value}" for name, value in {**given, **others}.items()]


@pytest.fixture(scope="module")
def tiny(tiny_of_file):
    """As everywhere, but for the length of this file: its tests share what they train."""
    return tiny_of_file


@pytest.fixture(scope="module")
def whole(tiny, tmp_path_factory, plain_charts):
    """A cross-validation that has come to its end: its directory, its data, and its line on standard output."""
    folder = tmp_path_factory.mktemp("folds")
    images = write_images(folder / "images")
    status, line, said = run(finetune, *flags_of(tiny, images, folder / "cv"))
    assert status == 0, said
    return folder / "cv", images, json.loads(line)


@pytest.fixture
def copy(whole, tmp_path):
    """A copy of it that a test may change, somewhere else."""
    shutil.copytree(whole[0], tmp_path / "moved")
    return tmp_path / "moved"


def alike(one, other):
    """Whether two results are the same but for rounding."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(alike(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(alike, one, other))
    return one == (pytest.approx(other, abs=1e-5) if isinstance(other, float) else other)


def read_table(file):
    with open(file, newline="") as stream:
        return list(csv.DictReader(stream))


def test_each_example_is_predicted_once_by_the_fold_that_did_not_train_on_it(whole):
    folder, images, _ = whole
    rows = read_table(folder / "predictions.csv")
    assert sorted(row["name"] for row in rows) == sorted(map(str, images.glob("*/*.png")))
    for fold in range(FOLDS):
        record = read_data_record(folder / f"fold_{fold}")
        trained = {key for split in ("train", "validation") for key, _ in record.splits[split]}
        tested = {os.path.relpath(row["name"], images) for row in rows if int(row["fold"]) == fold}
        assert tested == {key for key, _ in record.splits["test"]} and not tested & trained


def test_the_pooled_figures_are_scikit_learns(whole):
    folder, _, result = whole
    rows = read_table(folder / "predictions.csv")
    labels, predicted = ([row[name] for row in rows] for name in ("label", "predicted"))
    names = ["blue", "green", "red"]
    assert result["examples"] == len(rows) == 24 and result["untested"] == 0
    assert result["accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(labels, predicted))
    assert result["balanced_accuracy"] == pytest.approx(sklearn.metrics.balanced_accuracy_score(labels, predicted))
    assert result["macro_f1"] == pytest.approx(sklearn.metrics.f1_score(labels, predicted, average="macro"))
    assert result["confusion_matrix"] == sklearn.metrics.confusion_matrix(labels, predicted, labels=names).tolist()
    given = np.array([[float(row[f"probability_{name}"]) for name in names] for row in rows])
    expected = sklearn.metrics.log_loss(labels, given / given.sum(axis=1, keepdims=True), labels=names)
    assert result["loss"] == pytest.approx(expected, abs=1e-4)
    assert [names[place] for place in given.argmax(axis=1)] == predicted


def test_mean_and_deviation_are_those_of_the_folds_own_results(whole):
    folder, _, result = whole
    of_runs = [json.loads((folder / f"fold_{fold}" / "result.json").read_text())["result"] for fold in range(FOLDS)]
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "loss"):
        figures = [one[name] for one in of_runs]
        assert [one[name] for one in result["per_fold"]] == pytest.approx(figures, abs=1e-5)
        assert result["mean"][name] == pytest.approx(np.mean(figures), abs=1e-5)
        assert result["standard_deviation"][name] == pytest.approx(np.std(figures, ddof=1), abs=1e-5)


def test_what_lies_in_the_wrong_folder_is_found(whole):
    """First of all, each with its picture in the report."""
    folder, images, result = whole
    rows = read_table(folder / "label_errors.csv")
    assert {row["name"] for row in rows[:3]} == set(map(str, images.glob("*/d*-7.png")))
    suggested = {"blue": "green", "green": "red", "red": "blue"}
    assert all(row["suggested"] == suggested[row["label"]] for row in rows[:3])
    scores = [float(row["score"]) for row in rows]
    assert scores == sorted(scores) and result["label_errors"] == len(rows)
    page = pathlib.Path(result["report"]).read_text()
    shown = page.partition("Likely label errors")[2].partition("</section>")[0]
    assert shown.count("data:image/jpeg") == len(rows) and "not proof" in shown


def test_the_page_links_the_folds_pages(whole):
    folder, _, result = whole
    page = pathlib.Path(result["report"]).read_text()
    for fold in range(FOLDS):
        assert f'href="fold_{fold}/report.html"' in page and (folder / f"fold_{fold}" / "report.html").exists()
    assert "--fold=all" in page and "Likely label errors" in page


def test_finished_folds_are_not_trained_again(whole, tiny):
    folder, images, result = whole
    before = {file: file.stat().st_mtime_ns for file in folder.glob("fold_*/**/*") if file.is_file()}
    status, line, said = run(finetune, *flags_of(tiny, images, folder))
    assert status == 0 and said.count("is done:") == FOLDS and "training" not in said
    assert {file: file.stat().st_mtime_ns for file in before} == before
    assert alike(json.loads(line), result)


def test_a_moved_directory_goes_on_with_the_fold_that_is_missing(copy, whole, tiny):
    """The data may have moved, too; the others stay as they were."""
    _, images, result = whole
    shutil.rmtree(copy / "fold_1")
    status, _, said = run(evaluate, f"--train_dir={copy}")
    assert status == 2 and "2 of 3 folds have a result" in said
    status, line, said = run(finetune, *flags_of(tiny, images, copy))
    assert status == 0 and said.count("is done:") == FOLDS - 1 and "fold 1 of 3, in" in said
    assert json.loads(line)["accuracy"] == result["accuracy"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"folds": 4}, "--folds=3, not 4"),
        ({"steps": 13}, "--steps=12, not 13"),
        ({"seed": 5}, "--seed=0, not 5"),
        ({"fold": 0}, "holds a cross-validation; go on with it by --fold=all"),
    ],
)
def test_what_all_folds_have_alike_cannot_change(whole, tiny, change, says):
    folder, images, _ = whole
    status, _, said = run(finetune, *flags_of(tiny, images, folder, **change))
    assert status == 2 and says in said and len(said.splitlines()) == 1


def test_what_cannot_be_together_is_one_line(tiny, tmp_path, whole):
    folder, images, _ = whole
    for more, says in (
        (["--launch=2"], "--launch=2: --fold=all trains in one process"),
        (["--find_lr"], "--find_lr tries rates for one run"),
        (["--show_augmented"], "--show_augmented shows what one run sees"),
        (["--resume_from=3"], "--resume_from=3 is a step of one run"),
        (["--fold=most"], "must be a fold's number, from 0, or all"),
        ([f"--train_dir={folder / 'fold_0'}"], "holds a run, and no cross-validation"),
    ):
        status, _, said = run(finetune, *flags_of(tiny, images, tmp_path / "new"), *more)
        assert status == 2 and says in said, said
    status, _, said = run(finetune, "--model=tiny", "--fold=all")
    assert status == 2 and "--fold=all needs --folds=N" in said
    assert not (tmp_path / "new").exists()


def test_a_dry_run_tells_of_one_fold_and_writes_nothing(tiny, tmp_path, whole):
    status, line, _ = run(finetune, *flags_of(tiny, whole[1], tmp_path / "new"), "--dry_run")
    assert status == 0 and "so is each of 3 folds" in line and not (tmp_path / "new").exists()


def test_a_signal_saves_and_the_same_command_goes_on(tiny, tmp_path, whole, monkeypatch):
    """The second fold is stopped; the message names the directory of all folds."""
    from slimft.training.run import Run

    if (
        signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        or threading.current_thread() is not threading.main_thread()
    ):
        pytest.skip("SIGINT is ignored here")
    take_step, steps = Run.take_step, []

    def stopping(self, *arguments):
        steps.append(self.settings.fold)
        if steps.count(1) == 5:
            os.kill(os.getpid(), signal.SIGINT)
        return take_step(self, *arguments)

    flags = flags_of(tiny, whole[1], tmp_path / "cv")
    with monkeypatch.context() as patch:
        patch.setattr(Run, "take_step", stopping)
        status, _, said = run(finetune, *flags)
    assert status == 130 and said.splitlines()[-1].endswith(
        "fold 1 of 3: stopped by SIGINT at step 5 of 12, and saved; to continue, repeat the command with "
        f"--train_dir={tmp_path / 'cv'}"
    )
    status, line, said = run(finetune, *flags)
    assert status == 0 and "fold 0 of 3 is done" in said and "resuming at step 5" in said
    assert json.loads(line)["examples"] == 24


def test_groups_stay_together(tiny, tmp_path, whole):
    images = whole[1]
    flags = flags_of(tiny, images, tmp_path / "cv", group="([a-d])[0-9]-", steps=1)
    status, _, said = run(finetune, *flags)
    assert status == 0, said
    folds = {}
    for row in read_table(tmp_path / "cv" / "predictions.csv"):
        folds.setdefault(os.path.basename(row["name"])[0], set()).add(row["fold"])
    assert set(folds) == set("abcd") and all(len(found) == 1 for found in folds.values())


def test_evaluate_gives_the_out_of_fold_figures(whole, tmp_path):
    folder, _, result = whole
    status, line, said = run(evaluate, f"--train_dir={folder}", f"--predictions={tmp_path / 'made.csv'}")
    assert status == 0, said
    told = json.loads(line)
    assert told["accuracy"] == result["accuracy"] and alike(told["per_fold"], result["per_fold"])
    assert read_table(tmp_path / "made.csv") == read_table(folder / "predictions.csv")
    status, _, said = run(evaluate, f"--train_dir={folder}", "--split=train")
    assert status == 2 and "--split=train" in said and "name one fold" in said
    status, _, said = run(evaluate, f"--train_dir={folder}", "--split_seed=3")
    assert status == 2 and "--split_seed=3" in said


def test_images_that_were_renamed_are_tested_all_the_same(whole):
    folder, images, result = whole
    names = sorted(images.glob("*/*.png"))
    renamed = [name.with_name(f"renamed-{name.name}") for name in names]
    for name, other in zip(names, renamed):
        name.rename(other)
    try:
        status, line, said = run(evaluate, f"--train_dir={folder}")
    finally:
        for name, other in zip(names, renamed):
            other.rename(name)
    told = json.loads(line)
    assert status == 0 and (told["accuracy"], told["untested"]) == (result["accuracy"], 0), said
    assert "have other names" in said and "tested by no fold" not in said


def test_a_cross_validation_stands_for_the_ensemble_of_its_folds(whole):
    from absl import flags

    folder, images, _ = whole
    values = flags.FlagValues()
    define_network_flags(values, train_dir="", checkpoint="", averages="Use")
    values(["the_command", f"--train_dir={folder}"])
    networks = networks_of(values)
    assert [network.run for network in networks] == runs_of(folder) == read_folds(folder).directories
    pixels = np.asarray(Image.open(next(images.glob("red/*.png"))).resize((16, 16)))[np.newaxis]
    alone = []
    for network in networks:
        with Classifier.of(network) as classifier:
            alone.append(classifier.probabilities(pixels))
    with Classifier.of(networks) as classifier:
        np.testing.assert_allclose(classifier.probabilities(pixels), np.mean(alone, axis=0), atol=1e-6)
    values(["the_command", f"--train_dir={folder}", "--checkpoint=some"])
    with pytest.raises(UsageError, match="of several runs, each is used with what it ended with"):
        networks_of(values)


def test_reports_of_it_and_of_its_folds(whole, copy, tmp_path):
    (copy / "report.html").unlink()
    assert run(report, str(copy))[:2] == (0, str(copy / "report.html"))
    status, _, said = run(report, str(copy), str(whole[0] / "fold_0"), f"--output={tmp_path / 'both.html'}")
    assert status == 0, said
    assert "Comparison of 4 runs" in (tmp_path / "both.html").read_text()
    (copy / "result.json").unlink()
    assert "has not come to its end" in run(report, str(copy))[2]


def test_where_a_run_is_needed_it_says_so(whole):
    with pytest.raises(UsageError, match="cross-validation, of which each fold is"):
        slimft.load_run(whole[0])


def test_in_python_it_is_evaluated_out_of_fold_too(whole):
    folder, _, result = whole
    found = slimft.evaluate(train_dir=folder)
    assert found["examples"] == result["examples"] and found["accuracy"] == result["accuracy"]
    for more in ({"tta": "flips"}, {"split": "validation"}, {"grey_bits": 12}):
        with pytest.raises(UsageError, match="is a cross-validation, evaluated as it is"):
            slimft.evaluate(train_dir=folder, **more)


def test_python_does_what_the_command_does(whole, tiny, tmp_path):
    folder, images, result = whole
    flags = flags_of(tiny, images, folder)
    keywords = dict(flag.removeprefix("--").split("=", 1) for flag in flags)
    numbers = {name: json.loads(keywords[name]) for name in keywords if keywords[name][0].isdigit()}
    assert alike(dict(slimft.finetune(**{**keywords, **numbers})), result)
    with pytest.raises(UsageError, match="resume_from=3 is a step of one run"):
        slimft.finetune(**{**keywords, **numbers}, resume_from=3)


@pytest.mark.parametrize(
    "text", ["", "[]", '{"settings": {"model": "tiny"}}', '{"settings": {"folds": "3"}}', "{}"]
)
def test_a_damaged_file_is_one_line(copy, text):
    (copy / "folds.json").write_text(text)
    assert is_cross_validation(copy)
    for command in (evaluate, report):
        given = str(copy) if command is report else f"--train_dir={copy}"
        status, _, said = run(command, given)
        assert status == 2 and "folds.json" in said and len(said.splitlines()) == 1


def test_a_single_run_looks_at_its_test_split_only(whole):
    """What it says of that is what cross-validation says of a fold alone; the report says what was looked at."""
    fold = whole[0] / "fold_0"
    rows = read_table(fold / "label_errors.csv")
    tested = {row["name"] for row in read_table(whole[0] / "predictions.csv") if row["fold"] == "0"}
    assert rows and {row["name"] for row in rows} <= tested
    assert {row["name"] for row in rows} >= {name for name in tested if name.endswith("-7.png")}
    assert json.loads((fold / "result.json").read_text())["result"]["label_errors"] == len(rows)
    shown = (fold / "report.html").read_text().partition("Likely label errors")[2].partition("</section>")[0]
    assert "Only the test split was looked at" in shown and shown.count("data:image/jpeg") == len(rows)


def test_it_is_exported_as_one_network(whole, tmp_path):
    """A frozen graph that gives the mean of the folds' probabilities, tried with images and judged by none."""
    folder, images, _ = whole
    out = tmp_path / "out"
    status, line, said = run(export, f"--train_dir={folder}", "--format=frozen_graph", str(out))
    assert status == 0, said
    card = json.loads(line)
    assert [one["run"] for one in card["ensemble"]] == ["fold_0", "fold_1", "fold_2"]
    assert card["checkpoint"] is None and card["run"] is None and card["formats"][0]["check"]["accuracy"] is None
    assert "The mean of the probabilities of 3 networks: fold\\_0" in (out / "README.md").read_text().replace(
        "fold_0", "fold\\_0"
    )
    networks = [find_network(train_dir=one) for one in runs_of(folder)]
    squares = np.stack([np.asarray(Image.open(one).resize((16, 16))) for one in sorted(images.glob("*/a*.png"))])
    with Classifier.of(networks) as several, Classifier.of(Ensemble.of(networks)) as one:
        np.testing.assert_allclose(one.probabilities(squares), several.probabilities(squares), atol=1e-6)


def test_only_what_is_alike_is_one_network(whole):
    first, second, _ = (find_network(train_dir=one) for one in runs_of(whole[0]))
    assert Ensemble.of([first]) == first
    with pytest.raises(UsageError, match="another image size"):
        Ensemble.of([first, dataclasses.replace(second, image_size=24)])


def test_what_began_nothing_binds_nobody(tiny, tmp_path):
    data_dir = write_images(tmp_path / "data", each=4)
    status, _, said = run(finetune, *flags_of(tiny, data_dir, tmp_path / "run", folds=500))
    assert status == 2 and (tmp_path / "run" / "folds.json").exists()
    status, _, said = run(finetune, *flags_of(tiny, data_dir, tmp_path / "run", folds=2, steps=1))
    assert status == 0, said


def test_segmentation_is_refused_before_anything_is_trained(tmp_path):
    flags = ("--model=fcn_32s", "--dataset=voc", "--data_dir=nowhere", "--folds=2", "--fold=all")
    status, _, said = run(finetune, *flags, f"--train_dir={tmp_path}/run")
    assert status == 2 and said.count("\n") == 1 and "fcn_32s segments" in said
    assert not (tmp_path / "run").exists()
