"""slimft.finetune, evaluate and load_run: what the commands do, several times in one process and in any thread."""

import contextlib
import io
import json
import os
import pathlib
import signal
import threading
import time
import traceback

import numpy as np
import pytest

import slimft
from slimft import api
from slimft.cli import evaluate as evaluate_command
from slimft.cli import finetune as finetune_command
from slimft.training.failures import Interrupted


@pytest.fixture
def arguments(tiny, tmp_path):
    return {
        "model": tiny,
        "dataset": "digits",
        "steps": 4,
        "batch_size": 8,
        "image_size": 8,
        "seed": 5,
        "train_dir": tmp_path / "run",
    }


def as_flags(arguments):
    return [f"--{name}={value}" for name, value in arguments.items()]


def printed_by(command, *flags):
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        assert command.main(["the_command", *flags]) == 0
    return json.loads(output.getvalue().splitlines()[-1])


def test_it_does_what_the_commands_do(arguments, tmp_path):
    """The same settings.json, the same figures but for the order in which threads add up."""
    result = slimft.finetune(**arguments)
    other = {**arguments, "train_dir": tmp_path / "other"}
    told = printed_by(finetune_command, *as_flags(other))
    places = ("train_dir", "checkpoint", "report", "images_per_second")
    assert list(result) == list(told)
    for name in told:
        if name not in places:
            expected = pytest.approx(told[name], abs=0.01) if isinstance(told[name], float) else told[name]
            assert result[name] == expected, name
    saved, theirs = (json.loads((tmp_path / run / "settings.json").read_text()) for run in ("run", "other"))
    assert saved.pop("train_dir") == str(tmp_path / "run") and theirs.pop("train_dir") and saved == theirs

    evaluated = slimft.evaluate(train_dir=result["train_dir"])
    assert evaluated["accuracy"] == result["accuracy"] and evaluated["loss"] == pytest.approx(result["loss"])
    assert evaluated.items() <= printed_by(evaluate_command, f"--train_dir={result['train_dir']}").items()
    assert evaluated == slimft.evaluate(checkpoint=slimft.open_checkpoint(result["checkpoint"]))
    same = {"dataset_split_name": "test", "batch_size": np.int64(64)}
    assert evaluated == slimft.evaluate(train_dir=tmp_path / "run", **same)

    again = slimft.load_run(tmp_path / "run")
    assert again["accuracy"] == result["accuracy"] and again["report"] == result["report"]
    assert "<iframe" in again._repr_html_() and "accuracy " in str(again)

    # And once more in the same process: trained on, then used.
    longer = slimft.finetune(**{**arguments, "steps": 6})
    assert longer["step"] == 6
    digits = slimft.load_dataset("digits")["test"].images[:3]
    classifier = slimft.Classifier(train_dir=longer["train_dir"], top=2)
    assert "8" in repr(classifier) and [len(one) for one in classifier.classify(digits)] == [2, 2, 2]
    classifier.close()


def test_a_dry_run_prints_the_plan_and_writes_nothing(arguments, tmp_path, capsys):
    first = slimft.finetune(**arguments)
    shown = {**arguments, "checkpoint": first["train_dir"], "train_dir": tmp_path / "second"}
    capsys.readouterr()
    assert slimft.finetune(**shown, exclude=["tiny/logits"], dry_run=True) is None
    printed = capsys.readouterr().out
    assert "tiny/logits/weights" in printed and "excluded" in printed and "train " in printed
    assert not (tmp_path / "second").exists()
    with pytest.raises(slimft.PatternError, match="did you mean tiny/logits"):
        slimft.finetune(**shown, exclude="tiny/logit", dry_run=True)


def test_what_is_given_to_evaluate_is_checked():
    assert set(api._DATA) == set(evaluate_command._DATA_FLAGS)
    for keywords, message in (
        ({"batch_size": 0}, "batch_size=0 must be at least 1"),
        ({"folds": 1}, "folds=1 must be at least 2"),
        ({"split_sed": 1}, "evaluate has no keyword 'split_sed'; did you mean split_seed?"),
        ({"train_examples": 3}, "evaluate has no keyword 'train_examples'"),
        ({"dataset_split_name": "test", "split": "test"}, "dataset_split_name is slim's name of split"),
        ({"model": "vgg_16", "model_name": "vgg_16"}, "model_name is slim's name of model"),
    ):
        with pytest.raises(slimft.UsageError, match=message):
            slimft.evaluate(**{"checkpoint": "vgg_16.ckpt", **keywords})


def test_a_run_that_has_not_ended_is_none_to_load(tmp_path):
    with pytest.raises(slimft.UsageError, match="is no run of bin/finetune"):
        slimft.load_run(tmp_path)
    (tmp_path / "settings.json").write_text('{"model": "vgg_16"}')
    with pytest.raises(slimft.UsageError, match="has no result yet"):
        slimft.load_run(tmp_path)


def test_an_error_comes_through_few_frames(arguments):
    with pytest.raises(slimft.UsageError) as raised:
        slimft.finetune(**{**arguments, "image_size": 2})
    package = os.path.dirname(slimft.__file__)
    names = [frame.filename for frame in traceback.extract_tb(raised.value.__traceback__)]
    assert [name for name in names if name.startswith(package)] == [os.path.join(package, "api", "__init__.py")]


def when_it_trains(train_dir, then):
    """Calls `then` in a thread once a run has something saved."""

    def wait():
        end = time.monotonic() + 60
        while not (pathlib.Path(train_dir) / "checkpoint").exists() and time.monotonic() < end:
            time.sleep(0.01)
        then()

    threading.Thread(target=wait, daemon=True).start()


def test_an_interrupt_saves_and_the_process_goes_on(arguments):
    before = signal.getsignal(signal.SIGINT)
    arguments |= {"steps": 10**6, "schedule": "fixed", "eval_every": 3}
    when_it_trains(arguments["train_dir"], lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(Interrupted, match="stopped by SIGINT at step .* and saved; to continue"):
        slimft.finetune(**arguments)
    assert signal.getsignal(signal.SIGINT) is before
    step = int(np.asarray(slimft.open_checkpoint(arguments["train_dir"])["global_step"]))
    assert slimft.finetune(**{**arguments, "steps": step + 2})["step"] == step + 2


def test_in_another_thread_signals_are_left_alone(arguments):
    found, handlers = [], []
    before = signal.getsignal(signal.SIGINT)
    when_it_trains(arguments["train_dir"], lambda: handlers.append(signal.getsignal(signal.SIGINT)))
    thread = threading.Thread(target=lambda: found.append(slimft.finetune(**arguments, eval_every=1)))
    thread.start()
    thread.join()
    assert found[0]["step"] == 4 and handlers == [before]
