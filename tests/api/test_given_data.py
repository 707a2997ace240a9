"""finetune, evaluate and predict on what a program has in its hands, in this process and in another."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from PIL import Image

import slimft
from slimft.api import child
from slimft.cli import evaluate as evaluate_command
from slimft.runs.data_record import read_data_record
from slimft.runs.settings_file import load_settings

RANDOM = np.random.default_rng(0)
LABELS = np.arange(60) % 3
# Of three brightnesses.
PIXELS = (RANDOM.integers(0, 40, (60, 12, 12, 3)) + 80 * LABELS[:, None, None, None]).astype(np.uint8)
OPTIONS = {"steps": 8, "batch_size": 16, "image_size": 12, "precision": "float32"}


@pytest.fixture
def run(tiny, tmp_path):
    slimft.finetune(model=tiny, data=(PIXELS, LABELS), train_dir=tmp_path / "run", **OPTIONS)
    return tmp_path / "run"


def test_a_run_on_arrays_is_a_run_of_files(tiny, run, tmp_path, capsys):
    capsys.readouterr()
    result = slimft.load_run(run)
    same = slimft.evaluate(train_dir=run)
    assert same["accuracy"] == result["accuracy"] and same["loss"] == pytest.approx(result["loss"])
    given = slimft.evaluate(train_dir=run, data=(PIXELS, LABELS))
    assert "the run's own, split test" in capsys.readouterr().err and given["examples"] == result["examples"]
    assert given["data_dir"] is None and same["data_dir"].startswith(str(run / "data"))
    assert evaluate_command.main(["evaluate", f"--train_dir={run}"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["accuracy"] == result["accuracy"]
    # Others of the same classes, none of which it has seen.
    others = slimft.evaluate(train_dir=run, data=(255 - PIXELS[:30], LABELS[:30]))
    assert others["examples"] == 30 and others["left_out"] == 0
    longer = slimft.finetune(model=tiny, data=(PIXELS, LABELS), train_dir=run, **{**OPTIONS, "steps": 10})
    assert longer["step"] == 10


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """A folder of 60 pictures, which is the current one."""
    folder = tmp_path / "project" / "pictures"
    folder.mkdir(parents=True)
    for number, pixels in enumerate(PIXELS):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    monkeypatch.chdir(folder.parent)
    return folder


def split_of(data):
    """What a run is tested on, by the images' content."""
    return sorted(digest for _, digest in data.splits["test"])


def test_a_data_frame_is_split_alike_wherever_the_run_is(tiny, pictures, tmp_path, monkeypatch, capsys):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"path": [f"pictures/{number}.png" for number in range(60)], "label": LABELS})
    slimft.finetune(model=tiny, data=frame, train_dir="run", **OPTIONS)
    deep = tmp_path / "a" / "b" / "c" / "run"
    slimft.finetune(model=tiny, data=frame.sample(frac=1, random_state=0), train_dir=deep, **OPTIONS)
    assert split_of(read_data_record("run")) == split_of(read_data_record(deep))
    frame.to_csv("pictures.csv", index=False)
    slimft.finetune(model=tiny, dataset="csv", data_dir="pictures.csv", train_dir="of_csv", **OPTIONS)
    assert split_of(read_data_record("run")) == split_of(read_data_record("of_csv"))
    tested = slimft.load_run(deep)["examples"]
    # The same, other names of the same files, and some of them only.
    absolute = frame.assign(path=[str(pictures / name.split("/")[1]) for name in frame["path"]])
    monkeypatch.chdir(tmp_path / "a")
    for data, more in ((absolute, "60 images have other names"), (absolute.iloc[::-1], ""), (absolute[:45], "")):
        capsys.readouterr()
        result = slimft.evaluate(train_dir=deep, data=data)
        said = capsys.readouterr().err
        assert result["left_out"] == 0 and more in said and "other splits" not in said
        assert result["examples"] == tested or len(data) < 60 and 0 < result["examples"] < tested


