"""What bin/evaluate tells beyond accuracy, against scikit-learn: areas, thresholds, views, ensembles, samples."""

import dataclasses
import json

import numpy as np
import pytest
from sklearn import metrics

import slimft
from slimft import evaluation
from slimft.cli import predict
from slimft.data import load_dataset
from slimft.data.dataset import DataOptions
from slimft.runs.data_record import read_data_record, write_data_record

CLASSES = ("cat, tabby", "dog", 'the "red" panda')


@pytest.fixture
def call(evaluated):
    """Runs bin/evaluate; returns its result, what --predictions has, by column, and what it says."""

    def run(*flags):
        found, rows, told = evaluated(*flags)
        return found, {name: [row[name] for row in rows] for name in rows[0]}, told

    return run


@pytest.fixture
def images(tmp_path, make_images):
    """With a few more of each class than other tests need."""
    return make_images(tmp_path / "images", each=20)


def shares_of(table, classes=CLASSES):
    return np.array([[float(value) for value in table[f"probability_{name}"]] for name in classes]).T


def labels_of(table, classes=CLASSES):
    return np.array([classes.index(name) for name in table["label"]])


def test_all_figures_are_scikit_learns(make_run, call):
    run = make_run()
    found, table, said = call(f"--train_dir={run}", "--split=all", "--top=1,2", "--bootstrap=200")
    labels, shares = labels_of(table), shares_of(table)
    rocs = [metrics.roc_auc_score(labels == c, shares[:, c]) for c in range(3)]
    precisions = [metrics.average_precision_score(labels == c, shares[:, c]) for c in range(3)]
    assert [row["roc_auc"] for row in found["per_class"]] == pytest.approx(rocs)
    assert [row["average_precision"] for row in found["per_class"]] == pytest.approx(precisions)
    assert found["roc_auc"] == pytest.approx(np.mean(rocs)) and found["classes_with_areas"] == 3
    assert found["average_precision"] == pytest.approx(np.mean(precisions))
    assert found["top_1_accuracy"] == found["accuracy"]
    assert found["top_2_accuracy"] == pytest.approx(metrics.top_k_accuracy_score(labels, shares, k=2))
    assert f"top 2 {found['top_2_accuracy']:.4f}, ROC-AUC {found['roc_auc']:.4f}" in said
    intervals = found["intervals"]
    assert (intervals["resamples"], intervals["images"]) == (200, len(labels))
    for name in ("accuracy", "macro_f1", "top_2_accuracy", "roc_auc"):
        low, high = intervals[name]
        assert low <= found[name] <= high and low < high
        assert f"{low:.4f} to {high:.4f}" in said
    assert call(f"--train_dir={run}", "--bootstrap=0")[0]["intervals"] is None
    same = slimft.evaluate(train_dir=run, split="all", top=[1, 2], bootstrap=200)
    assert json.loads(json.dumps(same)) == found


def test_classes_that_are_not_there_have_no_areas(make_run, make_images, tmp_path, call):
    other = make_images(tmp_path / "other", CLASSES[:2])
    found, _, said = call(f"--train_dir={make_run()}", f"--data_dir={other}")
    assert [row["roc_auc"] is None for row in found["per_class"]] == [False, False, True]
    assert found["classes_with_areas"] == 2 and "(means over 2 of 3 classes)" in said


def test_two_classes(make_run, make_images, tmp_path, call):
    names = ("no", "yes")
    folder = make_images(tmp_path / "two", names, each=15)
    found, table, _ = call(f"--train_dir={make_run(classes=names, data_dir=str(folder))}", "--split=all")
    labels, shares = labels_of(table, names), shares_of(table, names)
    assert found["roc_auc"] == pytest.approx(metrics.roc_auc_score(labels == 1, shares[:, 1]))
    assert [row["roc_auc"] for row in found["per_class"]] == pytest.approx([found["roc_auc"]] * 2)


def test_probabilities_that_take_too_much_memory(make_run, call, rejects, monkeypatch):
    run = make_run()
    whole, _, _ = call(f"--train_dir={run}", "--top=2")
    monkeypatch.setattr(evaluation, "_MOST_BYTES", 4 * 3 * (whole["examples"] - 1))
    found, table, said = call(f"--train_dir={run}", "--top=2", "--probabilities")
    assert "no areas under curves" in said and "without the probabilities of all classes" in said
    assert (found["roc_auc"], found["top_2_accuracy"]) == (None, whole["top_2_accuracy"])
    assert list(table) == ["name", "label", "predicted", "confidence"] and "roc_auc" not in found["per_class"][0]
    rejects([f"--train_dir={run}", "--threshold_for=recall:0.9"], "more than 2 GB; give --examples")


