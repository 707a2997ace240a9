"""What others read in the same files: TensorFlow, NumPy, safetensors, h5py, csv, pickle, Pillow and tarfile.

Run as a script it answers requests, a line of JSON each, with a line of JSON: what was read, in the form of
`Target.read`, or null where the reader refuses, crashes, hangs or takes too much memory.
"""

from __future__ import annotations

import csv
import functools
import io
import json
import os
import pathlib
import pickle
import sys
import zipfile

if __name__ == "__main__":
    sys.path[:0] = [str(pathlib.Path(__file__).parents[1]), str(pathlib.Path(__file__).parents[2])]

import numpy as np

from fuzz.isolate import isolated
from fuzz.target import digest, fingerprint

_MEMORY = 2 << 30
_SECONDS = 20


def _tensorflow():
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    return tf


def tensorflow_checkpoint(folder: pathlib.Path, ours: dict):
    """tf.train.load_checkpoint, which reads no slices; these, tf.raw_ops.RestoreV2 does."""
    tf = _tensorflow()
    reader = tf.train.load_checkpoint(_pattern(folder))
    found, objects, dtypes = {}, None, reader.get_variable_to_dtype_map()
    # Slices that no variable has are listed too, by the keys they have in the table.
    for name in (name for name in reader.get_variable_to_shape_map() if not name.startswith("\0")):
        try:
            try:
                value = reader.get_tensor(name)
            except tf.errors.UnimplementedError:
                value = _restored(folder, name, dtypes[name])
            found[name] = fingerprint(value)
            objects = value if name == "_CHECKPOINTABLE_OBJECT_GRAPH" else objects
        except Exception:
            found[name] = None
    if os.path.exists(folder / "model.ckpt.index"):
        found["names of variables"] = _names_of_variables(objects, found)
    return found


def tensorflow_restore(folder: pathlib.Path, ours: dict):
    """tf.raw_ops.RestoreV2 of what slimft read: one bad record ends the process of the reader of V2 checkpoints."""
    tf = _tensorflow()
    found = {name: None for name in ours}
    for name, value in ours.items():
        try:
            kind = {"|O": "string"}.get(value[0]) or value[0]
            dtype = tf.as_dtype(kind if kind[0] not in "<|" else np.dtype(kind))
            found[name] = fingerprint(_restored(folder, name, dtype))
        except Exception:
            pass
    return found


def _pattern(folder: pathlib.Path) -> str:
    shards = sorted(folder.glob("model.ckpt-*-of-*"))
    return str(folder / (f"model.ckpt-?????-of-{shards[0].name[-5:]}" if shards else "model.ckpt"))


def _restored(folder: pathlib.Path, name: str, dtype):
    (value,) = _tensorflow().raw_ops.RestoreV2(
        prefix=_pattern(folder),
        tensor_names=[name.encode("utf-8", "surrogateescape")],
        shape_and_slices=[""],
        dtypes=[dtype],
    )
    return value.numpy()


def _names_of_variables(value, found: dict) -> dict | None:
    from tensorflow.core.protobuf import trackable_object_graph_pb2

    if value is None:
        return None if "_CHECKPOINTABLE_OBJECT_GRAPH" in found else {}
    graph = trackable_object_graph_pb2.TrackableObjectGraph.FromString(value)
    keys: dict[str, set] = {}
    for node in graph.nodes:
        for attribute in node.attributes:
            if attribute.full_name and attribute.checkpoint_key:
                keys.setdefault(attribute.full_name, set()).add(attribute.checkpoint_key)
    alone = {name: of.pop() for name, of in keys.items() if len(of) == 1}
    return dict(sorted((name, key) for name, key in alone.items() if key in found and name not in found))


def frozen_graph(folder: pathlib.Path, ours: dict):
    """GraphDef as protobuf parses it, and tf.make_ndarray."""
    tf = _tensorflow()
    graph = tf.compat.v1.GraphDef.FromString((folder / "x.pb").read_bytes())
    constants = {
        node.name: node.attr["value"].tensor
        for node in graph.node
        if node.op == "Const" and node.attr["value"].WhichOneof("value") == "tensor"
    }
    read = set()
    for node in graph.node:
        if node.op == "Identity" and node.input:
            source = node.input[0].removesuffix(":0")
            if node.name == f"{source}/read" or node.name.rsplit("/", 1)[-1].startswith("ReadVariableOp"):
                read.add(source)
    found = {}
    for name in read & set(constants):
        try:
            found[name] = fingerprint(tf.make_ndarray(constants[name]))
        except Exception:
            found[name] = None
    return found


