"""Colours and dashes of pages and figures, chosen once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ALERT",
    "ALERT_SOFT",
    "DASHES",
    "GOOD",
    "GRID",
    "INK",
    "LINE",
    "OF_NUCLIDE",
    "OF_ROLE",
    "QUIET",
    "ROIS",
    "SOFT",
    "styles_by_role",
]

#: Of regions: Okabe and Ito (2008), told apart with any colour vision; black is left out because it is lost on the CT.
ROIS = ("#009E73", "#56B4E9", "#CC79A7", "#E69F00", "#0072B2", "#D55E00", "#F0E442")
#: More regions than colours begin again with another dash.
DASHES = ("solid", "dashed", "dotted")
#: Of regions by what they are, from the same colours: those of a tumor stand out on the dose wash, liver is green.
OF_ROLE = {
    "tumor": ("#56B4E9", "#CC79A7"),
    "perfused": ("#F0E442",),
    "liver": ("#009E73",),
    "normal_liver": ("#009E73",),
    "segment": ("#E69F00",),
    "lung": ("#0072B2",),
    "other": ("#D55E00",),
}
#: Of images by their nuclide; any other nuclide, or none, has the colour of ``""``.
OF_NUCLIDE = {"Y-90": "#0072B2", "Tc-99m": "#D55E00", "": "#009E73"}

#: Of text: plain, less important, wrong, right.
INK, QUIET, ALERT, GOOD = "#1b1f24", "#5a6472", "#8a3b00", "#00684a"
#: Behind text: a heading in a table, a warning. Lines of tables, and of the grid in a figure.
SOFT, ALERT_SOFT, LINE, GRID = "#f4f6f8", "#fff5ea", "#c9d0d8", "#e3e6ea"


def styles_by_role(roles: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Give each region a colour by its role and a dash; no two regions have both the same until all are used up.

    Parameters
    ----------
    roles : mapping
        Name of each region to its role.
    """
    styles: dict[str, tuple[str, str]] = {}
    used: dict[str, int] = {}
    for name, role in roles.items():
        colours = OF_ROLE[role]
        first = 1 if role == "normal_liver" else 0  # liver is solid
        n = used.get(role, 0)
        used[role] = n + 1
        styles[name] = colours[n % len(colours)], DASHES[(n // len(colours) + first) % len(DASHES)]
    return styles
