"""Formats and depths of image files: what Pillow and tifffile write is read as it was meant, or named."""

import io
import struct
import warnings

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, features

from slimft.data import DataOptions, load_dataset, load_for_evaluation
from slimft.data.first_bytes import what_it_is
from slimft.data.image_checks import check_images
from slimft.data.image_formats import FORMATS, SUFFIXES
from slimft.data.images import read_image
from slimft.errors import DataError

RNG = np.random.default_rng(0)
FLAT = np.full((16, 16, 3), (200, 40, 90), np.uint8)
# Pillow's name of the format, and what needs to be there.
WRITTEN = {
    ".jfif": "JPEG", ".jpe": "JPEG", ".pjpeg": "JPEG", ".pjp": "JPEG", ".mpo": "MPO", ".apng": "PNG", ".dib": None,
    ".jp2": "JPEG2000", ".j2k": "JPEG2000", ".avif": "AVIF", ".ppm": "PPM", ".pnm": "PPM", ".tiff": "TIFF",
}  # fmt: skip


def saved(path, image, kind=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(path, kind, **options)
    return path


@pytest.mark.parametrize("suffix, kind", [(suffix, kind) for suffix, kind in WRITTEN.items() if kind])
def test_every_suffix_of_what_pillow_reads(tmp_path, suffix, kind):
    if suffix not in SUFFIXES:
        pytest.skip(f"this Pillow does not read {suffix}")
    for name, shift in (("cat", 0), ("dog", 20)):
        for number in range(9):
            saved(tmp_path / name / f"{number}{suffix.upper()}", FLAT + np.uint8(shift), kind)
    data = load_for_evaluation("image_folder", tmp_path)["all"]
    assert data.num_examples == 18
    read = data.read([0, 17], (16, 16, 3)).astype(int)
    np.testing.assert_allclose(read, [FLAT, FLAT + np.uint8(20)], atol=8)


def test_formats_are_those_that_can_be_decoded_here():
    assert {"JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM"} <= set(FORMATS)
    assert ("JPEG2000" in FORMATS) == bool(features.check("jpg_2000"))
    # None that runs a program, has no signature or is of one file of others.
    assert not {"EPS", "WMF", "TGA", "PSD", "FITS", "HDF5", "PDF"} & set(FORMATS)
    assert not {".eps", ".tga", ".pfm", ".pdf"} & set(SUFFIXES)
    assert {".jpg", ".png", ".jfif", ".pgm"} <= set(SUFFIXES)


@pytest.mark.parametrize("kind", [kind for kind in ("JPEG2000", "AVIF", "PPM") if kind in FORMATS])
def test_any_damage_to_the_new_formats(tmp_path_factory, kind):
    buffer = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (24, 24, 3), np.uint8)).save(buffer, kind)
    whole, path = buffer.getvalue(), tmp_path_factory.mktemp("damage") / "image"

    @settings(max_examples=100, deadline=None)
    @given(st.integers(0, len(whole)), st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255))))
    def check(length, changes):
        content = bytearray(whole)
        for place, value in changes:
            content[place] = value
        path.write_bytes(content[:length])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                assert read_image(path).dtype == np.uint8
            except DataError as error:
                assert str(error).startswith(f"{path} ") and "\n" not in str(error)

    check()


def test_a_pgm_of_16_bits(tmp_path):
    """Pillow scales it by its largest value, which the file tells: a dark picture stays dark."""
    values = np.array([[0, 1000, 2000, 4095]], ">u2")
    (tmp_path / "a.pgm").write_bytes(b"P5 4 1 4095\n" + values.tobytes())
    expected = np.round(values[0] * (255 / 4095)).astype(int)
    np.testing.assert_allclose(read_image(tmp_path / "a.pgm")[0, :, 0], expected, atol=1)
    (tmp_path / "b.pgm").write_bytes(b"P5 4 1 65535\n" + values.tobytes())
    np.testing.assert_allclose(read_image(tmp_path / "b.pgm")[0, :, 0], np.round(values[0] / 257), atol=1)


def ramp(brightest):
    return np.linspace(0, brightest, 16 * 16).reshape(16, 16).astype(np.uint16)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_grey_of_fewer_bits_is_not_darkened(tmp_path, bits, byteorder, compression):
    """A camera of 12 bits writes 0..4095 into 16; tifffile writes the file."""
    values = ramp(2**bits - 1)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, values, byteorder=byteorder, compression=compression, photometric="minisblack")
    expected = np.round(values * (255 / (2**bits - 1)))
    np.testing.assert_array_equal(read_image(path), np.repeat(expected[..., np.newaxis], 3, 2))


@pytest.mark.parametrize(
    "told",
    [
        {"extratags": [(281, 3, 1, 4095, True)]},
        {"extratags": [(341, 3, 1, 4000, True)]},
        {"description": '<Image><Pixels Type="uint16" SignificantBits="12"/></Image>'},
    ],
    ids=["MaxSampleValue", "SMaxSampleValue", "OME"],
)
def test_tags_tell_how_many_bits_a_dark_picture_has(tmp_path, told):
    values = ramp(300)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="minisblack", metadata=None, **told)
    expected = np.round(values * (255 / 4095))
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif")[..., 0], expected)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif", grey_bits=16)[..., 0], expected)
    tifffile.imwrite(tmp_path / "b.tif", ramp(60000), photometric="minisblack", metadata=None, **told)
    np.testing.assert_array_equal(read_image(tmp_path / "b.tif")[..., 0], np.round(ramp(60000) / 257))


