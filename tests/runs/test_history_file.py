"""history.json as it is read: what a run wrote comes back, and all else is an error of ours."""

import json

import pytest
from hypothesis import given
from hypothesis import settings as checked
from hypothesis import strategies as st

from slimft.errors import SlimftError
from slimft.runs.history import History, Sums
from slimft.runs.history_file import read_history
from slimft.tasks import get_task

ACCURACY = get_task("classification").figures[0]
FIGURES = st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-9, 10**20)
GOOD = {
    "train": [{"step": 10, "loss": 2.0, "seconds": 1.5}, {"step": 20, "loss": 1.0, "seconds": 3.0}],
    "validation": [{"step": 10, "accuracy": 0.5, "loss": 1.1}, {"step": 20, "accuracy": 0.75, "loss": 0.9}],
    "best_step": 20,
    "metric": "accuracy",
    "sums": [{"step": 20, "steps": 0, "seconds": 0.0, "loss": 0.0, "accuracy": 0.0}],
    "best_from": 0,
    "kept": None,
    "saved": 10,
}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["step", "a"]), inner, max_size=2),
    max_leaves=6,
)


def places(value, path=()):
    """The paths of all parts of a JSON value."""
    yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in inside:
        yield from places(inner, (*path, key))


def replaced(value, path, other):
    """`value` with `other` at the place `path`."""
    holder = {"whole": json.loads(json.dumps(value))}
    whole = holder
    for key in ("whole", *path)[:-1]:
        holder = holder[key]
    holder[("whole", *path)[-1]] = other
    return whole["whole"]


@checked(deadline=None)
@given(steps=st.sets(st.integers(0, 2**40), max_size=6), figures=st.lists(FIGURES, min_size=6, max_size=6))
def test_what_a_run_writes_comes_back(tmp_path_factory, steps, figures):
    folder = tmp_path_factory.mktemp("run")
    made = History(str(folder), ACCURACY)
    made.train = [{"step": step, "loss": figure} for step, figure in zip(sorted(steps), figures)]
    for step in sorted(steps):
        made.add_validation(step, {"accuracy": 0.5, "loss": 1, "other": 7})
    made.sums, made.saved = Sums(max(steps, default=0), 2, 0.5, {"loss": 1.25, "accuracy": 0.1}), 3
    made.save()
    train, validation, best_step, metric, *_ = read_history(folder / "history.json")
    assert (train, validation, metric) == (made.train, made.validation, "accuracy")
    assert best_step == (min(steps) if steps else None)
    assert all(type(record["step"]) is int for record in train)
    again = History(str(folder), ACCURACY)
    again.load(max(steps, default=0))
    assert (again.train, again.validation, again.sums, again.saved) == (train, validation, made.sums, 3)


@checked(deadline=None)
@given(path=st.sampled_from(list(places(GOOD))), other=ANYTHING)
def test_anything_anywhere(tmp_path_factory, path, other):
    file = tmp_path_factory.getbasetemp() / "history.json"
    file.write_text(json.dumps(replaced(GOOD, path, other)))
    try:
        train, validation, best_step, *_ = read_history(file)
    except SlimftError as error:
        assert str(file) in str(error) and "\n" not in str(error)
        return
    for records in (train, validation):
        steps = [record["step"] for record in records]
        assert steps == sorted(set(steps)) and all(type(step) is int for step in steps)
        values = [value for record in records for value in record.values() if value is not None]
        assert all(not isinstance(value, bool) and abs(value) < float("inf") for value in values)
    assert best_step is None or best_step in [record["step"] for record in validation]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"train": [{"step": 20}, {"step": 10}]}, "train[1].step is 10, which is not above the step before it, 20"),
        ({"validation": [{"step": 20}, {"step": 20}]}, "validation[1].step is 20"),
        ({"train": [{"step": 1.0}]}, "train[0].step is a number where a whole number"),
        ({"train": [{"step": True}]}, "train[0].step is true or false where"),
        ({"train": [{"loss": 1.0}]}, "train[0] is an object where a row with a step"),
        ({"train": [{"step": 1, "loss": "1"}]}, "train[0].loss is a string where a number"),
        ({"train": None}, "train is null where a list"),
        ({"best_step": 15}, "best_step is 15, of which there is no validation"),
        ({"metric": 3}, "metric is a number where a string"),
    ],
)
def test_damaged_histories(tmp_path, change, words):
    (tmp_path / "history.json").write_text(json.dumps(GOOD | change))
    with pytest.raises(SlimftError) as caught:
        read_history(tmp_path / "history.json")
    assert words in str(caught.value)


def test_figures_that_are_not_finite_are_none(tmp_path):
    (tmp_path / "history.json").write_text(
        '{"train": [], "validation": [{"step": 3, "accuracy": NaN, "loss": Infinity, "x": 1e308}]}'
    )
    assert read_history(tmp_path / "history.json").validation == [
        {"step": 3, "accuracy": None, "loss": None, "x": 1e308}
    ]
