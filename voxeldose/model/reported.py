"""What a report states besides what was computed: facts on the user's word, and how the images were acquired."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["Acquisition", "Reported", "Stated"]


@dataclass(frozen=True)
class Stated:
    """What images cannot say, on the user's word; empty or ``None`` where nobody said.

    Parameters
    ----------
    lot : str
        Of the microspheres.
    vial_calibration_mbq, vial_calibrated_at
        Activity of the vial by its maker, and the instant to which it holds.
    activity_meter, activity_meter_factor : str
        The instrument that measured the vial, and its setting or factor.
    lung_shunt_method : str
        How the lung shunt was measured.
    catheter_positions : tuple of str
        Where the microspheres were infused.
    scanner, scan, reconstruction : str
        Of the activity image, where its file does not say.
    regions_drawn_by : str
        Who or what drew the regions.
    operator, reviewer : str
        Who made this report, and who looked at it.
    signed_off_by, signed_off_at
        Who signs it, and when.
    comment : str
        Anything else.
    """

    lot: str = ""
    vial_calibration_mbq: float | None = None
    vial_calibrated_at: datetime | None = None
    activity_meter: str = ""
    activity_meter_factor: str = ""
    lung_shunt_method: str = ""
    catheter_positions: tuple[str, ...] = ()
    scanner: str = ""
    scan: str = ""
    reconstruction: str = ""
    regions_drawn_by: str = ""
    operator: str = ""
    reviewer: str = ""
    signed_off_by: str = ""
    signed_off_at: datetime | None = None
    comment: str = ""


@dataclass(frozen=True)
class Acquisition:
    """How a series was acquired and reconstructed, as its header says; empty or ``None`` where it does not.

    Parameters
    ----------
    scanner : str
        Maker and model.
    frame_duration_s : float or None
        Of one frame, bed position or projection.
    frames : int or None
        Projections of a rotation, of SPECT.
    detectors : int or None
        Heads, of SPECT.
    energy_windows_kev : tuple of (low, high)
        Of SPECT.
    collimator : str
        Of SPECT.
    tube_kv : float or None
        Of CT.
    reconstruction : tuple of str
        Method, iterations and subsets, time of flight, filter.
    corrections : tuple of str
        Defined terms of DICOM (ATTN, SCAT, DECY …), and the methods stated with them.
    """

    scanner: str = ""
    frame_duration_s: float | None = None
    frames: int | None = None
    detectors: int | None = None
    energy_windows_kev: tuple[tuple[float, float], ...] = ()
    collimator: str = ""
    tube_kv: float | None = None
    reconstruction: tuple[str, ...] = ()
    corrections: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reported:
    """What goes into a report besides what was computed.

    Parameters
    ----------
    stated : Stated or None
        ``None`` where the case has no ``[report]``.
    image, ct : Acquisition or None
        Of the series that were read; ``None`` where they were not DICOM.
    protocol : str
        Name of the site protocol under the case; empty without one.
    """

    stated: Stated | None = None
    image: Acquisition | None = None
    ct: Acquisition | None = None
    protocol: str = ""
