"""Volumes: an array and its grid, with the unit as the name of its property.

The wrong quantity is then a type error before anything runs. Values are stored as float32 and read-only; sums are made
in float64. Counts and decays are *extensive* (their total is conserved), all else is *intensive*.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from voxeldose.errors import GeometryError, QuantityError

if TYPE_CHECKING:
    from datetime import datetime

    from voxeldose.model.arrays import Floats
    from voxeldose.model.grid import Grid
    from voxeldose.model.radionuclide import Radionuclide
    from voxeldose.model.remarks import Remark

__all__ = [
    "ActivityMap",
    "CountMap",
    "CtImage",
    "DecayMap",
    "DensityMap",
    "DoseMap",
    "Volume",
]


def _freeze(values: npt.ArrayLike) -> Floats:
    """A read-only, C-contiguous float32 array; copied unless it already is one that nobody can write."""
    array = np.asarray(values)
    if array.dtype == np.float32 and array.flags.c_contiguous and not array.flags.writeable and array.base is None:
        return array
    copy = np.array(array, np.float32, order="C")
    copy.setflags(write=False)
    return copy


@dataclass(frozen=True, eq=False, repr=False)
class Volume:
    """Values on a grid.

    Parameters
    ----------
    values : array_like, (nk, nj, ni)
        Stored as float32, read-only.
    grid : Grid
        Where the voxels lie.
    remarks : tuple of Remark
        What had to be assumed to make these values; shown in every result.

    Raises
    ------
    GeometryError
        If values and grid differ in shape.
    """

    values: Floats
    grid: Grid
    remarks: tuple[Remark, ...] = field(default=(), kw_only=True)
    quantity: ClassVar[str] = "unspecified"
    unit: ClassVar[str] = ""
    is_extensive: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", _freeze(self.values))
        if self.values.shape != self.grid.shape:
            msg = f"{type(self).__name__}: values have shape {self.values.shape} but the grid has {self.grid.shape}."
            raise GeometryError(msg, code="grid-differs", found=self.values.shape, needed=self.grid.shape)

    def __repr__(self) -> str:
        low, high = float(self.values.min()), float(self.values.max())
        return f"{type(self).__name__}({low:.4g} to {high:.4g} {self.unit}, {self.grid!r})"

    def _repr_html_(self) -> str:
        """A table and a slice, for notebooks."""
        from voxeldose.model.display import html_of_volume

        return html_of_volume(self)

    def to_sitk(self) -> Any:
        """A SimpleITK image in the same place (LPS).

        Raises
        ------
        GeometryError
            If the axes are not perpendicular.
        """
        from voxeldose.model.exchange import sitk_of

        return sitk_of(self)

    def to_nibabel(self) -> Any:
        """A NIfTI image of nibabel in the same place (RAS); kept in memory."""
        from voxeldose.model.exchange import nibabel_of

        return nibabel_of(self)

    def to_xarray(self) -> Any:
        """An ``xarray.DataArray`` (extra ``voxeldose[xarray]``).

        Its axes are ``z, y, x`` with coordinates in LPS mm where the grid's axes are the patient's, else ``k, j, i``; the affine
        is an attribute.
        """
        from voxeldose.model.exchange import xarray_of

        return xarray_of(self)

    def total(self) -> float:
        """Sum of all voxels in float64."""
        return float(self.values.sum(dtype=np.float64))

    def require_finite(self) -> None:
        """Refuse values that are not numbers, naming where the first one lies."""
        bad = ~np.isfinite(self.values)
        if bad.any():
            first = tuple(int(n) for n in np.argwhere(bad)[0])
            msg = (
                f"{int(bad.sum())} voxels of the {self.quantity} image are not finite (the first at k, j, i = {first}); "
                "a dose needs a number in every voxel. Write 0 where nothing was measured."
            )
            raise QuantityError(msg, code="value-not-finite", voxels=int(bad.sum()), first=first)

    def window(self, part: Grid) -> Self:
        """The voxels of ``part``, a window of this volume's grid; what lies outside is zero."""
        return self.replaced(self.grid.cut(self.values, part), part)

    def replaced(self, values: npt.ArrayLike, grid: Grid | None = None, remarks: tuple[Remark, ...] = ()) -> Self:
        """The same quantity with other values, on another grid if given, with further remarks."""
        changes: dict[str, Any] = {"values": values, "grid": grid or self.grid, "remarks": self.remarks + remarks}
        return replace(self, **changes)

    def sampled_at(self, points_lps_mm: npt.ArrayLike, outside: float = 0.0) -> Floats:
        """Values at points ``(…, 3)``, linear between voxel centres; ``outside`` beyond the voxels' edges."""
        from scipy.ndimage import map_coordinates

        index = self.grid.indices(points_lps_mm)
        limits = np.array(self.grid.shape) - 0.5
        inside = ((index >= -0.5) & (index <= limits)).all(axis=-1)
        sampled = map_coordinates(self.values, np.moveaxis(index, -1, 0), order=1, mode="nearest", output=np.float32)
        return np.where(inside, sampled, np.float32(outside)).astype(np.float32)

    def sampled_on(self, grid: Grid, outside: float = 0.0) -> Floats:
        """Values at the voxel centres of another grid, as :meth:`sampled_at` gives them; for display, not for sums."""
        from scipy.ndimage import affine_transform

        matrix, offset = grid.to_index_of(self.grid)
        sampled = affine_transform(
            self.values, matrix, offset, output_shape=grid.shape, order=1, mode="nearest", output=np.float32
        )
        k, j, i = np.ogrid[tuple(slice(0, n) for n in grid.shape)]
        for axis, n in enumerate(self.grid.shape):
            index = matrix[axis, 0] * k + matrix[axis, 1] * j + matrix[axis, 2] * i + offset[axis]
            sampled[(index < -0.5) | (index > n - 0.5)] = outside
        return np.asarray(sampled, np.float32)


