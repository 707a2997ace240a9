"""The part of a page that shows examples whose label is likely wrong."""

from __future__ import annotations

from slimft.report.class_parts import picture
from slimft.report.markup import Html, section, tag
from slimft.report.texts import count, percent
from slimft.runs.result import Result

_OUT_OF_FOLD = "Each example was judged by the network of the fold that did not train on it."
_OF_ONE_SPLIT = (
    "Only the {} split was looked at, which the network did not train on; a cross-validation (--fold=all) looks at "
    "all examples."
)
_WHAT_IT_IS = (
    "Found by confident learning (Northcutt et al., arXiv:1911.00068): the network gives another class at "
    "least the probability that it gives that class, on average, where it is the label; the likeliest errors "
    "first. These are candidates to look at, not proof: the network may be wrong, above all where classes look "
    "alike or have few examples, and an error that it repeats is not found."
)
# Of what share of the examples labels can be doubted before that says more of the network.
_MOST_DOUBTED = 0.25


def label_errors(result: Result, data_dir: str) -> Html | None:
    """The examples whose label is likely wrong, as pictures; None where they were not looked for.

    Args:
        result: what has them.
        data_dir: left off the examples' names.
    """
    number = result.figure("label_errors")
    if number is None:
        return None
    of = _OUT_OF_FOLD if result.folds else _OF_ONE_SPLIT.format(result.split or "final")
    if not number:
        return section("Likely label errors", tag("p", f"None was found. {of}", class_="note"))
    examples = result.figure("examples")
    if examples and number > _MOST_DOUBTED * examples:
        told = (
            f"The network doubts {count(number)} of {count(examples)} labels, which says more of it than of them."
        )
        return section("Likely label errors", tag("p", f"{told} {of}", class_="note"))
    names = result.class_names
    shown = [
        tag(
            "figure",
            picture(one["image"]),
            tag(
                "figcaption",
                tag("b", f"labelled {names[one['label']]} ({percent(one['given'])})"),
                f"perhaps {names[one['suggested']]} ({percent(one['confidence'])})",
                tag("br"),
                one["name"].removeprefix(f"{data_dir}/"),
            ),
        )
        for one in result.label_errors
    ]
    first = "all" if number <= len(shown) else f"the first {len(shown)}"
    told = f"{count(number)} found, {first} shown; label_errors.csv lists them. {of}"
    return section(
        "Likely label errors",
        tag("p", told, class_="note"),
        tag("div", shown, class_="pictures"),
        tag("p", _WHAT_IT_IS, class_="note"),
    )
