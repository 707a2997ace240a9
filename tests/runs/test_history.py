"""What early stopping and the best checkpoint go by."""

import json

import pytest

from slimft import SlimftError
from slimft.runs.history import History
from slimft.tasks import get_task

FIGURES = {figure.name: figure for figure in get_task("classification").figures}


def history(folder, values, metric="accuracy"):
    made = History(str(folder), FIGURES[metric])
    for number, value in enumerate(values, 1):
        made.add_validation(10 * number, {"loss": 1.0, metric: value})
    return made


def test_the_best_is_the_first_of_equals(tmp_path):
    assert history(tmp_path, []).best() is None
    assert history(tmp_path, [0.5, 0.7, 0.6, 0.7]).best()["step"] == 20
    assert history(tmp_path, [0.5, 0.7, 0.3, 0.3], "loss").best()["step"] == 30


@pytest.mark.parametrize(
    ("values", "after", "since"),
    [([], 0, 0), ([0.1, 0.2], 0, 0), ([0.1, 0.2, 0.2, 0.1], 0, 2), ([0.9, 0.2, 0.3, 0.3], 10, 1), ([0.9], 10, 0)],
)
def test_validations_since_the_best(tmp_path, values, after, since):
    assert history(tmp_path, values).validations_since_best(after) == since


def test_a_run_that_resumes_forgets_what_comes_after_its_step(tmp_path):
    first = history(tmp_path, [0.1, 0.9, 0.5])
    first.train = [{"step": 5, "seconds": 1.0}, {"step": 15, "seconds": 2.0}]
    first.save()
    again = History(str(tmp_path), FIGURES["accuracy"])
    again.load(14)
    assert [record["step"] for record in again.validation] == [10] and again.seconds == 1.0
    again.load(20)
    assert again.best()["step"] == 20 and again.validated(20) and not again.validated(30) and again.seconds == 2.0
    assert json.loads((tmp_path / "history.json").read_text())["best_step"] == 20


def test_a_history_that_cannot_be_read_is_an_error_that_names_it(tmp_path):
    found = History(str(tmp_path), FIGURES["accuracy"])
    found.load(0)
    assert found.train == []
    for text in ("[]", "{", '{"train": [], "validation": [{"step": 1}]}', '{"train": [1], "validation": []}'):
        (tmp_path / "history.json").write_text(text)
        with pytest.raises(SlimftError, match="history.json"):
            found.load(100)
