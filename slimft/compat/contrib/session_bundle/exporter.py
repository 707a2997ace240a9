"""`Exporter` of 2016's TensorFlow Serving: what it exports is a SavedModel."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable
from typing import Any

from slimft.compat.contrib.session_bundle import gc
from slimft.compat.v1 import tf

__all__ = [
    "Exporter",
    "classification_signature",
    "generic_signature",
    "gfile_copy_callback",
    "regression_signature",
]

_KEYS = tf.saved_model.signature_constants
_KINDS = {"classification": _KEYS.CLASSIFY_METHOD_NAME, "regression": _KEYS.REGRESS_METHOD_NAME}


class Signature:
    """What a session bundle said of a graph's ends.

    Attributes:
        kind: ``classification``, ``regression`` or ``generic``.
        inputs, outputs: tensors by name; of a generic one, all are in `inputs`.
    """

    def __init__(self, kind: str, inputs: dict, outputs: dict):
        self.kind, self.inputs, self.outputs = kind, inputs, outputs


def classification_signature(input_tensor, classes_tensor=None, scores_tensor=None) -> Signature:
    """What gives classes, scores or both for an input."""
    outputs = {"classes": classes_tensor, "scores": scores_tensor}
    return Signature(
        "classification", {"inputs": input_tensor}, {k: v for k, v in outputs.items() if v is not None}
    )


def regression_signature(input_tensor, output_tensor) -> Signature:
    """What gives values for an input."""
    return Signature("regression", {"inputs": input_tensor}, {"outputs": output_tensor})


def generic_signature(name_tensor_map: dict) -> Signature:
    """Tensors by any names."""
    return Signature("generic", dict(name_tensor_map), {})


def gfile_copy_callback(files_to_copy: dict, export_dir_path: str) -> None:
    """Copies files, by their paths, to their names in a folder."""
    tf.gfile.MakeDirs(export_dir_path)
    for source, name in files_to_copy.items():
        tf.gfile.Copy(tf.compat.as_text(source), os.path.join(export_dir_path, tf.compat.as_text(name)), True)


class Exporter:
    """Exports a session's graph and variables, a folder for each version.

    Args:
        saver: the Saver that restores what is exported.
    """

    def __init__(self, saver):
        self._saver = saver
        self._signatures: dict[str, Signature] = {}
        self._init: dict[str, Any] = {}

    def init(
        self,
        graph_def=None,
        init_op=None,
        clear_devices: bool = False,
        default_graph_signature: Signature | None = None,
        named_graph_signatures: dict[str, Signature] | None = None,
        assets_collection: Iterable | None = None,
        assets_callback: Callable = gfile_copy_callback,
    ) -> None:
        """Says what is exported.

        Args:
            graph_def: passed over: what is exported is the graph of the session.
            init_op: runs after the variables are restored.
            clear_devices: whether nodes lose their devices.
            default_graph_signature, named_graph_signatures: what goes in and comes out.
            assets_collection: tensors with the paths of files that are copied.
            assets_callback: passed over: files go into the SavedModel's folder `assets`.
        """
        self._signatures = {"": default_graph_signature} if default_graph_signature else {}
        self._signatures.update(named_graph_signatures or {})
        self._init = {"main_op": init_op, "clear_devices": clear_devices, "assets_collection": assets_collection}

    def export(self, export_dir_base: str, global_step_tensor, sess=None, exports_to_keep: Callable | None = None):
        """Writes the SavedModel `export_dir_base`/00000001, whose number is the value of `global_step_tensor`.

        Args:
            exports_to_keep: is given the `gc.Path` of each export there, and gives those that are not deleted.

        Returns:
            The path of the new folder.

        Raises:
            RuntimeError: there is an export of this version.
        """
        session = sess or tf.get_default_session()
        path = os.path.join(tf.compat.as_text(export_dir_base), f"{int(session.run(global_step_tensor)):08d}")
        if os.path.exists(path):
            raise RuntimeError(f"Overwriting exports is not allowed: {path}")
        with session.graph.as_default():
            builder = tf.saved_model.builder.SavedModelBuilder(path)
            builder.add_meta_graph_and_variables(
                session,
                [tf.saved_model.tag_constants.SERVING],
                signature_def_map=_as_saved_model(self._signatures),
                saver=self._saver,
                **self._init,
            )
            builder.save()
        print(f"slimft: session bundles are no longer read: {path} is a SavedModel", file=sys.stderr)
        if exports_to_keep is not None:
            _delete_others(os.path.dirname(path), exports_to_keep)
        return path


def _as_saved_model(signatures):
    """The signatures as TensorFlow Serving took over those of session bundles."""
    made = {}
    for name, signature in signatures.items():
        key = name or _KEYS.DEFAULT_SERVING_SIGNATURE_DEF_KEY
        if signature.kind != "generic":
            # Those two methods take serialized examples; numbers are for predict.
            serialized = signature.inputs["inputs"].dtype == tf.string
            method = _KINDS[signature.kind] if serialized else _KEYS.PREDICT_METHOD_NAME
            made[key] = _definition(signature.inputs, signature.outputs, method)
        elif name not in ("inputs", "outputs"):
            print(f"slimft: the generic signature {name!r} has no place in a SavedModel", file=sys.stderr)
    if {"inputs", "outputs"} <= set(signatures):
        key = _KEYS.DEFAULT_SERVING_SIGNATURE_DEF_KEY
        pair = _definition(signatures["inputs"].inputs, signatures["outputs"].inputs, _KEYS.PREDICT_METHOD_NAME)
        made["predict" if key in made else key] = pair
    return made


def _definition(inputs, outputs, method):
    info = tf.saved_model.utils.build_tensor_info
    ends = ({name: info(tensor) for name, tensor in given.items()} for given in (inputs, outputs))
    return tf.saved_model.signature_def_utils.build_signature_def(*ends, method)


def _delete_others(folder, exports_to_keep):
    """Deletes the exports in `folder` that are not to be kept."""
    paths = [gc.Path(os.path.join(folder, name), int(name)) for name in os.listdir(folder) if name.isdigit()]
    for path in {*paths} - {*exports_to_keep(sorted(paths, key=lambda path: path.export_version))}:
        shutil.rmtree(path.path)
