"""TF1 and TF-Slim scripts that cannot be edited: `install` makes their imports work, `uninstall` takes it back.

    import slimft.compat
    slimft.compat.install()

    import tensorflow as tf                                # tf.compat.v1, with tf.contrib.slim
    from tensorflow.contrib import slim
    from nets import nets_factory
    from preprocessing import preprocessing_factory
    from deployment import model_deploy

Packages `nets`, `preprocessing` and `deployment` that the script brings along are found before these.
"""

from __future__ import annotations

import importlib.machinery
import sys
import types

from tensorflow.python.framework import ops

from slimft.compat import estimator_repairs, legacy_names
from slimft.compat.v1 import tf

_UNSET = object()


class _TensorFlow(types.ModuleType):
    """What ``import tensorflow as tf`` gives: tf.compat.v1, tf.contrib, and what only TensorFlow 2 has.

    Args:
        real: the module tensorflow, in whose folders its submodules are found as ever.
    """

    def __init__(self, real: types.ModuleType):
        super().__init__("tensorflow", "TensorFlow as TF1 scripts know it; see slimft.compat.install.")
        kept = ("__file__", "__loader__", "__package__", "__path__", "__spec__", "__version__")
        self.__dict__.update({name: getattr(real, name) for name in kept if hasattr(real, name)})
        self.__dict__.update(_real=real, contrib=legacy_names.contrib, compat=real.compat)
        # The tensors of graphs are of a subclass today, and TF1 code asks whether `type(x) is tf.Tensor`.
        self.Tensor = getattr(ops, "SymbolicTensor", ops.Tensor)

    def __getattr__(self, name):
        for module in (tf, self._real):
            value = getattr(module, name, _UNSET)
            if value is not _UNSET:
                return value
        loaded = sys.modules.get(f"tensorflow.{name}")
        if loaded is None:
            raise AttributeError(legacy_names.missing(f"tensorflow.{name}"))
        return loaded

    def __dir__(self):
        return sorted({*super().__dir__(), *dir(tf), *dir(self._real)})


class _Loader:
    """Puts a module that exists where the import system looks for what was imported."""

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        sys.modules[module.__name__] = legacy_names.resolve(module.__name__)


class _Finder:
    """Finds the legacy packages where nothing else does."""

    def __init__(self):
        self.found: list[str] = []

    def find_spec(self, full_name, path=None, target=None):
        """The spec of a legacy module, or None if the name is another's; ImportError if it is gone."""
        root = next((root for root in legacy_names.ROOTS if f"{full_name}.".startswith(f"{root}.")), None)
        if root is None:
            return None
        module = legacy_names.resolve(full_name)
        if module is not None:
            self.found.append(full_name)
            return importlib.machinery.ModuleSpec(full_name, _Loader(), is_package=hasattr(module, "__path__"))
        if sys.modules.get(root) is legacy_names.resolve(root):
            # Without `name`: with it, `from package import name` would hide this line behind its own.
            raise ModuleNotFoundError(legacy_names.missing(full_name))
        return None


_finder: _Finder | None = None
_real_tensorflow: types.ModuleType | None = None


def install() -> None:
    """Makes the imports of TF1 and TF-Slim scripts work in this process, until `uninstall`.

    From then on, ``import tensorflow as tf`` gives tf.compat.v1 with tf.contrib; ``tensorflow.contrib``, ``nets``,
    ``preprocessing`` and ``deployment`` can be imported, the latter three unless packages of these names are found
    elsewhere. Modules that imported tensorflow before keep what they have; those imported afterwards, of other
    libraries too, get TF1's. Calling it again changes nothing.
    """
    global _finder, _real_tensorflow
    if _finder is not None:
        return
    _real_tensorflow = sys.modules["tensorflow"]
    sys.modules["tensorflow"] = _TensorFlow(_real_tensorflow)
    _finder = _Finder()
    sys.meta_path.append(_finder)
    estimator_repairs.install()


def uninstall() -> None:
    """Undoes `install`, if there was one. TensorFlow 2's behaviour stays off, as slimft.compat's import made it."""
    global _finder, _real_tensorflow
    if _finder is None:
        return
    sys.meta_path.remove(_finder)
    estimator_repairs.uninstall()
    for name in _finder.found:
        sys.modules.pop(name, None)
    sys.modules["tensorflow"] = _real_tensorflow
    _finder = _real_tensorflow = None
