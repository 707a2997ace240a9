"""DrSleep/tensorflow-deeplab-resnet 066023c033624e6c8154340e06e8fbad4f702bdf

Segmentation, DeepLab's ResNet of 101 layers with a step.
"""

import driver_stages as stages
import numpy as np
import tensorflow as tf
from deeplab_resnet import DeepLabResNetModel, prepare_label

stages.reached("imported")
images = tf.constant(np.random.RandomState(0).rand(1, 65, 65, 3).astype("float32"))
net = DeepLabResNetModel({"data": images}, is_training=False, num_classes=3)
raw = net.layers["fc1_voc12"]
labels = tf.constant(np.random.RandomState(0).randint(0, 3, (1, 65, 65, 1)))
truth = tf.reshape(prepare_label(labels, tf.stack(raw.get_shape()[1:3]), num_classes=3, one_hot=False), [-1])
loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(logits=tf.reshape(raw, [-1, 3]), labels=truth))
stages.train(loss, optimizer=tf.train.MomentumOptimizer(1e-4, 0.9))
