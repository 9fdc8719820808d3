"""Fixtures that every room's tests may use."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The public test data: ``VOXELDOSE_DATA``, else ``../shared/data`` beside the checkout."""
    stated = os.environ.get("VOXELDOSE_DATA")
    folder = Path(stated) if stated else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no public test data in {folder}")
    return folder
