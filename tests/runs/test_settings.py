"""Settings: their flags, their file, and what contradicts."""

import dataclasses
import json

import pytest
from absl import flags
from hypothesis import given
from hypothesis import settings as checked
from hypothesis import strategies as st

from slimft import SlimftError, UsageError
from slimft.cli.finetune import define_flags, settings_from
from slimft.nets import get_network
from slimft.runs.settings import DEFAULTS, kind_of
from slimft.runs.settings_file import as_flags, load_settings, read_settings, save_settings
from slimft.training import Settings
from slimft.training.completion import complete, notes_on
from slimft.training.stages import parse_multipliers, parse_stages, stages_of


def parsed(*arguments):
    values = flags.FlagValues()
    define_flags(values)
    assert values(["finetune", *arguments])[1:] == []
    return complete(settings_from(values))


LETTERS = st.characters(codec="ascii", categories=["L", "N"], include_characters="/_*,. '\"")
TEXT = st.text(LETTERS).filter(str.strip)
VALUES = {
    str: TEXT.map(str.strip).filter(bool),
    tuple: st.lists(TEXT.map(str.strip).filter(bool), max_size=3).map(tuple),
    bool: st.booleans(),
    int: st.integers(2, 4),
    float: st.floats(0.001, 0.5),
}


def filled(field, value):
    """A field's value as `complete` has it where there is no recipe."""
    value = DEFAULTS.get(field.name) if value is None else value
    return tuple(value) if isinstance(value, list) else value


def any_settings():
    """Random values of all fields, each of which its flag takes."""
    fields = {}
    for field in dataclasses.fields(Settings):
        choices = field.metadata["choices"]
        fields[field.name] = st.sampled_from(choices) if choices else VALUES[kind_of(field)]
        if kind_of(field) is int and (field.metadata["least"] or 0) > 2:
            fields[field.name] = st.integers(field.metadata["least"], field.metadata["most"])
        if field.default is None:
            fields[field.name] |= st.none()
    return st.builds(Settings, **{**fields, "model": st.just("vgg_16")})


@checked(deadline=None)
@given(settings=any_settings())
def test_flags_give_back_the_settings(settings):
    values = flags.FlagValues()
    define_flags(values)
    values(["finetune", *as_flags(settings)])
    for field in dataclasses.fields(Settings):
        if field.name == "train_dir":
            continue
        value = values[field.name].value
        assert filled(field, value) == filled(field, getattr(settings, field.name)), field.name


@checked(deadline=None)
@given(settings=any_settings())
def test_the_file_gives_back_the_settings(tmp_path_factory, settings):
    folder = tmp_path_factory.mktemp("run")
    settings = dataclasses.replace(settings, train_dir=str(folder))
    save_settings(settings)
    assert load_settings(folder) == settings


def test_a_run_can_be_repeated_from_its_files(tmp_path):
    first = parsed(
        "--model=vgg_16",
        "--ema=0.9",
        "--noflip",
        "--freeze=re:vgg_16/conv[12],vgg_16/fc6",
        "--stage=1:head",
        "--stage=2.5:all@0.001",
        f"--train_dir={tmp_path}",
    )
    save_settings(first)
    again = dataclasses.replace(first, train_dir="elsewhere", ema=0.5)
    elsewhere = ("--train_dir=elsewhere", "--ema=0.5")
    assert parsed(f"--settings={tmp_path}/settings.json", *elsewhere) == again
    assert parsed(f"--flagfile={tmp_path}/flags.txt", *elsewhere) == again
    assert parsed(f"--settings={tmp_path}/settings.json").train_dir != str(tmp_path)


def test_a_file_of_an_earlier_version(tmp_path):
    (tmp_path / "settings.json").write_text('{"model": "vgg_16", "steps": 3, "gone": 1, "exclude": ["a"]}')
    found = load_settings(tmp_path)
    assert (found.steps, found.exclude, found.head) == (3, ("a",), "linear")
    assert found.train_dir == str(tmp_path)


