"""Damaged TensorFlow checkpoints: the same values or a CheckpointError, whatever byte is changed or missing."""

import collections
import itertools
import os
import pathlib
import random
import shutil
import tracemalloc

import ml_dtypes
import numpy as np
import pytest

from slimft import CheckpointError, open_checkpoint
from slimft.checkpoint import write_checkpoint

GOLDEN = pathlib.Path(__file__).parent / "golden"
FORMATS = {"v1": ["model.ckpt"], "v2": ["model.ckpt.index", "model.ckpt.data-00000-of-00001"]}
CASES = [(version, file) for version, files in FORMATS.items() for file in files]


def values(checkpoint):
    return {name: content(checkpoint, name) for name in checkpoint}


def content(checkpoint, name):
    array = checkpoint[name]
    assert (array.shape, array.dtype) == (checkpoint.shape(name), checkpoint.dtype(name))
    return array.shape, array.dtype, list(array.flat) if array.dtype.hasobject else array.tobytes()


class Victim:
    """A checkpoint that gets damaged, and what is in it.

    Args:
        path: the checkpoint, with its files alone in their folder.
    """

    def __init__(self, path):
        self.path = str(path)
        self.good = values(open_checkpoint(path))

    def outcome(self, verify=True, names=None):
        """Opens and reads it: "same", or where the CheckpointError came from; fails on anything else.

        Args:
            verify: without it, values and even names may differ, as nothing tells that they do.
            names: the variables that may fail; None for all.
        """
        try:
            checkpoint = open_checkpoint(self.path, verify=verify)
        except CheckpointError as error:
            assert self.path in str(error) and "\n" not in str(error)
            return "error when opened"
        assert not verify or set(checkpoint) == set(self.good)
        outcome = "same"
        for name in checkpoint:
            try:
                found = content(checkpoint, name)
            except CheckpointError as error:
                assert f"{self.path}: cannot read " in str(error) and "\n" not in str(error)
                assert not name.isprintable() or f" {name}: " in str(error)
                assert names is None or name in names
                outcome = "error when read"
                continue
            if found != self.good.get(name):
                assert not verify, f"{name} is {found}"
                outcome = "changed"
        return outcome


@pytest.fixture
def tiny(tmp_path):
    """A function that makes a victim of a golden checkpoint of some 300 bytes, with all kinds of entries."""

    def make(version):
        shutil.copytree(GOLDEN / f"{version}_tiny", tmp_path / version, ignore=lambda *_: ["expected.json"])
        return Victim(tmp_path / version / "model.ckpt")

    return make


def changes(path, positions, values_of):
    """Yields with each byte of a file changed in place to each of some other values; restores it."""
    whole = pathlib.Path(path).read_bytes()
    descriptor = os.open(path, os.O_RDWR)
    try:
        for position in positions:
            for value in values_of(whole[position]):
                if value != whole[position]:
                    os.pwrite(descriptor, bytes([value]), position)
                    yield position
            os.pwrite(descriptor, whole[position : position + 1], position)
    finally:
        os.close(descriptor)
    assert pathlib.Path(path).read_bytes() == whole


def flips(value):
    """`value` with each of its bits turned, and at its extremes."""
    return [*(value ^ (1 << bit) for bit in range(8)), 0, 0x7F, 0x80, 0xFF]


def check_changes(victim, file, values_of):
    """Fails if a changed byte of a file makes another value; returns how many changes were made."""
    path = pathlib.Path(victim.path).with_name(file)
    outcomes, same = collections.Counter(), set()
    for position in changes(path, range(path.stat().st_size), values_of):
        outcome = victim.outcome()
        outcomes[outcome] += 1
        if outcome == "same":
            same.add(position)
    size = path.stat().st_size
    print(f"{file}: {size} bytes, {dict(outcomes)}")
    # A table's footer and the block before it, of filters, are the only bytes that no value depends on.
    assert not same if "data" in file else len(same) < 64 and min(same) > size - 100
    return outcomes.total()


@pytest.mark.parametrize("version, file", CASES)
def test_changes_of_every_byte(tiny, version, file):
    """Its bits, its extremes and some others, which over all bytes are all there are."""
    victim, others = tiny(version), itertools.cycle(range(256))
    check_changes(victim, file, lambda value: {*flips(value), *itertools.islice(others, 7)})


@pytest.mark.slow
@pytest.mark.parametrize("version, file", CASES)
def test_every_change_of_every_byte(tiny, version, file):
    victim = tiny(version)
    size = pathlib.Path(victim.path).with_name(file).stat().st_size
    assert check_changes(victim, file, lambda value: range(256)) == 255 * size


