"""Uncertainty: time of 500 samples beside 500 plain runs, and how often the intervals hold the truth.

``python benchmarks/bench_uncertainty.py [--samples N] [--coverage DRAWS [--errors NAME ...] [--phantom NAME] [--seed N]]``.
Each draw of coverage has its own noise, calibration error, shift and radius of every lesion's outline (made from the analytic
spheres), or only some of these; the truth is what the same PET without noise shows in the right outlines.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import sys
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter

from voxeldose.demo import phantom
from voxeldose.dose.assess import assess
from voxeldose.dose.engines.convolution import Convolution
from voxeldose.dose.uncertainty import with_uncertainty
from voxeldose.dose.uncertainty.inputs import Spread
from voxeldose.model.administration import Administration
from voxeldose.model.case import Absolute, Case
from voxeldose.model.grid import Grid
from voxeldose.model.kernel import point_kernel
from voxeldose.model.radionuclide import Y90
from voxeldose.model.roi import Roi, RoiSet
from voxeldose.model.volume import ActivityMap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

METRICS = ("mean_dose_gy", "d95_gy", "d70_gy", "v205_fraction")
#: What is wrong in every draw, and what the intervals are told.
SPREAD = Spread(
    calibration_fraction=0.05,
    energy_fraction=0.0,
    noise_fraction=phantom.PET_NOISE_FRACTION,
    noise_fwhm_mm=phantom.PET_NOISE_FWHM_MM,
    noise_floor=phantom.PET_NOISE_FLOOR,
    registration_mm=1.5,
    contour_mm=0.8,
)
#: The errors by name, as the fields of a Spread that are not zero.
ERRORS = {
    "scale": ("calibration_fraction",),
    "noise": ("noise_fraction", "noise_fwhm_mm", "noise_floor"),
    "shift": ("registration_mm",),
    "outline": ("contour_mm",),
}
#: Bq/mL of normal liver in the demo study, near enough.
NORMAL = 8.5e5


@dataclass(frozen=True, eq=False)
class Subject:
    """A phantom whose truth is known.

    ``spheres`` are centres (x, y, z) and radii of lesions, ``reference`` those of a part of normal liver; ``noise`` makes a noise
    image of the spread's fraction, correlation and floor.
    """

    grid: Grid
    clean: np.ndarray
    spheres: dict[str, tuple[np.ndarray, float]]
    reference: tuple[np.ndarray, float]
    spread: Spread
    noise: Callable[[np.random.Generator], np.ndarray]


def demo() -> Subject:
    """The two lesions of the demo phantom, one with a necrotic core."""
    grid = Grid.from_axes((32, 28, 32), (3.0, 4.07, 4.07), (-128.0, -60.0, -32.0))
    clean = phantom.clean_pet(grid, {n: r * NORMAL for n, r in phantom.UPTAKE.items()} | {"lungs": 0.0})
    spheres = {n: (np.array(phantom.SPHERES[n][0]), phantom.SPHERES[n][1]) for n in ("lesion_1", "lesion_2")}
    reference = (np.array((-80.0, -35.0, -15.0)), 12.0)

    def noise(random: np.random.Generator) -> np.ndarray:
        return phantom.pet_noise(clean, grid, phantom.SHAPES["body"], NORMAL, random)

    return Subject(grid, clean, spheres, reference, SPREAD, noise)


def spheres() -> Subject:
    """Spheres of 20 and 35 mm, four times normal liver, on voxels of 2.5 mm; other blur, noise and errors than the demo's."""
    grid = Grid.from_axes((40, 40, 56), (2.5, 2.5, 2.5), (0.0, 0.0, 0.0))
    at = {"small": (np.array((36.3, 48.1, 50.4)), 10.0), "large": (np.array((92.2, 50.9, 47.7)), 17.5)}
    sharp = np.ones(grid.shape)
    for where in at.values():
        part, occupancy = window_of(grid, *where)
        sharp[grid.slices_of(part)] += 3 * occupancy
    level = 2 * NORMAL  # so that 205 Gy lie inside both
    clean = gaussian_filter(level * sharp, 5.0 / math.sqrt(8 * math.log(2)) / 2.5, mode="nearest").astype(np.float32)
    told = replace(
        SPREAD,
        calibration_fraction=0.03,
        noise_fraction=0.35,
        noise_fwhm_mm=6.0,
        noise_floor=0.0,
        registration_mm=1.2,
        contour_mm=0.6,
    )
    sigma = told.noise_fwhm_mm / math.sqrt(8 * math.log(2)) / 2.5

    def noise(random: np.random.Generator) -> np.ndarray:
        grain = gaussian_filter(random.standard_normal(grid.shape, np.float32), sigma, mode="wrap")
        return np.asarray(grain / grain.std() * told.noise_fraction * np.sqrt(clean * level), np.float32)

    return Subject(grid, clean, at, (np.array((64.0, 18.0, 50.0)), 9.0), told, noise)


