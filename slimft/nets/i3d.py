"""I3D, the inflated Inception for videos (Carreira and Zisserman, arXiv:1705.07750), under TF-Slim's names.

Inception V1 whose filters and pools reach over frames, too (figure 3 of the paper): `slimft.nets.s3dg` with full
convolutions, 7x7x7 ones first, and without gates.

    with slim.arg_scope(i3d.i3d_arg_scope()):
        logits, end_points = i3d.i3d(videos, num_classes=400, is_training=False)

Videos are ``[batch, frames, height, width, 3]``, RGB in [-1, 1]; the paper's have 64 frames of 224x224. Signatures,
variable names, op names and end points are those of research/slim/nets/i3d.py (github.com/tensorflow/models).
"""

from slimft.compat import slim
from slimft.nets import i3d_utils, inception_utils, s3dg

trunc_normal = inception_utils.trunc_normal
conv3d_spatiotemporal = i3d_utils.conv3d_spatiotemporal


def i3d_arg_scope(
    weight_decay=1e-7, batch_norm_decay=0.999, batch_norm_epsilon=0.001, use_renorm=False, separable_conv3d=False
):
    """The arg_scope I3D is built under.

    Args:
        weight_decay: factor of ``sum(weights**2) / 2`` in the loss.
        batch_norm_decay: decay of the moving averages, which join the collection ``moving_vars``.
        batch_norm_epsilon: added to the variance.
        use_renorm: whether to apply batch renormalization (arXiv:1702.03275).
        separable_conv3d: whether 3x3x3 convolutions are one over height and width, and then one over frames.
    """
    return s3dg.arg_scope_3d(
        separable_conv3d, weight_decay, decay=batch_norm_decay, epsilon=batch_norm_epsilon, renorm=use_renorm
    )


def i3d_base(inputs, final_endpoint="Mixed_5c", scope="InceptionV1"):
    """I3D up to one of its end points.

    Args:
        inputs: float tensor ``[batch, frames, height, width, channels]``.
        final_endpoint: the end point to stop at.
        scope: variable scope.

    Returns:
        The output of `final_endpoint`, and a dictionary of the end points by name.

    Raises:
        ValueError: there is no such end point.
    """
    return s3dg.s3dg_base(
        inputs, first_temporal_kernel_size=7, gating_startat=None, final_endpoint=final_endpoint, scope=scope
    )


def i3d(
    inputs,
    num_classes=1000,
    dropout_keep_prob=0.8,
    is_training=True,
    prediction_fn=slim.softmax,
    spatial_squeeze=True,
    reuse=None,
    scope="InceptionV1",
):
    """I3D.

    Args:
        inputs: float tensor ``[batch, frames, height, width, 3]``.
        num_classes: number of classes.
        dropout_keep_prob: probability that dropout keeps a feature.
        is_training: whether dropout is active and batch_norm normalizes with the batch's statistics.
        prediction_fn: ``prediction_fn(logits, scope=...)`` makes the end point ``Predictions``.
        spatial_squeeze: whether to drop the height and width, then 1, of the logits.
        reuse: whether to reuse the variables; `scope` must be given.
        scope: variable scope.

    Returns:
        The logits ``[batch, num_classes]``, which are the mean over the frames' logits, and a dictionary of the end
        points by name.
    """
    return s3dg.s3dg(
        inputs,
        num_classes,
        first_temporal_kernel_size=7,
        gating_startat=None,
        dropout_keep_prob=dropout_keep_prob,
        is_training=is_training,
        prediction_fn=prediction_fn,
        spatial_squeeze=spatial_squeeze,
        reuse=reuse,
        scope=scope,
    )


i3d.default_image_size = 224
