"""The demonstration's liver patient, still and breathing: a PET averaged over the breath, and the truth in closed form.

The liver moves rigidly from head to foot by ``z(t) = -b cos⁴(π t / τ)`` (Lujan 1999, doi:10.1118/1.598577), which is
longest near the end of exhalation. Regions are drawn at the mean position, as on an averaged CT. Left out: deformation,
irregular breath, motion of the body and lungs' own activity.
"""

from __future__ import annotations

import argparse
import json
import math
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.closed_forms import Spread, off_centre_fraction, sphere_fraction, spread_of
from benchmarks.nema import circles, noise_of_mean
from voxeldose.demo import phantom
from voxeldose.demo.dicom_study import PhantomStudy, write_pet, write_rtstruct
from voxeldose.demo.shapes import blurred, occupancy, sphere
from voxeldose.geometry.resample import onto
from voxeldose.io.nifti import write_labels
from voxeldose.model.administration import Administration
from voxeldose.model.densities import DEFAULT_DENSITY_G_PER_ML
from voxeldose.model.grid import Grid
from voxeldose.model.kernel import point_kernel
from voxeldose.model.radionuclide import Y90
from voxeldose.model.volume import ActivityMap

if TYPE_CHECKING:
    from voxeldose.model.arrays import Floats

__all__ = ["Liver"]

STUDY = PhantomStudy("voxeldose breathing liver phantom", "BREATH", "Breath^Phantom", "LIVER", phantom.PET_AT)
GRID_MM, SHAPE, FIRST_LPS_MM = (3.0, 4.07, 4.07), (92, 84, 96), (-193.325, -168.905, -110.0)
#: Voxels in which activity is moved and blurred are so many times smaller.
PARTS = (3, 2, 2)
SEED = 73
MOMENTS = 400

_CASE = f"""# Digital liver patient: no real patient.
[activity]
path = "pet"

[[rois]]
path = "liver.nii.gz"
labels = {{ 1 = {{ name = "liver", role = "liver" }} }}

[[rois]]
path = "tumors.dcm"
labels = {{ lesion_1 = {{ name = "lesion_1", role = "tumor" }}, lesion_2 = {{ name = "lesion_2", role = "tumor" }} }}

[administration]
administered_mbq = {phantom.ADMINISTERED_MBQ}
residual_mbq = {phantom.RESIDUAL_MBQ}
at = {phantom.INFUSION_AT:%Y-%m-%dT%H:%M:%SZ}
lung_shunt_fraction = {phantom.LUNG_SHUNT_FRACTION}
"""


