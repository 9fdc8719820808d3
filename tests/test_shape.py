"""The shape of the package: its parts, no circle of imports, files and functions of a size to read.

The lists of exceptions may only become shorter. ``python tests/test_shape.py`` prints what ``pyproject.toml`` must list.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "voxeldose"
FILES = sorted(PACKAGE.rglob("*.py"))

#: The eight packages, what stands next to them, and the files that a package must have.
TOP = {
    *("model", "geometry", "dose", "planning", "io", "report", "jobs", "cli"),
    *("demo", "tables", "_compiled", "errors.py"),
    *("__init__.py", "__init__.pyi", "__main__.py", "py.typed"),
}
LONGEST_FILE, LONGEST_BODY, MOST_LINES_PER_COMMAND = 450, 60, 90

#: Files that are longer, with the reason. Never longer than this list.
LONG_FILES: dict[str, str] = {}

#: Functions whose body is longer, with the reason. Never longer than this list.
LONG_BODIES: dict[str, str] = {}

#: Limits of size and branching that ruff holds; its exceptions stand in ``pyproject.toml``.
RATCHET = ("C901", "PLR0911", "PLR0912", "PLR0913", "PLR0915", "PLR0917")
#: Pairs of a file and a rule that are excepted.
MOST_EXCEPTIONS = 55


def functions_of(file: Path) -> list[tuple[str, int]]:
    """Every function of a file, with the lines from its first statement after the docstring to its end."""
    found = []
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
            found.append((f"{file.relative_to(PACKAGE).as_posix()}:{node.name}", lines))
    return found


def test_the_top_holds_the_eight_packages_and_little_else():
    there = {path.name for path in PACKAGE.iterdir() if path.name != "__pycache__"}
    assert there == TOP
    assert len(there) <= 16


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.relative_to(PACKAGE).as_posix())
def test_a_file_is_short_enough_to_be_read(file):
    lines = len(file.read_text("utf-8").splitlines())
    assert (lines > LONGEST_FILE) == (file.relative_to(PACKAGE).as_posix() in LONG_FILES), f"{lines} lines"


def test_a_function_is_short_enough_to_be_seen():
    long = {name: lines for file in FILES for name, lines in functions_of(file) if lines > LONGEST_BODY}
    assert set(long) == set(LONG_BODIES), long


def test_the_command_line_only_talks():
    lengths = [len(file.read_text("utf-8").splitlines()) for file in (PACKAGE / "cli").rglob("*.py")]
    assert sum(lengths) <= MOST_LINES_PER_COMMAND * len(lengths)


def test_no_name_says_nothing():
    assert not [f.name for f in FILES if f.stem in {"utils", "util", "helpers", "helper", "common", "misc", "tools"}]


def test_imports_run_in_no_circle():
    import grimp

    graph = grimp.build_graph("voxeldose", exclude_type_checking_imports=True, cache_dir=None)
    TopologicalSorter({m: graph.find_modules_directly_imported_by(m) for m in graph.modules}).prepare()


def test_the_check_for_circles_can_fail():
    from graphlib import CycleError

    with pytest.raises(CycleError):
        TopologicalSorter({"a": {"b"}, "b": {"a"}}).prepare()


def exceptions_needed() -> dict[str, list[str]]:
    """File -> rules that it breaks, as ruff finds them without exceptions."""
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--target-version", "py311", "--no-cache"]
    limits = ["--select", ",".join(RATCHET), "--output-format", "json", "voxeldose"]
    answer = subprocess.run([*command, *limits], cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode in (0, 1), answer.stderr
    found = defaultdict(set)
    for item in json.loads(answer.stdout):
        found[Path(item["filename"]).relative_to(ROOT).as_posix()].add(item["code"])
    return {file: sorted(codes) for file, codes in sorted(found.items())}


def test_exceptions_from_the_limits_are_those_needed_and_become_fewer():
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["ruff"]["lint"]
    assert not set(RATCHET) & set(lint["ignore"])
    listed = {
        file: sorted(set(codes) & set(RATCHET))
        for file, codes in lint["per-file-ignores"].items()
        if set(codes) & set(RATCHET) and file.startswith("voxeldose/")
    }
    assert listed == exceptions_needed()
    assert sum(map(len, listed.values())) <= MOST_EXCEPTIONS


def needed_lists() -> str:
    """What ``per-file-ignores`` must list, and what the lists of this file must hold."""
    needed = exceptions_needed()
    lines = [f'"{file}" = {json.dumps(codes)}' for file, codes in needed.items()]
    lines.append(f"# MOST_EXCEPTIONS = {sum(map(len, needed.values()))}")
    for file in FILES:
        size = len(file.read_text("utf-8").splitlines())
        if size > LONGEST_FILE:
            lines.append(f"# {file.relative_to(PACKAGE).as_posix()}: {size} lines")
        lines += [f"# {name}: {size} lines" for name, size in functions_of(file) if size > LONGEST_BODY]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(needed_lists())
