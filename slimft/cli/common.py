"""What the commands share: parsing, help, errors and the JSON result."""

from __future__ import annotations

import contextlib
import difflib
import errno
import faulthandler
import json
import os
import signal
import sys
import tempfile
import textwrap
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import TextIO

from absl import flags

from slimft.cli.flag_files import check_flag_files
from slimft.cli.slim_flags import ForeignFlag
from slimft.errors import SlimftError, UsageError
from slimft.local_paths import check_local
from slimft.messages import SafeStream, one_line, say
from slimft.system import quiet_standard_error as quiet_standard_error  # Of what the commands share.

# Of an error that nobody foresaw (EX_SOFTWARE of sysexits.h). Python's own is 1, which some commands use.
_FAULT_STATUS = 70
# What any write may meet: no space, no more quota, a file too large, a read-only or failing disk, a place where the
# user may not write, a folder of the file's name.
_OF_THE_DISK = (
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM, errno.EISDIR,
    errno.ENOTDIR, errno.ENAMETOOLONG,
)  # fmt: skip
STANDARD_OUTPUT = "standard output"
# Of an error: a path may have 4,096 characters, a flag's value any number.
_MOST_SAID = 8192


def run(
    argv: Sequence[str],
    define_flags: Callable[[flags.FlagValues], None],
    command: Callable[..., int | None],
    description: str,
    positional: str | None = None,
) -> int:
    """Parses `argv`, runs `command` and returns the exit status.

    Args:
        argv: the program's name and its arguments.
        define_flags: defines the command's flags in a `FlagValues` of its own, so that they cannot clash
            with those of TensorFlow or of a program that imports slimft.
        command: takes the parsed flags and, with `positional`, the list of the other arguments.
        description: first part of the help text.
        positional: what the other arguments are in the usage line, such as ``NAME...``; None if there are none.
    """
    # TensorFlow's start-up notes hide the one line that matters; this has to be set before its import.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    name = os.path.basename(argv[0])
    values = flags.FlagValues()
    define_flags(values)
    with safe_streams():
        try:
            status = _dispatch(argv, name, values, command, description, positional)
            sys.stdout.flush()
            return status
        except SlimftError as error:
            say(f"{name}: {_in_short(error)}", error=True)
            return error.exit_status
        except flags.Error as error:
            say(f"{name}: {_in_short(error)} (see {name} --help)", error=True)
            return 2
        except BrokenPipeError:  # Who read the output, such as head, has seen enough.
            return 128 + 13  # As a shell reports a command that SIGPIPE ended.
        except OSError as error:
            if error.errno not in _OF_THE_DISK and error.filename != STANDARD_OUTPUT:
                say(f"{name}: {_fault(error)}", error=True)
                return _FAULT_STATUS
            at_fault = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
            say(f"{name}: {at_fault}{one_line(error.strerror or error)}", error=True)
            return 2
        except KeyboardInterrupt:
            say(f"{name}: interrupted", error=True)
            return 130
        except Exception as error:
            if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":  # TensorFlow's.
                say(f"{name}: out of memory; try a smaller --batch_size", error=True)
                return 1
            say(f"{name}: {_fault(error)}", error=True)
            return _FAULT_STATUS


def _dispatch(argv, name, values, command, description, positional) -> int:
    if any(argument in ("-h", "-help", "--help", "--helpfull") for argument in argv[1:]):
        print(help_text(name, description, values, positional), flush=True)
        return 0
    check_flag_files(argv[1:])
    if positional is None:
        parse(values, argv)
        return command(values) or 0
    return command(values, _parsed(values, argv)) or 0


def _in_short(error: Exception) -> str:
    """What an error says, in one line; where that is absurdly long, its beginning and its end."""
    said = one_line(error)
    return said if len(said) <= _MOST_SAID else f"{said[: _MOST_SAID // 2]} ... {said[-_MOST_SAID // 2 :]}"


