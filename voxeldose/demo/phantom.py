"""Digital liver phantoms: analytic shapes, what scanners would make of them, and the true doses. Here: the liver of a lobe.

Shapes are in LPS millimetres, so that every number of a run can be compared with the truth. What the phantom leaves out:
breathing, scatter, attenuation and reconstruction artefacts, deposition in clusters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from voxeldose import __version__
from voxeldose.demo.shapes import blurred, ellipsoid, lattice, occupancy, sphere
from voxeldose.dose.activity import count_decays
from voxeldose.dose.engines.convolution import Convolution
from voxeldose.model.densities import DEFAULT_DENSITY_G_PER_ML
from voxeldose.model.dvh import Dvh
from voxeldose.model.grid import Grid
from voxeldose.model.kernel import point_kernel
from voxeldose.model.radionuclide import Y90
from voxeldose.model.volume import ActivityMap

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from voxeldose.demo.shapes import Points, Shape
    from voxeldose.model.arrays import Floats

__all__ = [
    "ADMINISTERED_MBQ",
    "CT_AT",
    "INFUSION_AT",
    "LOBE",
    "LUNG_SHUNT_FRACTION",
    "MAA_TUMOR_RATIO",
    "PET_AT",
    "PET_FRAME_S",
    "PET_NOISE_FWHM_MM",
    "REGIONS",
    "RESIDUAL_MBQ",
    "SEED",
    "SPECT_AT",
    "UPTAKE",
    "Phantom",
    "clean_pet",
    "concentrations",
    "ct_numbers",
    "label_map",
    "part_volumes_ml",
    "pet_deviation",
    "pet_image",
    "pet_noise",
    "spect_counts",
    "truth_of_phantom",
]

#: Administration: glass microspheres, all activities in MBq at the infusion.
INFUSION_AT = datetime(2024, 5, 2, 10, 15, tzinfo=UTC)
ADMINISTERED_MBQ, RESIDUAL_MBQ, LUNG_SHUNT_FRACTION = 1850.0, 12.0, 0.04
PET_AT, PET_FRAME_S = INFUSION_AT + timedelta(hours=20), 1200.0
SPECT_AT = INFUSION_AT - timedelta(days=7)
CT_AT = PET_AT - timedelta(minutes=6)

#: Uptake relative to normal liver. On the SPECT tumors take up 15 % less, as MAA predicts microspheres only roughly.
UPTAKE = {"liver": 1.0, "lesion_1": 11.0, "necrotic_core": 0.0, "lesion_2": 4.0}
MAA_TUMOR_RATIO = 0.85
#: Blur of the scanners (full width at half maximum, mm), and noise: the PET's standard deviation in voxels of normal
#: liver as part of their mean, growing with the square root of activity above a floor; the SPECT's counts (Poisson).
PET_FWHM_MM, SPECT_FWHM_MM = 6.5, 12.0
PET_NOISE_FRACTION, PET_NOISE_FLOOR, PET_NOISE_FWHM_MM = 0.25, 0.15, 5.0
SPECT_COUNTS = 6.0e6
CT_NOISE_HU = 8.0
SEED = 20240502

#: Inflated lung, ICRU Report 44.
LUNG_DENSITY_G_PER_ML = 0.26

#: CT numbers by region, later ones on top of earlier ones.
HU = {"body": 40, "lungs": -780, "spine": 260, "liver": 58, "lesion_1": 46, "necrotic_core": 18, "lesion_2": 44}
#: Label and role of what the study gives as regions; the liver label does not hold the tumors.
REGIONS = {"liver": (1, "liver"), "lesion_1": (2, "tumor"), "lesion_2": (3, "tumor"), "lungs": (4, "lung")}
DOSES = ("mean_dose_gy", "d70_gy", "v205_fraction", "v400_fraction")
#: Voxel size for the true dose of each region.
TRUTH_MM = {"liver": 1.5, "normal_liver": 1.5, "lesion_1": 0.6, "lesion_2": 0.5}
#: Middle and half widths (x, y, z) in mm of a box around the liver.
LIVER_BOX = ((-40.0, 4.0, 2.0), (104.0, 82.0, 70.0))


def _liver(p: Points) -> Floats:
    """Right lobe and left lobe, cut off below by an oblique plane."""
    lobes = np.minimum(ellipsoid(p, (-74, 4, 2), (64, 76, 67)), ellipsoid(p, (-8, -38, 24), (72, 36, 32)))
    below = (np.float32(0.45) * p.x - p.z - np.float32(18.7)) / np.float32(math.hypot(1, 0.45))
    return np.asarray(np.maximum(lobes, below), np.float32)


def _lungs(p: Points) -> Floats:
    """Two short lungs; the dome of the liver pushes into the right one, 3 mm of diaphragm in between."""
    both = np.minimum(ellipsoid(p, (-78, 5, 84), (55, 76, 66)), ellipsoid(p, (80, 5, 84), (52, 74, 64)))
    return np.asarray(np.maximum(both, 3 - _liver(p)), np.float32)


SPHERES = {
    "lesion_1": ((-84.0, 12.0, 14.0), 22.0),
    "necrotic_core": ((-78.0, 6.0, 17.0), 8.0),
    "lesion_2": ((-38.0, -24.0, 18.0), 13.0),
}
#: What is inside (negative) and how near the surface may be, mm. Tumors lie wholly in the liver, the core in lesion_1.
SHAPES: dict[str, Shape] = {
    "body": lambda p: ellipsoid(p, (0, 0, 0), (165, 112, math.inf)),
    "spine": lambda p: ellipsoid(p, (0, 72, 0), (20, 20, math.inf)),
    "liver": _liver,
    "lungs": _lungs,
    **{name: sphere(*where) for name, where in SPHERES.items()},
}


@dataclass(frozen=True)
class Phantom:
    """One patient that never was: what lies where, what it takes up, and what was given.

    Parameters
    ----------
    shapes : mapping
        Name to shape; a part's shape holds the parts within it.
    spheres : mapping
        Those of them that are balls: centre (x, y, z) in LPS mm, radius in mm.
    within : mapping
        Part to the part that it lies in wholly.
    uptake : mapping
        Activity concentration of every part of the liver, relative to ``normal``.
    normal : str
        The part of normal liver that took up microspheres.
    regions : mapping
        What the study gives as regions: name to label and role.
    holds : mapping
        Region to the parts in it, for every region with a truth.
    boxes : mapping
        Region that is no ball, to centre and half widths (x, y, z) in mm of the grid for its true dose.
    truth_mm : mapping
        Voxel size of the grid for the true dose of each region.
    hu : mapping
        CT number of each shape, later ones on top of earlier ones.
    administered_mbq : float
        In the vial at the infusion.
    noise_fraction : float
        Standard deviation of a voxel of the PET in ``normal``, relative to its mean.
    """

    shapes: Mapping[str, Shape]
    spheres: Mapping[str, tuple[tuple[float, float, float], float]]
    within: Mapping[str, str]
    uptake: Mapping[str, float]
    normal: str
    regions: Mapping[str, tuple[int, str]]
    holds: Mapping[str, tuple[str, ...]]
    boxes: Mapping[str, tuple[tuple[float, float, float], tuple[float, float, float]]]
    truth_mm: Mapping[str, float]
    hu: Mapping[str, int]
    administered_mbq: float
    noise_fraction: float

    @property
    def parts(self) -> tuple[str, ...]:
        """Everything that may hold activity."""
        return (*self.uptake, "lungs")

    def parts_within(self, part: str) -> tuple[str, ...]:
        """The parts that lie in another and not in one that lies in it."""
        return tuple(inner for inner, outer in self.within.items() if outer == part)

    @property
    def predicted_uptake(self) -> dict[str, float]:
        """Uptake of MAA: tumors take up less than of microspheres."""
        tumors = {name for name, (_, role) in self.regions.items() if role == "tumor"}
        return {name: MAA_TUMOR_RATIO * ratio if name in tumors else ratio for name, ratio in self.uptake.items()}


#: Two tumors in a liver that is treated whole.
LOBE = Phantom(
    shapes=SHAPES,
    spheres=SPHERES,
    within={"lesion_1": "liver", "lesion_2": "liver", "necrotic_core": "lesion_1"},
    uptake=UPTAKE,
    normal="liver",
    regions=REGIONS,
    holds={
        "liver": ("liver", "lesion_1", "necrotic_core", "lesion_2"),
        "normal_liver": ("liver",),
        "lesion_1": ("lesion_1", "necrotic_core"),
        "lesion_2": ("lesion_2",),
        "lungs": ("lungs",),
    },
    boxes=dict.fromkeys(("liver", "normal_liver"), LIVER_BOX),
    truth_mm=TRUTH_MM,
    hu=HU,
    administered_mbq=ADMINISTERED_MBQ,
    noise_fraction=PET_NOISE_FRACTION,
)


def occupancies(grid: Grid, phantom: Phantom = LOBE) -> dict[str, Floats]:
    """Occupancy of every part that may hold activity; the parts do not overlap."""
    whole = {name: occupancy(phantom.shapes[name], grid) for name in phantom.parts}
    filled = dict(whole)
    for outer in dict.fromkeys(phantom.within.values()):
        for inner in phantom.parts_within(outer):
            filled[outer] = filled[outer] - whole[inner]
        filled[outer] = np.maximum(filled[outer], 0)
    return filled


def activity_of(parts: Mapping[str, Floats], bq_per_ml: Mapping[str, float]) -> Floats:
    """Mean activity concentration of each voxel in Bq/mL, sharp and without noise."""
    return np.asarray(sum(parts[name] * np.float32(value) for name, value in bq_per_ml.items()), np.float32)


def part_volumes_ml(chest: Grid, phantom: Phantom = LOBE) -> dict[str, float]:
    """Volume of every part in mL: of balls exactly, of others on their grid for the true dose, of lungs on ``chest``."""
    whole = {name: _ball_ml(name, phantom) for name in phantom.parts if name in phantom.spheres}
    for name in phantom.parts:
        if name not in whole:
            grid = chest if name == "lungs" else _truth_grid(name, phantom)
            whole[name] = float(occupancy(phantom.shapes[name], grid).sum(dtype=np.float64)) * grid.voxel_volume_ml
    return {name: whole[name] - sum(whole[inner] for inner in phantom.parts_within(name)) for name in phantom.parts}


def concentrations(
    volumes_ml: Mapping[str, float], uptake: Mapping[str, float], phantom: Phantom = LOBE
) -> dict[str, float]:
    """Bq/mL at the infusion in every part, so that the liver holds net less shunt and the lungs the shunt.

    ``volumes_ml`` are those of :func:`part_volumes_ml`.
    """
    net_bq = (phantom.administered_mbq - RESIDUAL_MBQ) * 1e6
    normal = net_bq * (1 - LUNG_SHUNT_FRACTION) / sum(uptake[name] * volumes_ml[name] for name in uptake)
    lungs = net_bq * LUNG_SHUNT_FRACTION / volumes_ml["lungs"]
    return {name: ratio * normal for name, ratio in uptake.items()} | {"lungs": lungs}


def _ball_ml(name: str, phantom: Phantom) -> float:
    return 4 / 3 * math.pi * phantom.spheres[name][1] ** 3 / 1000


def clean_pet(grid: Grid, bq_per_ml: Mapping[str, float], phantom: Phantom = LOBE) -> Floats:
    """What the PET would show without noise: blurred activity."""
    return blurred(activity_of(occupancies(grid, phantom), bq_per_ml), grid, PET_FWHM_MM)


def pet_image(
    grid: Grid, bq_per_ml: Mapping[str, float], random: np.random.Generator, phantom: Phantom = LOBE
) -> Floats:
    """Blurred activity with noise whose variance grows with activity; its sum is zero, its voxels may fall below."""
    clean = clean_pet(grid, bq_per_ml, phantom)
    noise = pet_noise(clean, grid, phantom.shapes["body"], bq_per_ml[phantom.normal], random)
    return clean + noise * np.float32(phantom.noise_fraction / PET_NOISE_FRACTION)


def pet_noise(clean: Floats, grid: Grid, body: Shape, normal: float, random: np.random.Generator) -> Floats:
    """Noise inside a body whose voxels have the deviations of :func:`pet_deviation`; correlated, its sum zero."""
    grain = blurred(random.standard_normal(grid.shape, np.float32), grid, PET_NOISE_FWHM_MM)
    grain *= np.broadcast_to(body(lattice(grid)) < 0, grid.shape)
    noise = grain / grain[grain != 0].std() * _noisier(clean, normal) * (PET_NOISE_FRACTION * normal)
    noise[grain != 0] -= noise[grain != 0].mean()
    return np.asarray(noise, np.float32)


def pet_deviation(clean: Floats, normal: float) -> Floats:
    """Standard deviation of each voxel of a PET: its square grows with activity above a floor; ``normal`` is liver's."""
    return np.asarray(_noisier(clean, normal) * (PET_NOISE_FRACTION * normal), np.float32)


