"""sherjilozair/char-rnn-tensorflow 4bff62d34ba6d536f052145cd3f8f79b6fa11365

Language model of characters, train.py and sample.py.

Trains an epoch on a few lines, goes on from its checkpoint for another, and writes text from it.
"""

import driver_stages as stages
import tensorflow as tf

stages.text("data/lines/input.txt", ["the quick brown fox jumps over the lazy dog"] * 60)
flags = ("--data_dir=data/lines", "--rnn_size=8", "--seq_length=10", "--batch_size=5", "--num_epochs=1")
stages.script("train.py", *flags)
stages.checkpoint_is_whole("save/*")
tf.reset_default_graph()
stages.script("train.py", *flags, "--init_from=save")
tf.reset_default_graph()
stages.script("sample.py", "-n=10")
stages.reached("restored")