@pytest.mark.parametrize("version, file", CASES)
def test_without_checksums_nothing_worse_than_other_values(tiny, version, file):
    victim = tiny(version)
    path = pathlib.Path(victim.path).with_name(file)
    outcomes = collections.Counter(
        victim.outcome(verify=False) for _ in changes(path, range(path.stat().st_size), flips)
    )
    print(f"{version} {file}, not verified: {dict(outcomes)}")
    assert outcomes["changed"] and outcomes["error when read"]


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("version, file", CASES)
def test_cut_at_every_length(tiny, version, file, verify):
    victim = tiny(version)
    path = pathlib.Path(victim.path).with_name(file)
    for size in reversed(range(path.stat().st_size)):
        os.truncate(path, size)
        assert victim.outcome(verify).startswith("error")


@pytest.mark.parametrize("version, file", CASES)
def test_every_byte_missing_or_there_twice(tiny, version, file):
    victim = tiny(version)
    path = pathlib.Path(victim.path).with_name(file)
    whole = path.read_bytes()
    outcomes = collections.Counter()
    for position in range(len(whole)):
        for count in (0, 2):
            path.write_bytes(whole[:position] + whole[position : position + 1] * count + whole[position + 1 :])
            outcomes[victim.outcome()] += 1
    print(f"{version} {file}, bytes missing or twice: {dict(outcomes)}")
    assert outcomes["error when opened"] + outcomes["error when read"] > len(whole)


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("version, file", CASES)
def test_memory_is_bounded_by_the_size_of_the_file(tiny, version, file, verify):
    victim = tiny(version)
    path = pathlib.Path(victim.path).with_name(file)
    most = 0
    victim.outcome(verify)
    assert ml_dtypes.bfloat16  # Imported before memory is measured: a changed byte can ask for it.
    for _ in changes(path, range(path.stat().st_size), lambda value: [value ^ 0x80, 0x7F, 0xFF]):
        most = max(most, peak(lambda: victim.outcome(verify)))
    print(f"{version} {file}: at most {most} bytes of memory")
    assert most < 64 << 10


def peak(function):
    """Bytes of memory that `function` needs at once, NumPy's included."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A function that makes a victim with two variables of over 1 MB; its arrays too."""
    rng = np.random.default_rng(1)
    arrays = {name: rng.standard_normal([300, 1024]).astype(np.float32) for name in ("a", "b")}
    arrays["c"] = np.arange(5, dtype=np.int64)

    def make(version):
        path = str(tmp_path_factory.mktemp(version) / "model.ckpt")
        if version == "v2":
            # TensorFlow's own writer does not align variables, so that the second would not be mapped.
            write_checkpoint(path, arrays)
        else:
            from slimft.compat import tf

            with tf.Graph().as_default(), tf.Session() as session:
                names, data = list(arrays), list(arrays.values())
                saved = tf.raw_ops.SaveSlices(
                    filename=path, tensor_names=names, shapes_and_slices=[""] * len(names), data=data
                )
                session.run(saved)
        return Victim(path), arrays

    return make


@pytest.mark.parametrize("version", FORMATS)
def test_changes_in_large_variables(large, version):
    victim, arrays = large(version)
    path = pathlib.Path(victim.path).with_name(FORMATS[version][-1])
    whole, rng = path.read_bytes(), random.Random(1)
    assert [open_checkpoint(victim.path).is_mapped(name) for name in arrays] == [version == "v2"] * 2 + [False]
    start = whole.index(arrays["b"].tobytes())
    stop = start + arrays["b"].nbytes
    within = [start, stop - 1, *(rng.randrange(start, stop) for _ in range(100))]
    outcomes = collections.Counter(
        # In V2 a variable has a checksum of its own, in V1 a block has, and such a variable a block.
        victim.outcome(names=["b"])
        for _ in changes(path, within, lambda value: [value ^ 1 << rng.randrange(8)])
    )
    assert outcomes == {"error when read": len(within)}
    around = {near + distance for near in (0, start, stop, len(whole)) for distance in range(-500, 500)}
    around = sorted(position for position in around - {*range(start, stop)} if 0 <= position < len(whole))
    outcomes = collections.Counter(
        victim.outcome() for _ in changes(path, around, lambda value: [value ^ 1 << rng.randrange(8)])
    )
    print(f"{version} large: {dict(outcomes)}")
    assert outcomes["same"] < 200


@pytest.mark.parametrize("version", FORMATS)
def test_large_variables_cut_anywhere(large, version):
    victim, arrays = large(version)
    path = pathlib.Path(victim.path).with_name(FORMATS[version][-1])
    size, rng = path.stat().st_size, random.Random(2)
    lengths = [*range(size - 300, size), *rng.sample(range(size), 100), *(1 << bit for bit in range(20)), 0]
    for length in sorted({*lengths}, reverse=True):
        os.truncate(path, length)
        assert victim.outcome().startswith("error")


@pytest.mark.parametrize("version", FORMATS)
def test_memory_of_large_variables(large, version):
    victim, arrays = large(version)
    checkpoint = open_checkpoint(victim.path)
    checkpoint["c"]
    for name, array in arrays.items():
        # A map of the file is none of the process' own memory.
        assert peak(lambda name=name: checkpoint[name]) < (100_000 if version == "v2" else array.nbytes + 100_000)
    assert peak(lambda: open_checkpoint(victim.path)["c"]) < 1 << 18
