"""Masses and T/N for the compartment models from an assessed image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from voxeldose.dose.liver_parts import NONPERFUSED, PERFUSED
from voxeldose.errors import QuantityError
from voxeldose.model.best_value import best_value
from voxeldose.model.remarks import Remark
from voxeldose.planning.territories import Territory, Tumor

if TYPE_CHECKING:
    from voxeldose.model.assessment import Assessment

__all__ = ["ImageTerritory", "perfused_mass_g", "territory_of", "tumor_ml", "tumor_part_of"]


@dataclass(frozen=True)
class ImageTerritory:
    """The partition model's territory as an image shows it.

    ``unperfused_g`` is normal liver outside the perfused region, ``normal_ml`` the volume of the normal liver in it.
    """

    territory: Territory
    unperfused_g: float
    normal_ml: float
    assumptions: tuple[Remark, ...]


def perfused_mass_g(result: Assessment, roi: str | None = None) -> tuple[float, str]:
    """Mass of the perfused volume, and the name of its region.

    Raises
    ------
    QuantityError
        If no region is named and there is not exactly one of role ``perfused``.
    """
    if roi is not None and roi not in result.rois:
        msg = f"There is no region {roi!r}; regions are {', '.join(result.rois)}."
        raise QuantityError(msg, code="region-unknown", roi=roi)
    names = [roi] if roi is not None else _with_role(result, "perfused")
    if len(names) != 1:
        msg = (
            f"One region of role 'perfused' is needed, found {len(names)} ({', '.join(names) or 'none'}). Give it that role in "
            "the case, or name the region (--roi)."
        )
        raise QuantityError(msg, code="region-missing", role="perfused")
    return result.rois[names[0]].mass_g, names[0]


def territory_of(result: Assessment, lung_shunt_fraction: float | None = None) -> ImageTerritory:
    """The partition model's territory from an image: masses, and T/N as activity per gram in each treated tumor over normal liver.

    Normal liver is the run's perfused normal liver, or all normal liver where no perfused region is given; tumors that are not
    reached are not in the territory (:mod:`voxeldose.dose.tumor_to_normal`). With one density, activity per gram and per
    millilitre give the same ratio.

    Raises
    ------
    QuantityError
        If there is no treated tumor or no normal liver, several perfused regions, or no activity in normal liver.
    """
    tumors, perfused, normals = (_with_role(result, role) for role in ("tumor", "perfused", "normal_liver"))
    if not tumors:
        msg = f"The partition model needs a region of role 'tumor'; found {', '.join(result.rois) or 'no region'}."
        raise QuantityError(msg, code="region-missing", role="tumor")
    if len(perfused) > 1:
        msg = f"Several perfused regions ({', '.join(perfused)}) are several infusions; give their masses with --territories."
        raise QuantityError(msg, code="regions-several", role="perfused")
    tumors = [name for name in tumors if result.rois[name].reached is not False]
    within = [PERFUSED] if result.tumor_to_normal_region == PERFUSED else normals
    mass_g, mbq, normal_ml = (
        sum(getattr(result.rois[n], key) for n in within) for key in ("mass_g", "activity_mbq", "volume_ml")
    )
    if not tumors or mass_g <= 0 or mbq <= 0:
        msg = (
            f"The partition model needs treated tumors and normal liver with activity; found {len(tumors)} treated tumors, "
            f"{mass_g:.1f} g and {mbq:.3g} MBq of normal liver. Give liver or normal_liver as a region, and the perfused region."
        )
        raise QuantityError(msg, code="region-missing", role="normal_liver")
    ratios = {name: _ratio(result, name, mbq / mass_g) for name in tumors}
    parts = tuple(Tumor(name, result.rois[name].mass_g, one.value) for name, one in ratios.items())
    better = [
        f"{name} {one.value:.3g} (in the image {one.image:.3g})" for name, one in ratios.items() if one.is_recovered
    ]
    remarks = [_normal_remark(within, perfused)]
    if better:
        sentence = f"T/N is resolution recovered: {'; '.join(better)}."
        remarks.append(Remark("tumor-to-normal-recovered", {"rois": ", ".join(tumors)}, sentence))
    unperfused_g = result.rois[NONPERFUSED].mass_g if within == [PERFUSED] and NONPERFUSED in result.rois else 0.0
    territory = Territory(parts, mass_g, lung_shunt_fraction, perfused[0] if perfused else "liver")
    masses = Remark("mass-by-density", {}, "Masses are volumes of the regions times the run's density.")
    return ImageTerritory(territory, unperfused_g, normal_ml, (*remarks, masses))


def _normal_remark(within: list[str], perfused: list[str]) -> Remark:
    """Which normal liver the territory has."""
    if within == [PERFUSED]:
        sentence = f"Normal liver is {PERFUSED}, what {perfused[0]} holds of it; T/N is activity per gram there."
        return Remark("normal-liver-of-perfused", {"roi": perfused[0]}, sentence)
    sentence = (
        f"Normal liver is {', '.join(within)}. Where the infusion reaches a part of the liver only, T/N comes out too high: "
        "give the perfused region."
    )
    return Remark("normal-liver-whole", {"roi": ", ".join(within)}, sentence)


class _Ratio(NamedTuple):
    """T/N of a tumor: the best one, the image's own, and whether they are from different methods."""

    value: float
    image: float
    is_recovered: bool


def _ratio(result: Assessment, name: str, normal_mbq_per_g: float) -> _Ratio:
    """Activity per gram over that of normal liver; the recovered ratio, which has the same normal liver, where there is one."""
    image = result.rois[name].activity_mbq / result.rois[name].mass_g / normal_mbq_per_g
    best = best_value(result, name, "tumor_to_normal")
    if best.kind == "recovered" and best.value is not None:
        return _Ratio(best.value, image, True)
    return _Ratio(image, image, False)


def tumor_ml(result: Assessment, *, treated: bool = False) -> float:
    """Volume of all tumors, or of the treated ones, together; what two of them share counted once; 0 without any."""
    tumors = [n for n in _with_role(result, "tumor") if not (treated and result.rois[n].reached is False)]
    shared = sum(o.volume_ml for o in result.overlaps if o.first in tumors and o.second in tumors)
    return sum(result.rois[name].volume_ml for name in tumors) - shared


def tumor_part_of(result: Assessment) -> tuple[float, str]:
    """Volume of the tumors over that of tumors and normal liver, and the regions' names.

    Raises
    ------
    QuantityError
        If there is no normal liver.
    """
    normals = _with_role(result, "normal_liver")
    normal_ml = sum(result.rois[name].volume_ml for name in normals)
    if not normal_ml > 0:
        msg = (
            f"The tumor's part of the liver needs a region of the liver; found {', '.join(result.rois) or 'no region'}."
        )
        raise QuantityError(msg, code="region-missing", role="normal_liver")
    tumors = tumor_ml(result)
    return tumors / (tumors + normal_ml), ", ".join((*_with_role(result, "tumor"), *normals))


def _with_role(result: Assessment, role: str) -> list[str]:
    return [name for name, m in result.rois.items() if m.role == role]
