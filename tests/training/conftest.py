"""Runs of these tests are short, and their reports without charts."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def _quick_reports(plain_charts):
    pass
