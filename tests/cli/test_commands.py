"""bin/finetune and bin/evaluate as a person meets them: output, exit statuses, one clear line for bad input."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from slimft import open_checkpoint, write_checkpoint
from slimft.cli import evaluate, finetune
from slimft.compat import tf
from slimft.nets import network_names

pytestmark = pytest.mark.usefixtures("plain_charts")

ROOT = pathlib.Path(__file__).resolve().parents[2]
RUN = ["--model=tiny", "--dataset=digits", "--batch_size=64", "--steps=3"]


def call(command, *flags):
    return command.main([command.__name__.rsplit(".", 1)[1], *flags])


def rejects(capsys, command, flags, *words, status=2):
    """The command exits with `status`, prints nothing but one last line, which holds `words`."""
    assert call(command, *flags) == status
    captured = capsys.readouterr()
    lines = captured.err.strip().splitlines()
    assert lines, "no message"
    for word in words:
        assert word in lines[-1]
    assert "Traceback" not in captured.err
    return captured


def result(captured):
    return json.loads(captured.out.strip().splitlines()[-1])


def test_the_last_line_is_the_result(tiny, tmp_path, capsys):
    folder = str(tmp_path / "run")
    assert call(finetune, *RUN, f"--train_dir={folder}") == 0
    captured = capsys.readouterr()
    trained = result(captured)
    assert captured.out.count("\n") == 1
    for key in ("model", "dataset", "split", "examples", "accuracy", "loss", "step", "train_dir"):
        assert key in trained
    assert "images/s" in captured.err
    assert call(evaluate, f"--train_dir={folder}") == 0
    evaluated = result(capsys.readouterr())
    for key in ("model", "dataset", "split", "examples", "accuracy", "step", "train_dir"):
        assert evaluated[key] == trained[key]
    assert call(evaluate, f"--checkpoint={folder}", "--model=tiny", "--dataset=digits", "--split=train") == 0
    assert result(capsys.readouterr())["examples"] == 1293


def test_slims_spelling_of_the_flags(tiny, tmp_path, capsys):
    first = str(tmp_path / "first")
    slims = [
        "--model_name=tiny",
        "--dataset_name=digits",
        "--max_number_of_steps=2",
        "--train_image_size=16",
        "--learning_rate_decay_type=fixed",
        f"--train_dir={first}",
    ]
    assert call(finetune, *slims) == 0
    again = [
        "--checkpoint_path=" + first,
        "--checkpoint_exclude_scopes=tiny/logits",
        "--trainable_scopes=tiny/logits",
        "--train_dir=" + str(tmp_path / "second"),
        *slims[:4],
    ]
    capsys.readouterr()
    assert call(finetune, *again) == 0
    assert "excluded       2  tiny/logits" in capsys.readouterr().err


def test_flags_from_a_file(tiny, tmp_path, capsys):
    file = tmp_path / "flags"
    file.write_text("\n".join([*RUN, f"--train_dir={tmp_path / 'run'}"]))
    assert call(finetune, f"--flagfile={file}") == 0
    assert result(capsys.readouterr())["step"] == 3


def test_dry_run_prints_the_plan_and_writes_nothing(tiny, tmp_path, capsys):
    first = str(tmp_path / "first")
    assert call(finetune, *RUN, f"--train_dir={first}") == 0
    capsys.readouterr()
    target = tmp_path / "target"
    flags = [*RUN, f"--checkpoint={first}", f"--train_dir={target}", "--dry_run"]
    assert call(finetune, *flags, "--exclude=tiny/logits") == 0
    out = capsys.readouterr().out
    for words in (
        "tiny/conv1/weights",
        "3x3x3x8",
        "restored",
        "tiny/logits/biases",
        "excluded",
        "global_step",
        "unused",
        "train 6 variables",
        "to step 3 at 32x32",
    ):
        assert words in out
    assert not target.exists()
    assert call(finetune, *RUN, f"--train_dir={target}", "--dry_run") == 0
    assert "nothing to restore" in capsys.readouterr().out


def test_the_default_train_dir_is_new(tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert call(finetune, *RUN) == 0
    folder = result(capsys.readouterr())["train_dir"]
    assert folder.startswith("runs/tiny-digits-2")
    assert (tmp_path / folder / "settings.json").exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([], ["--model is missing", "--list_models"]),
        (["--model=vgg_17"], ["--model=vgg_17", "did you mean vgg_1"]),
        (["--model=zebra"], ["--model=zebra", "choose one of alexnet_v2"]),
        (["--model=vgg_16", "--dataset=cifar100"], ["--dataset=cifar100", "did you mean cifar10"]),
        (["--model=vgg_16", "--image_size=31"], ["--image_size=31", "vgg_16", "at least 32"]),
        (["--model=resnet_v1_50", "--image_size=16"], ["--image_size=16", "at least 32"]),
        (["--model=vgg_16", "--image_size=0"], ["--image_size"]),
        (["--model=vgg_16", "--batch_size=0"], ["--batch_size=0", "positive"]),
        (["--model=vgg_16", "--batch_size=two"], ["--batch_size=two"]),
        (["--model=vgg_16", "--epochs=0"], ["--epochs=0", "positive"]),
        (["--model=vgg_16", "--epochs=inf"], ["--epochs=inf"]),
        (["--model=vgg_16", "--steps=-1"], ["--steps=-1"]),
        (["--model=vgg_16", "--learning_rate=-1"], ["--learning_rate=-1", "positive"]),
        (["--model=vgg_16", "--learning_rate=nan"], ["--learning_rate=nan"]),
        (["--model=vgg_16", "--momentum=1.5"], ["--momentum=1.5"]),
        (["--model=vgg_16", "--weight_decay=-1"], ["--weight_decay=-1"]),
        (["--model=vgg_16", "--optimizer=lion"], ["--optimizer=lion", "momentum"]),
        (["--model=vgg_16", "--schedule=step"], ["--schedule=step", "cosine"]),
        (["--model=vgg_16", "--precision=int8"], ["--precision=int8"]),
        (["--model=vgg_16", "--seed=-1"], ["--seed=-1"]),
        (["--model=vgg_16", "--keep=0"], ["--keep=0"]),
        (["--model=vgg_16", "--exclude=vgg_16/fc8"], ["--exclude", "need a --checkpoint"]),
        (["--model=vgg_16", "--rename=a:b"], ["--rename", "need a --checkpoint"]),
        (["--model=vgg_16", "--checkpoint=x", "--rename=a"], ["--rename=a is not of the form FROM:TO"]),
        (["--modle=vgg_16"], ["modle", "model"]),
        (["--nodry_run=3"], ["--nodry_run=3 does not take an argument"]),
        (["--" + "n" * 5000], ["unknown flag --nnn", "5,002 characters"]),
        (["x" * 20_000], ["unexpected argument 'xxx"]),
        (["model=vgg_16"], ["'model=vgg_16'"]),
        (["--flagfile=/no/such/file"], ["/no/such/file"]),
    ],
)
def test_bad_flags(flags, words, capsys):
    assert rejects(capsys, finetune, flags, *words).err.count("\n") == 1


def test_bad_flags_of_evaluate(tmp_path, capsys):
    rejects(capsys, evaluate, [], "--model is missing", "--train_dir")
    rejects(capsys, evaluate, ["--model=vgg_16"], "--dataset is missing")
    rejects(capsys, evaluate, ["--model=vgg_16", "--dataset=digits"], "--checkpoint is missing")
    rejects(capsys, evaluate, [f"--train_dir={tmp_path}"], str(tmp_path), "settings.json is missing")
    rejects(capsys, evaluate, ["--split=most"], "--split=most")
    (tmp_path / "settings.json").write_text("{not json")
    rejects(capsys, evaluate, [f"--train_dir={tmp_path}"], "settings.json is no JSON")
    (tmp_path / "settings.json").write_text('{"model": "vgg_16"}')
    rejects(capsys, evaluate, [f"--train_dir={tmp_path}"], "no checkpoint in the directory")


def test_rename_and_cast(tiny, tmp_path, capsys):
    first, halves = tmp_path / "first", tmp_path / "halves.ckpt"
    assert call(finetune, *RUN, f"--train_dir={first}") == 0
    source = open_checkpoint(first)
    scope = {name.replace("tiny", "other", 1): source[name] for name in source if name.startswith("tiny/")}
    write_checkpoint(halves, {name: value.astype(np.float16) for name, value in scope.items()})
    flags = [*RUN, f"--checkpoint={halves}", f"--train_dir={tmp_path / 'second'}", "--exclude=tiny/logits"]
    rejects(capsys, finetune, flags, "in another scope; --rename=other:tiny restores 8 of 8")
    rejects(capsys, finetune, [*flags, "--rename=other:tiny"], "float16 in the checkpoint, float32", "--cast")
    rejects(capsys, finetune, [*flags, "--rename=othre:tiny"], "--rename=othre", "did you mean other")
    assert call(finetune, *flags, "--rename=other:tiny", "--cast", "--dry_run") == 0
    assert "restored from other/conv1/weights" in capsys.readouterr().out


def test_bad_checkpoints(tiny, tmp_path, capsys):
    train_dir = f"--train_dir={tmp_path / 'run'}"
    rejects(capsys, finetune, [*RUN, train_dir, "--checkpoint=no.ckpt"], "no.ckpt", "give a path")
    text = tmp_path / "text.ckpt"
    text.write_text("no checkpoint" * 100)
    rejects(capsys, finetune, [*RUN, train_dir, f"--checkpoint={text}"], str(text), "not a checkpoint")
    with tf.Graph().as_default(), tf.Session() as session:
        shapes = {"conv1/weights": [3, 3, 3, 8], "logits/weights": [8, 8, 16, 1000], "logits/biases": [1000]}
        for name, shape in shapes.items():
            tf.get_variable(f"tiny/{name}", shape)
        session.run(tf.global_variables_initializer())
        saved = tf.train.Saver().save(session, str(tmp_path / "thousand.ckpt"))
    flags = [*RUN, train_dir, f"--checkpoint={saved}"]
    # Lacks variables and has another number of classes; what to exclude is complete, and works.
    rejects(capsys, finetune, flags, "thousand.ckpt", "1000", "are not in it", "--exclude=tiny/conv1/BatchNorm,")
    rejects(capsys, finetune, [*flags, "--exclude=tiny/conv1,tiny/conv2"], "--exclude=tiny")
    rejects(capsys, finetune, [*flags, "--exclude=logits"], "--exclude=logits", "did you mean tiny/logits?")
    rejects(capsys, finetune, [*flags, "--include=tiny/conv9"], "--include=tiny/conv9", "did you mean")
    rejects(capsys, finetune, [*flags, "--exclude=re:("], "re:(", "regular expression")
    rejects(capsys, finetune, [*RUN, train_dir, "--trainable=conv1"], "--trainable=conv1", "tiny/conv1?")
    rejects(capsys, finetune, [*flags, "--model=resnet_v1_50"], "another network", "it has tiny", "resnet_v1_50")
    assert not (tmp_path / "run").exists()
    said = rejects(capsys, finetune, [*flags, "--dry_run"], "--exclude=")
    assert "missing in the checkpoint" in said.out
    exclude = said.err.strip().splitlines()[-1].split()[-1]
    assert call(finetune, *flags, exclude) == 0


def test_a_checkpoint_of_another_number_of_classes(tiny, tmp_path, capsys):
    folder = str(tmp_path / "run")
    assert call(finetune, *RUN, f"--train_dir={folder}") == 0
    trained = open_checkpoint(folder)
    arrays = {name: trained[name] for name in trained}
    for kind in ("weights", "biases"):
        arrays[f"tiny/logits/{kind}"] = np.repeat(arrays[f"tiny/logits/{kind}"], 3, axis=-1)
    write_checkpoint(tmp_path / "thirty.npz", arrays)
    flags = [*RUN, f"--checkpoint={tmp_path / 'thirty.npz'}", f"--train_dir={tmp_path / 'target'}"]
    capsys.readouterr()
    words = ("is for 30 classes, digits has 10", "afresh with --exclude=tiny/logits")
    rejects(capsys, finetune, flags, *words)
    rejects(capsys, finetune, [*flags, "--dry_run"], *words)
    # What was excluded already stays in the advice, so that it can be pasted.
    rejects(capsys, finetune, [*flags, "--exclude=tiny/conv1"], "with --exclude=tiny/conv1,tiny/logits")
    assert call(finetune, *flags, "--exclude=tiny/logits") == 0
    # Where more is in the way, so is the advice.
    arrays["tiny/conv1/weights"] = arrays["tiny/conv1/weights"][:1]
    write_checkpoint(tmp_path / "other.npz", arrays)
    flags[-2] = f"--checkpoint={tmp_path / 'other.npz'}"
    flags[-1] = f"--train_dir={tmp_path / 'third'}"
    rejects(capsys, finetune, flags, "tiny/conv1/weights", "tiny/logits")


def test_list_models(capsys):
    assert call(finetune, "--list_models") == 0
    out = capsys.readouterr().out
    rows = {line.split()[0]: line.split() for line in out.split("\n\n")[0].splitlines()[2:]}
    assert list(rows) == network_names()
    assert rows["vgg_16"][1:] == [
        "classification",
        "mean_subtraction",
        "vgg_16",
        "224",
        "32",
        "1000",
        "138,357,544",
        "30.94",
        "vgg_16/fc8",
    ]
    assert rows["inception_v3"][-1] == "InceptionV3/Logits,InceptionV3/AuxLogits"
    assert rows["densenet_121"][3] == "-"
    assert rows["fcn_32s"][1:4] == ["segmentation", "mean_subtraction", "vgg_16"]
    assert rows["fcn_32s"][-1] == "vgg_16/score_fr,vgg_16/up"


def test_bad_data(tiny, tmp_path, capsys):
    flags = ["--model=tiny", "--dataset=cifar10", f"--train_dir={tmp_path / 'run'}"]
    data = tmp_path / "data"
    data.mkdir()
    (data / "notes.txt").write_text("no batches here")
    rejects(capsys, finetune, [*flags, f"--data_dir={data}"], f"--data_dir={data}", "data_batch_1.bin")
    (data / "data_batch_1.bin").write_bytes(bytes(3073 * 5))
    rejects(capsys, finetune, [*flags, f"--data_dir={data}"], "data_batch_1.bin is truncated")
    (data / "data_batch_1.bin").write_bytes(np.full(10000 * 3073, 77, np.uint8).tobytes())
    rejects(capsys, finetune, [*flags, f"--data_dir={data}"], "data_batch_1.bin", "label 77", "0..9")
    assert not (tmp_path / "run").exists()


def test_an_unwritable_train_dir(tiny, tmp_path, capsys):
    (tmp_path / "file").touch()
    rejects(capsys, finetune, [*RUN, f"--train_dir={tmp_path}/file/run"], f"--train_dir={tmp_path}/file/run")
    rejects(capsys, finetune, [*RUN, "--train_dir=/proc/run"], "--train_dir=/proc/run", "cannot be written")
    if os.geteuid() != 0:
        locked = tmp_path / "locked"
        locked.mkdir(mode=0o500)
        rejects(capsys, finetune, [*RUN, f"--train_dir={locked}"], str(locked), "cannot be written")


def test_a_train_dir_of_another_model(tiny, tmp_path, capsys):
    flags = [*RUN, f"--train_dir={tmp_path}"]
    assert call(finetune, *flags) == 0
    rejects(capsys, finetune, [*flags, "--model=vgg_16"], f"--train_dir={tmp_path}", "--model=tiny, not vgg_16")


def test_divergence_has_a_status_of_its_own(tiny, tmp_path, capsys):
    flags = ["--model=tiny", "--steps=9", f"--train_dir={tmp_path}", "--learning_rate=1e30", "--schedule=fixed"]
    captured = rejects(capsys, finetune, flags, "step", "smaller --learning_rate", status=1)
    assert captured.out == ""


@pytest.mark.parametrize("command", ["finetune", "evaluate"])
def test_the_scripts_in_bin(command):
    script = ROOT / "bin" / command
    assert os.access(script, os.X_OK)
    done = subprocess.run([sys.executable, script, "--model=zebra"], capture_output=True, text=True, cwd="/")
    assert done.returncode == 2
    assert done.stdout == "" and done.stderr.startswith(f"{command}: --") and done.stderr.count("\n") == 1
