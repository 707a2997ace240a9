"""Downloads an archive, checks it and unpacks it, or leaves nothing behind."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import os
import pathlib
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.request
import zlib

from slimft.errors import DataError

_CHUNK = 1 << 20
_TIMEOUT_SECONDS = 30
# Of an archive, and of its contents unpacked: far above CIFAR-10's 184 MB, far below a full disk.
_MOST_BYTES = 4 << 30


def download_and_unpack(url: str, md5: str, folder: pathlib.Path) -> None:
    """Downloads the tar archive at `url` and unpacks it into `folder`, which may not exist yet.

    Args:
        url: of a ``.tar.gz``.
        md5: the archive's MD5, in hexadecimal.
        folder: receives the archive's contents, each entry at once and only if all of it is good.

    Raises:
        DataError: the download fails, the checksum differs or the archive is not safe to unpack.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=folder) as temporary:
            archive = pathlib.Path(temporary, "archive")
            _download(url, md5, archive)
            unpacked = pathlib.Path(temporary, "unpacked")
            unpack(archive, unpacked)
            for entry in unpacked.iterdir():
                os.replace(entry, folder / entry.name)
    except urllib.error.URLError as error:
        reason = " ".join(str(error.reason).split())  # Some are of two lines.
        raise DataError(f"cannot download {url}: {reason}; download and unpack it into {folder}") from None
    except OSError as error:
        raise DataError(f"cannot download {url} into {folder}: {error.strerror or error}") from None
    except (http.client.HTTPException, ValueError) as error:
        reason = f"the server's answer is cut off or garbled ({type(error).__name__})"
        raise DataError(f"cannot download {url}: {reason}; try again") from None


def _download(url: str, md5: str, file: pathlib.Path) -> None:
    import tqdm

    digest = hashlib.md5(usedforsecurity=False)
    with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response, open(file, "wb") as stream:
        total = int(response.headers.get("Content-Length") or 0)
        with tqdm.tqdm(desc=url.rsplit("/", 1)[-1], total=total or None, unit="B", unit_scale=True) as bar:
            while chunk := response.read(_CHUNK):
                stream.write(chunk)
                digest.update(chunk)
                bar.update(len(chunk))
                if bar.n > min(total or _MOST_BYTES, _MOST_BYTES):
                    break
    if total and bar.n != total:
        raise DataError(f"the download of {url} stopped at {bar.n} of {total} bytes; try again")
    if digest.hexdigest() != md5:
        raise DataError(f"{url} has MD5 {digest.hexdigest()}, not {md5}; try again, or download it elsewhere")


def unpack(archive: pathlib.Path, folder: pathlib.Path) -> None:
    """Unpacks the files and folders of a ``.tar.gz`` archive into `folder`.

    Raises:
        DataError: it is no such archive or corrupt, or has an entry that is a link or a device, leads out of
            `folder`, or is absurdly large.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive, "r:gz") as tar:
            size = 0
            for entry in tar:
                target = pathlib.PurePosixPath(entry.name)
                if target.is_absolute() or ".." in target.parts or not (entry.isfile() or entry.isdir()):
                    raise DataError(f"{archive.name} is not safe to unpack: it holds {entry.name!r}")
                size += entry.size
                if entry.size < 0 or size > _MOST_BYTES:
                    raise DataError(f"{archive.name} is not safe to unpack: it holds over {_MOST_BYTES} bytes")
                path = folder.joinpath(*target.parts)
                if entry.isdir():
                    path.mkdir(parents=True, exist_ok=True)
                    continue
                path.parent.mkdir(parents=True, exist_ok=True)
                with tar.extractfile(entry) as source, open(path, "wb") as stream:
                    shutil.copyfileobj(source, stream)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError) as error:
        raise DataError(f"{archive.name} is not a good .tar.gz archive: {error}") from None
