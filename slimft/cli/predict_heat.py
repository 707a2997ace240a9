"""What bin/predict --explain does: heat maps of what speaks for a class, over what the network saw."""

from __future__ import annotations

import contextlib
import difflib
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from slimft.cli import common
from slimft.cli.output_files import OutputFiles
from slimft.data.class_names import ClassNames
from slimft.data.heat import heat_overlay
from slimft.data.image_files import FileSource, read_in_order
from slimft.errors import DataError, UsageError
from slimft.files import atomic_file
from slimft.inference import Network

HEAT = "_heat.jpg"
# Images at a time: each is in memory as pixels and as its gradients.
_TOGETHER = 8


class HeatFiles:
    """Writes the heat maps of images.

    Args:
        network: the network, of one run or checkpoint.
        folder: where to, which is made if need be.
        chosen: a class's name or number; None for each image's likeliest.
        arguments: the files and folders that were named.
        paths: the images that these come to.
        crop, grey_bits: as the images are read.

    Raises:
        UsageError: there is no such class, or a file would take another's place.
    """

    def __init__(
        self,
        network: Network,
        folder: str,
        chosen: str | None,
        arguments: Sequence[str],
        paths: Sequence[str],
        crop: float = 1.0,
        grey_bits: int | None = None,
    ):
        self._network, self._class = network, None if chosen is None else number_of(chosen, network.classes)
        self._files = OutputFiles("explain", folder, arguments, paths, (HEAT,), "heat maps")
        self._crop, self._grey_bits = crop, grey_bits or (network.settings and network.settings.grey_bits)

    def write(self, found: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any, dict[str, Any] | None]]:
        """Writes the heat map of each image.

        Args:
            found: images with their classes and probabilities, the likeliest first, or with why they cannot be
                read.

        Yields:
            Of each its path and what was found, and what to add to what is told of it: ``explained``, the class,
            and ``heat_map``, the file; None where it cannot be read.
        """
        with common.quiet_standard_error():
            from slimft.explanation import Explainer
        found = iter(found)
        with Explainer.of(self._network) as explainer:
            while batch := list(itertools.islice(found, _TOGETHER)):
                yield from self._write(explainer, batch)

    def _write(self, explainer, batch):
        readable = [(path, top) for path, top in batch if not isinstance(top, DataError)]
        sources = (FileSource(path) for path, _ in readable)
        squares = read_in_order(sources, explainer.image_size, self._crop, _TOGETHER, self._grey_bits)
        with contextlib.closing(squares):
            pixels = {source.path: square for source, square in squares}
        numbers = {path: top[0][0] if self._class is None else self._class for path, top in readable}
        there = [path for path, _ in readable if not isinstance(pixels[path], DataError)]
        heat = {}
        if there:
            images = np.stack([pixels[path] for path in there])
            heat = dict(zip(there, explainer.explain(images, np.array([numbers[path] for path in there]))))
        for path, top in batch:
            if path not in heat:  # Or it has gone since it was classified.
                yield path, pixels.get(path, top), None
                continue
            (file,) = self._files.of(path)
            file.parent.mkdir(parents=True, exist_ok=True)
            with atomic_file(file) as stream:
                heat_overlay(pixels[path], heat[path]).save(stream, "JPEG", quality=90)
            told = self._network.classes.describe(numbers[path])
            yield path, top, {"explained": told, "heat_map": str(file)}


def number_of(chosen: str, classes: ClassNames) -> int:
    """The index of the logit of a class, by its name, or by its number where no class has that name.

    Raises:
        UsageError: there is no such class, or several are called so.
    """
    names = list(classes.names or ())
    same = [number for number, name in enumerate(names) if name == chosen]
    if len(same) == 1:
        return same[0]
    if same:
        numbers = ", ".join(map(str, same))
        raise UsageError(f"--explain_class={chosen}: the classes {numbers} are called so; give a number")
    if chosen.isascii() and chosen.isdigit() and int(chosen) < classes.num_classes:
        return int(chosen)
    close = difflib.get_close_matches(chosen, names, n=1)
    hint = f"did you mean {close[0]}?" if close else f"give a name, or a number from 0 to {classes.num_classes - 1}"
    raise UsageError(f"--explain_class={chosen}: there is no such class; {hint}")


def check_explain(folder: str | None, chosen: str | None, train_dir: str | None) -> None:
    """Raises UsageError if the flags of heat maps do not go together, or not with several runs."""
    if folder is None:
        if chosen is not None:
            raise UsageError(f"--explain_class={chosen} is for --explain=DIR; give that too")
    elif not folder:
        raise UsageError("--explain= is empty; name a folder for the heat maps")
    elif train_dir and "," in train_dir and not os.path.isdir(train_dir):
        raise UsageError(f"--explain={folder} explains one network; give one --train_dir")
