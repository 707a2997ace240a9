"""wenxinxu/resnet-in-tensorflow 8ba8d8905e099cd7e1b1cf1f84b89f603f7613a0

Classification, its Train class of cifar10_train.py on noise.

Flags: --python2
"""

import driver_stages as stages
import hyper_parameters
import numpy as np
import tensorflow as tf

stages.reached("imported")
tf.app.flags.FLAGS(["driver"])
tf.app.flags.FLAGS.num_residual_blocks = 1
tf.app.flags.FLAGS.train_batch_size = 4
import resnet  # noqa: E402

random = np.random.RandomState(0)
images = tf.constant(random.rand(4, 32, 32, 3).astype("float32"))
logits = resnet.inference(images, 1, reuse=False)
resnet.inference(images, 1, reuse=True)
losses = tf.nn.sparse_softmax_cross_entropy_with_logits(logits=logits, labels=tf.constant([0, 1, 2, 3]))
loss = tf.reduce_mean(losses) + tf.add_n(tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES))
assert hyper_parameters.train_dir
stages.train(loss, optimizer=tf.train.MomentumOptimizer(0.1, 0.9))
