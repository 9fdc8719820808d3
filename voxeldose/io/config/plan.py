"""TOML files for planning: territories of the partition model, and products of microspheres."""

from __future__ import annotations

import tomllib
from importlib import resources
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from voxeldose.errors import InputError
from voxeldose.io.config.toml import Fraction, NotNegative, Positive, Table, read_toml, table_from

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ProductTable", "TerritoriesFile", "read_product", "read_territories"]


Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


class TumorTable(Table):
    """One tumor of ``[[territory]]``; the same name in two territories is one tumor."""

    name: str = Field(min_length=1)
    mass_g: Positive
    tn: Positive


class TerritoryTable(Table):
    """``[[territory]]``: what one infusion reaches."""

    name: str = Field(min_length=1)
    normal_g: NotNegative = 0.0
    tumors: list[TumorTable] = Field(default_factory=list)
    activity_mbq: Positive | None = None
    lung_shunt_fraction: Fraction | None = None


class TerritoriesFile(Table):
    """The whole file."""

    lung_g: Positive | None = None
    unperfused_g: NotNegative = 0.0
    territory: list[TerritoryTable] = Field(min_length=1)


class ProductTable(Table):
    """``[glass]`` or ``[resin]``."""

    vials_gbq: list[Positive] = Field(default_factory=list)
    vials_source: str = "the site's product file"
    bq_per_sphere: Positive | None = None
    bq_per_sphere_source: str = "the site's product file"
    shelf_life_h: Positive | None = None
    is_divisible: bool = False
    """Whether a part of a vial is drawn; a vial that is given whole may not hold far more than is needed."""
    vial_step_gbq: Positive | None = None
    """Sizes come in steps from the first to the last of `vials_gbq`, such as `0.5`."""
    calibration_weekdays: list[Weekday] = Field(default_factory=list)
    """Days on which vials are calibrated, such as `["sunday"]`."""
    calibration_hour: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] = "12:00"
    """Hour of the calibration on those days, in the zone of the question."""

    @property
    def sizes_gbq(self) -> tuple[float, ...]:
        """Every size, those in steps filled in."""
        if self.vial_step_gbq is None or len(self.vials_gbq) < 2:
            return tuple(self.vials_gbq)
        first, last = self.vials_gbq[0], self.vials_gbq[-1]
        steps = int((last - first) / self.vial_step_gbq + 1e-9)
        return tuple(round(first + n * self.vial_step_gbq, 9) for n in range(steps + 1))


class ProductsFile(Table):
    """The whole file."""

    glass: ProductTable | None = None
    resin: ProductTable | None = None


def read_territories(path: Path) -> TerritoriesFile:
    """Territories with their tumors, checked.

    Raises
    ------
    InputError
        Names the territory or tumor and the key.
    """
    return table_from(TerritoriesFile, read_toml(path, "territories file"), path.name)


def read_product(device: str, path: Path | None = None) -> ProductTable:
    """What is known of the vials and spheres of a device: the shipped table, or a site's own file instead of it.

    Raises
    ------
    InputError
        If the file cannot be read or does not hold the device.
    """
    if path is None:
        text = (resources.files("voxeldose") / "tables" / "products.toml").read_text("utf-8")
        tables, where = tomllib.loads(text), "products.toml"
    else:
        tables, where = read_toml(path, "product file"), path.name
    product: ProductTable | None = getattr(table_from(ProductsFile, tables, where), device)
    if product is None:
        msg = f"{where}: has no table [{device}]; add it, or name another --device."
        raise InputError(msg, code="key-missing", keys=(device,))
    return product
