"""hunkim/word-rnn-tensorflow 5df11c5578a43bf0b732e0bcb63ee8fec7a29d33

Language model of words, train.py and sample.py.

Trains an epoch on a few lines, goes on from its checkpoint for another, and writes text from it by beam search.
"""

import driver_stages as stages
import tensorflow as tf

stages.text("data/lines/input.txt", ["the quick brown fox jumps over the lazy dog"] * 60)
flags = ("--data_dir=data/lines", "--rnn_size=8", "--seq_length=10", "--batch_size=5", "--num_epochs=1")
stages.script("train.py", *flags, "--model=gru")
stages.checkpoint_is_whole("save/*")
tf.reset_default_graph()
stages.script("train.py", *flags, "--model=gru", "--init_from=save")
tf.reset_default_graph()
stages.script("sample.py", "-n=5")
stages.reached("restored")
