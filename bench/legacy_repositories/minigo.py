"""tensorflow/minigo 6d89c202cdceaf449aefc3149ab2110d44f1a6a4

Reinforcement learning, dual_net with its Estimator.
"""

import os
import sys

import driver_stages as stages
import numpy as np
import tensorflow as tf

os.environ["BOARD_SIZE"] = "9"
sys.argv = ["driver"]
import dual_net  # noqa: E402

stages.reached("imported")
flags = dual_net.FLAGS
flags(
    ["driver", "--work_dir=trained", "--train_batch_size=2", "--conv_width=4", "--fc_width=4", "--trunk_layers=1"]
)
random = np.random.RandomState(0)


def examples():
    """Two positions of noise."""
    moves = tf.constant(random.dirichlet(np.ones(82), 2).astype("float32"))
    planes = tf.constant(random.randint(0, 2, (2, 9, 9, dual_net.get_features_planes())).astype("float32"))
    return tf.data.Dataset.from_tensors((planes, {"pi_tensor": moves, "value_tensor": tf.constant([1.0, -1.0])}))


estimator = dual_net.get_estimator()
for steps in (1, 1):
    estimator.train(examples, steps=steps)
stages.reached("step")
stages.checkpoint_is_whole("trained/model.ckpt-2")
stages.reached("restored")