@pytest.mark.parametrize(
    "saved",
    [
        [],
        {"model": 3},
        {"model": "vgg_16", "steps": True},
        {"model": "vgg_16", "exclude": "a"},
        {"steps": 3},
        {"model": "vgg_16", "exclude": [1]},
        {"model": "vgg_16", "seed": None},
    ],
)
def test_files_that_are_no_settings(tmp_path, saved):
    (tmp_path / "settings.json").write_text(json.dumps(saved))
    with pytest.raises(SlimftError, match="settings.json (is no file of a run|cannot be read: it names no model)"):
        load_settings(tmp_path)
    with pytest.raises(SlimftError, match="missing.json cannot be read"):
        read_settings(tmp_path / "missing.json")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--recipe=scratch", "--checkpoint=x"], "--recipe=scratch trains from nothing"),
        (["--exclude=a"], "need a --checkpoint"),
        (["--batch_norm=frozen"], "needs a --checkpoint"),
        (["--stage=1:head", "--trainable=head"], "--stage and --trainable both"),
        (["--stage=1:head", "--steps=4"], "leave --steps out"),
        (["--stage=head"], "--stage=head must be EPOCHS:SCOPES"),
        (["--stage=0:head"], "must be EPOCHS:SCOPES"),
        (["--stage=1:head@fast"], "must be EPOCHS:SCOPES"),
        (["--lr_multiplier=head"], "--lr_multiplier=head must be SCOPE:FACTOR"),
        (["--lr_multiplier=head:0"], "must be SCOPE:FACTOR"),
        (["--augment=none", "--flip"], "--augment=none does not allow"),
        (["--mixup=0.2", "--batch_size=1"], "--batch_size of 2"),
        (["--clip_norm=0"], "--clip_norm=0.0 must be a positive number"),
        (["--mixup=nan"], "--mixup=nan must be a finite number"),
        (["--learning_rate=-1"], "--learning_rate=-1.0 must be a positive"),
        (["--ema=1"], "--ema"),
        (["--epochs=1e300"], "--epochs"),
        ([f"--steps={10**30}"], "--steps=1000000000000000000000000000000 must be at most 2147483647"),
        ([f"--batch_size={10**30}"], "--batch_size=1000000000000000000000000000000 must be at most"),
    ],
)
def test_settings_that_cannot_work(arguments, words):
    with pytest.raises((UsageError, flags.IllegalFlagValueError), match=words):
        parsed("--model=vgg_16", *arguments)


def test_a_file_of_settings_is_held_to_the_same_bounds(tmp_path):
    for field, value in (("epochs", -1.0), ("ema", 2.0), ("optimizer", "best"), ("batch_size", 0)):
        file = tmp_path / "settings.json"
        file.write_text(json.dumps({"model": "vgg_16", field: value}))
        with pytest.raises(SlimftError, match=f"settings.json is no file of a run: {field} is .*, which must be "):
            parsed(f"--settings={file}")


def test_a_recipe_gives_way_to_the_flags_that_are_given():
    given = Settings(model="mobilenet_v1", recipe="features", learning_rate=0.5, checkpoint="hed")
    found = parsed("--model=mobilenet_v1", "--recipe=features", "--learning_rate=0.5", "--checkpoint=hed")
    assert (found.learning_rate, found.checkpoint) == (0.5, "hed")
    assert found.trainable == ("MobilenetV1/Logits",)
    _, told = notes_on(given, found)
    assert told.startswith("--recipe=features is ") and "--trainable=MobilenetV1/Logits" in told
    assert "learning_rate" not in told
    assert complete(found) == found


def test_stages():
    assert parse_stages(["2:head", "0.5:a/b, c*@1e-4"]) == [(2.0, ("head",), None), (0.5, ("a/b", "c*"), 1e-4)]
    assert parse_multipliers(["head:10", "re:a:b:0.5"]) == [("head", 10.0), ("re:a:b", 0.5)]
    spec = get_network("vgg_16")
    staged = dict(stage=("2:head", "1:all@0.1"), batch_size=5, accumulate=2, learning_rate=0.3)
    settings = complete(Settings(model="vgg_16", **staged))
    first, second = stages_of(settings, spec, num_examples=100)
    assert (first.first_step, first.last_step, first.learning_rate) == (0, 20, 0.3)
    assert first.trainable == ("vgg_16/fc8",)
    assert (second.first_step, second.last_step, second.learning_rate) == (20, 30, 0.1)
    (only,) = stages_of(complete(Settings(model="vgg_16", epochs=0.5, batch_size=10)), spec, 100)
    assert (only.first_step, only.last_step, only.trainable) == (0, 5, ())
