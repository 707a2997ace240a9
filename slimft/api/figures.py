"""Results that print well: a dictionary of figures, and in a notebook the report of the run that they are of."""

from __future__ import annotations

import reprlib

from slimft.errors import DataError
from slimft.files import read_bounded
from slimft.messages import printable

# Of a report, which a notebook's file then holds: it has 200 kB with two dozen pictures.
_MOST_BYTES = 8 << 20
_STYLE = "width: 100%; height: 640px; border: 1px solid #8888"


class Figures(dict):
    """A dictionary whose `repr` is a table of its items.

    A notebook shows the page that ``report`` names, where that is a file, in a frame of its own in which no script
    runs; otherwise the table.

    >>> Figures(model="vgg_16", accuracy=0.975, examples=1797, best_validation_accuracy=None)
    model                     vgg_16
    accuracy                  0.9750
    examples                  1,797
    best_validation_accuracy  -
    """

    def __repr__(self) -> str:
        width = max((len(str(name)) for name in self), default=0)
        return "\n".join(f"{printable(str(name)):<{width}}  {_shown(value)}" for name, value in self.items())

    def _repr_html_(self) -> str | None:
        """What a notebook shows; None for what `repr` gives."""
        if not isinstance(self.get("report"), str):
            return None
        try:
            page = read_bounded(self["report"], _MOST_BYTES).decode("utf-8", "replace")
        except DataError:
            return None
        from slimft.report.markup import tag

        return tag("iframe", title=self["report"], style=_STYLE, sandbox="", srcdoc=page)


def _shown(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        if 0 < abs(value) < 0.001:
            return f"{value:.3g}"
        return f"{value:,.4f}" if abs(value) < 100 else f"{value:,.1f}"
    return printable(value if isinstance(value, str) else reprlib.repr(value))
