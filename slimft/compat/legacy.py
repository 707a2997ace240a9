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

import importlib
import sys
import types

from slimft.compat import estimator_repairs, keras_2, legacy_names
from slimft.compat.patches import Patches
from slimft.compat.v1 import tf
from slimft.imports import Given, spec_of

_UNSET = object()
# What is below tensorflow, and not a part of its interface of which tf.compat.v1 has another version.
_ITS_OWN = {"compat", "contrib", "core", "estimator", "examples", "include", "keras", "lite", "python", "tools"}


class _TensorFlow(types.ModuleType):
    """What ``import tensorflow as tf`` gives: tf.compat.v1, tf.contrib, and what only TensorFlow 2 has.

    Args:
        real: the module tensorflow, in whose folders its submodules are found as ever.
        version: what it says that it is; None for what `real` is.
    """

    def __init__(self, real: types.ModuleType, version: str | None):
        super().__init__("tensorflow", "TensorFlow as TF1 scripts know it; see slimft.compat.install.")
        kept = ("__file__", "__loader__", "__package__", "__path__", "__spec__", "__version__")
        self.__dict__.update({name: getattr(real, name) for name in kept if hasattr(real, name)})
        self.__dict__.update(_real=real, contrib=legacy_names.contrib, compat=real.compat)
        self.__dict__.update(keras=keras_2.Keras(real.keras))
        if version is not None:
            self.__dict__.update(__version__=version, VERSION=version)

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


# Modules of TensorFlow's own that were only a name for another.
_ONCE = {"tensorflow.python.training.training_ops": "tensorflow.python.ops.gen_training_ops"}


class _PartsFinder:
    """Finds TensorFlow 1's parts: ``tensorflow.image`` is tf.compat.v1.image, however it is imported.

    Python would find TensorFlow 2's, and put it in the place of TensorFlow 1's for all who use tf.image.
    """

    def __init__(self):
        self.given = Given()

    def find_spec(self, full_name, path=None, target=None):
        """The spec of a part of tf.compat.v1 or of tensorflow_core, which TensorFlow 1.15 was; else None."""
        root, _, rest = full_name.partition(".")
        if root == "tensorflow_core":
            self.given.note(full_name)
            return spec_of(full_name, importlib.import_module(f"tensorflow.{rest}" if rest else "tensorflow"))
        part = _part(full_name) or _keras(full_name)
        if full_name in _ONCE:
            part = importlib.import_module(_ONCE[full_name])
        if part is None:
            return None
        self.given.note(full_name)
        return spec_of(full_name, part)


def _part(full_name):
    """The module of tf.compat.v1 that ``import full_name`` means, or None."""
    root, *names = full_name.split(".")
    if root != "tensorflow" or not names or names[0] in _ITS_OWN or names[0].startswith("_"):
        return None
    part = tf
    for name in names:
        part = getattr(part, name, None)
    return part if isinstance(part, types.ModuleType) else None


def _keras(full_name):
    """The module of Keras 2 that ``import full_name`` means, or None."""
    name = keras_2.part(full_name)
    if name is None or not full_name.startswith(("tensorflow.keras", "tensorflow.contrib.keras")):
        return None
    return keras_2.resolve(name) if name else sys.modules["tensorflow"].keras


class _Finder:
    """Finds the legacy packages where nothing else does."""

    def __init__(self):
        self.given = Given()

    def find_spec(self, full_name, path=None, target=None):
        """The spec of a legacy module, or None if the name is another's; ImportError if it is gone."""
        root = next((root for root in legacy_names.ROOTS if f"{full_name}.".startswith(f"{root}.")), None)
        if root is None:
            return None
        module = legacy_names.resolve(full_name)
        if module is not None:
            self.given.note(full_name)
            return spec_of(full_name, module)
        if sys.modules.get(root) is legacy_names.resolve(root):
            # Without `name`: with it, `from package import name` would hide this line behind its own.
            raise ModuleNotFoundError(legacy_names.missing(full_name))
        return None


_finders: tuple[_PartsFinder, _Finder] | None = None
# The modules of TensorFlow 2 that are out of the way as long as it is installed.
_set_aside: dict[str, types.ModuleType] = {}
_patches = Patches()


def install(version: str | None = None) -> None:
    """Makes the imports of TF1 and TF-Slim scripts work in this process, until `uninstall`.

    From then on, ``import tensorflow as tf`` gives tf.compat.v1 with tf.contrib; ``tensorflow.contrib``, ``nets``,
    ``preprocessing`` and ``deployment`` can be imported, the latter three unless packages of these names are found
    elsewhere. Modules that imported tensorflow before keep what they have; those imported afterwards, of other
    libraries too, get TF1's. Calling it again changes nothing.

    Names and calls of TensorFlow 0.x and 1.x work again (`old_names`, `old_calls`): ``tf.pack``, ``tf.concat(axis,
    values)``, ``96 / 2`` as a size, flags that nobody defined.

    Args:
        version: what ``tf.__version__`` says, such as ``1.15.0``, for scripts that go by it; None for the truth.
    """
    global _finders
    if _finders is not None:
        return
    for name in list(sys.modules):
        if name in ("tensorflow", "tensorflow.keras") or name.startswith("tensorflow.keras.") or _part(name):
            _set_aside[name] = sys.modules.pop(name)
    sys.modules["tensorflow"] = _TensorFlow(_set_aside["tensorflow"], version)
    from slimft.compat import old_calls, old_devices, old_graphs, old_internals, old_names, old_shapes, old_tensors

    # `import tensorflow.compat.v1` is another module than `from tensorflow.compat import v1`.
    for name, module in list(sys.modules.items()):
        if name.startswith("tensorflow") and name.endswith("compat.v1"):
            _patches.set(module, "keras", sys.modules["tensorflow"].keras)
    old_names.put_in(_patches)
    old_graphs.put_in(_patches)  # Before old_internals, which puts the same under other names.
    old_internals.put_in(_patches)
    old_calls.put_in(_patches)
    old_devices.put_in(_patches)
    old_shapes.put_in(_patches)
    old_tensors.put_in(_patches, sys.modules["tensorflow"])
    _finders = _PartsFinder(), _Finder()
    sys.meta_path.insert(0, _finders[0])
    sys.meta_path.append(_finders[1])
    estimator_repairs.install()


def uninstall() -> None:
    """Undoes `install`, if there was one. TensorFlow 2's behaviour stays off, as slimft.compat's import made it."""
    global _finders
    if _finders is None:
        return
    estimator_repairs.uninstall()
    for finder in _finders:
        sys.meta_path.remove(finder)
        finder.given.take_back()
    _patches.undo()
    sys.modules.update(_set_aside)
    _set_aside.clear()
    _finders = None
