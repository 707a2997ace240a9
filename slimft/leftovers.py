"""What a checkpoint has of a layer beside what is restored: the sign of a network built outside its arg_scope.

slim's networks have their batch_norm, its gammas and the lack of biases from the arg_scope they are built under.
Without it, all that the network has may be in the checkpoint, and yet it computes something else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from slimft.checkpoint import Checkpoint
from slimft.filters import Patterns, VariableFilter
from slimft.nets.registry import arg_scope_call

# The parameters that an arg_scope decides on. Others, such as an optimizer's slots, have other last parts.
_OF_NORMALIZERS = ("gamma", "beta", "moving_mean", "moving_variance")
_BIASES = ("biases", "bias")


def of_restored_layers(names: Mapping[str, Iterable[str]], restored: Iterable[str]) -> tuple[str, ...]:
    """Returns the keys of `names` that stand for normalization or biases of layers that are restored.

    Args:
        names: what each entry that restores nothing, or each variable that is not restored, is called in the model.
        restored: names of the variables that are restored.
    """
    scopes, with_kernels = set(), set()
    for name in restored:
        scope, _, leaf = name.rpartition("/")
        scopes.add(scope)
        if leaf.endswith(("weights", "kernel")):
            with_kernels.add(scope)
    scopes.discard("")
    with_kernels.discard("")

    def belongs(name: str) -> bool:
        scope, _, leaf = name.rpartition("/")
        if leaf in _OF_NORMALIZERS:  # Of the same batch_norm, or of the convolution around it.
            return scope in scopes or scope.rpartition("/")[0] in with_kernels
        return leaf in _BIASES and scope in scopes

    return tuple(key for key, called in names.items() if any(map(belongs, called)))


def find_left_over(
    checkpoint: Checkpoint,
    entries: Mapping[str, str],
    variables: Mapping,
    used: Iterable[str],
    ignore_unused: Patterns,
) -> tuple[str, ...]:
    """Returns the entries of a checkpoint that are left over beside restored ones of the same layer.

    Args:
        checkpoint: the checkpoint.
        entries: its entries, by what they are called in the model.
        variables: the variables that were to be restored, and those left out, by the same kind of names; one at
            least.
        used: which of these are restored.
        ignore_unused: patterns of entries that may be left over.

    Raises:
        PatternError: one of the patterns selects no entry.
    """
    ignored = set()
    if ignore_unused:
        ignored.update(VariableFilter(include=ignore_unused, include_flag="ignore_unused").select(checkpoint))
    # A variable that is in the graph, but not among `variables`, is left out on purpose. A mapping may call it
    # otherwise than the graph does, as it does its neighbours.
    graph = next(iter(variables.values())).graph
    there = {variable.op.name for variable in graph.get_collection("variables")}  # tf.GraphKeys.GLOBAL_VARIABLES
    names = {name: variables[name].op.name for name in used}
    scopes = {_scope(name): _scope(in_graph) for name, in_graph in names.items() if name != in_graph}

    def meant(name: str) -> bool:
        scope = _scope(name)
        in_graph = scopes[scope] + name[len(scope) :] if scope in scopes else name
        return name in variables or name in there or in_graph in there

    restored = {entries[name] for name in names}
    called: dict[str, list[str]] = {}
    for name, entry in entries.items():
        if entry not in restored and entry not in ignored:
            called.setdefault(entry, []).append(name)
    return of_restored_layers({entry: news for entry, news in called.items() if not any(map(meant, news))}, names)


def _scope(name: str) -> str:
    return name.rpartition("/")[0]


def explain(entries: Iterable[str], lacking: Iterable[str], restored: Iterable[str]) -> str:
    """Says what it probably means that a checkpoint has `entries` left over, and what to do.

    Args:
        entries: what is left over.
        lacking: variables of the model that the checkpoint lacks.
        restored: names of the variables that are restored, for the network's scope.
    """
    call = arg_scope_call(restored)
    if not any(map(_normalizes, entries)) and any(map(_normalizes, lacking)):
        return (
            f"it was written by a network built outside its arg_scope{f' {call}' if call else ''}, or under "
            "another; build this one like that, or choose another checkpoint"
        )
    return (
        "the network was built outside its arg_scope, or with other arguments than the checkpoint's; build it "
        f"under `with slim.arg_scope({call or '...'}):`"
    )


def patterns_of(names: Iterable[str]) -> list[str]:
    """Patterns that select `names`, by their last parts: ``*/gamma``."""
    return sorted({f"*/{name.rpartition('/')[2]}" for name in names})


def _normalizes(name: str) -> bool:
    return name.rpartition("/")[2] in _OF_NORMALIZERS
