"""Any image file or folder to the volume it holds, by its format and what its header says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from voxeldose.errors import InputError, QuantityError
from voxeldose.io.arrays import SUFFIXES, header_remarks, read_array
from voxeldose.io.damage import refusing_damage
from voxeldose.io.dicom.ct import ct_image
from voxeldose.io.dicom.emission import require_emission
from voxeldose.io.dicom.files import find_series, only_series
from voxeldose.io.dicom.nuclide import nuclide_of
from voxeldose.io.dicom.options import CtOptions, PetOptions, SpectOptions
from voxeldose.io.dicom.pet import pet_activity, pet_counts, units_of
from voxeldose.io.dicom.series import dicom_volume
from voxeldose.io.dicom.spect import nm_activity
from voxeldose.model.densities import DENSEST_G_PER_ML
from voxeldose.model.remarks import Remark
from voxeldose.model.volume import ActivityMap, CountMap, CtImage, DensityMap, Volume, require_zone

if TYPE_CHECKING:
    from voxeldose.io.dicom.files import Scan, Series
    from voxeldose.model.radionuclide import Radionuclide

__all__ = [
    "QUANTITIES",
    "ImageRead",
    "load_activity",
    "load_ct_image",
    "read_activity",
    "read_ct_image",
    "read_density",
    "read_image",
]

VolumeT_co = TypeVar("VolumeT_co", bound=Volume, covariant=True)

#: What a file without units may hold: a concentration, an activity per voxel, or anything proportional to it.
QUANTITIES = ("bq_per_ml", "bq", "counts")


@dataclass(frozen=True, eq=False)
class ImageRead(Generic[VolumeT_co]):
    """A volume, and the DICOM series that it was read from; none for other formats."""

    volume: VolumeT_co
    series: Series | None = None


def is_plain_file(path: Path) -> bool:
    """Whether the name is that of a NIfTI, NRRD or MetaImage file."""
    return path.name.casefold().endswith(SUFFIXES)


@refusing_damage
def read_image(path: str | Path) -> Volume:
    """An image with its kind where the file states it: CT, PET in Bq/mL or SPECT; a plain volume otherwise.

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
        return Volume(values, grid, remarks=header_remarks(texts))
    scan = cache(find_series)
    modality = _modality(path, scan=scan)
    if modality == "CT":
        return ct_image(only_series(path, ("CT",), scan=scan), CtOptions())
    if modality == "PT":
        return pet_activity(only_series(path, ("PT",), scan=scan), zone=UTC, options=PetOptions())
    if modality == "NM":
        return nm_activity(only_series(path, ("NM",), scan=scan), zone=UTC, options=SpectOptions())
    return dicom_volume(only_series(path, scan=scan))


@refusing_damage
def read_ct_image(path: str | Path, *, series_uid: str | None = None, options: CtOptions | None = None) -> CtImage:
    """CT numbers from DICOM (as :func:`read_ct`) or from a file of Hounsfield units.

    Raises
    ------
    QuantityError
        If a file's values lie beyond 16 bits, as no CT numbers do: it then holds something else (Bq/mL, counts).
    """
    return load_ct_image(path, series_uid=series_uid, options=options).volume


@refusing_damage
def load_ct_image(
    path: str | Path,
    *,
    series_uid: str | None = None,
    options: CtOptions | None = None,
    scan: Scan = find_series,
) -> ImageRead[CtImage]:
    """:func:`read_ct_image` with the series of the CT."""
    path = Path(path)
    if not is_plain_file(path):
        series = only_series(path, ("CT",), series_uid, scan=scan)
        return ImageRead(ct_image(series, options or CtOptions()), series)
    values, grid, texts = read_array(path)
    if values.min() < -(2**16) or values.max() > 2**16:
        msg = f"{path}: values from {values.min():g} to {values.max():g} are no CT numbers in HU; give the CT."
        raise QuantityError(msg, code="ct-not-in-hu", lowest=float(values.min()), highest=float(values.max()))
    note = Remark("file-taken-as-hu", {}, f"{path.name} is taken to hold Hounsfield units.")
    return ImageRead(CtImage(values, grid, remarks=(*header_remarks(texts), note)))


