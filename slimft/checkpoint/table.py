"""TensorFlow's table files: sorted keys and their values, in blocks with a checksum each.

A V1 checkpoint is one table, the `.index` of a V2 checkpoint another. Source: tensorflow/core/lib/io/
(format.h, block.cc, table_builder.cc), which comes from LevelDB's doc/table_format.md.

A block is a run of entries, where they restart (positions, then their count, 4 bytes each), a byte that tells
the compression (none, or Snappy as in some official releases' indices) and a masked CRC-32C of all that. An entry
is three varints (bytes its key shares with the key before, bytes of its own, bytes of the value), the rest of the
key and the value. The last block, the index, has for each other block a key not below the block's keys and the
block's place; the footer has the index's.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from slimft.checkpoint.memory import Allowance
from slimft.checkpoint.snappy import decompress
from slimft.wire.binary_file import BinaryFile, Malformed, aligned_buffer
from slimft.wire.checksum import crc32c, join, masked
from slimft.wire.protobuf import read_varint, varint

MAGIC = 0xDB4775248B80FB57.to_bytes(8, "little")
_FOOTER_BYTES = 48
_TRAILER_BYTES = 5  # The compression and the checksum.
_BLOCK_BYTES = 1 << 18
_RESTART_INTERVAL = 16
# A key repeats what it shares with the one before, but every sixteenth is written whole: so the keys of a block
# that TensorFlow or build_table wrote have at most 16 times the block's bytes. The rest is for other blocks.
_KEY_BYTES_PER_BYTE = _RESTART_INTERVAL
_FEW_KEY_BYTES = 1 << 20
# An entry that is kept: a tuple, two numbers, and the key's object.
_POSITION_BYTES = 200
_WINDOW_BYTES = 1 << 16
_NOT_COMPRESSED, _SNAPPY = 0, 1
# A block of several values has about _BLOCK_BYTES; a larger one is that of a single value, which is read once.
_MOST_KEPT_BYTES = 1 << 20


# Reads so many bytes from a position in a block on.
_Read = Callable[[int, int], memoryview]


class Table:
    """A table file, read block by block.

    Args:
        file: the open file.
        verify: whether to check the blocks' checksums.
        allowance: the memory that keys and places may take; by default that for a file of this size.

    Raises:
        Malformed: the file is no table, or its index is damaged.
    """

    def __init__(self, file: BinaryFile, verify: bool, allowance: Allowance | None = None):
        self._file = file
        self._allowance = allowance or Allowance(file.size)
        self._kept_key_bytes = 0
        self._verify = verify
        self._verified: set[int] = set()
        self._positions: dict[int, list[tuple[bytes, int, int]]] = {}
        self._decompressed: tuple[int, memoryview] | None = None  # The last compressed block, and its number.
        if file.size < _FOOTER_BYTES:
            raise Malformed("it is too short for a table file")
        footer = file.read(file.size - _FOOTER_BYTES, _FOOTER_BYTES)
        if footer[-8:] != MAGIC:
            raise Malformed("it does not end as a table file does")
        _, position = _parse_handle(footer, 0)
        index, _ = _parse_handle(footer, position)
        self._check_bounds(index)
        block = self._checked_block(index)
        self._keys: list[bytes] = []
        self._blocks: list[tuple[int, int]] = []
        end = 0
        positions = _positions(_reader_of(block), len(block))
        for key, start, size in self._keep(positions):
            handle, _ = _parse_handle(block[start : start + size], 0)
            # In order and apart, as they are written: no block twice, and none within itself.
            if handle[0] < end or (self._keys and key <= self._keys[-1]):
                raise Malformed("its blocks overlap or are out of order")
            self._check_bounds(handle)
            end = handle[0] + handle[1] + _TRAILER_BYTES
            self._keys.append(key)
            self._blocks.append(handle)
        if end > index[0]:
            raise Malformed("its blocks overlap its index")

    def __iter__(self) -> Iterator[tuple[bytes, memoryview]]:
        """Yields every key and value, the blocks read whole; meant for tables of small values."""
        last, key_bytes = None, 0
        for handle in self._blocks:
            block = self._checked_block(handle)
            for key, start, size in _positions(_reader_of(block), len(block)):
                if last is not None and key <= last:
                    raise Malformed("its keys are out of order")
                last, key_bytes = key, self._checked_key_bytes(key_bytes + len(key))
                yield key, block[start : start + size]

    def value(self, key: bytes, align_last: int = 0) -> np.ndarray | None:
        """Reads the value of `key` into memory of its own, as uint8; None where there is none.

        Args:
            key: the key.
            align_last: the last so many bytes of the value start at a multiple of `ALIGNMENT`.

        Raises:
            Malformed: the block it should be in is damaged.
        """
        block = bisect.bisect_left(self._keys, key)
        if block == len(self._keys):
            return None
        offset, size = self._blocks[block]
        whole = self._whole_if_compressed(block)
        if block not in self._positions:
            if whole is None:
                positions = _positions(self._window(offset), size)
            else:
                positions = _positions(_reader_of(whole), len(whole))
            self._positions[block] = list(self._keep(positions))
        entries = self._positions[block]
        found = bisect.bisect_left(entries, key, key=lambda entry: entry[0])
        if found == len(entries) or entries[found][0] != key:
            if whole is None:
                self._check_block(block)  # Only of an intact block is it true that there is no such key.
            return None
        _, start, length = entries[found]
        if whole is not None:
            buffer = aligned_buffer(length, at=max(0, length - align_last))
            buffer[:] = np.frombuffer(whole, np.uint8, length, start)
            return buffer
        if 2 * length <= size:
            self._check_block(block)
        buffer = aligned_buffer(length, at=max(0, length - align_last))
        if block in self._verified:
            self._file.read_into(buffer, offset + start)
        else:
            self._check_block(block, buffer, start)
        return buffer

    def _keep(self, positions: Iterator[tuple[bytes, int, int]]) -> Iterator[tuple[bytes, int, int]]:
        """Yields `positions`, whose keys are going to be kept, while there is memory left for them."""
        for position in positions:
            self._kept_key_bytes = self._checked_key_bytes(self._kept_key_bytes + len(position[0]))
            self._allowance.take(_POSITION_BYTES + len(position[0]))
            yield position

    def _checked_key_bytes(self, total: int) -> int:
        if total > _FEW_KEY_BYTES + _KEY_BYTES_PER_BYTE * self._file.size:
            raise Malformed("its keys are absurdly long")
        return total

    def _check_bounds(self, handle: tuple[int, int]) -> None:
        if sum(handle) + _TRAILER_BYTES > self._file.size - _FOOTER_BYTES:
            raise Malformed("a block lies outside the file")

    def _check_block(self, block: int, buffer: np.ndarray | None = None, start: int = 0) -> None:
        """Checks a block unless that has been done; in passing fills `buffer` with what is at `start` in it."""
        if block in self._verified and buffer is None:
            return
        offset, size = self._blocks[block]
        buffer = np.empty(0, np.uint8) if buffer is None else buffer
        end = start + buffer.size
        checksum = self._file.read_into(buffer, offset + start, checked=self._verify)

        def of_all() -> int:
            before = self._file.crc32c(offset, start)
            after = self._file.crc32c(offset + end, size + 1 - end)
            assert checksum is not None  # As it is `checked` whenever this is called.
            return join(join(before, checksum, buffer.size), after, size + 1 - end)

        trailer = self._file.read(offset + size, _TRAILER_BYTES)
        _check_trailer(trailer, of_all if self._verify else None)
        self._verified.add(block)

    def _checked_block(self, handle: tuple[int, int]) -> memoryview:
        offset, size = handle
        block = self._file.read(offset, size + _TRAILER_BYTES)
        _check_trailer(block[size:], (lambda: crc32c(block[: size + 1])) if self._verify else None)
        return decompress(block[:size]) if block[size] == _SNAPPY else block[:size]

    def _whole_if_compressed(self, block: int) -> memoryview | None:
        """The contents of a compressed block, the last of which are kept; None where it is not compressed."""
        if self._decompressed is not None and self._decompressed[0] == block:
            return self._decompressed[1]
        offset, size = self._blocks[block]
        if self._file.read(offset + size, 1)[0] != _SNAPPY:
            return None
        self._decompressed = None  # Before there is another.
        whole = self._checked_block((offset, size))
        if len(whole) <= _MOST_KEPT_BYTES:
            self._decompressed = block, whole
        return whole

    def _window(self, offset: int) -> _Read:
        """A function that reads a block's bytes, keeping the last stretch it read."""
        start, window = 0, memoryview(b"")

        def read(at: int, size: int) -> memoryview:
            nonlocal start, window
            if not start <= at <= at + size <= start + len(window):
                longest = self._file.size - offset - at
                start, window = at, self._file.read(offset + at, min(max(size, _WINDOW_BYTES), longest))
            return window[at - start : at - start + size]

        return read


