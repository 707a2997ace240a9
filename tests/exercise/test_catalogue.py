"""What the catalogue says can be run: the flags of every step, at every scale, from all that it may start from."""

import importlib.util
import pathlib

import pytest

from slimft.cli.finetune import define_flags, settings_from
from slimft.errors import UsageError
from slimft.exercise.catalogue import ALL_STEPS, DEFAULT, PARTS, find, select
from slimft.exercise.plan import Places, _run_from, beginnings, official_run_of, work_of
from slimft.exercise.steps import SCALES
from slimft.nets import get_network
from slimft.runs.settings import Settings
from slimft.training.completion import complete

ROOT = pathlib.Path(__file__).resolve().parents[2]
COURSE = [step for step in ALL_STEPS if step.part == "course"]


def runs_of(step, scale, dataset="cifar10"):
    places = Places(pathlib.Path("runs"), scale, dataset, voc_dir="voc2012")
    return [_run_from(step, 0, places, start, "") for start in beginnings(step)]


def test_names_tell_steps_and_parts_apart():
    names = [*(step.name for step in ALL_STEPS), *(part.name for part in PARTS), "all"]
    assert len(set(names)) == len(names)
    for step in ALL_STEPS:
        assert step.shows and step.title and all(start.note for start in step.starts[1:])
        assert not step.starts or not step.starts[0].note


@pytest.mark.parametrize("dataset", ["cifar10", "digits"])
@pytest.mark.parametrize("scale", SCALES)
def test_every_command_parses_and_is_complete(scale, dataset):
    from absl import flags

    for step in ALL_STEPS:
        for run in runs_of(step, scale, dataset):
            values = flags.FlagValues()
            define_flags(values)
            values(["finetune", *run.command])
            told = settings_from(values)
            assert complete(told) == complete(Settings(**run.flags)), run.command
            spec = get_network(told.model)
            assert step.segments or told.image_size >= spec.min_image_size
            assert step.segments == (told.task.name == "segmentation")
            assert 0 < work_of(run.flags) < 1e9


def test_directories_differ():
    for scale in ("small", "course"):
        folders = [run.directory for step in ALL_STEPS for run in runs_of(step, scale)]
        assert len(set(folders)) == len(folders)


def test_what_follows_a_stand_in_is_told_from_what_follows_the_official_checkpoint():
    names = [[run.directory.name for run in runs_of(find(name), "small")] for name in ("fcn_32s", "fcn_8s")]
    assert names == [["fcn_32s", "fcn_32s-from-hed"], ["fcn_8s", "fcn_8s-from-hed"]]
    official, stand_in = runs_of(find("fcn_8s"), "small")
    assert official.flags["checkpoint"].endswith("/fcn_16s") and not official.start.note
    assert stand_in.flags["checkpoint"].endswith("/fcn_16s-from-hed")
    assert stand_in.start.note == "fcn_16s in turn started from hed"


def test_the_courses_parameters():
    """Of cell 5 of its notebook: 224x224, batches of 100, 3 epochs, Adam at 0.001; but for the first task."""
    for step in COURSE:
        if step.segments:
            continue
        for run in runs_of(step, "course"):
            told = complete(Settings(**run.flags))
            assert (told.image_size, told.batch_size, told.learning_rate, told.optimizer) == (
                224,
                100,
                0.001,
                "adam",
            )
            assert told.lr_multiplier == () and told.warmup_epochs == 0
            assert told.epochs == (50 if step.name == "schedule" else 3)


def test_the_first_task_of_the_notebook():
    told = complete(Settings(**official_run_of(find("schedule"), Places(pathlib.Path("runs"), "course")).flags))
    assert (told.epochs, told.learning_rate) == (50, 0.001)
    assert (told.schedule, told.decay_factor, told.decay_epochs) == ("exponential", 0.2, 10)


def test_vgg_postech_starts_from_a_renamed_vgg_19():
    flags = official_run_of(find("vgg_postech"), Places(pathlib.Path("runs"))).flags
    assert flags["checkpoint"] == "vgg_19" and flags["rename"] == ("vgg_19:vgg_postech",)
    # By the figure of its networks: what VGG-19 has not, and the last layer.
    added = {"conv2/conv2_3", "conv4/conv4_5", "conv5/conv5_5", "fc8"}
    assert set(flags["exclude"]) == {f"vgg_postech/{scope}" for scope in added}


def test_select():
    assert select([]) == tuple(step for step in ALL_STEPS if step.part in DEFAULT)
    assert select(["all"]) == ALL_STEPS
    assert [step.name for step in select(["fcn_8s"])] == ["fcn_32s", "fcn_16s", "fcn_8s"]
    assert [step.name for step in select(["vgg19", "vgg16_all"])] == ["vgg16_all", "vgg19"]
    with pytest.raises(UsageError, match="did you mean vgg16_all"):
        select(["vgg16_al"])
    with pytest.raises(UsageError, match="the parts are course, tutorials, headline, all"):
        select(["?"])


def test_the_page_of_steps_is_the_catalogues():
    spec = importlib.util.spec_from_file_location("make_exercise", ROOT / "docs" / "make_exercise.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    written = module.PAGE.read_text(encoding="utf-8")
    assert written == module.page(), "run docs/make_exercise.py"
