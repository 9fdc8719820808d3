"""A site's protocol: what its cases share, laid under the keys of a case.

Keys of the case win. Tables are merged key by key, lists are replaced whole. Of keys that exclude each other the case's is
kept and the protocol's left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voxeldose.errors import InputError
from voxeldose.io.config.toml import check_part

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voxeldose.io.config.toml import Table

__all__ = ["check_protocol", "lay_over"]

#: What belongs to one treatment and would be wrong in every other: tables, and keys of tables.
OF_ONE_CASE = (
    *(
        "protocol",
        "case",
        "patient",
        "rois",
        "derived",
        "administration.administered_mbq",
        "administration.residual_mbq",
    ),
    *("administration.at", "administration.assayed_at", "administration.residual_at", "administration.territory"),
    *("administration.lung_shunt_fraction", "activity.path", "activity.measured_at", "activity.series_uid"),
    *("activity.weight_kg", "ct.path", "ct.series_uid", "registration.path", "registration.image"),
    *("report.lot", "report.vial_calibration_mbq", "report.vial_calibrated_at", "report.catheter_positions"),
    *("report.signed_off_by", "report.signed_off_at", "report.comment"),
)

#: Keys of one table that exclude each other: with one of them in the case, the protocol's others are left out.
EITHER = {
    "dose": (("density", "density_g_per_ml", "hu_table"),),
    "registration": (("path", "method"),),
    "uncertainty": (("noise_fraction", "noise_region"), ("contour_mm", "contour_fwhm_mm")),
    "recovery": (("b_ml", "spheres"), ("c", "spheres")),
}


def check_protocol(model: type[Table], tables: Mapping[str, Any], where: str) -> None:
    """Refuse a protocol with unknown keys, wrong values, or keys that belong to one case.

    Parameters
    ----------
    model : type
        That of a whole case; keys that it needs may be missing here.
    tables : mapping
        As the TOML file has them.
    where : str
        The file, for messages.

    Raises
    ------
    InputError
        Names the file, every wrong key, and for an unknown one the nearest known.
    """
    check_part(model, tables, where)
    found = [key for key in OF_ONE_CASE if _holds(tables, key)]
    if found:
        msg = (
            f"{where}: {', '.join(found)} belong{'s' * (len(found) == 1)} to one case and would be taken for every case of the "
            "site; write it into the case file."
        )
        raise InputError(msg, code="key-of-one-case", keys=tuple(found))


def lay_over(below: Mapping[str, Any], above: Mapping[str, Any], table: str = "") -> dict[str, Any]:
    """Tables over tables: those above win, tables merge key by key, lists are replaced.

    Parameters
    ----------
    below, above : mapping
        Neither is changed.
    table : str
        Name of the table that they are, for keys that exclude each other.
    """
    taken = {key for group in EITHER.get(table, ()) if any(key in above for key in group) for key in group}
    merged: dict[str, Any] = {key: value for key, value in below.items() if key in above or key not in taken}
    for key, value in above.items():
        under = merged.get(key)
        both = isinstance(value, dict) and isinstance(under, dict)
        merged[key] = lay_over(under, value, key) if both else value  # type: ignore[arg-type]  # both are tables
    return merged


def _holds(tables: Mapping[str, Any], dotted: str) -> bool:
    table, _, key = dotted.partition(".")
    inner = tables.get(table)
    return inner is not None and (not key or (isinstance(inner, dict) and key in inner))