def test_thresholds_are_chosen_on_validation_and_told_of_the_test_split(make_run, call, tmp_path, capsys):
    run, file = make_run(), tmp_path / "thresholds.json"
    flags = ["--threshold_for=recall:0.7", "--threshold_for=precision:0.5:dog", f"--thresholds_file={file}"]
    found, table, said = call(f"--train_dir={run}", *flags)
    _, validation, _ = call(f"--train_dir={run}", "--split=validation")
    saved = json.loads(file.read_text())
    values = np.array([saved["thresholds"][name] for name in CLASSES], np.float32)
    told = found["thresholds"]
    assert saved["of"]["chosen_on"] == told["chosen_on"]
    assert told["chosen_on"]["split"] == "validation" and told["chosen_on"]["examples"] == len(validation["name"])
    assert (saved["of"]["evaluated_on"]["split"], saved["of"]["train_dir"]) == ("test", str(run))
    assert [one["wanted"] for one in told["classes"]] == ["recall:0.7", "precision:0.5", "recall:0.7"]
    for where, these in (("validation", validation), ("evaluated", table)):
        labels, shares = labels_of(these), shares_of(these)
        for label, one in enumerate(told["classes"]):
            is_said = shares[:, label] >= values[label]
            assert one["threshold"] == values[label] and one[where]["said"] == is_said.sum()
            recall = metrics.recall_score(labels == label, is_said, zero_division=np.nan)
            assert one[where]["recall"] == (None if np.isnan(recall) else pytest.approx(recall))
    reached = [one["validation"]["recall"] for one in told["classes"]]
    assert reached[0] >= 0.7 and reached[2] >= 0.7
    # The rule, as bin/predict has it.
    labels, shares = labels_of(table), shares_of(table)
    reaches = shares >= values
    likeliest = np.where(reaches, shares, -1).argmax(axis=1)
    sure = reaches.any(axis=1)
    expected = [CLASSES[label] if one else "unsure" for label, one in zip(likeliest, sure)]
    assert table["decision"] == expected
    assert told["rule"]["coverage"] == pytest.approx(sure.mean()) and told["rule"]["unsure"] == (~sure).sum()
    if sure.any():
        assert told["rule"]["accuracy"] == pytest.approx((likeliest == labels)[sure].mean())
    assert "thresholds are chosen on the validation split:" in said
    assert f"a class is said of {sure.sum()} of the {len(labels)} test examples" in said


def test_a_precision_that_cannot_be_reached_is_told(make_run, call):
    found, _, said = call(f"--train_dir={make_run()}", "--threshold_for=precision:1:dog", "--split=test")
    [one] = found["thresholds"]["classes"]
    if one["reached"]:
        pytest.skip("the random network is too good")
    assert one["threshold"] == 1 and one["evaluated"]["said"] == 0
    assert "dog: no threshold for a precision of 1: the most that any threshold reaches in validation is" in said


def test_thresholds_are_never_chosen_on_what_they_are_told_of(
    make_run, make_images, images, tmp_path, call, rejects
):
    run, flag = make_run(), "--threshold_for=recall:0.9"
    rejects([f"--train_dir={run}", flag, "--split=validation"], "what is evaluated is the validation split")
    splits = load_dataset("image_folder", images)
    found, table, said = call(f"--train_dir={run}", flag, "--split=all")
    validated = {splits["validation"].describe(i) for i in range(splits["validation"].num_examples)}
    assert not validated & set(table["name"]) and len(table["name"]) == splits["test"].num_examples
    assert f"left out: {len(validated)} images that are among the validation images" in said
    # Of other data too: of the run's own they are chosen.
    other = make_images(tmp_path / "other")
    found, table, _ = call(f"--train_dir={run}", flag, f"--data_dir={other}")
    assert found["data_dir"] == str(other) and found["thresholds"]["chosen_on"]["data_dir"] == str(images)
    assert found["thresholds"]["chosen_on"]["examples"] == len(validated)
    # Without a run there is nothing to choose them on.
    lonely = tmp_path / "lonely"
    lonely.mkdir()
    for part in run.glob("model.ckpt-7*"):
        (lonely / part.name).write_bytes(part.read_bytes())
    flags = ["--model=tiny", f"--checkpoint={lonely}/model.ckpt-7", "--dataset=image_folder", "--image_size=16"]
    rejects([*flags, f"--data_dir={images}", flag], "of no run, and the data has no validation split")
    rejects([f"--train_dir={run}", "--thresholds_file=x.json"], "needs --threshold_for")
    rejects([f"--train_dir={run}", "--threshold_for=recall:2"], "--threshold_for=recall:2: it has to be")


