"""Downloads files, going on where a cut download stopped, and unpacks archives that nobody vouches for."""

from __future__ import annotations

import errno
import gzip
import http.client
import json
import os
import pathlib
import re
import shutil
import tarfile
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib
from collections.abc import Callable, Mapping

from slimft.errors import DataError
from slimft.files import (
    md5_of,
    read_bounded,
    sha256_of,
    sync_directory,
    sync_files_below,
    temporary_directory,
    write_atomically,
)
from slimft.messages import printable, say
from slimft.transport import TooMuch, TooSlow, opener

_CHUNK = 1 << 20
# Without a single byte from the server; a slow connection is fine.
_TIMEOUT_SECONDS = 30
# After this many tries in a row that brought little, a download is given up; after fewer if a server is so slow
# that a try takes long to show it.
_TRIES = 5
_SLOW_TRIES = 2
# Before the second try; doubled before each further one.
_WAIT_SECONDS = 1.0
# Of a download, and of an archive unpacked: far above VGG-19's 550 MB, far below a full disk. Chunked encoding may
# take as much again on the wire.
_MOST_BYTES = 4 << 30
_MOST_ENTRIES = 10_000
_MD5_DIGITS = 32
# Of all headers of an archive that hold long names and the like: tarfile reads them into memory, whatever size they
# claim, and one of the whole archive is copied for every entry.
_MOST_HEADER_BYTES = 1 << 20
_LEAST_HEADER_COST, _GLOBAL_HEADER_COST = 64, 100
_MOST_NOTE_BYTES = 1 << 16
# Errors of the system that come of an entry's name: too long, or of a file where a folder has to be.
_OF_NAMES = (errno.ENAMETOOLONG, errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.EILSEQ, errno.EINVAL)
_PASSING_STATUSES = {408, 425, 429, 500, 502, 503, 504}
# What a later request may say back to a server: it comes from one, or from a file.
_VALIDATOR = re.compile(r"[ -~]{1,500}")


class Unreachable(DataError):
    """Not one byte of a file could be had."""


class _Cut(Exception):
    """A try failed in a way that the next one may not.

    Args:
        reason: what to say of it.
        tries: after so many in a row a download is given up.
    """

    def __init__(self, reason: str, tries: int | None = None):
        super().__init__(reason)
        self.tries = tries or _TRIES


def download(
    url: str,
    file: pathlib.Path,
    advice: str = "run the same command again to continue",
    headers: Mapping[str, str] | None = None,
) -> None:
    """Downloads `url` to `file`, which gets its name when all of it is on the disk.

    Until then the bytes are in ``FILE.part``, from where a later call goes on, unless the file on the server
    has changed. A cut, stalled or very slow connection is tried again a few times. Shows a progress bar on
    standard error. Proxies are taken from the environment, as urllib does.

    Args:
        url: ``http`` or ``https``.
        file: in a folder that exists.
        advice: ends the message of an error, saying what to do.
        headers: of the request, such as a token; other servers, that this one redirects to, do not get them.

    Raises:
        DataError: it cannot be had. What has arrived stays in ``FILE.part``; `Unreachable` if that is nothing.
        OSError: the disk is full or the folder cannot be written.
    """
    part = _Part(url, file)
    try:
        if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
            raise DataError(f"cannot download {url}: it is neither http nor https")
        tries, furthest = 0, part.size
        while True:
            try:
                _receive(url, part, headers or {})
                break
            except _Cut as cut:
                tries = 1 if part.size >= furthest + _CHUNK else tries + 1
                furthest = max(furthest, part.size)
                if tries >= cut.tries:
                    raise _failure(part, f"{cut}; {advice}") from None
                say(f"{file.name}: {cut}; trying again")
                time.sleep(_WAIT_SECONDS * 2 ** (tries - 1))
    except urllib.error.URLError as error:
        raise _failure(part, f"{_one_line(error.reason)}; {advice}") from None
    except TooMuch:
        raise _failure(part, f"the server's answer does not end; {advice}") from None
    except (http.client.HTTPException, ValueError) as error:
        reason = f"the server's answer is cut off or garbled ({type(error).__name__})"
        raise _failure(part, f"{reason}; {advice}") from None
    part.finish()


