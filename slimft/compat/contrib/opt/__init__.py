"""What `tf.contrib.opt` was: more optimizers, and what wraps them.

Source of names, arguments and steps: TensorFlow 1.15's tensorflow/contrib/opt. Slots have its names, so that its
checkpoints restore. Those for parameter servers (`ElasticAverageOptimizer`, `ModelAverageOptimizer`,
`AGNOptimizer` and their getters) are not here.
"""

from slimft.compat.contrib.opt.adams import (
    AdaMaxOptimizer,
    AdamGSOptimizer,
    LazyAdamGSOptimizer,
    LazyAdamOptimizer,
    NadamOptimizer,
)
from slimft.compat.contrib.opt.decay import (
    AdamWOptimizer,
    DecoupledWeightDecayExtension,
    MomentumWOptimizer,
    ShampooWOptimizer,
    extend_with_decoupled_weight_decay,
)
from slimft.compat.contrib.opt.external import ExternalOptimizerInterface, ScipyOptimizerInterface
from slimft.compat.contrib.opt.ggt import GGTOptimizer
from slimft.compat.contrib.opt.scaled import LARSOptimizer, RegAdagradOptimizer
from slimft.compat.contrib.opt.shampoo import (
    GetParam,
    ShampooOptimizer,
    matrix_inverse_pth_root,
    matrix_square_root,
)
from slimft.compat.contrib.opt.signs import (
    AddSignOptimizer,
    PowerSignOptimizer,
    get_cosine_decay_fn,
    get_linear_decay_fn,
    get_restart_decay_fn,
)
from slimft.compat.contrib.opt.wrappers import (
    DropStaleGradientOptimizer,
    MovingAverageOptimizer,
    MultitaskOptimizerWrapper,
    VariableClippingOptimizer,
    clip_gradients_by_global_norm,
)

__all__ = [
    "AdaMaxOptimizer", "AdamGSOptimizer", "AdamWOptimizer", "AddSignOptimizer", "DecoupledWeightDecayExtension",
    "DropStaleGradientOptimizer", "ExternalOptimizerInterface", "GGTOptimizer", "GetParam", "LARSOptimizer",
    "LazyAdamGSOptimizer", "LazyAdamOptimizer", "MomentumWOptimizer", "MovingAverageOptimizer",
    "MultitaskOptimizerWrapper", "NadamOptimizer", "PowerSignOptimizer", "RegAdagradOptimizer",
    "ScipyOptimizerInterface", "ShampooOptimizer", "ShampooWOptimizer", "VariableClippingOptimizer",
    "clip_gradients_by_global_norm", "extend_with_decoupled_weight_decay", "get_cosine_decay_fn",
    "get_linear_decay_fn", "get_restart_decay_fn", "matrix_inverse_pth_root", "matrix_square_root",
]  # fmt: skip
