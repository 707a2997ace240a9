"""What `tf.contrib.legacy_seq2seq` was: encoder-decoders over lists of steps, of TensorFlow 0.x.

Inputs are lists, a tensor for each step. Source: TensorFlow 1.15's
tensorflow/contrib/legacy_seq2seq/python/ops/seq2seq.py, whose names the variables have.
"""

import sys

from slimft.compat.contrib.legacy_seq2seq.attention import (
    attention_decoder,
    embedding_attention_decoder,
    embedding_attention_seq2seq,
)
from slimft.compat.contrib.legacy_seq2seq.decoders import (
    _extract_argmax_and_embed,
    basic_rnn_seq2seq,
    embedding_rnn_decoder,
    embedding_rnn_seq2seq,
    embedding_tied_rnn_seq2seq,
    one2many_rnn_seq2seq,
    rnn_decoder,
    tied_rnn_seq2seq,
)
from slimft.compat.contrib.legacy_seq2seq.losses import model_with_buckets, sequence_loss, sequence_loss_by_example
from slimft.compat.contrib.rnn.linear import _linear as linear

seq2seq = sys.modules[__name__]

__all__ = [
    "_extract_argmax_and_embed", "attention_decoder", "basic_rnn_seq2seq", "embedding_attention_decoder",
    "embedding_attention_seq2seq", "embedding_rnn_decoder", "embedding_rnn_seq2seq", "embedding_tied_rnn_seq2seq",
    "linear", "model_with_buckets", "one2many_rnn_seq2seq", "rnn_decoder", "seq2seq", "sequence_loss",
    "sequence_loss_by_example", "tied_rnn_seq2seq",
]  # fmt: skip
