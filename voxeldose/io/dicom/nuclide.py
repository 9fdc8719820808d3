"""The nuclide that a PET header states, held against its half-life and positron fraction, and undone on request."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from voxeldose.errors import InputError
from voxeldose.io.dicom.header import drug_item, items, number, stated_number, text
from voxeldose.model.radionuclide import Y90_POSITRON_FRACTION, Radionuclide, known_radionuclide, scaling_as_another
from voxeldose.model.remarks import Remark

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from voxeldose.io.dicom.decay import Frame, Timing

__all__ = [
    "NUCLIDE_CODES",
    "Isotope",
    "Undoing",
    "code_of",
    "isotope_of",
    "nuclide_name",
    "nuclide_of",
    "undo_factor",
    "undoing_of",
]

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

#: Codes of DICOM CID 18 and 4020 (SCT, and SRT as written before 2018); the first of a nuclide is the one to write.
NUCLIDE_CODES = {
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
#: Code of a refusal where the user's nuclide and the header's nuclide, half-life or positron fraction differ.
_CONTRADICTED = "nuclide-contradicts"


@dataclass(frozen=True)
class Isotope:
    """What the header names, what the scanner computed with, why its Bq/mL cannot be trusted, and remarks."""

    named: Radionuclide | None
    computed_with: Radionuclide | None
    doubt: str
    remarks: tuple[Remark, ...]


@dataclass(frozen=True)
class Undoing:
    """A nuclide under which the scanner computed (``taken``), to be replaced by the one in the patient (``true``)."""

    true: Radionuclide
    taken: Radionuclide


def code_of(name: str) -> str:
    """The SNOMED code of a nuclide, such as ``Y-90``, that DICOM objects carry."""
    return next(code for code, nuclide in NUCLIDE_CODES.items() if nuclide == name)


def isotope_of(header: Dataset) -> Isotope:
    """Nuclide, half-life (0018,1075) and positron fraction (0018,1076) of a PET header, checked against each other."""
    named = nuclide_of(header)
    half_life_s, fraction = _stated_constants(header)
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
        sentence = f"The PET object shows {named.name}, which emits no positrons: it is taken as a quantitative SPECT."
        return Isotope(named, used, "", (Remark("pet-object-holds-spect", {"nuclide": named.name}, sentence),))
    doubts = []
    off = used.half_life_h / named.half_life_h - 1
    if abs(off) > HALF_LIFE_PART:
        doubts.append(
            f"Radionuclide Half Life (0018,1075) is {used.half_life_s:.6g} s where {named.name} has {named.half_life_s:.6g} s, "
            "so the scanner corrected for the decay of another nuclide."
        )
    remarks: tuple[Remark, ...] = ()
    if named.name == "Y-90":
        more, remarks = _y90_fraction(fraction)
        doubts += more
    doubt = " ".join(doubts)
    if doubt:
        doubt += " Name the nuclide that it computed with by undo_nuclide (--undo-nuclide) to have that undone."
    return Isotope(named, used, doubt, remarks)


def _stated_constants(header: Dataset) -> tuple[float | None, float | None]:
    """Half-life in seconds and positron fraction as the header has them."""
    drug = drug_item(header)
    if drug is None:
        return None, None
    return stated_number(drug, "RadionuclideHalfLife"), stated_number(drug, "RadionuclidePositronFraction")


def _y90_fraction(fraction: float | None) -> tuple[list[str], tuple[Remark, ...]]:
    """What a header's positron fraction of Y-90 leaves in doubt, and remarks on it."""
    if fraction is None:
        sentence = "The header states no positron fraction (0018,1076); that of Y-90 is taken as applied."
        return [], (Remark("positron-fraction-assumed", {"positron_fraction": Y90_POSITRON_FRACTION}, sentence),)
    low, high = Y90_FRACTIONS
    stated = f"Radionuclide Positron Fraction (0018,1076) is {fraction:g}"
    if POSITRON_EMITTER <= fraction < 1:
        doubt = f"{stated} where Y-90 has {Y90_POSITRON_FRACTION:g}: the scanner computed with another nuclide."
        return [doubt], ()
    if fraction in (0, 1):
        return [f"{stated}: Y-90's branching of {Y90_POSITRON_FRACTION:g} was not applied."], ()
    if not low <= fraction <= high:
        return [f"{stated}, which nobody gives for Y-90."], ()
    ratio = fraction / Y90_POSITRON_FRACTION
    if abs(ratio - 1) <= 0.002:
        return [], ()
    sentence = (
        f"The scanner used a Y-90 positron fraction of {fraction:g}; with {Y90_POSITRON_FRACTION:g} its Bq/mL would be "
        f"{ratio:.4f} times as high. Kept as they are."
    )
    numbers = {
        "positron_fraction": fraction,
        "expected_positron_fraction": Y90_POSITRON_FRACTION,
        "bq_per_ml_factor": ratio,
    }
    return [], (Remark("positron-fraction-differs", numbers, sentence),)


