"""Files and folders that people bring and that no other test has: what happens to each (-s prints the table)."""

import gzip
import json
import re
import struct
import tarfile
import zipfile

import numpy as np
import pytest
import skimage.data
import skimage.io
import tifffile
from PIL import Image

from slimft.data import DataOptions, load_dataset
from slimft.data.image_checks import check_images
from slimft.errors import SlimftError

RNG = np.random.default_rng(0)


def picture(path, side=20):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 256, (side, side, 3), np.uint8)).save(path)


def classes(folder, suffix=".jpg", count=6):
    for name in ("ant", "bee"):
        for number in range(count):
            picture(folder / name / f"{number}{suffix}")
    return folder


def tiffs(folder, values, **options):
    for name in ("ant", "bee"):
        (folder / name).mkdir(parents=True)
        for number in range(6):
            tifffile.imwrite(folder / name / f"{number}.tif", values(), **options)
    return folder


def zipped(folder):
    with zipfile.ZipFile(folder / "pictures.zip", "w") as archive:
        for path in classes(folder / "pictures").rglob("*.jpg"):
            archive.write(path, path.relative_to(folder))
    return folder / "pictures.zip"


def tarred(folder):
    with tarfile.open(folder / "pictures.tar.gz", "w:gz") as archive:
        archive.add(classes(folder / "pictures"), "pictures")
    return folder / "pictures.tar.gz"


def plain_tar(folder):
    with tarfile.open(folder / "pictures.tar", "w") as archive:
        archive.add(classes(folder / "pictures"), "pictures")
    return folder / "pictures.tar"


def text(name, content):
    def write(folder):
        (folder / name).write_text(content)
        return folder / name

    return write


def arrays(folder):
    for name in ("ant", "bee"):
        (folder / "a" / name).mkdir(parents=True)
        np.save(folder / "a" / name / "0.npy", np.zeros((4, 4, 3), np.uint8))
    return folder / "a"


def imagenet(folder):
    classes(folder / "imagenet" / "train", ".JPEG")
    picture(folder / "imagenet" / "val" / "ILSVRC2012_val_00000001.JPEG")
    return folder / "imagenet"


def mnist(folder):
    with gzip.open(folder / "train-images-idx3-ubyte.gz", "wb") as stream:
        stream.write(struct.pack(">IIII", 2051, 1, 28, 28) + bytes(784))
    return folder


def breeds(folder):
    for number in range(6):
        picture(folder / "train" / f"{number}.jpg")
    return text("labels.csv", "id,breed\n0,boxer\n1,collie\n")(folder)


def microscope(folder):
    for name, values in (("coins", skimage.data.coins()), ("page", skimage.data.page())):
        (folder / "a" / name).mkdir(parents=True)
        for number in range(6):
            turned = np.roll(values, number, 0).astype(np.uint16) * 16
            skimage.io.imsave(folder / "a" / name / f"{number}.tif", turned, check_contrast=False)
    return folder / "a"


def with_phones(folder):
    for name in ("ant", "bee"):
        (classes(folder / "a") / name / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(300))
    return folder / "a"


def with_systems_files(folder):
    (classes(folder / "a") / "ant" / "Thumbs.db").write_bytes(b"x")
    (folder / "a" / "desktop.ini").write_text("x")
    return folder / "a"


def records(folder):
    (folder / "train-00000-of-00001.tfrecord").write_bytes(b"")
    return folder


