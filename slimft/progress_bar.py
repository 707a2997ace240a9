"""A progress bar on standard error, or in a notebook's cell, that cannot end the work that it shows."""

from __future__ import annotations

import tqdm

from slimft.messages import is_of_notebook, is_quiet, is_redrawn, printable, stream_for_bars

# Columns and lines of text.
_OF_A_CELL = {"ncols": 100, "nrows": 20}


class ProgressBar:
    """A `tqdm.tqdm`, but a closed or full standard error does not matter, and texts are escaped.

    In a notebook with ipywidgets it is tqdm's widget; without, a line of the cell's output that is written anew.

    Args:
        desc: what the bar is of.
        options: further ones of `tqdm.tqdm`, all but ``file``; and what else a tqdm has, this has too.
    """

    def __init__(self, *, desc: str | None = None, **options):
        stream = stream_for_bars()
        options["disable"] = options.get("disable") or is_quiet()
        of_tqdm = tqdm.tqdm
        if is_of_notebook(stream):
            from tqdm import notebook

            if notebook.IProgress is not None:  # There is ipywidgets.
                of_tqdm = notebook.tqdm
            else:  # Not as wide as the terminal that the kernel may have been started in.
                options = {**_OF_A_CELL, **options}
        self._bar = of_tqdm(desc=desc and printable(desc), file=stream, **options)

    def set_postfix_str(self, s: str = "", refresh: bool = True) -> None:
        """Shows `s` behind the figures."""
        self._bar.set_postfix_str(printable(s), refresh)

    def __enter__(self):
        return self

    def __exit__(self, *exception) -> None:
        self._bar.close()

    def __getattr__(self, name: str):
        return getattr(self.__dict__["_bar"], name)


class PassBar(ProgressBar):
    """The bar of one pass over something: nothing for three seconds, then how far it is and how long it will take.

    On a terminal and in a notebook it is redrawn, and gone at the end; a log gets a line now and then.

    Args:
        desc: what is done.
        total: of how much.
        unit: of what.
        options: as of `ProgressBar`.
    """

    QUIET_SECONDS = 3.0
    LOG_SECONDS = 15.0

    def __init__(self, desc: str, total: int, unit: str = " images", **options):
        redrawn = is_redrawn(stream_for_bars())
        ours = {
            "delay": self.QUIET_SECONDS,
            "leave": not redrawn,
            "ascii": not redrawn,
            "bar_format": None if redrawn else "{l_bar}{r_bar}\n",
            "mininterval": 1.0 if redrawn else self.LOG_SECONDS,
        }
        super().__init__(desc=desc, total=total, unit=unit, **{**ours, **options})
