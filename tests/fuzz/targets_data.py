"""Targets: what data sets are made of, and archives that are downloaded."""

from __future__ import annotations

import gzip
import io
import os
import pathlib
import pickle
import struct
import tarfile
import tempfile
import unittest.mock
import zlib

import google_crc32c
import numpy as np
from PIL import Image

from fuzz import bounds, containers
from fuzz.mutate import (
    NUMBERS,
    TEXTS,
    changed,
    changed_message,
    changed_pickle,
    changed_text,
    encoded,
    number_near,
    spliced,
)
from fuzz.target import Target, digest, fingerprint
from slimft.data.images import MAX_PIXELS, MOST_PIXELS_AT_A_TIME
from slimft.errors import DataError
from slimft.files import open_regular

# Lines of a file that is compared.
MOST_COMPARED = 10_000
_OUTSIDE = os.path.join(tempfile.gettempdir(), "slimft-fuzz-outside")


def picture(kind: str, mode: str = "RGB", side: int = 9, **options) -> bytes:
    """An image file of a few pixels."""
    values = np.random.default_rng(side).integers(0, 255, (side, side + 2, 4), np.uint8)
    image = Image.fromarray(values).convert(mode if mode != "I;16" else "I").convert(mode)
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


class TfRecord(Target):
    name, kind, references, bound = "tfrecord", "TFRecord", ("tfrecord",), bounds.RECORDS
    _file = "x_train.tfrecord"

    def seeds(self):
        records = [containers.example(picture("PNG", side=side), side % 5) for side in (3, 5, 9)]
        return [{self._file: containers.tfrecord(records)}, {self._file: containers.tfrecord(records[:1])}]

    def mutated(self, rng, seeds):
        records = [containers.example(picture("PNG", side=side), side % 5) for side in (3, 5)]
        for _ in range(rng.choice([1, 1, 2])):
            at = rng.randrange(len(records))
            records[at] = changed_message(rng, records[at])
        kind = rng.randrange(8)
        if kind == 0:
            return {self._file: changed(rng, containers.tfrecord(records))}
        if kind == 1:
            length = number_near(rng, len(records[0]))
            return {self._file: containers.framed(records[0], length) + containers.framed(records[1])}
        if kind == 2:
            return {self._file: spliced(rng, containers.tfrecord(records), containers.tfrecord(records))}
        data = containers.tfrecord(records * rng.choice([1, 1, 50]))
        if rng.random() < 0.2:
            data = gzip.compress(data, mtime=0) if rng.random() < 0.5 else zlib.compress(data)
            data = changed(rng, data) if rng.random() < 0.4 else data
        return {self._file: data}

    def read(self, folder):
        from slimft.data import tfrecord
        from slimft.data.dataset import DataOptions

        examples = tfrecord.find(folder, DataOptions())
        images = [examples.sources[index].open() for index in range(len(examples.sources))]
        found = {str(index): [digest(image), int(examples.labels[index])] for index, image in enumerate(images)}
        return found, max(map(len, images), default=0)


class CsvManifest(Target):
    name, kind, references, bound = "csv", "CSV manifest", ("csv",), bounds.TEXT
    _file = "images.csv"

    def seeds(self):
        texts = [
            "path,label\na.jpg,cat\nb/c.png,dog\n",
            'filename;class;set\n"a b.jpg";"c;at";train\n"x""y.jpg";2;test\n',
            "\ufeffimage\tlabel\tgroup\textra\r\na.jpg\t1\tg\t\r\n\r\nb.jpg\t2\t\tz\r\n",
        ]
        return [{self._file: text.encode()} for text in texts]

    def mutated(self, rng, seeds):
        text = rng.choice(seeds)[self._file].decode()
        tokens = [
            *",;\t\"'\n\r\0 /", "\r\n", '""', '"\n"', "path", "label", "split", "group", "train", "val", "test",
            "a.jpg", "path,label\n", "../../x", "/etc", "\ufeff", "\u2028", "x" * 140_000, "x," * 999, '"' * 99,
            *TEXTS,
        ]  # fmt: skip
        return {self._file: encoded(rng, changed_text(rng, text, tokens))}

    def read(self, folder):
        from slimft.data.csv_manifest import read_manifest

        entries = read_manifest(folder / self._file).entries
        few = entries if len(entries) < MOST_COMPARED else ()
        return {entry.path: [entry.label, entry.group] for entry in few}, 0


