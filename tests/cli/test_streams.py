"""The commands with a standard output or standard error that is closed, full, or closed early: real processes."""

import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest

import slimft

ROOT = pathlib.Path(__file__).resolve().parents[2]
BAD_ERROR = ["2>&-", "2>/dev/full"]
BAD_OUTPUT = [">/dev/full", ">&-", ">/dev/full 2>/dev/full", ">&- 2>&-", "<&- >&- 2>&-"]


def shell(command, redirection, **options):
    """Runs a command in bash, with redirections; returns what `subprocess.run` does."""
    line = f"{shlex.join(map(str, command))} {redirection}"
    return subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, text=True, timeout=300, **options)


def program(name):
    return [sys.executable, ROOT / "bin" / name]


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "model.ckpt"
    slimft.write_checkpoint(path, {f"net/{number}": np.ones([50], np.float32) for number in range(20)})
    return path


def damage(checkpoint):
    data = checkpoint.with_name("model.ckpt.data-00000-of-00001")
    octets = bytearray(data.read_bytes())
    octets[0] ^= 1
    data.write_bytes(octets)


@pytest.mark.parametrize("flags", [[], ["--verify"], ["--stats"], ["--json", "--stats"]])
def test_inspection_goes_on_without_standard_error(checkpoint, flags):
    wanted = shell([*program("inspect_checkpoint"), checkpoint, *flags], "2>/dev/null")
    assert wanted.returncode == 0
    for redirection in BAD_ERROR:
        done = shell([*program("inspect_checkpoint"), checkpoint, *flags], redirection)
        assert (done.returncode, done.stdout) == (0, wanted.stdout), redirection


def test_damage_and_only_damage_is_status_1(checkpoint):
    for redirection in [*BAD_ERROR, *BAD_OUTPUT]:
        done = shell([*program("inspect_checkpoint"), checkpoint, "--verify"], redirection)
        assert done.returncode == (0 if redirection in BAD_ERROR else 2), redirection
    damage(checkpoint)
    for redirection in [*BAD_ERROR, *BAD_OUTPUT]:
        done = shell([*program("inspect_checkpoint"), checkpoint, "--verify"], redirection)
        assert done.returncode == (1 if redirection in BAD_ERROR else 2), redirection
    for redirection in BAD_ERROR:
        done = shell([*program("inspect_checkpoint"), "/no/such"], redirection)
        assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


@pytest.mark.parametrize(
    "command",
    [
        "inspect_checkpoint PATH",
        "inspect_checkpoint --help",
        "convert_checkpoint PATH PATH.npz --overwrite",
        "run_legacy --help",
        "fetch_checkpoint --list",
        "finetune --list_models",
    ],
)
def test_a_result_that_is_lost_is_an_error(checkpoint, command):
    name, *arguments = command.replace("PATH", str(checkpoint)).split()
    for redirection, reason in ((">/dev/full", "No space left on device"), (">&-", "Bad file descriptor")):
        done = shell([*program(name), *arguments], redirection)
        assert (done.returncode, done.stdout) == (2, ""), redirection
        assert done.stderr.splitlines()[-1] == f"{name}: standard output: {reason}"
        assert "Traceback" not in done.stderr


def test_a_closed_descriptor_is_not_reused_for_a_file(tmp_path):
    """What C++ writes to standard error would get into it."""
    slimft.write_checkpoint(tmp_path / "a.npz", {"x": np.ones([3])})
    code = (
        "import os, sys; from slimft.cli import convert_checkpoint, read_progress\n"
        "read = read_progress.ReadProgress._read\n"
        "def loud(self, name):\n"
        "    os.write(1, b'noise'); os.write(2, b'noise'); return read(self, name)\n"
        "read_progress.ReadProgress._read = loud\n"
        "sys.exit(convert_checkpoint.main(['convert_checkpoint', *sys.argv[1:]]))\n"
    )
    shell([sys.executable, "-c", code, tmp_path / "a.npz", tmp_path / "b.ckpt"], "<&- >&- 2>&-")
    assert slimft.open_checkpoint(tmp_path / "b.ckpt")["x"].tolist() == [1, 1, 1]


