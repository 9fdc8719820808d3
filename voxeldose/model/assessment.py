"""What comes out of a case: numbers of regions, totals, thresholds, uncertainty, and how they came about."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from voxeldose.model.best_value import ValueKind
    from voxeldose.model.case import Case
    from voxeldose.model.dvh import Dvh
    from voxeldose.model.image_kind import Kind
    from voxeldose.model.limits import Sense
    from voxeldose.model.lungs import LungFindings
    from voxeldose.model.radionuclide import Radionuclide
    from voxeldose.model.recovered import Recovered
    from voxeldose.model.remarks import Remark
    from voxeldose.model.roi import RoiSet
    from voxeldose.model.territory import TerritoryActivity
    from voxeldose.model.volume import ActivityMap, DoseMap

__all__ = [
    "Assessment",
    "Distribution",
    "Overlap",
    "Probability",
    "RoiMetrics",
    "RoiNumbers",
    "RoiUncertainty",
    "RunRecord",
    "Term",
    "Threshold",
    "Totals",
    "TumorToNormal",
    "Uncertainty",
]


@dataclass(frozen=True)
class Distribution:
    """One metric: the run's own value, and the distribution of confidence in the true one.

    ``mean``, ``sd`` and quantiles are of that distribution; the truth lies between ``q025`` and ``q975`` with 95 % confidence.
    ``bias`` is the run's value less the mean: how far errors as stated have moved it on average.
    """

    value: float
    mean: float
    sd: float
    q025: float
    q500: float
    q975: float
    bias: float


@dataclass(frozen=True)
class Term:
    """One source of uncertainty in a mean dose, alone."""

    name: str
    sd_gy: float
    variance_fraction: float


@dataclass(frozen=True)
class Probability:
    """Confidence that a condition holds, with the standard error of so many samples; ``value`` is the run's best, ``kind`` says which."""

    roi: str
    metric: str
    sense: str
    limit: float
    value: float
    probability: float
    standard_error: float
    source: str
    kind: ValueKind = "image"


@dataclass(frozen=True)
class RoiUncertainty:
    """What is known of one region.

    ``budget`` is of ``budget_of`` (the recovered mean where there is a recovery curve); its root sum of squares is
    ``budget_sd_gy``, to be compared with the samples' own.
    """

    metrics: Mapping[str, Distribution]
    contour_sd_mm: float
    recovery_coefficient: float | None
    budget_of: str
    budget: tuple[Term, ...]
    budget_sd_gy: float
    dominant: str
    dvh_band: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class Uncertainty:
    """Of a whole run."""

    samples: int
    seed: int
    inputs: Mapping[str, object]
    rois: Mapping[str, RoiUncertainty]
    probabilities: tuple[Probability, ...]
    assumptions: tuple[Remark, ...]
    warnings: tuple[Remark, ...]


@dataclass(frozen=True, eq=False)
class RoiNumbers:
    """Numbers of one region; definitions in :mod:`voxeldose.dose.metrics`. ``None`` where a number would mislead.

    Of a tumor, ``perfused_fraction`` is the part of its volume in perfused regions, and ``reached`` whether that makes it
    treated; both are ``None`` where no perfused region is given.
    """

    role: str
    volume_ml: float
    mass_g: float
    activity_mbq: float
    mean_dose_gy: float
    min_dose_gy: float
    max_dose_gy: float
    sd_dose_gy: float
    d98_gy: float
    d95_gy: float
    d90_gy: float
    d70_gy: float
    d50_gy: float
    d2_gy: float
    v100_fraction: float
    v190_fraction: float
    v205_fraction: float
    v400_fraction: float
    v446_fraction: float
    bed_gy: float | None
    eud_gy: float | None
    mean_dose_local_gy: float
    outside_fraction: float
    eubed_gy: float | None = None
    single_compartment_gy: float | None = None
    perfused_fraction: float | None = None
    reached: bool | None = None
    axial_diameter_mm: float | None = None


@dataclass(frozen=True, eq=False)
class RoiMetrics(RoiNumbers):
    """Numbers of one region and the histogram of its voxels that they are from."""

    dvh: Dvh = field(kw_only=True)


@dataclass(frozen=True)
class Overlap:
    """Two regions that share volume."""

    first: str
    second: str
    volume_ml: float


