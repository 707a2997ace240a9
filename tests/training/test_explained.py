"""The report's mistakes have heat maps, of what was evaluated; and a run ends well where they cannot be had."""

import json

import numpy as np
import pytest

from slimft.explanation import Explainer
from slimft.report import write_report
from slimft.runs.read import read_run
from slimft.tasks.classification_scores import ClassificationScores
from slimft.training import Settings, explained, finetune


@pytest.fixture
def run(tiny, tmp_path, plain_charts):
    """The directory of a run that has mistakes, with moving averages in its checkpoint."""
    finetune(
        Settings(
            model=tiny,
            dataset="digits",
            image_size=16,
            steps=4,
            batch_size=64,
            ema=0.5,
            train_dir=str(tmp_path / "run"),
        )
    )
    return tmp_path / "run"


def test_each_mistake_is_explained_twice(run):
    mistakes = read_run(run).result.mistakes
    assert len(mistakes) == 24 and all(one["heat"] and one["heat_of_label"] for one in mistakes)
    assert any(one["heat"] != one["heat_of_label"] for one in mistakes)
    page = write_report(str(run)).read_text()
    assert page.count("data:image/jpeg;base64,") == 3 * 24 and "Grad-CAM" in page
    # Of a network that is hardly trained, no labels are shown as likely errors.
    assert "which says more of it than of them" in page
    # What an edited file has in their place is shown to nobody.
    values = json.loads((run / "result.json").read_text())
    for one in values["mistakes"]:
        one["heat"] = "data:text/html,<script>"
        del one["heat_of_label"]
    (run / "result.json").write_text(json.dumps(values))
    page = write_report(str(run)).read_text()
    assert "Grad-CAM" not in page and "<script>" not in page and page.count("data:image/jpeg;base64,") == 24


def test_the_maps_are_those_of_the_network_that_was_evaluated(run):
    from slimft.data import load_dataset

    test = load_dataset("digits")["test"]
    scores = ClassificationScores(10)
    found = [(3, {"label": 1, "predicted": 7, "confidence": 0.9})]
    scores.mistakes = lambda: found
    settings = Settings(model="tiny", dataset="digits", train_dir=str(run))
    heat = explained.heat_of_mistakes(settings, str(run / "model.ckpt-4"), scores, test)
    with Explainer(train_dir=run) as explainer:
        expected = explainer.explain(test.images[[3]], np.array([[7, 1]]))
    assert list(heat) == [3]
    np.testing.assert_array_equal(heat[3], expected[0])


def test_a_run_ends_well_without_them(tiny, tmp_path, plain_charts, monkeypatch, capfd):
    monkeypatch.setattr("slimft.explanation.last_map", lambda *_: None)
    run = tmp_path / "run"
    finetune(Settings(model=tiny, dataset="digits", image_size=16, steps=2, batch_size=64, train_dir=str(run)))
    assert "the report has no heat maps of mistakes: tiny at 16x16 has no layer" in capfd.readouterr().err
    assert not any(one["heat"] for one in read_run(run).result.mistakes)
