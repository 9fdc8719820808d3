"""What sets a DICOM series apart from the plainest of its kind, in a few words each; nothing of the patient."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voxeldose.errors import InputError
from voxeldose.io.dicom.header import PHILIPS, count, drug_item, items, number, private_value, text, words
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
    quirks = [*_of_the_file(header), *_of_scaling(headers), *_of_times(headers)]
    tilt = number(header, "GantryDetectorTilt")
    if tilt:
        quirks.append(f"gantry tilt {tilt:g} degrees")
    between = number(header, "SpacingBetweenSlices")
    if series.modality == "NM" and between is not None and between < 0:
        quirks.append("frames run against row x column (negative spacing)")
    windows = count(header, "NumberOfEnergyWindows", 1)
    if series.modality == "NM" and windows > 1:
        quirks.append(f"{windows} energy windows")
    if "Rows" in header and not text(header, "FrameOfReferenceUID"):
        quirks.append("no frame of reference")
    return quirks


def _of_the_file(header: Dataset) -> list[str]:
    quirks: list[str] = []
    sop = text(header, "SOPClassUID")
    if sop in ENHANCED:
        quirks.append(ENHANCED[sop])
    elif sop == _SECONDARY_CAPTURE or sop.startswith(_SECONDARY_CAPTURE + "."):
        quirks.append("secondary capture")
    if words(header, "ImageType")[:1] == ["DERIVED"]:
        quirks.append("derived image")
    syntax = getattr(getattr(header, "file_meta", None), "TransferSyntaxUID", None)
    if syntax is not None and str(syntax) not in _NATIVE:
        quirks.append(f"compressed: {getattr(syntax, 'name', syntax)}")
    changed = text(header, "LongitudinalTemporalInformationModified")
    if changed in ("MODIFIED", "REMOVED"):
        quirks.append(f"dates {'shifted' if changed == 'MODIFIED' else 'removed'} by de-identification")
    return quirks


def _of_scaling(headers: list[Dataset]) -> list[str]:
    quirks: list[str] = []
    header = headers[0]
    if len({number(h, "RescaleSlope") for h in headers}) > 1:
        quirks.append("slope differs between slices")
    if items(header, "RealWorldValueMappingSequence"):
        quirks.append("Real World Value Mapping")
    for element, what in ((0x09, "Bq/mL"), (0x00, "SUV")):
        factor = private_value(header, 0x7053, PHILIPS, element)
        if factor:
            quirks.append(f"Philips factor to {what} {factor}")
    padding = number(header, "PixelPaddingValue")
    if padding is not None:
        quirks.append(f"padding {padding:g}")
    drug = drug_item(header)
    fraction = number(drug, "RadionuclidePositronFraction") if drug is not None else None
    if fraction is not None:
        quirks.append(f"positron fraction {fraction:g}")
    return quirks


def _of_times(headers: list[Dataset]) -> list[str]:
    header = headers[0]
    if text(header, "Modality") not in ("PT", "NM", "ST"):
        return []
    quirks: list[str] = []
    beds = len({number(h, "FrameReferenceTime") for h in headers} - {None})
    if beds > 1:
        quirks.append(f"{beds} bed positions or frames")
    if stated_zone(header) is None:
        quirks.append("no time zone stated")
    if not any(text(header, k) for k in ("AcquisitionDate", "AcquisitionDateTime", "FrameAcquisitionDateTime")):
        quirks.append("no acquisition date")
    return quirks