@dataclass(frozen=True, eq=False, repr=False)
class CtImage(Volume):
    """CT numbers in Hounsfield units."""

    quantity: ClassVar[str] = "CT number"
    unit: ClassVar[str] = "HU"

    @property
    def hu(self) -> Floats:
        """Hounsfield units, (nk, nj, ni)."""
        return self.values


@dataclass(frozen=True, eq=False, repr=False)
class DensityMap(Volume):
    """Mass density in g/mL."""

    quantity: ClassVar[str] = "mass density"
    unit: ClassVar[str] = "g/mL"

    @property
    def g_per_ml(self) -> Floats:
        """Grams per millilitre, (nk, nj, ni)."""
        return self.values


@dataclass(frozen=True, eq=False, repr=False)
class CountMap(Volume):
    """Relative uptake: counts, or any unit proportional to activity.

    ``at`` and ``radionuclide`` say what was imaged and when, where the file knows; ``modality`` is that of DICOM (``NM``,
    ``PT``), empty for other files.
    """

    radionuclide: Radionuclide | None = field(default=None, kw_only=True)
    at: datetime | None = field(default=None, kw_only=True)
    modality: str = field(default="", kw_only=True)
    quantity: ClassVar[str] = "counts"
    unit: ClassVar[str] = "counts"
    is_extensive: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_zone(self.at, "CountMap.at")

    @property
    def counts(self) -> Floats:
        """Counts in each voxel, (nk, nj, ni)."""
        return self.values


@dataclass(frozen=True, eq=False, repr=False)
class ActivityMap(Volume):
    """Activity concentration in Bq/mL at one instant.

    Parameters
    ----------
    at : datetime or None
        The instant to which the values are decay-corrected, with its time zone; ``None`` if nobody knows it.
    radionuclide : Radionuclide or None
        What was imaged.
    acquired_at : datetime or None
        When the scan began; values may be corrected to an earlier instant.
    not_absolute : str
        Why the values are proportional to activity but no Bq/mL of the nuclide; empty if they are.
    modality : str
        Of DICOM: ``PT``, ``NM``; empty if the image came from another file.
    """

    at: datetime | None = field(default=None, kw_only=True)
    radionuclide: Radionuclide | None = field(default=None, kw_only=True)
    acquired_at: datetime | None = field(default=None, kw_only=True)
    not_absolute: str = field(default="", kw_only=True)
    modality: str = field(default="", kw_only=True)
    quantity: ClassVar[str] = "activity"
    unit: ClassVar[str] = "Bq/mL"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_zone(self.at, "ActivityMap.at")

    @property
    def bq_per_ml(self) -> Floats:
        """Becquerels per millilitre, (nk, nj, ni)."""
        return self.values

    def total_mbq(self) -> float:
        """Activity in the whole image in MBq."""
        return self.total() * self.grid.voxel_volume_ml / 1e6


@dataclass(frozen=True, eq=False, repr=False)
class DecayMap(Volume):
    """Number of decays in each voxel, from the infusion to total decay (MIRD 21: time-integrated activity in Bq·s)."""

    radionuclide: Radionuclide = field(kw_only=True)
    quantity: ClassVar[str] = "decays"
    unit: ClassVar[str] = "decays"
    is_extensive: ClassVar[bool] = True

    @property
    def decays(self) -> Floats:
        """Decays in each voxel, (nk, nj, ni)."""
        return self.values


@dataclass(frozen=True, eq=False, repr=False)
class DoseMap(Volume):
    """Absorbed dose in Gy, mean over each voxel, with the method that made it.

    ``is_even_in_voxels`` holds for local deposition, whose dose has no slope inside a voxel.
    """

    method: str = field(default="", kw_only=True)
    energy_lost_fraction: float = field(default=0.0, kw_only=True)
    is_even_in_voxels: bool = field(default=False, kw_only=True)
    quantity: ClassVar[str] = "absorbed dose"
    unit: ClassVar[str] = "Gy"

    @property
    def gy(self) -> Floats:
        """Gray, (nk, nj, ni)."""
        return self.values


def require_zone(at: datetime | None, what: str) -> None:
    """Refuse an instant without a time zone: an hour is 1.1 % of Y-90's activity."""
    if at is not None and at.utcoffset() is None:
        msg = (
            f"{what} = {at.isoformat()} has no time zone; write it as {at.isoformat()}+00:00 or with the local offset."
        )
        raise QuantityError(msg, code="zone-missing", field=what)
