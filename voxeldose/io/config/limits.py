"""A site's own limits from a TOML file of the shape of ``tables/thresholds.toml``."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from voxeldose.errors import InputError
from voxeldose.io.config.toml import NotNegative, Positive, Table, read_toml, table_from
from voxeldose.model.assessment import RoiNumbers
from voxeldose.model.limits import DoseModel, Limit
from voxeldose.model.roles import Role  # noqa: TC001 - pydantic needs it at run time

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_limits"]

METRICS = tuple(f.name for f in fields(RoiNumbers) if f.name.endswith(("_gy", "_fraction", "_ml", "_mbq")))


def _known_metric(value: str) -> str:
    if value not in METRICS:
        msg = f"must be a number of the results ({', '.join(METRICS)})"
        raise ValueError(msg)
    return value


class LimitTable(Table):
    """``[[threshold]]``."""

    name: str = Field(min_length=1)
    role: Role
    metric: Annotated[str, AfterValidator(_known_metric)]
    sense: Literal["at least", "below"]
    limit: NotNegative
    source: str = Field(min_length=1)
    method: str = Field(min_length=1)
    device: Literal["glass", "resin"] | None = None
    dose: DoseModel | None = None
    image: Literal["Tc-99m", "Y-90"] | None = None
    bilirubin_above_mg_per_dl: Positive | None = None
    bilirubin_below_mg_per_dl: Positive | None = None
    perfused_only: bool = False


class LimitsFile(Table):
    """The whole file; ``published = false`` leaves out the limits that voxeldose ships."""

    published: bool = True
    threshold: list[LimitTable] = Field(min_length=1)


def read_limits(path: Path) -> tuple[tuple[Limit, ...], bool]:
    """The limits of a site's file, and whether they come on top of the published ones or stand alone.

    Raises
    ------
    InputError
        If the file cannot be read; names the entry and the key.
    """
    file = table_from(LimitsFile, read_toml(path, "thresholds file"), path.name)
    own = [Limit(**row.model_dump()) for row in file.threshold]
    for n, limit in enumerate(own):
        if limit.key in [other.key for other in own[:n]]:
            msg = f"{path.name}: threshold.{n} ({limit.name}) stands twice for role {limit.role}; keep one."
            raise InputError(msg, code="keys-contradict", name=limit.name, role=limit.role)
    return tuple(own), file.published
