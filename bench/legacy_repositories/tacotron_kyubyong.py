"""Kyubyong/tacotron 379bb7f54c3359ffe97d1f09a773bc6da49eba6f

Speech from text, its Graph with CBHG, attention and py_func.
"""

import driver_stages as stages
import numpy as np
from hyperparams import Hyperparams as settings

for name, value in {
    "embed_size": 8, "encoder_num_banks": 2, "decoder_num_banks": 2, "num_highwaynet_blocks": 1, "n_fft": 16,
    "hop_length": 4, "win_length": 16, "n_mels": 4, "r": 2, "n_iter": 2,
}.items():  # fmt: skip
    setattr(settings, name, value)
import tensorflow as tf  # noqa: E402
import train as trained  # noqa: E402

stages.reached("imported")
net = trained.Graph(mode="eval")
random = np.random.RandomState(0)
feed = {net.x: random.randint(1, 20, (2, 5)), net.y: random.rand(2, 3, 8), net.z: random.rand(2, 6, 9)}
stages.train(train_op=net.train_op, feed=feed)
assert tf.get_collection(tf.GraphKeys.SUMMARIES)
