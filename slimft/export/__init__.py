"""What was trained, as files that are used elsewhere: written, tried in a fresh process, and described.

`export`, also as `slimft.export(...)`, does what ``bin/export`` does. Importing this package imports no TensorFlow.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import pathlib
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from slimft.checkpoint import Checkpoint
from slimft.ensemble import Ensemble, find_networks
from slimft.errors import DataError, SlimftError, UsageError
from slimft.export.formats import FORMATS, Format, chosen_formats
from slimft.files import sync_directory, sync_files_below, temporary_directory
from slimft.inference import Network
from slimft.local_paths import check_local
from slimft.messages import say
from slimft.runs.result import RESULT_FILE

__all__ = ["FORMATS", "export", "Format", "check_destination", "check_finished", "chosen_formats", "export_network"]

LABELS = "labels.txt"
# How many images each file is tried with.
CHECKED_IMAGES = 200


def check_destination(out: str | os.PathLike) -> pathlib.Path:
    """The folder to write, found out before the work is done.

    Raises:
        UsageError: something is there already, or it cannot be written.
    """
    if not os.fspath(out):
        raise UsageError("OUT is empty; name the folder to write")
    check_local(out, "OUT")
    folder = pathlib.Path(os.path.expanduser(os.path.abspath(os.path.expanduser(out))))
    try:
        os.lstat(folder)
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:  # Too long a name, or one with a NUL.
        raise UsageError(f"cannot write {out}: {getattr(error, 'strerror', None) or error}") from None
    if os.path.lexists(folder) and not (folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir())):
        raise UsageError(f"{out} is there already; name another folder, or move it away")
    if os.path.ismount(folder):
        raise UsageError(f"cannot write {out}: it is where a file system is mounted; name a folder in it")
    parent = folder.parent
    if not parent.is_dir():
        raise UsageError(f"cannot write {out}: there is no folder {parent}; make it first")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise UsageError(f"cannot write {out}: the folder {parent} cannot be written to")
    return folder


def check_finished(network: Network, was_chosen: bool) -> None:
    """Raises UsageError if the network's run has not come to its end.

    Args:
        network: the network.
        was_chosen: whether someone chose the checkpoint, which may be one on the way.
    """
    if network.run is None or was_chosen or (network.run / RESULT_FILE).exists():
        return
    raise UsageError(
        f"the run in {network.run} is not finished; finish it (bin/finetune --train_dir={network.run}), or name "
        f"the checkpoint to export as it is: --checkpoint={network.checkpoint.path}"
    )


def export(
    out: str | os.PathLike,
    format: str | Iterable[str] = ("saved_model",),
    *,
    train_dir: str | os.PathLike | None = None,
    model: str | None = None,
    checkpoint: Checkpoint | str | os.PathLike | None = None,
    image_size: int | None = None,
    averages: bool | None = None,
    labels: str | os.PathLike | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Writes a run's network, or that of a model and a checkpoint, into a new folder, as ``bin/export`` does.

    Args:
        out: the folder, which must not be there, or be empty.
        format: names in `FORMATS`, a list or with commas between.
        train_dir, model, checkpoint, image_size, averages, labels: as of `slimft.inference.find_network`. The
            directory of a cross-validation is the mean of its folds.
        options: as of `export_network`.

    Returns:
        The card, as in ``model_card.json``, with ``out``.

    Raises:
        SlimftError: as of `find_network`, `check_finished` and `export_network`.
    """
    wanted = format.split(",") if isinstance(format, str) else list(format)
    chosen_formats(wanted)
    check_destination(out)
    given = dict(image_size=image_size, averages=averages, labels=labels)
    networks = find_networks(model, checkpoint, train_dir=train_dir, **given)
    for one in networks:
        check_finished(one, was_chosen=checkpoint is not None)
    return export_network(Ensemble.of(networks), out, wanted, **options)


