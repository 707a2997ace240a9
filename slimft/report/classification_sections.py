"""The parts of a run's report that go class by class: counts, figures, confusions, mistakes, calibration."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from slimft.report.figures import calibration_chart
from slimft.report.markup import Html, folded, join, section, table, tag
from slimft.report.texts import MISSING, count, percent, share, wilson_interval
from slimft.runs.result import Result

# Up to so many classes a confusion matrix has its numbers, up to so many it is drawn at all.
_NUMBERED_CLASSES = 30
_DRAWN_CLASSES = 60
# Up to so many, its cells are wide.
_WIDE_CLASSES = 15
# From so many classes on, the table of all of them is folded away.
_OPEN_ROWS = 40
_MOST_ROWS = 2000
_EXTREMES = 10
_SHOWN_PAIRS = 20


class ClassificationSections:
    """As `slimft.report.run_page.Sections`."""

    def headline(self, result: Result) -> list[tuple[str, str, str]]:
        examples, accuracy = result.figure("examples"), result.figure("accuracy")
        interval = ""
        if accuracy is not None and 0 <= accuracy <= 1 and examples and examples > 0:
            low, high = wilson_interval(accuracy, examples)
            interval = f"95 % interval {low:.3f} to {high:.3f}"
        return [
            ("accuracy", percent(accuracy), interval),
            ("balanced accuracy", percent(result.figure("balanced_accuracy")), "mean recall of the classes"),
            ("macro F1", percent(result.figure("macro_f1")), ""),
            ("loss", share(result.figure("loss")), ""),
            ("calibration error", percent(result.ece), "ECE: confidence minus accuracy"),
        ]

    def findings(self, result: Result, data_dir: str) -> list[Html | None]:
        return [class_tables(result), confusion(result), mistakes(result, data_dir), calibration(result)]


def class_tables(result: Result) -> Html | None:
    """Examples of each class in each split, and the figures of each class."""
    if not result.class_names:
        return None
    return join(_data(result), _per_class(result))


def _data(result: Result) -> Html | None:
    counts, names = result.class_counts, result.class_names
    if not counts:
        return None
    splits = list(counts)
    rows = [(split, count(sum(counts[split])), *_extent(counts[split], names)) for split in splits]
    header = ["split", "examples", "smallest class", "median", "largest class"]
    most = max(max(counts[splits[0]], default=0), 1)
    cells = (
        (
            name,
            _with_bar(count(counts[splits[0]][label]), counts[splits[0]][label] / most),
            *(count(counts[split][label]) for split in splits[1:]),
        )
        for label, name in enumerate(names)
    )
    classes = _long_table(["class", *splits], list(cells), f"Examples of all {len(names):,} classes")
    return section("Data", table(header, rows), classes)


def _extent(counts: Sequence[int], names: Sequence[str]) -> tuple[str, str, str]:
    least, most = min(counts), max(counts)
    return (
        f"{count(least)} ({names[counts.index(least)]})",
        count(statistics.median(counts)),
        f"{count(most)} ({names[counts.index(most)]})",
    )


def _with_bar(text: str, part: float | None) -> Html:
    """A figure after a bar that is filled as far as `part`, in 0..1, says."""
    filled = None if not part else tag("i", style=f"width:{100 * min(max(part, 0), 1):.1f}%")
    return join(tag("span", filled, class_="bar"), tag("span", text, class_="figure"))


def _long_table(header: Sequence, rows: list, summary: str) -> Html:
    """A table that is folded away where it is long, and cut where it is very long."""
    note = None
    if len(rows) > _MOST_ROWS:
        note = tag("p", f"The first {_MOST_ROWS:,}; all are in result.json.", class_="note")
    whole = table(header, rows[:_MOST_ROWS])
    return folded(summary, whole, note) if len(rows) > _OPEN_ROWS else whole


def _per_class(result: Result) -> Html | None:
    figures = result.per_class
    if not figures:
        return None
    header = ["class", "examples", "precision", "recall", "F1"]
    rows = [_class_row(one) for one in figures]
    parts = []
    if len(figures) > _OPEN_ROWS:
        known = [i for i, one in enumerate(figures) if one["recall"] is not None]
        order = sorted(known, key=lambda i: figures[i]["recall"])
        parts = [tag("h3", "Found least often"), table(header, [rows[i] for i in order[:_EXTREMES]])]
        parts += [tag("h3", "Found most often"), table(header, [rows[i] for i in order[: -_EXTREMES - 1 : -1]])]
    parts.append(_long_table(header, rows, f"All {len(figures):,} classes"))
    note = (
        "Precision: the share of right ones among the examples that were called so. Recall, drawn as a bar: the "
        f"share of the class's examples that were found. {MISSING}: there are none to tell by."
    )
    return section("Class by class", *parts, tag("p", note, class_="note"))


def _class_row(one) -> tuple:
    recall = one["recall"]
    figures = share(one["precision"]), _with_bar(share(recall), recall), share(one["f1"])
    return one["class"], count(one["examples"]), *figures


def confusion(result: Result) -> Html | None:
    """The confusion matrix as a heat map where it can be read, and the most confused pairs."""
    names, matrix = result.class_names, result.confusion_matrix
    parts = []
    if matrix is not None and 0 < len(names) <= _DRAWN_CLASSES:
        parts.append(_heat_map(names, matrix))
    if result.confused_pairs and (len(names) > 10 or not parts):
        examples = {label: one["examples"] for label, one in enumerate(result.per_class)}
        rows = [
            (names[label], names[predicted], count(number), _part(number, examples.get(label)))
            for label, predicted, number in result.confused_pairs[:_SHOWN_PAIRS]
        ]
        header = ["label", "taken for", "examples", "of the class"]
        parts += [tag("h3", "Most frequent confusions"), table(header, rows, 2)]
    return section("Confusions", *parts) if parts else None


def _part(number: int, examples) -> str:
    return percent(number / examples) if examples else MISSING


def _heat_map(names: Sequence[str], matrix: Sequence[Sequence[int]]) -> Html:
    numbered = len(names) <= _NUMBERED_CLASSES
    corner = tag("th")
    header = tag("tr", corner, [tag("th", tag("span", _short(name)), title=name, class_="t") for name in names])
    rows = []
    for label, (name, row) in enumerate(zip(names, matrix)):
        total = sum(row)
        cells = [
            _heat_cell(number, number / total if total else 0, numbered, label == predicted, f"{name} → {other}")
            for predicted, (other, number) in enumerate(zip(names, row))
        ]
        rows.append(tag("tr", tag("th", _short(name), title=name), cells))
    css = "heat small" if not numbered else "heat" if len(names) <= _WIDE_CLASSES else "heat dense"
    drawn = tag("div", tag("table", tag("thead", header), tag("tbody", rows), class_=css), class_="scroll")
    note = "Rows are labels, columns predictions; a cell is coloured by its share of its row."
    return join(drawn, tag("p", note, class_="note"))


def _heat_cell(number: int, part: float, numbered: bool, right: bool, what: str) -> Html:
    css = " ".join(name for name, applies in (("right", right), ("strong", part > 0.55)) if applies)
    return tag(
        "td",
        count(number) if numbered and number else None,
        class_=css or None,
        title=f"{what}: {number:,} ({part:.1%})" if number else None,
        style=f"background:rgba(var(--heat),{part:.2f})" if number else None,
    )


def _short(name: str) -> str:
    """A name's beginning and end: long names often differ in one of them only."""
    return name if len(name) <= 24 else f"{name[:11]}…{name[-12:]}"


