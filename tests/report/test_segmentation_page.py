"""report.html and comparisons of segmentations."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import settings as checked
from hypothesis import strategies as st

from slimft.cli.report import main
from slimft.errors import SlimftError, UsageError
from slimft.report import compare, text_tables, write_report
from slimft.report.run_page import run_page
from slimft.runs.read import read_run

HOSTILE = "<script>alert(1)</script>\"'&"
SEGMENTS = {"model": "fcn_8s", "dataset": "voc"}


def pixel_history(*ious, metric="mean_iou"):
    """A history of validations at steps 100, 200 and so on."""
    rows = [
        {"step": 100 * i, "examples": 14, "pixels": 9000, "mean_iou": iou, "pixel_accuracy": 0.9,
         "mean_accuracy": 0.5, "frequency_weighted_iou": 0.8, "loss": 1 - iou}
        for i, iou in enumerate(ious, 1)
    ]  # fmt: skip
    train = [{"step": row["step"], "loss": 1.0, "pixel_accuracy": 0.7, "learning_rate": 0.01} for row in rows]
    best = max(rows, key=lambda row: row[metric])["step"]
    return {"train": train, "validation": rows, "best_step": best, "metric": metric}


@pytest.fixture
def run_of(make_run, pixel_data, make_pixel_result):
    """Writes the directory of a run of a segmentation: `run_of(name, ious, names, seed, **settings)`."""
    splits = {}

    def make(name="run", ious=(0.3, 0.4), names=(), seed=0, change=None, **settings):
        if names not in splits:
            splits[names] = pixel_data(*names)
        told = make_pixel_result(splits[names], seed)
        if change is not None:
            change(told)
        return make_run(name, {**SEGMENTS, **settings}, pixel_history(*ious), told)

    return make


def test_a_finished_run(run_of, parse_page, tmp_path):
    folder = run_of(data_dir=str(tmp_path / "voc"))
    page = parse_page(write_report(folder))
    told = json.loads((folder / "result.json").read_text())
    figures = told["result"]
    for name in ("mean_iou", "pixel_accuracy", "mean_accuracy", "frequency_weighted_iou"):
        assert f"{100 * figures[name]:.1f} %" in page.text
    for words in (
        "frequency-weighted IoU",
        f"On the 14 images ({figures['pixels']:,} pixels that are of a class) of the validation split",
        "Validation at step 200, the best by mean IoU: mean IoU 0.4000, pixel accuracy 0.9000, mean accuracy",
        "best by mean IoU: step 200",
        "Mean IoU",
        "training, pixel accuracy",
        "images per second",
        "parts of images that are cut out",
        "The worst images",
        "The best images",
        "void: of no class",
    ):
        assert words in page.text, words
    for words in ("calibration", "mistakes", "augmented images", "recall", "F1"):
        assert words not in page.text, words
    for one in told["per_class"]:
        assert f"{one['iou']:.4f}" in page.text and f"{one['pixels']:,}" in page.text
    for one in told["pictures"]:
        assert one["name"].removeprefix(f"{tmp_path}/voc/") in page.text and one["name"] not in page.text
        assert f"{100 * one['mean_iou']:.1f} %" in page.text and f"{100 * one['pixel_accuracy']:.1f} %" in page.text
    assert [(image["src"], image["alt"]) for image in page.all("img")] == [
        (one[part], title)
        for one in told["pictures"]
        for part, title in (("image", "image"), ("truth", "truth"), ("predicted", "prediction"))
    ]


def test_colours_are_those_of_the_masks(run_of, parse_page):
    page = parse_page(write_report(run_of()))
    colours = [one["style"] for one in page.all("i") if one.get("class") == "colour"]
    classes = [f"background:rgb({rgb})" for rgb in ("0,0,0", "128,0,0", "0,128,0", "128,128,0")]
    # Data, class by class, and the legend, which has void too.
    assert colours == [*classes * 3, "background:rgb(224,224,192)"]


def test_the_matrix_says_percent(run_of, parse_page):
    folder = run_of()
    page = parse_page(write_report(folder))
    matrix = json.loads((folder / "result.json").read_text())["confusion_matrix"]
    cells = [cell for cell in page.all("td") if "rgba" in (cell.get("style") or "")]
    shares = [(number, number / sum(row)) for row in matrix for number in row if number]
    assert [cell["style"] for cell in cells] == [f"background:rgba(var(--heat),{part:.2f})" for _, part in shares]
    assert [re.search(r": ([\d,]+) \(", cell["title"])[1] for cell in cells] == [
        f"{number:,}" for number, _ in shares
    ]
    source = (folder / "report.html").read_text()
    drawn = re.search('<table class="heat">.*?</table>', source)[0]
    assert re.findall(r">(\d+)</td>", drawn) == [f"{100 * part:.0f}" for _, part in shares]


@pytest.mark.parametrize("size", [2, 12, 40, 70])
def test_numbers_of_classes(size, run_of, parse_page):
    names = tuple(f"class {i}" for i in range(size))
    page = parse_page(write_report(run_of(names=names)))
    cells = [cell for cell in page.all("td") if "rgba" in (cell.get("style") or "")]
    assert bool(cells) == (size <= 60) and ("Most frequent confusions" in page.text) == (size > 10)
    assert all(name in page.text for name in names)
    assert ("The colours of 70 classes" in page.text) == (size == 70)


def test_names_are_text(run_of, parse_page):
    def change(told):
        told["pictures"][0] |= {"name": f"x/{HOSTILE}.jpg", "image": "https://elsewhere/x.jpg", "truth": None}
        told["pictures"][1]["predicted"] = "data:image/svg+xml,<svg onload=x>"

    names = (HOSTILE, "</style><img src=x onerror=y>", "ordinary", "白血球")
    page = parse_page(write_report(run_of(names=names, change=change)))
    assert page.text.count(HOSTILE) >= 4 and "白血球" in page.text and f"x/{HOSTILE}.jpg" in page.text
    assert len(page.all("img")) == 3 * 12 - 3 and page.text.count("no picture") == 3


def test_a_run_without_masks_or_an_end(make_run, run_of, parse_page):
    def change(told):
        told.update(pictures=[], confusion_matrix=None, per_class=[], class_counts={})

    page = parse_page(write_report(run_of(change=change)))
    assert not page.all("img") and "Images" not in page.text and "Confusions" not in page.text
    page = parse_page(write_report(make_run("stopped", SEGMENTS, pixel_history(0.2), None)))
    assert "did not come to its end" in page.text and "mean IoU 0.2000" in page.text


def test_the_task_is_what_the_result_tells(run_of, parse_page):
    """Also where the network's name is one of another version; where the two contradict, that is said."""
    page = parse_page(write_report(run_of("own", model="network_of_mine")))
    assert "The worst images" in page.text and "result.json is of the task" not in page.text
    page = parse_page(write_report(run_of("vgg", model="vgg_16")))
    assert "The worst images" in page.text and "result.json is of the task segmentation" in page.text


