"""An ``Assessment`` for people: a page that opens offline, a PDF, and figures; computes nothing.

Every number comes from the ``Assessment``; fractions become percent here and nowhere else.
"""

from __future__ import annotations

from voxeldose.report.page import write_report
from voxeldose.report.pdf import write_pdf
from voxeldose.report.plots import Pictures, draw_pictures, plot_dvh, plot_slices

__all__ = ["Pictures", "draw_pictures", "plot_dvh", "plot_slices", "write_pdf", "write_report"]
