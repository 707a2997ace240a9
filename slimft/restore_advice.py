"""What is said of a checkpoint whose names are not the model's, and how long lists of names are said briefly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from slimft.checkpoint.averages import averaged, has_averages
from slimft.conversion import conversion_advice
from slimft.renaming import renamed

# Of an advice, which is one line, the list of names takes at most so much.
_MOST_CHARACTERS = 150
_STATISTICS = ("moving_mean", "moving_variance")
# The variables whose counterparts are looked for, and how many of the found scopes are tried.
_PROBES, _MOST_TRIED = 5, 8
# How many it takes for another name of a scope to be believed.
_LEAST_RENAMED = 4


def listing(names: Sequence[str], most: int = 4) -> str:
    """The first few names and how many more there are; fewer of long ones."""
    while most > 1 and sum(map(len, names[:most])) > _MOST_CHARACTERS:
        most -= 1
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def brief_patterns(scopes: Sequence[str], failing: Iterable[str], among: Iterable[str]) -> list[str] | None:
    """Patterns that select `failing` and nothing else of `among`, in few words; None if there are none.

    Args:
        scopes: the scopes that do, as many as they are.
        failing: names.
        among: all names.
    """
    if len(",".join(scopes)) <= _MOST_CHARACTERS:
        return list(scopes)
    failing = set(failing)
    leaves = {_leaf(name) for name in failing}
    patterns = sorted({f"*/{_leaf(name)}" if "/" in name else name for name in failing})
    others = {_leaf(name) for name in among if name not in failing}
    if others.isdisjoint(leaves) and len(",".join(patterns)) <= _MOST_CHARACTERS:
        return patterns
    return None


def only_statistics(missing: Sequence[str]) -> bool:
    """Whether all that is missing are the statistics of batch normalization."""
    return bool(missing) and all(_leaf(name) in _STATISTICS for name in missing)


def without_statistics(missing: Sequence[str], excluded: Sequence[str], can_exclude: bool) -> str:
    """What is said of a checkpoint that lacks nothing but them.

    Args:
        missing: the statistics.
        excluded: scopes that are excluded already.
        can_exclude: whether the advice may be to exclude them.
    """
    layers = len({name.rpartition("/")[0] for name in missing})
    text = (
        f"batch normalization's statistics ({' and '.join(_STATISTICS)} of {layers} layers) are not in it: its "
        "Saver had the trainable variables only, and so has lost them; "
    )
    if not can_exclude:
        return f"{text}without them it cannot be used: find one of all variables, or fine-tune from this one"
    patterns = ",".join([*excluded, *(f"*/{leaf}" for leaf in _STATISTICS)])
    return f"{text}--exclude={patterns} starts them afresh, and training finds new ones"


def other_names(
    path: str,
    keys: Mapping[str, str],
    shapes: Mapping[str, tuple[int, ...]],
    variables: Mapping[str, tuple[int, ...]],
    found: int,
    has_flags: bool,
) -> str | None:
    """What is said where another scope, in all names, is what keeps a checkpoint from being the model's.

    Args:
        path: the checkpoint's.
        keys: names that its entries go by, with the entries.
        shapes: of its entries.
        variables: shapes of the model's variables, by name.
        found: how many of these are found without renaming.
        has_flags: whether the command has --rename.

    Returns:
        The renaming that works, for the reader to give; None if there is none.
    """
    named = {name: shapes[entry] for name, entry in keys.items()}
    best: tuple[int, list[str]] = found, []
    for theirs, ours in _candidates(named, variables):
        pairs = _pairs(theirs, ours, variables)
        mapping: dict[str, list[str]] = {}
        for source, target in pairs:
            mapping.setdefault(source, []).append(target)
        try:
            new = renamed(named, mapping, path)
        except Exception:  # A scope is not there, or two names become one: it is not this.
            continue
        count = sum(name in new and named[new[name]] == shape for name, shape in variables.items())
        # A few variables of other scopes have the same last part by chance.
        if count > best[0] and (count >= _LEAST_RENAMED or not (theirs and ours)):
            best = count, [f"{source}:{target}" for source, target in pairs]
    count, pairs = best
    if not pairs or 2 * count < len(variables) or len(pairs) > 4:
        return None
    flag = f"--rename={','.join(pairs)}"
    text = f"its variables are in another scope; {flag} restores {count} of {len(variables)}"
    return text if has_flags else f"{text}: convert it first, bin/convert_checkpoint {flag} SRC DST"


def _candidates(
    named: Mapping[str, tuple[int, ...]], variables: Mapping[str, tuple[int, ...]]
) -> list[tuple[str, str]]:
    """Scopes of the checkpoint and of the model that may stand for each other, the likeliest first."""
    ends: dict[str, list[str]] = {}
    for name in named:
        ends.setdefault(_leaf(name), []).append(name)
    scopes: Counter = Counter()
    probes = sorted(variables, key=lambda name: (-len(variables[name]), -name.count("/"), name))[:_PROBES]
    for name in probes:
        parts = name.split("/")
        longest: dict[tuple[str, str], int] = {}
        for other in ends.get(parts[-1], ()):
            if named[other] != variables[name]:
                continue
            theirs, same = other.split("/"), 0
            while same < min(len(parts), len(theirs)) and parts[-1 - same] == theirs[-1 - same]:
                same += 1
            scope = "/".join(theirs[: len(theirs) - same]), "/".join(parts[: len(parts) - same])
            longest[scope] = max(same, longest.get(scope, 0))
        for scope, same in longest.items():
            scopes[scope] += same
    scopes.pop(("", ""), None)
    return [scope for scope, _ in scopes.most_common(_MOST_TRIED)]


def _pairs(theirs: str, ours: str, variables: Iterable[str]) -> list[tuple[str, str]]:
    """FROM and TO of --rename, which have no empty scope: where one has no scope around, for each scope in it."""
    if theirs and ours:
        return [(theirs, ours)]
    inside = (name.removeprefix(f"{ours}/") for name in variables if not ours or name.startswith(f"{ours}/"))
    tops = dict.fromkeys(name.partition("/")[0] for name in inside)
    return [tuple("/".join(filter(None, (scope, top))) for scope in (theirs, ours)) for top in tops]


def only_averages(checkpoint, variables: Iterable[str]) -> str | None:
    """What is said of a checkpoint that has the moving averages of the model's variables, but not the variables."""
    variables = list(variables)
    if not has_averages(checkpoint):
        return None
    there = averaged(checkpoint)
    if 2 * sum(name in there for name in variables) < len(variables):
        return None
    return (
        "it has the variables' moving averages only (.../ExponentialMovingAverage): give --averages, or in Python "
        "rename=lambda name: name.removesuffix('/ExponentialMovingAverage')"
    )


def another_network(checkpoint, variables: Iterable[str]) -> str:
    """What is said of a checkpoint of which nothing fits the model."""
    theirs = _top_scopes(name for name in checkpoint if "/" in name)
    advice = conversion_advice(checkpoint) or "choose the model or the checkpoint to match"
    return (
        f"{checkpoint.path} is a checkpoint of another network: it has {theirs or 'no scopes'}, "
        f"the model {_top_scopes(variables)}; {advice}"
    )


def _top_scopes(names: Iterable[str]) -> str:
    return listing(list(dict.fromkeys(name.split("/", 1)[0] for name in names)))


def _leaf(name: str) -> str:
    return name.rpartition("/")[2]
