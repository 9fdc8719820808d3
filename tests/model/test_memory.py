import math

import pytest
from remarks import refusal
from small_study import CASE, run, write_study

from voxeldose.errors import InputError
from voxeldose.model import memory
from voxeldose.model.memory import MEMORY_VARIABLE, memory_bytes, memory_limit_bytes, require_memory


def test_the_environment_sets_the_limit(monkeypatch):
    monkeypatch.setenv(MEMORY_VARIABLE, "0.5")
    assert memory_limit_bytes() == 2**29
    require_memory((512, 512, 512), 4, "An image", "Crop it.")  # just fits
    with pytest.raises(InputError, check=refusal("memory")) as caught:
        require_memory((512, 512, 513), 4, "An image", "Crop it.")
    assert caught.value.fields == {"needed_gib": pytest.approx(513 / 1024), "limit_gib": 0.5}
    assert "An image of 512 x 512 x 513 would take 0.501 GiB" in str(caught.value)


@pytest.mark.parametrize("text", ["", "0", "-1", "nan", "much"])
def test_a_limit_that_is_none_is_refused(monkeypatch, text):
    monkeypatch.setenv(MEMORY_VARIABLE, text)
    with pytest.raises(InputError, check=refusal("value-out-of-range")):
        memory_limit_bytes()


def test_without_it_half_of_the_machine_is_the_limit_and_no_limit_where_nothing_is_known(monkeypatch):
    monkeypatch.delenv(MEMORY_VARIABLE, raising=False)
    monkeypatch.setattr(memory, "memory_bytes", lambda: 8 * 2**30)
    assert memory_limit_bytes() == 4 * 2**30
    monkeypatch.setattr(memory, "memory_bytes", lambda: None)
    assert memory_limit_bytes() == math.inf


def test_the_memory_of_this_machine_is_known():
    found = memory_bytes()
    assert found is None or 2**28 < found < 2**50


def test_a_dose_grid_of_tiny_voxels_is_refused_before_it_is_made(tmp_path):
    write_study(tmp_path, CASE + "\n[dose]\ngrid = 0.01\n")
    result = run("assess", tmp_path / "case.toml", "--out", tmp_path / "out", "--quiet")
    assert result.exit_code == 3, result.output
    assert "A dose grid of 4800 x 4900 x 4800 would take" in result.stderr
    assert "--grid 3" in result.stderr
