"""What several processes that train together do when something goes wrong: a table of trials.

    sudo python bench/cluster_trials.py [--only=undisturbed,killed] [--kills=10] [--work=DIR]

Two processes of ``bin/finetune`` train `cifarnet` on the digits on two "hosts" (`cluster_hosts`), with the
directory of the run on a disk that both have. A process that exits with 75, or is killed, is started anew at
once, as Kubernetes would do. Each trial does something to them and prints a row: how many seconds later the
other process has said its last line and has ended, what all exited with, which worker its line is about, how
many steps had to be done again, whether the run came to its end, and how far the last checkpoint, optimizer and
all, is from that of a run in which nothing happened.

Hosts, and a disk that is full, need root. Without it the other trials run, on this machine's loopback. What all
processes say is in DIR, `--work`; the lines that each trial is about are printed below the table.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import numpy as np
from cluster_hosts import ROOT, End, Hosts, Team

sys.path.insert(0, str(ROOT))
from slimft.checkpoint import open_checkpoint  # noqa: E402

_STEPS, _EVERY = 200, 20
_FLAGS = ("--model=cifarnet", "--precision=float32", "--batch_size=16", "--cache=off", "--cluster_timeout=120")
_DIGITS = ("--dataset=digits", f"--steps={_STEPS}", f"--eval_every={_EVERY}", "--save_secs=2")
_AGAIN = re.compile(r"steps? (\d+)(?: to (\d+))? (?:is|are) to be done again")
_RESUMING = re.compile(r"resuming at step (\d+)")
_PICTURES = ("--dataset=image_folder", "--image_size=32", "--steps=40")
TRIALS = {}


def trial(needs_root=False):
    def register(function):
        TRIALS[function.__name__] = function, needs_root
        return function

    return register


class Trials:
    """What the trials share: where they write, where processes run, and the table."""

    def __init__(self, work: pathlib.Path, hosts: Hosts | None, kills: int):
        self.work, self.hosts, self.kills, self._teams = work, hosts, kills, []
        self.raw: list[str] = []

    def team(self, name, flags=_DIGITS, own=None, number=2, start=None, hosts=None, train_dir=None) -> Team:
        """Starts processes that train in a new directory, or in `train_dir`."""
        folder = self.work / name
        if train_dir is None:
            shutil.rmtree(folder, ignore_errors=True)
            train_dir = folder / "run"
        team = Team(folder, [*_FLAGS, *flags, f"--train_dir={train_dir}"], hosts, own, number, start)
        team.train_dir = train_dir
        self._teams.append(team)
        return team

    def row(self, what: str, team: Team, ends: list[End], since=None, victims=(), extra="", finished=True) -> None:
        """Prints a row.

        Args:
            what: what was done.
            team: the processes.
            ends: those that are about it.
            since: when it was done.
            victims: whose ends are not the others'.
            extra: what is to be said besides.
            finished: whether the run should have come to its end.
        """
        others = [end for end in ends if end.worker not in victims]
        seconds = ""
        if others and since is not None:
            seconds = " / ".join(
                f"{max(times) - since:.1f}" for times in zip(*((end.said, end.at) for end in others))
            )
        statuses = " ".join(f"{end.worker}:{end.status}" for end in ends)
        named = ",".join(sorted({str(end.named) for end in others if end.status}))
        again = max((steps_again(end.line) for end in others), default=0)
        end = weights = ""
        if finished:
            end = "yes" if (team.train_dir / "result.json").exists() else "NO"
            weights = self.weights(team)
        print(f"| {what} | {seconds} | {statuses} | {named} | {again} | {end} | {weights} | {extra} |", flush=True)
        self.raw.append(f"{what} (load {os.getloadavg()[0]:.1f})")
        self.raw += [f"    {end.worker}: {end.status}: {end.line}" for end in ends]

    @functools.cached_property
    def undisturbed(self) -> pathlib.Path:
        """The directory of a run to which nothing happened."""
        team = self.team("undisturbed")
        team.finish()
        return team.train_dir

    def weights(self, team: Team) -> str:
        """How far the last checkpoint is from the undisturbed run's."""
        name = f"model.ckpt-{_STEPS}"
        if not (team.train_dir / f"{name}.index").exists():
            return "none"
        return difference(str(team.train_dir / name), str(self.undisturbed / name))

    def end(self) -> None:
        for team in self._teams:
            team.kill()
        if self.raw:
            print("\n" + "\n".join(self.raw), flush=True)


