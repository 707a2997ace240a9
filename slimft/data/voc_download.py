"""PASCAL VOC and the Semantic Boundaries Dataset for segmentation: downloaded, unpacked and put together.

- PASCAL VOC 2007 and 2012 (Everingham et al., IJCV 88, 2010): http://host.robots.ox.ac.uk/pascal/VOC/
- SBD (Hariharan et al., ICCV 2011), masks of images of VOC 2011: with them VOC2012's 1,464 training images become
  the 10,582 of the "augmented" list that most papers train on.

The MD5s here are those of torchvision/datasets/voc.py and sbd.py of github.com/pytorch/vision (as of torchvision
0.29.1), which also has the addresses. An MD5 tells damage, but does not tell files apart that were made to have the
same one.
"""

from __future__ import annotations

import os
import pathlib
import re
from typing import NamedTuple

from PIL import Image

from slimft import system
from slimft.data.images import opened
from slimft.data.matlab import read_struct_mask
from slimft.data.palette import VOC_CLASSES, voc_palette
from slimft.download import Unreachable, download_checked, name_in, unpack
from slimft.errors import DataError
from slimft.files import (
    read_bounded,
    sync_directory,
    sync_file,
    sync_files_below,
    temporary_directory,
    write_atomically,
)
from slimft.messages import say

# The lists of VOC2012 and of SBD have up to 120 kB, the masks up to 30 kB.
_MOST_LIST_BYTES = 4 << 20
_MOST_MASK_BYTES = 16 << 20
# The archives have up to 58,000 (VOC2012), as that of SBD has 34,000.
_MOST_ENTRIES = 200_000
_NAME = re.compile(r"[0-9A-Za-z_]{1,64}")
_LISTS = "ImageSets/Segmentation"


class _Archive(NamedTuple):
    """The addresses of a file, of which the first counts that answers, and its MD5."""

    urls: tuple[str, ...]
    md5: str


class _Source(NamedTuple):
    """What is downloaded.

    Attributes:
        title: what to call it in messages.
        folder: of the data, in each archive and in the folder that it is unpacked to.
        archives: all of them are needed.
        kept: what the paths in `folder` begin with that are unpacked.
        needed: files and folders in `folder` that tell that the data is there.
    """

    title: str
    folder: str
    archives: tuple[_Archive, ...]
    kept: tuple[str, ...]
    needed: tuple[str, ...]


def _voc_source(year: str, **md5s: str) -> _Source:
    # The first is torchvision's; the second that of VOC's web pages.
    servers = "https://thor.robots.ox.ac.uk", "http://host.robots.ox.ac.uk"
    return _Source(
        title=f"PASCAL VOC {year}",
        folder=f"VOCdevkit/VOC{year}",
        archives=tuple(
            _Archive(tuple(f"{server}/pascal/VOC/voc{year}/{name}.tar" for server in servers), md5)
            for name, md5 in md5s.items()
        ),
        kept=("JPEGImages/", "SegmentationClass/", f"{_LISTS}/"),
        needed=("JPEGImages", "SegmentationClass", f"{_LISTS}/train.txt", f"{_LISTS}/val.txt"),
    )


_VOC = {
    "voc2007": _voc_source(
        "2007",
        **{
            "VOCtrainval_06-Nov-2007": "c52e279531787c972589f7e41ab4ae64",
            "VOCtest_06-Nov-2007": "b6e924de25625d8de591ea690078ad9f",
        },
    ),
    "voc2012": _voc_source("2012", **{"VOCtrainval_11-May-2012": "6cd6e144f989b92b3379bac3b3de84fd"}),
}
_SBD = _Source(
    title="Semantic Boundaries Dataset",
    folder="benchmark_RELEASE/dataset",
    archives=(
        _Archive(
            (
                "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/semantic_contours/"
                "benchmark.tgz",
            ),
            "82b4d87ceb2ed10f6038a1cba92111cb",
        ),
    ),
    # Its images are among VOC2012's.
    kept=("cls/", "train.txt", "val.txt"),
    needed=("cls", "train.txt", "val.txt"),
)


