"""Which run is called the best: by validation, of equals by the lower loss, and only where that can be compared."""

import json

import pytest

from slimft.cli.report import main
from slimft.report import compare, text_tables


def history(*figures, metric="accuracy", examples=200):
    """A history of validations: accuracy and loss at steps 100, 200 and so on."""
    rows = [
        {"step": 100 * i, "accuracy": accuracy, "balanced_accuracy": accuracy, "loss": loss, "examples": examples}
        for i, (accuracy, loss) in enumerate(figures, 1)
    ]
    train = [{"step": row["step"], "loss": 1.0, "seconds": row["step"] / 10} for row in rows]
    sign = -1 if metric == "loss" else 1
    best = max(rows, key=lambda row: (sign * row[metric], -row["loss"]))["step"]
    return {"train": train, "validation": rows, "best_step": best, "metric": metric}


def result(test, step=100, split="test", examples=400, names=("a", "b"), **changes):
    figures = {"accuracy": test, "balanced_accuracy": test, "loss": 1 - test, "examples": examples, "step": step}
    counts = {"validation": [100, 100], "test": [200, 200]}
    told = {"class_names": list(names), "class_counts": counts, "seconds": step / 10}
    return {"result": {**figures, "split": split}, **told, **changes}


@pytest.fixture
def report(tmp_path, capsys):
    """Compares runs; returns their ranks, the names with a star, and all that was printed."""

    def compared(*folders):
        assert main(["report", *map(str, folders), f"--output={tmp_path / 'page.html'}"]) == 0
        out = capsys.readouterr().out
        validation, *_ = out.split("\n\n")
        lines = validation.splitlines()
        ranks = {line.split()[0]: line.split()[1] for line in lines[2:] if not line.startswith("mean of")}
        starred = [line.split()[0] for line in out.splitlines() if "*" in line and not line.startswith("mean of")]
        assert [line for line in lines if "*" in line] == [line for line in out.splitlines() if "*" in line]
        return ranks, starred, out

    return compared


def test_the_best_is_the_best_in_validation_whatever_its_test_figures(make_run, report, tmp_path, parse_page):
    low = make_run("low", {"seed": 1}, history((0.7, 0.9)), result(0.95))
    high = make_run("high", {"seed": 2}, history((0.8, 0.8)), result(0.6))
    ranks, starred, out = report(low, high)
    assert (ranks, starred) == ({"low": "2", "high": "1"}, ["high"])
    validation, test, *_ = out.split("\n\n")
    assert "validation accuracy" in validation.splitlines()[0]
    assert "0.8000*" in validation and "0.95" not in validation
    assert "test accuracy" in test.splitlines()[0] and "0.9500" in test and "0.8" not in test
    page = parse_page(tmp_path / "page.html")
    [best] = [cell for cell in page.all("td") if "best" in (cell.get("class") or "")]
    assert best["class"] == "n best" and "On the test split" in page.text and "validation accuracy" in page.text
    assert "Test figures have no ranks and no stars" in page.text and "Test figures have no ranks" in out


def test_of_equal_validations_the_lower_loss_is_the_best(make_run, report):
    runs = [
        make_run(f"run{i}", {"seed": i}, history((0.75, loss)), result(0.5 + i / 10))
        for i, loss in enumerate((2.41, 1.31, 1.9, 1.31))
    ]
    ranks, starred, _ = report(*runs)
    assert ranks == {"run0": "4", "run1": "1", "run2": "3", "run3": "1"} and starred == ["run1", "run3"]
    ranks, starred, _ = report(runs[1], runs[3])
    assert set(ranks.values()) == {"1"} and not starred  # It tells nothing apart.


def test_where_smaller_is_better(make_run, report):
    runs = [
        make_run(f"run{i}", {"seed": i, "metric": "loss"}, history(figures, metric="loss"), result(0.9))
        for i, figures in enumerate([(0.9, 0.8), (0.7, 0.5), (0.8, 0.6)])
    ]
    ranks, starred, out = report(*runs)
    assert ranks == {"run0": "3", "run1": "1", "run2": "2"} and starred == ["run1"] and "0.5000*" in out


def test_the_validation_is_that_of_the_checkpoint_that_the_result_is_of(make_run, report):
    early = make_run("early", {"seed": 1}, history((0.9, 0.5), (0.6, 0.7)), result(0.5, step=200))
    late = make_run("late", {"seed": 2}, history((0.5, 0.9), (0.7, 0.6)), result(0.5, step=200))
    ranks, starred, out = report(early, late)
    assert starred == ["late"] and "0.9000" not in out