def difference(one: str, other: str) -> str:
    """The largest difference between the variables of two checkpoints, relative to each one's largest value."""
    one, other = open_checkpoint(one), open_checkpoint(other)
    if set(one) != set(other):
        return "other variables"
    largest = 0.0
    for name in one:
        a, b = np.asarray(one[name]), np.asarray(other[name])
        if a.tobytes() != b.tobytes():
            gap = np.abs(a.astype(np.float64) - b).max() / max(np.abs(b).max(), 1e-30)
            largest = max(largest, float(gap), 1e-300)
    return f"{largest:.1e}" if largest else "equal"


def steps_again(line: str) -> int:
    """How many steps a line says are to be done again."""
    found = _AGAIN.search(line)
    return 0 if found is None else int(found[2] or found[1]) - int(found[1]) + 1


def _trains(team: Team, index: int = 0) -> bool:
    """Whether a process is in its loop: only the chief says so."""
    return team.has("training cifarnet", index)


@trial(needs_root=True)
def undisturbed(trials):
    team = trials.team("hosts", hosts=trials.hosts)
    began = time.monotonic()
    trials.row("nothing, on two hosts", team, team.finish(), began)
    team = trials.team("loopback")
    began = time.monotonic()
    trials.row("nothing, on one", team, team.finish(), began)


def _cut(trials, what, cut, mend, seconds=None):
    """Cuts the link in the middle of training, and mends it after some seconds or when all have ended."""
    team = trials.team("cut", hosts=trials.hosts)
    try:
        team.wait(lambda: _trains(team))
        time.sleep(2)
        cut()
        at = time.monotonic()
        if seconds is None:
            ends = team.wait(lambda: {end.worker for end in team.ends} == {0, 1}, 100, anew=False)
            mend()
            for index in (0, 1):
                team.start(index)
        else:
            ends = team.wait(lambda: time.monotonic() - at > seconds)
            mend()
            ends += team.wait(lambda: time.monotonic() - at > seconds + 12 or not team.processes)
        team.finish()
        trials.row(what, team, ends, at, extra=f"{len(team.ends)} ends in all")
    finally:
        mend()


@trial(needs_root=True)
def cut(trials):
    def pulled(state):
        return lambda: trials.hosts.set(1, state)

    def lost(cut):
        return lambda: setattr(trials.hosts, "cut", cut)

    _cut(trials, "link pulled (`ip link set down`) until both had ended", pulled("down"), pulled("up"))
    _cut(trials, "all packets lost until both had ended", lost(True), lost(False))
    _cut(trials, "all packets lost for 3 s", lost(True), lost(False), 3)
    _cut(trials, "all packets lost for 30 s", lost(True), lost(False), 30)
    _cut(trials, "link pulled for 3 s", pulled("down"), pulled("up"), 3)


@trial(needs_root=True)
def slow(trials):
    for what, delay, loss in (("a delay of 200 ms each way", 0.2, 0.0), ("5 % of the packets lost", 0.0, 0.05)):
        trials.hosts.delay, trials.hosts.loss = delay, loss
        try:
            team = trials.team("slow", hosts=trials.hosts)
            began = time.monotonic()
            trials.row(what, team, team.finish(1200), began, extra="seconds are the whole run's")
        finally:
            trials.hosts.well()


