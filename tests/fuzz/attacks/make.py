"""Makes the files of this folder: python tests/fuzz/attacks/make.py."""

import gzip
import io
import json
import pathlib
import sys
import tarfile
import zipfile

import h5py
import numpy as np
from PIL import Image

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parents[2])]

from fuzz import containers, tables  # noqa: E402
from fuzz.containers import message  # noqa: E402
from fuzz.mutate import varint  # noqa: E402


def pictures() -> None:
    """Few bytes, many pixels: 36 and 144 million, transparent ones too."""
    Image.new("RGBA", (6000, 6000), (9, 9, 9, 9)).save(HERE / "pixels.webp", lossless=True, method=0)
    Image.new("1", (12_000, 12_000)).save(HERE / "pixels.png", optimize=True)


def hdf5() -> None:
    """Zeros that were compressed twice; and a byte of an attribute by which HDF5 (2.0, in h5py 3.14) crashes."""
    with h5py.File(HERE / "compressed-twice.h5", "w") as file:
        kinds = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        kinds.set_chunk((1 << 28,))
        kinds.set_deflate(9)
        kinds.set_deflate(9)
        space = h5py.h5s.create_simple((1 << 28,))
        dataset = h5py.h5d.create(file.id, b"zeros", h5py.h5t.STD_U8LE, space, kinds)
        dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, np.zeros(1 << 28, np.uint8))
    data = bytearray(containers.h5("latest"))
    data[5262] ^= 16
    (HERE / "crash.h5").write_bytes(containers.with_h5_checksums(bytes(data)))


def graphs() -> None:
    """A constant of 4 GiB with one value."""
    shape = message((2, message((1, 1 << 30))))
    value = message((1, b"value"), (2, message((8, message((1, 1), (2, shape), (5, b"\0\0\0\0"))))))
    nodes = message((1, b"a"), (2, b"Const"), (5, value)), message((1, b"a/read"), (2, b"Identity"), (3, b"a"))
    (HERE / "fill.pb").write_bytes(message(*((1, node) for node in nodes)))


def archives() -> None:
    """A header of blanks; more zeros than a header says; names that lead out, links, a file that is a folder."""
    good = "{'descr': '<f4', 'fortran_order': False, 'shape': (6,), }"
    blanks = good.encode() + b" " * (16 << 20)
    for name, octets in {
        "blanks.npz": b"\x93NUMPY\2\0" + len(blanks).to_bytes(4, "little") + blanks + b"\0" * 24,
        "zeros.npz": b"\x93NUMPY\1\0" + len(good).to_bytes(2, "little") + good.encode() + b"\0" * (16 << 20),
    }.items():
        with zipfile.ZipFile(HERE / name, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            archive.writestr(zipfile.ZipInfo("x.npy"), octets, zipfile.ZIP_DEFLATED)
    entries = {
        "outside.tar.gz": [("../outside", tarfile.REGTYPE, "")],
        "absolute.tar.gz": [("/outside", tarfile.REGTYPE, "")],
        "link.tar.gz": [("d", tarfile.SYMTYPE, "/"), ("d/outside", tarfile.REGTYPE, "")],
        "hard-link.tar.gz": [("d", tarfile.LNKTYPE, "/etc/passwd")],
        "file-and-folder.tar.gz": [("d", tarfile.REGTYPE, ""), ("d/e", tarfile.REGTYPE, "")],
    }
    for name, members in entries.items():
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as tar:
            for path, kind, target in members:
                entry = tarfile.TarInfo(path)
                entry.type, entry.linkname = kind, target
                tar.addfile(entry)
        (HERE / name).write_bytes(gzip.compress(stream.getvalue(), mtime=0))


def checkpoints() -> None:
    """Keys that share 30 KB; a length of 2**63; a name twice; lists in lists."""
    long = b"k" * 30_000
    block = b"".join(
        varint(0 if not number else len(long))
        + varint(2 + (0 if number else len(long)))
        + varint(0)
        + (b"" if number else long)
        + number.to_bytes(2, "big")
        for number in range(1500)
    )
    out = bytearray()

    def append(octets: bytes) -> bytes:
        handle = varint(len(out)) + varint(len(octets))
        out.extend(octets + b"\0" + tables.masked_crc(octets + b"\0").to_bytes(4, "little"))
        return handle

    end = b"\0" * 4 + b"\1\0\0\0"
    handle = append(block + end)
    index = append(varint(0) + varint(1) + varint(len(handle)) + b"z" + handle + end)
    out.extend((append(end) + index).ljust(40, b"\0") + tables.MAGIC)
    (HERE / "shared-keys.ckpt.index").write_bytes(out)
    (HERE / "shared-keys.ckpt.data-00000-of-00001").write_bytes(b"\0")
    whole = json.dumps({"dtype": "F32", "shape": [1], "data_offsets": [0, 4]})
    (HERE / "length.safetensors").write_bytes((1 << 63).to_bytes(8, "little") + whole.encode())
    twice = containers.with_length(f'{{"a": {whole}, "a": {whole}}}'.encode())
    (HERE / "twice.safetensors").write_bytes(twice + b"abcd")
    nested = b'{"a": ' + b"[" * 50_000 + b"]" * 50_000 + b"}"
    (HERE / "nested.safetensors").write_bytes(containers.with_length(nested))


def data_sets() -> None:
    """Code in a pickle; a record of 2**62 bytes; a line that does not end."""
    command = b"touch slimft-was-attacked"
    call = b"cos\nsystem\nU" + bytes([len(command)]) + command + b"\x85R"
    (HERE / "system.pickle").write_bytes(b"\x80\x02}(U\x04data" + call + b"U\x06labels]u.")
    (HERE / "length.tfrecord").write_bytes(containers.framed(b"x" * 20, 1 << 62))
    (HERE / "quote.csv").write_bytes(b'path,label\n"a.jpg' + b",\n" * 20_000)


def runs() -> None:
    """Files of a run and of flags."""
    (HERE / "nested.json").write_bytes(b'{"model": ' + b"[" * 50_000)
    (HERE / "numbers.json").write_bytes(b'{"model": "vgg_16", "epochs": 1e999, "steps": ' + b"9" * 5000 + b"}")
    (HERE / "circle.txt").write_bytes(b"--model=vgg_16\n--flagfile=flags.txt\n")
    (HERE / "long-name.txt").write_bytes(b"--" + b"n" * 5000 + b"=1\n")


if __name__ == "__main__":
    for make in (pictures, hdf5, graphs, archives, checkpoints, data_sets, runs):
        make()
