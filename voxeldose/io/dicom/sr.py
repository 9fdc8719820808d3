"""Results as a DICOM structured report: TID 1500, one measurement group per region, each pointing at its segment.

Codes are from PS3.16 where it has one: Absorbed Dose (128513, DCM; CID 7469) with the derivations of CID 7464 (mean, minimum,
maximum, median, standard deviation), Volume (118565006, SCT; CID 7469), Mass (118538004, SCT). DICOM has no code for what
else dosimetry reports; those have the private scheme ``99VOXELDOSE``, whose meanings say what they are. Units are UCUM.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

from voxeldose import __version__
from voxeldose.io.dicom.codes import codes_of_role
from voxeldose.io.dicom.new_object import study_reference
from voxeldose.io.dicom.patient import citable_copy
from voxeldose.io.dicom.texts import fit_character_set, name_in
from voxeldose.model.best_value import best_value
from voxeldose.model.roles import LIVER_ROLES

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom.dataset import Dataset
    from pydicom.sr.coding import Code

    from voxeldose.io.dicom.new_object import StudyReference
    from voxeldose.model.assessment import Assessment, RoiMetrics

__all__ = ["SCHEME", "write_sr"]

#: Designator of the private coding scheme.
SCHEME = "99VOXELDOSE"

_ABSORBED_DOSE = ("128513", "DCM", "Absorbed Dose")
_MEAN = ("373098007", "SCT", "Mean")
_MINIMUM = ("255605001", "SCT", "Minimum")
_MAXIMUM = ("56851009", "SCT", "Maximum")
_MEDIAN = ("373099004", "SCT", "Median")
_DEVIATION = ("386136009", "SCT", "Standard Deviation")
_GY = ("Gy", "UCUM", "Gy")
_NO_UNITS = ("1", "UCUM", "no units")
_ONE_COMPARTMENT = ("COMPARTMENT", SCHEME, "Single compartment, K A (1 - LSF) / m")
_LOCAL = ("LOCAL", SCHEME, "Local energy deposition")

#: That no infusion reached a tumor.
_REACHED = ("REACHED", SCHEME, "Tumor in perfused volume")
_NOT_REACHED = ("NOTREACHED", SCHEME, "Not reached")

#: How a value that is not the image's own was found.
_BETTER = {
    "recovered": ("RECOVERED", SCHEME, "Resolution recovered"),
    "corrected": ("CORRECTED", SCHEME, "Corrected by recovery curve"),
}

_Triple = tuple[str, str, str]


class _Row(NamedTuple):
    """How one number of a region is coded."""

    key: str
    name: _Triple
    unit: _Triple
    derivation: _Triple | None = None
    method: _Triple | None = None


def _covers(dose: int) -> _Row:
    meaning = f"Fraction of volume with absorbed dose of {dose} Gy or more"
    return _Row(f"v{dose}_fraction", (f"V{dose}", SCHEME, meaning), _NO_UNITS)


def _receives(part: int) -> _Row:
    return _Row(f"d{part}_gy", (f"D{part}", SCHEME, f"Absorbed dose that {part} % of volume or more receives"), _GY)


_ROWS = (
    _Row("volume_ml", ("118565006", "SCT", "Volume"), ("mL", "UCUM", "mL")),
    _Row("mass_g", ("118538004", "SCT", "Mass"), ("g", "UCUM", "g")),
    _Row("activity_mbq", ("ACTIVITY", SCHEME, "Activity in region at infusion"), ("MBq", "UCUM", "MBq")),
    _Row("mean_dose_gy", _ABSORBED_DOSE, _GY, _MEAN),
    _Row("min_dose_gy", _ABSORBED_DOSE, _GY, _MINIMUM),
    _Row("max_dose_gy", _ABSORBED_DOSE, _GY, _MAXIMUM),
    _Row("sd_dose_gy", _ABSORBED_DOSE, _GY, _DEVIATION),
    _Row("d50_gy", _ABSORBED_DOSE, _GY, _MEDIAN),
    *(_receives(part) for part in (98, 95, 90, 70, 2)),
    *(_covers(dose) for dose in (100, 190, 205, 400, 446)),
    _Row("bed_gy", ("BED", SCHEME, "Biologically effective dose, mean over volume"), _GY),
    _Row("eud_gy", ("EUD", SCHEME, "Equivalent uniform dose"), _GY),
    _Row("eubed_gy", ("EUBED", SCHEME, "Equivalent uniform biologically effective dose"), _GY),
    _Row("single_compartment_gy", _ABSORBED_DOSE, _GY, _MEAN, _ONE_COMPARTMENT),
    _Row("mean_dose_local_gy", _ABSORBED_DOSE, _GY, _MEAN, _LOCAL),
)

#: T/N by concentration, which treated tumors have.
_RATIO = _Row("tumor_to_normal", ("TN", SCHEME, "Activity concentration over that of normal liver"), _NO_UNITS)

_METHODS = {
    "dpk": ("DPK", SCHEME, "Convolution with dose point kernel"),
    "local": _LOCAL,
    "density": ("DENSITY", SCHEME, "Transport on straight rays through CT density"),
}
#: LOINC codes of CID 100 by the modality that showed the activity.
_PROCEDURES = {
    "PT": ("44136-0", "LN", "PET unspecified body region"),
    "NM": ("49118-3", "LN", "NM unspecified body region"),
}
_ANY_PROCEDURE = ("363679005", "SCT", "Imaging procedure")


def write_sr(
    result: Assessment,
    path: str | Path,
    *,
    seg: str | Path,
    reference: str | Path | StudyReference,
    modality: str | None = None,
) -> None:
    """Write an assessment as a Comprehensive 3D SR after TID 1500 (Measurement Report).

    Numbers that are not known (NaN, ``None``) are left out. The report is marked complete and unverified.

    Parameters
    ----------
    result : Assessment
        Of :func:`voxeldose.assess`.
    path : path
        File to write.
    seg : path
        The SEG that holds the regions, as :func:`voxeldose.write_seg` writes it; a region that it lacks gets a group of
        measurements without a segment.
    reference : path or StudyReference
        Folder of the series that the SEG cites, or that series as read.
    modality : str, optional
        Of the image that showed the activity, ``PT`` or ``NM``; that of the reference without it.

    Raises
    ------
    InputError
        If the reference is not one series of images.
    """
    import highdicom as hd
    from pydicom import dcmread
    from pydicom.uid import generate_uid

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # values of the source that break the standard are copied as they are
        regions = dcmread(seg)
        study = study_reference(reference)
        procedure = _PROCEDURES.get(modality or study.modality, _ANY_PROCEDURE)
        images = [h for h in study.series.headers if h.get("StudyInstanceUID") == regions.StudyInstanceUID]
        report = hd.sr.MeasurementReport(
            observation_context=hd.sr.ObservationContext(observer_device_context=_observer()),
            procedure_reported=_code(procedure),
            imaging_measurements=[
                _group(name, m, result, regions, study.series_uid) for name, m in result.rois.items()
            ],
            title=_code(("126000", "DCM", "Imaging Measurement Report")),
        )
        document = hd.sr.Comprehensive3DSR(
            evidence=[citable_copy(header) for header in (regions, *images)],
            content=report,
            series_instance_uid=generate_uid(),
            series_number=study.kind.first_number + 7,
            sop_instance_uid=generate_uid(),
            instance_number=1,
            manufacturer="voxeldose",
            is_complete=True,
            manufacturer_model_name="voxeldose",
            software_versions=__version__,
            series_description=study.describe("measurements"),
        )
        document.CodingSchemeIdentificationSequence = [_scheme()]
        fit_character_set(document, study.header)
        document.save_as(path)


def _observer() -> Any:
    """voxeldose, as the device that measured."""
    import highdicom as hd
    from pydicom.uid import generate_uid

    return hd.sr.ObserverContext(
        _code(("121007", "DCM", "Device")),
        hd.sr.DeviceObserverIdentifyingAttributes(
            generate_uid(entropy_srcs=["voxeldose", __version__]),
            name="voxeldose",
            manufacturer_name="voxeldose",
            model_name="voxeldose",
            serial_number=__version__,
        ),
    )


def _group(name: str, metrics: RoiMetrics, result: Assessment, regions: Dataset, series_uid: str) -> Any:
    import highdicom as hd

    category, kind = codes_of_role(metrics.role)
    common = {
        "tracking_identifier": hd.sr.TrackingIdentifier(identifier=name),
        "finding_type": _code((kind[0], "SCT", kind[1])),
        "finding_category": _code((category[0], "SCT", category[1])),
        "method": _code(
            _METHODS.get(result.record.engine, (result.record.engine[:16].upper(), SCHEME, result.record.engine))
        ),
        "measurements": [*_measurements(name, result), *_better_measurements(name, result)],
    }
    if metrics.reached is False:
        common["qualitative_evaluations"] = [hd.sr.QualitativeEvaluation(_code(_REACHED), _code(_NOT_REACHED))]
    sites = [hd.sr.FindingSite(_code(("10200004", "SCT", "Liver")))] if metrics.role in LIVER_ROLES else None
    number = next((int(s.SegmentNumber) for s in regions.SegmentSequence if _name_of(s) == name), None)
    if number is None:
        return hd.sr.MeasurementsAndQualitativeEvaluations(**common, finding_sites=sites)
    segment = hd.sr.ReferencedSegment(
        regions.SOPClassUID,
        regions.SOPInstanceUID,
        number,
        source_series=hd.sr.SourceSeriesForSegmentation(series_uid),
    )
    return hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        **common, referenced_segment=segment, finding_sites=sites
    )


def _name_of(segment: Dataset) -> str:
    return name_in(segment, "SegmentLabel", "SegmentDescription")


def _measurements(name: str, result: Assessment) -> list[Any]:
    """The image's own numbers of a region."""
    values = [(row, best_value(result, name, row.key).image) for row in (*_ROWS, _RATIO)]
    return [_measurement(row, value, row.method) for row, value in values if value is not None and math.isfinite(value)]


def _better_measurements(name: str, result: Assessment) -> list[Any]:
    """Recovered and corrected numbers of a region, each with how it was found."""
    found = []
    for row in (*_ROWS, _RATIO):
        best = best_value(result, name, row.key)
        if best.is_better and best.value is not None and math.isfinite(best.value):
            found.append(_measurement(row, best.value, _BETTER[best.kind]))
    return found


def _measurement(row: _Row, value: float, method: _Triple | None) -> Any:
    import highdicom as hd

    return hd.sr.Measurement(
        _code(row.name),
        float(f"{value:.9g}"),
        _code(row.unit),
        derivation=_code(row.derivation) if row.derivation else None,
        method=_code(method) if method else None,
    )


def _scheme() -> Dataset:
    from pydicom.dataset import Dataset

    item = Dataset()
    item.CodingSchemeDesignator, item.CodingSchemeName = SCHEME, "voxeldose measurements"
    item.CodingSchemeResponsibleOrganization = "voxeldose"
    return item


def _code(triple: _Triple) -> Code:
    from pydicom.sr.coding import Code

    return Code(triple[0], triple[1], triple[2])
