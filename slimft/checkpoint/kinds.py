"""What kinds of files people bring, told by their content before their suffix, and what to do with each.

`KINDS` is the one table of them. Those with a `format` are read; of each of the others a message says what it is
and what to do. The suffixes are also what `write_checkpoint` refuses, but for the formats that it writes.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
from collections.abc import Callable

from slimft.checkpoint import peek as look
from slimft.checkpoint.peek import Peek
from slimft.checkpoint.table import MAGIC as TABLE_MAGIC

UNFINISHED = (".part", ".crdownload", ".partial", ".download", ".opdownload", ".filepart", ".aria2", ".!ut")

_GIVE = "give the checkpoint itself"
_AGAIN = "copy or download it again"
_PYTORCH = (
    "where PyTorch is, save it as safetensors: state = torch.load('FILE', map_location='cpu', weights_only=True); "
    "safetensors.torch.save_file(state.get('state_dict', state), 'weights.safetensors')"
)
_ITS_CHECKPOINT = "give the checkpoint whose variables it is the graph of"


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        name: what a message calls it, with its article.
        advice: what to do with it; empty if it is read.
        suffixes: how the names of such files end, in lower case.
        format: as `Checkpoint.format`, or ``state`` or ``saved_model`` for what leads to a checkpoint; None if it
            is not read.
        magic: bytes and where in the file they are; any of them will do.
        test: looks at a file, where no such bytes tell.
    """

    name: str
    advice: str = ""
    suffixes: tuple[str, ...] = ()
    format: str | None = None
    magic: tuple[tuple[int, bytes], ...] = ()
    test: Callable[[Peek], bool] | None = None

    def matches(self, peek: Peek) -> bool:
        """Whether a file is of this kind."""
        if any(peek.head[at : at + len(octets)] == octets for at, octets in self.magic):
            return True
        return self.test is not None and self.test(peek)


def _begins(*octets: bytes) -> tuple[tuple[int, bytes], ...]:
    return tuple((0, each) for each in octets)


def _is_text(pattern: str) -> Callable[[Peek], bool]:
    """Whether a file is text in which a regular expression matches at the start, after blanks."""
    regex = re.compile(rf"\s*(?:{pattern})", re.IGNORECASE | re.DOTALL)
    return lambda peek: (text := peek.text()) is not None and regex.match(text) is not None


def _is_zip(*names: str) -> Callable[[Peek], bool]:
    """Whether a file is a zip archive with files whose names match all of some regular expressions."""
    regexes = [re.compile(name, re.DOTALL) for name in names]

    def test(peek: Peek) -> bool:
        return peek.head[:4] in (b"PK\3\4", b"PK\5\6") and all(
            any(regex.fullmatch(name) for name in peek.zip_names()) for regex in regexes
        )

    return test


