"""How far public TF1 code comes unedited on today's TensorFlow: the table in docs/legacy.md.

    python bench/legacy_repositories.py --clones FOLDER [--only TEXT] [--page FILE] [--json FILE]

Fetches nothing: FOLDER holds clones of the repositories, each named OWNER+NAME, at the commit that its driver names
(a clone without .git is taken as it is). A driver is a script in bench/legacy_repositories, whose docstring begins
with ``OWNER/NAME COMMIT`` and a paragraph on what it is. It is put into a copy of the clone and run there by
`bin/run_legacy`, with the flags that a paragraph ``Flags: ...`` names, in a process of its own, offline, within
limits of time and memory. It imports the repository's code, builds the graph, takes a training step on a few
made-up data, saves and restores, and says what it has reached. Prints a row for each; the exit status is 0 if all
come to the end.
"""

import argparse
import ast
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
CASES = ROOT / "bench" / "legacy_repositories"
STAGES = {
    "none": "nothing",
    "imported": "imported",
    "graph": "graph built",
    "step": "training step",
    "restored": "saved and restored",
}
_HEADING = re.compile(r"(\S+/\S+) ([0-9a-f]{40})")
_GIB = 1 << 30


class Case(NamedTuple):
    """A repository and how it is driven.

    Attributes:
        repository: OWNER/NAME.
        commit: the one that was tried, 40 hexadecimal digits.
        kind: what it is, in a word or two, and what of it is run.
        flags: for `bin/run_legacy`, before the driver's name.
        driver: the script.
    """

    repository: str
    commit: str
    kind: str
    flags: tuple[str, ...]
    driver: Path


class Outcome(NamedTuple):
    """What a case came to.

    Attributes:
        stage: the last stage reached, a key of `STAGES`.
        error: the last line of the error; empty if there was none.
    """

    stage: str
    error: str


def read_case(driver: Path) -> Case:
    """The case that a driver's docstring describes.

    Raises:
        ValueError: the docstring does not begin with ``OWNER/NAME COMMIT`` and a paragraph.
    """
    documentation = ast.get_docstring(ast.parse(driver.read_text())) or ""
    first, *others = documentation.split("\n\n")
    heading = _HEADING.fullmatch(first)
    if heading is None or not others:
        raise ValueError(f"{driver}: the docstring does not begin with OWNER/NAME COMMIT and a paragraph")
    flags = [word for line in others if line.startswith("Flags:") for word in line.partition(":")[2].split()]
    kind = " ".join(others[0].split()).rstrip(".")
    return Case(*heading.groups(), kind, tuple(flags), driver)


def cases() -> list[Case]:
    """All that there are, by name."""
    drivers = sorted(CASES.glob("*.py"), key=lambda path: path.name)
    return [read_case(path) for path in drivers if path.name != "stages.py"]


