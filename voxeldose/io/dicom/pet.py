"""PET series to Bq/mL: units of every vendor, decay reference, nuclide; SPECT stored as PT included."""

from __future__ import annotations

from datetime import UTC, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

from voxeldose.errors import InputError
from voxeldose.io.damage import refusing_damage
from voxeldose.io.dicom.decay import Timing, timing_of
from voxeldose.io.dicom.emission import emission_remarks, is_attenuation_corrected, require_emission
from voxeldose.io.dicom.files import Series, only_series
from voxeldose.io.dicom.header import PHILIPS, drug_item, private_value, stated_number, text
from voxeldose.io.dicom.instants import format_instant, stated_zone, whole_instant
from voxeldose.io.dicom.nuclide import Undoing, isotope_of, undo_factor, undoing_of
from voxeldose.io.dicom.options import PetOptions
from voxeldose.io.dicom.planes import planes_of, require_rescale, rescale, volume_of
from voxeldose.io.dicom.units import MAPPED, bq_per_ml_mapping, bq_per_ml_of, require_possible_activity
from voxeldose.model.remarks import Numbers, Remark
from voxeldose.model.volume import ActivityMap, CountMap

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pydicom.dataset import Dataset

    from voxeldose.io.dicom.planes import Plane
    from voxeldose.io.dicom.units import Mapping
    from voxeldose.model.radionuclide import Radionuclide

    Scale = Callable[[Plane], tuple[float, float]]

__all__ = ["pet_activity", "pet_counts", "read_pet", "units_of"]

#: Units in which Philips stores counts with its factors next to them.
_COUNTS = ("CNTS", "PROPCPS", "PROPCNTS")
#: A total dose below this in Bq is one in MBq.
LEAST_DOSE_BQ = 1e5


@refusing_damage
def read_pet(
    path: str | Path, *, zone: tzinfo = UTC, series_uid: str | None = None, options: PetOptions | None = None
) -> ActivityMap:
    """Activity concentration of a PET series, single-frame or enhanced.

    Units BQML are taken as they are; Philips' counts by its private factor to Bq/mL; a Real World Value Mapping to an
    activity concentration by its line. SUV is turned back, and another nuclide undone, only on request.

    Parameters
    ----------
    path : path
        Folder that holds the series, or a multi-frame file.
    zone : tzinfo
        Of the header's times where it does not state one.
    series_uid : str, optional
        Which, if the folder holds several.
    options : PetOptions, optional
        Corrections that are made only when asked for.

    Returns
    -------
    ActivityMap
        ``at`` is the instant to which the values hold, ``None`` if the header does not say; ``not_absolute`` says why
        the values are no activities of the nuclide, if so.

    Raises
    ------
    InputError
        If the series is not complete and even, or nothing makes its numbers Bq/mL.
    """
    return pet_activity(only_series(Path(path), ("PT",), series_uid), zone=zone, options=options or PetOptions())


def pet_activity(series: Series, *, zone: tzinfo, options: PetOptions) -> ActivityMap:
    """:func:`read_pet` of a series already found."""
    planes, where = planes_of(series), str(series.folder)
    header = planes[0].header
    for plane in planes:
        require_emission(plane.header, str(plane))
    isotope = isotope_of(header)
    undoing: Undoing | None = None
    if options.undo_nuclide is not None:
        undoing = undoing_of(isotope, options.undo_nuclide, options.true_nuclide, header, where)
    used = undoing.taken if undoing else isotope.computed_with
    timing = timing_of([p.header for p in planes], zone, used)
    scale, remarks = _to_bq_per_ml(planes, timing, used, options, where)
    nuclide, doubt = (undoing.true, "") if undoing else (isotope.named, isotope.doubt)
    factors = [_to_common_instant(timing, n, nuclide, where) for n in range(len(planes))]
    if undoing is not None:
        undo = [undo_factor(f, n, timing, undoing, where) for n, f in enumerate(timing.frames)]
        factors = [a * b for a, b in zip(factors, undo, strict=True)]
        remarks = (*remarks, _undo_remark(undo, undoing, timing))
    else:
        remarks = (*remarks, *isotope.remarks)
    by_plane = {id(p): f for p, f in zip(planes, factors, strict=True)}

    def whole(plane: Plane) -> tuple[float, float]:
        slope, intercept = scale(plane)
        return slope * by_plane[id(plane)], intercept * by_plane[id(plane)]

    values, grid, uneven = volume_of(planes, series, whole)
    require_possible_activity(float(values.max()), where)
    doubts = (Remark("pet-not-absolute", {"nuclide": nuclide.name if nuclide else None}, doubt),) if doubt else ()
    if is_attenuation_corrected(header) is False:
        doubt = f"{doubt} The image was not corrected for attenuation.".strip()
    return ActivityMap(
        values,
        grid,
        at=timing.at,
        radionuclide=nuclide,
        acquired_at=timing.acquired_at,
        not_absolute=doubt,
        modality="PT",
        remarks=(*uneven, *remarks, *timing.remarks, *emission_remarks(header), *doubts),
    )


