"""voxeldose: voxel-based absorbed dose for Y-90 radioembolization.

The public names are loaded when first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from voxeldose._version import __version__

_HOMES = {
    "Absolute": "case",
    "ActivityMap": "volume",
    "Administered": "case",
    "Administration": "case",
    "Assessment": "case",
    "Case": "case",
    "Condition": "spread",
    "Convolution": "engines.convolution",
    "CountMap": "volume",
    "CtImage": "volume",
    "DensityMap": "volume",
    "DoseMap": "volume",
    "Dvh": "dvh",
    "GeometryError": "errors",
    "Grid": "grid",
    "InputError": "errors",
    "LocalDeposition": "engines.convolution",
    "LungMass": "lungs",
    "PointKernel": "dpk",
    "QuantityError": "errors",
    "Radionuclide": "radionuclide",
    "RayTransport": "engines.density",
    "Recovery": "propagation",
    "Roi": "roi",
    "RoiSet": "roi",
    "Spread": "spread",
    "TC99M": "radionuclide",
    "Views": "lungs",
    "VoxelKernel": "dpk",
    "VoxeldoseError": "errors",
    "Y90": "radionuclide",
    "administration_from_assays": "quantify",
    "assess": "pipeline",
    "bed_gy": "radiobiology",
    "eubed_gy": "radiobiology",
    "eud_gy": "radiobiology",
    "fit_recovery": "propagation",
    "geud_gy": "radiobiology",
    "linear_quadratic_set": "radiobiology",
    "lung_dose": "lungs",
    "lung_mass": "lungs",
    "mean_dose_spread": "propagation",
    "planar_shunt": "lungs",
    "point_kernel": "dpk",
    "read_ct": "io.dicom_series",
    "read_image": "io.images",
    "read_labels": "io.labels",
    "read_pet": "io.dicom_series",
    "read_point_kernel": "io.point_kernel_file",
    "read_rtdose": "io.dicom_rt",
    "read_rtstruct": "io.labels",
    "read_seg": "io.labels",
    "read_spect": "io.dicom_series",
    "spect_shunt": "lungs",
    "voxelise": "dpk",
    "what_if": "pipeline",
    "with_uncertainty": "uncertainty",
    "write_nifti": "io.nifti",
    "write_rtdose": "io.dicom_rt",
    "write_seg": "io.dicom_seg",
    "y90_constants": "radionuclide",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        msg = f"module 'voxeldose' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"voxeldose.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)


if TYPE_CHECKING:
    from voxeldose.case import Absolute, Administered, Administration, Assessment, Case
    from voxeldose.dpk import PointKernel, VoxelKernel, point_kernel, voxelise
    from voxeldose.dvh import Dvh
    from voxeldose.engines.convolution import Convolution, LocalDeposition
    from voxeldose.engines.density import RayTransport
    from voxeldose.errors import GeometryError, InputError, QuantityError, VoxeldoseError
    from voxeldose.grid import Grid
    from voxeldose.io.dicom_rt import read_rtdose, write_rtdose
    from voxeldose.io.dicom_seg import write_seg
    from voxeldose.io.dicom_series import read_ct, read_pet, read_spect
    from voxeldose.io.images import read_image
    from voxeldose.io.labels import read_labels, read_rtstruct, read_seg
    from voxeldose.io.nifti import write_nifti
    from voxeldose.io.point_kernel_file import read_point_kernel
    from voxeldose.lungs import LungMass, Views, lung_dose, lung_mass, planar_shunt, spect_shunt
    from voxeldose.pipeline import assess, what_if
    from voxeldose.propagation import Recovery, fit_recovery, mean_dose_spread
    from voxeldose.quantify import administration_from_assays
    from voxeldose.radiobiology import bed_gy, eubed_gy, eud_gy, geud_gy, linear_quadratic_set
    from voxeldose.radionuclide import TC99M, Y90, Radionuclide, y90_constants
    from voxeldose.roi import Roi, RoiSet
    from voxeldose.spread import Condition, Spread
    from voxeldose.uncertainty import with_uncertainty
    from voxeldose.volume import ActivityMap, CountMap, CtImage, DensityMap, DoseMap
