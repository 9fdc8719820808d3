"""Any image file or folder to the volume it holds, by its format and what its header says."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

from voxeldose.errors import InputError, QuantityError
from voxeldose.io.dicom_files import find_series, instant, nuclide_of
from voxeldose.io.dicom_series import pet_instant, read_ct, read_dicom_volume, read_pet, read_spect, require_rescale
from voxeldose.io.nifti import SUFFIXES, read_array
from voxeldose.volume import ActivityMap, CountMap, CtImage, DensityMap, Volume, require_zone

if TYPE_CHECKING:
    from voxeldose.radionuclide import Radionuclide

__all__ = ["QUANTITIES", "read_activity", "read_ct_image", "read_density", "read_image"]

#: What a file without units may hold: a concentration, an activity a voxel, or anything proportional to it.
QUANTITIES = ("bq_per_ml", "bq", "counts")


def is_plain_file(path: Path) -> bool:
    """Whether the name is that of a NIfTI, NRRD or MetaImage file."""
    return path.name.casefold().endswith(SUFFIXES)


def read_image(path: str | Path) -> Volume:
    """An image with its kind where the file tells it: CT, PET in Bq/mL or SPECT; a plain volume else.

    Parameters
    ----------
    path : path
        DICOM folder or file, NIfTI, NRRD, MHA.

    Raises
    ------
    InputError
        If it cannot be read, or holds several series.
    """
    path = Path(path)
    if is_plain_file(path):
        values, grid, texts = read_array(path)
        return Volume(values, grid, notes=_notes(texts))
    modality = _modality(path)
    if modality == "CT":
        return read_ct(path)
    if modality == "PT":
        return read_pet(path)
    if modality == "NM":
        return read_spect(path)
    return read_dicom_volume(path)[0]


def read_ct_image(path: str | Path, *, series_uid: str | None = None) -> CtImage:
    """CT numbers from DICOM or from a file of Hounsfield units."""
    path = Path(path)
    if not is_plain_file(path):
        return read_ct(path, series_uid=series_uid)
    values, grid, texts = read_array(path)
    note = f"{path.name} is taken to hold Hounsfield units."
    return CtImage(values, grid, notes=(*_notes(texts), note))


def read_density(path: str | Path) -> DensityMap:
    """Mass density in g/mL from a NIfTI, NRRD or MHA file.

    Raises
    ------
    QuantityError
        If a value is negative or above 25 g/mL: the file then holds something else (kg/m³, HU).
    """
    values, grid, texts = read_array(Path(path))
    if values.min() < 0 or values.max() > 25:
        msg = f"{path}: values from {values.min():g} to {values.max():g} are no densities in g/mL."
        raise QuantityError(msg)
    return DensityMap(values, grid, notes=_notes(texts))


def read_activity(
    path: str | Path,
    *,
    quantity: str | None = None,
    measured_at: datetime | None = None,
    zone: tzinfo = UTC,
    series_uid: str | None = None,
) -> ActivityMap | CountMap:
    """The activity image of a case.

    Parameters
    ----------
    path : path
        DICOM folder or file (PET, SPECT), NIfTI, NRRD, MHA.
    quantity : str, optional
        One of :data:`QUANTITIES`, for files that do not say; also turns a PET in other units into a relative image.
    measured_at : datetime, optional
        The instant to which the values hold, for files that do not say.
    zone : tzinfo
        Of DICOM times without one.
    series_uid : str, optional
        Which series, where a folder holds several.

    Raises
    ------
    InputError
        If nothing tells what the numbers are, or the user and the file say different things.
    """
    path = Path(path)
    require_zone(measured_at, "activity.measured_at")
    if quantity is not None and quantity not in QUANTITIES:
        msg = f"quantity must be one of {', '.join(QUANTITIES)}, found {quantity!r}."
        raise QuantityError(msg)
    if is_plain_file(path):
        values, grid, texts = read_array(path)
        if quantity is None:
            msg = f"{path}: the file does not say what its numbers are; say it with quantity = bq_per_ml, bq or counts."
            raise InputError(msg)
        return _typed(Volume(values, grid, notes=_notes(texts)), quantity, measured_at, None, path.name)
    modality = _modality(path, series_uid)
    if quantity is None and modality == "PT":
        pet = read_pet(path, zone=zone, series_uid=series_uid)
        return _agreed(pet, measured_at, path)
    if quantity is None and modality == "NM":
        spect = read_spect(path, zone=zone, series_uid=series_uid)
        if measured_at is not None:
            return CountMap(
                spect.counts, spect.grid, radionuclide=spect.radionuclide, at=measured_at, notes=spect.notes
            )
        return spect
    if quantity is None:
        msg = (
            f"{path}: the header says {modality}, which is no emission image. If it is one all the same, say what its "
            "numbers are with quantity = bq_per_ml, bq or counts."
        )
        raise InputError(msg)
    volume, series = read_dicom_volume(path, series_uid=series_uid)
    at, notes = None, tuple[str, ...]()
    if modality == "PT":
        require_rescale(series)
        at, notes = pet_instant(series, zone)
    elif modality == "NM" and measured_at is None:
        at = instant(series.first, "AcquisitionDate", "AcquisitionTime", zone)
    at = _agreed_instant(at, measured_at, path)
    units = str(series.first.get("Units", "") or "")
    if quantity != "counts" and units and (units != "BQML" or quantity != "bq_per_ml"):
        msg = f"{path}: quantity = {quantity} contradicts Units (0054,1001) {units} in the header; leave quantity out."
        raise InputError(msg)
    said = f"The {modality} image" + (f" with Units {units}" if units else "")
    typed = _typed(volume, quantity, at, nuclide_of(series.first), said)
    return typed.replaced(typed.values, notes=notes)


def _agreed(pet: ActivityMap, measured_at: datetime | None, path: Path) -> ActivityMap:
    """A PET with the user's instant where the header has none; two different instants are refused."""
    if measured_at is None:
        return pet
    _agreed_instant(pet.at, measured_at, path)
    note = f"PET values hold at {measured_at.isoformat()}, as the user says."
    return ActivityMap(pet.values, pet.grid, at=measured_at, radionuclide=pet.radionuclide, notes=(*pet.notes, note))