def pet_counts(series: Series, *, zone: tzinfo) -> tuple[CountMap, str]:
    """A PET in any units as a relative image, with its units; slices that hold at several instants are brought to one."""
    planes, where = planes_of(series), str(series.folder)
    header = planes[0].header
    for plane in planes:
        require_emission(plane.header, str(plane))
    require_rescale(planes)
    isotope = isotope_of(header)
    timing = timing_of([p.header for p in planes], zone, isotope.computed_with)
    factors = {id(p): _to_common_instant(timing, n, isotope.named, where) for n, p in enumerate(planes)}

    def whole(plane: Plane) -> tuple[float, float]:
        slope, intercept = rescale(plane)
        return slope * factors[id(plane)], intercept * factors[id(plane)]

    values, grid, uneven = volume_of(planes, series, whole)
    remarks = (*uneven, *timing.remarks, *emission_remarks(header))
    counts = CountMap(values, grid, at=timing.at, radionuclide=isotope.named, modality="PT", remarks=remarks)
    return counts, units_of(header)


def units_of(header: Dataset) -> str:
    """Units (0054,1001), or the Rescale Type (0028,1054) of enhanced objects that have none; empty if unknown."""
    kind = text(header, "RescaleType")
    return text(header, "Units") or (kind if bq_per_ml_of(kind) is not None else "")


def _to_common_instant(timing: Timing, n: int, nuclide: Radionuclide | None, where: str) -> float:
    try:
        return timing.to_common(n, nuclide)
    except InputError as error:
        msg = f"{where}: {error}"
        raise InputError(msg, code=error.code, **error.fields) from error


def _to_bq_per_ml(
    planes: Sequence[Plane], timing: Timing, used: Radionuclide | None, options: PetOptions, where: str
) -> tuple[Scale, tuple[Remark, ...]]:
    """How stored values become Bq/mL, plane by plane, and remarks on it."""
    units = units_of(planes[0].header)
    other = next((p for p in planes if units_of(p.header) != units), None)
    if other is not None:
        msg = (
            f"{other}: Units are {units_of(other.header) or 'none'} where other slices say {units}; export one series."
        )
        raise InputError(msg, code="units-differ")
    factor = bq_per_ml_of(units)
    if factor is not None:
        if options.undo_suv:
            msg = f"{where}: Units (0054,1001) is {units} already, so there is no SUV to undo; leave undo_suv out."
            raise InputError(msg, code="nothing-to-undo", units=units)
        require_rescale(planes)
        return _times(factor), ()
    mappings = {id(p): m for p in planes if (m := bq_per_ml_mapping(p)) is not None}
    if len(mappings) == len(planes):
        return _by_mapping(mappings), (MAPPED,)
    require_rescale(planes)
    if units in _COUNTS:
        factors = _philips(planes, 0x09, where)
        if factors:
            return _by_plane(factors), (_philips_remark(units, factors),)
    if options.undo_suv:
        suv = _philips(planes, 0x00, where) if units in _COUNTS else {id(p): 1.0 for p in planes}
        if not suv or (units not in _COUNTS and units != "GML"):
            msg = f"{where}: undo_suv needs Units (0054,1001) GML, or Philips' factor to SUV (7053,1000); found {units or 'none'}."
            raise InputError(msg, code="units-not-suv", units=units)
        per_suv, remark = _bq_per_ml_per_suv(planes[0].header, timing, used, options, where)
        return _by_plane({key: f * per_suv for key, f in suv.items()}), (remark,)
    raise _no_activity(planes[0].header, units, where)


def _philips_remark(units: str, factors: dict[int, float]) -> Remark:
    lowest, highest = min(factors.values()), max(factors.values())
    span = f"{lowest:.8g}" if lowest == highest else f"{lowest:.8g} to {highest:.8g}"
    sentence = f"Units {units} times Philips' factor (7053,1009) {span} are Bq/mL."
    numbers: Numbers = {"units": units, "smallest_factor": lowest, "largest_factor": highest}
    return Remark("philips-factor-used", numbers, sentence)


def _no_activity(header: Dataset, units: str, where: str) -> InputError:
    """The refusal of a PET whose numbers are no activities, with the way out that its units leave."""
    way_out = ""
    keys: tuple[str, ...] = ("activity.quantity",)
    if units == "GML":
        way_out = " SUV is turned back into Bq/mL with undo_suv = true (--undo-suv)."
        keys = ("activity.undo_suv", *keys)
    if units in _COUNTS:
        way_out = f" Philips' factor to Bq/mL (7053,1009) of {PHILIPS!r} is not there{_creator_note(header)}."
    msg = (
        f"{where}: Units (0054,1001) is {units or 'none'}, not BQML, so these numbers are not activities.{way_out} Export "
        'the series in Bq/mL, or use it as a relative image with quantity = "counts" and the administered activity.'
    )
    return InputError(msg, code="pet-not-in-bq-per-ml", units=units, keys=keys)


def _times(factor: float) -> Scale:
    def scale(plane: Plane) -> tuple[float, float]:
        slope, intercept = rescale(plane)
        return slope * factor, intercept * factor

    return scale


