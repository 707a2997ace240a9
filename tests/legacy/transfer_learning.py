"""Transfer learning as courses taught it in 2017: VGG-16 with a new last layer, placeholders and feed_dict.

    python transfer_learning.py CHECKPOINT OUTPUT

Only the two import lines are of today; in 2017 they were

    import tensorflow as tf; slim = tf.contrib.slim
    from nets import vgg
"""

# ruff: noqa: UP031 (formatting with % as then)
import os
import sys

import numpy as np

from slimft.compat import slim, tf
from slimft.nets import vgg

CHECKPOINT, OUTPUT = sys.argv[1:]
NUM_CLASSES, BATCH_SIZE, IMAGE_SIZE, STEPS = 2, 8, 32, 3
VGG_MEAN = np.array([123.68, 116.78, 103.94], np.float32)

tf.set_random_seed(1)
random = np.random.RandomState(0)


def next_batch():
    """Dark and light images."""
    labels = random.randint(NUM_CLASSES, size=BATCH_SIZE)
    images = random.uniform(0, 100, [BATCH_SIZE, IMAGE_SIZE, IMAGE_SIZE, 3]) + 120 * labels[:, None, None, None]
    return images - VGG_MEAN, np.eye(NUM_CLASSES)[labels]


x = tf.placeholder(tf.float32, [None, IMAGE_SIZE, IMAGE_SIZE, 3])
y = tf.placeholder(tf.float32, [None, NUM_CLASSES])
is_training = tf.placeholder_with_default(False, [])

with slim.arg_scope(vgg.vgg_arg_scope(weight_decay=0.0005)):
    logits, end_points = vgg.vgg_16(
        x, num_classes=NUM_CLASSES, is_training=is_training, spatial_squeeze=True, fc_conv_padding="SAME"
    )

variables_to_restore = slim.get_variables_to_restore(exclude=["vgg_16/fc8"])
restorer = tf.train.Saver(variables_to_restore)

# Only what comes after the fixed layers is trained.
fix_layers = ["vgg_16/conv%d" % block for block in range(1, 6)] + ["vgg_16/fc6", "vgg_16/fc7"]
train_variables = slim.get_variables_to_restore(exclude=fix_layers)

loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(logits=logits, labels=y))
total_loss = loss + tf.add_n(tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES))
optimizer = tf.train.AdamOptimizer(learning_rate=0.001).minimize(total_loss, var_list=train_variables)
correct = tf.equal(tf.argmax(logits, 1), tf.argmax(y, 1))
accuracy = tf.reduce_mean(tf.cast(correct, tf.float32))

with tf.Session() as sess:
    sess.run(tf.global_variables_initializer())
    restorer.restore(sess, CHECKPOINT)
    np.savez(os.path.join(OUTPUT, "restored.npz"), **{v.op.name: sess.run(v) for v in variables_to_restore})
    for step in range(STEPS):
        batch_x, batch_y = next_batch()
        _, value = sess.run([optimizer, total_loss], feed_dict={x: batch_x, y: batch_y, is_training: True})
        print("step %d: loss %.4f" % (step, value))
    batch_x, batch_y = next_batch()
    print("accuracy %.2f" % sess.run(accuracy, feed_dict={x: batch_x, y: batch_y}))
    np.savez(os.path.join(OUTPUT, "trained.npz"), **{v.op.name: sess.run(v) for v in tf.global_variables()})
    for version in ("V1", "V2"):
        saver = tf.train.Saver(slim.get_model_variables(), write_version=getattr(tf.train.SaverDef, version))
        saver.save(sess, os.path.join(OUTPUT, version + ".ckpt"))
