"""Changes to bytes, texts, JSON and protocol buffers, drawn from a `random.Random`."""

from __future__ import annotations

import json
import pickletools
import random

NUMBERS = [
    *(0, 1, 2, 3, 7, 8, 15, 16, 31, 32, 33, 63, 64, 100, 127, 128, 255, 256, 1000, 4095, 65535, 65536),
    *((1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, 1 << 40, 1 << 58, 1 << 62, (1 << 63) - 1, 1 << 63),
    *((1 << 64) - 1, (1 << 64) - 2),
]
_BYTES = [0, 1, 0x20, 0x7F, 0x80, 0xFE, 0xFF]
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


def number_near(rng: random.Random, value: int) -> int:
    """A number that is interesting beside `value`, from 0 to 2**64 - 1."""
    near = [value + 1, value - 1, value * 2, value + 4, value ^ 1 << rng.randrange(64), -value]
    return rng.choice([*near, rng.choice(NUMBERS), rng.choice(NUMBERS)]) % (1 << 64)


def changed(rng: random.Random, data: bytes, times: int | None = None) -> bytes:
    """`data` with one change, or so many: bytes changed, gone, repeated or moved, numbers overwritten, cut off."""
    data = bytearray(data)
    for _ in range(times or rng.choice([1, 1, 1, 2, 4])):
        if not data:
            data += rng.randbytes(rng.randrange(1, 9))
        at, other = rng.randrange(len(data)), rng.randrange(len(data))
        size = min(rng.choice([1, 2, 3, 4, 8, 16, 64]), len(data) - at)
        kind = rng.randrange(9)
        if kind == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at] = rng.choice([*_BYTES, rng.randrange(256)])
        elif kind == 2:
            del data[at : at + size]
        elif kind == 3:
            data[at:at] = data[at : at + size] * rng.choice([1, 1, 2, 50])
        elif kind == 4:
            data[at : at + size] = data[other : other + size]
        elif kind == 5:
            width = rng.choice([1, 2, 4, 8])
            order = rng.choice(["little", "big"])
            old = int.from_bytes(data[at : at + width], order)
            data[at : at + width] = (number_near(rng, old) % (1 << 8 * width)).to_bytes(width, order)
        elif kind == 6:
            data[at:at] = rng.randbytes(size)
        elif kind == 7 and rng.random() < 0.3:
            del data[at:]
        else:
            data[at : at + size] = bytes([rng.choice(_BYTES)]) * size
    return bytes(data)


def spliced(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """The beginning of one and the end of the other."""
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]


def changed_text(rng: random.Random, text: str, tokens: list[str]) -> str:
    """`text` with some of its words, or characters, gone, repeated, moved or in the place of others."""
    for _ in range(rng.choice([1, 1, 2, 3])):
        at = rng.randrange(len(text) + 1)
        size = rng.choice([1, 1, 2, 5, 20])
        kind = rng.randrange(6)
        if kind == 0:
            text = text[:at] + rng.choice(tokens) + text[at:]
        elif kind == 1:
            text = text[:at] + rng.choice(tokens) + text[at + size :]
        elif kind == 2:
            text = text[:at] + text[at + size :]
        elif kind == 3:
            text = text[:at] + text[at : at + size] * rng.choice([2, 3, 200]) + text[at + size :]
        elif kind == 4:
            lines = text.split("\n")
            lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines))
            text = "\n".join(lines)
        else:
            word = rng.choice(tokens)
            text = text.replace(rng.choice(text.split() or ["x"]), word, 1)
    return text


def encoded(rng: random.Random, text: str) -> bytes:
    """`text` in UTF-8, seldom in something else."""
    if rng.random() < 0.9:
        return text.encode("utf-8", "surrogatepass")
    kind = rng.choice(["utf-8-sig", "utf-16", "utf-16-be", "utf-32", "latin-1", "bytes"])
    if kind == "bytes":
        return changed(rng, text.encode("utf-8", "surrogatepass"))
    return text.encode(kind, "replace")


TEXTS = ["", " ", "\0", "\n", "\x1b[31m", "\u202e", "\ud800", "é", "\U0001f642", "a" * 300, "../..", "nan", "\\"]


