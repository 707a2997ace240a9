"""Addresses, such as gs://bucket/pictures, in the place of paths: one line, exit status 2, and no folder `gs:`."""

import os
import pathlib

import pytest

import slimft
from slimft.checkpoint import fetch
from slimft.cli import (
    convert_checkpoint,
    evaluate,
    exercise,
    fetch_checkpoint,
    finetune,
    inspect_checkpoint,
    predict,
    run_legacy,
)
from slimft.cli import report as report_command
from slimft.data import load_dataset
from slimft.files import read_bounded
from slimft.inference import find_network
from slimft.local_paths import address_advice, check_local
from slimft.report import compare, write_report

GS = "gs://bucket/pictures"


@pytest.mark.parametrize(
    "path, word",
    [
        (GS, "gcsfuse"),
        ("s3://bucket", "aws s3 sync"),
        ("S3A://bucket", "mount-s3"),
        ("az://container", "azcopy"),
        ("abfs://container@account/x", "blobfuse2"),
        ("abfss://container@account/x", "blobfuse2"),
        ("hdfs://host:9000/x", "hdfs dfs"),
        ("hdfs:///x", "hdfs dfs"),
        ("https://host/x.zip", "curl"),
        ("http://host/x.zip", "curl"),
        ("memory://x", "mount what memory:// stands for"),
        ("hf://datasets/x", "hf:OWNER/NAME"),
        ("file:///data/x", "write the path itself, /data/x"),
        ("file:/data/x", "write the path itself, /data/x"),
        (pathlib.Path(GS), "gcsfuse"),
        (pathlib.Path("https://host/x"), "curl"),
    ],
)
def test_addresses(path, word):
    assert word in address_advice(path)
    with pytest.raises(slimft.UsageError, match="--data_dir="):
        check_local(path, "--data_dir")


@pytest.mark.parametrize(
    "path",
    [
        "/data/x", "x", "", "./gs:/x", "hf:google/vit", "hf:google/vit@main:model.safetensors", "C:\\pictures",
        "C:/pictures", "c://pictures", "odd:/x", "a:b", "12:30/x", "~/x", pathlib.Path("x"), None, 3, ["gs://x"],
    ],
)  # fmt: skip
def test_paths(path):
    assert address_advice(path) is None
    check_local(path)


TRAIN = (finetune, "--model=cifarnet")
COMMANDS = [
    (*TRAIN, f"--train_dir={GS}"),
    (*TRAIN, f"--data_dir={GS}", "--dataset=image_folder"),
    (*TRAIN, f"--dataset_dir={GS}"),
    (*TRAIN, f"--checkpoint={GS}"),
    (*TRAIN, "--checkpoint=hf://google/vit"),
    (*TRAIN, f"--settings={GS}"),
    (*TRAIN, f"--flagfile={GS}"),
    (*TRAIN, "--flagfile", GS),
    (*TRAIN, "--launch=2", f"--train_dir={GS}"),
    (evaluate, f"--train_dir={GS}"),
    (evaluate, "--train_dir=x", f"--predictions={GS}"),
    (evaluate, "--model=cifarnet", "--dataset=digits", f"--checkpoint={GS}"),
    (predict, f"--train_dir={GS}", "x.jpg"),
    (predict, "--train_dir=x", f"--labels={GS}", "x.jpg"),
    (predict, "--train_dir=x", f"--output_dir={GS}", "x.jpg"),
    (inspect_checkpoint, GS),
    (inspect_checkpoint, "hed", f"--diff={GS}"),
    (convert_checkpoint, GS, "x.npz"),
    (convert_checkpoint, "x.npz", GS),
    (report_command, GS),
    (report_command, "x", "y", f"--output={GS}"),
    (fetch_checkpoint, "vgg_16", f"--directory={GS}"),
    (exercise, f"--dir={GS}"),
    (exercise, f"--data_dir={GS}"),
    (exercise, f"--voc_dir={GS}"),
    (exercise, f"--checkpoint_dir={GS}"),
    (run_legacy, f"{GS}/train.py"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[1:]))
def test_commands(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    module, *arguments = command
    name = module.__name__.rsplit(".", 1)[1]
    assert module.main([name, *arguments]) == 2
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert captured.out == "" and line.startswith(f"{name}: ")
    assert "slimft reads and writes local files only" in line or "hf:OWNER/NAME" in line
    flag = next((argument.split("=")[0] for argument in arguments if "://" in argument and "=" in argument), "")
    assert flag.replace("dataset_dir", "data_dir") in line
    assert os.listdir(tmp_path) == []


def test_images(tiny, make_checkpoint, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    checkpoint = make_checkpoint()
    before = sorted(os.listdir(tmp_path))
    assert predict.main(["predict", f"--model={tiny}", "--image_size=16", f"--checkpoint={checkpoint}", GS]) == 2
    assert f"predict: {GS}: slimft reads and writes local files only" in capsys.readouterr().err
    assert sorted(os.listdir(tmp_path)) == before


@pytest.fixture
def make_checkpoint(tiny, tmp_path):
    def make():
        import numpy as np

        from slimft.compat import tf
        from slimft.nets import get_network

        with tf.Graph().as_default():
            get_network(tiny).build(tf.zeros([1, 16, 16, 3]), 3, is_training=False)
            values = {v.op.name: np.zeros(v.shape.as_list(), np.float32) for v in tf.global_variables()}
        slimft.write_checkpoint(tmp_path / "model.ckpt", values)
        return tmp_path / "model.ckpt"

    return make


@pytest.mark.parametrize("address", [GS, pathlib.Path(GS)], ids=["text", "path"])
@pytest.mark.parametrize(
    "call",
    [
        lambda address: slimft.finetune(model="cifarnet", train_dir=address),
        lambda address: slimft.finetune(model="cifarnet", dataset="csv", data_dir=address),
        lambda address: slimft.finetune(model="cifarnet", checkpoint=address),
        lambda address: slimft.finetune(model="cifarnet", settings=address),
        lambda address: slimft.evaluate(train_dir=address),
        lambda address: slimft.evaluate("cifarnet", "digits", address),
        lambda address: slimft.load_run(address),
        lambda address: slimft.open_checkpoint(address),
        lambda address: slimft.write_checkpoint(address, {}),
        lambda address: load_dataset("cifar10", address),
        lambda address: load_dataset("voc2012", address),
        lambda address: find_network("cifarnet", "x", labels=address),
        lambda address: compare(["x", "y"], address),
        lambda address: write_report(address),
        lambda address: fetch.fetch("vgg_16", address),
        lambda address: slimft.restore(None, address),
        lambda address: slimft.plan_restore(address, []),
        lambda address: read_bounded(address, 10),
    ],
)
def test_the_library(call, address, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(slimft.SlimftError, match="local files only; mount the bucket with gcsfuse"):
        call(address)
    assert os.listdir(tmp_path) == []


def test_the_folder_of_checkpoints(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLIMFT_CHECKPOINTS", GS)
    with pytest.raises(slimft.SlimftError, match="SLIMFT_CHECKPOINTS=gs://bucket/pictures: slimft reads"):
        slimft.open_checkpoint("vgg_16")
    assert os.listdir(tmp_path) == []


def test_a_manifest_of_addresses(tmp_path):
    (tmp_path / "list.csv").write_text(f"path,label\n{GS}/1.jpg,cat\n{GS}/2.jpg,dog\n")
    with pytest.raises(slimft.DataError, match="2 paths are addresses"):
        load_dataset("csv", tmp_path / "list.csv")
