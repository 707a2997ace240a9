"""Figures as text, as the pages and the tables write them."""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Sequence

MISSING = "–"


def share(value: float | None) -> str:
    """A figure in 0..1 to four digits."""
    return MISSING if value is None else f"{value:.4f}"


def percent(value: float | None) -> str:
    """A figure in 0..1 as a percentage."""
    return MISSING if value is None else f"{value:.1%}".replace("%", " %")


def count(value: float | None) -> str:
    """A whole number with thousands separators."""
    return MISSING if value is None else f"{value:,.0f}"


def some_of(part: float | None, whole: float | None) -> str:
    """``1,000``, or ``1,000 of 10,000`` where it is a part."""
    return count(part) if whole in (None, part) else f"{count(part)} of {count(whole)}"


def rate(value: float | None) -> str:
    """Something a second: three digits, or whole."""
    return MISSING if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def duration(seconds: float | None) -> str:
    """``45 s``, ``3 min 20 s``, ``2 h 05 min``."""
    if seconds is None or seconds < 0:
        return MISSING
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60:02d} min"


def spread(values: Sequence[float | None], digits: int = 4) -> str:
    """``mean ± standard deviation`` (of a sample) of several figures; those that are None do not count."""
    known = [value for value in values if value is not None]
    if not known:
        return MISSING
    mean = f"{statistics.fmean(known):.{digits}f}"
    return f"{mean} ± {statistics.stdev(known):.{digits}f}" if len(known) > 1 else mean


def wilson_interval(accuracy: float, examples: float) -> tuple[float, float]:
    """The 95 % confidence interval of a share of `examples`, after Wilson (JASA 22, 1927)."""
    z = 1.959964
    middle = accuracy + z * z / (2 * examples)
    half = z * math.sqrt(max(0, accuracy * (1 - accuracy)) / examples + (z / (2 * examples)) ** 2)
    scale = 1 + z * z / examples
    return (middle - half) / scale, (middle + half) / scale


def folder_of_data(data_dir: object) -> str:
    """What the names of examples begin with: the folder of the data, or that in which its manifest lies."""
    place = str(data_dir or "")
    return os.path.dirname(place) if place.lower().endswith((".csv", ".tsv")) else place
