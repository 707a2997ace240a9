"""Targets: the formats of checkpoints, and the state file that names one."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import pathlib
import pickle
import random
import zipfile

import numpy as np

from fuzz import bounds, containers, tables
from fuzz.mutate import (
    TEXTS,
    changed,
    changed_json,
    changed_message,
    changed_pickle,
    changed_text,
    encoded,
    spliced,
)
from fuzz.target import Target, digest, fingerprint

GOLDEN = pathlib.Path(__file__).parents[1] / "checkpoint" / "golden"
PREFIX = "model.ckpt"


class Checkpoints(Target):
    """What the targets share whose files `slimft.open_checkpoint` reads."""

    bound = bounds.CHECKPOINT
    path: str

    def read(self, folder):
        import slimft

        checkpoint = slimft.open_checkpoint(folder / self.path)
        found, largest, errors = {}, 0, []
        for name in checkpoint:
            try:
                array = checkpoint[name]
            except slimft.CheckpointError as error:
                check(error)
                found[name] = None
                errors.append(error)
                continue
            assert (array.shape, array.dtype) == (checkpoint.shape(name), checkpoint.dtype(name)), name
            largest = max(largest, array.nbytes)
            found[name] = self.described(array)
        if found and len(errors) == len(found):
            raise errors[0]
        return found, largest

    def described(self, array: np.ndarray):
        return fingerprint(array)


def check(error: Exception) -> None:
    """An error of a single variable has to be as the others; the harness looks at those that are raised."""
    from fuzz.harness import fault_of

    fault = fault_of(error)
    if fault:
        raise AssertionError(fault) from error


class TensorFlow(Checkpoints):
    """V1 and V2: golden files of tests/checkpoint."""

    references = ("tensorflow_checkpoint",)
    path = PREFIX

    def described(self, array):
        # TensorFlow's quantized dtypes have one field; its readers give what is in it.
        return fingerprint(array.view(array.dtype[0]) if array.dtype.names else array)

    def seeds(self):
        folders = sorted(GOLDEN.glob(f"{self.name}*"))
        return [{file.name: file.read_bytes() for file in folder.glob("model*")} for folder in folders]


class V1(TensorFlow):
    name, kind = "v1", "TensorFlow V1 checkpoint"

    def mutated(self, rng, seeds):
        files = dict(rng.choice(seeds))
        name = rng.choice(sorted(files))
        others = tables.items_of(rng.choice(list(rng.choice(seeds).values())))
        files[name] = tables.changed_table(rng, tables.items_of(files[name]), others)
        return files


class V2(TensorFlow):
    name, kind = "v2", "TensorFlow V2 checkpoint"
    references = ("tensorflow_checkpoint", "tensorflow_restore")

    def seeds(self):
        # Without names that are no UTF-8, which TensorFlow's reader does not list, nor any other name then.
        found = super().seeds()
        for files in found:
            items = tables.items_of(files[f"{PREFIX}.index"])
            odd = [key for key, _ in items if b"\xff" in key and not key.startswith(b"\0")]
            odd += [b"\0" + key.replace(b"\xff", b"\xff\0") for key in odd]  # Their slices.
            kept = [(key, value) for key, value in items if not key.startswith(tuple(odd))]
            files[f"{PREFIX}.index"] = tables.Builder(random.Random(0), 0).table(kept)
        return found

    def mutated(self, rng, seeds):
        files = dict(rng.choice(seeds))
        index = f"{PREFIX}.index"
        shards = sorted(set(files) - {index})
        if rng.random() < 0.3:
            shard = rng.choice(shards)
            files[shard] = changed(rng, files[shard])
        items = tables.items_of(files[index])
        others = tables.items_of(rng.choice(seeds)[index])
        if rng.random() < 0.7:
            items = tables.changed_items(rng, items, others)
            if rng.random() < 0.9:
                items = tables.with_entry_checksums(items, dict(enumerate(files[name] for name in shards)))
            files[index] = tables.Builder(rng, 0).table(items)
        else:
            files[index] = tables.changed_table(rng, items, others)
        return files

    def read(self, folder):
        import slimft

        found, largest = super().read(folder)
        found["names of variables"] = None
        try:
            found["names of variables"] = dict(sorted(slimft.open_checkpoint(folder / PREFIX).aliases().items()))
        except slimft.CheckpointError as error:
            check(error)
        return found, largest


class Protos(TensorFlow):
    """TensorProtos and slices alone, in a V1 file: nothing else is ever wrong, so that the values get read."""

    name, kind = "protos", "TensorProtos and slices"

    def seeds(self):
        return [files for files in V1().seeds() if len(files) == 1]

    def mutated(self, rng, seeds):
        items = tables.items_of(rng.choice(seeds)[PREFIX])
        for _ in range(rng.choice([1, 1, 2, 3])):
            at = rng.randrange(len(items))
            items[at] = items[at][0], changed_message(rng, items[at][1])
        return {PREFIX: tables.Builder(rng, 0).table(items)}


class FrozenGraph(Checkpoints):
    name, kind, references, path = "pb", "frozen graph", ("frozen_graph",), "x.pb"

    def seeds(self):
        return [{self.path: containers.frozen_graph(variant)} for variant in range(3)]

    def mutated(self, rng, seeds):
        data = rng.choice(seeds)[self.path]
        kind = rng.randrange(10)
        if kind == 0:
            return {self.path: changed(rng, data)}
        if kind == 1:
            return {self.path: spliced(rng, data, rng.choice(seeds)[self.path])}
        for _ in range(rng.choice([1, 1, 2, 3])):
            data = changed_message(rng, data)
        return {self.path: data}


class Npz(Checkpoints):
    name, kind, references, path = "npz", "NumPy .npz", ("npz",), "x.npz"

    def seeds(self):
        arrays = {
            "a/b": np.arange(6, dtype=np.float32).reshape(2, 3),
            "c": np.asfortranarray(np.arange(6).reshape(3, 2)),
            "d": np.array(3, ">i2"),
            "e": np.array(["x", "yz"]),
            "f": np.zeros([0, 4], bool),
            "g": np.array([(1, 2.5)], [("x", "<i4"), ("y", "<f8")]),
            "h": np.ones([400], np.float16),
        }
        found = []
        for save in (np.savez, np.savez_compressed):
            stream = io.BytesIO()
            save(stream, **arrays)
            found.append({self.path: stream.getvalue()})
        return found

    def mutated(self, rng, seeds):
        data = rng.choice(seeds)[self.path]
        if rng.random() < 0.3:
            return {self.path: containers.changed_zip(rng, data)}
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(name, archive.read(name)) for name in archive.namelist()]
        for _ in range(rng.choice([1, 1, 2])):
            at = rng.randrange(len(members))
            name, octets = members[at]
            kind = rng.randrange(10)
            if kind == 0:
                members.insert(at, (rng.choice(members)[0], octets))
            elif kind == 1:
                names = ["x.txt", "../x.npy", ".npy", "/x.npy", "é.npy", "x\0.npy", "x" * 900 + ".npy"]
                members[at] = rng.choice(names), octets
            elif kind == 2:
                members[at] = name, changed(rng, octets)
            elif kind == 3:
                members[at] = name, octets + b"\0" * rng.choice([1, 8, 1 << 20])
            else:
                members[at] = name, containers.changed_npy(rng, octets)
        return {self.path: containers.zipped(rng, members)}


class Safetensors(Checkpoints):
    name, kind, references, path = "safetensors", "safetensors", ("safetensors",), "x.safetensors"
    strict = True

    def seeds(self):
        from slimft.checkpoint.dtypes import dtype_of_name
        from slimft.checkpoint.safetensors import _NAMES

        header, data = {"__metadata__": {"format": "pt"}}, b""
        for code, dtype in _NAMES.items():
            size = 2 * dtype_of_name(dtype).itemsize
            header[f"net/{code}"] = {"dtype": code, "shape": [2, 1], "data_offsets": [len(data), len(data) + size]}
            data += bytes([1, 0] * size)[:size]
        small = {"a": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}}
        return [
            {self.path: containers.with_length(json.dumps(header).encode()) + data},
            {self.path: containers.with_length(json.dumps(small).encode() + b"   ") + b"abcd"},
            {self.path: containers.with_length(b"{}")},
        ]

    def mutated(self, rng, seeds):
        data = rng.choice(seeds)[self.path]
        length = int.from_bytes(data[:8], "little")
        header, values = data[8 : 8 + length], data[8 + length :]
        if rng.random() < 0.15:
            return {self.path: changed(rng, data)}
        if rng.random() < 0.5:
            octets = _varied(rng, json.loads(header))
        else:
            octets = encoded(rng, changed_json(rng, json.loads(header)))
        if rng.random() < 0.1:
            octets += rng.choice([b" ", b"\n", b"\0", b"}", b"{}"]) * rng.choice([1, 7])
        if rng.random() < 0.1:
            values = changed(rng, values, 1)
        return {self.path: containers.with_length(octets, rng if rng.random() < 0.1 else None) + values}

    def described(self, array):
        from slimft.checkpoint.safetensors import _CODES

        return [_CODES[array.dtype.name], list(array.shape), digest(array.tobytes())]


def _varied(rng: random.Random, header: dict) -> bytes:
    """A header with what the format may allow: other names, empty tensors, more members, other spellings."""
    names = ["", "__metadata__ ", "é", "\U0001f642", "a\nb", "x" * 300, "a/../b", "\x7f", "\ud800", "net/F32"]
    for _ in range(rng.choice([1, 1, 2])):
        kind = rng.randrange(6)
        if kind == 0:
            header[rng.choice(names)] = {"dtype": "F32", "shape": [rng.choice([0, 3]), 0], "data_offsets": [0, 0]}
        elif kind == 1:
            depth = rng.choice([1, 120, 125, 126, 127, 128])
            inner = json.loads("[" * depth + "]" * depth)
            header["further"] = {"dtype": "U8", "shape": [0], "data_offsets": [0, 0], "other": inner}
        elif kind == 2:
            header["__metadata__"] = rng.choice([{}, None, {"a": "\n"}, {"a": 1}, {"a": None}, {"": ""}, [], "x"])
        elif kind == 3:
            items = list(header.items())
            rng.shuffle(items)
            header = dict(items)
        elif header:
            name = rng.choice(list(header))
            header[rng.choice(names)] = header.pop(name)
    indent, separators = rng.choice([(None, (",", ":")), (None, (", ", ": ")), (1, None)])
    text = json.dumps(header, indent=indent, separators=separators, ensure_ascii=rng.random() < 0.5)
    if rng.random() < 0.3:
        text = text.replace("0", rng.choice(["-0", "0.0", "0e0", "00", "+0"]), 1)
    return text.encode("utf-8", "surrogatepass")


class KerasH5(Checkpoints):
    name, kind, references, path = "h5", "Keras .h5", ("h5",), "x.h5"
    bound, share = bounds.HDF5, 0.1

    def seeds(self):
        return [{self.path: containers.h5(libver)} for libver in ("earliest", "latest", "v110")]

    def mutated(self, rng, seeds):
        data = rng.choice(seeds)[self.path]
        if rng.random() < 0.1:
            return {self.path: spliced(rng, data, rng.choice(seeds)[self.path])}
        data = changed(rng, data)
        return {self.path: containers.with_h5_checksums(data) if rng.random() < 0.7 else data}


class KerasZip(KerasH5):
    name, kind, path = "keras", "Keras .keras", "x.keras"
    references = ("keras",)

    def seeds(self):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            for name, data in (("config.json", b"{}"), ("model.weights.h5", containers.h5("earliest"))):
                archive.writestr(zipfile.ZipInfo(name), data)
        return [{self.path: stream.getvalue()}]

    def mutated(self, rng, seeds):
        with zipfile.ZipFile(io.BytesIO(seeds[0][self.path])) as archive:
            members = [(name, archive.read(name)) for name in archive.namelist()]
        kind = rng.randrange(4)
        if kind == 0:
            return {self.path: containers.changed_zip(rng, seeds[0][self.path])}
        if kind == 1:
            members[1] = members[1][0], changed(rng, members[1][1])
        elif kind == 2:
            members.insert(rng.randrange(3), (rng.choice(["model.weights.h5", "x.npy", "data.pkl"]), b"x" * 9))
        return {self.path: containers.zipped(rng, members)}


class Pickled(Checkpoints):
    name, kind, references = "pickle", "pickle of arrays (.npy, .pkl)", ("arrays_in_pickle",)
    path = "x.npy"

    def seeds(self):
        layer = {"weights": np.arange(6, dtype=np.float32).reshape(2, 3), "biases": np.zeros(3, np.float64)}
        listed = [np.asfortranarray(np.arange(6).reshape(3, 2)), np.float32(2.5)]
        values = {"conv1_1": layer, "fc8": listed, "steps": 7}
        found = [{self.path: pickle.dumps(values, protocol)} for protocol in (2, 3, 4, 5)]
        stream = io.BytesIO()
        np.save(stream, values, allow_pickle=True)
        return [*found, {self.path: stream.getvalue()}]

    def mutated(self, rng, seeds):
        data = rng.choice(seeds)[self.path]
        if data.startswith(b"\x93"):
            head = 10 + int.from_bytes(data[8:10], "little")
            start = containers.changed_npy(rng, data[:head]) if rng.random() < 0.3 else data[:head]
            return {self.path: start + changed_pickle(rng, data[head:])}
        return {self.path: changed_pickle(rng, data)}


class Kinds(Checkpoints):
    """Files of any kind, and heads of files, under any suffix: mostly what is no checkpoint, and told so."""

    name, kind, path = "kinds", "files of other kinds", "x"
    _suffixes = [
        *(".ckpt", ".pb", ".h5", ".npz", ".npy", ".pkl"),
        *(".safetensors", ".pth", ".meta", ".tar.gz", ".part", ""),
    ]

    def seeds(self):
        return [{"x": files[Safetensors.path]} for files in Safetensors().seeds()[1:]]

    def mutated(self, rng, seeds):
        from fuzz.harness import TARGETS

        others = [target for target in TARGETS.values() if target is not self]
        if self._files is None:
            self._files = [data for target in others for files in target.seeds() for data in files.values()]
            self._files += [b"<!DOCTYPE html>", b"{}", b"\x08\x07\x12", b"version https://git-lfs", b"(dp0\n", b""]
        data = rng.choice(self._files)
        kind = rng.randrange(4)
        if kind == 0:
            data = data[: rng.choice([1, 4, 8, 48, 300])]
        elif kind == 1:
            data = spliced(rng, data, rng.choice(self._files))
        elif kind == 2:
            data = changed(rng, data)
        return {f"x{rng.choice(self._suffixes)}": data}

    _files = None

    def read(self, folder):
        (file,) = folder.iterdir()
        self.path = file.name
        return super().read(folder)


class StateFile(Target):
    name, kind, references, bound = "state", "`checkpoint` state file", ("state_file",), bounds.TEXT

    def seeds(self):
        texts = [
            'model_checkpoint_path: "model.ckpt-7"\nall_model_checkpoint_paths: "model.ckpt-3"\n',
            'model_checkpoint_path: "a \\303\\251\\"b\\\\c"\nall_model_checkpoint_timestamps: 1.5e9\n',
        ]
        return [{"checkpoint": text.encode()} for text in texts]

    def mutated(self, rng, seeds):
        text = rng.choice(seeds)["checkpoint"].decode()
        tokens = [
            *'"\\\n:;,{}#\'', "\\n", "\\303", "\\x41", "\\0", "\\777", "\\u00e9", "é", "\0",
            "model_checkpoint_path",
            'model_checkpoint_path: "x"\n', "/", "..", "a" * 5000, "last_preserved_timestamp: 1", "\r\n", "\t", " ",
        ]  # fmt: skip
        return {"checkpoint": encoded(rng, changed_text(rng, text, tokens))}

    def read(self, folder):
        from slimft.checkpoint.locate import latest_in_state

        found = latest_in_state(folder)
        return {} if found is None else {"newest": os.path.normpath(found)}, len(found or "")


class Note(Target):
    """The SHA-256 that are noted beside a file that was fetched."""

    name, kind, bound = "note", "noted SHA-256 (`.sha256`)", bounds.TEXT

    def seeds(self):
        return [{"x.ckpt.sha256": f"{'0' * 64}  x.tar.gz\n{'ab' * 32} *x.ckpt\n".encode()}]

    def mutated(self, rng, seeds):
        tokens = [*"0aA \n*/\t\r", "  ", "\r\n", "0" * 64, "../x", "x.ckpt", *TEXTS]
        return {"x.ckpt.sha256": encoded(rng, changed_text(rng, seeds[0]["x.ckpt.sha256"].decode(), tokens))}

    def read(self, folder):
        from slimft.checkpoint import digests, official

        release = dataclasses.replace(official.find_release("vgg_16"), file="x.ckpt")
        found = digests.read_note(release, folder)
        assert all(len(digest) == 64 and "/" not in name for name, digest in found.items()), found
        return found, 0


TARGETS = [
    V1(),
    V2(),
    Protos(),
    FrozenGraph(),
    Npz(),
    Safetensors(),
    KerasH5(),
    KerasZip(),
    Pickled(),
    StateFile(),
    Note(),
    Kinds(),
]