PHANTOMS: dict[str, Callable[[], Subject]] = {"demo": demo, "spheres": spheres}


def ball(grid: Grid, centre: np.ndarray, radius: float) -> np.ndarray:
    """Occupancy of a sphere, voxels cut into 216 parts."""
    parts = (np.arange(6) + 0.5) / 6 - 0.5
    found = np.zeros(grid.shape, np.float32)
    index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), axis=-1)
    for dk in parts:
        for dj in parts:
            for di in parts:
                points = grid.points_lps_mm(index + np.array([dk, dj, di]))
                found += ((points - centre) ** 2).sum(axis=-1) <= radius**2
    return found / parts.size**3


def window_of(grid: Grid, centre: np.ndarray, radius: float) -> tuple[Grid, np.ndarray]:
    """The part of a grid around a sphere, and the sphere's occupancy there."""
    ends = grid.indices(np.stack([centre - radius, centre + radius]))
    low, high = np.floor(ends.min(axis=0)).astype(int) - 1, np.ceil(ends.max(axis=0)).astype(int) + 2
    part = grid.window(low.tolist(), (high - low).tolist())
    return part, ball(part, centre, radius)


def case_of(subject: Subject, image: np.ndarray, at: dict[str, tuple[np.ndarray, float]]) -> Case:
    """An absolute PET with lesions as spheres, and the part of normal liver of whose activity noise is a fraction."""
    rois = []
    for name, where in (at | {"normal": subject.reference}).items():
        part, occupancy = window_of(subject.grid, *where)
        rois.append(Roi(name, "normal_liver" if name == "normal" else "tumor", occupancy, part))
    given = Administration(Y90, at=phantom.INFUSION_AT)
    activity = ActivityMap(image, subject.grid, at=phantom.INFUSION_AT, radionuclide=Y90)
    return Case(activity, RoiSet(tuple(rois)), given, calibration=Absolute())


def draws_of(subject: Subject, told: Spread, count: int, seed: int) -> Iterator[Case]:
    """Cases with errors as told: image noise and scale, one shift for all lesions, a radius for each."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        image = subject.clean + subject.noise(random) if told.has_noise else subject.clean
        image = image * (1 + told.calibration_fraction * random.standard_normal())
        shift = told.registration_mm * random.standard_normal(3)
        wrong = {
            n: (c + shift, r + told.contour_mm * random.standard_normal()) for n, (c, r) in subject.spheres.items()
        }
        yield case_of(subject, image, wrong)


def told_of(subject: Subject, errors: list[str]) -> Spread:
    """The phantom's spread with these errors alone."""
    left_out = [field for name, listed in ERRORS.items() if name not in errors for field in listed]
    return replace(subject.spread, **dict.fromkeys(left_out, 0.0))


def held(subject: Subject, errors: list[str], count: int, samples: int, seed: int) -> dict[tuple[str, str], np.ndarray]:
    """For each lesion and metric, a row a draw: truth, the run's value, low end, middle and high end, and sd of the budget."""
    told, engine = told_of(subject, errors), Convolution(point_kernel())
    truth = assess(case_of(subject, subject.clean, subject.spheres), engine).rois
    rows: dict[tuple[str, str], list[tuple[float, ...]]] = {(n, m): [] for n in subject.spheres for m in METRICS}
    for number, case in enumerate(draws_of(subject, told, count, seed)):
        found = with_uncertainty(assess(case, engine), engine, replace(told, samples=samples, seed=number)).uncertainty
        for (name, metric), listed in rows.items():
            m = found.rois[name].metrics[metric]
            true = getattr(truth[name], metric)
            listed.append((true, m.value, m.q025, m.q500, m.q975, found.rois[name].budget_sd_gy))
    return {key: np.array(listed) for key, listed in rows.items()}


