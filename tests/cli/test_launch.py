"""bin/finetune --launch: the supervisor, with workers that do as they are told, and real signals."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from slimft.cli import launch, workers
from slimft.cli.finetune import main
from slimft.errors import UsageError

ROOT = pathlib.Path(__file__).resolve().parents[2]
QUICK = launch.Patience(poll=0.01, ends=1.0, same=0.5, terminates=1.0, saves=0.2)

# A worker: what it does, for each attempt and worker, is the first argument; the second is the run's directory.
WORKER = """
import json, os, pathlib, signal, sys, time
task = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
attempt = int(os.environ["SLIMFT_LAUNCHED"])
plan, folder = json.loads(sys.argv[1]), pathlib.Path(sys.argv[2])
kept = {name: value for name, value in os.environ.items() if name.startswith(("SLIMFT", "TF_"))}
(folder / f"env-{attempt}-{task}").write_text(json.dumps(kept))
(folder / f"pid-{attempt}-{task}").write_text(str(os.getpid()))

def note(number, frame):
    with open(folder / f"signals-{task}", "a") as file:
        file.write(f"{number} ")
    if stops:
        sys.exit(128 + number)

stops = False
for action in plan[min(attempt, len(plan) - 1)][task]:
    name, value = action if isinstance(action, list) else (action, None)
    if name == "exit":
        sys.exit(value)
    elif name == "kill":
        os.kill(os.getpid(), value)
    elif name == "save":
        (folder / "checkpoint").write_text(value)
    elif name == "out":
        print(value, flush=True)
    elif name == "err":
        print(value, file=sys.stderr, flush=True)
    elif name in ("stops", "notes"):
        stops = name == "stops"
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, note)
    elif name == "reached":
        while not (folder / value).exists():
            time.sleep(0.01)
    elif name == "mark":
        (folder / value).touch()
    elif name == "orphan":
        import threading
        from slimft.cli.launched import stop_when_alone
        threading.Thread(target=stop_when_alone, args=[0.3], daemon=True).start()
    elif name == "hang":
        while True:
            time.sleep(0.05)
