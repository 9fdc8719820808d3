"""To which instant the values of a PET series hold, by Decay Correction (0054,1102), slice by slice.

START is the start of the scan, ADMIN the administration that the scanner knew, NONE the middle of each slice's own frame
(PS3.3 C.8.9.1). The dates are always counted: for Y-90 a day forgotten is a factor of 0.77.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from itertools import pairwise
from typing import TYPE_CHECKING

from voxeldose.errors import InputError
from voxeldose.io.dicom.header import drug_item, private_value, stated_number, text
from voxeldose.io.dicom.instants import format_instant, instant, stated_zone, whole_instant, zone_remarks
from voxeldose.model.remarks import Numbers, Remark

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydicom.dataset import Dataset

    from voxeldose.model.radionuclide import Radionuclide

__all__ = ["Frame", "Timing", "frames_of", "timing_of"]

#: Two instants whose activities differ by less than this part agree with the Decay Factor of a header.
AGREES = 2e-3
#: A Decay Factor this near the decay within the frame alone says that its bed was corrected to its own start.
OWN_START = 5e-5
#: A vendor's own start further than this from the acquisition was left behind when dates were shifted.
NEAR_THE_SCAN_S = 12 * 3600.0
#: No scan is further than this from its reference; a Decay Factor or a time that says so is none.
LONGEST_S = 10 * 365.25 * 86400.0
#: Days back within which a Decay Factor may find the date of an administration that the header gives without one.
DAYS_BACK = 30


@dataclass(frozen=True)
class Frame:
    """When one slice was measured: start, length, and what the header says of its decay correction.

    ``decay_factor`` is Decay Factor (0054,1321) where it means anything, ``offset_s`` Frame Reference Time (0054,1300).
    """

    start: datetime | None
    duration_s: float
    decay_factor: float | None
    offset_s: float | None = None


@dataclass(frozen=True, eq=False)
class Timing:
    """The instants to which each slice's values hold, the earliest as ``at``, and what was assumed."""

    correction: str
    at: datetime | None
    acquired_at: datetime | None
    frames: tuple[Frame, ...]
    slices_at: tuple[datetime, ...]
    remarks: tuple[Remark, ...]

    def to_common(self, n: int, nuclide: Radionuclide | None) -> float:
        """By which slice ``n`` is multiplied so that it holds at ``at``.

        Raises
        ------
        InputError
            If slices hold at different instants and nothing says how fast the activity decays.
        """
        if self.at is None or not self.slices_at or self.slices_at[n] == self.at:
            return 1.0
        if nuclide is None:
            many = len(set(self.slices_at))
            msg = (
                f"the slices hold at {many} different instants and the header names no nuclide to bring them together. "
                "Export the series with decay correction."
            )
            raise InputError(msg, code="nuclide-missing", instants=many)
        return nuclide.decay_factor((self.at - self.slices_at[n]).total_seconds())


@dataclass(frozen=True)
class Reference:
    """The instant that the scanner corrected to, ``None`` if nothing says it, and the remark on how it was found."""

    at: datetime | None
    remark: Remark


def frames_of(headers: Sequence[Dataset], zone: tzinfo) -> tuple[Frame, ...]:
    """When each slice was measured.

    Some scanners write the start of the whole scan as Acquisition Time into the slices of every bed; the beds then differ
    by Frame Reference Time (0054,1300), milliseconds from the start of the series.
    """
    starts = [_acquisition_start(header, zone) for header in headers]
    offsets = [_milliseconds(header, "FrameReferenceTime") for header in headers]
    known = {t for t in starts if t is not None}
    if len(known) == 1 and all(o is not None for o in offsets) and len(set(offsets)) > 1:
        first = min(o for o in offsets if o is not None)
        starts = [
            t if t is None or o is None else t + timedelta(milliseconds=o - first)
            for t, o in zip(starts, offsets, strict=True)
        ]
    return tuple(
        Frame(t, _duration_s(h), _decay_factor(h), None if o is None else o / 1000)
        for t, h, o in zip(starts, headers, offsets, strict=True)
    )