_PHASES = (
    "joining",
    "joining",
    "training",
    "training",
    "training",
    "saving",
    "saving",
    "saving",
    "ending",
    "ending",
)


def _wait_for_phase(team: Team, phase: str, draw: random.Random) -> None:
    """Waits until a run is in some phase, or has ended."""

    def over():
        return not team.processes

    def for_seconds(seconds):
        last = time.monotonic() + seconds
        team.wait(lambda: over() or time.monotonic() > last)

    if phase == "joining":
        return for_seconds(draw.uniform(0, 12))
    team.wait(lambda: over() or _trains(team))
    if phase == "training":  # And validating: that takes a third of the time.
        return for_seconds(draw.uniform(0.2, 6))
    if phase == "saving":
        for_seconds(draw.uniform(0.5, 2))
        before = set(os.listdir(team.train_dir))
        while not over() and set(os.listdir(team.train_dir)) <= before:
            team.poll()
            time.sleep(0.001)
        return time.sleep(draw.uniform(0, 0.05))
    last = team.train_dir / f"model.ckpt-{_STEPS}.index"
    team.wait(lambda: over() or last.exists())
    return time.sleep(draw.uniform(0, 1.5))


@trial()
def killed(trials):
    for victim, role in ((0, "chief"), (1, "worker")):
        draw = random.Random(victim)
        phases = [_PHASES[i % len(_PHASES)] for i in range(trials.kills)]
        draw.shuffle(phases)
        phases.sort(
            key=lambda phase: ("joining", "ending").index(phase) - 0.5 if phase in ("joining", "ending") else 0
        )
        team, number = trials.team(f"killed-{role}-0"), 0
        for phase, next_phase in zip(phases, [*phases[1:], ""]):
            if not team.processes:
                number += 1
                team = trials.team(f"killed-{role}-{number}")
            _wait_for_phase(team, phase, draw)
            if victim not in team.processes:
                trials.raw.append(f"{phase}: the {role} had ended already")
                team.finish()
                continue
            before = len(team.ends)
            at = team.send(victim, signal.SIGKILL)
            _wait_for_both(team, before, 5 if phase == "joining" else 25)
            ends = team.ends[before:]
            what = f"kill -9 of the {role}, {phase}"
            others = [end for end in ends if end.worker != victim]
            if others and not any(end.status for end in others):
                alone = _waits_in_vain(team)
                extra = "the other had ended well" + ("; the victim came back, and waits for it" if alone else "")
                trials.row(what, team, ends, at, {victim}, extra, finished=False)
                if alone:
                    team.kill()
                    for index in (0, 1):
                        team.start(index)
            else:
                extra = [] if others else ["the other waited"]
                if next_phase != "joining":  # Which begins now.
                    extra.append(f"went on from step {_resumed(team)}")
                trials.row(what, team, ends, at, {victim}, "; ".join(extra), finished=False)
        ends = team.finish()
        trials.row(f"the end, after kills of the {role}", team, ends, extra=f"{number + 1} runs")


def _wait_for_both(team: Team, before: int, seconds: float) -> None:
    """Waits until both processes have ended since there were so many ends, or for so long."""
    with contextlib.suppress(TimeoutError):
        team.wait(lambda: {end.worker for end in team.ends[before:]} == {0, 1}, seconds)


def _waits_in_vain(team: Team) -> bool:
    """Whether a process that came back is alone; or else, the run comes to its end."""
    with contextlib.suppress(TimeoutError):
        team.wait(lambda: not team.processes, 40)
    return bool(team.processes)


def _resumed(team: Team) -> str:
    """The step from which the chief's newest start goes on, once it says so."""
    with contextlib.suppress(TimeoutError):
        team.wait(lambda: _trains(team) or not team.processes, 90)
    found = _RESUMING.search(team.log(0).read_text(errors="replace"))
    return found[1] if found else "0" if _trains(team) else "?"