@dataclass(frozen=True)
class TumorToNormal:
    """How much more a tumor got than normal liver, by activity concentration and by mean dose.

    ``normal`` says which normal liver: with whole-liver normal where only a part was infused the ratio is too high. A tumor that
    is not ``reached``, as it lies outside the perfused regions, has no ratio.
    """

    roi: str
    by_concentration: float | None
    by_dose: float | None
    normal: str
    normal_volume_ml: float
    reached: bool = True


@dataclass(frozen=True)
class Threshold:
    """A limit and the value of this run.

    ``value`` is the run's best one (:func:`voxeldose.model.best_value.best_value`), ``kind`` says which, and ``image_value`` is the
    image's own. ``sense`` is how the value should lie to the limit (``None`` in older results, which do not say it). ``method`` is how
    the limit was derived; ``differs`` says where this run's value was found another way, and is empty where the two are the same
    quantity.
    """

    name: str
    roi: str
    metric: str
    limit: float
    value: float
    met: bool
    source: str
    method: str
    differs: str = ""
    sense: Sense | None = None
    kind: ValueKind = "image"
    image_value: float | None = None


@dataclass(frozen=True)
class Totals:
    """Sums over the whole case.

    ``recovered_fraction`` is what ``absolute`` calibration would have found in the calibration region, divided by the
    net administered activity less the lung shunt: the ratio between the two calibrations. ``calibration_region`` says what that
    region is; ``calibration_region_mbq`` and ``outside_region_mbq`` are what the calibrated image shows inside and outside it,
    ``outside_region_fraction`` the latter over the net activity. ``liver_of_field_fraction`` is the activity in the union of all
    liver regions grown by 10 mm over that of the whole field of view. ``held_mbq`` is the net activity less
    the lung shunt, by which single compartments are computed. ``territories`` is what each territory got, where several vessels
    were infused.
    """

    activity_mbq: float
    administered_mbq: float | None
    net_mbq: float | None
    recovered_fraction: float | None
    energy_j: float
    energy_emitted_j: float
    calibration_region: str | None = None
    calibration_region_mbq: float | None = None
    outside_region_mbq: float | None = None
    outside_region_fraction: float | None = None
    liver_of_field_fraction: float | None = None
    held_mbq: float | None = None
    territories: tuple[TerritoryActivity, ...] = ()


@dataclass(frozen=True)
class RunRecord:
    """How a result came about: enough to repeat it and to judge it."""

    version: str
    engine: str
    method: str
    kernel: Mapping[str, object]
    constants: Radionuclide
    calibration: str
    assumptions: tuple[Remark, ...]
    warnings: tuple[Remark, ...]
    timings_s: Mapping[str, float]


@dataclass(frozen=True, eq=False, repr=False)
class Assessment:
    """The result of a case. Writers and the report take this and nothing else.

    ``kind`` says whether its dose is predicted or delivered, ``kind_text`` from what image, in words that every output has.
    """

    case: Case
    activity: ActivityMap
    dose: DoseMap
    rois: Mapping[str, RoiMetrics]
    regions: RoiSet
    tumor_to_normal_ratio: float | None
    totals: Totals
    thresholds: tuple[Threshold, ...]
    overlaps: tuple[Overlap, ...]
    record: RunRecord
    tumor_to_normal: tuple[TumorToNormal, ...] = ()
    uncertainty: Uncertainty | None = None
    recovered: Recovered | None = None
    tumor_to_normal_region: str | None = None
    kind: Kind | None = None
    kind_text: str = ""
    lungs: LungFindings | None = None

    def __repr__(self) -> str:
        from voxeldose.model.display import summary_of_assessment

        return summary_of_assessment(self)

    def _repr_html_(self) -> str:
        """A row per region and a slice of the dose, for notebooks."""
        from voxeldose.model.display import html_of_assessment

        return html_of_assessment(self)

    def to_dataframe(self) -> Any:
        """The numbers of the regions as a ``pandas.DataFrame``, a row per region (extra ``voxeldose[pandas]``)."""
        from voxeldose.model.exchange import frame_of_rois

        return frame_of_rois(self.rois, [f.name for f in fields(RoiNumbers)])
