"""Real World Value Mapping (0040,9096) and units of concentration: what a stored value means."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from voxeldose.errors import InputError
from voxeldose.io.dicom.header import items, number, text
from voxeldose.model.remarks import Remark

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from voxeldose.io.dicom.planes import Plane

__all__ = [
    "MAPPED",
    "Mapping",
    "bq_per_ml_mapping",
    "bq_per_ml_of",
    "require_possible_activity",
    "unused_mappings",
]

#: More than microspheres themselves hold: 2500 Bq in a sphere of 25 µm are 3.1e11 Bq/mL.
MOST_BQ_PER_ML = 1e12

#: Stands in the result of an image whose Real World Value Mapping gave its values.
MAPPED = Remark("real-world-mapping-used", {}, "Bq/mL by the Real World Value Mapping of the header.")

_PREFIXES = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
_VOLUMES = {"ml": 1.0, "cm3": 1.0, "cc": 1.0, "l": 1e-3}


@dataclass(frozen=True)
class Mapping:
    """Real world value = stored value × slope + intercept, in ``units`` (PS3.3 C.7.6.16.2.11).

    It takes stored values, not those after Rescale Slope and Intercept.
    """

    slope: float
    intercept: float
    units: str


def bq_per_ml_of(units: str) -> float | None:
    """Bq/mL in one of a unit, as DICOM's BQML or UCUM's ``Bq/ml``, ``kBq/mL``; ``None`` for any other quantity."""
    if units.strip().upper() == "BQML":
        return 1.0
    match = re.fullmatch(r"([kMG]?)Bq(?:/|\.)?(ml|mL|cm3|cc|l|L)(-1)?", units.strip())
    return _PREFIXES[match[1]] * _VOLUMES[match[2].lower()] if match else None


def bq_per_ml_mapping(plane: Plane) -> Mapping | None:
    """The plane's mapping to an activity concentration, in Bq/mL; ``None`` if it has none.

    Raises
    ------
    InputError
        If it is a table instead of a line, or there are several that differ.
    """
    mappings = []
    for item in items(plane.header, "RealWorldValueMappingSequence"):
        factor = bq_per_ml_of(_units(item))
        if factor is None:
            continue
        slope, intercept = number(item, "RealWorldValueSlope"), number(item, "RealWorldValueIntercept")
        if slope is None or intercept is None:
            msg = (
                f"{plane}: its Real World Value Mapping to {_units(item)} has no slope and intercept; export the image with "
                "a linear mapping or with Rescale Slope."
            )
            raise InputError(msg, code="mapping-not-linear", units=_units(item))
        if slope <= 0:
            msg = f"{plane}: the slope of its Real World Value Mapping must be above 0, found {slope:g}. Export the image again."
            raise InputError(msg, code="rescale-invalid", slope=slope, intercept=intercept)
        mappings.append(Mapping(slope * factor, intercept * factor, "Bq/mL"))
    if len(set(mappings)) > 1:
        msg = f"{plane}: several Real World Value Mappings to Bq/mL differ; export the image with one."
        raise InputError(msg, code="mappings-differ")
    return mappings[0] if mappings else None


def require_possible_activity(highest: float, where: str) -> None:
    """Refuse an activity concentration in Bq/mL that no voxel can hold: slope, factor or units are wrong."""
    if highest > MOST_BQ_PER_ML:
        msg = (
            f"{where}: values up to {highest:g} Bq/mL are more than microspheres themselves hold: Rescale Slope (0028,1053), a factor "
            "or the units are wrong. Export the series again."
        )
        raise InputError(msg, code="activity-impossible", highest_bq_per_ml=highest)


def unused_mappings(header: Dataset) -> tuple[Remark, ...]:
    """The remark on Real World Value Mappings to other quantities, which are not applied; empty if there are none."""
    stated = [_units(item) or "no units" for item in items(header, "RealWorldValueMappingSequence")]
    units = ", ".join(u for u in dict.fromkeys(stated) if bq_per_ml_of(u) is None)
    if not units:
        return ()
    sentence = f"A Real World Value Mapping to {units} is not applied: it is no activity concentration."
    return (Remark("real-world-mapping-unused", {"units": units}, sentence),)


def _units(item: Dataset) -> str:
    codes = items(item, "MeasurementUnitsCodeSequence")
    return text(codes[0], "CodeValue") if codes else ""
