#!/usr/bin/env python3
"""Writes docs/reference/exercise.md from the exercise's catalogue: docs/make_exercise.py

tests/exercise/test_catalogue.py holds the page.
"""

from __future__ import annotations

import os
import pathlib
import shlex
import sys
from collections.abc import Iterator
from unittest import mock

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from slimft.exercise.catalogue import PARTS  # noqa: E402
from slimft.exercise.plan import Places, official_run_of  # noqa: E402
from slimft.exercise.steps import Step  # noqa: E402

PAGE = ROOT / "docs" / "reference" / "exercise.md"
_HEAD = """# The steps of the exercise

<!-- Written by docs/make_exercise.py: change slimft/exercise/ and run it again. -->

Each step of `bin/exercise`, what it shows, and its command from the checkpoint that it is about, at the small scale
and with the course's, or the tutorial's, own parameters. How to run them, and what is needed:
[exercise.md](../exercise.md).

*Times: minutes a step at the small scale on two cores, hours of the headline and with the course's parameters.*
"""
_ROOT = pathlib.Path("runs/exercise")
_SHELL_WIDTH = 116


def page() -> str:
    """The page's text."""
    with mock.patch.dict(os.environ, SLIMFT_CHECKPOINTS="checkpoints"):
        return "\n".join([_HEAD, *(line for part in PARTS for line in _part(part))])


def _part(part) -> Iterator[str]:
    yield from (f"## {part.title}", "", part.about, "")
    for step in part.steps:
        yield from (f"### `{step.name}`", "", f"{_sentence(step.title)} {step.shows}", "")
        if step.published:
            figure = step.published
            yield from (f"Published: {figure.accuracy:.2%} ({figure.of}), {figure.source}".replace("%", " %"), "")
        for start in step.starts[1:]:
            yield from (f"Where that cannot be had: {start.note}.", "")
        yield from ("```bash", *_commands(step), "```", "")


def _sentence(title: str) -> str:
    return f"{title[:1].upper()}{title[1:]}." if not title.startswith("(") else f"{title}."


def _commands(step: Step) -> Iterator[str]:
    scales = ["small"] if step.own_scale else ["small", "course"]
    for scale in scales:
        places = Places(_ROOT, scale, voc_dir="voc2012" if step.segments else None)
        words = ["bin/finetune", *map(shlex.quote, official_run_of(step, places).command)]
        line = ""
        for word in words:
            if line and len(line) + len(word) + 3 > _SHELL_WIDTH:
                yield f"{line} \\"
                line = "   "
            line = f"{line} {word}" if line else word
        yield line


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
