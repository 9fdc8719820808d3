"""An ``Assessment`` as one HTML file that opens offline.

The page holds its own style, script and data. A policy in its head lets it load nothing, and run no script but its own,
known by hash; whatever stands in a file's names stays text.
"""

from __future__ import annotations

import base64
import hashlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from voxeldose.errors import InputError
from voxeldose.model.wording import activity, dose, measure, number, percent, role_words
from voxeldose.report.content import COLUMNS, facts, intervals, lung_rows, threshold_rows
from voxeldose.report.headline import best, not_reached, ratios
from voxeldose.report.images import data_uri
from voxeldose.report.pictures import draw_pictures
from voxeldose.report.plots import liver_frame, roi_styles, rois_with_role, slice_focus
from voxeldose.report.recovery import recovery_words
from voxeldose.report.reporting_items import reporting_items
from voxeldose.report.templates import page_template, text_of
from voxeldose.report.viewer import ISODOSES_GY, colour_maps, viewer_data
from voxeldose.report.wording import sentences

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxeldose.model.assessment import Assessment
    from voxeldose.model.card import CardRow
    from voxeldose.report.pictures import Pictures

__all__ = ["write_report"]

#: The page's script, in the order in which it is put together.
_SCRIPTS = ("state.js", "planes.js", "dvh.js", "regions.js", "start.js")
#: Points of a DVH curve on the page, and cards of single tumors; the table has all.
CURVE_POINTS, MAX_CARDS = 500, 6
#: Dose that both histograms mark, that of the coverage in the first numbers.
COVERED_GY = 400.0


def write_report(
    result: Assessment, path: str | Path, *, pictures: Pictures | None = None, card: Sequence[CardRow] = ()
) -> None:
    """Write one self-contained HTML file.

    Parameters
    ----------
    result : Assessment
        Nothing else is read.
    path : path-like
        The file to write; what is there is replaced.
    pictures : Pictures, optional
        Those of ``draw_pictures(result)``, where they are drawn already.
    card : sequence of CardRow
        The radiation segmentectomy card of the same run, which is shown where it has rows.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    drawn = pictures or draw_pictures(result)
    script = _script()
    spread = intervals(result)
    tumors = rois_with_role(result, "tumor")
    largest = sorted(tumors, key=lambda name: -tumors[name].volume_ml)[:MAX_CARDS]
    page = page_template("report.html.j2", number=number, percent=percent, activity=activity, dose=dose).render(
        result=result,
        card=card,
        record=result.record,
        warnings=sentences(result.record.warnings),
        assumptions=sentences(result.record.assumptions),
        totals=result.totals,
        given=result.case.administration,
        tumors={name: roi for name, roi in tumors.items() if name in largest},
        tumor_count=len(tumors),
        perfused=rois_with_role(result, "perfused"),
        normals=rois_with_role(result, "normal_liver"),
        lungs=rois_with_role(result, "lung"),
        lung_rows=lung_rows(result),
        thresholds=threshold_rows(result),
        focus=slice_focus(result),
        styles=roi_styles(result),
        spread=spread,
        columns=COLUMNS,
        measure=measure,
        role_words=role_words,
        best=partial(best, result),
        ratios=ratios(result),
        not_reached=not_reached(result),
        facts=facts(result),
        items=reporting_items(result, spread),
        planes={name: data_uri(png, "png") for name, png in drawn.planes.items()},
        plane_columns=drawn.columns,
        plane_width=drawn.width_px,
        dvh=data_uri(drawn.dvh_svg, "svg"),
        recovery=recovery_words(result),
        recovery_dvh=data_uri(drawn.recovery.dvh, "png") if drawn.recovery.dvh else None,
        residual=data_uri(drawn.recovery.residual, "png") if drawn.recovery.residual else None,
        style=text_of("report.css"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
        data=_data(result),
    )
    try:
        Path(path).write_text(page, encoding="utf-8", errors="replace", newline="\n")
    except OSError as failure:
        msg = f"Cannot write the report to {path}: {failure.strerror}. Name a file in a folder that exists."
        raise InputError(msg, code="file-not-written") from failure


def _data(result: Assessment) -> dict[str, Any]:
    """What the page's script reads."""
    frame = liver_frame(result, slice_focus(result))
    return {
        "viewer": viewer_data(result),
        "top_gy": _rounded_up(frame.top_gy),
        "top_mbq_per_ml": _rounded_up(max(float(result.activity.bq_per_ml.max()) / 1e6, 1e-6)),
        "isodoses_gy": [level for level in ISODOSES_GY if level < result.dose.gy.max()],
        "maps": colour_maps(),
        "dvh": _curves(result),
    }


def _curves(result: Assessment) -> dict[str, Any]:
    """Cumulative curves at equal steps up to a little beyond the highest D2, in parts of the volume."""
    known = {name: roi for name, roi in result.rois.items() if np.isfinite(roi.mean_dose_gy)}
    last = 1.1 * max((roi.d2_gy for roi in known.values()), default=0.0)
    step = last / CURVE_POINTS if last > 0 else 1.0
    styles = roi_styles(result)
    regions = []
    for name, roi in known.items():
        volumes_ml = roi.dvh.curve(step)[1][: CURVE_POINTS + 1]
        parts = np.zeros(CURVE_POINTS + 1)
        parts[: volumes_ml.size] = volumes_ml / roi.dvh.total_ml
        colour, dash = styles[name]
        regions.append(
            {"name": name, "colour": colour, "dash": dash, "volume_ml": roi.volume_ml, "parts": parts.round(5).tolist()}
        )
    marks: dict[float, list[str]] = {}
    for threshold in result.thresholds:
        if threshold.metric.endswith("_gy"):
            marks.setdefault(threshold.limit, []).append(threshold.roi)
    if last >= COVERED_GY:  # whatever is compared, coverage at 400 Gy is asked for
        marks.setdefault(COVERED_GY, [])
    shown = [{"gy": gy, "rois": rois} for gy, rois in sorted(marks.items()) if gy < last]
    return {"step_gy": step, "regions": regions, "marks": shown}


def _rounded_up(value: float) -> float:
    """The next of 1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8 times a power of ten, for the top of a scale."""
    power = 10 ** np.floor(np.log10(value))
    return float(next(n * power for n in (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if n * power >= value * (1 - 1e-9)))


def _script() -> str:
    parts = "\n".join(text_of(name) for name in _SCRIPTS)
    return f"(() => {{\n'use strict';\n{parts}}})();\n"
