"""balancap/SSD-Tensorflow e0e3104d3a2cc5d830fad041d4e56ebcf84caac3

Detection, SSD-300's network, its anchors and losses.
"""

import driver_stages as stages
import numpy as np
import tensorflow as tf
from nets import ssd_vgg_300

stages.reached("imported")
slim = tf.contrib.slim
net = ssd_vgg_300.SSDNet()
anchors = net.anchors(net.params.img_shape)
image = tf.constant(np.random.RandomState(0).rand(1, 300, 300, 3).astype("float32"))
boxes = tf.constant([[0.1, 0.1, 0.6, 0.7]])
classes, locations, scores = net.bboxes_encode(tf.constant([3], tf.int64), boxes, anchors)
with slim.arg_scope(net.arg_scope(weight_decay=5e-4)):
    predictions, found, logits, end_points = net.net(image, is_training=True)
batched = [[tf.expand_dims(part, 0) for part in parts] for parts in (classes, locations, scores)]
net.losses(logits, found, *batched)
stages.train(tf.losses.get_total_loss())
