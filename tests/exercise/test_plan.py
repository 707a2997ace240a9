"""What fits into a time, and what a directory may hold."""

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slimft.errors import UsageError
from slimft.exercise import plan
from slimft.exercise.catalogue import find
from slimft.exercise.plan import Places
from slimft.runs.settings import Settings
from slimft.runs.settings_file import save_settings
from slimft.training.completion import complete


def run_of(name, folder, **places):
    return plan.official_run_of(find(name), Places(folder, **places))


def test_more_is_more_work(tmp_path):
    small, course = (run_of("vgg16_all", tmp_path, scale=scale).flags for scale in ("small", "course"))
    # 3 epochs of 45,000 images of 224x224, against 4 of 10,000 of 32x32.
    assert 100 < plan.work_of(course) / plan.work_of(small) < 250
    assert plan.work_of(small) == pytest.approx(30.9 * (32 / 224) ** 2 * (3 * 40_000 + 2 * 15_000), rel=0.05)
    assert plan.work_of({**small, "recipe": "features"}) < plan.work_of({**small, "recipe": "top"})
    assert plan.work_of({**small, "epochs": 8}) > plan.work_of(small)


def test_times_are_of_this_machine(tmp_path):
    run = run_of("vgg16_all", tmp_path)
    work = plan.work_of(run.flags)
    alone = plan.seconds_of(run, {})
    assert plan.seconds_of(run, {"a": ("vgg_16", work, 130.0)}) == pytest.approx(130.0)
    # Another network tells something where there is nothing else; one that took seconds does not.
    assert plan.seconds_of(run, {"a": ("mobilenet_v1", work, 230.0)}) == pytest.approx(230.0)
    assert plan.seconds_of(run, {"a": ("vgg_16", work, 40.0), "b": ("vgg_16", 0.0, 300.0)}) == alone > 30
    both = {"a": ("mobilenet_v1", work, 230.0), "b": ("vgg_16", work, 130.0)}
    assert plan.seconds_of(run, both) == pytest.approx(130.0)


@given(st.lists(st.floats(1, 1e4), min_size=1, max_size=8), st.floats(0, 2e4))
def test_the_first_that_fits_is_next(times, left):
    runs = [dataclasses.replace(_RUN, directory=number) for number in range(len(times))]
    chosen = plan.next_of(runs, dict(enumerate(times)), left)
    fitting = [number for number, time in enumerate(times) if time <= left]
    assert chosen.directory == fitting[0] if fitting else times[chosen.directory] == min(times)


_RUN = plan.Run(find("vgg16_all"), 0, None, "", None, {})


def test_nothing_is_next_of_nothing():
    assert plan.next_of([], {}, math.inf) is None


def test_a_run_with_other_settings_is_refused(tmp_path):
    run = run_of("vgg16_all", tmp_path)
    run.check()  # Nothing is there.
    run.directory.mkdir(parents=True)
    told = complete(Settings(**run.flags))
    # What it found out by itself, and where things are, may differ.
    save_settings(dataclasses.replace(told, precision="bfloat16", data_dir="/elsewhere", checkpoint="/vgg_16.ckpt"))
    run.check()
    save_settings(dataclasses.replace(told, epochs=6.0))
    with pytest.raises(
        UsageError, match="--epochs was 6.0 there and is 4 now; move it away, or name another --dir"
    ):
        run.check()
    save_settings(dataclasses.replace(told, exclude=()))
    with pytest.raises(UsageError, match="--exclude was not given there and is vgg_16/fc8 now"):
        run.check()


def test_directories_tell_data_scale_start_and_seed(tmp_path):
    step, places = find("vgg16_all"), Places(tmp_path, "course", "digits")
    assert plan.directory_of(step, 0, places, step.starts[0]) == tmp_path / "digits-course/vgg16_all"
    assert plan.directory_of(step, 2, places, step.starts[1]) == tmp_path / "digits-course/vgg16_all-from-hed-seed2"
    headline = find("headline_mobilenet")
    assert plan.directory_of(headline, 0, places, None).parent == tmp_path / "digits-headline"
    smoke = dataclasses.replace(places, scale="smoke")
    assert plan.directory_of(headline, 0, smoke, None).parent == tmp_path / "digits-smoke"
