"""bin/run_legacy: runs an unedited TF1 or TF-Slim script on today's TensorFlow."""

from __future__ import annotations

import builtins
import importlib.util
import os
import re
import runpy
import sys
import textwrap
import types
from collections.abc import Sequence
from traceback import print_exception
from typing import NamedTuple

from slimft.cli import common
from slimft.errors import UsageError
from slimft.local_paths import check_local

DESCRIPTION = (
    "Runs a Python script (or Jupyter notebook) of TensorFlow 1 and TF-Slim as it is: tensorflow is tf.compat.v1 "
    "with tf.contrib and the names and calls of older versions; research/slim's nets, preprocessing and "
    "deployment can be imported; packages of these names beside the script come first. What NumPy, SciPy, Pillow,"
    " PyYAML and Python itself no longer have (np.float, scipy.misc, xrange, cPickle, ...) is there for the "
    "script's own files, and each use is said once. Python 2 needs --python2. All after SCRIPT is the script's. "
    "Exit status: the script's; 2 if it is not there, or is Python 2 without --python2."
)
POSITIONAL = (
    "[--python2] [--without=PART,...] [--allow_pickle] [--tf_version=VERSION] SCRIPT | -m MODULE [ARGUMENT ...]"
)
FLAGS = (
    ("--python2", "the script is Python 2: it and what it imports of its own folders are converted in memory "
     "(pip install 'slimft[python2]')"),
    ("--without=PART,...", "leave out what stands for old names: numpy, python, builtins, modules, scipy, pillow, "
     "yaml, or all"),
    ("--allow_pickle", "let np.load and others read pickled arrays, which can run any code in the file: only files "
     "that you trust"),
    ("--tf_version=VERSION", "what tf.__version__ says, such as 1.15.0, for scripts that go by it"),
    ("-m MODULE", "run a module of the current folder, as python -m does"),
)  # fmt: skip
# How Python's syntax errors begin that tell of Python 2; and what the line has where they do not.
_PYTHON_2 = (
    "Missing parentheses in call to", "multiple exception types must be parenthesized", "inconsistent use of tabs",
    "leading zeros in decimal", "Function parameters cannot be parenthesized",
    "Lambda expression parameters cannot be parenthesized", "Generator expression must be parenthesized to print",
)  # fmt: skip
_PYTHON_2_LINE = re.compile(
    r"""\s*(print\s+[^=\s(]|print\s*>>|exec\s+[^=\s(]|raise\s+[\w.]+\s*,|except\s+[\w.]+\s*,\s*\w+\s*:)"""
    r"""|<>|`[^`]+`|\b\d+[lL]\b|\b0\d+\b|\b[uU][rR]['"]|lambda\s*\(|def\s+\w+\s*\((.*,)?\s*\("""
)
# What Python 2's dicts had.
_PYTHON_2_METHODS = re.compile(r"object has no attribute '(has_key|iteritems|iterkeys|itervalues)'")


class Options(NamedTuple):
    """What stands before the script.

    Attributes:
        without: parts of `slimft.legacy.ages.KINDS` that are left out.
        allow_pickle: whether np.load reads pickled arrays.
        tf_version: what tf.__version__ says; None for the truth.
        is_module: whether the script is named as a module.
        python2: whether the script is Python 2.
    """

    without: tuple[str, ...] = ()
    allow_pickle: bool = False
    tf_version: str | None = None
    is_module: bool = False
    python2: bool = False


def parse(arguments: Sequence[str]) -> tuple[Options, str, list[str]]:
    """The options, the script, and the script's arguments, of a command line.

    Raises:
        UsageError: an unknown flag, or one without its value.
    """
    options, rest = Options(), list(arguments)
    while rest and rest[0].startswith("-"):
        whole = rest.pop(0)
        flag, _, value = whole.partition("=")
        name = flag.lstrip("-")
        if name == "m" and rest:
            return options._replace(is_module=True), rest[0], rest[1:]
        if name == "allow_pickle" and not value:
            options = options._replace(allow_pickle=True)
        elif name == "python2" and not value:
            options = options._replace(python2=True)
        elif name == "without" and value:
            options = options._replace(without=(*options.without, *value.split(",")))
        elif name == "tf_version" and re.fullmatch(r"\d+\.\d+(\.\w+)*", value):
            options = options._replace(tf_version=value)
        elif name in ("without", "tf_version", "m"):
            raise UsageError(f"{flag} needs a value: {dict(_by_name())[name]}")
        else:
            raise UsageError(f"unexpected {whole} before SCRIPT; flags after SCRIPT are the script's")
    return options, rest[0] if rest else "", rest[1:]


def _by_name():
    return ((re.match(r"-+(\w+)", flag)[1], flag) for flag, _ in FLAGS)


