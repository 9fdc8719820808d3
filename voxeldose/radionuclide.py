"""Half-lives and energies per decay, each with its source.

A run has one set of constants: the :class:`Radionuclide` of its administration. Kernel, K and local deposition all
take the energy from there, so they cannot disagree.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from voxeldose.errors import QuantityError

__all__ = [
    "F18",
    "GA68",
    "HO166",
    "JOULE_PER_MEV",
    "LU177",
    "TC99M",
    "Y90",
    "Y90_ICRP107",
    "Y90_LEGACY",
    "Y90_SETS",
    "Y90_VENDOR",
    "ZR89",
    "Radionuclide",
    "known_radionuclide",
    "y90_constants",
]

#: Joule per MeV, exact since the SI of 2019 (CODATA 2018).
JOULE_PER_MEV = 1.602176634e-13


@dataclass(frozen=True)
class Radionuclide:
    """A nuclide with one consistent set of decay constants.

    Parameters
    ----------
    name : str
        As in ``Y-90``.
    half_life_h : float
        Physical half-life in hours.
    mean_energy_mev : float or None
        Mean energy of the charged particles per decay in MeV; ``None`` where voxeldose computes no dose from it.
    source : str
        Where the numbers come from.
    constants : str
        Name of the set when there are several for one nuclide.
    """

    name: str
    half_life_h: float
    mean_energy_mev: float | None
    source: str
    constants: str = ""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.half_life_h) and self.half_life_h > 0):
            msg = f"{self.name}: the half-life must be positive, found {self.half_life_h} h."
            raise QuantityError(msg)

    @property
    def half_life_s(self) -> float:
        """Half-life in seconds."""
        return self.half_life_h * 3600.0

    @property
    def energy_mev(self) -> float:
        """Mean energy per decay in MeV; refused where there is none."""
        if self.mean_energy_mev is None:
            msg = f"{self.name} has no charged-particle energy in voxeldose, so no dose is computed from it."
            raise QuantityError(msg)
        return self.mean_energy_mev

    @property
    def gy_kg_per_gbq(self) -> float:
        """K: joules released in all decays of 1 GBq, ``T½/ln 2 · Ē`` (MIRD 21); 49.38 for Y-90 with DDEP values."""
        return 1e9 * self.half_life_s / math.log(2) * self.energy_mev * JOULE_PER_MEV

    def decay_factor(self, elapsed_s: float) -> float:
        """Fraction of the activity left after ``elapsed_s`` seconds; above 1 when going back in time."""
        return float(2.0 ** (-elapsed_s / self.half_life_s))

    def decays_per_bq(self) -> float:
        """All decays of 1 Bq from now on, ``T½/ln 2`` in seconds (permanent trapping, physical decay only)."""
        return self.half_life_s / math.log(2)


#: Clinical default. LNHB/DDEP 2015: T½ 2.6684(13) d = 64.04(3) h, mean beta energy 0.9267(8) MeV. K = 49.38.
Y90 = Radionuclide("Y-90", 64.04, 0.9267, "LNHB/DDEP Y-90, update 2015-02-01", "ddep")
#: ICRP Publication 107: T½ 64.10 h, 0.999885 · 0.932991 + 1.15e-4 · 0.185079 MeV = 0.9329 MeV. K = 49.76.
Y90_ICRP107 = Radionuclide("Y-90", 64.10, 0.9329, "ICRP Publication 107 (2008)", "icrp107")
#: The glass microsphere insert's K = 50 with T½ 64.1 h; the energy is what makes K exactly 50.
Y90_VENDOR = Radionuclide(
    "Y-90",
    64.1,
    50.0 / (1e9 * 64.1 * 3600.0 / math.log(2) * JOULE_PER_MEV),
    "TheraSphere package insert: K = 50 Gy kg/GBq, T½ 64.1 h; energy derived from the two",
    "vendor",
)
#: The K of older partition-model formulas ("49,670" with grams, after Ho 1996). No measured pair of half-life and energy gives
#: it; for comparison with older plans only.
Y90_LEGACY = Radionuclide(
    "Y-90",
    64.1,
    49.67 / (1e9 * 64.1 * 3600.0 / math.log(2) * JOULE_PER_MEV),
    "older partition-model formulas: K = 49.67 Gy kg/GBq; T½ 64.1 h as in the product inserts, energy derived from the two",
    "legacy",
)
#: Only ever an image of where microspheres went; no dose is computed from it. T½ 6.0067 h, DDEP 2004.
TC99M = Radionuclide("Tc-99m", 6.0067, None, "LNHB/DDEP Tc-99m")
F18 = Radionuclide("F-18", 1.82890, None, "LNHB/DDEP F-18: 1.82890(23) h")
GA68 = Radionuclide("Ga-68", 1.13053, None, "LNHB/DDEP Ga-68: 67.83(20) min")
ZR89 = Radionuclide("Zr-89", 78.42, None, "LNHB/DDEP Zr-89: 3.2674(12) d")
LU177 = Radionuclide("Lu-177", 159.53, None, "LNHB/DDEP Lu-177: 6.647(4) d")
HO166 = Radionuclide("Ho-166", 26.795, None, "LNHB/DDEP Ho-166: 26.795(29) h")

#: Every set of Y-90 constants by its name; the first is the default.
Y90_SETS = {n.constants: n for n in (Y90, Y90_ICRP107, Y90_VENDOR, Y90_LEGACY)}
_KNOWN = {n.name: n for n in (Y90, TC99M, F18, GA68, ZR89, LU177, HO166)}


def y90_constants(name: str) -> Radionuclide:
    """Y-90 with the named set of constants: ``ddep``, ``icrp107``, ``vendor`` or ``legacy``."""
    if name not in Y90_SETS:
        msg = f"Unknown set of constants {name!r}; known are {', '.join(Y90_SETS)}."
        raise QuantityError(msg)
    return Y90_SETS[name]


def known_radionuclide(name: str) -> Radionuclide | None:
    """The nuclide of that name (``Y-90``, ``Tc-99m``, …) with its default constants, or ``None``."""
    wanted = name.replace("-", "").casefold()
    return next((n for key, n in _KNOWN.items() if key.replace("-", "").casefold() == wanted), None)
