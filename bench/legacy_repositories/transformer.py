"""Kyubyong/transformer fb023bb097e08d53baf25b46a9da490beba51a21

Translation, its Transformer trained and decoding.
"""

import sys

import driver_stages as stages
import numpy as np
import tensorflow as tf

stages.text("vocabulary", ["<pad>", "<unk>", "<s>", "</s>"] + [chr(97 + letter) for letter in range(16)])
sys.argv = ["driver"]
from hparams import Hparams  # noqa: E402
from model import Transformer  # noqa: E402

stages.reached("imported")
settings = Hparams.parser.parse_args(
    "--vocab=vocabulary --vocab_size=20 --d_model=8 --d_ff=8 --num_blocks=1 --num_heads=2 --maxlen1=6 --maxlen2=6"
    " --warmup_steps=2".split()
)
words = tf.constant(np.random.RandomState(0).randint(4, 20, (2, 5)).astype("int32"))
lengths, sentences = tf.constant([5, 5]), tf.constant(["a b", "c d"])
net = Transformer(settings)
loss, train_op, step, summaries = net.train((words, lengths, sentences), (words, words, lengths, sentences))
stages.train(train_op=[train_op, summaries], steps=2)
