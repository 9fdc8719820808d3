"""What all slices of a series must agree on, asked of every slice: patient, study, units, decay, nuclide, reconstruction.

Readers take what all slices share from one header. That is only right if all say the same; a series in which they do not holds
two images, or a slice of somebody else, and would give numbers that depend on which file comes first.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.errors import InputError
from voxeldose.io.dicom.header import drug_item, is_missing, items, number, private_value, tag_of, tag_text, text
from voxeldose.io.dicom.instants import instant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydicom.dataset import Dataset

    from voxeldose.io.dicom.planes import Plane

__all__ = ["require_agreement"]

_PATIENT = ("PatientID", "PatientName", "PatientBirthDate")
#: Asked of every modality; what the files of one series share by definition (PS3.3 C.7.2 and C.7.3).
_EVERY = ("Modality", "SOPClassUID", "StudyInstanceUID", *_PATIENT)
_EMISSION = (
    "Units",
    "DecayCorrection",
    "DecayCorrected",
    "DecayCorrectionDateTime",
    "CorrectedImage",
    "AttenuationCorrected",
    "ScatterCorrected",
    "AttenuationCorrectionMethod",
    "ScatterCorrectionMethod",
    "CountsSource",
    "SeriesType",
    "SUVType",
    "RescaleType",
    "TimezoneOffsetFromUTC",
    "Manufacturer",
    "SeriesDate",
    "SeriesTime",
    "PatientWeight",
    "NumberOfSlices",
    "ConvolutionKernel",
    "ReconstructionMethod",
)
_DRUG = (
    "RadionuclideHalfLife",
    "RadionuclidePositronFraction",
    "RadionuclideTotalDose",
    "RadiopharmaceuticalStartDateTime",
    "RadiopharmaceuticalStartTime",
    "Radiopharmaceutical",
)
_CT = ("ConvolutionKernel", "KVP", "RescaleType", "PixelPaddingValue")
#: May change once or twice along a series, but a value that comes back belongs to another series between its slices.
_IN_BLOCKS = (
    "ImageType",
    "SeriesNumber",
    "SeriesDescription",
    "ProtocolName",
    "SliceThickness",
    "ReconstructionDiameter",
)
_CT_IN_BLOCKS = (
    *_IN_BLOCKS,
    "AcquisitionNumber",
    "FrameAcquisitionNumber",
    "FilterType",
    "ContrastBolusAgent",
    "ScanOptions",
    "ExposureTime",
)
#: Change smoothly along a CT with a modulated tube current; two series in one alternate.
_SMOOTH = (
    "Exposure",
    "XRayTubeCurrent",
    "ExposureInuAs",
    "XRayTubeCurrentInuA",
    "ExposureInmAs",
    "XRayTubeCurrentInmA",
    "CTDIvol",
)
#: No slope of a PET or SPECT slice is so many times the usual one of its series.
_HIGHEST_SLOPE = 1e4
#: Slices of one scan, all beds included, were measured within this.
_ONE_SCAN_S = 12 * 3600.0
#: By how much of its neighbours' mean a slice must lie beyond them, to one side and the other in turn, to alternate.
_ALTERNATES = 0.05
#: Shown in a refusal; other values are free text, or the patient's.
_SHOWN = {
    "AcquisitionNumber",
    "AttenuationCorrected",
    "ConvolutionKernel",
    "CorrectedImage",
    "CountsSource",
    "DecayCorrected",
    "DecayCorrection",
    "ExposureTime",
    "FrameAcquisitionNumber",
    "ImageType",
    "KVP",
    "Modality",
    "NumberOfSlices",
    "PixelPaddingValue",
    "RadionuclideCodeSequence",
    "RadionuclideHalfLife",
    "RadionuclidePositronFraction",
    "ReconstructionDiameter",
    "RescaleIntercept",
    "RescaleSlope",
    "RescaleType",
    "ScatterCorrected",
    "SeriesNumber",
    "SeriesType",
    "SliceThickness",
    "SUVType",
    "TimezoneOffsetFromUTC",
    "Units",
}
#: Part of the slices that must do so, of at least so many.
_MOST, _ENOUGH = 0.9, 6
#: Private attributes from which the start of a PET is taken: group, creator, element.
_VENDOR_STARTS = ((0x0071, "SIEMENS MED PT", 0x22), (0x0009, "GEMS_PETD_01", 0x0D))


def require_agreement(planes: Sequence[Plane], modality: str) -> None:
    """Refuse a series whose slices contradict each other in what they must share.

    Parameters
    ----------
    planes : sequence of Plane
        In the order of their places.
    modality : str
        Of the series.

    Raises
    ------
    InputError
        That names the attribute and a file of the minority. What identifies a patient is never shown.
    """
    is_emission = modality in ("PT", "NM")
    shared = (*_EVERY, *(_EMISSION if is_emission else _CT if modality == "CT" else ()))
    for keyword in shared:
        found = _values_of(planes, keyword)
        if found is None or (keyword == "StudyInstanceUID" and len(set(found)) == len(found)):
            continue  # the same, or written anew for every file, which names no other study
        raise _contradiction(planes, found, keyword)
    if is_emission:
        _require_one_drug(planes)
        _require_one_scan(planes)
        _require_slopes_alike(planes)
    _require_scale_in_all_or_none(planes)
    _require_usual(planes, "RescaleIntercept")
    for keyword in _CT_IN_BLOCKS if modality == "CT" else _IN_BLOCKS:
        found = _values_of(planes, keyword)
        if found is not None and sum(a != b for a, b in pairwise(found)) >= len(set(found)):
            raise _contradiction(planes, found, keyword)
    if modality == "CT":
        _require_usual(planes, "RescaleSlope")
        for keyword in _SMOOTH:
            _require_no_alternation(planes, keyword)


def _values_of(planes: Sequence[Plane], keyword: str) -> list[str] | None:
    """An attribute of every slice as plain text; ``None`` if all say the same."""
    tag = tag_of(keyword)
    stored = [p.header.get_item(tag) for p in planes]
    first = stored[0]
    if all(one is first or (one is not None and first is not None and one.value == first.value) for one in stored):
        return None  # as stored or as converted, without converting any
    return _unlike([_plain(p.header, keyword) for p in planes])


def _unlike(found: list[str]) -> list[str] | None:
    return found if len(set(found)) > 1 else None


def _plain(header: Dataset, keyword: str) -> str:
    """A value to compare: numbers to nine digits, text without blanks and carets at its end."""
    as_number = number(header, keyword) if keyword not in _EVERY and "Date" not in keyword else None
    return text(header, keyword).strip().rstrip("^ ") if as_number is None else f"{as_number:.9g}"


def _require_one_drug(planes: Sequence[Plane]) -> None:
    """Refuse slices that name other nuclides, half-lives, doses, or starts of the scan."""
    drugs = [drug_item(p.header) for p in planes]
    for keyword in ("RadionuclideCodeSequence", *_DRUG):
        found = _unlike(["" if drug is None else _of_drug(drug, keyword) for drug in drugs])
        if found is not None:
            raise _contradiction(planes, found, keyword)
    for group, creator, element in _VENDOR_STARTS:
        found = _unlike([private_value(p.header, group, creator, element) or "" for p in planes])
        if found is not None:
            raise _contradiction(planes, found, f"the start of the scan of {creator}", f"({group:04X},xx{element:02X})")


def _of_drug(drug: Dataset, keyword: str) -> str:
    if keyword != "RadionuclideCodeSequence":
        return _plain(drug, keyword)
    return ",".join(text(code, "CodeValue") or text(code, "CodeMeaning") for code in items(drug, keyword))


def _require_scale_in_all_or_none(planes: Sequence[Plane]) -> None:
    for keyword in ("RescaleSlope", "RescaleIntercept"):
        missing = [p for p in planes if is_missing(p.header, keyword)]
        if missing and len(missing) < len(planes):
            msg = (
                f"{missing[0]}: {keyword} {tag_text(keyword)} is missing, and there in {len(planes) - len(missing)} other slices of "
                "the series, so this slice has another unit. Export the series again."
            )
            raise InputError(msg, code="rescale-missing", keyword=keyword, slices=len(missing))


def _require_usual(planes: Sequence[Plane], keyword: str) -> None:
    """Refuse a series in which most slices share a value and the others do not.

    Scanners write one intercept for all slices, in CT also one slope; PET and SPECT may have a slope of its own in every slice.
    """
    found = _values_of(planes, keyword)
    if found is not None and 2 * Counter(found).most_common(1)[0][1] > len(found):
        raise _contradiction(planes, found, keyword)


def _require_slopes_alike(planes: Sequence[Plane]) -> None:
    """Refuse a slice whose slope is beyond all others: those of one scan follow its slices' highest values."""
    slopes = [number(p.header, "RescaleSlope") or 0.0 for p in planes]
    usual = float(np.median(slopes))
    at = int(np.argmax(slopes))
    if 0 < usual * _HIGHEST_SLOPE < slopes[at]:
        msg = (
            f"{planes[at]}: RescaleSlope {tag_text('RescaleSlope')} is {slopes[at]:g} where most slices have about {usual:g}: one of "
            "them is damaged. Export the series again."
        )
        raise InputError(msg, code="slices-contradict", keyword="RescaleSlope", tag=tag_text("RescaleSlope"))


