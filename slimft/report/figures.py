"""Charts as SVG within the page: drawn by matplotlib in stand-in colours, which become those of the page's style.

Equal data give equal bytes. No name from outside is drawn: legends are the page's.
"""

from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Iterable, Sequence

import numpy as np

from slimft.report.markup import Html, escape, tag
from slimft.report.style import CURVE_COLORS

# Points that are drawn of a curve; as many as a chart is wide.
_MOST_POINTS = 300
_LINE_STYLES = ("solid", (0, (4, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)))
_DASHES = ("none", "6 3", "2 2", "7 2 2 2")
_SIZE = (4.5, 2.7)  # Inches; 324 x 194 in the units of the SVG, in which the text has 9.
# Stand-ins for colours of the page.
_TEXT, _LINE = "#0a0a01", "#0a0a02"
_PAGE_COLORS = {_TEXT: "var(--faint)", _LINE: "var(--line)"} | {
    f"#0a0b{i:02d}": f"var(--c{i})" for i in range(CURVE_COLORS)
}
_PARAMETERS = {
    "svg.fonttype": "none", "svg.hashsalt": "slimft", "text.usetex": False, "font.family": ["DejaVu Sans"],
    "font.size": 9, "path.simplify": True, "axes.facecolor": "none", "figure.facecolor": "none",
    "axes.edgecolor": _LINE, "axes.labelcolor": _TEXT, "xtick.color": _TEXT, "ytick.color": _TEXT,
    "text.color": _TEXT, "grid.color": _LINE, "grid.linewidth": 0.6, "axes.grid": True, "axes.axisbelow": True,
    "axes.spines.top": False, "axes.spines.right": False, "axes.formatter.useoffset": False,
    "xtick.major.size": 0, "ytick.major.size": 0,
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Curve:
    """A line of a chart.

    Attributes:
        name: for the legend.
        steps: where it has values: steps, or what else the chart is over.
        values: as many; None for a gap.
        number: its colour and line style.
        faint: whether to draw single values faintly, and a running mean over them.
    """

    name: str
    steps: Sequence[float]
    values: Sequence[float | None]
    number: int = 0
    faint: bool = False

    @property
    def drawn(self) -> tuple[np.ndarray, np.ndarray]:
        """Steps and values where there are any, at most `_MOST_POINTS`: means of as many neighbours as it takes."""
        pairs = [(step, value) for step, value in zip(self.steps, self.values) if value is not None]
        points = np.array(pairs, dtype=np.float64).reshape(-1, 2)
        if len(points) > _MOST_POINTS:
            points = np.array([part.mean(axis=0) for part in np.array_split(points, _MOST_POINTS)])
        return points[:, 0], points[:, 1]


def curve_chart(
    title: str,
    curves: Iterable[Curve],
    identity: str,
    best: int | None = None,
    share: bool = False,
    best_by: str = "",
    over: str = "step",
    log: bool = False,
) -> Html | None:
    """A chart of curves over steps, with its legend; None if there is nothing to draw.

    Args:
        title: what the values are.
        curves: the lines.
        identity: distinguishes the ids of this chart from those of the page's others.
        best: a step to mark.
        share: whether the values lie in 0..1, so that the axis ends there at the latest.
        best_by: by what figure that step is the best.
        over: what the curves are over; whole numbers if steps.
        log: whether that axis is logarithmic.
    """
    curves = [curve for curve in curves if len(curve.drawn[0])]
    if not curves:
        return None
    import matplotlib

    with matplotlib.rc_context(_PARAMETERS):
        figure, axes = _figure()
        for curve in curves:
            _draw(axes, curve)
        if best is not None:
            axes.axvline(best, color=_TEXT, linewidth=0.9, linestyle=(0, (2, 2)))
        if share:
            low, high = axes.get_ylim()
            axes.set_ylim(max(low, -0.02), min(high, 1.02))
        axes.set_xlabel(over)
        if log:
            axes.set_xscale("log")
        else:
            whole = over == "step"
            axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(6, integer=whole, steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_locator(matplotlib.ticker.MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
        axes.yaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
        picture = _svg(figure, identity, title)
    keys = [_key(curve.name, curve.number) for curve in curves]
    if best is not None:
        keys.append(tag("span", _swatch("var(--faint)", "2 2"), f"best by {best_by}: step {best:,}", class_="key"))
    return tag("figure", tag("figcaption", tag("b", title), keys), picture)


def _figure():
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, layout="constrained")
    return figure, figure.add_subplot()


def _draw(axes, curve: Curve) -> None:
    x, y = curve.drawn
    look = {
        "color": _stand_in(curve.number),
        "linestyle": _LINE_STYLES[curve.number // CURVE_COLORS % len(_LINE_STYLES)],
    }
    if curve.faint and len(x) > 20:
        axes.plot(x, y, linewidth=0.8, alpha=0.3, **look)
        width = max(3, len(x) // 25)
        kernel = np.ones(width)
        weights = np.convolve(np.ones(len(y)), kernel, "same")
        y = np.convolve(y, kernel, "same") / weights
    axes.plot(x, y, linewidth=1.6, marker="o" if len(x) <= 25 else None, markersize=2.8, **look)


def calibration_chart(bins: Sequence[dict], identity: str) -> Html | None:
    """A reliability diagram: accuracy by confidence, and how many examples have it; None without examples."""
    bins = [one for one in bins if one["examples"] and None not in one.values()]
    total = sum(one["examples"] for one in bins)
    if not bins:
        return None
    import matplotlib

    with matplotlib.rc_context(_PARAMETERS):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(4.5, 3.6), layout="constrained")
        axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        left, width = [one["low"] for one in bins], [one["high"] - one["low"] for one in bins]
        axes.plot([0, 1], [0, 1], color=_TEXT, linewidth=0.9, linestyle=(0, (3, 2)))
        look = {"align": "edge", "edgecolor": _stand_in(0), "linewidth": 0.6}
        axes.bar(left, [one["accuracy"] for one in bins], width, color=_stand_in(0), alpha=0.55, **look)
        means = [one["confidence"] for one in bins]
        axes.plot(means, [one["accuracy"] for one in bins], "o", color=_stand_in(1), markersize=3.2)
        axes.set(xlim=(0, 1), ylim=(0, 1), ylabel="accuracy")
        below.bar(left, [one["examples"] / total for one in bins], width, color=_stand_in(0), alpha=0.55, **look)
        below.set(xlabel="confidence", ylabel="examples", ylim=(0, None))
        below.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1, decimals=0))
        below.yaxis.set_major_locator(matplotlib.ticker.MaxNLocator(2))
        picture = _svg(figure, identity, "reliability diagram")
    keys = [
        _key("accuracy of a bin", 0),
        _key("at its mean confidence", 1),
        tag("span", _swatch("var(--faint)", "3 2"), "perfect calibration", class_="key"),
    ]
    return tag("figure", tag("figcaption", tag("b", "Accuracy by confidence"), keys), picture)


def _stand_in(number: int) -> str:
    return f"#0a0b{number % CURVE_COLORS:02d}"


def _key(name: str, number: int) -> Html:
    dashes = _DASHES[number // CURVE_COLORS % len(_DASHES)]
    return tag("span", _swatch(f"var(--c{number % CURVE_COLORS})", dashes), name, class_="key")


def _swatch(color: str, dashes: str) -> Html:
    line = f'<line x1="0" y1="4" x2="22" y2="4" style="stroke:{color};stroke-width:2.5;stroke-dasharray:{dashes}"/>'
    return Html(f'<svg viewBox="0 0 22 8" aria-hidden="true">{line}</svg>')


def _svg(figure, identity: str, title: str) -> Html:
    """The figure as an element of the page: without a header, with ids of its own and the page's colours."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    view = re.search(r'viewBox="([^"]+)"', text)[1]
    text = re.sub(r"^<svg[^>]*>", f'<svg viewBox="{view}" role="img" aria-label="{escape(title)}">', text)
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", text, flags=re.DOTALL)
    used = set(re.findall(r'(?:xlink:href="|url\()#([^")]+)', text))
    text = re.sub(r' id="([^"]+)"', lambda match: match[0] if match[1] in used else "", text)
    names = {name: f"{identity}-{number}" for number, name in enumerate(sorted(used))}
    text = re.sub(r' id="([^"]+)"', lambda match: f' id="{names[match[1]]}"', text)
    text = re.sub(r"url\(#([^)]+)\)", lambda match: f"url(#{names[match[1]]})", text)
    text = re.sub(r'xlink:href="#([^"]+)"', lambda match: f'href="#{names[match[1]]}"', text)
    for stand_in, color in _PAGE_COLORS.items():
        text = text.replace(stand_in, color)
    # Hundredths of a pixel will do; not in labels, which may well need more.
    text = re.sub(r' (?:d|x|y)="[^"]+"', lambda match: re.sub(r"(\.\d{2})\d+|\n", r"\1", match[0]), text)
    return Html(re.sub(r">\s+<", "><", text).strip())
