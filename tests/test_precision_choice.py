"""The fastest precision: measured once on a machine, remembered, and never a slower one than float32."""

import json
import math

import pytest

from slimft import precision_choice
from slimft.compat import tf
from slimft.precision_choice import choose_precision


@pytest.fixture(autouse=True)
def _half_precision_here(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(precision_choice, "_others", lambda: ("bfloat16",))


def never(precision):
    raise AssertionError("it is remembered")


@pytest.mark.parametrize(
    "seconds, chosen",
    [(1.0, "bfloat16"), (1.94, "float32"), (3.0, "float32"), (math.inf, "float32")],
    ids=["faster", "within the noise", "slower", "does not work"],
)
def test_the_fastest_is_measured_once(seconds, chosen):
    def seconds_of(precision):
        if precision == "bfloat16" and seconds == math.inf:
            raise tf.errors.UnimplementedError(None, None, "no such kernel")
        return {"float32": 2.0, "bfloat16": seconds}[precision]

    precision, note = choose_precision({"network": "vgg_16"}, seconds_of)
    assert precision == chosen
    assert note.startswith(f"--precision=auto is {chosen} here (float32 2 s, bfloat16 ") and "measured now" in note
    again, note = choose_precision({"network": "vgg_16"}, never)
    assert again == chosen and "measured before" in note


def test_another_network_machine_or_version_is_measured_anew(monkeypatch):
    asked = []

    def seconds_of(precision):
        asked.append(precision)
        return 1.0

    choose_precision({"network": "vgg_16"}, seconds_of)
    choose_precision({"network": "vgg_19"}, seconds_of)
    monkeypatch.setattr(precision_choice.system, "processors", lambda: 77)
    choose_precision({"network": "vgg_16"}, seconds_of)
    monkeypatch.setattr(precision_choice.tensorflow, "__version__", "2.99")
    choose_precision({"network": "vgg_16"}, seconds_of)
    assert asked == 4 * ["float32", "bfloat16"]


DAMAGED = [
    "",
    "{",
    "[]",
    '{"seconds": []}',
    '{"seconds": {"float32": 0, "bfloat16": 1}}',
    '{"seconds": {"float32": "a"}}',
    '{"seconds": {"float32": NaN, "bfloat16": 1}}',
    "[" * 5000,
    "x" * 100_000,
]


@pytest.mark.parametrize("damaged", DAMAGED)
def test_a_damaged_memory_is_measured_anew(damaged, tmp_path):
    choose_precision({"network": "vgg_16"}, lambda precision: 1.0)
    (file,) = (tmp_path / "slimft/precision").iterdir()
    file.write_text(damaged)
    _, note = choose_precision({"network": "vgg_16"}, lambda precision: 1.0)
    assert "measured now" in note
    assert json.loads(file.read_text())["seconds"] == {"float32": 1.0, "bfloat16": 1.0}


def test_what_is_too_short_to_measure_is_float32_unless_it_is_remembered():
    assert choose_precision({"network": "vgg_16"}, None) == ("float32", None)
    choose_precision({"network": "vgg_16"}, {"float32": 2.0, "bfloat16": 1.0}.__getitem__)
    assert choose_precision({"network": "vgg_16"}, None)[0] == "bfloat16"


def test_where_nothing_can_be_written_it_is_measured_each_time(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/1/nowhere")
    for _ in range(2):
        assert "measured now" in choose_precision({"network": "vgg_16"}, lambda precision: 1.0)[1]


def test_without_other_floats_there_is_no_choice(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(precision_choice.system, "processor_flags", lambda: {"avx2"})
    monkeypatch.setattr(precision_choice.tf.config, "list_physical_devices", lambda kind: [])
    assert choose_precision({"network": "vgg_16"}, never) == ("float32", None)
