"""The parts of a segmentation's report that are its own: pixels and figures of each class, confusions, images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from slimft.data.masks import VOID
from slimft.data.palette import voc_palette
from slimft.report.class_parts import DRAWN_CLASSES, confused_pairs, extent, heat_map, long_table, picture, with_bar
from slimft.report.markup import Html, folded, join, section, table, tag
from slimft.report.texts import MISSING, count, percent, share, some_of
from slimft.runs.result import Result

_PALETTE = voc_palette()
# From so many classes on, the legend is folded away.
_OPEN_LEGEND = 60
_FEW_CLASSES = 10
_SHOWN = {"image": "image", "truth": "truth", "predicted": "prediction"}


class SegmentationSections:
    """As `slimft.report.run_page.Sections`."""

    below = "the figures class by class, confusions and pictures"
    training = (
        "Training figures are measured while it trains: on parts of images that are cut out and changed at random, "
        "with dropout, and with the loss that is trained, class weights and label smoothing included."
    )

    def evaluated(self, result: Result) -> str:
        images, pixels = result.figure("examples"), result.figure("pixels")
        return f"{some_of(images, result.figure('examples_in_split'))} images" + (
            "" if pixels is None else f" ({count(pixels)} pixels that are of a class)"
        )

    def headline(self, result: Result) -> list[tuple[str, str, str]]:
        return [
            ("mean IoU", percent(result.figure("mean_iou")), "intersection over union, mean of the classes"),
            ("pixel accuracy", percent(result.figure("pixel_accuracy")), "of all pixels, those that are right"),
            ("mean accuracy", percent(result.figure("mean_accuracy")), "mean of the classes"),
            ("frequency-weighted IoU", percent(result.figure("frequency_weighted_iou")), "by the classes' pixels"),
            ("loss", share(result.figure("loss")), "of a pixel"),
        ]

    def findings(self, result: Result, data_dir: str) -> list[Html | None]:
        return [_data(result), _per_class(result), _confusion(result), _images(result, data_dir)]


def _data(result: Result) -> Html | None:
    """Pixels of each class in each split."""
    counts, names = result.class_counts, result.class_names
    if not counts or not names:
        return None
    totals = {split: sum(pixels) for split, pixels in counts.items()}
    rows = [(split, count(totals[split]), *extent(pixels, names)) for split, pixels in counts.items()]
    splits = table(["split", "pixels", "smallest class", "median", "largest class"], rows)
    first = next(iter(counts))
    most = max(*counts[first], 1)
    classes = []
    for label, name in enumerate(names):
        row = [_named(name, label)]
        for split, pixels in counts.items():
            number = pixels[label]
            shown = with_bar(count(number), number / most) if split == first else count(number)
            row += [shown, _of(number, totals[split])]
        classes.append(row)
    header = ["class", *(title for split in counts for title in (split, "share"))]
    note = "Pixels of the masks at their own size, but for those that are void."
    whole = long_table(header, classes, f"Pixels of all {len(names):,} classes")
    return section("Data", splits, whole, tag("p", note, class_="note"))


def _of(number: int, whole: int) -> str:
    return f"{number / whole:.2%}".replace("%", " %") if whole else MISSING


def _per_class(result: Result) -> Html | None:
    if not result.per_class:
        return None
    rows = [
        (
            _named(one["class"], label),
            with_bar(share(one["iou"]), one["iou"]),
            share(one["accuracy"]),
            share(one["precision"]),
            count(one["pixels"]),
        )
        for label, one in enumerate(result.per_class)
    ]
    whole = long_table(["class", "IoU", "accuracy", "precision", "pixels"], rows, f"All {len(rows):,} classes")
    note = (
        "IoU, drawn as a bar: the pixels that are of the class and were called so, of all that are of it or were "
        "called so. Accuracy: the share of the class's pixels that were found. Precision: the share of right ones "
        f"among the pixels that were called so. {MISSING}: there are none to tell by."
    )
    return section("Class by class", whole, tag("p", note, class_="note"))


def _confusion(result: Result) -> Html | None:
    """The confusion matrix as a heat map where it can be read, and the most confused pairs."""
    names, matrix = result.class_names, result.confusion_matrix
    if matrix is None or not names:
        return None
    parts = []
    if len(names) <= DRAWN_CLASSES:
        note = (
            "Rows are the true classes of the pixels, columns the predicted ones; a cell is coloured by its share "
            "of its row, and says it in percent."
        )
        parts.append(heat_map(names, matrix, lambda number, part: f"{100 * part:.0f}", note))
    pairs = [
        (label, predicted, number)
        for label, row in enumerate(matrix)
        for predicted, number in enumerate(row)
        if number and label != predicted
    ]
    if pairs and (len(names) > _FEW_CLASSES or not parts):
        of_class = {label: sum(row) for label, row in enumerate(matrix)}
        parts.append(confused_pairs(names, sorted(pairs, key=lambda pair: -pair[2]), of_class, "pixels"))
    return section("Confusions", *parts) if parts else None


def _images(result: Result, data_dir: str) -> Html | None:
    """Images with their masks beside what was predicted; their names without the path of the data."""
    if not result.pictures:
        return None
    note = (
        "Images with the mask that they should have and the one that was predicted. Their mean IoU is that of the "
        "classes that they have, or are predicted to have; void pixels count nowhere."
    )
    parts = [tag("p", note, class_="note"), _legend(result.class_names)]
    for kind in ("worst", "best"):
        shown = [_image(one, data_dir) for one in result.pictures if one["kind"] == kind]
        if shown:
            parts += [tag("h3", f"The {kind} images"), tag("div", shown, class_="triples")]
    return section("Images", *parts)


def _image(one: Mapping, data_dir: str) -> Html:
    told = f"pixel accuracy {percent(one['pixel_accuracy'])}"
    name = one["name"].removeprefix(f"{data_dir}/")
    caption = tag("figcaption", tag("b", f"mean IoU {percent(one['mean_iou'])}"), told, tag("br"), name)
    return tag("figure", tag("div", [_picture(one[part], title) for part, title in _SHOWN.items()]), caption)


def _picture(url: str | None, title: str) -> Html:
    shown = picture(url, title)
    return tag("div", shown, tag("span", title, class_="note"))


def _legend(names: Sequence[str]) -> Html:
    """What the colours of masks stand for."""
    classes = [(name, label) for label, name in enumerate(names) if label < VOID]
    keys = [
        tag("span", _named(name, label), class_="key") for name, label in [*classes, ("void: of no class", VOID)]
    ]
    legend = tag("p", join(*((key, " ") for key in keys)), class_="legend")
    return (
        legend
        if len(keys) <= _OPEN_LEGEND
        else folded(f"The colours of {len(classes):,} classes and of void", legend)
    )


def _named(name: str, label: int) -> Html:
    """A class's name after the colour that masks have it in, if they can."""
    if label > VOID:
        return join(name)
    red, green, blue = _PALETTE[3 * label : 3 * label + 3]
    return join(tag("i", style=f"background:rgb({red},{green},{blue})", class_="colour"), name)
