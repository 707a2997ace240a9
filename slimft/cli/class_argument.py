"""A class as a flag names it."""

from __future__ import annotations

import difflib

from slimft.data.class_names import ClassNames
from slimft.errors import UsageError

# So many names are listed in an error.
_MOST_LISTED = 20


def number_of(told: str, classes: ClassNames, where: str) -> int:
    """The index of the logit of a class, by its name, or by its number where no class has that name.

    Args:
        told: the name or the number.
        classes: the network's classes.
        where: the flag or file that tells it, for errors.

    Raises:
        UsageError: there is no such class, or several are called so.
    """
    names = list(classes.names or ())
    same = [number for number, name in enumerate(names) if name == told]
    if len(same) == 1:
        return same[0]
    if same:
        numbers = ", ".join(map(str, same))
        raise UsageError(f"{where}: the classes {numbers} are called {told}; give a number")
    if told.isascii() and told.isdigit() and int(told) < classes.num_classes:
        return int(told)
    close = difflib.get_close_matches(told, names, n=1)
    if close:
        hint = f"did you mean {close[0]}?"
    elif names and len(names) <= _MOST_LISTED:
        hint = f"they are {', '.join(names)}"
    else:
        hint = f"give a name, or a number from 0 to {classes.num_classes - 1}"
    raise UsageError(f"{where}: there is no class {told or 'without a name'}; {hint}")
