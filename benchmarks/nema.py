"""A digital NEMA IEC body phantom: six hot spheres and a cold lung insert in a warm body, as a DICOM study with its truth.

What it leaves out: the walls of spheres and insert (1 to 2 mm of plastic), scatter, attenuation and reconstruction
artefacts. The concentration is chosen so that V400 lies between 0 and 1 in every sphere, as in treated tumors; a real
phantom of 3 GBq at 8:1 gives a fifth of these doses, all else alike.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.closed_forms import dose_in_sphere, radius_of_dose, sphere_fraction, spread_of
from benchmarks.published import NEMA_DIAMETERS_MM
from voxeldose.demo.dicom_study import PhantomStudy, write_pet, write_rtstruct
from voxeldose.demo.phantom import PET_NOISE_FWHM_MM, pet_deviation, pet_noise
from voxeldose.demo.shapes import blurred, ellipsoid, occupancy, sphere
from voxeldose.geometry.resample import onto
from voxeldose.model.administration import Administration
from voxeldose.model.grid import Grid
from voxeldose.model.kernel import point_kernel
from voxeldose.model.radionuclide import Y90
from voxeldose.model.volume import ActivityMap

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from voxeldose.demo.shapes import Points
    from voxeldose.model.arrays import Floats

__all__ = ["BODY_GRID_MM", "Nema", "circles", "field_of_view", "gy_of", "noise_of_mean", "write_study"]

#: NEMA NU 2: sphere centres on this circle in one plane; interior of the body: a half disc in front of a rounded
#: rectangle, 180 mm tall; outer diameter of the lung insert, which is cold here.
CIRCLE_DIAMETER_MM, INSERT_DIAMETER_MM = 114.4, 51.0
BODY_HALF_WIDTH_MM, BODY_CORNER_MM, BODY_HEIGHT_MM = 147.0, 77.0, 180.0
#: The circle's middle: 70 mm below the lid, where the insert stands; the plane of the spheres is z = 0.
LID_ABOVE_MM = 70.0

AT = datetime(2024, 6, 3, 9, 0, tzinfo=UTC)
SCANNED_AT, FRAME_S = AT + timedelta(hours=20), 1800.0
STUDY = PhantomStudy("voxeldose digital NEMA IEC phantom", "NEMA", "Nema^Phantom", "ABDOMEN", AT)

#: Voxels (k, j, i) of a clinical Y-90 PET, and the blur asked for.
BODY_GRID_MM = (3.0, 4.07, 4.07)
DENSITY_G_PER_ML = 1.0
#: What electrons reach, and a little more.
REACH_MM = 13.0
#: Distance of contour planes of the structure set, mm, and vertices of a circle.
PLANES_MM, VERTICES = 0.5, 180


@dataclass(frozen=True)
class Nema:
    """The phantom and its truth.

    Parameters
    ----------
    ratio : float
        Concentration in the spheres by that in the body.
    sphere_bq_per_ml : float
        In the spheres, at the infusion.
    diameters_mm : tuple of float
        Spheres in place of the usual six, in turn around the circle.
    """

    ratio: float = 8.0
    sphere_bq_per_ml: float = 12e6
    diameters_mm: tuple[float, ...] = field(default=NEMA_DIAMETERS_MM)

    @property
    def body_bq_per_ml(self) -> float:
        """In the body, at the infusion."""
        return self.sphere_bq_per_ml / self.ratio

    @property
    def total_mbq(self) -> float:
        """In body and spheres, at the infusion."""
        back = math.pi / 2 * BODY_CORNER_MM**2 + 2 * (BODY_HALF_WIDTH_MM - BODY_CORNER_MM) * BODY_CORNER_MM
        area = math.pi / 2 * BODY_HALF_WIDTH_MM**2 + back - math.pi / 4 * INSERT_DIAMETER_MM**2
        spheres = sum(4 / 3 * math.pi * r**3 for *_, r in self.spheres())
        more = (self.sphere_bq_per_ml - self.body_bq_per_ml) * spheres
        return (area * BODY_HEIGHT_MM * self.body_bq_per_ml + more) / 1e9

    def spheres(self) -> Iterator[tuple[str, tuple[float, float, float], float]]:
        """Name, centre (x, y, z) and radius of each sphere, in mm."""
        for n, diameter in enumerate(self.diameters_mm):
            angle = math.radians(60 * n)
            x, y = (CIRCLE_DIAMETER_MM / 2 * f(angle) for f in (math.cos, math.sin))
            yield f"sphere_{diameter:g}mm", (x, y, 0.0), diameter / 2

    def activity(self, grid: Grid) -> Floats:
        """Mean concentration of each voxel in Bq/mL at the infusion, sharp and without noise."""
        body, insert = occupancy(_body, grid), occupancy(_insert, grid)
        values = np.float32(self.body_bq_per_ml) * (body - insert)
        for _, centre, radius in self.spheres():
            values += np.float32(self.sphere_bq_per_ml - self.body_bq_per_ml) * occupancy(sphere(centre, radius), grid)
        return np.asarray(values, np.float32)

    def pet(self, grid: Grid, fwhm_mm: float, random: np.random.Generator | None) -> Floats:
        """What a scanner makes of it: blur in voxels a third as wide, means over ``grid``, noise if asked for."""
        fine = grid.with_spacing(tuple(s / 3 for s in grid.spacing_mm))
        sharp = ActivityMap(blurred(self.activity(fine), fine, fwhm_mm), fine, at=AT, radionuclide=Y90)
        clean = onto(sharp, grid).bq_per_ml
        return clean if random is None else clean + pet_noise(clean, grid, _body, self.body_bq_per_ml, random)

    def truth(self, name: str) -> dict[str, float]:
        """Volume (mL), activity (MBq), mean dose, D70 (Gy) and V400 of a sphere, in closed form from the point kernel.

        ``D = K/ρ (c_body φ(∞) + (c_sphere - c_body) φ(R))``; φ holds all the energy of the table, bremsstrahlung too.
        """
        radius = next(r for n, _, r in self.spheres() if n == name)
        spread = spread_of(point_kernel(), DENSITY_G_PER_ML)
        volume = 4 / 3 * math.pi * radius**3 / 1000
        high, low = (gy_of(c) for c in (self.sphere_bq_per_ml - self.body_bq_per_ml, self.body_bq_per_ml))
        everywhere = low * float(spread.weight.sum())
        reach_400 = radius_of_dose(radius, (400 - everywhere) / high, spread)
        d70 = dose_in_sphere(radius, np.array([0.7 ** (1 / 3) * radius]), spread)[0]
        return {
            "volume_ml": volume,
            "activity_mbq": volume * self.sphere_bq_per_ml / 1e6,
            "mean_dose_gy": everywhere + high * sphere_fraction(radius, spread),
            "d70_gy": everywhere + high * float(d70),
            "v400_fraction": (reach_400 / radius) ** 3,
        }


def gy_of(bq_per_ml: float) -> float:
    """Dose (Gy) of a concentration at the infusion where no energy leaves: ``K c / ρ``."""
    return Y90.gy_kg_per_gbq * bq_per_ml * 1e-6 / DENSITY_G_PER_ML


def field_of_view(phantom: Nema, spacing_mm: tuple[float, float, float], *, whole: bool) -> Grid:
    """A grid over the whole body, or over the spheres and what electrons reach around them.

    Its middle lies on a voxel's corner.
    """
    low, high = np.array([-165.0, -165.0, -125.0]), np.array([165.0, 95.0, 85.0])  # 15 mm around the body
    if not whole:
        ends = [(np.array(centre) - radius, np.array(centre) + radius) for _, centre, radius in phantom.spheres()]
        low, high = np.min([a for a, _ in ends], axis=0) - REACH_MM, np.max([b for _, b in ends], axis=0) + REACH_MM
    spacing = np.array(spacing_mm[::-1])
    sizes = 2 * np.ceil((high - low) / spacing / 2).astype(int)
    first = (low + high) / 2 - (sizes - 1) / 2 * spacing
    return Grid.from_axes(sizes[::-1].tolist(), spacing_mm, first.tolist(), frame_uid=STUDY.uid("frame"))


def write_study(phantom: Nema, bq_per_ml: Floats, grid: Grid, folder: Path) -> Path:
    """The image as a PET series of 20 h later, the spheres as a structure set, the truth, and the case file, returned."""
    given = Administration(Y90, phantom.total_mbq, AT)
    (folder / "pet").mkdir(parents=True, exist_ok=True)
    scanned = bq_per_ml * np.float32(Y90.decay_factor((SCANNED_AT - AT).total_seconds()))
    write_pet(STUDY, scanned, grid, folder / "pet", at=SCANNED_AT, frame_s=FRAME_S, given=given)
    contours = {name: circles(centre, radius) for name, centre, radius in phantom.spheres()}
    write_rtstruct(STUDY, contours, folder / "spheres.dcm", at=SCANNED_AT, frame_uid=STUDY.uid("frame"))
    truth = {name: phantom.truth(name) for name in contours}
    (folder / "truth.json").write_text(json.dumps(truth, indent=1) + "\n", "utf-8")
    case = folder / "case.toml"
    case.write_text(_case_file(list(contours)), "utf-8")
    return case


def _case_file(names: list[str]) -> str:
    labels = ", ".join(f'{name} = {{ name = "{name}", role = "tumor" }}' for name in names)
    return f"""# Digital NEMA IEC phantom: absolute Bq/mL, uniform water.