class Cifar(Target):
    name, kind, references, bound = "cifar", "CIFAR-10 batch (pickle)", ("pickle",), bounds.RECORDS
    _file = "data_batch_1"

    def seeds(self):
        pixels = np.arange(4 * 3072).reshape(4, 3072).astype(np.uint8)
        found = []
        for protocol in (2, 3, 4, 5):
            labels = [3, 1, 9, 0] if protocol % 2 else np.array([3, 1, 9, 0])
            batch = {b"data": pixels, b"labels": labels, b"batch_label": b"training batch 1 of 5"}
            found.append({self._file: pickle.dumps(batch, protocol)})
        return found

    def mutated(self, rng, seeds):
        return {self._file: changed_pickle(rng, rng.choice(seeds)[self._file])}

    def read(self, folder):
        from slimft.data import cifar10

        cifar10._BATCH = 4  # In this fork; a real one takes 30 MB.
        images, labels = cifar10._read_python(folder, self._file)
        return {"images": fingerprint(images), "labels": labels.tolist()}, images.nbytes


class Mask(Target):
    name, kind, references, bound = "mask", "mask of SBD (MATLAB 5)", ("matlab",), bounds.RECORDS
    _file = "x.mat"
    _text_bytes, _header_bytes = 116, 128

    def seeds(self):
        import scipy.io
        import scipy.sparse

        found = []
        for shape in ((5, 7), (1, 3), (40, 30)):
            boundaries = np.empty((2, 1), object)
            boundaries[:, 0] = [scipy.sparse.csc_matrix(np.eye(3)), np.ones(2)]
            mask = np.arange(np.prod(shape)).reshape(shape).astype(np.uint8)
            out = io.BytesIO()
            scipy.io.savemat(out, {"GTcls": {"Boundaries": boundaries, "Segmentation": mask}})
            # The text at the start has the time.
            found.append(
                {self._file: b"MATLAB 5.0 MAT-file".ljust(self._text_bytes) + out.getvalue()[self._text_bytes :]}
            )
        return found

    def mutated(self, rng, seeds):
        data = rng.choice(seeds)[self._file]
        head, body = data[: self._header_bytes], changed(rng, data[self._header_bytes :])
        if rng.random() < 0.1:
            body += bytes(rng.choice([1, 8, 1 << 20, 40 << 20]))
        if rng.random() < 0.5:
            packed = zlib.compress(body)
            body = struct.pack("<II", 15, len(packed)) + packed
            body = changed(rng, body) if rng.random() < 0.2 else body
        return {self._file: changed(rng, head + body) if rng.random() < 0.1 else head + body}

    def read(self, folder):
        from slimft.data.matlab import read_struct_mask

        mask = read_struct_mask(folder / self._file, "GTcls", "Segmentation")
        return {"mask": fingerprint(mask)}, mask.nbytes


