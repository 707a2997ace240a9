"""Networks found by name, without TensorFlow.

A network stands with its `NetworkSpec` in one file of `slimft.nets`, or of a package in it, whose ``__init__``
must not import TensorFlow either; adding a network means adding that file. The file imports TensorFlow, which takes
seconds, and a command's ``--help`` must not wait for it. So the file's last statement,

    SPECS = (NetworkSpec(name="vgg_16", module=__name__, ...), ...)

is read from the file's text, and the file is not run. The statement may use literals, f-strings and comprehensions,
and the names `NetworkSpec`, `UnlistedNetwork`, ``tuple`` and ``__name__``; nothing else that is in the file. When
the file is imported, ``SPECS`` is a tuple like any other.
"""

from __future__ import annotations

import ast
import difflib
import functools
import importlib
import pkgutil
import re
from collections.abc import Iterable

from slimft.errors import UsageError
from slimft.nets.spec import NetworkSpec, UnlistedNetwork

# The families in the order that --list_models has them; those whose files' names begin otherwise come last.
_FAMILIES = (
    "alexnet", "overfeat", "vgg", "resnet", "inception", "mobilenet", "densenet", "nasnet", "pnasnet", "lenet",
    "cifarnet", "fcn",
)  # fmt: skip


def network_names() -> list[str]:
    """The names `get_network` knows."""
    return list(_specs())


def get_network(name: str) -> NetworkSpec:
    """Returns the network called `name`.

    Raises:
        UsageError: there is none of that name; suggests one.

    >>> get_network("vgg_16").logits_scopes
    ('vgg_16/fc8',)
    >>> get_network("resnet_50")
    Traceback (most recent call last):
    slimft.errors.UsageError: --model=resnet_50: there is no such network; did you mean resnet_v2_50?
    """
    specs = _specs()
    if name in specs:
        return specs[name]
    close = difflib.get_close_matches(name, specs, n=1)
    hint = f"did you mean {close[0]}?" if close else f"choose one of {', '.join(specs)}"
    raise UsageError(f"--model={name}: there is no such network; {hint}")


def arg_scope_call(variables: Iterable[str]) -> str | None:
    """What makes the arg_scope of the network that `variables` are of: ``mobilenet_v1.mobilenet_v1_arg_scope()``.

    Args:
        variables: names with the network's scope among their parts, where the first that has one counts; or, of a
            network without, with its outermost scopes.

    Returns:
        The call, as one writes it after ``from slimft.nets import mobilenet_v1``; None for other networks.
    """
    networks, names = {}, [name.split("/") for name in variables]
    for network in (*_specs().values(), *_unlisted()):
        networks.setdefault(network.scope, network)  # An FCN comes behind the network whose scope it has.
    found = (networks[part] for parts in names for part in parts if part and part in networks)
    network = next(found, None) or _without_scope(names)
    return network and f"{network.module.rpartition('.')[2]}.{network.arg_scope_name}()"


def _without_scope(names):
    """The network without a common scope that variables are of, by the parts of their names; None if it is none.

    Several have ``cell_0``; it is the one with the fewest scopes that has all that is there.
    """
    networks = [network for network in _specs().values() if not network.scope]
    known = {scope for network in networks for scope in network.outer_scopes}
    there = {part for parts in names for part in parts if part in known}
    fitting = [network for network in networks if there <= set(network.outer_scopes)]
    return min(fitting, key=lambda network: len(network.outer_scopes), default=None) if there else None


@functools.cache
def _specs() -> dict[str, NetworkSpec]:
    """All networks by name, in the order of `_FAMILIES` and then of their files' names."""
    specs = {}
    for spec in _in_files():
        if not isinstance(spec, NetworkSpec):
            continue
        if spec.name in specs:
            modules = f"{specs[spec.name].module} and {spec.module}"
            raise ImportError(f"two networks are called {spec.name}: in {modules}")
        specs[spec.name] = spec
    return specs


def _unlisted() -> list[UnlistedNetwork]:
    return [network for network in _in_files() if isinstance(network, UnlistedNetwork)]


@functools.cache
def _in_files() -> tuple[NetworkSpec | UnlistedNetwork, ...]:
    """What stands in the SPECS of all files of `slimft.nets` and of the packages in it."""
    package = importlib.import_module(__package__)
    modules = sorted(_modules(package), key=lambda module: _order(module[1].rpartition(".")[2]))
    found = []
    for finder, module in modules:
        source = finder.find_spec(module).loader.get_source(module)
        if source is None:
            raise ImportError(f"{module}: the registry reads networks from source files, and there is none of it")
        found += read_specs(source, module)
    return tuple(found)


def _modules(package):
    """The modules in `package` and, of packages in it, those in them: pairs of what finds one and its full name."""
    for finder, name, is_package in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        if is_package:
            yield from _modules(importlib.import_module(name))
        else:
            yield finder, name


def _order(name):
    """The place of a file: that of its family, then its name."""
    places = [place for place, family in enumerate(_FAMILIES) if name.startswith(family)]
    return (places or [len(_FAMILIES)])[0], name


def read_specs(source: str, module: str) -> tuple[NetworkSpec | UnlistedNetwork, ...]:
    """Reads ``SPECS`` from the text of a network's file, without running the file.

    Args:
        source: the file's text.
        module: the full name of the module that it is.

    Returns:
        The value of ``SPECS``; empty where the text has none.

    Raises:
        ImportError: it is not the last statement, or needs more than the names that it may use.
    """
    starts = [match.start() for match in re.finditer(r"^SPECS\b", source, re.MULTILINE)]
    if not starts:
        return ()
    names = {"NetworkSpec": NetworkSpec, "UnlistedNetwork": UnlistedNetwork, "tuple": tuple, "__name__": module}
    try:
        (statement,) = ast.parse(source[starts[-1] :]).body
        if not isinstance(statement, ast.Assign):
            raise TypeError("it is no assignment")
        specs = eval(compile(ast.Expression(statement.value), module, "eval"), {"__builtins__": {}, **names})
        kinds = (NetworkSpec, UnlistedNetwork)
        if not isinstance(specs, tuple) or not all(isinstance(spec, kinds) for spec in specs):
            raise TypeError("it is no tuple of NetworkSpec")
    except Exception as error:
        raise ImportError(
            f"{module}: SPECS cannot be read ({error}); it has to be the file's last statement, "
            f"SPECS = (NetworkSpec(...), ...), of literals and {', '.join(names)} only"
        ) from error
    return specs
