"""What a run keeps of its data: which images were in which split, and which it ever trained on."""

from __future__ import annotations

import json
import os
import pathlib

from slimft.data.fingerprint import Fingerprint
from slimft.files import write_atomically
from slimft.runs.checked_json import read_json

DATA_FILE = "data.json"
# Of a million images.
_MOST_BYTES = 256 << 20


def write_data_record(train_dir: str | os.PathLike, record: Fingerprint) -> None:
    """Writes ``data.json`` into a run's directory, whole or not at all."""
    write_atomically(pathlib.Path(train_dir, DATA_FILE), json.dumps(record.to_json()) + "\n")


def read_data_record(train_dir: str | os.PathLike) -> Fingerprint | None:
    """Reads a run's ``data.json``; None where there is none: of data that never changes, and of earlier versions.

    Raises:
        DataError: it cannot be read.
    """
    file = pathlib.Path(train_dir, DATA_FILE)
    if not os.path.lexists(file):
        return None
    return Fingerprint.from_json(read_json(file, _MOST_BYTES).raw, str(file))