[case]
id = "nema"

[activity]
path = "pet"

[[rois]]
path = "spheres.dcm"
labels = {{ {labels} }}

[administration]
at = {AT:%Y-%m-%dT%H:%M:%SZ}

[dose]
calibration = "absolute"
density_g_per_ml = {DENSITY_G_PER_ML}
"""


def circles(
    centre: tuple[float, float, float], radius_mm: float, planes_mm: float = PLANES_MM
) -> list[npt.NDArray[np.float64]]:
    """Contours of a sphere in axial planes; polygons of the circle's area.

    Each plane stands for a slab around it, so its circle has the mean area of the sphere within that slab.
    """
    count = math.ceil(radius_mm / planes_mm)
    edges = np.linspace(-count, count, 2 * count + 1) * planes_mm
    angle = np.arange(VERTICES) * 2 * math.pi / VERTICES
    outer = math.sqrt(2 * math.pi / (VERTICES * math.sin(2 * math.pi / VERTICES)))  # polygon and circle of one area
    found = []
    for low, high in itertools.pairwise(edges):
        a, b = (min(max(e, -radius_mm), radius_mm) for e in (low, high))
        r = outer * math.sqrt(max(0.0, (radius_mm**2 * (b - a) - (b**3 - a**3) / 3) / planes_mm))
        x, y = centre[0] + r * np.cos(angle), centre[1] + r * np.sin(angle)
        found.append(np.stack([x, y, np.full_like(x, centre[2] + (low + high) / 2)], axis=-1))
    return found


def noise_of_mean(clean: Floats, grid: Grid, normal: float, weights: Floats) -> float:
    """Standard deviation (Bq/mL) of a region's mean under the noise of :func:`voxeldose.demo.phantom.pet_noise`.

    Noise is white noise through a symmetric filter, times the deviation of each voxel; a weighted sum of it has the
    squared deviation of the filtered weights.
    """
    middle = np.zeros(grid.shape, np.float32)
    middle[tuple(n // 2 for n in grid.shape)] = 1
    filter_norm = np.linalg.norm(blurred(middle, grid, PET_NOISE_FWHM_MM))
    filtered = blurred(weights * pet_deviation(clean, normal), grid, PET_NOISE_FWHM_MM)
    return float(np.linalg.norm(filtered) / filter_norm / weights.sum())


def main() -> None:
    """Write the phantom's study, to be looked at and assessed: ``python -m benchmarks.nema DIR``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.nema", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--ratio", type=float, default=Nema.ratio, help="sphere by body concentration")
    parser.add_argument("--voxel-mm", type=float, nargs=3, default=BODY_GRID_MM, metavar=("K", "J", "I"))
    parser.add_argument("--fwhm-mm", type=float, default=5.0, help="blur; 0 for none")
    parser.add_argument("--seed", type=int, help="of the noise; none without it")
    chosen = parser.parse_args()
    phantom, sharp = Nema(ratio=chosen.ratio), chosen.fwhm_mm == 0
    grid = field_of_view(phantom, tuple(chosen.voxel_mm), whole=not sharp)
    random = None if chosen.seed is None else np.random.default_rng(chosen.seed)
    image = phantom.activity(grid) if sharp and random is None else phantom.pet(grid, chosen.fwhm_mm, random)
    print(f"voxeldose assess {write_study(phantom, image, grid, chosen.folder)}")  # noqa: T201


def _body(p: Points) -> Floats:
    """Inside of the body; never farther than the surface."""
    low, high = np.float32(LID_ABOVE_MM - BODY_HEIGHT_MM), np.float32(LID_ABOVE_MM)
    side = np.float32(BODY_HALF_WIDTH_MM - BODY_CORNER_MM)
    front = np.hypot(p.x, p.y) - np.float32(BODY_HALF_WIDTH_MM)
    back = np.hypot(np.maximum(np.abs(p.x) - side, 0), p.y) - np.float32(BODY_CORNER_MM)
    outline = np.where(p.y < 0, front, back)
    return np.asarray(np.maximum(outline, np.maximum(low - p.z, p.z - high)), np.float32)


def _insert(p: Points) -> Floats:
    """The lung insert, a cylinder through the whole body."""
    low, high = np.float32(LID_ABOVE_MM - BODY_HEIGHT_MM), np.float32(LID_ABOVE_MM)
    inside = ellipsoid(p, (0, 0, 0), (INSERT_DIAMETER_MM / 2, INSERT_DIAMETER_MM / 2, math.inf))
    return np.asarray(np.maximum(inside, np.maximum(low - p.z, p.z - high)), np.float32)


if __name__ == "__main__":
    main()
