"""What goes with an exported network: ``model_card.json``, for programs, and ``README.md``, for people."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import pathlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from slimft.checkpoint.locate import files_at
from slimft.data.preprocessing import DENSENET_SCALE, GREY, RGB_MEANS
from slimft.ensemble import Ensemble
from slimft.errors import SlimftError
from slimft.export.check import Check
from slimft.export.formats import Format
from slimft.export.signatures import Signature
from slimft.files import sha256_of
from slimft.inference import Network
from slimft.runs.of_checkpoint import run_of
from slimft.runs.read import read_run
from slimft.runs.result import versions
from slimft.tasks.base import show

# Classes that README.md names.
_MOST_NAMES = 20
CARD, README = "model_card.json", "README.md"
# What a network's input is made of RGB in 0..255 (`slimft.data.preprocessing`), for a person; and for OpenCV's
# blobFromImage, (image - mean) * scale, where that says it.
_PREPROCESSING: dict[str, tuple[str, dict[str, Any] | None]] = {
    "mean_subtraction": (f"RGB minus {RGB_MEANS}", {"mean": RGB_MEANS, "scale": 1.0}),
    "inception": ("RGB * 2 / 255 - 1", {"mean": (127.5,) * 3, "scale": 2 / 255}),
    "densenet": (
        f"(RGB minus {RGB_MEANS}) * {DENSENET_SCALE}",
        {"mean": RGB_MEANS, "scale": DENSENET_SCALE},
    ),
    "lenet": (f"grey (RGB times {GREY}, summed), minus 128, / 128", None),
    "cifarnet": ("RGB of each image minus its mean, divided by its standard deviation", None),
}


@dataclasses.dataclass(frozen=True)
class Exported:
    """A file that was written and checked."""

    form: Format
    bytes: int
    signatures: Mapping[str, Signature]
    check: Check


def make_card(network: Network, exported: list[Exported], folder: pathlib.Path) -> dict[str, Any]:
    """The card of what was exported into `folder`, as JSON has it."""
    formula, blob = _PREPROCESSING[network.spec.preprocessing]
    opened = network.checkpoint
    step = int(np.asarray(opened["global_step"]).item()) if "global_step" in opened else None
    classes = network.classes
    return {
        "network": network.spec.name,
        "task": network.task.name,
        "head": network.head,
        "options": {name: value for name, value in network.options.items() if value},
        "image_size": None if network.task.targets.is_map else network.image_size,
        "channels": network.spec.channels,
        "preprocessing": {"name": network.spec.preprocessing, "formula": formula, "blob": blob},
        "num_classes": classes.num_classes,
        "grey_bits": network.settings and network.settings.grey_bits,
        "classes": None if classes.names is None else list(classes.names),
        "classes_from": os.path.basename(classes.source),
        "checkpoint": None
        if isinstance(network, Ensemble)
        else {
            "name": os.path.basename(opened.path),
            "step": step,
            "averages": network.averages,
            "files": [
                {
                    "file": os.path.basename(file),
                    "bytes": os.path.getsize(file),
                    "sha256": sha256_of(pathlib.Path(file)),
                }
                for file in files_at(opened.path)
            ],
        },
        "run": _of_run(network, step),
        "ensemble": _of_members(network.members) if isinstance(network, Ensemble) else None,
        "formats": [_of_format(one, folder, formula) for one in exported],
        "versions": versions(),
        "exported": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }


def _of_members(members: Iterable[Network]) -> list[dict[str, Any]]:
    """What an ensemble is the mean of."""
    return [
        {
            "run": one.run and os.path.basename(os.path.abspath(one.run)),
            "checkpoint": os.path.basename(one.checkpoint.path),
            "sha256": {
                os.path.basename(file): sha256_of(pathlib.Path(file)) for file in files_at(one.checkpoint.path)
            },
        }
        for one in members
    ]


def _of_run(network: Network, step: int | None) -> dict[str, Any] | None:
    """The run's name and data, and its figures if they are of this checkpoint."""
    if network.run is None:
        return None
    settings = network.settings
    of_run: dict[str, Any] = {"name": os.path.basename(os.path.abspath(network.run)), "dataset": settings.dataset}
    of_run["precision"] = settings.precision
    try:
        result = read_run(network.run).result
    except SlimftError:
        result = None
    measured = result is not None and step is not None and result.result.get("step") == step
    measured = measured and _is_as_evaluated(network)
    names = ("split", "examples", *(figure.name for figure in network.task.figures))
    of_run["metrics"] = {name: result.result[name] for name in names if name in result.result} if measured else None
    return of_run


def _is_as_evaluated(network: Network) -> bool:
    """Whether the run's figures may be of this network: its own checkpoint, used as the run used it."""
    settings, own = network.settings, run_of(network.checkpoint)
    return (
        own is not None
        and os.path.samefile(own, network.run)
        and network.averages == bool(settings.ema)
        and settings.image_size in (None, network.image_size)
    )


