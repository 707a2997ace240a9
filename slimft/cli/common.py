"""What the commands share: parsing, help, errors and the JSON result."""

from __future__ import annotations

import contextlib
import difflib
import faulthandler
import json
import os
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence

from absl import flags

from slimft.cli.flag_files import check_flag_files
from slimft.errors import SlimftError, UsageError


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
    _prepare_streams()
    name = os.path.basename(argv[0])
    values = flags.FlagValues()
    define_flags(values)
    try:
        if any(argument in ("-h", "-help", "--help", "--helpfull") for argument in argv[1:]):
            print(help_text(name, description, values, positional), flush=True)
            return 0
        check_flag_files(argv[1:])
        if positional is None:
            parse(values, argv)
            return command(values) or 0
        return command(values, values(list(argv))[1:]) or 0
    except SlimftError as error:
        print(f"{name}: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_status
    except flags.Error as error:
        print(f"{name}: {' '.join(str(error).split())} (see {name} --help)", file=sys.stderr)
        return 2
    except BrokenPipeError:  # Who read the output, such as head, has seen enough.
        return 128 + 13  # As a shell reports a command that SIGPIPE ended.
    except OSError as error:  # A file that nobody expected to fail; the error names it.
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return 130
    finally:
        _empty_output()


def _prepare_streams() -> None:
    """Reports a SIGBUS or SIGSEGV where it happens; lets any variable's name be printed."""
    if not faulthandler.is_enabled():
        with contextlib.suppress(OSError, RuntimeError, ValueError):  # Standard error is no file, or is closed.
            faulthandler.enable()
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")


def _empty_output() -> None:
    """Discards what standard output does not take, which Python would stumble over at its end."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def quiet_standard_error() -> Iterator[None]:
    """Keeps back what is written to standard error meanwhile, by C++ too; shows it if there is an exception.

    For importing TensorFlow, which on its start writes notes that no log level stops.
    """
    import tempfile

    if sys.stderr is not None:
        sys.stderr.flush()
    with tempfile.TemporaryFile() as kept, contextlib.ExitStack() as stack:
        try:
            before = os.dup(2)
        except OSError:  # It is closed.
            yield
            return
        stack.callback(os.close, before)
        stack.callback(os.dup2, before, 2)
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            kept.seek(0)
            os.write(before, kept.read())
            raise


def parse(values: flags.FlagValues, argv: Sequence[str]) -> None:
    """Parses `argv`; raises `flags.Error` or UsageError if it is not all good flags."""
    rest = values(list(argv))[1:]
    if rest:
        close = difflib.get_close_matches(rest[0].lstrip("-"), list(values), n=1)
        hint = f"; did you mean --{close[0]}?" if close else "; flags are written --name=value"
        raise UsageError(f"unexpected argument {rest[0]!r}{hint}")


def help_text(name: str, description: str, values: flags.FlagValues, positional: str | None = None) -> str:
    """The help text: each flag with its aliases, default and meaning, in the order of their definition."""
    aliases: dict[str, list[str]] = {}
    own: dict[str, flags.Flag] = {}
    for flag_name in values:
        help_line = values[flag_name].help
        if help_line.startswith("Alias for --"):
            aliases.setdefault(help_line.removeprefix("Alias for --").rstrip("."), []).append(flag_name)
        else:
            own[values[flag_name].name] = values[flag_name]
    order = values.flags_by_module_dict().values()
    usage = f"{name} --flag=value ..." if positional is None else f"{name} {positional} [--flag=value ...]"
    lines = [f"usage: {usage}", "", *textwrap.wrap(description, 96), ""]
    for flag in (flag for module_flags in order for flag in module_flags if flag.name in own):
        spelled = " ".join(f"--{other}" for other in (flag.name, *sorted(aliases.get(flag.name, ()))))
        told = flag.default not in (None, [], "") and flag.default is not False
        default = f" (default: {flag.default_as_str})" if told else ""
        lines.append(f"  {spelled}")
        # What absl adds to the help of flags that may be repeated, ours say themselves.
        meaning = flag.help.partition(";\n")[0]
        lines += textwrap.wrap(meaning + default, 88, initial_indent=" " * 8, subsequent_indent=" " * 8)
    return "\n".join(lines)


def print_result(result: dict) -> None:
    """Prints `result` as one line of JSON on standard output."""
    print(json.dumps(result), flush=True)