def fetch(name: str, root: pathlib.Path | None = None) -> pathlib.Path:
    """Finds PASCAL VOC in a folder, or downloads it there: about 2 GB, and as much again while it is unpacked.

    Of VOC 2007 that is train, val and test, of 2012 train and val: the masks of its test split are secret. Only
    images, masks of classes and the lists of segmentation are unpacked. A download that was cut off goes on where
    it stopped; the folder of the year appears when all of it is unpacked.

    Args:
        name: ``voc2007`` or ``voc2012``.
        root: the folder with ``VOCdevkit``, or that folder, or the one of the year. An archive that lies there
            already is not downloaded, and kept. None for the folder `name` among slimft's caches, see
            `slimft.system.cache_folder`.

    Returns:
        The folder with ``JPEGImages``, ``SegmentationClass`` and ``ImageSets/Segmentation``.

    Raises:
        DataError: `root` holds other things only, or a part of the data; or the download fails.
    """
    return _obtain(_VOC[name], system.cache_folder(name) if root is None else root)


def fetch_sbd(voc2012: pathlib.Path, root: pathlib.Path | None = None) -> pathlib.Path:
    """Adds the "augmented" training list to VOC2012, with SBD's masks, and downloads these (1.4 GB) if need be.

    Writes ``SegmentationClassAug/NAME.png`` for each name of that list: VOC's own mask where there is one, else
    SBD's. The latter know no void (255): their pixels are 0..20. When all are there, the list is written, to
    ``ImageSets/Segmentation/train_aug.txt``: the names of VOC's train and of SBD's train and val, sorted, without
    those of VOC's val. Of the official data these are 10,582. What exists is kept; a call that was cut off goes on.

    Args:
        voc2012: the folder that `fetch` returns.
        root: where SBD is, or is downloaded to, in ``benchmark_RELEASE/dataset``; None for ``sbd`` among slimft's
            caches.

    Returns:
        The list's file.

    Raises:
        DataError: VOC2012 or SBD is incomplete or damaged, does not fit the other, or cannot be had or written.
    """
    target = voc2012 / _LISTS / "train_aug.txt"
    masks = voc2012 / "SegmentationClassAug"
    if target.exists() and all((masks / f"{name}.png").exists() for name in _names(target)):
        return target
    train, val = (_names(voc2012 / _LISTS / f"{split}.txt") for split in ("train", "val"))
    sbd = _obtain(_SBD, system.cache_folder("sbd") if root is None else root)
    names = sorted({*train, *_names(sbd / "train.txt"), *_names(sbd / "val.txt")} - {*val})
    try:
        masks.mkdir(exist_ok=True)
        _write_masks(voc2012, sbd, masks, [name for name in names if not (masks / f"{name}.png").exists()])
        if not target.exists():
            write_atomically(target, "".join(f"{name}\n" for name in names))
    except OSError as error:
        raise DataError(f"cannot write the masks of {sbd} into {voc2012}: {error.strerror or error}") from None
    return target


def _write_masks(voc2012: pathlib.Path, sbd: pathlib.Path, masks: pathlib.Path, names: list[str]) -> None:
    """Gives each of `names` its mask, which appears when it is on the disk."""
    from slimft.progress_bar import ProgressBar

    with temporary_directory(masks) as temporary, ProgressBar(desc="masks", total=len(names), unit=" masks") as bar:
        for name in names:
            file, own = temporary / f"{name}.png", voc2012 / "SegmentationClass" / f"{name}.png"
            if own.exists():
                file.write_bytes(read_bounded(own, _MOST_MASK_BYTES))
            else:
                _sbd_mask(sbd / "cls" / f"{name}.mat", voc2012 / "JPEGImages" / f"{name}.jpg").save(file)
            sync_file(file)
            os.replace(file, masks / file.name)
            bar.update()
        sync_directory(masks)


def _sbd_mask(file: pathlib.Path, image_file: pathlib.Path) -> Image.Image:
    """The mask of a file of SBD as an image with VOC's palette, which is of the size of the image that it is of."""
    mask = read_struct_mask(file, "GTcls", "Segmentation")
    height, width = mask.shape
    with opened(image_file) as (image, _):
        size = image.size
    if size != (width, height):
        sizes = f"{width}x{height} pixels, and {image_file} has {size[0]}x{size[1]}"
        raise DataError(f"{file} has {sizes}; one of them is damaged")
    if mask.max() >= len(VOC_CLASSES):
        raise DataError(f"{file} has a pixel of class {mask.max()}, which is not in 0..{len(VOC_CLASSES) - 1}")
    image = Image.frombytes("P", (width, height), mask.tobytes())
    image.putpalette(voc_palette())
    return image


