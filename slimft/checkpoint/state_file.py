"""The ``checkpoint`` state file of a directory, which names its newest checkpoint: text of a CheckpointState.

Source: tensorflow/python/training/checkpoint_state.proto, and protobuf.dev/reference/protobuf/textformat-spec; of
that, what `tf.train.update_checkpoint_state` writes, and comments.
"""

from __future__ import annotations

import re

_NEWEST = b"model_checkpoint_path"
# Each field, and whether it is text.
_FIELDS = {
    _NEWEST: True,
    b"all_model_checkpoint_paths": True,
    b"all_model_checkpoint_timestamps": False,
    b"last_preserved_timestamp": False,
}
_STRING = rb"\"[^\"\\\n]*(?:\\.[^\"\\\n]*)*\"|'[^'\\\n]*(?:\\.[^'\\\n]*)*'"
_SPACE = re.compile(rb"(?:[ \t\r\n\f\v]+|#[^\n]*(?:\n|\Z))*")
_FIELD = re.compile(
    rb"(?P<name>\w+)[ \t\r\n]*:[ \t\r\n]*"
    rb"(?:(?P<strings>(?:(?:%b)[ \t\r\n]*){1,999})|(?P<number>[-+.\w]+))[ \t\r\n]*[;,]?" % _STRING
)
_ESCAPE = re.compile(
    rb"\\(?:(?P<octal>[0-7]{1,3})|x(?P<hex>[0-9a-fA-F]{1,2})|u(?P<short>[0-9a-fA-F]{4})|U(?P<long>[0-9a-fA-F]{8})|(?P<char>.))",
    re.DOTALL,
)
_CHARS = dict(zip(b"abfnrtv\\'\"?", b"\a\b\f\n\r\t\v\\'\"?"))


def newest_checkpoint(text: bytes) -> str | None:
    """The ``model_checkpoint_path`` in a state file, of several the last one; None where it has none.

    Nor has a file that is no state file throughout: so it is with `tf.train.get_checkpoint_state`.
    """
    newest, position = None, _after_space(text, 0)
    while position < len(text):
        field = _FIELD.match(text, position)
        is_text = _FIELDS.get(field["name"]) if field is not None else None
        if field is None or is_text is None or is_text != (field["strings"] is not None):
            return None
        try:
            if is_text:
                value = b"".join(_unescaped(part[1:-1]) for part in re.findall(_STRING, field["strings"])).decode()
                newest = value if field["name"] == _NEWEST else newest
            else:
                float(field["number"])
        except ValueError:
            return None
        position = _after_space(text, field.end())
    return newest or None


def _after_space(text: bytes, position: int) -> int:
    """Where blanks and comments that start at `position` end."""
    space = _SPACE.match(text, position)
    return space.end() if space else position


def _unescaped(text: bytes) -> bytes:
    """What is meant by the escapes in a string; raises ValueError if one is none."""

    def meant(escape: re.Match[bytes]) -> bytes:
        if escape["octal"]:
            return bytes([int(escape["octal"], 8) & 0xFF])
        if escape["hex"]:
            return bytes([int(escape["hex"], 16)])
        if escape["short"] or escape["long"]:
            return chr(int(escape["short"] or escape["long"], 16)).encode()
        if escape["char"] in b"xuU":
            raise ValueError("an escape lacks its digits")
        known = _CHARS.get(escape["char"][0])
        return escape[0] if known is None else bytes([known])  # Others stand for themselves, as to TensorFlow.

    return _ESCAPE.sub(meant, text)
