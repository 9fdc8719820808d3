"""How a series was acquired and reconstructed, from a short list of attributes of its header that identify nobody.

Only what stands in ``ATTRIBUTES`` is read. Serial numbers, station and institution names, operators, dates and free
descriptions are left alone: they point at a patient, a person or a place.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from voxeldose.errors import InputError
from voxeldose.io.damage import is_damage
from voxeldose.io.dicom.header import items, number, text, words
from voxeldose.io.dicom.planes import whole_header
from voxeldose.model.reported import Acquisition

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from voxeldose.io.dicom.files import Series

__all__ = ["ATTRIBUTES", "acquisition_of"]

#: Every attribute that is read, of PET (PS3.3 C.8.9.1, C.8.22), NM (C.8.4) and CT (C.8.2.1).
ATTRIBUTES = (
    *("Manufacturer", "ManufacturerModelName", "ActualFrameDuration", "FrameAcquisitionDuration"),
    *("RotationInformationSequence", "NumberOfFramesInRotation", "NumberOfDetectors"),
    *(
        "EnergyWindowInformationSequence",
        "EnergyWindowRangeSequence",
        "EnergyWindowLowerLimit",
        "EnergyWindowUpperLimit",
    ),
    *("DetectorInformationSequence", "CollimatorGridName", "CollimatorType", "KVP"),
    *("ReconstructionMethod", "ReconstructionAlgorithm", "IterativeReconstructionMethod", "ConvolutionKernel"),
    *("NumberOfIterations", "NumberOfSubsets", "TimeOfFlightInformationUsed"),
    *("CorrectedImage", "AttenuationCorrectionMethod", "ScatterCorrectionMethod", "RandomsCorrectionMethod"),
    "DecayCorrection",
)

#: Longest text that is taken from a header, in characters.
_LONGEST = 64


def acquisition_of(series: Series) -> Acquisition:
    """Scanner, frame duration, reconstruction and corrections of a series; nothing where its header cannot be read.

    Nothing is computed from these, so damage in them refuses no case.

    Parameters
    ----------
    series : Series
        PET, SPECT or CT, single-frame or enhanced.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a text that is too long is cut, whatever the standard says of it
            return _read(whole_header(series))
    except Exception as error:
        if isinstance(error, InputError) or is_damage(error):
            return Acquisition()
        raise


def _read(header: Dataset) -> Acquisition:
    rotation = next(iter(items(header, "RotationInformationSequence")), header)
    milliseconds = number(rotation, "ActualFrameDuration") or number(header, "ActualFrameDuration")
    milliseconds = milliseconds or number(header, "FrameAcquisitionDuration")
    frames, detectors = number(rotation, "NumberOfFramesInRotation"), number(header, "NumberOfDetectors")
    return Acquisition(
        scanner=" ".join(filter(None, (_short(header, k) for k in ("Manufacturer", "ManufacturerModelName")))),
        frame_duration_s=milliseconds / 1000 if milliseconds else None,
        frames=int(frames) if frames else None,
        detectors=int(detectors) if detectors else None,
        energy_windows_kev=tuple(_windows(header)),
        collimator=_collimator(header),
        tube_kv=number(header, "KVP"),
        reconstruction=tuple(_reconstruction(header)),
        corrections=tuple(_corrections(header)),
    )


def _short(header: Dataset, key: str) -> str:
    """A text of the header on one line, without what cannot be printed."""
    line = " ".join(text(header, key).split())
    return "".join(c for c in line if c.isprintable())[:_LONGEST]


def _windows(header: Dataset) -> list[tuple[float, float]]:
    found = []
    for window in items(header, "EnergyWindowInformationSequence"):
        for part in items(window, "EnergyWindowRangeSequence"):
            low, high = number(part, "EnergyWindowLowerLimit"), number(part, "EnergyWindowUpperLimit")
            if low is not None and high is not None:
                found.append((low, high))
    return list(dict.fromkeys(found))


def _collimator(header: Dataset) -> str:
    heads = items(header, "DetectorInformationSequence")
    named = [_short(head, "CollimatorGridName") or _short(head, "CollimatorType") for head in heads]
    return ", ".join(dict.fromkeys(filter(None, named)))


def _reconstruction(header: Dataset) -> list[str]:
    methods = (
        _short(header, k) for k in ("ReconstructionMethod", "ReconstructionAlgorithm", "IterativeReconstructionMethod")
    )
    counts = (
        (number(header, k), what) for k, what in (("NumberOfIterations", "iterations"), ("NumberOfSubsets", "subsets"))
    )
    parts = [*dict.fromkeys(filter(None, methods)), *(f"{n:.0f} {what}" for n, what in counts if n)]
    if "TRUE" in words(header, "TimeOfFlightInformationUsed"):
        parts.append("time of flight")
    kernel = _short(header, "ConvolutionKernel")
    return [*parts, *([f"filter {kernel}"] if kernel else [])]


def _corrections(header: Dataset) -> list[str]:
    done = [one[:16] for one in words(header, "CorrectedImage") if one.isprintable()]
    methods = (
        (what, _short(header, key))
        for what, key in (
            ("attenuation", "AttenuationCorrectionMethod"),
            ("scatter", "ScatterCorrectionMethod"),
            ("randoms", "RandomsCorrectionMethod"),
            ("decay", "DecayCorrection"),
        )
    )
    return [*done, *(f"{what}: {method}" for what, method in methods if method)]
