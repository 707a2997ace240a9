"""What `tf.contrib.seq2seq` was: decoders of sequences, what feeds them, attention, beam search and their loss.

Source: TensorFlow 1.15's tensorflow/contrib/seq2seq. Variables have its names, so that its checkpoints restore.
TensorFlow 1.0's decoder functions (`dynamic_rnn_decoder`, `simple_decoder_fn_train`, ...), which 1.1 dropped, are
not here.
"""

from slimft.compat.contrib.seq2seq.attention import (
    AttentionMechanism,
    BahdanauAttention,
    LuongAttention,
    _bahdanau_score,
    _BaseAttentionMechanism,
    _luong_score,
    _maybe_mask_score,
    _prepare_memory,
    hardmax,
)
from slimft.compat.contrib.seq2seq.beam_search import (
    BeamSearchDecoder,
    BeamSearchDecoderOutput,
    BeamSearchDecoderState,
    FinalBeamSearchDecoderOutput,
)
from slimft.compat.contrib.seq2seq.beams import gather_tree, gather_tree_from_array, tile_batch
from slimft.compat.contrib.seq2seq.decoding import BasicDecoder, BasicDecoderOutput, Decoder, dynamic_decode
from slimft.compat.contrib.seq2seq.helpers import (
    CustomHelper,
    GreedyEmbeddingHelper,
    Helper,
    InferenceHelper,
    SampleEmbeddingHelper,
)
from slimft.compat.contrib.seq2seq.losses import sequence_loss
from slimft.compat.contrib.seq2seq.monotonic import (
    BahdanauMonotonicAttention,
    LuongMonotonicAttention,
    _BaseMonotonicAttentionMechanism,
    _monotonic_probability_fn,
    monotonic_attention,
    safe_cumprod,
)
from slimft.compat.contrib.seq2seq.training_helpers import (
    ScheduledEmbeddingTrainingHelper,
    ScheduledOutputTrainingHelper,
    TrainingHelper,
    _unstack_ta,
)
from slimft.compat.contrib.seq2seq.wrapper import (
    AttentionWrapper,
    AttentionWrapperState,
    _compute_attention,
)

__all__ = [
    "AttentionMechanism", "AttentionWrapper", "AttentionWrapperState", "BahdanauAttention",
    "BahdanauMonotonicAttention", "BasicDecoder", "BasicDecoderOutput", "BeamSearchDecoder",
    "BeamSearchDecoderOutput", "BeamSearchDecoderState", "CustomHelper", "Decoder", "FinalBeamSearchDecoderOutput",
    "GreedyEmbeddingHelper", "Helper", "InferenceHelper", "LuongAttention", "LuongMonotonicAttention",
    "SampleEmbeddingHelper", "ScheduledEmbeddingTrainingHelper", "ScheduledOutputTrainingHelper", "TrainingHelper",
    "_BaseAttentionMechanism", "_BaseMonotonicAttentionMechanism", "_bahdanau_score", "_compute_attention",
    "_luong_score", "_maybe_mask_score", "_monotonic_probability_fn", "_prepare_memory", "_unstack_ta",
    "dynamic_decode", "gather_tree", "gather_tree_from_array", "hardmax",
    "monotonic_attention", "safe_cumprod", "sequence_loss", "tile_batch",
]  # fmt: skip