def _commit_of(clone: Path) -> str | None:
    """The commit that is checked out in a clone, or None where there is no .git."""
    if not (clone / ".git").exists():
        return None
    command = ["git", "-C", str(clone), "rev-parse", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _limit(gibibytes: int):
    """Sets the limit on memory in the child."""
    resource.setrlimit(resource.RLIMIT_DATA, (gibibytes * _GIB, gibibytes * _GIB))


def _environment() -> dict[str, str]:
    """This process's, without a GPU, a display and a way to the internet."""
    nowhere = "http://127.0.0.1:9"
    return {
        **os.environ,
        "CUDA_VISIBLE_DEVICES": "-1",
        "HF_HUB_OFFLINE": "1",
        "MPLBACKEND": "Agg",
        "PYTHONPATH": str(ROOT),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        **{name: nowhere for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")},
    }


def run(case: Case, clone: Path, seconds: int, gibibytes: int, log: Path | None = None) -> Outcome:
    """Drives one repository, whose clone stays as it is."""
    with tempfile.TemporaryDirectory(prefix="legacy_") as folder:
        place = Path(folder) / case.repository.split("/")[1]
        shutil.copytree(clone, place, ignore=shutil.ignore_patterns(".git"), symlinks=True)
        for path in (case.driver, CASES / "stages.py"):
            shutil.copy(path, place / f"driver_{path.name}" if path == case.driver else place / "driver_stages.py")
        command = [sys.executable, str(ROOT / "bin" / "run_legacy"), *case.flags, f"driver_{case.driver.name}"]
        process = subprocess.Popen(
            command, cwd=place, env=_environment(), text=True, errors="replace", start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            preexec_fn=lambda: _limit(gibibytes),
        )  # fmt: skip
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            output += f"\nno end within {seconds} s"
            process.returncode = -signal.SIGKILL
    if log is not None:
        log.write_text(output)
    return judge(output, process.returncode)


def judge(output: str, status: int) -> Outcome:
    """What a driver's output and exit status say."""
    stages = re.findall(r"^stage: (\w+)", output, re.MULTILINE)
    stage = stages[-1] if stages else "none"
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    if status == 0 and stage == "restored":
        return Outcome(stage, "")
    errors = [line for line in lines if re.match(r"[\w.]*(Error|Exception|Interrupt)\b", line)]
    last = (errors or lines or [""])[-1]
    return Outcome(stage, last[:200] or f"exit status {status}")


def table(rows: list[tuple[Case, Outcome]]) -> str:
    """The rows in Markdown."""
    written = [
        "| repository | commit | what is run | reached | flags, or why no further |",
        "| --- | --- | --- | --- | --- |",
    ]
    for case, outcome in rows:
        error = outcome.error.replace("|", "\\|").replace("<", "&lt;")
        flags = f"`{' '.join(case.flags)}`" if case.flags else ""
        why = "; ".join(word for word in (flags, error) if word)
        written.append(
            f"| {case.repository} | `{case.commit[:7]}` | {case.kind} | {STAGES[outcome.stage]} | {why} |"
        )
    return "\n".join(written) + "\n"


def parse_args():
    """The command's flags."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clones", type=Path, required=True, help="folder of clones, each named OWNER+NAME")
    parser.add_argument("--only", default="", help="only drivers whose names contain one of these, by commas")
    parser.add_argument("--page", type=Path, help="file that the table is written to, in Markdown")
    parser.add_argument("--json", type=Path, help="file that the results are written to")
    parser.add_argument("--logs", type=Path, help="folder for what each driver printed")
    parser.add_argument("--seconds", type=int, default=300, help="limit of time for each")
    parser.add_argument("--gibibytes", type=int, default=12, help="limit of memory for each")
    return parser.parse_args()


def main():
    """Runs the cases; returns the exit status."""
    args = parse_args()
    rows = []
    if args.logs:
        args.logs.mkdir(parents=True, exist_ok=True)
    for case in cases():
        if not any(word in case.driver.stem for word in args.only.split(",")):
            continue
        clone = args.clones / case.repository.replace("/", "+")
        commit = _commit_of(clone) if clone.is_dir() else ""
        if commit == "":
            outcome = Outcome("none", f"no clone {clone.name} in {args.clones}")
        elif commit not in (None, case.commit):
            outcome = Outcome("none", f"the clone is at {commit[:7]}")
        else:
            log = args.logs / f"{case.driver.stem}.txt" if args.logs else None
            outcome = run(case, clone, args.seconds, args.gibibytes, log)
        rows.append((case, outcome))
        print(f"{case.repository:45} {STAGES[outcome.stage]:20} {outcome.error}", flush=True)
    if args.page:
        args.page.write_text(table(rows))
    if args.json:
        args.json.write_text(json.dumps([{**case._asdict(), "driver": case.driver.name, **outcome._asdict()}
                                         for case, outcome in rows], indent=1))  # fmt: skip
    done = sum(not outcome.error for _, outcome in rows)
    print(f"{done} of {len(rows)} took a training step, saved and restored")
    return 0 if done == len(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
