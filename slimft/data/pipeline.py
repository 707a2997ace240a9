"""Batches of a dataset, in an order that is a pure function of the seed and the step.

There is no shuffle buffer: example i of epoch e is the `index_shuffle` of i under the seed and e. So a
training run that starts again at step s draws what it would have drawn, and each epoch sees each example
exactly once, also where a batch reaches into the next epoch.
"""

from __future__ import annotations

import collections

from slimft.compat import tf

Batches = collections.namedtuple("Batches", ["images", "labels", "step", "start"])
Batches.__doc__ = """Batches as tensors.

Attributes:
    images: uint8 ``[batch, height, width, 3]``.
    labels: int32 ``[batch]``.
    step: scalar int64, the number of the batch.
    start: function ``(session, dataset, first_step=0)`` that sets which batches come: those of `dataset`
        (of the image shape given at first), from number `first_step` on.
"""


def shuffled_indices(step, batch_size, num_examples, seed):
    """The examples of training batch `step`: int64 ``[batch_size]``, each below `num_examples`.

    Args:
        step: scalar int64 tensor, 0 or more.
        batch_size: examples per batch.
        num_examples: scalar int64 tensor.
        seed: integer from 0 to 2**31 - 1.
    """
    position = step * batch_size + tf.range(batch_size, dtype=tf.int64)
    epoch, index = position // num_examples, position % num_examples
    words = [tf.fill([batch_size], tf.constant(seed, tf.int64)), epoch, tf.zeros_like(epoch)]
    # The raw op: tf.random.experimental.index_shuffle pads a seed per index along the wrong axis (2.21).
    return tf.raw_ops.RandomIndexShuffle(
        index=index,
        seed=tf.stack(words, axis=1),
        max_index=tf.fill([batch_size], num_examples - 1),
        rounds=8,  # With 4, neighbours stay neighbours two to four times as often as chance has it.
    )


def train_batches(image_shape, batch_size, seed) -> Batches:
    """Endless shuffled batches of exactly `batch_size` examples.

    Args:
        image_shape: height, width and channels of the images.
        batch_size: examples per batch.
        seed: integer from 0 to 2**31 - 1 that the order depends on.
    """

    def numbered_indices(first_step, num_examples):
        steps = tf.data.Dataset.range(first_step, tf.int64.max)
        return steps.map(lambda step: (step, shuffled_indices(step, batch_size, num_examples, seed)))

    return _batches(image_shape, batch_size, numbered_indices)


def eval_batches(image_shape, batch_size) -> Batches:
    """Every example once, in order; the last batch is smaller where they do not divide evenly.

    Args:
        image_shape: height, width and channels of the images.
        batch_size: examples per batch but the last.
    """

    def numbered_indices(first_step, num_examples):
        examples = tf.data.Dataset.range(first_step * batch_size, num_examples)
        return tf.data.Dataset.zip((tf.data.Dataset.range(first_step, tf.int64.max), examples.batch(batch_size)))

    return _batches(image_shape, None, numbered_indices)


def _batches(image_shape, batch_size, numbered_indices) -> Batches:
    # The arrays are fed once, when the iterator starts; as constants they would not fit a GraphDef.
    images = tf.placeholder(tf.uint8, [None, *image_shape], "images")
    labels = tf.placeholder(tf.int32, [None], "labels")
    first_step = tf.placeholder(tf.int64, [], "first_step")
    num_examples = tf.shape(labels, out_type=tf.int64)[0]

    def look_up(step, indices):
        return step, tf.gather(images, indices), tf.gather(labels, indices)

    dataset = numbered_indices(first_step, num_examples).map(look_up, num_parallel_calls=1)
    iterator = tf.data.make_initializable_iterator(dataset.prefetch(2))
    step, batch_images, batch_labels = iterator.get_next()
    batch_images.set_shape([batch_size, *image_shape])
    batch_labels.set_shape([batch_size])

    def start(session, dataset, first_step_value=0):
        feeds = {images: dataset.images, labels: dataset.labels, first_step: first_step_value}
        session.run(iterator.initializer, feeds)

    return Batches(batch_images, batch_labels, step, start)
