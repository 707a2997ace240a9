"""Scores as bytes: what several processes send and merge is what one that saw all has; other bytes are errors."""

import base64
import json
import string

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from slimft.tasks import get_task
from slimft.tasks.exact_sum import ExactSum
from slimft.tasks.packed import pack

TASKS = ("classification", "segmentation")
few = settings(deadline=None, max_examples=60)
every_task = pytest.mark.parametrize("name", TASKS)


def of_classification(random, number):
    num_classes = int(random.choice([2, 3, 40, 250]))
    # Between what a likeliest class has at least and 1, and often the same.
    confidence = random.uniform(1 / num_classes, 1, number).astype(np.float32)
    confidence[random.random(number) < 0.4] = 0.5
    made = {
        "targets": random.integers(0, num_classes, number, dtype=np.int32),
        "predicted": random.integers(0, num_classes, number, dtype=np.int32),
        "confidence": confidence,
        "losses": random.exponential(1, number).astype(np.float32) ** 9,
    }
    return num_classes, made


def of_segmentation(random, number):
    num_classes = int(random.choice([2, 5, 21]))
    confusion = random.integers(0, 50, (number, num_classes, num_classes), dtype=np.int32)
    confusion[random.random(number) < 0.2] = 0  # All of them void.
    confusion[0, 0, 0] += 1
    size = random.choice([[3, 4], [500, 7]])
    made = {
        "confusion": confusion,
        "losses": random.exponential(1, number).astype(np.float32) ** 9,
        "predicted": random.integers(0, num_classes, (number, *size)).astype(np.uint8),
    }
    return num_classes, made


MADE = {"classification": of_classification, "segmentation": of_segmentation}


def told(scores):
    """All that scores tell, as text: NaN is the same as NaN."""
    names = [f"class {label}" for label in range(scores.num_classes)]
    shown = [
        (index, {key: value.tolist() if hasattr(value, "tolist") else value for key, value in what.items()})
        for index, what in scores.mistakes()
    ]
    return json.dumps([scores.summary(), shown, scores.per_class(names), scores.findings(names)])


def add(scores, made, examples):
    scores.add({name: values[examples] for name, values in made.items()}, examples)


def sent(scores):
    data = scores.to_bytes()
    again = scores.from_bytes(data)
    assert type(again) is type(scores) and again.to_bytes() == data
    return again


@every_task
@few
@given(
    seed=st.integers(0, 2**32 - 1),
    number=st.integers(1, 90),
    processes=st.integers(1, 5),
    odd=st.sampled_from([None, np.nan, np.inf, -np.inf, 3e38]),
)
@example(seed=0, number=2, processes=5, odd=None)
def test_processes_together_have_what_one_has(name, seed, number, processes, odd):
    random, task = np.random.default_rng(seed), get_task(name)
    num_classes, made = MADE[name](random, number)
    if odd is not None:
        made["losses"][random.integers(number, size=3)] = odd
        if name == "classification":  # What is not finite has no probabilities.
            made["confidence"][~np.isfinite(made["losses"])] = np.nan
    whole = task.scores(num_classes)
    add(whole, made, np.arange(number))
    parts = [task.scores(num_classes) for _ in range(processes)]
    order, cuts = random.permutation(number), np.sort(random.integers(0, number + 1, random.integers(0, 9)))
    for batch in np.split(order, cuts):
        add(parts[random.integers(processes)], made, batch)
    merged = sent(parts[0])
    for other in parts[1:]:
        merged.merge(sent(other))
    assert told(sent(whole)) == told(whole)
    assert told(merged) == told(whole)
    assert merged.examples == number
    # And so it is without a wire.
    for other in parts[1:]:
        parts[0].merge(other)
    assert told(parts[0]) == told(whole)


@every_task
def test_no_examples(name):
    scores = sent(get_task(name).scores(4))
    assert scores.examples == 0 and scores.num_classes == 4 and not scores.mistakes()


def test_a_sum_beyond_any_float_is_exact():
    scores = get_task("classification").scores(2)
    ones, huge = np.ones(3, np.int32), np.float32([3.4e38, 1e-45, -3.4e38])
    scores.add({"targets": ones, "predicted": ones, "confidence": ones, "losses": huge}, np.arange(3))
    rest = ExactSum()
    rest.add(huge[1:2])
    assert sent(scores).summary()["loss"] == rest.mean(3) > 0


def test_the_settings_of_scores_are_sent_too():
    from slimft.tasks.classification_scores import ClassificationScores
    from slimft.tasks.segmentation_scores import SegmentationScores

    scores = ClassificationScores(3, bins=4, most_mistakes=2)
    add(scores, of_classification_of(3), np.arange(20))
    assert len(sent(scores).calibration()["bins"]) == 4 and len(sent(scores).mistakes()) == 2
    assert sent(SegmentationScores(3, shown=1))._shown == 1
    # A prediction may not be kept.
    scores = SegmentationScores(2)
    scores.add({"confusion": np.ones((1, 2, 2), np.int64), "losses": np.ones(1, np.float32)}, np.array([7]))
    ((index, shown),) = sent(scores).mistakes()
    assert index == 7 and shown["predicted"] is None


