"""BED, EUD, control and complication probability of a region, with named parameter sets and their sources."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from voxeldose.dose.radiobiology import (
    bed_gy,
    complication_by_set,
    complication_probability,
    control_probability,
    eubed_gy,
    eud_gy,
    geud_gy,
    poisson_control,
)
from voxeldose.errors import QuantityError
from voxeldose.io.results.content import remark_rows
from voxeldose.model.remarks import Remark
from voxeldose.model.tissue import (
    complication_set,
    complication_sets,
    control_set,
    control_sets,
    linear_quadratic_set,
    linear_quadratic_sets,
    require_one_tissue,
)
from voxeldose.planning.answers.dosed_regions import Region, require_doses
from voxeldose.planning.answers.facts import constants_facts, note_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voxeldose.model.radionuclide import Radionuclide
    from voxeldose.model.tissue import Complication, Control, Radiobiology

__all__ = [
    "ParameterSets",
    "RadiobiologyAnswer",
    "RadiobiologyQuestion",
    "answer_radiobiology",
    "list_parameter_sets",
]

ONE_GROUP = Remark(
    "parameters-of-a-group",
    {},
    "Parameter sets describe groups of patients, not one: no number here is a prediction for a patient.",
)
OF_MEAN = Remark(
    "bed-of-mean-dose",
    {},
    "The BED for the complication curve is that of the mean dose, as if it were even; its source does not say which was taken.",
)
IN_VITRO = Remark(
    "dose-taken-as-in-vitro-eud",
    {},
    "The dose given is taken as an EUD with in-vitro radiosensitivity, as the curve needs.",
)
FORMULAS = {
    "bed_gy": "BED = D (1 + G D / (α/β)), G = T_rep / (T_rep + T½), mean over the region",
    "bed_of_mean_gy": "BED of the mean dose",
    "eud_gy": "EUD = -ln(Σ w exp(-α D) / Σ w) / α",
    "eubed_gy": "EUBED = -ln(Σ w exp(-α BED) / Σ w) / α",
    "geud_gy": "gEUD = (Σ w D^a / Σ w)^(1/a)",
    "control_probability": "1 / (1 + (D50/D)^slope)",
    "poisson_control_probability": "exp(-N exp(-α EUBED))",
    "complication_probability": "Φ((D - TD50) / (m TD50))",
    "sum_dose_gy": "Σ D of the treatments",
    "sum_bed_gy": "Σ BED of the treatments, each with its own dose",
}


@dataclass(frozen=True)
class RadiobiologyQuestion:
    """What is asked of a region's dose.

    Parameters
    ----------
    set_name, control, complication : str, optional
        Names of parameter sets; :func:`list_parameter_sets` has them. No curve is taken unless it is named.
    geud_a : float, optional
        Also the generalised EUD with this a.
    earlier_gy : tuple of float
        Doses of earlier treatments; their BED is added.
    slope, clonogens, td50_gy, m : float, optional
        Numbers of one's own for the curves; ``source`` says where they come from.
    device : str, optional
        ``glass`` or ``resin``: curves found with other spheres are refused.
    """

    set_name: str | None = None
    control: str | None = None
    complication: str | None = None
    geud_a: float | None = None
    earlier_gy: tuple[float, ...] = ()
    slope: float | None = None
    clonogens: float | None = None
    td50_gy: float | None = None
    m: float | None = None
    source: str | None = None
    device: str | None = None

    @property
    def own_numbers(self) -> tuple[str, ...]:
        """The names of the numbers that are not a set's."""
        return tuple(k for k in ("slope", "clonogens", "td50_gy", "m") if getattr(self, k) is not None)

    @property
    def contradiction(self) -> str | None:
        """What does not go together in the question, in the words of the command's options; ``None`` if all does."""
        own, has_curve = self.own_numbers, self.control is not None or self.complication is not None
        rules = (
            (own and not self.source, f"say with --source where {', '.join(own)} come from."),
            (self.complication and self.td50_gy is not None, "give --complication or --td50-gy, not both."),
            (self.td50_gy is not None and self.m is None, "--td50-gy and --m belong together."),
            (
                self.m is not None and self.td50_gy is None and self.complication is None,
                "--td50-gy and --m belong together, or --complication and --m.",
            ),
            (
                self.earlier_gy and (self.set_name is None or own or has_curve),
                "--earlier-gy needs --set for the BED of each treatment, and no curve: those were found after one treatment.",
            ),
            (self.clonogens is not None and self.set_name is None, "--clonogens needs --set, for α and the EUBED."),
        )
        return next((message for is_wrong, message in rules if is_wrong), None)


