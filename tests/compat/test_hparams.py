"""HParams: as scripts of tf.contrib.training use it."""

import copy

import numpy as np
import pytest

from slimft.compat import tf
from slimft.compat.hparams import HParams


@pytest.fixture
def hparams():
    return HParams(rate=0.5, steps=10, name="a", bounded=False, sizes=[1, 2, 3], extra=None)


def test_it_is_tf_contribs(hparams):
    assert tf.contrib.training.HParams is HParams
    assert (hparams.rate, hparams.steps, hparams.name, hparams.bounded) == (0.5, 10, "a", False)
    assert "rate" in hparams and "raet" not in hparams
    assert hparams.get("rate") == 0.5 and hparams.get("raet", 3) == 3
    assert hparams.values() == {
        "rate": 0.5, "steps": 10, "name": "a", "bounded": False, "sizes": [1, 2, 3], "extra": None,
    }  # fmt: skip


def test_a_copy_is_of_its_own(hparams):
    other = copy.deepcopy(hparams)
    other.set_hparam("sizes", [4])
    other.add_hparam("more", 1)
    assert hparams.sizes == [1, 2, 3] and "more" not in hparams
    other.del_hparam("more")
    assert "more" not in other and not hasattr(other, "more")


@pytest.mark.parametrize(
    "text, name, value",
    [
        ("rate=2", "rate", 2.0),
        ("steps=-3", "steps", -3),
        ("steps=4, name=b c ", "name", "b c"),
        ("name=", "name", ""),
        ("bounded=True", "bounded", True),
        ("bounded=0", "bounded", False),
        ("sizes=[4,5]", "sizes", [4, 5]),
        ("sizes[1]=7,steps=1", "sizes", [1, 7, 3]),
        ("extra=x", "extra", "x"),
        ("", "steps", 10),
    ],
)
def test_parse(hparams, text, name, value):
    assert hparams.parse(text) is hparams
    assert getattr(hparams, name) == value and type(getattr(hparams, name)) is type(value)


@pytest.mark.parametrize(
    "text, message",
    [
        ("steps", "'steps' is not of the form NAME=VALUE"),
        ("steps=1,,rate=2", "',rate=2' is not of the form"),
        ("stepz=1", "no hyperparameter stepz; there are rate, steps, name"),
        ("steps=1.5", "steps is of type int, and '1.5' is not"),
        ("bounded=yes", "bounded is of type bool, and 'yes' is not"),
        ("sizes=4", "sizes is a list"),
        ("steps=[4]", "steps is no list"),
        ("sizes[3]=1", "sizes has no element 3"),
    ],
)
def test_what_cannot_be_parsed(hparams, text, message):
    with pytest.raises(ValueError) as caught:
        hparams.parse(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "name, value",
    [("steps", 1.0), ("steps", True), ("bounded", 1), ("rate", "1"), ("name", 1), ("sizes", [1, "2"])],
)
def test_a_value_keeps_its_type(hparams, name, value):
    with pytest.raises(ValueError, match=f"hyperparameter {name} is of type"):
        hparams.set_hparam(name, value)


def test_numbers_become_floats_where_they_were(hparams):
    hparams.override_from_dict({"rate": 1, "steps": np.int64(3)})
    assert type(hparams.rate) is float and type(hparams.steps) is int
    assert HParams(rate=0.1).parse_json(HParams(rate=0.25).to_json()).rate == 0.25


def test_unknown_and_taken_names(hparams):
    with pytest.raises(KeyError, match="no hyperparameter raet"):
        hparams.set_hparam("raet", 1)
    for name in ("rate", "extra", "values"):
        with pytest.raises(ValueError, match=f"hyperparameter name {name} is taken"):
            hparams.add_hparam(name, 1)
    with pytest.raises(ValueError, match="empty list"):
        HParams(sizes=[])