def test_nothing_printed_steers_a_terminal(tmp_path):
    """The names of variables and files, in answers and in errors; JSON says the same in escapes of its own."""
    bad = "\x1b[31m\r\u202e\ufeff\u200b\u2028\x9b\x7f"
    folder = tmp_path / f"folder{bad}"
    folder.mkdir()
    slimft.write_checkpoint(folder / "a.npz", {f"net/{bad}": np.ones([2]), "net/b\nforged": np.ones([3])})
    slimft.write_checkpoint(folder / "b.npz", {"net/other": np.ones([2])})
    file, other = folder / "a.npz", folder / "b.npz"
    for arguments in (
        ["inspect_checkpoint", file],
        ["inspect_checkpoint", file, "--stats", "--json"],
        ["inspect_checkpoint", file, f"--diff={other}"],
        ["inspect_checkpoint", file, other, "--verify"],
        ["inspect_checkpoint", file, f"--match={bad}"],
        ["inspect_checkpoint", file, f"--{bad}"],
        ["inspect_checkpoint", folder],
        ["convert_checkpoint", file, folder / "c.ckpt"],
        ["convert_checkpoint", file, folder],
        ["report", folder],
        ["run_legacy", folder],
        ["predict", "--model=vgg_16", f"--checkpoint={folder}", "x.png"],
        ["evaluate", f"--train_dir={folder}"],
        ["finetune", f"--model={bad}"],
        ["fetch_checkpoint", bad],
    ):
        done = shell([*program(arguments[0]), *arguments[1:]], "")
        # A bar in a log steers it by carriage returns.
        shown = re.sub(r"\ra\.npz:|\rb\.npz:", "", done.stdout + done.stderr)
        assert shown and "Traceback" not in shown and "\nforged" not in shown
        for char in bad.replace("[31m", ""):
            assert char not in shown, (arguments, char, shown)
    done = shell([*program("inspect_checkpoint"), folder / "a.npz", "--json"], "")
    assert f"net/{bad}" in [one["name"] for one in json.loads(done.stdout)[0]["variables"]]


def test_an_unforeseen_error_is_one_line_and_no_status_of_its_own(checkpoint, tmp_path):
    code = (
        "import sys; from slimft.cli import inspect_checkpoint, inspections\n"
        "def broken(*_): raise RuntimeError('bad \\x1b news')\n"
        "inspections.verify = broken\n"
        "sys.exit(inspect_checkpoint.main(['inspect_checkpoint', *sys.argv[1:]]))\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, checkpoint, "--verify"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    (file,) = tmp_path.glob("slimft-traceback-*.txt")
    assert done.returncode == 70 and done.stdout == ""
    said = "inspect_checkpoint: unexpected RuntimeError: bad \\x1b news; please report it with the traceback in"
    assert done.stderr == f"{said} {file}\n" and "in broken" in file.read_text()


@pytest.mark.parametrize("redirection", [*BAD_ERROR, "2>&1 | head -n 1"])
def test_training_evaluation_and_prediction_go_on(warm_python, tiny_script, tmp_path, redirection):
    run = tmp_path / "run"
    train = [
        warm_python,
        tiny_script,
        "--model=tiny",
        "--dataset=digits",
        "--steps=6",
        "--eval_every=3",
        f"--train_dir={run}",
    ]
    piped = "| head" in redirection
    done = shell(train, f"{redirection}; exit ${{PIPESTATUS[0]}}")
    assert done.returncode == (141 if piped else 0), done.stderr
    assert slimft.open_checkpoint(run)["global_step"] == 6 and (run / "report.html").exists()
    result = json.loads((run / "result.json").read_text())
    if not piped:
        assert json.loads(done.stdout.splitlines()[-1])["accuracy"] == result["result"]["accuracy"]
    if piped:
        return
    # A good picture last, after one that is reported on standard error.
    (tmp_path / "bad.png").write_bytes(b"bad")
    PIL.Image.new("RGB", (8, 8)).save(tmp_path / "good.png")
    for name, arguments in (("evaluate", []), ("predict", [tmp_path / "bad.png", tmp_path / "good.png", "--json"])):
        script = tmp_path / name
        script.write_text(tiny_script.read_text().replace("cli.finetune", f"cli.{name}"))
        done = shell([warm_python, script, f"--train_dir={run}", *arguments], redirection)
        assert done.returncode == (1 if name == "predict" else 0), done.stderr
        assert json.loads(done.stdout.splitlines()[-1])
    if redirection == "2>&-":
        done = shell(train, ">/dev/full")
        assert done.returncode == 2 and done.stderr.endswith("finetune: standard output: No space left on device\n")
