"""Scanner numbers to physical ones: counts to Bq/mL, decay, lung shunt, total decays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.dose.calibration import Shown, outside_remarks, shown_by
from voxeldose.dose.territories import region_of, share_out, share_warnings
from voxeldose.errors import QuantityError
from voxeldose.geometry.resample import onto
from voxeldose.model.administration import ADMINISTRATIONS_APART_S, Administration
from voxeldose.model.case import Absolute
from voxeldose.model.image_kind import ImageKind
from voxeldose.model.limits import is_within
from voxeldose.model.radionuclide import TC99M, known_radionuclide
from voxeldose.model.remarks import Numbers, Remark
from voxeldose.model.volume import ActivityMap, CountMap, DecayMap

if TYPE_CHECKING:
    from datetime import datetime

    from voxeldose.dose.calibration import CalibrationRegion
    from voxeldose.model.case import Case
    from voxeldose.model.grid import Grid
    from voxeldose.model.radionuclide import Radionuclide
    from voxeldose.model.territory import TerritoryActivity
    from voxeldose.model.volume import Volume

__all__ = ["Quantified", "count_decays", "decay_to", "decays_on_grid", "image_kind", "image_nuclide", "quantify"]


#: The ratio of image to administered activity outside which something is likely wrong (judgement; QUEST phantom
#: studies find most sites within 10-20 %).
RECOVERY_LIMITS = (0.8, 1.2)

#: The calibrations, and what each does.
ABSOLUTE, ADMINISTERED = "absolute", "administered"
CALIBRATIONS = {
    ABSOLUTE: "the image's Bq/mL, decayed to the infusion",
    ADMINISTERED: "the image is scaled so that the activity in the region equals net × (1 - lung shunt)",
}

#: What the calibration by administered activity does where several vessels were infused.
BY_TERRITORY = "the image is scaled so that the activity in each territory equals its own net × (1 - lung shunt)"

#: After so many half-lives (107 days of Y-90) a million-millionth is left, which no image shows.
MOST_HALF_LIVES = 40


@dataclass(frozen=True, eq=False)
class Quantified:
    """Activity at the infusion, how it was calibrated, and what that assumes and warns of."""

    activity: ActivityMap
    recovered_fraction: float | None
    shown: Shown
    calibration: str
    assumptions: tuple[Remark, ...]
    warnings: tuple[Remark, ...]
    territories: tuple[TerritoryActivity, ...] = ()


def decay_to(activity: ActivityMap, at: datetime, radionuclide: Radionuclide) -> ActivityMap:
    """The same activity at another instant, ``C(t) = C · 2^(-Δt/T½)``, with the dates counted and not the clock alone.

    Raises
    ------
    QuantityError
        If the image does not know its instant.
    """
    if activity.at is None:
        msg = "The instant of the activity image is not known; say it with measured_at."
        raise QuantityError(msg, code="instant-missing", field="measured_at")
    factor = radionuclide.decay_factor((at - activity.at).total_seconds())
    return ActivityMap(
        activity.bq_per_ml * np.float32(factor),
        activity.grid,
        at=at,
        radionuclide=radionuclide,
        remarks=activity.remarks,
    )


def count_decays(activity: ActivityMap, radionuclide: Radionuclide) -> DecayMap:
    """Count all decays in each voxel from ``activity.at`` on.

    Microspheres are taken not to move: activity leaves a voxel by physical decay alone.

    Parameters
    ----------
    activity : ActivityMap
        Concentration in Bq/mL at the infusion, on any grid.
    radionuclide : Radionuclide
        With the run's half-life.

    Returns
    -------
    DecayMap
        ``bq_per_ml * voxel_volume_ml * half_life_s / ln 2``, on the same grid.

    Raises
    ------
    QuantityError
        If a voxel is not finite. Negative voxels (noise) are kept: clipping them biases means upward.

    References
    ----------
    Dezarn et al., AAPM, Med. Phys. 38 (2011) 4824-4845, doi:10.1118/1.3608909.
    """
    activity.require_finite()
    decays = activity.bq_per_ml * np.float32(activity.grid.voxel_volume_ml * radionuclide.decays_per_bq())
    return DecayMap(decays, activity.grid, radionuclide=radionuclide)


def quantify(case: Case) -> Quantified:
    """Activity of the run's nuclide at the infusion, by the calibration that the case asks for.

    Raises
    ------
    QuantityError
        If nothing was counted, an instant is missing or impossible, counts are to be taken as Bq/mL, it is not known where the
        activity was infused, or too much of it would lie elsewhere.
    """
    image, given = case.activity, case.administration
    image.require_finite()
    if image.total() <= 0:
        msg = f"The activity image holds no activity: its voxels add up to {image.total():g}. Check path and quantity."
        raise QuantityError(msg, code="activity-none", total=image.total())
    imaged = image_nuclide(case)
    _require_scan_after_infusion(case, imaged)
    assumptions = [*_negative_voxels(image), *_nuclide_remarks(imaged, case), *_scanner_administration(case)]
    as_stored, why_not = _absolute_at_infusion(case, imaged)
    shares = share_out(given, case.rois, image.grid)
    at_first = as_stored
    if shares is not None:
        as_stored = shares.at_own_infusions(as_stored) if as_stored is not None else None
        assumptions += shares.remarks
    region = region_of(case, image.grid, shares)
    recovered = _recovered(as_stored, region, given) if as_stored is not None else None
    if isinstance(case.calibration, Absolute):
        if as_stored is None:
            msg = f'Absolute calibration is not possible: {why_not} Use calibration = "administered".'
            raise QuantityError(msg, code="calibration-impossible")
        activity, calibration = as_stored, ABSOLUTE
    else:
        activity = _scaled(image, region, given) if shares is None else shares.scaled(image)
        calibration = ADMINISTERED
        if as_stored is None:
            sentence = f"The image's own activity cannot be compared with the administered one: {why_not}"
            assumptions.append(Remark("activity-not-comparable", {}, sentence))
    shown = shown_by(activity, region, case)
    compared, warnings = _compare_with_administered(recovered, region.words)
    by_territory = shares is not None and calibration == ADMINISTERED
    text = f"{calibration}: {BY_TERRITORY if by_territory else CALIBRATIONS[calibration]}"
    numbers = {"calibration": calibration, "region": region.words}
    stated = Remark("calibration", numbers, f"Calibration {text}; calibration region: {region.words}.")
    warnings += outside_remarks(shown, region, case)
    rows = shares.activities(image, at_first, is_scaled=by_territory) if shares is not None else ()
    warnings += share_warnings(rows, shows_spheres=imaged in (None, given.radionuclide.name))
    return Quantified(activity, recovered, shown, text, (*assumptions, *compared, stated), tuple(warnings), rows)


def _scaled(image: Volume, region: CalibrationRegion, given: Administration) -> ActivityMap:
    """The image scaled so that the region holds the net activity less the lung shunt."""
    inside = region.total_of(image.values)
    if inside <= 0:
        msg = f"The calibration region ({region.words}) holds no activity ({inside:g}), so the image cannot be scaled."
        raise QuantityError(msg, code="activity-none", region=region.words)
    scale = given.liver_mbq * 1e6 / (inside * image.grid.voxel_volume_ml)
    return ActivityMap(
        image.values * np.float32(scale),
        image.grid,
        at=given.at,
        radionuclide=given.radionuclide,
        remarks=image.remarks,
    )


def _compare_with_administered(recovered: float | None, where: str) -> tuple[list[Remark], list[Remark]]:
    """What the image shows of the administered activity, and a warning where that is much more or less than all."""
    if recovered is None:
        return [], []
    low, high = RECOVERY_LIMITS
    numbers: Numbers = {"recovered_fraction": recovered, "region": where}
    shows = f"The image shows {_percent(recovered)} of the net administered activity less lung shunt in {where}"
    if is_within(recovered, low, high):
        return [Remark("activity-recovered", numbers, f"{shows}.")], []
    sentence = f"{shows}, outside {100 * low:g} to {100 * high:g} %: check nuclide, units, decay reference, residual and field of view."
    return [], [Remark("activity-recovered-implausibly", numbers, sentence)]


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.0f} %" if abs(fraction) >= 0.1 else f"{100 * fraction:.2g} %"


def _negative_voxels(image: Volume) -> list[Remark]:
    voxels = int((image.values < 0).sum())
    if not voxels:
        return []
    sentence = f"{voxels} negative voxels (noise) are kept, since clipping them would bias means upward."
    return [Remark("negative-voxels-kept", {"voxels": voxels}, sentence)]


def image_nuclide(case: Case) -> str | None:
    """The nuclide that the image shows, by its header and the user's word; refused where the two do not settle it.

    Raises
    ------
    QuantityError
        If the header names a nuclide that is neither the administration's nor Tc-99m and the user has not
        accepted it, or if the user names a third one.
    """
    given = case.administration.radionuclide.name
    header = case.activity.radionuclide.name if case.activity.radionuclide else None
    stated = _usual_name(case.image_nuclide)
    if header is None:
        return stated
    if stated is None and header not in (given, TC99M.name):
        msg = (
            f"The header says that the image shows {header}, not {given}. If {given} was scanned under that name, say "
            f"image_nuclide = {given}; if the {header} image stands for where the microspheres lie, say image_nuclide = "
            f"{header} (--image-nuclide). Either way it is used as a relative image."
        )
        raise QuantityError(msg, code="nuclide-differs", header=header, administered=given)
    if stated not in (None, header, given):
        msg = f"image_nuclide = {stated} contradicts the header, which says {header}."
        raise QuantityError(msg, code="nuclide-contradicts", header=header, stated=stated)
    return stated or header


def image_kind(case: Case) -> ImageKind:
    """Whether the dose of a case is predicted or delivered; refused as :func:`image_nuclide` is."""
    return ImageKind(image_nuclide(case), case.administration.radionuclide.name, case.activity.modality)


def _usual_name(name: str | None) -> str | None:
    """The usual spelling of a nuclide's name, so that Y90 is Y-90."""
    known = known_radionuclide(name) if name else None
    return known.name if known else name


