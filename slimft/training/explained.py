"""Heat maps of the mistakes that a run's report shows: what speaks for the wrong class, and for the right one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from slimft.data import Dataset
from slimft.errors import DataError
from slimft.explanation import Explainer
from slimft.inference import find_network
from slimft.messages import one_line, say
from slimft.runs.settings import Settings
from slimft.tasks import Scores

# Images at a time.
_TOGETHER = 8


def heat_of_mistakes(
    settings: Settings, checkpoint: str, scores: Scores, dataset: Dataset
) -> Mapping[int, np.ndarray]:
    """Explains the mistakes that `scores` tell, with the network that made them.

    Args:
        settings: of the run, whose files are in its directory already.
        checkpoint: what was evaluated.
        scores: of a classification; of a segmentation there is nothing to explain.
        dataset: what they are of.

    Returns:
        By the example's index, float32 ``[2, image_size, image_size]``, as of `Explainer.explain`: for the
        predicted class and for the label. None of images that cannot be read any more; nothing, and a line that
        says why, where the network cannot be explained.
    """
    mistakes = [] if settings.task.targets.is_map else scores.mistakes()
    if not mistakes:
        return {}
    found: dict[int, np.ndarray] = {}
    try:
        with Explainer.of(find_network(checkpoint=checkpoint, train_dir=settings.train_dir)) as explainer:
            for first in range(0, len(mistakes), _TOGETHER):
                found |= _heat_of(explainer, dataset, dict(mistakes[first : first + _TOGETHER]))
    except Exception as error:  # Of a network of any make, after all that counts has been measured.
        said = one_line(error) or type(error).__name__
        say(f"the report has no heat maps of mistakes: {said}")
    return found


def _heat_of(explainer: Explainer, dataset: Dataset, mistakes: Mapping[int, Mapping]) -> dict[int, np.ndarray]:
    pixels = {}
    for index in mistakes:
        try:
            (pixels[index],) = dataset.read(np.array([index]), dataset.image_shape(explainer.image_size))
        except DataError:  # It has gone since.
            continue
    if not pixels:
        return {}
    classes = [[mistakes[index]["predicted"], mistakes[index]["label"]] for index in pixels]
    return dict(zip(pixels, explainer.explain(np.stack(list(pixels.values())), np.array(classes))))
