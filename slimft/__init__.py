"""slimft: TF-Slim's networks, checkpoints and fine-tuning on today's TensorFlow.

`finetune`, `evaluate`, `predict` and `Classifier` do what the commands do; docs/api.md tells what else is public.
All of it is listed below, and loaded when it is first used, so that `import slimft` costs nothing and imports no
TensorFlow.
"""

import importlib

__version__ = "0.1.0"

_WHERE = {
    "finetune": "slimft.api",
    "evaluate": "slimft.api",
    "predict": "slimft.api",
    "load_run": "slimft.api",
    "Classifier": "slimft.prediction",
    "Explainer": "slimft.explanation",
    "Segmenter": "slimft.segmenter",
    "Settings": "slimft.runs.settings",
    "NetworkSpec": "slimft.nets",
    "get_network": "slimft.nets",
    "network_names": "slimft.nets",
    "Dataset": "slimft.data",
    "DataOptions": "slimft.data",
    "dataset_names": "slimft.data",
    "load_dataset": "slimft.data",
    "SlimftError": "slimft.errors",
    "PatternError": "slimft.errors",
    "CheckpointError": "slimft.errors",
    "RestoreError": "slimft.errors",
    "DataError": "slimft.errors",
    "TrainingError": "slimft.errors",
    "UsageError": "slimft.errors",
    "VariableFilter": "slimft.filters",
    "Checkpoint": "slimft.checkpoint",
    "open_checkpoint": "slimft.checkpoint",
    "write_checkpoint": "slimft.checkpoint",
    "RestorePlan": "slimft.restore",
    "plan_restore": "slimft.restore",
    "get_variables_to_restore": "slimft.legacy.slim_restore",
    "assign_from_checkpoint": "slimft.legacy.slim_restore",
    "assign_from_checkpoint_fn": "slimft.legacy.slim_restore",
    "init_fn": "slimft.legacy.slim_restore",
    "RestoreHook": "slimft.legacy.slim_restore",
    "check_update_ops": "slimft.legacy.checks",
    "check_saver": "slimft.legacy.checks",
    "check_inference": "slimft.legacy.checks",
    "check_images": "slimft.legacy.checks",
}
# `slimft.restore` and `slimft.export` are modules that can be called: see the end of slimft/restore.py.
_MODULES = (
    "checkpoint",
    "compat",
    "conversion",
    "data",
    "errors",
    "evaluation",
    "export",
    "filters",
    "nets",
    "preprocessing",
    "report",
    "restore",
    "training",
)

__all__ = ["__version__", *_WHERE, *_MODULES]


def __getattr__(name):
    if name in _WHERE:
        value = getattr(importlib.import_module(_WHERE[name]), name)
    elif name in _MODULES:
        value = importlib.import_module(f"slimft.{name}")
    else:
        raise AttributeError(f"module 'slimft' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__():
    return sorted(__all__)