def _require_scan_after_infusion(case: Case, imaged: str | None) -> None:
    image, given = case.activity, case.administration
    # values corrected to the administration hold before the scan; its own start is known
    scanned_at = (image.acquired_at if isinstance(image, ActivityMap) else None) or image.at
    if scanned_at is None or given.at is None or imaged not in (None, given.radionuclide.name):
        return
    last = max(one.at for one in given.infusions if one.at is not None)
    if scanned_at < last:
        msg = (
            f"The image is dated {scanned_at.isoformat()}, before the infusion at {last.isoformat()}. Check the dates "
            "(de-identification shifts them) and the time zones; a planning scan needs image_nuclide = Tc-99m."
        )
        raise QuantityError(msg, code="scan-before-infusion")
    half_lives = (scanned_at - given.at).total_seconds() / given.radionuclide.half_life_s
    if half_lives > MOST_HALF_LIVES:
        msg = (
            f"The image is dated {scanned_at.isoformat()}, {half_lives:.0f} half-lives after the infusion at "
            f"{given.at.isoformat()}, when nothing is left to be seen. Check the dates (de-identification shifts them)."
        )
        raise QuantityError(msg, code="scan-too-late", half_lives=half_lives)


def _scanner_administration(case: Case) -> list[Remark]:
    """What is assumed where the scanner corrected to an administration other than the user's."""
    image, given = case.activity, case.administration
    if not isinstance(image, ActivityMap) or None in (image.at, image.acquired_at, given.at):
        return []
    assert image.at is not None and image.acquired_at is not None and given.at is not None  # noqa: S101, PT018
    apart_s = min(abs((image.at - one.at).total_seconds()) for one in given.infusions if one.at is not None)
    if image.at >= image.acquired_at or apart_s <= ADMINISTRATIONS_APART_S:
        return []
    sentence = (
        f"The scanner corrected the image to {image.at.isoformat()}, {apart_s / 60:.0f} minutes from the infusion at "
        f"{given.at.isoformat()}; its values are taken to hold at the scanner's instant."
    )
    return [Remark("administrations-differ", {"minutes_apart": apart_s / 60}, sentence)]


