"""The Inception networks under one name, as in research/slim/nets/inception.py (github.com/tensorflow/models).

Inception V2 is tf-slim's own, repaired by `slimft.compat`; V4 and Inception-ResNet V2 are not here.
"""

from tf_slim.nets.inception_v2 import inception_v2, inception_v2_base

from slimft.nets.inception_utils import inception_arg_scope
from slimft.nets.inception_v1 import inception_v1, inception_v1_arg_scope, inception_v1_base
from slimft.nets.inception_v3 import inception_v3, inception_v3_arg_scope, inception_v3_base
from slimft.nets.spec import UnlistedNetwork

inception_v2_arg_scope = inception_arg_scope

__all__ = [
    "inception_arg_scope", "inception_v1", "inception_v1_arg_scope", "inception_v1_base", "inception_v2",
    "inception_v2_arg_scope", "inception_v2_base", "inception_v3", "inception_v3_arg_scope", "inception_v3_base",
]  # fmt: skip

SPECS = (UnlistedNetwork(module=__name__, arg_scope_name="inception_v2_arg_scope", scope="InceptionV2"),)
