"""bin/finetune --sweep as a command."""

import json

import pytest

from slimft.cli.finetune import main

FAST = ["finetune", "--model=tiny", "--dataset=digits", "--batch_size=64", "--steps=4"]

pytestmark = pytest.mark.usefixtures("tiny", "plain_charts")


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--sweep=learning_rate:1,2"], "--sweep needs --train_dir"),
        (["--sweep=learning_rate:1,x"], "'x' is not a number"),
        (["--sweep=learning_rate:1,2", "--learning_rate=1"], "--learning_rate is given, and --sweep"),
        (["--sweep=learning_rate:1..2"], "a range needs --search"),
        (["--sweep=learning_rate:1,2", "--trials=4"], "--trials is for --search"),
        (["--sweep=learning_rate:1,2", "--launch=2"], "--launch is for one run"),
        (["--sweep=learning_rate:1,2", "--find_lr"], "--find_lr is for one run"),
        (["--sweep=learning_rate:1,2", "--show_augmented"], "--show_augmented is for one run"),
        (["--search=tpe"], "--search is for a search; give --sweep"),
        (["--prune"], "--prune is for a search"),
        (["--sweep=learning_rate:1,2", "--search=all"], "search"),
        (["--sweep=final_endpoint:conv1,conv2"], "final_endpoint"),
    ],
)
def test_bad_input(arguments, words, tmp_path, capsys):
    place = [] if "needs --train_dir" in words else [f"--train_dir={tmp_path / 'new'}"]
    assert main([*FAST, *place, *arguments]) == 2
    captured = capsys.readouterr()
    assert words in captured.err and captured.err.count("\n") == 1 and not captured.out
    assert not (tmp_path / "new").exists()


def test_a_search_from_the_command_line(tmp_path, capsys):
    command = [*FAST, f"--train_dir={tmp_path}/new", "--sweep=learning_rate:0.01,0.1", "--sweep=optimizer:sgd"]
    assert main([*command, "--dry_run"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "learning_rate=0.01 optimizer=sgd", "learning_rate=0.1 optimizer=sgd", "2 trials"
    ]  # fmt: skip
    assert not (tmp_path / "new").exists()
    assert main(command) == 0
    captured = capsys.readouterr()
    told, last = captured.out.splitlines()
    result = json.loads(last)
    assert told == result["command"] and told.startswith("bin/finetune --model=tiny ") and "--optimizer=sgd" in told
    assert result["complete"] == 2 and result["result"]["examples"] == 360
    assert "trial-001 of 2: learning_rate=0.01 optimizer=sgd" in captured.err
    # What bin/report makes of the trials: the one that was tested is a run like any other.
    from slimft.report import write_report

    assert write_report(tmp_path / "new" / result["best_trial"]).exists()
