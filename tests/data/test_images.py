"""Image files of every kind against the pixels they were made of, and damaged ones against one clear line."""

import io
import os
import struct
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from slimft import DataError
from slimft.compat import tf
from slimft.data import images
from slimft.data.image_formats import find_images
from slimft.data.images import central_square, read_image, read_square

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (5, 7, 3), np.uint8)
# Flat squares, aligned with the blocks of a JPEG, so that it keeps their colours.
BLOCKS = np.kron(RNG.integers(0, 256, (2, 3, 3)), np.ones((16, 16, 1))).astype(np.uint8)

# EXIF 2.3, table 6: where the stored image's first row and first column belong in the upright one.
FIRST_ROW_AND_COLUMN = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}


def saved(path, picture, format=None, **options):
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(picture)
    picture.save(path, format, **options)
    return path


def png_header(width, height):
    """A PNG of that many pixels, of which there are none."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def stored_as(upright, orientation):
    """The rows and columns that a file of that orientation has of an upright image."""
    sides = FIRST_ROW_AND_COLUMN[orientation]
    if sides[0] in ("left", "right"):
        upright = upright.transpose(1, 0, 2)
    for axis, side in enumerate(sides):
        if side in ("bottom", "right"):
            upright = np.flip(upright, axis)
    return np.ascontiguousarray(upright)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "webp", "jpg"])
@pytest.mark.parametrize("named", ["right", "wrong"])
def test_colour_whatever_the_suffix(tmp_path, suffix, named):
    lossy = suffix == "jpg"
    options = {"quality": 95, "subsampling": 0} if lossy else {"lossless": True} if suffix == "webp" else {}
    source = BLOCKS if lossy else RGB
    path = tmp_path / f"image.{suffix if named == 'right' else 'txt'}"
    kind = {"tif": "tiff", "jpg": "jpeg"}.get(suffix, suffix)
    actual = read_image(str(saved(path, source, kind, **options)))
    assert actual.dtype == np.uint8 and actual.shape == source.shape
    np.testing.assert_allclose(actual.astype(int), source, rtol=0, atol=6 if lossy else 0)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff"])
def test_exif_orientation(tmp_path, kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"jpeg": {"quality": 95, "subsampling": 0}, "webp": {"lossless": True}}.get(kind, {})
    path = saved(tmp_path / "image", stored_as(BLOCKS, orientation), kind, exif=exif, **options)
    atol = 6 if kind == "jpeg" else 0
    np.testing.assert_allclose(read_image(path).astype(int), BLOCKS, rtol=0, atol=atol)


@pytest.mark.parametrize("value", [0, 9, 77])
def test_an_orientation_that_does_not_exist_is_none(tmp_path, value):
    exif = Image.Exif()
    exif[0x0112] = value
    np.testing.assert_array_equal(read_image(saved(tmp_path / "a.png", RGB, exif=exif)), RGB)


def test_damaged_exif_does_not_matter(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, "png", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x09broken")
    (tmp_path / "a.png").write_bytes(buffer.getvalue())
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), RGB)


def test_grey_and_one_bit(tmp_path):
    grey = RGB[..., 0]
    expected = np.repeat(grey[..., np.newaxis], 3, 2)
    np.testing.assert_array_equal(read_image(saved(tmp_path / "grey.png", grey)), expected)
    bits = expected > 127
    for kind in ("png", "tiff", "bmp"):
        actual = read_image(saved(tmp_path / "bits", Image.fromarray(grey > 127), kind))
        np.testing.assert_array_equal(actual, np.where(bits, 255, 0))


@pytest.mark.parametrize("kind", ["png", "tiff", "big-endian tiff"])
def test_16_bit_grey_is_scaled_not_clipped(tmp_path, kind):
    values = np.array([[0, 128, 129, 255, 256, 257], [32767, 32768, 40000, 65278, 65407, 65535]], np.uint16)
    picture = Image.fromarray(values)
    if kind.startswith("big"):
        picture = Image.frombytes("I;16B", (6, 2), values.astype(">u2").tobytes())
    actual = read_image(saved(tmp_path / "grey", picture, kind.split()[-1]))
    expected = np.round(values * (255 / 65535))
    np.testing.assert_array_equal(actual, np.repeat(expected[..., np.newaxis], 3, 2))


def test_32_bit_pixels_are_refused(tmp_path):
    for dtype in (np.int32, np.float32):
        path = saved(tmp_path / "a.tif", np.full((2, 2), 70000, dtype))
        with pytest.raises(DataError, match=r"a\.tif.*32 bits.*save it with 8 or 16"):
            read_image(path)


@pytest.mark.parametrize("kind, mode", [("png", "LA"), ("png", "RGBA"), ("webp", "RGBA"), ("tiff", "RGBA")])
def test_what_is_transparent_is_white(tmp_path, kind, mode):
    alpha = RNG.integers(0, 256, (5, 7, 1), np.uint8)
    alpha[0], alpha[1] = 0, 255
    colours = RGB[..., :1] if mode == "LA" else RGB
    picture = Image.fromarray(np.concatenate([colours, alpha], 2), mode)
    options = {"lossless": True, "exact": True} if kind == "webp" else {}
    actual = read_image(saved(tmp_path / "image", picture, kind, **options))
    share = alpha / 255
    expected = np.broadcast_to(colours * share + 255 * (1 - share), RGB.shape)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1)
    np.testing.assert_array_equal(actual[0], 255)


def test_a_palette_with_transparency(tmp_path):
    picture = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8), "P")
    picture.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200])
    expected = np.array([[[200, 0, 0], [255] * 3], [[0, 0, 200], [255] * 3]])
    for kind in ("png", "gif"):
        path = saved(tmp_path / "image", picture, kind, transparency=1)
        np.testing.assert_array_equal(read_image(path), expected, err_msg=kind)
    shares = saved(tmp_path / "shares.png", picture, transparency=bytes([255, 0, 51]))
    expected[1, 0] = [204, 204, 244]  # A fifth of the blue, on white.
    np.testing.assert_array_equal(read_image(shares), expected)


@pytest.mark.parametrize("mode, colour", [("L", 70), ("RGB", (10, 20, 30)), ("I;16", 60000)])
def test_a_colour_that_stands_for_transparency(tmp_path, mode, colour):
    picture = Image.new(mode, (2, 1), colour)
    picture.putpixel((1, 0), (1, 2, 3) if mode == "RGB" else 257 if mode == "I;16" else 1)
    actual = read_image(saved(tmp_path / "a.png", picture, transparency=colour))
    np.testing.assert_array_equal(actual, [[[255] * 3, [1, 2, 3] if mode == "RGB" else [1] * 3]])


def test_cmyk(tmp_path):
    ink = (40, 120, 200, 30)
    expected = [round((255 - part) * (255 - ink[3]) / 255) for part in ink[:3]]
    for kind in ("jpeg", "tiff"):
        actual = read_image(saved(tmp_path / "image", Image.new("CMYK", (16, 8), ink), kind))
        assert actual.shape == (8, 16, 3)
        np.testing.assert_allclose(actual, np.broadcast_to(expected, (8, 16, 3)), rtol=0, atol=4, err_msg=kind)


@pytest.mark.parametrize("kind", ["gif", "png", "webp", "tiff", "mpo"])
def test_the_first_picture_of_several(tmp_path, kind):
    first, second = Image.new("RGB", (4, 3), (255, 0, 0)), Image.new("RGB", (4, 3), (0, 0, 255))
    options = {"lossless": True} if kind == "webp" else {}
    path = saved(tmp_path / "image", first, kind, save_all=True, append_images=[second], **options)
    atol = 3 if kind == "mpo" else 0  # JPEGs in one file, as some cameras write them.
    np.testing.assert_allclose(read_image(path).astype(int), first, rtol=0, atol=atol)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "CMYK", "I;16", "1"])
def test_bands_make_no_difference(tmp_path, monkeypatch, mode, orientation):
    """A picture that is converted in one piece, and one that is in many."""
    picture = Image.fromarray(RNG.integers(0, 256, (61, 83, 3), np.uint8))
    options = {"transparency": 3} if mode == "P" else {}
    if mode == "I;16":
        picture = Image.fromarray(RNG.integers(0, 1 << 16, (61, 83), np.uint16))
    elif mode != "RGB":
        picture = picture.convert(mode)
    if mode.endswith("A"):
        picture.putalpha(Image.fromarray(RNG.integers(0, 256, (61, 83), np.uint8)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / "image", picture, "tiff" if mode == "CMYK" else "png", exif=exif, **options)
    sizes = [(5, 1.0), (24, 0.9), (24, 0.3), (90, 1.0)]
    whole, squares = read_image(path), [read_square(path, *size) for size in sizes]
    assert whole.shape == ((61, 83, 3) if orientation < 5 else (83, 61, 3))
    for square, size in zip(squares, sizes):
        np.testing.assert_array_equal(square, np.rint(central_square(whole, *size)))
    monkeypatch.setattr(images, "_BAND_PIXELS", 200)
    monkeypatch.setattr(images, "_RESIZED_PIXELS", 60)
    np.testing.assert_array_equal(read_image(path), whole)
    for square, size in zip(squares, sizes):
        np.testing.assert_array_equal(read_square(path, *size), square)


@pytest.mark.parametrize("orientation", [1, 3, 6, 7, 8])
@pytest.mark.parametrize("height, width", [(427, 640), (427, 331), (575, 769)])
@pytest.mark.parametrize("size", [48, 96, 160])
def test_a_jpeg_at_a_fraction_of_an_odd_size_shows_the_same_place(tmp_path, size, height, width, orientation):
    """Its last pixels are of a part of a square only: what counts them as whole shifts the picture."""
    rows, columns = np.mgrid[:height, :width] * (2 * np.pi / 150)
    waves = np.stack([128 + 100 * np.sin(rows), 128 + 100 * np.sin(columns), 0 * rows + 128], 2).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / "waves.jpg", waves, quality=98, subsampling=0, exif=exif)
    # Of a PNG all is decoded.
    whole = saved(tmp_path / "waves.png", waves, exif=exif)
    difference = read_square(path, size).astype(int) - read_square(whole, size)
    assert np.abs(difference).mean() < 1


def test_files_that_are_read_at_once_and_not(tmp_path, monkeypatch):
    path = saved(tmp_path / "a.jpg", RNG.integers(0, 256, (40, 60, 3), np.uint8))
    expected = read_image(path)
    monkeypatch.setattr(images, "_SMALL_FILE_BYTES", 0)
    np.testing.assert_array_equal(read_image(path), expected)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("options", [{"lossless": True}, {"lossless": True, "exact": True}, {"quality": 60}])
def test_webp_is_the_same_from_pillow_and_from_its_library(tmp_path, monkeypatch, mode, options):
    assert images.decode_still(b"no image", 3, 3, 3) is None
    for height, width in ((1, 1), (40, 57), (63, 31)):
        pixels = RNG.integers(0, 256, (height, width, len(mode)), np.uint8)
        path = saved(tmp_path / "a.webp", pixels, **options)
        monkeypatch.setattr(images, "_BAND_PIXELS", 1 << 20)
        expected = read_image(path)
        monkeypatch.setattr(images, "_BAND_PIXELS", 0)
        decoded = images.decode_still(path.read_bytes(), width, height, len(mode))
        if "exact" in options or (mode, options) == ("RGB", {"lossless": True}):
            np.testing.assert_array_equal(decoded, pixels)
        np.testing.assert_array_equal(read_image(path), expected)


@pytest.mark.parametrize("large", [False, True])
def test_the_first_of_a_webp_animation(tmp_path, monkeypatch, large):
    monkeypatch.setattr(images, "_BAND_PIXELS", 0 if large else 1 << 20)
    first, second = Image.new("RGBA", (4, 3), (255, 0, 0, 51)), Image.new("RGBA", (4, 3), (0, 0, 255, 255))
    path = saved(tmp_path / "a.webp", first, save_all=True, append_images=[second], lossless=True)
    np.testing.assert_array_equal(read_image(path), np.broadcast_to([255, 204, 204], (3, 4, 3)))


def test_pipes_and_devices_are_told_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    os.symlink("/dev/zero", tmp_path / "zero.jpg")
    for name in ("pipe.jpg", "zero.jpg"):
        with pytest.raises(DataError, match=f"{name} cannot be read: it is no regular file"):
            read_image(tmp_path / name)


def test_a_file_that_is_too_large(tmp_path):
    with open(tmp_path / "a.webp", "wb") as stream:
        stream.write(noise("webp"))
        stream.truncate(images.MOST_FILE_BYTES + 1)
    with pytest.raises(DataError, match="a.webp cannot be read: it has 1073741825 bytes, more than the 1073741824"):
        read_image(tmp_path / "a.webp")


def noise(kind):
    buffer = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (24, 24, 3), np.uint8)).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize("share", [0.25, 0.5, 0.9])
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "gif", "bmp", "tiff"])
def test_truncated(tmp_path, kind, share):
    path = tmp_path / "image"
    content = noise(kind)
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError) as caught:
        read_image(path)
    assert str(caught.value).startswith(f"{path} ") and "\n" not in str(caught.value)


def test_files_that_are_no_images(tmp_path):
    path = tmp_path / "image.jpg"
    for content, reason in ((b"", "is empty"), (b"words\n" * 50, "no image of a kind"), (b"\0" * 9, "no image of")):
        path.write_bytes(content)
        with pytest.raises(DataError, match=f"^{path} .*{reason}"):
            read_image(path)
    with pytest.raises(DataError, match="nowhere.jpg cannot be read: No such file"):
        read_image(tmp_path / "nowhere.jpg")
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        read_image(tmp_path)


@pytest.mark.parametrize("width, height", [(100_000, 100_000), (10_001, 10_000), (2**31 - 1, 2**31 - 1)])
def test_too_many_pixels(tmp_path, width, height):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(width, height))
    with warnings.catch_warnings(), pytest.raises(DataError, match=r"bomb.png cannot .*than 100 million"):
        warnings.simplefilter("ignore")
        read_image(path)


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "large webp", "gif", "bmp", "tiff"])
def test_any_damage_is_an_image_or_one_line(tmp_path_factory, capfd, monkeypatch, kind):
    whole, path = noise(kind.split()[-1]), tmp_path_factory.mktemp("damage") / "image"
    if kind.startswith("large"):
        monkeypatch.setattr(images, "_BAND_PIXELS", 0)

    @settings(max_examples=300, deadline=None)
    @given(st.integers(0, len(whole)), st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255))))
    def check(length, changes):
        content = bytearray(whole)
        for place, value in changes:
            content[place] = value
        path.write_bytes(content[:length])
        try:
            pixels = read_image(path)
        except DataError as error:
            assert str(error).startswith(f"{path} ") and "\n" not in str(error)
        else:
            assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3

    check()
    assert capfd.readouterr().err == ""


def test_a_large_jpeg_is_decoded_smaller_but_not_too_small(tmp_path):
    picture = Image.fromarray(BLOCKS).resize((1200, 800), Image.Resampling.BICUBIC)
    path = saved(tmp_path / "a.jpg", picture, quality=95)
    whole = read_image(path)
    shapes = {shorter: read_image(path, shorter).shape[:2] for shorter in (801, 401, 400, 200, 150, 100, 10)}
    assert shapes == {
        801: (800, 1200),
        401: (800, 1200),
        400: (400, 600),
        200: (200, 300),
        150: (200, 300),
        100: (100, 150),
        10: (100, 150),
    }
    means = whole.reshape(200, 4, 300, 4, 3).mean((1, 3))
    assert np.abs(read_image(path, 200) - means).mean() < 1


def tensorflows(pixels, size):
    with tf.Graph().as_default(), tf.Session() as session:
        resized = tf.compat.v2.image.resize(pixels, [size, size], "bilinear", antialias=False)
        return session.run(resized)


@pytest.mark.parametrize("side", [1, 2, 8, 17, 31, 32, 33, 48, 63, 64])
def test_a_square_is_resized_as_in_evaluation(side):
    pixels = RNG.integers(0, 256, (side, side, 3), np.uint8)
    actual = central_square(pixels, 32, 1.0)
    assert actual.dtype == np.float32 and actual.shape == (32, 32, 3)
    np.testing.assert_allclose(actual, tensorflows(pixels, 32), rtol=0, atol=0.01)


@pytest.mark.parametrize("height, width", [(40, 57), (57, 40), (40, 40), (41, 64)])
def test_a_crop_at_the_images_own_scale_is_a_part_of_it(height, width):
    pixels = RNG.integers(0, 256, (height, width, 3), np.uint8)
    actual = central_square(pixels, 24, 24 / min(height, width))
    top, left = (height - 24) // 2, (width - 24) // 2
    np.testing.assert_allclose(actual, pixels[top : top + 24, left : left + 24], rtol=0, atol=0.01)


@pytest.mark.parametrize("factor", [2, 3, 4, 7])
def test_reducing_by_a_whole_number_takes_means(factor):
    pixels = RNG.integers(0, 256, (8 * factor, 12 * factor, 3), np.uint8)
    means = pixels.reshape(8, factor, 12, factor, 3).mean((1, 3))
    actual = central_square(pixels, 8, 1.0)
    # Pillow rounds the means to bytes.
    np.testing.assert_allclose(actual, means[:, 2:10], rtol=0, atol=0.6)


@pytest.mark.parametrize("height, width, size", [(150, 225, 112), (250, 175, 16), (97, 255, 50), (60, 80, 224)])
@pytest.mark.parametrize("crop", [1.0, 0.875, 0.3])
def test_each_pixel_comes_from_its_place(height, width, size, crop):
    """In an image whose value is its place, each pixel of the result tells where it was taken from."""
    rows, columns = np.mgrid[:height, :width]
    actual = central_square(np.stack([rows, columns, 0 * rows], 2).astype(np.uint8), size, crop)
    step = min(height, width) * crop / size
    for axis, side in ((0, height), (1, width)):
        line = actual.mean(axis=1 - axis)[:, axis]
        inner = slice(size // 8, -size // 8)  # The border repeats.
        first = (line - (np.arange(size) + 0.5) * step + 0.5)[inner]
        np.testing.assert_allclose(first, first.mean(), atol=0.6)  # What is reduced is rounded to bytes.
        assert abs(first.mean() - (side - size * step) / 2) <= 0.51 * step + 0.25


def test_details_too_fine_to_show_become_grey():
    board = np.indices((800, 800)).sum(0) % 2 * 255
    actual = central_square(np.repeat(board[..., np.newaxis], 3, 2).astype(np.uint8), 100, 1.0)
    np.testing.assert_allclose(actual, 127.5, atol=1)


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 40), st.floats(0.01, 1), st.integers(0, 2**32 - 1))
def test_any_size_and_crop(height, width, size, crop, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    actual = central_square(pixels, size, crop)
    assert actual.shape == (size, size, 3) and actual.dtype == np.float32
    assert pixels.min() - 0.01 <= actual.min() and actual.max() <= pixels.max() + 0.01


def test_finding_images(tmp_path):
    files = ("b.JPG", "a.png", "notes.txt", ".hidden.png", "sub/c.webp", "sub/.git/d.png", "e.tiff/x.gif", "z.jpg~")
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    expected = ["a.png", "b.JPG", "e.tiff/x.gif", "sub/c.webp"]
    images, others = find_images(tmp_path)
    assert images == [str(tmp_path / name) for name in expected] and not set(images) & set(others)
    assert find_images(str(tmp_path / "sub" / ".git")) == ([str(tmp_path / "sub/.git/d.png")], [])
    with pytest.raises(DataError, match="nowhere cannot be read"):
        find_images(tmp_path / "nowhere")
    reported = []
    assert find_images(tmp_path / "nowhere", reported.append) == ([], []) and len(reported) == 1
