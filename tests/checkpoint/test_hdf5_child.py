"""HDF5 files that crash, hang or burst HDF5's C code, which runs in a process of its own; and that process."""

import gc
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
import zlib

import numpy as np
import pytest

from slimft import CheckpointError, open_checkpoint
from slimft.checkpoint import keras_h5

h5py = pytest.importorskip("h5py")
ATTACKS = pathlib.Path(__file__).parent / "attacks"


def nested(path, chunks, octets):
    """A dataset of `chunks` chunks of 1 KB, deflated twice, each of which makes `octets` bytes on the way."""
    # What follows the end of a deflated stream is passed over, but it is there.
    inner = zlib.compress(b"\0" * 1024) + b"\0" * octets
    with h5py.File(path, "w") as file:
        options = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        options.set_chunk((256,))
        for _ in range(2):
            options.set_filter(h5py.h5z.FILTER_DEFLATE, 0, (9,))
        space = h5py.h5s.create_simple((256 * chunks,), (256 * chunks,))
        dataset = h5py.h5d.create(file.id, b"x", h5py.h5t.IEEE_F32LE, space, options)
        chunk = zlib.compress(inner, 9)
        for number in range(chunks):
            dataset.write_direct_chunk((256 * number,), chunk)
        file["good"] = np.arange(3)
    return path


def children():
    """The processes that read HDF5 for this one, by /proc: `ps` may cut a command off at 80 columns."""
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            command = (folder / "cmdline").read_bytes()
        except OSError:  # It has ended.
            continue
        if parent == os.getpid() and b"hdf5_child" in command:
            found.append(int(folder.name))
    return found


def test_a_hang_is_an_error_of_one_line(monkeypatch):
    monkeypatch.setattr(keras_h5, "_LEAST_SECONDS", 2)
    start = time.monotonic()
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(ATTACKS / "hang.h5")
    assert "hang.h5" in str(caught.value) and "HDF5 was not done with it after 2 s" in str(caught.value)
    assert time.monotonic() - start < 40
    assert not children()


@pytest.mark.real
def test_a_crash_is_an_error_of_one_line(shared):
    with pytest.raises(CheckpointError, match="crash-10-latest.h5 .*HDF5 crashed on it .SIG[A-Z]+.: the file"):
        open_checkpoint(shared / "cases" / "hostile" / "crash-10-latest.h5")


@pytest.mark.real
def test_5_kb_do_not_take_a_gigabyte(shared, tmp_path):
    for file in (shared / "cases" / "hostile" / "h5-nested-bomb.h5", nested(tmp_path / "x.h5", 1, 1 << 28)):
        with pytest.raises(CheckpointError, match="cannot read x: "):
            open_checkpoint(file)["x"]


def test_work_without_end_is_an_error_and_the_rest_is_read(tmp_path, monkeypatch):
    """Four thousand chunks that are 4 MB each on the way: a minute."""
    monkeypatch.setattr(keras_h5, "_LEAST_SECONDS", 1)
    checkpoint = open_checkpoint(nested(tmp_path / "x.h5", 4000, 1 << 22))
    assert len(children()) == 1
    with pytest.raises(CheckpointError, match="cannot read x: HDF5 was not done with it"):
        checkpoint["x"]
    assert checkpoint["good"].tolist() == [0, 1, 2]
    del checkpoint
    gc.collect()
    assert not children()


def test_a_process_that_ends_while_it_reads_is_an_error_and_another_is_started(tmp_path):
    path = nested(tmp_path / "x.h5", 1000, 1 << 22)
    with h5py.File(path, "a") as file:
        file.create_dataset("packed", data=np.arange(500), compression="gzip")
    checkpoint = open_checkpoint(path)
    (child,) = children()
    timer = threading.Timer(0.5, os.kill, (child, signal.SIGSEGV))
    timer.start()
    with pytest.raises(CheckpointError, match="cannot read x: HDF5 crashed on it .SIGSEGV.: the file is damaged"):
        checkpoint["x"]
    timer.join()
    np.testing.assert_array_equal(checkpoint["packed"], np.arange(500))
    assert children() != [child]


