"""What `tf.contrib.deprecated` was: the summaries of TensorFlow 0.12."""

from slimft.compat.old_names import audio_summary, histogram_summary, image_summary, scalar_summary
from slimft.compat.v1 import tf

__all__ = [
    "audio_summary", "histogram_summary", "image_summary", "merge_all_summaries", "merge_summary", "scalar_summary",
]  # fmt: skip

merge_summary, merge_all_summaries = tf.summary.merge, tf.summary.merge_all
