"""Images with masks as a dataset: batches, sizes, weights of classes, and what a run records of them."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from slimft.data import DataOptions, load_dataset, load_for_evaluation, pair_files, segmentation
from slimft.data.fingerprint import Fingerprint, changes, leave_out
from slimft.data.image_files import FileSource
from slimft.data.masks import VOID
from slimft.data.pair_files import Masks, Pair, PairFiles, scaled, seen_size
from slimft.data.segmentation import SegmentationDataset
from slimft.errors import DataError, SlimftError

# What a pixel of each class looks like, so that an image tells its mask.
COLOURS = np.array([[250, 10, 10], [10, 240, 10], [10, 10, 230]], np.uint8)


def sources(count, suffix):
    return [FileSource(f"{index}.{suffix}") for index in range(count)]


def dataset_of(sizes, pixels, longest_side=1024):
    """A dataset of files that are not there."""
    sizes, pixels = np.array(sizes, np.int32), np.array(pixels, np.int64)
    masks = Masks(sources(len(sizes), "png"), {}, np.arange(256, dtype=np.uint8), sizes, pixels)
    names = tuple(f"c{number}" for number in range(pixels.shape[1]))
    files = PairFiles(
        [Pair(image, masks, index, longest_side) for index, image in enumerate(sources(len(sizes), "jpg"))]
    )
    return SegmentationDataset("voc", "train", files, masks, names, longest_side)


def blocks(seed, shape, side=4):
    """A mask in squares of one class each."""
    rows, columns = (-(-length // side) for length in shape)
    small = np.random.default_rng(seed).integers(0, 3, (rows, columns), np.uint8)
    return np.kron(small, np.ones((side, side), np.uint8))[: shape[0], : shape[1]]


@pytest.fixture
def many_sizes(tmp_path, pairs):
    shapes = [(1, 1), (1, 9), (7, 1), (12, 20), (20, 12), (31, 17), (12, 20)]
    for index, shape in enumerate(shapes):
        mask = blocks(index, shape)
        pairs.save(tmp_path, f"b_{index}", mask, COLOURS[mask])
    (tmp_path / "classes.txt").write_text("red\ngreen\nblue\n", encoding="utf-8")
    return tmp_path, shapes


def whole(root, **options):
    return load_for_evaluation("voc", root, DataOptions(**options))["all"]


sizes_of_images = st.lists(
    st.tuples(st.integers(1, 4), st.integers(1, 4)).map(lambda size: (400 * size[0], 500 * size[1])),
    min_size=1,
    max_size=30,
)


@given(sizes_of_images, st.integers(1, 9))
def test_evaluation_batches(sizes, batch_size):
    data = dataset_of(sizes, np.ones((len(sizes), 2)))
    batches = data.evaluation_batches(batch_size)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(sizes)))
    for batch in batches:
        assert 1 <= len(batch) <= batch_size and len({sizes[index] for index in batch}) == 1
        pixels = sum(np.prod(sizes[index]) for index in batch)
        assert len(batch) == 1 or pixels <= segmentation.EVALUATED_PIXELS


@given(st.lists(st.lists(st.integers(0, 50), min_size=4, max_size=4), min_size=1, max_size=8))
def test_class_weights_are_of_median_frequency(pixels):
    pixels = np.array(pixels)
    if not pixels.any():
        return
    weights = dataset_of([(20, 20)] * len(pixels), pixels).class_weights(0.9)
    frequencies = {}
    for number in range(4):
        of_class = sum(row[number] for row in pixels)
        of_images = sum(row.sum() for row in pixels if row[number])
        if of_class:
            frequencies[number] = of_class / of_images
    for number in range(4):
        if number not in frequencies:
            assert weights[number] == 0
            continue
        for other in frequencies:
            assert weights[number] / weights[other] == pytest.approx(frequencies[other] / frequencies[number])
    # The mean over all pixels.
    assert (pixels.sum(axis=0) * weights).sum() / pixels.sum() == pytest.approx(1)


def test_a_weight_by_hand():
    weights = dataset_of([(10, 10)] * 3, [[90, 10, 0], [100, 0, 0], [50, 0, 50]]).class_weights(0)
    # 240 of 300 pixels, 10 of the 100 of the only image, 50 of 100: the median is a half.
    assert weights / weights[2] == pytest.approx([0.5 / 0.8, 5, 1])


def test_batches_of_one_size_are_read_at_their_own(many_sizes):
    root, shapes = many_sizes
    data = whole(root)
    seen = []
    for batch in data.evaluation_batches(4):
        images, masks, sizes = data.read_batch(batch, (None, None, 3))
        for index, image, mask, size in zip(batch, images, masks, sizes):
            assert image.shape[:2] == mask.shape == shapes[index] == tuple(size)
            assert np.array_equal(mask, blocks(index, shapes[index])) and np.array_equal(image, COLOURS[mask])
        seen += batch.tolist()
    assert sorted(seen) == list(range(len(shapes)))


def test_training_batches_have_void_beyond_the_image(many_sizes):
    root, shapes = many_sizes
    data = whole(root)
    shape = data.image_shape(99)
    assert shape == (31, 20, 3)
    images, masks, sizes = data.read_batch(np.arange(len(shapes)), shape)
    assert images.shape == (7, *shape) and masks.shape == (7, *shape[:2]) and sizes.tolist() == [*map(list, shapes)]
    for index, (height, width) in enumerate(shapes):
        mask = blocks(index, (height, width))
        assert np.array_equal(masks[index, :height, :width], mask)
        assert np.array_equal(images[index, :height, :width], COLOURS[mask])
        outside = np.ones(shape[:2], bool)
        outside[:height, :width] = False
        assert (masks[index][outside] == VOID).all() and (images[index][outside] == (124, 117, 104)).all()


@pytest.mark.parametrize("side", [1, 5, 16])
def test_larger_images_are_scaled_with_their_masks(many_sizes, side):
    root, shapes = many_sizes
    data = whole(root, longest_side=side)
    shape = data.image_shape(99)
    assert max(shape[:2]) <= side
    images, masks, sizes = data.read_batch(np.arange(len(shapes)), shape)
    for index, (height, width) in enumerate(sizes):
        assert (height, width) == tuple(seen_size(np.array(shapes[index]), side))
        nearest = Image.fromarray(blocks(index, shapes[index])).resize((width, height), Image.Resampling.NEAREST)
        assert np.array_equal(masks[index, :height, :width], np.asarray(nearest))
        assert (masks[index, height:] == VOID).all() and (masks[index, :, width:] == VOID).all()
    # In evaluation the masks keep their size.
    images, masks, sizes = data.read_batch(np.array([5]), (None, None, 3))
    assert masks.shape == (1, 31, 17) and images.shape[1:3] == tuple(sizes[0]) == tuple(seen_size(shapes[5], side))


def test_scaled_masks_stay_where_their_images_are(tmp_path, pairs):
    mask = blocks(3, (120, 88), side=24)
    pairs.save(tmp_path, "one", mask, COLOURS[mask])
    (tmp_path / "classes.txt").write_text("red\ngreen\nblue\n", encoding="utf-8")
    data = whole(tmp_path, longest_side=50)
    images, masks, _ = data.read_batch(np.array([0]), data.image_shape(0))
    said = (images[0, :, :, np.newaxis].astype(int) - COLOURS == 0).all(axis=3)  # Away from borders.
    rows, columns = np.nonzero(said.any(axis=2))
    assert len(rows) > masks.size / 2
    assert np.array_equal(masks[0][rows, columns], said.argmax(axis=2)[rows, columns])


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 2000))
def test_seen_size(height, width, longest_side):
    rows, columns = seen_size(np.array([height, width]), longest_side).tolist()
    if max(height, width) <= longest_side:
        assert (rows, columns) == (height, width)
    else:
        assert max(rows, columns) == longest_side and min(rows, columns) >= 1
        assert abs(rows * width - columns * height) <= max(height, width) * (1 if min(rows, columns) > 1 else 2000)


def test_scaled_has_the_size_that_is_told():
    for shape in ((3, 1000), (999, 500), (2, 2)):
        assert scaled(np.zeros((*shape, 3), np.uint8), 64).shape[:2] == tuple(seen_size(np.array(shape), 64))


def test_select(many_sizes):
    root, shapes = many_sizes
    data = whole(root).select(np.array([5, 0, 3])).select(np.array([2, 0]))
    assert data.keys() == ["JPEGImages/b_3.png", "JPEGImages/b_5.png"]
    assert np.array_equal(data.masks.read(1), blocks(5, shapes[5])) and data.image_shape(0) == (31, 20, 3)
    counts = [np.bincount(blocks(index, shapes[index]).ravel(), minlength=3) for index in (3, 5)]
    assert data.counts.tolist() == sum(counts).tolist() and data.num_examples == 2 and data.num_classes == 3
    assert repr(data) == "<SegmentationDataset voc all: 2 images with masks of 3 classes>"


def test_classes_of_another_order(many_sizes):
    root, shapes = many_sizes
    data = whole(root)
    other = data.with_classes(("blue", "none", "red", "green"))
    assert data.with_classes(("red", "green", "blue")) is data
    again = other.with_classes(("red", "green", "blue"))
    for index, shape in enumerate(shapes):
        mask = blocks(index, shape)
        assert np.array_equal(other.masks.read(index), np.array([2, 3, 0])[mask])
        assert np.array_equal(again.masks.read(index), mask)
    assert other.counts.tolist() == [*data.counts[2:], 0, *data.counts[:2]]
    with pytest.raises(DataError, match="has twice: red; see"):
        data.with_classes(("red", "red", "green", "blue"))
    with pytest.raises(DataError, match="class number 300"):
        data.with_classes((*map(str, range(298)), "red", "green", "blue"))


def test_empty_and_void_splits():
    with pytest.raises(DataError, match="voc train holds no images"):
        dataset_of(np.zeros((0, 2)), np.zeros((0, 2)))
    with pytest.raises(DataError, match="all pixels of its masks are void"):
        dataset_of([(3, 3)], [[0, 0]])


# What changes.


@pytest.mark.parametrize("how", ["size", "class", "void", "place"])
def test_a_mask_that_changes_after_it_was_looked_at(many_sizes, pairs, how):
    root, shapes = many_sizes
    data = whole(root)
    mask = blocks(5, shapes[5])
    changed = {
        "size": mask[:-1],
        "class": np.where(mask == 1, 2, mask),
        "void": np.where(np.arange(mask.size).reshape(mask.shape) == 7, 255, mask),
        # One pixel of a class that the mask has anyway.
        "place": np.where(np.arange(mask.size).reshape(mask.shape) == 7, (mask[0, 7] + 1) % 3, mask),
    }[how].astype(np.uint8)
    for shape in (data.image_shape(0), (None, None, 3)):
        data.read_batch(np.array([5]), shape)
    pairs.palette(changed).save(root / "SegmentationClass/b_5.png")
    for shape in (data.image_shape(0), (None, None, 3)):
        with pytest.raises(DataError, match=r"b_5\.png has changed since it was looked at; repeat the command"):
            data.read_batch(np.array([5]), shape)


def test_an_image_that_changes_or_goes(many_sizes):
    root, _ = many_sizes
    data = whole(root)
    Image.new("RGB", (3, 4)).save(root / "JPEGImages/b_5.png")
    with pytest.raises(DataError, match=r"JPEGImages/b_5\.png has changed"):
        data.read_batch(np.array([5]), data.image_shape(0))
    (root / "SegmentationClass/b_3.png").unlink()
    with pytest.raises(DataError, match=r"SegmentationClass/b_3\.png cannot be read: No such file"):
        data.read_batch(np.array([3]), data.image_shape(0))


@pytest.fixture
def twelve(tmp_path, pairs):
    pairs.make(tmp_path)
    return tmp_path


def fingerprint(root):
    return Fingerprint.of(load_dataset("voc", root))


def test_a_changed_mask_is_noticed(twelve, pairs):
    before = fingerprint(twelve)
    assert not changes(before, fingerprint(twelve))
    pairs.palette(pairs.mask(77)).save(twelve / "SegmentationClass/a_03.png")
    found = changes(before, fingerprint(twelve))
    assert str(found) == "1 mask has other content" and found
    pairs.palette(pairs.mask(78)).save(twelve / "SegmentationClass/a_04.png")
    (twelve / "JPEGImages/a_05.png").rename(twelve / "JPEGImages/c_05.png")
    (twelve / "SegmentationClass/a_05.png").unlink()
    pairs.palette(pairs.mask(79)).save(twelve / "SegmentationClass/c_05.png")
    found = changes(before, fingerprint(twelve))
    assert (found.masks, found.renamed, found.changed, found.added, found.removed) == (3, 1, 0, 0, 0)
    assert "3 masks have other content" in str(found)


def test_masks_are_not_counted_as_images(twelve, pairs):
    before = fingerprint(twelve)
    pairs.save(twelve, "z", pairs.mask(50))
    assert str(changes(before, fingerprint(twelve))).startswith("1 image was added")


def test_a_record_of_masks_is_read_as_it_was_written(twelve):
    before = fingerprint(twelve)
    saved = json.loads(json.dumps(before.to_json()))
    assert Fingerprint.from_json(saved, "data.json") == before
    for wrong in ([], ["x"] * len(before.splits["train"]), None):
        saved["splits"]["train"]["masks"] = wrong
        with pytest.raises(SlimftError, match="the masks of its train split are damaged"):
            Fingerprint.from_json(saved, "data.json")


def test_what_trained_is_left_out_whatever_its_mask(twelve, pairs):
    splits = load_dataset("voc", twelve)
    record = Fingerprint.of(splits)
    trained = {key.removeprefix("JPEGImages/") for key in splits["train"].keys()}
    assert len(record.trained) == len(trained)
    for name in trained:
        pairs.palette(pairs.mask(99)).save(twelve / "SegmentationClass" / name)
    left, number, names = leave_out(whole(twelve), record.trained)
    assert number == len(trained) and len(names) == min(3, number)
    assert {key.removeprefix("JPEGImages/") for key in left.keys()} == {
        f"a_{i:02}.png" for i in range(12)
    } - trained
    # A mask of what trained is no image that trained.
    assert leave_out(whole(twelve), {digest for masks in record.masks.values() for digest in masks})[1] == 0


@settings(deadline=None, max_examples=20)
@given(st.permutations(range(12)))
def test_the_order_of_a_selection_is_kept(tmp_path_factory, pairs, order):
    root = tmp_path_factory.getbasetemp() / "order"
    if not root.exists():
        pairs.make(root)
    data = whole(root).select(np.array(order))
    _, masks, _ = data.read_batch(np.arange(12), (6, 8, 3))
    for place, index in enumerate(order):
        assert np.array_equal(masks[place], pairs.mask(index))


@pytest.mark.parametrize("longest_side", [1024, 16])
def test_what_is_cached_is_what_is_read(many_sizes, longest_side, monkeypatch, tmp_path_factory):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    root, shapes = many_sizes

    def read(data):
        batches = [data.read_batch(group, (None, None, 3)) for group in data.evaluation_batches(2)]
        return [*batches, data.read_batch(np.arange(len(shapes)), data.image_shape(0))]

    plain, kept = (whole(root, cache=cache, longest_side=longest_side) for cache in ("off", "on"))
    expected = read(plain)
    assert plain.prepare(0, several_passes=True) is None and kept.prepare(0, several_passes=True) is None
    opened = []
    monkeypatch.setattr(pair_files, "read_seen", lambda *arguments: opened.append(arguments))
    for one, other in zip(expected, read(kept)):
        for part, same in zip(one, other):
            np.testing.assert_array_equal(part, same)
    assert not opened
    monkeypatch.undo()


def test_a_changed_mask_or_image_is_not_taken_from_the_cache(many_sizes, monkeypatch, tmp_path_factory):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    root, _ = many_sizes
    whole(root, cache="on").prepare(0, several_passes=True)
    file = root / "SegmentationClass/b_3.png"
    image = Image.open(file)
    image.putpixel((2, 2), (image.getpixel((2, 2)) + 1) % 3)
    image.save(file)
    data = whole(root, cache="on")
    data.prepare(0, several_passes=True)
    index = next(i for i in range(data.num_examples) if "b_3" in data.describe(i))
    _, masks, _ = data.read_batch(np.array([index]), (None, None, 3))
    np.testing.assert_array_equal(masks[0], np.array(Image.open(file)))
