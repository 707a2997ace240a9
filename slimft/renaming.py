"""Renaming: what a checkpoint's names become in the model, or in another checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from slimft.errors import PatternError, RestoreError
from slimft.filters import VariableFilter, compile_pattern

Rename = Mapping[str, str | Sequence[str]] | Callable[[str], str | Sequence[str] | None] | None


def parse_renames(pairs: Iterable[str]) -> dict[str, list[str]]:
    """Returns ``["FROM:TO", ...]`` as a mapping from each FROM to its TOs.

    Raises:
        PatternError: a pair is not two scopes or names with a colon between them.

    >>> parse_renames(["vgg_19:my_net/vgg_19", "net:net", "net:average/net"])
    {'vgg_19': ['my_net/vgg_19'], 'net': ['net', 'average/net']}
    """
    mapping: dict[str, list[str]] = {}
    for pair in pairs:
        source, colon, target = (part.strip() for part in pair.partition(":"))
        if not source.strip("/") or not target.strip("/") or ":" in target:
            raise PatternError(f"--rename={pair} is not of the form FROM:TO, such as vgg_19:my_net/vgg_19")
        mapping.setdefault(source, []).append(target)
    return mapping


def renamed(names: Iterable[str], rename: Rename, of: str) -> dict[str, str]:
    """Returns each new name with the name it stands for.

    Args:
        names: the names there are.
        rename: a mapping from scopes or names to others, or to several others: the most particular scope
            counts, and names in none of the scopes stay as they are; or a function of a name that returns its
            new name, several, or None to leave it out; or None.
        of: whose names they are, for messages.

    Raises:
        PatternError: a scope of the mapping has no names in it.
        RestoreError: two names are renamed to one.

    >>> renamed(["net/fc8/weights", "global_step"], {"net/fc8": "net/logits"}, of="a.ckpt")
    {'net/logits/weights': 'net/fc8/weights', 'global_step': 'global_step'}
    """
    names = list(names)
    if rename is None:
        return {name: name for name in names}
    if isinstance(rename, Mapping):
        rename = _scope_renamer(rename, names)
    renamed_from: dict[str, str] = {}
    for name in names:
        targets = rename(name)
        for new in (targets,) if isinstance(targets, str) else targets or ():
            if renamed_from.setdefault(new, name) != name:
                raise RestoreError(f"{of}: {renamed_from[new]} and {name} are both renamed to {new}")
    return renamed_from


def _scope_renamer(mapping: Mapping[str, str | Sequence[str]], names: Sequence[str]) -> Callable[[str], list[str]]:
    scopes: dict[str, list[str]] = {}
    # The longest scope first, so that the most particular renaming wins.
    for old in sorted(mapping, key=lambda scope: len(scope.rstrip("/")), reverse=True):
        target_or_several = mapping[old]
        targets = [target_or_several] if isinstance(target_or_several, str) else target_or_several
        scopes.setdefault(old.rstrip("/"), []).extend(target.rstrip("/") for target in targets)
    regexes = {}
    for old in scopes:
        VariableFilter(include=[old], include_flag="--rename").select(names)
        regexes[old] = compile_pattern(old)

    def rename(name: str) -> list[str]:
        for old, targets in scopes.items():
            if regexes[old].fullmatch(name):
                return [new + name[len(old) :] for new in targets]
        return [name]

    return rename