@dataclass(frozen=True, eq=False)
class _Sets:
    """The parameter sets that are asked for."""

    tissue: Radiobiology | None
    control: Control | None
    complication: Complication | None

    @property
    def chosen(self) -> tuple[Radiobiology | Control | Complication, ...]:
        return tuple(s for s in (self.tissue, self.control, self.complication) if s is not None)


@dataclass(frozen=True)
class ParameterSets:
    """Every parameter set with its source, by kind."""

    linear_quadratic: tuple[Radiobiology, ...]
    control: tuple[Control, ...]
    complication: tuple[Complication, ...]

    def as_dict(self) -> dict[str, Any]:
        """The content that ``--json`` prints."""
        return {kind: [asdict(s) for s in sets] for kind, sets in vars(self).items()}

    def lines(self) -> list[str]:
        """Each set with its numbers and source as text."""
        text = []
        for row in (row for rows in self.as_dict().values() for row in rows):
            numbers = ", ".join(f"{k} {v:g}" for k, v in row.items() if isinstance(v, float))
            quoted = "" if row.get("seen", True) else " [quoted; the series was not read]"
            of = f" of {row['quantity']}" if "quantity" in row else ""
            of += f", {row['device']} spheres" if row.get("device") else ""
            text += [f"{row['name']} ({row['tissue']}, {row['year']}): {numbers}{of}{quoted}", f"  {row['source']}"]
        return text

    def notes(self) -> list[str]:
        """None."""
        return []


def list_parameter_sets() -> ParameterSets:
    """Every parameter set with its source, by kind."""
    return ParameterSets(
        tuple(linear_quadratic_sets().values()), tuple(control_sets().values()), tuple(complication_sets().values())
    )


@dataclass(frozen=True, eq=False)
class RadiobiologyAnswer:
    """Numbers of a region by name, and what they rest on."""

    numbers: Mapping[str, float]
    question: RadiobiologyQuestion
    region: Region
    roi: str | None
    sources: tuple[str, ...]
    warnings: tuple[Remark, ...]

    @property
    def radionuclide(self) -> Radionuclide:
        """With the constants."""
        return self.region.radionuclide

    def as_dict(self) -> dict[str, Any]:
        """The content that ``--json`` prints."""
        asked, region = self.question, self.region
        inputs: dict[str, Any] = {"roi": self.roi}
        inputs |= {k: getattr(asked, k) for k in ("geud_a", "slope", "clonogens", "td50_gy", "m")}
        inputs |= region.inputs or {"dose_gy": [], "volume_ml": []}
        inputs |= {"earlier_gy": list(asked.earlier_gy)}
        inputs |= {"role": region.role, "device": asked.device or region.device}
        return {
            "schema": "voxeldose/radiobiology/1",
            **self.numbers,
            "formula": {key: FORMULAS[key] for key in self.numbers if key in FORMULAS},
            "constants": constants_facts(self.radionuclide),
            "inputs": inputs,
            "set": asked.set_name,
            "control": asked.control,
            "complication": asked.complication,
            "half_life_h": self.radionuclide.half_life_h,
            "sources": list(self.sources),
            "warnings": remark_rows(self.warnings),
        }

    def lines(self) -> list[str]:
        """The numbers with their formulas as text, and what they rest on."""
        nuclide = self.radionuclide
        numbers = [
            f"{key} {self.numbers[key]:.4g}" + (f"   {FORMULAS[key]}" if key in FORMULAS else "")
            for key in ("mean_dose_gy", *FORMULAS)
            if key in self.numbers
        ]
        constants = f"T½ {nuclide.half_life_h:g} h ({nuclide.constants}: {nuclide.source})"
        return [*numbers, constants, *(f"source: {source}" for source in self.sources)]

    def notes(self) -> list[str]:
        """Its warnings."""
        return note_lines(self.warnings)


def answer_radiobiology(
    question: RadiobiologyQuestion, region: Region, *, roi: str | None = None
) -> RadiobiologyAnswer:
    """BED, EUD and probabilities of a region.

    Parameters
    ----------
    question : RadiobiologyQuestion
        Sets and curves.
    region : Region
        From doses, an assessment or results.
    roi : str, optional
        Its name.

    Raises
    ------
    QuantityError
        If sets of different tissues are mixed, a set is for another role or device, or a curve lacks a number.
    """
    require_doses(question.earlier_gy)
    sets = _Sets(
        linear_quadratic_set(question.set_name) if question.set_name else None,
        control_set(question.control) if question.control else None,
        complication_set(question.complication) if question.complication else None,
    )
    require_one_tissue(sets.tissue, sets.control, sets.complication)
    if region.role is not None:
        for chosen in sets.chosen:
            chosen.require_role(region.role)
    for curve in (sets.control, sets.complication):
        if curve is not None:
            curve.require_device(question.device or region.device)
    numbers = _numbers(region, sets.tissue, question)
    control, control_warnings = _control(numbers, region, sets, question)
    complication, complication_warnings = _complication(numbers, region, sets, question)
    sources = [s.source + ("" if getattr(s, "seen", True) else " (original not read)") for s in sets.chosen]
    if question.own_numbers and question.source is not None:
        sources.append(question.source)
    return RadiobiologyAnswer(
        numbers | control | complication,
        question,
        region,
        roi,
        (*sources, region.radionuclide.source),
        (ONE_GROUP, *region.warnings, *control_warnings, *complication_warnings),
    )


