#!/usr/bin/env python3
"""Writes docs/reference/flags.md from what the commands themselves define: docs/make_flags.py

Every file of bin/ is a command; a new one appears by itself. tests/test_docs_site.py holds the page.
"""

from __future__ import annotations

import importlib
import pathlib
import re
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple
from unittest import mock

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from absl import flags  # noqa: E402

from slimft.cli import common  # noqa: E402

PAGE = ROOT / "docs" / "reference" / "flags.md"
_HEAD = """# Commands and flags

<!-- Written by docs/make_flags.py: change the flags' help in slimft/ and run it again. -->

What `--help` prints, command by command. In a clone they are in `bin/`; installed with pip they are called
`slimft-finetune` and so on. Flags are written `--name=value`; one that is on or off is `--name` or `--noname`.
Several names of a flag mean the same: the later ones are those of TF-Slim's scripts.
"""
# What Markdown or a table would take for its own.
_SPECIAL = re.compile(r"([\\`*|\[\]]|(?<!\w)_|_(?!\w))")
# A flag in the text of a help, perhaps with its value.
_CODE = re.compile(r"(?<![\w-])--[a-z][a-z_0-9]*(?:=[^\s,;()]*[^\s,;:().])?")


class Command(NamedTuple):
    """A command, as it tells `slimft.cli.common.run`.

    Attributes:
        name: of its file in bin/.
        define_flags: defines its flags.
        description: the first part of its help.
        positional: what its other arguments are; None if there are none.
    """

    name: str
    define_flags: Callable[[flags.FlagValues], None]
    description: str
    positional: str | None

    def flags(self) -> flags.FlagValues:
        """Its flags, at their defaults."""
        values = flags.FlagValues()
        self.define_flags(values)
        return values


def commands() -> Iterator[Command]:
    """The commands of bin/."""
    for file in sorted((ROOT / "bin").iterdir()):
        yield command(file.name)


def command(name: str) -> Command:
    """The command of that name in bin/; it does not run."""
    told = []

    def note(argv, define_flags, command, description, positional=None):
        told.append(Command(name, define_flags, description, positional))
        return 0

    with mock.patch.object(common, "run", note):
        importlib.import_module(f"slimft.cli.{name}").main([name])
    return told[0]


def page() -> str:
    """The page's text."""
    return "\n".join([_HEAD, *map(_section, commands())])


def _section(one: Command) -> str:
    arguments = "--flag=value ..." if one.positional is None else f"{one.positional} [--flag=value ...]"
    rows = list(common.listed_flags(one.flags()))
    usage = f"bin/{one.name} {arguments if rows else one.positional or ''}".rstrip()
    lines = [f"## {one.name}", "", _text(one.description), "", "```text", usage, "```", ""]
    if rows:
        lines += ["| flag | meaning |", "| --- | --- |"]
        lines += [f"| {_names(names)} | {_text(meaning)}{_default(default)} |" for names, default, meaning in rows]
        lines.append("")
    return "\n".join(lines)


def _names(names: tuple[str, ...]) -> str:
    return "<br>".join(f"`--{name}`" for name in names)


def _default(default: str) -> str:
    bare = default.strip("'")
    return f" Default: `{bare}`." if bare else ""


def _text(help_line: str) -> str:
    """Help as Markdown: flags as code, all else as it is."""
    parts, end = [], 0
    for found in _CODE.finditer(help_line):
        parts += [_plain(help_line[end : found.start()]), f"`{found[0]}`".replace("|", "\\|")]
        end = found.end()
    return "".join([*parts, _plain(help_line[end:])])


def _plain(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text).replace("<", "&lt;")


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
