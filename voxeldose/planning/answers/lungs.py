"""Lung shunt fraction and dose to the lungs, next to the limits."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from voxeldose.dose.lungs.dose import lung_dose
from voxeldose.dose.lungs.spect import lung_mass, spect_shunt
from voxeldose.errors import QuantityError
from voxeldose.io.results.content import remark_rows
from voxeldose.model.lungs import LIMIT_SOURCE, LungDose, LungMass, LungSettings
from voxeldose.model.radionuclide import Radionuclide, y90_constants
from voxeldose.model.remark_groups import texts_of
from voxeldose.model.remarks import Remark
from voxeldose.model.wording import dose as dose_words
from voxeldose.model.wording import number
from voxeldose.planning.answers.facts import constants_facts, note_lines

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from voxeldose.model.administration import Administration
    from voxeldose.model.lungs import LungShunt
    from voxeldose.model.roi import RoiSet
    from voxeldose.model.volume import ActivityMap, CountMap, DensityMap

__all__ = [
    "LungDoseAnswer",
    "LungImage",
    "LungQuestion",
    "LungShuntAnswer",
    "SpectFiles",
    "answer_lung_dose",
    "answer_lung_shunt",
    "answer_lung_shunt_of_files",
    "answer_lung_shunt_of_image",
]

SCHEMA = "voxeldose/lung-shunt/1"


@dataclass(frozen=True)
class LungQuestion:
    """What is asked of the lungs' dose.

    Parameters
    ----------
    activity_mbq : float, optional
        In the patient at the infusion; without it there is no dose.
    lung_mass_g : float, optional
        Of both lungs; 1000 g by convention, or that of the CT, without it.
    earlier_gy : tuple of float
        Lung doses of earlier treatments.
    constants : str, optional
        Set of Y-90 constants, ``ddep`` without it.
    """

    activity_mbq: float | None = None
    lung_mass_g: float | None = None
    earlier_gy: tuple[float, ...] = ()
    constants: str | None = None

    @property
    def radionuclide(self) -> Radionuclide:
        """With the set of constants."""
        return y90_constants(self.constants or "ddep")

    def of_case(
        self, known: LungSettings, *, volume_ml: float | None = None, dome_margin_mm: float | None = None
    ) -> tuple[LungQuestion, LungSettings]:
        """The question and what is known of whole lungs, with the case's values where none is given here.

        A mass or a volume given here scales lungs that are cut in place of what the case says.
        """
        asked = replace(self, earlier_gy=self.earlier_gy or known.earlier_gy)
        is_given = self.lung_mass_g is not None or volume_ml is not None
        if not is_given:
            asked, volume_ml = replace(asked, lung_mass_g=known.mass_g), known.volume_ml
        margin = known.dome_margin_mm if dome_margin_mm is None else dome_margin_mm
        return asked, LungSettings(volume_ml=volume_ml, dome_margin_mm=margin)

    def mass(self, measured: LungMass | None) -> LungMass | None:
        """The mass that is given, or the one measured."""
        return measured if self.lung_mass_g is None else LungMass(self.lung_mass_g, "given by the user")


@dataclass(frozen=True)
class LungDoseAnswer:
    """The lungs' dose by a known shunt fraction."""

    shunt_fraction: float
    dose: LungDose
    question: LungQuestion

    @property
    def radionuclide(self) -> Radionuclide:
        """With the set of constants."""
        return self.question.radionuclide

    @property
    def warnings(self) -> tuple[Remark, ...]:
        """Where the limits are exceeded, or were found with another mass or shunt."""
        return self.dose.warnings

    def as_dict(self) -> dict[str, Any]:
        """The content that ``--json`` prints."""
        return _dose_facts(self.dose, self.question) | {
            "lung_shunt_fraction": self.shunt_fraction,
            "method": "given",
        }

    def lines(self) -> list[str]:
        """The dose and its limits as text."""
        return [f"lung shunt {100 * self.shunt_fraction:.2f} %, given", *_dose_lines(self.dose, self.radionuclide)]

    def notes(self) -> list[str]:
        """Its warnings."""
        return note_lines(self.warnings)