class VocList(Target):
    """A list of images with masks, and the classes' names with their colours."""

    name, kind, bound = "voc", "list of images with masks", bounds.TEXT
    _list, _classes = "ImageSets/Segmentation/train.txt", "classes.txt"

    def seeds(self):
        lists = "a\nb\n", "/JPEGImages/a.png /SegmentationClass/a.png\r\n\r\nb", "\ufeff a \n"
        classes = "ground\ntree\n", "0:ground\n1:tree", "ground 0 0 0\ntree 128, 0, 0\n"
        return [{self._list: one.encode(), self._classes: other.encode()} for one, other in zip(lists, classes)]

    def mutated(self, rng, seeds):
        tokens = [
            *"ab/. \t\n\r\0,:0123456789",
            "..",
            "../",
            "JPEGImages/",
            "/etc/passwd",
            "\ufeff",
            "\u2028",
            *TEXTS,
        ]
        seed = rng.choice(seeds)
        return {file: encoded(rng, changed_text(rng, text.decode(), tokens)) for file, text in seed.items()}

    def read(self, folder):
        from slimft.data.dataset import DataOptions
        from slimft.data.voc import load_for_evaluation

        for kind in ("JPEGImages", "SegmentationClass"):
            (folder / kind).mkdir(exist_ok=True)
            for name in "ab":
                mask = Image.fromarray(np.eye(4, dtype=np.uint8))
                (mask.convert("RGB") if kind == "JPEGImages" else mask).save(folder / kind / f"{name}.png")
        data = load_for_evaluation(folder, DataOptions())["all"]
        return {"keys": data.keys(), "names": [digest(repr(data.class_names).encode())]}, 0


class Labels(Target):
    name, kind, references, bound = "labels", "labels.txt", ("labels",), bounds.TEXT

    def seeds(self):
        texts = "0:cat\n1:dog: a\n2:\n", "cat\n dog\nplus\n", "1:b\n0:a"
        return [{"labels.txt": text.encode()} for text in texts]

    def mutated(self, rng, seeds):
        tokens = [*":\n\r0123456789 \t", "\r\n", "00:", "-1:", "9" * 12 + ":", "٣:", "\ufeff", *TEXTS, "x" * 9000]
        return {"labels.txt": encoded(rng, changed_text(rng, rng.choice(seeds)["labels.txt"].decode(), tokens))}

    def read(self, folder):
        from slimft.data.class_names import read_labels

        names = read_labels(folder / "labels.txt")
        # What is compared is not to count for the parser.
        found = {str(index): name for index, name in enumerate(names)} if len(names) < MOST_COMPARED else {}
        return found, 0


class Images(Target):
    name, kind, references, bound = "images", "image file", ("image",), bounds.IMAGE
    _file = "x.jpg"

    def seeds(self):
        exif = Image.Exif()
        exif[0x0112] = 6
        files = [
            picture("JPEG", side=24),
            picture("JPEG", "L", exif=exif),
            picture("JPEG", "CMYK"),
            picture("JPEG", progressive=True),
            picture("PNG"),
            picture("PNG", "RGBA"),
            picture("PNG", "P"),
            picture("PNG", "L", transparency=7),
            picture("PNG", "I;16"),
            picture("WEBP", lossless=True),
            picture("WEBP", "RGBA"),
            picture("GIF", "P"),
            picture("GIF", "P", transparency=3),
            picture("BMP"),
            picture("BMP", "1"),
            picture("TIFF"),
            picture("TIFF", compression="tiff_lzw"),
            picture("TIFF", "RGBA", compression="tiff_deflate"),
        ]
        return [{self._file: data} for data in files]

    def mutated(self, rng, seeds):
        data = rng.choice(seeds)[self._file]
        if rng.random() < 0.1:
            data = spliced(rng, data, rng.choice(seeds)[self._file])
        elif rng.random() < 0.4:  # The head, where sizes are.
            data = changed(rng, data[:64]) + data[64:]
        else:
            data = changed(rng, data)
        if data.startswith(b"\x89PNG") and rng.random() < 0.8:
            data = containers.with_png_checksums(data)
        if data.startswith(b"RIFF") and rng.random() < 0.8:
            data = b"RIFF" + (len(data) - 8).to_bytes(4, "little") + data[8:]
        return {self._file: data}

    def read(self, folder):
        from slimft.data.images import read_image

        image = read_image(folder / self._file)
        return {"image": fingerprint(image)}, self.claimed(folder)

    def claimed(self, folder):
        try:
            with open_regular(folder / self._file) as stream, Image.open(stream) as image:
                return min(image.width * image.height, MAX_PIXELS)
        except Exception:
            return 0


