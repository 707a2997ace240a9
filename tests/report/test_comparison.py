"""Several runs side by side, against NumPy."""

import json
import os

import numpy as np
import pytest

from slimft.errors import DataError, UsageError
from slimft.report import compare, text_tables

NAMES = ("Basophil", "Eosinophil", "Monocyte")


@pytest.fixture
def experiments(make_run, make_result, make_history):
    """Six runs: two values of --balance in three folds each."""
    return [
        make_run(
            f"{balance}-{fold}",
            {"balance": balance, "fold": fold, "folds": 3, "keep": fold + 1},
            history=make_history(seed=10 * i + fold),
            result=make_result(NAMES, seed=10 * i + fold),
        )
        for i, balance in enumerate(("none", "loss"))
        for fold in range(3)
    ]


def test_repetitions(experiments, tmp_path, parse_page):
    comparison = compare(experiments, tmp_path / "page.html")
    assert [row.name for row in comparison.rows] == [folder.name for folder in experiments]
    assert set(comparison.rows[4].differs) == {"--balance=loss", "--fold=1"}
    assert [len(group) for group in comparison.groups] == [3, 3]
    told = [json.loads((folder / "result.json").read_text())["result"] for folder in experiments]
    page = parse_page(tmp_path / "page.html")
    (_, rows), (_, tested) = text_tables(comparison)
    histories = [json.loads((folder / "history.json").read_text())["validation"][-1] for folder in experiments]
    means = [np.mean([one["balanced_accuracy"] for one in histories[i : i + 3]]) for i in (0, 3)]
    for number, balance in enumerate(("none", "loss")):
        values = [one["accuracy"] for one in told[3 * number : 3 * number + 3]]
        expected = f"{np.mean(values):.4f} ± {np.std(values, ddof=1):.4f}"
        assert expected in page.text
        assert tested[6 + number][:2] == ["mean of 3", expected]
        assert rows[6 + number][-1] == f"--balance={balance}"
        assert rows[6 + number][3].startswith(f"{means[number]:.4f} ± ")
    assert [row[1] for row in tested[:6]] == [f"{one['accuracy']:.4f}" for one in told]
    assert [row[2] for row in rows[:6]] == [f"{one['accuracy']:.4f}" for one in histories]
    assert len(page.all("svg")) == 3 + 3 * 6 and "Recall by class over repetitions" in page.text
    for label, name in enumerate(NAMES):
        recalls = [
            json.loads((folder / "result.json").read_text())["per_class"][label]["recall"] for folder in experiments
        ]
        for values in (recalls[:3], recalls[3:]):
            assert f"{np.mean(values):.4f} ± {np.std(values, ddof=1):.4f}" in page.text, name
    # The folds were validated on different examples, and both groups on the same three.
    assert comparison.ranks == [None] * 6 and sorted(comparison.group_ranks) == [1, 2]
    assert len([cell for cell in page.all("td") if "best" in (cell.get("class") or "")]) == 1


def test_runs_of_all_kinds(make_run, make_result, tmp_path, parse_page):
    hostile = "<img src=x onerror=y>"
    many = [f"<b>{i}</b>" for i in range(80)]
    runs = [
        make_run("a"),
        make_run("b", {"model": hostile}, history=None, result=None),
        make_run(hostile, result=make_result(many)),
        make_run("d", result=make_result(many, seed=1)),
    ]
    comparison = compare(runs, tmp_path / "page.html")
    assert [len(group) for group in comparison.groups] == [2]  # Not with "a", which has other classes.
    page = parse_page(tmp_path / "page.html")
    assert "did not come to its end" in page.text and "60 of 80 classes" in page.text and not page.all("img")
    assert page.text.count("Recall by class") == 2 + 1  # And that of the repetitions.


def test_many_runs(make_run, tmp_path, parse_page):
    runs = [make_run(f"run{i}", {"learning_rate": 0.001 * (i + 1)}) for i in range(30)]
    compare(runs, tmp_path / "page.html")
    parse_page(tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size < 500_000


def test_names_tell_apart(make_run, tmp_path):
    for parent in ("x", "y"):
        (tmp_path / parent).mkdir()
        os.rename(make_run("run"), tmp_path / parent / "run")
    comparison = compare([tmp_path / "x/run", tmp_path / "y/run"], tmp_path / "page.html")
    assert [row.name for row in comparison.rows] == ["x/run", "y/run"]


def test_bad_arguments(make_run, tmp_path):
    run = make_run()
    with pytest.raises(UsageError, match="twice"):
        compare([run, tmp_path / "x" / ".." / "run"], tmp_path / "page.html")
    with pytest.raises(DataError, match="no directory"):
        compare([run, make_run("other")], tmp_path / "nowhere" / "page.html")
    with pytest.raises(UsageError, match="no run of bin/finetune"):
        compare([run, tmp_path], tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()
