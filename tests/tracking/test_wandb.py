"""Weights & Biases without a network: what it wrote, to be uploaded later, read back."""

import json
import struct

import pytest

from slimft.tracking.base import FINISHED, KILLED
from slimft.tracking.following import upload

pytest.importorskip("wandb", reason="needs wandb, of the extra wandb")

_BLOCK, _HEADER = 32768, 7
_FULL, _LAST = 1, 4


def records_in(file):
    """The records of a .wandb file: LevelDB's log format, of protobufs."""
    from wandb.proto import wandb_internal_pb2

    data = file.read_bytes()
    at, whole = _HEADER, b""
    while at < len(data):
        if _BLOCK - at % _BLOCK < _HEADER:
            at += _BLOCK - at % _BLOCK
            continue
        _, size, kind = struct.unpack_from("<IHB", data, at)
        whole += data[at + _HEADER : at + _HEADER + size]
        at += _HEADER + size
        if kind in (_FULL, _LAST):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(whole)
            yield record
            whole = b""


def values_of(items):
    return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}


@pytest.fixture
def written(monkeypatch, tmp_path, made_run):
    """A function that uploads the run, and returns all records by their kind."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_ARTIFACT_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "wandb_of_user"))
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    made_run.change(track=("wandb",))
    seen = set()

    def run(status):
        upload(made_run.settings, status)
        (file,) = set(tmp_path.glob("wandb/offline-run-*/run-*.wandb")) - seen
        seen.add(file)
        found = {}
        for record in records_in(file):
            kind = record.WhichOneof("record_type")
            found.setdefault(kind, []).append(getattr(record, kind))
        return found

    return run


def test_a_run_that_was_killed_and_resumed(made_run, written):
    made_run.train_to(25)
    first = written(KILLED)
    made_run.train_to(50)
    made_run.end(50)
    second = written(FINISHED)
    (run,) = first["run"]
    assert (run.project, run.display_name) == ("slimft", "run") and "model: lenet" in run.tags
    assert second["run"][0].run_id == run.run_id
    config = {}
    for part in second["config"]:
        config.update(values_of(part.update))
    assert config["model"] == "lenet" and config["batch_size"] == 32
    points = [values_of(point.item) for part in (first, second) for point in part["history"]]
    assert [point["_step"] for point in points] == [point["step"] for point in points] == [10, 20, 25, 30, 40, 50]
    assert points[-1]["train/loss"] == 1 / 50 and points[-1]["validation/loss"] == 2 / 50
    summary = {}
    for part in second["summary"]:
        summary.update(values_of(part.update))
    assert summary["test/accuracy"] == 0.75 and summary["status"] == FINISHED
    assert [part["exit"][0].exit_code for part in (first, second)] == [1, 0]
    files = {file.path for part in (*first["files"], *second["files"]) for file in part.files}
    assert {"report.html", "settings.json", "history.json"} <= files
    (artifact,) = second["artifact"]
    assert "model.ckpt-50.index" in {entry.path for entry in artifact.manifest.contents}
    assert "artifact" not in first
