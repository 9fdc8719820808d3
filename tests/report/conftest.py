"""A browser to look at reports."""

import pytest
from browser import CHROMIUM, Browser


@pytest.fixture(scope="session")
def browser():
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with Browser() as running:
        yield running
