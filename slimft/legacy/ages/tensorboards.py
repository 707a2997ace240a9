"""What tensorboard.summary had until TensorBoard 2: `custom_scalar_pb` and others, which are in its v1 now."""

from __future__ import annotations

import functools
import importlib

from slimft.legacy.ages.script import Script


def put_in(script: Script) -> None:
    """Gives the script these functions, when tensorboard.summary is loaded; `tensorboard` itself loads it late."""

    def summaries(module):
        old = importlib.import_module("tensorboard.summary.v1")
        for name, function in vars(old).items():
            if not name.startswith("_") and callable(function) and not hasattr(module, name):
                script.patches.set(module, name, _saying(function, name, script))

    script.later["tensorboard.summary"] = summaries


def _saying(function, name, script):
    @functools.wraps(function)
    def summary(*arguments, **named):
        line = "gone since TensorBoard 2, tensorboard.summary.v1's stands for it"
        script.say("tensorboard", f"tensorboard.summary.{name}", line)
        return function(*arguments, **named)

    return summary
