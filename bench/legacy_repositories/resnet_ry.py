"""ry/tensorflow-resnet ccb9cc8cc2cc7021c67e7df4a70f96faab9553c5

Classification of TensorFlow 0.x, resnet_train.train with inference (inference_small returns nothing).

Flags: --python2
"""

import driver_stages as stages
import numpy as np
import resnet
import resnet_train
import tensorflow as tf

stages.reached("imported")
tf.app.flags.FLAGS(["driver", "--train_dir=trained", "--batch_size=2", "--max_steps=3"])
images = tf.constant(np.random.RandomState(0).rand(2, 64, 64, 3).astype("float32"))
labels = tf.constant([1, 2])
is_training = tf.placeholder("bool", [])
logits = resnet.inference(images, is_training, num_classes=10, num_blocks=[1, 1, 1, 1])
stages._watch(2)
try:
    resnet_train.train(is_training, logits, images, labels)
except stages._Enough:
    pass
