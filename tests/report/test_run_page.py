"""report.html: what is in it, for runs of all kinds."""

import json

import pytest
from hypothesis import given
from hypothesis import settings as checked
from hypothesis import strategies as st

from slimft.errors import DataError, SlimftError, UsageError
from slimft.report import text_tables, write_report
from slimft.report.comparison import read_comparison
from slimft.report.comparison_page import comparison_page
from slimft.report.run_page import run_page
from slimft.runs.read import read_run

HOSTILE = "<script>alert(1)</script>\"'&\u202e$x$"
HEADINGS = [
    "What was run",
    "Learning curves",
    "Data",
    "Class by class",
    "Confusions",
    "Most confident mistakes",
    "Calibration",
    "Time and machine",
]


def headings(page):
    return [heading for heading in HEADINGS if heading in page.text]


def test_a_finished_run(make_run, make_result, parse_page):
    folder = make_run(changes={"learning_rate": 0.01, "exclude": ["a", "b"], "data_dir": "my data"})
    file = write_report(folder)
    assert file == folder / "report.html"
    page = parse_page(file)
    assert headings(page) == HEADINGS
    told = json.loads((folder / "result.json").read_text())
    accuracy = f"{100 * told['result']['accuracy']:.1f} %"
    for words in (
        "--learning_rate=0.01",
        "--exclude=a,b",
        "'--data_dir=my data'",
        "restored     135",
        "CPU, 2 cores",
        "3 min 32 s",
        "best by accuracy: step 350",
        accuracy,
        "4.3 %",
    ):
        assert words in page.text
    assert "--batch_size" not in page.text  # A default.
    for one in told["per_class"]:
        assert one["class"] in page.text and f"{one['recall']:.4f}" in page.text
    assert [image["src"] for image in page.all("img")] == [one["image"] for one in told["mistakes"]]
    # Each cell's colour is its share of its row.
    shares = [count / sum(row) for row in told["confusion_matrix"] for count in row if count]
    styles = [cell["style"] for cell in page.all("td") if "rgba" in (cell.get("style") or "")]
    assert styles == [f"background:rgba(var(--heat),{part:.2f})" for part in shares]
    assert len([one for one in page.all("svg") if one.get("role") == "img"]) == 4
    assert file.stat().st_size < 200_000


def test_equal_runs_have_equal_reports(make_run):
    folder = make_run()
    first = write_report(folder).read_bytes()
    assert write_report(folder).read_bytes() == first


def test_a_run_that_did_not_end(make_run, parse_page):
    page = parse_page(write_report(make_run(result=None)))
    assert headings(page) == HEADINGS[:2] and "did not come to its end" in page.text
    page = parse_page(write_report(make_run("new", history=None, result=None)))
    assert headings(page) == HEADINGS[:1]
    page = parse_page(write_report(make_run("bare", history={"train": [], "validation": [], "best_step": None})))
    assert headings(page) == [HEADINGS[0], *HEADINGS[2:]]


def test_a_run_without_validation_test_or_mistakes(make_run, make_history, make_result, parse_page):
    told = make_result(("cat", "dog"), mistakes=0)
    told["class_counts"] = {"train": [3, 4]}
    told["result"] = {"accuracy": 1.0, "examples": 7, "split": "validation"}
    told["confused_pairs"], told["confusion_matrix"] = [], [[3, 0], [0, 4]]
    told["calibration"] = None
    lonely = make_history() | {"validation": [], "best_step": None}
    page = parse_page(write_report(make_run(history=lonely, result=told)))
    assert "100.0 %" in page.text and "7 examples of the validation split" in page.text
    assert not {"Most confident mistakes", "Calibration"} & set(headings(page)) and not page.all("img")


def test_names_are_text(make_run, make_result, parse_page):
    names = [HOSTILE, "</style><img src=x onerror=y>", "ordinary", "n" * 300, "e\u0301\U0001f9ea 白血球"]
    told = make_result(names)
    told["mistakes"][0] |= {"name": f"x/{HOSTILE}.jpg", "image": "https://elsewhere/x.jpg"}
    told["mistakes"][1]["image"] = "data:image/svg+xml,<svg onload=x>"
    told["restore"] = told["device"] = HOSTILE
    told["versions"] = {HOSTILE: HOSTILE}
    changes = {"dataset": HOSTILE, "model": HOSTILE, "exclude": [HOSTILE], HOSTILE: HOSTILE}
    page = parse_page(write_report(make_run(HOSTILE.replace("/", "_"), changes, result=told)))
    assert "<script>alert(1)</script>\"'&\\u202e$x$" in page.text
    assert len(page.all("img")) == len(told["mistakes"]) - 2
    assert "白血球" in page.text


