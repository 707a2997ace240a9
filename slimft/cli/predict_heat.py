"""What bin/predict --explain does: heat maps of what speaks for a class, over what the network saw."""

from __future__ import annotations

import contextlib
import errno
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from slimft.cli import common
from slimft.cli.output_files import OutputFiles
from slimft.data.heat import heat_overlay
from slimft.data.image_files import FileSource, read_in_order
from slimft.errors import DataError
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
        chosen: the class; None for each image's likeliest.
        folders: the folders that were named.
        paths: the images, those in the folders too.
        crop, grey_bits: as the images are read.

    Raises:
        UsageError: a file would take another's place.
    """

    def __init__(
        self,
        network: Network,
        folder: str,
        chosen: int | None,
        folders: Sequence[str],
        paths: Sequence[str],
        crop: float = 1.0,
        grey_bits: int | None = None,
    ):
        self._network, self._class = network, chosen
        self._files = OutputFiles("explain", folder, folders, paths, (HEAT,), "heat maps")
        self._crop, self._grey_bits = crop, grey_bits or (network.settings and network.settings.grey_bits)

    def write(self, found: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any, dict[str, Any] | None]]:
        """Writes the heat map of each image.

        Args:
            found: images with their probabilities, float ``[classes]`` (and what else there is of them, in a
                tuple), or with why they cannot be read.

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
        readable = [(path, made) for path, made in batch if not isinstance(made, DataError)]
        sources = (FileSource(path) for path, _ in readable)
        squares = read_in_order(sources, [(explainer.image_size, self._grey_bits)], self._crop, _TOGETHER)
        with contextlib.closing(squares):
            pixels = {source.path: square for source, square in squares}
        numbers = {path: _likeliest(made) if self._class is None else self._class for path, made in readable}
        there = [path for path, _ in readable if not isinstance(pixels[path], DataError)]
        heat = {}
        if there:
            images = np.stack([pixels[path] for path in there])
            heat = dict(zip(there, explainer.explain(images, np.array([numbers[path] for path in there]))))
        for path, made in batch:
            if path not in heat:  # Or it has gone since it was classified.
                yield path, pixels.get(path, made), None
                continue
            (file,) = self._files.of(path)
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
                with atomic_file(file) as stream:
                    heat_overlay(pixels[path], heat[path]).save(stream, "JPEG", quality=90)
            except OSError as error:
                if error.errno != errno.ENAMETOOLONG:
                    raise
                yield path, DataError(f"{path}: its name is too long for that of a heat map; shorten it"), None
                continue
            told = self._network.classes.describe(numbers[path])
            yield path, made, {"explained": told, "heat_map": str(file)}


def _likeliest(made: Any) -> int:
    probabilities = made[0] if isinstance(made, tuple) else made
    return int(probabilities.argmax())