"""
HANG, DONE, LOST = ["hang"], [["out", "result"], ["exit", 0]], [["exit", 75]]
KILLED = [["kill", 9]]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "worker.py").write_text(WORKER)
    return tmp_path


@pytest.fixture
def launched(folder, capfd):
    """Supervises workers by a plan; returns the status, standard output and the lines on standard error."""

    def call(*plan, **options):
        command = [sys.executable, str(folder / "worker.py"), json.dumps(plan), str(folder)]
        number = options.pop("number", len(plan[0]))
        status = launch.supervise(command, number, str(folder), patience=QUICK, **options)
        captured = capfd.readouterr()
        return status, captured.out, captured.err.splitlines()

    return call


def attempts(folder):
    return len(list(folder.glob("env-*-0")))


def environments(folder, attempt=0):
    found = sorted(folder.glob(f"env-{attempt}-*"))
    return [json.loads(file.read_text()) for file in found]


def test_worker_0_has_the_streams_of_the_supervisor(launched):
    first = [["err", "progress"], ["out", "result"], ["exit", 0]]
    second = [["err", "slow disk"], ["out", "nobody sees this"], ["exit", 0]]
    status, out, lines = launched([first, second])
    assert (status, out, sorted(lines)) == (0, "result\n", ["progress", "worker 1: slow disk"])


def test_workers_know_each_other(launched, folder, monkeypatch):
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    monkeypatch.setattr(workers.system, "processors", lambda: 7)
    launched([DONE, DONE, DONE])
    found = environments(folder)
    clusters = [json.loads(one["TF_CONFIG"]) for one in found]
    (addresses,) = {tuple(one["cluster"]["worker"]) for one in clusters}
    assert len(set(addresses)) == 3 and all(address.startswith("127.0.0.1:") for address in addresses)
    assert [one["task"] for one in clusters] == [{"type": "worker", "index": index} for index in range(3)]
    assert {one["TF_NUM_INTRAOP_THREADS"] for one in found} == {"2"}
    assert {one["SLIMFT_LOCAL_PROCESSES"] for one in found} == {"3"}


def test_the_users_number_of_threads_counts(launched, folder, monkeypatch):
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "5")
    launched([DONE, DONE])
    assert {one["TF_NUM_INTRAOP_THREADS"] for one in environments(folder)} == {"5"}


@pytest.mark.parametrize("end", [["kill", 9], ["exit", 70], ["exit", 75]], ids=["killed", "fault", "lost"])
@pytest.mark.parametrize("culprit", [0, 1])
def test_a_worker_that_is_lost(launched, folder, end, culprit):
    plan = [LOST, LOST]
    plan[culprit] = [["save", "step 1"], end]
    status, out, lines = launched(plan, [DONE, DONE])
    assert status == 0 and out == "result\n" and attempts(folder) == 2
    (line,) = [line for line in lines if line.startswith("finetune: ")]
    assert "from the last checkpoint (restart 1 of 3)" in line
    if end != ["exit", 75]:
        assert line.startswith(f"finetune: worker {culprit} ")
        assert ("SIGKILL" if end == ["kill", 9] else "status 70") in line
    ports = [json.loads(environments(folder, attempt)[0]["TF_CONFIG"])["cluster"] for attempt in (0, 1)]
    assert ports[0] != ports[1]
    assert ["SLIMFT_HAS_SAVED" in environments(folder, attempt)[0] for attempt in (0, 1)] == [False, True]


def test_workers_that_do_not_end_by_themselves_are_ended(launched, folder):
    status, _, lines = launched(
        [["notes", ["mark", "there"], *HANG], [["reached", "there"], *KILLED]], [DONE, DONE]
    )
    assert status == 0 and (folder / "signals-0").read_text() == f"{signal.SIGTERM:d} "
    assert "nothing is saved yet" in lines[0]
    assert not is_alive(int((folder / "pid-0-0").read_text()))


def test_too_many_restarts(launched, folder):
    status, out, lines = launched([LOST, KILLED], max_restarts=2)
    assert status == 75 and out == "" and attempts(folder) == 3
    assert [line.count("(restart ") for line in lines] == [1, 1, 0]
    assert "worker 1 was ended by SIGKILL" in lines[-1] and "--max_restarts=2" in lines[-1]


def test_no_restart_is_allowed(launched, folder):
    assert launched([LOST, KILLED], max_restarts=0)[0] == 75
    assert attempts(folder) == 1


def test_a_new_checkpoint_sets_the_count_back(launched, folder):
    crashes = [
        [[["save", f"step {step}"], ["mark", str(step)], ["exit", 75]], [["reached", str(step)], *KILLED]]
        for step in range(5)
    ]
    status, _, lines = launched(*crashes, [DONE, DONE], max_restarts=1)
    assert status == 0 and attempts(folder) == 6
    assert all("(restart 1 of 1)" in line for line in lines)


def test_errors_that_would_come_again(launched, folder):
    error = [["err", "finetune: --data_dir=x: there is no such folder"], ["exit", 2]]
    status, _, lines = launched([error, error, error])
    assert status == 2 and attempts(folder) == 1
    assert lines == ["finetune: --data_dir=x: there is no such folder"]


@pytest.mark.parametrize("code", [1, 2])
def test_an_error_of_some_workers_is_said_once(launched, folder, code):
    error = [["err", "finetune: the loss is nan"], ["exit", code]]
    status, _, lines = launched([HANG, error, error])
    assert status == code and attempts(folder) == 1
    assert lines == ["worker 1: the loss is nan"]


def test_an_error_counts_more_than_who_has_lost_the_others(launched, folder):
    status, _, lines = launched([LOST, [["err", "finetune: bad data"], ["exit", 2]]])
    assert status == 2 and attempts(folder) == 1 and lines == ["worker 1: bad data"]


def test_the_run_is_done_though_a_worker_fails_after_it(launched, folder):
    status, out, lines = launched(
        [[["out", "result"], ["mark", "done"], ["exit", 0]], [["reached", "done"], *KILLED]]
    )
    assert status == 0 and out == "result\n" and attempts(folder) == 1
    assert lines == [
        "finetune: the run is done; after that, worker 1 was ended by SIGKILL, as where memory is short"
    ]


def test_fewer_workers_go_on(launched, folder):
    bad = [LOST, KILLED, LOST]
    status, _, lines = launched(bad, bad, [DONE, DONE, DONE], min_workers=2)
    assert status == 0
    assert [len(environments(folder, attempt)) for attempt in range(3)] == [3, 3, 2]
    assert "2 of 3 workers go on (--min_workers=2)" in lines[-1]


@pytest.mark.parametrize(
    "plan, min_workers",
    [
        ([[LOST, KILLED], [LOST, KILLED]], None),
        ([[LOST, KILLED], [LOST, KILLED]], 2),
        ([[LOST, KILLED], [KILLED, LOST]], 1),
        ([[LOST, LOST], [LOST, LOST]], 1),
        ([[LOST, KILLED], [LOST, [["save", "step 1"], *KILLED]]], 1),
    ],
    ids=["all", "least", "others", "nobody", "progress"],
)
def test_all_workers_start_again(launched, folder, plan, min_workers):
    assert launched(*plan, [DONE, DONE], min_workers=min_workers)[0] == 0
    assert [len(environments(folder, attempt)) for attempt in range(3)] == [2, 2, 2]


# Signals.


@contextlib.contextmanager
def supervisor(folder, *plan, patience="launch.Patience(poll=0.01, saves=0.2)", terminal=""):
    """A process that supervises workers, and waits until all of these have begun."""
    script = (
        "import os, signal, sys\nfrom slimft.cli import launch\n"
        # Whatever the tests were started by: nohup has SIGHUP ignored, and a shell's background SIGINT.
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        # Who leads a session and opens a terminal has it.
        f"if {terminal!r}: os.close(os.open({terminal!r}, os.O_RDWR))\n"
        f"command = [sys.executable, {str(folder / 'worker.py')!r}, {json.dumps(plan)!r}, {str(folder)!r}]\n"
        f"sys.exit(launch.supervise(command, {len(plan[0])}, {str(folder)!r}, patience={patience}))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=bool(terminal),
    ) as process:
        try:
            until(lambda: all((folder / f"begun-{worker}").exists() for worker in range(len(plan[0]))))
            yield process
        finally:
            process.kill()
            for file in folder.glob("pid-*"):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(file.read_text()), signal.SIGKILL)


def until(holds):
    while not holds():
        time.sleep(0.01)


def is_alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    # A child of nobody that waits for it.
    return "\nState:\tZ" not in pathlib.Path(f"/proc/{process}/status").read_text()


def begun(worker, *actions):
    return [actions[0], ["mark", f"begun-{worker}"], *actions[1:]]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_reaches_each_worker_once(folder, number):
    with supervisor(folder, [begun(0, "stops", "hang"), begun(1, "stops", "hang")]) as process:
        process.send_signal(number)
        assert process.wait() == 128 + number
    assert [(folder / f"signals-{worker}").read_text() for worker in (0, 1)] == [f"{number:d} "] * 2
    assert attempts(folder) == 1


def test_ctrl_c_in_a_terminal_reaches_each_worker_once(folder):
    ours, its = os.openpty()
    plan = [begun(0, "stops", "hang"), begun(1, "stops", "hang")]
    with supervisor(folder, plan, terminal=os.ttyname(its)) as process:
        os.write(ours, b"\x03")
        assert process.wait() == 128 + signal.SIGINT
    os.close(ours)
    os.close(its)
    assert [(folder / f"signals-{worker}").read_text() for worker in (0, 1)] == [f"{signal.SIGINT:d} "] * 2


def test_a_second_signal_ends_all_at_once(folder):
    with supervisor(folder, [begun(0, "notes", "hang"), begun(1, "notes", "hang")]) as process:
        process.send_signal(signal.SIGINT)
        until((folder / "signals-0").exists)
        assert "second signal" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 128 + signal.SIGTERM
        assert not any(is_alive(int(file.read_text())) for file in folder.glob("pid-*"))


def test_a_result_counts_though_a_signal_came(folder):
    first = begun(0, "notes", ["reached", "signals-0"], ["exit", 0])
    with supervisor(folder, [first, begun(1, "stops", "hang")]) as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0


def test_a_signal_while_a_broken_group_ends_starts_no_other(folder):
    plan = [begun(0, "notes", "hang"), [["mark", "begun-1"], ["reached", "begun-0"], *KILLED]]
    patience = "launch.Patience(poll=0.01, ends=0.1, terminates=1)"
    with supervisor(folder, plan, patience=patience) as process:
        until((folder / "signals-0").exists)
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 128 + signal.SIGTERM
    assert attempts(folder) == 1


def test_a_signal_that_one_worker_gets_stops_all(folder):
    with supervisor(
        folder, [begun(0, "stops", "hang"), begun(1, "stops", "hang")], patience="launch.Patience(ends=1)"
    ) as process:
        os.kill(int((folder / "pid-0-1").read_text()), signal.SIGTERM)
        assert process.wait() == 128 + signal.SIGTERM
    assert (folder / "signals-0").read_text() == f"{signal.SIGTERM:d} "
    assert attempts(folder) == 1


@pytest.mark.parametrize("kind", ["stops", "notes"])
def test_workers_end_with_a_supervisor_that_is_killed(folder, kind):
    with supervisor(folder, [begun(0, kind, "orphan", "hang"), begun(1, kind, "orphan", "hang")]) as process:
        process.kill()
        process.wait()
        # A test that hangs here has failed.
        until(lambda: not any(is_alive(int(file.read_text())) for file in folder.glob("pid-*")))
    assert [(folder / f"signals-{worker}").read_text() for worker in (0, 1)] == [f"{signal.SIGTERM:d} "] * 2


# The command.


def told(monkeypatch, tmp_path, *arguments):
    """What the command would supervise."""
    calls = []
    monkeypatch.setattr(launch, "supervise", lambda *values: calls.append(values) or 0)
    monkeypatch.chdir(tmp_path)
    assert main(["finetune", "--model=cifarnet", *arguments]) == 0
    (call,) = calls
    return call


def test_the_command_supervises(monkeypatch, tmp_path):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    (tmp_path / "flags.txt").write_text("--launch=3\n--steps=5\n")
    for spelling in (["--launch=3"], ["--launch", "3"], ["-launch=3"], ["--flagfile=flags.txt"]):
        command, number, train_dir, max_restarts, min_workers = told(monkeypatch, tmp_path, *spelling)
        assert (number, max_restarts, min_workers) == (3, 3, None)
        assert command[:4] == [sys.executable, "-m", "slimft.cli.launched", f"--train_dir={train_dir}"]
        assert train_dir.startswith("runs/cifarnet-digits-")
        assert command[4:] == ["--model=cifarnet", *spelling]
    command, _, train_dir, *_ = told(monkeypatch, tmp_path, "--train_dir=~/run", "--launch=2")
    assert command[3:] == ["--model=cifarnet", "--train_dir=~/run", "--launch=2"]
    assert train_dir == os.path.expanduser("~/run")


@pytest.mark.parametrize(
    "arguments, environment, word",
    [
        (["--launch=2"], {"TF_CONFIG": "{}"}, "TF_CONFIG is set"),
        (["--launch=2", "--find_lr"], {}, "--find_lr"),
        (["--launch=0"], {}, "launch"),
        (["--launch=65"], {}, "launch"),
        (["--max_restarts=1"], {}, "--launch"),
        (["--launch=2", "--max_restarts=-1"], {}, "max_restarts"),
        (["--launch=2", "--batch_size=0"], {}, "batch_size"),
    ],
)
def test_what_cannot_be_launched(monkeypatch, capsys, arguments, environment, word):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(launch, "supervise", lambda *_: pytest.fail("it was launched"))
    assert main(["finetune", "--model=cifarnet", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert word in line


def test_a_worker_launches_nothing(monkeypatch, capsys):
    monkeypatch.setenv("SLIMFT_LAUNCHED", "0")
    monkeypatch.setattr(launch, "supervise", lambda *_: pytest.fail("it was launched"))
    assert main(["finetune", "--model=cifarnet", "--launch=2", "--max_restarts=1", "--dry_run"]) == 0
    assert "variables" in capsys.readouterr().out


def test_the_supervisor_loads_no_tensorflow():
    code = (
        "import sys; from slimft.cli import finetune, launch; launch.supervise = lambda *_: 0; "
        "print(finetune.main(['finetune', '--model=cifarnet', '--launch=2']), 'tensorflow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert done.stdout == "0 False\n"


def test_ports_are_free_and_differ():
    import socket

    ports = workers.free_ports(8)
    assert len(set(ports)) == 8
    for port in ports:
        with socket.socket() as one:
            one.bind(("127.0.0.1", port))


@pytest.mark.parametrize(
    "visible, number, own",
    [
        ("0,1,2,3", 2, [["0", "2"], ["1", "3"]]),
        ("3, 5,7", 2, [["3"], ["5"]]),
        ("GPU-a,MIG-b", 2, [["GPU-a"], ["MIG-b"]]),
        ("-1", 2, [[], []]),
        ("", 3, [[], [], []]),
        ("4,-1,5", 1, [["4"]]),  # CUDA sees what comes before the first that is none.
    ],
)
def test_gpus_are_shared_out(monkeypatch, visible, number, own):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [workers.gpus_of(worker, number) for worker in range(number)] == own
    for worker in range(number):
        told = workers.environment_of(worker, [1] * number, 0, False)["CUDA_VISIBLE_DEVICES"]
        assert told == (",".join(own[worker]) or visible)


def test_too_few_gpus(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    with pytest.raises(UsageError, match="--launch=3: this machine has 2 GPUs"):
        launch.check(3, None)
