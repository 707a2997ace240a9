"""Table files (V1 checkpoints, indexes of V2 ones) built with any of their numbers wrong, and right checksums.

Written from LevelDB's doc/table_format.md, independently of slimft's writer.
"""

from __future__ import annotations

import random

import google_crc32c

from fuzz.mutate import NUMBERS, changed, changed_message, number_near, parsed, spliced, varint, written

MAGIC = 0xDB4775248B80FB57.to_bytes(8, "little")
Items = list[tuple[bytes, bytes]]


def masked_crc(data: bytes) -> int:
    """The masked CRC-32C of tensorflow/core/lib/hash/crc32c.h."""
    checksum = google_crc32c.value(data)
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF


def items_of(data: bytes) -> Items:
    """The keys and values of a good table file, not compressed."""

    def number(at: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            value |= (data[at] & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if data[at - 1] < 0x80:
                return value, at

    def entries(start: int, size: int) -> Items:
        end = start + size - 4 - 4 * int.from_bytes(data[start + size - 4 : start + size], "little")
        found, key, at = [], b"", start
        while at < end:
            shared, at = number(at)
            own, at = number(at)
            length, at = number(at)
            key = key[:shared] + data[at : at + own]
            found.append((key, data[at + own : at + own + length]))
            at += own + length
        return found

    def handle(at: int) -> tuple[int, int, int]:
        offset, at = number(at)
        size, at = number(at)
        return offset, size, at

    *_, position = handle(len(data) - 48)
    index = handle(position)[:2]
    found = []
    whole = data
    for _, place in entries(*index):
        data, at = place, 0
        offset, at = number(at)
        size, at = number(at)
        data = whole
        found += entries(offset, size)
    return found


class Builder:
    """Writes tables; some of what it writes is wrong, at random.

    Args:
        rng: what is wrong.
        wrong: how probable it is that a number is.
    """

    def __init__(self, rng: random.Random, wrong: float):
        self._rng, self._wrong = rng, wrong
        self._compressed = wrong and rng.random() < 0.2

    def table(self, items: Items) -> bytes:
        """The file of these items, which are written in their order."""
        rng, out, index = self._rng, bytearray(), []
        block_bytes = rng.choice([1, 64, 1024, 1 << 14, 1 << 18])
        pending, size = [], 0
        for position, (key, value) in enumerate(items):
            pending.append((key, value))
            size += len(key) + len(value)
            if size >= block_bytes or position + 1 == len(items):
                index.append((key, self._append(out, self._block(pending))))
                pending, size = [], 0
        if self._is_wrong() and index:
            kind = rng.randrange(4)
            if kind == 0:
                index.append(rng.choice(index))
            elif kind == 1:
                rng.shuffle(index)
            elif kind == 2:
                index[0] = changed(rng, index[0][0] or b"a", 1), index[0][1]
            else:
                index[-1] = index[-1][0], index[0][1]
        handles = self._append(out, self._block([])) + self._append(out, self._block(index))
        footer = (handles if not self._is_wrong() else changed(rng, handles, 1))[:40].ljust(40, b"\0") + MAGIC
        return bytes(out) + (footer if not self._is_wrong() else changed(rng, footer, 1))

    def _is_wrong(self) -> bool:
        return self._rng.random() < self._wrong

    def _number(self, value: int) -> bytes:
        if self._is_wrong():
            return varint(number_near(self._rng, value), self._rng.choice([0, 0, 1, 8]))
        return varint(value)

    def _append(self, out: bytearray, block: bytes) -> bytes:
        if self._is_wrong():
            block = changed(self._rng, block, 1)
        kind = 0
        if self._compressed:
            block, kind = snappy(self._rng, block), 1
            if self._is_wrong():
                block = changed(self._rng, block, 1)
        if self._is_wrong():
            kind = self._rng.choice([1, 2, 255])
        handle = self._number(len(out)) + self._number(len(block))
        block += bytes([kind])
        checksum = masked_crc(block) ^ (self._is_wrong() and self._rng.random() < 0.2)
        out += block + checksum.to_bytes(4, "little")
        return handle

    def _block(self, items: Items) -> bytes:
        rng, out, restarts, last = self._rng, bytearray(), [], b""
        interval = rng.choice([1, 2, 16, 16, 16, 1 << 30])
        for count, (key, value) in enumerate(items):
            shared = 0
            if count % interval == 0:
                restarts.append(len(out))
            else:
                while shared < min(len(key), len(last)) and key[shared] == last[shared]:
                    shared += 1
            out += self._number(shared) + self._number(len(key) - shared) + self._number(len(value))
            out += key[shared:] + value
            last = key
        restarts = restarts or [0]
        if self._is_wrong():
            restarts = restarts * rng.choice([0, 2]) or [rng.choice(NUMBERS) % (1 << 32)]
        count = len(restarts) if not self._is_wrong() else rng.choice(NUMBERS)
        numbers = [*restarts, count]
        return bytes(out) + b"".join((number % (1 << 32)).to_bytes(4, "little") for number in numbers)


def snappy(rng: random.Random, data: bytes) -> bytes:
    """Data in Snappy's raw format: literals, and copies of what came before, also of what they make themselves."""
    out, at = bytearray(varint(len(data))), 0
    while at < len(data):
        distance = rng.choice([1, 2, 3, 8, 100, 1000])
        length = 0
        while at + length < len(data) and at >= distance and data[at + length] == data[at + length - distance]:
            length += 1
        if length >= 4:
            length = min(length, rng.choice([11, 64]))
            if length < 12 and distance < 2048:
                out += bytes([1 | length - 4 << 2 | distance >> 8 << 5, distance & 255])
            else:
                width = rng.choice([2, 4])
                out += bytes([(2 if width == 2 else 3) | length - 1 << 2]) + distance.to_bytes(width, "little")
        else:
            length = min(rng.choice([1, 7, 60, 61, 300]), len(data) - at)
            if length <= 60:
                out.append(length - 1 << 2)
            else:
                out += bytes([61 << 2]) + (length - 1).to_bytes(2, "little")
            out += data[at : at + length]
        at += length
    return bytes(out)


def changed_items(rng: random.Random, items: Items, others: Items) -> Items:
    """Some records changed, gone, taken from another table, in another order or with long keys."""
    items = list(items)
    for _ in range(rng.choice([1, 1, 2, 4])):
        if not items:
            break
        at = rng.randrange(len(items))
        key, value = items[at]
        kind = rng.randrange(12)
        if kind == 0:
            del items[at]
        elif kind == 1:
            items[at] = key, rng.choice(others)[1]
        elif kind == 2:
            items.append(rng.choice(others))
        elif kind == 3:
            items[at] = changed(rng, key or b"a", 1), value
        elif kind == 4:
            items.append((key + rng.choice([b"x", b"\0", b"\xff", b"/y"]), value))
        elif kind == 5 and rng.random() < 0.2:
            start = rng.randbytes(rng.choice([1, 100, 2000]))
            items += [(start + number.to_bytes(3, "big"), value[:99]) for number in range(rng.choice([10, 3000]))]
        elif kind == 6:
            items[at] = key, spliced(rng, value, rng.choice(others)[1])
        else:
            items[at] = key, changed_message(rng, value)
    return sorted(items) if rng.random() < 0.9 else items


def changed_table(rng: random.Random, items: Items, others: Items) -> bytes:
    """A table file: of changed records, or with wrong numbers in its structure, its checksums mostly right."""
    kind = rng.randrange(10)
    if kind < 5:
        return Builder(rng, 0).table(changed_items(rng, items, others))
    if kind < 8:
        return Builder(rng, rng.choice([0.002, 0.02, 0.1])).table(items)
    return changed(rng, Builder(rng, 0).table(items))


def with_entry_checksums(items: Items, files: dict[int, bytes]) -> Items:
    """The records of a V2 index, with the checksums of what they point at in the data files."""
    return [(key, _with_checksum(value, files) if key else value) for key, value in items]


def _with_checksum(entry: bytes, files: dict[int, bytes]) -> bytes:
    fields = parsed(entry)
    numbers = {number: value for number, wire_type, value in fields or () if wire_type == 0}
    data = files.get(numbers.get(3, 0), b"")
    offset, size = numbers.get(4, 0), numbers.get(5, 0)
    if fields is None or offset + size > len(data):
        return entry
    octets = data[offset : offset + size]
    if numbers.get(1) == 7:
        octets = _as_checked(octets, fields)
    checksum = masked_crc(octets).to_bytes(4, "little")
    return written([(n, w, checksum if (n, w) == (6, 5) else value) for n, w, value in fields])


def _as_checked(octets: bytes, fields: list) -> bytes:
    """Of strings: lengths as 4 bytes, their checksum, and the strings, which is what the checksum is of."""
    count = 1
    for number, _, value in fields:
        if number == 2 and isinstance(value, bytes):
            for inner, _, dimension in parsed(value) or ():
                if inner == 2 and isinstance(dimension, bytes):
                    count *= dict((n, v) for n, _, v in parsed(dimension) or ()).get(1, 0)
    lengths, at = [], 0
    while len(lengths) < min(count, len(octets)):
        value = shift = 0
        while at < len(octets):
            value |= (octets[at] & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if octets[at - 1] < 0x80:
                break
        lengths.append(value % (1 << 32))
    return b"".join(length.to_bytes(4, "little") for length in lengths) + octets[at:]
