"""A case whose images tell their own place in the patient, for the tests of its report."""

from dataclasses import replace
from datetime import UTC, datetime
from functools import cache

import numpy as np

from voxeldose.dose.assess import assess
from voxeldose.dose.limits import with_best_values
from voxeldose.dose.recovery.results import moved_regions
from voxeldose.model.administration import Administration
from voxeldose.model.assessment import Distribution, RoiUncertainty, Term, Uncertainty
from voxeldose.model.case import Case
from voxeldose.model.grid import Grid
from voxeldose.model.radionuclide import Y90
from voxeldose.model.recovered import Estimate, Recovered, RecoveredDvh, RecoveredMetrics, RecoveredRoi, Residual
from voxeldose.model.roi import Roi, RoiSet
from voxeldose.model.volume import ActivityMap, CtImage, Volume

AT = datetime(2024, 5, 2, 10, 15, tzinfo=UTC)
AXIAL = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]], float)


def hu_at(points_lps_mm):
    """CT number of a place; linear, so that interpolation changes nothing."""
    x, y, z = np.moveaxis(np.asarray(points_lps_mm, float), -1, 0)
    return 40 + 1.1 * x - 0.7 * y + 0.9 * z


def turned(degrees):
    """Directions of an axial grid turned about z, and then half as far about x."""
    a, b = np.radians(degrees), np.radians(degrees / 2)
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    return about_x @ about_z @ AXIAL


@cache
def make_result(name="lesion", *, device="glass", ct=True, degrees=0.0, label="case-7", mbq=500.0):
    """A lesion in a liver in a box of tissue, on a grid with unequal axes and spacings."""
    grid = Grid.from_axes((20, 24, 22), (4, 3, 3.5), (-40, -30, -42), directions=turned(degrees))
    occupancy = {"liver": np.zeros(grid.shape), name: np.zeros(grid.shape)}
    occupancy["liver"][3:17, 3:20, 3:19] = 1
    occupancy[name][8:12, 9:14, 10:15] = 1
    k, j, i = np.indices(grid.shape)
    values = 1e4 + 100.0 * i + occupancy[name] * (1e6 + 2e4 * i + 3e4 * j + 5e4 * k)
    rois = RoiSet(tuple(Roi(n, "liver" if n == "liver" else "tumor", o, grid) for n, o in occupancy.items()))
    scan = None
    if ct:
        where = Grid.from_axes((46, 80, 90), (3, 2, 2), (-90, -80, -70))
        scan = CtImage(hu_at(where.points_lps_mm(np.moveaxis(np.indices(where.shape), 0, -1))), where)
    given = Administration(Y90, mbq, AT, 0.0, 0.05, device)
    activity = ActivityMap(values, grid, at=AT, radionuclide=Y90)
    return assess(Case(activity, rois, given, ct=scan, id=label))


def uncertain(found):
    """The same result with an uncertainty, as an estimate adds it."""
    mean = Distribution(17.0, 16.9, 2.5, 11.5, 16.8, 22.25, 0.1)
    part = Distribution(0.15, 0.15, 0.02, 0.1, 0.15, 0.2, 0.0)
    lesion = RoiUncertainty(
        metrics={"mean_dose_gy": mean, "v400_fraction": part},
        contour_sd_mm=0.0,
        recovery_coefficient=None,
        budget_of="mean_dose_gy",
        budget=(Term("outline", 2.5, 1.0),),
        budget_sd_gy=2.5,
        dominant="outline",
        dvh_band={},
    )
    one = Uncertainty(
        500, 1, {"calibration_fraction": 0.05}, {"lesion": lesion}, probabilities=(), assumptions=(), warnings=()
    )
    return replace(found, uncertainty=one)


def corrected(found, coefficient=0.8):
    """The same result with the mean of its lesion corrected by a recovery coefficient."""
    found = uncertain(found)
    known = found.uncertainty.rois["lesion"]
    value = found.rois["lesion"].mean_dose_gy / coefficient
    mean = Distribution(value, value, 0.1 * value, 0.8 * value, value, 1.2 * value, 0.0)
    metrics = {**known.metrics, "mean_dose_recovered_gy": mean}
    known = replace(known, metrics=metrics, recovery_coefficient=coefficient)
    return replace(found, uncertainty=replace(found.uncertainty, rois={"lesion": known}))


def recovered(found, factor=1.25, method="field"):
    """The same result with numbers of its lesion recovered, each so many times the image's own."""
    own = found.rois["lesion"]
    known = {name: getattr(own, name) * factor for name in ("mean_dose_gy", "d95_gy", "d70_gy", "activity_mbq")}
    known |= {"tumor_to_normal": found.tumor_to_normal[0].by_concentration * factor, "v400_fraction": 0.875}
    spread = (0.9, 1.1) if method == "field" else (None, None)
    ends = {
        name: [part and min(value * part, 1.0 if "fraction" in name else np.inf) for part in spread]
        for name, value in known.items()
    }
    metrics = RecoveredMetrics(**{name: Estimate(value, *ends[name]) for name, value in known.items()})
    top = 2 * factor * own.mean_dose_gy
    dvh = RecoveredDvh((0.0, top), (1.0, 0.0), (1.0, 0.0), (1.0, 0.1)) if method == "field" else None
    lesion = RecoveredRoi("tumor", metrics, metrics, known["mean_dose_gy"], (1.5, -0.5, 0.25), 0.75, 0.0, dvh)
    facts = {"draws": 24, "outlines": "fitted", "fwhm_mm_kji": [6.5, 6.5, 6.5], "chi_square_per_voxel": 1.02}
    image = Volume(found.activity.bq_per_ml, found.activity.grid)
    predicted = image.replaced(image.values * np.float32(0.98))
    residual = Residual(
        image,
        predicted,
        image.replaced(np.full_like(image.values, 1e5)),
        moved_regions(found.regions, {"lesion": lesion}),
    )
    field = method == "field"
    one = Recovered(
        method, {"lesion": lesion}, facts if field else {}, found.dose, (), (), 1.0, residual if field else None
    )
    return with_best_values(replace(found, recovered=one))