@dataclass(frozen=True)
class LungShuntAnswer:
    """A lung shunt fraction and, where an activity is given, the lungs' dose by it."""

    shunt: LungShunt
    mass: LungMass | None
    dose: LungDose | None
    question: LungQuestion

    @property
    def radionuclide(self) -> Radionuclide:
        """With the set of constants."""
        return self.question.radionuclide

    @property
    def assumptions(self) -> tuple[Remark, ...]:
        """What the shunt rests on."""
        return self.shunt.assumptions

    @property
    def warnings(self) -> tuple[Remark, ...]:
        """Of the shunt, and of the dose."""
        return (*self.shunt.warnings, *(self.dose.warnings if self.dose is not None else ()))

    def as_dict(self) -> dict[str, Any]:
        """The content that ``--json`` prints."""
        shunt = self.shunt
        content: dict[str, Any] = {
            "schema": SCHEMA,
            "lung_shunt_fraction": shunt.fraction,
            "sd_by_counts": shunt.sd,
            "method": shunt.method,
            "formula": shunt.formula,
            "counts": {"lung": shunt.lung_counts, "liver": shunt.liver_counts},
            "inputs": dict(shunt.inputs),
            "lung_mass_g": self.mass.grams if self.mass else None,
            "lung_gy": None,
            "assumptions": remark_rows(self.assumptions),
            "warnings": remark_rows(self.warnings),
            "sources": list(shunt.sources),
            "constants": constants_facts(self.radionuclide),
        }
        if self.dose is None:
            return content
        dose = _dose_facts(self.dose, self.question)
        both = {
            "formula": shunt.formula,
            "inputs": content["inputs"] | dose["inputs"],
            "assumptions": content["assumptions"],
            "sources": [*shunt.sources, *dose["sources"]],
            "warnings": content["warnings"],
        }
        return content | dose | both

    def lines(self) -> list[str]:
        """Shunt, counts, and the dose with its limits as text."""
        shunt = self.shunt
        sd = f" ± {100 * shunt.sd:.2g} (counting statistics)" if shunt.sd is not None else ""
        return [
            f"lung shunt {100 * shunt.fraction:.2f} %{sd}, {shunt.method}: {shunt.formula}",
            f"counts: lung {shunt.lung_counts:.6g}, liver {shunt.liver_counts:.6g}",
            *(_dose_lines(self.dose, self.radionuclide) if self.dose is not None else ()),
        ]

    def notes(self) -> list[str]:
        """What is assumed, and the warnings."""
        return [*(f"assumed: {text}" for text in texts_of(self.assumptions)), *note_lines(self.warnings)]


def _dose_lines(dose: LungDose, radionuclide: Radionuclide) -> list[str]:
    text = [
        (
            f"lung dose {dose_words(dose.gy)} Gy in {number(dose.mass.grams)} g ({dose.mass.source}), {dose_words(dose.cumulative_gy)} Gy with "
            f"earlier treatments; K = {radionuclide.gy_kg_per_gbq:.2f} Gy kg/GBq"
        )
    ]
    for row in dose.limits:
        kept = "kept" if row.met else "EXCEEDED"
        text.append(f"  {row.name}: {dose_words(row.value_gy)} of {row.limit_gy:g} Gy, {kept}")
    if dose.allowed_mbq is not None:
        text.append(f"  activity that keeps both limits: {dose.allowed_mbq:.0f} MBq in the patient")
    return text


def _dose_facts(dose: LungDose, question: LungQuestion) -> dict[str, Any]:
    nuclide = question.radionuclide
    return {
        "schema": SCHEMA,
        "activity_mbq": question.activity_mbq,
        "lung_mass_g": dose.mass.grams,
        "lung_mass_source": dose.mass.source,
        "lung_gy": dose.gy,
        "earlier_gy": list(dose.earlier_gy),
        "cumulative_gy": dose.cumulative_gy,
        "allowed_mbq": dose.allowed_mbq,
        "lung_dose_formula": dose.formula,
        "formula": dose.formula,
        "limits": [asdict(limit) | {"met": limit.met} for limit in dose.limits],
        "inputs": {
            "activity_mbq": question.activity_mbq,
            "lung_mass_g": question.lung_mass_g,
            "earlier_gy": list(dose.earlier_gy),
        },
        "constants": constants_facts(nuclide),
        "sources": [LIMIT_SOURCE, nuclide.source],
        "assumptions": [],
        "warnings": remark_rows(dose.warnings),
    }


def answer_lung_dose(shunt_fraction: float, question: LungQuestion) -> LungDoseAnswer:
    """The lungs' dose by a known shunt fraction, earlier treatments added.

    Raises
    ------
    QuantityError
        If a number is impossible or the activity is missing.
    """
    return LungDoseAnswer(shunt_fraction, _dose(shunt_fraction, question, question.mass(None)), question)


