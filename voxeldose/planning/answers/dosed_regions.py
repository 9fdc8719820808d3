"""Regions whose dose is asked about: from doses alone, an assessment, or the results of a run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.errors import InputError, QuantityError
from voxeldose.model.radionuclide import Radionuclide, y90_constants
from voxeldose.model.remarks import Remark
from voxeldose.model.tissue import linear_quadratic_set

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from voxeldose.model.arrays import Doubles
    from voxeldose.model.assessment import Assessment

__all__ = ["Region", "region_of_assessment", "region_of_doses", "region_of_results", "require_doses"]

NOT_STATED = Remark(
    "parameter-set-unstated",
    {},
    "These results (schema 1) do not state their parameter set; the one named is taken to be theirs.",
)

OF_IMAGE = Remark(
    "effects-of-blurred-image",
    {},
    "Effects are those of the doses of the image as it is, voxel by voxel; resolution recovery does not enter them.",
)
#: Code of a run's own remark that it left ``[resolution]`` out.
NOT_RECOVERED = "resolution-not-used"

_RUN_NUMBERS = ("mean_dose_gy", "bed_gy", "eud_gy", "eubed_gy")


@dataclass(frozen=True, eq=False)
class Region:
    """What is asked about: parts of one region, or the numbers that a run found.

    Parameters
    ----------
    radionuclide : Radionuclide
        With the constants that the doses were found with.
    role, device : str, optional
        Of the region and its treatment, where they are known.
    numbers : mapping
        What a run found; empty where ``dose_gy`` and ``volume_ml`` are known.
    dose_gy, volume_ml : array, optional
        Of each part; volumes in any unit.
    inputs : mapping
        What the user gave, for the answer's own inputs.
    warnings : tuple of Remark
        Of how it was read.
    """

    radionuclide: Radionuclide
    role: str | None
    device: str | None
    numbers: Mapping[str, float]
    dose_gy: Doubles | None = None
    volume_ml: Doubles | None = None
    inputs: Mapping[str, object] | None = None
    warnings: tuple[Remark, ...] = ()

    @property
    def parts(self) -> int:
        """How many doses it has; 0 where only a run's numbers are known."""
        return 0 if self.dose_gy is None else self.dose_gy.size


def region_of_doses(
    dose_gy: Sequence[float],
    volume_ml: Sequence[float] = (),
    *,
    role: str | None = None,
    constants: str | None = None,
) -> Region:
    """A region of parts with these doses; equal parts without volumes.

    Raises
    ------
    QuantityError
        If a dose is negative, or there are not as many volumes, each above 0.
    """
    dose = np.array(dose_gy, float)
    volume = np.array(volume_ml or np.ones(dose.size), float)
    if volume.size != dose.size or not (np.isfinite(volume) & (volume > 0)).all():
        msg = f"{dose.size} doses need as many volumes, each above 0."
        raise QuantityError(msg, code="values-contradict")
    require_doses(dose_gy)
    inputs = {"dose_gy": list(dose_gy), "volume_ml": list(volume_ml)}
    return Region(y90_constants(constants or "ddep"), role, None, {}, dose, volume, inputs)


def region_of_assessment(result: Assessment, roi: str) -> Region:
    """A region of an assessment, voxel by voxel.

    Raises
    ------
    QuantityError
        If there is no such region with a dose.
    """
    metrics = result.rois.get(roi)
    if metrics is None or not math.isfinite(metrics.mean_dose_gy):
        msg = f"There is no region {roi} with a dose; there are {', '.join(result.rois)}."
        raise QuantityError(msg, code="region-unknown", roi=roi)
    filled = metrics.dvh.occupancy > 0
    dose, volume = (values[filled].astype(float) for values in (metrics.dvh.voxel_gy, metrics.dvh.occupancy))
    given = result.case.administration
    blurred = tuple(w for w in result.record.warnings if w.code == NOT_RECOVERED)
    return Region(given.radionuclide, metrics.role, given.device, {}, dose, volume, warnings=blurred)


def region_of_results(path: Path, roi: str, *, set_name: str | None = None, constants: str | None = None) -> Region:
    """A region's numbers as its run found them; the set must be the one that the run used.

    Raises
    ------
    InputError
        If the results cannot be read, have no such region with a dose, or used other constants or another set.
    """
    from voxeldose.io.results.content import read_content

    content = read_content(path)
    try:
        row = content["rois"].get(roi)
        used_constants, device = content["constants"]["name"], content["administration"]["device"]
        sets = (
            {role: one["name"] for role, one in content["radiobiology"].items()} if "radiobiology" in content else None
        )
    except (KeyError, TypeError, AttributeError) as error:
        msg = f"{path}: cannot be read as the results of voxeldose assess."
        raise InputError(msg, code="file-damaged") from error
    if row is None or row["mean_dose_gy"] is None:
        msg = f"{path}: there is no ROI {roi} with a dose; there are {', '.join(content['rois'])}."
        raise InputError(msg, code="region-unknown", roi=roi)
    if constants not in (None, used_constants):
        msg = f"{path}: the run used the constants {used_constants}, not {constants}; give the CASE to change them."
        raise InputError(msg, code="constants-differ", used=used_constants, asked=constants)
    warnings: tuple[Remark, ...] = (OF_IMAGE,) if row.get("recovered") else ()
    if set_name is not None:
        linear_quadratic_set(set_name).require_role(row["role"])
        if sets is None:
            warnings = (*warnings, NOT_STATED)
        elif (used := sets.get(row["role"])) != set_name:
            msg = (
                f"{path}: the run used {f'the set {used}' if used else 'no set'} for this region, not {set_name}; name it in "
                "the case under [radiobiology] and run again."
            )
            raise InputError(msg, code="parameter-set-differs", used=used, asked=set_name)
    numbers = {k: row[k] for k in _RUN_NUMBERS if row.get(k) is not None}
    return Region(y90_constants(used_constants), row["role"], device, numbers, warnings=warnings)


def require_doses(doses_gy: Sequence[float]) -> None:
    """Refuse doses below 0 Gy."""
    for value in doses_gy:
        if not 0 <= value < math.inf:
            msg = f"An absorbed dose must be 0 Gy or more, found {value}."
            raise QuantityError(msg, code="value-out-of-range")
