"""Mass densities that rule a run, in g/mL: what is tissue, what is none, and what is taken without being asked."""

from __future__ import annotations

from typing import Final

__all__ = ["AIR_G_PER_ML", "DEFAULT_DENSITY_G_PER_ML", "DENSEST_G_PER_ML"]

#: Soft tissue of Lanconelli's voxel S tables (Phys. Med. Biol. 57 (2012) 517); liver in ICRP 110 is 1.06.
DEFAULT_DENSITY_G_PER_ML: Final = 1.04

#: Below this density local deposition divides by nearly nothing; such voxels (air) get no dose and are counted.
AIR_G_PER_ML: Final = 0.05

#: Nothing is denser: a larger number has another unit.
DENSEST_G_PER_ML: Final = 25.0
