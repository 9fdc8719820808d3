"""The whole demonstration: make the studies, plan on the SPECT, assess the PET, compare with the truth."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxeldose.demo.phantom import PET_FWHM_MM, SPECT_FWHM_MM
from voxeldose.demo.study import SUBJECTS, make_study
from voxeldose.io.config.case import case_file_from, read_case_tables
from voxeldose.io.results.new_folder import new_folder
from voxeldose.jobs.run_case import run_case
from voxeldose.model.wording import dose
from voxeldose.report import plot_slices

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from voxeldose.model.assessment import Assessment, RoiMetrics

__all__ = [
    "WHY_ANSWERS_DIFFER",
    "WHY_DIFFERENT",
    "AnswerRow",
    "DemoRun",
    "TruthRow",
    "compare_answers",
    "compare_with_truth",
    "run_demo",
]


#: Why the runs differ from the truth: of every phantom, and of one with a perfused volume.
WHY_DIFFERENT = (
    f"The images are blurred (FWHM {PET_FWHM_MM:g} mm PET, {SPECT_FWHM_MM:g} mm SPECT): activity crosses the borders of regions,",
    "so that hot ones lose, and cold ones (a necrotic core too) gain. In the SPECT tumors take up 15 % less, as MAA may.",
)
WHY_ANSWERS_DIFFER = (
    "One compartment, K·A·(1 - LSF)/m, does not depend on the image, only on the volume drawn. The true mean of voxels is",
    "below it, as betas leave the segment; those of the images are lower still, by the activity that blur carries out of it.",
)


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
            "true mean Gy": dose(self.true_mean_gy),
            "dpk": _change(roi.mean_dose_gy, self.true_mean_gy),
            "local": _change(roi.mean_dose_local_gy, self.true_mean_gy),
            "true D70 Gy": dose(self.true_d70_gy),
            "D70": _change(roi.d70_gy, self.true_d70_gy),
            "true V400 %": f"{100 * self.true_v400_fraction:.1f}",
            "V400 %": f"{100 * roi.v400_fraction:.1f}",
            "activity": _change(roi.activity_mbq, self.true_activity_mbq),
        }


def _change(computed: float, true: float) -> str:
    """By how much a number differs from the true one; where that is zero, the number itself."""
    if not true:
        return f"{computed:+.1f}"
    return f"{100 * (computed / true - 1):+.1f} %"


@dataclass(frozen=True)
class AnswerRow:
    """One number that a segmentectomy is judged by.

    Parameters
    ----------
    quantity : str
        What it is, with its unit.
    true : float
        Of the phantom: sharp activity on a fine grid.
    found : tuple of float or None
        Of the SPECT (planned) and of the PET (delivered); ``None`` where a run does not give it.
    decimals : int
        How many are shown.
    in_points : bool
        Whether a change is the difference (of percent) in place of a part of the true number.
    """

    quantity: str
    true: float
    found: tuple[float | None, float | None]
    decimals: int = 0
    in_points: bool = False

    def cells(self) -> dict[str, str]:
        """The row as text: the true number, and those of the runs with their change from it."""
        return {"": self.quantity, "true": f"{self.true:.{self.decimals}f}"} | {
            name: self._compared(value) for name, value in zip(("planned", "delivered"), self.found, strict=True)
        }

    def _compared(self, value: float | None) -> str:
        if value is None:
            return "-"
        shown = f"{value:.{self.decimals}f}"
        if self.in_points:
            return f"{shown} ({value - self.true:+.{self.decimals}f})"
        return f"{shown} ({_change(value, self.true)})" if self.true else shown


@dataclass(frozen=True, eq=False)
class DemoRun:
    """What the demonstration gave for one study.

    Parameters
    ----------
    case : str
        Name of the study.
    folder : Path
        Where it lies.
    planned, delivered : Assessment
        Of the SPECT before and of the PET after treatment.
    against_truth : tuple of TruthRow
        One for every region with a true dose, for the PET.
    answers : tuple of AnswerRow
        What a segmentectomy is judged by; empty where none was done.
    """

    case: str
    folder: Path
    planned: Assessment
    delivered: Assessment
    against_truth: tuple[TruthRow, ...]
    answers: tuple[AnswerRow, ...]


def run_demo(
    out: Path,
    *,
    cases: Sequence[str] = tuple(SUBJECTS),
    overwrite: bool = False,
    progress: Callable[[str], None] | None = None,
) -> tuple[DemoRun, ...]:
    """Make the studies, each with results of the PET in ``results`` and of the SPECT in ``planned``.

    The first lies in ``out`` itself, a further one in a folder there that bears its name. ``picture.png`` of each shows the
    dose of the PET in three planes.

    Raises
    ------
    InputError
        If ``out`` exists and may not be replaced.
    """
    with new_folder(out, overwrite=overwrite, marker="truth.json") as folder:
        runs = []
        for n, case in enumerate(cases):
            below = Path() if n == 0 else Path(case)
            runs.append(replace(_run_one(folder / below, case, progress), folder=out / below))
    return tuple(runs)


def _run_one(folder: Path, case: str, progress: Callable[[str], None] | None) -> DemoRun:
    study = make_study(folder, case=case, progress=progress)
    planned, delivered = (
        run_case(case_file_from(read_case_tables(file), file.name), folder / name, progress=progress)
        for name, file in (("planned", study.plan_toml), ("results", study.assess_toml))
    )
    truth = json.loads(study.truth.read_text("utf-8"))
    plot_slices(delivered).savefig(folder / "picture.png", dpi=110)
    rows, answers = compare_with_truth(delivered, truth), compare_answers(planned, delivered, truth)
    return DemoRun(case, folder, planned, delivered, rows, answers)


def compare_answers(planned: Assessment, delivered: Assessment, truth: dict[str, Any]) -> tuple[AnswerRow, ...]:
    """What a segmentectomy is judged by, next to the truth: perfused mean, T/N and V400 of each tumor that was reached.

    Parameters
    ----------
    planned, delivered : Assessment
        Of the SPECT and of the PET.
    truth : dict
        ``truth.json`` of the study; without a perfused volume there are no rows.
    """
    if "perfused" not in truth["rois"]:
        return ()
    true = truth["rois"]

    def row(quantity: str, value: float, of: Callable[[Assessment], float | None], **shown: Any) -> AnswerRow:
        return AnswerRow(quantity, value, (of(planned), of(delivered)), **shown)

    def mean(quantity: str, name: str) -> AnswerRow:
        return row(quantity, true[name]["mean_dose_gy"], lambda run: run.rois[name].mean_dose_gy)

    rows = [
        row(
            "perfused, one compartment, Gy",
            true["perfused"]["mird_dose_gy"],
            lambda run: run.rois["perfused"].single_compartment_gy,
        ),
        mean("perfused, mean of voxels, Gy", "perfused"),
    ]
    for name, ratio in truth["tumor_to_normal"].items():
        rows += [
            mean(f"{name}, mean, Gy", name),
            row(f"{name}, T/N by concentration", ratio["by_concentration"], partial(_ratio, name), decimals=2),
            row(
                f"{name}, V400, %",
                100 * true[name]["v400_fraction"],
                partial(_v400_percent, name),
                decimals=1,
                in_points=True,
            ),
        ]
    return (*rows, *(mean(f"{name}, not reached, Gy", name) for name in truth["not_reached"]))


def _v400_percent(tumor: str, run: Assessment) -> float:
    return 100 * run.rois[tumor].v400_fraction


def _ratio(tumor: str, run: Assessment) -> float | None:
    return next((row.by_concentration for row in run.tumor_to_normal if row.roi == tumor), None)


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