def coverage(subject: Subject, errors: list[str], count: int, samples: int, seed: int) -> None:
    """Say how many of the intervals held the truth."""
    error = 100 * math.sqrt(0.05 * 0.95 / count)
    say(
        f"errors of {', '.join(errors)}: {count} draws, {samples} samples each; 95 % stated, binomial error {error:.1f} points"
    )
    for (name, metric), table in held(subject, errors, count, samples, seed).items():
        true, value, low, middle, high, sd = table.T
        if true[0] < 1e-3:
            continue  # no dose is near: always held
        inside = 100 * np.mean((low <= true) & (true <= high))
        words = (
            f"  {name} {metric:13s} truth {true[0]:8.3f}: held in {inside:5.1f} % (below {100 * np.mean(true < low):.1f}, above "
            f"{100 * np.mean(true > high):.1f}); mean width {np.mean(high - low):7.3f}; the run is off by "
            f"{np.mean(value - true):+8.3f} (sd {value.std():.3f}), the middle by {np.mean(middle - true):+8.3f}"
        )
        if metric == "mean_dose_gy":
            near = 100 * np.mean(np.abs(middle - true) < 1.96 * sd)
            words += f"; middle within 1.96 sd of the budget {near:.1f} %"
        say(words)


def speed(samples: int) -> None:
    """Say the time of so many samples on a 128³ case beside that of plain runs."""
    grid = Grid.from_axes((128, 128, 128), (2.0, 2.0, 2.0), (-150.0, -125.0, -125.0))
    bq_per_ml = {name: ratio * NORMAL for name, ratio in phantom.UPTAKE.items()} | {"lungs": 0.0}
    clean = phantom.clean_pet(grid, bq_per_ml)
    noisy = clean + phantom.pet_noise(clean, grid, phantom.SHAPES["body"], NORMAL, np.random.default_rng(1))
    labels = phantom.label_map(grid)
    rois = RoiSet(tuple(Roi(n, role, labels == v, grid) for n, (v, role) in phantom.REGIONS.items() if n != "lungs"))
    given = Administration(Y90, 1850.0, phantom.INFUSION_AT, 12.0, 0.04, "glass")
    activity = ActivityMap(noisy, grid, at=phantom.INFUSION_AT, radionuclide=Y90)
    case, engine = Case(activity, rois, given), Convolution(point_kernel())
    assess(case, engine)  # compile
    start = time.perf_counter()
    result = assess(case, engine)
    run_s = time.perf_counter() - start
    still = replace(SPREAD, registration_mm=0.0, contour_mm=0.0)
    for label, told in (("all terms", SPREAD), ("noise and scale only", still)):
        start = time.perf_counter()
        found = with_uncertainty(result, engine, replace(told, samples=samples)).uncertainty
        seconds = time.perf_counter() - start
        say(
            f"  128³ voxels, {len(found.rois)} regions, {samples} samples, {label}: {seconds:.1f} s; {samples} plain runs: "
            f"{samples * run_s:.0f} s ({run_s:.2f} s each), {samples * run_s / seconds:.1f} times as long"
        )


def say(words: str) -> None:
    """To the terminal, at once."""
    sys.stdout.write(words + "\n")
    sys.stdout.flush()


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--coverage", type=int, default=0, metavar="DRAWS")
    parser.add_argument("--errors", nargs="+", choices=ERRORS, default=list(ERRORS))
    parser.add_argument("--phantom", choices=PHANTOMS, default="demo")
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    say(f"Python {platform.python_version()}, numpy {np.__version__}, {os.cpu_count()} processors")
    if given.coverage:
        coverage(PHANTOMS[given.phantom](), given.errors, given.coverage, given.samples, given.seed)
    else:
        speed(given.samples)


if __name__ == "__main__":
    main()