def npz(folder: pathlib.Path, ours: dict):
    """numpy.load."""
    found = {}
    with np.load(folder / "x.npz", allow_pickle=False) as archive:
        # What is no array is none of the archive's arrays to slimft.
        for name in (member.removesuffix(".npy") for member in archive.zip.namelist() if member.endswith(".npy")):
            try:
                found[name] = fingerprint(archive[name])
            except Exception:
                found[name] = None
    return found


def safetensors(folder: pathlib.Path, ours: dict):
    """The package safetensors, written in Rust."""
    import safetensors as reference

    found = {}
    for name, tensor in reference.deserialize((folder / "x.safetensors").read_bytes()):
        found[name] = [tensor["dtype"], list(tensor["shape"]), digest(bytes(tensor["data"]))]
    return found


def h5(folder: pathlib.Path, ours: dict):
    """h5py in this process."""
    import h5py

    found = {}

    def add(name, item):
        if isinstance(item, h5py.Dataset) and item.shape is not None:
            dtype = item.dtype
            if dtype.kind in "biufc":
                found[name] = fingerprint(item[()])
            elif dtype == "V2":
                found[name] = ["bfloat16", list(item.shape), digest(item[()].tobytes())]

    with h5py.File(folder / "x.h5", "r") as file:
        file.visititems(add)
    return found


def keras(folder: pathlib.Path, ours: dict):
    """zipfile and h5py."""
    with zipfile.ZipFile(folder / "x.keras") as archive:
        (folder / "x.h5").write_bytes(archive.read("model.weights.h5"))
    return h5(folder, ours)


def state_file(folder: pathlib.Path, ours: dict):
    """tf.train.get_checkpoint_state."""
    state = _tensorflow().train.get_checkpoint_state(str(folder))
    newest = state.model_checkpoint_path if state else None
    return {"newest": os.path.normpath(newest)} if newest else {}


def tfrecord(folder: pathlib.Path, ours: dict):
    """TensorFlow's record reader and tf.train.Example."""
    tf = _tensorflow()
    found = {}
    file = folder / "x_train.tfrecord"
    kinds = tf.compat.v1.io.TFRecordCompressionType
    kind = {b"\x1f": kinds.GZIP, b"\x78": kinds.ZLIB}.get(file.read_bytes()[:1], kinds.NONE)
    records = tf.compat.v1.io.tf_record_iterator(str(file), tf.compat.v1.io.TFRecordOptions(kind))
    for index, record in enumerate(records):
        features = tf.train.Example.FromString(record).features.feature
        image, label = features["image/encoded"].bytes_list.value, features["image/class/label"].int64_list.value
        found[str(index)] = [digest(image[0]), label[0]] if len(image) == len(label) == 1 else None
    return found


def csv_manifest(folder: pathlib.Path, ours: dict):
    """The csv module on all of the text."""
    text = (folder / "images.csv").read_bytes().decode("utf-8-sig")
    head = text.partition("\n")[0]
    for delimiter in ",;\t":
        names = next(csv.reader([head], delimiter=delimiter, skipinitialspace=True))
        names = [name.strip().lower() for name in names]
        path = next((names.index(n) for n in ("path", "image", "filename", "file") if n in names), None)
        label = next((names.index(n) for n in ("label", "class") if n in names), None)
        if None not in (path, label):
            break
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True))
    group = names.index("group") if "group" in names else None
    return {
        os.path.normpath(os.path.join(folder, row[path].strip())): [
            row[label].strip(),
            (row[group].strip() or None) if group is not None else None,
        ]
        for row in rows[1:]
        if row
    }


class _Unpickler(pickle.Unpickler):
    """With nothing but NumPy's functions."""

    def find_class(self, module, name):
        if name not in ("_reconstruct", "ndarray", "dtype", "_frombuffer", "encode", "scalar"):
            raise pickle.UnpicklingError(name)
        return super().find_class(module, name)


