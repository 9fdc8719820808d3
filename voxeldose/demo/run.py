"""The whole demonstration: make the study, plan on the SPECT, assess the PET, compare with the truth."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from voxeldose.demo.study import make_study
from voxeldose.io.config.case import case_file_from, read_case_tables
from voxeldose.io.results.new_folder import new_folder
from voxeldose.jobs.run_case import run_case
from voxeldose.report import plot_slices

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from voxeldose.model.assessment import Assessment, RoiMetrics

__all__ = ["DemoRun", "TruthRow", "compare_with_truth", "run_demo"]


@dataclass(frozen=True, eq=False)
class TruthRow:
    """One region of the study: its true numbers, and those of a run.

    Parameters
    ----------
    roi : str
        Its name.
    true_mean_gy, true_d70_gy, true_v400_fraction, true_activity_mbq : float
        Of the phantom: sharp activity on a fine grid.
    computed : RoiMetrics
        Of the run.
    """

    roi: str
    true_mean_gy: float
    true_d70_gy: float
    true_v400_fraction: float
    true_activity_mbq: float
    computed: RoiMetrics

    def cells(self) -> dict[str, str]:
        """The row as text: true numbers, and by how much those of the run differ."""
        roi = self.computed
        return {
            "ROI": self.roi,
            "true mean Gy": f"{self.true_mean_gy:.1f}",
            "dpk": _change(roi.mean_dose_gy, self.true_mean_gy),
            "local": _change(roi.mean_dose_local_gy, self.true_mean_gy),
            "true D70": f"{self.true_d70_gy:.1f}",
            "D70": _change(roi.d70_gy, self.true_d70_gy),
            "true V400 %": f"{100 * self.true_v400_fraction:.1f}",
            "V400 %": f"{100 * roi.v400_fraction:.1f}",
            "activity": _change(roi.activity_mbq, self.true_activity_mbq),
        }


def _change(computed: float, true: float) -> str:
    return f"{100 * (computed / true - 1):+.1f} %"


@dataclass(frozen=True, eq=False)
class DemoRun:
    """What the demonstration gave.

    Parameters
    ----------
    planned, delivered : Assessment
        Of the SPECT before and of the PET after treatment.
    against_truth : tuple of TruthRow
        One for every region with a true dose, for the PET.
    """

    planned: Assessment
    delivered: Assessment
    against_truth: tuple[TruthRow, ...]


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
        planned, delivered = (
            run_case(case_file_from(read_case_tables(file), file.name), folder / name, progress=progress)
            for name, file in (("planned", study.plan_toml), ("results", study.assess_toml))
        )
        truth = json.loads(study.truth.read_text("utf-8"))
        plot_slices(delivered).savefig(folder / "picture.png", dpi=110)
    return DemoRun(planned, delivered, compare_with_truth(delivered, truth))


def compare_with_truth(result: Assessment, truth: dict[str, Any]) -> tuple[TruthRow, ...]:
    """True numbers next to those of a run, for every region that has a dose in both.

    Parameters
    ----------
    result : Assessment
        Of one of the study's cases.
    truth : dict
        ``truth.json`` of the study.
    """
    rows = []
    for name, metrics in result.rois.items():
        true = truth["rois"].get(name)
        if true is None or true["mean_dose_gy"] is None or not math.isfinite(metrics.mean_dose_gy):
            continue
        rows.append(
            TruthRow(name, true["mean_dose_gy"], true["d70_gy"], true["v400_fraction"], true["activity_mbq"], metrics)
        )
    return tuple(rows)
