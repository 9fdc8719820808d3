"""A site's own rules of plausibility from a TOML file of the shape of ``tables/plausibility.toml``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voxeldose.errors import InputError, QuantityError
from voxeldose.io.config.toml import read_toml
from voxeldose.model.plausibility import rules_with

if TYPE_CHECKING:
    from pathlib import Path

    from voxeldose.model.plausibility import Rule

__all__ = ["read_rules"]


def read_rules(path: Path) -> tuple[Rule, ...]:
    """The published rules with those of a site's file: a known code changes that rule's keys, a new one needs all of them.

    Raises
    ------
    InputError
        If the file cannot be read, or a rule is wrong; names the rule.
    """
    file = read_toml(path, "plausibility file")
    rows = file.get("rule")
    if set(file) != {"rule"} or not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        msg = f"{path.name}: needs tables [[rule]] and nothing else, found {', '.join(sorted(file)) or 'nothing'}."
        raise InputError(msg, code="rules-missing", found=sorted(file))
    try:
        return rules_with(rows)
    except QuantityError as error:
        msg = f"{path.name}: {error}"
        raise InputError(msg, code=error.code) from error
