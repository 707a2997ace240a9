"""The findings as one web page, with pictures: samples of each class, what is there twice, what is odd."""

from __future__ import annotations

import base64
import io
import pathlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from slimft.data.threads import in_threads
from slimft.files import atomic_file
from slimft.inspection.data import Data
from slimft.inspection.findings import Group, shown_members
from slimft.inspection.looks import ODD, Looks
from slimft.inspection.text import ODD_TEXTS, about_balance, about_files, advice
from slimft.report.class_parts import OPEN_ROWS, long_table, with_bar
from slimft.report.markup import Html, document, folded, join, section, table, tag, tiles
from slimft.report.texts import count, percent

# The longer side of a picture, in pixels; the size at which a small one is shown is that of the page.
_SIDE = 140
_QUALITY = 80
# Classes with a sample, groups, pictures of a group and pictures of each kind of odd files.
_MOST_CLASSES = 100
_MOST_GROUPS = 60
_MOST_OF_A_GROUP = 8
_MOST_ODD = 8
# Samples, and groups, that are shown unasked.
_OPEN_CLASSES = 12
_OPEN_GROUPS = 20


def write_page(
    file: pathlib.Path,
    data: Data,
    looks: Looks,
    groups: list[Group],
    result: dict[str, Any],
    sample: int,
    seed: int,
) -> None:
    """Writes the page.

    Args:
        file: where to.
        data: the pictures, some of which are read again.
        looks: what was seen of them.
        groups: which are the same, the worst first.
        result: what `slimft.inspection.findings.find` made of these.
        sample: pictures of each class.
        seed: decides which.

    Raises:
        OSError: it cannot be written.
    """
    text = _page(data, looks, groups, result, sample, seed)
    with atomic_file(file) as stream:
        stream.write(text.encode("utf-8", "backslashreplace"))


def _page(data: Data, looks: Looks, groups: list[Group], result: dict, sample: int, seed: int) -> Html:
    place = result.get("data_dir")
    found = [tag("p", problem, class_="warning") for problem in result["problems"]]
    return document(
        f"Data: {place or result['dataset']}",
        tag("h1", place or result["dataset"]),
        tag("p", f"{result['dataset']}, looked at before training", class_="sub"),
        tiles(_tiles(result)),
        section("Problems", found or tag("p", "None were found.")),
        section(
            "Classes",
            _class_table(data, result),
            [tag("p", line.strip()) for line in about_balance(result)],
            tag("p", f"Folders without images: {', '.join(data.empty[:20])}.") if data.empty else None,
        ),
        _unreadable(result),
        _duplicates(data, groups, result),
        section("Sizes and files", [tag("p", line.strip()) for line in about_files(result)], _odd(data, looks)),
        _samples(data, looks, sample, seed),
        section("Notes", tag("ul", [tag("li", note) for note in result["notes"]])) if result["notes"] else None,
    )


def _tiles(result: dict) -> Iterator[tuple[str, str, object]]:
    twice, splits = result["duplicates"], result["splits"]
    yield "images", count(result["examples"]), ", ".join(f"{name} {number:,}" for name, number in splits.items())
    yield "classes", count(len(result["classes"])), None
    unread = result["unreadable"]
    yield "cannot be read", count(unread), percent(unread / result["examples"]) if unread else None
    leaks = sum(sum(leak.values()) for leak in twice["leaks"].values())
    yield "in two splits", count(leaks), "images that validate or test" if leaks else None
    yield "copies", count(twice["copies"]["images"]), f"in {twice['copies']['groups']:,} groups"
    yield "near duplicates", count(twice["near"]["images"]), f"in {twice['near']['groups']:,} groups"
    if result["balance"]:
        yield "largest class", f"{result['balance']['ratio']:,.3g} x", "the smallest"


def _class_table(data: Data, result: dict) -> Html:
    splits = data.names
    totals = [sum(one[split] for split in splits) for one in result["classes"]]
    most = max(totals, default=0) or 1
    apart = splits if len(splits) > 1 else []
    rows = [
        [one["name"], *(count(one[split]) for split in apart), with_bar(count(total), total / most)]
        for one, total in zip(result["classes"], totals)
    ]
    return long_table(["class", *apart, "all"], rows, f"All {len(rows):,} classes")


def _unreadable(result: dict) -> Html | None:
    files = result["unreadable_files"]
    if not files:
        return None
    reasons = ", ".join(f"{number:,} {reason}" for reason, number in result["unreadable_reasons"].items())
    rows = [[file["name"], file["reason"]] for file in files]
    more = result["unreadable"] - len(rows)
    listed = table(["file", "what is wrong"], rows, left=2)
    return section(
        "Cannot be read",
        tag(
            "p",
            f"{result['unreadable']:,} images: {reasons}. Training would stop at them; replace or remove them.",
        ),
        listed if len(rows) <= OPEN_ROWS else folded(f"The first {len(rows)}", listed),
        tag("p", f"And {more:,} more.", class_="note") if more else None,
    )