def run_script(path: str, arguments: Sequence[str], options: Options = Options()) -> int:  # noqa: B008 - immutable
    """Runs the script at `path`, or the module of that name, as __main__, with `arguments` as its own.

    Returns:
        0, or 1 after an exception, which is shown; the script's SystemExit goes on.

    Raises:
        UsageError: there is no such script, it is Python 2, or an option is wrong.
    """
    name, folder = path, os.getcwd()
    if not options.is_module:
        check_local(path)
        if not os.path.isfile(path):
            raise UsageError(f"{path} is {'a folder, not a script' if os.path.isdir(path) else 'not there'}")
        folder = os.path.dirname(os.path.realpath(path))
    cells = None
    if path.endswith(".ipynb") and not options.is_module:
        from slimft.legacy import notebooks

        cells = notebooks.read(path)
    sys.path.insert(0, folder)
    sys.argv = [path, *arguments]

    from slimft.legacy import ages, children

    ages.check(options.without)
    settings = children.Settings(options.tf_version, options.without, options.allow_pickle, options.python2)
    script = children.begin((folder, os.getcwd()), settings)
    try:
        if options.is_module:
            if name == "tensorflow.python.tools.freeze_graph":
                from slimft.compat import old_graphs

                sys.argv[1:] = old_graphs.freeze_graph_flags(arguments)
            # Its package is imported by this, and is TensorFlow 1's too.
            path = _file_of(name)
            if path:
                runpy.run_module(name, init_globals=_globals(script, path), run_name="__main__", alter_sys=True)
        elif cells is not None:
            notebooks.run(path, cells, script)
        else:
            _run_file(script, path)
    except Exception as error:
        if isinstance(error, SyntaxError) and (options.python2 or _is_python_2(error)):
            where = f"{error.filename}, line {error.lineno}"
            if not options.python2:
                raise UsageError(f"{where}: this is Python 2 ({error.msg}): run it with --python2") from error
            if error.filename and script.owns(error.filename.split(", cell ")[0]):
                raise UsageError(f"{where}: this cannot be converted from Python 2 ({error.msg})") from error
        _show(error, path)
        found = _PYTHON_2_METHODS.search(str(error))
        if isinstance(error, AttributeError) and found:
            print(f"run_legacy: dicts have no {found[1]} in Python 3: run it with --python2", file=sys.stderr)
        return 1
    if not path:
        raise UsageError(f"-m {name}: there is no such module in the current folder or installed")
    return 0


def _is_python_2(error):
    """Whether a syntax error tells of Python 2."""
    return str(error.msg).startswith(_PYTHON_2) or bool(_PYTHON_2_LINE.search(error.text or ""))


def _file_of(module):
    """The file that `python -m module` runs; empty if there is none."""
    try:
        spec = importlib.util.find_spec(module)
        if spec is not None and spec.submodule_search_locations is not None:
            spec = importlib.util.find_spec(f"{module}.__main__")
    except ModuleNotFoundError as error:
        if not f"{module}.__main__".startswith(f"{error.name}."):
            raise  # The package is there, and misses another.
        spec = None
    except ValueError:
        spec = None
    return spec.origin if spec is not None and spec.origin and os.path.isfile(spec.origin) else ""


def _run_file(script, path):
    """Runs the file at `path` as the module __main__."""
    with open(path, "rb") as file:
        code = script.compile(file.read(), path)
    module = types.ModuleType("__main__")
    vars(module).update(__file__=path, __builtins__=builtins, **script.names_of(code))
    before, sys.modules["__main__"] = sys.modules["__main__"], module
    try:
        exec(code, vars(module))
    finally:
        sys.modules["__main__"] = before


def _globals(script, path):
    """The builtins of Python 2 that the file at `path` uses; nothing if it is not Python 3."""
    try:
        with open(path, "rb") as file:
            return script.names_of(script.compile(file.read(), path))
    except (SyntaxError, ValueError):
        return {}


def _show(error: Exception, script: str) -> None:
    """Shows the traceback as Python does, from the script on."""
    traceback = error.__traceback__
    # A notebook's code is of "PATH, cell NUMBER".
    while traceback is not None and traceback.tb_frame.f_code.co_filename.split(", cell ")[0] != script:
        traceback = traceback.tb_next
    _leave_out_helpers(traceback)
    found = error.with_traceback(traceback)
    if script.endswith(".ipynb"):
        print_exception(found)  # Python's own hook finds no lines of what is no file, before Python 3.13.
    else:
        sys.excepthook(type(error), found, traceback)


def _leave_out_helpers(traceback):
    """Leaves out of a traceback the calls that are put into Python 2 code."""
    from slimft.legacy import ages

    helpers = os.path.join(os.path.dirname(ages.__file__), "python2", "")
    while traceback is not None:
        while traceback.tb_next and traceback.tb_next.tb_frame.f_code.co_filename.startswith(helpers):
            traceback.tb_next = traceback.tb_next.tb_next
        traceback = traceback.tb_next


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status, or lets the script's SystemExit go on."""
    program, *arguments = sys.argv if argv is None else argv
    name = os.path.basename(program)
    asks_for_help = bool(arguments) and arguments[0] in ("-h", "-help", "--help")
    refused = UsageError(f"name a script (see {name} --help)")
    if not asks_for_help:
        try:
            options, script, own = parse(arguments)
            if script:
                common.occupy_closed_descriptors()
                return run_script(script, own, options)
        except UsageError as error:
            refused = error

    def answer(*_) -> None:
        if not asks_for_help:
            raise refused
        print(f"usage: {name} {POSITIONAL}\n", *textwrap.wrap(DESCRIPTION, 96), "", sep="\n")
        for flag, says in FLAGS:
            print(textwrap.fill(says, 96, initial_indent=f"  {flag:<22}", subsequent_indent=" " * 24))

    return common.run([program], lambda _: None, answer, DESCRIPTION, POSITIONAL)