def pickled(folder: pathlib.Path, ours: dict):
    """pickle."""
    batch = _Unpickler(io.BytesIO((folder / "data_batch_1").read_bytes()), encoding="bytes").load()
    images = batch[b"data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return {"images": fingerprint(images), "labels": np.asarray(batch[b"labels"]).tolist()}


def arrays_in_pickle(folder: pathlib.Path, ours: dict):
    """pickle, its dictionaries and lists flattened."""
    with open(folder / "x.npy", "rb") as stream:
        if stream.read(6) == b"\x93NUMPY":
            stream.seek(0)
            version = np.lib.format.read_magic(stream)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            read(stream)
        else:
            stream.seek(0)
        value = _Unpickler(stream, encoding="latin1").load()
    if isinstance(value, np.ndarray) and value.dtype == object and value.size == 1:
        value = value.item()
    found = {}

    def add(keys: tuple[str, ...], value) -> None:
        if isinstance(value, (dict, list, tuple)):
            for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
                add((*keys, key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key)), inner)
        elif isinstance(value, (np.ndarray, np.generic, bool, int, float)) and "/".join(keys) in ours:
            found["/".join(keys)] = fingerprint(np.asarray(value))

    add((), value)
    return found


def matlab(folder: pathlib.Path, ours: dict):
    """scipy.io.loadmat."""
    import scipy.io

    variable = scipy.io.loadmat(folder / "x.mat", variable_names=["GTcls"])["GTcls"]
    return {"mask": fingerprint(variable[0, 0]["Segmentation"])}


def labels(folder: pathlib.Path, ours: dict):
    """research/slim's datasets/dataset_utils.read_label_file, or a name a line."""
    lines = (folder / "labels.txt").read_bytes().decode("utf-8-sig").replace("\r\n", "\n").split("\n")
    while lines and not lines[-1]:
        lines.pop()
    try:
        found = {}
        for line in lines:
            number, name = line.split(":", 1)
            if not (number.isascii() and number.isdigit() and len(number) < 10):
                raise ValueError
            found[str(int(number))] = name
        return found
    except ValueError:
        return {str(number): line.strip() for number, line in enumerate(lines)}


def image(folder: pathlib.Path, ours: dict):
    """Pillow alone, for images that need no more than a conversion."""
    from PIL import Image, ImageOps

    with Image.open(folder / "x.jpg") as opened:
        if opened.has_transparency_data or opened.mode not in ("1", "L", "P", "RGB", "CMYK", "YCbCr"):
            return {}
        opened.load()
        try:
            turned = ImageOps.exif_transpose(opened)
        except Exception:
            return {}
        return {"image": fingerprint(np.asarray(turned.convert("RGB")))}


def archive(folder: pathlib.Path, ours: dict):
    """tarfile."""
    import tarfile

    with tarfile.open(folder / "x.tar.gz") as tar:
        return {
            os.path.normpath(entry.name): digest(tar.extractfile(entry).read()) for entry in tar if entry.isreg()
        }


def json_files(folder: pathlib.Path, ours: dict):
    """The json module."""
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*.json") if path.name != "case.json"}
    return {name: repr(json.loads(path.read_bytes().decode("utf-8-sig"))) for name, path in files.items()}


READERS = {
    **{reader.__name__: reader for reader in (
        tensorflow_checkpoint, tensorflow_restore, frozen_graph, npz, safetensors, h5, keras, arrays_in_pickle,
        state_file, tfrecord, matlab, labels, image, archive, json_files,
    )},
    "csv": csv_manifest, "pickle": pickled,
}  # fmt: skip
_OF_TENSORFLOW = {"tensorflow_checkpoint", "tensorflow_restore", "frozen_graph", "state_file", "tfrecord"}


def main() -> None:
    """Answers until standard input ends."""
    replies = os.fdopen(os.dup(1), "w")
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    for line in sys.stdin:
        request = json.loads(line)
        answer = None
        for name in request["readers"]:
            if name in _OF_TENSORFLOW:
                _tensorflow()
            work = functools.partial(_read, READERS[name], pathlib.Path(request["folder"]), request["ours"])
            answer = isolated(work, _MEMORY, _SECONDS).answer
            if answer is not None:
                break
        print(json.dumps(answer), file=replies, flush=True)


def _read(reader, folder: pathlib.Path, ours: dict) -> dict | None:
    try:
        return reader(folder, ours)
    except Exception:
        return None


if __name__ == "__main__":
    main()
