"""What an emission image is: maps of attenuation, other quantities and projections are refused, missing corrections are remarked.

Image Type (0008,0008) and Frame Type (0008,9007) say what an image is (PS3.3 C.7.6.1.1.2, C.8.4.9.1.1, C.8.16.1), Counts Source
(0054,1002) where its counts come from, Corrected Image (0028,0051) and Attenuation Corrected (0018,9759) what was done to it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from voxeldose.errors import InputError
from voxeldose.io.dicom.header import text, words
from voxeldose.model.remarks import Remark

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = [
    "emission_remarks",
    "is_attenuation_corrected",
    "is_derived",
    "require_emission",
    "require_no_projection",
]

_TRANSMISSION = {
    "TRANSMISSION",
    "ATTENUATION",
    "ATTENUATION MAP",
    "ATTENUATIONMAP",
    "AC MAP",
    "ACMAP",
    "MU MAP",
    "MUMAP",
    "UMAP",
    "BLANK",
}
_PROJECTIONS = {
    "MIP",
    "MAX IP",
    "MAXIMUM IP",
    "MINIP",
    "MIN IP",
    "PROJECTION",
    "PROJECTION IMAGE",
    "VOLUME RENDER",
    "VOLUME RENDERING",
    "SURFACE RENDER",
    "LOCALIZER",
    "SCOUT",
    "SCREEN SAVE",
    "SCREENSAVE",
}
_NO_ACTIVITY = {
    "STD DEVIATION",
    "T TEST",
    "Z SCORE",
    "SUBTRACTION",
    "DIVISION",
    "MASKED",
    "MASK",
    "SUBTRACT",
    "PARAMETRIC",
}
#: Units (0054,1001) of PET objects that are no activity, and nothing proportional to one (PS3.3 C.8.9.1.1.3).
_OTHER_UNITS = {
    "1CM": "attenuation",
    "STDDEV": "standard deviations",
    "MGMINML": "metabolic rates",
    "UMOLMINML": "metabolic rates",
    "MLMING": "flow or uptake rates",
    "MLMINML": "flow or uptake rates",
    "MLG": "volumes of distribution",
    "MLML": "volumes of distribution",
    "UMOLML": "concentrations of a substance",
}
#: Words of a Series Description with which people mark images without attenuation correction, and attenuation maps.
_UNCORRECTED_WORDS = re.compile(
    r"\b(nac|noac|no[ _-]?ac|non[ _-]?ac|uncorrected|non[ _-]?attenuation[ _-]?corrected|no[ _-]?atten\w*)\b",
    re.IGNORECASE,
)
_MAP_WORDS = re.compile(r"\b(mu[ _-]?map|umap|ac[ _-]?map|atten\w*[ _-]?map|transmission)\b", re.IGNORECASE)
_WAY_OUT = "Give the emission image that was corrected with it."


def require_emission(header: Dataset, where: str) -> None:
    """Refuse what shows no emitted activity: attenuation maps, other quantities, projections of a volume.

    Raises
    ------
    InputError
        With the attribute that says so.
    """
    require_no_projection(header, where)
    for keyword, tag, kinds in _kinds(header):
        found = sorted(kinds & _TRANSMISSION)
        if found:
            msg = f"{where}: {keyword} {tag} says {found[0]}: this is a map of attenuation, no image of activity. {_WAY_OUT}"
            raise InputError(msg, code="image-not-emission", keyword=keyword, found=found[0])
        found = sorted(kinds & _NO_ACTIVITY)
        if found:
            msg = f"{where}: {keyword} {tag} says {found[0]}: these values are no activity. Give the image that it was made from."
            raise InputError(msg, code="image-not-emission", keyword=keyword, found=found[0])
    if text(header, "CountsSource").strip().upper() == "TRANSMISSION":
        msg = f"{where}: Counts Source (0054,1002) says TRANSMISSION: this is a map of attenuation. {_WAY_OUT}"
        raise InputError(msg, code="image-not-emission", keyword="CountsSource", found="TRANSMISSION")
    units = text(header, "Units").strip().upper()
    if units in _OTHER_UNITS:
        msg = f"{where}: Units (0054,1001) is {units}: these values are {_OTHER_UNITS[units]}, no activity. Give the emission image."
        raise InputError(msg, code="image-not-emission", keyword="Units", found=units)


def require_no_projection(header: Dataset, where: str) -> None:
    """Refuse projections and pictures of a volume, whose values are not those of their place.

    Raises
    ------
    InputError
        With the value of Image Type or Frame Type that says so.
    """
    for keyword, tag, kinds in _kinds(header):
        found = sorted(kinds & _PROJECTIONS)
        if found:
            msg = (
                f"{where}: {keyword} {tag} says {found[0]}: a projection or picture of a volume, whose values do not belong to one "
                "place. Give the slices that it was made from."
            )
            raise InputError(msg, code="image-is-projection", keyword=keyword, found=found[0])


def is_derived(header: Dataset) -> bool:
    """Whether Image Type says DERIVED: made from another image, not from what the scanner measured."""
    return words(header, "ImageType")[:1] == ["DERIVED"]


def is_attenuation_corrected(header: Dataset) -> bool | None:
    """Whether the header says that attenuation was corrected for; ``None`` if it does not say."""
    stated = text(header, "AttenuationCorrected").strip().upper()
    if stated in ("YES", "NO"):
        return stated == "YES"
    done = words(header, "CorrectedImage")
    if done:
        return "ATTN" in done
    method = text(header, "AttenuationCorrectionMethod").strip().upper()
    return False if method in ("NONE", "NO", "OFF") else None


def emission_remarks(header: Dataset) -> tuple[Remark, ...]:
    """What is to be known of an emission image: corrections that were not made, whether it was computed from others."""
    remarks: list[Remark] = []
    corrected = is_attenuation_corrected(header)
    described = text(header, "SeriesDescription").replace("_", " ")
    if corrected is False:
        sentence = (
            "The image was not corrected for attenuation (Corrected Image (0028,0051), Attenuation Corrected (0018,9759)): deep "
            "activity appears too low, and scaling to the administered activity does not undo that. Use the corrected series."
        )
        remarks.append(Remark("attenuation-uncorrected", {}, sentence))
    elif corrected is None and _UNCORRECTED_WORDS.search(described):
        sentence = (
            "The Series Description reads like an image without attenuation correction, and no other attribute says that it "
            "was corrected. Check, and use the corrected series."
        )
        remarks.append(Remark("attenuation-uncorrected", {"by_description": True}, sentence))
    if _MAP_WORDS.search(described):
        sentence = "The Series Description reads like a map of attenuation. Check that this is the emission image."
        remarks.append(Remark("image-described-as-map", {}, sentence))
    if _is_scatter_uncorrected(header):
        remarks.append(Remark("scatter-uncorrected", {}, "Corrected Image (0028,0051) names no scatter correction."))
    if is_derived(header):
        sentence = (
            "Image Type (0008,0008) says DERIVED: the emission image was computed from other images (filtered, summed, resampled), "
            "or reconstructed by software that says so. Its values are used as they are; use the original if there is one."
        )
        remarks.append(Remark("image-derived", {}, sentence))
    return tuple(remarks)


def _is_scatter_uncorrected(header: Dataset) -> bool:
    stated = text(header, "ScatterCorrected").strip().upper()
    if stated in ("YES", "NO"):
        return stated == "NO"
    done = words(header, "CorrectedImage")
    return bool(done) and "SCAT" not in done


def _kinds(header: Dataset) -> list[tuple[str, str, set[str]]]:
    """Keyword, tag and values, in capitals with blanks, of the attributes that say what an image is."""
    found = []
    for keyword, tag in (("ImageType", "(0008,0008)"), ("FrameType", "(0008,9007)")):
        kinds = {re.sub(r"[_-]+", " ", v).strip().upper() for v in words(header, keyword)}
        found.append((keyword, tag, kinds))
    return found