def undoing_of(isotope: Isotope, wanted: str, true: Radionuclide, header: Dataset, where: str) -> Undoing:
    """What is to be undone: the nuclide that the scanner computed with, with the header's half-life and fraction.

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
        msg = (
            f"{where}: undo_nuclide = {wanted!r} is no nuclide whose branching voxeldose knows; use F-18, Ga-68, Ge-68, "
            "Na-22, Y-86 or Zr-89."
        )
        raise InputError(msg, code="nuclide-unknown", nuclide=wanted)
    half_life_s, fraction = _stated_constants(header)
    named = isotope.named.name if isotope.named else None
    if named not in (None, taken.name, true.name, *_same_positrons(taken)):
        msg = f"{where}: undo_nuclide = {taken.name} contradicts the header, which names {named}."
        raise InputError(msg, code=_CONTRADICTED, undo_nuclide=taken.name, nuclide=named)
    if half_life_s is not None and half_life_s > 0:
        if abs(half_life_s / taken.half_life_s - 1) > HALF_LIFE_PART:
            msg = (
                f"{where}: undo_nuclide = {taken.name} has a half-life of {taken.half_life_s:.6g} s but the header says "
                f"{half_life_s:.6g} s (0018,1075); name the nuclide that the scanner computed with."
            )
            raise InputError(msg, code=_CONTRADICTED, undo_nuclide=taken.name, half_life_s=half_life_s)
        taken = replace(taken, half_life_h=half_life_s / 3600)
    return Undoing(true, _with_fraction(taken, fraction, true, where))


def _with_fraction(taken: Radionuclide, fraction: float | None, true: Radionuclide, where: str) -> Radionuclide:
    """The nuclide computed with, with the positron fraction that the header says was applied."""
    is_same = taken.name == true.name
    if fraction is None:
        if is_same:
            msg = f"{where}: undo_nuclide = {taken.name} is what is in the patient; there is nothing to undo."
            raise InputError(msg, code="nothing-to-undo", undo_nuclide=taken.name)
        return taken
    if fraction in (0, 1):
        # no branching was applied
        return replace(taken, positron_fraction=1.0) if is_same or fraction == 1 else taken
    expected = taken.positron_fraction or 1.0
    if is_same or abs(fraction / expected - 1) > FRACTION_PART:
        msg = (
            f"{where}: undo_nuclide = {taken.name} has a positron fraction of {expected:g} but the header says {fraction:g} "
            "(0018,1076); name the nuclide that the scanner computed with."
        )
        raise InputError(msg, code=_CONTRADICTED, undo_nuclide=taken.name, positron_fraction=fraction)
    return replace(taken, positron_fraction=fraction)


def undo_factor(frame: Frame, n: int, timing: Timing, undoing: Undoing, where: str) -> float:
    """By which slice ``n`` is multiplied to hold the true nuclide.

    Raises
    ------
    InputError
        If nothing says how long before the frame the reference lies, or times and Decay Factor disagree.
    """
    true, taken = undoing.true, undoing.taken
    if timing.correction == "NONE":
        return scaling_as_another(true, taken, elapsed_s=0, frame_s=0)
    elapsed = None
    if frame.start is not None and timing.slices_at:
        elapsed = (frame.start - timing.slices_at[n]).total_seconds()
    if frame.decay_factor is not None:
        implied = taken.half_life_s * math.log2(frame.decay_factor / taken.frame_factor(frame.duration_s))
        if elapsed is None:
            elapsed = implied
        elif abs(taken.decay_factor(implied - elapsed) - 1) > DECAY_FACTOR_PART:
            msg = (
                f"{where}: the decay of {taken.name} cannot be undone: the times of the header give a Decay Factor of "
                f"{taken.frame_factor(frame.duration_s) / taken.decay_factor(elapsed):.6g}, (0054,1321) says "
                f"{frame.decay_factor:.6g}. Export the series with its original times."
            )
            raise InputError(msg, code="decay-factor-contradicts", decay_factor=frame.decay_factor)
    if elapsed is None:
        msg = (
            f"{where}: the decay of {taken.name} cannot be undone without the start of the frames and the instant that the "
            "scanner corrected to (dates that de-identification removed), or the Decay Factor (0054,1321)."
        )
        raise InputError(msg, code="instant-missing")
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
    codes = items(item, "RadionuclideCodeSequence")
    texts = [text(c, "CodeMeaning") for c in codes]
    texts += [NUCLIDE_CODES.get(text(c, "CodeValue"), "") for c in codes]
    texts.append(text(item, "Radiopharmaceutical"))
    for described in texts:
        name = nuclide_name(described)
        if name:
            known = known_radionuclide(name)
            if known is not None:
                return known
            if half_life > 0:
                return Radionuclide(name, half_life, None, "DICOM header")
    return None


def nuclide_name(described: str) -> str | None:
    """``Y-90`` from ``^90^Yttrium``, ``Yttrium-90``, ``90Y``, ``Y90 microspheres`` and the like."""
    plain = described.replace("^", "")
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