# Kind, who wrote it, dataset, how it is made, and what is said (READ: it is read, with that note).
KINDS = [
    ("ZIP archive of a folder", "zipfile", "image_folder", zipped, "is a file, not a folder, but a ZIP archive"),
    ("tar.gz of a folder", "tarfile", "image_folder", tarred, "is a file, not a folder, but a gzip file"),
    ("tar of a folder", "tarfile", "image_folder", plain_tar, "is a file, not a folder, but a tar archive"),
    ("tar.gz as records", "tarfile", "tfrecord", tarred, "this is no TFRecord file, but a gzip file; unpack it"),
    ("ZIP archive as manifest", "zipfile", "csv", zipped, "is no CSV file, but a ZIP archive"),
    ("folder of images as records", "Pillow", "tfrecord", classes, "has no TFRecords, by .*--dataset=image_folder"),
    ("folder of images as manifest", "Pillow", "csv", classes, "holds no CSV files; .*--dataset=image_folder"),
    ("folder of records as images", "Python", "image_folder", records, "has no folders; .*--dataset=tfrecord"),
    (".npy files", "NumPy", "image_folder", arrays, r"holds no images \(.*\) but 1 other files \(0.npy\)"),
    ("ImageNet with a flat val", "Pillow", "image_folder", imagenet, "val has images .* but no folders"),
    ("MNIST's idx files", "gzip", "tfrecord", mnist, "has no TFRecords, by what is in its files"),
    ("Kaggle's dog breeds", "csv", "csv", breeds, r"line 1 has no column path \(it has id, breed\)"),
    ("JSON lines", "json", "csv", text("a.jsonl", json.dumps({"path": "a.png"}) + "\n"), "but JSON; write what"),
    ("COCO's JSON", "json", "csv", text("a.json", json.dumps({"images": []})), "but JSON; write what it lists"),
    (
        "ChestX-ray14's CSV",
        "csv",
        "csv",
        text("a.csv", "Image Index,Finding Labels\n1.png,Mass|Nodule\n"),
        r"no column path \(it has Image Index, Finding Labels\)",
    ),
    ("ISIC's one-hot CSV", "csv", "csv", text("a.csv", "image,MEL,NV\nISIC_1,0.0,1.0\n"), "columns of 0 and 1"),
    ("TIFFs of 12 bits", "scikit-image", "image_folder", microscope, "READ 16-bit grey images use 12 bits at most"),
    (
        "TIFFs of several pages",
        "tifffile",
        "image_folder",
        lambda folder: tiffs(folder / "a", lambda: np.zeros((3, 9, 9), np.uint8), photometric="minisblack"),
        "READ 12 files hold several pictures, such as .*; the first counts",
    ),
    (
        "TIFFs of floats",
        "tifffile",
        "image_folder",
        lambda folder: tiffs(folder / "a", lambda: RNG.random((9, 9), np.float32)),
        "12 images cannot .*32 bits",
    ),
    (
        "TIFFs of 5 channels",
        "tifffile",
        "image_folder",
        lambda folder: tiffs(
            folder / "a", lambda: np.zeros((9, 9, 5), np.uint8), photometric="minisblack", planarconfig="contig"
        ),
        "is a TIFF that Pillow cannot read, or damaged",
    ),
    (
        "BigTIFF in tiles",
        "tifffile",
        "image_folder",
        lambda folder: tiffs(
            folder / "a",
            lambda: np.zeros((32, 32, 3), np.uint8),
            bigtiff=True,
            compression="zlib",
            tile=(16, 16),
            photometric="rgb",
        ),
        "READ",
    ),
    (
        "HEIC photos beside JPEG",
        "bytes",
        "image_folder",
        with_phones,
        r"READ of these, pictures that cannot be read \(2 .heic\): convert them",
    ),
    ("files of Windows", "bytes", "image_folder", with_systems_files, "READ passed over: 2 files without"),
]


@pytest.mark.parametrize("kind, writer, dataset, make, said", KINDS, ids=[kind[0] for kind in KINDS])
def test_what_happens(tmp_path, kind, writer, dataset, make, said):
    place = make(tmp_path)
    try:
        splits = load_dataset(dataset, place, DataOptions(cache="off"))
        notes = [*splits["train"].notes, *check_images(splits)]
        found = " ".join(["READ", *notes])
    except SlimftError as error:
        found = str(error)
    print(f"{kind} ({writer}), --dataset={dataset}: {found}".replace(str(tmp_path), "..."))
    assert "\n" not in found
    pattern = said.removeprefix("READ ")
    assert found.startswith("READ") == said.startswith("READ") and re.search(pattern, found)
