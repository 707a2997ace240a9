"""tf.contrib.learn: preprocessing, data sets, and adapters of its estimators and experiments to tf.estimator.

Source: tensorflow/contrib/learn of TensorFlow 1.15. All names are found here, also those that TensorFlow had in
modules below; each is imported when it is used, since the estimators need ``pip install 'slimft[estimator]'``.
"""

from __future__ import annotations

import importlib

# Where the names are.
_NAMES = {
    "datasets": ("DATASETS", "load_boston", "load_dataset", "load_iris", "load_mnist"),
    "datasets.base": (
        *("Dataset", "Datasets", "load_csv_with_header", "load_csv_without_header", "maybe_download", "shrink_csv"),
    ),
    "datasets.mnist": ("DataSet", "dense_to_one_hot", "extract_images", "extract_labels", "read_data_sets"),
    "preprocessing": (
        *("ByteProcessor", "CategoricalProcessor", "CategoricalVocabulary", "TOKENIZER_RE", "VocabularyProcessor"),
        *("setup_processor_data_feeder", "tokenizer"),
    ),
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name):
    if name in _NAMES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *_MODULES, *(module for module in _NAMES if "." not in module)})