# The first that matches counts.
KINDS = (
    Kind("empty", _AGAIN, test=lambda peek: not peek.size),
    Kind("a table file", format="tensorflow_v1", test=lambda peek: peek.tail.endswith(TABLE_MAGIC)),
    # Before those with a magic number: it begins with a length, which may be any of them.
    Kind("a safetensors file", suffixes=(".safetensors",), format="safetensors", test=look.is_safetensors),
    Kind(
        "a MATLAB file",
        "where SciPy is, read it with scipy.io.loadmat (of version 7.3: with h5py) and save its arrays "
        "with numpy.savez",
        (".mat",),
        magic=_begins(b"MATLAB 5.0", b"MATLAB 7.3"),
    ),
    Kind(
        "an HDF5 file",
        suffixes=(".h5", ".hdf5", ".hdf"),
        format="keras_h5",
        magic=tuple((at, b"\x89HDF\r\n\x1a\n") for at in (0, 512, 1024, 2048)),
    ),
    Kind(
        "a Keras file", suffixes=(".keras",), format="keras", test=_is_zip(r"config\.json", r"model\.weights\.h5")
    ),
    Kind("an .npz archive", suffixes=(".npz",), format="npz", test=_is_zip(r".*\.npy")),
    Kind("a PyTorch checkpoint", _PYTORCH, (".pth", ".pt", ".bin", ".pth.tar"), test=_is_zip(r"(.*/)?data\.pkl")),
    Kind(
        "a Core ML package",
        "a checkpoint of its source is needed",
        (".mlpackage",),
        test=_is_zip(r"(.*/)?Data/com\.apple\.CoreML/.*"),
    ),
    Kind(
        "a zip archive whose end is cut off",
        _AGAIN,
        test=lambda peek: peek.head[:4] == b"PK\3\4" and not peek.zip_names(),
    ),
    Kind(
        "a zip archive",
        "unpack it, and give the checkpoint that is in it",
        (".zip",),
        magic=_begins(b"PK\3\4", b"PK\5\6"),
    ),
    Kind("NumPy's .npy", suffixes=(".npy",), format="npy", magic=_begins(b"\x93NUMPY")),
    Kind(
        "a PyTorch checkpoint (of before 1.6)",
        _PYTORCH,
        (),
        magic=_begins(b"\x80\2\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19"),
    ),
    Kind("a pickle", suffixes=(".pkl", ".pickle", ".joblib", ".pdparams"), format="pickle", test=look.is_pickle),
    Kind(
        "a gzip-compressed tar archive",
        "unpack it (tar xzf FILE), and give the checkpoint that is in it",
        (".tgz", ".tar.gz"),
        test=look.is_gzip_of_tar,
    ),
    Kind(
        "gzip-compressed",
        "decompress it (gunzip FILE), and give what comes out",
        (".gz",),
        magic=_begins(b"\x1f\x8b"),
    ),
    Kind(
        "a tar archive",
        "unpack it (tar xf FILE), and give the checkpoint that is in it",
        (".tar",),
        test=lambda peek: look.is_tar(peek.head),
    ),
    Kind(
        "compressed (xz)",
        "decompress it (unxz FILE; tar xJf FILE if it is an archive)",
        (".xz",),
        magic=_begins(b"\xfd7zXZ\0"),
    ),
    Kind(
        "compressed (bzip2)",
        "decompress it (bunzip2 FILE; tar xjf FILE if it is an archive)",
        (".bz2",),
        magic=_begins(b"BZh"),
    ),
    Kind("compressed (zstd)", "decompress it (unzstd FILE)", (".zst",), magic=_begins(b"\x28\xb5\x2f\xfd")),
    Kind(
        "compressed (zlib), as joblib's pickles may be",
        "where it was written, save its arrays by name with numpy.savez",
        magic=_begins(b"\x78\x9c", b"\x78\x01", b"\x78\xda"),
    ),
    Kind(
        "a 7z or RAR archive",
        "unpack it, and give the checkpoint that is in it",
        (".7z", ".rar"),
        magic=_begins(b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\7"),
    ),
    Kind(
        "a TensorFlow Lite model",
        "its weights have lost their variables' names; give the checkpoint it was made of",
        (".tflite", ".lite"),
        magic=((4, b"TFL3"),),
    ),
    Kind("a GGUF model", "give the checkpoint it was made of", (".gguf", ".ggml"), magic=_begins(b"GGUF", b"lmgg")),
    Kind(
        "an MXNet parameter file",
        "where MXNet is, load it with mx.nd.load and save its arrays with numpy.savez",
        (".params",),
        magic=_begins(b"\x12\1\0\0\0\0\0\0"),
    ),
    Kind(
        "an image",
        "give images to bin/predict after its flags, and a checkpoint here",
        (".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff"),
        magic=(*_begins(b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8", b"II*\0", b"MM\0*"), (8, b"WEBP")),
        test=look.is_bmp,
    ),
    Kind(
        "what macOS keeps beside a file, of its attributes",
        "give the file of the name without ._",
        magic=_begins(b"\0\5\x16\7", b"\0\5\x16\0"),
    ),
    Kind("a document of Office", _GIVE, (".doc", ".xls"), magic=_begins(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")),
    Kind("a PDF document", _GIVE, (".pdf",), magic=_begins(b"%PDF-")),
    Kind(
        "a video or sound",
        _GIVE,
        (".mp4", ".avi", ".wav"),
        magic=((4, b"ftyp"), (8, b"WAVE"), (8, b"AVI ")),
    ),
    Kind("a database (SQLite)", _GIVE, (".db", ".sqlite"), magic=_begins(b"SQLite format 3\0")),
    Kind("a Parquet or Arrow table", _GIVE, (".parquet", ".arrow"), magic=_begins(b"PAR1", b"ARROW1")),
    Kind(
        "a program or library",
        _GIVE,
        (".so", ".exe", ".dll"),
        magic=_begins(b"\x7fELF", b"MZ\x90\0", b"\xcf\xfa\xed\xfe"),
    ),
    Kind(
        "a Git LFS pointer and not the file itself",
        "run git lfs pull where it was cloned, or download the file itself",
        test=_is_text(r"version https://git-lfs\.github\.com/"),
    ),
    Kind("a git-annex pointer", "run git annex get FILE where it was cloned", test=_is_text("/annex/objects/")),
    Kind("a DVC pointer", "run dvc pull where it was cloned", test=_is_text(r"(md5:[^\n]*\n)?outs:\s*-")),
    Kind("a torrent", "download what it stands for", (".torrent",), magic=_begins(b"d8:announce", b"d13:announce")),
    Kind(
        "a web page",
        "download the file itself (the link may be one to look at it, or the server's error)",
        (".html", ".htm", ".xml"),
        test=_is_text(r"<(!doctype|html|head|body|\?xml|error|!--)"),
    ),
    Kind(
        "the state file of a directory of checkpoints",
        format="state",
        test=_is_text(r"(\w+:[^\n]*\n\s*)*(all_)?model_checkpoint_path:"),
    ),
    Kind(
        "a TensorFlow.js model",
        "its .bin files hold the weights: where tensorflowjs is, convert it with "
        "tensorflowjs_converter --input_format=tfjs_layers_model --output_format=keras model.json model.h5",
        (),
        test=_is_text(r'\{.*"(weightsManifest|modelTopology)"'),
    ),
    Kind(
        "an index of several files (JSON)",
        "the weights are in the files it names: put them into one .safetensors file",
        test=_is_text(r'\{.*"weight_map"'),
    ),
    Kind(
        "a Keras model's architecture (JSON)",
        "the weights are in another file (.h5, .keras): give that",
        test=_is_text(r'\{.*"class_name"'),
    ),
    Kind("JSON", _GIVE, (".json",), test=_is_text(r'[{\[]\s*(["\d{\[\]}-]|true|false|null)')),
    Kind(
        "a graph in text format",
        _ITS_CHECKPOINT,
        (".pbtxt",),
        test=_is_text(
            r"(node|meta_info_def|graph_def|meta_graphs|library|versions)\s*\{|saved_model_schema_version:"
        ),
    ),
    Kind(
        "a Caffe network's description",
        "the weights are in the .caffemodel, which is not read either",
        (".prototxt",),
        test=_is_text(r'(name\s*:\s*"[^"]*"\s*)?(#[^\n]*\n\s*)*(layers?\s*\{|input(_dim)?\s*:|force_backward)'),
    ),
    Kind(
        "a text file",
        _GIVE,
        (".txt", ".csv", ".md", ".py", ".yaml", ".yml", ".toml", ".ipynb", ".log"),
        test=lambda peek: peek.text() is not None,
    ),
    Kind(
        "nothing but zeros",
        f"a download or a copy was broken off, or a disk was full: {_AGAIN}",
        test=look.only_zeros,
    ),
    Kind(
        "a file of TensorBoard's events",
        "it has curves, not weights: give the checkpoint beside it",
        test=look.is_events,
    ),
    Kind(
        "a TFRecord file",
        "it has data, not weights; for bin/finetune, give its directory as --data_dir",
        (".tfrecord", ".tfrecords"),
        test=look.is_tfrecord,
    ),
    Kind(
        "a TensorFlow checkpoint (V1, or the index of a V2 one) whose end is cut off",
        _AGAIN,
        test=look.is_table_without_end,
    ),
    Kind(
        "a Darknet weight file",
        "it has no names of layers; convert it with a tool that knows the network's .cfg",
        (".weights",),
        test=look.is_darknet,
    ),
    Kind("a frozen graph", suffixes=(".pb",), format="frozen_graph", test=look.is_graph),
    Kind("a SavedModel", format="saved_model", test=look.is_saved_model),
    Kind("a SavedModel's fingerprint", "give the directory it lies in", test=look.is_fingerprint),
    Kind("a MetaGraph: the graph of a checkpoint, without the variables", _ITS_CHECKPOINT, test=look.is_meta_graph),
    Kind(
        "an ONNX model",
        "where the onnx package is, save its initializers with numpy.savez, each by its name "
        "(onnx.numpy_helper.to_array), or give the checkpoint it was made of",
        (".onnx",),
        test=look.is_onnx,
    ),
    Kind("a Core ML model", "give the checkpoint it was made of", (".mlmodel",), test=look.is_core_ml),
    Kind(
        "a Caffe model",
        "where Caffe is, save its blobs with numpy.savez, each by its name",
        (".caffemodel",),
        test=look.is_caffe,
    ),
    Kind(
        "a MessagePack file, as Flax saves",
        "where Flax is, load it with flax.serialization.msgpack_restore and save its arrays with numpy.savez",
        (".msgpack",),
        test=look.is_msgpack,
    ),
)


def identify(path: str | os.PathLike) -> Kind | None:
    """The kind of a file; None if it is none of `KINDS`.

    Raises:
        Malformed: it is no regular file.
        OSError: it cannot be read.
    """
    peek = Peek(path)
    return next((kind for kind in KINDS if kind.matches(peek)), None)


def is_unfinished(path: str) -> bool:
    """Whether a file's name is that of a download that is going on, or was broken off."""
    return path.lower().endswith(UNFINISHED)


def of_suffix(path: str) -> Kind | None:
    """The kind whose files have names that end as `path` does; the longest such end counts."""
    name = pathlib.Path(path).name.lower()
    ends = [
        (len(suffix), number)
        for number, kind in enumerate(KINDS)
        for suffix in kind.suffixes
        if name.endswith(suffix)
    ]
    return KINDS[max(ends)[1]] if ends else None


def explain(path: str, kind: Kind | None) -> str:
    """One line: what the file at `path`, which is not read, is, and what to do."""
    if is_unfinished(path) and (kind is None or kind.name == "nothing but zeros"):
        return f"{path} is an unfinished download; wait until it is done, or download it again"
    if kind is not None:
        name = f"{kind.name}, not a checkpoint" if kind.advice == _GIVE else kind.name
        return f"{path} is {name}; {kind.advice.replace('FILE', path)}"
    begins = " ".join(f"{octet:02x}" for octet in Peek(path).head[:8])
    return (
        f"{path} is of no kind that is known here (it begins with the bytes {begins}): it is another program's, or "
        "damaged. Checkpoints are TensorFlow's, .h5, .keras, .npz, .npy, .pkl, .safetensors and frozen graphs (.pb)"
    )
