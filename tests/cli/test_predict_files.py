"""What bin/predict writes: tables, sorted copies, embeddings; thresholds, patterns and ensembles."""

import csv
import json
import os

import numpy as np
import pytest
from PIL import Image

from slimft import write_checkpoint
from slimft.cli import predict
from slimft.compat import tf
from slimft.nets import get_network

pytestmark = pytest.mark.usefixtures("tiny")
NAMES = ("cat", "dog", "red/panda")


def call(*arguments):
    return predict.main(["predict", "--model=tiny", *map(str, arguments)])


def rejects(capsys, arguments, *words):
    assert call(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    for word in words:
        assert word in captured.err


def checkpoint_of(file, seed=0):
    """Random variables of `tiny` with three classes."""
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(seed)
        get_network("tiny").build(tf.zeros([1, 32, 32, 3]), len(NAMES), is_training=False)
        session.run(tf.global_variables_initializer())
        values = session.run({variable.op.name: variable for variable in tf.global_variables()})
    write_checkpoint(file, values)
    (file.parent / "labels.txt").write_text("\n".join(NAMES))
    return values


@pytest.fixture
def values(tmp_path, tiny):
    (tmp_path / "net").mkdir()
    return checkpoint_of(tmp_path / "net" / "3.ckpt")


@pytest.fixture
def network(values, tmp_path):
    return f"--checkpoint={tmp_path}/net/3.ckpt"


@pytest.fixture
def photos(tmp_path):
    """Twelve images of different colours, two of which are called alike, in two folders, and one that is broken."""
    folder, random = tmp_path / "photos", np.random.default_rng(0)
    (folder / "more").mkdir(parents=True)
    for number in range(12):
        name = f"{number}.png" if number < 10 else f"more/{number - 10}.png"
        pixels = random.integers(0, 256, 3) + random.integers(-40, 40, (40, 40, 3))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / name)
    (folder / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    return folder


def rows_of(file):
    with open(file, newline="", errors="surrogateescape") as stream:
        return list(csv.DictReader(stream))


def predictions(capsys, *arguments):
    capsys.readouterr()
    call(*arguments, "--json", "--all_classes")
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return {
        one["path"]: np.array(
            [share["probability"] for share in sorted(one["predictions"], key=lambda p: p["class"])]
        )
        for one in found
    }


def test_a_table_of_all(network, photos, tmp_path, capsys):
    expected = predictions(capsys, network, photos)
    table = tmp_path / "table.csv"
    assert call(network, f"--csv={table}", "--all_classes", photos) == 1  # One cannot be read.
    captured = capsys.readouterr()
    rows = rows_of(table)
    assert len(rows) == 13
    broken = [row for row in rows if row["error"]]
    assert [row["path"] for row in broken] == [str(photos / "cut.png")] and broken[0]["predicted"] == ""
    for row in rows:
        if not row["error"]:
            shares = [float(row[f"probability_{name}"]) for name in NAMES]
            np.testing.assert_allclose(shares, expected[row["path"]], atol=1e-6)
            assert row["predicted"] == NAMES[int(np.argmax(expected[row["path"]]))]
            assert float(row["confidence"]) == max(shares)
    assert f"wrote {table}" in captured.err
    told = dict(line.rsplit(maxsplit=1) for line in captured.out.splitlines()[2:])
    assert sum(map(int, told.values())) == 12 and set(told) <= set(NAMES)


def test_names_that_are_no_unicode(network, photos, tmp_path, capsys):
    odd = os.fsencode(photos) + b"/\xff.png"
    os.rename(photos / "0.png", odd)
    table, features = tmp_path / "table.csv", tmp_path / "f.npy"
    call(network, f"--csv={table}", f"--features={features}", photos)
    for file in (table, tmp_path / "f.paths.csv"):
        assert odd in [os.fsencode(row["path"]) for row in rows_of(file)]


def test_an_error_leaves_no_half_written_file(network, values, photos, tmp_path, capsys):
    table = tmp_path / "table.csv"
    table.write_text("as it was")
    values["tiny/logits/biases"] = np.full(3, np.nan, np.float32)
    write_checkpoint(tmp_path / "net" / "3.ckpt", values)
    assert call(network, f"--csv={table}", f"--features={tmp_path}/f.npy", photos) == 2
    assert "not finite" in capsys.readouterr().err
    assert table.read_text() == "as it was"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net", "photos", "table.csv"]


def test_sorted_copies(network, photos, tmp_path, capsys):
    expected = predictions(capsys, network, photos)
    place = tmp_path / "sorted"
    assert call(network, f"--copy_to={place}", photos) == 1
    folders = ["cat", "dog", "red_panda"]
    contents = {(path.parent.name, path.read_bytes()): path.name for path in place.rglob("*.png")}
    assert len(contents) == 12
    for path, shares in expected.items():
        with open(path, "rb") as stream:
            assert (folders[int(np.argmax(shares))], stream.read()) in contents
    capsys.readouterr()
    rejects(capsys, [network, f"--copy_to={place}", photos], "not empty")
    rejects(capsys, [network, f"--copy_to={photos}/sorted", photos], "lies in")


def test_classes_whose_folders_would_be_one(network, photos, tmp_path, capsys):
    (tmp_path / "net" / "labels.txt").write_text("a/b\nA:B\nunsure")
    assert call(network, f"--copy_to={tmp_path}/sorted", "--threshold=0.5", photos) == 1
    assert {path.name for path in (tmp_path / "sorted").iterdir()} <= {"a_b_0", "A_B_1", "unsure_2", "unsure"}


def test_thresholds(network, photos, tmp_path, capsys):
    expected = predictions(capsys, network, photos)
    table = tmp_path / "table.csv"
    assert call(network, f"--csv={table}", "--threshold=0.9,cat:0.35,red/panda:0.5", photos) == 1
    for row in rows_of(table):
        if row["error"]:
            continue
        cat, dog, panda = expected[row["path"]].tolist()
        reached = {"cat": (cat, 0.35), "dog": (dog, 0.9), "red/panda": (panda, 0.5)}
        sure = {name: share for name, (share, least) in reached.items() if share >= least}
        assert row["decision"] == (max(sure, key=sure.get) if sure else "unsure")
    assert len({row["decision"] for row in rows_of(table)}) > 1
    file = tmp_path / "thresholds.json"
    file.write_text(json.dumps({"thresholds": {"cat": 0, "dog": 1, "2": 1}}))
    capsys.readouterr()
    assert call(network, f"--threshold={file}", "--json", photos / "1.png") == 0
    assert json.loads(capsys.readouterr().out)["decision"] == {"class": 0, "name": "cat"}
    assert call(network, "--threshold=1", photos / "1.png") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "decision: unsure"
    for bad, said in (
        ("cow:0.5", "there is no class cow; they are cat, dog"),
        ("1.5", "1.5 is no number"),
        ("nan", "nan"),
    ):
        rejects(capsys, [network, f"--threshold={bad}", photos / "1.png"], said)
    file.write_text("[1]")
    rejects(capsys, [network, f"--threshold={file}", photos / "1.png"], str(file))


def test_features_are_what_the_last_layer_gets(network, values, photos, tmp_path, capsys):
    # With one place left, the last layer is a product with the features.
    values["tiny/logits/weights"] = values["tiny/logits/weights"][:2, :2] * 1
    values["tiny/logits/weights"][:] = values["tiny/logits/weights"][:1, :1] / 4
    write_checkpoint(tmp_path / "net" / "3.ckpt", values)
    arguments = [network, "--image_size=8", photos]
    expected = predictions(capsys, *arguments)
    assert call(*arguments, f"--features={tmp_path}/f.npy") == 1
    features = np.load(tmp_path / "f.npy")
    paths = [row["path"] for row in rows_of(tmp_path / "f.paths.csv")]
    assert features.shape == (12, 16) and features.dtype == np.float32 and paths == list(expected)
    logits = 4 * features @ values["tiny/logits/weights"][0, 0] + values["tiny/logits/biases"]
    shares = np.exp(logits - logits.max(1, keepdims=True))
    np.testing.assert_allclose(shares / shares.sum(1, keepdims=True), list(expected.values()), atol=1e-4)
    parquet = pytest.importorskip("pyarrow.parquet")
    assert call(*arguments, f"--features={tmp_path}/f.parquet") == 1
    table = parquet.read_table(tmp_path / "f.parquet")
    assert table["path"].to_pylist() == paths
    np.testing.assert_allclose(table["features"].to_pylist(), features, atol=1e-6)


def test_features_of_nothing(network, tmp_path, capsys):
    (tmp_path / "cut.png").write_bytes(b"\x89PNG")
    assert call(network, f"--features={tmp_path}/f.npy", tmp_path / "cut.png") == 1
    assert np.load(tmp_path / "f.npy").shape == (0, 0)


def test_what_features_cannot_be_of(network, photos, tmp_path, capsys):
    rejects(capsys, [network, f"--features={tmp_path}/f.npy", "--tta=flips", photos], "--tta=flips")
    rejects(capsys, [network, f"--features={tmp_path}/f.txt", photos], ".npy or .parquet")
    rejects(capsys, [network, f"--csv={tmp_path}/no/t.csv", photos], "--csv=", "cannot be written")


def test_patterns_and_folders(network, photos, tmp_path, capsys):
    def paths(*arguments):
        return [os.path.relpath(path, photos) for path in predictions(capsys, network, *arguments)]

    assert paths(f"{photos}/[1-3].png") == ["1.png", "2.png", "3.png"]
    assert paths(f"{photos}/**/1.png") == ["1.png", "more/1.png"]
    assert paths(f"{photos}/mo*") == ["more/0.png", "more/1.png"]
    assert sorted(paths(f"{photos}/**")) == sorted(paths(photos))
    assert len(paths("--norecursive", photos)) == 10
    (photos / "odd[1].png").write_bytes((photos / "1.png").read_bytes())
    assert paths(photos / "odd[1].png") == ["odd[1].png"]
    assert call(network, f"{photos}/*.gif") == 2
    assert f"{photos}/*.gif matches nothing" in capsys.readouterr().err


def run_of(folder, seed, names):
    """A directory that looks like a run's."""
    folder.mkdir()
    checkpoint_of(folder / "model.ckpt-1", seed)
    (folder / "labels.txt").write_text("\n".join(names))
    settings = {"model": "tiny", "image_size": 32, "dataset": "digits"}
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-1"\n')
    return folder


def test_an_ensemble_is_the_mean_whatever_the_order_of_the_classes(photos, tmp_path, capsys):
    order = [2, 0, 1]
    one = run_of(tmp_path / "one", 1, NAMES)
    two = run_of(tmp_path / "two", 2, [NAMES[index] for index in order])
    apart = [predictions(capsys, f"--train_dir={run}", photos) for run in (one, two)]
    both = predictions(capsys, f"--train_dir={one},{two}", photos)
    back = [order.index(index) for index in range(3)]
    for path, shares in both.items():
        np.testing.assert_allclose(shares, (apart[0][path] + apart[1][path][back]) / 2, atol=1e-6)
    assert call(f"--train_dir={one},{two}", photos / "1.png") == 0
    assert "the probabilities are the means over 2 networks" in capsys.readouterr().err
    rejects(capsys, [f"--train_dir={one},{two}", f"--explain={tmp_path}/heat", photos], "explains one network")
    (two / "labels.txt").write_text("cat\ndog\ncow")
    rejects(capsys, [f"--train_dir={one},{two}", photos], "different classes, such as 'cow'")
    rejects(capsys, [f"--train_dir={one},{two}", "--checkpoint=x", photos], "--checkpoint=x", "DIR/best")


def test_a_directory_with_a_comma_is_one(photos, tmp_path, capsys):
    run = run_of(tmp_path / "a,b", 1, NAMES)
    assert call(f"--train_dir={run}", photos / "1.png") == 0


def test_views_are_averaged(network, photos, tmp_path, capsys):
    mirrored = tmp_path / "mirrored"
    mirrored.mkdir()
    for file in photos.glob("[0-9].png"):
        Image.open(file).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(mirrored / file.name)
    as_they_are, flipped = (predictions(capsys, network, folder) for folder in (photos, mirrored))
    both = predictions(capsys, network, "--tta=flips", photos)
    for file in mirrored.iterdir():
        mean = (as_they_are[str(photos / file.name)] + flipped[str(file)]) / 2
        np.testing.assert_allclose(both[str(photos / file.name)], mean, atol=1e-6)
    crops = predictions(capsys, network, "--tta=ten_crops", photos)
    assert max(np.abs(crops[path] - both[path]).max() for path in both) > 1e-3


def test_tables_that_would_replace_something_else(network, photos, tmp_path, capsys):
    image = photos / "0.png"
    before = image.read_bytes()
    rejects(capsys, [network, f"--csv={image}", photos], "--csv=", "has the name of an image")
    assert image.read_bytes() == before
    features = [network, f"--features={tmp_path}/e.npy", photos]
    rejects(capsys, [f"--csv={tmp_path}/photos/../e.paths.csv", *features], "--features writes")


def test_thresholds_that_are_told_twice_or_not_at_all(network, photos, capsys):
    rejects(capsys, [network, "--threshold=cat:0.5,cat:0.9", photos], "there is another for cat")
    rejects(capsys, [network, "--threshold=0.5,0.9", photos], "there is another for all classes")
    rejects(capsys, [network, "--threshold=", photos], "--threshold= is empty")


def test_copies_of_images_with_the_longest_names(network, photos, tmp_path, capsys):
    long = "x" * 249 + "é"  # 251 bytes, and 255 with its suffix.
    for folder in (photos, photos / "more"):
        (folder / f"{long}.png").write_bytes((photos / "0.png").read_bytes())
    assert call(network, f"--copy_to={tmp_path}/sorted", "--csv", tmp_path / "t.csv", photos) == 1  # One is cut.
    copies = [path.name for path in (tmp_path / "sorted").rglob("xxx*.png")]
    assert sorted(copies) == sorted([f"{long}.png", "x" * 249 + "_1.png"])


def test_a_copy_that_fails_is_told_of_the_image(network, photos, tmp_path, capsys, monkeypatch):
    def fails(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", fails)
    capsys.readouterr()
    assert call(network, f"--copy_to={tmp_path}/sorted", f"--csv={tmp_path}/t.csv", photos) == 2
    said = capsys.readouterr().err
    assert "0.png cannot be copied to" in said and "t.csv" not in said and not (tmp_path / "t.csv").exists()


def test_a_class_called_unsure_is_not_taken_for_none(network, photos, tmp_path, capsys):
    (tmp_path / "names.txt").write_text("unsure\ndog\ncow")
    found = predictions(capsys, network, f"--labels={tmp_path}/names.txt", photos)
    number = next(int(shares.argmax()) for shares in found.values())
    (tmp_path / "names.txt").write_text("\n".join("unsure" if at == number else f"c{at}" for at in range(3)))
    told = [network, f"--labels={tmp_path}/names.txt", f"--csv={tmp_path}/t.csv", photos]
    assert call(f"--threshold=1,{number}:0", *told) == 1
    decided = {row["decision"] for row in rows_of(tmp_path / "t.csv") if not row["error"]}
    assert decided == {"unsure"}
    assert call("--threshold=1", *told) == 1 and "unsure_" in capsys.readouterr().out
    assert {row["decision"] for row in rows_of(tmp_path / "t.csv") if not row["error"]} == {"unsure_"}


def test_thresholds_of_other_probabilities_are_told_of(network, photos, tmp_path, capsys):
    file = tmp_path / "thresholds.json"
    for checkpoint, tta, told in (
        ("moved/3.ckpt", "none", False),
        ("net/4.ckpt", "none", True),
        ("net/3.ckpt", "flips", True),
        (["net/3.ckpt", "net/4.ckpt"], "none", True),
    ):
        file.write_text(json.dumps({"thresholds": {"cat": 0.5}, "of": {"checkpoint": checkpoint, "tta": tta}}))
        capsys.readouterr()
        assert call(network, f"--threshold={file}", photos / "1.png") == 0
        assert ("was chosen for the probabilities of" in capsys.readouterr().err) is told
