"""What bin/predict writes of a classifier's predictions beside its text: a table, sorted copies, embeddings."""

from __future__ import annotations

import collections
import contextlib
import os
import pathlib
import re
import shutil
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from slimft.cli.output_files import check_outside, writable
from slimft.data.class_names import ClassNames
from slimft.errors import DataError, UsageError
from slimft.files import atomic_file, table_writer, temporary_directory
from slimft.messages import say
from slimft.tasks.decisions import unsure_among

UNSURE = "unsure"
# Of a folder's name: what no system of files forbids or takes for something else. Windows has the strictest rules.
_NOT_IN_NAMES = re.compile(r'[\x00-\x1f<>:"/\\|?*]+')
_MOST_IN_NAME = 100
# Of a file's name, in the usual systems of files.
_MOST_BYTES = 255
# Rows of a Parquet file that are in memory at a time.
_ROWS_AT_A_TIME = 1024


class Prediction:
    """What is told of one image.

    Attributes:
        path: where it is.
        probabilities: float32 ``[classes]``.
        likeliest: the likeliest class.
        decision: the class that is believed; None where none is. The likeliest one without thresholds.
        features: float32 ``[features]``; None where nobody asked for them.
        told: what else is told of it: its heat map, and of which class.
    """

    def __init__(
        self, path: str, probabilities: np.ndarray, decision: int | None, features=None, told: dict | None = None
    ):
        self.told = told or {}
        self.path, self.probabilities, self.decision, self.features = path, probabilities, decision, features
        self.likeliest = int(probabilities.argmax())


class Output(Protocol):
    """Where predictions go."""

    def add(self, one: Prediction) -> None: ...

    def add_error(self, path: str, error: DataError) -> None: ...


@contextlib.contextmanager
def csv_file(path: str, classes: ClassNames, all_classes: bool, decides: bool) -> Iterator[Output]:
    """A row for each image, also for what cannot be read; all of it, or no file.

    Args:
        path: the file.
        classes: the network's classes.
        all_classes: whether there is a column for the probability of each.
        decides: whether there is a column for what the thresholds say.
    """
    names = classes.texts
    with table_writer(writable(path, "--csv")) as writer:
        columns = [f"probability_{name}" for name in names] if all_classes else []
        writer.writerow(["path", "predicted", "confidence", *["decision"] * decides, *columns, "error"])
        yield _Csv(writer, names, all_classes, decides)
    say(f"wrote {path}")


class _Csv:
    def __init__(self, writer, names: Sequence[str], all_classes: bool, decides: bool):
        self._writer, self._names, self._all, self._decides = writer, names, all_classes, decides
        self._unsure = unsure_among(names)
        self._empty = [""] * (2 + decides + len(names) * all_classes)

    def add(self, one: Prediction) -> None:
        decision = self._unsure if one.decision is None else self._names[one.decision]
        shares = [f"{share:.6f}" for share in one.probabilities] if self._all else []
        confidence = f"{one.probabilities[one.likeliest]:.6f}"
        row = [one.path, self._names[one.likeliest], confidence, *[decision] * self._decides, *shares, ""]
        self._writer.writerow(row)

    def add_error(self, path: str, error: DataError) -> None:
        self._writer.writerow([path, *self._empty, str(error)])


@contextlib.contextmanager
def features_file(path: str) -> Iterator[Output]:
    """Embeddings, a row for each image that can be read; all of it, or no file.

    Args:
        path: ``*.npy``: float32 ``[images, features]``, with the images' paths in ``*.paths.csv``; or
            ``*.parquet``: columns ``path``, ``predicted`` (the class's number), ``confidence`` and ``features``.

    Raises:
        UsageError: it has another suffix, or what writes Parquet is not installed.
    """
    file = writable(path, "--features")
    kinds = {".npy": _numpy_file, ".parquet": _parquet_file}
    kind = kinds.get(file.suffix.lower())
    if kind is None:
        raise UsageError(f"--features={path}: the file's name ends in .npy or .parquet")
    if kind is _parquet_file:
        check_parquet(path)
    with kind(file) as output:
        yield output
    say(f"wrote {path}" + (f" and, of its rows, {_paths_beside(file).name}" if kind is _numpy_file else ""))


