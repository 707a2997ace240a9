"""carpedm20/NTM-tensorflow 5376c35e8800157b08af44ddec1cb870d2ef3c83

Neural Turing machine, its copy task in Python 2, trained, saved and restored by its NTM.

Flags: --python2
"""

import os

import driver_stages as stages
import numpy as np
import tensorflow as tf
from ntm import NTM
from ntm_cell import NTMCell
from tasks import copy

stages.reached("imported")


class Settings:
    """What main.py's flags would be."""

    epoch, input_dim, output_dim, min_length, max_length, task = 1, 5, 5, 1, 2, "copy"
    checkpoint_dir, is_train, continue_train = "trained", True, False


with tf.Session() as session:
    cell = NTMCell(input_dim=5, output_dim=5, mem_size=8, mem_dim=4, controller_dim=6)
    os.makedirs("trained")
    ntm = NTM(cell, session, 1, 2, test_max_length=4, scope="NTM-copy")
    copy.train(ntm, Settings, session)
    stages.reached("step")
    before = session.run(tf.trainable_variables())
    ntm.save("trained", "copy", np.int64(1))
    session.run(tf.global_variables_initializer())
    ntm.load("trained", "copy")
    for old, new in zip(before, session.run(tf.trainable_variables())):
        np.testing.assert_array_equal(old, new)
stages.reached("restored")
