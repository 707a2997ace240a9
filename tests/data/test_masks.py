"""Masks in every kind of file: what they are read as, and what is refused."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from slimft.data import images
from slimft.data.masks import VOID, coloured, colours_of, counts_of, palette_of, read_mask
from slimft.data.overlay import overlay
from slimft.data.palette import voc_palette
from slimft.errors import DataError

MASK = np.array([[0, 1, 2, 255], [20, 3, 0, 1], [5, 5, 255, 0]], np.uint8)
COLOURS = colours_of(voc_palette(), 21)


def saved(image, kind="PNG", **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def read(content, colours=COLOURS):
    return read_mask(io.BytesIO(content), colours, "mask.png")


def refused(content, colours=COLOURS):
    with pytest.raises(DataError) as caught:
        read(content, colours)
    message = str(caught.value)
    assert message.startswith("mask.png ") and "\n" not in message
    return message


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(values, bits, colour_type=0, before=b""):
    """A PNG of packed values, which Pillow itself does not write."""
    height, width = values.shape[:2]
    if bits == 16:
        rows = values.astype(">u2")
        lines = [row.tobytes() for row in rows]
    elif bits == 8:
        lines = [row.astype(np.uint8).tobytes() for row in values]
    else:
        digits = ("".join(f"{value:0{bits}b}" for value in row) for row in values)
        lines = [int(row.ljust(-(-len(row) // 8) * 8, "0"), 2).to_bytes(-(-len(row) // 8), "big") for row in digits]
    head = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + line for line in lines))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + before + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_palette_images_have_numbers(kind):
    numbers, by_colours, several = read(saved(coloured(MASK, voc_palette()), kind))
    assert numbers.dtype == np.uint8 and np.array_equal(numbers, MASK) and not by_colours and not several


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_grey_images_have_numbers(kind):
    numbers, by_colours, _ = read(saved(Image.fromarray(MASK), kind))
    assert np.array_equal(numbers, MASK) and not by_colours


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("width", [1, 5, 8])
def test_grey_of_any_number_of_bits_is_not_scaled(bits, width):
    values = np.random.default_rng(bits).integers(0, min(2**bits, 256), (3, width))
    values[0, 0] = min(2**bits, 256) - 1
    assert np.array_equal(read(png(values, bits)).numbers, values)


@pytest.mark.parametrize("bits", [2, 4])
def test_a_tiff_of_few_bits_is_not_scaled(bits):
    values = np.arange(2**bits).reshape(2, -1)
    lines = ("".join(f"{value:0{bits}b}" for value in row) for row in values)
    data = b"".join(
        int(line.ljust(-(-len(line) // 8) * 8, "0"), 2).to_bytes(-(-len(line) // 8), "big") for line in lines
    )
    tags = [(256, values.shape[1]), (257, 2), (258, bits), (259, 1), (262, 1), (273, 8), (277, 1), (278, 2)]
    tags.append((279, len(data)))
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    start = 8 + len(data)
    content = struct.pack("<2sHI", b"II", 42, start) + data + struct.pack("<H", len(tags)) + entries + bytes(4)
    assert np.array_equal(read(content).numbers, values)


def test_a_palette_of_few_colours_is_packed():
    mask = np.array([[0, 1], [3, 2]], np.uint8)
    content = saved(coloured(mask, voc_palette()), bits=2)
    assert content[24] == 2 and np.array_equal(read(content).numbers, mask)


def test_a_transparent_colour_of_a_palette_is_still_a_number():
    assert np.array_equal(read(saved(coloured(MASK, voc_palette()), transparency=0)).numbers, MASK)


def test_a_bitmap_of_one_bit():
    assert np.array_equal(read(saved(Image.fromarray(MASK > 2), "TIFF")).numbers, MASK > 2)


def test_16_bits_above_255_are_refused():
    assert "has the value 300" in refused(png(np.array([[0, 300]]), 16))
    assert "0 to 254, and 255 for none" in refused(saved(Image.fromarray(np.array([[0, 999]], np.uint16)), "TIFF"))


def test_colours_stand_for_classes():
    content = saved(coloured(MASK, voc_palette()).convert("RGB"))
    numbers, by_colours, _ = read(content)
    assert np.array_equal(numbers, MASK) and by_colours
    opaque = saved(coloured(MASK, voc_palette()).convert("RGBA"))
    assert np.array_equal(read(opaque).numbers, MASK)


def test_colours_are_found_in_bands(monkeypatch):
    from slimft.data import masks

    mask = np.random.default_rng(0).integers(0, 21, (50, 7), np.uint8)
    monkeypatch.setattr(masks, "_BAND_PIXELS", 20)
    assert np.array_equal(read(saved(coloured(mask, voc_palette()).convert("RGB"))).numbers, mask)
    pixels = np.zeros((50, 7, 3), np.uint8)
    pixels[33, 4] = 1, 2, 3
    message = refused(saved(Image.fromarray(pixels)))
    assert "row 33, column 4 has the colour (1, 2, 3)" in message and "classes.txt" in message


def test_transparent_pixels_are_of_no_class():
    image = coloured(MASK, voc_palette()).convert("RGBA")
    image.putpixel((1, 1), (0, 0, 0, 0))
    assert "transparent" in refused(saved(image))
    grey = Image.fromarray(MASK).convert("LA")
    assert np.array_equal(read(saved(grey)).numbers, MASK)
    grey.putpixel((0, 0), (0, 100))
    assert "transparent" in refused(saved(grey))


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "PPM", "GIF"])
def test_formats_that_may_change_pixels_are_refused(kind):
    message = refused(saved(Image.fromarray(MASK).convert("RGB"), kind))
    assert f"not {kind}" in message and "PNG" in message


def test_a_tiff_with_jpeg_inside_is_refused():
    try:
        content = saved(Image.fromarray(np.zeros((16, 16), np.uint8)), "TIFF", compression="jpeg")
    except OSError:
        pytest.skip("this Pillow has no libtiff with JPEG")
    assert "jpeg compression" in refused(content)


@pytest.mark.parametrize("mode", ["CMYK", "LAB", "YCbCr"])
def test_other_kinds_of_pixels_are_refused(mode):
    assert "Pillow's mode" in refused(saved(Image.new(mode, (3, 3)), "TIFF"))


@pytest.mark.parametrize("colour_type, channels", [(2, 3), (4, 2), (6, 4)])
def test_colours_of_16_bits_are_refused(colour_type, channels):
    content = png(np.full((2, 3 * channels), 128), 16, colour_type)
    content = content[:16] + struct.pack(">II", 3, 2) + content[24:29] + content[29:]
    head = content[12:29]
    assert "16 bits" in refused(content[:29] + struct.pack(">I", zlib.crc32(head)) + content[33:])


def test_negatives_are_refused():
    out = io.BytesIO()
    Image.fromarray(MASK).save(out, "TIFF", tiffinfo={262: 0})
    if Image.open(io.BytesIO(out.getvalue())).tag_v2[262] != 0:
        pytest.skip("this Pillow writes no negatives")
    assert "0 is white" in refused(out.getvalue())


def test_a_turned_mask_is_refused():
    exif = Image.Exif()
    exif[0x0112] = 6
    assert "EXIF orientation" in refused(saved(coloured(MASK, voc_palette()), exif=exif))
    exif[0x0112] = 1
    assert np.array_equal(read(saved(coloured(MASK, voc_palette()), exif=exif)).numbers, MASK)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_of_several_pictures_the_first_counts(kind):
    first, second = (coloured(mask, voc_palette()) for mask in (MASK, MASK[::-1].copy()))
    numbers, _, several = read(saved(first, kind, save_all=True, append_images=[second]))
    assert several and np.array_equal(numbers, MASK)


def test_sizes_are_bounded(monkeypatch):
    monkeypatch.setattr(images, "MAX_PIXELS", 11)
    assert "too many pixels" in refused(saved(coloured(MASK, voc_palette())))


def test_a_bomb_of_text_is_refused_or_passed_over():
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(80 << 20)))
    content = png(MASK, 8, before=text)
    assert len(content) < 200_000
    try:
        assert np.array_equal(read(content).numbers, MASK)
    except DataError as error:
        assert "mask.png" in str(error)


def test_a_huge_picture_in_a_small_file_is_refused():
    head = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    assert "too many pixels" in refused(content)


@pytest.mark.parametrize("length", [0, 7, 20, 60, -30])
def test_a_truncated_mask_is_refused(length):
    mask = np.random.default_rng(0).integers(0, 255, (40, 40), np.uint8)
    refused(saved(Image.fromarray(mask))[:length])


VALID = [
    saved(coloured(MASK, voc_palette())),
    saved(Image.fromarray(MASK)),
    saved(coloured(MASK, voc_palette()).convert("RGBA")),
    png(MASK % 4, 2),
    saved(coloured(MASK, voc_palette()), "GIF"),
    saved(coloured(MASK, voc_palette()), "TIFF"),
    saved(Image.fromarray(MASK), "BMP"),
]


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(VALID), st.data())
def test_damaged_files_give_a_mask_or_a_line(content, data):
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(damaged[: data.draw(st.integers(1, len(damaged)))])
    if (
        data.draw(st.booleans()) and damaged.startswith(b"\x89PNG") and len(damaged) > 33
    ):  # With a head that is believed.
        damaged = damaged[:29] + struct.pack(">I", zlib.crc32(damaged[12:29])) + damaged[33:]
    try:
        numbers = read(damaged).numbers
    except DataError as error:
        assert "\n" not in str(error)
    else:
        assert numbers.dtype == np.uint8 and numbers.ndim == 2


def test_of_equal_colours_the_first_class_counts_and_void_last():
    assert colours_of([0, 0, 0] * 256, 3) == {(0, 0, 0): 0}
    assert colours_of([9, 9, 9, 0, 0, 0] + [0] * 762, 2) == {(9, 9, 9): 0, (0, 0, 0): 1}


def test_colours_that_a_palette_lacks_stand_for_nothing():
    """A PNG whose palette ends at the last class had background, which is black, taken for void."""
    palette = palette_of(io.BytesIO(saved(coloured(MASK % 4, voc_palette()[: 3 * 4]))))
    assert palette[:12] == voc_palette()[:12]
    assert colours_of(palette[:12], 4)[0, 0, 0] == 0 and VOID not in colours_of(palette[:12], 4).values()


def test_counts():
    counts = counts_of(MASK)
    assert counts.dtype == np.int64 and np.array_equal(counts, np.bincount(MASK.ravel(), minlength=256))


@pytest.mark.parametrize("shape", [(2, 65_490), (65_530, 1), (1, 1)])
def test_an_overlay_goes_into_a_jpeg(shape):
    """One of a wide image, with its legend, was wider than a JPEG can be."""
    picture = overlay(np.zeros((*shape, 3), np.uint8), np.zeros(shape, np.uint8), ["ground"], voc_palette())
    assert Image.open(io.BytesIO(saved(picture, "JPEG"))).size == picture.size


def test_an_overlay_has_the_colours_of_its_classes():
    pixels = np.full((4, 6, 3), 100, np.uint8)
    picture = np.asarray(
        overlay(pixels, np.repeat([[0, 1, 255]], 4, 0).repeat(2, 1).astype(np.uint8), "ab", voc_palette())
    )
    assert picture[0, 0].tolist() == [50, 50, 50] and picture[0, 2].tolist() == [114, 50, 50]
    assert picture[0, 4].tolist() == [100, 100, 100]  # Void.
