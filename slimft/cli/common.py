"""What the commands share: parsing, help, errors and the JSON result."""

from __future__ import annotations

import difflib
import json
import os
import sys
import textwrap
from collections.abc import Callable, Sequence

from absl import flags

from slimft.errors import SlimftError, UsageError


def run(
    argv: Sequence[str],
    define_flags: Callable[[flags.FlagValues], None],
    command: Callable[[flags.FlagValues], int | None],
    description: str,
) -> int:
    """Parses `argv`, runs `command` and returns the exit status.

    Args:
        argv: the program's name and its arguments.
        define_flags: defines the command's flags in a `FlagValues` of its own, so that they cannot clash
            with those of TensorFlow or of a program that imports slimft.
        command: takes the parsed flags.
        description: first part of the help text.
    """
    # TensorFlow's start-up notes hide the one line that matters; this has to be set before its import.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    name = os.path.basename(argv[0])
    values = flags.FlagValues()
    define_flags(values)
    if any(argument in ("-h", "-help", "--help", "--helpfull") for argument in argv[1:]):
        print(help_text(name, description, values))
        return 0
    try:
        parse(values, argv)
        return command(values) or 0
    except SlimftError as error:
        print(f"{name}: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_status
    except flags.Error as error:
        print(f"{name}: {' '.join(str(error).split())} (see {name} --help)", file=sys.stderr)
        return 2
    except OSError as error:  # A file that nobody expected to fail; the error names it.
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return 130


def parse(values: flags.FlagValues, argv: Sequence[str]) -> None:
    """Parses `argv`; raises `flags.Error` or UsageError if it is not all good flags."""
    rest = values(list(argv))[1:]
    if rest:
        close = difflib.get_close_matches(rest[0].lstrip("-"), list(values), n=1)
        hint = f"; did you mean --{close[0]}?" if close else "; flags are written --name=value"
        raise UsageError(f"unexpected argument {rest[0]!r}{hint}")


def help_text(name: str, description: str, values: flags.FlagValues) -> str:
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
    lines = [f"usage: {name} --flag=value ...", "", *textwrap.wrap(description, 96), ""]
    for flag in (flag for module_flags in order for flag in module_flags if flag.name in own):
        spelled = " ".join(f"--{other}" for other in (flag.name, *sorted(aliases.get(flag.name, ()))))
        default = "" if flag.default in (None, [], "") else f" (default: {flag.default_as_str})"
        lines.append(f"  {spelled}")
        lines += textwrap.wrap(flag.help + default, 88, initial_indent=" " * 8, subsequent_indent=" " * 8)
    return "\n".join(lines)


def print_result(result: dict) -> None:
    """Prints `result` as one line of JSON on standard output."""
    print(json.dumps(result), flush=True)
