"""JSON files that may hold anything, against Python's own reader where that reads them too."""

import json
import math
import os
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import settings as checked
from hypothesis import strategies as st

from slimft.errors import DataError
from slimft.runs.checked_json import read_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)


@checked(deadline=None)
@given(value=JSON, mark=st.sampled_from([b"", b"\xef\xbb\xbf"]))
def test_what_python_writes_is_read(tmp_path_factory, value, mark):
    file = tmp_path_factory.getbasetemp() / "any.json"
    file.write_bytes(mark + json.dumps(value).encode())
    assert repr(read_json(file).raw) == repr(value)  # NaN is not equal to itself.


@checked(deadline=None)
@given(data=st.binary(max_size=40) | st.text('[]{},:"0123456789.eE-+ntf\\u', max_size=40).map(str.encode))
def test_any_bytes_are_a_value_or_an_error_of_ours(tmp_path_factory, data):
    file = tmp_path_factory.getbasetemp() / "bytes.json"
    file.write_bytes(data)
    try:
        found = read_json(file).raw
    except DataError as error:
        assert str(error).startswith(str(file)) and "\n" not in str(error)
    else:
        assert repr(found) == repr(json.loads(data.decode("utf-8-sig")))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "Expecting value"),
        (b" " * 1000, "Expecting value"),
        ("{}".encode("utf-16"), "not text in UTF-8"),
        (b'{"a": "\xff"}', "not text in UTF-8"),
        (b'{"a": 1, "b": {"c": 1, "c": 1}}', "'c' is twice"),
        (b'{"%s": 1, "%s": 2}' % (b"x" * 9999, b"x" * 9999), "is twice in an object"),
        (b'{"a": 1e999}', "1e999 is beyond a float's range"),
        (b'{"a": -%s}' % (b"9" * 400), "401 digits"),
        (b'{"a": %s}' % (b"9" * 100_000), "100,000 digits"),
        (b"[" * 100_000 + b"]" * 100_000, "too deeply"),
        (b'{"a":' * 100_000, "too deeply"),
        (b"[1] [2]", "Extra data"),
        (b"[" + b"1," * 4_000_000 + b"1]", "more than 4,000,000 values"),
        (b" " * (65 << 20), "more than 67,108,864 bytes"),
    ],
)
def test_what_is_no_file_of_a_run(tmp_path, data, words):
    file = tmp_path / "some.json"
    file.write_bytes(data)
    with pytest.raises(DataError) as caught:
        read_json(file)
    assert words in str(caught.value) and str(file) in str(caught.value)
    assert len(str(caught.value)) < len(str(file)) + 200


def test_what_is_no_regular_file(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "zeros").symlink_to("/dev/zero")
    for name in ("fifo", "zeros"):
        with pytest.raises(DataError, match="no regular file"):
            read_json(tmp_path / name)
    for name in ("link", ".", "missing", "a\0b"):
        with pytest.raises(DataError, match="cannot be read"):
            read_json(tmp_path / name)


def test_memory_is_bounded(tmp_path):
    """The worst there is: as many empty lists as there may be."""
    file = tmp_path / "lists.json"
    file.write_bytes(b"[" + b",".join([b"[]"] * 1_999_998) + b"]")
    tracemalloc.start()
    assert len(read_json(file).raw) == 1_999_998
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300 << 20


def test_numbers(tmp_path):
    file = tmp_path / "numbers.json"
    file.write_text(f"[NaN, Infinity, -Infinity, 1e31, {'9' * 300}, 5, null]")
    values = read_json(file).array()
    assert [value.number() for value in values] == [None, None, None, None, None, 5, None]
    whole = [value.number(below=math.inf) for value in values]
    assert whole == [None, None, None, 1e31, int("9" * 300), 5, None]
    with pytest.raises(DataError, match=r"\[4\] is a number where a whole number from 0 to"):
        values[4].integer()