def _agreed_instant(stated: datetime | None, measured_at: datetime | None, path: Path) -> datetime | None:
    """The instant of the header or of the user; two that differ by more than a minute are refused."""
    if stated is not None and measured_at is not None and abs((stated - measured_at).total_seconds()) > 60:
        msg = (
            f"{path}: the header says its values hold at {stated.isoformat()}, measured_at says {measured_at.isoformat()}. "
            "Leave measured_at out, or correct the header."
        )
        raise InputError(msg)
    return measured_at or stated


def _typed(
    volume: Volume, quantity: str, at: datetime | None, nuclide: Radionuclide | None, name: str
) -> ActivityMap | CountMap:
    note = f"{name} is taken as {quantity}, as the user says."
    notes = (*volume.notes, note)
    if quantity == "counts":
        return CountMap(volume.values, volume.grid, radionuclide=nuclide, at=at, notes=notes)
    per_ml = volume.values if quantity == "bq_per_ml" else volume.values / volume.grid.voxel_volume_ml
    return ActivityMap(per_ml, volume.grid, at=at, radionuclide=nuclide, notes=notes)


def _modality(path: Path, series_uid: str | None = None) -> str:
    """The modality of the one image series here; several modalities are left to the reader of each to choose from."""
    series = [s for s in find_series(path) if series_uid in (None, s.uid)]
    kinds = {s.modality for s in series if "Rows" in s.first}
    emission = kinds & {"PT", "NM"}
    if len(emission) == 1:
        return emission.pop()
    if len(kinds) == 1:
        return kinds.pop()
    listed = "; ".join(str(s) for s in series) or "no DICOM image"
    msg = f"{path}: one image series is needed, found {listed}. Give the folder of the one wanted."
    raise InputError(msg)


def _notes(texts: dict[str, str]) -> tuple[str, ...]:
    return (texts["note"],) if "note" in texts else ()
