"""Exports of an Experiment: ExportStrategy, and how tf.contrib.learn says what is served.

Source: tensorflow/contrib/learn/python/learn/{export_strategy,utils/input_fn_utils,
utils/saved_model_export_utils}.py of TensorFlow 1.15.
"""

from __future__ import annotations

import collections
import inspect
import os
import sys

from slimft.compat.v1 import tf

__all__ = [
    "ExportStrategy", "InputFnOps", "build_default_serving_input_fn", "build_parsing_serving_input_fn",
    "garbage_collect_exports", "get_most_recent_export", "make_export_strategy", "make_parsing_export_strategy",
]  # fmt: skip

# Scripts say tf.contrib.learn.utils.input_fn_utils.InputFnOps, and utils.saved_model_export_utils.
input_fn_utils = saved_model_export_utils = sys.modules[__name__]

InputFnOps = collections.namedtuple("InputFnOps", ["features", "labels", "default_inputs"])


class ExportStrategy(
    collections.namedtuple("ExportStrategy", ["name", "export_fn", "strip_default_attrs"], defaults=[None])
):
    """A folder's name, and a function of an estimator and a folder that exports into it.

    `export_fn` gets `checkpoint_path`, `eval_result` and `strip_default_attrs` where it has such arguments.
    """

    def export(self, estimator, export_path, checkpoint_path=None, eval_result=None):
        """What `export_fn` returns: the path of the export.

        Raises:
            ValueError: it takes `eval_result` and no `checkpoint_path`.
        """
        names = inspect.signature(self.export_fn).parameters
        if "eval_result" in names and "checkpoint_path" not in names:
            raise ValueError("an export_fn with eval_result needs checkpoint_path too")
        given = {"checkpoint_path": checkpoint_path, "eval_result": eval_result}
        if self.strip_default_attrs is not None:
            given["strip_default_attrs"] = self.strip_default_attrs
        return self.export_fn(
            estimator, export_path, **{name: value for name, value in given.items() if name in names}
        )


def build_parsing_serving_input_fn(feature_spec, default_batch_size=None):
    """A serving_input_fn that parses tf.Examples, by `feature_spec` of tf.parse_example."""

    def input_fn():
        examples = tf.placeholder(tf.string, [default_batch_size], name="input_example_tensor")
        return InputFnOps(tf.parse_example(examples, feature_spec), None, {"examples": examples})

    return input_fn


def build_default_serving_input_fn(features, default_batch_size=None):
    """A serving_input_fn of placeholders like the tensors in `features`, by name."""

    def input_fn():
        placeholders = {
            name: tf.placeholder(
                tensor.dtype, [default_batch_size, *tensor.shape.as_list()[1:]], name=tensor.op.name
            )
            for name, tensor in features.items()
        }
        return InputFnOps(placeholders, None, placeholders)

    return input_fn


def make_export_strategy(
    serving_input_fn,
    default_output_alternative_key=None,
    assets_extra=None,
    as_text=False,
    exports_to_keep=5,
    strip_default_attrs=None,
) -> ExportStrategy:
    """Exports by `estimator.export_savedmodel`, and keeps `exports_to_keep` of them; into a folder Servo."""

    def export_fn(estimator, export_dir_base, checkpoint_path=None, strip_default_attrs=False):
        alternative = {}
        if default_output_alternative_key is not None:
            if not hasattr(estimator, "fit"):
                raise ValueError("default_output_alternative_key needs an estimator of tf.contrib.learn")
            alternative["default_output_alternative_key"] = default_output_alternative_key
        path = estimator.export_savedmodel(
            export_dir_base,
            serving_input_fn,
            assets_extra=assets_extra,
            as_text=as_text,
            checkpoint_path=checkpoint_path,
            strip_default_attrs=strip_default_attrs,
            **alternative,
        )
        garbage_collect_exports(export_dir_base, exports_to_keep)
        return path

    return ExportStrategy("Servo", export_fn, strip_default_attrs)


def make_parsing_export_strategy(
    feature_columns,
    default_output_alternative_key=None,
    assets_extra=None,
    as_text=False,
    exports_to_keep=5,
    target_core=False,
    strip_default_attrs=None,
) -> ExportStrategy:
    """`make_export_strategy` of a model that is served tf.Examples with these feature columns."""
    spec = tf.feature_column.make_parse_example_spec(feature_columns)
    build = build_parsing_serving_input_fn
    if target_core:
        build = tf.estimator.export.build_parsing_serving_input_receiver_fn
    return make_export_strategy(
        build(spec), default_output_alternative_key, assets_extra, as_text, exports_to_keep, strip_default_attrs
    )


def _exports(export_dir_base):
    """The exports in a folder: the paths of folders whose names are times, the oldest first."""
    base = tf.compat.as_text(export_dir_base)
    names = (name.rstrip("/") for name in tf.gfile.ListDirectory(base)) if tf.gfile.Exists(base) else ()
    return [os.path.join(base, name) for name in sorted(names) if len(name) == 10 and name.isdigit()]


def get_most_recent_export(export_dir_base) -> str | None:
    """The path of the newest export in a folder, or None."""
    exports = _exports(export_dir_base)
    return exports[-1] if exports else None


def garbage_collect_exports(export_dir_base, exports_to_keep: int | None) -> None:
    """Deletes all but the newest exports in a folder; none if `exports_to_keep` is None."""
    exports = _exports(export_dir_base)
    for path in exports[: len(exports) - exports_to_keep] if exports_to_keep is not None else ():
        tf.gfile.DeleteRecursively(path)
