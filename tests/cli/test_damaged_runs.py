"""A run's files, edited by hand or damaged: one line from every command that reads them, and nothing written."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import settings as checked
from hypothesis import strategies as st

from slimft.cli import evaluate, finetune, predict, report
from slimft.errors import SlimftError
from slimft.filters import VariableFilter
from slimft.nets import get_network
from slimft.runs.settings import Settings
from slimft.runs.settings_file import load_settings, read_settings, save_settings
from slimft.training.completion import complete

DAMAGED = {
    "nested": b"[" * 100_000,
    "cut": b'{"model": "vgg_16", "ste',
    "a list": b"[]",
    "UTF-16": '{"model": "vgg_16"}'.encode("utf-16"),
    "not UTF-8": b'{"model": "\xff"}',
    "twice": b'{"model": "vgg_16", "model": "vgg_19"}',
    "beyond float": b'{"model": "vgg_16", "epochs": 1e999, "result": {"loss": 1e999}}',
    "huge": b'{"model": "vgg_16", "steps": %s, "result": {"loss": 1}}' % (b"9" * 400),
    "blanks": b" " * (65 << 20),
    "a directory": None,
    "a FIFO": None,
    "a link to nothing": None,
}


def damage(file, kind):
    file.unlink(missing_ok=True)
    if kind == "a directory":
        file.mkdir()
    elif kind == "a FIFO":
        os.mkfifo(file)
    elif kind == "a link to nothing":
        file.symlink_to(file.parent / "nowhere")
    else:
        file.write_bytes(DAMAGED[kind])


@pytest.fixture
def run(tmp_path):
    """The directory of a run with all its JSON files."""
    folder = tmp_path / "run"
    (folder / "best").mkdir(parents=True)
    save_settings(Settings(model="vgg_16", train_dir=str(folder)))
    record = {"step": 5, "accuracy": 0.5, "loss": 1.0}
    parts = {
        "history": {"train": [record], "validation": [record], "best_step": 5},
        "result": {"result": {"accuracy": 0.5, "step": 5, "split": "test"}},
        "data": {"dataset": "digits", "splits": {"validation": "abc"}},
        "best/metrics": {"step": 5, "accuracy": 0.5},
    }
    for name, value in parts.items():
        (folder / f"{name}.json").write_text(json.dumps(value))
    return folder


def fails_in_one_line(main, arguments, file, capsys):
    assert main(["command", *map(str, arguments)]) == 2
    captured = capsys.readouterr()
    assert not captured.out and captured.err.count("\n") == 1 and len(captured.err) < 500
    assert str(file) in captured.err, captured.err


@pytest.mark.parametrize("kind", DAMAGED)
@pytest.mark.parametrize("name", ["settings", "history", "result", "data", "best/metrics"])
def test_the_report(name, kind, run, capsys):
    file = run / f"{name}.json"
    assert report.main(["report", str(run)]) == 0
    page = (run / "report.html").read_bytes()
    capsys.readouterr()
    damage(file, kind)
    if name == "data" and kind in ("twice",):
        file.write_text('{"splits": {"test": 1, "test": 2}}')
    fails_in_one_line(report.main, [run], file, capsys)
    assert (run / "report.html").read_bytes() == page


@pytest.mark.parametrize("kind", DAMAGED)
def test_settings(kind, run, capsys):
    file = run / "settings.json"
    damage(file, kind)
    fails_in_one_line(evaluate.main, [f"--train_dir={run}"], file, capsys)
    fails_in_one_line(predict.main, [f"--train_dir={run}", "x.jpg"], file, capsys)
    fails_in_one_line(finetune.main, [f"--settings={file}"], file, capsys)
    resuming = ["--model=vgg_16", "--dataset=digits", f"--train_dir={run}", "--dry_run"]
    fails_in_one_line(finetune.main, resuming, file, capsys)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"image_size": -5}, "image_size is -5, which must be at least 1"),
        ({"image_size": 0}, "image_size is 0, which"),
        ({"precision": "float64"}, "precision is 'float64', which must be one of"),
        ({"epochs": float("nan")}, "epochs is nan, which must be a finite number"),
        ({"data_dir": "a\0b"}, "data_dir is 'a\\x00b', which no flag can be"),
        ({"exclude": ["a", "\ud800"]}, "exclude[1] is '\\ud800', which no flag can be"),
        ({"exclude": [["a"]]}, "exclude[0] is a list where a string should be"),
        ({"patience": True}, "patience is true or false where a whole number should be"),
    ],
)
def test_settings_that_no_flag_could_make(value, words, run, capsys):
    file = run / "settings.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | value))
    for main, arguments in [(evaluate.main, [f"--train_dir={run}"]), (report.main, [run])]:
        assert main(["command", *map(str, arguments)]) == 2
        captured = capsys.readouterr()
        assert f"{file} is no file of a run: {words}" in captured.err and captured.err.count("\n") == 1


def test_a_byte_order_mark_does_no_harm(run):
    file = run / "settings.json"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert load_settings(run).model == "vgg_16"


NUMBERS = st.integers() | st.floats() | st.sampled_from([10**299, 10**400, 1e300])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)


@pytest.mark.parametrize("name, value", [("rename", ["\n"]), ("model", "\n"), ("stage", ["2\rhead"])])
def test_a_setting_of_several_lines_is_refused_in_one(name, value):
    with pytest.raises(SlimftError) as caught:
        complete(Settings(**{"model": "vgg_16", name: tuple(value) if isinstance(value, list) else value}))
    assert f"--{name}=" in str(caught.value) and not {"\n", "\r"} & set(str(caught.value))
    for call in (lambda: get_network("a\nb"), lambda: VariableFilter(include="a\nb").select({"c": 1})):
        with pytest.raises(SlimftError, match=r"a\\nb") as caught:
            call()
        assert "\n" not in str(caught.value)


@checked(deadline=None, max_examples=400)
@given(name=st.sampled_from(list(Settings.__dataclass_fields__)), value=VALUES)
def test_any_value_of_any_setting(tmp_path_factory, name, value):
    file = tmp_path_factory.getbasetemp() / "settings.json"
    file.write_text(json.dumps({"model": "vgg_16", name: value}))
    try:
        complete(Settings(**{"model": "vgg_16", **read_settings(file)}))
    except SlimftError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("kind", ["a directory", "a FIFO", "a link to nothing", "not UTF-8", "UTF-16", "blanks"])
def test_files_of_flags(kind, run, capsys):
    file = run / "flags.txt"
    damage(file, kind)
    for arguments in ([f"--flagfile={file}"], ["--flagfile", file], ["--model=vgg_16", f"-flagfile={file}"]):
        fails_in_one_line(finetune.main, arguments, file, capsys)
    outer = run / "outer.txt"
    outer.write_text(f"# More:\n\n  --flagfile={file}\n")
    fails_in_one_line(finetune.main, [f"--flagfile={outer}"], file, capsys)


def test_files_of_flags_that_name_files_of_flags(run, capsys):
    for number in range(40):
        (run / f"{number}.txt").write_text(f"--flagfile={run}/{number + 1}.txt\n" * 2)
    (run / "40.txt").write_text("--seed=1\n")
    fails_in_one_line(finetune.main, [f"--flagfile={run}/0.txt"], "name each other too deeply", capsys)
    (run / "inner.txt").write_text("#" * 1000)
    (run / "wide.txt").write_text(f"--flagfile={run}/inner.txt\n" * 2000)
    fails_in_one_line(finetune.main, [f"--flagfile={run}/wide.txt"], "bytes together", capsys)
    (run / "self.txt").write_text(f"--flagfile={run}/self.txt\n")
    fails_in_one_line(finetune.main, [f"--flagfile={run}/self.txt"], "in a circle", capsys)
    (run / "nul.txt").write_text("--data_dir=a\0b\n")
    fails_in_one_line(finetune.main, [f"--flagfile={run}/nul.txt"], "NUL", capsys)
    (run / "good.txt").write_text("--model=vgg_61\n")
    (run / "outer.txt").write_text(f"--flagfile={run}/good.txt\n")
    fails_in_one_line(finetune.main, [f"--flagfile={run}/outer.txt"], "vgg_61", capsys)
