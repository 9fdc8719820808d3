"""Digital phantoms from DICOM files to doses, against closed forms.

A sphere's true dose is that of sharp, noise-free activity. What a blurred image must give is a closed form too: blur, the
voxels' own size and the kernel are steps in random directions whose lengths add (:class:`benchmarks.closed_forms.Spread`).
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.breathing import Liver
from benchmarks.closed_forms import Spread, sphere_fraction, spread_of
from benchmarks.figures import Section
from benchmarks.nema import BODY_GRID_MM, Nema, field_of_view, gy_of, noise_of_mean, write_study
from voxeldose.demo.shapes import occupancy, sphere
from voxeldose.dose.assess import assess
from voxeldose.dose.engines.convolution import Convolution
from voxeldose.dose.engines.local import LocalDeposition
from voxeldose.dose.engines.rays.transport import RayTransport
from voxeldose.io.config.case import case_file_from, read_case_tables
from voxeldose.jobs.open_case import open_case
from voxeldose.model.kernel import point_kernel

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt

    from benchmarks.figures import Figure
    from voxeldose.dose.engines.base import Engine
    from voxeldose.jobs.open_case import Opened
    from voxeldose.model.arrays import Floats
    from voxeldose.model.assessment import Assessment
    from voxeldose.model.grid import Grid
    from voxeldose.model.kernel import PointKernel

__all__ = ["liver", "nema_blurred", "nema_sharp", "recovery_curve"]

FWHM_MM = 5.0
TO_SIGMA = 1 / math.sqrt(8 * math.log(2))
#: Noise of the run that the recovery curve is measured on, and of the run that it corrects.
SEEDS = {"curve": 71, "run": 72}
CLOSED = "closed form of the shipped kernel"
#: Standard deviation of a blurred sphere's mean over where it lies among the voxels, by its radius in mm, relative: the
#: formula of a blurred ball, averaged over voxels at 25 random places. Larger spheres have 0.25 %.
LATTICE_SD = {5.0: 0.0175, 6.5: 0.0045, 8.5: 0.0027}


def nema_sharp(kernel: PointKernel, *, quick: bool, phantom: Nema | None = None) -> Iterator[Figure]:
    """The NEMA phantom without blur on finer and coarser voxels; 0.5 mm are judged."""
    phantom = phantom or Nema()
    coarser = ((1.0,) * 3, BODY_GRID_MM) if quick else ((1.0,) * 3, (2.0,) * 3, BODY_GRID_MM)
    for spacing in ((0.5,) * 3, *coarser):
        mm = " x ".join(f"{s:g}" for s in dict.fromkeys(spacing))
        of = Section(f"NEMA phantom from DICOM, no blur, {mm} mm voxels", CLOSED)
        grid = field_of_view(phantom, spacing, whole=False)
        engines: tuple[Engine, ...] = (Convolution(kernel),)
        if spacing == BODY_GRID_MM:
            engines = (Convolution(kernel), LocalDeposition(), RayTransport(kernel))
        results = _through_dicom(phantom, phantom.activity(grid), grid, engines)
        for name, *_ in phantom.spheres():
            yield from _sharp_sphere(of, phantom, name, results, judged=spacing == (0.5,) * 3)


def _sharp_sphere(
    of: Section, phantom: Nema, name: str, results: Mapping[str, Assessment], *, judged: bool
) -> Iterator[Figure]:
    true, found = phantom.truth(name), results["dpk"].rois[name]
    size = "voxels cut by the surface smear activity, which costs dose with (h/R)²"
    rows = (
        ("volume", found.volume_ml, "volume_ml", 0.005, "contours every 0.5 mm, with the area of their slab", "mL"),
        ("activity", found.activity_mbq, "activity_mbq", 0.05, "cut voxels hold a part outside: 0.5 h/R", "MBq"),
        ("mean dose, dpk", found.mean_dose_gy, "mean_dose_gy", 0.02, f"{size}: 0.9 % at 10 mm", "Gy"),
        ("D70, dpk", found.d70_gy, "d70_gy", 0.02, size, "Gy"),
    )
    for what, value, key, band, why, unit in rows:
        if judged:
            yield of.relative(f"{name} {what}", value, true[key], band, why, unit)
        else:
            yield of.shown(f"{name} {what}", value, true[key], f"coarser than judged: {size}", unit)
    v400, exact = found.v400_fraction, true["v400_fraction"]
    if judged:
        yield of.absolute(
            f"{name} V400, dpk", v400, exact, 0.02, "one layer of voxels at the 400 Gy surface", "fraction"
        )
    else:
        yield of.shown(f"{name} V400, dpk", v400, exact, "coarser than judged", "fraction")
    why = "local deposition keeps what leaves the sphere: physics, not error"
    yield of.shown(f"{name} mean dose, local", found.mean_dose_local_gy, true["mean_dose_gy"], why, "Gy")
    for engine in set(results) - {"dpk", "local"}:
        value = results[engine].rois[name].mean_dose_gy
        yield of.shown(f"{name} mean dose, {engine}", value, true["mean_dose_gy"], "coarser than judged", "Gy")


def nema_blurred(kernel: PointKernel) -> Iterator[Figure]:
    """The NEMA phantom as a PET of 5 mm blur: without noise, with noise, and with recovery correction."""
    phantom = Nema()
    grid = field_of_view(phantom, BODY_GRID_MM, whole=True)
    clean = phantom.pet(grid, FWHM_MM, None)
    runs = {"clean": _through_dicom(phantom, clean, grid, (Convolution(kernel),))["dpk"]}
    for name, seed in SEEDS.items():
        image = phantom.pet(grid, FWHM_MM, np.random.default_rng(seed))
        runs[name] = _through_dicom(phantom, image, grid, (Convolution(kernel),))["dpk"]
    plain = Section("NEMA phantom from DICOM, 5 mm blur, no noise", f"{CLOSED} and of the blur")
    noisy = Section("NEMA phantom from DICOM, 5 mm blur and noise", f"{CLOSED} and of the blur")
    curves = Section("NEMA phantom, recovery coefficients", "measured on another run of the phantom")
    curve, measured = recovery_curves(phantom, runs["curve"])
    corrected = Section("NEMA phantom, 5 mm blur and noise, RC-corrected means", f"{CLOSED}, sharp")
    uncorrected = Section("NEMA phantom, 5 mm blur and noise, uncorrected means", f"{CLOSED}, sharp")
    low = gy_of(phantom.body_bq_per_ml)
    for name, centre, radius in phantom.spheres():
        true, weights = phantom.truth(name), occupancy(sphere(centre, radius), grid)
        deviation = gy_of(noise_of_mean(clean, grid, phantom.body_bq_per_ml, weights))
        for kind in ("dpk", "local"):
            must = expected_gy(phantom, radius, kind, grid)
            text = f"{name} mean dose, {kind}"
            lattice = 3 * LATTICE_SD.get(radius, 0.0025)
            why = "three standard deviations over where the sphere lies among the voxels"
            yield plain.relative(text, _mean(runs["clean"], name, kind), must, lattice, why, "Gy")
            why = f"three standard deviations of the mean under the image's noise ({deviation:.1f} Gy)"
            yield noisy.absolute(text, _mean(runs["run"], name, kind), must, 3 * deviation, why, "Gy")
            dose, wanted = _mean(runs["run"], name, kind), true["mean_dose_gy"]
            yield uncorrected.shown(text, dose, wanted, "partial volume: what the correction is for", "Gy")
            part = curve[kind](true["volume_ml"])
            allowed = (3 * math.sqrt(2) * deviation / part + 0.03 * wanted) / wanted
            why = "three standard deviations of both runs, divided by RC, and 3 % for the curve's two parameters"
            yield corrected.relative(text, low + (dose - low) / part, wanted, allowed, why, "Gy")
            why = "the curve's two parameters are fitted to all six spheres"
            yield curves.shown(f"{name} RC of the mean dose, {kind}", part, measured[kind][name], why)
        found, wanted = runs["run"].rois[name].activity_mbq, true["activity_mbq"]
        held = phantom.body_bq_per_ml / 1e6 * true["volume_ml"]
        part = curve["activity"](true["volume_ml"])
        yield uncorrected.shown(f"{name} activity", found, wanted, "partial volume", "MBq")
        again = held + (found - held) / part
        band = (3 * math.sqrt(2) * deviation / gy_of(phantom.sphere_bq_per_ml)) / part + 0.03
        yield corrected.relative(f"{name} activity", again, wanted, band, "as the doses", "MBq")
        yield curves.shown(f"{name} RC of the activity", part, measured["activity"][name], why)


@dataclass(frozen=True)
class Recovery:
    """``RC(v) = 1 - 1 / (1 + (v/b)^c)`` (Gear 2018, doi:10.1007/s00259-018-4136-7), ``v`` in mL."""

    b_ml: float
    c: float

    def __call__(self, volume_ml: float) -> float:
        """Part of the contrast to the surroundings that a sphere of this volume keeps."""
        return float(1 - 1 / (1 + (volume_ml / self.b_ml) ** self.c))


def recovery_curve(volumes_ml: list[float], recovered: list[float]) -> Recovery:
    """Least squares of the curve to measured recovery coefficients."""
    from scipy.optimize import curve_fit

    def form(v: npt.NDArray[np.float64], /, *of: float) -> npt.NDArray[np.float64]:
        return np.asarray(1 - 1 / (1 + (v / np.exp(of[0])) ** of[1]))

    best, _ = curve_fit(form, np.array(volumes_ml), np.array(recovered), p0=(-1.0, 0.8))
    return Recovery(float(np.exp(best[0])), float(best[1]))


def recovery_curves(phantom: Nema, run: Assessment) -> tuple[dict[str, Recovery], dict[str, dict[str, float]]]:
    """Curves of both engines' mean doses and of activity, and the coefficients of one run that they are fitted to.

    A coefficient is contrast found by true contrast to the body, whose concentration is known as in a real filling.
    Applied to means of regions only.
    """
    low, held = gy_of(phantom.body_bq_per_ml), phantom.body_bq_per_ml / 1e6
    curves: dict[str, Recovery] = {}
    measured: dict[str, dict[str, float]] = {"dpk": {}, "local": {}, "activity": {}}
    volumes = []
    for name, *_ in phantom.spheres():
        true = phantom.truth(name)
        volumes.append(true["volume_ml"])
        for kind in ("dpk", "local"):
            measured[kind][name] = (_mean(run, name, kind) - low) / (true["mean_dose_gy"] - low)
        around = held * true["volume_ml"]
        measured["activity"][name] = (run.rois[name].activity_mbq - around) / (true["activity_mbq"] - around)
    for kind, parts in measured.items():
        curves[kind] = recovery_curve(volumes, list(parts.values()))
    return curves, measured


def expected_gy(phantom: Nema, radius_mm: float, kind: str, grid: Grid) -> float:
    """Mean dose that a blurred, noise-free image must give a sphere by ``dpk`` or ``local``."""
    # a voxel's mean, spread evenly over the voxel again: twice the variance h²/12
    voxels = sum(s**2 / 6 for s in grid.spacing_mm) / 3
    spread = spread_of(point_kernel(), reach_mm=12) if kind == "dpk" else Spread(np.zeros(1), np.ones(1))
    sigma = math.sqrt((FWHM_MM * TO_SIGMA) ** 2 + voxels)
    high = gy_of(phantom.sphere_bq_per_ml - phantom.body_bq_per_ml)
    part = sphere_fraction(radius_mm, spread.blurred(sigma))
    return gy_of(phantom.body_bq_per_ml) * float(spread.weight.sum()) + high * part


def liver(kernel: PointKernel) -> Iterator[Figure]:
    """The demonstration's liver as it lies still and as it breathes, against closed forms."""
    patient = Liver()
    exact = Section("digital liver patient, truth", CLOSED)
    for name in ("lesion_1", "lesion_2"):
        found, wanted = patient.demo_truth["rois"][name]["mean_dose_gy"], patient.true_mean_gy(name)
        yield exact.relative(f"{name} mean dose in truth.json of the demo", found, wanted, 0.01, "its voxels", "Gy")
    for amplitude in (0.0, patient.amplitude_mm):
        still = amplitude == 0
        words = "still" if still else f"breathing {amplitude:g} mm"
        with tempfile.TemporaryDirectory() as folder:
            opened = opened_from(patient.write_study(Path(folder), amplitude))
            run = assess(opened.case, Convolution(kernel))
        recovered = Section(f"digital liver patient from DICOM, {words}", "activity as given")
        part = run.totals.recovered_fraction or math.nan
        why = "blur and breathing carry activity out of the calibration region, 10 mm around the liver"
        yield recovered.absolute("recovered activity", part, 1.0, 0.03, why, "fraction")
        blur = Section(recovered.name, f"{CLOSED}, blur and breathing")
        true = Section(recovered.name, f"{CLOSED}, sharp and still")
        for name in ("lesion_1", "lesion_2"):
            roi, wanted = run.rois[name], patient.true_mean_gy(name)
            yield true.shown(f"{name} mean dose, dpk", roi.mean_dose_gy, wanted, "partial volume, breathing", "Gy")
            yield true.shown(f"{name} mean dose, local", roi.mean_dose_local_gy, wanted, "the same, no crossfire", "Gy")
            yield true.shown(f"{name} activity", roi.activity_mbq, patient.true_mbq(name), "partial volume", "MBq")
        must = patient.expected_local_gy("lesion_2", amplitude)
        deviation = patient.noise_gy("lesion_2", amplitude)
        why = f"three standard deviations of the mean under noise ({deviation:.1f} Gy), 1 % of calibration and voxels"
        found = run.rois["lesion_2"].mean_dose_local_gy
        yield blur.absolute("lesion_2 mean dose, local", found, must, 3 * deviation + 0.01 * must, why, "Gy")


def opened_from(case: Path) -> Opened:
    """A case file opened as the command line opens it."""
    return open_case(case_file_from(read_case_tables(case), case.name))


def _mean(run: Assessment, name: str, kind: str) -> float:
    return run.rois[name].mean_dose_gy if kind == "dpk" else run.rois[name].mean_dose_local_gy


def _through_dicom(phantom: Nema, bq_per_ml: Floats, grid: Grid, engines: tuple[Engine, ...]) -> dict[str, Assessment]:
    """Files written, read again and assessed by each engine."""
    with tempfile.TemporaryDirectory() as folder:
        opened = opened_from(write_study(phantom, bq_per_ml, grid, Path(folder)))
        return {engine.name: assess(opened.case, engine) for engine in engines}
