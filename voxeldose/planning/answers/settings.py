"""What plans are asked from: the setting of a plan of any kind, and the compartments of a partition plan."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from voxeldose.errors import QuantityError
from voxeldose.model.radionuclide import y90_constants
from voxeldose.model.remarks import Remark
from voxeldose.planning.from_assessment import territory_of
from voxeldose.planning.territories import Territory, Tumor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from voxeldose.model.assessment import Assessment
    from voxeldose.model.limits import Limit
    from voxeldose.model.radionuclide import Radionuclide

__all__ = [
    "Compartments",
    "PartitionGoals",
    "PlanSetting",
    "compartments_of_file",
    "compartments_of_image",
    "compartments_of_masses",
    "site_limits",
]


@dataclass(frozen=True)
class PlanSetting:
    """What holds for a plan of any kind.

    Parameters
    ----------
    assessment : Assessment, optional
        Of the pre-treatment image; its case says what is not given here.
    constants : str, optional
        Set of Y-90 constants, ``ddep`` without it; those of the assessment where there is one.
    lung_shunt_fraction : float, optional
        0 to 1.
    lung_mass_g : float, optional
        1000 g, the convention, without it.
    device : str, optional
        ``glass`` or ``resin``; decides the limits shown.
    bilirubin_mg_per_dl : float, optional
        Decides limits that depend on it; the case's where there is an assessment.
    limits : tuple of Limit, optional
        The published ones without it; the case's where there is an assessment.
    """

    assessment: Assessment | None = None
    constants: str | None = None
    lung_shunt_fraction: float | None = None
    lung_mass_g: float | None = None
    device: str | None = None
    bilirubin_mg_per_dl: float | None = None
    limits: tuple[Limit, ...] | None = None

    @property
    def radionuclide(self) -> Radionuclide:
        """With the set of constants."""
        if self.assessment is not None:
            return self.assessment.case.administration.radionuclide
        return y90_constants(self.constants or "ddep")

    @property
    def shunt_fraction(self) -> float | None:
        """The lung shunt fraction given, or that of the case."""
        if self.lung_shunt_fraction is not None or self.assessment is None:
            return self.lung_shunt_fraction
        return self.assessment.case.administration.lung_shunt_fraction

    @property
    def microspheres(self) -> str | None:
        """The device given, or that of the case."""
        return self.device or (self.assessment.case.administration.device if self.assessment else None)


@dataclass(frozen=True)
class Compartments:
    """Territories of the partition model.

    ``activities_mbq`` are those known of each, ``unperfused_g`` is normal liver that no infusion reaches, ``volumes_ml`` are those of
    the tumors by their names, and of normal liver by an empty one, where an image gives them.
    """

    territories: tuple[Territory, ...]
    activities_mbq: tuple[float | None, ...] = ()
    lung_mass_g: float | None = None
    unperfused_g: float = 0.0
    assumptions: tuple[Remark, ...] = ()
    volumes_ml: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class PartitionGoals:
    """What a partition plan is to reach and to keep, mean doses in Gy."""

    tumor_gy: float | None = None
    normal_limit_gy: float | None = None
    lung_limit_gy: float | None = None


def compartments_of_image(
    setting: PlanSetting, unperfused_g: float | None = None, ratios: Sequence[float] = ()
) -> Compartments:
    """The one territory that the assessment's image shows.

    Parameters
    ----------
    setting : PlanSetting
        With the assessment.
    unperfused_g : float, optional
        Normal liver that the infusion does not reach, in place of the image's.
    ratios : sequence of float
        T/N of each tumor in the order of the image's, or one for all, in place of the image's own.

    Raises
    ------
    QuantityError
        If the setting has no assessment, its regions do not give a territory, or there are not as many ratios as tumors.
    """
    if setting.assessment is None:
        msg = "An assessment is needed, of the image that shows the territory."
        raise QuantityError(msg, code="assessment-missing")
    found = territory_of(setting.assessment, setting.shunt_fraction)
    territory, assumptions = found.territory, found.assumptions
    if ratios:
        territory = replace(territory, tumors=_with_ratios(territory.tumors, ratios))
        pairs = ", ".join(f"{t.name} {t.ratio:g}" for t in territory.tumors)
        sentence = f"T/N is as given ({pairs}); the image's own is not used."
        assumptions = (*assumptions, Remark("ratios-given", {t.name: t.ratio for t in territory.tumors}, sentence))
    rest_g = found.unperfused_g if unperfused_g is None else unperfused_g
    volumes_ml = {t.name: setting.assessment.rois[t.name].volume_ml for t in territory.tumors}
    volumes_ml[""] = found.normal_ml
    return Compartments((territory,), (None,), setting.lung_mass_g, rest_g, assumptions, volumes_ml)


def _with_ratios(tumors: Sequence[Tumor], ratios: Sequence[float]) -> tuple[Tumor, ...]:
    """The tumors with these T/N; one may stand for all.

    Raises
    ------
    QuantityError
        If there are not as many ratios as tumors.
    """
    if len(ratios) not in (len(tumors), 1) or not tumors:
        named = f" ({', '.join(t.name for t in tumors)})" if tumors else ""
        msg = f"{len(tumors)} tumors{named} need as many ratios, or one for all; found {len(ratios)}."
        raise QuantityError(msg, code="values-contradict")
    each = list(ratios) if len(ratios) == len(tumors) else [ratios[0]] * len(tumors)
    return tuple(replace(t, ratio=ratio) for t, ratio in zip(tumors, each, strict=True))


def compartments_of_masses(
    tumor_g: Sequence[float],
    ratios: Sequence[float],
    normal_g: float,
    setting: PlanSetting,
    *,
    unperfused_g: float = 0.0,
) -> Compartments:
    """One territory of tumors with these masses and T/N; one ratio may stand for all.

    Raises
    ------
    QuantityError
        If there are not as many ratios as tumors, or a number is impossible.
    """
    tumors = tuple(Tumor(f"tumor_{n}", mass, 1.0) for n, mass in enumerate(tumor_g, 1))
    if tumors or ratios:
        tumors = _with_ratios(tumors, ratios)
    territory = Territory(tumors, normal_g, setting.lung_shunt_fraction, "liver")
    return Compartments((territory,), (None,), setting.lung_mass_g, unperfused_g)


def compartments_of_file(path: Path, setting: PlanSetting, unperfused_g: float | None = None) -> Compartments:
    """Territories of a TOML file; what the setting and ``unperfused_g`` say comes before the file.

    Raises
    ------
    InputError
        If the file cannot be used.
    """
    from voxeldose.io.config.plan import read_territories

    table = read_territories(path)
    territories = tuple(
        Territory(
            tuple(Tumor(t.name, t.mass_g, t.tn) for t in row.tumors),
            row.normal_g,
            row.lung_shunt_fraction if row.lung_shunt_fraction is not None else setting.lung_shunt_fraction,
            row.name,
        )
        for row in table.territory
    )
    return Compartments(
        territories,
        tuple(row.activity_mbq for row in table.territory),
        setting.lung_mass_g if setting.lung_mass_g is not None else table.lung_g,
        table.unperfused_g if unperfused_g is None else unperfused_g,
    )


def site_limits(path: Path) -> tuple[Limit, ...]:
    """A site's own limits, with the published ones unless its file says otherwise.

    Raises
    ------
    InputError
        If the file cannot be used.
    """
    from voxeldose.dose.limits import merged, published_limits
    from voxeldose.io.config.limits import read_limits

    own, with_published = read_limits(path)
    return merged(published_limits() if with_published else (), own)
