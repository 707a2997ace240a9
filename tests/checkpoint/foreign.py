"""Files of the kinds that people bring, each with the tool that wrote it and what is said of it or read from it.

`python tests/checkpoint/foreign.py` prints a table of them: kind, tool, and what happens. A file is read if what is
expected begins with a format's name in brackets. Its suffix is no help: test_foreign_files.py renames each.
"""

import bz2
import gzip
import io
import json
import lzma
import pathlib
import pickle
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib

import numpy as np

ARRAYS = {"conv/weights": np.arange(6, dtype=np.float32).reshape(2, 3), "conv/biases": np.zeros(3, np.float32)}
LAYERS = {"conv": [ARRAYS["conv/weights"], ARRAYS["conv/biases"]]}


def of_octets(octets):
    return lambda file: file.write_bytes(octets)


def npz(file):
    with open(file, "wb") as stream:
        np.savez(stream, **ARRAYS)


def npy(value):
    def write(file):
        with open(file, "wb") as stream:
            np.save(stream, value, allow_pickle=True)

    return write


def tar(mode):
    def write(file):
        with tarfile.open(file, mode) as archive:
            member = tarfile.TarInfo("vgg_16.ckpt")
            member.size = 3
            archive.addfile(member, io.BytesIO(b"abc"))

    return write


def zipped(*names):
    def write(file):
        with zipfile.ZipFile(file, "w") as archive:
            for name in names:
                archive.writestr(name, b"x")

    return write


def safetensors(file):
    from safetensors.numpy import save

    file.write_bytes(save(ARRAYS))


def hdf5(file):
    import h5py

    with h5py.File(file, "w") as root:
        root["dense/dense/kernel:0"] = ARRAYS["conv/weights"]


def empty_hdf5(file):
    import h5py

    h5py.File(file, "w").close()


def mat(version):
    def write(file):
        if version == "7.3":  # SciPy has no such writer: HDF5 behind a block with this text.
            hdf5(file)
            file.write_bytes(b"MATLAB 7.3 MAT-file".ljust(512, b" ") + file.read_bytes())
        else:
            import scipy.io

            with open(file, "wb") as stream:
                scipy.io.savemat(stream, {"w": ARRAYS["conv/weights"]})

    return write


def image(kind):
    def write(file):
        from PIL import Image

        Image.new("RGB", (4, 4)).save(file, kind)

    return write


def onnx(file):
    import onnx as library

    value = library.helper.make_tensor_value_info("x", library.TensorProto.FLOAT, [1])
    node = library.helper.make_node("Relu", ["x"], ["x2"])
    output = library.helper.make_tensor_value_info("x2", library.TensorProto.FLOAT, [1])
    file.write_bytes(
        library.helper.make_model(library.helper.make_graph([node], "g", [value], [output])).SerializeToString()
    )


def joblib(file):
    import joblib as library

    library.dump(LAYERS, file)


def of_model(path):
    return lambda file: shutil.copy(models() / path, file)


_folder = None


def models():
    """The folder with what foreign_models.py writes, once for each process."""
    global _folder
    if _folder is None:
        _folder = tempfile.TemporaryDirectory()
        script = pathlib.Path(__file__).with_name("foreign_models.py")
        done = subprocess.run([sys.executable, script, _folder.name], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return pathlib.Path(_folder.name)


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4d" * 32 + b"\nsize 553436134\n"
PYTORCH_OLD = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2)
DARKNET = struct.pack("<3iq", 0, 2, 0, 32013312) + np.ones(9, "f4").tobytes()
CAFFE = b"\x0a\x05VGG16" + b"\xa2\x06\x0a" + b"\x0a\x05conv1\x12\x01C"
CORE_ML = b"\x08\x04" + b"\x12\x04\x0a\x02\x0a\x00" + b"\xa2\x1f\x02\x0a\x00"
FLAX = b"\x81\xa6params\x81\xa1w\xc7\x04\x01abcd"
MXNET = struct.pack("<QQQ", 0x112, 0, 0)
TFJS = json.dumps({"format": "layers-model", "modelTopology": {}, "weightsManifest": []}).encode()
WEIGHTS_INDEX = json.dumps({"metadata": {}, "weight_map": {"w": "model-00001-of-00002.safetensors"}}).encode()
PROTOTXT = b'name: "VGG"\nlayer {\n  name: "conv1"\n}\n'
BY_HAND = "written by hand"