def check_parquet(path: str) -> None:
    """Raises UsageError if what writes Parquet is not installed."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise UsageError(
            f"--features={path} needs pyarrow: pip install 'slimft[parquet]', or name a file.npy"
        ) from None


def is_beside(table: str, features: str) -> bool:
    """Whether a file is the one that `features_file` writes beside its own."""
    return writable(table, "--csv") == _paths_beside(writable(features, "--features"))


def _paths_beside(file: pathlib.Path) -> pathlib.Path:
    return file.with_name(f"{file.stem}.paths.csv")


@contextlib.contextmanager
def _numpy_file(file: pathlib.Path) -> Iterator[Output]:
    with table_writer(_paths_beside(file)) as paths, atomic_file(file) as stream:
        output = _Numpy(stream, paths)
        yield output
        output.end()


class _Numpy:
    """Rows as they come; how many there are goes into the header at the end, for which NumPy leaves room."""

    def __init__(self, stream, writer):
        self._stream, self._writer, self._rows, self._columns = stream, writer, 0, 0
        self._header = 0
        writer.writerow(["path"])

    def _write_header(self) -> int:
        self._stream.seek(0)
        described = {"descr": "<f4", "fortran_order": False, "shape": (self._rows, self._columns)}
        np.lib.format.write_array_header_1_0(self._stream, described)
        return self._stream.tell()

    def add(self, one: Prediction) -> None:
        row = np.asarray(one.features, "<f4")
        if not self._header:
            self._columns = len(row)
            self._header = self._write_header()
        self._stream.write(row.tobytes())
        self._writer.writerow([one.path])
        self._rows += 1

    def add_error(self, path: str, error: DataError) -> None:
        pass  # It has been told.

    def end(self) -> None:
        before = self._header or self._write_header()
        if self._write_header() != before:
            raise AssertionError("the header of a NumPy file has grown")
        self._stream.seek(0, os.SEEK_END)


@contextlib.contextmanager
def _parquet_file(file: pathlib.Path) -> Iterator[Output]:
    with atomic_file(file) as stream:
        output = _Parquet(stream)
        yield output
        output.end()


class _Parquet:
    def __init__(self, stream):
        self._stream, self._rows, self._writer = stream, [], None

    def add(self, one: Prediction) -> None:
        # Parquet has no bytes that are no Unicode in its strings.
        path = one.path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        confidence = float(one.probabilities[one.likeliest])
        self._rows.append((path, one.likeliest, confidence, np.asarray(one.features, np.float32)))
        if len(self._rows) == _ROWS_AT_A_TIME:
            self._flush()

    def add_error(self, path: str, error: DataError) -> None:
        pass  # It has been told.

    def _flush(self) -> None:
        import pyarrow
        import pyarrow.parquet

        width = len(self._rows[0][3]) if self._rows else 0
        if self._writer is None:
            features = pyarrow.list_(pyarrow.float32(), width or -1)
            kinds = {"path": pyarrow.string(), "predicted": pyarrow.int32(), "confidence": pyarrow.float32()}
            self._schema = pyarrow.schema({**kinds, "features": features})
            self._writer = pyarrow.parquet.ParquetWriter(self._stream, self._schema)
        columns = list(zip(*self._rows)) or [(), (), (), ()]
        self._writer.write_table(pyarrow.table([list(column) for column in columns], schema=self._schema))
        self._rows = []

    def end(self) -> None:
        if self._rows or self._writer is None:
            self._flush()
        self._writer.close()


class SortedCopies:
    """Copies of images, in a folder for each class and one for those of which none is sure.

    Args:
        path: the folder, new or empty.
        classes: the network's classes.
        folders: those that images are taken from.
        decides: whether there may be images of no class.

    Raises:
        UsageError: it is not empty, lies in one of the folders, or cannot be made.
    """

    def __init__(self, path: str, classes: ClassNames, folders: Sequence[str], decides: bool):
        self._place, self.copied = pathlib.Path(path).expanduser(), 0
        check_outside("copy_to", path, folders, "copies")
        try:
            self._place.mkdir(parents=True, exist_ok=True)
            if any(self._place.iterdir()):
                raise UsageError(f"--copy_to={path} is not empty; name a new folder")
        except OSError as error:
            raise UsageError(f"--copy_to={path} cannot be made: {error.strerror}; name another folder") from None
        self._names = _folder_names(classes.texts, UNSURE if decides else None)
        self._used: collections.Counter[tuple[str, str]] = collections.Counter()

    def add(self, one: Prediction) -> None:
        name = UNSURE if one.decision is None else self._names[one.decision]
        folder = self._place / name
        try:
            folder.mkdir(exist_ok=True)
            with temporary_directory(folder) as directory:
                copy = directory / "copy"
                shutil.copyfile(one.path, copy)
                with contextlib.suppress(OSError):
                    shutil.copystat(one.path, copy)
                os.replace(copy, self._free(folder, os.path.basename(one.path)))
        except OSError as error:  # Of the file that is said to be, whatever else is being written.
            raise DataError(f"{one.path} cannot be copied to {folder}: {error.strerror}") from None
        self.copied += 1

    def add_error(self, path: str, error: DataError) -> None:
        pass  # It has been told.

    def _free(self, folder: pathlib.Path, name: str) -> pathlib.Path:
        """A name in the folder that no file has: that of the image, or with a number."""
        file = folder / name
        while os.path.lexists(file):
            self._used[folder.name, name] += 1
            stem, suffix = os.path.splitext(name)
            suffix = f"_{self._used[folder.name, name]}{suffix}"
            file = folder / (os.fsdecode(os.fsencode(stem)[: _MOST_BYTES - len(os.fsencode(suffix))]) + suffix)
        return file


def _folder_names(names: Sequence[str], taken: str | None) -> list[str]:
    """A folder's name for each class, all of them different, whatever the system."""
    # A dot or a space at an end, Windows leaves out.
    plain = [_NOT_IN_NAMES.sub("_", name)[:_MOST_IN_NAME].strip(" .") or "_" for name in names]
    different = {name.casefold() for name in [*plain, *([taken] if taken else [])]}
    if len(different) == len(plain) + bool(taken):
        return plain
    return [f"{name}_{number}" for number, name in enumerate(plain)]