def _names(file: pathlib.Path) -> list[str]:
    """The names of images in a list, a line each."""
    names = read_bounded(file, _MOST_LIST_BYTES).decode("utf-8", "replace").split()
    for name in names:
        if not _NAME.fullmatch(name):
            raise DataError(f"{file} is no list of images: it holds {name[:64]!r}")
    return names


def _obtain(source: _Source, root: pathlib.Path) -> pathlib.Path:
    """The folder of the data, found in `root` or downloaded to it."""
    try:
        found = _find(source, root)
        return _download(source, root) if found is None else found
    except OSError as error:
        raise DataError(f"cannot have {source.title} in {root}: {error.strerror or error}") from None


def _find(source: _Source, root: pathlib.Path) -> pathlib.Path | None:
    """The folder of the data, None if it may be downloaded to `root`.

    Raises:
        DataError: it may not.
    """
    parts = pathlib.PurePosixPath(source.folder).parts
    candidates = [root.joinpath(*parts[start:]) for start in range(len(parts))]
    if root.resolve().name == parts[-1]:
        candidates.append(root)
    for folder in candidates:
        lacking = _lacking(source, folder)
        if not lacking:
            return folder
        if folder.is_dir() and (folder != root or len(lacking) < len(source.needed)):
            raise DataError(
                f"{folder} is not all of {source.title}: it lacks {', '.join(lacking)}; complete it, or name an "
                "empty or new folder to download it there"
            )
    if root.exists() and any(_is_foreign(path.name) for path in root.iterdir()):
        raise DataError(
            f"{root} holds no {source.title}: expected {source.folder}/{source.needed[0]}; name an empty or new "
            "folder to download it there"
        )
    return None


def _lacking(source: _Source, folder: pathlib.Path) -> list[str]:
    return [path for path in source.needed if not (folder / path).exists()]


def _is_foreign(name: str) -> bool:
    """Whether what has that name comes neither from downloads of this module nor from temporary folders."""
    for source in (*_VOC.values(), _SBD):
        archives = [name_in(archive.urls[0]) for archive in source.archives]
        own = [archive + end for archive in archives for end in ("", ".part", ".part.json")]
        if name in (source.folder.split("/")[0], *own):
            return False
    return not name.startswith(".")


def _download(source: _Source, root: pathlib.Path) -> pathlib.Path:
    top = pathlib.PurePosixPath(source.folder).parts

    def choose(path: pathlib.PurePosixPath) -> str | None:
        inner = "/".join(path.parts[len(top) :]) if path.parts[: len(top)] == top else ""
        return inner if inner.startswith(source.kept) and not path.name.startswith(".") else None

    root.mkdir(parents=True, exist_ok=True)
    files = [root / name_in(archive.urls[0]) for archive in source.archives]
    downloaded = [file for file in files if not file.exists()]
    for archive, file in zip(source.archives, files):
        _download_archive(archive, file)
    with temporary_directory(root) as temporary:
        unpacked = temporary / "unpacked"
        for file in files:
            say(f"unpacking {file.name} in {root}")
            unpack(file, unpacked, choose, _MOST_ENTRIES)
        lacking = _lacking(source, unpacked)
        if lacking:
            raise DataError(f"{files[0]} is not all of {source.title}: it lacks {', '.join(lacking)}")
        sync_files_below(unpacked)
        folder = root / source.folder
        folder.parent.mkdir(exist_ok=True)
        os.replace(unpacked, folder)
        sync_directory(folder.parent)
    for file in downloaded:
        file.unlink(missing_ok=True)
    return folder


def _download_archive(archive: _Archive, file: pathlib.Path) -> None:
    advice = f"run the same command again to continue, or put the file into {file.parent}"
    for url in archive.urls[:-1]:
        try:
            return download_checked(url, archive.md5, file, "another server may have it")
        except Unreachable as error:
            say(str(error))
    return download_checked(archive.urls[-1], archive.md5, file, advice)