def mistakes(result: Result, data_dir: str) -> Html | None:
    """The mistakes the network was surest of, as pictures; their names without the path of the data."""
    if not result.mistakes:
        return None
    names = result.class_names
    pictures = [
        tag(
            "figure",
            tag("img", src=one["image"], alt="") if one["image"] else tag("div", "no picture", class_="blank"),
            tag(
                "figcaption",
                tag("b", f"{names[one['predicted']]} ({percent(one['confidence'])})"),
                f"labelled {names[one['label']]}",
                tag("br"),
                one["name"].removeprefix(f"{data_dir}/"),
            ),
        )
        for one in result.mistakes
    ]
    note = "Wrong answers of which the network was surest, and with what confidence. Some may be wrong labels."
    shown = tag("div", pictures, class_="pictures")
    return section("Most confident mistakes", tag("p", note, class_="note"), shown)


def calibration(result: Result) -> Html | None:
    """The reliability diagram with the expected calibration error."""
    if not result.calibration:
        return None
    chart = calibration_chart(result.calibration["bins"], "calibration")
    if chart is None:
        return None
    note = (
        f"Expected calibration error {percent(result.ece)}: how far confidence and accuracy lie apart, on average "
        f"over the examples, in {len(result.calibration['bins'])} bins of confidence. Below the diagonal, the "
        "network is surer than it should be."
    )
    return section("Calibration", tag("div", chart, class_="grid"), tag("p", note, class_="note"))
