"""A short run of the fuzzer; that it sees what it is to see; and what stands in the place of any file."""

import json
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))
from fuzz.containers import framed, message  # noqa: E402

sys.path.remove(str(HERE.parent))  # Or scripts of 2016 would find these tests as their nets.

FUZZER = f"""
import json, os, pathlib, signal, sys, time
sys.path[:0] = [{str(HERE.parent)!r}, {str(HERE.parents[1])!r}]
from fuzz import bounds, harness, target
"""


def test_a_short_run_finds_nothing(tmp_path):
    pytest.importorskip("h5py")
    command = [sys.executable, str(HERE / "run"), "--cases=10", "--seed=13", f"--failures={tmp_path / 'failures'}"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split("|")[1:-1] for line in done.stdout.splitlines() if line.startswith("| ") and "`" in line]
    assert len(rows) == 26
    for kind, cases, read, compared, *_, failures in rows:
        assert int(cases) >= 3 and int(read) and int(failures) == 0, kind
        alone = "note", "kinds", "squares", "cache", "report", "flags", "voc", "mask_image"
        if not any(f"`{name}`" in kind for name in alone):
            assert int(compared), kind
    assert not (tmp_path / "failures").exists()


PLANTED = """
class Planted(target.Target):
    name, kind, bound, references, strict = "planted", "planted", bounds.Bound(16 << 20, 1, 1), ("labels",), True

    def seeds(self):
        return [{"labels.txt": b"good"}]

    def mutated(self, rng, seeds):
        return {"labels.txt": FAULTS[self.next % len(FAULTS)].encode()}

    def read(self, folder):
        from slimft.errors import DataError
        fault = (folder / "labels.txt").read_text()
        if fault == "SIGSEGV":
            os.kill(os.getpid(), signal.SIGSEGV)
        elif fault == "hang":
            time.sleep(60)
        elif fault == "busy":
            while True:
                pass
        elif fault == "MiB of memory":
            len(bytearray(b"x" * (40 << 20)))
        elif fault == "out of memory":
            try:
                bytearray(1 << 30)
            except MemoryError:
                raise DataError("too large") from None
        elif fault == "KeyError":
            {}["x"]
        elif fault == "SystemExit":
            sys.exit(0)
        elif fault == "2 lines":
            # SlimftError itself writes a line break as two letters.
            raise type("Raw", (DataError,), {"__str__": lambda self: "one\\ntwo"})
        elif fault == "0 characters":
            raise DataError("")
        elif fault == "other data":
            return {"0": "other"}, 0
        elif fault == "the reference refuses":
            return {"0": fault, "1": "more"}, 0
        elif fault == "not even listed":
            return {}, 0
        elif fault == "refused":
            raise DataError("it is damaged")
        return {"0": fault}, 0

FAULTS = json.loads(sys.argv[1])
bounds.SECONDS = 1
planted = harness.TARGETS["planted"] = Planted()
fuzzer = harness.Fuzzer(pathlib.Path(sys.argv[2]))
fuzzer.prepare(planted)
found = {}
for number, fault in enumerate(FAULTS):
    planted.next = number
    found[fault] = fuzzer.case(planted, 1, number + 1)
assert fuzzer.case(planted, 1, 0) is None
fuzzer.close()
print(json.dumps(found))
"""
FAULTS = [
    "SIGSEGV", "hang", "busy", "MiB of memory", "out of memory", "KeyError", "SystemExit", "2 lines",
    "0 characters", "other data", "the reference refuses", "not even listed",
]  # fmt: skip


def test_what_is_planted_is_found_and_kept(run_python, tmp_path):
    harmless = ["refused", "a name"]
    found = json.loads(run_python(FUZZER + PLANTED, json.dumps(FAULTS + harmless), str(tmp_path)))
    assert [found.pop(name) for name in harmless] == [None, None]
    for fault, said in found.items():
        told = {"busy": "hang", "the reference refuses": "read, and the reference refuses"}.get(fault, fault)
        assert said is not None and told in said, (fault, said)
    kept = {path.parent.name: path.read_text() for path in tmp_path.glob("*/labels.txt")}
    assert kept == {f"planted-1-{number + 1}": fault for number, fault in enumerate(FAULTS)}


