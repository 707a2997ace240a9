"""What a run of ``bin/finetune`` was and how well it did, as one web page; and several runs side by side.

`write_report(train_dir)`, `write_folds_report(train_dir)` of a cross-validation and `compare(train_dirs, output)`
read nothing but the JSON files of the runs' directories, and need no TensorFlow.
"""

import importlib

_WHERE = {
    "write_report": "slimft.report.run_page",
    "write_folds_report": "slimft.report.folds_page",
    "compare": "slimft.report.comparison_page",
    "text_tables": "slimft.report.comparison_page",
}

__all__ = list(_WHERE)


def __getattr__(name):
    if name in _WHERE:
        return getattr(importlib.import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'slimft.report' has no attribute {name!r}")