def build_table(items: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Returns the table file of `items`, small values under keys that are sorted and unique."""
    out, size = bytearray(), 0
    index: list[tuple[bytes, bytes]] = []
    pending: list[tuple[bytes, bytes]] = []

    def append(block: bytes) -> bytes:
        handle = varint(len(out)) + varint(len(block))
        block += b"\0"  # Not compressed.
        out.extend(block + masked(crc32c(block)).to_bytes(4, "little"))
        return handle

    def flush() -> None:
        nonlocal size
        if pending:
            index.append((pending[-1][0], append(_block(pending))))
        pending.clear()
        size = 0

    for key, value in items:
        pending.append((key, value))
        size += len(key) + len(value)
        if size >= _BLOCK_BYTES:
            flush()
    flush()
    handles = append(_block([])) + append(_block(index))  # The first is for filters, of which there are none.
    return bytes(out) + handles.ljust(_FOOTER_BYTES - len(MAGIC), b"\0") + MAGIC


def _block(items: list[tuple[bytes, bytes]]) -> bytes:
    out, last = bytearray(), b""
    restarts: list[int] = []
    for count, (key, value) in enumerate(items):
        shared = 0
        if count % _RESTART_INTERVAL == 0:
            restarts.append(len(out))
        else:
            while shared < min(len(key), len(last)) and key[shared] == last[shared]:
                shared += 1
        out += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        last = key
    restarts = restarts or [0]
    return bytes(out) + np.array([*restarts, len(restarts)], "<u4").tobytes()


def _check_trailer(trailer: memoryview, checksum: Callable[[], int] | None) -> None:
    if checksum is not None and int.from_bytes(trailer[1:], "little") != masked(checksum()):
        raise Malformed("a block's checksum does not match: the file is damaged")
    if trailer[0] not in (_NOT_COMPRESSED, _SNAPPY):
        raise Malformed("a block is compressed in an unknown way")


def _parse_handle(data: memoryview, position: int) -> tuple[tuple[int, int], int]:
    """A block's offset and size, and the position after them."""
    offset, position = read_varint(data, position)
    size, position = read_varint(data, position)
    return (offset, size), position


def _reader_of(block: memoryview) -> _Read:
    return lambda at, size: block[at : at + size]


def _positions(read: _Read, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Yields a block's keys, each with the start and the size of its value.

    Args:
        read: returns so many bytes from a position in the block on; nothing beyond what is asked for.
        size: the block's, without its trailer.
    """
    if size < 4:
        raise Malformed("a block is too short")
    restarts = int.from_bytes(read(size - 4, 4), "little")
    end = size - 4 - 4 * restarts
    if end < 0:
        raise Malformed("a block's restarts are longer than the block")
    position, key, last = 0, b"", None
    while position < end:
        head = read(position, min(3 * 5, end - position))
        shared, at = read_varint(head, 0)
        own, at = read_varint(head, at)
        length, at = read_varint(head, at)
        position += at
        if shared > len(key) or own > end - position or length > end - position - own:
            raise Malformed("an entry is longer than its block")
        key = key[:shared] + bytes(read(position, own))
        if last is not None and key <= last:
            raise Malformed("its keys are out of order")
        last = key
        yield key, position + own, length
        position += own + length
