"""Ops that code pins to a GPU, on a machine that has none: they run on the CPU, which is said once. `put_in`.

TensorFlow refuses them unless a session's configuration says ``allow_soft_placement=True``.
"""

from __future__ import annotations

import functools

from tensorflow.python.client import session as session_module
from tensorflow.python.framework import config

from slimft.compat.patches import Patches
from slimft.compat.v1 import tf


def put_in(patches: Patches) -> None:
    """Lets sessions place such ops, until the patches are undone."""
    session = session_module.BaseSession
    patches.set(session, "__init__", _placing(session.__init__))
    patches.set(session, "run", _saying(session.run, patches))


def _placing(made):
    @functools.wraps(made)
    def make(self, target="", graph=None, config=None):
        self._slimft_is_to_look = not target and not _has_gpu()
        if self._slimft_is_to_look and (config is None or isinstance(config, tf.ConfigProto)):
            given, config = config, tf.ConfigProto(allow_soft_placement=True)
            if given is not None:
                config.CopyFrom(given)
                self._slimft_is_to_look = not given.allow_soft_placement
                config.allow_soft_placement = True
        made(self, target, graph, config)

    return make


def _saying(ran, patches):
    @functools.wraps(ran)
    def run(self, *arguments, **named):
        if getattr(self, "_slimft_is_to_look", False):
            self._slimft_is_to_look = False
            pinned = next((op for op in self.graph.get_operations() if "GPU" in op.device.upper()), None)
            if pinned is not None:
                patches.say(
                    "gpu",
                    f"{pinned.name} and others are pinned to {pinned.device}, and there is no GPU here: they run "
                    "on the CPU, by allow_soft_placement=True",
                )
        return ran(self, *arguments, **named)

    return run


@functools.cache
def _has_gpu():
    return bool(config.list_physical_devices("GPU"))
