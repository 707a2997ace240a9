"""Addresses, such as ``gs://bucket/pictures``, told from paths: slimft reads and writes local files."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from slimft.errors import SlimftError, UsageError

# Two letters at least: one is a drive of Windows. pathlib makes one slash of two.
_ADDRESS = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]+):(?P<slashes>//?)", re.IGNORECASE)


class _Store(NamedTuple):
    """Where addresses lead.

    Attributes:
        schemes: how they begin.
        mount: what makes a folder of it, or None.
        copy: what copies from it, and to it.
    """

    schemes: tuple[str, ...]
    mount: str | None
    copy: str


_STORES = (
    _Store(("gs", "gcs"), "mount the bucket with gcsfuse", "gsutil -m rsync -r"),
    _Store(("s3", "s3a", "s3n"), "mount the bucket with mount-s3", "aws s3 sync"),
    _Store(
        ("az", "abfs", "abfss", "adl", "wasb", "wasbs"),
        "mount the container with blobfuse2",
        "azcopy copy",
    ),
    _Store(("hdfs", "viewfs", "webhdfs"), "mount it through HDFS's NFS gateway", "hdfs dfs -get (-put)"),
    _Store(("sftp", "ssh", "scp"), "mount it with sshfs", "rsync -a"),
)
_WEB = ("http", "https", "ftp", "ftps")
_KNOWN = {scheme: store for store in _STORES for scheme in store.schemes}


def address_advice(path: object) -> str | None:
    """What to say of a path that is an address; None where it is none.

    ``hf:OWNER/NAME`` and ``./gs:/run`` are none.

    >>> address_advice("s3://bucket/pictures")
    'slimft reads and writes local files only; mount the bucket with mount-s3, or use a local path and aws s3 sync'
    """
    text = os.fspath(path) if isinstance(path, os.PathLike) else path
    match = _ADDRESS.match(text) if isinstance(text, str) else None
    if match is None:
        return None
    scheme = match["scheme"].lower()
    if match["slashes"] == "/" and scheme not in (*_KNOWN, *_WEB, "file", "hf"):
        return None  # A folder may be called so.
    if scheme == "file":
        return f"write the path itself, /{text[match.end() :].lstrip('/')}"
    if scheme == "hf":
        return (
            "write hf:OWNER/NAME for a checkpoint of the Hugging Face Hub; download anything else, with hf download"
        )
    only = "slimft reads and writes local files only"
    if scheme in _WEB:
        return f"{only}; download it, such as with curl -LO, and give the path of that"
    if scheme not in _KNOWN:
        return f"{only}; mount what {scheme}:// stands for, or copy it, and give the path of that"
    store = _KNOWN[scheme]
    return f"{only}; {store.mount}, or use a local path and {store.copy}"


def check_local(path: object, flag: str | None = None, error: type[SlimftError] = UsageError) -> None:
    """Raises an error if a path is an address.

    Args:
        path: the path; what is no text and no `os.PathLike` passes.
        flag: how it was given, such as ``--data_dir``; None where the path says enough.
        error: what is raised.
    """
    advice = address_advice(path)
    if advice is not None:
        raise error(f"{path if flag is None else f'{flag}={path}'}: {advice}")
