"""ry/tensorflow-resnet ccb9cc8cc2cc7021c67e7df4a70f96faab9553c5

Classification of TensorFlow 0.x, resnet_train.train with inference_small.

Flags: --python2
"""

import driver_stages as stages
import numpy as np
import resnet
import resnet_train
import tensorflow as tf

stages.reached("imported")
tf.app.flags.FLAGS(["driver", "--train_dir=trained", "--batch_size=2", "--max_steps=3"])
images = tf.constant(np.random.RandomState(0).rand(2, 32, 32, 3).astype("float32"))
labels = tf.constant([1, 2])
logits = resnet.inference_small(images, num_classes=10, is_training=True, use_bias=False, num_blocks=1)
stages._watch(2)
try:
    resnet_train.train(True, logits, images, labels)
except stages._Enough:
    pass
