"""What `tf.contrib.quantize` was: networks trained as if they computed with 8 bits, for tf.lite.

Source of names: TensorFlow 1.15's tensorflow/contrib/quantize/__init__.py.
"""

from slimft.compat.contrib.quantize import common, fold_batch_norms, graph_matcher, quant_ops, quantize
from slimft.compat.contrib.quantize.common import CreateOrGetQuantizationStep, RerouteTensor
from slimft.compat.contrib.quantize.fold_batch_norms import FoldBatchNorms
from slimft.compat.contrib.quantize.graph_matcher import (
    GraphMatcher,
    MatchResult,
    OneofPattern,
    OpTypePattern,
    Pattern,
)
from slimft.compat.contrib.quantize.quant_ops import FixedQuantize, LastValueQuantize, MovingAvgQuantize
from slimft.compat.contrib.quantize.quantize import Quantize
from slimft.compat.contrib.quantize.quantize_graph import (
    create_eval_graph,
    create_training_graph,
    experimental_create_eval_graph,
    experimental_create_training_graph,
)

__all__ = [
    "CreateOrGetQuantizationStep", "FixedQuantize", "FoldBatchNorms", "GraphMatcher", "LastValueQuantize",
    "MatchResult", "MovingAvgQuantize", "OneofPattern", "OpTypePattern", "Pattern", "Quantize", "RerouteTensor",
    "common", "create_eval_graph", "create_training_graph", "experimental_create_eval_graph",
    "experimental_create_training_graph", "fold_batch_norms", "graph_matcher", "quant_ops", "quantize",
]  # fmt: skip
