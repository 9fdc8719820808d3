"""voxeldose: voxel-based absorbed dose for Y-90 radioembolization.

The public names are loaded when first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from voxeldose._version import __version__

_HOMES = {
    "Absolute": "model.case",
    "ActivityMap": "model.volume",
    "Administered": "model.case",
    "Administration": "model.administration",
    "Assessment": "model.assessment",
    "Case": "model.case",
    "ComparisonOptions": "jobs.compare",
    "Condition": "dose.uncertainty.inputs",
    "Convolution": "dose.engines.convolution",
    "CountMap": "model.volume",
    "CtImage": "model.volume",
    "CtOptions": "io.dicom.options",
    "DensityMap": "model.volume",
    "Derivation": "geometry.expressions",
    "DoseMap": "model.volume",
    "Dvh": "model.dvh",
    "GammaCriteria": "dose.comparison",
    "GeometryError": "errors",
    "Grid": "model.grid",
    "InputError": "errors",
    "Isocontour": "geometry.expressions",
    "Limit": "model.limits",
    "LocalDeposition": "dose.engines.local",
    "LungMass": "planning.lungs",
    "Lungs": "planning.plan",
    "PetOptions": "io.dicom.options",
    "PointKernel": "model.kernel",
    "Product": "planning.vials",
    "QuantityError": "errors",
    "Radionuclide": "model.radionuclide",
    "RayTransport": "dose.engines.rays.transport",
    "Recovery": "dose.uncertainty.recovery",
    "Registration": "model.rigid",
    "Roi": "model.roi",
    "RoiSet": "model.roi",
    "SegmentectomyFacts": "planning.segmentectomy",
    "SpectOptions": "io.dicom.options",
    "Spread": "dose.uncertainty.inputs",
    "StoredAssessment": "io.results.folder",
    "TC99M": "model.radionuclide",
    "Territory": "planning.compartments",
    "Tumor": "planning.compartments",
    "Views": "planning.lungs",
    "VoxelKernel": "model.kernel",
    "VoxeldoseError": "errors",
    "Wish": "planning.voxels",
    "Y90": "model.radionuclide",
    "administration_from_assays": "model.administration",
    "assess": "dose.assess",
    "bed_gy": "dose.radiobiology",
    "bq_per_sphere_at": "planning.vials",
    "compare_folders": "jobs.compare",
    "complication_by_set": "dose.radiobiology",
    "complication_probability": "dose.radiobiology",
    "complication_set": "model.tissue",
    "control_probability": "dose.radiobiology",
    "control_set": "model.tissue",
    "counted_shunt": "planning.lungs",
    "derive": "geometry.expressions",
    "eubed_gy": "dose.radiobiology",
    "eud_gy": "dose.radiobiology",
    "find_rigid": "geometry.register",
    "fit_recovery": "dose.uncertainty.recovery",
    "fraction_delivered": "planning.vials",
    "gamma_index": "dose.comparison",
    "geud_gy": "dose.radiobiology",
    "linear_quadratic_set": "model.tissue",
    "lung_dose": "planning.lungs",
    "lung_mass": "planning.lungs",
    "mean_dose_spread": "dose.uncertainty.mean_dose",
    "plan_body_surface": "planning.body_surface",
    "plan_mird": "planning.compartments",
    "plan_partition": "planning.compartments",
    "plan_partition_for": "planning.compartments",
    "plan_vial": "planning.vials",
    "plan_voxels": "planning.voxels",
    "planar_shunt": "planning.lungs",
    "plot_dvh": "report.plots",
    "plot_slices": "report.plots",
    "point_kernel": "model.kernel",
    "poisson_control": "dose.radiobiology",
    "published_limits": "dose.limits",
    "read_ct": "io.dicom.ct",
    "read_image": "io.images",
    "read_labels": "io.regions",
    "read_pet": "io.dicom.pet",
    "read_point_kernel": "io.config.kernels",
    "read_results": "io.results.folder",
    "read_rtdose": "io.dicom.rtdose",
    "read_rtstruct": "io.regions",
    "read_seg": "io.regions",
    "read_spect": "io.dicom.spect",
    "segmentectomy_card": "planning.segmentectomy",
    "spect_shunt": "planning.lungs",
    "tumor_to_normal_of": "dose.metrics",
    "voxelise": "dose.engines.voxelise",
    "what_if": "dose.assess",
    "with_uncertainty": "dose.uncertainty",
    "write_nifti": "io.nifti",
    "write_pdf": "report.pdf",
    "write_report": "report.page",
    "write_rtdose": "io.dicom.rtdose",
    "write_rtstruct": "io.dicom.rtstruct",
    "write_seg": "io.dicom.seg",
    "write_sr": "io.dicom.sr",
    "y90_constants": "model.radionuclide",
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
    from voxeldose.dose.assess import assess, what_if
    from voxeldose.dose.comparison import GammaCriteria, gamma_index
    from voxeldose.dose.engines.convolution import Convolution
    from voxeldose.dose.engines.local import LocalDeposition
    from voxeldose.dose.engines.rays.transport import RayTransport
    from voxeldose.dose.engines.voxelise import voxelise
    from voxeldose.dose.limits import published_limits
    from voxeldose.dose.metrics import tumor_to_normal_of
    from voxeldose.dose.radiobiology import (
        bed_gy,
        complication_by_set,
        complication_probability,
        control_probability,
        eubed_gy,
        eud_gy,
        geud_gy,
        poisson_control,
    )
    from voxeldose.dose.uncertainty import with_uncertainty
    from voxeldose.dose.uncertainty.inputs import Condition, Spread
    from voxeldose.dose.uncertainty.mean_dose import mean_dose_spread
    from voxeldose.dose.uncertainty.recovery import Recovery, fit_recovery
    from voxeldose.errors import GeometryError, InputError, QuantityError, VoxeldoseError
    from voxeldose.geometry.expressions import Derivation, Isocontour, derive
    from voxeldose.geometry.register import find_rigid
    from voxeldose.io.config.kernels import read_point_kernel
    from voxeldose.io.dicom.ct import read_ct
    from voxeldose.io.dicom.options import CtOptions, PetOptions, SpectOptions
    from voxeldose.io.dicom.pet import read_pet
    from voxeldose.io.dicom.rtdose import read_rtdose, write_rtdose
    from voxeldose.io.dicom.rtstruct import write_rtstruct
    from voxeldose.io.dicom.seg import write_seg
    from voxeldose.io.dicom.spect import read_spect
    from voxeldose.io.dicom.sr import write_sr
    from voxeldose.io.images import read_image
    from voxeldose.io.nifti import write_nifti
    from voxeldose.io.regions import read_labels, read_rtstruct, read_seg
    from voxeldose.io.results.folder import StoredAssessment, read_results
    from voxeldose.jobs.compare import ComparisonOptions, compare_folders
    from voxeldose.model.administration import Administration, administration_from_assays
    from voxeldose.model.assessment import Assessment
    from voxeldose.model.case import Absolute, Administered, Case
    from voxeldose.model.dvh import Dvh
    from voxeldose.model.grid import Grid
    from voxeldose.model.kernel import PointKernel, VoxelKernel, point_kernel
    from voxeldose.model.limits import Limit
    from voxeldose.model.radionuclide import TC99M, Y90, Radionuclide, y90_constants
    from voxeldose.model.rigid import Registration
    from voxeldose.model.roi import Roi, RoiSet
    from voxeldose.model.tissue import complication_set, control_set, linear_quadratic_set
    from voxeldose.model.volume import ActivityMap, CountMap, CtImage, DensityMap, DoseMap
    from voxeldose.planning.body_surface import plan_body_surface
    from voxeldose.planning.compartments import Territory, Tumor, plan_mird, plan_partition, plan_partition_for
    from voxeldose.planning.lungs import LungMass, Views, counted_shunt, lung_dose, lung_mass, planar_shunt, spect_shunt
    from voxeldose.planning.plan import Lungs
    from voxeldose.planning.segmentectomy import SegmentectomyFacts, segmentectomy_card
    from voxeldose.planning.vials import Product, bq_per_sphere_at, fraction_delivered, plan_vial
    from voxeldose.planning.voxels import Wish, plan_voxels
    from voxeldose.report.page import write_report
    from voxeldose.report.pdf import write_pdf
    from voxeldose.report.plots import plot_dvh, plot_slices
