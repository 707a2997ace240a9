"""Steps that take seconds: a narrow MobileNet V1 on a few digits."""

import shutil
import types

import pytest

from slimft.exercise import catalogue, conduct, plan, running
from slimft.exercise.plan import Places
from slimft.exercise.starts import Starts
from slimft.exercise.steps import Start, Step

FLAGS = {"model": "mobilenet_v1_025", "optimizer": "adam", "precision": "float32"}
STEPS = (
    Step("first", "course", "from nothing", "What there is.", FLAGS),
    Step("second", "course", "from the first", "What it is for.", FLAGS, starts=(Start("step:first"),)),
    Step(
        "official", "tutorials", "of a checkpoint that is not there", "Nothing.", FLAGS, starts=(Start("vgg_19"),)
    ),
    Step(
        "stand_in",
        "tutorials",
        "of another one",
        "Something.",
        FLAGS,
        starts=(
            Start("resnet_v1_50"),
            Start("nowhere", {"exclude": ("MobilenetV1/Logits",)}, "nowhere in its place"),
        ),
    ),
)


@pytest.fixture(scope="session", autouse=True)
def _warm(warm_python):
    """The processes of the runs begin warm."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "sys", types.SimpleNamespace(executable=warm_python))
        yield


@pytest.fixture
def steps(monkeypatch):
    """The catalogue is `STEPS`."""
    monkeypatch.setattr(catalogue, "ALL_STEPS", STEPS)
    monkeypatch.setattr(conduct, "ALL_STEPS", STEPS)
    monkeypatch.setattr(plan, "find", lambda name: next(step for step in STEPS if step.name == name))
    return STEPS


@pytest.fixture
def places(tmp_path, monkeypatch):
    """A directory of an exercise, and one without checkpoints."""
    monkeypatch.setenv("SLIMFT_CHECKPOINTS", str(tmp_path / "checkpoints"))
    return Places(tmp_path / "exercise", "smoke", "digits")


@pytest.fixture
def make_exercise(steps, places):
    """Makes an exercise of the steps of the given names, all by default."""

    def make(*names, **options):
        chosen = tuple(step for step in steps if not names or step.name in names)
        starts = Starts(False, lambda start, seed: plan.is_done(start, seed, places))
        return conduct.Exercise(chosen, options.pop("places", places), starts, **options)

    return make


@pytest.fixture(scope="module")
def _done(tmp_path_factory):
    """The directory of an exercise whose first step is done, with its checkpoints."""
    places = Places(tmp_path_factory.mktemp("done"), "smoke", "digits")
    with pytest.MonkeyPatch.context() as patch:
        for module in (catalogue, conduct):
            patch.setattr(module, "ALL_STEPS", STEPS)
        patch.setattr(plan, "find", lambda name: next(step for step in STEPS if step.name == name))
        exercise = conduct.Exercise(STEPS[:1], places, Starts(False, lambda *_: False), keeps=True)
        assert exercise.conduct(None, lambda: False) == 1
    return places.root


@pytest.fixture
def first_is_done(_done, places):
    """The first step is done, and its checkpoints are there."""
    shutil.copytree(_done, places.root)
