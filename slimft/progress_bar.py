"""A progress bar on standard error that cannot end the work that it shows."""

from __future__ import annotations

import tqdm

from slimft.messages import printable, stream_for_bars


class ProgressBar(tqdm.tqdm):
    """As `tqdm.tqdm`, but a closed or full standard error does not matter, and texts are escaped.

    Args:
        desc: what the bar is of.
        options: further ones of `tqdm.tqdm`, all but ``file``.
    """

    def __init__(self, *, desc: str | None = None, **options):
        super().__init__(desc=desc and printable(desc), file=stream_for_bars(), **options)

    def set_postfix_str(self, s: str = "", refresh: bool = True) -> None:
        """Shows `s` behind the figures."""
        super().set_postfix_str(printable(s), refresh)
