"""Facts about the patient that the selection for radiation segmentectomy goes by: liver function, general state, extent.

All of them are stated by the user; none comes from an image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from voxeldose.errors import QuantityError

__all__ = ["ALBI_SOURCE", "CHILD_PUGH_SOURCE", "Ascites", "ChildPugh", "Encephalopathy", "Patient", "require_bilirubin"]

Ascites = Literal["none", "mild", "moderate"]
Encephalopathy = Literal["none", "1-2", "3-4"]
ChildPugh = Literal["A", "B", "C"]

ALBI_SOURCE = (
    "Johnson et al., J. Clin. Oncol. 33 (2015) 550, doi:10.1200/JCO.2014.57.9151 (original not read; formula as in Mohammadi et al., "
    "J. Gastrointest. Oncol., abstract on ALBI and radioembolization, grades as in the documentation of the R package cliot)"
)
CHILD_PUGH_SOURCE = (
    "Child-Pugh as tabulated in the MSD Manual and in the Cleveland Clinic Journal of Medicine (Pugh 1973 not read)"
)

#: Nobody with more is a candidate for radioembolization, and a usual value in µmol/L is above it.
HIGHEST_BILIRUBIN = 10.0
#: Albumin in g/L is above it, and nobody's albumin in g/dL is.
HIGHEST_ALBUMIN = 7.0
HIGHEST_INR = 20.0
#: 1 mg/dL of bilirubin (584.66 g/mol).
UMOL_PER_L = 17.104

#: Points 1, 2 and 3: bilirubin and INR up to, albumin down to these; the bounds themselves are of 2 points.
_BILIRUBIN, _INR, _ALBUMIN = (2.0, 3.0), (1.7, 2.3), (3.5, 2.8)


def require_bilirubin(mg_per_dl: float | None) -> None:
    """Refuse a bilirubin that cannot be in mg/dL."""
    if mg_per_dl is not None and not 0 < mg_per_dl <= HIGHEST_BILIRUBIN:
        msg = f"Bilirubin must be above 0 and in mg/dL (1 mg/dL is 17.1 µmol/L), found {mg_per_dl}."
        raise QuantityError(msg, code="value-out-of-range", field="bilirubin_mg_per_dl", found=mg_per_dl)


@dataclass(frozen=True)
class Patient:
    """What is known of a patient; ``None`` where nobody stated it.

    Parameters
    ----------
    bilirubin_mg_per_dl : float, optional
        Total bilirubin in serum.
    albumin_g_per_dl : float, optional
        In serum.
    inr : float, optional
        International normalized ratio of the prothrombin time.
    ascites : str, optional
        ``none``, ``mild`` (or controlled by diuretics), ``moderate`` or more.
    encephalopathy : str, optional
        ``none``, or its grade ``1-2`` or ``3-4``.
    child_pugh : str, optional
        The class, where the five items are not all stated.
    performance_status : int, optional
        ECOG, 0 to 4.
    macrovascular_invasion, extrahepatic_disease, solitary : bool, optional
        Invasion of large vessels; disease outside the liver; whether there is one tumor only.
    segments : int, optional
        Liver segments treated.
    tumor_diameter_mm : float, optional
        Of the largest tumor, as the radiologist measured it.

    Raises
    ------
    QuantityError
        For a number in another unit or out of range, and for a class that contradicts its items.
    """

    bilirubin_mg_per_dl: float | None = None
    albumin_g_per_dl: float | None = None
    inr: float | None = None
    ascites: str | None = None
    encephalopathy: str | None = None
    child_pugh: str | None = None
    performance_status: int | None = None
    macrovascular_invasion: bool | None = None
    extrahepatic_disease: bool | None = None
    solitary: bool | None = None
    segments: int | None = None
    tumor_diameter_mm: float | None = None

    def __post_init__(self) -> None:
        require_bilirubin(self.bilirubin_mg_per_dl)
        ranges = {
            "albumin_g_per_dl": (0.0, HIGHEST_ALBUMIN, "in g/dL (40 g/L are 4 g/dL)"),
            "inr": (0.0, HIGHEST_INR, "a ratio of about 1 to 5"),
            "performance_status": (-1.0, 4.0, "ECOG, 0 to 4"),
            "segments": (0.0, 9.0, "1 to 9"),
            "tumor_diameter_mm": (0.0, 400.0, "in mm"),
        }
        for name, (above, most, what) in ranges.items():
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and above < value <= most):
                msg = f"{name} must be {what}, found {value}."
                raise QuantityError(msg, code="value-out-of-range", field=name, found=value)
        for name, known in (("ascites", Ascites), ("encephalopathy", Encephalopathy), ("child_pugh", ChildPugh)):
            value = getattr(self, name)
            if value is not None and value not in get_args(known):
                msg = f"{name} must be {', '.join(get_args(known))}, found {value!r}."
                raise QuantityError(msg, code="value-unknown", field=name, found=value)
        points = self.child_pugh_points
        if points is not None and self.child_pugh not in (None, child_pugh_of(points)):
            msg = (
                f"child_pugh = {self.child_pugh!r} contradicts its five items, which give {points} points: class "
                f"{child_pugh_of(points)}. Correct an item, or leave child_pugh out."
            )
            raise QuantityError(msg, code="values-contradict", field="child_pugh", points=points)

    @property
    def albi_score(self) -> float | None:
        """``0.66 log10(bilirubin in µmol/L) - 0.085 (albumin in g/L)``; ``None`` without both (:data:`ALBI_SOURCE`)."""
        if self.bilirubin_mg_per_dl is None or self.albumin_g_per_dl is None:
            return None
        return 0.66 * math.log10(self.bilirubin_mg_per_dl * UMOL_PER_L) - 0.085 * 10 * self.albumin_g_per_dl

    @property
    def albi_grade(self) -> int | None:
        """1 up to a score of -2.60, 2 up to -1.39, 3 above."""
        score = self.albi_score
        if score is None:
            return None
        return 1 if score <= -2.60 else 2 if score <= -1.39 else 3

    @property
    def child_pugh_points(self) -> int | None:
        """5 to 15 from the five items; ``None`` unless all are stated (:data:`CHILD_PUGH_SOURCE`)."""
        bilirubin, albumin, inr = self.bilirubin_mg_per_dl, self.albumin_g_per_dl, self.inr
        if bilirubin is None or albumin is None or inr is None or self.ascites is None or self.encephalopathy is None:
            return None
        return (
            _points_rising(bilirubin, _BILIRUBIN)
            + _points_rising(inr, _INR)
            + _points_rising(-albumin, (-_ALBUMIN[0], -_ALBUMIN[1]))
            + 1
            + get_args(Ascites).index(self.ascites)
            + 1
            + get_args(Encephalopathy).index(self.encephalopathy)
        )

    @property
    def child_pugh_class(self) -> str | None:
        """From the items where all are stated, as stated otherwise."""
        points = self.child_pugh_points
        return self.child_pugh if points is None else child_pugh_of(points)

    def facts(self) -> dict[str, Any]:
        """What is stated and what follows from it, as results hold it; empty where nothing is stated."""
        stated = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}
        derived = {
            "albi_score": self.albi_score,
            "albi_grade": self.albi_grade,
            "child_pugh_points": self.child_pugh_points,
            "child_pugh": self.child_pugh_class,
        }
        return stated | {name: value for name, value in derived.items() if value is not None}


def child_pugh_of(points: int) -> str:
    """A with 5 or 6 points, B with 7 to 9, C with 10 and more."""
    return "A" if points <= 6 else "B" if points <= 9 else "C"


def _points_rising(value: float, bounds: tuple[float, float]) -> int:
    return 1 if value < bounds[0] else 2 if value <= bounds[1] else 3