def _noisier(clean: Floats, normal: float) -> Floats:
    return np.asarray(np.sqrt(clean / normal + PET_NOISE_FLOOR), np.float32)


def spect_counts(
    grid: Grid, bq_per_ml: Mapping[str, float], random: np.random.Generator, phantom: Phantom = LOBE
) -> npt.NDArray[np.uint16]:
    """Blurred activity as Poisson counts."""
    activity = activity_of(occupancies(grid, phantom), bq_per_ml)
    clean = blurred(activity, grid, SPECT_FWHM_MM).astype(np.float64)
    return np.asarray(random.poisson(clean * (SPECT_COUNTS / clean.sum())), np.uint16)


def ct_numbers(grid: Grid, random: np.random.Generator, phantom: Phantom = LOBE) -> Floats:
    """Hounsfield units by the region of each voxel's centre, with mild noise."""
    points = lattice(grid)
    hu = np.full(grid.shape, -1000, np.float32)
    for name, value in phantom.hu.items():
        hu[np.broadcast_to(phantom.shapes[name](points) < 0, grid.shape)] = value
    hu += random.standard_normal(grid.shape, np.float32) * np.float32(CT_NOISE_HU)
    return hu


def label_map(
    grid: Grid, phantom: Phantom = LOBE, names: Sequence[str] = ("lungs", "liver", "lesion_1", "lesion_2")
) -> npt.NDArray[np.uint8]:
    """Label of the region at each voxel's centre; later names on top of earlier ones."""
    points = lattice(grid)
    labels = np.zeros(grid.shape, np.uint8)
    for name in names:
        labels[np.broadcast_to(phantom.shapes[name](points) < 0, grid.shape)] = phantom.regions[name][0]
    return labels


