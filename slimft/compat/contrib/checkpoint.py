"""What `tf.contrib.checkpoint` was: names around `tf.train.Checkpoint`.

Source of names: TensorFlow 1.15's tensorflow/contrib/checkpoint.
"""

from __future__ import annotations

from tensorflow.python.checkpoint import checkpoint as _checkpoint
from tensorflow.python.trackable import autotrackable, base, data_structures

from slimft.compat.v1 import tf

CheckpointManager = tf.train.CheckpointManager
Checkpointable = autotrackable.AutoTrackable
CheckpointableBase = base.Trackable
List = data_structures.List
Mapping = data_structures.Mapping
NoDependency = data_structures.NoDependency
capture_dependencies = _checkpoint.capture_dependencies
object_metadata = _checkpoint.object_metadata

__all__ = [
    "CheckpointManager", "Checkpointable", "CheckpointableBase", "List", "Mapping", "NoDependency",
    "UniqueNameTracker", "capture_dependencies", "object_metadata",
]  # fmt: skip


class UniqueNameTracker(Checkpointable):
    """Holds objects that are saved under names which are made to differ: base, base_1, base_2, ..."""

    def __init__(self):
        super().__init__()
        # The counts are not saved.
        self._counts = NoDependency({})

    def track(self, trackable, base_name):
        """Holds an object under a name; ValueError if it is not one that can be saved."""
        if not isinstance(trackable, base.Trackable):
            raise ValueError(f"{type(trackable).__name__} cannot be saved in a checkpoint")
        count = self._counts.get(base_name, 0)
        self._counts[base_name] = count + 1
        self._track_trackable(trackable, name=base_name if count == 0 else f"{base_name}_{count}")
        return trackable
