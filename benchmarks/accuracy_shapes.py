"""Structure sets and DVHs on analytic shapes in a sloping dose, beside what other programs make of the same contours.

Dose is linear in position, so that every Dx of a ball and of a cylinder has a closed form. The rows named "centre test" take
a voxel whole if its centre lies in the contour of the nearest plane (as dicompyler-core does on the dose grid); those named
plastimatch take the mask that ``plastimatch convert`` writes on a CT of the dose grid. Both are shown, not judged.
"""

from __future__ import annotations

import math
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.closed_forms import dose_in_sphere, spread_of
from benchmarks.figures import Section
from benchmarks.nema import AT, STUDY, circles
from voxeldose.demo.dicom_study import write_ct, write_rtstruct
from voxeldose.demo.shapes import occupancy, sphere
from voxeldose.dose.engines.convolution import Convolution
from voxeldose.dose.metrics import roi_metrics
from voxeldose.geometry.resample import roi_onto
from voxeldose.io.regions import read_rtstruct
from voxeldose.model.dvh import Dvh
from voxeldose.model.grid import Grid
from voxeldose.model.kernel import point_kernel
from voxeldose.model.radionuclide import JOULE_PER_MEV, Y90
from voxeldose.model.volume import DecayMap, DoseMap

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from benchmarks.figures import Figure
    from voxeldose.model.kernel import PointKernel

    Floats = npt.NDArray[np.float64]

__all__ = ["gamma", "structures"]

#: Radius in mm of balls; radius and height of the cylinder along z. Contours every 2.5 mm.
BALLS = {"ball_R20": 20.0, "ball_R6": 6.0}
CYLINDER = (12.0, 30.0)
PLANES_MM = 2.5
#: Off the voxels' centres and edges.
CENTRE = (1.1, -0.7, 0.4)
#: Dose in the middle and its slope.
MIDDLE_GY, GY_PER_MM = 160.0, 1.0
PARTS = (0.95, 0.70)


def structures() -> Iterator[Figure]:
    """Volume, mean, D95 and D70 of shapes read from an RTSTRUCT, dose rising along x and along z."""
    of = Section("RTSTRUCT and DVH on analytic shapes, 2.5 mm voxels and planes", "closed form")
    frame = STUDY.uid("frame")
    grid = Grid.from_axes((30, 30, 30), (2.5,) * 3, (-36.25, -36.25, -36.25), frame_uid=frame)
    contours = {name: circles(CENTRE, radius, PLANES_MM) for name, radius in BALLS.items()}
    contours["cylinder"] = discs(*CYLINDER)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shapes.dcm"
        write_rtstruct(STUDY, contours, path, at=AT, frame_uid=frame)
        (Path(folder) / "ct").mkdir()
        write_ct(STUDY, np.zeros(grid.shape, np.float32), grid, Path(folder) / "ct", AT)
        rois = read_rtstruct(path)
        others, failure = masks_of_plastimatch(path, grid)
    if failure:
        yield of.shown(
            f"plastimatch: {failure}", float("nan"), float("nan"), "an outside program that failed judges nothing"
        )
    for axis, letter in ((0, "x"), (2, "z")):
        place = grid.points_lps_mm(np.stack(np.meshgrid(*[np.arange(30)] * 3, indexing="ij"), -1))[..., axis]
        dose = DoseMap((MIDDLE_GY + GY_PER_MM * (place - CENTRE[axis])).astype(np.float32), grid)
        ones = DecayMap(np.ones(grid.shape, np.float32), grid, radionuclide=Y90)
        for name, loops in contours.items():
            roi, outside = roi_onto(rois[name], grid)
            m = roi_metrics(roi, outside, dose, dose, ones, 1.0)
            exact = closed_dvh(name, letter)
            what = f"{name}, dose along {letter}"
            peers = {"centre test": centre_mask(loops, grid)} | {
                program: found[name] for program, found in others.items()
            }
            rows = (("D95", m.d95_gy, exact[0]), ("D70", m.d70_gy, exact[1]), ("mean", m.mean_dose_gy, MIDDLE_GY))
            if letter == "x":
                yield of.relative(
                    f"{name} volume", m.volume_ml, volume_ml(name), 0.005, "polygons and slabs of the contours", "mL"
                )
            for metric, value, wanted in rows:
                band, why = (0.1, "symmetric shapes") if metric == "mean" else (1.25, "half a voxel's 2.5 Gy")
                yield of.absolute(f"{what}: {metric}", value, wanted, band, why, "Gy")
            for program, mask in peers.items():
                beside = Dvh(dose.gy, mask.astype(np.float32), grid.voxel_volume_ml)
                d95, d70 = beside.at([], PARTS)[1]
                why = f"{program}: beside ours"
                if letter == "x":
                    yield of.shown(f"{name} volume, {program}", beside.total_ml, volume_ml(name), why, "mL")
                yield of.shown(f"{what}: D95, {program}", d95, exact[0], why, "Gy")
                yield of.shown(f"{what}: D70, {program}", d70, exact[1], why, "Gy")


def volume_ml(name: str) -> float:
    """Of a shape."""
    if name == "cylinder":
        return math.pi * CYLINDER[0] ** 2 * CYLINDER[1] / 1000
    return 4 / 3 * math.pi * BALLS[name] ** 3 / 1000


