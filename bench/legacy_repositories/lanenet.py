"""MaybeShewill-CV/lanenet-lane-detection fb31c8e4877d08c548af6f93687727a687f8cd9b

Lanes, LaneNet with BiSeNet V2.
"""

import driver_stages as stages
import numpy as np
import tensorflow as tf
from lanenet_model import lanenet
from local_utils.config_utils import parse_config_utils

stages.reached("imported")
random = np.random.RandomState(0)
images = tf.constant(random.rand(1, 64, 128, 3).astype("float32"))
lanes = tf.constant(random.randint(0, 2, (1, 64, 128, 1)), tf.int32)
net = lanenet.LaneNet(phase="train", cfg=parse_config_utils.lanenet_cfg)
losses = net.compute_loss(images, binary_label=lanes, instance_label=lanes, name="LaneNet", reuse=False)
tested = lanenet.LaneNet(phase="test", cfg=parse_config_utils.lanenet_cfg).inference(
    images, name="LaneNet", reuse=True
)
optimizer = tf.train.MomentumOptimizer(0.01, 0.9)
with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
    train_op = optimizer.minimize(losses["total_loss"])
stages.train(train_op=[train_op, tested])
