"""tf.estimator, which TensorFlow dropped in 2.16: PyPI's tensorflow-estimator, made to import beside it.

The last release, 2.15.0, has the whole of TensorFlow 1.15's tf.estimator but the boosted trees. What it misses in
TensorFlow 2.16 and later is put back here: Keras 2, for its canned estimators, is tf_keras, which only its modules
see; the module of distribution strategies is `estimator_distribution`; and the decorator that exports its names
does nothing, as TensorFlow no longer has these names.

The package is imported when it is used: by `imported`, and by ``import tensorflow_estimator`` after
`slimft.compat.install`.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.machinery
import sys
import threading
import types
from importlib.util import find_spec

from slimft.errors import UsageError

PACKAGE = "tensorflow_estimator"
# Where the package keeps the names of TensorFlow 1's tf.estimator.
NAMES = f"{PACKAGE}._api.v1.estimator"
MODULES = f"{PACKAGE}.python.estimator"
_EXPORT = f"{MODULES}.estimator_export"
_DISTRIBUTION = "tensorflow.python.distribute.estimator_training"
_NEEDED = {PACKAGE: "tensorflow-estimator", "tf_keras": "tf-keras"}
# Modules that its TPUEstimator imports, and that only a TPU, or embeddings on one, make use of.
_TPU_ONLY = ("session_support", "tpu_embedding", "tpu_embedding_gradient")
_lock = threading.RLock()


class _View(types.ModuleType):
    """A module with a few other attributes.

    Args:
        module: where all others are looked up.
        attributes: those.
    """

    def __init__(self, module: types.ModuleType, **attributes):
        super().__init__(module.__name__, module.__doc__)
        kept = ("__file__", "__path__", "__spec__", "__version__")
        self.__dict__.update({name: getattr(module, name) for name in kept if hasattr(module, name)})
        self.__dict__.update(attributes, _module=module)

    def __getattr__(self, name):
        return getattr(self._module, name)


class _TpuOnly(types.ModuleType):
    """A module that is gone: its names are classes that nothing is an instance of."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        setattr(self, name, type(name, (), {"__init__": self._refuse, "__module__": self.__name__}))
        return getattr(self, name)

    def _refuse(self, *_, **__):
        raise UsageError(
            "embeddings and sessions on a TPU left with TensorFlow 2.16; use_tpu=False trains without one"
        )


class _Loader:
    """Imports the package where `import tensorflow_estimator` asks for it."""

    def __init__(self, loader):
        self._loader = loader

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        with _lock, _as_tensorflow_2_15():
            self._loader.exec_module(module)
            # All modules now, while they see the TensorFlow that they were written for.
            importlib.import_module(f"{MODULES}.estimator_lib")
            importlib.import_module(NAMES)


class _Finder:
    """Finds the package before Python does; its modules and everything else are none of its business."""

    def find_spec(self, full_name, path=None, target=None):
        if full_name != PACKAGE or path is not None:
            return None
        spec = importlib.machinery.PathFinder.find_spec(full_name)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


_finder = _Finder()


def install() -> None:
    """Lets ``import tensorflow_estimator`` give the repaired package, from now on."""
    sys.meta_path.insert(0, _finder)


def uninstall() -> None:
    """Undoes `install`, if there was one."""
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)


def imported(name: str) -> types.ModuleType:
    """The module `name` of the repaired package, or an ImportError that says what to install."""
    check_installed()
    if PACKAGE not in sys.modules:
        install()
        try:
            importlib.import_module(PACKAGE)
        finally:
            sys.meta_path.remove(_finder)
    return importlib.import_module(name)


def check_installed() -> None:
    """Nothing, or an ImportError that says what to install."""
    lacking = [name for module, name in _NEEDED.items() if module not in sys.modules and not find_spec(module)]
    if lacking:
        raise ModuleNotFoundError(
            f"tf.estimator needs {' and '.join(lacking)}, which TensorFlow no longer brings along: "
            "pip install 'slimft[estimator]'"
        )


@contextlib.contextmanager
def _as_tensorflow_2_15():
    """For the block, `import tensorflow` gives what tensorflow-estimator 2.15 expects."""
    check_installed()
    from slimft.compat import estimator_distribution

    _put(_DISTRIBUTION, estimator_distribution)
    for name in _TPU_ONLY:
        full_name = f"tensorflow.python.tpu.{name}"
        if not find_spec(full_name):
            _put(full_name, _TpuOnly(full_name))
    sys.modules[_EXPORT] = _export_module()
    current = sys.modules["tensorflow"]
    sys.modules["tensorflow"] = _view(getattr(current, "_real", current))
    try:
        yield
    finally:
        sys.modules["tensorflow"] = current


def _put(full_name, module):
    """Makes `module` what ``import full_name`` gives."""
    package, _, name = full_name.rpartition(".")
    setattr(importlib.import_module(package), name, module)
    sys.modules[full_name] = module


def _view(tensorflow):
    """TensorFlow with Keras 2, as its 2.15 was."""
    keras = importlib.import_module("tf_keras")
    keras_1 = importlib.import_module("tf_keras.api._v1.keras")
    layers = importlib.import_module("tf_keras.api._v1.keras.__internal__.legacy.layers")
    compat = _View(
        tensorflow.compat,
        v1=_View(tensorflow.compat.v1, keras=keras_1, layers=layers),
        v2=_View(tensorflow.compat.v2, keras=keras),
    )
    return _View(tensorflow, keras=keras, compat=compat)


def _export_module():
    """The package's `estimator_export`: it leaves what it decorates as it is."""
    module = types.ModuleType(_EXPORT)

    class EstimatorExport:
        def __init__(self, *names, **_):
            self.names = names

        def __call__(self, exported):
            return exported

        def export_constant(self, module_name, name):
            pass

    module.estimator_export = EstimatorExport
    return module
