"""Colours and dashes of pages and figures, chosen once."""

from __future__ import annotations

__all__ = ["ALERT", "ALERT_SOFT", "DASHES", "GOOD", "GRID", "INK", "LINE", "OF_NUCLIDE", "QUIET", "ROIS", "SOFT"]

#: Of regions: Okabe and Ito (2008), told apart with any colour vision; black is left out because it is lost on the CT.
ROIS = ("#009E73", "#56B4E9", "#CC79A7", "#E69F00", "#0072B2", "#D55E00", "#F0E442")
#: More regions than colours begin again with another dash.
DASHES = ("solid", "dashed", "dotted")
#: Of images by their nuclide; any other nuclide, or none, has the colour of ``""``.
OF_NUCLIDE = {"Y-90": "#0072B2", "Tc-99m": "#D55E00", "": "#009E73"}

#: Of text: plain, less important, wrong, right.
INK, QUIET, ALERT, GOOD = "#1b1f24", "#5a6472", "#8a3b00", "#00684a"
#: Behind text: a heading in a table, a warning. Lines of tables, and of the grid in a figure.
SOFT, ALERT_SOFT, LINE, GRID = "#f4f6f8", "#fff5ea", "#c9d0d8", "#e3e6ea"