def _nuclide_remarks(imaged: str | None, case: Case) -> list[Remark]:
    """What is assumed about the image's nuclide."""
    given = case.administration.radionuclide.name
    header = case.activity.radionuclide.name if case.activity.radionuclide else None
    if imaged is None:
        sentence = f"The image does not say which nuclide it shows; {given} is taken to lie where it shows activity."
        return [Remark("image-nuclide-unknown", {"administered": given}, sentence)]
    if imaged != given:
        sentence = f"The image shows {imaged}; {given} microspheres are taken to lie where it lies."
        return [Remark("image-nuclide-differs", {"imaged": imaged, "administered": given}, sentence)]
    if header != given:
        names = f"names {header}" if header else "names no nuclide"
        sentence = f"The header {names}; the image is taken to show {given}, as the user says."
        return [Remark("image-nuclide-by-user", {"header": header, "administered": given}, sentence)]
    return []


def _absolute_at_infusion(case: Case, imaged: str | None) -> tuple[ActivityMap | None, str]:
    """The image's own Bq/mL at the infusion, or why that cannot be known."""
    image, given = case.activity, case.administration
    if isinstance(image, CountMap):
        return None, "it holds counts, not Bq/mL."
    if image.not_absolute:
        return None, image.not_absolute
    if imaged not in (None, given.radionuclide.name):
        return None, f"it shows {imaged}, not {given.radionuclide.name}."
    if image.radionuclide is not None and image.radionuclide.name != given.radionuclide.name:
        name = image.radionuclide.name
        return None, (
            f"the scanner corrected it for {name} (branching and decay); undo_nuclide = {name} (--undo-nuclide) undoes that."
        )
    if image.at is None:
        return None, "the instant of its Bq/mL is not known; say it with measured_at (--measured-at)."
    if given.at is None:
        return None, "the instant of the infusion is not known; say it with at (--at)."
    return decay_to(image, given.at, given.radionuclide), ""


