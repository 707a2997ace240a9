"""Which examples bin/evaluate takes, by its figures: the run's own data as it was split, other data whole."""

import csv
import os
import shutil

import numpy as np
import pytest

from slimft.data import load_dataset
from slimft.evaluation import evaluate as evaluation_of

CLASSES = ("cat, tabby", "dog", 'the "red" panda')


@pytest.fixture
def call(evaluated):
    """Runs bin/evaluate; returns its result, the names of the examples and what it says on standard error."""

    def run(*flags):
        found, rows, told = evaluated(*flags)
        assert found["examples"] == len(rows) > 0
        right = np.mean([row["label"] == row["predicted"] for row in rows])
        assert found["accuracy"] == pytest.approx(right)
        return found, [row["name"] for row in rows], told

    return run


def names_in(folder):
    return sorted(str(file) for file in folder.rglob("*.png"))


def trained_by(images):
    """The files that a run on `images` trains on."""
    train = load_dataset("image_folder", images)["train"]
    return [train.describe(index) for index in range(train.num_examples)]


def test_a_checkpoint_in_a_run_is_evaluated_as_the_run_is(make_run, images, tmp_path, call, monkeypatch):
    """Size, head, averages, classes, split: all figures and settings alike, and the library's too."""
    run = make_run(head="bn_mlp", averages=True, split_seed=4, folds=4, fold=1)
    expected, names, _ = call(f"--train_dir={run}")
    (tmp_path / "link").symlink_to(images)
    flags = ["--model=tiny", "--dataset=image_folder"]
    for checkpoint, data_dir in (
        (run, images),
        (f"{run}/", f"{images}/"),
        (run / "model.ckpt-7", f"{images}/../images"),
        (run / "model.ckpt-7.index", images),
    ):
        found, same, said = call(*flags, f"--data_dir={data_dir}", f"--checkpoint={checkpoint}")
        assert {**found, "data_dir": str(images)} == expected
        assert list(map(os.path.normpath, same)) == names
        assert f"as in the run {run}" in said
    found, _, _ = call(*flags, f"--data_dir={tmp_path}/link", f"--checkpoint={run}")
    assert {**found, "data_dir": str(images)} == expected
    figures = evaluation_of("tiny", "image_folder", run, data_dir=images)
    assert figures.items() <= expected.items() and len(figures) == 19
    assert evaluation_of(checkpoint=run / "model.ckpt-7") == evaluation_of(train_dir=run) == figures
    monkeypatch.chdir(tmp_path)
    found, _, said = call("--train_dir=run/")
    assert {**found, "train_dir": str(run), "checkpoint": expected["checkpoint"]} == expected
    assert "run/model.ckpt-7, which the run ended with" in said


