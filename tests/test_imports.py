import subprocess
import sys

import pytest

import voxeldose

HEAVY = (
    "numba",
    "scipy",
    "SimpleITK",
    "pydicom",
    "highdicom",
    "matplotlib",
    "nibabel",
    "dask",
    "distributed",
    "pyarrow",
    "duckdb",
)


def loaded_after(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(*[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split()) if done.stdout.strip() else set()


def test_importing_the_package_loads_nothing_heavy():
    assert loaded_after("import voxeldose") == set()


def test_help_loads_nothing_heavy():
    code = "from voxeldose.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass"
    assert loaded_after(code) == set()


def test_the_check_for_heavy_modules_can_fail():
    assert loaded_after("import voxeldose\nvoxeldose.read_ct\nimport pydicom") == {"pydicom"}


@pytest.mark.parametrize("name", voxeldose.__all__)
def test_every_public_name_is_there(name):
    assert getattr(voxeldose, name) is not None


def test_the_names_for_type_checkers_are_those_that_are_loaded():
    import ast
    from pathlib import Path

    tree = ast.parse(Path(voxeldose.__file__).read_text("utf-8"))
    block = next(n for n in tree.body if isinstance(n, ast.If))
    typed = {a.name: i.module.removeprefix("voxeldose.") for i in block.body for a in i.names}
    assert typed == voxeldose._HOMES


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = voxeldose.nothing
    assert "assess" in dir(voxeldose)