def test_the_process_goes_when_it_is_not_needed(tmp_path):
    """At once if all values lie in the file as they are; else with the checkpoint, or with its parent."""
    with h5py.File(tmp_path / "plain.h5", "w") as file:
        file["x"] = np.arange(5.0)
    plain = open_checkpoint(tmp_path / "plain.h5")
    assert not children()
    assert plain["x"].tolist() == [0, 1, 2, 3, 4]
    with h5py.File(tmp_path / "packed.h5", "w") as file:
        file.create_dataset("x", data=np.arange(5.0), compression="gzip")
    script = (
        f"import slimft, subprocess, os; kept = slimft.open_checkpoint({str(tmp_path / 'packed.h5')!r})\n"
        "print(kept['x'].sum(), kept._child._process.pid, flush=True); os._exit(0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    total, child = done.stdout.split()
    assert total == "10.0"
    deadline = time.monotonic() + 20
    while pathlib.Path(f"/proc/{child}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not pathlib.Path(f"/proc/{child}").exists()


def test_a_replaced_file_goes_on_being_read_and_a_changed_one_is_an_error(tmp_path):
    path = tmp_path / "x.h5"

    def write(file, value):
        with h5py.File(file, "w") as out:
            out["plain"] = np.full(1000, value)
            out.create_dataset("packed", data=np.full(1000, value), compression="gzip")

    write(path, 1)
    checkpoint = open_checkpoint(path)
    write(tmp_path / "y.h5", 2)
    os.replace(tmp_path / "y.h5", path)
    for name in checkpoint:
        assert set(checkpoint[name]) == {1}
    checkpoint = open_checkpoint(path)
    os.utime(path, ns=(1, 1))
    for name in checkpoint:
        with pytest.raises(CheckpointError, match="open it again"):
            checkpoint[name]


def test_readers_in_several_threads_do_not_get_each_others_values(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for number in range(8):
            file.create_dataset(str(number), data=np.full(100_000, number), compression="gzip")
    checkpoint = open_checkpoint(tmp_path / "x.h5")
    wrong = []

    def read(number):
        wrong.extend(other for _ in range(5) for other in set(checkpoint[str(number)]) - {number})

    threads = [threading.Thread(target=read, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_types_that_are_stored_otherwise_than_numpy_has_them(tmp_path):
    """A user block before the file, other orders of bytes, numbers of other widths than are there, and no shape."""
    values = np.arange(-3, 3)
    with h5py.File(tmp_path / "x.h5", "w", userblock_size=1024) as file:
        file["big"] = values.astype(">f4")
        file["truth"] = values > 0
        file["complex"] = values * 1j
        file["scalar"] = np.float64(2.5)
        file["packed"] = np.float16(0.5)
        file.create_dataset("empty", (0, 4), "f4")
        wide = h5py.h5t.IEEE_F64LE.copy()
        wide.set_fields(63, 52, 11, 0, 52)
        wide.set_ebias(1000)  # A number of another meaning, which only HDF5 can convert.
        space = h5py.h5s.create_simple((6,))
        dataset = h5py.h5d.create(file.id, b"biased", wide, space)
        dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, values.astype(np.float64))
    checkpoint = open_checkpoint(tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5") as file:
        assert set(file) == set(checkpoint)
        for name in file:
            theirs = file[name][()]
            assert checkpoint[name].dtype == theirs.dtype and checkpoint[name].shape == theirs.shape
            np.testing.assert_array_equal(checkpoint[name], theirs)
    np.testing.assert_array_equal(checkpoint["biased"], values)


@pytest.mark.parametrize("count", [1, 7, 50])
def test_large_compressed_values_come_in_pieces(tmp_path, count):
    values = np.random.default_rng(count).integers(0, 9, (count, 1000, 100))
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", data=values, compression="lzf", chunks=(min(count, 4), 500, 100))
        file.create_dataset("whole", data=values, compression="gzip", shuffle=True, chunks=values.shape)
    checkpoint = open_checkpoint(tmp_path / "x.h5")
    for name in checkpoint:
        np.testing.assert_array_equal(checkpoint[name], values)


def test_groups_names_and_attributes_of_absurd_size(tmp_path):
    with h5py.File(tmp_path / "deep.h5", "w") as file:
        group = file
        for _ in range(1000):
            group = group.create_group("g")
        group["x"] = 1.0
    with h5py.File(tmp_path / "long.h5", "w") as file:
        group = file.create_group("n" * 3000)
        for number in range(3000):
            group[str(number)] = np.float32(1)
    for name, said in [("deep.h5", "201 groups"), ("long.h5", "absurdly many names")]:
        with pytest.raises(CheckpointError, match=said):
            open_checkpoint(tmp_path / name)
    with h5py.File(tmp_path / "names.h5", "w", libver="latest") as file:
        for number, value in enumerate(["x" * 5_000_000, ["x" * 1000] * 1000, 3, np.zeros(1000)]):
            group = file.create_group(f"{number}/vars")
            group.attrs["name"] = value
            group["0"] = np.float32(1)
    checkpoint = open_checkpoint(tmp_path / "names.h5")
    assert len(checkpoint) == 4 and not checkpoint.layers


def test_filters_of_others_are_not_loaded(tmp_path, monkeypatch):
    """HDF5 would load a library from a folder that an environment variable or the system names."""
    with h5py.File(tmp_path / "x.h5", "w") as file:
        options = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        options.set_chunk((4,))
        options.set_filter(32_015, h5py.h5z.FLAG_OPTIONAL, ())
        h5py.h5d.create(file.id, b"x", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((4,)), options)
        file["x"].id.write_direct_chunk((0,), b"\0" * 16, 0)
    monkeypatch.setenv("HDF5_PLUGIN_PATH", str(tmp_path))
    (tmp_path / "libfilter.so").write_bytes(b"\x7fELF")
    with pytest.raises(CheckpointError, match="cannot read x: .*filter"):
        open_checkpoint(tmp_path / "x.h5")["x"]


def test_without_h5py_it_says_what_to_install(tmp_path):
    (tmp_path / "x.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    script = (
        "import sys; sys.modules['h5py'] = None; import slimft\n"
        f"try: slimft.open_checkpoint({str(tmp_path / 'x.h5')!r})\n"
        "except slimft.CheckpointError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip().endswith("(keras_h5): reading HDF5 needs h5py: pip install h5py")
