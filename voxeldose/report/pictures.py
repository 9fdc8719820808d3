"""The figures of a report as files in memory, drawn once for page and PDF."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from voxeldose.report.images import figure_file
from voxeldose.report.plots import EDGE_IN, SLICES_DPI, plot_dvh, plot_slices
from voxeldose.report.recovery_plots import RecoveryPictures, draw_recovery

if TYPE_CHECKING:
    from matplotlib.transforms import Bbox

    from voxeldose.model.assessment import Assessment

__all__ = ["Pictures", "draw_pictures"]


@dataclass(frozen=True)
class Pictures:
    """All figures, written once for page and PDF.

    Parameters
    ----------
    planes : dict
        PNG of ``axial``, ``coronal``, ``sagittal`` and ``key``, cut from the figure of the slices.
    columns : str
        Widths of the two columns of that figure, as CSS.
    width_px : int
        Width of that figure.
    slices_png, dvh_svg, dvh_png : bytes
        The figures whole.
    recovery : RecoveryPictures
        Those of resolution recovery.
    """

    planes: dict[str, bytes]
    columns: str
    width_px: int
    slices_png: bytes
    dvh_svg: bytes
    dvh_png: bytes
    recovery: RecoveryPictures


def draw_pictures(result: Assessment) -> Pictures:
    """Draw all figures as files in memory."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # names in scripts that matplotlib's font lacks
        return _draw(result)


def _draw(result: Assessment) -> Pictures:
    from matplotlib.transforms import Bbox

    figure = plot_slices(result)
    whole = figure_file(figure, "png", SLICES_DPI)
    wide, tall = figure.get_size_inches()
    axial, _, sagittal, key = figure.axes[:4]
    column = sagittal.get_position().x0 * wide - EDGE_IN
    row = axial.get_position().y0 * tall - EDGE_IN
    names = key.get_legend()
    key_ends = names.get_window_extent().y0 / figure.dpi - EDGE_IN if names else (row + tall) / 2
    boxes = {
        "axial": (0, row, column, tall),
        "key": (column, max(row, key_ends), wide, tall),
        "coronal": (0, 0, column, row),
        "sagittal": (column, 0, wide, row),
    }
    parts = {name: _cut_png(whole, Bbox.from_extents(*box), float(tall)) for name, box in boxes.items()}
    curves = plot_dvh(result)
    return Pictures(
        parts,
        f"{column:.3f}fr {wide - column:.3f}fr",
        round(wide * SLICES_DPI),
        whole,
        figure_file(curves, "svg", SLICES_DPI),
        figure_file(curves, "png", 2 * SLICES_DPI),
        draw_recovery(result),
    )


def _cut_png(png: bytes, box_in: Bbox, tall_in: float) -> bytes:
    """A part of a picture; ``box_in`` in inches from its lower left corner."""
    from PIL import Image

    low_x, low_y, high_x, high_y = (float(n) for n in box_in.extents)
    edges = (low_x, tall_in - high_y, high_x, tall_in - low_y)
    with Image.open(io.BytesIO(png)) as whole:
        part = whole.convert("RGB").crop(tuple(round(n * SLICES_DPI) for n in edges))
        buffer = io.BytesIO()
        part.save(buffer, "png", compress_level=4)
    return buffer.getvalue()