def _of_format(one: Exported, folder: pathlib.Path, formula: str) -> dict[str, Any]:
    path = folder / one.form.file
    return {
        "format": one.form.name,
        "file": one.form.file,
        "bytes": one.bytes,
        "sha256": sha256_of(path) if path.is_file() else None,
        "values": _values_of(one.form, formula),
        "signatures": {name: dataclasses.asdict(signature) for name, signature in one.signatures.items()},
        "check": {**dataclasses.asdict(one.check), "bound": one.form.bound, "mean_bound": one.form.mean_bound},
    }


def _values_of(form: Format, formula: str) -> str:
    """What the numbers of a file's inputs and outputs are, beside their shapes."""
    if form.kind == "frozen_graph":
        return f"takes preprocessed images: {formula}"
    taken = "takes RGB in 0..255, preprocesses it itself"
    if form.kind == "saved_model":
        return f"{taken}, images of any size; jpeg_bytes takes whole JPEG and PNG files"
    return f"{taken}; a probability is its byte / 256" if form.weights == "int8" else taken


def write_card(card: Mapping[str, Any], network: Network, folder: pathlib.Path) -> None:
    """Writes ``model_card.json`` and ``README.md``."""
    (folder / CARD).write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    (folder / README).write_text(_readme(card, network), encoding="utf-8", errors="backslashreplace")


def _readme(card: Mapping[str, Any], network: Network) -> str:
    figures = ["file", "MB", "differs by", "same class", "accuracy", "ms an image"]
    first = card["formats"][0]["check"]
    tried = f"Each file was run in a process of its own on {first['origin']}"
    if first["session_accuracy"] is not None:
        tried += f", of which the session's accuracy is {first['session_accuracy']:.4f}"
    tried += ", and compared with the session; times are of one image on the machine that exported it."
    version = f"slimft {card['versions']['slimft']} with TensorFlow {card['versions'].get('TensorFlow', '?')}"
    parts = [
        f"# {card['network']}, {card['num_classes']} classes",
        "\n".join(f"- {line}." for line in _facts(card, network)),
        _table(figures, [_figures_of(one) for one in card["formats"]]),
        tried,
        _table(["file", "what it takes"], [[one["file"], one["values"]] for one in card["formats"]]),
        _table(["file", "input", "output"], [row for one in card["formats"] for row in _signatures_of(one)]),
        f"Written by {version}.",
    ]
    return "\n\n".join(parts) + "\n"


def _facts(card: Mapping[str, Any], network: Network) -> Iterator[str]:
    """What there is to say of the network, a sentence each without its full stop."""
    names = network.classes.texts
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    yield f"Task: {card['task']}. Classes: {_one_line(', '.join(names[:_MOST_NAMES]) + more)}"
    side = card["image_size"]
    size = "any size" if side is None else f"{side}x{side} pixels, the central square of an image"
    yield f"It sees: {size}. Preprocessing: {card['preprocessing']['formula']}"
    checkpoint, run = card["checkpoint"], card["run"]
    if card["ensemble"]:
        members = ", ".join(f"{one['run'] or '?'} ({one['checkpoint']})" for one in card["ensemble"])
        yield f"The mean of the probabilities of {len(card['ensemble'])} networks: {_one_line(members)}"
    else:
        step = "" if checkpoint["step"] is None else f", step {checkpoint['step']}"
        averages = ", the weights' moving averages" if checkpoint["averages"] else ""
        yield f"Checkpoint: {_one_line(checkpoint['name'])}{step}{averages}"
    if run is None:
        return
    yield f"Run: {_one_line(run['name'])}, trained on {_one_line(run['dataset'])}"
    metrics = run["metrics"]
    if metrics:
        known = [figure for figure in network.task.figures if metrics.get(figure.name) is not None]
        told = ", ".join(f"{figure.short} {show(metrics[figure.name])}" for figure in known)
        how = "" if network.settings.precision == "float32" else f", computed as in the run ({run['precision']})"
        yield f"On its {metrics['split']} split ({metrics['examples']} examples{how}): {told}"


def _figures_of(one: Mapping[str, Any]) -> list[str]:
    check = one["check"]
    return [
        one["file"],
        f"{one['bytes'] / 1e6:.1f}",
        "" if check["largest"] is None else f"{check['largest']:.1e}",
        f"{check['agreement']:.2%}",
        "" if check["accuracy"] is None else f"{check['accuracy']:.4f}",
        f"{check['milliseconds']:.1f}",
    ]


def _signatures_of(one: Mapping[str, Any]) -> Iterator[list[str]]:
    for name, signature in one["signatures"].items():
        file = f"{one['file']}, {name}" if len(one["signatures"]) > 1 else one["file"]
        sides = (signature[side].items() for side in ("inputs", "outputs"))
        yield [file, *("; ".join(f"`{key}`: {value}" for key, value in named) for named in sides)]


def _table(titles: list[str], rows: list[list[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _one_line(text: str) -> str:
    """A text of anyone's in Markdown: in a line, and no mark-up."""
    return re.sub(r"([\\`*\[\]<>|&])", r"\\\1", " ".join(str(text).split()))
