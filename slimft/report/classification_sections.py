"""The parts of a run's report that go class by class: counts, figures, confusions, mistakes, calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from slimft.report.class_parts import (
    DRAWN_CLASSES,
    OPEN_ROWS,
    confused_pairs,
    extent,
    heat_map,
    long_table,
    picture,
    with_bar,
)
from slimft.report.figures import calibration_chart
from slimft.report.label_errors import label_errors
from slimft.report.markup import Html, join, section, table, tag
from slimft.report.texts import MISSING, count, percent, share, some_of, wilson_interval
from slimft.runs.result import Result

# Classes at each end of a long table that are shown by themselves.
_EXTREMES = 10


class ClassificationSections:
    """As `slimft.report.run_page.Sections`."""

    below = "the figures class by class, confusions, mistakes and calibration"
    training = (
        "Training figures are measured while it trains: on augmented images, with dropout, and with the loss that "
        "is trained, class weights and label smoothing included."
    )

    def evaluated(self, result: Result) -> str:
        return f"{some_of(result.figure('examples'), result.figure('examples_in_split'))} examples"

    def headline(self, result: Result) -> list[tuple[str, str, str]]:
        examples, accuracy = result.figure("examples"), result.figure("accuracy")
        interval = ""
        if accuracy is not None and 0 <= accuracy <= 1 and examples and examples > 0:
            low, high = wilson_interval(accuracy, examples)
            interval = f"95 % interval (Wilson) {low:.3f} to {high:.3f}"
        return [
            ("accuracy", percent(accuracy), interval),
            ("balanced accuracy", percent(result.figure("balanced_accuracy")), "mean recall of the classes"),
            ("macro F1", percent(result.figure("macro_f1")), ""),
            ("loss", share(result.figure("loss")), ""),
            ("calibration error", percent(result.ece), "ECE: confidence minus accuracy"),
        ]

    def findings(self, result: Result, data_dir: str) -> list[Html | None]:
        return [
            class_tables(result),
            confusion(result),
            label_errors(result, data_dir),
            mistakes(result, data_dir),
            calibration(result),
        ]


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
    rows = [(split, count(sum(counts[split])), *extent(counts[split], names)) for split in splits]
    header = ["split", "examples", "smallest class", "median", "largest class"]
    most = max(max(counts[splits[0]], default=0), 1)
    cells = (
        (
            name,
            with_bar(count(counts[splits[0]][label]), counts[splits[0]][label] / most),
            *(count(counts[split][label]) for split in splits[1:]),
        )
        for label, name in enumerate(names)
    )
    classes = long_table(["class", *splits], list(cells), f"Examples of all {len(names):,} classes")
    return section("Data", table(header, rows), classes)


def _per_class(result: Result) -> Html | None:
    figures = result.per_class
    if not figures:
        return None
    header = ["class", "examples", "precision", "recall", "F1"]
    rows = [_class_row(one) for one in figures]
    parts = []
    if len(figures) > OPEN_ROWS:
        known = [i for i, one in enumerate(figures) if one["recall"] is not None]
        order = sorted(known, key=lambda i: figures[i]["recall"])
        parts = [tag("h3", "Found least often"), table(header, [rows[i] for i in order[:_EXTREMES]])]
        parts += [tag("h3", "Found most often"), table(header, [rows[i] for i in order[: -_EXTREMES - 1 : -1]])]
    parts.append(long_table(header, rows, f"All {len(figures):,} classes"))
    note = (
        "Precision: the share of right ones among the examples that were called so. Recall, drawn as a bar: the "
        f"share of the class's examples that were found. {MISSING}: there are none to tell by."
    )
    return section("Class by class", *parts, tag("p", note, class_="note"))


def _class_row(one) -> tuple:
    recall = one["recall"]
    figures = share(one["precision"]), with_bar(share(recall), recall), share(one["f1"])
    return one["class"], count(one["examples"]), *figures


def confusion(result: Result) -> Html | None:
    """The confusion matrix as a heat map where it can be read, and the most confused pairs."""
    names, matrix = result.class_names, result.confusion_matrix
    parts = []
    if matrix is not None and 0 < len(names) <= DRAWN_CLASSES:
        note = "Rows are labels, columns predictions; a cell is coloured by its share of its row."
        parts.append(heat_map(names, matrix, lambda number, part: count(number), note))
    if result.confused_pairs and (len(names) > 10 or not parts):
        examples = {label: one["examples"] for label, one in enumerate(result.per_class)}
        parts.append(confused_pairs(names, result.confused_pairs, examples, "examples"))
    return section("Confusions", *parts) if parts else None


def mistakes(result: Result, data_dir: str) -> Html | None:
    """The mistakes the network was surest of, as pictures; their names without the path of the data."""
    if not result.mistakes:
        return None
    names = result.class_names
    explained = any(one["heat"] for one in result.mistakes)
    pictures = [
        tag(
            "figure",
            _explained(one, names) if explained else picture(one["image"]),
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
    if explained:
        note += (
            " Beside each what speaks for the predicted class, and what for the label, by Grad-CAM: most where it "
            "is red, nothing where it is dark blue. Each is scaled by itself."
        )
    shown = tag("div", pictures, class_="triples" if explained else "pictures")
    return section("Most confident mistakes", tag("p", note, class_="note"), shown)


def _explained(one: Mapping[str, Any], names: Sequence[str]) -> Html:
    """A mistake, what speaks for its predicted class, and what for its label, side by side."""
    titles = {
        "image": "image",
        "heat": f"for {names[one['predicted']]}",
        "heat_of_label": f"for {names[one['label']]}",
    }
    shown = [tag("div", picture(one[of], title), tag("span", title, class_="note")) for of, title in titles.items()]
    return tag("div", shown)


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
