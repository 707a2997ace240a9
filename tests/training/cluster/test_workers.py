"""Several processes train what one trains: their losses, their weights, their results."""

import json
import shutil
import types

import numpy as np
import pytest

import slimft
from slimft.compat import tf
from slimft.runs.settings import Settings
from slimft.training import finetune
from slimft.training.run import prepare

FAST = {"dataset": "digits", "precision": "float32", "batch_size": 16}
# Fifty steps: neither dropout nor batch normalization; both, over the whole batch.
PLAIN = {**FAST, "model": "cifarnet"}
SYNCHRONISED = {**FAST, "model": "tiny", "sync_batch_norm": True, "seed": 3}
# A few steps of what has to do with the batch as a whole, in shares of different sizes.
EVERYTHING = {
    **SYNCHRONISED, "head": "bn_mlp", "batch_size": 17, "accumulate": 2, "augment": "strong", "mixup": 0.2,
    "cutmix": 1.0, "clip_norm": 1.0, "ema": 0.9, "label_smoothing": 0.1, "balance": "sampler",
}  # fmt: skip
# Evaluated in parts: 9 batches of the test split, which neither 2 nor 4 divide.
WHOLE = {
    **FAST, "model": "cifarnet", "steps": 30, "eval_every": 10, "patience": 2, "learning_rate": 0.005,
    "batch_size": 40, "schedule": "fixed",
}  # fmt: skip


