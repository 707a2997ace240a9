"""The names of an exported network's classes, as text."""

from __future__ import annotations

from slimft.data.class_names import ClassNames


def names_of(classes: ClassNames) -> list[str]:
    """The classes' names; their numbers where nothing tells."""
    return list(classes.names or map(str, range(classes.num_classes)))


def labels_text(classes: ClassNames) -> str:
    """A line for each class, in the order of the outputs."""
    return "".join(f"{name}\n" for name in names_of(classes))