@pytest.mark.parametrize("more", [{}, {"train_examples": 12}])
def test_a_run_goes_on_with_renamed_files_in_their_splits(tiny, pictures, tmp_path, capsys, more):
    """With one that is new, and is drawn; of those that --train_examples left out none comes to train or test."""
    paths = sorted(pictures.glob("*.png"), key=lambda path: int(path.stem))
    options = {**OPTIONS, **more}
    slimft.finetune(model=tiny, data=(paths, LABELS), train_dir="run", **options)
    before = read_data_record("run")
    renamed = [path.rename(path.with_name(f"renamed-{path.name}")) for path in paths]
    Image.fromarray(PIXELS[0, ::-1].copy()).save(pictures / "new.png")
    labels = [*LABELS, LABELS[0]]
    capsys.readouterr()
    slimft.finetune(
        model=tiny, data=([*renamed, pictures / "new.png"], labels), train_dir="run", **{**options, "steps": 12}
    )
    said, now = capsys.readouterr().err, read_data_record("run")
    assert "have other names" in said and "other splits" not in said
    for split in ("train", "validation", "test"):
        digests = [sorted(digest for _, digest in record.splits[split]) for record in (before, now)]
        assert len(set(digests[1]) - set(digests[0])) <= (not more) and set(digests[0]) <= set(digests[1])
    assert sum(map(len, now.splits.values())) == sum(map(len, before.splits.values())) + (not more)


def test_arrays_are_split_alike_in_any_order(tiny, run, tmp_path):
    order = np.random.default_rng(1).permutation(60)
    slimft.finetune(model=tiny, data=(PIXELS[order], LABELS[order]), train_dir=tmp_path / "b" / "other", **OPTIONS)
    assert split_of(read_data_record(run)) == split_of(read_data_record(tmp_path / "b" / "other"))
    result = slimft.evaluate(train_dir=run, data=(PIXELS[order], LABELS[order]))
    assert result["examples"] == slimft.load_run(run)["examples"] and result["left_out"] == 0


def test_a_run_that_keeps_its_data_can_be_moved(tiny, pictures, tmp_path):
    slimft.finetune(model=tiny, data=(PIXELS, LABELS), train_dir=tmp_path / "run", **OPTIONS)
    slimft.finetune(model=tiny, data=(PIXELS, LABELS), train_dir=tmp_path / "cv", folds=2, fold="all", **OPTIONS)
    known = [slimft.evaluate(train_dir=tmp_path / name)["loss"] for name in ("run", "cv", "cv/fold_1")]
    (tmp_path / "moved").mkdir()
    for name in ("run", "cv"):
        (tmp_path / name).rename(tmp_path / "moved" / name)
    moved = [slimft.evaluate(train_dir=tmp_path / "moved" / name)["loss"] for name in ("run", "cv", "cv/fold_1")]
    assert moved == pytest.approx(known)
    # A copy does not need the one that it was made of; and a fold tests none that another was validated on.
    shutil.copytree(tmp_path / "moved" / "run", tmp_path / "copy")
    (tmp_path / "moved" / "run").rename(tmp_path / "moved" / "first")
    (tmp_path / "moved" / "run" / "data").mkdir(parents=True)
    assert slimft.evaluate(train_dir=tmp_path / "copy")["loss"] == pytest.approx(known[0])
    shutil.rmtree(tmp_path / "moved" / "run")
    (tmp_path / "moved" / "first").rename(tmp_path / "moved" / "run")
    with pytest.raises(slimft.DataError, match="trained or validated one of the runs"):
        slimft.evaluate(train_dir=tmp_path / "moved" / "cv", data=(PIXELS, LABELS))
    settings = tmp_path / "moved" / "run" / "settings.json"
    again = slimft.finetune(settings=settings, train_dir=settings.parent, steps=10)
    assert again["step"] == 10 and str(tmp_path / "moved") in load_settings(settings.parent).data_dir


def test_predictions(run, tmp_path, capsys):
    found = slimft.predict(PIXELS[:6], train_dir=run)
    with slimft.Classifier(train_dir=run) as classifier:
        np.testing.assert_allclose(found.probabilities, classifier.probabilities(PIXELS[:6]), atol=1e-6)
    assert found.predicted == [str(label) for label in found.probabilities.argmax(1)] and len(found) == 6
    paths = []
    for number, pixels in enumerate(PIXELS[:2]):
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(pixels).save(paths[-1])
    (tmp_path / "cut.png").write_bytes(b"\x89PNG\r\n")
    of_files = slimft.predict([paths[0], tmp_path / "cut.png", paths[1]], train_dir=run)
    assert list(of_files.errors) == [1] and "cut.png" in of_files.errors[1]
    assert np.isnan(of_files.probabilities[1]).all() and of_files.predicted[1] is None and of_files.labels[1] == -1
    np.testing.assert_allclose(of_files.probabilities[::2], found.probabilities[:2], atol=1e-6)
    assert "cut.png" in repr(of_files).splitlines()[2] and "<table>" in of_files._repr_html_()
    assert [len(top) for top in of_files.top(2)] == [2, 0, 2] and of_files.top(1)[0][0][0] == found.predicted[0]
    ensemble = slimft.predict(PIXELS[:6], train_dir=[run, run], tta="flips")
    flipped = slimft.predict(PIXELS[:6, :, ::-1], train_dir=run)
    mean = (found.probabilities + flipped.probabilities) / 2
    np.testing.assert_allclose(ensemble.probabilities, mean, atol=1e-6)
    frame = pytest.importorskip("pandas").DataFrame({"path": list(map(str, paths))})
    table = slimft.predict(frame, train_dir=run).to_frame()
    assert table["path"].tolist() == list(map(str, paths)) and set(table["predicted"]) <= {"0", "1", "2"}
    assert len(slimft.predict([], train_dir=run)) == 0


