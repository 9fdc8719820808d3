"""The nuclide that a PET header states, held against its half-life and positron fraction, and undone on request."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from voxeldose.errors import InputError
from voxeldose.io.dicom.header import drug_item, number
from voxeldose.model.radionuclide import Y90_POSITRON_FRACTION, Radionuclide, known_radionuclide, scaling_as_another

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from voxeldose.io.dicom.decay import Frame, Timing

__all__ = ["Isotope", "isotope_of", "nuclide_name", "nuclide_of", "undo_factor", "undoing"]

_ELEMENTS = {
    "yttrium": "Y",
    "technetium": "Tc",
    "fluorine": "F",
    "gallium": "Ga",
    "germanium": "Ge",
    "zirconium": "Zr",
    "lutetium": "Lu",
    "holmium": "Ho",
    "sodium": "Na",
    "indium": "In",
    "iodine": "I",
    "copper": "Cu",
    "carbon": "C",
    "rhenium": "Re",
    "samarium": "Sm",
}

#: Codes of DICOM CID 18 and 4020 (SCT, and SRT as written before 2018), for codes without a meaning beside them.
_CODES = {
    "14691008": "Y-90",
    "C-162A7": "Y-90",
    "10738001": "Y-86",
    "77004003": "F-18",
    "C-111A1": "F-18",
    "35337001": "Ga-68",
    "53315004": "Ge-68",
    "63360001": "Zr-89",
    "71633006": "Na-22",
    "72454006": "Tc-99m",
    "447553000": "Lu-177",
    "C1943": "Ho-166",
}


#: Half-lives that differ by more than this part belong to two nuclides, or to a wrong entry.
HALF_LIFE_PART = 0.01
#: Positron fractions of one nuclide differ by this part between tables (Ga-68: 0.877 to 0.891).
FRACTION_PART = 0.03
#: Y-90 fractions in use: 32e-6 and 34e-6 (Greenberg and Deutsch 1955; Nickles 2004) before Selwyn 2007.
Y90_FRACTIONS = (31e-6, 35e-6)
#: From here on a fraction is that of a positron emitter and cannot be Y-90's.
POSITRON_EMITTER = 0.01
#: A Decay Factor may differ by this part from the one that the times give.
DECAY_FACTOR_PART = 0.01


@dataclass(frozen=True)
class Isotope:
    """What the header names, what the scanner computed with, why its Bq/mL cannot be trusted, and what to say."""

    named: Radionuclide | None
    computed_with: Radionuclide | None
    doubt: str
    remarks: tuple[str, ...]


def isotope_of(header: Dataset) -> Isotope:
    """Nuclide, half-life (0018,1075) and positron fraction (0018,1076) of a PET header, checked against each other."""
    named = nuclide_of(header)
    drug = drug_item(header)
    half_life_s = number(drug, "RadionuclideHalfLife") if drug is not None else None
    fraction = number(drug, "RadionuclidePositronFraction") if drug is not None else None
    if named is None:
        return Isotope(None, None, "", ())
    used = named
    if half_life_s is not None and half_life_s > 0:
        used = replace(used, half_life_h=half_life_s / 3600)
    if fraction is not None and 0 < fraction <= 1:
        used = replace(used, positron_fraction=fraction)
    if named.positron_fraction is None:
        if named.name == "Y-90" or known_radionuclide(named.name) is None:
            return Isotope(named, used, "", ())
        note = f"The PET object shows {named.name}, which emits no positrons: it is taken as a quantitative SPECT."
        return Isotope(named, used, "", (note,))
    doubts, remarks = [], []
    off = used.half_life_h / named.half_life_h - 1
    if abs(off) > HALF_LIFE_PART:
        doubts.append(
            f"Radionuclide Half Life (0018,1075) is {used.half_life_s:.6g} s where {named.name} has {named.half_life_s:.6g} s, "
            "so the scanner corrected for the decay of another nuclide."
        )
    if fraction is not None and named.name == "Y-90":
        low, high = Y90_FRACTIONS
        if fraction >= POSITRON_EMITTER and fraction < 1:
            doubts.append(
                f"Radionuclide Positron Fraction (0018,1076) is {fraction:g} where Y-90 has {Y90_POSITRON_FRACTION:g}: "
                "the scanner computed with another nuclide."
            )
        elif fraction in (0, 1):
            doubts.append(
                f"Radionuclide Positron Fraction (0018,1076) is {fraction:g}: Y-90's branching of "
                f"{Y90_POSITRON_FRACTION:g} was not applied."
            )
        elif not low <= fraction <= high:
            doubts.append(f"Radionuclide Positron Fraction (0018,1076) is {fraction:g}, which nobody gives for Y-90.")
        elif abs(fraction / Y90_POSITRON_FRACTION - 1) > 0.002:
            remarks.append(
                f"The scanner used a Y-90 positron fraction of {fraction:g}; with {Y90_POSITRON_FRACTION:g} its Bq/mL would be "
                f"{fraction / Y90_POSITRON_FRACTION:.4f} times as high. Kept as they are."
            )
    elif fraction is None and named.name == "Y-90":
        remarks.append("The header states no positron fraction (0018,1076); that of Y-90 is taken as applied.")
    doubt = " ".join(doubts)
    if doubt:
        doubt += " Name the nuclide that it computed with by undo_nuclide (--undo-nuclide) to have that undone."
    return Isotope(named, used, doubt, tuple(remarks))


def undoing(isotope: Isotope, wanted: str, true: Radionuclide, header: Dataset, where: str) -> Radionuclide:
    """The nuclide that the scanner computed with, with its half-life and fraction as the header has them.

    Parameters
    ----------
    isotope : Isotope
        Of the header.
    wanted : str
        What the user says the scanner computed with.
    true : Radionuclide
        What was in the patient.
    header : Dataset
        Of one slice.
    where : str
        For the message.

    Raises
    ------
    InputError
        If the header's nuclide, half-life or positron fraction say another one.
    """
    taken = known_radionuclide(wanted)
    if taken is None or taken.positron_fraction is None:
        msg = f"{where}: undo_nuclide = {wanted!r} is no nuclide whose branching voxeldose knows; use F-18, Ga-68, Ge-68, Na-22, Y-86 or Zr-89."
        raise InputError(msg)
    drug = drug_item(header)
    half_life_s = number(drug, "RadionuclideHalfLife") if drug is not None else None
    fraction = number(drug, "RadionuclidePositronFraction") if drug is not None else None
    named = isotope.named.name if isotope.named else None
    if named not in (None, taken.name, true.name, *_same_positrons(taken)):
        msg = f"{where}: undo_nuclide = {taken.name} contradicts the header, which names {named}."
        raise InputError(msg)
    if half_life_s is not None and half_life_s > 0:
        if abs(half_life_s / taken.half_life_s - 1) > HALF_LIFE_PART:
            msg = (
                f"{where}: undo_nuclide = {taken.name} has a half-life of {taken.half_life_s:.6g} s but the header says "
                f"{half_life_s:.6g} s (0018,1075); name the nuclide that the scanner computed with."
            )
            raise InputError(msg)
        taken = replace(taken, half_life_h=half_life_s / 3600)
    if fraction is not None and fraction in (0, 1):
        if taken.name == true.name or fraction == 1:
            taken = replace(taken, positron_fraction=1.0)  # no branching was applied
    elif fraction is not None:
        told = taken.positron_fraction or 1.0
        if taken.name == true.name or abs(fraction / told - 1) > FRACTION_PART:
            msg = (
                f"{where}: undo_nuclide = {taken.name} has a positron fraction of {told:g} but the header says {fraction:g} "
                "(0018,1076); name the nuclide that the scanner computed with."
            )
            raise InputError(msg)
        taken = replace(taken, positron_fraction=fraction)
    elif taken.name == true.name:
        msg = f"{where}: undo_nuclide = {taken.name} is what is in the patient; there is nothing to undo."
        raise InputError(msg)
    return taken


def undo_factor(frame: Frame, n: int, timing: Timing, pair: tuple[Radionuclide, Radionuclide], where: str) -> float:
    """By which one slice is multiplied; ``pair`` is the true nuclide and the one computed with.

    Raises
    ------
    InputError
        If nothing tells how long before the frame the reference lies, or times and Decay Factor disagree.
    """
    true, taken = pair
    if timing.correction == "NONE":
        return scaling_as_another(true, taken, elapsed_s=0, frame_s=0)
    elapsed = None
    if frame.start is not None and timing.slices_at:
        elapsed = (frame.start - timing.slices_at[n]).total_seconds()
    if frame.decay_factor is not None:
        told = taken.half_life_s * math.log2(frame.decay_factor / taken.frame_factor(frame.duration_s))
        if elapsed is None:
            elapsed = told
        elif abs(taken.decay_factor(told - elapsed) - 1) > DECAY_FACTOR_PART:
            msg = (
                f"{where}: the decay of {taken.name} cannot be undone: the times of the header give a Decay Factor of "
                f"{taken.frame_factor(frame.duration_s) / taken.decay_factor(elapsed):.6g}, (0054,1321) says "
                f"{frame.decay_factor:.6g}. Export the series with its original times."
            )
            raise InputError(msg)
    if elapsed is None:
        msg = (
            f"{where}: the decay of {taken.name} cannot be undone without the start of the frames and the instant that the "
            "scanner corrected to (dates that de-identification removed), or the Decay Factor (0054,1321)."
        )
        raise InputError(msg)
    return scaling_as_another(true, taken, elapsed_s=elapsed, frame_s=frame.duration_s)


def _same_positrons(taken: Radionuclide) -> tuple[str, ...]:
    """Names under which scanners mean the same source: the Ge-68 generator shows Ga-68."""
    return ("Ga-68", "Ge-68") if taken.name in ("Ga-68", "Ge-68") else ()


def nuclide_of(header: Dataset) -> Radionuclide | None:
    """What the Radiopharmaceutical Information Sequence says was imaged; ``None`` if it says nothing usable."""
    item = drug_item(header)
    if item is None:
        return None
    half_life = (number(item, "RadionuclideHalfLife") or 0.0) / 3600
    codes = item.get("RadionuclideCodeSequence") or []
    texts = [str(c.get("CodeMeaning", "") or "") for c in codes]
    texts += [_CODES.get(str(c.get("CodeValue", "")), "") for c in codes]
    texts.append(str(item.get("Radiopharmaceutical", "") or ""))
    for text in texts:
        name = nuclide_name(text)
        if name:
            known = known_radionuclide(name)
            if known is not None:
                return known
            if half_life > 0:
                return Radionuclide(name, half_life, None, "DICOM header")
    return None


def nuclide_name(text: str) -> str | None:
    """``Y-90`` from ``^90^Yttrium``, ``Yttrium-90``, ``90Y``, ``Y90 microspheres`` and the like."""
    plain = text.replace("^", "")
    symbols = "|".join(sorted(_ELEMENTS.values(), key=len, reverse=True))
    element = "|".join(_ELEMENTS) + "|" + symbols
    match = re.search(rf"\b(\d{{2,3}}m?)\s*-?\s*({element})\b", plain, re.IGNORECASE) or None
    if match:
        mass, word = match.groups()
    else:
        match = re.search(rf"\b({element})\s*-?\s*(\d{{2,3}}m?)(?!\d)", plain, re.IGNORECASE)
        if not match:
            return None
        word, mass = match.groups()
    symbol = _ELEMENTS.get(word.casefold(), word.capitalize())
    return f"{symbol}-{mass.lower()}"