def _box_around(centre: tuple[float, ...], half: tuple[float, ...], step_mm: float) -> Grid:
    """An axial grid of cubes whose middle is ``centre`` (x, y, z) and that reaches at least ``half`` to every side."""
    sizes = [2 * math.ceil(h / step_mm) for h in half]
    first = [c - (n - 1) / 2 * step_mm for c, n in zip(centre, sizes, strict=True)]
    return Grid.from_axes(sizes[::-1], (step_mm,) * 3, first)


def _truth_grid(name: str, phantom: Phantom) -> Grid:
    """The grid for the true dose of a region."""
    if name in phantom.spheres:
        centre, radius = phantom.spheres[name]
        return _box_around(centre, (radius + 12.0,) * 3, phantom.truth_mm[name])
    return _box_around(*phantom.boxes[name], phantom.truth_mm[name])


def _true_dose(name: str, bq_per_ml: Mapping[str, float], phantom: Phantom) -> dict[str, float]:
    """Mean, D70 and coverages of one region by the point kernel, from the activity of the liver and its tumors."""
    grid = _truth_grid(name, phantom)
    parts = occupancies(grid, phantom)
    activity = ActivityMap(activity_of(parts, bq_per_ml), grid, at=INFUSION_AT, radionuclide=Y90)
    dose = Convolution(point_kernel()).dose(count_decays(activity, Y90), DEFAULT_DENSITY_G_PER_ML)
    weights = np.asarray(sum(parts[part] for part in phantom.holds[name]), np.float64)
    dvh = Dvh.from_voxels(dose.gy, weights * grid.voxel_volume_ml)
    mean = float((dose.gy * weights).sum() / weights.sum())
    return dict(zip(DOSES, (mean, dvh.dose_to_fraction_gy(0.70), dvh.coverage(205), dvh.coverage(400)), strict=True))


