"""What `tf.contrib.saved_model` had in its modules ``reader`` and ``signature_def_utils``.

Source of names: TensorFlow 1.4 to 1.15, tensorflow/contrib/saved_model/python/saved_model. Its two functions for
Keras models are not here.
"""

from tensorflow.python.tools.saved_model_utils import get_saved_model_tag_sets, read_saved_model

__all__ = ["get_saved_model_tag_sets", "get_signature_def_by_key", "read_saved_model", "set_signature_def_by_key"]


def get_signature_def_by_key(meta_graph_def, signature_def_key):
    """The SignatureDef of a MetaGraphDef by its key; ValueError if there is none."""
    if signature_def_key not in meta_graph_def.signature_def:
        raise ValueError(f"there is no signature {signature_def_key!r}, but {sorted(meta_graph_def.signature_def)}")
    return meta_graph_def.signature_def[signature_def_key]


def set_signature_def_by_key(meta_graph_def, signature_def_key, signature_def):
    """Puts a SignatureDef into a MetaGraphDef under a key; ValueError if the key is empty."""
    if not signature_def_key:
        raise ValueError("a signature needs a key")
    meta_graph_def.signature_def[signature_def_key].CopyFrom(signature_def)
