"""Pictures of a difference: both sides fused with their CTs at one scale, their difference, and their curves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from voxeldose.model.roi import RoiSet
from voxeldose.report.comparison import Picture
from voxeldose.report.comparison_plots import plot_curves, plot_difference, plot_fused, region_styles
from voxeldose.report.plots import Layers, focus_in, frame_around

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voxeldose.jobs.compare_sides import Placed, Side
    from voxeldose.model.roi import Roi
    from voxeldose.model.volume import CtImage, DoseMap

__all__ = ["draw_difference"]


def draw_difference(placed: Placed, names: Sequence[str], regions: RoiSet | None, difference: DoseMap) -> list[Picture]:
    """The pictures of a difference.

    Parameters
    ----------
    placed : Placed
        Both sides, and both doses on the grid of the second.
    names : sequence of str
        Regions that are compared.
    regions : RoiSet, optional
        Those of the second, on windows of its grid.
    difference : DoseMap
        Second less first, there.
    """
    first, last = placed.sides
    outlined = [side.rois.names() if side.rois is not None else [] for side in placed.sides]
    styles = region_styles([*names, *outlined[1], *outlined[0]])
    roi = _hottest_tumor(regions, last)
    focus = focus_in(last.dose, roi)
    images: list[DoseMap | CtImage] = [last.dose]
    images += [last.ct] if last.ct is not None else []
    view = frame_around(images, last.rois or RoiSet(), focus, _top_gy(placed.doses, roi))
    where = f"the hottest voxel of {focus.roi} after treatment" if focus.roi else "the highest dose after treatment"
    width = f" Both at {placed.matching['fwhm_mm']:g} mm FWHM." if placed.matching is not None else ""
    pictures = []
    for name, side in (("Pre", first), ("Post", last)):
        ct = "dose on its own CT" if side.ct is not None else "dose; no CT can be read"
        caption = f"{name}: {ct}, with its own outlines; axial and coronal through {where}.{width}"
        layers = Layers(side.dose, side.ct, side.rois or RoiSet(), styles)
        pictures.append(Picture.drawn("fused", caption, plot_fused(layers, focus, view)))
    layers = Layers(difference, None, last.rois or RoiSet(), styles)
    caption = f"Post less pre, with the outlines of post; black where one of them does not reach.{width}"
    pictures.append(Picture.drawn("fused", caption, plot_difference(layers, focus, view)))
    curves = [
        (title, {n: (c.dose_gy, c.volume_fraction) for n, c in side.result.curves.items() if n in names})
        for title, side in zip(("pre", "post"), placed.sides, strict=True)
    ]
    caption = "DVHs of each result as it stands: dashed before, solid after treatment."
    return [*pictures, Picture.drawn("curves", caption, plot_curves(curves, styles))]


def _hottest_tumor(regions: RoiSet | None, side: Side) -> Roi | None:
    """The tumor of the last result with the highest mean dose."""
    tumors = list(regions.with_role("tumor")) if regions is not None else []
    means = {r.name: side.result.rois[r.name].mean_dose_gy for r in tumors if r.name in side.result.rois}
    known = [r for r in tumors if np.isfinite(means.get(r.name, np.nan))]
    return max(known, key=lambda r: means[r.name], default=None)


def _top_gy(doses: Sequence[DoseMap], roi: Roi | None) -> float:
    """The top of the one scale: the higher of both D2 in the region, or of both maxima."""
    tops = []
    for dose in doses:
        values = dose.gy if roi is None else dose.gy[dose.grid.slices_of(roi.grid)][roi.occupancy >= 0.5]
        known = values[np.isfinite(values)]
        if known.size:
            tops.append(float(np.percentile(known, 98) if roi is not None else known.max()))
    return max(tops, default=1.0)
