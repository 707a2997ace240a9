"""Fine-tuning: a TF1 graph and a session loop.

`slimft.training.finetune(Settings(model="vgg_16", ...))` does what ``bin/finetune`` does. `Settings` needs
no TensorFlow; `finetune` imports it.
"""

import importlib

from slimft.runs.settings import Settings

__all__ = ["Settings", "finetune"]


def __getattr__(name):
    if name == "finetune":
        # By its documented path: the loop itself knows nothing of reports.
        return importlib.import_module("slimft.api.reported").finetune
    raise AttributeError(f"module 'slimft.training' has no attribute {name!r}")