def _by_plane(factors: dict[int, float]) -> Scale:
    def scale(plane: Plane) -> tuple[float, float]:
        slope, intercept = rescale(plane)
        return slope * factors[id(plane)], intercept * factors[id(plane)]

    return scale


def _by_mapping(mappings: dict[int, Mapping]) -> Scale:
    def scale(plane: Plane) -> tuple[float, float]:
        return mappings[id(plane)].slope, mappings[id(plane)].intercept

    return scale


def _philips(planes: Sequence[Plane], element: int, where: str) -> dict[int, float]:
    """Philips' factor of each plane; empty if none has one above 0.

    Raises
    ------
    InputError
        If only some have one.
    """
    factors = {}
    for plane in planes:
        stored = private_value(plane.header, 0x7053, PHILIPS, element)
        try:
            value = float(stored) if stored else 0.0
        except ValueError:
            value = 0.0
        if value > 0:
            factors[id(plane)] = value
    missing = len(planes) - len(factors)
    if factors and missing:
        msg = f"{where}: Philips' factor (7053,10{element:02X}) is missing in {missing} slices; export again."
        raise InputError(msg, code="philips-factor-missing", slices=missing)
    return factors


def _creator_note(header: Dataset) -> str:
    """Words for a factor whose element is there without the creator that gives it meaning."""
    if (0x7053, 0x1009) in header and private_value(header, 0x7053, PHILIPS, 0x09) is None:
        return " (the element is, but without its private creator, which de-identification removed)"
    return ""


def _bq_per_ml_per_suv(
    header: Dataset, timing: Timing, used: Radionuclide | None, options: PetOptions, where: str
) -> tuple[float, Remark]:
    """Bq/mL at the reference instant of SUV 1: dose, decayed to that instant, over body weight.

    ``SUV = C · weight / dose`` with 1 g of body as 1 mL.
    """
    drug = drug_item(header)
    dose = stated_number(drug, "RadionuclideTotalDose") if drug is not None else None
    weight = options.weight_kg or stated_number(header, "PatientWeight")
    kind = text(header, "SUVType") or "BW"
    given = (
        whole_instant(drug.get("RadiopharmaceuticalStartDateTime"), stated_zone(header) or _zone_of(timing))
        if drug is not None
        else None
    )
    missing = []
    if kind != "BW":
        missing.append(f"SUV by body weight (SUV Type (0054,1006) is {kind})")
    if dose is None or dose < LEAST_DOSE_BQ:
        missing.append(f"Radionuclide Total Dose (0018,1074) in Bq, found {dose if dose is not None else 'none'}")
    if not weight or weight <= 0:
        missing.append("Patient's Weight (0010,1030), or weight_kg (--weight-kg)")
    if timing.correction not in ("START", "ADMIN"):
        missing.append(f"Decay Correction START or ADMIN, found {timing.correction}")
    if timing.correction == "START" and (given is None or timing.at is None or used is None):
        missing.append("the instants of administration (0018,1078) and scan, and the nuclide, to decay the dose")
    if missing:
        msg = f"{where}: SUV cannot be turned back into Bq/mL; what is missing: {'; '.join(missing)}."
        raise InputError(msg, code="suv-incomplete", missing=tuple(missing))
    assert dose is not None and weight is not None  # noqa: S101, PT018 - checked just above
    left = 1.0
    if timing.correction == "START" and given is not None and timing.at is not None and used is not None:
        left = used.decay_factor((timing.at - given).total_seconds())
    factor = dose * left / (weight * 1000)
    sentence = (
        f"SUV is turned back as asked: 1 g/mL is {factor:.8g} Bq/mL, from {dose / 1e6:.6g} MBq"
        f"{f' times {left:.6g} for decay to {format_instant(timing.at)}' if left != 1 and timing.at else ''} and {weight:g} kg."
    )
    # the dose and the weight are the patient's: programs get their ratio
    return factor, Remark("suv-undone", {"bq_per_ml_per_suv": factor, "decay_factor": left}, sentence)


def _zone_of(timing: Timing) -> tzinfo:
    return (timing.at.tzinfo if timing.at else None) or UTC


def _undo_remark(undo: Sequence[float], undoing: Undoing, timing: Timing) -> Remark:
    true, taken = undoing.true, undoing.taken
    branching = (taken.positron_fraction or 0) / (true.positron_fraction or 1)
    low, high = min(undo), max(undo)
    span = f"{low:.8g}" if low == high else f"{low:.8g} to {high:.8g} by slice"
    rest = "no decay correction to undo" if timing.correction == "NONE" else f"decay {low / branching:.8g}"
    sentence = (
        f"The scanner computed for {taken.name}; undone for {true.name} as asked: Bq/mL times {span} (branching "
        f"{taken.positron_fraction:g}/{true.positron_fraction:g} = {branching:.8g}, {rest}). Right only if nobody rescaled "
        "the image before."
    )
    numbers: Numbers = {
        "nuclide": taken.name,
        "true_nuclide": true.name,
        "smallest_factor": low,
        "largest_factor": high,
    }
    return Remark("nuclide-undone", numbers, sentence)