@pytest.mark.parametrize(
    ("changes", "figures", "told", "words"),
    [
        ({"split_seed": 1}, {}, {}, "--split_seed"),
        ({"folds": 5, "fold": 1}, {}, {}, "--folds, --fold"),
        ({"dataset": "csv"}, {}, {}, "--dataset"),
        ({"data_dir": "/elsewhere"}, {}, {}, "--data_dir"),
        ({"validation_share": 0.2}, {}, {}, "--validation_share"),
        ({"validation_examples": 100}, {}, {}, "--validation_examples"),
        ({}, {"examples": 150}, {}, "the number of examples"),
        ({}, {}, {"names": ("a", "c")}, "the classes"),
        ({}, {}, {"class_counts": {"validation": [90, 110]}}, "the examples of each class"),
    ],
)
def test_other_validation_sets_are_not_ranked(make_run, report, changes, figures, told, words):
    first = make_run("first", {"dataset": "image_folder", "data_dir": "/data"}, history((0.7, 0.9)), result(0.9))
    changes = {"dataset": "image_folder", "data_dir": "/data", "seed": 3} | changes
    second = make_run("second", changes, history((0.8, 0.8), **figures), result(0.8, **told))
    ranks, starred, out = report(first, second)
    assert set(ranks.values()) == {"–"} and not starred
    assert f"not ranked: they were validated on different examples (what differs: {words})" in out


def test_two_paths_to_one_folder_are_the_same_data(make_run, report, tmp_path, monkeypatch):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "link").symlink_to("pictures")
    monkeypatch.chdir(tmp_path)
    paths = [str(tmp_path / "pictures"), f"{tmp_path}/link/", "pictures", "../" + tmp_path.name + "/link/."]
    runs = [
        make_run(
            f"run{i}",
            {"dataset": "image_folder", "data_dir": path, "seed": i},
            history((0.5 + i / 10, 0.9)),
            result(0.9),
        )
        for i, path in enumerate(paths)
    ]
    ranks, starred, out = report(*runs)
    assert starred == ["run3"] and "--data_dir" not in out and "mean of 4" in out


def recorded(folder, **splits):
    (folder / "data.json").write_text(json.dumps({"dataset": "image_folder", "splits": splits}))
    return folder


def test_what_was_recorded_of_the_data_decides(make_run, report):
    def run(name, path, accuracy, seed=0, **splits):
        told = {"dataset": "image_folder", "data_dir": path, "seed": seed}
        return recorded(make_run(name, told, history((accuracy, 0.9)), result(0.9)), **splits)

    here = run("here", "/a", 0.7, validation="v1", test="t1")
    there = run("there", "/b", 0.8, validation="v1", test="t1")
    ranks, starred, out = report(here, there)
    assert starred == ["there"] and "mean of 2" in out and "--data_dir" not in out
    changed = run("changed", "/a", 0.9, validation="v2", test="t2")
    ranks, starred, out = report(here, changed)
    assert set(ranks.values()) == {"–"} and "what differs: what data.json says of them" in out
    assert "mean of" not in out and "here, changed: Not counted as repetitions: their data changed" in out
    assert "The test figures do not compare directly" in out
    # A run of an earlier version, which recorded nothing, goes by its path and its options.
    old = make_run("old", {"dataset": "image_folder", "data_dir": "/a"}, history((0.9, 0.5)), result(0.9))
    assert report(here, there, old)[1] == ["old"]
    assert report(there, old)[0] == {"there": "–", "old": "–"}
    assert report(here, changed, old)[1] == []


def test_repetitions_are_ranked_by_their_validation(make_run, tmp_path, parse_page):
    def runs(balance, accuracies, tests):
        return [
            make_run(
                f"{balance}{fold}",
                {"balance": balance, "metric": "accuracy", "folds": 2, "fold": fold},
                history((accuracy, 0.9)),
                result(test),
            )
            for fold, (accuracy, test) in enumerate(zip(accuracies, tests))
        ]

    first, second = runs("none", (0.6, 0.7), (0.9, 0.95)), runs("loss", (0.7, 0.8), (0.5, 0.6))
    comparison = compare([*first, *second], tmp_path / "page.html")
    (_, validation), (_, test) = text_tables(comparison)
    assert [row[1:3] for row in validation[4:]] == [["2", "0.6500 ± 0.0707"], ["1", "0.7500 ± 0.0707*"]]
    assert [row[1] for row in test[4:]] == ["0.9250 ± 0.0354", "0.5500 ± 0.0707"]
    assert [row[1] for row in validation[:4]] == ["–"] * 4  # The folds validate on different examples.
    assert "0.7500 ± 0.0707" in parse_page(tmp_path / "page.html").text
    changes = {"balance": "loss", "metric": "accuracy", "folds": 2, "fold": 1, "split_seed": 4}
    odd = make_run("odd", changes, history((0.9, 0.9)), result(0.5))
    uneven = compare([*first, second[0], odd], tmp_path / "page.html")
    assert uneven.group_ranks == [None, None]
    assert any("The repetitions are not ranked" in note for note in uneven.notes())


def test_unfinished_runs_are_not_ranked(make_run, report):
    good = [make_run(f"run{i}", {"seed": i}, history((0.5 + i / 10, 0.9)), result(0.9)) for i in range(2)]
    unfinished = make_run("unfinished", {"seed": 7}, history((0.95, 0.2)), None)
    ranks, starred, out = report(*good, unfinished)
    assert ranks == {"run0": "2", "run1": "1", "unfinished": "–"} and starred == ["run1"]
    assert "unfinished: It did not come to its end" in out and "0.9500" in out


