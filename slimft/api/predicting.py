"""Classifying what a program has in its hands, in this process or in another."""

from __future__ import annotations

import os
import pathlib
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from slimft.api.child import run_in_child
from slimft.api.predictions import ImagePredictions
from slimft.data.image_files import FileSource, Source
from slimft.ensemble import find_networks
from slimft.errors import DataError
from slimft.messages import say


def predict_sources(sources: Sequence[Source], of_network: Mapping[str, Any], **how) -> ImagePredictions:
    """The predictions of images.

    Args:
        sources: the images.
        of_network: arguments of `slimft.ensemble.find_networks`.
        how: ``tta``, ``crop`` and ``batch_size``, as of `slimft.Classifier`.
    """
    networks = find_networks(**of_network)
    from slimft.prediction import Classifier
    from slimft.progress_bar import PassBar

    names, rows, errors = [], [], {}
    with Classifier.of(networks, tta=how["tta"]) as classifier, PassBar("predicting", len(sources)) as bar:
        classes = classifier.classes
        for name, found in classifier.predict_sources(sources, how["batch_size"], how["crop"]):
            if isinstance(found, DataError):
                say(str(found))
                errors[len(names)] = str(found)
                found = np.full(classes.num_classes, np.nan, np.float32)
            names.append(name)
            rows.append(found)
            bar.update()
    probabilities = np.array(rows, np.float32).reshape(len(rows), classes.num_classes)
    return ImagePredictions(tuple(names), classes.texts, probabilities, errors)


def predict_in_child(sources: Sequence[Source], of_network: Mapping[str, Any], **how) -> ImagePredictions:
    """As `predict_sources`, in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="slimft-images-") as folder:
        paths = [_in_a_file(source, folder, number) for number, source in enumerate(sources)]
        file = os.path.join(folder, "probabilities.npy")
        answer = run_in_child("predict_to_file", {"file": file, "paths": paths, "of_network": of_network, **how})
        names = tuple(source.name for source in sources)
        errors = {int(index): text for index, text in answer["errors"].items()}
        return ImagePredictions(names, tuple(answer["class_names"]), np.load(file), errors)


def _in_a_file(source: Source, folder: str, number: int) -> str:
    if isinstance(source, FileSource):
        return os.path.abspath(source.path)
    path = os.path.join(folder, f"{number}.png")
    pathlib.Path(path).write_bytes(source.open())
    return path


def predict_to_file(file: str, paths: Sequence[str], of_network: Mapping[str, Any], **how) -> dict[str, Any]:
    """In that process: writes the probabilities to a file; returns the rest."""
    found = predict_sources([FileSource(path) for path in paths], of_network, **how)
    np.save(file, found.probabilities)
    return {"class_names": found.class_names, "errors": found.errors}
