"""Batches of a dataset, in an order that is a pure function of the seed and the step.

There is no shuffle buffer: example i of epoch e is the `index_shuffle` of i under the seed and e. So a
training run that starts again at step s draws what it would have drawn, and each epoch sees each example
exactly once, also where a batch reaches into the next epoch.

TensorFlow asks `Dataset.read` for two batches ahead, in a thread of its own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from slimft.compat import tf
from slimft.data.dataset import Dataset
from slimft.tasks import TargetSpec

# Maps epochs and indices, int64 [n] each, to examples, int64 [n].
Sampler = Callable[[np.ndarray, np.ndarray], np.ndarray]

_AHEAD = 2
# Batches whose places are shuffled at once.
_PLACES_AT_A_TIME = 256
# A class: one number.
CLASS = TargetSpec(np.dtype(np.int32))


class Batches:
    """Batches as tensors; made by `train_batches` and `eval_batches`.

    Attributes:
        images: uint8 ``[batch, height, width, 3]``.
        targets: ``[batch]`` and the shape of one, as the task says.
        sizes: int32 ``[batch, 2]``, the rows and columns that each image fills, from the first on.
        examples: int64 ``[batch]``, the indices of the examples.
        step: scalar int64, the number of the batch.
        image_shape: height, width and channels of the images; None for what differs from batch to batch.
    """

    def __init__(
        self,
        image_shape,
        batch_size: int | None,
        numbered_indices,
        target: TargetSpec,
        device: str | None = None,
        evaluated: int | None = None,
    ):
        self.image_shape, self._target, self._evaluated = tuple(image_shape), target, evaluated
        # Numbered: what is prefetched of an earlier start must not mix with the newest.
        self._starts, self._current = itertools.count(), None
        self._start = tf.placeholder(tf.int64, [], "start")
        self._first_step = tf.placeholder(tf.int64, [], "first_step")
        self._number = tf.placeholder(tf.int64, [], "number")

        def read(step, epochs, indices):
            # Not stateful: with tf.config.experimental.enable_op_determinism, it would not be done ahead.
            arguments = [self._start, epochs, indices]
            types = [tf.uint8, tf.as_dtype(target.dtype), tf.int32, tf.int64]
            return step, *tf.numpy_function(self._read, arguments, types, stateful=False)

        dataset = numbered_indices(self._first_step, self._number).map(read, num_parallel_calls=1)
        dataset = dataset.prefetch(_AHEAD)
        if device is not None:  # What is read stays on the host; the next batch is copied while a step runs.
            dataset = dataset.apply(tf.data.experimental.copy_to_device(device)).prefetch(1)
        # There is nothing to tune, and TensorFlow's thread that tunes ends late: a new start would wait for it, as
        # long as the earlier one lasted and up to a minute.
        options = tf.data.Options()
        options.autotune.enabled = False
        dataset = dataset.with_options(options)
        with tf.device(device) if device else contextlib.nullcontext():
            self._iterator = tf.data.make_initializable_iterator(dataset)
            self.step, self.images, self.targets, self.sizes, self.examples = self._iterator.get_next()
        self.step.set_shape([])
        self.images.set_shape([batch_size, *self.image_shape])
        # In training a map covers what its image does; where that is of no fixed size, it may have its own.
        self.targets.set_shape([batch_size, *self.image_shape[: len(target.shape)]])
        self.sizes.set_shape([batch_size, 2])
        self.examples.set_shape([batch_size])

    def start(
        self,
        session: tf.Session,
        dataset: Dataset,
        first_step: int = 0,
        sampler: Sampler | None = None,
        part: tuple[int, int] = (0, 1),
    ) -> None:
        """Sets which batches come: those of `dataset`, from number `first_step` on.

        Args:
            session: a session of the graph.
            dataset: its images have the shape given at first.
            first_step: the number of the first batch.
            sampler: which example each place of an epoch has; None for each example in its place.
            part: of an evaluation, the number of the first batch, and of how many one comes: ``(1, 3)`` for the
                second of each three. `first_step` and `step` count those that come.
        """
        if self._evaluated is None:
            examples, number = sampler or (lambda _, indices: indices), dataset.num_examples
        else:
            groups = self.groups(dataset)[part[0] :: part[1]]
            examples, number = (lambda _, batches: groups[int(batches[0])]), len(groups)
        self._current = _Start(next(self._starts), dataset, examples)
        feeds = {self._start: self._current.number, self._first_step: first_step, self._number: number}
        session.run(self._iterator.initializer, feeds)

    def groups(self, dataset: Dataset) -> list[np.ndarray]:
        """The examples of each batch of an evaluation of `dataset`."""
        assert self._evaluated is not None, "training has no end"
        return dataset.evaluation_batches(self._evaluated)

    def grey(self) -> dict[tf.Tensor, np.ndarray]:
        """What to feed for a batch of one grey image over and over, of the first class; to measure time with."""
        shape, targets = self.images.shape.as_list(), self.targets
        return {
            self.images: np.full(shape, 128, np.uint8),
            targets: np.zeros(targets.shape.as_list(), targets.dtype.as_numpy_dtype),
            self.sizes: np.tile(np.array(shape[1:3], np.int32), [shape[0], 1]),
        }

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Around a `session.run` that takes a batch: what reading the batch raised is raised here.

        Raises:
            DataError: an image cannot be read; TensorFlow itself would tell of it as one of its own errors.
        """
        try:
            yield
        except tf.errors.OpError:
            if self._current is not None and self._current.failures:
                raise self._current.failures[0] from None
            raise

    def _read(self, number: np.int64, epochs: np.ndarray, indices: np.ndarray) -> tuple[np.ndarray, ...]:
        """Called by TensorFlow, in a thread of its own."""
        start = self._current
        if number != start.number:  # Of an earlier start, which nobody waits for.
            return self._nothing(len(indices))
        try:
            examples = start.examples(epochs, indices)
            images, targets, sizes = start.dataset.read_batch(examples, self.image_shape)
            return images, targets, sizes, np.asarray(examples, np.int64)
        except Exception as error:
            start.failures.append(error)
            raise

    def _nothing(self, number: int) -> tuple[np.ndarray, ...]:
        """A batch of that many black images."""
        shape = [number, *(side or 1 for side in self.image_shape)]
        targets = np.zeros(shape[: 1 + len(self._target.shape)], self._target.dtype)
        return np.zeros(shape, np.uint8), targets, np.ones([number, 2], np.int32), np.zeros(number, np.int64)