def export_network(
    network: Network,
    out: str | os.PathLike,
    formats: Iterable[str] = ("saved_model",),
    *,
    images: str | None = None,
    checked_images: int = CHECKED_IMAGES,
    data_dir: str | None = None,
    fold_batch_norm: bool = False,
    quietly: Callable[[], contextlib.AbstractContextManager] = contextlib.nullcontext,
) -> dict[str, Any]:
    """Writes a network in some formats into a new folder, all of them checked, or nothing.

    Args:
        network: what `slimft.inference.find_network` found, or an `Ensemble`; the files compute in float32, or as
            their name says.
        out: the folder, which must not be there, or be empty.
        formats: names in `FORMATS`.
        images: a folder with images to try the files with, and to fit an int8 network to; None for the run's.
        checked_images: how many images each file is tried with, at most.
        data_dir: where the run's data is now, if not where it was.
        fold_batch_norm: of a frozen graph: whether batch normalization becomes part of the convolutions.
        quietly: a context in which libraries write their files, which tell much that is of no use.

    Returns:
        The card, as in ``model_card.json``, with ``out``.

    Raises:
        UsageError: a format is unknown or lacks what it needs, or the folder is there or cannot be written.
        DataError: images cannot be read.
        ExportError: a file does not say what the session says; nothing is left.
        CheckpointError, RestoreError: as of `Network.session`.
    """
    wanted = chosen_formats(formats)
    folder = check_destination(out)
    if any(form.kind == "onnx" for form in wanted):
        from slimft.export.onnx import check_installed

        check_installed()
    if fold_batch_norm and all(form.kind != "frozen_graph" for form in wanted):
        raise UsageError("--fold_batch_norm is for --format=frozen_graph")
    return _export(network.sized(), out, folder, wanted, images, checked_images, data_dir, fold_batch_norm, quietly)


def _export(network, out, folder, wanted, images, checked_images, data_dir, fold_batch_norm, quietly):
    from slimft.data.dataset import DataOptions
    from slimft.export.card import make_card, write_card
    from slimft.export.check import Reference
    from slimft.export.examples import find_examples
    from slimft.export.labels import labels_text
    from slimft.export.writing import Writer

    own, network = network, dataclasses.replace(network, precision="float32")
    network.say()
    calibrates = any(form.weights == "int8" for form in wanted)
    # What tests one of an ensemble may have trained another: it is of use to compare with, and not to judge by.
    its = network.members[0] if isinstance(network, Ensemble) else network
    examples, training = find_examples(its, checked_images, images, data_dir, calibrates)
    if its is not network:
        examples = dataclasses.replace(examples, labels=None)
    if calibrates and training is None:
        raise DataError("--format=tflite_int8 needs images to fit its numbers to; give --images, a folder of some")
    settings = network.settings
    longest_side = settings.longest_side if settings else DataOptions.longest_side
    with _errors_name(out, folder), temporary_directory(folder.parent) as temporary:
        made, tried = temporary / "made", temporary / "tried"
        made.mkdir()
        tried.mkdir()
        with quietly():
            reference = Reference(network, examples, tried, longest_side, own)
        say(reference.describe())
        writer = Writer(network, made, training, longest_side, fold_batch_norm, quietly)
        exported = list(writer.write(wanted, reference))
        (made / LABELS).write_text(labels_text(network.classes), encoding="utf-8", errors="surrogateescape")
        card = make_card(network, exported, made)
        write_card(card, network, made)
        sync_files_below(made)
        try:
            if folder.exists():
                folder.rmdir()
            os.rename(made, folder)
        except OSError as error:
            raise UsageError(
                f"cannot write {out}: {error.strerror}; it was free when this began, so another may have written it"
            ) from None
        sync_directory(folder.parent)
    say(f"written: {out}")
    return {"out": os.fspath(out), **card}


@contextlib.contextmanager
def _errors_name(out: str | os.PathLike, folder: pathlib.Path) -> Iterator[None]:
    """Has errors of the disk, by whatever library, say which folder could not be written and why."""
    try:
        yield
    except SlimftError:
        raise
    except Exception as error:
        reason = None
        if not folder.parent.is_dir():
            reason = f"the folder {folder.parent} is no more"
        elif os.strerror(errno.ENOSPC) in str(error):  # As an OSError, or as TensorFlow tells it.
            reason = f"{os.strerror(errno.ENOSPC)} (its files are written beside it first)"
        if reason is None:
            raise
        raise UsageError(f"cannot write {out}: {reason}") from error


class _CallableModule(types.ModuleType):
    """Makes `slimft.export(...)` work, as `slimft.restore` does: see the end of slimft/restore.py."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        return export(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableModule
