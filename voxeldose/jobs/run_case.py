"""A case run whole: read, assessed, written."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from voxeldose.dose.assess import assess
from voxeldose.dose.uncertainty import with_uncertainty
from voxeldose.io.nifti import write_nifti
from voxeldose.io.results.assessment import assessment_dict, write_json, write_tables
from voxeldose.io.results.manifest import manifest_of
from voxeldose.io.results.new_folder import new_folder
from voxeldose.io.transforms import write_itk_transform
from voxeldose.jobs.dicom_export import bed_map, write_dicom
from voxeldose.jobs.open_case import input_uncertainties, open_case
from voxeldose.report import draw_pictures, write_pdf, write_report

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from voxeldose.io.config.case import CaseFile
    from voxeldose.model.assessment import Assessment

__all__ = ["predict_case", "run_case"]


def run_case(
    config: CaseFile,
    out: Path,
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
    tell = progress or (lambda _: None)
    started = datetime.now(UTC)
    with new_folder(out, overwrite=overwrite) as folder:
        opened = open_case(config, progress=tell)
        result = assess(opened.case, opened.engine, progress=tell)
        if config.uncertainty is not None:
            result = with_uncertainty(result, opened.engine, input_uncertainties(config.uncertainty), progress=tell)
        tell("writing results")
        wanted = config.output
        if wanted.bed_dose is not None:
            effective, words = bed_map(result, wanted.bed_dose)
            write_nifti(effective, folder / "bed.nii.gz", description=words)
        tell("writing DICOM")
        left_out = write_dicom(result, folder, opened.dicom, wanted)
        if left_out:
            record = replace(result.record, warnings=(*result.record.warnings, *left_out))
            result = replace(result, record=record)
        write_json(assessment_dict(result), folder / "assessment.json")
        write_tables(result, folder)
        write_nifti(result.dose, folder / "dose.nii.gz", description="absorbed dose in Gy")
        if opened.case.registration is not None:
            write_itk_transform(opened.case.registration.matrix_lps_mm, folder / "registration.tfm")
        if report:
            tell("drawing the report")
            pictures = draw_pictures(result)
            write_report(result, folder / "report.html", pictures=pictures)
            write_pdf(result, folder / "report.pdf", pictures=pictures)
        tell("hashing inputs")
        outputs = sorted(folder.iterdir())
        manifest = manifest_of(config, result, inputs=opened.inputs, outputs=outputs, out=out, started=started)
        write_json(manifest, folder / "run.json")
    return result


def predict_case(config: CaseFile, *, progress: Callable[[str], None] | None = None) -> Assessment:
    """The dose of a pre-treatment image, for planning; nothing is written.

    The image is scaled to the case's activity whatever its calibration says, or to 1000 MBq where the case gives none: a plan
    scales it anyway.

    Raises
    ------
    VoxeldoseError
        If anything in the case cannot be used.
    """
    given, said = config.administration, []
    if given.administered_mbq is None:
        unit = {"administered_mbq": 1000.0, "residual_mbq": 0.0, "at": None, "assayed_at": None, "residual_at": None}
        given = given.model_copy(update=unit)
        said.append("The case gives no administered activity; the map was made for 1000 MBq and scaled.")
    if config.dose.calibration == "absolute":
        said.append("For planning the image is relative: calibration by administered activity, not absolute.")
    dose = config.dose.model_copy(update={"calibration": "administered"})
    opened = open_case(config.model_copy(update={"administration": given, "dose": dose}), progress=progress)
    result = assess(opened.case, opened.engine, progress=progress)
    return replace(result, record=replace(result.record, assumptions=(*said, *result.record.assumptions)))
