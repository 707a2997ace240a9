"""Loads what `exporter` writes."""

from __future__ import annotations

import os

from slimft.compat.v1 import tf
from slimft.errors import UsageError

__all__ = ["load_session_bundle_from_path", "maybe_session_bundle_dir"]


def load_session_bundle_from_path(export_dir: str, target: str = "", config=None, meta_graph_def=None):
    """A session with a SavedModel loaded, and its MetaGraphDef.

    Raises:
        UsageError: there is no SavedModel, such as in a session bundle that TensorFlow 1 wrote.
    """
    if not tf.saved_model.loader.maybe_saved_model_directory(export_dir):
        old = os.path.exists(os.path.join(export_dir, "export.meta"))
        kind = (
            "is a session bundle of TensorFlow 1: tf.train.import_meta_graph reads its export.meta" if old else ""
        )
        raise UsageError(f"{export_dir} {kind or 'has no SavedModel (saved_model.pb)'}")
    session = tf.Session(target, graph=tf.Graph(), config=config)
    with session.graph.as_default():
        return session, tf.saved_model.loader.load(session, [tf.saved_model.tag_constants.SERVING], export_dir)


def maybe_session_bundle_dir(export_dir: str) -> bool:
    """Whether a folder holds a session bundle, which none of today's does."""
    return os.path.exists(os.path.join(export_dir, "export.meta"))
