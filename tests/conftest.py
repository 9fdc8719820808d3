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


@pytest.fixture(scope="session")
def cohort_table(tmp_path_factory) -> Path:
    """The table of a cohort with broken cases in it."""
    from cohort_cases import BROKEN, COUNT, make_cohort

    return make_cohort(tmp_path_factory.mktemp("cases"), COUNT, broken=BROKEN)


@pytest.fixture(scope="session")
def undisturbed_cohort(cohort_table, tmp_path_factory) -> Path:
    """The results of that cohort when nothing disturbs its run."""
    from cohort_cases import plain

    out = tmp_path_factory.mktemp("undisturbed") / "out"
    result = plain(cohort_table, out, "--workers", 1)
    assert result.exit_code == 0, result.output
    assert "9 of 12 cases have results; 3 failed" in result.stdout
    return out