@trial()
def frozen(trials):
    for victim, role in ((1, "worker"), (0, "chief")):
        team = trials.team("frozen")
        team.wait(lambda team=team: _trains(team))
        time.sleep(2)
        at = team.send(victim, signal.SIGSTOP)
        process = team.processes[victim]
        with contextlib.suppress(TimeoutError):
            team.wait(lambda team=team, victim=victim: any(end.worker != victim for end in team.ends), 30)
        team.wait(lambda at=at: time.monotonic() - at > 30)
        process.send_signal(signal.SIGCONT)
        woke = time.monotonic()
        team.wait(lambda team=team, victim=victim: any(end.worker == victim for end in team.ends), 60)
        slept = f"the {role} ended {team.ends[-1].at - woke:.1f} s after it woke up"
        ends = list(team.ends)
        team.finish()
        trials.row(
            f"SIGSTOP of the {role} for 30 s", team, ends, at, {victim}, f"{slept}; {len(team.ends)} ends in all"
        )


@trial()
def told_to_stop(trials):
    for victims in ((0,), (1,), (0, 1)):
        team = trials.team("told_to_stop")
        team.wait(lambda team=team: _trains(team))
        time.sleep(2)
        for victim in victims:
            at = team.send(victim, signal.SIGTERM)
        ends = team.finish()
        again = trials.team("told_to_stop", train_dir=team.train_dir)
        again.finish()
        names = " and ".join(("chief", "worker")[victim] for victim in victims)
        trials.row(
            f"SIGTERM to the {names}, then the same command",
            again,
            ends,
            at,
            extra=f"went on from step {_resumed(again)}",
        )
    team = trials.team("told_to_stop", start=(0,))
    time.sleep(15)
    at = team.send(0, signal.SIGTERM)
    trials.row("SIGTERM to a chief that waits for the worker", team, team.finish(), at, finished=False)


@trial()
def start(trials):
    team = trials.team("late", start=(0,))
    time.sleep(40)
    team.start(1)
    trials.row("the worker is started 40 s after the chief", team, team.finish(), extra="no restart is needed")
    team = trials.team("late", start=(1,))
    time.sleep(40)
    team.start(0)
    trials.row("the chief is started 40 s after the worker", team, team.finish(), extra="no restart is needed")
    for index, role in ((0, "worker"), (1, "chief")):
        team = trials.team("absent", (*_DIGITS, "--cluster_timeout=15"), start=(index,))
        began = time.monotonic()
        trials.row(
            f"the {role} never comes, --cluster_timeout=15", team, team.finish(anew=False), began, finished=False
        )
    flags = (*_DIGITS, "--cluster_timeout=15", "--min_workers=1", "--steps=600")
    team = trials.team("absent", flags, start=(0,))
    team.wait(lambda: _trains(team) or not team.processes)
    team.start(1)
    began = time.monotonic()
    ends = team.wait(lambda: team.ends, anew=False)
    trials.row("and --min_workers=1; the worker comes after the chief has begun", team, ends, began, finished=False)
    ends = team.finish(anew=False)
    trials.row("the chief of that run, alone", team, ends, began, finished=False, extra="its end")


@trial()
def told_otherwise(trials):
    def refused(what, flags=_DIGITS, own=None, before=None):
        team = trials.team("refused", flags, own, start=())
        with before(team) if before else contextlib.nullcontext():
            began = time.monotonic()
            for index in (0, 1):
                team.start(index)
            with contextlib.suppress(TimeoutError):
                team.finish(90, anew=False)
        extra = f"{len(team.processes)} still wait" if team.processes else ""
        team.kill()
        trials.row(what, team, team.ends, began, extra=extra, finished=False)

    def used(team):
        host, port = team.addresses[1].split(":")
        taken = socket.socket()
        taken.bind((host, int(port)))
        taken.listen()
        return contextlib.closing(taken)

    flags = (*_DIGITS, "--cluster_timeout=40")
    refused("the worker's port is in use", flags, before=used)
    refused("another --learning_rate", own={1: ["--learning_rate=0.01"]})
    refused("a flag that is wrong, on one only", flags, own={1: ["--batch_size=0"]})
    for what, change in (
        ("an image is another one", lambda file: _picture(file, 99)),
        (
            "an image cannot be read, on the worker",
            lambda file: file.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(400)),
        ),
        ("an image is not there, on the worker", lambda file: file.unlink()),
    ):
        own = _two_folders(trials)
        change(trials.work / "pictures1" / "a" / "4.png")
        refused(what, _PICTURES, own)


