"""A model small enough for dense matrices."""

from types import SimpleNamespace

import numpy as np

from voxeldose.demo.shapes import occupancy, sphere
from voxeldose.dose.recovery.anatomy import anatomy_of
from voxeldose.dose.recovery.field import FieldModel, Parameter
from voxeldose.dose.recovery.scan import Noise, Psf, Scan
from voxeldose.model.grid import Grid
from voxeldose.model.roi import Roi, RoiSet

CENTRE, RADIUS = (0.6, -0.8, 0.4), 9.0


def small_scan(shape=(12, 12, 12), spacing=(3.0, 4.0, 3.5), fwhm=(6.0, 6.5, 7.0)):
    """An empty scan around the origin."""
    origin = [-(n - 1) / 2 * s for n, s in zip(shape[::-1], spacing[::-1], strict=True)]
    grid = Grid.from_axes(shape, spacing, origin)
    factor = (2, 2, 2)
    fine = grid.with_spacing([s / 2 for s in spacing])
    ones = np.ones(shape, bool)
    return Scan(np.zeros(shape, np.float32), ones, grid, fine, factor, Psf(fwhm), Noise(5.0))


def ball_roi(name, role, centre, radius, half=30.0, step=1.0):
    """A ball drawn on voxels of its own."""
    n = int(2 * half / step)
    grid = Grid.from_axes((n, n, n), (step,) * 3, (-half + step / 2,) * 3)
    return Roi(name, role, (occupancy(sphere(centre, radius), grid) >= 0.5).astype(np.float32), grid)


def small_model(image_of=None, parameters=True, **of_scan):
    """One tumor at 4 : 1 in a liver that fills the box."""
    from dataclasses import replace

    scan = small_scan(**of_scan)
    liver = Roi("liver", "liver", np.ones(scan.shape, np.float32), scan.grid)
    anatomy = anatomy_of(RoiSet((ball_roi("t", "tumor", CENTRE, RADIUS), liver)), scan)
    masks = anatomy.partition.masks({})
    means = np.array([4.0, 1.0, 0.0])
    sharp = sum(np.float32(m) * mask for m, mask in zip(means, masks, strict=True))
    clean = scan.forward(sharp)
    scan = replace(scan, image=clean if image_of is None else image_of(clean).astype(np.float32))
    unknown = tuple(Parameter("t", a, 1.0) for a in (0, 1, 2, -1)) if parameters else ()
    model = FieldModel(scan, anatomy.partition, unknown, means.copy(), np.array([4.0, 1.0, 0.3]))
    return SimpleNamespace(model=model, anatomy=anatomy, masks=masks, means=means, clean=clean, scan=scan)
