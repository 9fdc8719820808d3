"""The demonstration, made once."""

from pathlib import Path

import pytest
from small_study import run


@pytest.fixture(scope="session")
def demo(tmp_path_factory) -> Path:
    """Both studies; what was printed lies in ``printed.txt``."""
    out = tmp_path_factory.mktemp("demo") / "study"
    result = run("demo", "--out", out)
    assert result.exit_code == 0, result.output
    (out / "printed.txt").write_text(result.stdout)
    return out
