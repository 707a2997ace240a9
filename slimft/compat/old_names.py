"""Names of TensorFlow 0.x and 1.x that TensorFlow 2 has under others, for scripts: `put_in`.

Which there were, and what their arguments meant: the API documentation of TensorFlow 0.5 to 1.15, and its
tools/compatibility/tf_upgrade.py (github.com/tensorflow/tensorflow, tag v1.0.0) for the renaming of 1.0.
"""

from __future__ import annotations

import functools
import operator

import numpy as np

from slimft.compat.patches import Patches
from slimft.compat.v1 import tf

# What each is called in tf.compat.v1.
_RENAMED = {
    "all_variables": "global_variables",
    "batch_cholesky": "cholesky",
    "batch_fft": "fft",
    "batch_fft2d": "fft2d",
    "batch_ifft": "ifft",
    "batch_ifft2d": "ifft2d",
    "batch_matrix_band_part": "matrix_band_part",
    "batch_matrix_determinant": "matrix_determinant",
    "batch_matrix_diag": "matrix_diag",
    "batch_matrix_diag_part": "matrix_diag_part",
    "batch_matrix_inverse": "matrix_inverse",
    "batch_matrix_set_diag": "matrix_set_diag",
    "batch_matrix_solve": "matrix_solve",
    "batch_matrix_solve_ls": "matrix_solve_ls",
    "batch_matrix_transpose": "matrix_transpose",
    "batch_matrix_triangular_solve": "matrix_triangular_solve",
    "batch_self_adjoint_eig": "self_adjoint_eig",
    "batch_svd": "svd",
    "complex_abs": "abs",
    "concat_v2": "concat",
    "image.per_image_whitening": "image.per_image_standardization",
    "initialize_all_tables": "tables_initializer",
    "initialize_all_variables": "global_variables_initializer",
    "initialize_local_variables": "local_variables_initializer",
    "inv": "reciprocal",
    "listdiff": "setdiff1d",
    "merge_all_summaries": "summary.merge_all",
    "merge_summary": "summary.merge",
    "mul": "multiply",
    "neg": "negative",
    "nn.bidirectional_rnn": "nn.static_bidirectional_rnn",
    "nn.deconv2d": "nn.conv2d_transpose",
    "nn.rnn": "nn.static_rnn",
    "nn.state_saving_rnn": "nn.static_state_saving_rnn",
    "pack": "stack",
    "select": "where",
    "sub": "subtract",
    "train.SummaryWriter": "summary.FileWriter",
    "unpack": "unstack",
    # Dtypes, before 0.6.
    **{f"types.{name}": name for name in ("bool", "float32", "float64", "int32", "int64", "string", "uint8")},
}


def scalar_summary(tags, values, collections=None, name=None):
    """`tf.scalar_summary` of 0.12 for one tag, by which `tf.summary.scalar` names the op."""
    return tf.summary.scalar(_tag(tags), values, collections=collections)


def histogram_summary(tag, values, collections=None, name=None):
    """`tf.histogram_summary` of 0.12."""
    return tf.summary.histogram(_tag(tag), values, collections=collections)


def image_summary(tag, tensor, max_images=3, collections=None, name=None):
    """`tf.image_summary` of 0.12."""
    return tf.summary.image(_tag(tag), tensor, max_outputs=max_images, collections=collections)


def audio_summary(tag, tensor, sample_rate, max_outputs=3, collections=None, name=None):
    """`tf.audio_summary` of 0.12."""
    return tf.summary.audio(_tag(tag), tensor, sample_rate, max_outputs=max_outputs, collections=collections)


def _tag(tag):
    if isinstance(tag, str):
        return tag
    raise TypeError(
        f"the summaries of TensorFlow 0.12 took tensors or lists of tags, such as {tag!r}; those of today take one "
        "str: make one summary for each tag"
    )


def _batch_matmul(x, y, adj_x=False, adj_y=False, name=None):
    return tf.matmul(x, y, adjoint_a=adj_x, adjoint_b=adj_y, name=name)


_WRITTEN = {
    "audio_summary": audio_summary,
    "batch_matmul": _batch_matmul,
    "histogram_summary": histogram_summary,
    "image_summary": image_summary,
    "scalar_summary": scalar_summary,
}


def put_in(patches: Patches) -> None:
    """Adds the names that are not there."""
    for old, new in {**_RENAMED, **_WRITTEN}.items():
        package, _, name = old.rpartition(".")
        module = operator.attrgetter(package)(tf) if package else tf
        if not hasattr(module, name):
            patches.set(module, name, operator.attrgetter(new)(tf) if isinstance(new, str) else new)
    for kind in ("sigmoid", "softmax", "sparse_softmax"):
        name = f"{kind}_cross_entropy_with_logits"
        patches.set(tf.nn, name, _by_name_only(getattr(tf.nn, name)))


def _is_integer(value):
    dtype = getattr(value, "dtype", None)
    return tf.as_dtype(np.asarray(value).dtype if dtype is None else dtype).is_integer


def _by_name_only(function):
    """`function` without positional arguments, whose order changed with TensorFlow 1.0: refused, as 1.x did.

    Sparse labels are ints, and logits are none: these are told from each other.
    """
    is_sparse = function.__name__.startswith("sparse")

    @functools.wraps(function)
    def called(*positional, **named):
        if "targets" in named and len(positional) < 2:  # 0.x called it so, and logits came first.
            named["labels"] = named.pop("targets")
            if positional:
                named["logits"], positional = positional[0], ()
        if is_sparse and len(positional) >= 2 and _is_integer(positional[0]) != _is_integer(positional[1]):
            labels, logits = sorted(positional[:2], key=_is_integer, reverse=True)
            named.update(labels=labels, logits=logits, **dict(zip(("name",), positional[2:])))
            positional = ()
        if positional:
            raise ValueError(
                f"tf.nn.{function.__name__} is called with positional arguments, which TensorFlow 0.x took as "
                "(logits, labels) and later ones as (labels, logits): name them, labels=..., logits=..."
            )
        return function(**named)

    return called