@pytest.mark.parametrize(
    "more, said",
    [
        ({"tta": "flip"}, "tta='flip' must be one of none, flips"),
        ({"crop": 0}, "crop=0 must be above 0"),
        ({"batch_size": 0}, "batch_size=0 must be 1 or more"),
        ({"train_dir": "nowhere"}, "nowhere is not the directory of a run"),
    ],
)
def test_what_cannot_work(more, said):
    with pytest.raises(slimft.UsageError, match=said):
        slimft.predict(PIXELS[:1], **{"train_dir": "x", **more})
    with pytest.raises(slimft.UsageError, match="dataset='digits' and data: give one of them"):
        slimft.finetune(model="lenet", data=(PIXELS, LABELS), dataset="digits")


# A process that has TensorFlow 2's mode, and keeps it.
_SCRIPT = """
import sys
import numpy as np
import slimft
labels = np.arange(60) % 3
noise = np.random.default_rng(0).integers(0, 40, (60, 28, 28, 3))
images = (noise + 80 * labels[:, None, None, None]).astype(np.uint8)
options = {"steps": 4, "batch_size": 16, "precision": "float32", "child_process": True}
result = slimft.finetune(model="lenet", data=(images, labels), train_dir="run", **options)
found = slimft.predict(images[:5], train_dir="run", child_process=True)
evaluated = slimft.evaluate(train_dir="run", child_process=True)
assert found.probabilities.shape == (5, 3) and evaluated["accuracy"] == result["accuracy"]
try:
    slimft.predict(images[:5], train_dir="nowhere", child_process=True)
except slimft.UsageError as error:
    print("refused:", error)
assert "tensorflow" not in sys.modules
import tensorflow as tf
assert tf.executing_eagerly()
print("accuracy", result["accuracy"])
"""


def test_a_child_leaves_the_process_as_it_is(tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "refused: --train_dir=nowhere is not the directory of a run" in done.stdout
    assert "training lenet on csv" in done.stderr and (tmp_path / "run" / "report.html").exists()


def test_what_another_process_cannot_be_told():
    with pytest.raises(slimft.UsageError, match="child_process=True: a object cannot be given"):
        child.run_in_child("evaluate", {"checkpoint": object()})


def test_a_child_that_ends_without_a_word(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(slimft.SlimftError, match=r"ended without a word \(exit status"):
        child.run_in_child("evaluate", {})


def test_an_interrupt_lets_it_save(tmp_path):
    """Which the notebook's kernel sends to its own process alone."""

    def interrupt():
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not (tmp_path / "run" / "best").exists():
            time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=interrupt, daemon=True).start()
    try:
        with pytest.raises(KeyboardInterrupt, match="SIGINT at step"):
            slimft.finetune(
                model="lenet",
                dataset="digits",
                steps=200_000,
                eval_every=20,
                precision="float32",
                train_dir=tmp_path / "run",
                child_process=True,
            )
    finally:
        signal.signal(signal.SIGINT, before)
    assert list((tmp_path / "run").glob("model.ckpt-*.index"))


def test_data_that_is_refused_leaves_the_run_its_own(tiny, run):
    before = slimft.evaluate(train_dir=run)
    with pytest.raises(slimft.UsageError, match="holds a run with"):
        slimft.finetune(model="lenet", data=(255 - PIXELS, LABELS[::-1]), train_dir=run, **OPTIONS)
    after = slimft.evaluate(train_dir=run)
    assert (after["loss"], after["data_dir"]) == (before["loss"], before["data_dir"])
