"""Two figures of an ``Assessment`` for papers and notebooks, and the same as pictures for page and PDF.

Images are sampled on planes of the patient, so that oblique grids are drawn where they lie.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from voxeldose.model.roles import LIVER_ROLES
from voxeldose.model.volume import Volume
from voxeldose.report.palette import GRID, styles_by_role
from voxeldose.report.wording import shortened

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

    from voxeldose.model.arrays import Doubles, Floats
    from voxeldose.model.assessment import Assessment, RoiMetrics
    from voxeldose.model.roi import Roi, RoiSet
    from voxeldose.model.volume import CtImage, DoseMap

__all__ = [
    "EDGE_IN",
    "PLANES",
    "SLICES_DPI",
    "Focus",
    "Frame",
    "Layers",
    "Plane",
    "dose_colours",
    "draw_marks",
    "draw_plane",
    "focus_in",
    "frame_around",
    "liver_frame",
    "plot_dvh",
    "plot_slices",
    "roi_styles",
    "rois_with_role",
    "slice_focus",
]

SLICES_DPI = 110
EDGE_IN, _GAP_IN, _WIDE_IN, _TALL_IN = 0.08, 0.34, 9.0, 11.5
_MARGIN_MM = 40.0
CT_WINDOW_HU = (-160.0, 240.0)  # window 400, level 40
_MARK_GY = 400.0


class Plane(NamedTuple):
    """A section of the patient, by the LPS axes drawn to the right and upward, in radiological convention."""

    name: str
    across: int
    up: int
    letters: str  # at left, right, top, bottom

    @property
    def through(self) -> int:
        """The LPS axis that is the same all over the plane."""
        return 3 - self.across - self.up


PLANES = (Plane("Axial", 0, 1, "RLAP"), Plane("Coronal", 0, 2, "RLHF"), Plane("Sagittal", 1, 2, "APHF"))
#: Where the letters stand in a panel, and how they are aligned there.
_PLACES = (
    (0.02, 0.5, "left", "center"),
    (0.98, 0.5, "right", "center"),
    (0.5, 0.98, "center", "top"),
    (0.5, 0.02, "center", "bottom"),
)


class Layers(NamedTuple):
    """What one picture shows: dose over CT, and outlines with their colours and dashes."""

    dose: DoseMap
    ct: CtImage | None
    rois: RoiSet
    styles: Mapping[str, tuple[str, str]]


class Focus(NamedTuple):
    """The voxel that the slices pass through."""

    roi: str | None
    point_lps_mm: Doubles
    dose_gy: float


class Frame(NamedTuple):
    """The box of the patient that the slices show, and the dose at the top of the colour bar."""

    low_lps_mm: Doubles
    high_lps_mm: Doubles
    top_gy: float


def plot_dvh(result: Assessment) -> Figure:
    """Draw the cumulative DVHs: percent of each region's volume against dose in Gy.

    The dose axis ends a little beyond the highest D2, so that a few hot voxels do not press the curves together.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.7), layout="constrained")
    axes = figure.add_subplot()
    known = {name: roi for name, roi in result.rois.items() if math.isfinite(roi.mean_dose_gy)}
    highest = max((roi.d2_gy for roi in known.values()), default=0.0)
    last = 1.1 * highest if highest > 0 else 1.0
    styles = roi_styles(result)
    for name, roi in known.items():
        doses, volumes_ml = roi.dvh.curve(last / 600)
        shown = doses <= last
        colour, dash = styles[name]
        axes.plot(doses[shown], 100 * volumes_ml[shown] / roi.dvh.total_ml, color=colour, linestyle=dash, linewidth=1.6)
    if last >= _MARK_GY:
        axes.axvline(_MARK_GY, color="#777", linewidth=0.7, linestyle=(0, (4, 3)), zorder=1)
        axes.text(_MARK_GY, 2, f"{_MARK_GY:g} Gy ", ha="right", fontsize=7, color="#555")
    axes.set(xlim=(0, last), ylim=(0, 102))
    axes.set_xlabel("Absorbed dose (Gy)", fontsize=9)
    axes.set_ylabel("Volume (%)", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    _legend(axes, {name: styles[name] for name in known}, "upper right", (1.0, 1.0))
    return figure


def plot_slices(result: Assessment) -> Figure:
    """Draw axial, coronal and sagittal planes through the hottest voxel of the tumor with the highest mean dose.

    Radiological convention: the patient's right is at the left of axial and coronal planes, the front at the left of
    sagittal ones. The planes share one scale in mm, and axes continue from one to the next. Without tumors they pass
    through the maximum of the dose map.
    """
    from matplotlib.figure import Figure

    focus = slice_focus(result)
    view = liver_frame(result, focus)
    box_mm = wide, deep, tall = [float(n) for n in view.high_lps_mm - view.low_lps_mm]
    edge, gap = EDGE_IN, _GAP_IN
    second = max(deep, 0.45 * wide)  # the free corner keeps space for names
    scale = min((_WIDE_IN - gap - 2 * edge) / (wide + second), (_TALL_IN - 2 * gap - edge) / (deep + tall))
    column, row = edge + scale * wide + gap, edge + scale * tall + gap
    size = (column + scale * second + edge, row + scale * deep + gap)
    figure = Figure(figsize=size, dpi=SLICES_DPI)
    colours = dose_colours(opaque=result.case.ct is None)
    layers = Layers(result.dose, result.case.ct, result.case.rois, roi_styles(result))

    def cell(left: float, bottom: float, width: float, height: float) -> Axes:
        return figure.add_axes((left / size[0], bottom / size[1], width * scale / size[0], height * scale / size[1]))

    for plane, place in zip(PLANES, ((edge, row), (edge, edge), (column, edge)), strict=True):
        axes = cell(*place, box_mm[plane.across], box_mm[plane.up])
        draw_plane(axes, layers, plane, focus.point_lps_mm, view)
        draw_marks(axes, plane, focus.point_lps_mm)
        axes.images[-1].set_cmap(colours)
    _draw_key(cell(column, row, second, deep), result, view, colours)
    return figure


def draw_plane(axes: Axes, layers: Layers, plane: Plane, point_lps_mm: Doubles, view: Frame) -> None:
    """Draw CT, dose and outlines of one plane, in millimetres of the patient; the dose is the last image."""
    ends = [(float(view.low_lps_mm[a]), float(view.high_lps_mm[a])) for a in (plane.across, plane.up)]
    step = float(np.clip((view.high_lps_mm - view.low_lps_mm).max() / 320, 1.0, 1.5))
    right, up = (_centres(low, high, step) for low, high in ends)
    points = np.broadcast_to(point_lps_mm, (up.size, right.size, 3)).copy()
    points[..., plane.across] = right
    points[..., plane.up] = up[:, None]
    extent = (*ends[0], *ends[1])
    axes.set_facecolor("black")
    if layers.ct is not None:
        hu = layers.ct.sampled_at(points, outside=-1000.0)
        low, high = CT_WINDOW_HU
        axes.imshow(hu, "gray", vmin=low, vmax=high, extent=extent, origin="lower", interpolation="bilinear")
    gy = layers.dose.sampled_at(points)
    axes.imshow(gy, vmin=0, vmax=view.top_gy, extent=extent, origin="lower", interpolation="bilinear")
    for roi in layers.rois:
        inside = _occupancy_on(roi, points, plane)
        if inside is not None:
            colour, dash = layers.styles[roi.name]
            axes.contour(right, up, inside, levels=[0.5], colors="black", linewidths=2.4, alpha=0.7)
            axes.contour(right, up, inside, levels=[0.5], colors=colour, linewidths=1.3, linestyles=dash)
    # LPS y grows to the back, and the front is drawn on top.
    axes.set(xlim=ends[0], ylim=ends[1][::-1] if plane.up == 1 else ends[1], aspect="auto")


def draw_marks(axes: Axes, plane: Plane, point_lps_mm: Doubles) -> None:
    """Draw crosshair, letters, scale bar and title of one plane."""
    from matplotlib.patheffects import withStroke

    halo = [withStroke(linewidth=2, foreground="black")]
    axes.axvline(point_lps_mm[plane.across], color="white", linewidth=0.5, alpha=0.55)
    axes.axhline(point_lps_mm[plane.up], color="white", linewidth=0.5, alpha=0.55)
    style: dict[str, Any] = {"transform": axes.transAxes, "color": "white", "path_effects": halo}
    for letter, (x, y, ha, va) in zip(plane.letters, _PLACES, strict=True):
        axes.text(x, y, letter, ha=ha, va=va, size=12, weight="bold", **style)
    left, right = axes.get_xlim()
    bar_mm = 50.0 if right - left > 120.0 else 10.0
    ends = (0.03, 0.03 + bar_mm / (right - left))
    axes.plot(ends, (0.045, 0.045), linewidth=2, **style)
    axes.text(0.03, 0.06, f"{bar_mm:g} mm", size=8, **style)
    at = f"{'xyz'[plane.through]} = {point_lps_mm[plane.through]:.1f} mm"
    axes.set(xticks=[], yticks=[])
    axes.set_title(f"{plane.name}   {at}", fontsize=9, loc="left", pad=4)


def _draw_key(cell: Axes, result: Assessment, view: Frame, colours: Colormap) -> None:
    """Draw colour bar and names in the free corner."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    cell.set_axis_off()
    bar = cell.inset_axes((0.04, 0.87, 0.92, 0.06))
    bar.set_facecolor("black" if result.case.ct is None else "#606060")
    beyond = "max" if result.dose.gy.max() > view.top_gy else "neither"
    dose = ScalarMappable(Normalize(0, view.top_gy), colours)
    shown = cell.figure.colorbar(dose, cax=bar, orientation="horizontal", extend=beyond)
    shown.set_label("Absorbed dose (Gy)", fontsize=9)
    shown.ax.tick_params(labelsize=8)
    outlined = {name: style for name, style in roi_styles(result).items() if name in result.case.rois}
    _legend(cell, outlined, "upper left", (0.0, 0.68))


def _legend(axes: Axes, styles: dict[str, tuple[str, str]], place: str, anchor: tuple[float, float]) -> None:
    """Draw names next to their lines; as plain text, so that neither ``$`` nor a leading ``_`` means anything."""
    from matplotlib.lines import Line2D

    if not styles:
        return
    lines = [Line2D([], [], color=colour, linestyle=dash, linewidth=2) for colour, dash in styles.values()]
    size, columns, longest = (8.0, 1, 36) if len(lines) < 10 else (6.5, 2, 22)
    legend = axes.legend(
        lines, [""] * len(lines), loc=place, bbox_to_anchor=anchor, fontsize=size, ncols=columns, edgecolor="none"
    )
    for text, name in zip(legend.get_texts(), styles, strict=True):
        text.set_parse_math(False)
        text.set_text(shortened(name, longest))


def dose_colours(*, opaque: bool) -> Colormap:
    """Make inferno; over a CT without its black end, and transparent where there is no dose."""
    import matplotlib as mpl
    from matplotlib.colors import ListedColormap

    place = np.linspace(0, 1, 256)
    table = np.array(mpl.colormaps["inferno"](place if opaque else 0.17 + 0.83 * place))
    if not opaque:
        table[:, 3] = np.interp(place, (0.005, 0.04, 0.4), (0.0, 0.3, 0.7))
    return ListedColormap(table)


def _centres(low: float, high: float, step: float) -> Doubles:
    """Divide a length into equal parts of at most ``step``, and give their centres."""
    half = (high - low) / max(2, math.ceil((high - low) / step)) / 2
    return np.arange(low + half, high, 2 * half)


def _occupancy_on(roi: Roi, points_lps_mm: Doubles, plane: Plane) -> Floats | None:
    """Sample a region's occupancy on a plane; ``None`` where there is nothing to outline."""
    wider = roi.grid.window([-1, -1, -1], [n + 2 for n in roi.grid.shape])
    level, ends = points_lps_mm[0, 0, plane.through], wider.corners()[:, plane.through]
    if not ends.min() <= level <= ends.max():
        return None
    inside = Volume(roi.on_window(wider), wider).sampled_at(points_lps_mm)
    return inside if inside.min() < 0.5 <= inside.max() else None


def slice_focus(result: Assessment) -> Focus:
    """Find the hottest voxel of the tumor with the highest mean dose, or of the dose map."""
    tumors = rois_with_role(result, "tumor")
    name = max(tumors, key=lambda n: tumors[n].mean_dose_gy) if tumors else None
    return focus_in(result.dose, result.regions[name] if name is not None else None)


def focus_in(dose: DoseMap, roi: Roi | None) -> Focus:
    """Find the hottest voxel of a region that lies on a window of the dose grid, or of all."""
    part = dose.grid if roi is None else roi.grid
    gy = dose.grid.cut(dose.gy, part)
    if roi is not None:
        gy = np.where(roi.occupancy > 0, gy, -np.inf)
    index = np.unravel_index(int(gy.argmax()), gy.shape)
    return Focus(None if roi is None else roi.name, part.points_lps_mm(index), float(gy[index]))


def liver_frame(result: Assessment, focus: Focus) -> Frame:
    """Frame the liver's regions with a margin, no larger than the images; the top dose is that tumor's D2."""
    images = (result.dose, result.case.ct) if result.case.ct is not None else (result.dose,)
    top_gy = focus.dose_gy if focus.roi is None else result.rois[focus.roi].d2_gy
    return frame_around(images, result.case.rois, focus, top_gy)


def frame_around(images: Sequence[DoseMap | CtImage], rois: RoiSet, focus: Focus, top_gy: float) -> Frame:
    """Frame the liver among regions with a margin, no larger than the images, of which the first is the dose."""
    ends = np.concatenate([image.grid.corners() for image in images])
    # the view is cut to the liver where there is one; a lung or body outline would make it small
    shown = [roi.grid.corners() for roi in rois.with_role(*LIVER_ROLES) or rois]
    if not shown:
        shown = [images[0].grid.points_lps_mm(np.argwhere(images[0].values >= 0.02 * focus.dose_gy))]
    corners = np.concatenate([focus.point_lps_mm[None], *shown])
    low = np.maximum(ends.min(axis=0), corners.min(axis=0) - _MARGIN_MM)
    high = np.minimum(ends.max(axis=0), corners.max(axis=0) + _MARGIN_MM)
    return Frame(low, high, top_gy if top_gy > 0 else 1.0)


def roi_styles(result: Assessment) -> dict[str, tuple[str, str]]:
    """Give each region a colour by its role and a dash, the same in slices, DVH and tables."""
    roles = {name: roi.role for name, roi in result.rois.items()}
    return styles_by_role(roles | {roi.name: roi.role for roi in result.case.rois})


def rois_with_role(result: Assessment, role: str) -> dict[str, RoiMetrics]:
    """Metrics of the regions with a role, by name."""
    return {name: roi for name, roi in result.rois.items() if roi.role == role}
