"""slim.learning.train, then slim.evaluation.evaluate_once, as research/slim's users wrote them in 2017.

    python train_and_evaluate.py CHECKPOINT LOGDIR

Only the import lines are of today; in 2017 they were

    import tensorflow as tf; slim = tf.contrib.slim
"""

# ruff: noqa: UP031 (formatting with % as then)
import sys

import numpy as np

from slimft.compat import slim, tf

CHECKPOINT, LOGDIR = sys.argv[1:]
NUM_CLASSES, BATCH_SIZE, STEPS = 3, 16, 60


def data():
    """Images whose colour is their class."""
    random = np.random.RandomState(0)
    labels = random.randint(NUM_CLASSES, size=240)
    images = random.uniform(0, 0.5, [240, 8, 8, 3])
    images[np.arange(240), :, :, labels] += 0.5
    return images.astype(np.float32), labels.astype(np.int64)


def network(images, is_training):
    with slim.arg_scope(
        [slim.conv2d],
        normalizer_fn=slim.batch_norm,
        normalizer_params={"is_training": is_training, "decay": 0.9},
        weights_regularizer=slim.l2_regularizer(0.0001),
    ):
        net = slim.conv2d(images, 8, [3, 3], scope="net/conv1")
        net = slim.max_pool2d(net, [2, 2], scope="net/pool1")
        net = slim.conv2d(net, 8, [3, 3], scope="net/conv2")
    net = slim.dropout(slim.flatten(net), 0.9, is_training=is_training, scope="net/dropout")
    return slim.fully_connected(net, NUM_CLASSES, activation_fn=None, scope="net/logits")


def train():
    with tf.Graph().as_default():
        tf.set_random_seed(1)
        images, labels = data()
        image, label = tf.train.slice_input_producer([tf.constant(images), tf.constant(labels)], seed=1)
        image_batch, label_batch = tf.train.batch([image, label], batch_size=BATCH_SIZE)
        logits = network(image_batch, is_training=True)
        slim.losses.sparse_softmax_cross_entropy(logits, label_batch)
        total_loss = slim.losses.get_total_loss()
        tf.summary.scalar("loss", total_loss)
        # conv1 stays as it was restored.
        variables_to_train = slim.get_trainable_variables("net/conv2") + slim.get_trainable_variables("net/logits")
        optimizer = tf.train.MomentumOptimizer(0.02, 0.9)
        train_op = slim.learning.create_train_op(total_loss, optimizer, variables_to_train=variables_to_train)
        variables = slim.get_variables_to_restore(include=["net"], exclude=["net/logits"])
        variables = [variable for variable in variables if "Momentum" not in variable.op.name]
        init_fn = slim.assign_from_checkpoint_fn(CHECKPOINT, variables)
        loss = slim.learning.train(
            train_op, LOGDIR, init_fn=init_fn, number_of_steps=STEPS, log_every_n_steps=20, save_summaries_secs=60
        )
        print("loss %.4f" % loss)


def evaluate():
    with tf.Graph().as_default():
        images, labels = data()
        predictions = tf.argmax(network(tf.constant(images), is_training=False), 1)
        values, updates = slim.metrics.aggregate_metric_map(
            {"accuracy": slim.metrics.streaming_accuracy(predictions, tf.constant(labels))}
        )
        results = slim.evaluation.evaluate_once(
            master="",
            checkpoint_path=tf.train.latest_checkpoint(LOGDIR),
            logdir=LOGDIR,
            num_evals=1,
            eval_op=list(updates.values()),
            final_op=list(values.values()),
        )
        print("accuracy %.4f" % results[0])


if __name__ == "__main__":
    train()
    evaluate()