def _failure(part: _Part, reason: str) -> DataError:
    kind = DataError if part.size else Unreachable
    return kind(f"cannot download {part.url}: {reason}")


def _one_line(reason) -> str:
    return " ".join(str(reason).split())  # Some are of two lines.


class _Part:
    """The bytes of an unfinished download in ``FILE.part``, and in ``FILE.part.json`` what they are of.

    Attributes:
        size: bytes there are.
        total: bytes there shall be, None where the server does not say.
        arrived: whether any of them came in this process.
    """

    def __init__(self, url: str, file: pathlib.Path):
        self.url, self.file = url, file
        self.path = file.with_name(f"{file.name}.part")
        self.note = file.with_name(f"{file.name}.part.json")
        self.size, self.total, self.validator, self.arrived = 0, None, None, False
        try:
            note = json.loads(read_bounded(self.note, _MOST_NOTE_BYTES))
            known = note["total"] is None or type(note["total"]) is int
            if note["url"] == url and _VALIDATOR.fullmatch(note["validator"]) and known:
                self.size = self.path.stat().st_size
                self.total, self.validator = note["total"], note["validator"]
        except (DataError, OSError, ValueError, KeyError, TypeError, RecursionError):
            pass  # None, or of no use: it starts over.

    def headers(self) -> dict[str, str]:
        """Asks for the rest if the file is still the one the bytes are of, and else for all of it."""
        if not self.size or not self.validator:
            return {}
        return {"Range": f"bytes={self.size}-", "If-Range": self.validator}

    def accept(self, response: http.client.HTTPResponse) -> None:
        """Gets ready for the body of `response`: the rest, if it is a part, or else all of it.

        Raises:
            _Cut: it is a part, but not of these bytes.
            ValueError: its headers make no sense.
        """
        if response.status == http.HTTPStatus.PARTIAL_CONTENT:
            span = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "").strip())
            total = int(span[2]) if span and span[2] != "*" else self.total
            same = _validator(response) in (self.validator, None) and total == (self.total or total)
            if not self.size or not span or int(span[1]) != self.size or not same:
                self.discard()
                raise _Cut("the server sends a part that does not fit what is here")
            self.total = total
        else:
            self.discard()
            length = response.headers.get("Content-Length")
            self.total, self.validator = int(length) if length else None, _validator(response)
            note = {"url": self.url, "validator": self.validator, "total": self.total}
            write_atomically(self.note, json.dumps(note))
        self._check_size(self.total or 0)

    def write(self, stream, chunk: bytes) -> None:
        """Appends `chunk` to `stream`, which is the part opened for appending."""
        self._check_size(self.size + len(chunk))
        if self.total is not None and 0 <= self.total < self.size + len(chunk):
            self.discard()
            raise _Cut("the server sends more than it says")
        stream.write(chunk)
        self.size += len(chunk)
        self.arrived = True

    def _check_size(self, size: int) -> None:
        if size > _MOST_BYTES:
            self.discard()
            raise DataError(f"{self.url} is over {_MOST_BYTES} bytes, which is too large to be true")

    def discard(self) -> None:
        """Forgets the bytes."""
        self.note.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)
        self.size, self.total, self.validator = 0, None, None

    def finish(self) -> None:
        """Gives the file its name, when it is on the disk."""
        with open(self.path, "ab") as stream:
            os.fsync(stream.fileno())
        os.replace(self.path, self.file)
        self.note.unlink(missing_ok=True)
        sync_directory(self.file.parent)


def _validator(response: http.client.HTTPResponse) -> str | None:
    """What identifies this version of a file to If-Range: a strong ETag or a date, None without either."""
    tag = response.headers.get("ETag", "")
    validator = tag if tag.startswith('"') else response.headers.get("Last-Modified", "")
    return validator if _VALIDATOR.fullmatch(validator) else None


