"""Small CIFAR-10 files, written here as the official ones were; tiny images with masks; TF1 graphs run at once."""

import io
import pickle
import struct
import types
import zlib

import numpy as np
import pytest
from PIL import Image

TRAIN = [f"data_batch_{i}" for i in range(1, 6)]
BATCHES = [*TRAIN, "test_batch"]
SMALL = 10
PIXELS = 3 * 32 * 32
MASK_SHAPE = 6, 8
MASK_CLASSES = ("ground", "tree", "water")


@pytest.fixture
def small_batches(monkeypatch):
    """Lets a batch hold 10 images instead of 10,000, and 7 validate instead of 5,000."""
    from slimft.data import cifar10

    monkeypatch.setattr(cifar10, "_BATCH", SMALL)
    monkeypatch.setattr(cifar10, "_VALIDATION", 7)


@pytest.fixture(scope="session")
def batches():
    """Name to images ``[n, 32, 32, 3]`` and labels (a list) of the six batches."""
    rng = np.random.default_rng(0)
    return {
        name: (rng.integers(0, 256, (SMALL, 32, 32, 3), np.uint8), rng.integers(0, 10, SMALL).tolist())
        for name in BATCHES
    }


@pytest.fixture(scope="session")
def binary_batch():
    """Writes a batch as the binary layout has it."""

    def records(images, labels):
        return b"".join(
            bytes([label]) + b"".join(image[:, :, channel].tobytes() for channel in range(3))
            for image, label in zip(images, labels)
        )

    return records


@pytest.fixture(scope="session")
def batch_dictionary():
    """A batch as the dictionary that the python layout pickles."""

    def dictionary(images, labels):
        data = np.stack([image.transpose(2, 0, 1).ravel() for image in images])
        names = [b"image_%05d.png" % i for i in range(len(labels))]
        return {b"batch_label": b"a batch", b"labels": labels, b"data": data, b"filenames": names}

    return dictionary


