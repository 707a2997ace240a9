"""What the scripts of this folder share: commands run in turn, medians with their spread, the machine.

A benchmark runs slimft and its peer alternately, each time in a fresh process that prints its figures as the last
line of its output, in JSON: see `print_figures`.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import re
import resource
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from slimft import system

ROOT = pathlib.Path(__file__).resolve().parents[1]
# What of a processor decides how fast a network is on it.
_FLAGS = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_tile")
_PACKAGES = ("tensorflow", "keras", "tf-slim", "numpy")


class Spread(NamedTuple):
    """The median of some values, the least and the most of them."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))

    def show(self, digits: int = 3) -> str:
        """Such as ``12.1 (11.8-12.4)``, to so many significant digits; without the brackets where all are alike."""
        median, least, most = (shortly(value, digits) for value in self)
        return median if least == most else f"{median} ({least}-{most})"


def shortly(value: float, digits: int = 3) -> str:
    """A number to so many significant digits, thousands with a comma, never as a power of ten."""
    if not value:
        return "0"
    places = digits - 1 - int(f"{value:.{digits - 1}e}".partition("e")[2])
    return f"{round(value, places):,.{max(places, 0)}f}"


def print_figures(**figures) -> None:
    """Prints what a process has measured, as the last line of its output."""
    print(json.dumps(figures), flush=True)


def run(command: Sequence[str | os.PathLike], environment: Mapping[str, str] | None = None) -> dict | list:
    """What a command prints last, in JSON; ends this process with what it says where it fails.

    Args:
        command: a script of this folder, and its flags.
        environment: variables beside those of this process.
    """
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    variables = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": path, **(environment or {})}
    done = subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True, env=variables)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def alternate(commands: Mapping[str, Sequence], rounds: int) -> dict[str, list[dict]]:
    """Runs each of the commands once a round, one after the other; returns what they print, by their names."""
    figures: dict[str, list[dict]] = {name: [] for name in commands}
    for number in range(rounds):
        # Every other round backwards, so that none is always the one after the same.
        for name in list(commands) if number % 2 == 0 else reversed(commands):
            figures[name].append(run(commands[name]))
            print(f"round {number + 1} of {rounds}: {name}: {figures[name][-1]}", file=sys.stderr, flush=True)
    return figures


def spreads(figures: Mapping[str, list[dict]], name: str) -> dict[str, Spread]:
    """The spread of the figure of that name, by the names of the commands."""
    return {command: Spread.of([one[name] for one in found]) for command, found in figures.items()}


def beside(figures: Mapping, ours: str, theirs: str, digits: int) -> list[str]:
    """The cells of a table: the seconds of both, the ratio of theirs to ours, and what both had of memory."""
    seconds, memory = figures["seconds"], figures["mb"]
    cells = [Spread(*seconds[side]).show() for side in (ours, theirs)]
    ratio = seconds[theirs][0] / seconds[ours][0]
    return [*cells, f"{ratio:.{digits}f}", " / ".join(f"{memory[side][0]:,.0f}" for side in (ours, theirs))]


def peak_megabytes() -> float:
    """The most memory this process has had resident, in MB."""
    try:  # Not ru_maxrss: that begins with what the process was forked from.
        status = pathlib.Path("/proc/self/status").read_text()
        return int(re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)[1]) * 1024 / 1e6
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def machine() -> dict:
    """What figures of speed depend on: processor, what it can do, cores, memory (GB), and versions."""
    processor, flags = platform.processor() or platform.machine(), system.processor_flags()
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    if cpuinfo.exists():
        found = re.search(r"^model name\s*: (.*)$", cpuinfo.read_text(), re.MULTILINE)
        processor = found[1] if found else processor
    return {
        "processor": processor,
        "flags": [flag for flag in _FLAGS if flag in flags],
        "cores": system.processors(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "date": datetime.date.today().isoformat(),
    }


def describe(found: Mapping) -> str:
    """One sentence on a machine that `machine` described."""
    flags = f" ({', '.join(found['flags'])})" if found["flags"] else ""
    packages = ", ".join(f"{name} {version}" for name, version in found["packages"].items() if version)
    return (
        f"{found['cores']} cores of {found['processor']}{flags}, {found['memory_gb']} GB of memory, "
        f"{found['system']}, Python {found['python']}, {packages}, on {found['date']}"
    )


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def parser(doc: str, rounds: int) -> argparse.ArgumentParser:
    """The flags of every benchmark."""
    made = argparse.ArgumentParser(description=doc.splitlines()[0])
    made.add_argument("--rounds", type=int, default=rounds, help="fresh processes of each kind")
    made.add_argument("--json", type=pathlib.Path, help="where to write what was measured")
    return made


def finish(flags: argparse.Namespace, figures: Mapping, text: str) -> None:
    """Prints the tables, and writes the figures with the machine where ``--json`` says."""
    print(text, flush=True)
    if flags.json:
        partial = flags.json.with_suffix(".part")
        partial.write_text(json.dumps({"machine": machine(), "figures": figures, "text": text}, indent=1) + "\n")
        partial.replace(flags.json)
