"""The names of an exported network's classes, as text."""

from __future__ import annotations

from slimft.data.class_names import ClassNames


def labels_text(classes: ClassNames) -> str:
    """A line for each class, in the order of the outputs."""
    return "".join(f"{name}\n" for name in classes.texts)
