"""Keywords mean what the command's flags of the same names mean."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest
from absl import flags
from hypothesis import given
from hypothesis import strategies as st

import slimft
from slimft.api.keywords import read_keywords, step_from, without_slims_names
from slimft.cli.finetune import define_flags, settings_from
from slimft.errors import PatternError, UsageError
from slimft.legacy.slim_flags import SLIM_FLAGS
from slimft.runs.settings import Settings, kind_of, out_of_bounds
from slimft.training.completion import complete

FIELDS = {field.name: field for field in dataclasses.fields(Settings)}
REFUSED = "refused"
EDGES = {
    int: st.integers(-3, 10) | st.sampled_from([4096, 4097, 2**31 - 1, 2**31]),
    float: st.floats(-2, 2) | st.floats() | st.integers(-2, 40),
    bool: st.booleans(),
    str: st.text("ab/~.:,\"' -", min_size=1, max_size=8),
    tuple: st.text('ab/*:," ', max_size=10) | st.lists(st.text("ab/*:", min_size=1, max_size=4), max_size=3),
}


def by_flag(name, *texts):
    """The field that the command makes of ``--name=text``, or `REFUSED`."""
    values = flags.FlagValues()
    define_flags(values)
    try:
        values(["finetune", *(f"--{name}={text}" for text in texts)])
    except (flags.Error, ValueError):
        return REFUSED
    value = values[name].value
    field = FIELDS[values[name].name]
    value = tuple(value) if isinstance(value, list) else value
    try:
        complete(Settings(**{"model": "vgg_16", field.name: value}))
    except UsageError as error:  # But not what contradicts something else.
        if str(error).startswith(f"--{field.name}={value} must be") or "is empty" in str(error):
            return REFUSED
    except PatternError:
        pass
    return value


def by_keyword(name, value):
    try:
        return read_keywords("finetune", {name: value})[name]
    except UsageError as error:
        assert str(error).startswith(name) and "\n" not in str(error)
        return REFUSED


def values_of(name):
    """Values of a field: of its choices too, where it has some."""
    field = FIELDS[name]
    values = EDGES[kind_of(field)]
    return values | st.sampled_from(field.metadata["choices"]) if field.metadata["choices"] else values


def same(one, other):
    # Also of one type, so that both write the same settings.json.
    return repr(one) == repr(other)


@given(
    st.sampled_from([name for name in FIELDS if name not in ("model", "stage")]).flatmap(
        lambda name: st.tuples(st.just(name), values_of(name))
    )
)
def test_a_keyword_is_the_flag(case):
    name, value = case
    if isinstance(value, list):
        assert same(by_keyword(name, value), by_flag(name, ",".join(value)))
        assert same(by_keyword(name, tuple(value)), by_flag(name, ",".join(value)))
    else:
        assert same(by_keyword(name, value), by_flag(name, value))


def test_every_field_is_tried_with_a_good_and_a_bad_value():
    good = {int: 2, float: 0.5, bool: True, str: "x", tuple: "a/b,c*"}
    bad = {int: "x", float: "x", bool: "maybe"}
    for name, field in FIELDS.items():
        kind, choices = kind_of(field), field.metadata["choices"]
        value = choices[-1] if choices else "vgg_16" if name == "model" else good[kind]
        value = max(value, field.metadata["least"] or 0) if kind is int else value
        assert same(by_keyword(name, value), by_flag(name, value)) and by_keyword(name, value) != REFUSED, name
        wrong = "no such choice" if choices else bad.get(kind)
        if wrong:
            assert by_keyword(name, wrong) == by_flag(name, wrong) == REFUSED, name


def test_slims_names_are_keywords():
    assert slimft.finetune.__module__ == "slimft.api"
    for field in FIELDS.values():
        alias = field.metadata["alias"]
        if alias:
            message = f"{alias} is slim's name of {field.name}; give one of them"
            with pytest.raises(UsageError, match=message):
                slimft.finetune(**{alias: None, field.name: None})
    assert without_slims_names({"model_name": "a", "seed": 1}, {"model_name": "model"}) == {"model": "a", "seed": 1}
    with pytest.raises(UsageError, match="no such network; did you mean vgg_16?"):
        slimft.finetune(model_name="vgg_166", checkpoint_exclude_scopes=["a"], max_number_of_steps=3)


def test_stages_are_a_string_or_a_list():
    for given_stages in ("2:head,conv5", ["2:head,conv5"], ("2:head", "3:all@0.01")):
        listed = [given_stages] if isinstance(given_stages, str) else list(given_stages)
        assert by_keyword("stage", given_stages) == by_flag("stage", *listed) == tuple(listed)


def test_what_python_has_other_types_for():
    told = read_keywords(
        "finetune",
        {
            "steps": np.int64(3),
            "epochs": 2,
            "learning_rate": np.float32(0.5),
            "cast": np.True_,
            "data_dir": pathlib.Path("a/b"),
            "rename": {"a": "b", "c": ["d", "e"]},
            "lr_multiplier": {"head": 10},
        },
    )
    assert told == {
        "steps": 3,
        "epochs": 2.0,
        "learning_rate": 0.5,
        "cast": True,
        "data_dir": "a/b",
        "rename": ("a:b", "c:d", "c:e"),
        "lr_multiplier": ("head:10",),
    }
    assert json.loads(json.dumps(told))["learning_rate"] == 0.5 and type(told["epochs"]) is float
    assert read_keywords("finetune", {"steps": None}) == {"steps": None}


@pytest.mark.parametrize(
    "keywords, message",
    [
        ({"modle": "vgg_16"}, "finetune has no keyword 'modle'; did you mean model?"),
        ({"qqqq": 1}, "finetune has no keyword 'qqqq'; help(slimft.finetune) lists them"),
        ({"steps": 0}, "steps=0 must be at least 1"),
        ({"steps": True}, "steps=True must be a whole number"),
        ({"steps": "3"}, "steps='3' must be a whole number"),
        ({"steps": 3.0}, "steps=3.0 must be a whole number"),
        ({"epochs": 10**400}, "epochs=1000000000"),
        ({"learning_rate": 0}, "learning_rate=0 must be a positive number"),
        ({"cast": 1}, "cast=1 must be True or False"),
        ({"batch_size": None}, "batch_size must not be None; leave it out for 32"),
        ({"balance": "x"}, "balance='x' must be one of none, loss, sampler"),
        ({"checkpoint": b"x"}, "checkpoint=b'x' must be a string"),
        ({"checkpoint": ""}, "checkpoint is empty; give it a value, or leave it out"),
        ({"exclude": {"a", "b"}}, "must be a list of strings, or one string with commas between them"),
        ({"exclude": [1]}, "exclude=[1] must be a list of strings"),
        ({"exclude": {"a": "b"}}, "must be a list of strings"),
        ({"exclude": "re:a{1,2}"}, "give a re: pattern with a comma, or one of several, in a list"),
        ({"exclude": '"a'}, "is no list with commas"),
        ({"num_clones": 4}, f"num_clones=4: {SLIM_FLAGS['num_clones'].instead}"),
    ],
)
def test_what_cannot_work_is_said(keywords, message):
    with pytest.raises(UsageError) as raised:
        read_keywords("finetune", keywords)
    assert message in str(raised.value) and len(str(raised.value)) < 200


def test_what_slim_asks_for_that_is_so_anyway_is_accepted():
    keywords = {"num_clones": 1, "clone_on_cpu": False, "adam_beta1": 0.9, "steps": 2}
    assert read_keywords("finetune", keywords) == {"steps": 2}


def test_a_step_to_resume_from():
    assert step_from(None) is None and step_from(np.int64(7)) == 7
    for wrong in (0, True, "7", 7.0):
        with pytest.raises(UsageError, match="resume_from="):
            step_from(wrong)


def test_a_file_of_settings_is_the_commands(tmp_path):
    """The same file, flag and keyword make the same settings; a recipe counts more than the file."""
    from slimft.training.completion import over_file

    file = tmp_path / "settings.json"
    saved = {"model": "vgg_16", "steps": 7, "train_dir": "x", "exclude": ["a"], "checkpoint": "c"}
    file.write_text(json.dumps(saved))
    for arguments, keywords in (
        (["--seed=3"], {"seed": 3}),
        (["--recipe=scratch", "--exclude="], {"recipe": "scratch", "exclude": ""}),
    ):
        values = flags.FlagValues()
        define_flags(values)
        values(["finetune", f"--settings={file}", *arguments])
        made = over_file(read_keywords("finetune", keywords), pathlib.Path(file))
        assert made == settings_from(values) and made.steps == 7 and made.train_dir is None
    assert made.checkpoint is None


def test_help_lists_every_keyword():
    import inspect

    parameters = inspect.signature(slimft.finetune).parameters
    assert list(parameters) == [*FIELDS, "data", "settings", "resume_from", "dry_run", "child_process"]
    for name, field in FIELDS.items():
        assert parameters[name].default == field.default and f"    {name}" in slimft.finetune.__doc__


def test_bounds_are_told_as_in_a_file_of_settings():
    with pytest.raises(UsageError, match=out_of_bounds(FIELDS["momentum"], 2.0)):
        read_keywords("finetune", {"momentum": 2.0})
