"""What --sweep may say, and what it may not."""

import pytest

from slimft.errors import SlimftError, UsageError
from slimft.search.space import Axis, corners, grid, read_sweep, settings_of


@pytest.mark.parametrize(
    "text, axis, values",
    [
        ("learning_rate:1e-4,3e-4", Axis("learning_rate", ("1e-4", "3e-4")), [1e-4, 3e-4]),
        ("--recipe:features, top", Axis("recipe", ("features", "top")), ["features", "top"]),
        ("batch_size:16,default", Axis("batch_size", ("16", "default")), [16, 32]),
        ("weight_decay:default,0", Axis("weight_decay", ("default", "0")), [None, 0.0]),
        ("flip:true,No", Axis("flip", ("true", "No")), [True, False]),
        ("trainable:head,top", Axis("trainable", ("head", "top")), [("head",), ("top",)]),
        ("freeze:a/b,c|d", Axis("freeze", ("a/b,c", "d")), [("a/b", "c"), ("d",)]),
        ("stage:1:head 2:all@0.001|3:all", Axis("stage", ("1:head 2:all@0.001", "3:all")),
         [("1:head", "2:all@0.001"), ("3:all",)]),
        ("max_number_of_steps:5,6", Axis("steps", ("5", "6")), [5, 6]),
    ],
)  # fmt: skip
def test_values(text, axis, values):
    (found,) = read_sweep([text], ranges=False)
    assert found == axis
    assert [settings_of({axis.name: choice})[axis.name] for choice in axis.choices] == values
    assert read_sweep([str(found)], ranges=False) == (axis,)  # As the record has it.


@pytest.mark.parametrize(
    "text, axis, is_whole",
    [
        ("learning_rate:1e-5..1e-2:log", Axis("learning_rate", (), 1e-5, 1e-2, True), False),
        ("label_smoothing:0..0.3", Axis("label_smoothing", (), 0.0, 0.3), False),
        ("batch_size:8..64:log", Axis("batch_size", (), 8, 64, True), True),
        ("seed:0..1234567", Axis("seed", (), 0, 1234567), True),
    ],
)
def test_ranges(text, axis, is_whole):
    (found,) = read_sweep([text], ranges=True)
    assert found == axis and found.is_whole == is_whole and read_sweep([str(found)], ranges=True) == (axis,)
    with pytest.raises(UsageError, match="a range needs --search"):
        read_sweep([text], ranges=False)


@pytest.mark.parametrize(
    "text, words",
    [
        ("learning_rate", "write FLAG:VALUE"),
        ("learning_rate:", "write FLAG:VALUE"),
        ("learning_rat:1,2", "did you mean learning_rate"),
        ("learning_rate:1e-4,fast", "'fast' is not a number"),
        ("learning_rate:nan,1", "must be a finite number"),
        ("batch_size:8.5", "'8.5' is not a whole number"),
        ("batch_size:0", "must be at least 1"),
        ("optimizer:adam,lion", "must be one of"),
        ("flip:maybe", "is not true or false"),
        ("learning_rate:0.10,0.1", "0.1 is there twice"),
        ("learning_rate:1,,2", "is not a number"),
        ("trainable:a||b", "must not be empty"),
        ("learning_rate:1e-2..1e-4", "to a larger one"),
        ("learning_rate:0..1:log", "begins above 0"),
        ("learning_rate:1e-4..1:steps", "what follows a range is :log"),
        ("label_smoothing:0..2", "must be at most 0.99"),
        ("weight_decay:default..1", "from a number"),
        ("fold:0,1", "validated otherwise"),
        ("data_dir:a,b", "validated otherwise"),
        ("validation_examples:3,4", "validated otherwise"),
        ("test_examples:3,4", "validated otherwise"),
        ("metric:accuracy,loss", "validated otherwise"),
        ("train_dir:a,b", "changes nothing of what is learned"),
    ],
)
def test_what_cannot_vary(text, words):
    with pytest.raises(SlimftError, match=words) as raised:
        read_sweep([text], ranges=True)
    assert "\n" not in str(raised.value)


def test_grid_and_corners():
    axes = read_sweep(["learning_rate:1,2", "head:linear,mlp,bn_mlp"], ranges=False)
    combinations = [tuple(one.values()) for one in grid(axes)]
    assert combinations == [(rate, head) for rate in ("1", "2") for head in ("linear", "mlp", "bn_mlp")]
    with pytest.raises(UsageError, match="is there twice"):
        read_sweep(["learning_rate:1,2", "learning_rate:3"], ranges=False)
    many = read_sweep(
        [f"{name}:{','.join(map(str, range(1, 30)))}" for name in ("seed", "epochs", "patience")], False
    )
    with pytest.raises(UsageError, match="24,389 combinations"):
        grid(many)
    axes = read_sweep(["learning_rate:1e-5..1", "head:linear,mlp,bn_mlp"], ranges=True)
    seen = list(corners(axes))
    assert {one["head"] for one in seen} == {"linear", "mlp", "bn_mlp"}
    assert {one["learning_rate"] for one in seen} == {1e-5, 1.0}