def _numbers(region: Region, tissue: Radiobiology | None, question: RadiobiologyQuestion) -> dict[str, float]:
    nuclide = region.radionuclide
    numbers = dict(region.numbers)
    dose, weights = region.dose_gy, region.volume_ml
    if dose is not None and weights is not None:
        numbers["mean_dose_gy"] = float((dose * weights).sum() / weights.sum())
        if tissue is not None:
            numbers["bed_gy"] = float((bed_gy(dose, tissue, nuclide) * weights).sum() / weights.sum())
            numbers["eud_gy"] = eud_gy(dose, weights, tissue.alpha_per_gy)
            numbers["eubed_gy"] = eubed_gy(dose, weights, tissue, nuclide)
        if question.geud_a is not None:
            numbers["geud_gy"] = geud_gy(dose, weights, question.geud_a)
    if tissue is not None:
        numbers["bed_of_mean_gy"] = float(bed_gy(np.asarray(numbers["mean_dose_gy"]), tissue, nuclide))
        if question.earlier_gy:
            earlier = np.array(question.earlier_gy, float)
            numbers["sum_dose_gy"] = numbers["mean_dose_gy"] + float(earlier.sum())
            numbers["sum_bed_gy"] = numbers["bed_gy"] + float(bed_gy(earlier, tissue, nuclide).sum())
    return numbers


def _control(
    numbers: Mapping[str, float], region: Region, sets: _Sets, question: RadiobiologyQuestion
) -> tuple[dict[str, float], tuple[Remark, ...]]:
    """Control probability by a curve, and by a number of clonogenic cells."""
    found: dict[str, float] = {}
    warnings: tuple[Remark, ...] = ()
    if sets.control is not None:
        quantity = sets.control.quantity
        if quantity == "eud_in_vitro_gy":
            if region.parts != 1:
                msg = (
                    f"The curve {sets.control.name} is of an EUD with in-vitro radiosensitivity; give that EUD as the one "
                    "--dose-gy."
                )
                raise QuantityError(msg, code="quantity-missing", quantity=quantity)
            quantity, warnings = "mean_dose_gy", (IN_VITRO,)
        value = _quantity(numbers, quantity, sets.control.name)
        found["control_probability"] = control_probability(value, sets.control, question.slope)
    if question.clonogens is not None:
        tissue = sets.tissue
        if tissue is None or numbers.get("eubed_gy") is None:
            msg = "A number of clonogenic cells needs a parameter set, for α and the EUBED."
            raise QuantityError(msg, code="parameter-set-missing")
        if "tumor" not in _roles(region, sets):
            msg = f"Clonogenic cells are a tumor's; the set {tissue.name} is for {tissue.tissue}."
            raise QuantityError(msg, code="tissue-differs")
        found["poisson_control_probability"] = poisson_control(
            numbers["eubed_gy"], tissue.alpha_per_gy, question.clonogens
        )
    return found, warnings


def _complication(
    numbers: Mapping[str, float], region: Region, sets: _Sets, question: RadiobiologyQuestion
) -> tuple[dict[str, float], tuple[Remark, ...]]:
    """Complication probability by a mean dose of one's own for one half, or by a curve."""
    found: dict[str, float] = {}
    if question.td50_gy is not None and question.m is not None:
        if "tumor" in _roles(region, sets):
            msg = "A complication is of normal tissue, and the dose here is a tumor's. Ask for the region that is at risk."
            raise QuantityError(msg, code="tissue-differs")
        found["complication_probability"] = complication_probability(
            numbers["mean_dose_gy"], question.td50_gy, question.m
        )
    if sets.complication is None:
        return found, ()
    value = _quantity(numbers, sets.complication.quantity, sets.complication.name)
    found["complication_probability"] = complication_by_set(value, sets.complication, question.m)
    return found, (OF_MEAN,)


def _roles(region: Region, sets: _Sets) -> set[str]:
    if region.role is not None:
        return {region.role}
    return set(sets.tissue.roles) if sets.tissue is not None else set()


def _quantity(numbers: Mapping[str, float], quantity: str, curve: str) -> float:
    value = numbers.get(quantity)
    if value is None:
        msg = f"The curve {curve} is of {quantity}; name a parameter set for it (--set)."
        raise QuantityError(msg, code="parameter-set-missing", quantity=quantity)
    return value