@dataclasses.dataclass(frozen=True)
class _Start:
    """What `Batches.start` was given, under a number, and what failed since."""

    number: int
    dataset: Dataset
    examples: Sampler
    failures: list[Exception] = dataclasses.field(default_factory=list)


def shuffled_indices(step, batch_size, num_examples, seed):
    """The places of training batch `step`, in their epochs and shuffled.

    Args:
        step: scalar int64 tensor, 0 or more.
        batch_size: examples per batch.
        num_examples: scalar int64 tensor.
        seed: integer from 0 to 2**31 - 1.

    Returns:
        int64 ``[batch_size]`` each: the epochs; and the indices, each below `num_examples`.
    """
    position = step * batch_size + tf.range(batch_size, dtype=tf.int64)
    epoch, index = position // num_examples, position % num_examples
    words = [tf.fill([batch_size], tf.constant(seed, tf.int64)), epoch, tf.zeros_like(epoch)]
    # The raw op: tf.random.experimental.index_shuffle pads a seed per index along the wrong axis (2.21).
    return epoch, tf.raw_ops.RandomIndexShuffle(
        index=index,
        seed=tf.stack(words, axis=1),
        max_index=tf.fill([batch_size], num_examples - 1),
        rounds=8,  # With 4, neighbours stay neighbours two to four times as often as chance has it.
    )


def shuffled_places(
    first: int, batch_size: int, num_examples: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields for each training batch from number `first` on, without end, what `shuffled_indices` tells of it.

    Args:
        first: the number of the first batch.
        batch_size, num_examples, seed: as of `shuffled_indices`.
    """
    with tf.Graph().as_default():
        # Of many batches at once.
        chunk = tf.placeholder(tf.int64, [])
        together = _PLACES_AT_A_TIME * batch_size
        places = shuffled_indices(chunk, together, tf.constant(num_examples, tf.int64), seed)
        session = tf.Session()
    # Not entered: between two batches it would be the default session of whoever asks for them.
    with contextlib.closing(session):
        for number in itertools.count(first // _PLACES_AT_A_TIME):
            epochs, indices = session.run(places, {chunk: number})
            start = max(first - number * _PLACES_AT_A_TIME, 0)
            for batch in range(start, _PLACES_AT_A_TIME):
                part = slice(batch * batch_size, (batch + 1) * batch_size)
                yield epochs[part], indices[part]


def train_batches(
    image_shape,
    batch_size,
    seed,
    target: TargetSpec = CLASS,
    device: str | None = None,
    rows: Sequence[int] | None = None,
) -> Batches:
    """Endless shuffled batches of exactly `batch_size` examples.

    Args:
        image_shape: height, width and channels of the images.
        batch_size: examples per batch.
        seed: integer from 0 to 2**31 - 1 that the order depends on.
        target: what the target of an example is.
        device: where the batches are wanted, such as ``/gpu:0``: the next one is copied there while a step runs.
            None for the host.
        rows: which rows of each batch are read, in this order, where others are read elsewhere: each has the
            example that it has in the whole batch. `Batches` are then of as many. None for all.
    """

    def places(step, num_examples):
        whole = shuffled_indices(step, batch_size, num_examples, seed)
        return whole if rows is None else [tf.gather(of_all, list(rows)) for of_all in whole]

    def numbered_indices(first_step, num_examples):
        steps = tf.data.Dataset.range(first_step, tf.int64.max)
        return steps.map(lambda step: (step, *places(step, num_examples)))

    return Batches(image_shape, batch_size if rows is None else len(rows), numbered_indices, target, device)


def eval_batches(image_shape, batch_size, target: TargetSpec = CLASS) -> Batches:
    """Every example once, in the batches that `Dataset.evaluation_batches` says.

    Args:
        image_shape: height, width and channels of the images; None for what differs from batch to batch.
        batch_size: examples per batch, at most.
        target: what the target of an example is.
    """

    def numbered_indices(first_step, number):
        steps = tf.data.Dataset.range(first_step, number)
        return steps.map(lambda step: (step, tf.zeros([1], tf.int64), step[tf.newaxis]))

    return Batches(image_shape, None, numbered_indices, target, evaluated=batch_size)
