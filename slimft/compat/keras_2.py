"""Keras 2 under TensorFlow 1's names, of PyPI's tf-keras.

tf.keras is Keras 3 since TensorFlow 2.16, which builds no graph for a session.

Where Keras 2 had its modules: its releases 2.2 and 2.3 (github.com/keras-team/keras), and TensorFlow 1.15's
tensorflow/python/keras.
"""

from __future__ import annotations

import functools
import importlib
import sys
import types
from importlib.util import find_spec

_API, _API_2 = "tf_keras.api._v1.keras", "tf_keras.api._v2.keras"
_SOURCES = "tf_keras.src"
# What the package is called, with what TensorFlow had of it, the longest first.
_ROOTS = (
    "tensorflow.contrib.keras.python.keras",
    "tensorflow.contrib.keras.api.keras",
    "tensorflow.contrib.keras",
    "tensorflow.python.keras._impl.keras",
    "tensorflow.python.keras",
    "tensorflow.keras",
    "keras",
)
_LAYERS = ("layers",)
_ENGINE = ("", "layers", "models", "utils", f"{_SOURCES}.engine.base_layer", f"{_SOURCES}.engine.functional")
# Modules that are gone, and where their names are: below tf_keras's interface, or in modules of its sources.
_MOVED = {
    "_impl": ("",),
    "backend.tensorflow_backend": ("backend",),
    "engine": _ENGINE,
    "engine.network": _ENGINE,
    "engine.topology": _ENGINE,
    "engine.base_layer": (f"{_SOURCES}.engine.base_layer", *_ENGINE),
    "objectives": ("losses",),
    **{
        f"layers.{name}": _LAYERS
        for name in (
            "advanced_activations", "convolutional", "convolutional_recurrent", "core", "cudnn_recurrent",
            "embeddings", "local", "merge", "noise", "normalization", "pooling", "recurrent", "wrappers",
        )
    },
    **{
        f"utils.{name}": ("utils", f"{_SOURCES}.utils.{name}")
        for name in ("generic_utils", "np_utils", "vis_utils")
    },
    **{
        f"preprocessing.{name}": (f"preprocessing.{name}", f"{_SOURCES}.preprocessing.{name}")
        for name in ("image", "sequence", "text")
    },
}  # fmt: skip


class _Names(types.ModuleType):
    """A part of Keras 2, which finds its names in modules of tf-keras.

    Args:
        name: below ``keras``; empty for Keras itself.
        sources: where its names are: below tf_keras's interface, or in modules of its sources.
    """

    def __init__(self, name: str, sources: tuple[str, ...]):
        super().__init__(f"tensorflow.keras.{name}".rstrip("."), "See slimft/compat/keras_2.py.")
        self.__path__: list[str] = []
        self._name, self._sources = name, sources

    def __getattr__(self, name):
        if name == "__all__":
            return dir(self)
        if name == "__version__":
            return importlib.import_module("tf_keras").__version__
        if not name.startswith("__"):
            below = resolve(f"{self._name}.{name}".lstrip("."))
            if below is not None:
                return below
            for module in self._modules():
                value = getattr(module, name, None)
                if value is not None:
                    return value
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def __dir__(self):
        return sorted({name for module in self._modules() for name in dir(module) if name[0] != "_"})

    def _modules(self):
        return [importlib.import_module(_full(source)) for source in self._sources]


class Keras(types.ModuleType):
    """What tf.keras is to scripts of TensorFlow 1: Keras 2 where tf-keras is installed, else Keras 3.

    Args:
        keras_3: the module of TensorFlow.
    """

    def __init__(self, keras_3):
        super().__init__("tensorflow.keras", "Keras 2; see slimft/compat/keras_2.py.")
        self.__path__ = []
        self._keras_3 = keras_3
        self._said = False

    def __getattr__(self, name):
        if name.startswith("__") and name != "__version__":
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        if is_installed():
            return getattr(resolve(""), name)
        if not self._said:
            self._said = True
            print(f"slimft: tf.keras.{name}: {missing()}", file=sys.stderr)
        return getattr(self._keras_3, name)

    def __dir__(self):
        return dir(resolve("") if is_installed() else self._keras_3)


@functools.cache
def is_installed() -> bool:
    """Whether Keras 2 is there."""
    return find_spec("tf_keras") is not None


def missing() -> str:
    """What to do where it is not."""
    return "this is Keras 3, which builds no graph for a session; for Keras 2: pip install 'slimft[keras2]'"


def part(full_name: str) -> str | None:
    """What of Keras is called `full_name`: the name below keras, empty for keras itself; None if it is not Keras.

    >>> part("tensorflow.python.keras.layers"), part("keras"), part("tensorflow.nn")
    ('layers', '', None)
    """
    for root in _ROOTS:
        if f"{full_name}.".startswith(f"{root}."):
            return full_name[len(root) + 1 :]
    return None


@functools.cache
def resolve(name: str) -> types.ModuleType | None:
    """The module of Keras 2 of that name below ``keras``, such as ``layers.core``; None if there is none."""
    if not is_installed():
        return None
    _put_back()
    if name in _MOVED:
        return _Names(name, _MOVED[name])
    if _is_there(_full(name)):
        # TensorFlow 1 had a few names that only the second version of the interface still has.
        newer = f"{_API_2}.{name}".rstrip(".")
        return _Names(name, (name, newer) if _is_there(newer) else (name,))
    source = f"{_SOURCES}.{name}"
    return importlib.import_module(source) if _is_there(source) else None


def _full(source):
    if source.startswith((_SOURCES, _API_2)):
        return source
    return f"{_API}.{source}".rstrip(".")


def _is_there(full_name):
    try:
        importlib.import_module(full_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{full_name}.".startswith(f"{error.name}."):
            raise
        return False
    return True


@functools.cache
def _put_back():
    """Gives Keras 2 what its last releases dropped: predict_classes, image_dim_ordering."""
    models, backend = (importlib.import_module(f"{_API}.{name}") for name in ("models", "backend"))
    orders = {"channels_first": "th", "channels_last": "tf"}
    formats = {order: data_format for data_format, order in orders.items()}

    def predict_classes(model, x, batch_size=32, verbose=0):
        probabilities = model.predict(x, batch_size=batch_size, verbose=verbose)
        is_one_hot = probabilities.shape[-1] > 1
        return probabilities.argmax(axis=-1) if is_one_hot else (probabilities > 0.5).astype("int32")

    def predict_proba(model, x, batch_size=32, verbose=0):
        return model.predict(x, batch_size=batch_size, verbose=verbose)

    def image_dim_ordering():
        return orders[backend.image_data_format()]

    def set_image_dim_ordering(dim_ordering):
        backend.set_image_data_format(formats[dim_ordering])

    for owner, functions in (
        (models.Sequential, (predict_classes, predict_proba)),
        (backend, (image_dim_ordering, set_image_dim_ordering)),
    ):
        for function in functions:
            if not hasattr(owner, function.__name__):
                setattr(owner, function.__name__, function)
