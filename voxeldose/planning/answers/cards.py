"""The radiation segmentectomy card with its formula, constants and sources."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from voxeldose.dose.segmentectomy import SegmentectomyFacts, facts_of, segmentectomy_card
from voxeldose.errors import InputError, QuantityError
from voxeldose.model.radionuclide import y90_constants
from voxeldose.model.volume import require_zone
from voxeldose.planning.vials import bq_per_sphere_at
from voxeldose.report.text import table_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voxeldose.model.card import CardRow
    from voxeldose.model.radionuclide import Radionuclide

__all__ = ["CardAnswer", "SphereActivity", "answer_card"]


@dataclass(frozen=True)
class SphereActivity:
    """Activity per sphere at its calibration, and the infusion; the infusion may be the assessment's."""

    bq_at_calibration: float | None
    calibrated_at: datetime | None
    at: datetime | None = None


@dataclass(frozen=True)
class CardAnswer:
    """The lines of the card, and what it was asked from; ``kind_text`` says what image its doses are from, where one is."""

    rows: tuple[CardRow, ...]
    facts: SegmentectomyFacts
    radionuclide: Radionuclide
    kind_text: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The content that ``--json`` prints."""
        nuclide = self.radionuclide
        return {
            "schema": "voxeldose/card/1",
            "kind_text": self.kind_text or None,
            "rows": [asdict(r) for r in self.rows],
            "formula": "K A (1 - LSF) / m of the perfused volume; SA(t) = SA_cal 2^(-(t - t_cal)/T½)",
            "constants": {
                "name": nuclide.constants,
                "gy_kg_per_gbq": nuclide.gy_kg_per_gbq,
                "half_life_h": nuclide.half_life_h,
            },
            "inputs": asdict(self.facts),
            "sources": [*dict.fromkeys(r.source for r in self.rows), nuclide.source],
        }

    def lines(self) -> list[str]:
        """The card as text, with the evidence of each reference."""
        rows = [
            {"item": r.item, "value": r.value_text, "reference": r.reference_text, "status": r.status}
            for r in self.rows
        ]
        evidence = (f"- {r.item}, {r.reference_text}: {r.basis}" for r in self.rows if r.reference_text != "-")
        context = (f"- {r.item}: {r.basis}" for r in self.rows if r.reference_text == "-" and r.source != "This run")
        head = "Evidence, as the sources have it; no recommendation:"
        title = [self.kind_text] if self.kind_text else []
        return [*title, *table_lines(rows), "", head, *dict.fromkeys((*evidence, *context))]

    def notes(self) -> list[str]:
        """None."""
        return []


def answer_card(
    given: SegmentectomyFacts,
    content: Mapping[str, Any] | None = None,
    *,
    spheres: SphereActivity | None = None,
    source: str = "",
) -> CardAnswer:
    """The card of what is given and, without it, of an assessment.

    Parameters
    ----------
    given : SegmentectomyFacts
        What the user knows; it comes before what the assessment says.
    content : mapping, optional
        ``assessment.json``.
    spheres : SphereActivity, optional
        For the activity per sphere at the infusion.
    source : str
        Where the assessment is from, for messages.

    Raises
    ------
    InputError
        If the assessment is not whole.
    QuantityError
        If a number is impossible, or the activity per sphere is given in part.
    """
    nuclide = y90_constants(content["constants"]["name"] if content else "ddep")
    if spheres is not None:
        given = replace(given, bq_per_sphere=_bq_per_sphere(spheres, content, nuclide))
    try:
        facts = facts_of(content, given) if content else given
    except KeyError as error:
        msg = f"{source}: is not a whole assessment, {error} is missing. Assess the case again."
        raise InputError(msg, code="results-incomplete") from error
    kind_text = content.get("kind_text", "") if content else ""
    return CardAnswer(segmentectomy_card(facts, nuclide), facts, nuclide, kind_text)


def _bq_per_sphere(spheres: SphereActivity, content: Mapping[str, Any] | None, nuclide: Radionuclide) -> float:
    """At the infusion."""
    by_case = content["administration"]["at"] if content else None
    infused = spheres.at or (datetime.fromisoformat(by_case) if by_case else None)
    if spheres.bq_at_calibration is None or spheres.calibrated_at is None or infused is None:
        msg = "Activity per sphere needs --sphere-bq-at-calibration, --calibrated-at and the infusion (--at, or from the case)."
        raise QuantityError(msg, code="sphere-activity-incomplete")
    require_zone(spheres.calibrated_at, "--calibrated-at")
    require_zone(infused, "--at")
    if infused < spheres.calibrated_at:
        msg = (
            f"The infusion at {infused.isoformat()} lies before the calibration {spheres.calibrated_at.isoformat()}. "
            "Check dates and time zones."
        )
        raise QuantityError(msg, code="instants-contradict")
    return bq_per_sphere_at(spheres.bq_at_calibration, spheres.calibrated_at, infused, nuclide)
