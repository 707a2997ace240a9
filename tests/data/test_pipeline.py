"""The order of the data: each example once an epoch, and a function of the seed and the step alone."""

import contextlib
import threading

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from tensorflow.core.framework import dataset_options_pb2

from slimft.compat import tf
from slimft.data import Dataset, pipeline
from slimft.data.image_files import FileSource, ImageFiles
from slimft.errors import DataError

few = settings(deadline=None, max_examples=10)
both = pytest.mark.parametrize("make, arguments", [(pipeline.train_batches, (4, 9)), (pipeline.eval_batches, (4,))])
sizes = st.integers(1, 60)
batch_sizes = st.integers(1, 80)
seeds = st.integers(0, 2**31 - 1)


def numbered(examples, first=0):
    """A dataset whose labels number its examples from `first` on, and whose images are random."""
    images = np.random.default_rng(first).integers(0, 256, (examples, 3, 2, 3), np.uint8)
    labels = np.arange(first, first + examples, dtype=np.int32)
    names = tuple(map(str, range(first + examples)))
    return Dataset("numbered", "train", images, labels, names, image_size=32, flip=False, max_shift=0.0)


@contextlib.contextmanager
def running(make, *arguments):
    """A session with batches: `start(dataset, first_step)`, then `take(count)` or `take()` to the end."""
    current = []
    with tf.Graph().as_default(), tf.Session() as session:
        batches = make((3, 2, 3), *arguments)

        def start(dataset, *first_step):
            current[:] = [dataset]
            batches.start(session, dataset, *first_step)

        def take(count=None):
            """The numbers of the steps, and the labels of each."""
            steps, taken = [], []
            try:
                while count is None or len(steps) < count:
                    step, images, labels = session.run([batches.step, batches.images, batches.targets])
                    assert images.dtype == np.uint8 and labels.dtype == np.int32
                    dataset = current[0]
                    np.testing.assert_array_equal(images, dataset.images[labels - dataset.labels[0]])
                    steps.append(int(step))
                    taken.append(labels.tolist())
            except tf.errors.OutOfRangeError:
                assert count is None
            return steps, taken

        yield start, take


def order(seed, examples, epochs):
    """The examples of each epoch, ``[epochs, examples]``."""
    with running(pipeline.train_batches, examples, seed) as (start, take):
        start(numbered(examples))
        return np.array(take(epochs)[1])