# kind: (tool, writer, words of the message, or the format in brackets and the names)
FILES = {
    ".npz": ("NumPy", npz, ["[npz]", *ARRAYS]),
    ".npy of a dictionary": ("NumPy", npy(LAYERS), ["[npy]", "conv/0", "conv/1"]),
    ".npy of a dictionary of dictionaries": (
        "NumPy",
        npy({"conv": {"weights": np.ones(2)}}),
        ["[npy]", "conv/weights"],
    ),
    ".npy of a list": ("NumPy", npy(np.array([np.ones(2), np.ones(3), None], object)), ["[npy]", "0", "1"]),
    ".npy of an array": (
        "NumPy",
        npy(np.ones((2, 3))),
        ["it is one array (float64 [2, 3]) without a name", "numpy.savez"],
    ),
    **{
        f"pickle of protocol {protocol}": (
            "Python",
            of_octets(pickle.dumps(ARRAYS, protocol)),
            ["[pickle]", *ARRAYS],
        )
        for protocol in range(6)
    },
    "pickle of Python 2": (
        BY_HAND,
        of_octets(
            b"\x80\x02}q\x00U\x04convq\x01cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85"
            b"U\x01b\x87Rq\x04(K\x01K\x01\x85cnumpy\ndtype\nq\x05U\x02f4K\x00K\x01\x87Rq\x06(K\x03U\x01<NNNJ\xff\xff\xff\xff"
            b"J\xff\xff\xff\xffK\x00tb\x89U\x04\x00\x00\x80?tbs."
        ),
        ["[pickle]", "conv"],
    ),
    "pickle of an object": (
        "Python",
        of_octets(pickle.dumps(pathlib.PurePosixPath("/"))),
        ["names 'pathlib", "numpy.savez"],
    ),
    "pickle that runs a command": (
        BY_HAND,
        of_octets(b"cos\nsystem\n(S'touch x'\ntR."),
        ["names 'os.system'", "numpy.savez"],
    ),
    "pickle of a list of words": ("Python", of_octets(pickle.dumps(["a", "b"])), ["holds no arrays with names"]),
    "joblib": ("joblib", joblib, ["names 'joblib", "numpy.savez"]),
    ".safetensors": ("safetensors", safetensors, ["[safetensors]", *ARRAYS]),
    "index of sharded safetensors": (
        BY_HAND,
        of_octets(WEIGHTS_INDEX),
        ["an index of several files", "put them into one"],
    ),
    ".h5": ("h5py", hdf5, ["[keras_h5]", "dense/dense/kernel:0"]),
    ".keras": ("Keras", of_model("model.keras"), ["[keras]", "layers/dense/vars/0", "layers/dense/vars/1"]),
    "Keras' architecture": (
        "Keras",
        of_model("model.json"),
        ["a Keras model's architecture", "the weights are in another"],
    ),
    "PyTorch": (BY_HAND, zipped("archive/data.pkl", "archive/data/0"), ["a PyTorch checkpoint", "torch.load"]),
    "PyTorch, before 1.6": (
        BY_HAND,
        of_octets(PYTORCH_OLD),
        ["a PyTorch checkpoint", "safetensors.torch.save_file"],
    ),
    "zip": ("zipfile", zipped("vgg_16.ckpt"), ["a zip archive", "unpack it"]),
    "zip cut off": (BY_HAND, of_octets(b"PK\3\4" + bytes(range(200))), ["a zip archive whose end is cut off"]),
    ".tar": ("tarfile", tar("w"), ["a tar archive", "tar xf "]),
    ".tar.gz": ("tarfile", tar("w:gz"), ["a gzip-compressed tar archive", "tar xzf "]),
    ".gz": ("gzip", of_octets(gzip.compress(b"a checkpoint" * 99)), ["gzip-compressed", "gunzip "]),
    ".xz": ("lzma", of_octets(lzma.compress(b"a checkpoint")), ["compressed (xz)", "unxz "]),
    ".bz2": ("bz2", of_octets(bz2.compress(b"a checkpoint")), ["compressed (bzip2)", "bunzip2 "]),
    "Git LFS pointer": (BY_HAND, of_octets(LFS), ["a Git LFS pointer", "run git lfs pull"]),
    "web page": (
        BY_HAND,
        of_octets(b"\n<!DOCTYPE html>\n<html><body>Not found"),
        ["a web page", "download the file itself"],
    ),
    "server's error": (
        BY_HAND,
        of_octets(b"<?xml version='1.0'?><Error><Code>AccessDenied</Code>"),
        ["a web page"],
    ),
    "TensorFlow Lite": ("TensorFlow", of_model("model.tflite"), ["a TensorFlow Lite model", "give the checkpoint"]),
    "ONNX": ("onnx", onnx, ["an ONNX model", "initializers"]),
    "Core ML": (BY_HAND, of_octets(CORE_ML), ["a Core ML model"]),
    "Caffe": (BY_HAND, of_octets(CAFFE), ["a Caffe model", "blobs"]),
    "Caffe's .prototxt": (BY_HAND, of_octets(PROTOTXT), ["a Caffe network's description"]),
    "Darknet": (BY_HAND, of_octets(DARKNET), ["a Darknet weight file"]),
    "MATLAB 5": ("SciPy", mat("5"), ["a MATLAB file", "scipy.io.loadmat"]),
    "MATLAB 7.3": ("h5py", mat("7.3"), ["a MATLAB file", "h5py"]),
    "MXNet": (BY_HAND, of_octets(MXNET), ["an MXNet parameter file"]),
    "Flax": (BY_HAND, of_octets(FLAX), ["a MessagePack file, as Flax"]),
    "GGUF": (BY_HAND, of_octets(b"GGUF\3\0\0\0" + bytes(16)), ["a GGUF model"]),
    "TensorFlow.js": (BY_HAND, of_octets(TFJS), ["a TensorFlow.js model", "tensorflowjs_converter"]),
    "graph in text": ("TensorFlow", of_model("graph.pbtxt"), ["a graph in text format", "give the checkpoint"]),
    "graph, not frozen": (
        "TensorFlow",
        of_model("graph.pb"),
        ["no constants that were variables", "give its checkpoint"],
    ),
    "MetaGraph": ("TensorFlow", of_model("saver/model.ckpt-5.meta"), ["a MetaGraph", "give the checkpoint"]),
    "SavedModel's graph": (
        "TensorFlow",
        of_model("saved_model/saved_model.pb"),
        ["a SavedModel's graph", "variables/"],
    ),
    "SavedModel's fingerprint": (
        "TensorFlow",
        of_model("saved_model/fingerprint.pb"),
        ["a SavedModel's fingerprint"],
    ),
    "V2 index cut off": (
        "TensorFlow",
        lambda file: file.write_bytes((models() / "saver/model.ckpt-5.index").read_bytes()[:-9]),
        ["whose end is cut off", "download it again"],
    ),
    "V1 checkpoint cut off": (
        "TensorFlow",
        lambda file: file.write_bytes((pathlib.Path(__file__).parent / "golden/v1/model.ckpt").read_bytes()[:5000]),
        ["a TensorFlow checkpoint", "whose end is cut off"],
    ),
    "state file": (
        "TensorFlow",
        of_model("saver/checkpoint"),
        ["[tensorflow_v2]", "w"],
    ),
    "TensorBoard's events": (
        "TensorFlow",
        lambda file: shutil.copy(next((models() / "events").iterdir()), file),
        ["a file of TensorBoard's events"],
    ),
    "TFRecord": ("TensorFlow", of_model("data.tfrecord"), ["a TFRecord file", "--data_dir"]),
    "JPEG": ("Pillow", image("JPEG"), ["an image", "bin/predict"]),
    "PNG": ("Pillow", image("PNG"), ["an image"]),
    "WebP": ("Pillow", image("WebP"), ["an image"]),
    "BMP": ("Pillow", image("BMP"), ["an image"]),
    "TIFF": ("Pillow", image("TIFF"), ["an image"]),
    "PDF": ("Pillow", image("PDF"), ["a PDF document"]),
    "CSV": (BY_HAND, of_octets(b"path,label\na.jpg,cat\n"), ["a text file, not a checkpoint"]),
    "text in Japanese": (BY_HAND, of_octets("重み\n".encode() * 999), ["a text file"]),
    "JSON": ("json", of_octets(json.dumps({"accuracy": 0.5}).encode()), ["JSON, not a checkpoint"]),
    "program": ("Python", lambda file: shutil.copy(sys.executable, file), ["a program or library"]),
    "empty": (BY_HAND, of_octets(b""), ["empty", "download it again"]),
    "zeros": (BY_HAND, of_octets(bytes(200_000)), ["nothing but zeros", "broken off"]),
    "zeros but for one byte": (
        BY_HAND,
        of_octets(bytes(100_000) + b"x" + bytes(100_000)),
        ["of no kind that is known"],
    ),
    "HDF5 without arrays": ("h5py", empty_hdf5, ["it holds no arrays of numbers"]),
    "zlib": ("zlib", of_octets(zlib.compress(b"a checkpoint" * 99)), ["compressed (zlib)", "numpy.savez"]),
    "git-annex pointer": (BY_HAND, of_octets(b"/annex/objects/SHA256E-s5--ab.ckpt\n"), ["git annex get "]),
    "DVC pointer": (BY_HAND, of_octets(b"outs:\n- md5: a304afb96060aad90176268345e10355\n"), ["dvc pull"]),
    "torrent": (BY_HAND, of_octets(b"d8:announce35:http://tracker.example/announce"), ["a torrent"]),
    "AppleDouble": (BY_HAND, of_octets(b"\0\5\x16\7\0\2\0\0Mac OS X" + bytes(80)), ["without ._"]),
    "Excel of 2003": (BY_HAND, of_octets(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99)), ["of Office"]),
    "text in UTF-16": ("Python", of_octets("path,label\n".encode("utf-16")), ["a text file, not a checkpoint"]),
    "notebook": ("json", of_octets(json.dumps({"cells": [], "nbformat": 4}).encode()), ["JSON, not a checkpoint"]),
    "noise": (
        "NumPy",
        of_octets(np.random.default_rng(3).bytes(5000)),
        ["of no kind that is known", "begins with"],
    ),
}


def outcome(path):
    """What happens: the format and the names that are read, or the message."""
    import slimft

    try:
        checkpoint = slimft.open_checkpoint(path)
        return " ".join([f"[{checkpoint.format}]", *checkpoint])
    except slimft.CheckpointError as error:
        return str(error)


def main():
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for kind, (tool, write, _) in FILES.items():
            file = pathlib.Path(folder, "FILE")
            write(file)
            rows.append((kind, tool, outcome(file).replace(str(file), "FILE")))
        widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
        for kind, tool, what in rows:
            print(f"{kind:<{widths[0]}}  {tool:<{widths[1]}}  {what}")


if __name__ == "__main__":
    main()
