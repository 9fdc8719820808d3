"""A lung shunt fraction and how it was found; from counts that another program found."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from voxeldose.errors import QuantityError
from voxeldose.model.lungs import LungShunt
from voxeldose.model.remarks import Remark

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FIELD_OF_VIEW", "Counts", "counted_shunt", "shunt_by_spect"]

FIELD_OF_VIEW = Remark(
    "field-of-view",
    {},
    "Both lungs must lie in the field of view, and the image must be corrected for attenuation and scatter: neither can be "
    "seen from its voxels.",
)
SPECT_SOURCE = "EANM SOP, Chiesa 2021, doi:10.1186/s40658-021-00394-3"


@dataclass(frozen=True)
class Counts:
    """Of all lung, and of all liver with its tumors."""

    lung: float
    liver: float


def shunt_by_spect(
    counts: Counts,
    formula: str,
    inputs: Mapping[str, object],
    assumptions: tuple[Remark, ...],
    warnings: tuple[Remark, ...],
) -> LungShunt:
    """``N_lung / (N_lung + N_liver)`` of counts in a reconstructed image."""
    return LungShunt(
        fraction=counts.lung / (counts.lung + counts.liver),
        sd=None,
        method="SPECT",
        formula=formula,
        lung_counts=counts.lung,
        liver_counts=counts.liver,
        inputs=inputs,
        assumptions=assumptions,
        warnings=warnings,
        sources=(SPECT_SOURCE,),
    )


def counted_shunt(lung_counts: float, liver_counts: float) -> LungShunt:
    """Lung shunt fraction from the counts that another program found in a corrected SPECT(/CT).

    Parameters
    ----------
    lung_counts, liver_counts : float
        Of all lung and of all liver with its tumors, in any unit proportional to activity.

    Raises
    ------
    QuantityError
        If a count is negative or not finite, or the liver has none.
    """
    if not (math.isfinite(lung_counts) and lung_counts >= 0 and math.isfinite(liver_counts) and liver_counts > 0):
        msg = f"Counts of lung must be 0 or more and of liver above 0, found {lung_counts} and {liver_counts}."
        raise QuantityError(msg, code="value-out-of-range")
    corrected = Remark(
        "counts-corrected",
        {},
        "The counts are of all lung and of all liver, corrected for attenuation and scatter.",
    )
    return shunt_by_spect(
        Counts(lung_counts, liver_counts),
        "shunt = N_lung / (N_lung + N_liver)",
        {"lung_counts": lung_counts, "liver_counts": liver_counts},
        (corrected,),
        (FIELD_OF_VIEW,),
    )