@trial()
def unreadable(trials):
    for victim, role in ((1, "worker"), (0, "chief")):
        flags = (*_PICTURES[:-1], "--steps=3000", "--eval_every=50")
        team = trials.team("unreadable", flags, _two_folders(trials))
        team.wait(lambda team=team: _trains(team) or not team.processes)
        time.sleep(3)
        at = time.monotonic()
        for file in (trials.work / f"pictures{victim}").rglob("*.png"):
            file.write_bytes(file.read_bytes()[:60])
        ends = team.wait(lambda team=team: {end.worker for end in team.ends} == {0, 1}, 90, anew=False)
        trials.row(f"images become unreadable, on the {role} only", team, ends, at, {victim}, finished=False)


def _two_folders(trials) -> dict[int, list[str]]:
    """Makes two folders of the same pictures; returns the flags by which each process has one of them."""
    own = {}
    for index in (0, 1):
        folder = trials.work / f"pictures{index}"
        shutil.rmtree(folder, ignore_errors=True)
        for number in range(60):
            _picture(folder / ("ab"[number % 2]) / f"{number}.png", number)
        own[index] = [f"--data_dir={folder}"]
    return own


def _picture(file: pathlib.Path, seed: int) -> None:
    from PIL import Image

    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (32, 32, 3), np.uint8)).save(file)


@trial(needs_root=True)
def full_disk(trials):
    for megabytes in (10, 25, 40):
        folder = trials.work / "small"
        folder.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", str(folder)], check=True)
        try:
            began = time.monotonic()
            team = trials.team("full_disk", train_dir=folder / "run")
            trials.row(f"a disk of {megabytes} MB", team, team.finish(anew=False), began, finished=False)
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help=f"some of {', '.join(TRIALS)}")
    parser.add_argument("--kills", type=int, default=10, help="of each process")
    parser.add_argument("--work", type=pathlib.Path, help="where to write; by default a temporary directory")
    flags = parser.parse_args(arguments)
    chosen = flags.only.split(",") if flags.only else list(TRIALS)
    unknown = [name for name in chosen if name not in TRIALS]
    if unknown:
        parser.error(f"there is no trial {unknown[0]}; there are {', '.join(TRIALS)}")
    is_root = os.geteuid() == 0
    if not is_root and any(TRIALS[name][1] for name in chosen):
        left = [name for name in chosen if TRIALS[name][1]]
        print(f"hosts need root (network namespaces, TUN): {', '.join(left)} left out", file=sys.stderr)
        chosen = [name for name in chosen if name not in left]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with contextlib.ExitStack() as stack:
        needs_hosts = any(name in ("undisturbed", "cut", "slow") for name in chosen)
        hosts = stack.enter_context(Hosts()) if needs_hosts else None
        work = flags.work or pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        work.mkdir(parents=True, exist_ok=True)
        trials = Trials(work.resolve(), hosts, flags.kills)
        stack.callback(trials.end)
        print(
            "| what was done | said / ended, s | statuses | named | steps again | end | weights | |\n"
            + "| --- " * 8
            + "|"
        )
        for name in chosen:
            try:
                TRIALS[name][0](trials)
            except TimeoutError as error:
                print(f"| {name}: NOT OVER {error} | | | | | | | |", flush=True)
                trials.raw.append(f"{name}: not over {error}")


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
