"""bin/dataset as a command: what it finds in folders that have it, and what it leaves alone."""

import csv
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from slimft.cli.dataset import main
from slimft.compat import tf
from slimft.data import DataOptions, load_dataset

RNG = np.random.default_rng(0)


def picture(height=60, width=80):
    """A picture like no other, of shapes of about ten pixels."""
    noise = Image.fromarray(RNG.integers(0, 256, (6, 8, 3), np.uint8))
    return noise.resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture
def folder(tmp_path):
    """Two classes of 20 pictures."""
    for name in ("cat", "dog"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(20):
            picture().save(tmp_path / "data" / name / f"{number}.png")
    return tmp_path / "data"


@pytest.fixture
def look(capsys):
    """Runs the command; returns its status, the result and what it said."""

    def run(*flags):
        status = main(["dataset", *map(str, flags)])
        captured = capsys.readouterr()
        lines = captured.out.splitlines()
        assert len(lines) == (status != 2)
        return status, json.loads(lines[0]) if lines else None, captured.err

    return run


def listing(folder):
    """All that is in a folder, with what is in it and when it changed."""
    return {
        path: (path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
        for path in [folder, *folder.rglob("*")]
    }


def test_data_that_is_good(look, folder):
    before = listing(folder)
    status, result, said = look(folder)
    assert status == 0 and result["problems"] == [] and said.endswith("no problems found\n")
    splits = load_dataset("image_folder", folder)
    assert result["splits"] == {split: data.num_examples for split, data in splits.items()}
    assert [one["name"] for one in result["classes"]] == ["cat", "dog"]
    for label, one in enumerate(result["classes"]):
        assert {split: one[split] for split in splits} == {s: data.counts[label] for s, data in splits.items()}
    assert result["examples"] == 40 and result["formats"] == {"PNG": 40} and result["modes"] == {"RGB": 40}
    assert result["bytes"] == sum(file.stat().st_size for file in folder.rglob("*.png"))
    assert result["sizes"]["width"] == [80, 80, 80] and result["sizes"]["height"] == [60, 60, 60]
    assert result["sizes"]["smaller"] == 40 and "40 have a side of less than 224 pixels" in said
    assert result["duplicates"]["groups"] == [] and "duplicates: 0 images" not in said
    assert listing(folder) == before


def test_the_size_of_the_network(look, folder):
    assert look(folder, "--image_size=60")[1]["sizes"]["smaller"] == 0
    assert look(folder, "--model=inception_v3")[1]["sizes"]["image_size"] == 299
    assert look(f"--data_dir={folder}", "--model=vgg_16")[1]["sizes"]["smaller"] == 40


def in_split(folder, split, number=0, **options):
    return load_dataset("image_folder", folder, DataOptions(**options))[split].describe(number)


def test_copies_in_two_splits(look, folder):
    train, test = in_split(folder, "train"), in_split(folder, "test")
    shutil.copy(train, test)
    status, result, said = look(folder)
    assert status == 1 and result["duplicates"]["leaks"] == {"test": {"copies": 1, "near": 0}}
    assert result["problems"][0].startswith("1 test image is in another split too (1 as copies, 0 as near")
    (group,) = result["duplicates"]["groups"]
    assert group["kind"] == "copies" and [one["split"] for one in group["images"]] == ["train", "test"]
    assert [str(folder / one["name"]) for one in group["images"]] == [train, test]
    assert "--manifest writes a list" in said
    # In one split it is no problem.
    os.remove(test)
    assert look(folder)[1]["duplicates"]["groups"] == []


def test_near_duplicates_in_two_splits_and_two_classes(look, folder):
    train, test = in_split(folder, "train"), in_split(folder, "test", -1)
    other = Image.open(train).resize((40, 30)).convert("L")
    other.save(test)
    status, result, _ = look(folder)
    assert status == 1 and result["duplicates"]["leaks"] == {"test": {"copies": 0, "near": 1}}
    assert result["duplicates"]["near"] == {"groups": 1, "images": 2}
    assert [one["class"] for one in result["duplicates"]["groups"][0]["images"]] == ["cat", "dog"]
    assert result["duplicates"]["conflicts"] == 1 and "in several classes" in result["problems"][-1]
    status, result, said = look(folder, "--near=-1")
    assert status == 0 and result["duplicates"]["near"]["groups"] == 0 and "not looked for" in said


def test_the_flags_of_finetune_decide_about_splits(look, folder):
    """Copies that are kept together by --group are no leak; in which fold one tests, neither is."""
    for number in range(10):
        shutil.copy(folder / "cat" / f"{number}.png", folder / "cat" / f"{number}_again.png")
    assert look(folder)[0] == 1
    status, result, _ = look(folder, "--group=cat/(\\d+)")
    assert status == 0 and result["duplicates"]["copies"] == {"groups": 10, "images": 20}
    assert result["duplicates"]["across_splits"] == 0 and "20 in 10 groups" not in str(result["problems"])
    _, result, _ = look(folder, "--folds=5", "--fold=2", "--split_seed=7")
    splits = load_dataset("image_folder", folder, DataOptions(folds=5, fold=2, split_seed=7))
    assert result["splits"] == {split: data.num_examples for split, data in splits.items()}


def damaged(folder):
    """Files of every kind that cannot be read: name to a word of the reason."""
    whole = folder.parent / "whole"
    picture(300, 400).save(whole, "JPEG")
    (folder / "dog" / "cut.jpg").write_bytes(whole.read_bytes()[:-2000])
    (folder / "dog" / "empty.jpg").touch()
    (folder / "dog" / "page.png").write_text("<!DOCTYPE html><html></html>")
    (folder / "dog" / "noise.png").write_bytes(b"\x89" + RNG.bytes(3000))
    (folder / "dog" / "two\nlines.png").write_bytes(b"GIF8")
    (folder / "dog" / "nowhere.png").symlink_to("there.png")
    os.mkfifo(folder / "dog" / "pipe.png")
    Image.new("1", (20_000, 6_000)).save(folder / "dog" / "vast.png")
    return {
        "cut.jpg": "truncated",
        "empty.jpg": "empty",
        "page.png": "web page",
        "noise.png": "no image of a kind",
        "two\nlines.png": "is no image of a kind",
        "nowhere.png": "No such file",
        "pipe.png": "no regular file",
        "vast.png": "too many pixels",
    }


def test_what_cannot_be_read(look, folder):
    words = damaged(folder)
    status, result, said = look(folder)
    assert status == 1 and result["unreadable"] == len(words)
    found = {file["name"]: file["reason"] for file in result["unreadable_files"]}
    assert found.keys() == {f"dog/{name}" for name in words}
    assert all(word in found[f"dog/{name}"] for name, word in words.items())
    assert not any(str(folder) in reason for reason in found.values())
    assert sum(result["unreadable_reasons"].values()) == len(words)
    assert {"cut off", "empty", "missing", "too large"} <= result["unreadable_reasons"].keys()
    assert "cannot be read: 8 images" in said and "  dog/empty.jpg: is empty" in said
    # Files that could not be read are not each other's copies.
    assert result["duplicates"]["groups"] == []


def test_what_is_odd(look, folder):
    odd = folder / "cat"
    picture().save(odd / "named.png", "JPEG")
    picture().save(odd / "frames.gif", save_all=True, append_images=[picture()])
    Image.new("RGB", (50, 50), "white").save(odd / "white.png")
    Image.new("RGB", (50, 50), "black").save(odd / "black.png")
    transparent = picture().convert("RGBA")
    transparent.putalpha(100)
    transparent.save(odd / "alpha.png")
    Image.fromarray(RNG.integers(0, 65535, (40, 40)).astype(np.uint16)).save(odd / "deep.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    picture().save(odd / "turned.jpg", exif=exif)
    picture().convert("CMYK").save(odd / "print.jpg")
    status, result, said = look(folder)
    assert status == 0 and result["odd"] == {
        "turned": 1, "animated": 1, "transparent": 1, "sixteen_bits": 1, "wrong_suffix": 1, "one_colour": 2,
    }  # fmt: skip
    assert result["formats"] == {"PNG": 44, "JPEG": 3, "GIF": 1} and result["modes"]["CMYK"] == 1
    assert "  2 of one colour all over" in said
    # Of one colour, and so without a hash: these are not the same.
    assert result["duplicates"]["groups"] == []


def test_data_that_finetune_refuses_is_looked_at_all_the_same(look, folder):
    (folder / "empty").mkdir()
    (folder / "Cat ").mkdir()
    picture().save(folder / "Cat " / "only.png")
    (folder / "cat" / "notes.txt").write_text("x")
    status, result, said = look(folder)
    assert status == 1 and result["splits"] == {"all": 41} and result["empty_classes"] == ["empty"]
    assert "would not train on this" in result["problems"][0] and "empty holds no images" in result["refused"]
    assert result["balance"]["single"] == ["Cat "] and "classes with one image: Cat" in said
    assert any("notes.txt" in note for note in result["notes"])
    assert any("'Cat ' and 'cat'" in note for note in result["notes"])
    shutil.rmtree(folder / "empty")
    assert look(folder)[1]["refused"] is None


def test_classes_of_unequal_size(look, folder):
    for number in range(4, 20):
        os.remove(folder / "dog" / f"{number}.png")
    _, result, said = look(folder, "--test_share=0")
    balance = result["balance"]
    assert balance["smallest"]["name"] == "dog" and balance["largest"]["name"] == "cat"
    assert balance["ratio"] == balance["largest"]["count"] / balance["smallest"]["count"] > 3
    assert f"counts an example of dog {balance['weight_ratio']:.3g} times as much" in said


def test_the_manifest_that_keeps_what_is_the_same_together(look, folder, tmp_path):
    for number in range(8):
        Image.open(folder / "cat" / f"{number}.png").resize((70, 60)).save(folder / "cat" / f"{number}_again.jpg")
    (folder / "dog" / "broken.png").write_bytes(b"")
    manifest = tmp_path / "lists" / "data.csv"
    manifest.parent.mkdir()
    status, result, said = look(folder, f"--manifest={manifest}")
    assert status == 1 and result["duplicates"]["across_splits"] and result["manifest"] == str(manifest)
    assert f"{manifest}: 48 images, 16 of them in groups" in said and "--manifest writes a list" in said
    with open(manifest, newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 48 and {row["label"] for row in rows} == {"cat", "dog"}
    groups = {row["path"]: row["group"] for row in rows if row["group"]}
    assert groups["../data/cat/3_again.jpg"] == groups["../data/cat/3.png"] and len(set(groups.values())) == 8
    for seed in range(3):
        status, result, _ = look("--dataset=csv", manifest, f"--split_seed={seed}")
        assert status == 0 and result["duplicates"]["near"] == {"groups": 8, "images": 16}


def test_a_manifest_keeps_the_datas_own_splits(look, folder, tmp_path):
    for split in ("train", "val"):
        shutil.copytree(folder, tmp_path / "split" / split)
    manifest = tmp_path / "data.csv"
    look(tmp_path / "split", f"--manifest={manifest}")
    _, result, _ = look("--dataset=csv", manifest)
    assert result["splits"] == {"train": 40, "validation": 40} and result["duplicates"]["across_splits"] == 40
    assert look(folder, "--group=cat", f"--manifest={manifest}")[0] == 2
    assert look("--dataset=digits", f"--manifest={manifest}")[0] == 2
    shutil.copytree(folder / "cat", folder / "cat ")
    before = manifest.read_bytes()
    status, _, said = look(folder, f"--manifest={manifest}")
    assert status == 2 and "rename their folders" in said and manifest.read_bytes() == before


def test_folders_of_splits_and_a_manifest(look, folder, tmp_path):
    for split in ("train", "test"):
        shutil.copytree(folder, tmp_path / "split" / split)
    status, result, _ = look(tmp_path / "split")
    leaks = result["duplicates"]["leaks"]
    assert status == 1 and leaks["test"] == {"copies": 40, "near": 0} and sum(result["splits"].values()) == 80
    lines = [f"data/{name}/{number}.png,{name}" for name in ("cat", "dog") for number in range(20)]
    (tmp_path / "list.csv").write_text("\n".join(["path,label", *lines]))
    status, result, _ = look("--dataset=csv", tmp_path / "list.csv")
    assert status == 0 and result["examples"] == 40


def test_records_name_the_file_and_the_record(look, folder, tmp_path):
    with tf.io.TFRecordWriter(str(tmp_path / "all.tfrecord")) as writer:
        for label, name in enumerate(("cat", "dog")):
            for number in [*range(20), 3]:
                encoded = (folder / name / f"{number}.png").read_bytes()
                features = {
                    "image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[encoded])),
                    "image/class/label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
                }
                writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
    _, result, _ = look("--dataset=tfrecord", tmp_path / "all.tfrecord")
    assert result["examples"] == 42 and result["duplicates"]["copies"] == {"groups": 2, "images": 4}
    names = [one["name"] for one in result["duplicates"]["groups"][0]["images"]]
    assert all(name.startswith(f"{tmp_path}/all.tfrecord record ") for name in names)


def test_arrays(look):
    status, result, said = look("--dataset=digits")
    assert status == 0 and result["examples"] == 1797 and result["formats"] == {"array": 1797}
    assert "1,797 images have a side of less than 16 pixels" in said


def test_images_with_masks(look, voc, tmp_path):
    page = tmp_path / "page.html"
    status, result, said = look("--dataset=voc", voc, f"--report={page}")
    assert result["task"] == "segmentation" and result["balance"]["of"] == "pixels"
    splits = load_dataset("voc", voc)
    for label, one in enumerate(result["classes"]):
        for split, data in splits.items():
            assert one[split] == sum(bool((data.masks.read(i) == label).any()) for i in range(data.num_examples))
    assert "pixels of" in said and page.exists() and status in (0, 1)


def test_bad_input(look, folder, tmp_path):
    for flags, words in [
        ([tmp_path / "nowhere"], "there is no such folder"),
        ([], "needs --data_dir"),
        ([folder, f"--data_dir={folder}"], "give one of them"),
        ([folder, folder], "one folder can be looked at"),
        ([folder, "--dataset=imagefolder"], "did you mean image_folder"),
        ([folder, "--model=vgg_61"], "vgg_61"),
        ([folder, "--near=17"], "near"),
        ([folder, "--group=("], "no regular expression"),
        ([folder, "--fold=1"], "needs --folds"),
        ([folder, f"--report={folder}/page.html"], "is within"),
        ([folder, f"--report={folder}/cat/../page.html"], "is within"),
        ([folder, f"--report={tmp_path}"], "is a folder"),
        ([folder, f"--report={tmp_path}/no/page.html"], "there is no directory"),
        ([folder, "--labels_offset=1"], "for TFRecords only"),
        (["gs://bucket/data"], "gs://bucket/data"),
    ]:
        before = listing(folder)
        status, _, said = look(*flags)
        assert status == 2 and words in said and said.count("\n") == 1, said
        assert listing(folder) == before


def test_the_script_needs_no_tensorflow(folder, tmp_path):
    code = "import sys; sys.modules['tensorflow'] = None; sys.argv[0] = 'dataset'; exec(open('bin/dataset').read())"
    code = code.replace("exec(", "__file__ = 'bin/dataset'; exec(")
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    command = [sys.executable, "-c", code, str(folder), f"--report={tmp_path}/page.html"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0 and json.loads(done.stdout)["report"] == f"{tmp_path}/page.html", done.stderr
