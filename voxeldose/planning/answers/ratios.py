"""Tumor to normal liver, of each tumor and of all pooled, from numbers or from an assessment."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from voxeldose.dose.tumor_to_normal import tumor_to_normal_of
from voxeldose.errors import InputError
from voxeldose.io.results.content import remark_rows, remarks_of
from voxeldose.model.best_value import TUMOR_TO_NORMAL, best_value, numbers_in, tumors_with_ratio
from voxeldose.model.remarks import Remark
from voxeldose.model.wording import number, ratio
from voxeldose.planning.answers.facts import basis_lines
from voxeldose.report.text import table_lines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from voxeldose.model.best_value import BestValue

__all__ = ["RatioAnswer", "answer_ratio", "answer_ratio_of_results"]

SOURCES = (
    "Ho et al., Eur. J. Nucl. Med. 23 (1996) 947-952 (T/N of the partition model, normal liver of the same territory)",
    "Mikell et al. 2016, doi:10.1016/j.ijrobp.2016.07.021 (the normal region drawn is a source of uncertainty)",
)
EVEN = Remark(
    "tumor-to-normal-uncorrected",
    {},
    "Tumor and normal liver are of the same density; partial volume is not corrected, and lowers T/N of small tumors.",
)
WHOLE_LIVER = Remark(
    "normal-region-unnamed",
    {},
    "Normal liver that the infusion reached is meant: with whole liver T/N comes out too high (--normal-is).",
)


@dataclass(frozen=True)
class RatioAnswer:
    """Rows of T/N as the image shows them, and what they rest on.

    ``kind_text`` says what image they are from, where one is; ``better`` has T/N by concentration of tumors for which the run knows
    more than the image shows.
    """

    rows: tuple[Mapping[str, Any], ...]
    inputs: Mapping[str, object]
    constants: Mapping[str, object]
    assumptions: tuple[Remark, ...]
    kind_text: str = ""
    better: Mapping[str, BestValue] = field(default_factory=dict)
    formula: str = "T/N = (N_T / V_T) / (N_N / V_N) by concentration (counts or activity); mean dose over mean dose by dose; pooled: sums of the treated tumors"
    sources: tuple[str, ...] = SOURCES

    def as_dict(self) -> dict[str, Any]:
        """The content that ``--json`` prints."""
        return {
            "schema": "voxeldose/tn/1",
            "kind_text": self.kind_text or None,
            "tumor_to_normal": [dict(row) for row in self.rows],
            "better": {roi: asdict(one) for roi, one in self.better.items()},
            "formula": self.formula,
            "constants": dict(self.constants),
            "inputs": dict(self.inputs),
            "sources": list(self.sources),
            "assumptions": remark_rows(self.assumptions),
            "warnings": [],
        }

    def lines(self) -> list[str]:
        """The ratios as text, and what they rest on."""
        rows = [
            {
                "tumor": row["roi"],
                "T/N by concentration": "not reached"
                if row.get("reached") is False
                else ratio(row["by_concentration"]),
                "by dose": ratio(row["by_dose"]),
            }
            for row in self.rows
        ]
        better = [f"{roi}: {ratio(one.value)} {one.words}" for roi, one in self.better.items()]
        normal = [f"Normal: {row['normal']}, {number(row['normal_volume_ml'])} mL" for row in self.rows[:1]]
        basis = basis_lines(self.sources, self.assumptions)
        head = [self.kind_text] if self.kind_text else []
        return [*head, *table_lines(rows), *better, *normal, f"Formula: {self.formula}", *basis]

    def notes(self) -> list[str]:
        """None."""
        return []


def answer_ratio(
    tumors: Sequence[tuple[float, float]],
    normal: tuple[float, float],
    definition: str | None = None,
    *,
    by_dose: bool = False,
) -> RatioAnswer:
    """T/N from counts (or mean doses, ``by_dose``) and volumes in mL.

    Raises
    ------
    QuantityError
        If a number is impossible.
    """
    named = {f"tumor_{n}": pair for n, pair in enumerate(tumors, 1)}
    normal_is = definition or "as given; what region it is was not said"
    rows = tuple(asdict(row) for row in tumor_to_normal_of(named, normal, normal_is, by_dose=by_dose))
    inputs = {"tumors": [list(pair) for pair in tumors], "normal": list(normal), "by": "dose" if by_dose else "counts"}
    return RatioAnswer(rows, inputs, {}, (EVEN,) if definition is not None else (EVEN, WHOLE_LIVER))


#: What a run says of its normal region, by code.
RATIO_REMARKS = ("tumor-to-normal-of-whole-liver", "normal-liver-derived", "liver-part-derived", "tumors-not-reached")


def answer_ratio_of_results(content: Mapping[str, Any], source: str) -> RatioAnswer:
    """T/N of an assessment, as ``assessment.json`` holds it.

    Raises
    ------
    InputError
        If it has no T/N.
    """
    rows = content.get("tumor_to_normal")
    if not rows:
        msg = f"{source}: T/N needs regions of role tumor and of normal liver; there are {', '.join(content['rois'])}."
        raise InputError(msg, code="region-missing")
    of_run = tuple(
        remark for remark in remarks_of([*content["assumptions"], *content["warnings"]]) if remark.code in RATIO_REMARKS
    )
    numbers = numbers_in(content)
    best = {roi: best_value(numbers, roi, TUMOR_TO_NORMAL) for roi in tumors_with_ratio(numbers)}
    better = {roi: one for roi, one in best.items() if one.is_better}
    kind_text = content.get("kind_text", "")
    return RatioAnswer(tuple(rows), {"source": source}, content["constants"], (EVEN, *of_run), kind_text, better)