def timing_of(headers: Sequence[Dataset], zone: tzinfo, scanned_as: Radionuclide | None) -> Timing:
    """To which instants a series' values hold.

    Parameters
    ----------
    headers : sequence of Dataset
        One per slice.
    zone : tzinfo
        Of times that state none.
    scanned_as : Radionuclide, optional
        The nuclide, with the half-life that the scanner used, against which Decay Factors are read.
    """
    frames = frames_of(headers, zone)
    header = headers[0]
    assumed = zone_remarks(header, zone)
    acquired = min((f.start for f in frames if f.start is not None), default=None)
    correction = _correction(header)
    stated = whole_instant(header.get("DecayCorrectionDateTime"), stated_zone(header) or zone)
    if correction == "NONE":
        return _timing_without_correction(frames, acquired, assumed)
    if stated is not None and correction in ("START", "ADMIN", "missing"):
        sentence = f"PET values hold at {format_instant(stated)} (Decay Correction DateTime)."
        reference = Reference(stated, _holds_at("pet-instant-stated", stated, sentence))
    elif correction == "START":
        own = _own_starts(frames, scanned_as)
        if own:
            at = min(own)
            sentence = (
                "The Decay Factors say that each bed was corrected to its own start; all are brought to the first, "
                f"{format_instant(at)}."
            )
            remark = _holds_at("pet-beds-brought-to-first", at, sentence)
            return Timing(correction, at, acquired, frames, own, (*assumed, remark))
        reference = _scan_start(header, zone, frames, acquired, scanned_as)
    elif correction == "ADMIN":
        reference = _administration(header, zone, frames, scanned_as)
    else:
        sentence = (
            f"Decay Correction (0054,1102) is {correction}, so the instant of the values is not known; give it with "
            "measured_at (--measured-at)."
        )
        reference = Reference(None, Remark("pet-decay-correction-unknown", {"decay_correction": correction}, sentence))
    at_all = (reference.at,) * len(frames) if reference.at else ()
    doubts = _doubts_of_decay_factor(reference.at, frames, scanned_as)
    return Timing(correction, reference.at, acquired, frames, at_all, (*assumed, reference.remark, *doubts))


def _holds_at(code: str, at: datetime, sentence: str) -> Remark:
    """A remark on the instant to which values hold."""
    return Remark(code, {"at": at.isoformat()}, sentence)


def _correction(header: Dataset) -> str:
    """START, ADMIN or NONE; enhanced objects say Decay Corrected (0018,9758) YES or NO instead."""
    correction = text(header, "DecayCorrection").strip().upper()
    if not correction and text(header, "DecayCorrected") == "NO":
        return "NONE"
    return correction or "missing"


def _acquisition_start(header: Dataset, zone: tzinfo) -> datetime | None:
    at = whole_instant(header.get("FrameAcquisitionDateTime"), stated_zone(header) or zone)
    at = at or instant(header, "AcquisitionDate", "AcquisitionTime", zone)
    return at or whole_instant(header.get("AcquisitionDateTime"), stated_zone(header) or zone)


def _duration_s(header: Dataset) -> float:
    """Length of the frame in seconds, 0 if it is not stated; both attributes are milliseconds."""
    value = _milliseconds(header, "ActualFrameDuration") or _milliseconds(header, "FrameAcquisitionDuration") or 0.0
    return max(value, 0.0) / 1000


def _milliseconds(header: Dataset, key: str) -> float | None:
    """A duration as the header has it; ``None`` where it is missing or longer than any scan is from its reference."""
    value = stated_number(header, key)
    return value if value is not None and abs(value) < LONGEST_S * 1000 else None


def _decay_factor(header: Dataset) -> float | None:
    """Decay Factor (0054,1321); exactly 1 means nothing, as some scanners write it whatever they did."""
    value = stated_number(header, "DecayFactor")
    return value if value is not None and value > 0 and value != 1 else None


def _timing_without_correction(
    frames: tuple[Frame, ...], acquired: datetime | None, assumed: tuple[Remark, ...]
) -> Timing:
    middles = [f.start + timedelta(seconds=f.duration_s / 2) for f in frames if f.start is not None]
    if len(middles) < len(frames):
        sentence = (
            "Decay Correction is NONE and the PET header has no usable acquisition date and time (de-identification "
            "removes dates); give the middle of the scan with measured_at (--measured-at)."
        )
        remark = Remark("pet-instant-missing", {"decay_correction": "NONE"}, sentence)
        return Timing("NONE", None, acquired, frames, (), (*assumed, remark))
    at = min(middles)
    many = len(set(middles))
    code, sentence = (
        "pet-frame-middle",
        f"PET values hold at the middle of the frame, {format_instant(at)} (no decay correction).",
    )
    if many > 1:
        code = "pet-frames-brought-to-first"
        sentence = (
            f"No decay correction: the slices hold at the middles of {many} frames; each is brought to the first, "
            f"{format_instant(at)}."
        )
    remarks = [Remark(code, {"at": at.isoformat(), "frames": many}, sentence)]
    if any(f.duration_s == 0 for f in frames):
        sentence = "The header gives no Actual Frame Duration (0018,1242), so the start stands for the middle."
        remarks.append(Remark("pet-frame-start-for-middle", {}, sentence))
    return Timing("NONE", at, acquired, frames, tuple(middles), (*assumed, *remarks))


