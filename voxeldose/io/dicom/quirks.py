"""What sets a DICOM series apart from the plainest of its kind, in a few words each; nothing of the patient."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voxeldose.errors import InputError
from voxeldose.io.dicom.header import PHILIPS, number, private_value, words
from voxeldose.io.dicom.instants import stated_zone
from voxeldose.io.dicom.planes import ENHANCED, planes_of

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from voxeldose.io.dicom.files import Series

__all__ = ["quirks_of"]

_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"

#: Transfer syntaxes whose pixels are stored as they are: implicit and explicit little endian, explicit big endian.
_NATIVE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")


def quirks_of(series: Series) -> list[str]:
    """Encoding, scaling, times and geometry that readers get wrong."""
    header = series.first
    try:
        headers = [plane.header for plane in planes_of(series)]
    except InputError:
        headers = list(series.headers)
    found = [*_of_the_file(header), *_of_scaling(headers), *_of_times(headers)]
    tilt = number(header, "GantryDetectorTilt")
    if tilt:
        found.append(f"gantry tilt {tilt:g} degrees")
    between = number(header, "SpacingBetweenSlices")
    if series.modality == "NM" and between is not None and between < 0:
        found.append("frames run against row x column (negative spacing)")
    windows = int(number(header, "NumberOfEnergyWindows") or 1)
    if series.modality == "NM" and windows > 1:
        found.append(f"{windows} energy windows")
    if "Rows" in header and not header.get("FrameOfReferenceUID"):
        found.append("no frame of reference")
    return found


def _of_the_file(header: Dataset) -> list[str]:
    found = []
    sop = str(header.get("SOPClassUID", ""))
    if sop in ENHANCED:
        found.append(ENHANCED[sop])
    elif sop == _SECONDARY_CAPTURE or sop.startswith(_SECONDARY_CAPTURE + "."):
        found.append("secondary capture")
    if words(header, "ImageType")[:1] == ["DERIVED"]:
        found.append("derived image")
    syntax = getattr(getattr(header, "file_meta", None), "TransferSyntaxUID", None)
    if syntax is not None and str(syntax) not in _NATIVE:
        found.append(f"compressed: {syntax.name}")
    changed = str(header.get("LongitudinalTemporalInformationModified", "") or "")
    if changed in ("MODIFIED", "REMOVED"):
        found.append(f"dates {'shifted' if changed == 'MODIFIED' else 'removed'} by de-identification")
    return found


def _of_scaling(headers: list[Dataset]) -> list[str]:
    found = []
    header = headers[0]
    if len({number(h, "RescaleSlope") for h in headers}) > 1:
        found.append("a slope of its own a slice")
    if header.get("RealWorldValueMappingSequence"):
        found.append("Real World Value Mapping")
    for element, what in ((0x09, "Bq/mL"), (0x00, "SUV")):
        factor = private_value(header, 0x7053, PHILIPS, element)
        if factor:
            found.append(f"Philips factor to {what} {factor}")
    padding = number(header, "PixelPaddingValue")
    if padding is not None:
        found.append(f"padding {padding:g}")
    drug = header.get("RadiopharmaceuticalInformationSequence") or []
    fraction = number(drug[0], "RadionuclidePositronFraction") if drug else None
    if fraction is not None:
        found.append(f"positron fraction {fraction:g}")
    return found


def _of_times(headers: list[Dataset]) -> list[str]:
    header = headers[0]
    if str(header.get("Modality", "")) not in ("PT", "NM", "ST"):
        return []
    found = []
    beds = len({number(h, "FrameReferenceTime") for h in headers} - {None})
    if beds > 1:
        found.append(f"{beds} bed positions or frames")
    if stated_zone(header) is None:
        found.append("no time zone stated")
    if not any(header.get(k) for k in ("AcquisitionDate", "AcquisitionDateTime", "FrameAcquisitionDateTime")):
        found.append("no acquisition date")
    return found