@few
@given(examples=sizes, batch_size=batch_sizes, seed=seeds)
@example(examples=12, batch_size=4, seed=0)
@example(examples=7, batch_size=3, seed=2**31 - 1)
@example(examples=5, batch_size=12, seed=1)
@example(examples=1, batch_size=1, seed=0)
def test_each_epoch_has_each_example_once(examples, batch_size, seed):
    epochs = 3
    with running(pipeline.train_batches, batch_size, seed) as (start, take):
        start(numbered(examples))
        steps, labels = take(-(-epochs * examples // batch_size))
    assert steps == list(range(len(steps)))
    assert all(len(batch) == batch_size for batch in labels)
    flat = np.concatenate(labels)[: epochs * examples].reshape(epochs, examples)
    np.testing.assert_array_equal(np.sort(flat), np.tile(np.arange(examples), (epochs, 1)))


@few
@given(examples=sizes, batch_size=batch_sizes, seed=seeds, first=st.integers(0, 15))
def test_a_batch_depends_on_the_seed_and_the_step_only(examples, batch_size, seed, first):
    dataset = numbered(examples)
    with running(pipeline.train_batches, batch_size, seed) as (start, take):
        start(dataset)
        steps, labels = take(first + 4)
        start(dataset, first)
        assert take(4) == (steps[first:], labels[first:])
    with running(pipeline.train_batches, batch_size, seed) as (start, take):
        start(dataset, first)
        assert take(4) == (steps[first:], labels[first:])


def test_a_run_can_start_far_on():
    with running(pipeline.train_batches, 7, 3) as (start, take):
        start(numbered(5), 10**12)
        steps, labels = take(5)
    assert steps == list(range(10**12, 10**12 + 5))
    assert sorted(np.concatenate(labels)) == sorted([*range(5)] * 7)


def test_epochs_and_seeds_differ_in_their_order():
    seeds = [0, 1, 2, 2**31 - 1]
    orders = np.concatenate([order(seed, examples=40, epochs=5) for seed in seeds])
    assert len({tuple(row) for row in orders}) == 20
    # Of two independent orders, 1 example in 40 has the same place; and an order moves an example by 13
    # places on average. The bounds leave room for a shuffle of few rounds.
    same = np.mean([np.mean(a == b) for i, a in enumerate(orders) for b in orders[:i]])
    assert same < 0.1
    assert 9 < np.abs(orders - np.arange(40)).mean() < 17


def test_an_epoch_of_cifar10s_size_has_each_example_once():
    with tf.Graph().as_default(), tf.Session() as session:
        count = tf.constant(45_000, tf.int64)
        epochs, indices = session.run(pipeline.shuffled_indices(tf.constant(2, tf.int64), 45_000, count, 5))
    np.testing.assert_array_equal(np.sort(indices), np.arange(45_000))
    np.testing.assert_array_equal(epochs, 2)


@few
@given(examples=sizes, batch_size=batch_sizes)
@example(examples=12, batch_size=4)
@example(examples=7, batch_size=3)
@example(examples=5, batch_size=12)
@example(examples=1, batch_size=1)
def test_evaluation_has_every_example_once_in_order(examples, batch_size):
    with running(pipeline.eval_batches, batch_size) as (start, take):
        start(numbered(examples))
        steps, labels = take()
    assert steps == list(range(-(-examples // batch_size)))
    assert [len(batch) for batch in labels[:-1]] == [batch_size] * (len(labels) - 1)
    assert len(labels[-1]) == (examples - 1) % batch_size + 1
    np.testing.assert_array_equal(np.concatenate(labels), np.arange(examples))


def test_evaluation_can_start_at_a_later_batch():
    with running(pipeline.eval_batches, 4) as (start, take):
        start(numbered(10), 1)
        assert take() == ([1, 2], [[4, 5, 6, 7], [8, 9]])


@pytest.mark.parametrize("examples", [1, 10, 13])
@pytest.mark.parametrize("number", [1, 2, 3, 5])
def test_evaluation_in_parts(examples, number):
    data = numbered(examples)
    batches = [batch.tolist() for batch in data.evaluation_batches(4)]
    with tf.Graph().as_default(), tf.Session() as session:
        reader = pipeline.eval_batches((3, 2, 3), 4)
        assert [batch.tolist() for batch in reader.groups(data)] == batches
        for index in range(number):
            reader.start(session, data, part=(index, number))
            for own in batches[index::number]:
                assert session.run(reader.examples).tolist() == own
            with pytest.raises(tf.errors.OutOfRangeError):
                session.run(reader.examples)


@both
def test_batches_can_start_again_with_another_dataset(make, arguments):
    with running(make, *arguments) as (start, take):
        found = []
        for dataset in (numbered(12), numbered(8, first=100), numbered(12)):
            start(dataset)
            steps, labels = take(dataset.num_examples // 4)
            assert steps == list(range(dataset.num_examples // 4))
            assert sorted(np.concatenate(labels)) == dataset.labels.tolist()
            found.append(labels)
        assert found[0] == found[2]


@both
def test_no_thread_tunes_what_is_read(make, arguments):
    """A new start would wait until that ends: as long as the earlier start had lasted, up to a minute."""
    with tf.Graph().as_default() as graph:
        make((2, 2, 3), *arguments)
    (op,) = [op for op in graph.get_operations() if op.type == "OptionsDataset"]
    options = dataset_options_pb2.Options.FromString(op.get_attr("serialized_options"))
    assert options.autotune_options.HasField("enabled") and not options.autotune_options.enabled


def test_the_shapes_are_known_to_the_graph():
    with tf.Graph().as_default():
        train = pipeline.train_batches((3, 2, 3), 4, seed=0)
        assert train.images.shape == [4, 3, 2, 3] and train.targets.shape == [4]
        held_out = pipeline.eval_batches((3, 2, 3), 4)
        assert held_out.images.shape.as_list() == [None, 3, 2, 3] and held_out.targets.shape.as_list() == [None]


def watched(dataset, read):
    """The dataset, with `read(indices)` called before images are read."""

    class Watched(Dataset):
        def read(self, indices, image_shape):
            read(indices)
            return super().read(indices, image_shape)

    return Watched(**vars(dataset))


@both
def test_what_is_wrong_with_the_data_is_raised_where_it_is_asked_for(make, arguments):
    dataset = numbered(12)
    with tf.Graph().as_default(), tf.Session() as session:
        batches = make((3, 2, 3), *arguments)
        batches.start(session, dataset)
        whole = [session.run(batches.targets).tolist() for _ in range(3)]

        def read(indices):
            if whole[2][0] in indices:
                raise DataError("x.jpg is empty")

        batches.start(session, watched(dataset, read))
        for expected in whole[:2]:  # The third is read ahead, and fails meanwhile.
            with batches.errors():
                assert session.run(batches.targets).tolist() == expected
        with pytest.raises(DataError, match="^x.jpg is empty$"), batches.errors():
            session.run(batches.targets)
        batches.start(session, dataset)
        with batches.errors():
            assert [session.run(batches.targets).tolist() for _ in range(3)] == whole


def test_the_end_of_the_data_is_not_taken_for_an_error_of_it():
    with tf.Graph().as_default(), tf.Session() as session:
        batches = pipeline.eval_batches((3, 2, 3), 8)
        batches.start(session, numbered(8))
        session.run(batches.targets)
        with pytest.raises(tf.errors.OutOfRangeError), batches.errors():
            session.run(batches.targets)


def test_batches_are_read_while_the_network_has_one():
    more = threading.Semaphore(0)
    with tf.Graph().as_default(), tf.Session() as session:
        batches = pipeline.eval_batches((3, 2, 3), 4)
        batches.start(session, watched(numbered(100), lambda indices: more.release()))
        session.run(batches.targets)
        # Nobody asks for these two, but they are read.
        assert all(more.acquire(timeout=20) for _ in range(3))


def test_a_start_while_another_dataset_is_being_read():
    reading, go_on = threading.Event(), threading.Event()

    def slowly(indices):
        reading.set()
        assert go_on.wait(20)

    old, new = watched(numbered(8), slowly), numbered(8, first=100)
    with tf.Graph().as_default(), tf.Session() as session:
        batches = pipeline.eval_batches((3, 2, 3), 4)
        batches.start(session, old)
        waiting = threading.Thread(target=session.run, args=[batches.targets])
        waiting.start()  # It takes the first batch, so that there is one in flight.
        assert reading.wait(20)
        threading.Timer(0.2, go_on.set).start()
        batches.start(session, new)
        found = [session.run([batches.targets, batches.images]) for _ in range(2)]
        waiting.join()
    np.testing.assert_array_equal(np.concatenate([labels for labels, _ in found]), new.labels)
    np.testing.assert_array_equal(np.concatenate([images for _, images in found]), new.images)


def test_a_sampler_says_which_example_a_place_has():
    asked = []

    def last_but_index(epochs, indices):
        asked.append((epochs, indices))
        return 5 - indices

    with tf.Graph().as_default(), tf.Session() as session:
        batches, dataset = pipeline.train_batches((3, 2, 3), 4, seed=1), numbered(6)
        plain, sampled = [], []
        for found, sampler in ((plain, None), (sampled, last_but_index)):
            batches.start(session, dataset, 2, sampler)
            for _ in range(6):
                labels, images = session.run([batches.targets, batches.images])
                np.testing.assert_array_equal(images, dataset.images[labels])
                found += labels.tolist()
    assert sampled == [5 - label for label in plain]
    epochs, indices = (np.concatenate(part)[:24] for part in zip(*asked))
    assert epochs.tolist() == [(8 + place) // 6 for place in range(24)]
    assert indices.tolist() == plain


def test_batches_on_another_device_are_the_same_and_so_are_errors():
    """A second CPU stands for the GPU."""

    class Broken(Dataset):
        def read(self, indices, shape):
            raise DataError("image 3 is broken")

    taken, images = [], numbered(20)
    for device in (None, "/cpu:1"):
        with tf.Graph().as_default(), tf.Session(config=tf.ConfigProto(device_count={"CPU": 2})) as session:
            batches = pipeline.train_batches((3, 2, 3), 8, 1, device=device)
            batches.start(session, images, 2)
            fetches = [batches.step, batches.images, batches.targets]
            taken.append([session.run(fetches) for _ in range(4)])
            batches.start(session, Broken(**vars(images)))
            with pytest.raises(DataError, match="image 3"), batches.errors():
                session.run(fetches)
        assert device is None or batches.images.device.lower().endswith("cpu:1")
    for host, other in zip(*taken):
        for one, two in zip(host, other):
            np.testing.assert_array_equal(one, two)


def test_image_files_are_read_at_the_shape_given(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 6, 6, 3), np.uint8)
    paths = [str(tmp_path / f"{number}.png") for number in range(5)]
    for path, array in zip(paths, pixels):
        Image.fromarray(array).save(path)
    files = ImageFiles([FileSource(path) for path in paths], "off")
    labels = np.arange(5, dtype=np.int32)
    dataset = Dataset("d", "train", files, labels, tuple("abcde"), image_size=None, flip=True, max_shift=0.0)
    with tf.Graph().as_default(), tf.Session() as session:
        batches = pipeline.eval_batches(dataset.image_shape(6), 3)
        batches.start(session, dataset)
        found = [session.run(batches.images) for _ in range(2)]
        np.testing.assert_array_equal(np.concatenate(found), pixels)
        (tmp_path / "4.png").write_bytes(b"")
        batches.start(session, dataset)
        with pytest.raises(DataError, match="4.png is empty"), batches.errors():
            session.run(batches.images)
            session.run(batches.images)


def test_a_process_may_end_while_a_batch_is_read(run_python):
    code = """
import threading, time
import numpy as np
from slimft.compat import tf
from slimft.data import Dataset, pipeline
class Slow(Dataset):
    def read(self, indices, image_shape):
        time.sleep(0.2)
        return super().read(indices, image_shape)
data = Slow("d", "train", np.zeros((9, 2, 2, 3), np.uint8), np.zeros(9, np.int32), ("a",), 32, False, 0.0)
batches = pipeline.train_batches((2, 2, 3), 4, seed=0)
session = tf.Session()
batches.start(session, data)
session.run(batches.targets)
print("done")
"""
    assert run_python(code) == "done\n"
