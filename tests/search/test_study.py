"""What Optuna is told and asked, against SciPy and against medians written out."""

import statistics
import sys

import numpy as np
import pytest
from scipy import stats

from slimft.errors import DataError, UsageError
from slimft.search.record import Record, Trial, read_record
from slimft.search.space import read_sweep
from slimft.search.study import check_optuna, is_to_prune, suggest

SWEEP = ["learning_rate:1e-5..1e-1:log", "batch_size:8..64", "head:linear,mlp"]


def record(kind="tpe", sweep=SWEEP, seed=0, **changes):
    return Record(kind, seed, read_sweep(sweep, True), "accuracy", True, {"model": "tiny"}, **changes)


def run(found, number, value):
    """Adds trials as a search does; `value` of parameters is what they come to."""
    for _ in range(number):
        parameters = suggest(found)
        found.trials.append(Trial(len(found.trials) + 1, parameters, "complete", value(parameters), 1.0, 5))
    return found.trials


def test_random_is_random():
    found = record("random")
    run(found, 120, lambda parameters: 0.5)
    rates = np.log10([trial.parameters["learning_rate"] for trial in found.trials])
    assert stats.kstest(rates, stats.uniform(-5, 4).cdf).pvalue > 0.01
    sizes = [trial.parameters["batch_size"] for trial in found.trials]
    assert all(isinstance(size, int) and 8 <= size <= 64 for size in sizes) and len(set(sizes)) > 30
    heads = [trial.parameters["head"] for trial in found.trials]
    assert stats.binomtest(heads.count("mlp"), 120).pvalue > 0.01


def test_tpe_goes_to_where_it_is_good():
    def value(parameters):
        return -abs(np.log10(parameters["learning_rate"]) + 2) - (parameters["head"] == "linear")

    found = record(sweep=[SWEEP[0], SWEEP[2]])
    trials = run(found, 40, value)
    late = [trial.value for trial in trials[20:]]
    blind = [trial.value for trial in run(record("random", sweep=[SWEEP[0], SWEEP[2]]), 40, value)[20:]]
    assert statistics.median(late) > statistics.median(blind) + 0.3


def test_a_trial_depends_on_what_was_before_it_alone(tmp_path):
    whole = record()
    run(whole, 14, lambda parameters: parameters["learning_rate"])
    whole.trials[3].state, whole.trials[3].value = "failed", None
    expected = suggest(whole)
    whole.save(tmp_path)
    again = read_record(tmp_path)
    assert again == whole and suggest(again) == expected
    assert suggest(record(seed=1)) != suggest(record(seed=0))


def test_what_fails_is_avoided():
    """Half of the range fails: of the last 60 of three searches far fewer are of it than the 30 by chance."""
    failed = 0
    for seed in (1, 2, 3):
        found = record(sweep=SWEEP[:1], seed=seed)
        for number in range(1, 41):
            parameters = suggest(found)
            fails = parameters["learning_rate"] > 1e-3
            state, value = ("failed", None) if fails else ("complete", 0.5)
            found.trials.append(Trial(number, parameters, state, value, 1.0, 5))
        failed += sum(trial.state == "failed" for trial in found.trials[20:])
    assert failed <= 20


@pytest.mark.parametrize("larger", [True, False])
@pytest.mark.parametrize("kind", ["grid", "tpe"])
def test_pruning_is_by_the_median(kind, larger):
    sweep = ["learning_rate:1,2,3,4,5"] if kind == "grid" else ["learning_rate:1..5"]
    found = record(kind, sweep)
    found.larger_is_better = larger
    values = [[0.1, 0.5, 0.6], [0.2, 0.3, 0.9], [0.3, 0.9, 0.9], [0.4, 0.7, 0.8]]
    for number, one in enumerate(values, 1):
        rate = str(number) if kind == "grid" else float(number)
        found.trials.append(Trial(number, {"learning_rate": rate}, "complete", one[-1], 1.0, 9, values=one))
    running = Trial(5, {"learning_rate": "5" if kind == "grid" else 5.0})
    found.trials.append(running)
    median = statistics.median(one[1] for one in values)
    better, worse = (median + 0.05, median - 0.05) if larger else (median - 0.05, median + 0.05)
    for told, expected in [([worse], False), ([worse, better], False), ([worse, worse], True)]:
        running.values = told
        assert is_to_prune(found, running) == expected
    del found.trials[0]  # Three say too little.
    assert not is_to_prune(found, running)


def test_without_optuna(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UsageError, match="--search=tpe needs Optuna: pip install"):
        check_optuna("--search=tpe")


@pytest.mark.parametrize(
    "damage, words",
    [
        (("\"version\": 1", "\"version\": 2"), "version"),
        (("\"kind\": \"tpe\"", "\"kind\": \"all\""), "kind"),
        (("learning_rate:", "learning_rat:"), "no sweep"),
        (("\"number\": 2", "\"number\": 7"), r"trials\[1\].number"),
        (("\"state\": \"complete\"", "\"state\": \"good\""), "state"),
        (("\"head\"", "\"tail\""), "not of the flags that vary"),
        (("\"precision\": \"\"", "\"precision\": \"int4\""), "precision"),
        (("{", "["), "JSON"),
    ],
)  # fmt: skip
def test_a_damaged_record(tmp_path, damage, words):
    found = record()
    run(found, 2, lambda parameters: 0.5)
    found.save(tmp_path)
    file = tmp_path / "search.json"
    text = file.read_text()
    assert damage[0] in text
    file.write_text(text.replace(*damage))
    with pytest.raises(DataError, match=words):
        read_record(tmp_path)
