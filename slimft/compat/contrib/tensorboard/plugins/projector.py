"""What `tf.contrib.tensorboard.plugins.projector` was: TensorBoard's view of embeddings.

The settings are those of the package tensorboard. Source of names: TensorFlow 1.15's
tensorflow/contrib/tensorboard/plugins/projector/__init__.py.
"""

from __future__ import annotations


def _today():
    try:
        from tensorboard.plugins import projector
    except ImportError as error:
        raise ModuleNotFoundError(
            "tf.contrib.tensorboard.plugins.projector needs TensorBoard: pip install 'slimft[tensorboard]'"
        ) from error
    return projector


def __getattr__(name):
    if name in ("EmbeddingInfo", "ProjectorConfig", "SpriteMetadata"):
        return getattr(_today(), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def visualize_embeddings(summary_writer, config):
    """Writes the settings of embeddings beside the events, where TensorBoard finds them.

    Args:
        summary_writer: a tf.summary.FileWriter, or a directory.
        config: a ProjectorConfig.

    Raises:
        ModuleNotFoundError: the package tensorboard is not there.
    """
    directory = summary_writer if isinstance(summary_writer, str) else summary_writer.get_logdir()
    _today().visualize_embeddings(directory, config)
