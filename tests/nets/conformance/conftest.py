"""Each test with an argument `entry` runs for every network of the table; its graphs are built once.

pytest runs the tests network by network, because `entry` is of the whole session.
"""

import pytest

from . import NETWORKS


def pytest_generate_tests(metafunc):
    """Gives the tests all networks, slow where the entry says so."""
    if "entry" not in metafunc.fixturenames:
        return
    parts = {getattr(metafunc.module, "PART", None)}
    if "both" in metafunc.fixturenames:
        parts.add("tf_slim")
    entries = [
        pytest.param(entry, id=entry.name, marks=[pytest.mark.slow] if parts & {*entry.slow} else [])
        for entry in NETWORKS.values()
    ]
    metafunc.parametrize("entry", entries, scope="session")


def pytest_collection_modifyitems(items):
    """Leaves out what `entry.only` keeps from a test.

    Not earlier: pytest groups tests by the place of their network in the list, which has to be the same for all.
    """
    items[:] = [
        item
        for item in items
        if not hasattr(getattr(item, "function", None), "wanted")
        or item.function.wanted(item.callspec.params["entry"])
    ]
