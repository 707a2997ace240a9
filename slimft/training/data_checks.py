"""The images of a run: whether they are those that it was trained on, and none of these tests it."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

from slimft.checkpoint import open_checkpoint
from slimft.data import Dataset, load_for_evaluation
from slimft.data.fingerprint import Fingerprint, as_recorded, changes, drawn_splits, duplicates, leave_out
from slimft.data.image_checks import check_images
from slimft.errors import UsageError
from slimft.runs.data_record import DATA_FILE, read_data_record
from slimft.runs.of_checkpoint import run_of
from slimft.runs.settings import Settings


@dataclasses.dataclass(frozen=True)
class CheckedData:
    """The data of a run.

    Attributes:
        splits: the splits, without what trained of those that do not train.
        record: what the run's directory is to keep of them; None of data that never changes.
        notes: what is to be said of them, a line each.
        left_out: the digests of the images that were taken out.
    """

    splits: dict[str, Dataset]
    record: Fingerprint | None
    notes: tuple[str, ...]
    left_out: frozenset[str] = frozenset()


def as_before(settings: Settings, splits: dict[str, Dataset]) -> dict[str, Dataset]:
    """The splits of a run that goes on, with each image where it was, whatever it is called now.

    Args:
        settings: the run's settings.
        splits: split name to dataset, as they are drawn now.

    Raises:
        DataError: images cannot be read.
    """
    record = read_data_record(settings.train_dir)
    if record is None or settings.task.targets.is_map or not changes(record, Fingerprint.of(splits)).moved:
        return splits
    whole = load_for_evaluation(settings.dataset, settings.data_dir, settings.data_options())
    drawn = drawn_splits(whole)
    if not drawn:
        return splits
    # With --train_examples, those that were left out stay so.
    draw = (lambda: splits) if settings.train_examples is None else None
    found, _ = as_recorded(whole, record, drawn, draw)
    return found if found.keys() == splits.keys() else splits


def check_data(settings: Settings, splits: dict[str, Dataset], resumes: bool, trains: bool) -> CheckedData:
    """Compares data with what the run was trained on before, and takes training images out of the other splits.

    Args:
        settings: the run's settings.
        splits: split name to dataset, as they were loaded.
        resumes: whether the directory holds a checkpoint of the run.
        trains: whether the run trains on them now.

    Raises:
        UsageError: the directory does not tell what the run trained on.
        DataError: images cannot be read, or nothing is left of a split.
    """
    notes = list(check_images(splits))
    before = read_data_record(settings.train_dir) if resumes else None
    # The weights of another run know that run's training images.
    inherited = None if resumes else _record_of_start(settings)
    record = Fingerprint.of(splits, before or inherited)
    if record is None:
        return CheckedData(splits, None, tuple(notes))
    if resumes and before is None:
        raise UsageError(
            f"--train_dir={settings.train_dir} holds a run that does not tell which images it trained on: its "
            f"{DATA_FILE} is missing, as in those of earlier versions, which split data otherwise; train anew in "
            "another directory"
        )
    changed = before and changes(before, record)
    if changed:
        notes.append(f"the data has changed since the run was last trained: {changed}")
    copies = duplicates(splits)
    if copies:
        notes.append(copies)
    trained = record.trained if trains or before is None else before.trained
    tests = {digest for split, images in record.splits.items() if split != "train" for _, digest in images}
    left_out = frozenset(trained & tests)
    for split, dataset in splits.items():
        _, number, examples = leave_out(dataset, left_out if split != "train" else ())
        if number:
            images = f"{number} image{'s' * (number > 1)} of the {split} split"
            notes.append(f"{images} left out, which the network trains on, such as {examples[0]}")
    return CheckedData(without(splits, left_out), record, tuple(notes), left_out)


def without(splits: dict[str, Dataset], left_out: Collection[str]) -> dict[str, Dataset]:
    """The splits without the images of these digests, but for the training split, which keeps all.

    Raises:
        DataError: nothing is left of a split.
    """
    return {split: data if split == "train" else leave_out(data, left_out)[0] for split, data in splits.items()}


def _record_of_start(settings: Settings) -> Fingerprint | None:
    """What the run was trained on whose checkpoint this one starts from; None if that is of no run."""
    if settings.checkpoint is None:
        return None
    run = run_of(open_checkpoint(settings.checkpoint))
    return None if run is None else read_data_record(run)
