"""Processes that a script starts: what is the script's own is run in them as `bin/run_legacy` runs it.

A process that is forked has all that its parent has. Others begin with nothing: those that multiprocessing spawns
(`put_in` gives them what the parent has), and commands such as ``[sys.executable, "eval.py"]`` and
``os.system("python eval.py")``, whose script is handed to run_legacy. What a shell script starts is left alone.
"""

from __future__ import annotations

import functools
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from multiprocessing import forkserver, spawn
from typing import Any, NamedTuple

import slimft.compat
from slimft.legacy import ages
from slimft.legacy.ages.script import Script

# The folder that has slimft, which the child of a checkout that is not installed is to find.
_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
# Python by its name, without its folder. Python 2 is another's.
_NAME = re.compile(r"python(3(\.\d+)?)?")
_FLAG = re.compile(r"-[BEOPSsuv]+")
# `python -u train.py` at the beginning of a shell's command, or after words of it such as `nohup` and `CUDA_...=0`.
_IN_SHELL = re.compile(
    r"(?P<before>^|[\s;&|(`])(?P<python>[\w./~-]*python[\d.]*|'[^']*python[\d.]*')(?P<rest>(?:\s+-\w+)*\s+[^\s;&|)`]+)"
)


class Settings(NamedTuple):
    """How a script is run.

    Attributes:
        version: what tf.__version__ says; None for the truth.
        without: parts of `ages.KINDS` that are left out.
        allow_pickle: whether np.load reads pickled arrays.
        python2: whether the script is Python 2.
    """

    version: str | None = None
    without: tuple[str, ...] = ()
    allow_pickle: bool = False
    python2: bool = False

    def flags(self) -> list[str]:
        """The same, as `bin/run_legacy` takes it."""
        return [
            *(["--python2"] if self.python2 else []),
            *([f"--without={','.join(self.without)}"] if self.without else []),
            *(["--allow_pickle"] if self.allow_pickle else []),
            *([f"--tf_version={self.version}"] if self.version else []),
        ]


class _Begin:
    """What multiprocessing sends a child ahead of all else: being unpickled there, it prepares the process."""

    def __init__(self, folders: Sequence[str], settings: Settings):
        self._text = (
            f"import sys; sys.path[:] = {sys.path!r}; from slimft.legacy import children; "
            f"children.begin({list(folders)!r}, children.Settings(*{tuple(settings)!r}))"
        )

    def __reduce__(self):
        return exec, (self._text, {})


def begin(folders: Sequence[str], settings: Settings) -> Script:
    """Makes this process one for scripts of TensorFlow 1 in `folders`, with their further processes."""
    slimft.compat.install(version=settings.version)
    script = ages.install(folders, settings.without, settings.allow_pickle, settings.python2)
    put_in(script, settings)
    return script


def put_in(script: Script, settings: Settings) -> None:
    """Lets the processes that the script starts be run as it is, until its patches are undone."""
    patches = script.patches
    patches.set(spawn, "get_preparation_data", _preparing(spawn.get_preparation_data, script, settings))
    # The server of "forkserver" would import the script before it is prepared; it imports in each child instead.
    patches.set(forkserver._forkserver, "_preload_modules", [])
    commands = _Commands(script, settings)
    patches.set(subprocess.Popen, "__init__", _popen(subprocess.Popen.__init__, commands))
    patches.set(os, "system", functools.wraps(os.system)(_first_changed(os.system, commands.shell)))
    for name in ("execv", "execve"):
        patches.set(os, name, functools.wraps(getattr(os, name))(_exec(getattr(os, name), commands)))


def _preparing(function, script, settings):
    @functools.wraps(function)
    def prepare(*arguments, **named):
        data = function(*arguments, **named)
        return {"slimft": _Begin(script.folders(), settings), **data}

    return prepare


def _first_changed(function, change):
    return lambda command: function(change(command))


def _exec(function, commands):
    def execute(path, args, *environment):
        changed = commands.arguments([path, *args[1:]])
        if changed[1:] == list(args[1:]):
            return function(path, args, *environment)
        sys.stdout.flush()  # What was said is not to be lost.
        return function(changed[0], changed, *environment)

    return execute


def _popen(function, commands):
    @functools.wraps(function)
    def start(self, args, *positional, **named):
        folder = named.get("cwd")
        if isinstance(args, (list, tuple)) and not named.get("shell"):
            args = commands.arguments(list(args), folder)
        elif isinstance(args, str) and named.get("shell"):
            args = commands.shell(args, folder)
        elif isinstance(args, (list, tuple)) and args and isinstance(args[0], str):
            args = [commands.shell(args[0], folder), *args[1:]]
        return function(self, args, *positional, **named)

    return start


class _Commands:
    """Commands, in which Python with a script of ours is Python with run_legacy and that script."""

    def __init__(self, script: Script, settings: Settings):
        self._script, self._settings = script, settings

    def arguments(self, given: list[Any], folder: Any = None) -> list[Any]:
        """A command as a list; `folder` is where it runs, None for here."""
        for at, word in enumerate(given):
            if not _is_this_python(word):
                continue
            end = at + 1
            while end < len(given) and isinstance(given[end], str) and _FLAG.fullmatch(given[end]):
                end += 1
            what = [os.fspath(one) for one in given[end : end + 2] if isinstance(one, (str, os.PathLike))]
            if not self._is_ours(what, folder):
                return given
            self._script.patches.say("child", f"{what[0]} is started as a process: by run_legacy, as this one")
            return [*given[:at], sys.executable, *given[at + 1 : end], *self._run_legacy(), *given[end:]]
        return given

    def shell(self, command: Any, folder: Any = None) -> Any:
        """A command as a shell's text."""
        if not isinstance(command, str):
            return command

        def replaced(found):
            try:
                words = shlex.split(found["python"] + found["rest"])
            except ValueError:
                return found[0]
            changed = self.arguments(words, folder)
            return found[0] if changed == words else found["before"] + shlex.join(changed)

        return _IN_SHELL.sub(replaced, command)

    def _is_ours(self, what, folder):
        """Whether a script, or -m and a module, is the script's own."""
        here = os.path.join(os.getcwd(), os.fspath(folder or ""))
        if len(what) == 2 and what[0] == "-m":
            path = os.path.join(here, *what[1].split("."))
            files = (f"{path}.py", os.path.join(path, "__main__.py"))
            return any(os.path.isfile(file) and self._script.owns(file) for file in files)
        path = os.path.join(here, what[0]) if what else ""
        return path.endswith(".py") and os.path.isfile(path) and self._script.owns(path)

    def _run_legacy(self):
        """What follows Python and its flags."""
        own = "" if os.sep + "site-packages" in _ROOT else repr(_ROOT)
        text = (
            f"import sys; sys.argv[0] = 'run_legacy'; sys.path[:1] = [{own}]; "
            "from slimft.cli.run_legacy import main; sys.exit(main())"
        )
        return ["-c", text, *self._settings.flags()]


def _is_this_python(word):
    if not isinstance(word, (str, os.PathLike)):
        return False
    word = os.fspath(word)
    if not isinstance(word, str):
        return False
    folder, name = os.path.split(word)
    is_here = not folder or os.path.abspath(folder) == os.path.dirname(os.path.abspath(sys.executable))
    return is_here and bool(_NAME.fullmatch(name))
