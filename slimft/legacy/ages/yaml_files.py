"""`yaml.load(text)` without a loader, which PyYAML 6 refuses: read with its safe loader."""

from __future__ import annotations

import functools

from slimft.legacy.ages.script import Script


def put_in(script: Script) -> None:
    """Gives the script this call, when it imports yaml."""
    script.later["yaml"] = lambda module: script.patches.set(module, "load", _load(module, script))


def _load(module, script):
    function = module.load

    @functools.wraps(function)
    def load(stream, Loader=None):  # noqa: N803 - PyYAML's name
        """yaml.load, with SafeLoader where none is given: it makes no objects but Python's own."""
        if Loader is None and script.is_calling():
            script.say("yaml", "yaml.load without a Loader", "yaml.SafeLoader reads it")
            Loader = module.SafeLoader  # noqa: N806
        return function(stream, Loader)

    return load