def _require_one_scan(planes: Sequence[Plane]) -> None:
    """Refuse slices that were measured on other days than the rest."""
    starts = [instant(p.header, "AcquisitionDate", "AcquisitionTime", UTC) for p in planes]
    known = sorted(at for at in starts if at is not None)
    if not known or (known[-1] - known[0]).total_seconds() <= _ONE_SCAN_S:
        return
    usual = known[len(known) // 2]
    far = [at is not None and abs((at - usual).total_seconds()) > _ONE_SCAN_S for at in starts]
    days = [
        "" if at is None else at.date().isoformat() if is_far else usual.date().isoformat()
        for at, is_far in zip(starts, far, strict=True)
    ]
    raise _contradiction(planes, days, "AcquisitionDate")


def _require_no_alternation(planes: Sequence[Plane], keyword: str) -> None:
    """Refuse slices whose exposure jumps up and down in turn: two series put into one another."""
    stated = [number(p.header, keyword) for p in planes]
    if len(planes) < _ENOUGH or None in stated:
        return
    values = np.array(stated, np.float64)
    around = (values[:-2] + values[2:]) / 2
    beyond = (values[1:-1] - around) / np.maximum(np.abs(around), 1e-9)
    turns = beyond * (-1.0) ** np.arange(len(beyond))
    if max((turns > _ALTERNATES).mean(), (turns < -_ALTERNATES).mean()) < _MOST:
        return
    msg = (
        f"{planes[1]}: {keyword} {tag_text(keyword)} jumps up and down from slice to slice (…, {', '.join(f'{v:g}' for v in values[:4])}, …): "
        "two series lie in one. Export them apart."
    )
    raise InputError(msg, code="slices-contradict", keyword=keyword, tag=tag_text(keyword))


def _contradiction(planes: Sequence[Plane], found: list[str], keyword: str, tag: str = "") -> InputError:
    """The refusal, which names a slice of the minority; ties are decided by place, never by file name."""
    tag = tag or tag_text(keyword)
    usual, often = Counter(found).most_common(1)[0]
    at = next(n for n, value in enumerate(found) if value != usual)
    values = f"is {found[at][:64] or 'missing'} and {usual[:64] or 'missing'} in"
    say = values if keyword in _SHOWN else "differs from"
    msg = (
        f"{planes[at]}: {keyword} {tag} {say} {often} other slice{'s' * (often != 1)} of the series. Two images, or a slice of another, "
        "lie in one series; export one image."
    )
    return InputError(msg, code="slices-contradict", keyword=keyword, tag=tag)