def steps_of_one(folder, settings, steps):
    run = prepare(Settings(**{"steps": 100, "train_dir": str(folder), **settings}))
    with run.training.graph.as_default(), run.new_session() as session:
        run.restore(session)
        run.start_batches(session, 0)
        measured = [run.take_step(session).values for _ in range(steps)]
        run.training.parts.put_back(session)
        return measured, {variable.op.name: session.run(variable) for variable in tf.global_variables()}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """What one process measures in each of fifty steps, and the variables after 3 of them and after all."""
    run = prepare(Settings(**{"steps": 100, "train_dir": str(tmp_path_factory.mktemp("plain")), **PLAIN}))
    measured, variables = [], {}
    with run.training.graph.as_default(), run.new_session() as session:
        run.restore(session)
        run.start_batches(session, 0)
        for steps in (3, 50):
            measured += [run.take_step(session).values for _ in range(steps - len(measured))]
            run.training.parts.put_back(session)
            variables[steps] = {variable.op.name: session.run(variable) for variable in tf.global_variables()}
    return types.SimpleNamespace(measured=measured, variables=variables)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The directory of a whole run of one process, which no test changes, and its result."""
    folder = tmp_path_factory.mktemp("whole") / "one"
    return folder, finetune(Settings(**WHOLE, train_dir=str(folder)))


def assert_agree(one, other, losses, weights):
    """What each step measures agrees, relatively, and the variables, by their norms."""
    assert one[1].keys() == other[1].keys()
    for left, right in zip(one[0], other[0], strict=True):
        for name in left:
            assert left[name] == pytest.approx(right[name], rel=losses, abs=losses), name
    for name, value in one[1].items():
        if not name.endswith("Momentum"):
            distance = np.linalg.norm(np.asarray(value, float) - other[1][name])
            assert distance <= weights * np.linalg.norm(np.asarray(value, float)) + 1e-9, name


@pytest.fixture(scope="module")
def several(together, tmp_path_factory):
    """What 2 and 4 processes leave of all cases."""
    folder = tmp_path_factory.mktemp("several")

    def cases(number):
        def case(settings, **more):
            return {"settings": {"steps": 100, "train_dir": str(folder / "none"), **settings}, **more}

        own = folder / f"whole{number}"
        found = {"plain": case(PLAIN, steps=50), "whole": {"settings": {**WHOLE, "train_dir": str(own)}}}
        if number == 4:
            return {**found, "synchronised": case(SYNCHRONISED, steps=50)}
        return {
            **found,
            "everything": case(EVERYTHING, steps=3),
            "wire": case({**PLAIN, "wire_precision": "bfloat16"}, steps=3),
            "float16": case({**SYNCHRONISED, "precision": "float16"}, steps=3),
            "devices": case({**PLAIN, "num_replicas": 2, "batch_size": 18}, steps=3),
            "goes_on": {"settings": {**WHOLE, "train_dir": str(own), "steps": 40, "patience": 0}},
            "stages": {
                "settings": {
                    **FAST, "model": "tiny", "stage": ["0.05:head", "0.05:all"], "sync_batch_norm": True, "seed": 3,
                    "train_dir": str(folder / "stages2"), "batch_size": 32,
                }
            },
            "flags": case(PLAIN, steps=1, of={"1": {"batch_size": 18, "seed": 5}}),
        }  # fmt: skip

    found = {number: together(number, cases(number), SLIMFT_CPU_DEVICES="2") for number in (2, 4)}
    return found, folder


@pytest.mark.parametrize("number", [2, 4])
def test_fifty_steps_are_those_of_one_process(several, plain, number):
    one = plain.measured, plain.variables[50]
    for measured, variables in zip(several[0][number].json("plain"), several[0][number].variables("plain")):
        assert_agree(one, (measured, variables), losses=5e-6, weights=1e-5)


def test_fifty_steps_with_synchronised_batch_normalization(several, tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("SLIMFT_CPU_DEVICES", "2")
    towers = steps_of_one(tmp_path, {**SYNCHRONISED, "num_replicas": 2}, 50)
    for measured, variables in zip(several[0][4].json("synchronised"), several[0][4].variables("synchronised")):
        assert_agree(towers, (measured, variables), losses=5e-6, weights=1e-5)


def test_whatever_is_asked_for(several, tiny, tmp_path):
    one = steps_of_one(tmp_path, EVERYTHING, 3)
    for measured, variables in zip(several[0][2].json("everything"), several[0][2].variables("everything")):
        assert_agree(one, (measured, variables), losses=2e-5, weights=2e-4)


def test_devices_of_processes(several, tmp_path):
    one = steps_of_one(tmp_path, {**PLAIN, "batch_size": 18}, 3)
    for measured, variables in zip(several[0][2].json("devices"), several[0][2].variables("devices")):
        assert_agree(one, (measured, variables), losses=5e-6, weights=1e-5)


def test_bfloat16_on_the_wire_rounds(several, plain):
    one = plain.variables[3]
    first, second = several[0][2].variables("wire")
    for name, value in one.items():
        np.testing.assert_array_equal(first[name], second[name])  # All have what went over the wire.
        np.testing.assert_allclose(first[name], value, atol=2e-3)
    differing = [name for name, value in one.items() if not np.allclose(first[name], value, rtol=1e-5)]
    assert differing  # It was bfloat16.


def test_float16_agrees_roughly(several, tiny, tmp_path):
    one = steps_of_one(tmp_path, {**SYNCHRONISED, "precision": "float16"}, 3)
    (measured, _) = several[0][2].json("float16")
    assert [step["loss"] for step in measured] == pytest.approx([step["loss"] for step in one[0]], rel=0.02)


@pytest.mark.parametrize("number", [2, 4])
def test_a_whole_run(several, whole, number):
    """Validations, the best checkpoint, early stopping and the result are those of one process; one writes."""
    found, folder = several
    of_one, one = whole
    results = found[number].json("whole")
    for result in results:
        for name in ("examples", "accuracy", "macro_f1", "step", "last_step", "best_validation_accuracy"):
            assert result[name] == pytest.approx(one[name], abs=1e-6), name
        assert result["loss"] == pytest.approx(one["loss"], rel=1e-4)
        assert result["checkpoint"].startswith(str(folder / f"whole{number}"))
    assert [("report" in result) for result in results] == [True] + [False] * (number - 1)
    history = [json.loads((run / "history.json").read_text()) for run in (of_one, folder / f"whole{number}")]
    for ours, theirs in zip(history[0]["validation"], history[1]["validation"]):  # Two have gone on since.
        assert ours == pytest.approx(theirs, rel=1e-4)
    report = (folder / f"whole{number}" / "report.html").read_text()
    assert "confusion" in report.lower()


def test_what_several_saved_one_resumes_and_the_other_way_round(several, whole, tmp_path):
    found, folder = several
    assert [result["last_step"] for result in found[2].json("goes_on")] == [40, 40]
    one = finetune(Settings(**{**WHOLE, "steps": 40, "patience": 0, "train_dir": str(folder / "whole4")}))
    resumed = shutil.copytree(whole[0], tmp_path / "whole")
    alone = finetune(Settings(**{**WHOLE, "steps": 40, "patience": 0, "train_dir": str(resumed)}))
    checkpoints = [
        slimft.open_checkpoint(result["checkpoint"]) for result in (one, alone, found[2].json("goes_on")[0])
    ]
    for name in checkpoints[0]:
        if not name.endswith("Momentum"):
            for other in checkpoints[1:]:
                distance = np.linalg.norm(checkpoints[0][name] - other[name])
                assert distance <= 0.05 * np.linalg.norm(other[name]), name  # Rounding grows.


def test_stages(several, tiny, tmp_path):
    found, folder = several
    settings = {
        **FAST, "model": "tiny", "stage": ("0.05:head", "0.05:all"), "sync_batch_norm": True, "seed": 3,
        "batch_size": 32,
    }  # fmt: skip
    one = finetune(Settings(**settings, train_dir=str(tmp_path / "one")))
    for result in found[2].json("stages"):
        assert result["last_step"] == one["last_step"]
        assert result["loss"] == pytest.approx(one["loss"], rel=1e-3)


def test_other_flags_are_found_out(several):
    for error in several[0][2].errors("flags"):
        assert error.startswith("UsageError 2: worker 1 (127.0.0.1:")
        assert "has --batch_size=18, and worker 0" in error and "--batch_size=16; start all with the same" in error
