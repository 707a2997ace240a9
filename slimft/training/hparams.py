"""A run's settings as hyperparameters for TensorBoard's HParams tab, where several runs compare.

What is written is what ``tensorboard.plugins.hparams.summary`` documents, but for the description of the whole
experiment: without one, TensorBoard finds out by itself which settings differ, and shows these first.
"""

from __future__ import annotations

from collections.abc import Mapping

from slimft.runs.settings import OF_THE_DISK


def write_hparams(writer, settings: Mapping[str, object]) -> bool:
    """Writes a finished run's hyperparameters; returns False, and writes nothing, without TensorBoard installed.

    Args:
        writer: a `tf.summary.FileWriter` into the run's directory, to which its scalars are written too.
        settings: the run's settings, by name; those that are None are left out.
    """
    try:
        from tensorboard.plugins.hparams import api_pb2, summary
    except ImportError:
        return False
    values = {
        name: ",".join(map(str, value)) if isinstance(value, (list, tuple)) else value
        for name, value in settings.items()
        if value is not None and name not in OF_THE_DISK
    }
    writer.add_summary(summary.session_start_pb(values))
    writer.add_summary(summary.session_end_pb(api_pb2.STATUS_SUCCESS))
    return True
