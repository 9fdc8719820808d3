"""The whole demonstration: make the study, plan on the SPECT, assess the PET, compare with the truth."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from voxeldose.demo.study import make_study
from voxeldose.io.config.case import case_file_from, read_case_file
from voxeldose.io.results.assessment import assessment_dict
from voxeldose.io.results.new_folder import new_folder
from voxeldose.jobs.run_case import run_case
from voxeldose.report import plot_slices

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["DemoRun", "compare_with_truth", "run_demo"]


@dataclass(frozen=True)
class DemoRun:
    """What the demonstration found.

    Parameters
    ----------
    planned, delivered : dict
        ``assessment.json`` of the SPECT before and of the PET after treatment.
    against_truth : list of dict
        Rows of text, a row a region.
    """

    planned: dict[str, Any]
    delivered: dict[str, Any]
    against_truth: list[dict[str, str]]


def run_demo(out: Path, *, overwrite: bool = False, progress: Callable[[str], None] | None = None) -> DemoRun:
    """Make the study in ``out`` with results of the PET in ``results`` and of the SPECT in ``planned``.

    ``picture.png`` shows the dose of the PET in three planes.

    Raises
    ------
    InputError
        If ``out`` exists and may not be replaced.
    """
    with new_folder(out, overwrite=overwrite, marker="truth.json") as folder:
        study = make_study(folder, progress=progress)
        found = {
            name: run_case(case_file_from(read_case_file(file), file.name), folder / name, progress=progress)
            for name, file in (("planned", study.plan_toml), ("results", study.assess_toml))
        }
        truth = json.loads(study.truth.read_text("utf-8"))
        plot_slices(found["results"]).savefig(folder / "picture.png", dpi=110)
    planned, delivered = (assessment_dict(found[name]) for name in ("planned", "results"))
    return DemoRun(planned, delivered, compare_with_truth(delivered, truth))


def compare_with_truth(content: dict[str, Any], truth: dict[str, Any]) -> list[dict[str, str]]:
    """True and found mean dose, D70, V400 and activity of every region that has a true dose, as text.

    Parameters
    ----------
    content : dict
        ``assessment.json`` of one of the study's cases.
    truth : dict
        ``truth.json`` of the study.
    """
    rows = []
    for name, roi in content["rois"].items():
        true = truth["rois"].get(name)
        if true is None or true["mean_dose_gy"] is None or roi["mean_dose_gy"] is None:
            continue
        rows.append(
            {
                "ROI": name,
                "true mean Gy": f"{true['mean_dose_gy']:.1f}",
                "dpk": _change(roi["mean_dose_gy"], true["mean_dose_gy"]),
                "local": _change(roi["mean_dose_local_gy"], true["mean_dose_gy"]),
                "true D70": f"{true['d70_gy']:.1f}",
                "D70": _change(roi["d70_gy"], true["d70_gy"]),
                "true V400 %": f"{100 * true['v400_fraction']:.1f}",
                "V400 %": f"{100 * roi['v400_fraction']:.1f}",
                "activity": _change(roi["activity_mbq"], true["activity_mbq"]),
            }
        )
    return rows


def _change(found: float, true: float) -> str:
    return f"{100 * (found / true - 1):+.1f} %"