class PictureOfClasses(Images):
    """A mask as PNG, BMP or TIFF."""

    name, kind, references = "mask_image", "mask of PASCAL VOC (image)", ()
    _file = "x.png"

    def seeds(self):
        files = [
            picture("PNG", "P"),
            picture("PNG", "P", transparency=3),
            picture("PNG", "L"),
            picture("PNG", "1"),
            picture("PNG", "RGB"),
            picture("BMP", "P"),
            picture("TIFF", "P"),
            picture("TIFF", "L", compression="tiff_lzw"),
        ]
        return [{self._file: data} for data in files]

    def read(self, folder):
        from slimft.data.masks import counts_of, read_mask

        class AnyColour(dict):
            def __contains__(self, _):
                return True

            def __missing__(self, colour):
                return colour[0]

        mask = read_mask(folder / self._file, AnyColour()).numbers
        assert counts_of(mask).sum() == mask.size
        return {"mask": fingerprint(mask)}, mask.size


class Squares(Images):
    """The same by way of the data sets' threads, which make squares of them."""

    name, kind, references, warm = "squares", "image file, in a data set", (), False

    def read(self, folder):
        from slimft.data.image_files import FileSource, ImageFiles

        files = ImageFiles([FileSource(str(folder / self._file))] * 4, "off")
        images = files.read(range(4), 8)
        assert all((image == images[0]).all() for image in images), "threads read different images"
        return {"square": fingerprint(images[0])}, self.claimed(folder)

    def claimed(self, folder):
        return min(4 * super().claimed(folder), max(MOST_PIXELS_AT_A_TIME, super().claimed(folder)))