def changed_json(rng: random.Random, value) -> str:
    """`value` as JSON, some of it changed: values, names, types, depths, and what is no JSON."""
    raw = {}
    for _ in range(rng.choice([1, 1, 2, 3])):
        value = _changed_value(rng, value, raw)
    text = json.dumps(value, ensure_ascii=rng.random() < 0.5)
    for mark, piece in raw.items():
        text = text.replace(json.dumps(mark), piece)
    if rng.random() < 0.15:
        text = changed_text(rng, text, list("{}[],:\"'\\0eE.-+/#\t") + ["NaN", "null", "[[[[", '{"a":', "1e999"])
    return text


def _changed_value(rng: random.Random, value, raw: dict[str, str]):
    """As `changed_json`; what only a text can hold goes into `raw`, under a mark that stands in its place."""
    if rng.random() < 0.75:
        if isinstance(value, dict) and value:
            name = rng.choice(list(value))
            kind = rng.randrange(8)
            if kind == 0:
                return {key: inner for key, inner in value.items() if key != name}
            if kind == 1:
                return {**value, rng.choice([*TEXTS, "__metadata__", "step"]): rng.choice(list(value.values()))}
            return {**value, name: _changed_value(rng, value[name], raw)}
        if isinstance(value, list) and value:
            at = rng.randrange(len(value))
            kind = rng.randrange(8)
            if kind == 0:
                return value[:at] + value[at + 1 :]
            if kind == 1:
                return value[:at] + [value[at]] * rng.choice([2, 100]) + value[at:]
            if kind == 2:
                return rng.sample(value, len(value))
            return value[:at] + [_changed_value(rng, value[at], raw)] + value[at + 1 :]
    kind = rng.randrange(12)
    if kind < 4 and isinstance(value, int) and not isinstance(value, bool):
        return rng.choice([number_near(rng, value), -value, -1, value + 0.5, float(value), str(value), bool(value)])
    if kind < 4 and isinstance(value, str):
        return rng.choice([*TEXTS, value * 2, value.upper(), [value]])
    if kind < 9:
        return rng.choice([None, True, False, 0, -1, 2.5, 1e308, "", "x", [], {}, [[]], {"a": {}}, [value], [1, 1]])
    mark = f"mark {len(raw)} {rng.random()}"
    depth = rng.choice([50, 120, 127, 128, 500, 3000, 50_000])
    raw[mark] = rng.choice([
        "NaN", "-Infinity", "1e999", "-0", "-0.0", "1E5", "9" * rng.choice([20, 310, 5000]), "01", "+1", "1.",
        "'x'",
        "[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth, "[" * depth,
        '{"step": 1, "step": 2}', '"\\ud800"', '"\t"', '"\\x"', "tru", "// x\n1",
    ])  # fmt: skip
    return mark


def varint(value: int, padding: int = 0) -> bytes:
    """A number below 2**64 as protocol buffers write it, with so many bytes more than it takes."""
    octets = bytearray()
    while value >= 0x80 or padding:
        octets.append(value & 0x7F | 0x80)
        value, padding = value >> 7, max(0, padding - (value < 0x80))
    octets.append(value)
    return bytes(octets)


def parsed(data: bytes) -> list[tuple[int, int, int | bytes]] | None:
    """The fields of a message: number, wire type, value; None if it is none."""
    fields, position = [], 0
    while position < len(data):
        tag, position = _read_varint(data, position)
        value = None
        if tag is None or tag >> 3 == 0:
            return None
        if tag & 7 == _VARINT:
            value, position = _read_varint(data, position)
        elif tag & 7 in (_FIXED64, _FIXED32, _LENGTH):
            size = {_FIXED64: 8, _FIXED32: 4}.get(tag & 7)
            if size is None:
                size, position = _read_varint(data, position)
            if size is not None and position + size <= len(data):
                value, position = data[position : position + size], position + size
        if value is None:
            return None
        fields.append((tag >> 3, tag & 7, value))
    return fields


def _read_varint(data: bytes, position: int) -> tuple[int | None, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            break
        value |= (data[position] & 0x7F) << shift
        position += 1
        if data[position - 1] < 0x80:
            return value, position
    return None, position


def written(fields: list[tuple[int, int, int | bytes]]) -> bytes:
    """The message of these fields."""
    return b"".join(map(_field, fields))


def _field(field: tuple[int, int, int | bytes]) -> bytes:
    number, wire_type, value = field
    if isinstance(value, int):
        return varint(number << 3 | _VARINT) + varint(value)
    length = varint(len(value)) if wire_type == _LENGTH else b""
    return varint(number << 3 | wire_type) + length + value


def changed_message(rng: random.Random, data: bytes) -> bytes:
    """A message with a field of it, or of a message in it, changed; the lengths around it are right again."""
    fields = parsed(data)
    if not fields:
        return changed(rng, data)
    at = rng.randrange(len(fields))
    number, wire_type, value = fields[at]
    if wire_type == _LENGTH and len(value) > 1 and rng.random() < 0.7:
        fields[at] = number, wire_type, changed_message(rng, value)
        return written(fields)
    kind = rng.randrange(12)
    if kind == 0:
        del fields[at]
    elif kind == 1:
        fields[at:at] = [fields[at]] * rng.choice([1, 1, 3, 300])
    elif kind == 2:
        fields.append(fields.pop(at))
    elif kind == 3:
        fields[at] = rng.choice([number + 1, max(1, number - 1), rng.randrange(1, 20), 1 << 28]), wire_type, value
    elif kind == 4:
        fields.insert(at, (rng.randrange(1, 20), _VARINT, rng.choice(NUMBERS)))
    elif kind == 5:
        fields.insert(at, (number, _LENGTH, rng.randbytes(rng.choice([0, 1, 4, 8, 40]))))
    elif kind == 6 and isinstance(value, bytes) and wire_type == _LENGTH:
        for _ in range(rng.choice([1, 30, 99, 100, 101, 2000])):  # Within each other.
            value = _field((number, _LENGTH, value))
        fields[at] = number, wire_type, value
    elif kind == 7 and isinstance(value, bytes) and wire_type == _LENGTH and value:
        cut = rng.randrange(len(value) + 1)  # In two pieces.
        fields[at : at + 1] = [(number, _LENGTH, value[:cut]), (number, _LENGTH, value[cut:])]
    elif kind == 8:
        start, end = written(fields[:at]), written(fields[at + 1 :])
        odd = rng.choice(
            [
                varint(number << 3 | rng.choice([3, 4, 6, 7])),
                varint(number << 3 | _LENGTH) + varint(rng.choice(NUMBERS)),
                varint(number << 3, 3) + varint(5, rng.randrange(1, 12)),
                b"\0",
                b"\x80" * 11,
                b"\xff" * 9 + b"\x02",
                varint(number << 3 | 3) + varint(number << 3 | 4),
            ]
        )
        return start + odd + end
    elif isinstance(value, int):
        fields[at] = number, wire_type, number_near(rng, value)
    else:
        octets = changed(rng, value, 1)
        if wire_type != _LENGTH:
            octets = octets[: len(value)].ljust(len(value), b"\0")
        fields[at] = number, wire_type, octets
    return written(fields)


def changed_pickle(rng: random.Random, data: bytes) -> bytes:
    """A pickle with opcodes and their arguments gone, repeated, changed or put in."""
    if rng.random() < 0.3:
        return changed(rng, data[:400]) + data[400:]
    places = [at for _, _, at in pickletools.genops(data)] + [len(data)]
    parts = [data[start:stop] for start, stop in zip(places, places[1:])]
    for _ in range(rng.choice([1, 1, 2, 3])):
        at = rng.randrange(len(parts))
        kind = rng.randrange(5)
        if kind == 0:
            del parts[at]
        elif kind == 1:
            parts[at:at] = [rng.choice(parts)] * rng.choice([1, 1, 3, 500])
        elif kind == 2:
            parts[at] = parts[at][:1] + changed(rng, parts[at][1:60], 1) + parts[at][60:]
        elif kind == 3:
            parts[at] = rng.choice([
                *(b"N", b"K\xff", b"}", b"]", b"(", b")", b"t", b"R", b"b", b"0", b".", b"2", b"\x85", b"\x86"),
                b"h\0", b"a", b"cos\nsystem\n", b"cbuiltins\neval\n", b"\x8c\2os\x8c\6system\x93",
                b"q\1", b"h\1", b"cnumpy\ndtype\n",
                b"J" + (rng.choice(NUMBERS) % (1 << 32)).to_bytes(4, "little"), b"\x8a\x06" + b"\xff" * 6,
                b"u", b"s",
                b"X\3\0\0\0<u8", b"U\2O8", b"\x96" + (1 << 35).to_bytes(8, "little") + b"x",
            ])  # fmt: skip
        else:
            parts[at] = parts[at][:1] + parts[at][1:] * rng.choice([0, 2])
    return b"".join(parts)
