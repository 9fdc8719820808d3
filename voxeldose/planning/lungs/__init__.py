"""Lung shunt fraction from planar views or SPECT(/CT), lung mass, and the lungs' absorbed dose next to its limits.

The shunt fraction is ``N_lung / (N_lung + N_liver)``; ``N`` is the geometric mean of opposite planar views, or the counts of
a reconstructed image. Planar views, lungs of 1 kg and the limit of 30 Gy were used together when the limit was found;
with a shunt by SPECT (planar views see 3 to 8 percentage points more) or a lung mass by CT the same number means another
thing, and every answer that mixes them says so.
"""

from voxeldose.planning.lungs.dose import (
    CUMULATIVE_LIMIT_GY,
    LIMIT_GY,
    LIMIT_SOURCE,
    LungDose,
    LungLimit,
    LungMass,
    lung_dose,
)
from voxeldose.planning.lungs.planar import Views, planar_shunt
from voxeldose.planning.lungs.shunt import LungShunt, counted_shunt
from voxeldose.planning.lungs.spect import lung_mass, spect_shunt

__all__ = [
    "CUMULATIVE_LIMIT_GY",
    "LIMIT_GY",
    "LIMIT_SOURCE",
    "LungDose",
    "LungLimit",
    "LungMass",
    "LungShunt",
    "Views",
    "counted_shunt",
    "lung_dose",
    "lung_mass",
    "planar_shunt",
    "spect_shunt",
]
