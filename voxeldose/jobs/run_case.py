"""A case from its files to a folder of results: read, assess, write."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from voxeldose.dose.assess import assess
from voxeldose.dose.recovery.into_result import with_recovered
from voxeldose.dose.recovery.run import recover
from voxeldose.dose.segmentectomy import card_of_results
from voxeldose.dose.uncertainty import with_uncertainty
from voxeldose.io.config.nameless import Nameless
from voxeldose.io.nifti import write_nifti
from voxeldose.io.results.assessment import assessment_dict, write_json, write_tables
from voxeldose.io.results.manifest import manifest_of
from voxeldose.io.results.new_folder import new_folder
from voxeldose.io.transforms import write_itk_transform
from voxeldose.jobs.dicom_export import bed_map, write_dicom
from voxeldose.jobs.open_case import open_case
from voxeldose.jobs.settings import build_resolution, input_uncertainties
from voxeldose.model.remarks import Remark
from voxeldose.report import draw_pictures, write_pdf, write_report

if TYPE_CHECKING:
    from collections.abc import Callable

    from voxeldose.io.config.case import CaseFile, OutputTable
    from voxeldose.jobs.dicom_export import DicomSource
    from voxeldose.model.assessment import Assessment

__all__ = ["assess_case", "predict_case", "run_case"]

#: What the map of a case without an administered activity is made for.
UNIT_MBQ = 1000.0


def run_case(
    config: CaseFile,
    out: str | Path,
    *,
    overwrite: bool = False,
    report: bool = True,
    progress: Callable[[str], None] | None = None,
) -> Assessment:
    """Assess a case and write every result file.

    Parameters
    ----------
    config : CaseFile
        Checked; paths absolute.
    out : path
        The results folder; appears when everything is written.
    overwrite : bool
        Replace an earlier results folder.
    report : bool
        Draw the report for people as well; half of a small case's time.
    progress : callable, optional
        Called with a few words before each step.

    Returns
    -------
    Assessment
        What was written.

    Raises
    ------
    VoxeldoseError
        If anything cannot be used; ``out`` is then as it was.
    """
    report_progress = progress or (lambda _: None)
    started, out = datetime.now(UTC), Path(out)
    with new_folder(out, overwrite=overwrite) as folder:
        opened = open_case(config, progress=report_progress)
        result = assess(opened.case, opened.engine, progress=report_progress)
        if config.uncertainty is not None:
            spread = input_uncertainties(config.uncertainty)
            result = with_uncertainty(result, opened.engine, spread, progress=report_progress)
        resolution = build_resolution(config)
        if resolution is not None:
            found = recover(result, resolution, engine=opened.engine, progress=report_progress)
            result = with_recovered(result, found)
        report_progress("writing DICOM")
        result = _write_dicom(result, folder, opened.dicom, config.output)
        result = _without_names(result, Nameless(config))
        report_progress("writing results")
        _write_results(result, folder, config.output)
        if report:
            report_progress("drawing the report")
            _write_reports(result, folder)
        report_progress("hashing inputs")
        outputs = sorted(folder.iterdir())
        manifest = manifest_of(config, result, inputs=opened.inputs, outputs=outputs, out=out, started=started)
        write_json(manifest, folder / "run.json")
    return result


def _write_dicom(result: Assessment, folder: Path, source: DicomSource, output: OutputTable) -> Assessment:
    """Write the DICOM objects; the result says which were left out, and why."""
    warnings = write_dicom(result, folder, source, output)
    if not warnings:
        return result
    return replace(result, record=replace(result.record, warnings=(*result.record.warnings, *warnings)))


def _without_names(result: Assessment, nameless: Nameless) -> Assessment:
    """Remarks that name files by what they are to the case: results travel further than the case file."""
    record, uncertainty = result.record, result.uncertainty
    record = replace(
        record, assumptions=nameless.remarks(record.assumptions), warnings=nameless.remarks(record.warnings)
    )
    if uncertainty is not None:
        uncertainty = replace(
            uncertainty,
            assumptions=nameless.remarks(uncertainty.assumptions),
            warnings=nameless.remarks(uncertainty.warnings),
        )
    return replace(result, record=record, uncertainty=uncertainty)


def _write_results(result: Assessment, folder: Path, output: OutputTable) -> None:
    """Write numbers, tables and maps."""
    write_json(assessment_dict(result), folder / "assessment.json")
    write_tables(result, folder)
    write_nifti(result.dose, folder / "dose.nii.gz", description="absorbed dose in Gy")
    if result.recovered is not None:
        description = "recovered absorbed dose in Gy, mean over draws"
        write_nifti(result.recovered.dose, folder / "dose_recovered.nii.gz", description=description)
    if output.bed_dose is not None:
        effective, description = bed_map(result, output.bed_dose)
        write_nifti(effective, folder / "bed.nii.gz", description=description)
    if result.case.registration is not None:
        write_itk_transform(result.case.registration.matrix_lps_mm, folder / "registration.tfm")


def _write_reports(result: Assessment, folder: Path) -> None:
    """Write the report as page and as PDF, with the same pictures."""
    pictures, card = draw_pictures(result), card_of_results(assessment_dict(result))
    write_report(result, folder / "report.html", pictures=pictures, card=card)
    write_pdf(result, folder / "report.pdf", pictures=pictures, card=card)


def assess_case(
    config: CaseFile, *, recovers: bool = True, progress: Callable[[str], None] | None = None
) -> Assessment:
    """A case assessed for what is asked of it next; nothing is written, and ``[uncertainty]`` is left out.

    Parameters
    ----------
    config : CaseFile
        Checked; paths absolute.
    recovers : bool
        Whether ``[resolution]`` is followed; a question about each voxel, or about masses alone, cannot use it, and the result says so.
    progress : callable, optional
        Called with a few words before each step.

    Raises
    ------
    VoxeldoseError
        If anything in the case cannot be used.
    """
    opened = open_case(config, progress=progress)
    result = assess(opened.case, opened.engine, progress=progress)
    resolution = build_resolution(config)
    if resolution is None:
        return result
    if recovers:
        return with_recovered(result, recover(result, resolution, engine=opened.engine, progress=progress))
    sentence = "[resolution] is not used here: the numbers are those of the blurred image."
    warnings = (*result.record.warnings, Remark("resolution-not-used", {}, sentence))
    return replace(result, record=replace(result.record, warnings=warnings))


def predict_case(
    config: CaseFile, *, recovers: bool = True, progress: Callable[[str], None] | None = None
) -> Assessment:
    """The dose of a pre-treatment image, for planning; nothing is written.

    The image is scaled to the case's activity whatever its calibration says, or to 1000 MBq where the case gives none: a plan
    scales it anyway. With ``recovers`` a ``[resolution]`` is followed, as by :func:`assess_case`.

    Raises
    ------
    VoxeldoseError
        If anything in the case cannot be used.
    """
    given, remarks = config.administration, list[Remark]()
    if given.administered_mbq is None and not given.territory:
        unit = {"administered_mbq": UNIT_MBQ, "residual_mbq": 0.0, "at": None, "assayed_at": None, "residual_at": None}
        given = given.model_copy(update=unit)
        sentence = f"The case gives no administered activity; the map was made for {UNIT_MBQ:g} MBq and scaled."
        remarks.append(Remark("plan-activity-unit", {"administered_mbq": UNIT_MBQ}, sentence))
    if config.dose.calibration == "absolute":
        sentence = "For planning the image is relative: calibration by administered activity, not absolute."
        remarks.append(Remark("plan-image-relative", {}, sentence))
    dose = config.dose.model_copy(update={"calibration": "administered"})
    config = config.model_copy(update={"administration": given, "dose": dose})
    result = assess_case(config, recovers=recovers, progress=progress)
    return replace(result, record=replace(result.record, assumptions=(*remarks, *result.record.assumptions)))