def test_a_good_file_that_is_refused_is_a_failure(run_python, tmp_path):
    code = FUZZER + PLANTED.replace("found = {}", "planted.read = None").replace("fuzzer.prepare(planted)", "")
    code = code[: code.index("for number")] + (
        "fuzzer._seeds['planted'] = [{'labels.txt': b'refused'}]\n"
        "fuzzer.tallies['planted'] = harness.Tally()\n"
        "del planted.read\n"
        "print(fuzzer.case(planted, 1, 0))\n"
    )
    assert "a good file is refused: it is damaged" in run_python(code, "[]", str(tmp_path))


def test_cases_follow_from_their_seed(run_python):
    code = (
        FUZZER
        + """
import hashlib, random
found = hashlib.sha256()
for one in harness.TARGETS.values():
    seeds = one.seeds()
    for number in range(20):
        files = one.mutated(random.Random(f"{sys.argv[1]} {number}"), seeds)
        found.update(repr(sorted(files.items())).encode())
print(found.hexdigest())
"""
    )
    assert run_python(code, "1") == run_python(code, "1") != run_python(code, "2")


def test_an_input_that_failed_is_read_again(tmp_path):
    (tmp_path / "case.json").write_text(json.dumps({"target": "labels"}))
    replay = [sys.executable, str(HERE / "run"), f"--replay={tmp_path / 'labels.txt'}"]
    (tmp_path / "labels.txt").write_text("cat\n\ndog\n")
    done = subprocess.run(replay, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, "it does not fail\n"), done.stderr


SPECIAL = """
kinds = {
    "pipe": os.mkfifo, "folder": os.mkdir, "zeros": lambda path: os.symlink("/dev/zero", path),
    "nowhere": lambda path: os.symlink("nowhere", path), "itself": lambda path: os.symlink(path, path),
    "empty": lambda path: open(path, "w").close(),
}
fuzzer, found = harness.Fuzzer(pathlib.Path("unused"), compare=False), {}
for name, one in harness.TARGETS.items():
    if name == "archive":  # slimft's own, of a download.
        continue
    fuzzer.prepare(one)
    good = one.seeds()[0]
    for file in good:
        for kind, make in kinds.items():
            place = pathlib.Path(sys.argv[1], name, file.replace("/", "-"), kind)
            harness.write(place, good)
            (place / file).unlink()
            make(place / file)
            failure = fuzzer.check(one, place)
            found[f"{name} {file} {kind}"] = failure or ("" if fuzzer.tallies[name].refusal else "read")
print(json.dumps(found))
"""


def test_pipes_devices_folders_and_links_in_the_place_of_files(run_python, tmp_path):
    """A pipe would hang, a device never end; the limits of the fuzzer apply."""
    pytest.importorskip("h5py")
    found = json.loads(run_python(FUZZER + SPECIAL, str(tmp_path)))
    assert len(found) > 100
    # A cache is made again; a directory without a state file is one too; and an empty file may say nothing.
    may = {name for name in found if name.startswith(("cache ", "state "))}
    may |= {"flags flags.txt empty", "tfrecord x_train.tfrecord empty"}
    may |= {f"note x.ckpt.sha256 {kind}" for kind in ("empty", "nowhere", "itself")}
    assert {name: said for name, said in found.items() if said and (said != "read" or name not in may)} == {}


DENSE = {
    "labels": b"1:\n" * 1_000_000,
    "csv": b"path,label\n" + b"".join(b"%x,1\n" % number for number in range(300_000)),
    "run": b'{"model": "vgg_16", "more": [' + b"[]," * 300_000 + b"1]}",
    "tfrecord": framed(message((1, message((1, b"\n\0" * 1_000_000))))),
    "state": b'model_checkpoint_path: "x"\n# ' + b"\n#" * 500_000,
}


@pytest.mark.parametrize("name", DENSE)
def test_memory_where_each_byte_makes_the_most(name, tmp_path):
    """Small inputs all fit into the fixed part of the bound; these do not."""
    (tmp_path / "dense").write_bytes(DENSE[name])
    read = [sys.executable, str(HERE / "run"), f"--target={name}", "--no-reference", f"--read={tmp_path / 'dense'}"]
    done = subprocess.run(read, capture_output=True, text=True, timeout=300)
    assert done.returncode in (0, 2), done.stdout + done.stderr
