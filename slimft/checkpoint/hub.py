"""Weights of a repository on the Hugging Face Hub, by the name ``hf:OWNER/NAME[@REVISION][:FILE]``.

What a repository has, the digests of its files and the cache are huggingface_hub's (the extra ``hub``). The bytes
come through `slimft.download`, as that library starts a download afresh when its process has ended: a killed one
goes on here, and a file gets its place in the cache when it has the digest that the Hub states. Of a repository
only weights are fetched, none of them a pickle, and none of its code is run.

Source of the layout of the cache: huggingface_hub's guide "Understand caching": ``refs/REVISION`` has a commit,
``snapshots/COMMIT/FILE`` is a link to ``blobs/DIGEST``.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
import pathlib
import re
import shutil
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar

from slimft.checkpoint.base import reason
from slimft.checkpoint.fetch import alone_in
from slimft.checkpoint.hub_names import HubName, NotChosen, choose, parse, stands_alone
from slimft.download import download
from slimft.errors import CheckpointError, DataError
from slimft.files import read_bounded, sync_directory
from slimft.messages import one_line, say

# As `slimft.download` has it: far above VGG-19's 550 MB.
_MOST_BYTES = 4 << 30
_TIMEOUT_SECONDS = 30
# SHA-256 of files that the Hub keeps apart (LFS, Xet), Git's own hash of those in Git.
_DIGEST = re.compile(r"[0-9a-f]{64}|[0-9a-f]{40}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_PASSING_STATUSES = (408, 425, 429, 500, 502, 503, 504)


@dataclasses.dataclass(frozen=True)
class _Fetched:
    """What a name has led to in this process, which it then leads to until the process ends.

    Attributes:
        path: what to open.
        files: each file, with the digest that it must have; None where nothing tells.
    """

    path: pathlib.Path
    files: dict[pathlib.Path, str | None]


_Answer = TypeVar("_Answer")


class _NotReached(Exception):
    """The Hub does not answer, or must not be asked; the cache may have the files."""


_fetched: dict[str, _Fetched] = {}


def fetch(text: str) -> pathlib.Path:
    """Makes sure that the checkpoint called `text` is in the cache, and right.

    Where the Hub cannot be reached, or ``HF_HUB_OFFLINE`` is set, what the cache has is taken, and said. Says also
    what has been verified, once in a process.

    Returns:
        Its path in the cache, or the prefix of its V2 files.

    Raises:
        CheckpointError: `text` is no name, huggingface_hub is not installed, there is no such repository or file,
            it cannot be had, or what is there or came is not what the Hub states.
    """
    before = _fetched.get(text)
    if before is not None and all(file.exists() for file in before.files):
        for file, digest in before.files.items():
            _check(text, file, digest)
        return before.path
    name, hub = parse(text), _import_hub()
    cache = pathlib.Path(hub.constants.HF_HUB_CACHE).expanduser()
    folder = cache / hub.file_download.repo_folder_name(repo_id=name.repository, repo_type="model")
    try:
        try:
            commit, found = _fetch_from_hub(name, hub, folder)
            source, states = "", "the Hub states"
        except _NotReached as error:
            commit, found = _find_in_cache(name, folder, str(error))
            source, states = f"taken from the cache, as {error}; ", "the Hub stated when it was fetched"
        _report(name, source, states, commit, found)
    except OSError as error:
        where = f"{folder}: {error.strerror or one_line(error)}; the variable HF_HOME names another place"
        raise CheckpointError(f"{text} cannot be written to or read from {where}") from None
    _fetched[text] = found
    return found.path


def _import_hub() -> ModuleType:
    try:
        import huggingface_hub
        import huggingface_hub.errors  # Loaded lazily otherwise, as the next two.
        import huggingface_hub.file_download
        import huggingface_hub.utils
    except ImportError as error:
        why = "" if getattr(error, "name", None) == "huggingface_hub" else f" ({one_line(error)})"
        raise CheckpointError(
            f"checkpoints of the Hugging Face Hub need the package huggingface_hub: pip install 'slimft[hub]'{why}"
        ) from None
    return huggingface_hub


def _fetch_from_hub(name: HubName, hub: ModuleType, folder: pathlib.Path) -> tuple[str, _Fetched]:
    """Asks the Hub what `name` is, and fetches what the cache has not; the commit, and the files.

    Raises:
        _NotReached: the Hub cannot be asked.
        CheckpointError, OSError: as `fetch`.
    """
    revision = name.revision
    if name.file is not None and stands_alone(name.file):
        chosen, files = name.file, [name.file]  # It needs no list of all files.
    else:
        info = _ask(
            name,
            hub,
            lambda: hub.HfApi().model_info(name.repository, revision=name.revision, timeout=_TIMEOUT_SECONDS),
        )
        chosen, files = choose(name, [sibling.rfilename for sibling in info.siblings or ()])
        revision = info.sha
    facts: dict[str, Any] = {}
    for file in files:
        url = hub.hf_hub_url(name.repository, file, revision=revision)
        facts[file] = _ask(name, hub, functools.partial(hub.get_hf_file_metadata, url))
        # The files of one checkpoint are of one commit, whatever is pushed meanwhile.
        revision = facts[file].commit_hash
        if not _COMMIT.fullmatch(revision or "") or not _DIGEST.fullmatch(facts[file].etag or ""):
            raise CheckpointError(
                f"{name.text}: {hub.constants.ENDPOINT} does not state the commit and the digest of {file}, and "
                "nothing is taken that cannot be verified; is it a Hub (HF_ENDPOINT)?"
            )
    size = sum(fact.size or 0 for fact in facts.values())
    if size > _MOST_BYTES:
        raise CheckpointError(f"{name.text}: {chosen} has {size:,} bytes; over {_MOST_BYTES:,} are not fetched")
    snapshot = folder / "snapshots" / revision
    for file in files:
        if not (snapshot / file).exists():
            _download(name, hub, folder, revision, file, facts[file])
    for file in files:
        # All of them are in the cache: this links the commit's files, and notes the commit of the revision.
        _ask(name, hub, functools.partial(hub.hf_hub_download, name.repository, file, revision=name.revision))
        if not (snapshot / file).exists():
            raise CheckpointError(f"{name.text}: {name.revision} has changed meanwhile; run the same command again")
    return revision, _Fetched(snapshot / chosen, {snapshot / file: facts[file].etag for file in files})


def _ask(name: HubName, hub: ModuleType, question: Callable[[], _Answer]) -> _Answer:
    """What `question()` answers, which asks the Hub; its errors are those of `_fetch_from_hub`."""
    errors, where, offline = hub.errors, hub.constants.ENDPOINT, hub.constants.HF_HUB_OFFLINE
    try:
        return question()
    except errors.GatedRepoError:
        why = f"its authors give access on request: ask at {where}/{name.repository}, and log in (HF_TOKEN)"
    except errors.RepositoryNotFoundError:
        why = f"{where} has no such model, or it is private: check the name, and log in (HF_TOKEN) if it is private"
    except errors.RevisionNotFoundError:
        why = f"{name.repository} has no revision {name.revision!r}"
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled):
        raise _NotReached("HF_HUB_OFFLINE is set" if offline else f"{where} cannot be reached") from None
    except errors.EntryNotFoundError:
        why = _about_missing_file(name, hub)
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", 0)
        if status in _PASSING_STATUSES:
            raise _NotReached(f"{where} answers HTTP {status}") from None
        hint = "; is the token (HF_TOKEN) right, and may it read this?" if status in (401, 403) else ""
        why = f"{where} answers HTTP {status}{hint}"
    except Exception as error:
        if isinstance(error, OSError) and error.errno and error.filename:
            raise  # The cache cannot be written.
        # Of whatever HTTP library that version stands on, or of an answer that is no Hub's.
        said = f": {said}" if len(said := reason(error)) <= 100 else ""
        garbled = isinstance(error, (ValueError, LookupError, TypeError, AttributeError))
        how = "gives no answer of a Hub" if garbled else "cannot be reached"
        raise _NotReached(f"{where} {how} ({type(error).__name__}{said})") from None
    raise CheckpointError(f"{name.text}: {why}")


def _about_missing_file(name: HubName, hub: ModuleType) -> str:
    """What to say where the Hub says that there is no such file: what there is, if it can be asked."""
    try:
        info = hub.HfApi().model_info(name.repository, revision=name.revision, timeout=_TIMEOUT_SECONDS)
        choose(name, [sibling.rfilename for sibling in info.siblings or ()])
    except NotChosen as error:
        return error.why
    except Exception:  # As in `_ask`; what matters is said all the same.
        pass
    return f"there is no {name.file} in {name.repository} at {name.revision}"


def _download(name: HubName, hub: ModuleType, folder: pathlib.Path, commit: str, file: str, facts: Any) -> None:
    """Downloads `file` to its place among the blobs of `folder`, if it has the digest that the Hub states.

    Raises:
        CheckpointError: it cannot be had, or has another digest.
        OSError: it cannot be written.
    """
    blob = folder / "blobs" / facts.etag
    unfinished = blob.with_name(f"{facts.etag}.slimft")
    url = hub.hf_hub_url(name.repository, file, revision=commit)
    folder.mkdir(parents=True, exist_ok=True)
    with alone_in(folder):
        if blob.exists():  # Another process, or under another name.
            return
        unfinished.mkdir(parents=True, exist_ok=True)
        arriving = unfinished / file.rsplit("/", 1)[-1]
        size = "of unknown size" if facts.size is None else f"{facts.size / 1e6:,.2f} MB"
        say(f"{name.text}: downloading {file}, {size}, from {hub.constants.ENDPOINT} to {folder}")
        headers = hub.utils.build_hf_headers(library_name="slimft")
        try:
            if not arriving.exists():
                download(url, arriving, headers=headers)
        except DataError as error:
            raise CheckpointError(f"{name.text}: {error}") from None
        digest, kind = _digest_of(arriving, facts.etag)
        if digest != facts.etag:
            arriving.unlink()
            raise CheckpointError(
                f"{name.text}: what came of {url} has the {kind} {digest}, not {facts.etag}, which the Hub states; "
                "nothing of it was kept, try again"
            )
        os.replace(arriving, blob)
        sync_directory(blob.parent)
        shutil.rmtree(unfinished, ignore_errors=True)


def _find_in_cache(name: HubName, folder: pathlib.Path, why: str) -> tuple[str, _Fetched]:
    """What the cache has of `name`: the commit that the revision was when it was last asked for, and the files.

    Raises:
        CheckpointError: it has it not.
        OSError: the cache cannot be read.
    """
    missing = f"{name.text}: {why}, and the cache, {folder}, does not have it; try again when the Hub can be asked"
    commit = name.revision
    ref = folder / "refs" / name.revision
    try:
        if ref.is_file():
            commit = read_bounded(ref, 1000).decode("ascii").strip()
    except (DataError, UnicodeDecodeError):
        raise CheckpointError(f"{missing} ({ref} is damaged)") from None
    snapshot = folder / "snapshots" / commit
    if not _COMMIT.fullmatch(commit) or not snapshot.is_dir():
        raise CheckpointError(missing)
    files = [path.relative_to(snapshot).as_posix() for path in snapshot.rglob("*") if path.is_file()]
    try:
        chosen, files = choose(name, files)
    except CheckpointError as error:
        raise CheckpointError(f"{error} (of what the cache has: {why})") from None
    places = [snapshot / file for file in files]
    return commit, _Fetched(snapshot / chosen, {place: _digest_by_place(place) for place in places})


def _digest_by_place(file: pathlib.Path) -> str | None:
    """The digest that `file` of a snapshot is to have, the name of its blob; None if it is no link to one."""
    if not file.is_symlink():
        return None
    blob = os.path.basename(os.readlink(file))
    return blob if _DIGEST.fullmatch(blob) else None


def _report(name: HubName, source: str, states: str, commit: str, found: _Fetched) -> None:
    """Checks the files of `found`, and says what was verified."""
    kinds = [_check(name.text, file, digest) for file, digest in found.files.items()]
    more = f" ({len(found.files)} files)" if len(found.files) > 1 else ""
    what = f"{found.path.name}{more} of commit {commit}"
    verified = dict.fromkeys(kind for kind in kinds if kind is not None)
    if None in kinds:
        say(f"{name.text}: {source}not verified: {what} lies in the cache without a link that tells its digest")
    else:
        say(f"{name.text}: {source}verified: {what} has the {' and the '.join(verified)} that {states}")


def _check(text: str, file: pathlib.Path, expected: str | None) -> str | None:
    """Compares `file` with the digest that it must have; returns what kind of digest that is, None without one.

    Raises:
        CheckpointError: it has another one.
    """
    if expected is None:
        return None
    digest, kind = _digest_of(file, expected)
    if digest != expected:
        raise CheckpointError(
            f"{text}: {os.path.realpath(file)} has the {kind} {digest}, not {expected}, which the Hub states; it "
            "was changed or damaged: delete it and run the same command again"
        )
    return kind


def _digest_of(file: pathlib.Path, like: str) -> tuple[str, str]:
    """The digest of `file` of the kind that `like` is of, and what that is called."""
    status = file.stat()
    kind = "SHA-256" if len(like) == 64 else "Git hash (SHA-1)"
    return _digest(file, kind, status.st_size, status.st_mtime_ns, status.st_ino), kind


@functools.lru_cache(maxsize=256)
def _digest(file: pathlib.Path, kind: str, size: int, mtime_ns: int, inode: int) -> str:
    """The digest of `file`, which is read once as long as it is the same file."""
    if kind == "SHA-256":
        digest = hashlib.sha256()
    else:
        digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    with open(file, "rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
