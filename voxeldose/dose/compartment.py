"""One compartment: the mean dose of a volume that holds an activity and keeps all its energy, ``K A / m``.

The evidence for radiation segmentectomy was found this way: mean of the perfused volume, tumor and normal liver alike. It
needs no image but for the mass, so it stands beside the mean of the dose map and is not replaced by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from voxeldose.model.remarks import Remark

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from voxeldose.model.assessment import RoiNumbers
    from voxeldose.model.remarks import Numbers
    from voxeldose.model.territory import TerritoryActivity

__all__ = ["compartment_gy", "held_by_perfused", "single_compartments_gy"]


def compartment_gy(gy_kg_per_gbq: float, mbq: float, mass_g: float, *, part: float = 1.0) -> float:
    """``K A part / m``: the mean dose of a compartment that holds this part of an activity and keeps all its energy."""
    return gy_kg_per_gbq * mbq * part / mass_g


def held_by_perfused(
    rois: Mapping[str, RoiNumbers], held_mbq: float | None, territories: Sequence[TerritoryActivity] = ()
) -> tuple[dict[str, float], tuple[Remark, ...]]:
    """The activity that goes to each perfused region, MBq, and how it was shared where there are several.

    All of it goes to the one perfused region. Several share it as the image's activity inside them; a region without any gets
    none. Where each infusion is known, its territory's region has its own.

    Parameters
    ----------
    rois : mapping
        Name to numbers of each region of the run.
    held_mbq : float, optional
        Net activity less the lung shunt; nothing is answered without it.
    territories : sequence of TerritoryActivity
        What each territory got, where several vessels were infused.
    """
    if territories:
        return {one.roi: one.held_mbq for one in territories if one.roi in rois}, ()
    perfused = {name: max(m.activity_mbq, 0.0) for name, m in rois.items() if m.role == "perfused"}
    seen = sum(perfused.values())
    if held_mbq is None or not perfused:
        return {}, ()
    if len(perfused) == 1:
        return dict.fromkeys(perfused, held_mbq), ()
    if seen <= 0:
        return {}, ()
    shares = {name: held_mbq * mbq / seen for name, mbq in perfused.items()}
    parts = ", ".join(f"{name} {mbq:.4g} MBq" for name, mbq in shares.items())
    sentence = (
        f"One activity is given and {len(shares)} perfused regions: {held_mbq:.4g} MBq (net, less the lung shunt) are shared "
        f"among them as the activity that the image shows inside: {parts}."
    )
    numbers: Numbers = {"held_mbq": held_mbq, "regions": ", ".join(shares)}
    return shares, (Remark("perfused-activity-shared", numbers, sentence),)


def single_compartments_gy(
    rois: Mapping[str, RoiNumbers], held_by: Mapping[str, float], gy_kg_per_gbq: float
) -> dict[str, float]:
    """``K A (1 - LSF) / m`` of each perfused region, Gy.

    Parameters
    ----------
    rois : mapping
        Name to numbers; the mass is theirs.
    held_by : mapping
        Name to the activity that stays in the region, MBq (:func:`held_by_perfused`).
    gy_kg_per_gbq : float
        K of the run's set of constants.
    """
    return {name: compartment_gy(gy_kg_per_gbq, mbq, rois[name].mass_g) for name, mbq in held_by.items()}
