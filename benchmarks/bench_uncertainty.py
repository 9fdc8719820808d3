"""Uncertainty: time of 500 samples beside 500 plain runs, and how often the intervals hold the truth.

``python benchmarks/bench_uncertainty.py [--samples N] [--coverage DRAWS]``. Coverage uses the demo phantom: each draw has its
own noise, calibration error, shift and radius of every lesion's outline (made from the analytic spheres), and the truth is what
the same PET without noise shows in the right outlines.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import sys
import time
from dataclasses import replace

import numpy as np

from voxeldose.case import Absolute, Administration, Case
from voxeldose.demo import phantom
from voxeldose.dpk import point_kernel
from voxeldose.engines.convolution import Convolution
from voxeldose.grid import Grid
from voxeldose.pipeline import assess
from voxeldose.radionuclide import Y90
from voxeldose.roi import Roi, RoiSet
from voxeldose.spread import Spread
from voxeldose.uncertainty import with_uncertainty
from voxeldose.volume import ActivityMap

METRICS = ("mean_dose_gy", "d95_gy", "d70_gy", "v205_fraction")
LESIONS = ("lesion_1", "lesion_2")
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
#: Bq/mL of normal liver in the demo study, near enough.
NORMAL = 8.5e5


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


def lesion_case(image: np.ndarray, grid: Grid, at: dict[str, tuple[np.ndarray, float]]) -> Case:
    """An absolute PET with the two lesions as spheres, and normal liver, of whose activity noise is a fraction."""
    rois = []
    for name, (centre, radius) in at.items():
        ends = grid.indices(np.stack([centre - radius, centre + radius]))
        low, high = np.floor(ends.min(axis=0)).astype(int) - 1, np.ceil(ends.max(axis=0)).astype(int) + 2
        part = grid.window(low.tolist(), (high - low).tolist())
        rois.append(Roi(name, "tumor", ball(part, centre, radius), part))
    rois.append(Roi("normal", "normal_liver", phantom.label_map(grid) == phantom.REGIONS["liver"][0], grid))
    given = Administration(Y90, at=phantom.INFUSION_AT)
    activity = ActivityMap(image, grid, at=phantom.INFUSION_AT, radionuclide=Y90)
    return Case(activity, RoiSet(tuple(rois)), given, calibration=Absolute())


def coverage(draws: int, samples: int) -> None:
    """Say how many of the intervals held the truth."""
    grid = Grid.from_axes((32, 28, 32), (3.0, 4.07, 4.07), (-128.0, -60.0, -32.0))
    bq_per_ml = {name: ratio * NORMAL for name, ratio in phantom.UPTAKE.items()} | {"lungs": 0.0}
    clean = phantom.clean_pet(grid, bq_per_ml)
    engine = Convolution(point_kernel())
    right = {name: (np.array(phantom.SPHERES[name][0]), phantom.SPHERES[name][1]) for name in LESIONS}
    truth = assess(lesion_case(clean, grid, right), engine).rois
    random = np.random.default_rng(7)
    rows: dict[tuple[str, str], list[tuple[float, float, float, float]]] = {
        (n, m): [] for n in LESIONS for m in METRICS
    }
    by_budget = dict.fromkeys(LESIONS, 0)
    for number in range(draws):
        noisy = clean + phantom.pet_noise(clean, grid, phantom.SHAPES["body"], NORMAL, random)
        noisy = noisy * (1 + SPREAD.calibration_fraction * random.standard_normal())
        shift = SPREAD.registration_mm * random.standard_normal(3)
        wrong = {n: (c + shift, r + SPREAD.contour_mm * random.standard_normal()) for n, (c, r) in right.items()}
        result = assess(lesion_case(noisy, grid, wrong), engine)
        found = with_uncertainty(result, engine, replace(SPREAD, samples=samples, seed=number)).uncertainty
        for name in LESIONS:
            one = found.rois[name]
            mean = one.metrics["mean_dose_gy"].value
            by_budget[name] += abs(mean - truth[name].mean_dose_gy) < 1.96 * one.budget_sd_gy
            for metric in METRICS:
                m = one.metrics[metric]
                rows[name, metric].append((m.value, m.mean, m.q025, m.q975))
    error = 100 * math.sqrt(0.05 * 0.95 / draws)
    say(f"{draws} draws, {samples} samples each; stated level 95 %, binomial error {error:.1f} points")
    for (name, metric), listed in rows.items():
        value, mean, low, high = np.array(listed).T
        true = getattr(truth[name], metric)
        inside = 100 * np.mean((low <= true) & (true <= high))
        say(
            f"  {name} {metric:14s} truth {true:8.3f}: held in {inside:5.1f} %; mean width {np.mean(high - low):7.3f}; the run's "
            f"value is off by {np.mean(value - true):+8.3f} (sd {value.std():.3f}), corrected {np.mean(mean - true):+8.3f}"
        )
    for name, count in by_budget.items():
        say(f"  {name} mean dose within 1.96 sd of the budget: {100 * count / draws:.1f} %")


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
        found = with_uncertainty(result, engine, replace(told, samples=samples)).uncertainty
        say(
            f"  128³ voxels, {len(found.rois)} regions, {samples} samples, {label}: {found.seconds:.1f} s; {samples} plain runs: "
            f"{samples * run_s:.0f} s ({run_s:.2f} s each), {samples * run_s / found.seconds:.1f} times as long"
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
    given = parser.parse_args()
    say(f"Python {platform.python_version()}, numpy {np.__version__}, {os.cpu_count()} processors")
    if given.coverage:
        coverage(given.coverage, given.samples)
    else:
        speed(given.samples)


if __name__ == "__main__":
    main()