@refusing_damage
def read_density(path: str | Path) -> DensityMap:
    """Mass density in g/mL from a NIfTI, NRRD or MHA file.

    Raises
    ------
    QuantityError
        If a value is negative or above 25 g/mL: the file then holds something else (kg/m³, HU).
    """
    values, grid, texts = read_array(Path(path))
    if values.min() < 0 or values.max() > DENSEST_G_PER_ML:
        msg = f"{path}: values from {values.min():g} to {values.max():g} are no densities in g/mL."
        raise QuantityError(msg, code="density-out-of-range", lowest=float(values.min()), highest=float(values.max()))
    return DensityMap(values, grid, remarks=header_remarks(texts))


@refusing_damage
def read_activity(
    path: str | Path,
    *,
    quantity: str | None = None,
    measured_at: datetime | None = None,
    zone: tzinfo = UTC,
    series_uid: str | None = None,
    pet: PetOptions | None = None,
    spect: SpectOptions | None = None,
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
    pet : PetOptions, optional
        Corrections of a PET that are only made when asked for.
    spect : SpectOptions, optional
        Energy window and slice spacing of a SPECT, where the file leaves them open.

    Raises
    ------
    InputError
        If nothing says what the numbers are, or the user and the file say different things.
    """
    image = load_activity(
        path,
        quantity=quantity,
        measured_at=measured_at,
        zone=zone,
        series_uid=series_uid,
        pet=pet,
        spect=spect,
    )
    return image.volume


@refusing_damage
def load_activity(
    path: str | Path,
    *,
    quantity: str | None = None,
    measured_at: datetime | None = None,
    zone: tzinfo = UTC,
    series_uid: str | None = None,
    pet: PetOptions | None = None,
    spect: SpectOptions | None = None,
    scan: Scan | None = None,
) -> ImageRead[ActivityMap | CountMap]:
    """:func:`read_activity` with the series of the image; ``scan`` lists the series at a path."""
    scan = scan or cache(find_series)
    path, pet = Path(path), pet or PetOptions()
    require_zone(measured_at, "activity.measured_at")
    if quantity is not None and quantity not in QUANTITIES:
        msg = f"quantity must be one of {', '.join(QUANTITIES)}, found {quantity!r}."
        raise QuantityError(msg, code="quantity-unknown", quantity=quantity)
    undo = [k for k, v in (("undo_nuclide", pet.undo_nuclide), ("undo_suv", pet.undo_suv)) if v]
    if undo and (is_plain_file(path) or quantity == "counts" or _modality(path, series_uid, scan) != "PT"):
        msg = (
            f"{path}: {' and '.join(undo)} turn a DICOM PET into Bq/mL and mean nothing for other images or counts; leave "
            "them out."
        )
        raise InputError(msg, code="correction-without-pet", keys=tuple(f"activity.{k}" for k in undo))
    if is_plain_file(path):
        values, grid, texts = read_array(path)
        if quantity is None:
            msg = f"{path}: the file does not say what its numbers are; say it with quantity = bq_per_ml, bq or counts."
            raise InputError(msg, code="quantity-missing", keys=("activity.quantity",))
        plain = Volume(values, grid, remarks=header_remarks(texts))
        return ImageRead(_as_quantity(plain, quantity, measured_at, None, path.name))
    modality = _modality(path, series_uid, scan)
    if modality == "PT":
        series = only_series(path, ("PT",), series_uid, scan=scan)
        return ImageRead(_pet(series, quantity, measured_at, zone, pet), series)
    if modality == "NM":
        series = only_series(path, ("NM",), series_uid, scan=scan)
        image = nm_activity(series, zone=zone, options=spect or SpectOptions())
        at = measured_at or image.at
        if quantity is None or isinstance(image, ActivityMap):
            return ImageRead(_spect_of_quantity(image, quantity, at, path), series)
        return ImageRead(_as_quantity(image, quantity, at, image.radionuclide, "The NM image"), series)
    if quantity is None:
        msg = (
            f"{path}: the header says {modality}, which is no emission image. If it is one all the same, say what its "
            "numbers are with quantity = bq_per_ml, bq or counts."
        )
        raise InputError(msg, code="quantity-missing", modality=modality, keys=("activity.quantity",))
    series = only_series(path, (), series_uid, scan=scan)
    require_emission(series.first, str(series.folder))
    nuclide = nuclide_of(series.first)
    typed = _as_quantity(dicom_volume(series), quantity, measured_at, nuclide, f"The {modality} image")
    return ImageRead(typed, series)


def _pet(
    series: Series, quantity: str | None, measured_at: datetime | None, zone: tzinfo, options: PetOptions
) -> ActivityMap | CountMap:
    """A PET as its header and the user say."""
    header, where = series.first, series.folder
    units = units_of(header)
    if quantity == "counts":
        counts, units = pet_counts(series, zone=zone)
        at = _reconcile_instants(counts.at, measured_at, where)
        name = "The PT image" + (f" with Units {units}" if units else "")
        return _as_quantity(counts, "counts", at, counts.radionuclide, name)
    if quantity is None or (quantity == "bq_per_ml" and units == "BQML"):
        return _with_instant(pet_activity(series, zone=zone, options=options), measured_at, where)
    if units:
        msg = f"{where}: quantity = {quantity} contradicts Units (0054,1001) {units} in the header; leave quantity out."
        raise InputError(msg, code="quantity-contradicts", quantity=quantity, units=units)
    counts, _ = pet_counts(series, zone=zone)
    at = _reconcile_instants(counts.at, measured_at, where)
    return _as_quantity(counts, quantity, at, counts.radionuclide, "The PT image")


def _spect_of_quantity(
    spect: CountMap | ActivityMap, quantity: str | None, at: datetime | None, path: Path
) -> CountMap | ActivityMap:
    """A SPECT whose file states its quantity, at the user's instant; as counts where the user wants no more of it."""
    if isinstance(spect, CountMap) or quantity is None:
        return replace(spect, at=at)
    if quantity == "counts":
        return _as_quantity(spect, "counts", at, spect.radionuclide, "The NM image in Bq/mL")
    if quantity == "bq_per_ml":
        return replace(spect, at=at)
    msg = f"{path}: quantity = {quantity} contradicts the header, whose values are Bq/mL; leave quantity out."
    raise InputError(msg, code="quantity-contradicts", quantity=quantity, units="Bq/mL")


def _with_instant(pet: ActivityMap, measured_at: datetime | None, path: Path) -> ActivityMap:
    """A PET with the user's instant where the header has none; two different instants are refused."""
    if measured_at is None:
        return pet
    _reconcile_instants(pet.at, measured_at, path)
    sentence = f"PET values hold at {measured_at.isoformat()}, as the user says."
    note = Remark("pet-instant-of-user", {"at": measured_at.isoformat()}, sentence)
    return replace(pet, at=measured_at, remarks=(*pet.remarks, note))


def _reconcile_instants(stated: datetime | None, measured_at: datetime | None, path: Path) -> datetime | None:
    """The instant of the header or of the user; two that differ by more than a minute are refused."""
    if stated is not None and measured_at is not None and abs((stated - measured_at).total_seconds()) > 60:
        msg = (
            f"{path}: the header says its values hold at {stated.isoformat()}, measured_at says {measured_at.isoformat()}. "
            "Leave measured_at out, or correct the header."
        )
        raise InputError(
            msg, code="instant-contradicts", stated=stated.isoformat(), measured_at=measured_at.isoformat()
        )
    return measured_at or stated


def _as_quantity(
    volume: Volume, quantity: str, at: datetime | None, nuclide: Radionuclide | None, name: str
) -> ActivityMap | CountMap:
    note = Remark("quantity-of-user", {"quantity": quantity}, f"{name} is taken as {quantity}, as the user says.")
    remarks = (*volume.remarks, note)
    if quantity == "counts":
        return CountMap(volume.values, volume.grid, radionuclide=nuclide, at=at, remarks=remarks)
    per_ml = volume.values if quantity == "bq_per_ml" else volume.values / volume.grid.voxel_volume_ml
    return ActivityMap(per_ml, volume.grid, at=at, radionuclide=nuclide, remarks=remarks)


def _modality(path: Path, series_uid: str | None = None, scan: Scan = find_series) -> str:
    """The modality of the one image series here; several modalities are left to the reader of each to choose from."""
    series = [s for s in scan(path) if series_uid in (None, s.uid)]
    kinds = {s.modality for s in series if "Rows" in s.first}
    emission = kinds & {"PT", "NM"}
    if len(emission) == 1:
        return emission.pop()
    if len(kinds) == 1:
        return kinds.pop()
    listed = "; ".join(str(s) for s in series) or "no DICOM image"
    msg = f"{path}: one image series is needed, found {listed}. Give the folder of the wanted one."
    raise InputError(msg, code="series-several" if kinds else "series-missing")
