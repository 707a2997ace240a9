"""Processes that a TensorFlow 1 script starts are TensorFlow 1's too."""

import os
import shlex
import subprocess
import sys

import pytest

from slimft.compat.patches import Patches
from slimft.legacy import children
from slimft.legacy.ages.script import Script

# Top-level names of TensorFlow 1, of NumPy 1 and of Python 2, so that importing it anew needs all of them.
SPAWNS = """
import multiprocessing, sys
import numpy as np
import tensorflow as tf

KIND = tf.placeholder(tf.float32, [None])
LAST = list(xrange(3))[-1]


def work(value):
    with tf.Session() as session:
        return int(session.run(tf.concat(0, [KIND, KIND]), {KIND: [value]})[:1]) + LAST, tf.__version__


if __name__ == '__main__':
    print(multiprocessing.get_context(sys.argv[1]).Pool(1).map(work, [1, 2]))
"""
STARTS = """
import os, subprocess, sys
import tensorflow as tf

tf.placeholder(tf.float32)
print('started', len(sys.argv)); sys.stdout.flush()
if len(sys.argv) == 1:
    assert subprocess.call([sys.executable, '-u', __file__, 'one']) == 0
    assert os.system('X=1 python %s one two' % os.path.basename(__file__)) == 0
    os.execv(sys.executable, [sys.executable] + sys.argv + ['one', 'two', 'three'])
"""


def run(python, arguments, folder):
    command = [python, "-c", "import sys; from slimft.cli.run_legacy import main; sys.exit(main())"]
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": "-1"}
    return subprocess.run([*command, *arguments], cwd=folder, capture_output=True, text=True, env=environment,
                          timeout=300)  # fmt: skip


@pytest.mark.parametrize("arguments", [["main.py", "spawn"], ["-m", "main", "forkserver"]])
def test_pools(tmp_path, arguments):
    (tmp_path / "main.py").write_text(SPAWNS)
    found = run(sys.executable, ["--tf_version=1.15.0", *arguments], tmp_path)
    assert found.stdout == "[(3, '1.15.0'), (4, '1.15.0')]\n", found.stderr


def test_scripts_that_it_starts(warm_python, tmp_path):
    (tmp_path / "main.py").write_text(STARTS)
    found = run(warm_python, ["main.py"], tmp_path)
    assert found.stdout.split("\n") == [f"started {number}" for number in (1, 2, 3, 4)] + [""], found.stderr
    assert "is started as a process: by run_legacy, as this one" in found.stderr


@pytest.fixture
def commands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text("")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "train.py").write_text("")
    script = Script([str(tmp_path)], Patches())
    return children._Commands(script, children.Settings(allow_pickle=True))


@pytest.mark.parametrize(
    "command",
    [
        [sys.executable, "train.py", "--x=1"],
        ["mpirun", "-np", "2", "python", "-u", "train.py", "python"],
        ["python3", "-m", "package.train", "a b"],
    ],
)
def test_commands_of_its_own_scripts(commands, command):
    found = commands.arguments(command)
    at = found.index("-c")
    assert found[at + 2] == "--allow_pickle" and found[at - 1] in (sys.executable, "-u")
    where = next(place for place, word in enumerate(command) if word in ("train.py", "-m"))
    assert found[at + 3 :] == command[where:]
    assert shlex.split(commands.shell(shlex.join(command))) == found
    several = commands.shell(f"cd .; {shlex.join(command)} > log && ls")
    assert several.startswith("cd .; ") and several.endswith("> log && ls") and "run_legacy" in several


@pytest.mark.parametrize(
    "command",
    [
        ["ls", "train.py"],
        ["python2.7", "train.py"],
        ["/elsewhere/python", "train.py"],
        ["python", "-m", "pip", "install", "six"],
        ["python", "-c", "print(1)", "train.py"],
        ["python", "missing.py"],
        ["python", "../train.py"],
        [sys.executable],
        [b"python", 3],
        [],
    ],
)
def test_other_commands_stay(commands, command):
    assert commands.arguments(command) == command
    if all(isinstance(word, str) for word in command):
        assert commands.shell(shlex.join(command)) == shlex.join(command)


def test_all_is_put_back(tmp_path):
    before = subprocess.Popen.__init__, os.system, os.execv, os.execve, children.spawn.get_preparation_data
    patches = Patches()
    children.put_in(Script([str(tmp_path)], patches), children.Settings())
    assert os.system is not before[1]
    patches.undo()
    now = subprocess.Popen.__init__, os.system, os.execv, os.execve, children.spawn.get_preparation_data
    assert now == before