@pytest.mark.parametrize("size", [1, 2, 12, 40, 70, 1000])
def test_numbers_of_classes(size, make_run, make_result, parse_page):
    names = [f"class {i}" for i in range(size)]
    told = make_result(names, examples=10 * size)
    file = write_report(make_run(result=told))
    page = parse_page(file)
    cells = [cell for cell in page.all("td") if "rgba" in (cell.get("style") or "")]
    matrix = told["confusion_matrix"]
    assert len(cells) == (sum(count > 0 for row in matrix for count in row) if size <= 60 else 0)
    assert ("Most frequent confusions" in page.text) == (size > 10)
    assert ("Found least often" in page.text) == (size > 40)
    assert all(name in page.text for name in names)
    assert file.stat().st_size < 2_000_000


def test_long_histories_stay_small(make_run, make_history, parse_page):
    file = write_report(make_run(history=make_history(steps=200_000, every=500)))
    parse_page(file)
    assert file.stat().st_size < 300_000


def test_extreme_figures(make_run, parse_page):
    losses = [1e308, float("nan"), float("-inf"), None, 2, 2]
    rows = [{"step": step, "loss": loss} for step, loss in enumerate(losses)]
    parse_page(write_report(make_run(history={"train": rows, "validation": [{"step": 3, "accuracy": 0.5}]})))


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("settings.json", "{", "settings.json is no JSON"),
        ("settings.json", "[]", "settings.json is no file of a run: it is a list where an object should be"),
        ("settings.json", '{"a": {}}', "a is an object where"),
        ("history.json", '{"validation": []}', "train is null where a list"),
        ("history.json", '{"train": [{"loss": 1}]}', "train[0] is an object where a row with a step"),
        ("history.json", '{"train": [{"step": 1, "loss": "low"}]}', "train[0].loss is a string where a number"),
        ("history.json", '{"train": [], "validation": [], "best_step": -1}', "best_step is a number where a whole"),
        ("result.json", '{"result": []}', "result is a list"),
        ("result.json", "[" * 100_000, "result.json is no JSON"),
        ("result.json", b"\xff\xfe\x00", "result.json is no JSON"),
        ("result.json", '{"result": {}, "class_names": ["a"], "confused_pairs": [[0, 1, 2]]}', "pairs[0][1]"),
        ("result.json", '{"result": {}, "class_names": ["a"], "class_counts": {"train": [1, 2]}}', "1 elements"),
    ],
)
def test_broken_files(file, text, words, make_run):
    folder = make_run()
    (folder / file).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError) as caught:
        write_report(folder)
    assert words in str(caught.value) and str(folder / file) in str(caught.value)
    assert not (folder / "report.html").exists()


def places(value, path=()):
    """The paths of all parts of a JSON value."""
    yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in inside:
        yield from places(inner, (*path, key))


NUMBERS = st.integers() | st.floats() | st.sampled_from([10**299, 10**400, 2**63, 1e300, -1])
ANYTHING = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["step", "x"]), inner, max_size=2),
    max_leaves=5,
)


@pytest.mark.parametrize("part", ["settings", "history", "result", "data", "best/metrics"])
def test_anything_anywhere(part, make_run, make_result, make_history, monkeypatch):
    """Whatever stands where something else should: a page and a comparison, or an error of ours."""
    charts = ("run_page.curve_chart", "comparison_page.curve_chart", "classification_sections.calibration_chart")
    for page in charts:
        monkeypatch.setattr(f"slimft.report.{page}", lambda *_, **__: None)  # Slow, and tested above.
    history, result = make_history(steps=20, every=10), make_result(("a", "b"), mistakes=1)
    history |= {"best_step": 10, "metric": "accuracy"}
    folder, other = make_run("run", {"seed": 1}, history, result), make_run("other", {}, history, result)
    for run in (folder, other):
        (run / "best").mkdir()
        (run / "best/metrics.json").write_text(json.dumps(history["validation"][0]))
        (run / "data.json").write_text('{"dataset": "x", "splits": {"validation": {"images": 3}, "test": ["a"]}}')
    file = folder / f"{part}.json"
    value = json.loads(file.read_text())
    outcomes = set()

    @checked(deadline=None, max_examples=150)
    @given(place=st.sampled_from(list(places(value))), wrong=ANYTHING)
    def check(place, wrong):
        copy = {"whole": json.loads(json.dumps(value))}
        holder = copy
        for key in ("whole", *place)[:-1]:
            holder = holder[key]
        holder[("whole", *place)[-1]] = wrong
        file.write_text(json.dumps(copy["whole"]))
        try:
            run_page(read_run(folder)).encode()
            comparison = read_comparison([folder, other])
            comparison_page(comparison).encode()
            text_tables(comparison)
            outcomes.add("page")
        except SlimftError as error:
            assert str(file) in str(error) and "\n" not in str(error)
            outcomes.add("error")

    check()
    assert outcomes == {"page", "error"}


def test_no_run(tmp_path):
    with pytest.raises(UsageError, match="settings.json is missing in it"):
        write_report(tmp_path)
    with pytest.raises(UsageError, match="no directory"):
        write_report(tmp_path / "nowhere")
