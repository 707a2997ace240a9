"""The parts of a tf.train.Example (tensorflow/core/example) that tell an image and its class."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from slimft.messages import printable
from slimft.wire import protobuf
from slimft.wire.binary_file import Malformed
from slimft.wire.protobuf import EMPTY, joined

IMAGE_KEY, LABEL_KEY = "image/encoded", "image/class/label"
# Of research/slim's datasets/dataset_utils.py and build_imagenet_data.py.
_FORMAT, _TEXT = b"image/format", b"image/class/text"
# The lists that a Feature may hold, by the number of their field.
_BYTES, _FLOATS, _INTEGERS = 1, 2, 3
_MOST_TEXT_BYTES = 1000
_LABEL_LIKE = re.compile("label|class|target|categor", re.IGNORECASE)
# Keys in a message, and letters of each.
_MOST_KEYS, _MOST_LETTERS = 12, 60
_IMAGES = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"GIF8", b"BM", b"II*\0", b"MM\0*")


class Keys(NamedTuple):
    """Which features are the image and the label."""

    image: str = IMAGE_KEY
    label: str = LABEL_KEY


SLIMS_KEYS = Keys()


class LabelledImage(NamedTuple):
    """What an Example tells.

    Attributes:
        encoded: the image file's bytes.
        format: what ``image/format`` says, empty if there is none.
        label: a number or a name.
        text: the name in ``image/class/text``; None if there is none.
    """

    encoded: memoryview
    format: bytes
    label: int | str
    text: str | None


def parse_example(record: memoryview, keys: Keys = SLIMS_KEYS) -> LabelledImage:
    """What a tf.train.Example tells.

    Where there is no ``image/class/label``, and nothing else was asked for, ``image/class/text`` is the label.

    Raises:
        Malformed: it is no such message, or lacks the image or the label.
    """
    image, label = keys.image.encode("utf-8", "surrogateescape"), keys.label.encode("utf-8", "surrogateescape")
    features = _features(record, (image, label, _FORMAT, _TEXT))
    encoded = _image(record, features.get(image, EMPTY), keys.image)
    count, text = _only(_strings(features.get(_TEXT, EMPTY)))
    text = _decoded(text) if count == 1 else None
    found: int | str | None
    if keys.label == LABEL_KEY and label not in features and text:
        count, found = 1, text
    else:
        integers, integer = _numbers(features.get(label, EMPTY))
        strings, string = _only(_strings(features.get(label, EMPTY)))
        count, found = integers + strings, integer if integers else string if string is None else _decoded(string)
    if count != 1 or found is None:
        raise Malformed(_lacks(record, "label", keys.label, count))
    if found == "":
        raise Malformed(f"its {keys.label} is empty")
    kind = bytearray()
    for part in _strings(features.get(_FORMAT, EMPTY)):
        kind += part
    return LabelledImage(encoded, bytes(kind), found, text or None)


def encoded_image(record: memoryview, key: str) -> memoryview:
    """The image file's bytes in a tf.train.Example; raises Malformed."""
    wanted = key.encode("utf-8", "surrogateescape")
    return _image(record, _features(record, (wanted,)).get(wanted, EMPTY), key)


def _features(record: memoryview, wanted: Sequence[bytes]) -> dict[bytes, memoryview | bytearray]:
    """The features of these names: a Feature each."""
    found: dict[bytes, memoryview | bytearray] = {}
    for part in _messages(record, 1):
        for entry in _messages(part, 1):
            name = bytes(_last(_messages(entry, 1)))
            if name in wanted:
                found[name] = EMPTY
                for feature in _messages(entry, 2):
                    found[name] = joined(found[name], feature)
    return found


def _image(record: memoryview, feature: memoryview | bytearray, key: str) -> memoryview:
    count, encoded = _only(_strings(feature))
    if encoded is None or count != 1:
        raise Malformed(_lacks(record, "image", key, count))
    return encoded


def _decoded(text: memoryview) -> str | None:
    """A name; None if it is too long or no UTF-8."""
    try:
        return str(text[:_MOST_TEXT_BYTES], "utf-8").strip() if len(text) <= _MOST_TEXT_BYTES else None
    except UnicodeDecodeError:
        return None


def _lacks(record: memoryview, what: str, key: str, count: int) -> str:
    """Why a record has no image, or no label, and which of its features could be that."""
    if count > 1:
        several = "; an image of several labels, or a one-hot label, is not supported" if what == "label" else ""
        return f"it has {count} {key}; there has to be one{several}"
    found, like = [], []
    for part in _messages(record, 1):
        for entry in _messages(part, 1):
            name = printable(str(_last(_messages(entry, 1))[:_MOST_TEXT_BYTES], "utf-8", "replace"))
            name = name if len(name) <= _MOST_LETTERS else f"{name[:_MOST_LETTERS]}..."
            kind, looks = _kind(_last(_messages(entry, 2)))
            if name == key:
                return f"its {key} is {kind}, which is no {what}"
            found.append(f"{name} ({kind})")
            like += [name] if looks == what else []
            if len(found) > _MOST_KEYS:
                break
    listed = ", ".join(sorted(found[:_MOST_KEYS])) + (" and more" if len(found) > _MOST_KEYS else "")
    told = f"it has {listed}" if found else "it has no features at all"
    like.sort(key=lambda name: (not _LABEL_LIKE.search(name), name))
    flag = f"--{what}_key=" + (like[0] if like else "KEY")
    return f"it has no {key}; {told}; say with {flag} which is the {what}" if found else f"it has no {key}; {told}"


def _kind(feature: memoryview) -> tuple[str, str | None]:
    """What a feature holds, in words, and whether that looks like an image or a label."""
    strings, string = _only(_strings(feature))
    integers, _ = _numbers(feature)
    if string is not None:
        looks = "image" if bytes(string[:4]).startswith(_IMAGES) else None
        short = strings == 1 and len(string) <= _MOST_LETTERS
        return _many(strings, "bytes"), looks or ("label" if short and looks is None else None)
    if integers:
        return _many(integers, "int64"), "label" if integers == 1 else None
    return ("float" if _only(_messages(feature, _FLOATS))[0] else "empty"), None


def _many(count: int, kind: str) -> str:
    return kind if count == 1 else f"{count} {kind}"


def _strings(feature: memoryview | bytearray) -> Iterator[memoryview]:
    return (value for values in _messages(feature, _BYTES) for value in _messages(values, 1))


def _numbers(feature: memoryview | bytearray) -> tuple[int, int | None]:
    """How many integers a feature has, and the first of them."""
    count, first = 0, None
    for numbers in _messages(feature, _INTEGERS):
        for field, wire_type, value in protobuf.fields(numbers):
            if field == 1:
                packed = protobuf.packed_varints(value) if wire_type == protobuf.LENGTH else [value]
                if not count and len(packed):
                    first = protobuf.signed(int(packed[0]))
                count += len(packed)
    return count, first


def _messages(message: memoryview | bytearray, number: int) -> Iterator[memoryview]:
    """The fields of that number, which are bytes; one at a time, since there may be one for each two bytes."""
    return (protobuf.expect_bytes(value) for field, _, value in protobuf.fields(message) if field == number)


def _only(values: Iterator[memoryview]) -> tuple[int, memoryview | None]:
    """How many there are, and the first."""
    first = next(values, None)
    return (0 if first is None else 1 + sum(1 for _ in values)), first


def _last(values: Iterator[memoryview]) -> memoryview:
    last = EMPTY
    for last in values:  # noqa: B007
        pass
    return last
