"""Writing a network in several formats, one after the other, and checking each."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from slimft.export import frozen_graph, onnx, saved_model, tflite
from slimft.export.card import Exported
from slimft.export.check import Check, Reference, told_difference
from slimft.export.examples import calibration_images
from slimft.export.formats import Format
from slimft.export.signatures import Signature
from slimft.inference import Network
from slimft.messages import say

# What a SavedModel's signatures have in common that a check is about.
_CHECKED = "serving_default"


class Writer:
    """Writes formats into a folder.

    Args:
        network, fold_batch_norm, quietly: as of `slimft.export.export_network`.
        folder: where to; what is needed meanwhile goes beside it.
        training: what int8 networks are fitted to, or None.
        longest_side: of a segmentation, as of `saved_model.write`.
    """

    def __init__(
        self,
        network: Network,
        folder: pathlib.Path,
        training: Any,
        longest_side: int | None,
        fold_batch_norm: bool,
        quietly: Callable[[], contextlib.AbstractContextManager],
    ):
        self._network, self._folder, self._training = network, folder, training
        self._longest_side, self._fold, self._quietly = longest_side, fold_batch_norm, quietly

    def write(self, wanted: Sequence[Format], reference: Reference) -> Iterator[Exported]:
        """Writes and checks each format; says what came of it."""
        of_tflite = {form.weights: self._folder / form.file for form in wanted if form.kind == "tflite"}
        phones: Mapping[str, Signature] | None = None
        for form in wanted:
            path = self._folder / form.file
            notes: list[str] = []
            signatures: Mapping[str, Signature]
            if form.kind == "tflite":
                if phones is None:  # All of them from one graph.
                    phones = self._write_tflite(of_tflite)
                signatures = {form.name: phones[form.weights]}
            else:
                with self._quietly():
                    signatures, notes = self._write(form, path)
            if form.kind == "saved_model" and reference.not_decoded:
                notes.append(
                    f"saved_model: jpeg_bytes takes JPEG and PNG (grey of 8 bits), and was not tried with "
                    f"{reference.not_decoded} of the {reference.whole} files, which are of another kind"
                )
            checked = signatures.get(_CHECKED) or next(iter(signatures.values()))
            check = reference.check(form, path, _first(checked.inputs), _taken(checked.outputs))
            size = sum(file.stat().st_size for file in path.rglob("*")) if path.is_dir() else path.stat().st_size
            say(*notes, _said(form, size, check))
            yield Exported(form, size, signatures, check)

    def _write(self, form: Format, path: pathlib.Path) -> tuple[Mapping[str, Signature], list[str]]:
        if form.kind == "saved_model":
            return saved_model.write(self._network, path, self._longest_side), []
        if form.kind == "frozen_graph":
            signature, notes = frozen_graph.write(self._network, path, self._fold)
            return {form.name: signature}, notes
        return {form.name: onnx.write(self._network, path)}, []

    def _write_tflite(self, files: dict[str, pathlib.Path]) -> Mapping[str, Signature]:
        training = self._training
        images = None if training is None else lambda: calibration_images(self._network, training)
        with self._quietly():
            return tflite.write(self._network, files, images, self._folder.parent)


def _first(named: Mapping[str, str]) -> str:
    return next(iter(named))


def _taken(outputs: Mapping[str, str]) -> str:
    """The output with the probabilities, or the classes of pixels: the last of a frozen graph, else the first."""
    return next((name for name in ("probabilities", "classes") if name in outputs), list(outputs)[-1])


def _said(form: Format, size: int, check: Check) -> str:
    """A line on a file that was written."""
    parts = [f"{form.name}: {form.file}, {size / 1e6:.1f} MB"]
    parts.append(told_difference(form, check.largest, check.mean))
    if check.largest is not None:
        parts.append(f"the likeliest class is the same for {check.agreement:.2%}")
    if check.accuracy is not None:
        parts.append(f"accuracy {check.accuracy:.4f} (session {check.session_accuracy:.4f})")
    parts.append(f"{check.milliseconds:.1f} ms an image, by {check.reader}")
    return ", ".join(parts)