def _scan_start(
    header: Dataset,
    zone: tzinfo,
    frames: tuple[Frame, ...],
    acquired: datetime | None,
    nuclide: Radionuclide | None,
) -> Reference:
    """The start of the scan: what the vendor wrote for it, else the series' instant or the earliest acquisition.

    A series made again later has a Series Time after its first acquisition; then the acquisition holds, or with Philips the
    instant that Frame Reference Time counts from (a bed may be missing). Where the Decay Factor fits another of the three
    and not that one, it decides.
    """
    made = instant(header, "SeriesDate", "SeriesTime", zone)
    vendor = _vendor_start(header, zone)
    if vendor is not None and acquired is not None and abs((vendor - acquired).total_seconds()) < NEAR_THE_SCAN_S:
        sentence = f"PET values hold at {format_instant(vendor)}, the vendor's own decay reference (START)."
        return Reference(vendor, _holds_at("pet-instant-of-vendor", vendor, sentence))
    counted = _count_origin(frames, nuclide)
    at, what = made, "the start of the scan"
    if acquired is not None and (made is None or made > acquired):
        at = acquired
        if counted is not None and "PHILIPS" in text(header, "Manufacturer").upper():
            at, what = counted, "the instant that Frame Reference Time counts from"
    if at is None:
        sentence = (
            "Decay Correction is START but the PET header has no usable series or acquisition date and time "
            "(de-identification removes dates); give the start of the scan with measured_at (--measured-at)."
        )
        return Reference(None, Remark("pet-instant-missing", {"decay_correction": "START"}, sentence))
    implied = _implied_reference(frames, nuclide)
    if implied is not None and nuclide is not None and _off(at, implied, nuclide) > AGREES:
        others = {"the first acquisition": acquired, "the instant that Frame Reference Time counts from": counted}
        for name, other in others.items():
            if other is not None and _off(other, implied, nuclide) < AGREES:
                sentence = (
                    f"PET values hold at {name}, {format_instant(other)}, which the Decay Factor fits; {format_instant(at)}, "
                    f"{what} by the other times of the header, it does not (START)."
                )
                return Reference(other, _holds_at("pet-instant-by-decay-factor", other, sentence))
    sentence = f"PET values hold at {what}, {format_instant(at)} (Decay Correction START)."
    return Reference(at, _holds_at("pet-instant-start", at, sentence))


def _count_origin(frames: tuple[Frame, ...], nuclide: Radionuclide | None) -> datetime | None:
    """Where Frame Reference Time counts from, if it is the instant of a frame's mean activity.

    That instant lies ``T½ · log2(frame_factor)`` after the start of the frame.
    """
    dated = [f for f in frames if f.start is not None and f.offset_s is not None and f.duration_s > 0]
    if nuclide is None or not dated:
        return None
    first = min(dated, key=lambda f: f.offset_s or 0.0)
    mean_s = nuclide.half_life_s * math.log2(nuclide.frame_factor(first.duration_s))
    assert first.start is not None and first.offset_s is not None  # noqa: S101, PT018 - chosen so above
    return first.start + timedelta(seconds=mean_s - first.offset_s)


def _vendor_start(header: Dataset, zone: tzinfo) -> datetime | None:
    """The instant that Siemens and GE keep in private attributes."""
    zone = stated_zone(header) or zone
    siemens = whole_instant(private_value(header, 0x0071, "SIEMENS MED PT", 0x22), zone)
    return siemens or whole_instant(private_value(header, 0x0009, "GEMS_PETD_01", 0x0D), zone)