def _receive(url: str, part: _Part, headers: Mapping[str, str]) -> None:
    """One request. When it returns, all bytes are in `part`.

    Raises:
        _Cut: not all bytes came, and trying again may help.
        urllib.error.URLError, http.client.HTTPException, ValueError, TooMuch, DataError: it will not help.
    """
    from slimft.progress_bar import ProgressBar

    asked = part.size
    request = urllib.request.Request(url, headers=part.headers())
    for name, value in headers.items():
        request.add_unredirected_header(name, value)
    try:
        response = opener().open(request, timeout=_TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and asked:
            if error.headers.get("Content-Range") == f"bytes */{asked}" and part.total == asked:
                return  # It was complete, all but its name.
            part.discard()
            raise _Cut("the file on the server is another one now") from None
        if error.code in _PASSING_STATUSES:
            raise _Cut(f"HTTP {error.code} {_one_line(error.reason)}") from None
        raise
    except OSError as error:
        # urllib wraps some of them. Without a network, or with a name misspelled, waiting is of no use.
        reason = getattr(error, "reason", error)
        if isinstance(reason, TooSlow):
            raise _Cut(str(reason), tries=_SLOW_TRIES) from None
        if part.arrived or isinstance(reason, (TimeoutError, ConnectionResetError, ConnectionAbortedError)):
            raise _Cut(_one_line(reason)) from None
        raise urllib.error.URLError(reason) from None
    with response:
        part.accept(response)
        response.allow_body(2 * (_MOST_BYTES + _CHUNK))
        name = part.file.name
        bar = ProgressBar(desc=name, total=part.total, initial=part.size, unit="B", unit_scale=True)
        with open(part.path, "ab") as stream, bar:
            for chunk in _chunks(response):
                part.write(stream, chunk)
                bar.update(len(chunk))
    if part.total is not None and part.size != part.total:
        size, total = part.size, part.total
        if size > total:
            part.discard()
        raise _Cut(f"it stopped at {size} of {total} bytes")


def _chunks(response: http.client.HTTPResponse):
    """Yields the body as it arrives, so that a stall loses nothing; raises _Cut where it breaks off."""
    while True:
        try:
            chunk = response.read1(_CHUNK)
        except TooSlow as error:
            raise _Cut(str(error), tries=_SLOW_TRIES) from None
        except OSError as error:
            raise _Cut(_one_line(error)) from None
        except http.client.IncompleteRead:
            raise _Cut("it broke off inside a chunk (IncompleteRead)") from None
        if not chunk:
            return
        yield chunk


def download_checked(
    url: str,
    checksum: str,
    file: pathlib.Path,
    advice: str = "run the same command again to continue",
) -> None:
    """Downloads `url` to `file` if that does not exist, and compares its checksum.

    Args:
        url, file, advice: as of `download`.
        checksum: the file's SHA-256, or its MD5 where nothing better is published, in hexadecimal. An MD5 does not
            tell files apart that were made to have the same one.

    Raises:
        DataError: the download fails, or the checksum differs: then what was downloaded is removed, while a file
            that was there is left.
        OSError: the disk is full, or `file` cannot be read or written.
    """
    was_there = file.exists()
    if not was_there:
        download(url, file, advice=advice)
    kind, digest_of = ("MD5", md5_of) if len(checksum) == _MD5_DIGITS else ("SHA-256", sha256_of)
    digest = digest_of(file)
    if digest == checksum:
        return
    if was_there:
        raise DataError(f"{file} has {kind} {digest}, not {checksum}; remove it, and it is downloaded")
    file.unlink()
    raise DataError(f"{url} has {kind} {digest}, not {checksum}; try again, or download it elsewhere")


def download_and_unpack(url: str, checksum: str, folder: pathlib.Path) -> None:
    """Downloads the tar archive at `url` and unpacks it into `folder`, which may not exist yet.

    Args:
        url: of a ``.tar.gz``.
        checksum: as of `download_checked`.
        folder: receives the archive's contents, each entry at once and only if all of it is good.

    Raises:
        DataError: the download fails, the checksum differs or the archive is not safe to unpack.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with temporary_directory(folder) as temporary:
            archive = temporary / name_in(url)
            advice = f"try again, or download and unpack it into {folder}"
            download_checked(url, checksum, archive, advice=advice)
            unpacked = temporary / "unpacked"
            unpack(archive, unpacked)
            sync_files_below(unpacked)
            for entry in unpacked.iterdir():
                os.replace(entry, folder / entry.name)
            sync_directory(folder)
    except OSError as error:
        raise DataError(f"cannot download {url} into {folder}: {error.strerror or error}") from None


def name_in(url: str) -> str:
    """The name of the file that a URL ends with."""
    return urllib.parse.urlsplit(url).path.rsplit("/", 1)[-1] or "archive"


def _bounded_headers() -> type[tarfile.TarInfo]:
    """For one archive, a class that refuses what tarfile would hold in memory: headers, maps of sparse files."""
    names = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
    left = _MOST_HEADER_BYTES

    class TarInfo(tarfile.TarInfo):
        @classmethod
        def frombuf(cls, buffer, encoding, errors):
            nonlocal left
            entry = super().frombuf(buffer, encoding, errors)
            if entry.type in (*names, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE):
                cost = max(entry.size, _LEAST_HEADER_COST)
                left -= cost * _GLOBAL_HEADER_COST if entry.type == tarfile.XGLTYPE else cost
                if entry.size < 0 or left < 0:
                    raise tarfile.ReadError(f"it has a header of {entry.size} bytes, too much for all headers")
            return entry

        def _sparse(self, *arguments):
            raise tarfile.ReadError("it has a sparse file")

        _proc_sparse = _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _sparse

    return TarInfo


def unpack(
    archive: pathlib.Path,
    folder: pathlib.Path,
    choose: Callable[[pathlib.PurePosixPath], str | None] | None = None,
    most_entries: int | None = None,
) -> None:
    """Unpacks the files and folders of a ``.tar.gz`` or ``.tar`` archive into `folder`.

    Args:
        archive: compressed unless its name ends with ``.tar``; read to its end, so that gzip's checksum is checked.
        folder: made if it does not exist.
        choose: takes a file's path in the archive and returns the name it gets in `folder`, or None to leave
            it out. Without it the archive's files and folders are unpacked as they are.
        most_entries: how many files and folders it may have; None for 10,000.

    Raises:
        DataError: it is no such archive or corrupt, or has an entry that is a link or a device, leads out of
            `folder`, has a name that no file can have or another one has, or is absurdly large.
        OSError: the disk is full or `folder` cannot be written.
    """
    most_entries = _MOST_ENTRIES if most_entries is None else most_entries
    is_plain = archive.suffix == ".tar"
    kind = ".tar" if is_plain else ".tar.gz"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with open(archive, "rb") if is_plain else gzip.open(archive) as stream:
            with tarfile.open(fileobj=stream, mode="r:", tarinfo=_bounded_headers()) as tar:
                size = 0
                for number, entry in enumerate(tar, start=1):
                    path = pathlib.PurePosixPath(entry.name)
                    if path.is_absolute() or ".." in path.parts or not (entry.isfile() or entry.isdir()):
                        raise DataError(f"{archive.name} is not safe to unpack: it holds {entry.name[:200]!r}")
                    size += entry.size
                    if entry.size < 0 or size > _MOST_BYTES or number > most_entries:
                        most = f"{_MOST_BYTES} bytes or {most_entries} entries"
                        raise DataError(f"{archive.name} is not safe to unpack: it holds over {most}")
                    try:
                        _extract(tar, entry, path, folder, choose)
                    except OSError as error:
                        if error.errno not in _OF_NAMES:
                            raise
                        what = f"{printable(entry.name[:200])} cannot be made: {error.strerror}"
                        raise DataError(f"{archive.name} is not a good {kind} archive: {what}") from None
                    tar.members.clear()  # With all their headers.
            while stream.read(_CHUNK):
                if stream.tell() > 2 * _MOST_BYTES:
                    raise DataError(f"{archive.name} is not safe to unpack: it holds over {_MOST_BYTES} bytes")
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError, RecursionError) as error:
        raise DataError(f"{archive.name} is not a good {kind} archive: {error}") from None


def _extract(tar: tarfile.TarFile, entry: tarfile.TarInfo, path: pathlib.PurePosixPath, folder, choose) -> None:
    if entry.isdir():
        if choose is None:
            folder.joinpath(*path.parts).mkdir(parents=True, exist_ok=True)
        return
    name = str(path) if choose is None else choose(path)
    if name is None:
        return
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    with tar.extractfile(entry) as source, open(target, "wb") as stream:
        shutil.copyfileobj(source, stream)