def _recovered(activity: ActivityMap, region: CalibrationRegion, given: Administration) -> float | None:
    if given.administered_mbq is None:
        return None
    return region.total_of(activity.bq_per_ml) * activity.grid.voxel_volume_ml / 1e6 / given.liver_mbq


def decays_on_grid(case: Case, emitted: DecayMap) -> tuple[DecayMap, tuple[Remark, ...]]:
    """The decays on the grid the dose is wanted on, and a remark if that is another than the image's."""
    grid = case.dose_grid or emitted.grid
    if grid.matches(emitted.grid):
        return emitted, ()
    moved = onto(emitted, grid)
    inside = float(moved.total() / emitted.total())
    sentence = (
        f"Dose is computed on a grid of {grid.shape} voxels of {_format_spacing(grid)} mm (k, j, i); activity is spread evenly over "
        f"each image voxel, its total kept; {inside:.2%} of it lies inside that grid."
    )
    numbers: Numbers = {
        **dict(zip(("slices", "rows", "columns"), grid.shape, strict=True)),
        **dict(zip(("spacing_k_mm", "spacing_j_mm", "spacing_i_mm"), grid.spacing_mm, strict=True)),
        "inside_fraction": inside,
    }
    return moved, (Remark("dose-grid-differs", numbers, sentence),)


def _format_spacing(grid: Grid) -> str:
    return " x ".join(f"{s:.4g}" for s in grid.spacing_mm)
