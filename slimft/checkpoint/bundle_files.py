"""The files of a V2 checkpoint, given their names so that there is a whole checkpoint at every instant."""

from __future__ import annotations

import contextlib
import itertools
import os
import pathlib
import re
from collections.abc import Iterable

from slimft.checkpoint.table import Table, build_table
from slimft.files import link_or_copy, sync_directory, sync_file
from slimft.wire.binary_file import BinaryFile, Malformed
from slimft.wire.protobuf import field

_DATA = re.compile(r"\.data-(?P<shard>\d{5})-of-(?P<count>\d{5})")


def index_file(prefix: pathlib.Path) -> pathlib.Path:
    """The index of the checkpoint at `prefix`."""
    return prefix.with_name(f"{prefix.name}.index")


def data_file(prefix: pathlib.Path, shard: int = 0, count: int = 1) -> pathlib.Path:
    """Data file `shard` of the `count` that the checkpoint at `prefix` has."""
    return prefix.with_name(f"{prefix.name}.data-{shard:05d}-of-{count:05d}")


def data_files(prefix: pathlib.Path) -> dict[tuple[int, int], pathlib.Path]:
    """The data files that are there for `prefix`, by their shard and the number of shards."""
    found = {}
    for name in os.listdir(prefix.parent):
        match = _DATA.fullmatch(name, len(prefix.name)) if name.startswith(prefix.name) else None
        if match:
            found[int(match["shard"]), int(match["count"])] = prefix.with_name(name)
    return found


def move_checkpoint(source: pathlib.Path, target: pathlib.Path) -> None:
    """Gives the whole checkpoint at the prefix `source` the name `target`, in place of one that may be there.

    At every instant the checkpoint at `target` is the old one or the new one, and whole. A data file's name follows
    from the prefix and the number of data files. So where names are taken, the new data goes by another number
    first, as if there were more files, and so does the new index, which is what makes it the checkpoint; then the
    old data can be replaced, and after it the index once more.

    Args:
        source: in a directory of its own on the file system of `target`; its files are gone from there afterwards.
        target: the prefix.

    Raises:
        Malformed: `source` is no whole checkpoint.
        OSError: the files cannot be renamed. The old checkpoint is as it was, unless only the last waiting for the
            disk failed.
    """
    files, old = data_files(source), data_files(target)
    counts = {count for _, count in files}
    if len(counts) != 1:
        raise Malformed("it has no data files, or those of several checkpoints")
    (count,) = counts
    for file in (*files.values(), index_file(source)):
        sync_file(file)
    taken = {number for _, number in old}
    free = next(number for number in itertools.count(count) if number not in taken)
    if free != count:
        staged = source.with_name(f"{source.name}.staged")
        for (shard, _), file in files.items():
            link_or_copy(file, data_file(staged, shard, free))
        _write_index_of(source, staged, free)
        _rename(staged, target, [shard for shard, _ in files], free)
        old.update({(shard, free): data_file(target, shard, free) for shard, _ in files})
        with contextlib.suppress(OSError):  # The new checkpoint is there already, and whole.
            _rename(source, target, [shard for shard, _ in files], count)
            _remove(file for place, file in old.items() if place not in files)
    else:
        _rename(source, target, [shard for shard, _ in files], count)
        with contextlib.suppress(OSError):
            _remove(old.values())


def _write_index_of(source: pathlib.Path, staged: pathlib.Path, count: int) -> None:
    """Writes the index at `source` for `staged`, saying that there are `count` data files."""
    records = {key: bytes(value) for key, value in Table(BinaryFile(str(index_file(source))), verify=True)}
    # BundleHeaderProto.num_shards: of a number that comes twice, the last counts.
    records[b""] += field(1, count)
    index_file(staged).write_bytes(build_table(records.items()))
    sync_file(index_file(staged))


def _rename(source: pathlib.Path, target: pathlib.Path, shards: list[int], count: int) -> None:
    """Renames the data files, to names that no index uses, and when that is on the disk the index."""
    named = []
    try:
        for shard in shards:
            named.append(data_file(target, shard, count))
            os.replace(data_file(source, shard, count), named[-1])
        sync_directory(target.parent)
        os.replace(index_file(source), index_file(target))
    except BaseException:
        with contextlib.suppress(OSError):
            _remove(named)
        raise
    sync_directory(target.parent)


def _remove(files: Iterable[pathlib.Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)
