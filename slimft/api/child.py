"""The library's functions in a process of their own, so that TensorFlow stays as it is in the caller's.

`run_in_child` starts a Python that runs `main`, which reads a line of JSON from standard input (a function and
its keywords), and writes one to standard output (a result, or an error). Standard input stays open: at its end,
when the caller is gone, the child stops as by SIGTERM.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from slimft import errors
from slimft.errors import SlimftError, UsageError
from slimft.system import quiet_standard_error

# What a child may be asked for, and where that is.
FUNCTIONS = {
    "finetune": "slimft.api",
    "evaluate": "slimft.api",
    "predict_to_file": "slimft.api.predicting",
}


def run_in_child(function: str, keywords: Mapping[str, Any]) -> Any:
    """Calls a function of `slimft.api` in a process of its own; what that writes to standard error comes here too.

    Args:
        function: one of `FUNCTIONS`.
        keywords: its keywords, of types that JSON has, or paths or numbers of NumPy.

    Returns:
        What it returns, as JSON has it.

    Raises:
        UsageError: a keyword has a type that no other process can be told.
        SlimftError: what the function raised, of the same class.
        KeyboardInterrupt: it was interrupted, and has saved what there is to save.
    """
    try:
        request = json.dumps([function, dict(keywords)], default=_plain)
    except (TypeError, ValueError) as error:
        raise UsageError(f"child_process=True: {error}; give paths, names and numbers") from None
    # A notebook may have added places to the path, where TensorFlow is.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    # A session of its own: an interrupt from the terminal comes once, from here.
    child = subprocess.Popen(
        [sys.executable, "-c", "import sys; from slimft.api.child import main; sys.exit(main())"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="backslashreplace",
        env=environment,
        start_new_session=True,
    )
    listener = threading.Thread(target=_pass_on, args=[child.stderr], daemon=True)
    listener.start()
    try:
        answer, interrupted = _ask(child, request)
    finally:
        child.kill()
        child.wait()
        listener.join()
        for stream in (child.stdin, child.stdout, child.stderr):
            with contextlib.suppress(BrokenPipeError):  # What it never read.
                stream.close()
    if interrupted:
        raise KeyboardInterrupt(_said_at_the_end(answer))
    return _result_of(answer, child.returncode)


def _ask(child: subprocess.Popen, request: str) -> tuple[str, bool]:
    """What the child answers, and whether it was interrupted on the way."""
    try:
        child.stdin.write(request + "\n")
        child.stdin.flush()
    except BrokenPipeError:
        return "", False
    answer, interrupted = "", False
    while True:
        try:
            answer += child.stdout.read()
            return answer, interrupted
        except KeyboardInterrupt:
            # It saves what it has; who asks again does not wait for that.
            if interrupted:
                raise
            interrupted = True
            child.send_signal(signal.SIGINT)


def _pass_on(stream) -> None:
    for line in stream:
        sys.stderr.write(line)
        sys.stderr.flush()


def _said_at_the_end(answer: str) -> str:
    try:
        return str(json.loads(answer)[1])
    except ValueError:
        return "the process that did the work was interrupted"


def _result_of(answer: str, status: int) -> Any:
    try:
        kind, value = json.loads(answer)
    except ValueError:
        raise SlimftError(
            f"the process that did the work ended without a word (exit status {status}); perhaps memory was short"
        ) from None
    if kind == "result":
        return value
    found = getattr(errors, kind, SlimftError)
    raise (found if isinstance(found, type) and issubclass(found, SlimftError) else SlimftError)(value)


def _plain(value: Any) -> Any:
    """What JSON has no type for; raises TypeError if no other process can be told it."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a {type(value).__name__} cannot be given to another process")


def _stop_at_the_end_of(stream) -> None:
    stream.read()
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> int:
    """Answers one request; returns the exit status."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # What is printed goes to standard error.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    function, keywords = json.loads(sys.stdin.readline())
    threading.Thread(target=_stop_at_the_end_of, args=[sys.stdin], daemon=True).start()
    with quiet_standard_error():
        import slimft.compat  # noqa: F401
    module = importlib.import_module(FUNCTIONS[function])
    try:
        answer = ["result", getattr(module, function)(**keywords)]
    except SlimftError as error:
        answer = [type(error).__name__, str(error)]
    with answers:
        answers.write(json.dumps(answer))
    return 0
