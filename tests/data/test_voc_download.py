"""PASCAL VOC and SBD downloaded from a server in this process, and put together."""

import hashlib
import io
import pathlib
import tarfile

import numpy as np
import pytest
import scipy.io
from PIL import Image

from slimft import DataError
from slimft.data import voc_download
from slimft.data.palette import voc_palette
from slimft.data.voc_download import fetch, fetch_sbd

HEIGHT, WIDTH = 6, 9
SEGMENTATION = "ImageSets/Segmentation"
# All images of the tiny VOC2012; p_3 and p_4 have masks in SBD alone.
NAMES = ["p_0", "p_1", "p_2", "p_3", "p_4"]
TRAIN, VAL = ["p_0", "p_2"], ["p_1"]
SBD_TRAIN, SBD_VAL = ["p_3", "p_1"], ["p_4", "p_0"]


def saved(image, **options):
    out = io.BytesIO()
    image.save(out, **options)
    return out.getvalue()


def jpeg():
    return saved(Image.new("RGB", (WIDTH, HEIGHT), (9, 90, 200)), format="JPEG")


def voc_mask(number):
    image = Image.frombytes("P", (WIDTH, HEIGHT), bytes([number, 255] * (WIDTH * HEIGHT // 2)))
    image.putpalette(voc_palette())
    return saved(image, format="PNG")


def sbd_mask(number, shape=(HEIGHT, WIDTH), highest=20):
    mask = np.random.default_rng(number).integers(0, 21, shape, np.uint8)
    mask[-1, 0] = highest
    return mask


def mat(mask):
    out = io.BytesIO()
    boundaries = np.empty((1, 1), object)
    boundaries[0, 0] = np.eye(3)
    scipy.io.savemat(out, {"GTcls": {"Boundaries": boundaries, "Segmentation": mask}}, do_compression=True)
    return out.getvalue()


def lines(names):
    return "".join(f"{name}\n" for name in names).encode()


def voc_files(year, lists):
    """Path to contents of an archive of VOC, with some of what segmentation does not need."""
    top = f"VOCdevkit/VOC{year}"
    names = sorted({name for listed in lists.values() for name in listed})
    return {
        f"{top}/Annotations/p_0.xml": b"<annotation/>",
        f"{top}/ImageSets/Main/train.txt": b"p_0\n",
        **{f"{top}/{SEGMENTATION}/{split}.txt": lines(listed) for split, listed in lists.items()},
        **{f"{top}/JPEGImages/{name}.jpg": jpeg() for name in (names if year == "2007" else NAMES)},
        **{f"{top}/SegmentationClass/{name}.png": voc_mask(int(name[-1])) for name in names},
        f"{top}/SegmentationObject/p_0.png": voc_mask(1),
    }


def tar(files, mode="w"):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, format=tarfile.GNU_FORMAT) as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


VOC2012 = tar(voc_files("2012", {"train": TRAIN, "val": VAL, "trainval": ["p_0", "p_1", "p_2"]}))
TRAINVAL2007 = tar(voc_files("2007", {"train": ["p_5"], "val": ["p_6"], "trainval": ["p_5", "p_6"]}))
TEST2007 = tar(voc_files("2007", {"test": ["p_7"]}))


def sbd_files(masks=None):
    top = "benchmark_RELEASE/dataset"
    masks = {name: sbd_mask(number) for number, name in enumerate(NAMES)} | (masks or {})
    return {
        "benchmark_RELEASE/README": b"",
        f"{top}/train.txt": lines(SBD_TRAIN),
        f"{top}/val.txt": lines(SBD_VAL),
        **{f"{top}/img/{name}.jpg": jpeg() for name in masks},
        **{f"{top}/cls/{name}.mat": mat(mask) for name, mask in masks.items()},
        f"{top}/cls/._p_0.mat": b"",
        f"{top}/inst/p_0.mat": b"",
    }


class Server:
    """The archives of all sources at one server, whose answers may be cut off.

    Attributes:
        archives: name to contents.
        asked: the name and the header Range of each request.
        cut: after how many bytes the next answer is cut off.
    """

    def __init__(self):
        self.archives, self.asked, self.cut = {}, [], None

    def __call__(self, handler):
        name = handler.path.rsplit("/", 1)[-1]
        start = int((handler.headers.get("Range") or "bytes=0-")[6:-1])
        self.asked.append((name, start))
        data = self.archives.get(name)
        if data is None or handler.path.startswith("/gone/"):
            return handler.send_error(404)
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(data) - start))
        handler.send_header("ETag", '"1"')
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        handler.end_headers()
        handler.wfile.write(data[start : self.cut])

    def source(self, source, url, *contents):
        """`source` with `contents` as its archives."""
        archives = []
        for archive, data in zip(source.archives, contents, strict=True):
            name = archive.urls[0].rsplit("/", 1)[-1]
            self.archives[name] = data
            archives.append(archive._replace(urls=(f"{url}/{name}",), md5=hashlib.md5(data).hexdigest()))
        return source._replace(archives=tuple(archives))


