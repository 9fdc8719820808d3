"""``[report]``: what a report states on the user's word, since no image can say it."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - pydantic needs it at run time
from typing import Annotated

from pydantic import Field

from voxeldose.errors import InputError
from voxeldose.io.config.toml import Positive, Table
from voxeldose.model.reported import Stated
from voxeldose.model.volume import require_zone

__all__ = ["ReportTable", "build_stated"]

Words = Annotated[str, Field(max_length=300)]


class ReportTable(Table):
    """``[report]``: facts for the record; nothing is computed from them. Never a patient identifier."""

    lot: Words = ""
    """Lot of the microspheres. Example: `"L-24-0117"`."""
    vial_calibration_mbq: Positive | None = None
    """Activity of the vial as its maker states it, in MBq. Example: `3000.0`."""
    vial_calibrated_at: datetime | None = None
    """Instant to which the maker's activity holds, with its zone. Example: `2024-04-28T12:00:00Z`."""
    activity_meter: Words = ""
    """Instrument that measured the vial: make and model. Example: `"well chamber, model X"`."""
    activity_meter_factor: Words = ""
    """Its setting or calibration factor for this vial, with the date of its calibration. Example: `"Y-90 glass, factor 0.98, 2024-01"`."""
    lung_shunt_method: Words = ""
    """How the lung shunt was measured. Example: `"MAA SPECT/CT, lungs and liver segmented"`."""
    catheter_positions: list[Words] = Field(default=[])
    """Where the microspheres were infused. Example: `["right anterior hepatic artery"]`."""
    scanner: Words = ""
    """Scanner of the activity image, where its file does not say."""
    scan: Words = ""
    """Duration, bed positions or projections of the scan, where the file does not say. Example: `"2 beds of 15 min"`."""
    reconstruction: Words = ""
    """Reconstruction and corrections, where the file does not say. Example: `"OSEM 2 x 21, PSF, TOF, 5 mm"`."""
    regions_drawn_by: Words = ""
    """Who or what drew the regions. Example: `"network, edited by a radiologist"`."""
    operator: Words = ""
    """Who made this assessment. Example: `"A. Example"`."""
    reviewer: Words = ""
    """Who looked at it. Example: `"B. Example"`."""
    signed_off_by: Words = ""
    """Who signs it; together with `signed_off_at`. Example: `"C. Example"`."""
    signed_off_at: datetime | None = None
    """When it was signed, with its zone. Example: `2024-05-03T16:30:00Z`."""
    comment: Words = ""
    """Anything else for the record."""


def build_stated(table: ReportTable | None) -> Stated | None:
    """The facts of ``[report]``; ``None`` without the table.

    Raises
    ------
    InputError
        If a signature has no time or a time no signature, or a vial's activity no instant.
    QuantityError
        If an instant has no zone.
    """
    if table is None:
        return None
    for first, second in (("signed_off_by", "signed_off_at"), ("vial_calibration_mbq", "vial_calibrated_at")):
        given = [key for key in (first, second) if getattr(table, key)]
        if len(given) == 1:
            lacking = second if given == [first] else first
            msg = f"report.{given[0]} is given without report.{lacking}; they belong together."
            raise InputError(msg, code="key-missing", keys=(f"report.{lacking}",))
    for key in ("signed_off_at", "vial_calibrated_at"):
        require_zone(getattr(table, key), f"report.{key}")
    return Stated(**table.model_dump() | {"catheter_positions": tuple(table.catheter_positions)})
