"""The parts of a tf.train.Example (tensorflow/core/example) that tell an image and its class."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from slimft.checkpoint import protobuf
from slimft.checkpoint.binary_file import Malformed
from slimft.messages import printable

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
    wanted = (image, label, _FORMAT, _TEXT)
    features: dict[bytes, list[memoryview]] = {}
    for part in _messages(record, 1):
        for entry in _messages(part, 1):
            names = _messages(entry, 1)
            if names and bytes(names[-1]) in wanted:
                features[bytes(names[-1])] = _messages(entry, 2)
    encoded = _image(record, features.get(image, ()), keys.image)
    texts = _strings(features, _TEXT)
    text = _decoded(texts[0]) if len(texts) == 1 else None
    if keys.label == LABEL_KEY and label not in features and text:
        found: list[int | str] = [text]
    else:
        found = [*_integers(features, label), *map(_decoded, _strings(features, label))]
    if len(found) != 1 or found[0] is None:
        raise Malformed(_lacks(record, "label", keys.label, len(found)))
    if found[0] == "":
        raise Malformed(f"its {keys.label} is empty")
    return LabelledImage(encoded, b"".join(map(bytes, _strings(features, _FORMAT))), found[0], text or None)


def encoded_image(record: memoryview, key: str) -> memoryview:
    """The image file's bytes in a tf.train.Example; raises Malformed."""
    wanted, feature = key.encode("utf-8", "surrogateescape"), []
    for part in _messages(record, 1):
        for entry in _messages(part, 1):
            if [bytes(name) for name in _messages(entry, 1)[-1:]] == [wanted]:
                feature = _messages(entry, 2)
    return _image(record, feature, key)


def _image(record: memoryview, feature: Sequence[memoryview], key: str) -> memoryview:
    found = [value for values in _lists(feature, _BYTES) for value in _messages(values, 1)]
    if len(found) != 1:
        raise Malformed(_lacks(record, "image", key, len(found)))
    return found[0]


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
            name = printable("".join(str(bytes(name), "utf-8", "replace") for name in _messages(entry, 1)[-1:]))
            name = name if len(name) <= _MOST_LETTERS else f"{name[:_MOST_LETTERS]}..."
            kind, looks = _kind(_messages(entry, 2))
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


def _kind(feature: list[memoryview]) -> tuple[str, str | None]:
    """What a feature holds, in words, and whether that looks like an image or a label."""
    strings = [value for values in _lists(feature, _BYTES) for value in _messages(values, 1)]
    integers = _numbers(feature)
    if strings:
        looks = "image" if bytes(strings[0][:4]).startswith(_IMAGES) else None
        short = len(strings) == 1 and len(strings[0]) <= _MOST_LETTERS
        return _many(len(strings), "bytes"), looks or ("label" if short and looks is None else None)
    if integers:
        return _many(len(integers), "int64"), "label" if len(integers) == 1 else None
    return ("float" if _lists(feature, _FLOATS) else "empty"), None


def _many(count: int, kind: str) -> str:
    return kind if count == 1 else f"{count} {kind}"


def _strings(features: dict, key: bytes) -> list[memoryview]:
    return [value for values in _lists(features.get(key, ()), _BYTES) for value in _messages(values, 1)]


def _integers(features: dict, key: bytes) -> list[int]:
    return _numbers(features.get(key, ()))


def _numbers(feature: list[memoryview]) -> list[int]:
    found: list[int] = []
    for numbers in _lists(feature, _INTEGERS):
        for field, wire_type, value in protobuf.fields(numbers):
            if field == 1:
                packed = protobuf.packed_varints(value).tolist() if wire_type == protobuf.LENGTH else [value]
                found += map(protobuf.signed, packed)
    return found


def _lists(feature: list[memoryview], kind: int) -> list[memoryview]:
    """The lists of one kind that the messages of a feature hold."""
    return [values for message in feature for values in _messages(message, kind)]


def _messages(message: memoryview, number: int) -> list[memoryview]:
    """The fields of that number, which are bytes."""
    return [protobuf.expect_bytes(value) for field, _, value in protobuf.fields(message) if field == number]
