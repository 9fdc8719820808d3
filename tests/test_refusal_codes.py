"""Every refusal has a code that stands in its raise, in words joined by hyphens, and a test that names it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "voxeldose").rglob("*.py"))
REFUSALS = {"VoxeldoseError", "GeometryError", "QuantityError", "InputError"}

#: Functions that hand a ``code`` of their caller on to the refusal they make: archives answer with many, by their own tables.
HANDS_ON = {"archive_refusal"}
KEBAB = re.compile(r"[a-z]+(-[a-z0-9]+)*")

#: Attributes that hand on the code of a refusal made elsewhere.
HANDED_ON = {"code", "refused_code"}


def tree_of(module: str) -> ast.Module:
    """The source of a module of the package."""
    path = ROOT.joinpath(*module.split("."))
    return ast.parse(
        (path.with_suffix(".py") if path.with_suffix(".py").is_file() else path / "__init__.py").read_text()
    )


def definition(name: str, tree: ast.Module) -> tuple[ast.stmt, ast.Module]:
    """Where a module defines a name, or the module that it imports it from."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return node, tree
        if isinstance(node, ast.Assign) and [ast.unparse(t) for t in node.targets] == [name]:
            return node, tree
        if isinstance(node, ast.ImportFrom) and any(a.name == name for a in node.names):
            return definition(name, tree_of(node.module or ""))
    raise LookupError(name)


def codes_of(node: ast.expr | None, tree: ast.Module) -> set[str]:
    """The codes that an expression can be; an expression that does not tell is a ``LookupError``."""
    match node:
        case ast.Constant(value=str(code)):
            return {code}
        case ast.IfExp():
            return codes_of(node.body, tree) | codes_of(node.orelse, tree)
        case ast.Attribute(attr=attr) if attr in HANDED_ON:
            return set()
        case ast.Dict():
            return set().union(*(codes_of(value, tree) for value in node.values))
        case ast.Call(func=ast.Attribute(value=table, attr="get"), args=[_, other]):
            return codes_of(table, tree) | codes_of(other, tree)
        case ast.Name(id=name) | ast.Call(func=ast.Name(id=name)):
            found, there = definition(name, tree)
            if isinstance(found, ast.Assign):
                return codes_of(found.value, there)
            returned = [n.value for n in ast.walk(found) if isinstance(n, ast.Return)]
            return set().union(*(codes_of(value, there) for value in returned))
    raise LookupError("no code" if node is None else ast.unparse(node))


def refusals_in(tree: ast.Module) -> list[tuple[int, set[str] | None]]:
    """Line and codes of every refusal that is made; ``None`` where they cannot be told."""
    found: list[tuple[int, set[str] | None]] = []
    makers = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name in HANDS_ON]
    inside = {id(node) for maker in makers for node in ast.walk(maker)}
    for node in ast.walk(tree):
        if id(node) in inside:
            continue
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in REFUSALS:
            code = next((k.value for k in node.keywords if k.arg == "code"), None)
            try:
                found.append((node.lineno, codes_of(code, tree)))
            except LookupError:
                found.append((node.lineno, None))
    return found


def named_in_tests() -> set[str]:
    """Every string of the tests but those that ask for a remark."""
    named: set[str] = set()
    for file in (ROOT / "tests").rglob("*.py"):
        tree = ast.parse(file.read_text("utf-8"))
        remarks = {
            id(word)
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "coded"
            for word in ast.walk(node)
        }
        named |= {
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in remarks
        }
    return named


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.relative_to(ROOT / "voxeldose").as_posix())
def test_every_refusal_has_a_code_in_words_joined_by_hyphens(file):
    found = refusals_in(ast.parse(file.read_text("utf-8")))
    assert not [line for line, codes in found if codes is None or not all(KEBAB.fullmatch(code) for code in codes)]


def test_every_code_of_a_refusal_is_named_in_a_test():
    made = {
        code: f"{file.relative_to(ROOT)}:{line}"
        for file in FILES
        for line, codes in refusals_in(ast.parse(file.read_text("utf-8")))
        for code in codes or ()
    }
    assert len(made) > 200
    named = named_in_tests()
    assert not {code: where for code, where in made.items() if code not in named}


@pytest.mark.parametrize(
    ("code", "codes"),
    [
        ("InputError(msg)", None),
        ("InputError(msg, code=made_up)", None),
        ("QuantityError(msg, code=f'{kind}-missing')", None),
        ("InputError(msg, code='one' if a else 'two')", {"one", "two"}),
        ("InputError(msg, code=error.code)", set()),
        ("InputError(msg, code=KIND)", {"three"}),
        ("InputError(msg, code=TABLE.get(a, 'five'))", {"four", "five"}),
        ("InputError(msg, code=kind(a))", {"six", "seven"}),
        ("InputError(msg, code=ELEMENT_DAMAGED)", {"element-damaged"}),
    ],
)
def test_the_check_finds_codes_and_their_absence(code, codes):
    above = [
        "from voxeldose.io.damage import ELEMENT_DAMAGED",
        "KIND = 'three'",
        "TABLE = {'x': 'four'}",
        "def kind(a):",
        "    if a:",
        "        return 'six'",
        "    return 'seven'",
    ]
    assert refusals_in(ast.parse("\n".join([*above, f"raise {code}"]))) == [(len(above) + 1, codes)]
