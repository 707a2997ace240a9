"""Makes cases, lets slimft and a reference read each, and says what is a failure.

A failure is: a signal, a hang, memory beyond the bound, an exception that is no `SlimftError` or has no message of
one line, an assertion of the target, data other than the reference's, a good file that is refused, and what is read
although the reference refuses it, where the target is strict.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import time
import traceback

from fuzz import bounds, targets_checkpoints, targets_data, targets_runs
from fuzz.isolate import isolated, plain_memory
from fuzz.target import Files, Target

TARGETS: dict[str, Target] = {
    target.name: target for module in (targets_checkpoints, targets_data, targets_runs) for target in module.TARGETS
}
_MOST_MESSAGE = 8192
CASE_FILE = "case.json"


@dataclasses.dataclass
class Tally:
    """What came of a target's cases.

    Attributes:
        cases: how many there were.
        read: how many of them were read, all or in part.
        compared: how many of these a reference reader read too.
        lenient: how many were read in part, or all, that the reference refuses (crashes count as refusing).
        refusal: the error of the last one; None where it was read.
        failures: a line each.
        peak: the most memory, in bytes; `file`: the size of that case's files.
        seconds: the longest time, and `slowest` the case's number.
    """

    cases: int = 0
    read: int = 0
    compared: int = 0
    lenient: int = 0
    refusal: str | None = None
    failures: list[str] = dataclasses.field(default_factory=list)
    peak: int = 0
    file: int = 0
    seconds: float = 0.0
    slowest: int = 0


def fault_of(error: BaseException) -> str | None:
    """What is wrong with an error that slimft raises; None if nothing is."""
    from slimft.errors import SlimftError

    if not isinstance(error, SlimftError):
        return f"{type(error).__name__}: {''.join(traceback.format_exception(error))}"
    text = str(error)
    if not text or "\n" in text or len(text) > _MOST_MESSAGE:
        return f"a message of {len(text)} characters in {text.count(chr(10)) + 1} lines: {text[:200]!r}"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError) and not _of_pythons_parser(cause):
            return f"out of memory, which is not what should stop it: {text[:200]!r}"
        cause = cause.__cause__ or cause.__context__
    return None


def _of_pythons_parser(error: BaseException) -> bool:
    """Whether it only says that an expression, such as NumPy's header, is nested deeper than Python parses."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and pathlib.Path(frames[-1].filename).name == "ast.py"


def observed(target: Target, folder: pathlib.Path) -> dict:
    """What comes of reading a case: ``read`` and ``largest``, ``refused`` or ``fault``."""
    try:
        found, largest = target.read(folder)
    except BaseException as error:
        fault = fault_of(error)
        return {"refused": str(error), "largest": target.claimed(folder)} if fault is None else {"fault": fault}
    return {"read": found, "largest": largest}


