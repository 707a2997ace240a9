"""The reader of pickled arrays: it agrees with Python's, and nothing a file says is carried out."""

import io
import pickle
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from slimft import array_pickle
from slimft.array_pickle import as_array, load_arrays, object_in_array, read_pickle

shared_fixtures = settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
integer_arrays = hnp.arrays(
    hnp.integer_dtypes(endianness="?") | hnp.unsigned_integer_dtypes(endianness="?"),
    hnp.array_shapes(min_dims=1, max_dims=2, max_side=6),
)


def unicode(text):
    return b"X" + struct.pack("<I", len(text)) + text


def string(text):
    return b"T" + struct.pack("<i", len(text)) + text


# What a file might ask for in the place of an array, as protocol 2 writes it.
DTYPE = b"cnumpy\ndtype\nU\x02%sK\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"
HUGE = b"\x8a\x06" + (2**40).to_bytes(6, "little")


def as_data(opcodes):
    return b"\x80\x02}(U\x04data%sU\x06labels](K\x01K\x02eu." % opcodes


@shared_fixtures
@given(array=integer_arrays, labels=st.lists(st.integers(0, 2**31 - 1), max_size=5), order=st.sampled_from("CF"))
def test_reads_what_was_pickled(pickle_batch, array, labels, order):
    array = np.asarray(array, order=order)
    data = pickle_batch({b"data": array, b"labels": labels, b"name": b"\x00\xff\n"})
    batch = load_arrays(data)
    assert batch[b"data"].dtype == array.dtype
    np.testing.assert_array_equal(batch[b"data"], array)
    assert batch[b"labels"] == labels and batch[b"name"] == b"\x00\xff\n"


def test_pythons_own_reader_reads_the_pickles_written_here(pickle_batch):
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    data = pickle_batch({b"data": array, b"labels": [1, 300]})
    if b"numpy._core" in data:
        pytest.importorskip("numpy._core.numeric", reason="NumPy 1 has no numpy._core")
    batch = pickle.loads(data, encoding="bytes")
    np.testing.assert_array_equal(batch[b"data"], array)
    assert batch[b"labels"] == [1, 300]


@pytest.mark.parametrize("where", ["start", "end"])
def test_a_truncated_pickle_is_refused_wherever_it_ends(pickle_batch, where):
    data = pickle_batch({b"data": np.zeros((4, 300), np.uint8), b"labels": [1, 2, 3, 4]})
    ends = range(250) if where == "start" else range(len(data) - 100, len(data))
    for end in ends:
        with pytest.raises(Exception):  # noqa: B017
            load_arrays(data[:end])


@pytest.mark.parametrize("value", [np.zeros(3), np.array(["a"]), np.array([None]), np.zeros(2, "i4,i4")])
def test_only_arrays_of_integers_are_read(value):
    with pytest.raises(Exception):  # noqa: B017
        load_arrays(pickle.dumps({b"data": value}, 4))


@pytest.mark.parametrize(
    "value, reason",
    [
        ([1, 2], "no dictionary"),
        ({(1,): 2}, "key that is neither a string nor a number"),
        ({b"data": 1j}, "names 'builtins.complex'"),
        ({b"data": np.uint8}, "names 'numpy.uint8'"),
        ({b"data": np.dtype("u1")}, "holds a dtype where an array should be"),
        ({b"data": {1, 2}}, "EMPTY_SET"),
    ],
)
def test_the_reason_is_named(value, reason):
    with pytest.raises(ValueError, match=reason):
        load_arrays(pickle.dumps(value, 4))


