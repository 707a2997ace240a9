"""tf.contrib.learn: preprocessing, data sets, and adapters of its estimators and experiments to tf.estimator.

Source: tensorflow/contrib/learn of TensorFlow 1.15. All names are found here, also those that TensorFlow had in
modules below; each is imported when it is used, since the estimators need ``pip install 'slimft[estimator]'``.
"""

from __future__ import annotations

import importlib

from slimft.compat.v1 import tf
from slimft.errors import UsageError

# Where the names are.
_NAMES = {
    "canned": (
        *("DNNClassifier", "DNNLinearCombinedClassifier", "DNNLinearCombinedRegressor", "DNNRegressor"),
        *("LinearClassifier", "LinearRegressor"),
    ),
    "datasets": ("DATASETS", "load_boston", "load_dataset", "load_iris", "load_mnist"),
    "datasets.base": (
        *("Dataset", "Datasets", "load_csv_with_header", "load_csv_without_header", "maybe_download", "shrink_csv"),
    ),
    "datasets.mnist": ("DataSet", "dense_to_one_hot", "extract_images", "extract_labels", "read_data_sets"),
    "estimators": (
        *("BaseEstimator", "Estimator", "SKCompat", "infer_real_valued_columns_from_input"),
        *("infer_real_valued_columns_from_input_fn",),
    ),
    "experiment": ("Experiment",),
    "keys": (
        *("Environment", "MetricKey", "ModeKeys", "ModelFnOps", "NotFittedError", "PredictionKey"),
        *("PredictionType", "ProblemType", "TaskType"),
    ),
    "learn_io": (
        *("extract_dask_data", "extract_dask_labels", "extract_pandas_data", "extract_pandas_labels"),
        *("extract_pandas_matrix", "numpy_input_fn", "pandas_input_fn"),
    ),
    "learn_runner": ("run", "tune"),
    "metric_spec": ("MetricSpec",),
    "monitors": (
        *("BaseMonitor", "CheckpointSaver", "ExportMonitor", "NanLoss", "NanLossDuringTrainingError"),
        *("PrintTensor", "StepCounter", "StopAtStep", "SummarySaver", "ValidationMonitor"),
    ),
    "preprocessing": (
        *("ByteProcessor", "CategoricalProcessor", "CategoricalVocabulary", "TOKENIZER_RE", "VocabularyProcessor"),
        *("setup_processor_data_feeder", "tokenizer"),
    ),
    "run_config": ("ClusterConfig", "RunConfig"),
    "utils": (
        *("ExportStrategy", "InputFnOps", "build_default_serving_input_fn", "build_parsing_serving_input_fn"),
        *("garbage_collect_exports", "get_most_recent_export", "make_export_strategy"),
        *("make_parsing_export_strategy",),
    ),
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names}
# Modules that are another one's names.
_ALIASES = {
    "export_strategy": "utils",
    "input_fn_utils": "utils",
    "io": "learn_io",
    "model_fn": "keys",
    "saved_model_export_utils": "utils",
}
_GONE = {
    **dict.fromkeys(
        ("evaluate", "infer", "run_feeds", "run_n", "train"),
        "use slim.learning.train, or tf.train.MonitoredTrainingSession",
    ),
    **dict.fromkeys(
        (
            *(
                "read_batch_examples",
                "read_batch_features",
                "read_batch_record_features",
                "read_keyed_batch_examples",
            ),
            *("queue_parsed_features", "generator_input_fn"),
        ),
        "use tf.data",
    ),
    "DynamicRnnEstimator": "write a model_fn with tf.nn.dynamic_rnn",
    "KMeansClustering": "use tf.estimator.experimental.KMeans",
    "LogisticRegressor": "use tf.estimator.LinearClassifier",
    "SVM": "use scikit-learn's LinearSVC, or tf.losses.hinge_loss in a model_fn",
    "DNNEstimator": "use tf.estimator.DNNEstimator",
    "DNNLinearCombinedEstimator": "use tf.estimator.DNNLinearCombinedEstimator",
    "LinearEstimator": "use tf.estimator.LinearEstimator",
    "multi_class_head": "use tf.contrib.estimator.multi_class_head",
    "regression_head": "use tf.contrib.estimator.regression_head",
}
# The modules that TensorFlow had by these names, and all else.
__all__ = sorted(
    {*_MODULES, *_ALIASES, *_GONE, *(name for name in _NAMES if name.isidentifier())} - {"canned", "keys"}
)


# Those of its module monitored_session, which are in tf.train since 0.12.
_MONITORED = ("ChiefSessionCreator", "MonitoredSession", "Scaffold", "SessionCreator", "WorkerSessionCreator")


class _Gone:
    """A name that can be imported and not be used."""

    def __init__(self, name):
        self._name = name

    def __call__(self, *_, **__):
        raise UsageError(f"no tf.contrib.learn.{self._name}: it left with TensorFlow 1; {_GONE[self._name]}")


def __getattr__(name):
    if name in _NAMES or name in _ALIASES:
        return importlib.import_module(f"{__name__}.{_ALIASES.get(name, name)}")
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    if name in _GONE:
        return _Gone(name)
    if name in _MONITORED:
        return getattr(tf.train, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return __all__
