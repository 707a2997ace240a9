"""Each test with an argument `entry` runs for every network of the table; its graphs are built once.

pytest runs the tests network by network, because `entry` is of the whole session.
"""

import pytest

from . import NETWORKS


def pytest_generate_tests(metafunc):
    """Gives the tests their networks: those that `entry.only` lets through, slow where the entry says so."""
    if "entry" not in metafunc.fixturenames:
        return
    wanted = getattr(metafunc.function, "wanted", lambda entry: True)
    part = getattr(metafunc.module, "PART", None)
    entries = [
        pytest.param(entry, id=entry.name, marks=[pytest.mark.slow] if part in entry.slow else [])
        for entry in NETWORKS.values()
        if wanted(entry)
    ]
    metafunc.parametrize("entry", entries, scope="session")