def test_pixels_of_12_bits_that_are_packed(tmp_path):
    """Two pixels in three bytes; no library at hand writes such a TIFF."""
    values = [0, 1000, 2048, 4095]
    pairs = [(one >> 4, (one & 15) << 4 | other >> 8, other & 255) for one, other in (values[:2], values[2:])]
    pixels = bytes(octet for pair in pairs for octet in pair)
    tags = [(256, 4), (257, 1), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1), (278, 1), (279, len(pixels))]
    directory = b"".join(struct.pack("<HHII", tag, 3, 1, value) for tag, value in tags)
    head = b"II*\0" + struct.pack("<I", 8 + len(pixels))
    (tmp_path / "a.tif").write_bytes(head + pixels + struct.pack("<H", len(tags)) + directory + bytes(4))
    expected = np.round(np.array(values) * (255 / 4095))
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif")[0, :, 0], expected)


def test_16_bits_that_cannot_be_read_as_they_are_meant(tmp_path):
    tifffile.imwrite(tmp_path / "colour.tif", np.repeat(ramp(4095)[..., np.newaxis], 3, 2), photometric="rgb")
    with pytest.raises(DataError, match="colour.tif cannot be read: its colours have 16 bits, but none is above"):
        read_image(tmp_path / "colour.tif")
    tifffile.imwrite(tmp_path / "colour.tif", np.repeat(ramp(65535)[..., np.newaxis], 3, 2), photometric="rgb")
    np.testing.assert_array_equal(read_image(tmp_path / "colour.tif")[..., 0], ramp(65535) >> 8)
    tifffile.imwrite(tmp_path / "negative.tif", ramp(65535), photometric="miniswhite")
    with pytest.raises(DataError, match="negative.tif cannot be read: its 16-bit pixels are a negative"):
        read_image(tmp_path / "negative.tif")


@pytest.fixture
def dark_and_bright(tmp_path):
    """A folder of pictures of 12 bits, one of which needs no more than 8."""
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(6):
            values = ramp(200 if (name, number) == ("cat", 0) else 3000 + number)
            tifffile.imwrite(tmp_path / name / f"{number}.tif", values, photometric="minisblack")
    return tmp_path


def test_all_images_of_a_dataset_are_scaled_alike(dark_and_bright):
    splits = load_dataset("image_folder", dark_and_bright, DataOptions(cache="off"))
    (note,) = check_images(splits)
    assert note.startswith("16-bit grey images use 12 bits at most, and are seen as such, 4095 as white")
    for dataset in splits.values():
        assert dataset.grey_bits == 12
        for index in range(dataset.num_examples):
            brightest = int(tifffile.imread(dataset.describe(index)).max())
            assert dataset.read([index], (16, 16, 3)).max() == round(brightest * 255 / 4095)
    given = load_dataset("image_folder", dark_and_bright, DataOptions(cache="off", grey_bits=16))
    assert check_images(given) == () and given["train"].read([0], (16, 16, 3)).max() <= 3005 // 257 + 1
    fewer = load_dataset("image_folder", dark_and_bright, DataOptions(cache="off", grey_bits=10))
    with pytest.raises(DataError, match="^11 images cannot be read: .*brightest value is 300[0-9], and"):
        check_images(fewer)
    with pytest.raises(DataError, match="brightest value is 300[0-9], and --grey_bits=10; choose --grey_bits=12"):
        fewer["train"].read(np.arange(3), (16, 16, 3))


def test_the_cache_keeps_other_bits_apart(dark_and_bright):
    def brightest(bits):
        data = load_for_evaluation("image_folder", dark_and_bright, DataOptions(cache="on", grey_bits=bits))["all"]
        data.images.prepare(16, several_passes=True)
        return data.read([11], (16, 16, 3)).max()

    assert [brightest(bits) for bits in (12, 16, 12)] == [187, 12, 187]


@pytest.mark.parametrize(
    "content, what",
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "a pointer of Git LFS; run git lfs pull"),
        (b"\n<html><head>", None),
        (b"<!DOCTYPE HTML>\n<html>", "a web page"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "a HEIC photo; convert it to JPEG"),
        (b"%PDF-1.7", "a PDF"),
        (b"\0" * 128 + b"DICM" + b"\0" * 9, "a DICOM file"),
        (b"\xff\x0a\xfa", "a JPEG XL photo"),
    ],
)
def test_what_is_no_image_is_named(tmp_path, content, what):
    path = tmp_path / "a.jpg"
    path.write_bytes(content + b" " * 300)
    with pytest.raises(DataError) as caught:
        read_image(path)
    told = "is no image of a kind that can be read" if what is None else f"is no image, but {what}"
    assert str(caught.value).startswith(f"{path} {told}")


def test_arrays_and_tensors_are_named():
    buffer = io.BytesIO()
    np.save(buffer, FLAT)
    assert what_it_is(buffer.getvalue()).startswith("a NumPy array")
    from slimft.compat import tf

    with tf.Graph().as_default(), tf.Session() as session:
        assert "encode_png" in what_it_is(session.run(tf.io.serialize_tensor(tf.constant(FLAT))))
    assert what_it_is(b"") is None and what_it_is(bytes(300)) is None
