"""The findings for a person, as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from slimft.data.splits import describe_splits
from slimft.inspection.data import Data
from slimft.inspection.findings import UNEQUAL
from slimft.report.texts import count

# Lines on files that cannot be read, and on groups of duplicates.
_MOST_LINES = 10
_MOST_IN_A_LINE = 6

ODD_TEXTS = {
    "turned": "turned upright as their EXIF orientation says",
    "animated": "with several pictures, of which the first counts",
    "transparent": "with transparency, which shows white",
    "sixteen_bits": "of 16 bits a channel, seen as 8",
    "wrong_suffix": "named as another format than they are",
    "one_colour": "of one colour all over",
}


def lines(data: Data, result: dict[str, Any]) -> Iterator[str]:
    """What to print."""
    yield from describe_splits(dict(data.splits)).splitlines()
    yield from (f"note: {note}" for note in result["notes"] if note not in data.first.notes)
    yield ""
    yield from about_balance(result)
    yield from about_files(result)
    yield from _odd(result)
    yield from _unreadable(result)
    yield from _duplicates(result)
    if data.empty:
        yield f"folders without images: {_few(data.empty)}"
    yield ""
    yield from [f"PROBLEM: {problem}" for problem in result["problems"]] or ["no problems found"]


def about_balance(result: dict[str, Any]) -> Iterator[str]:
    """On classes of unequal size."""
    balance = result["balance"]
    if not balance:
        return
    small, large, of = balance["smallest"], balance["largest"], balance["of"]
    where = " to train on" if "train" in result["splits"] else ""
    yield (
        f"class balance: of {of}{where}, {small['count']:,} in the smallest class ({small['name']}), "
        f"{large['count']:,} in the largest ({large['name']}): 1 to {balance['ratio']:.3g}"
    )
    if balance["ratio"] >= UNEQUAL and of == "examples":
        yield (
            "  recipes leave that as it is; --balance=sampler draws small classes more often, --balance=loss "
            f"counts an example of {small['name']} {balance['weight_ratio']:.3g} times as much as one of "
            f"{large['name']}; go by the balanced accuracy"
        )
    elif balance["ratio"] >= UNEQUAL:
        yield "  recipes leave that as it is; --balance=loss weighs pixels by their class; go by the mean IoU"
    if balance["single"]:
        yield f"classes with one image: {_few(balance['single'])}"


def about_files(result: dict[str, Any]) -> Iterator[str]:
    """On sizes and formats."""
    sizes = result["sizes"]
    if sizes:
        width, height, aspect = sizes["width"], sizes["height"], sizes["aspect"]
        yield (
            f"sizes: width {_extent(width)}, height {_extent(height)} pixels (least, median, most); "
            f"width / height {', '.join(f'{value:.2f}' for value in aspect)}"
        )
        if sizes["smaller"] and result["task"] == "classification":
            side = sizes["image_size"]
            yield f"  {sizes['smaller']:,} have a side of less than {side} pixels, and are enlarged to that"
    yield (
        f"files: {result['bytes'] / 1e6:,.1f} MB; {_counts(result['formats'])}; colours: {_counts(result['modes'])}"
    )


def _odd(result: dict[str, Any]) -> Iterator[str]:
    for name, text in ODD_TEXTS.items():
        if result["odd"][name]:
            yield f"  {result['odd'][name]:,} {text}"


def _unreadable(result: dict[str, Any]) -> Iterator[str]:
    if not result["unreadable"]:
        return
    yield f"cannot be read: {result['unreadable']:,} images ({_counts(result['unreadable_reasons'])})"
    for file in result["unreadable_files"][:_MOST_LINES]:
        yield f"  {file['name']}: {file['reason']}"
    if result["unreadable"] > _MOST_LINES:
        yield f"  and {result['unreadable'] - _MOST_LINES:,} more"


def _duplicates(result: dict[str, Any]) -> Iterator[str]:
    twice = result["duplicates"]
    total = twice["copies"]["groups"] + twice["near"]["groups"]
    near = ", near duplicates were not looked for" if twice["near_bits"] < 0 else ""
    if not total:
        yield f"duplicates: none{near}"
        return
    yield (
        f"duplicates: {_images(twice['copies'], 'copies')}, {_images(twice['near'], 'near duplicates')}{near}; "
        f"groups in several splits: {twice['across_splits']:,}, in several classes: {twice['conflicts']:,}"
    )
    for group in twice["groups"][:_MOST_LINES]:
        what = "copies" if group["kind"] == "copies" else "near"
        conflict = len({one.get("class") for one in group["images"]}) > 1
        shown = [
            f"{one['name']} ({one['split']}{', ' + one['class'] if conflict else ''})"
            for one in group["images"][:_MOST_IN_A_LINE]
        ]
        more = group["count"] - len(shown)
        yield f"  {what}: {', '.join(shown)}{f' and {more:,} more' if more else ''}"
    if total > _MOST_LINES:
        yield f"  and {total - _MOST_LINES:,} more groups"
    if twice["leaks"]:
        yield f"  {advice(result)}"


def _images(found: dict[str, int], what: str) -> str:
    groups = "group" if found["groups"] == 1 else "groups"
    return f"{found['images']:,} images in {found['groups']:,} {groups} of {what}"


def advice(result: dict[str, Any]) -> str:
    """What to do where the same is in several splits."""
    if result["dataset"] == "image_folder":
        return "keep what is the same in one split: --manifest writes a list that does, --group goes by the paths"
    return "keep what is the same in one split: a CSV manifest's column group does"


def _extent(values: list[float]) -> str:
    return ", ".join(count(np.floor(value)) for value in values)


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in counts.items())


def _few(names: Sequence[str]) -> str:
    more = len(names) - _MOST_LINES
    return ", ".join(names[:_MOST_LINES]) + (f" and {more:,} more" if more > 0 else "")
