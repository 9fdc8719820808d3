"""How much more tumors got than normal liver (T/N): one policy for every place that shows it.

Each treated tumor is compared with the perfused normal liver where a perfused region is given, else with normal liver; by
activity per millilitre, as counts would show it, and by mean dose. The pooled value is that of all treated tumors together. A
tumor counts as treated if at least half of its volume lies in perfused regions, or if no perfused region is given.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from voxeldose.dose.liver_parts import PERFUSED
from voxeldose.errors import QuantityError
from voxeldose.model.assessment import TumorToNormal
from voxeldose.model.limits import meets
from voxeldose.model.remarks import Remark

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voxeldose.model.assessment import RoiNumbers

__all__ = ["POOLED", "REACHED", "Ratios", "is_reached", "not_reached_remark", "tumor_to_normal", "tumor_to_normal_of"]

#: A tumor is treated if at least this part of its volume lies in perfused regions (a definition, not a finding).
REACHED = 0.5
#: Name of the row of several tumors together.
POOLED = "treated tumors"


@dataclass(frozen=True)
class Ratios:
    """T/N of a run.

    Parameters
    ----------
    rows : tuple of TumorToNormal
        Each tumor, and the treated ones together where there are several; no ratio for a tumor that is not reached.
    pooled : float or None
        Of all treated tumors together, by concentration.
    region : str or None
        The normal region they are compared with.
    assumptions : tuple of Remark
        What that region leaves open.
    """

    rows: tuple[TumorToNormal, ...] = ()
    pooled: float | None = None
    region: str | None = None
    assumptions: tuple[Remark, ...] = ()


def is_reached(perfused_fraction: float | None) -> bool | None:
    """Whether a tumor is treated, by the part of it in perfused regions; ``None`` where there are none."""
    return None if perfused_fraction is None else meets(perfused_fraction, "at least", REACHED)


def not_reached_remark(rois: Mapping[str, RoiNumbers]) -> tuple[Remark, ...]:
    """The one warning of all tumors that the infusion was not meant to reach; none without such a tumor."""
    left = {name: m.perfused_fraction or 0.0 for name, m in rois.items() if m.reached is False}
    if not left:
        return ()
    parts = ", ".join(f"{name} ({100 * part:.0f} % of it)" for name, part in left.items())
    sentence = (
        f"Not reached, since less than half lies in a perfused region: {parts}. Not in T/N of the treated tumors, not planned "
        "for, and not compared with limits."
    )
    return (Remark("tumors-not-reached", {"tumors": ", ".join(left)}, sentence),)


def tumor_to_normal(rois: Mapping[str, RoiNumbers], normals: Mapping[str, RoiNumbers]) -> Ratios:
    """T/N of every tumor of a run.

    Tumors that overlap each other count their shared voxels twice in the pooled value.

    Parameters
    ----------
    rois : mapping
        Name to numbers of every region, with what tumors are reached.
    normals : mapping
        The regions of normal liver, or the one union of several, by name.
    """
    tumors = {name: m for name, m in rois.items() if m.role == "tumor"}
    if not tumors:
        return Ratios()
    perfused = [name for name, m in rois.items() if m.role == "perfused"]
    if perfused and PERFUSED in rois:
        name, normal = PERFUSED, rois[PERFUSED]
        definition = f"{PERFUSED} (normal liver inside {', '.join(perfused)})"
    elif normals:
        name, normal = next(iter(normals.items()))
        definition = f"whole normal liver: {name}"
    else:
        return Ratios()
    treated = {n: (m.activity_mbq, m.volume_ml, m.mean_dose_gy) for n, m in tumors.items() if m.reached is not False}
    found = _ratios(treated, (normal.activity_mbq, normal.volume_ml, normal.mean_dose_gy), definition)
    by_name = {row.roi: row for row in found}
    missing = TumorToNormal("", None, None, definition, normal.volume_ml, reached=False)
    rows = [by_name.get(n) or replace(missing, roi=n) for n in tumors]
    rows += [row for row in found if row.roi == POOLED]
    pooled = found[-1].by_concentration if found else None
    return Ratios(tuple(rows), pooled, name, () if name == PERFUSED else _of_whole_liver(name, perfused))


def _of_whole_liver(name: str, perfused: list[str]) -> tuple[Remark, ...]:
    why = "no perfused region is given"
    if perfused:
        why = f"{', '.join(perfused)} holds no normal liver"
    sentence = (
        f"T/N is against whole normal liver: {name}, as {why}; where only a part of the liver was infused this makes it too "
        "high."
    )
    return (Remark("tumor-to-normal-of-whole-liver", {"roi": name}, sentence),)


def tumor_to_normal_of(
    tumors: Mapping[str, tuple[float, float]],
    normal: tuple[float, float],
    definition: str,
    *,
    by_dose: bool = False,
) -> tuple[TumorToNormal, ...]:
    """Each tumor, and all pooled, against a normal region, from numbers alone: ``(N_T/V_T) / (N_N/V_N)``.

    Parameters
    ----------
    tumors : mapping
        Name to counts (or activity) and volume in mL; with ``by_dose`` to mean dose in Gy and volume in mL.
    normal : (float, float)
        The same of the normal region.
    definition : str
        What the normal region is; perfused normal liver alone gives the ratio that the partition model needs.
    by_dose : bool
        Whether the first numbers are mean doses.

    Raises
    ------
    QuantityError
        If there is no tumor, a volume is not above 0, a number is negative, or the normal region holds nothing.
    """
    for name, (amount, volume) in (*tumors.items(), ("the normal region", normal)):
        if not (math.isfinite(amount) and amount >= 0 and math.isfinite(volume) and volume > 0):
            msg = f"{name} needs 0 or more of counts or dose and a volume above 0 mL, found {amount} and {volume}."
            raise QuantityError(msg, code="value-out-of-range", roi=name)
    if not tumors or normal[0] == 0:
        what = "a tumor" if not tumors else "counts or dose in the normal region, found 0"
        msg = f"T/N needs {what}."
        raise QuantityError(msg, code="tumor-to-normal-undefined")
    nan = math.nan

    def row(amount: float, volume: float) -> tuple[float, float, float]:
        return (nan, volume, amount) if by_dose else (amount, volume, nan)

    return _ratios({name: row(*of) for name, of in tumors.items()}, row(*normal), definition)


def _ratios(
    rows: dict[str, tuple[float, float, float]], normal: tuple[float, float, float], definition: str
) -> tuple[TumorToNormal, ...]:
    """Ratios of amount per millilitre and of mean dose; rows are (amount, mL, Gy), the pool of several rows is added."""
    if len(rows) > 1:
        amounts, volumes, doses = zip(*rows.values(), strict=True)
        volume = sum(volumes)
        dose = sum(gy * ml for gy, ml in zip(doses, volumes, strict=True)) / volume
        rows = rows | {POOLED: (sum(amounts), volume, dose)}
    per_ml, gy = normal[0] / normal[1], normal[2]
    return tuple(
        TumorToNormal(
            name,
            amount / volume / per_ml if per_ml > 0 else None,
            dose / gy if gy > 0 else None,
            definition,
            normal[1],
        )
        for name, (amount, volume, dose) in rows.items()
    )