def test_comparison(run_of, tmp_path, parse_page, capsys):
    folders = [
        run_of(f"run{i}", (0.9, iou), seed=i, learning_rate=0.1 * (i + 1)) for i, iou in enumerate((0.4, 0.6, 0.5))
    ]
    assert main(["report", *map(str, folders), f"--output={tmp_path / 'page.html'}"]) == 0
    out = capsys.readouterr().out
    assert "Ranks go by validation mean IoU" in out and "0.6000*" in out
    for words in ("balanced", "ECE", "Recall", "validation accuracy"):
        assert words not in out
    comparison = compare(folders, tmp_path / "page.html")
    assert comparison.metric == "mean_iou" and comparison.ranks == [3, 1, 2]
    ((header, rows),) = text_tables(comparison)
    titles = ["mean IoU", "pixel accuracy", "mean accuracy", "loss"]
    assert header[2:6] == [f"validation {title}" for title in titles]
    assert [row[2] for row in rows] == ["0.4000", "0.6000*", "0.5000"]
    page = parse_page(tmp_path / "page.html")
    assert "IoU by class, on the validation split" in page.text and "Recall" not in page.text
    assert len([one for one in page.all("svg") if one.get("role") == "img"]) == len(titles)
    for folder in folders:
        for one in json.loads((folder / "result.json").read_text())["per_class"]:
            assert f"{one['iou']:.4f}" in page.text and f"{one['pixels']:,}" in page.text


def test_repetitions_with_test_figures(run_of, tmp_path, parse_page):
    def tested(told):
        told["result"]["split"] = "test"

    comparison = compare([run_of(f"run{i}", seed=i, change=tested) for i in range(2)], tmp_path / "page.html")
    # Both have the default seed.
    assert [len(group) for group in comparison.groups] == [2]
    _, (header, rows) = text_tables(comparison)
    assert header[1:] == [
        f"test {title}" for title in ("mean IoU", "pixel accuracy", "mean accuracy", "loss", "weighted IoU")
    ]
    assert "–" not in rows[0] and "±" in rows[2][1]
    assert "IoU by class over repetitions, on the test split" in parse_page(tmp_path / "page.html").text


def test_other_pixels_are_not_ranked(run_of, tmp_path):
    def change(told):
        told["class_counts"]["validation"][0] += 1

    comparison = compare([run_of("a", seed=1), run_of("b", seed=2, change=change)], tmp_path / "page.html")
    assert comparison.ranks == [None, None] and any(
        "the pixels of each class" in note for note in comparison.notes()
    )


def test_runs_of_several_tasks_do_not_compare(run_of, make_run, tmp_path, capsys):
    segments, unfinished = run_of("segments"), make_run("unfinished", SEGMENTS, pixel_history(0.2), None)
    classes = make_run("classes")
    with pytest.raises(UsageError) as caught:
        compare([segments, classes, unfinished], tmp_path / "page.html")
    assert f"{classes} of classification; {segments}, {unfinished} of segmentation" in str(caught.value)
    assert main(["report", str(segments), str(classes), f"--output={tmp_path / 'page.html'}"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1 and not (tmp_path / "page.html").exists()


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["step", "x"]), inner, max_size=2),
    max_leaves=5,
)


def places(value, path=()):
    """The paths of all parts of a JSON value."""
    yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in inside:
        yield from places(inner, (*path, key))


def test_anything_anywhere(run_of, monkeypatch):
    """Whatever stands in result.json where something else should: a page, or an error of ours."""
    monkeypatch.setattr("slimft.report.run_page.curve_chart", lambda *_, **__: None)  # Slow.
    folder = run_of(change=lambda told: told["pictures"].__delitem__(slice(2, None)))
    file = folder / "result.json"
    value, outcomes = json.loads(file.read_text()), set()

    @checked(deadline=None, max_examples=200)
    @given(place=st.sampled_from([place for place in places(value) if place]), wrong=ANYTHING)
    def check(place, wrong):
        copy = holder = json.loads(json.dumps(value))
        for key in place[:-1]:
            holder = holder[key]
        holder[place[-1]] = wrong
        file.write_text(json.dumps(copy))
        try:
            run_page(read_run(folder)).encode()
            outcomes.add("page")
        except SlimftError as error:
            assert str(file) in str(error) and "\n" not in str(error)
            outcomes.add("error")

    check()
    assert outcomes == {"page", "error"}
