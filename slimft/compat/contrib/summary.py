"""What `tf.contrib.summary` was: summaries that ops of the graph write, with no session's `FileWriter`.

TensorFlow still has them, unlisted. A graph of these runs `summary_writer_initializer_op` before its first step.
Source of names and defaults: TensorFlow 1.15's tensorflow/contrib/summary/summary.py.
"""

import sys

from tensorflow.python.ops.summary_ops_v2 import (
    SummaryWriter,
    all_v2_summary_ops,
    always_record_summaries,
    audio,
    create_file_writer,
    create_summary_file_writer,
    eval_dir,
    generic,
    histogram,
    image,
    import_event,
    initialize,
    never_record_summaries,
    record_summaries_every_n_global_steps,
    scalar,
    summary_writer_initializer_op,
)
from tensorflow.python.ops.summary_ops_v2 import _legacy_contrib_should_record_summaries as should_record_summaries
from tensorflow.python.ops.summary_ops_v2 import graph_v1 as graph
from tensorflow.python.ops.summary_ops_v2 import legacy_raw_flush as flush

all_summary_ops = all_v2_summary_ops
# `tf.contrib.summary` was the module of that name in the package of that name.
summary = sys.modules[__name__]

__all__ = [
    "SummaryWriter", "all_summary_ops", "always_record_summaries", "audio", "create_db_writer",
    "create_file_writer", "create_summary_file_writer", "eval_dir", "flush", "generic", "graph", "histogram",
    "image", "import_event", "initialize", "never_record_summaries", "record_summaries_every_n_global_steps",
    "scalar", "should_record_summaries", "summary", "summary_writer_initializer_op",
]  # fmt: skip


def create_db_writer(db_uri, experiment_name=None, run_name=None, user_name=None, name=None):
    """Was a writer into an SQLite database.

    Raises:
        NotImplementedError: always; TensorBoard reads event files, which `create_file_writer` writes.
    """
    raise NotImplementedError(
        f"tf.contrib.summary.create_db_writer({db_uri!r}): summaries are not written into databases; write event "
        "files with create_file_writer, which TensorBoard reads"
    )
