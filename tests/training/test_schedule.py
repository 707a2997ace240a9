"""When a run validates, saves and notes points of its curves."""

from slimft.training import Settings
from slimft.training import schedule as schedule_module
from slimft.training.schedule import Schedule


def due(steps, num_examples=100, **given):
    schedule = Schedule(Settings(model="tiny", **given), num_examples, steps)
    return [step for step in range(steps + 1) if schedule.validates(step)]


def test_validations_where_epochs_end():
    assert due(12, batch_size=20) == [5, 10]
    assert due(12, batch_size=30) == [4, 7, 10]  # The first step by whose end 100, 200, 300 images were seen.
    assert due(4, batch_size=50, accumulate=2) == [1, 2, 3, 4]
    assert due(3, batch_size=400) == [1, 2, 3]
    assert due(9, batch_size=20, eval_every=4) == [4, 8]


def test_points_of_curves_and_saving(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(schedule_module.time, "monotonic", lambda: now[0])
    schedule = Schedule(Settings(model="tiny", save_secs=600.0), 100, 50_000)
    assert schedule.log_steps == 50 and Schedule(Settings(model="tiny"), 100, 3).log_steps == 10
    assert schedule.images_per_step == 32
    now[0] = 599.0
    assert not schedule.saves()
    now[0] = 600.0
    assert schedule.saves()
    schedule.has_saved()
    assert not schedule.saves()
