"""bin/run_legacy: runs an unedited TF1 or TF-Slim script on today's TensorFlow."""

from __future__ import annotations

import os
import runpy
import sys
import textwrap
from collections.abc import Sequence

from slimft.cli import common
from slimft.errors import UsageError

DESCRIPTION = (
    "Runs a Python script of TensorFlow 1 and TF-Slim as it is: tensorflow is tf.compat.v1, and tf.contrib.slim, "
    "tf.contrib.layers, tf.contrib.framework, research/slim's nets, preprocessing and deployment can be imported; "
    "packages of these names beside the script come first. All after SCRIPT is the script's. The script has to be "
    "Python 3. Exit status: the script's; 2 if it is not there or is Python 2."
)
POSITIONAL = "SCRIPT [ARGUMENT ...]"
# How Python's syntax errors begin that tell of Python 2.
_PYTHON_2 = ("Missing parentheses in call to", "multiple exception types must be parenthesized")


def run_script(path: str, arguments: Sequence[str]) -> int:
    """Runs the script at `path` as __main__, with `arguments` as its own.

    Returns:
        0, or 1 after an exception, which is shown; the script's SystemExit goes on.

    Raises:
        UsageError: there is no such script, or it is Python 2.
    """
    if not os.path.isfile(path):
        raise UsageError(f"{path} is {'a folder, not a script' if os.path.isdir(path) else 'not there'}")
    sys.argv = [path, *arguments]
    sys.path.insert(0, os.path.dirname(os.path.realpath(path)))

    import slimft.compat

    slimft.compat.install()
    try:
        runpy.run_path(path, run_name="__main__")
    except Exception as error:
        if isinstance(error, SyntaxError) and str(error.msg).startswith(_PYTHON_2):
            raise UsageError(
                f"{error.filename}, line {error.lineno}: this is Python 2 ({error.msg}); make it Python 3 first, "
                "by hand or with 2to3"
            ) from error
        _show(error, path)
        return 1
    return 0


def _show(error: Exception, script: str) -> None:
    """Shows the traceback as Python does, from the script on."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_frame.f_code.co_filename != script:
        traceback = traceback.tb_next
    sys.excepthook(type(error), error.with_traceback(traceback), traceback)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status, or lets the script's SystemExit go on."""
    program, *arguments = sys.argv if argv is None else argv
    name, script = os.path.basename(program), arguments[0] if arguments else ""
    refused = UsageError(f"name a script (see {name} --help)")
    if script.startswith("-"):
        refused = UsageError(f"unexpected {script} before SCRIPT; flags after SCRIPT are the script's")
    elif script:
        common.occupy_closed_descriptors()
        try:
            return run_script(script, arguments[1:])
        except UsageError as error:
            refused = error

    def answer(*_) -> None:
        if script not in ("-h", "-help", "--help"):
            raise refused
        print(f"usage: {name} {POSITIONAL}\n", *textwrap.wrap(DESCRIPTION, 96), sep="\n")

    return common.run([program], lambda _: None, answer, DESCRIPTION, POSITIONAL)
