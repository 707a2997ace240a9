"""What Matplotlib took and had until 3.9. Which: its pages of API changes (matplotlib.org)."""

from __future__ import annotations

import functools
import os
import sys

from slimft.legacy.ages.script import Script

_COLOURS = {"spectral": "nipy_spectral", "Vega10": "tab10", "Vega20": "tab20", "Vega20b": "tab20b"}
_HEADLESS = {"agg", "cairo", "pdf", "pgf", "ps", "svg", "template"}


def put_in(script: Script) -> None:
    """Gives the script these, when it imports them."""
    script.later.update(
        {
            "matplotlib": lambda module: script.patches.set(module, "use", _use(module.use, script)),
            "matplotlib.axes": lambda module: _axes(module.Axes, script),
            "matplotlib.backend_bases": lambda module: _titles(module.FigureCanvasBase, script),
            "matplotlib.cm": lambda module: _colours(module, script),
            "matplotlib.figure": lambda module: _projections(module.Figure, script),
            "matplotlib.pyplot": lambda module: _pyplot(module, script),
            "matplotlib.style": lambda module: script.patches.set(module, "use", _style(module.use, script)),
        }
    )


def _has_display():
    return sys.platform in ("darwin", "win32") or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )


def _use(function, script):
    @functools.wraps(function)
    def use(backend=None, warn=False, force=True, arg=None):
        """matplotlib.use, also with its old arguments; what opens windows is Agg where there is no display."""
        backend = arg if backend is None else backend
        is_file = not isinstance(backend, str) or backend.lower() in _HEADLESS or backend.startswith("module://")
        if script.is_calling() and not is_file and not _has_display():
            script.say("matplotlib", f"matplotlib.use({backend!r})", "there is no display, Agg stands for it")
            backend = "Agg"
        return function(backend, force=force)

    return use


def _axes(kind, script):
    hist = kind.hist

    @functools.wraps(hist)
    def normed_hist(self, x, *arguments, normed=None, **named):
        """Axes.hist, also with `normed`, which is `density`."""
        if normed is not None:
            script.say("matplotlib", "hist(normed=)", "gone since Matplotlib 3.1, density stands for it")
            named.setdefault("density", bool(normed))
        return hist(self, x, *arguments, **named)

    script.patches.set(kind, "hist", normed_hist)
    if not hasattr(kind, "set_axis_bgcolor"):
        script.patches.set(kind, "set_axis_bgcolor", kind.set_facecolor)
    if not hasattr(kind, "hold"):
        script.patches.set(kind, "hold", lambda self, b=None: None)


def _pyplot(module, script):
    said = "gone since Matplotlib 3.0, plots are added to what is there"
    script.answer(module, "plt", "matplotlib", {"hold": (lambda b=None: None, said)})
    hist = module.hist

    @functools.wraps(hist)
    def normed_hist(x, *arguments, normed=None, **named):
        if normed is not None:
            script.say("matplotlib", "hist(normed=)", "gone since Matplotlib 3.1, density stands for it")
            named.setdefault("density", bool(normed))
        return hist(x, *arguments, **named)

    script.patches.set(module, "hist", normed_hist)


def _titles(kind, script):
    def set_window_title(self, title):
        """The window's title; nothing where there is no window."""
        script.say(
            "matplotlib", "canvas.set_window_title", "gone since Matplotlib 3.6, its manager's stands for it"
        )
        if self.manager is not None:
            self.manager.set_window_title(title)

    if not hasattr(kind, "set_window_title"):
        script.patches.set(kind, "set_window_title", set_window_title)


def _colours(module, script):
    def get_cmap(name=None, lut=None):
        """The colours of that name, with `lut` of them."""
        from matplotlib import colormaps, rcParams

        found = colormaps[rcParams["image.cmap"] if name is None else _COLOURS.get(name, name)]
        return found if lut is None else found.resampled(lut)

    table = {"get_cmap": (get_cmap, "gone since Matplotlib 3.9, matplotlib.colormaps stands for it")}
    for old, new in _COLOURS.items():
        table[old] = (getattr(module, new), f"gone since Matplotlib 2 or 3, cm.{new} stands for it")
    script.answer(module, "cm", "matplotlib", table)


def _projections(kind, script):
    gca = kind.gca

    @functools.wraps(gca)
    def projected(self, **named):
        """Figure.gca, also with a projection: axes of that kind, new ones if there are none."""
        if not named:
            return gca(self)
        script.say("matplotlib", "gca(projection=)", "gone since Matplotlib 3.6, add_subplot stands for it")
        wanted = named.get("projection", "rectilinear")
        if self.axes and getattr(gca(self), "name", "") == wanted:
            return gca(self)
        return self.add_subplot(**named)

    script.patches.set(kind, "gca", projected)


def _style(function, script):
    def named_now(style):
        if isinstance(style, str) and (style == "seaborn" or style.startswith("seaborn-")) and "v0_8" not in style:
            script.say("matplotlib", f"style {style}", "gone since Matplotlib 3.8, seaborn-v0_8 stands for it")
            return style.replace("seaborn", "seaborn-v0_8", 1)
        return style

    @functools.wraps(function)
    def use(style):
        """matplotlib.style.use, also with the styles' names of then."""
        return function([named_now(one) for one in style] if isinstance(style, list) else named_now(style))

    return use