def test_an_ensemble_averages_probabilities(make_run, call, rejects, capsys):
    runs = [make_run("one"), make_run("two", averages=True)]
    apart = [shares_of(call(f"--train_dir={run}")[1]) for run in runs]
    found, table, said = call(f"--train_dir={runs[0]},{runs[1]}")
    np.testing.assert_allclose(shares_of(table), np.mean(apart, axis=0), atol=2e-5)
    labels, shares = labels_of(table), shares_of(table)
    assert found["loss"] == pytest.approx(metrics.log_loss(labels, shares / shares.sum(1, keepdims=True)), rel=1e-3)
    assert (found["train_dir"], found["checkpoint"], found["averages"], found["step"]) == (None, None, None, 7)
    assert [one["train_dir"] for one in found["networks"]] == list(map(str, runs))
    assert "means over 2 networks" in said
    assert slimft.evaluate(train_dir=runs) == found
    # As bin/predict says it, whose pixels are not rounded.
    assert predict.main(["predict", f"--train_dir={runs[0]},{runs[1]}", "--json", *table["name"]]) == 0
    for row, line in zip(shares, capsys.readouterr().out.splitlines()):
        told = {one["name"]: one["probability"] for one in json.loads(line)["predictions"]}
        assert [told[name] for name in CLASSES] == pytest.approx(row.tolist(), abs=0.02)


def test_what_any_of_an_ensemble_trained_on_is_left_out(make_run, images, call, rejects):
    one = make_run("one", folds=2, fold=0)
    other = make_run("other", folds=2, fold=0, split_seed=1)
    splits = [load_dataset("image_folder", images, DataOptions(folds=2, split_seed=seed)) for seed in (0, 1)]
    tested = {splits[0]["test"].describe(i) for i in range(splits[0]["test"].num_examples)}
    known = [splits[1][split] for split in ("train", "validation")]  # What validates chooses a checkpoint.
    trained = {data.describe(i) for data in known for i in range(data.num_examples)}
    found, table, said = call(f"--train_dir={one},{other}")
    assert set(table["name"]) == tested - trained and found["left_out"] == len(tested & trained) > 0
    assert "images that one of the runs trained or validated on" in said
    # A run of all of it leaves nothing.
    everything = make_run("everything")
    record = read_data_record(everything)
    splits = {"train": tuple(image for part in record.splits.values() for image in part)}
    write_data_record(everything, dataclasses.replace(record, splits=splits, labels={}))
    rejects(
        [f"--train_dir={one},{everything}"],
        f"each of its {len(tested)} images trained or validated one of the runs",
    )


def test_runs_of_different_data_are_no_ensemble_unless_data_is_named(make_run, make_images, tmp_path, rejects):
    elsewhere = make_run("elsewhere", data_dir=str(make_images(tmp_path / "else")))
    rejects([f"--train_dir={make_run()},{elsewhere}"], "say with --dataset and --data_dir what to evaluate both on")


@pytest.mark.parametrize("tta, views", [("flips", 2), ("crops", 5), ("ten_crops", 10)])
def test_views_are_averaged(make_run, call, tta, views):
    run = make_run()
    _, plain, _ = call(f"--train_dir={run}")
    found, table, said = call(f"--train_dir={run}", f"--tta={tta}")
    assert found["tta"] == tta and f"means over {views} views ({tta})" in said
    assert table["name"] == plain["name"] and np.abs(shares_of(table) - shares_of(plain)).max() > 1e-3
    with slimft.Classifier(train_dir=run, tta=tta) as classifier:
        for name, row in zip(table["name"], shares_of(table)):
            [(_, shares)] = classifier.predict_files([name])
            np.testing.assert_allclose(shares, row, atol=0.02)


