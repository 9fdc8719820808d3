"""A case or results named on the command line, as an assessment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voxeldose.cli.options import progress

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from voxeldose.io.config.case import CaseFile
    from voxeldose.model.assessment import Assessment

__all__ = ["assess_case", "content_of", "predict_with_flags", "read_case"]


def read_case(case: Path, flags: Mapping[str, Any]) -> CaseFile:
    """A case file with flags in place of its keys."""
    from voxeldose.io.config.case import case_file_from, read_case_tables
    from voxeldose.io.config.flags import with_flags

    return case_file_from(with_flags(read_case_tables(case), flags), str(case))


def predict_with_flags(case: Path, flags: Mapping[str, Any], *, quiet: bool, recovers: bool = True) -> Assessment:
    """The dose that the case's image predicts, with flags in place of its keys; blur taken out where the case says how."""
    config = read_case(case, flags)
    with progress(quiet) as report_progress:
        report_progress("loading libraries")
        from voxeldose.jobs.run_case import predict_case

        return predict_case(config, recovers=recovers, progress=report_progress)


def assess_case(config: CaseFile, *, quiet: bool, recovers: bool = True) -> Assessment:
    """The case assessed, nothing written; blur taken out where the case says how."""
    with progress(quiet) as report_progress:
        report_progress("loading libraries")
        from voxeldose.jobs.run_case import assess_case as assess_now

        return assess_now(config, recovers=recovers, progress=report_progress)


def content_of(source: Path, *, quiet: bool, is_relative: bool = False) -> dict[str, Any]:
    """Content of ``assessment.json`` of a results folder, or of a case that is assessed now.

    With ``is_relative`` a case needs no activity: only ratios are wanted, as of a pre-treatment image.
    """
    from voxeldose.io.results.assessment import assessment_dict
    from voxeldose.io.results.content import read_content

    if source.is_dir() or source.suffix == ".json":
        return read_content(source)
    config = read_case(source, {})
    if is_relative and config.administration.administered_mbq is None:
        return assessment_dict(predict_with_flags(source, {}, quiet=quiet))
    return assessment_dict(assess_case(config, quiet=quiet))