def truth_of_phantom(volumes_ml: Mapping[str, float], phantom: Phantom = LOBE) -> dict[str, Any]:
    """True volumes, activities and doses (dose point kernel on sharp activity), and how the phantom was made.

    Each dose is computed on a grid of its own, shapes as fractions of voxels. Edges spread over
    whole voxels leave the means 0.2 to 0.3 % low (by refining the grids).
    ``volumes_ml`` are those of :func:`part_volumes_ml`.
    """
    concentration = concentrations(volumes_ml, phantom.uptake, phantom)
    rois: dict[str, dict[str, float | None]] = {}
    for name, parts in phantom.holds.items():
        ml = _ball_ml(name, phantom) if name in phantom.spheres else sum(volumes_ml[part] for part in parts)
        mbq = sum(concentration[part] * volumes_ml[part] for part in parts) / 1e6
        rho = LUNG_DENSITY_G_PER_ML if name == "lungs" else DEFAULT_DENSITY_G_PER_ML
        mird = Y90.gy_kg_per_gbq * mbq / (ml * rho)
        rois[name] = {"volume_ml": ml, "density_g_per_ml": rho, "activity_mbq": mbq, "mird_dose_gy": mird}
        known = name in phantom.truth_mm
        rois[name] |= _true_dose(name, concentration, phantom) if known else dict.fromkeys(DOSES)
    spheres = {n: {"centre_lps_mm": list(c), "radius_mm": r} for n, (c, r) in phantom.spheres.items()}
    fraction = phantom.noise_fraction
    parameters = {
        "administered_mbq": phantom.administered_mbq,
        "residual_mbq": RESIDUAL_MBQ,
        "lung_shunt_fraction": LUNG_SHUNT_FRACTION,
        "at": INFUSION_AT.isoformat(),
        "uptake": phantom.uptake,
        "bq_per_ml": concentration,
        "spheres": spheres,
        "maa_tumor_ratio": MAA_TUMOR_RATIO,
        "fwhm_mm": {"pet": PET_FWHM_MM, "spect": SPECT_FWHM_MM},
        "noise": {"pet_fraction": fraction, "spect_counts": SPECT_COUNTS, "ct_hu": CT_NOISE_HU, "seed": SEED},
        "gy_kg_per_gbq": Y90.gy_kg_per_gbq,
        "dose": f"dose point kernel on sharp, noise-free activity; voxels in mm: {phantom.truth_mm}",
        "mird_dose_gy": "K * activity / mass, one compartment, all energy inside",
        "regions": "liver is with the tumors, normal_liver without; lungs have no voxel dose, as no uniform medium holds there",
    }
    return {"schema": "voxeldose/demo-truth/1", "version": __version__, "parameters": parameters, "rois": rois}