def test_other_data_is_evaluated_whole(make_run, make_images, tmp_path, call):
    new = make_images(tmp_path / "new", each=6)
    run = make_run(test_share=0.4, split_seed=2)
    found, names, said = call(f"--train_dir={run}", f"--data_dir={new}")
    assert (found["split"], found["examples"], found["left_out"], found["data_dir"]) == ("all", 18, 0, str(new))
    assert sorted(names) == names_in(new)
    assert f"data: image_folder in {new}, not the run's own, all 18 examples, as it has no splits" in said
    assert call(f"--train_dir={run}", f"--data_dir={new}", "--split=all")[1] == names
    # Unless it is asked for otherwise: then as the flags say, not as the run was split.
    splits = load_dataset("image_folder", new)
    for flags, split in (["--split=test"], "test"), (["--split=train"], "train"), (["--test_share=0.2"], "test"):
        found, some, said = call(f"--train_dir={run}", f"--data_dir={new}", *flags)
        assert len(some) == splits[split].num_examples < 18 and set(some) < set(names)
        assert f"split {split}, {len(some)} of 18 examples" in said
    # A CSV file of the same images is other data too.
    with open(tmp_path / "new.csv", "w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(["path", "label"])
        rows.writerows([name, name.split("/")[-2]] for name in names[:7])
    found, some, _ = call(f"--train_dir={run}", "--dataset=csv", f"--data_dir={tmp_path}/new.csv")
    assert (found["split"], found["dataset"], sorted(some)) == ("all", "csv", sorted(names[:7]))


def test_without_a_run_data_without_splits_is_evaluated_whole(make_run, images, tmp_path, call):
    run = make_run()
    (tmp_path / "copy").mkdir()
    for file in run.glob("model.ckpt-7.*"):
        shutil.copy(file, tmp_path / "copy")
    flags = ["--model=tiny", f"--checkpoint={tmp_path}/copy", "--dataset=image_folder", f"--data_dir={images}"]
    found, _, said = call(*flags, "--image_size=16")
    assert (found["examples"], found["split"], found["train_dir"]) == (15, "all", None)
    assert "the checkpoint is in no run's directory" in said and "of no run, all 15 examples" in said
    assert call(*flags, "--image_size=16", "--test_share=0.4")[0]["split"] == "test"


@pytest.mark.parametrize(
    "there, split",
    [("test", "test"), ("train val test", "test"), ("val", "validation"), ("train val", "validation")],
)
def test_other_datas_own_splits(make_run, make_images, tmp_path, call, rejects, there, split):
    there = there.split()
    for name in there:
        make_images(tmp_path / "new" / name, each=2)
    run = make_run()
    found, names, said = call(f"--train_dir={run}", f"--data_dir={tmp_path}/new")
    assert found["split"] == split and sorted(names) == names_in(tmp_path / "new" / there[-1])
    assert ("has no test split" in said) == (split != "test")
    missing = "train" if "train" not in there else "test"
    if missing not in there:
        rejects([f"--train_dir={run}", f"--data_dir={tmp_path}/new", f"--split={missing}"], f"--split={missing}: ")


@pytest.mark.parametrize("classes", [CLASSES[:1], CLASSES[1:], CLASSES[::2]])
def test_some_of_the_classes_are_enough(make_run, make_images, tmp_path, call, classes):
    new = make_images(tmp_path / "new", classes)
    found, _, _ = call(f"--train_dir={make_run()}", f"--data_dir={new}")
    assert found["examples"] == 5 * len(classes)
    assert {row["class"]: row["examples"] for row in found["per_class"]} == {
        name: 5 * (name in classes) for name in CLASSES
    }


def test_what_the_run_trained_on_is_left_out_wherever_it_is(make_run, images, make_images, tmp_path, call, rejects):
    run, trained, new = make_run(), trained_by(images), make_images(tmp_path / "new")
    for number, name in enumerate(trained[:2]):
        shutil.copy(name, new / "dog" / f"copy{number}.png")
    found, names, said = call(f"--train_dir={run}", f"--data_dir={new}")
    assert (found["examples"], found["left_out"]) == (15, 2)
    assert not [name for name in names if "copy" in name]
    assert f"left out: 2 images that the run trained on, such as {new}/dog/copy0.png" in said
    # The run's own data too, where an image of the training split got another name, and so another split.
    test = next(name for name in names_in(images) if name not in trained)
    shutil.copy(trained[0], test)
    for flags in (["--split=all"], ["--split=all", "--dataset=image_folder", f"--data_dir={images}"]):
        found, names, _ = call(f"--train_dir={run}", *flags)
        assert test not in names and found["left_out"] == len(trained) + 1
    found, names, _ = call(f"--train_dir={run}", "--split=train")
    assert found["left_out"] == 0 and set(trained) <= set(names)
    only = tmp_path / "only"
    (only / "dog").mkdir(parents=True)
    shutil.copy(trained[0], only / "dog")
    rejects([f"--train_dir={run}", f"--data_dir={only}"], "trained on all 1 of its images")


def test_the_runs_data_has_changed(make_run, images, make_images, tmp_path, call):
    """Images that came since are split as the others; none that trained is a test image; the changes are told."""
    run, trained = make_run(), trained_by(images)
    before = call(f"--train_dir={run}")
    assert "has changed" not in before[2]
    more = make_images(tmp_path / "more", each=12)
    for name in names_in(more)[::2]:
        shutil.copy(name, name.replace(f"{more}/", f"{images}/").replace(".png", "-new.png"))
    stay = {*trained, *before[1]}
    os.remove(next(name for name in names_in(images) if name not in stay and "new" not in name))
    found, names, said = call(f"--train_dir={run}")
    assert "since the run trained, its data has changed: 18 images were added, 1 was removed" in said
    assert not set(names) & set(trained) and set(before[1]) <= set(names) and found["left_out"] == 0
    assert len(names) > len(before[1])


def test_the_runs_data_was_moved(make_run, images, tmp_path, call):
    """By its content it is still the run's own; a part of it is not, but is evaluated as it is."""
    run = make_run()
    expected, names, _ = call(f"--train_dir={run}")
    images.rename(tmp_path / "moved")
    found, others, said = call(f"--train_dir={run}", f"--data_dir={tmp_path}/moved")
    assert {**found, "data_dir": str(images)} == expected
    assert others == [name.replace(f"{images}/", f"{tmp_path}/moved/") for name in names]
    assert f"data: image_folder in {tmp_path}/moved, the run's own, split test" in said
    for name in others:
        target = name.replace("/moved/", "/part/")
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy(name, target)
    found, part, said = call(f"--train_dir={run}", f"--data_dir={tmp_path}/part")
    assert found["split"] == "all" and len(part) == len(others) and "not the run's own" in said


def rename_all(images):
    for name in names_in(images):
        os.rename(name, f"{os.path.dirname(name)}/renamed-{os.path.basename(name)}")


def without_renaming(names):
    return sorted(name.replace("renamed-", "") for name in names)


@pytest.mark.parametrize("options", [{}, {"train_examples": 6}, {"group": "([0-9]+).png"}])
def test_the_runs_images_have_other_names(make_run, images, tmp_path, call, options):
    """They stay in their splits; with --train_examples also those that were not used do not come to test."""
    run = make_run(**options)
    before = {split: call(f"--train_dir={run}", f"--split={split}")[1] for split in ("test", "validation", "train")}
    shutil.copytree(images, tmp_path / "copy")
    rename_all(images)
    rename_all(tmp_path / "copy")
    for split, names in before.items():
        found, now, said = call(f"--train_dir={run}", f"--split={split}")
        assert without_renaming(now) == sorted(names) and found["left_out"] == 0
        assert "have other names" in said and "other splits" not in said and "added" not in said
        found, now, said = call(f"--train_dir={run}", f"--split={split}", f"--data_dir={tmp_path}/copy")
        assert "the run's own" in said and len(now) == len(names)


def test_what_the_run_was_tested_on_is_gone(make_run, images, call, rejects):
    """What trained takes its place only if it is asked for."""
    run = make_run()
    trained = trained_by(images)
    tested = call(f"--train_dir={run}")[1]
    for name in tested:
        os.remove(name)
    found, names, said = call(f"--train_dir={run}")
    assert found["split"] == "validation" and "of the run's test split nothing is left" in said
    for name in names:
        os.remove(name)
    rejects([f"--train_dir={run}"], "validated and tested on none is left")
    assert set(call(f"--train_dir={run}", "--split=train")[1]) == set(trained)


def test_other_images_are_in_the_place_of_the_runs(make_run, images, make_images, tmp_path, call, rejects):
    run = make_run()
    shutil.rmtree(images)
    (images / "dog").mkdir(parents=True)
    for number, name in enumerate(names_in(make_images(tmp_path / "others"))[:3]):
        shutil.copy(name, images / "dog" / f"other-{number}.png")
    rejects([f"--train_dir={run}"], "none of the images that", "give --split=all")
    assert call(f"--train_dir={run}", "--split=all")[0]["examples"] == 3


def test_labels_that_changed_are_told(make_run, images, call):
    run = make_run()
    for old, name in (("dog", "x"), ("cat, tabby", "dog"), ("x", "cat, tabby")):
        (images / old).rename(images / name)
    assert "10 have other labels" in call(f"--train_dir={run}")[2]


def test_a_relative_path_may_lead_to_other_data(make_run, make_images, tmp_path, call, monkeypatch):
    for place in ("here", "elsewhere"):
        make_images(tmp_path / place / f"data of {place}").rename(tmp_path / place / "data")
    monkeypatch.chdir(tmp_path / "here")
    run = make_run(data_dir="data")
    found, _, said = call(f"--train_dir={run}")
    assert found["split"] == "test" and found["examples"] < 15 and "data, the run's own, split test" in said
    monkeypatch.chdir(tmp_path / "elsewhere")
    found, _, said = call(f"--train_dir={run}")
    assert (found["split"], found["examples"]) == ("all", 15) and "not the run's own" in said


def test_a_run_of_an_earlier_version(make_run, images, make_images, tmp_path, call, rejects):
    """Its splits were drawn by position, so that nothing tells what it trained on."""
    run = make_run(record=False)
    for flags in ([], ["--split=train"], ["--split=all"], [f"--data_dir={images}", "--dataset=image_folder"]):
        rejects([f"--train_dir={run}", *flags], "earlier version", "--data_dir", "train anew")
    new = make_images(tmp_path / "new")
    found, _, said = call(f"--train_dir={run}", f"--data_dir={new}")
    assert found["examples"] == 15 and "does not tell what it trained on" in said
    for split in ("train", "test"):
        make_images(tmp_path / "split" / split, each=3)
    run = make_run("other", record=False, data_dir=str(tmp_path / "split"))
    for flags, split in ([], "test"), (["--split=train"], None):
        if split is None:
            rejects([f"--train_dir={run}", "--split=validation"], "earlier version")
            continue
        found, names, said = call(f"--train_dir={run}", *flags)
        assert found["split"] == split and sorted(names) == names_in(tmp_path / "split" / split)
        assert "does not tell what it trained on" in said


def test_data_that_never_changes_is_the_runs_own_wherever_it_lies(make_run, tmp_path, call):
    run = make_run(dataset="digits", data_dir=None, classes=[str(number) for number in range(10)])
    expected, _, said = call(f"--train_dir={run}")
    assert (expected["split"], expected["examples"]) == ("test", 360) and "earlier version" not in said
    found, _, _ = call(f"--train_dir={run}", "--dataset=digits", f"--data_dir={tmp_path}")
    assert {**found, "data_dir": None} == expected


def test_empty_and_contradicting_flags(make_run, images, tmp_path, rejects):
    run, other = make_run(), make_run("second")
    for flags, word in (
        (["--checkpoint="], "--checkpoint= is empty"),
        (["--data_dir="], "--data_dir= is empty"),
        (["--dataset="], "--dataset= is empty"),
        (["--model=vgg_16"], "--model=vgg_16: "),
        ([f"--checkpoint={other}"], "is of the run in"),
        ([f"--checkpoint={other}/model.ckpt-7"], f"not of that in --train_dir={run}"),
        (["--image_size=7"], "--image_size=7 is too small"),
    ):
        rejects([f"--train_dir={run}", *flags], word)
    rejects(["--train_dir="], "--train_dir= is empty")
    (run / "data.json").write_text('{"version": 1')
    rejects([f"--train_dir={run}"], "data.json is no JSON")
    (run / "labels.txt").write_text("cat\ndog\n")
    rejects([f"--train_dir={run}"], "labels.txt has 2 names")
    rejects([f"--train_dir={tmp_path}"], "settings.json is missing")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_converted_checkpoints(make_run, call, capsys, dtype):
    from slimft.cli import convert_checkpoint

    run = make_run(averages=True)
    expected, _, _ = call(f"--train_dir={run}")
    target = run / "half.safetensors"
    assert convert_checkpoint.main(["convert_checkpoint", str(run), str(target), f"--dtype={dtype}"]) == 0
    capsys.readouterr()
    found, _, said = call(f"--checkpoint={target}")
    assert found["loss"] == pytest.approx(expected["loss"], rel=0.05) and found["averages"]
    assert f"half.safetensors holds {dtype}, which is converted to float32" in said