def of_classification_of(num_classes):
    random = np.random.default_rng(0)
    targets = random.integers(0, num_classes, 20)
    ones = np.ones(20, np.float32)
    return {"targets": targets, "predicted": (targets + 1) % num_classes, "confidence": ones, "losses": ones}


@every_task
def test_scores_of_other_classes_do_not_add(name):
    task = get_task(name)
    for one, other in ((3, 1), (3, 4)):
        with pytest.raises(ValueError, match=f"scores of {other} classes do not add to scores of {one}"):
            task.scores(one).merge(task.scores(other))


# Other bytes.


def some(name):
    scores = get_task(name).scores(3)
    made = of_classification_of(3)
    if name == "segmentation":
        made = {"confusion": np.ones((20, 3, 3), np.int64), "losses": made["losses"]}
        made["predicted"] = np.zeros((20, 2, 5), np.uint8)
    add(scores, made, np.arange(20))
    return scores


@every_task
@settings(deadline=None, max_examples=300)
@given(st.data())
def test_bytes_that_are_damaged_are_an_error_or_scores(name, data):
    """No other error, and what is read can be told and merged."""
    scores = some(name)
    damaged = bytearray(scores.to_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(damaged)))
        end = start + data.draw(st.integers(0, 4))
        damaged[start:end] = data.draw(st.text(string.printable, max_size=4)).encode()
    try:
        read = scores.from_bytes(bytes(damaged))
    except ValueError:
        return
    told(read)
    scores.merge(read)
    told(sent(scores))


def changed(name, **members):
    held = json.loads(some(name).to_bytes())
    held.update(members)
    return json.dumps(held).encode()


def i8(*values):
    return base64.b64encode(np.array(values, "<i8").tobytes()).decode()


DAMAGED = {
    "classification": [
        {"task": "segmentation"},
        {"num_classes": 0},
        {"num_classes": 1 << 40},
        {"num_classes": True},
        {"num_classes": "3"},
        {"bins": 1 << 61},
        {"examples": 21},
        {"examples": 20.0},
        {"losses": [1]},
        {"losses": [1 << 400, 0.0]},
        {"losses": [0, 0]},
        {"labels": i8(-1, 20, 1)},
        {"labels": i8(20, 0)},
        {"labels": i8(1 << 62, 1 << 62, 1 << 62)},
        {"labels": "&&&&"},
        {"labels": [1, 2, 3]},
        {"right": i8(20, 0, 0)},
        {"pairs": i8(-3, 1, 2)},
        {"pairs": i8(1, 1, 2)},
        {"pairs": i8(0, 1, 2)},
        {"pairs": i8(1, 2, 9)},
        {"pairs": i8(1, -(1 << 63), 2)},
        {"numbers": i8(1, 1, 1)},
        {"binned": i8(1)},
        {"binned": base64.b64encode(np.full((3, 15), np.nan).tobytes()).decode()},
        {"mistakes": None},
        {"mistakes": [[0, 1, 2]]},
        {"mistakes": [[0, 1, 3, 0.5]]},
        {"mistakes": [[-1, 1, 2, 0.5]]},
        {"mistakes": [[0, 1, 2, None]]},
    ],
    "segmentation": [
        {"task": "classification"},
        {"num_classes": 1 << 40},
        {"num_classes": 2},
        {"confusion": i8(*[-1] * 9)},
        {"confusion": i8(*[1 << 61] * 9)},
        {"images": [[0, 0.5, 0.5, None]]},
        {"images": [[0, None, 0.5, None, None]]},
        {"images": [[0, 0.5, 0.5, [2, 3], "AAAA"]]},
        {"images": [[0, 0.5, 0.5, [0, 3], ""]]},
        {"images": [[0, 0.5, 0.5, [1, 1000], "AAAA"]]},
        {"losses": None},
    ],
}


@pytest.mark.parametrize("name, members", [(name, one) for name, all_of in DAMAGED.items() for one in all_of])
def test_members_that_cannot_be(name, members):
    assert some(name).from_bytes(changed(name)).examples == 20
    with pytest.raises(ValueError):
        some(name).from_bytes(changed(name, **members))


@every_task
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"{}",
        b"[]",
        b"3",
        b"null",
        b"[" * 90_000,
        b"[" * 200_000,
        b"9" * 5000,
        b"\x80\x04N.",
        b"PK\3\4",
    ],
    ids=repr,
)
def test_bytes_that_are_no_scores(name, data):
    with pytest.raises(ValueError):
        some(name).from_bytes(data[: 1 << 20])


@every_task
def test_a_member_that_is_missing(name):
    held = json.loads(some(name).to_bytes())
    for key in held:
        with pytest.raises(ValueError, match=f"not an object with {key}"):
            some(name).from_bytes(json.dumps({other: held[other] for other in held if other != key}).encode())


def test_nothing_is_pickled():
    with pytest.raises((TypeError, AttributeError)):
        pack("classification", {"examples": object()})