@pytest.mark.parametrize(
    "name",
    "os.system posix.system subprocess.call builtins.eval builtins.exec builtins.getattr builtins.object "
    "copyreg._reconstructor importlib.import_module numpy.load numpy.fromfile numpy.memmap numpy.frombuffer "
    "numpy.core.multiarray.fromfile numpy._core.numeric.fromfunction "
    "numpy.testing._private.utils.runstring numpy.f2py.compile numpy.ctypeslib.load_library "
    "_codecs.decode codecs.encode numpy.ndarray.__reduce__ numpy.dtype.type a_module_made_here.run".split(),
)
def test_a_pickle_that_names_anything_else_is_refused_and_not_run(name, tmp_path, monkeypatch):
    proof = tmp_path / "proof"
    code = f"import pathlib; pathlib.Path({str(proof)!r}).touch()"
    (tmp_path / "a_module_made_here.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    module, function = name.rsplit(".", 1)
    argument = {"eval": f"exec({code!r})", "exec": code, "runstring": code}.get(function, f"touch {proof}").encode()
    by_global = b"c%s\n%s\n(%stR" % (module.encode(), function.encode(), string(argument))
    by_stack_global = b"%s%s\x93(%stR" % (unicode(module.encode()), unicode(function.encode()), string(argument))
    by_instance = b"(%si%s\n%s\n" % (string(argument), module.encode(), function.encode())
    for opcodes in (by_global, by_stack_global, by_instance):
        with pytest.raises(ValueError, match="which no pickled array does"):
            load_arrays(as_data(opcodes))
    assert not proof.exists()


def test_the_malicious_pickles_of_this_test_would_do_harm_elsewhere(tmp_path):
    proof = tmp_path / "proof"
    pickle.loads(as_data(b"cos\nsystem\n(%stR" % unicode(f"touch '{proof}'".encode())))
    assert proof.exists()


HOSTILE = {
    "pointers from the file": RECONSTRUCT
    + b"cnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x01\x85"
    + DTYPE % b"O8"
    + b"\x89U\x08AAAAAAAAtb",
    "huge array": b"cnumpy\nndarray\n%s\x85U\x02u1\x86R" % HUGE,
    "huge _reconstruct": RECONSTRUCT + b"cnumpy\nndarray\n%s\x85U\x01O\x87R" % HUGE,
    "huge shape": RECONSTRUCT
    + b"cnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01%s\x85" % HUGE
    + DTYPE % b"u1"
    + b"\x89U\x01xtb",
    "array of another class": RECONSTRUCT + b"cnumpy\ndtype\nK\x00\x85U\x01b\x87R",
    "state on a class": b"cnumpy\nndarray\n}b",
    "state on an array's dictionary": b"}}b",
    "memo index": b"Nr\xff\xff\xff\x7f",
    "memo that is not there": b"h\x07",
    "length of a string": b"T\xff\xff\xff\x7fx",
    "negative length": b"T\xff\xff\xff\xffx",
    "length of bytes": b"\x8e" + struct.pack("<Q", 1 << 35) + b"x",
    "length of a bytearray": b"\x96" + struct.pack("<Q", 1 << 35) + b"x",
    "length of a text": b"\x8d" + struct.pack("<Q", 1 << 35) + b"x",
    "length of a frame": b"\x95" + struct.pack("<Q", 1 << 62) + b"cos\nsystem\n",
    "length of a number": b"\x8b\xff\xff\xff\x7fx",
    "codec that doubles": b"c_codecs\nencode\nX\x01\0\0\0xX\x03\0\0\0hex\x86R" + b"U\x03hex\x86R" * 40,
    "string over and over": b"c_codecs\nencode\nq\x00%sq\x01" % unicode(b"x" * 99_999) + b"h\x00h\x01\x85R" * 1000,
    "tuple of tuples as a key": b"})" + b"q\x01h\x01\x86" * 64 + b"K\x01s",
    "more objects than a batch has": b"(" + b"}" * 20_000 + b"t",
    "take from an empty stack": b"0000t",
    "next buffer": b"\x97",
    "persistent id": b"Pid\n",
    "extension": b"\x82\x01",
}


@pytest.mark.parametrize("opcodes", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_pickle_builds_no_array_and_takes_little_memory(opcodes, monkeypatch):
    monkeypatch.setattr(array_pickle, "_MOST_OPCODES", 10_000)
    data = as_data(opcodes)
    tracemalloc.start()
    try:
        try:
            batch = load_arrays(data)
        except Exception:
            batch = {}
        assert not any(isinstance(value, np.ndarray) for value in batch.values())
        assert tracemalloc.get_traced_memory()[1] < 10_000_000 + 5 * len(data)
    finally:
        tracemalloc.stop()


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tail):
    for data in (tail, b"\x80\x04" + tail, as_data(tail)):
        try:
            assert isinstance(load_arrays(data), dict)
        except Exception as error:
            assert not isinstance(error, (MemoryError, RecursionError))


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("dtype", ["f2", "<f4", ">f8", "c8", "?", "i8", "u1"])
def test_arrays_of_numbers_by_every_protocol(protocol, dtype):
    """Their values, long or short, are read from where the pickle lies in the stream."""
    long = np.asfortranarray(np.ones((40, 50), dtype))
    arrays = [np.arange(6).reshape(2, 3).astype(dtype), long, np.ones((), dtype)]
    stream = io.BytesIO(b"before" + pickle.dumps({"a": arrays, 1: arrays[0]}, protocol) + b"behind")
    stream.seek(6)
    found = read_pickle(stream)
    for one, expected in zip([*found["a"], found[1]], [*arrays, arrays[0]]):
        read = as_array(one).read(stream)
        assert read.dtype == expected.dtype
        np.testing.assert_array_equal(read, expected)


def test_what_numpy_saves_of_a_dictionary():
    stream = io.BytesIO()
    np.save(stream, {"conv": [np.ones(3), np.zeros(2)]}, allow_pickle=True)
    stream.seek(stream.getvalue().index(b"\n") + 1)
    found = object_in_array(read_pickle(stream))
    assert [as_array(one).shape for one in found["conv"]] == [(3,), (2,)]


def test_a_key_without_a_value_is_refused_as_python_refuses_it():
    data = b"\x80\x02}(U\x04dataK\x01U\x06labelsu."
    with pytest.raises(pickle.UnpicklingError, match="odd number"):
        pickle.loads(data, encoding="bytes")
    with pytest.raises(ValueError, match="key without a value"):
        load_arrays(data)