def _administration(
    header: Dataset, zone: tzinfo, frames: tuple[Frame, ...], nuclide: Radionuclide | None
) -> Reference:
    """The administration that the scanner knew, with its date."""
    drug = drug_item(header)
    zone = stated_zone(header) or zone
    at = whole_instant(drug.get("RadiopharmaceuticalStartDateTime"), zone) if drug is not None else None
    if at is not None:
        sentence = f"PET values hold at the administration the scanner knew, {format_instant(at)}."
        return Reference(at, _holds_at("pet-instant-administration", at, sentence))
    clock = text(drug, "RadiopharmaceuticalStartTime") if drug is not None else ""
    implied = _implied_reference(frames, nuclide)
    if clock and implied is not None and nuclide is not None:
        days = (_on_day(implied + timedelta(days=n), clock, zone) for n in (-1, 0, 1))
        fitting = [t for t in days if t is not None and _off(t, implied, nuclide) < AGREES]
        acquired = min(f.start for f in frames if f.start is not None)
        if len(fitting) == 1 and timedelta() <= acquired - fitting[0] <= timedelta(days=DAYS_BACK):
            sentence = (
                f"PET values hold at the administration the scanner knew, {format_instant(fitting[0])}: the header gives "
                "the time of day and the Decay Factor the day."
            )
            return Reference(fitting[0], _holds_at("pet-administration-day-by-decay-factor", fitting[0], sentence))
    sentence = (
        "Decay Correction is ADMIN but the header gives no Radiopharmaceutical Start DateTime with its date; give the "
        "instant to which the scanner corrected with measured_at (--measured-at), with its date: Y-90 is often scanned on "
        "another day."
    )
    return Reference(None, Remark("pet-instant-missing", {"decay_correction": "ADMIN"}, sentence))


def _on_day(day: datetime, clock: str, zone: tzinfo) -> datetime | None:
    from pydicom.dataset import Dataset as NewDataset

    header = NewDataset()
    header.AcquisitionDate, header.AcquisitionTime = day.astimezone(zone).strftime("%Y%m%d"), clock
    return instant(header, "AcquisitionDate", "AcquisitionTime", zone)


def _implied_reference(frames: tuple[Frame, ...], nuclide: Radionuclide | None) -> datetime | None:
    """The reference that the earliest frame's Decay Factor implies: ``start - T½ · log2(DF / frame_factor)``."""
    if nuclide is None:
        return None
    dated = [f for f in frames if f.start is not None and f.decay_factor is not None]
    if not dated:
        return None
    first = min(dated, key=lambda f: (f.start, f.decay_factor))
    factor = (first.decay_factor or 1.0) / nuclide.frame_factor(first.duration_s)
    assert first.start is not None  # noqa: S101 - chosen so above
    back = nuclide.half_life_s * math.log2(factor)
    return first.start - timedelta(seconds=back) if abs(back) < LONGEST_S else None


def _own_starts(frames: tuple[Frame, ...], nuclide: Radionuclide | None) -> tuple[datetime, ...]:
    """Each slice's own start, if the Decay Factors say that every bed was corrected to its own; empty else."""
    starts = [f.start for f in frames if f.start is not None]
    if nuclide is None or len(starts) < len(frames) or len(set(starts)) < 2:
        return ()
    alone = [nuclide.frame_factor(f.duration_s) for f in frames]
    own_starts = all(
        f.decay_factor is not None and f.duration_s > 0 and abs(f.decay_factor / a - 1) < OWN_START
        for f, a in zip(frames, alone, strict=True)
    )
    # where beds differ by less than this the two readings are the same
    spread = max(nuclide.decay_factor(-(b - a).total_seconds()) - 1 for a, b in pairwise((min(starts), max(starts))))
    return tuple(starts) if own_starts and spread > 4 * OWN_START else ()


def _doubts_of_decay_factor(
    at: datetime | None, frames: tuple[Frame, ...], nuclide: Radionuclide | None
) -> tuple[Remark, ...]:
    """The remark on a Decay Factor that implies another instant; empty if it does not."""
    implied = _implied_reference(frames, nuclide)
    if at is None or nuclide is None or implied is None or _off(at, implied, nuclide) < AGREES:
        return ()
    off = _off(at, implied, nuclide)
    sentence = (
        f"The header's Decay Factor (0054,1321) fits {format_instant(implied)} rather than {format_instant(at)}, "
        f"{off:.1%} in activity for {nuclide.name}; check which the scanner used."
    )
    numbers: Numbers = {
        "at": at.isoformat(),
        "implied_at": implied.isoformat(),
        "activity_fraction": off,
        "nuclide": nuclide.name,
    }
    return (Remark("pet-decay-factor-contradicts", numbers, sentence),)


def _off(one: datetime, two: datetime, nuclide: Radionuclide) -> float:
    """Part by which the activities at two instants differ."""
    return abs(nuclide.decay_factor((one - two).total_seconds()) - 1)
