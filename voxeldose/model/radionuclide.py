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
    "GE68",
    "HO166",
    "JOULE_PER_MEV",
    "LU177",
    "NA22",
    "TC99M",
    "Y86",
    "Y90",
    "Y90_ICRP107",
    "Y90_LEGACY",
    "Y90_POSITRON_FRACTION",
    "Y90_SETS",
    "Y90_VENDOR",
    "ZR89",
    "Radionuclide",
    "known_radionuclide",
    "scaling_as_another",
    "y90_constants",
]

#: Joule per MeV, exact since the SI of 2019 (CODATA 2018).
JOULE_PER_MEV = 1.602176634e-13
#: 2 to this power is still a number of 64 bits (below 1024).
MOST_HALF_LIVES_BACK = 1000


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
    positron_fraction : float, optional
        Positrons per decay, daughters in equilibrium included; ``None`` where PET has no part in it.
    """

    name: str
    half_life_h: float
    mean_energy_mev: float | None
    source: str
    constants: str = ""
    positron_fraction: float | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.half_life_h) and self.half_life_h > 0):
            msg = f"{self.name}: the half-life must be positive, found {self.half_life_h} h."
            raise QuantityError(msg, code="value-out-of-range", field="half_life_h", found=self.half_life_h)

    @property
    def half_life_s(self) -> float:
        """Half-life in seconds."""
        return self.half_life_h * 3600.0

    @property
    def energy_mev(self) -> float:
        """Mean energy per decay in MeV; refused where there is none."""
        if self.mean_energy_mev is None:
            msg = f"{self.name} has no charged-particle energy in voxeldose, so no dose is computed from it."
            raise QuantityError(msg, code="energy-unknown", nuclide=self.name)
        return self.mean_energy_mev

    @property
    def gy_kg_per_gbq(self) -> float:
        """K: joules released in all decays of 1 GBq, ``T½/ln 2 · Ē`` (MIRD 21); 49.38 for Y-90 with DDEP values."""
        return 1e9 * self.half_life_s / math.log(2) * self.energy_mev * JOULE_PER_MEV

    def decay_factor(self, elapsed_s: float) -> float:
        """Fraction of the activity left after ``elapsed_s`` seconds; above 1 when going back in time.

        Raises
        ------
        QuantityError
            If it goes back so far that no number holds the activity.
        """
        if -elapsed_s > MOST_HALF_LIVES_BACK * self.half_life_s:
            msg = (
                f"Activity of {self.name} cannot be followed back by {-elapsed_s / 86400:.0f} days, "
                f"{-elapsed_s / self.half_life_s:.0f} half-lives of {self.half_life_h:g} h. Check the dates."
            )
            raise QuantityError(msg, code="scan-too-late", nuclide=self.name)
        return float(2.0 ** (-elapsed_s / self.half_life_s))

    def decays_per_bq(self) -> float:
        """All decays of 1 Bq from now on, ``T½/ln 2`` in seconds (permanent trapping, physical decay only)."""
        return self.half_life_s / math.log(2)

    def frame_factor(self, duration_s: float) -> float:
        """Activity at the start of a frame over its mean, ``λΔ / (1 - exp(-λΔ))``: the decay during the frame."""
        x = math.log(2) * duration_s / self.half_life_s
        return x / -math.expm1(-x) if x > 0 else 1.0


def scaling_as_another(true: Radionuclide, taken_as: Radionuclide, *, elapsed_s: float, frame_s: float) -> float:
    """What turns Bq/mL that a scanner made as for one nuclide into those of the nuclide that was there.

    ``C_Y = C_X · (b_X / b_Y) · (DF_Y / DF_X) · (frame_Y / frame_X)``: branching, decay from the reference to the start
    of the frame, and decay in the frame, each undone for ``taken_as`` (X) and done for ``true`` (Y). Both count
    coincidences alike; gammas in cascade and positron range are left out.

    Parameters
    ----------
    true, taken_as : Radionuclide
        Y and X, each with its positron fraction.
    elapsed_s : float
        From the instant to which the scanner corrected to the start of the frame.
    frame_s : float
        Length of the frame.

    Raises
    ------
    QuantityError
        If a positron fraction is not known.
    """
    if true.positron_fraction is None or taken_as.positron_fraction is None:
        without = true.name if true.positron_fraction is None else taken_as.name
        msg = f"The positron fraction of {without} is not known to voxeldose, so its branching cannot be undone."
        raise QuantityError(msg, code="positron-fraction-unknown", nuclide=without)
    branching = taken_as.positron_fraction / true.positron_fraction
    decay = taken_as.decay_factor(elapsed_s) / true.decay_factor(elapsed_s)
    return branching * decay * true.frame_factor(frame_s) / taken_as.frame_factor(frame_s)


#: Positrons per decay of Y-90, 31.86(47) in a million. Selwyn et al., Appl. Radiat. Isot. 65 (2007) 318-327, as used by
#: the QUEST study (Willowson et al. 2015, doi:10.1007/s00259-015-3059-9).
Y90_POSITRON_FRACTION = 31.86e-6

#: Clinical default. LNHB/DDEP 2015: T½ 2.6684(13) d = 64.04(3) h, mean beta energy 0.9267(8) MeV. K = 49.38.
Y90 = Radionuclide("Y-90", 64.04, 0.9267, "LNHB/DDEP Y-90, update 2015-02-01", "ddep", Y90_POSITRON_FRACTION)
#: ICRP Publication 107: T½ 64.10 h, 0.999885 · 0.932991 + 1.15e-4 · 0.185079 MeV = 0.9329 MeV. K = 49.76.
Y90_ICRP107 = Radionuclide(
    "Y-90", 64.10, 0.9329, "ICRP Publication 107 (2008)", "icrp107", positron_fraction=Y90_POSITRON_FRACTION
)
#: The glass microsphere insert's K = 50 with T½ 64.1 h; the energy is what makes K exactly 50.
Y90_VENDOR = Radionuclide(
    "Y-90",
    64.1,
    50.0 / (1e9 * 64.1 * 3600.0 / math.log(2) * JOULE_PER_MEV),
    "TheraSphere package insert: K = 50 Gy kg/GBq, T½ 64.1 h; energy derived from the two",
    "vendor",
    Y90_POSITRON_FRACTION,
)
#: The K of older partition-model formulas ("49,670" with grams, after Ho 1996). No measured pair of half-life and energy gives
#: it; for comparison with older plans only.
Y90_LEGACY = Radionuclide(
    "Y-90",
    64.1,
    49.67 / (1e9 * 64.1 * 3600.0 / math.log(2) * JOULE_PER_MEV),
    "older partition-model formulas: K = 49.67 Gy kg/GBq; T½ 64.1 h as in the product inserts, energy derived from the two",
    "legacy",
    Y90_POSITRON_FRACTION,
)
#: Only ever an image of where microspheres went; no dose is computed from it. T½ 6.0067 h, DDEP 2004.
TC99M = Radionuclide("Tc-99m", 6.0067, None, "LNHB/DDEP Tc-99m")
#: Positron fraction 0.967: NNDC, as in European Pharmacopoeia 5.7 (scanners write 0.967, 0.9686 or 0.97).
F18 = Radionuclide("F-18", 1.82890, None, "LNHB/DDEP F-18: 1.82890(23) h", positron_fraction=0.967)
#: Positron fraction 0.8914: ENSDF 2002, the value that scanners write; newer evaluations give 0.889.
GA68 = Radionuclide("Ga-68", 1.13053, None, "LNHB/DDEP Ga-68: 67.83(20) min", positron_fraction=0.8914)
#: The generator nuclide of phantoms: it decays with its own half-life, the positrons are Ga-68's.
GE68 = Radionuclide("Ge-68", 270.95 * 24, None, "LNHB/DDEP Ge-68: 270.95(26) d", positron_fraction=0.8914)
#: Positron fraction 0.899, as in phantom studies with Na-22; the table was not re-read, and the header's own goes before it.
NA22 = Radionuclide("Na-22", 2.6029 * 365.242 * 24, None, "LNHB/DDEP Na-22: 2.6029(8) a", positron_fraction=0.899)
#: Positron fraction 0.319, as scanners write it; the table was not re-read, and the header's own goes before it.
Y86 = Radionuclide("Y-86", 14.74, None, "ENSDF Y-86: 14.74(2) h", positron_fraction=0.319)
#: Positron fraction 0.227: ENSDF, as in J. Nucl. Med. 63 (2022) 649, table 3; others give up to 0.228.
ZR89 = Radionuclide("Zr-89", 78.42, None, "LNHB/DDEP Zr-89: 3.2674(12) d", positron_fraction=0.227)
LU177 = Radionuclide("Lu-177", 159.53, None, "LNHB/DDEP Lu-177: 6.647(4) d")
HO166 = Radionuclide("Ho-166", 26.795, None, "LNHB/DDEP Ho-166: 26.795(29) h")

_KNOWN = {n.name: n for n in (Y90, TC99M, F18, GA68, GE68, NA22, Y86, ZR89, LU177, HO166)}
#: Every set of Y-90 constants by its name; the first is the default.
Y90_SETS = {n.constants: n for n in (Y90, Y90_ICRP107, Y90_VENDOR, Y90_LEGACY)}


def y90_constants(name: str) -> Radionuclide:
    """Y-90 with the named set of constants: ``ddep``, ``icrp107``, ``vendor`` or ``legacy``."""
    if name not in Y90_SETS:
        msg = f"Unknown set of constants {name!r}; known are {', '.join(Y90_SETS)}."
        raise QuantityError(msg, code="name-unknown", found=name, known=tuple(Y90_SETS))
    return Y90_SETS[name]


def known_radionuclide(name: str) -> Radionuclide | None:
    """The nuclide of that name (``Y-90``, ``Tc-99m``, …) with its default constants, or ``None``."""
    wanted = name.replace("-", "").casefold()
    return next((n for key, n in _KNOWN.items() if key.replace("-", "").casefold() == wanted), None)
