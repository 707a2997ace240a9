"""The commands in the documentation: each is parsed by the command's own flags, and runs or says how long it takes.

A block of ```bash that has a line ``*Time: ...*`` above it is not run here; a page with ``*Times: ...*`` runs none.
All others are run, those of a page one after the other, in a folder with the files that the pages name.
"""

import argparse
import contextlib
import dataclasses
import importlib
import os
import pathlib
import re
import runpy
import shlex
import subprocess
import sys
from unittest import mock

import numpy as np
import pytest

import slimft
from slimft.cli import common, run_legacy

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "checkpoints/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
COMMANDS = sorted(file.name for file in (ROOT / "bin").iterdir())
# A page of what was run, with its times in the text.
RECORDS = {"results.md"}
# Programs that are not ours, whose arguments are theirs.
OTHERS = {
    ".", "cd", "curl", "docker", "git", "jupyter", "mkdocs", "mlflow", "mypy", "pip", "pre-commit", "pytest",
    "python3", "ruff", "tensorboard", "docs/make_exercise.py", "docs/make_flags.py", "export", "sbatch",
    "tests/fuzz/run",
}  # fmt: skip
_BLOCK = re.compile(
    r"^(?:\*Time: (?P<time>[^*\n]+)\.\*\n\n)?(?:<!--[^\n]*-->\n)?```bash\n(?P<code>.*?)^```$"
    r"|(?:^|(?<=\n\n))(?P<indented>    (?:bin/|pip |python bench/|[A-Z]+=\")[^\n]*\n(?:    [^\n]+\n)*)",
    re.MULTILINE | re.DOTALL,
)
_INLINE = re.compile(r"`([^`\n]+(?:\n[^`\n]+)?)`")
_FLAG = re.compile(r"(?<![\w/-])--([a-z][a-z0-9_]*)")


@dataclasses.dataclass(frozen=True)
class Block:
    """Some lines of shell on a page: what they are, and whether a test runs them."""

    page: pathlib.Path
    code: str
    runs: bool


def blocks_of(page):
    """The blocks of shell of a page."""
    text = page.read_text(encoding="utf-8")
    timed = "\n*Times: " in text or page.name in RECORDS
    for found in _BLOCK.finditer(text):
        code = found["code"] or re.sub("^    ", "", found["indented"], flags=re.MULTILINE)
        yield Block(page, code, not (timed or found["time"]))


def commands_of(code):
    """The commands of some lines of shell, each as its words, with variables that they set filled in."""
    variables = {}
    code = re.sub(r"(?:^|(?<=\s))# .*", "", code.replace("\\\n", " "), flags=re.MULTILINE)
    lexer = shlex.shlex(code, posix=True, punctuation_chars="&|;<>\n")
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t", True, ""
    words = []
    for word in [*lexer, "\n"]:
        if word.strip("&|;\n"):
            words.append(word)
        elif words:
            name, equals, value = words[0].partition("=")
            if equals and name.isidentifier():
                variables[name] = shlex.split(value)
            else:
                yield [part for one in words for part in variables.get(one.removeprefix("$"), [one])]
            words = []


def with_checked_settings(name):
    """What takes parsed flags in the place of a command: looks at them as far as that needs no data."""
    if name != "finetune":
        return lambda *_: 0
    module = importlib.import_module("slimft.cli.finetune")
    return lambda values: None if values.list_models else module.settings_from(values) and None


def parse(words, capsys):
    """What the command says that the flags and arguments are not right; empty if they are."""
    name = pathlib.Path(words[0]).name.removeprefix("slimft-").replace("-", "_")
    run = common.run

    def parsing(argv, define_flags, command, description, positional=None):
        return run(argv, define_flags, with_checked_settings(name), description, positional)

    module = importlib.import_module(f"slimft.cli.{name}")
    run_script = mock.patch.object(module, "run_script", lambda *_: 0) if name == "run_legacy" else mock.MagicMock()
    with mock.patch.object(common, "run", parsing), run_script:
        status = module.main([name, *words[1:]])
    said = capsys.readouterr().err.strip()
    return "" if status == 0 else said or f"exit status {status}"


class Parsed(Exception):
    """The arguments of a script were parsed."""


def parse_script(words):
    """Lets a script of bench/ parse its arguments, and stops it there."""
    parse_args = argparse.ArgumentParser.parse_args

    def parsing(parser, *arguments):
        parse_args(parser, *arguments)
        raise Parsed

    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(argparse.ArgumentParser, "parse_args", parsing))
        stack.enter_context(mock.patch.object(sys, "argv", words))
        stack.enter_context(mock.patch.object(sys, "path", [str(ROOT / "bench"), *sys.path]))
        stack.enter_context(contextlib.suppress(Parsed))
        runpy.run_path(str(ROOT / words[0]), run_name="__main__")
        raise AssertionError(f"{words[0]} parses no arguments")