def _fault(error: Exception) -> str:
    """What to say of an error that nobody foresaw; its traceback goes to a file, if there is room for one."""
    said = f"unexpected {type(error).__name__}: {one_line(error)}"
    text = "".join(traceback.format_exception(error))
    try:
        descriptor, file = tempfile.mkstemp(prefix="slimft-traceback-", suffix=".txt", text=True)
        with open(descriptor, "w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(text)
    except OSError:
        say(*text.splitlines(), error=True)
        return f"{said}; please report it with the traceback above"
    return f"{said}; please report it with the traceback in {file}"


@contextlib.contextmanager
def safe_streams() -> Iterator[None]:
    """Makes standard output and standard error what a command can print to without harm.

    Nothing printed steers the terminal or deceives. Standard error never fails; standard output does, with an
    OSError that names it, also where it is closed. A SIGBUS or SIGSEGV is reported where it happens.
    """
    occupy_closed_descriptors()
    streams = sys.stdout, sys.stderr
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.stdout, sys.stderr = SafeStream(sys.stdout, STANDARD_OUTPUT), SafeStream(sys.stderr)
    if not faulthandler.is_enabled():
        with contextlib.suppress(AttributeError, OSError, RuntimeError, ValueError):  # It is closed, or no file.
            faulthandler.enable()
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams
        for stream in streams:
            _discard_what_is_left(stream)


def occupy_closed_descriptors() -> None:
    """Opens the null device in the place of standard streams that are closed.

    Else a file opened later would get that number, and with it what C++ writes to standard error.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def _discard_what_is_left(stream: TextIO | None) -> None:
    """Discards what a standard stream does not take, which Python would stumble over at its end."""
    try:
        if stream is not None:
            stream.flush()
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
        stream.flush()
    except ValueError:  # It was closed by the command.
        pass


@contextlib.contextmanager
def terminated_by_exception() -> Iterator[None]:
    """Makes SIGTERM an exception meanwhile, so that no temporary file is left."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def terminate(number, frame):
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def parse(values: flags.FlagValues, argv: Sequence[str]) -> None:
    """Parses `argv`; raises `flags.Error` or UsageError if it is not all good flags."""
    rest = _parsed(values, argv)
    if rest:
        close = difflib.get_close_matches(rest[0].lstrip("-"), list(values), n=1)
        hint = f"; did you mean --{close[0]}?" if close else "; flags are written --name=value"
        raise UsageError(f"unexpected argument {rest[0][:200]!r}{hint}")


def _parsed(values: flags.FlagValues, argv: Sequence[str]) -> list[str]:
    """Parses the flags in `argv`; returns the other arguments. No flag of a command takes an address."""
    try:
        rest = values(list(argv))[1:]
    except flags.Error:
        raise
    except ValueError as error:  # absl's for a --noflag=value.
        raise UsageError(str(error)) from None
    for name in values:
        if not isinstance(values[name], ForeignFlag):
            check_local(values[name].value, f"--{name}")
    return rest


def help_text(name: str, description: str, values: flags.FlagValues, positional: str | None = None) -> str:
    """The help text: each flag with its aliases, default and meaning, in the order of their definition."""
    usage = f"{name} --flag=value ..." if positional is None else f"{name} {positional} [--flag=value ...]"
    lines = [f"usage: {usage}", "", *textwrap.wrap(description, 96), ""]
    for names, default, meaning in listed_flags(values):
        lines.append("  " + " ".join(f"--{flag_name}" for flag_name in names))
        meaning += f" (default: {default})" if default else ""
        lines += textwrap.wrap(meaning, 88, initial_indent=" " * 8, subsequent_indent=" " * 8)
    return "\n".join(lines)


def listed_flags(values: flags.FlagValues) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Of each flag that help lists, in the order of their definition: its names, its default and its meaning.

    The first name is its own, the others are aliases. The default is empty where it goes without saying.
    """
    aliases: dict[str, list[str]] = {}
    own: dict[str, flags.Flag] = {}
    for flag_name in values:
        help_line = values[flag_name].help
        if isinstance(values[flag_name], ForeignFlag):
            continue
        if help_line.startswith("Alias for --"):
            aliases.setdefault(help_line.removeprefix("Alias for --").rstrip("."), []).append(flag_name)
        else:
            own[values[flag_name].name] = values[flag_name]
    for module_flags in values.flags_by_module_dict().values():
        for flag in (flag for flag in module_flags if flag.name in own):
            told = flag.default not in (None, [], "") and flag.default is not False
            # What absl adds to the help of flags that may be repeated, ours say themselves.
            meaning = flag.help.partition(";\n")[0]
            yield (flag.name, *sorted(aliases.get(flag.name, ()))), flag.default_as_str if told else "", meaning


def json_line(value) -> str:
    """`value` as JSON in one line, of ASCII that can be printed."""
    return json.dumps(value).replace("\x7f", "\\u007f")


def print_result(result: dict | list) -> None:
    """Prints `result` as one line of JSON on standard output."""
    print(json_line(result), flush=True)