def digits_run(make_run):
    return make_run("digits", classes=tuple("0123456789"), dataset="digits", data_dir=None, record=False)


def test_digits_have_no_mirror_images_and_one_size(make_run, call):
    run = digits_run(make_run)
    _, _, said = call(f"--train_dir={run}", "--tta=flips", "--examples=50")
    assert "--tta=flips: of digits, a mirror image may be of another class or of none" in said
    assert "a mirror image" not in call(f"--train_dir={run}", "--tta=crops", "--examples=50")[2]


def test_all_of_data_with_splits_of_its_own(make_run, call, rejects):
    """The run's training split is left out; of no run nothing is."""
    run = digits_run(make_run)
    found, _, said = call(f"--train_dir={run}", "--split=all")
    assert (found["split"], found["examples"], found["left_out"]) == ("all", 144 + 360, 1293)
    assert "left out: 1293 images of the training split" in said
    found, _, said = call(f"--train_dir={run}", "--split=train")
    assert found["examples"] == 1293 and "the run trained on these examples" in said
    rejects([f"--train_dir={run}", "--split=all", "--threshold_for=recall:0.9"], "--split=all holds both")


def test_all_of_a_folder_with_splits(make_run, make_images, tmp_path, call):
    for split in ("train", "val", "test"):
        make_images(tmp_path / "own" / split, each=4)
    found, table, _ = call(f"--train_dir={make_run(data_dir=str(tmp_path / 'own'))}", "--split=all")
    assert (found["examples"], found["left_out"]) == (24, 12)
    assert {name.split("/")[-3] for name in table["name"]} == {"val", "test"}


def test_a_sample_has_each_class_and_is_always_the_same(make_run, call, rejects):
    run = digits_run(make_run)
    found, table, said = call(f"--train_dir={run}", "--examples=100")
    assert (found["examples"], found["examples_in_split"]) == (100, 360)
    whole = load_dataset("digits")["test"].counts
    assert [row["examples"] for row in found["per_class"]] == pytest.approx(whole / 3.6, abs=1)
    assert "a sample: 100 of 360 examples (--examples)" in said and "\ntest, 100 of 360 examples: accuracy" in said
    assert call(f"--train_dir={run}", "--examples=100")[1] == table
    whole, _, said = call(f"--train_dir={run}", "--examples=1000")
    assert whole["examples"] == whole["examples_in_split"] == 360 and "a sample" not in said
    rejects([f"--train_dir={run}", "--examples=9"], "--examples=9: digits has 10 classes, and each needs one")


def test_groups_are_drawn_as_a_whole(make_run, call):
    """Those of --group are known though the splits are of the run."""
    run = make_run(group=r"/(\d)\d*\.png$")
    found, table, said = call(f"--train_dir={run}", "--bootstrap=50")
    groups = {name.split("/")[-1][0] for name in table["name"]}
    assert found["intervals"]["groups"] == len(groups) and f"resamples of {len(groups)} groups" in said


@pytest.mark.parametrize(
    "flag, message",
    [
        ("--top=3", "--top=3: of 3 classes it is 1 to 2"),
        ("--top=0", "--top=0: of 3 classes it is 1 to 2"),
        ("--top=some", "--top=some must be whole numbers"),
        ("--tta=all", "tta"),
        ("--bootstrap=-1", "bootstrap"),
        ("--thresholds_file=/nowhere/x.json", "--thresholds_file=/nowhere/x.json cannot be written"),
    ],
)
def test_flags_that_make_no_sense(make_run, rejects, flag, message):
    rejects([f"--train_dir={make_run()}", flag], message)


@pytest.mark.parametrize(
    "keywords, message",
    [
        ({"tta": "all"}, "tta=all must be one of none, flips"),
        ({"bootstrap": -1}, "bootstrap=-1 must be at least 0"),
        ({"examples": 0}, "examples=0 must be at least 1"),
        ({"examples": 2.5}, "examples=2.5 must be a whole number"),
        ({"top": "5"}, "top='5' must be a whole number"),
        ({"train_dir": ["one"]}, "one is not the directory of a run"),
    ],
)
def test_keywords_that_make_no_sense(make_run, keywords, message):
    with pytest.raises(slimft.UsageError) as raised:
        slimft.evaluate(**{"train_dir": make_run(), **keywords})
    assert message in str(raised.value)
