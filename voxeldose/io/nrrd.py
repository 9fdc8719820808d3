"""NRRD and MetaImage in, by SimpleITK."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from voxeldose.errors import InputError
from voxeldose.io.array_headers import bytes_wanted, require_place, require_values, text_header
from voxeldose.io.damage import grid_of_file
from voxeldose.model.grid import Grid, towards_lps

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_nrrd"]

#: The lengths of direction vectors, which are unit vectors, may differ from 1 by this.
_UNIT = 1e-3


def read_nrrd(path: Path) -> tuple[npt.NDArray[Any], Grid, dict[str, str]]:
    """Values in (k, j, i) order, grid and text fields of an NRRD or MetaImage file."""
    import SimpleITK as sitk  # noqa: N813

    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        header = text_header(path)
        if header.is_whole:
            require_place(header, path)
        require_values(header, bytes_wanted(path), path)
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        why = str(error).strip().splitlines()[-1]
        msg = f"{path}: cannot be read ({why}). Write the file again."
        raise InputError(msg, code="file-damaged") from error
    texts = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
    if image.GetDimension() == 4 and image.GetSize()[3] == 1:
        image = image[:, :, :, 0]
    if image.GetDimension() != 3:
        msg = f"{path}: three dimensions are needed, found {image.GetDimension()}."
        raise InputError(msg, code="dimensions-not-three", shape=image.GetSize())
    values = sitk.GetArrayFromImage(image)
    units = np.array(image.GetDirection()).reshape(3, 3)
    lengths = np.linalg.norm(units, axis=0)
    if not np.allclose(lengths, 1, atol=_UNIT):
        listed = ", ".join(f"{v:.4g}" for v in lengths)
        msg = f"{path}: directions of axes are {listed} long where 1 is needed, so voxel sizes are not certain. Write it again."
        raise InputError(msg, code="geometry-invalid", lengths=tuple(lengths.tolist()))
    directions = units * np.array(image.GetSpacing())
    affine = np.eye(4)
    affine[:3, :3] = directions[:, ::-1]
    affine[:3, 3] = image.GetOrigin()
    lattice = grid_of_file(values.shape[:3], affine, path)
    if values.ndim == 3:
        turned, grid = towards_lps(values, lattice)
        return turned, grid, texts
    layers = [towards_lps(values[..., n], lattice) for n in range(values.shape[-1])]
    return np.stack([v for v, _ in layers], axis=-1), layers[0][1], texts