@pytest.fixture
def server(serve, monkeypatch):
    """Makes tiny archives the official ones."""
    server = Server()
    url = serve(server, "pascal")
    for name, contents in {"voc2012": [VOC2012], "voc2007": [TRAINVAL2007, TEST2007]}.items():
        monkeypatch.setitem(voc_download._VOC, name, server.source(voc_download._VOC[name], url, *contents))
    monkeypatch.setattr(voc_download, "_SBD", server.source(voc_download._SBD, url, tar(sbd_files(), "w:gz")))
    return server


@pytest.fixture
def set_sbd(server, monkeypatch):
    """Makes other files SBD."""

    def set_(files):
        url = voc_download._SBD.archives[0].urls[0].rsplit("/", 1)[0]
        monkeypatch.setattr(voc_download, "_SBD", server.source(voc_download._SBD, url, tar(files, "w:gz")))

    return set_


def files_below(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def needed(files, year):
    """Of an archive's files those that are unpacked, as seen from the folder of the year."""
    kept = ("JPEGImages", "SegmentationClass/", SEGMENTATION)
    inner = {name.removeprefix(f"VOCdevkit/VOC{year}/"): data for name, data in files.items()}
    return {name: data for name, data in inner.items() if name.startswith(kept)}


def contents_of(archive):
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar_:
        return {entry.name: tar_.extractfile(entry).read() for entry in tar_}


@pytest.mark.parametrize("kind", ["empty", "new", "default", "after a download that was killed"])
def test_voc2012_is_downloaded_once(server, tmp_path, monkeypatch, kind):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = {"default": None, "empty": tmp_path}.get(kind, tmp_path / "new" / "folder")
    if kind.startswith("after"):
        (root / ".slimft-x1y2z3").mkdir(parents=True)
    for _ in range(2):
        folder = fetch("voc2012", root)
    assert folder == (root or tmp_path / "cache/slimft/voc2012") / "VOCdevkit/VOC2012"
    assert files_below(folder) == needed(contents_of(VOC2012), "2012")
    assert server.asked == [("VOCtrainval_11-May-2012.tar", 0)]
    assert not list(folder.parents[1].glob("*.tar*"))


def test_voc2007_is_of_two_archives_and_stands_beside_2012(server, tmp_path):
    other = fetch("voc2012", tmp_path)
    folder = fetch("voc2007", tmp_path)
    assert folder == tmp_path / "VOCdevkit/VOC2007" and other.is_dir()
    expected = needed(contents_of(TRAINVAL2007) | contents_of(TEST2007), "2007")
    assert files_below(folder) == expected and f"{SEGMENTATION}/test.txt" in expected
    assert [name for name, _ in server.asked[1:]] == ["VOCtrainval_06-Nov-2007.tar", "VOCtest_06-Nov-2007.tar"]


@pytest.mark.parametrize("part", ["", "VOCdevkit", "VOCdevkit/VOC2012"])
def test_a_folder_with_voc_is_taken_as_it_is(server, tmp_path, part):
    folder = fetch("voc2012", tmp_path / "data")
    server.archives.clear()
    assert fetch("voc2012", tmp_path / "data" / part) == folder


def test_a_download_that_was_cut_goes_on(server, tmp_path):
    server.cut = len(VOC2012) // 2
    with pytest.raises(DataError, match="it stopped at .* run the same command again to continue"):
        fetch("voc2012", tmp_path)
    assert not (tmp_path / "VOCdevkit").exists()
    server.cut, server.asked = None, []
    assert fetch("voc2012", tmp_path).is_dir()
    assert server.asked == [("VOCtrainval_11-May-2012.tar", len(VOC2012) // 2)]


def test_the_next_server_is_asked_if_one_has_nothing(server, tmp_path, monkeypatch, capfd):
    source = voc_download._VOC["voc2012"]
    (archive,) = source.archives
    nowhere = archive.urls[0].replace("/pascal/", "/gone/", 1)
    archives = (archive._replace(urls=(nowhere, *archive.urls)),)
    monkeypatch.setitem(voc_download._VOC, "voc2012", source._replace(archives=archives))
    fetch("voc2012", tmp_path)
    assert server.asked == [("VOCtrainval_11-May-2012.tar", 0)] * 2
    assert f"cannot download {nowhere}: Not Found; another server may have it\n" in capfd.readouterr().err


def test_an_archive_that_is_there_is_unpacked_and_kept(server, tmp_path):
    (tmp_path / "VOCtrainval_11-May-2012.tar").write_bytes(VOC2012)
    fetch("voc2012", tmp_path)
    assert not server.asked and (tmp_path / "VOCtrainval_11-May-2012.tar").exists()


def test_an_archive_with_another_md5_is_refused(server, tmp_path):
    server.archives["VOCtrainval_11-May-2012.tar"] = VOC2012[:-1] + b"x"
    with pytest.raises(DataError, match="VOCtrainval_11-May-2012.tar has MD5 [0-9a-f]{32}, not [0-9a-f]{32}; try"):
        fetch("voc2012", tmp_path)
    assert not list(tmp_path.iterdir())
    own = tmp_path / "VOCtrainval_11-May-2012.tar"
    own.write_bytes(b"mine")
    with pytest.raises(DataError, match="has MD5 .*; remove it, and it is downloaded"):
        fetch("voc2012", tmp_path)
    assert own.read_bytes() == b"mine"


@pytest.mark.parametrize("name", ["notes.txt", "images"])
def test_a_folder_of_other_things_is_refused(server, tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(DataError, match="holds no PASCAL VOC 2012: expected VOCdevkit/VOC2012") as raised:
        fetch("voc2012", tmp_path)
    assert "\n" not in str(raised.value) and not server.asked


def test_a_file_instead_of_a_folder_is_refused(server, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DataError, match="cannot have PASCAL VOC 2012 in .*file"):
        fetch("voc2012", tmp_path / "file")


def test_a_part_of_voc_is_refused(server, tmp_path):
    (fetch("voc2012", tmp_path) / SEGMENTATION / "val.txt").unlink()
    for root in (tmp_path, tmp_path / "VOCdevkit", tmp_path / "VOCdevkit/VOC2012"):
        with pytest.raises(DataError, match=f"not all of PASCAL VOC 2012: it lacks {SEGMENTATION}/val.txt;"):
            fetch("voc2012", root)


def test_unpacking_that_is_cut_off_leaves_no_data_set(server, tmp_path, monkeypatch):
    def die(folder):
        assert any(folder.rglob("*.jpg"))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(voc_download, "sync_files_below", die)
        with pytest.raises(KeyboardInterrupt):
            fetch("voc2012", tmp_path)
    assert not list(tmp_path.rglob("VOC2012"))
    assert fetch("voc2012", tmp_path).is_dir()
    assert len(server.asked) == 1


@pytest.mark.parametrize("contents", [{"VOCdevkit/VOC2012/../../../x": b""}, {"/x": b""}, {"x": b""}])
def test_an_archive_that_is_hostile_or_another_one(server, tmp_path, monkeypatch, contents):
    source = voc_download._VOC["voc2012"]
    url = source.archives[0].urls[0].rsplit("/", 1)[0]
    monkeypatch.setitem(voc_download._VOC, "voc2012", server.source(source, url, tar(contents)))
    with pytest.raises(DataError, match="not safe to unpack|not all of PASCAL VOC 2012"):
        fetch("voc2012", tmp_path / "root")
    assert [path.name for path in tmp_path.iterdir()] == ["root"] and not list(tmp_path.rglob("x"))


def pixels(file):
    with Image.open(file) as image:
        assert image.mode == "P" and image.getpalette() == voc_palette()
        return np.asarray(image)


def test_the_augmented_list_and_its_masks(server, tmp_path):
    voc = fetch("voc2012", tmp_path / "voc")
    before = files_below(voc)
    for _ in range(2):
        assert fetch_sbd(voc, tmp_path / "sbd") == voc / SEGMENTATION / "train_aug.txt"
    after = files_below(voc)
    # Those of SBD too, but not VOC's val, which SBD trains on.
    names = ["p_0", "p_2", "p_3", "p_4"]
    assert after[f"{SEGMENTATION}/train_aug.txt"] == lines(names)
    masks = {f"SegmentationClassAug/{name}.png" for name in names}
    assert after.keys() - before.keys() == masks | {f"{SEGMENTATION}/train_aug.txt"}
    for number, name in enumerate(NAMES):
        file = voc / "SegmentationClassAug" / f"{name}.png"
        if name in TRAIN:
            assert file.read_bytes() == before[f"SegmentationClass/{name}.png"]
        elif name not in VAL:
            np.testing.assert_array_equal(pixels(file), sbd_mask(number))
    dataset = tmp_path / "sbd/benchmark_RELEASE/dataset"
    assert sorted(path.name for path in dataset.iterdir()) == ["cls", "train.txt", "val.txt"]
    assert sorted(path.name for path in (dataset / "cls").iterdir()) == [f"{name}.mat" for name in NAMES]
    assert [name for name, _ in server.asked] == ["VOCtrainval_11-May-2012.tar", "benchmark.tgz"]


def test_sbd_goes_to_the_caches(server, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    fetch_sbd(fetch("voc2012"))
    assert (tmp_path / "slimft/sbd/benchmark_RELEASE/dataset/cls").is_dir()


def test_converting_that_was_cut_off_goes_on(server, tmp_path, monkeypatch):
    voc = fetch("voc2012", tmp_path / "voc")
    read, done = voc_download._sbd_mask, []

    def once(file, image_file):
        if len(done) == 1:
            raise KeyboardInterrupt
        done.append(file.name)
        return read(file, image_file)

    with monkeypatch.context() as patch:
        patch.setattr(voc_download, "_sbd_mask", once)
        with pytest.raises(KeyboardInterrupt):
            fetch_sbd(voc, tmp_path / "sbd")
    folder = voc / "SegmentationClassAug"
    assert sorted(path.name for path in folder.iterdir()) == ["p_0.png", "p_2.png", "p_3.png"]
    assert not (voc / SEGMENTATION / "train_aug.txt").exists()
    (folder / "p_3.png").write_bytes(b"kept")
    fetch_sbd(voc, tmp_path / "sbd")
    assert (folder / "p_3.png").read_bytes() == b"kept" and (folder / "p_4.png").exists()


@pytest.mark.parametrize(
    "mask, reason",
    [
        (sbd_mask(3, (WIDTH, HEIGHT)), f"{HEIGHT}x{WIDTH} pixels, and .*p_3.jpg has {WIDTH}x{HEIGHT}"),
        (sbd_mask(3, highest=21), "class 21, which is not in 0..20"),
        (sbd_mask(3).astype(float), "no matrix of bytes"),
    ],
    ids=["shape", "class", "doubles"],
)
def test_a_mask_that_does_not_fit(server, set_sbd, tmp_path, mask, reason):
    set_sbd(sbd_files({"p_3": mask}))
    voc = fetch("voc2012", tmp_path / "voc")
    with pytest.raises(DataError, match=reason) as raised:
        fetch_sbd(voc, tmp_path / "sbd")
    assert "p_3.mat" in str(raised.value) and "\n" not in str(raised.value)
    assert not (voc / SEGMENTATION / "train_aug.txt").exists()


def test_an_image_that_voc_lacks(server, tmp_path):
    voc = fetch("voc2012", tmp_path / "voc")
    (voc / "JPEGImages/p_4.jpg").unlink()
    with pytest.raises(DataError, match="p_4.jpg"):
        fetch_sbd(voc, tmp_path / "sbd")


@pytest.mark.parametrize("names", [b"../../p_0\n", b"/etc/passwd\n", b"p_0.jpg\n", b"\xff\n", b"x" * 65])
def test_a_list_of_anything_else(server, set_sbd, tmp_path, names):
    set_sbd(sbd_files() | {"benchmark_RELEASE/dataset/val.txt": names})
    voc = fetch("voc2012", tmp_path / "voc")
    with pytest.raises(DataError, match="val.txt is no list of images"):
        fetch_sbd(voc, tmp_path / "sbd")


def test_the_official_sources():
    for source in (*voc_download._VOC.values(), voc_download._SBD):
        for archive in source.archives:
            assert len(archive.md5) == 32 and int(archive.md5, 16)
            assert len({pathlib.PurePosixPath(url).name for url in archive.urls}) == 1
            assert archive.urls[0].startswith("https://")