def closed_dvh(name: str, letter: str) -> list[float]:
    """D95 and D70: the plane that cuts off 5 and 30 % of the shape at its low side, by caps, segments or slabs."""
    half = BALLS[name] if name in BALLS else CYLINDER[0] if letter == "x" else CYLINDER[1] / 2
    x = np.linspace(-half, half, 200001)
    power = 1.0 if name in BALLS else 0.5 if letter == "x" else 0.0
    area = (half**2 - x**2) ** power  # of the cut at x: a disc, a rectangle, always the same
    below = np.cumsum((area[1:] + area[:-1]) / 2)
    return [MIDDLE_GY + GY_PER_MM * float(np.interp(1 - part, below / below[-1], x[1:])) for part in PARTS]


def discs(radius_mm: float, height_mm: float) -> list[Floats]:
    """Contours of an upright cylinder: equal circles, planes from half a distance inside its ends."""
    angle = np.arange(180) * 2 * math.pi / 180
    r = radius_mm * math.sqrt(2 * math.pi / (180 * math.sin(2 * math.pi / 180)))
    planes = np.arange(-height_mm / 2 + PLANES_MM / 2, height_mm / 2, PLANES_MM)
    x, y = CENTRE[0] + r * np.cos(angle), CENTRE[1] + r * np.sin(angle)
    return [np.stack([x, y, np.full_like(x, CENTRE[2] + z)], axis=-1) for z in planes]


def centre_mask(loops: list[Floats], grid: Grid) -> npt.NDArray[np.bool_]:
    """Voxels whose centre lies in the contour of the nearest plane, none beyond half a plane's distance."""
    from matplotlib.path import Path as Outline

    k, j, i = (np.arange(n) for n in grid.shape)
    z = grid.points_lps_mm(np.stack([k, 0 * k, 0 * k], -1))[:, 2]
    index = np.stack(np.meshgrid([0], j, i, indexing="ij"), -1)
    flat = grid.points_lps_mm(index)[0, ..., :2]
    mask = np.zeros(grid.shape, bool)
    planes = np.array([loop[0, 2] for loop in loops])
    for n, height in enumerate(z):
        nearest = int(np.abs(planes - height).argmin())
        if abs(planes[nearest] - height) <= PLANES_MM / 2:
            mask[n] = Outline(loops[nearest][:, :2]).contains_points(flat.reshape(-1, 2)).reshape(flat.shape[:2])
    return mask


def masks_of_plastimatch(structures_file: Path, grid: Grid) -> tuple[dict[str, dict[str, npt.NDArray[np.bool_]]], str]:
    """The masks of plastimatch on the voxels of the CT beside the file, and how it failed if it did.

    No masks and no failure where it is not installed.
    """
    import nibabel as nib

    program = shutil.which("plastimatch")
    if program is None:
        return {}, ""
    folder = structures_file.parent
    words = ["convert", "--input", structures_file, "--referenced-ct", folder / "ct", "--output-prefix", folder / "out"]
    try:
        subprocess.run(  # noqa: S603 - the program found above, with files of our own
            [program, *map(str, words), "--prefix-format", "nii.gz"], check=True, capture_output=True, timeout=300
        )
    except subprocess.TimeoutExpired:
        return {}, "did not end within 300 s"
    except subprocess.CalledProcessError as error:
        return {}, f"ended with status {error.returncode}"
    found = {}
    for path in (folder / "out").glob("*.nii.gz"):
        mask = np.asarray(nib.load(path).dataobj).T > 0  # (i, j, k) along x, y, z as the CT's voxels
        if mask.shape == grid.shape:
            found[path.name.removesuffix(".nii.gz")] = mask
    return {"plastimatch": found}, ""


def gamma(kernel: PointKernel) -> Iterator[Figure]:
    """Part of the voxels whose dose agrees with a reference dose within 2 % of its maximum and 1 mm.

    No set of the catalogue has a reference dose of Y-90 with its activity; the reference is the closed form of a sphere of
    17 mm in a cold medium, voxel by voxel. The gamma is pymedphys's: nothing is shown where it is not installed.
    """
    try:
        from pymedphys import gamma as gamma_index
    except ImportError:
        return
    of = Section("gamma against a reference dose", "closed form of the shipped kernel; gamma by pymedphys")
    radius, step, n = 8.5, 1.0, 36
    start = -(n - 1) / 2 * step
    grid = Grid.from_axes((n, n, n), (step,) * 3, (start,) * 3)
    decays = DecayMap(occupancy(sphere((0, 0, 0), radius), grid) * 1e10, grid, radionuclide=Y90)
    found = Convolution(kernel).dose(decays, 1.0).gy
    axis = start + step * np.arange(n)
    k, j, i = np.meshgrid(axis, axis, axis, indexing="ij", sparse=True)
    distance, back = np.unique(np.sqrt(k**2 + j**2 + i**2).round(6), return_inverse=True)
    relative = dose_in_sphere(radius, distance, spread_of(point_kernel(), reach_mm=12))[back].reshape(grid.shape)
    reference = relative * (1e10 * Y90.energy_mev * JOULE_PER_MEV / (grid.voxel_volume_ml * 1e-3))
    values = gamma_index(
        (axis,) * 3, reference, (axis,) * 3, found.astype(float), 2, 1, lower_percent_dose_cutoff=10, max_gamma=1.5
    )
    passed = float((values[np.isfinite(values)] <= 1).mean())
    why = "voxels of 1 mm average a dose that falls by 12 % a mm at the surface: within 0.2 mm of its place"
    yield of.absolute(
        "2 % / 1 mm, sphere of 17 mm, doses above 10 %: part that passes", passed, 1.0, 0.005, why, "fraction"
    )