# Flags of other programs: tests/fuzz/run, bench/tf_slim_tests.py, absl, MkDocs, tensorboard, rsync; examples.
FOREIGN = {
    "cases", "causes", "clear", "flag", "flagfile", "help", "inplace", "logdir", "minutes", "name", "noflag",
    "noname", "plain", "read", "strict", "target",
}  # fmt: skip


@pytest.fixture(scope="module")
def known_flags():
    """The names of all flags there are."""
    names = set(FOREIGN)
    make_flags = runpy.run_path(str(ROOT / "docs" / "make_flags.py"))
    for command in make_flags["commands"]():
        for name in command.flags():
            names |= {name, f"no{name}"}
    return names | {re.match(r"-+(\w+)", flag)[1] for flag, _ in run_legacy.FLAGS}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_have_flags_that_are_there(page, capsys):
    for block in blocks_of(page):
        for words in commands_of(block.code):
            if words[0].startswith(("bin/", "slimft-")):
                assert parse(words, capsys) == "", shlex.join(words)
            elif words[0] == "python" and words[1].startswith("bench/"):
                parse_script(words[1:])
            elif words[:2] == ["python", "-c"]:
                compile(words[2], str(page), "exec")
            else:
                assert words[0] in OTHERS, f"{page.name} has a command that the tests do not know: {words}"
                assert "/" not in words[0] or (ROOT / words[0]).exists()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_flags_in_the_text_are_there(page, known_flags):
    text = _BLOCK.sub("", page.read_text(encoding="utf-8"))
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    named = {flag for code in _INLINE.findall(text) for flag in _FLAG.findall(code)}
    assert sorted(named - known_flags) == []


def test_a_wrong_flag_is_found(capsys):
    assert "no_such" in parse(["bin/finetune", "--no_such=1"], capsys)
    assert "vgg_61" in parse(["slimft-finetune", "--model=vgg_61"], capsys)
    assert "unexpected" in parse(["bin/evaluate", "runs/first"], capsys)
    assert parse(["bin/predict", "--top=x", "a.jpg"], capsys)
    with pytest.raises(SystemExit):
        parse_script(["bench/growth.py", "--no_such"])


def test_shell_is_read_as_shell():
    code = "A=\"--x=1 \\\n  --y\"\nbin/one --a='b c' \\\n  $A  # told\nbin/two d && bin/three | head\n"
    assert list(commands_of(code)) == [
        ["bin/one", "--a=b c", "--x=1", "--y"],
        ["bin/two", "d"],
        ["bin/three"],
        ["head"],
    ]


RUN = [page for page in PAGES if any(block.runs for block in blocks_of(page))]


@pytest.fixture
def folder(tmp_path):
    """A folder like a clone, with small files by the names that the pages use."""
    for name in ("bin", "docs"):
        (tmp_path / name).symlink_to(ROOT / name)
    for name in ("vgg_16", "vgg_19"):
        values = {f"{name}/fc8/weights": np.zeros([1, 1, 8, 10]), f"{name}/fc8/biases": np.ones([10])}
        others = ("conv1/conv1_1", "fc6", "fc7")
        values |= {f"{name}/{layer}/weights": np.ones([1, 1, 3, 4]) for layer in others}
        values = {key: value.astype(np.float32) for key, value in values.items()}
        slimft.write_checkpoint(tmp_path / f"{name}.ckpt", values)
    for name in ("a", "b"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        slimft.write_checkpoint(tmp_path / "runs" / name / "model.ckpt-3", values)
        (tmp_path / "runs" / name / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-3"\n')
    return tmp_path


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.stem)
def test_what_has_no_time_above_it_runs(page, folder, warm_python):
    commands = [words for block in blocks_of(page) if block.runs for words in commands_of(block.code)]
    assert all(words[0].startswith("bin/") or words[:2] == ["python", "-c"] for words in commands)
    code = "\n".join(["set -ex", *(block.code for block in blocks_of(page) if block.runs)])
    path = os.pathsep.join([os.path.dirname(warm_python), os.path.dirname(sys.executable), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        ["bash", "-c", code], cwd=folder, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    if page.name == "quickstart.md":
        assert (folder / "runs/tour/report.html").exists()


def test_some_pages_have_commands_that_run():
    assert {page.name for page in RUN} >= {"quickstart.md", "checkpoints.md", "convert_weights.md"}