class References:
    """The process with the reference readers, started when it is needed."""

    def __init__(self):
        self._process: subprocess.Popen | None = None

    def read(self, readers: tuple[str, ...], folder: pathlib.Path, ours: dict) -> dict | None:
        """What the first of the readers reads that does not refuse; None if all do. `ours` is what slimft read."""
        if self._process is None:
            command = [sys.executable, str(pathlib.Path(__file__).with_name("references.py"))]
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
        request = {"readers": readers, "folder": str(folder), "ours": ours}
        print(json.dumps(request), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.stdin.close()
            self._process.wait()


class Fuzzer:
    """Runs cases of targets.

    Args:
        failures: the folder where inputs that fail are kept; made when there is one.
        compare: whether the reference readers are asked.
        strict: whether all targets are.
    """

    def __init__(self, failures: pathlib.Path, compare: bool = True, strict: bool = False):
        plain_memory()
        self._failures, self._compare, self._strict = failures, compare, strict
        self._references = References()
        self._seeds: dict[str, list[Files]] = {}
        self.tallies: dict[str, Tally] = {}

    def close(self) -> None:
        """Ends the readers."""
        self._references.close()

    def prepare(self, target: Target) -> None:
        """Makes the good files, and reads them once so that what is imported counts for no case."""
        self._seeds[target.name] = target.seeds()
        self.tallies[target.name] = Tally()
        with tempfile.TemporaryDirectory() as folder:
            for number, files in enumerate(self._seeds[target.name][:1]):
                place = pathlib.Path(folder, str(number))
                write(place, files)
                if target.warm:
                    target.read(place)

    def case(self, target: Target, seed: int, number: int) -> str | None:
        """Runs a case, which follows from its seed and number; returns what failed."""
        seeds = self._seeds[target.name]
        rng = random.Random(f"{seed} {target.name} {number}")
        files = seeds[number] if number < len(seeds) else target.mutated(rng, seeds)
        with tempfile.TemporaryDirectory(prefix="slimft-fuzz-") as folder:
            place = pathlib.Path(folder, "case")
            write(place, files)
            failure = self.check(target, place, good=number < len(seeds))
        if failure:
            name = f"{target.name}-{seed}-{number}"
            self.tallies[target.name].failures.append(f"{name}: {failure}")
            self._keep(name, files, {"target": target.name, "seed": seed, "number": number, "failure": failure})
        return failure

    def check(self, target: Target, place: pathlib.Path, good: bool = False) -> str | None:
        """Reads the files at `place`; returns what failed."""
        tally = self.tallies[target.name]
        size = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
        most = target.bound.most(size, target.bound.most_values)
        outcome = isolated(lambda: observed(target, place), most, bounds.SECONDS)
        tally.cases += 1
        if outcome.seconds > tally.seconds:
            tally.seconds, tally.slowest = outcome.seconds, tally.cases - 1
        if outcome.peak > tally.peak:
            tally.peak, tally.file = outcome.peak, size
        if outcome.end:
            return outcome.end
        answer = outcome.answer
        if "fault" in answer:
            return answer["fault"]
        if outcome.peak > target.bound.most(size, answer["largest"]):
            return f"{outcome.peak >> 20} MiB of memory for {size} bytes"
        tally.refusal = answer.get("refused")
        if tally.refusal:
            return f"a good file is refused: {answer['refused']}" if good else None
        tally.read += 1
        if not self._compare or not target.references:
            return None
        ours = {name: value for name, value in answer["read"].items() if value is not None}
        return self._compared(target, answer["read"], self._references.read(target.references, place, ours), good)

    def _compared(self, target: Target, ours: dict, theirs: dict | None, good: bool) -> str | None:
        tally = self.tallies[target.name]
        tally.compared += theirs is not None
        values = {name: value for name, value in ours.items() if value is not None}
        known = {name: value for name, value in (theirs or {}).items() if value is not None}
        if good and (theirs is None or known.keys() - values.keys()):
            return f"a good file is not read as by the reference: {_difference(known, values)}"
        others = {name: value for name, value in values.items() if name in known and value != known[name]}
        if others:
            return f"other data than the reference's: {_difference(others, known)}"
        refused = sorted(values.keys() - known.keys())
        missing = (theirs or {}).keys() - ours.keys()
        if missing:
            return f"not even listed: {sorted(missing)[:3]}"
        tally.lenient += bool(refused)
        if refused and (target.strict or self._strict):
            return f"read, and the reference refuses it: {refused[:3]}"
        return None

    def _keep(self, name: str, files: Files, case: dict) -> None:
        folder = self._failures / name
        write(folder, files)
        (folder / CASE_FILE).write_text(json.dumps(case, indent=1) + "\n")


def _difference(ours: dict, theirs: dict) -> str:
    for name in sorted(ours):
        if ours.get(name) != theirs.get(name):
            return f"{name!r} is {str(ours.get(name))[:300]}, not {str(theirs.get(name))[:300]}"
    return "none"


def write(folder: pathlib.Path, files: Files) -> None:
    """Writes the files of a case."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def table(tallies: dict[str, Tally]) -> str:
    """What came of it, as a table of Markdown."""
    header = ["kind of input", "cases", "read", "compared", "lenient", "memory", "x file", "longest", "failures"]
    rows = [header, ["---"] * len(header)]
    for name, tally in tallies.items():
        if tally.cases:
            factor = f"{tally.peak / tally.file:,.0f}" if tally.file else "-"
            counts = tally.cases, tally.read, tally.compared, tally.lenient
            rows.append(
                [
                    f"{TARGETS[name].kind} (`{name}`)",
                    *(f"{count:,}" for count in counts),
                    f"{tally.peak / (1 << 20):.1f} MiB",
                    factor,
                    f"{tally.seconds:.2f} s",
                    f"{len(tally.failures)}",
                ]
            )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def run(names: list[str], seed: int, fuzzer: Fuzzer, cases: int | None, minutes: float) -> None:
    """Runs cases of each target: so many each, or until the time is over, which they share equally."""
    for number, name in enumerate(names):
        target = TARGETS[name]
        fuzzer.prepare(target)
        least = len(target.seeds())
        wanted = None if cases is None else max(least + 2, int(cases * target.share))
        stop = time.monotonic() + 60 * minutes / len(names)
        case = 0
        while case < wanted if wanted is not None else (case < least or time.monotonic() < stop):
            failure = fuzzer.case(target, seed, case)
            if failure:
                print(f"FAILED {name}-{seed}-{case}: {failure.strip().splitlines()[-1]}", flush=True)
            case += 1
        tally = fuzzer.tallies[name]
        of, failed, slowest = f"{number + 1} of {len(names)}", len(tally.failures), f"{name}-{seed}-{tally.slowest}"
        print(f"{name}: {tally.cases} cases, {failed} failures, the slowest {slowest} ({of})", flush=True)