def test_figures_that_are_not_finite_are_not_ranked(make_run, report):
    figures = [(0.5, 0.9), (float("nan"), 0.2), (0.6, float("nan")), (0.6, 3.0)]
    runs = []
    for i, (accuracy, loss) in enumerate(figures):
        told = history((0.5, 0.9))
        told["validation"][0] |= {"accuracy": accuracy, "loss": loss}
        runs.append(make_run(f"run{i}", {"seed": i}, told, result(0.9)))
    ranks, starred, out = report(*runs)
    assert ranks == {"run0": "3", "run1": "–", "run2": "2", "run3": "1"} and starred == ["run3"]
    assert "run1: It is not ranked: there is no finite validation figure" in out


def test_data_without_a_test_split(make_run, report):
    runs = [
        make_run(f"run{i}", {"seed": i}, history((0.5 + i / 10, 0.9)), result(0.5 + i / 10, split="validation"))
        for i in range(2)
    ]
    ranks, starred, out = report(*runs)
    assert starred == ["run1"] and "test accuracy" not in out
    assert "run0, run1: There is no test split: the result is of the validation split" in out
    tested = make_run("tested", {"seed": 5}, history((0.4, 0.9)), result(0.99))
    out = report(*runs, tested)[2]
    assert "Not all runs have test figures" in out
    [line] = [line for line in out.split("\n\n")[1].splitlines() if line.startswith("run1")]
    assert line.split()[1:] == ["–"] * 4


def test_runs_by_different_metrics(make_run, report):
    first = make_run("first", {"seed": 1}, history((0.7, 0.9)), result(0.9))
    second = make_run("second", {"metric": "loss"}, history((0.6, 0.2), metric="loss"), result(0.9))
    ranks, starred, out = report(first, second)
    assert starred == ["first"] and "chose their best checkpoints by accuracy, loss" in out


def trained_to(step, made):
    return {**made, "result": {**made["result"], "last_step": step}}


def test_the_run_has_gone_on(make_run, report, capsys):
    """A result that is older than the history, and one of an earlier checkpoint, which is the best."""
    curves = history((0.7, 0.9), (0.8, 0.8), (0.6, 0.9))
    old = make_run("old", {"seed": 1}, curves, result(0.9, step=200))
    stopped = make_run("stopped", {"patience": 1}, curves, trained_to(300, result(0.9, step=200)))
    later = make_run("later", {"patience": 1, "seed": 2}, curves, trained_to(200, result(0.9, step=200)))
    out = report(old, stopped, later)[2]
    assert "old, later: This result is of step 200; the run has gone on to 300." in out
    for folder in (old, stopped, later):
        assert main(["report", str(folder)]) == 0
    pages = [(folder / "report.html").read_text() for folder in (old, stopped, later)]
    words = "This result is of step 200; the run has gone on to 300."
    assert [words in page for page in pages] == [True, False, True]
    assert "It is the best in validation; the run ended at step 300." in pages[1]


@pytest.mark.parametrize(
    ("changes", "told", "words"),
    [
        ({}, {"step": 500}, "This result is of step 500, but history.json ends at step 200"),
        ({}, {"step": 150}, "There is no validation of step 150"),
        ({"metric": "loss"}, {}, "The best step is the best by accuracy; the settings now say loss."),
        ({"model": "vgg_16"}, {}, "result.json is of --model=mobilenet_v1, settings.json of vgg_16"),
        ({}, {"split": None}, "result.json does not tell which split its figures are of"),
        ({}, {"split": "validation"}, "There is no test split"),
    ],
)
def test_what_a_page_says_of_what_does_not_fit(make_run, parse_page, changes, told, words):
    from slimft.report import write_report

    made = result(0.9, step=200)
    made["result"] |= {"model": "mobilenet_v1"} | told
    if made["result"]["split"] is None:
        del made["result"]["split"]
    folder = make_run("run", changes, history((0.7, 0.9), (0.8, 0.8)), made)
    assert words in parse_page(write_report(folder)).text
    fine = make_run("fine", {}, history((0.7, 0.9), (0.8, 0.8)), result(0.9, step=200))
    page = write_report(fine).read_text()
    assert 'class="warning"' not in page and words not in page
    assert 'class="warning"' in write_report(folder).read_text()


def test_another_checkpoint_in_best_is_said(make_run, parse_page):
    from slimft.report import write_report

    folder = make_run("run", {}, history((0.7, 0.9), (0.8, 0.8)), result(0.9, step=200))
    (folder / "best").mkdir()
    (folder / "best/metrics.json").write_text('{"step": 100, "accuracy": 0.7}')
    page = parse_page(write_report(folder))
    assert "best/ holds the checkpoint of step 100; the best validation is that of step 200." in page.text
    assert "Validation at step 200, the best by accuracy: accuracy 0.8000, balanced 0.8000, loss 0.8" in page.text
