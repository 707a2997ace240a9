"""The modules that TF1 scripts import and that are gone: tf.contrib, and research/slim's packages.

`resolve` finds what stands for a module by its full name, such as ``tensorflow.contrib.slim`` or ``nets.vgg``: a
module of slimft or tf-slim, or a `Namespace` that finds its names in these.

Which names tf.contrib had: TensorFlow 1.15's tensorflow/contrib (github.com/tensorflow/tensorflow, tag v1.15.0).
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import operator
import re
import types
from importlib.util import find_spec

from slimft.compat import estimator_repairs, keras_2
from slimft.errors import UsageError

_CONTRIB = "slimft.compat.contrib"
# What modules are called, and classes and private names are not.
_MODULE_NAME = re.compile("[a-z][a-z0-9_]*")
# google3 is in a few of research/slim's files that came out of Google as they were.
ROOTS = (
    "deployment",
    "google3",
    "nets",
    "preprocessing",
    "tensorflow.contrib",
    "tensorflow.estimator",
    "tensorflow.examples",
    "tensorflow.python.estimator",
    "tensorflow.python.keras",
    "tensorflow.tools.graph_transforms",
    "tensorflow_serving",
)
# PyPI's tensorflow-estimator: the folders of modules that TensorFlow 1 had below tensorflow.python.estimator, and
# what tf.estimator was, with its parts.
_ESTIMATOR = "tensorflow.python.estimator"
_ESTIMATOR_FOLDERS = ("", ".canned", ".export", ".head", ".hooks", ".inputs", ".inputs.queues", ".tpu")
_ESTIMATOR_PARTS = ("", ".experimental", ".export", ".inputs", ".tpu")

# What else tf.contrib had in 1.15. These can be imported, as scripts import what they then do not use.
_REST_OF_CONTRIB = (
    "all_reduce", "autograph", "bayesflow", "bigtable", "boosted_trees", "cloud", "constrained_optimization",
    "ffmpeg", "fused_conv", "gan", "hadoop", "ignite", "input_pipeline",
    "kafka", "kernel_methods", "kinesis", "labeled_tensor", "libsvm", "linear_optimizer",
    "meta_graph_transform", "model_pruning", "nearest_neighbor", "optimizer_v2", "proto", "quantization",
    "receptive_field", "recurrent", "reduce_slice_ops", "remote_fused_graph", "rpc",
    "solvers", "specs", "tensor_forest", "testing", "text", "timeseries",
)  # fmt: skip
# Each package by its full name, and the modules in which its names are found; those of a package of tf.contrib also
# in `slimft.compat.contrib`, in the module of its name. `nets` is slimft's, and tf-slim's for what slimft has not.
_PACKAGES = {
    "deployment": (),
    "google3": (),
    "google3.testing": (),
    "google3.testing.pybase": (),
    "nets": (),
    "nets.mobilenet": (),
    "nets.nasnet": (),
    "preprocessing": (),
    "tensorflow.contrib": (),
    "tensorflow.contrib.framework": ("tf_slim.ops.arg_scope", "tf_slim.ops.variables", "tf_slim.ops.framework_ops"),
    "tensorflow.contrib.framework.python.ops.audio_ops": ("tensorflow.python.ops.gen_audio_ops",),
    "tensorflow.contrib.layers": (
        "tf_slim",
        "tf_slim.layers.layers",
        "tf_slim.layers.initializers",
        "tf_slim.layers.normalization",
        "tf_slim.layers.optimizers",
        "tf_slim.layers.regularizers",
        "tf_slim.layers.summaries",
    ),
    "tensorflow.contrib.losses": ("tf_slim.losses",),
    "tensorflow.contrib.metrics": ("tf_slim.metrics",),
    "tensorflow.contrib.slim": ("tf_slim",),
    "tensorflow.contrib.slim.nets": (),
    "tensorflow.contrib.slim.python.slim": ("tf_slim",),
    "tensorflow.contrib.slim.python.slim.data": ("tf_slim.data",),
    "tensorflow.contrib.slim.python.slim.nets": (),
    "tensorflow.contrib.training": (
        "tf_slim.training.training",
        "tf_slim.training.evaluation",
        "slimft.compat.hparams",
    ),
    "tensorflow.examples": (),
    "tensorflow.examples.tutorials": (),
    "tensorflow.examples.tutorials.mnist": (),
    "tensorflow.tools.graph_transforms": ("slimft.compat.graph_transforms",),
    "tensorflow_serving": (),
    "tensorflow_serving.session_bundle": (),
    **{f"tensorflow.contrib.{name}": () for name in _REST_OF_CONTRIB},
    **{f"tensorflow.estimator{part}": (f"{estimator_repairs.NAMES}{part}",) for part in _ESTIMATOR_PARTS},
    **{f"{_ESTIMATOR}{folder}": () for folder in _ESTIMATOR_FOLDERS},
}

# Where the modules of a package are, in this order.
_MODULES = {
    "deployment": ("slimft.legacy.deployment",),
    "google3.testing.pybase": ("absl.testing",),
    "nets": ("slimft.nets", "tf_slim.nets"),
    "nets.mobilenet": ("slimft.nets.mobilenet",),
    "nets.nasnet": ("slimft.nets.nasnet",),
    "preprocessing": ("slimft.legacy.preprocessing",),
    "tensorflow.contrib.framework.python.ops": ("tf_slim.ops",),
    "tensorflow.contrib.layers.python.layers": ("tf_slim.layers",),
    "tensorflow.contrib.slim.nets": ("slimft.nets", "tf_slim.nets"),
    "tensorflow.examples.tutorials.mnist": ("slimft.compat.examples.tutorials.mnist",),
    "tensorflow.contrib.slim.python.slim": ("tf_slim",),
    "tensorflow.contrib.slim.python.slim.data": ("tf_slim.data",),
    "tensorflow.contrib.slim.python.slim.nets": ("slimft.nets", "tf_slim.nets"),
    "tensorflow_serving.session_bundle": ("slimft.compat.contrib.session_bundle",),
    **{
        f"{_ESTIMATOR}{folder}": (f"tensorflow_estimator.python.estimator{folder}",)
        for folder in _ESTIMATOR_FOLDERS
    },
}

# Names that are in tf.compat.v1 now.
_NAMES = {
    "tensorflow.contrib.framework": {
        "init_from_checkpoint": "train.init_from_checkpoint",
        "list_variables": "train.list_variables",
        "load_checkpoint": "train.load_checkpoint",
        "load_variable": "train.load_variable",
    },
}

# What to do instead, by full name.
_ADVICE = {
    "deployment": "slimft.legacy.deployment has model_deploy; put other modules of research/slim's deployment into "
    "a folder deployment beside the script, where they are found first",
    "nets": "slimft.nets has the networks that `bin/finetune --list_models` lists; put other modules of "
    "research/slim's nets into a folder nets beside the script, where they are found first",
    "preprocessing": "slimft.preprocessing has vgg, inception, lenet, cifarnet and densenet; put other modules of "
    "research/slim's preprocessing into a folder preprocessing beside the script, where they are found first",
    "google3": "take the line out, or import what the package is called outside of Google; slimft knows "
    "google3.testing.pybase.parameterized, which is absl.testing's",
    "tensorflow.contrib.all_reduce": "tf.contrib.nccl.all_sum sums over devices",
    "tensorflow.contrib.opt": "most of its optimizers are here, but not those for parameter servers; see "
    "tf.train.SyncReplicasOptimizer",
    "tensorflow.contrib.saved_model": "it reads SavedModels here; models of Keras have their own save",
    "tensorflow.contrib.rnn": "most of its cells are here; others are in tf.nn.rnn_cell",
    "tensorflow.contrib.seq2seq": "TensorFlow 1.0's decoder functions are not here; use BasicDecoder, "
    "AttentionWrapper and dynamic_decode",
    "tensorflow.contrib.data": "see tf.data and tf.data.experimental",
    "tensorflow.contrib.distributions": "the package tensorflow-probability has more of them",
    "tensorflow.contrib.eager": "slimft.compat builds graphs; eager code runs on TensorFlow 2 without it",
    "tensorflow.contrib.gan": "it is the package tensorflow-gan",
    "tensorflow.contrib.tpu": "tf.estimator.Estimator trains without a TPU",
    "tensorflow.contrib.lite": "see tf.lite",
    "tensorflow.contrib.session_bundle": "its exporter writes SavedModels here, and session_bundle reads them",
    "tensorflow.contrib.learn": "use tf.estimator, slim.learning.train or tf.train.MonitoredTrainingSession",
    "tensorflow_serving": "the package tensorflow-serving-api has its apis",
    "tensorflow.estimator": "tensorflow-estimator 2.15 has the rest of tf.estimator; boosted trees, which it has "
    "not, are in the package tensorflow_decision_forests",
}
_GONE = "tf.contrib ended with TensorFlow 1, and slimft does not have this part of it"


class Namespace(types.ModuleType):
    """A package that is gone; its names are looked up where they are now.

    Args:
        name: its full name.
        sources: the modules in which its names are.
        names: further names, with what they are.
    """

    def __init__(self, name: str, sources: tuple[str, ...], names: dict[str, object]):
        super().__init__(name, f"What stands for {name}; see slimft/compat/legacy_names.py.")
        self.__path__ = []  # So that it is a package; what is in it is found by name.
        self._sources = sources
        object.__getattribute__(self, "__dict__").update(names, _fixed=frozenset(names))

    def __getattribute__(self, name):
        # For `vars(tf.contrib.rnn)`, which scripts search for cells: all that there is.
        found = super().__getattribute__(name)
        if name == "__dict__" and found.get("_sources") and "_filled" not in found:
            found["_filled"] = True
            for public in self._public_names():
                with contextlib.suppress(AttributeError, ImportError, UsageError):
                    found.setdefault(public, getattr(self, public))
        return found

    def __setattr__(self, name, value):
        # An import of a module below this one is not to replace a function of the same name, such as arg_scope.
        if not (
            name in object.__getattribute__(self, "__dict__").get("_fixed", ())
            and isinstance(value, types.ModuleType)
        ):
            super().__setattr__(name, value)

    def __getattr__(self, name):
        full_name = f"{self.__name__}.{name}"
        if name == "__all__":  # For `from tensorflow.contrib.learn import *`.
            return self._public_names()
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        value = resolve(full_name) if full_name in _PACKAGES else _listed(full_name)
        for source in self._sources if value is None else ():
            value = getattr(_import(source), name, None)
            if value is not None:
                break
        # Below python, a module that a source imports is not the one that scripts mean by its path.
        if value is None or (isinstance(value, types.ModuleType) and ".python" in self.__name__):
            value = resolve(full_name) or value
        if value is None:
            raise AttributeError(missing(full_name))
        return value

    def __call__(self, *_, **__):
        raise AttributeError(missing(self.__name__))

    def _public_names(self):
        """The names of the sources that are meant for others."""
        names = []
        for source in self._sources:
            module = _import(source)
            names.extend(
                getattr(module, "__all__", None) or filter(functools.partial(_is_own, module), dir(module))
            )
        return sorted({name for name in names if not name.startswith("_")})

    def __dir__(self):
        names = {*super().__dir__(), *self._public_names()}
        for package in _PACKAGES:
            parent, _, name = package.rpartition(".")
            if parent == self.__name__:
                names.add(name)
        return sorted(names)


@functools.cache
def resolve(full_name: str) -> types.ModuleType | None:
    """The module that stands for the one called `full_name`, or None if there is none."""
    listed = _listed(full_name)
    if listed is not None:
        return listed
    if full_name.startswith("tensorflow.python.keras"):  # TensorFlow's private copy of Keras has lost some parts.
        return keras_2.resolve(keras_2.part(full_name))
    if full_name.startswith("tensorflow.contrib.") and full_name.count(".") > 2 and _exists(_ours(full_name)):
        return importlib.import_module(_ours(full_name))
    sources = _sources(full_name)
    if sources is None:
        return None
    from slimft.compat import tf

    names = {name: operator.attrgetter(there)(tf) for name, there in _NAMES.get(full_name, {}).items()}
    if full_name == "tensorflow.contrib.framework.python.ops":
        names["arg_scope"] = importlib.import_module("tf_slim").arg_scope
    return Namespace(full_name, sources, names)


def _is_own(module, name):
    """Whether a name of a module is not just what it imports."""
    value = vars(module).get(name)
    is_other = isinstance(value, types.ModuleType) and not value.__name__.startswith(module.__name__)
    return not (is_other or value is annotations)


def _import(name):
    """The module of that name; ImportError says what to install."""
    if name.startswith(estimator_repairs.PACKAGE):
        return estimator_repairs.imported(name)
    return importlib.import_module(name)


def _ours(full_name):
    """Where slimft has what was ``tensorflow.contrib...``, if it has it."""
    return full_name.replace("tensorflow.contrib", _CONTRIB, 1)


def _exists(full_name):
    try:
        return find_spec(full_name) is not None
    except ModuleNotFoundError:  # One of the packages around it is not there.
        return False


def _listed(full_name):
    """The module that `_MODULES` has for the one called `full_name`, if that is not in `_PACKAGES`, or None."""
    if full_name in _PACKAGES:
        return None
    package, _, name = full_name.rpartition(".")
    for there in _MODULES.get(package, ()):
        _import(there)
        if not name.startswith("_") and find_spec(f"{there}.{name}"):
            return importlib.import_module(f"{there}.{name}")
    return None


def _sources(full_name):
    """The modules in which the names of a package are; None if there is no such package.

    Below ``tensorflow.contrib.NAME.python`` and ``tensorflow.contrib.NAME.ops``, and in the folders there, every
    module has the names of ``tensorflow.contrib.NAME``, which is where scripts could have taken them from as well.
    """
    sources = _PACKAGES.get(full_name)
    parts = full_name.split(".")
    if parts[:2] != ["tensorflow", "contrib"] or len(parts) < 3:
        return sources
    if len(parts) == 3:
        return (_ours(full_name), *(sources or ())) if _exists(_ours(full_name)) else sources
    is_module = parts[3] in ("python", "ops") and len(parts) <= 7 and _MODULE_NAME.fullmatch(parts[-1])
    if sources is None and is_module:
        return _sources(".".join(parts[:3]))
    return sources


def missing(full_name: str) -> str:
    """One line that says that `full_name` is not here, and what to do."""
    shown = full_name.replace("tensorflow.", "tf.", 1) if full_name.startswith("tensorflow.") else full_name
    package = full_name.rpartition(".")[0]
    known = "nets" if package.endswith(".nets") else full_name
    while known and known not in _ADVICE:
        known = known.rpartition(".")[0]
    if known == "google3":
        reason = "it is Google's own"
    elif known in ("deployment", "nets", "preprocessing"):
        reason = "slimft does not have it"
    elif not full_name.startswith("tensorflow.contrib"):
        reason = "it is neither in tf.compat.v1 nor in TensorFlow 2"
    elif _PACKAGES.get(package):
        reason = "neither TensorFlow 2 nor tf-slim has it"
    else:
        reason = _GONE
    return f"no {shown}: {reason}" + (f"; {_ADVICE[known]}" if known else "")


contrib = resolve("tensorflow.contrib")
estimator = resolve("tensorflow.estimator")