def _duplicates(data: Data, groups: list[Group], result: dict) -> Html:
    near = result["duplicates"]["near_bits"]
    if not groups:
        return section("Duplicates", tag("p", "None were found."))
    shown = list(zip(groups[:_MOST_GROUPS], _pictures_of_groups(data, groups[:_MOST_GROUPS])))
    parts = [_group(data, group, pictures) for group, pictures in shown]
    more = len(groups) - len(parts)
    counted = "1 group" if len(groups) == 1 else f"{len(groups):,} groups"
    how = f"hashes differ in at most {near} of 64 bits" if near >= 0 else "copies alone were looked for"
    return section(
        "Duplicates",
        tag(
            "p",
            f"{counted}, the worst first: those in several splits, then those of several classes. "
            f"Near duplicates are found by a perceptual hash ({how}); look before you remove one.",
        ),
        tag("p", f"To {advice(result)}.") if result["duplicates"]["leaks"] else None,
        tag("div", parts[:_OPEN_GROUPS], class_="grid"),
        folded(f"{len(parts) - _OPEN_GROUPS} more", tag("div", parts[_OPEN_GROUPS:], class_="grid"))
        if len(parts) > _OPEN_GROUPS
        else None,
        tag("p", f"And {more:,} more groups.", class_="note") if more else None,
    )


def _pictures_of_groups(data: Data, groups: list[Group]) -> Iterator[list[Html]]:
    names = data.first.class_names
    chosen = [shown_members(data, group, _MOST_OF_A_GROUP) for group in groups]
    drawn = _pictures(data, [index for indices in chosen for index in indices])
    for indices in chosen:
        pictures = []
        for index in indices:
            label = int(data.labels[index])
            where = data.names[data.split_of[index]] + (f", {names[label]}" if label >= 0 else "")
            pictures.append(_figure(next(drawn), where, data.key(index)))
        yield pictures


def _group(data: Data, group: Group, pictures: list[Html]) -> Html:
    what = "copies of one file" if group.copies else "near duplicates"
    told = [f"{len(group.members):,} {what}"]
    told += [f"in {' and '.join(group.splits)}"] if group.across else []
    if group.conflict:
        told.append(f"of the classes {', '.join(data.first.class_names[label] for label in group.labels[:8])}")
    return tag("div", tag("h3", ", ".join(told)), tag("div", pictures, class_="pictures"))


def _odd(data: Data, looks: Looks) -> Iterable[Html]:
    for name, bit in ODD.items():
        found = looks.which(bit)
        if len(found):
            indices = found[:_MOST_ODD].tolist()
            pictures = [
                _figure(picture, "", data.key(index)) for index, picture in zip(indices, _pictures(data, indices))
            ]
            heading = f"{len(found):,} {ODD_TEXTS[name]}"
            yield join(tag("h3", heading), tag("div", pictures, class_="pictures"))


def _samples(data: Data, looks: Looks, sample: int, seed: int) -> Html | None:
    """Some pictures of each class; of data with masks, of each split."""
    names, of = data.first.class_names, data.labels
    if data.first.task != "classification":
        names, of = tuple(data.names), data.split_of
    rng = np.random.default_rng(seed)
    chosen = []
    for label in range(min(len(names), _MOST_CLASSES)):
        members = np.flatnonzero((of == label) & looks.table["read"])
        chosen.append(np.sort(rng.permutation(members)[:sample]).tolist())
    drawn = _pictures(data, [index for indices in chosen for index in indices])
    parts = []
    for name, indices in zip(names, chosen):
        pictures = [_figure(next(drawn), "", data.key(index)) for index in indices]
        if pictures:
            parts.append(join(tag("h3", name), tag("div", pictures, class_="pictures")))
    if not parts:
        return None
    more = len(names) - _MOST_CLASSES
    return section(
        "Samples",
        tag("p", f"Up to {sample} of each, drawn with --seed={seed}.", class_="note"),
        parts[:_OPEN_CLASSES],
        folded(f"{len(parts) - _OPEN_CLASSES} more", parts[_OPEN_CLASSES:]) if len(parts) > _OPEN_CLASSES else None,
        tag("p", f"{more:,} more classes have no sample here.", class_="note") if more > 0 else None,
    )


def _pictures(data: Data, indices: list[int]) -> Iterator[str | None]:
    """Pictures as data URLs, in order; None of one that cannot be read."""
    return iter(in_threads(lambda index: _picture(data, index), indices))


def _picture(data: Data, index: int) -> str | None:
    image = data.thumbnail(index, _SIDE)
    if image is None:
        return None
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"


def _figure(url: str | None, what: str, name: str) -> Html:
    picture = tag("img", src=url, alt=name) if url else tag("div", "cannot be read", class_="blank")
    return tag("figure", picture, tag("figcaption", tag("b", what) if what else None, " " if what else None, name))