class Archive(Target):
    name, kind, references, bound = "archive", "tar.gz of a download", ("archive",), bounds.ARCHIVE
    _file = "x.tar.gz"

    def seeds(self):
        found = []
        for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT):
            stream = io.BytesIO()
            with tarfile.open(fileobj=stream, mode="w", format=form) as tar:
                for name, data in (("d/a.bin", b"abc" * 300), ("d/é" + "y" * 60, b""), ("d/e/c", b"\0" * 513)):
                    entry = tarfile.TarInfo(name)
                    entry.size = len(data)
                    tar.addfile(entry, io.BytesIO(data))
            found.append({self._file: gzip.compress(stream.getvalue(), mtime=0)})
        return found

    def mutated(self, rng, seeds):
        data = rng.choice(seeds)[self._file]
        if rng.random() < 0.15:
            return {self._file: changed(rng, data)}
        tar = bytearray(gzip.decompress(data))
        for _ in range(rng.choice([1, 1, 2])):
            heads = [at for at in range(0, len(tar) - 511, 512) if tar[at + 257 : at + 262] == b"ustar"]
            if not heads:
                break
            at = rng.choice(heads)
            kind = rng.randrange(9)
            if kind == 0:  # What it is.
                tar[at + 156] = rng.choice(b"0123456789LKxgSVDNX\0")
            elif kind == 1:
                number = rng.choice(["77777777777", "00000002000", "-1", "x", " 0", "\0", "00000000000"])
                tar[at + 124 : at + 136] = number.encode().ljust(12, b"\0")
            elif kind == 2:
                tar[at + 124 : at + 136] = rng.choice([b"\x80", b"\xff"]) + rng.choice(NUMBERS).to_bytes(11, "big")
            elif kind == 3:
                names = ["../x", _OUTSIDE, "a/../../x", "..", ".", "", "d", "d/a.bin/x", "a\nb", "d//e/./f", "~"]
                name = rng.choice(names)
                tar[at : at + 100] = name.encode().ljust(100, b"\0")
            elif kind == 4:
                link = rng.choice([b"/etc/passwd", b"../../x", b"d/a.bin", b"d"])
                tar[at + 157 : at + 257] = link.ljust(100, b"\0")
                tar[at + 156] = rng.choice(b"12")
            elif kind == 5:
                tar[at:at] = tar[at : at + 1536] * rng.choice([1, 1, 200])
            else:
                tar[at : at + 512] = changed(rng, bytes(tar[at : at + 512]), 1)[:512].ljust(512, b"\0")
        tar = _with_tar_checksums(tar) if rng.random() < 0.9 else tar
        packed = gzip.compress(bytes(tar), mtime=0)
        if rng.random() < 0.1:
            packed += rng.choice([b"\0" * 9, b"x", packed, gzip.compress(b"\0" * (1 << 22), mtime=0)])
        return {self._file: packed}

    def read(self, folder):
        from slimft.download import unpack

        before = {path for path in folder.rglob("*")}
        target = folder / "unpacked"
        try:
            unpack(folder / self._file, target)
        finally:
            others = {path for path in folder.rglob("*") if target not in (path, *path.parents)}
            assert others == before, f"it wrote {others - before}"
            assert not os.path.exists(_OUTSIDE)
            plain = (path.is_file() or path.is_dir() for path in target.rglob("*") if not path.is_symlink())
            assert sum(plain) == len(list(target.rglob("*"))), "it made a link, or a device"
        files = {str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*") if path.is_file()}
        return {name: digest(data) for name, data in files.items()}, 0


def _with_tar_checksums(tar: bytearray) -> bytearray:
    for at in range(0, len(tar) - 511, 512):
        if tar[at + 257 : at + 262] == b"ustar":
            tar[at + 148 : at + 156] = b" " * 8
            tar[at + 148 : at + 156] = b"%06o\0 " % sum(tar[at : at + 512])
    return tar


class Cache(Target):
    """A file of decoded images: what is read of it has to be what was written, or not be there."""

    name, kind, bound = "cache", "cache of decoded images", bounds.RECORDS
    _side = 4

    def _images(self) -> np.ndarray:
        return np.random.default_rng(0).integers(0, 255, (3, self._side, self._side, 3), np.uint8)

    def seeds(self):
        from slimft.data import record_shard
        from slimft.data.record_cache import images

        with tempfile.TemporaryDirectory() as folder, unittest.mock.patch.object(record_shard, "MOST_PLACES", 5):
            kind = images(self._side)
            shard = record_shard.Shard.create(pathlib.Path(folder), f"-{kind.name}{kind.suffix}", kind.record_bytes)
            for place, image in enumerate(self._images()):
                shard.write(place, image, kind.hashes([str(place)]))
            return [{f"slimft/images/{'0' * 16}-{kind.name}{kind.suffix}": shard.file.read_bytes()}]

    def mutated(self, rng, seeds):
        ((name, data),) = seeds[0].items()
        start = rng.choice([0, 0, 64, 4096])
        data = data[:start] + changed(rng, data[start : start + 150]) + data[start + 150 :]
        if rng.random() < 0.5:  # A head that is intact, whatever it says.
            data = data[:28] + google_crc32c.value(data[:28]).to_bytes(4, "little") + data[32:]
        return {name: data}

    def read(self, folder):
        from slimft.data import record_cache

        os.environ["XDG_CACHE_HOME"] = str(folder)
        try:
            cache = record_cache.Cache(["0", "1", "2"], record_cache.images(self._side))
        except OSError as error:  # Which is told, and images are decoded then.
            raise DataError(error.strerror) from None
        images, before = np.empty((3, self._side, self._side, 3), np.uint8), self._images()
        missing = cache.read(np.arange(3), images)
        there = [place for place in range(3) if place not in missing]
        assert all((images[place] == before[place]).all() for place in there), "another image than was written"
        return {"there": there}, 0


TARGETS = [
    TfRecord(), CsvManifest(), Cifar(), Mask(), VocList(), PictureOfClasses(), Labels(), Images(), Squares(),
    Cache(), Archive(),
]  # fmt: skip
