"""Shares of a batch: together they are, bit for bit, what is made of the batch as a whole."""

import itertools

import numpy as np
import pytest

from slimft.compat import tf
from slimft.data import Dataset, pipeline
from slimft.data.augmentation import AUGMENTATIONS, training_input
from slimft.data.masks import VOID
from slimft.data.rows import Rows
from slimft.data.segmentation_input import segmentation_input

AUGMENTS = ("none", "flip", "standard", "strong")
MIXES = ({}, {"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 0.4, "cutmix": 1.0})
SIDE, CLASSES = 12, 5


def in_parts(of, number):
    """The rows of the shares of a batch, the larger first."""
    return [slice(int(part[0]), int(part[-1]) + 1) for part in np.array_split(np.arange(of), number) if len(part)]


def divisions(of):
    """Shares of a batch as 1, 2, 3 and 4 processes have them; of very unequal sizes."""
    yield from (in_parts(of, number) for number in (1, 2, 3, 4))
    if of > 1:
        yield [slice(0, 1), slice(1, of)]


@pytest.mark.parametrize("of", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("mixed", [False, True])
def test_which_rows_are_read(of, mixed):
    for start, stop in itertools.combinations(range(of + 1), 2):
        rows = Rows(start, stop, of, mixed)
        own = list(range(start, stop))
        read = list(rows.read)
        assert rows.size == len(own) and read[: rows.size] == own
        assert len(set(read)) == len(read) and rows.made(read) == own
        # Each row's next one is where tf.roll takes it from.
        if mixed:
            following = dict(zip(read, np.roll(read, -1)))
            assert [following[row] for row in own] == [(row + 1) % of for row in own]
        else:
            assert read == own


def test_a_batch_with_a_neighbour():
    assert Rows(2, 4, 6, mixed=True).read == (2, 3, 4)
    assert Rows(4, 6, 6, mixed=True).read == (4, 5, 0)
    assert Rows(0, 6, 6, mixed=True).read == (0, 1, 2, 3, 4, 5)
    assert Rows(0, 1, 1, mixed=True).read == (0,)


@pytest.mark.parametrize("start, stop, of", [(0, 0, 4), (2, 1, 4), (-1, 2, 4), (3, 5, 4), (0, 1, 0)])
def test_rows_that_no_batch_has(start, stop, of):
    with pytest.raises(ValueError, match=f"a batch of {of} has no rows from {start} to {stop}"):
        Rows(start, stop, of)


# Reading.


class Asked(Dataset):
    """Tells which examples it is asked for, in `asked`, a list for each batch."""

    asked = None

    def read(self, indices, image_shape):
        Asked.asked.append(np.asarray(indices).tolist())
        return super().read(indices, image_shape)


@pytest.fixture
def dataset():
    images = np.random.default_rng(0).integers(0, 256, (23, 3, 2, 3), np.uint8)
    names = tuple(map(str, range(23)))
    return Asked("d", "train", images, np.arange(23, dtype=np.int32), names, None, False, 0.0)


def read(dataset, of, rows, steps=6, first=3, sampler=None):
    """What comes in some steps; and what was asked of the dataset for them."""
    Asked.asked = []
    with tf.Graph().as_default(), tf.Session() as session:
        batches = pipeline.train_batches((3, 2, 3), of, 5, rows=rows)
        number = of if rows is None else len(rows)
        assert batches.images.shape == [number, 3, 2, 3] and batches.targets.shape == [number]
        assert batches.sizes.shape == [number, 2] and batches.examples.shape == [number]
        assert {len(value) for value in batches.grey().values()} == {number}
        batches.start(session, dataset, first, sampler)
        fetched = [batches.step, batches.images, batches.targets, batches.sizes, batches.examples]
        found = [session.run(fetched) for _ in range(steps)]
    assert [int(step) for step, *_ in found] == list(range(first, first + steps))
    # What is read ahead does not count.
    return [values for _, *values in found], Asked.asked[:steps]


@pytest.mark.parametrize("of", [1, 7, 30])
def test_shares_read_what_the_whole_reads(dataset, of):
    sampler = lambda epochs, indices: (indices * 2 + epochs) % 23  # noqa: E731
    for chosen in (None, sampler) if of == 7 else (None,):
        whole, asked = read(dataset, of, None, sampler=chosen)
        for shares in divisions(of):
            parts = [read(dataset, of, Rows(part.start, part.stop, of).read, sampler=chosen) for part in shares]
            for step, values in enumerate(whole):
                for number, value in enumerate(values):
                    np.testing.assert_array_equal(np.concatenate([own[step][number] for own, _ in parts]), value)
            assert [sum((own[step] for _, own in parts), []) for step in range(6)] == asked


def test_rows_may_come_in_any_order(dataset):
    whole, _ = read(dataset, 6, None)
    some, _ = read(dataset, 6, (4, 5, 0))
    for all_of, own in zip(whole, some):
        for one, other in zip(all_of, own):
            np.testing.assert_array_equal(one[[4, 5, 0]], other)


def test_of_an_earlier_start_as_many_rows_come(dataset):
    with tf.Graph().as_default():
        batches = pipeline.train_batches((3, 2, 3), 7, 5, rows=[2, 3])
    assert [len(part) for part in batches._nothing(2)] == [2, 2, 2, 2]


# Augmentation.


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).integers(0, 256, (13, SIDE + 3, SIDE + 1, 3), np.uint8)


def evaluated(build, *arrays):
    """What a graph makes of arrays and of a seed.

    It does not know them: what is made of the seed alone, TensorFlow would compute beforehand and in another order.
    """
    with tf.Graph().as_default(), tf.Session() as session:
        arrays = [*arrays, np.array([3, 14])]
        fed = [tf.placeholder(array.dtype, [len(array), *array.shape[1:]]) for array in arrays]
        return session.run(build(*fed), dict(zip(fed, arrays)))


def same(make, of, mixed, tolerance=0.0):
    """Checks that shares of `of` rows add up to the whole; `make(rows, read)` makes them."""
    whole, made = make(None, slice(of)), {}
    for shares in divisions(of):
        for part in shares:
            rows = Rows(part.start, part.stop, of, mixed)
            if rows not in made:
                made[rows] = make(rows, list(rows.read))
        for number, expected in enumerate(whole):
            found = np.concatenate([made[Rows(part.start, part.stop, of, mixed)][number] for part in shares])
            assert found.shape == expected.shape and found.dtype == expected.dtype
            np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


# Mixing comes behind the augmentation, whichever it is; the graphs of these two take long to build.
_MIXED = [one for one in AUGMENTATIONS if one not in ("randaugment", "augmix")]


@pytest.mark.parametrize(
    "augment, mix",
    [(augment, mix) for augment in _MIXED for mix in MIXES] + [("randaugment", MIXES[3]), ("augmix", MIXES[0])],
    ids=str,
)
def test_shares_are_made_as_the_whole(images, augment, mix):
    check(images, augment, mix, of=7)


def check(images, augment, mix, of, preprocessing="inception", side=SIDE, plain=None, **options):
    labels = (np.arange(len(images)) % CLASSES).astype(np.int32)

    def make(rows, read):
        def build(images, labels, seed):
            return training_input(
                images,
                labels,
                CLASSES,
                side,
                preprocessing,
                seed,
                augment,
                True,
                0.1,
                min_area=0.4,
                label_smoothing=0.1,
                plain=None if plain is None else tf.constant(plain),
                rows=rows,
                **mix,
            )

        return evaluated(build, images[read], labels[read])

    same(make, of, bool(mix), **options)


@pytest.mark.parametrize("of", [1, 2, 4, 13])
def test_other_sizes_of_batches(images, of):
    check(images, "strong", MIXES[3], of)


@pytest.mark.parametrize("preprocessing", ["mean_subtraction", "densenet", "lenet", "cifarnet"])
def test_other_networks(images, preprocessing):
    check(images, "strong", MIXES[3], 5, preprocessing)


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("augment", ["strong", "randaugment", "augmix"])
def test_views(images, plain, augment):
    check(images, augment, {}, 6, plain=plain)


@pytest.mark.parametrize("side", [13, 66])
def test_images_whose_sums_are_not_of_whole_vectors(side):
    """What a sum over an image is rounded to depends, on a CPU, on where in the batch the image begins: of how many
    of its values are in its first vector. Where an image has no multiple of 16 values (its side is no multiple of
    4), that of another row is another. Only cifarnet's preprocessing adds up whole images.
    """
    images = np.random.default_rng(1).integers(0, 256, (7, side, side, 3), np.uint8)
    check(images, "strong", {}, 7, "cifarnet", side, tolerance=4e-6)
    check(images, "strong", {}, 7, "inception", side)


def test_mixing_needs_the_neighbour(images):
    with tf.Graph().as_default(), pytest.raises(ValueError, match="mixup and cutmix need rows that are mixed"):
        labels = np.zeros(2, np.int32)
        training_input(
            images[:2], labels, 5, 8, "inception", [0, 0], "none", True, 0.0, mixup=0.1, rows=Rows(0, 2, 4)
        )


@pytest.mark.parametrize("augment", AUGMENTS)
@pytest.mark.parametrize("of", [1, 4, 7])
def test_shares_of_images_and_masks(augment, of):
    random = np.random.default_rng(2)
    images = random.integers(0, 256, (of, 14, 17, 3), np.uint8)
    masks = random.choice(np.array([0, 1, 2, VOID], np.uint8), (of, 14, 17))
    sizes = np.stack([random.integers(3, 15, of), random.integers(3, 18, of)], axis=1).astype(np.int32)

    def make(rows, read):
        def build(images, masks, sizes, seed):
            return segmentation_input(images, masks, sizes, (10, 12), "mean_subtraction", seed, augment, True, rows)

        return evaluated(build, images[read], masks[read], sizes[read])

    same(make, of, False)


def test_nothing_is_taken_where_all_rows_are_made():
    """Fresh variables' seeds depend on how many ops come before them."""
    numbers = []
    for rows in (None, Rows(0, 4, 4)):
        with tf.Graph().as_default() as graph:
            images, labels = tf.placeholder(tf.uint8, [4, 15, 13, 3]), tf.placeholder(tf.int32, [4])
            masks, sizes = tf.placeholder(tf.uint8, [4, 15, 13]), tf.placeholder(tf.int32, [4, 2])
            seed = tf.placeholder(tf.int64, [2])
            training_input(images, labels, 5, 12, "inception", seed, "strong", True, 0.1, 0.4, rows=rows)
            segmentation_input(images, masks, sizes, (10, 12), "inception", seed, "strong", True, rows)
            numbers.append(sum(op.type == "GatherV2" for op in graph.get_operations()))
    assert numbers[0] == 0 < numbers[1]
