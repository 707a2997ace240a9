"""What the graph makes of a picture is, to the bit, what slimft.data.images makes of its file."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from slimft.compat import tf
from slimft.data.images import central_square, read_image, read_square
from slimft.data.pair_files import scaled
from slimft.export.decoding import decoded, decoded_squares, orientation_of
from slimft.export.squares import central_squares, seen, whole_bytes

SIZE = 48


class Graph:
    """The functions, each in one graph, by name."""

    def __init__(self):
        self.session = tf.Session(graph=tf.Graph())
        with self.session.graph.as_default():
            self.images = tf.placeholder(tf.uint8, [None, None, None, 3])
            self.floats = tf.placeholder(tf.float32, [None, None, None, 3])
            self.encoded = tf.placeholder(tf.string, [None])
            self.made = {
                "squares": central_squares(self.images, SIZE),
                "bytes": whole_bytes(self.floats),
                "seen": seen(self.images, 64),
                "decoded_squares": decoded_squares(self.encoded, SIZE),
                "decoded": decoded(self.encoded[0]).pixels,
                "orientation": orientation_of(self.encoded[0]),
            }

    def __call__(self, name, **feeds):
        return self.session.run(self.made[name], {getattr(self, key): value for key, value in feeds.items()})

    def of_files(self, *files):
        return self("decoded_squares", encoded=np.array(files, object))


@pytest.fixture(scope="module")
def graph():
    made = Graph()
    with made.session:
        yield made


def picture(rows, columns, channels=3, seed=0):
    """Smooth colours with noise, so that every rounding and every edge shows."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : 1 : rows * 1j, 0 : 1 : columns * 1j][..., np.newaxis]
    waves = 90 * np.sin(rng.uniform(-25, 25, channels) * x + rng.uniform(-25, 25, channels) * y)
    return np.clip(128 + waves + rng.normal(0, 12, (rows, columns, channels)), 0, 255).astype(np.uint8)


def encoded(image, form="JPEG", **options):
    stream = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(stream, form, **options)
    return stream.getvalue()


def on_disk(file):
    return read_square(io.BytesIO(file), SIZE)


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(1, 400), columns=st.integers(1, 400), seed=st.integers(0, 5))
def test_squares_of_arrays_of_any_size(graph, rows, columns, seed):
    image = picture(rows, columns, seed=seed)
    expected = np.rint(central_square(image, SIZE, 1.0)).astype(np.uint8)
    np.testing.assert_array_equal(graph("squares", images=image[np.newaxis])[0], expected)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 700),
    columns=st.integers(1, 700),
    quality=st.integers(30, 98),
    subsampling=st.sampled_from([0, 1, 2]),
    orientation=st.integers(1, 8),
    progressive=st.booleans(),
)
def test_squares_of_jpegs(graph, rows, columns, quality, subsampling, orientation, progressive):
    """Also those that are decoded at a fraction of their size, and turned."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "a maker", orientation
    options = {"quality": quality, "subsampling": subsampling, "progressive": progressive, "exif": exif}
    file = encoded(picture(rows, columns), **options)
    assert graph("orientation", encoded=[file]) == orientation
    np.testing.assert_array_equal(graph.of_files(file)[0], on_disk(file))


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "RGB", "transparent palette"])
def test_squares_of_pngs(graph, mode):
    image = Image.fromarray(picture(90, 70, channels=4), "RGBA")
    options = {}
    if mode == "transparent palette":
        image, options = image.convert("RGB").quantize(40), {"transparency": 3}
    else:
        image = image.convert(mode)
    file = encoded(image, "PNG", **options)
    np.testing.assert_array_equal(graph.of_files(file)[0], on_disk(file))


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("options", [{}, {"transparency": 1}], ids=["opaque", "transparent"])
def test_squares_of_pngs_with_a_palette_of_few_bits(graph, bits, options):
    image = Image.fromarray(picture(90, 70)).quantize(2**bits)
    file = encoded(image, "PNG", bits=bits, **options)
    assert file[24] == bits
    np.testing.assert_array_equal(graph.of_files(file)[0], on_disk(file))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("behind", [False, True])
def test_squares_of_pngs_that_are_stored_turned(graph, orientation, behind):
    """With EXIF before the pixels or, as some programs write it, behind them."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = encoded(picture(90, 70), "PNG", exif=exif)
    if behind:
        start = file.index(b"eXIf") - 4
        end = start + 12 + int.from_bytes(file[start : start + 4], "big")
        file = file[:start] + file[end:-12] + file[start:end] + file[-12:]
    np.testing.assert_array_equal(graph.of_files(file)[0], on_disk(file))