class Liver:
    """Activity of the demonstration's liver, its truth, and its study at a given breath.

    Parameters
    ----------
    amplitude_mm : float
        Peak to peak of the breath.
    """

    def __init__(self, amplitude_mm: float = 15.0) -> None:
        self.amplitude_mm = amplitude_mm
        self.grid = Grid.from_axes(SHAPE, GRID_MM, FIRST_LPS_MM, frame_uid=STUDY.uid("frame"))

    @cached_property
    def demo_truth(self) -> dict[str, Any]:
        """``truth.json`` of the demonstration."""
        return phantom.truth_of_phantom(phantom.part_volumes_ml(self.grid))

    @cached_property
    def bq_per_ml(self) -> dict[str, float]:
        """Concentration of each part at the infusion."""
        return dict(self.demo_truth["parameters"]["bq_per_ml"])

    @cached_property
    def _sharp(self) -> tuple[Floats, Grid]:
        fine = self.grid.with_spacing([s / n for s, n in zip(GRID_MM, PARTS, strict=True)])
        return phantom.activity_of(phantom.occupancies(fine), self.bq_per_ml), fine

    def clean(self, amplitude_mm: float) -> Floats:
        """The image without noise: activity averaged over the breath, blurred, averaged over voxels."""
        from scipy.ndimage import convolve1d

        values, fine = self._sharp
        step = fine.spacing_mm[0]
        shift = displacements_mm(amplitude_mm) / step
        reach = math.ceil(np.abs(shift).max()) + 1
        weights = np.zeros(2 * reach + 1)
        for place, part in ((np.floor(shift), 1 - shift % 1), (np.floor(shift) + 1, shift % 1)):
            np.add.at(weights, place.astype(int) + reach, part / shift.size)
        moved = convolve1d(values, weights, axis=0, mode="constant")
        image = ActivityMap(blurred(moved, fine, phantom.PET_FWHM_MM), fine, at=phantom.INFUSION_AT, radionuclide=Y90)
        return onto(image, self.grid).bq_per_ml

    def pet(self, amplitude_mm: float) -> Floats:
        """The image with noise."""
        clean = self.clean(amplitude_mm)
        random = np.random.default_rng(SEED)
        noise = phantom.pet_noise(clean, self.grid, phantom.SHAPES["body"], self.bq_per_ml["liver"], random)
        return clean + noise

    def noise_gy(self, name: str, amplitude_mm: float) -> float:
        """Standard deviation of a tumor's mean dose by local deposition under the image's noise."""
        weights = occupancy(sphere(*phantom.SPHERES[name]), self.grid)
        return self._gy(noise_of_mean(self.clean(amplitude_mm), self.grid, self.bq_per_ml["liver"], weights))

    def write_study(self, folder: Path, amplitude_mm: float) -> Path:
        """PET as DICOM, tumors as a structure set, liver as a label map, the truth, and the case file, returned."""
        given = Administration(Y90, phantom.ADMINISTERED_MBQ, phantom.INFUSION_AT)
        scanned = self.pet(amplitude_mm) * np.float32(
            Y90.decay_factor((phantom.PET_AT - phantom.INFUSION_AT).total_seconds())
        )
        (folder / "pet").mkdir(parents=True, exist_ok=True)
        write_pet(
            STUDY, scanned, self.grid, folder / "pet", at=phantom.PET_AT, frame_s=phantom.PET_FRAME_S, given=given
        )
        contours = {n: circles(*phantom.SPHERES[n]) for n in ("lesion_1", "lesion_2")}
        write_rtstruct(STUDY, contours, folder / "tumors.dcm", at=phantom.PET_AT, frame_uid=STUDY.uid("frame"))
        fine = self.grid.with_spacing(2.0)
        labels = phantom.label_map(fine)
        inside = (labels > 0) & (labels < phantom.REGIONS["lungs"][0])
        write_labels(inside.astype(np.uint8), fine, folder / "liver.nii.gz")
        truth = {n: {"mean_dose_gy": self.true_mean_gy(n), "activity_mbq": self.true_mbq(n)} for n in contours}
        (folder / "truth.json").write_text(json.dumps(truth, indent=1) + "\n", "utf-8")
        case = folder / "case.toml"
        case.write_text(_CASE, "utf-8")
        return case

    def true_mbq(self, name: str) -> float:
        """Activity of a tumor at the infusion."""
        volumes = {n: 4 / 3 * math.pi * r**3 / 1000 for n, (_, r) in phantom.SPHERES.items()}
        filled = volumes[name] - (volumes["necrotic_core"] if name == "lesion_1" else 0)
        return self.bq_per_ml[name] * filled / 1e6

    def true_mean_gy(self, name: str) -> float:
        """Mean dose of a tumor of sharp, still activity; lesion_1 less what its cold core does not give.

        The liver around a tumor is taken as endless: bremsstrahlung that leaves it is 0.4 % of its own share.
        """
        spread = spread_of(point_kernel(), DEFAULT_DENSITY_G_PER_ML)
        centre, radius = phantom.SPHERES[name]
        around, inside = (self._gy(self.bq_per_ml[n]) for n in ("liver", name))
        dose = around * float(spread.weight.sum()) + (inside - around) * sphere_fraction(radius, spread)
        if name == "lesion_1":
            core, core_radius = phantom.SPHERES["necrotic_core"]
            kept = off_centre_fraction(radius, core_radius, math.dist(core, centre), spread)
            dose -= inside * (core_radius / radius) ** 3 * kept
        return dose

    def expected_local_gy(self, name: str, amplitude_mm: float) -> float:
        """Mean dose by local deposition that the noise-free image must give a uniform tumor."""
        voxels = sum(s**2 / 6 for s in GRID_MM) / 3
        sigma = math.sqrt(phantom.PET_FWHM_MM**2 / (8 * math.log(2)) + voxels)
        shift = np.abs(displacements_mm(amplitude_mm))
        spread = Spread(shift, np.full(shift.size, 1 / shift.size)).blurred(sigma)
        around, inside = (self._gy(self.bq_per_ml[n]) for n in ("liver", name))
        return around + (inside - around) * sphere_fraction(phantom.SPHERES[name][1], spread)

    @staticmethod
    def _gy(bq_per_ml: float) -> float:
        return Y90.gy_kg_per_gbq * bq_per_ml * 1e-6 / DEFAULT_DENSITY_G_PER_ML


def displacements_mm(amplitude_mm: float) -> Floats:
    """Displacement from the mean position at moments that share out the breath evenly."""
    z = -amplitude_mm * np.cos(np.pi * (np.arange(MOMENTS) + 0.5) / MOMENTS) ** 4
    return np.asarray(z - z.mean())


def main() -> None:
    """Write the patient's study, to be looked at and assessed: ``python -m benchmarks.breathing DIR``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.breathing", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--amplitude-mm", type=float, default=15.0, help="of the breath, peak to peak; 0 for none")
    chosen = parser.parse_args()
    print(f"voxeldose assess {Liver().write_study(chosen.folder, chosen.amplitude_mm)}")  # noqa: T201


if __name__ == "__main__":
    main()