def answer_lung_shunt(shunt: LungShunt, question: LungQuestion, measured: LungMass | None = None) -> LungShuntAnswer:
    """A shunt fraction with the lungs' dose by it; ``measured`` is the lungs' mass by CT.

    Raises
    ------
    QuantityError
        If a number is impossible.
    """
    mass = question.mass(measured)
    dose = _dose(shunt, question, mass) if question.activity_mbq is not None else None
    return LungShuntAnswer(shunt, mass, dose, question)


@dataclass(frozen=True, eq=False)
class LungImage:
    """A reconstructed image of lungs and liver.

    Parameters
    ----------
    image, rois, density
        As in :func:`voxeldose.dose.lungs.spect_shunt`.
    given : Administration, optional
        Of the case that the image belongs to.
    """

    image: CountMap | ActivityMap
    rois: RoiSet
    density: DensityMap | None = None
    given: Administration | None = None


def answer_lung_shunt_of_image(
    image: LungImage, question: LungQuestion, *, lungs: LungSettings | None = None
) -> LungShuntAnswer:
    """Shunt fraction and dose by a reconstructed image.

    Parameters
    ----------
    image : LungImage
        With its regions.
    question : LungQuestion
        Without its activity that of the case is taken. With a CT, its mass of whole lungs scales the counts of lungs that are cut.
    lungs : LungSettings, optional
        The margin next to the liver, and the volume of whole lungs.

    Raises
    ------
    QuantityError
        If a region is missing or a number is impossible.
    """
    density, given = image.density, image.given
    settings = lungs or LungSettings()
    if density is not None and settings.volume_ml is None:
        settings = replace(settings, mass_g=question.lung_mass_g)
    shunt = spect_shunt(image.image, image.rois, density=density, lungs=settings)
    measured = lung_mass(density, image.rois) if density is not None and question.lung_mass_g is None else None
    if question.activity_mbq is None and given is not None and given.administered_mbq is not None:
        question = replace(question, activity_mbq=given.net_mbq)
        sentence = f"The activity is the case's, {given.net_mbq:g} MBq in the patient at the infusion."
        by_case = Remark("activity-from-case", {"activity_mbq": given.net_mbq}, sentence)
        shunt = replace(shunt, assumptions=(*shunt.assumptions, by_case))
    return answer_lung_shunt(shunt, question, measured)


@dataclass(frozen=True)
class SpectFiles:
    """A reconstructed image with regions, in files.

    Parameters
    ----------
    activity : Path
        SPECT: DICOM folder or file, NIfTI, NRRD, MHA.
    rois : tuple of Path
        Regions with the roles lung and liver.
    labels : Path, optional
        What the regions' labels are (JSON).
    ct : Path, optional
        For the lungs' density and mass.
    quantity : str, optional
        What the image holds, if it does not say.
    """

    activity: Path
    rois: tuple[Path, ...]
    labels: Path | None = None
    ct: Path | None = None
    quantity: str | None = None


def answer_lung_shunt_of_files(
    files: SpectFiles,
    question: LungQuestion,
    *,
    lungs: LungSettings | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> LungShuntAnswer:
    """Shunt fraction and dose by a reconstructed image that is read from files.

    Raises
    ------
    InputError
        If a file cannot be used.
    QuantityError
        If a region is missing or a number is impossible.
    """
    from voxeldose.dose.density import hu_to_density
    from voxeldose.io.config.labels import named_labels
    from voxeldose.io.images import read_activity, read_ct_image
    from voxeldose.io.regions import read_rois

    progress("reading")
    regions = read_rois(list(files.rois), named_labels(files.labels) if files.labels else None)
    image = read_activity(files.activity, quantity=files.quantity)
    density = hu_to_density(read_ct_image(files.ct)) if files.ct else None
    progress("counting")
    return answer_lung_shunt_of_image(LungImage(image, regions, density), question, lungs=lungs)


def _dose(shunt: LungShunt | float, question: LungQuestion, mass: LungMass | None) -> LungDose:
    if question.activity_mbq is None:
        msg = "The lungs' dose needs the activity in the patient at the infusion."
        raise QuantityError(msg, code="activity-missing")
    return lung_dose(question.activity_mbq, shunt, question.radionuclide, mass=mass, earlier_gy=question.earlier_gy)