@pytest.fixture(scope="session")
def pickle_like_python_2():
    """Pickles as Python 2's cPickle did, opcode by opcode: bytes are its strings, put in the memo from 1."""

    def pickled(value):
        out = io.BytesIO()
        puts = iter(range(1, 1 << 20))

        def put():
            number = next(puts)
            out.write(b"q%c" % number if number < 256 else b"r" + struct.pack("<I", number))

        def save_string(text):
            short = len(text) < 256
            out.write(b"U%c" % len(text) if short else b"T" + struct.pack("<i", len(text)))
            out.write(text)
            put()

        def save(item):
            if isinstance(item, dict):
                out.write(b"}")
                put()
                out.write(b"(")
                for pair in item.items():
                    save(pair[0])
                    save(pair[1])
                out.write(b"u")
            elif isinstance(item, list):
                out.write(b"]")
                put()
                out.write(b"(")
                for element in item:
                    save(element)
                out.write(b"e")
            elif isinstance(item, bytes):
                save_string(item)
            elif isinstance(item, np.ndarray):
                save_array(item)
            elif 0 <= item < 256:
                out.write(b"K%c" % item)
            else:
                out.write(b"J" + struct.pack("<i", item))

        def save_array(array):
            out.write(b"cnumpy.core.multiarray\n_reconstruct\n")
            put()
            out.write(b"cnumpy\nndarray\n")
            put()
            out.write(b"K\x00\x85U\x01b\x87R(K\x01")
            for size in array.shape:
                save(size)
            out.write({1: b"\x85", 2: b"\x86"}[array.ndim])
            out.write(b"cnumpy\ndtype\nU\x02%s" % array.dtype.str[1:].encode())
            out.write(b"K\x00K\x01\x87R(K\x03U\x01%s" % array.dtype.str[:1].encode())
            out.write(b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89")
            save_string(array.tobytes())
            out.write(b"tb")

        out.write(b"\x80\x02")
        save(value)
        return out.getvalue() + b"."

    return pickled


def pickle_under_package(value, protocol, package):
    """Pickles, with NumPy's private package named `package`: NumPy 1 has numpy.core, NumPy 2 numpy._core."""
    data = pickle.dumps(value, protocol)
    if protocol >= 4:
        assert struct.unpack("<Q", data[3:11])[0] == len(data) - 11, "not one frame"
    for module in ("multiarray", "numeric"):
        after = f"{package}.{module}".encode()
        for before in (b"numpy.core.%s" % module.encode(), b"numpy._core.%s" % module.encode()):
            data = data.replace(b"c%s\n" % before, b"c%s\n" % after)
            data = data.replace(b"\x8c%c%s" % (len(before), before), b"\x8c%c%s" % (len(after), after))
    return data if protocol < 4 else data[:3] + struct.pack("<Q", len(data) - 11) + data[11:]


@pytest.fixture(
    params=["Python 2", *((n, p) for n in (2, 3, 4, 5) for p in ("numpy.core", "numpy._core"))],
    ids=lambda style: style if isinstance(style, str) else f"protocol {style[0]}, {style[1]}",
)
def pickle_batch(request, pickle_like_python_2):
    """Pickles a dictionary of arrays; tests with it run once for each way there is."""
    if request.param == "Python 2":
        return pickle_like_python_2
    return lambda value: pickle_under_package(value, *request.param)


@pytest.fixture(scope="session")
def evaluate():
    """Builds a graph with a function and returns the values of the tensors it returns."""
    from slimft.compat import tf

    def run(build):
        with tf.Graph().as_default(), tf.Session() as session:
            return session.run(build())

    return run


def _random_mask(seed, shape=MASK_SHAPE, classes=3, void=0.1):
    """Every class once at least, and some void."""
    rng = np.random.default_rng(seed)
    mask = rng.integers(0, classes, shape, np.uint8)
    mask[rng.random(shape) < void] = 255
    mask.ravel()[:classes] = range(classes)
    return mask


def _palette_mask(mask, palette=None):
    from slimft.data.palette import voc_palette

    image = Image.fromarray(mask)
    image.putpalette(palette or voc_palette())
    return image


def _save_pair(root, name, mask, image=None, suffix=".png", folder="SegmentationClass"):
    """Writes a mask, an array or an image of Pillow's, and an image: an array, or noise of the mask's size."""
    mask = _palette_mask(mask) if isinstance(mask, np.ndarray) else mask
    if image is None:
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        image = rng.integers(0, 256, (mask.height, mask.width, 3), np.uint8)
    for path in (root / "JPEGImages" / f"{name}.png", root / folder / f"{name}{suffix}"):
        path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(root / "JPEGImages" / f"{name}.png")
    mask.save(root / folder / f"{name}{suffix}")


def _write_list(root, name, content):
    """Writes a list: names, or the file's content."""
    folder = root / "ImageSets/Segmentation"
    folder.mkdir(parents=True, exist_ok=True)
    if not isinstance(content, (str, bytes)):
        content = "".join(f"{line}\n" for line in content)
    (folder / f"{name}.txt").write_bytes(content.encode() if isinstance(content, str) else content)


def _make_data(root, number=12, classes=MASK_CLASSES, shape=MASK_SHAPE):
    """Images ``a_00`` and so on with masks, and a classes.txt."""
    for index in range(number):
        _save_pair(root, f"a_{index:02}", _random_mask(index, shape, len(classes)))
    (root / "classes.txt").write_text("".join(f"{name}\n" for name in classes), encoding="utf-8")
    return [f"a_{index:02}" for index in range(number)]


@pytest.fixture(scope="session")
def pairs():
    """Functions that write images with masks."""
    return types.SimpleNamespace(
        mask=_random_mask, palette=_palette_mask, save=_save_pair, write_list=_write_list, make=_make_data
    )