@pytest.mark.parametrize("order", ["little", "big"])
@pytest.mark.parametrize(("kind", "size"), [(1, 1), (3, 2), (4, 4)])
def test_orientations_of_other_types(graph, order, kind, size):
    """A byte, which is none; a short; and a long, as a few programs write it."""

    def whole(value, octets):
        return value.to_bytes(octets, order)

    entry = whole(0x0112, 2) + whole(kind, 2) + whole(1, 4) + whole(6, size).ljust(4, b"\0")
    mark = b"II" if order == "little" else b"MM"
    exif = b"Exif\0\0" + mark + whole(42, 2) + whole(8, 4) + whole(1, 2) + entry + whole(0, 4)
    file = encoded(picture(40, 30), exif=exif)
    assert exif in file
    np.testing.assert_array_equal(graph.of_files(file)[0], on_disk(file))


def test_grey_and_cmyk_jpegs(graph):
    for mode in ("L", "CMYK"):
        file = encoded(Image.fromarray(picture(200, 130)).convert(mode), quality=90)
        np.testing.assert_array_equal(graph.of_files(file)[0], on_disk(file))


@pytest.mark.parametrize("sides", [(5, 215), (215, 5), (7, 48 * 9), (49, 333)])
def test_squares_whose_middle_is_between_two_steps(graph, sides):
    """Where the last bit of the step decides which part is seen."""
    image = picture(*sides)
    expected = np.rint(central_square(image, SIZE, 1.0)).astype(np.uint8)
    np.testing.assert_array_equal(graph("squares", images=image[np.newaxis])[0], expected)


def test_a_batch_of_files_of_several_sizes(graph):
    files = [encoded(picture(rows, 61)) for rows in (30, 61, 300)] + [encoded(picture(20, 20), "PNG")]
    found = graph.of_files(*files)
    for square, file in zip(found, files, strict=True):
        np.testing.assert_array_equal(square, on_disk(file))


def test_a_whole_image(graph):
    exif = Image.Exif()
    exif[0x0112] = 6
    file = encoded(picture(500, 300), exif=exif)
    np.testing.assert_array_equal(graph("decoded", encoded=[file]), read_image(io.BytesIO(file)))


def test_exif_that_is_damaged_or_ends_early_is_no_orientation(graph):
    exif = Image.Exif()
    exif[0x0112] = 6
    file = encoded(picture(40, 30), exif=exif)
    place = file.index(b"Exif\0\0")
    for changed in (
        file[: place + 10] + b"\xff\xff\xff\xff" + file[place + 14 :],  # Where its directory should be.
        file[: place + 6],
        b"\xff\xd8\xff",
        b"",
    ):
        assert graph("orientation", encoded=[changed]) == 1


def bomb(width, height):
    """The head of a PNG of that many pixels."""
    file = encoded(picture(4, 4), "PNG")
    return file[:16] + width.to_bytes(4, "big") + height.to_bytes(4, "big") + file[24:]


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (b"GIF89a no picture", "neither JPEG nor PNG"),
        (b"", "neither JPEG nor PNG"),
        (encoded(picture(40, 40))[:300], "."),
        (bomb(100_000, 100_000), "pixels"),
        (encoded(Image.fromarray(np.zeros([4, 4], np.uint16)), "PNG"), "16-bit grey"),
    ],
)
def test_what_cannot_be_decoded_fails(graph, file, words):
    with pytest.raises(tf.errors.InvalidArgumentError, match=words):
        graph.of_files(file)


def test_floats_are_bytes_that_someone_converted(graph):
    image = picture(5, 6)
    found = graph("bytes", floats=image[np.newaxis].astype(np.float32))
    np.testing.assert_array_equal(found[0], image)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda pixels: pixels / 255, "0..1"),
        (lambda pixels: pixels / 127.5 - 1, "0..255"),
        (lambda p: p * 3, "255"),
    ],
)
def test_floats_that_are_preprocessed_already_are_refused(graph, change, words):
    with pytest.raises(tf.errors.InvalidArgumentError, match=words):
        graph("bytes", floats=change(picture(5, 6)[np.newaxis].astype(np.float32)))


def test_black_floats_are_images(graph):
    assert not graph("bytes", floats=np.zeros([1, 2, 2, 3])).any()


def test_images_that_a_segmentation_sees_smaller(graph):
    """As Pillow makes them, but for its rounding."""
    small = picture(40, 64)
    np.testing.assert_array_equal(graph("seen", images=small[np.newaxis])[0], small)
    for rows, columns in ((65, 64), (90, 130), (100, 37)):
        image = picture(rows, columns)
        found, expected = graph("seen", images=image[np.newaxis])[0], scaled(image, 64)
        assert found.shape == expected.shape
        assert np.abs(found.astype(int) - expected).max() <= 2
