"""Volumes, results and curves as objects of other libraries; nothing is read or written.

Each library is imported when it is asked for. SimpleITK and nibabel always come with voxeldose; pandas and xarray are extras.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from voxeldose.errors import GeometryError, VoxeldoseError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from voxeldose.model.arrays import Matrix
    from voxeldose.model.assessment import RoiNumbers
    from voxeldose.model.dvh import Dvh
    from voxeldose.model.grid import Grid
    from voxeldose.model.volume import Volume

__all__ = [
    "LPS_TO_RAS",
    "REVERSED",
    "frame_of_dvh",
    "frame_of_rois",
    "nibabel_of",
    "ras_affine",
    "sitk_of",
    "xarray_of",
]

#: LPS to RAS, and back: x and y change sign.
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
#: (k, j, i) to (i, j, k), and back.
REVERSED = np.eye(4)[[2, 1, 0, 3]]
#: An axis this close to one of the patient's is taken as it; the far end of 500 mm is then within 5 µm.
_ALONG = 1e-5


def sitk_of(volume: Volume) -> Any:
    """A SimpleITK image in the same place; its index is (i, j, k), its world LPS in mm."""
    import SimpleITK as sitk  # noqa: N813

    grid = volume.grid
    if not grid.is_right_angled:
        msg = "A SimpleITK image needs perpendicular axes, and those of this grid are sheared; resample it first."
        raise GeometryError(msg, code="grid-sheared")
    image = sitk.GetImageFromArray(volume.values)
    image.SetSpacing(grid.spacing_mm[::-1])
    image.SetDirection(grid.directions[:, ::-1].ravel().tolist())
    image.SetOrigin(grid.affine_lps_mm[:3, 3].tolist())
    return image


def ras_affine(grid: Grid) -> Matrix:
    """What takes NIfTI's indices (i, j, k, 1) to (x, y, z, 1) in RAS mm."""
    return np.asarray(LPS_TO_RAS @ grid.affine_lps_mm @ REVERSED)


def nibabel_of(volume: Volume) -> Any:
    """A NIfTI image in memory, axes (i, j, k), its world RAS in mm."""
    import nibabel as nib

    image = nib.Nifti1Image(np.ascontiguousarray(volume.values.transpose(2, 1, 0)), ras_affine(volume.grid))
    image.header.set_xyzt_units("mm")
    return image


def xarray_of(volume: Volume) -> Any:
    """A labelled array: axes ``z, y, x`` with LPS coordinates in mm where the grid has the patient's axes, else ``k, j, i``."""
    xarray = _extra("xarray")
    grid = volume.grid
    places = _patient_axes(grid)
    attributes = {
        "quantity": volume.quantity,
        "units": volume.unit,
        "affine_lps_mm": grid.affine_lps_mm,
        "affine_of": "index (k, j, i, 1) to (x, y, z, 1) in LPS mm",
    }
    dims = ("z", "y", "x") if places else ("k", "j", "i")
    array = xarray.DataArray(volume.values, dims=dims, coords=places or None, name=volume.quantity, attrs=attributes)
    for name in places:
        array.coords[name].attrs["units"] = "mm"
    return array


def frame_of_rois(rois: Mapping[str, RoiNumbers], names: Sequence[str]) -> Any:
    """A row per region, a column per number of it that is named."""
    pandas = _extra("pandas")
    rows = {roi: {name: getattr(numbers, name) for name in names} for roi, numbers in rois.items()}
    return pandas.DataFrame.from_dict(rows, orient="index", columns=names).rename_axis("roi")


def frame_of_dvh(dvh: Dvh, step_gy: float | None) -> Any:
    """The cumulative curve: every dose of a voxel, highest first, or doses from 0 in steps."""
    pandas = _extra("pandas")
    doses, volumes = (dvh.dose_gy, dvh.volume_ml) if step_gy is None else dvh.curve(step_gy)
    return pandas.DataFrame({"dose_gy": doses, "volume_ml": volumes, "volume_fraction": volumes / dvh.total_ml})


def _patient_axes(grid: Grid) -> dict[str, Any]:
    """Coordinates of z, y and x in mm, if k, j and i run along them; nothing otherwise."""
    axes = np.abs(grid.directions)
    if np.abs(axes - np.eye(3)[:, ::-1]).max() > _ALONG:
        return {}
    steps, start = grid.affine_lps_mm[:3, :3], grid.affine_lps_mm[:3, 3]
    return {
        name: start[world] + steps[world, axis] * np.arange(grid.shape[axis])
        for axis, (name, world) in enumerate((("z", 2), ("y", 1), ("x", 0)))
    }


def _extra(name: str) -> Any:
    """A library that is an extra of voxeldose."""
    try:
        return import_module(name)
    except ImportError as error:
        msg = f"{name} is needed for this, and it is not installed: pip install 'voxeldose[{name}]'."
        raise VoxeldoseError(msg, code="extra-missing", extra=name) from error
