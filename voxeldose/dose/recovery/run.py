"""``recover``: the order of the steps, once."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.dose.engines.convolution import Convolution
from voxeldose.dose.recovery.anatomy import Anatomy, anatomy_of, box_regions
from voxeldose.dose.recovery.dose_points import CentreDose
from voxeldose.dose.recovery.draws import Draw, merged
from voxeldose.dose.recovery.numbers import Gauge
from voxeldose.dose.recovery.perfused import with_perfused_part
from voxeldose.dose.recovery.posterior import explore
from voxeldose.dose.recovery.results import collect, of_comparator
from voxeldose.dose.recovery.scan import Scan
from voxeldose.dose.recovery.tier1 import gtm_means, labbe_means, region_columns, voxelwise
from voxeldose.dose.territories import refuse_with_territories
from voxeldose.errors import InputError
from voxeldose.model.kernel import PointKernel, point_kernel
from voxeldose.model.remarks import Remark
from voxeldose.model.volume import DensityMap

if TYPE_CHECKING:
    from collections.abc import Callable

    from voxeldose.dose.engines.base import Engine
    from voxeldose.dose.recovery.options import Resolution
    from voxeldose.dose.recovery.scan import Column
    from voxeldose.model.arrays import Doubles, Floats
    from voxeldose.model.assessment import Assessment
    from voxeldose.model.recovered import Recovered

__all__ = ["Prepared", "prepare", "recover"]

#: A tissue counts as the reference if it is at least so large, mL.
LEAST_REFERENCE_ML = 5.0


@dataclass(frozen=True, eq=False)
class Prepared:
    """Scan and regions before any fit.

    Parameters
    ----------
    scan : Scan
        In units of its reference.
    anatomy : Anatomy
        Regions on its fine box.
    masks, columns : list
        Occupancy and scan of every region and of the outside.
    means : ndarray, (n,)
        Their mean activities by weighted least squares (Labbé).
    contrast : float, optional
        Of the perfused part, where it was split off.
    """

    scan: Scan
    anatomy: Anatomy
    masks: list[Floats]
    columns: list[Column]
    means: Doubles
    contrast: float | None

    @property
    def perfused(self) -> list[str]:
        """The regions given as perfused, in which normal liver is measured as the run's own T/N does."""
        if self.contrast is not None:
            return []
        return [r.name for r in self.anatomy.partition.regions if self.anatomy.roles[r.name] == "perfused"]


def recover(
    result: Assessment,
    resolution: Resolution,
    *,
    engine: Engine | None = None,
    progress: Callable[[str], None] | None = None,
) -> Recovered | None:
    """Recover the dose of tumors and normal liver from a scan of known resolution.

    Parameters
    ----------
    result : Assessment
        With its activity at the infusion, on the image's grid, and its regions as drawn.
    resolution : Resolution
        The scanner's blur, and options.
    engine : Engine, optional
        Of the result; ``Convolution(point_kernel())`` without it.
    progress : callable, optional
        Called with a few words before each step.

    Returns
    -------
    Recovered
        ``None`` for the method ``none``.

    Raises
    ------
    InputError
        If no region is a tumor, or the engine is not ``dpk`` in a uniform medium.
    QuantityError
        If the fit shows that resolution, noise or regions are not those of the image, or the case has territories.
    """
    if resolution.method == "none":
        return None
    refuse_with_territories(
        result.case.administration,
        "[resolution]",
        "it undoes the blur of one image at one scale, and each territory has its own.",
    )
    report = progress or (lambda _: None)
    started = time.perf_counter()
    report("recovering resolution: regions")
    kernel, density, reach = _medium(result, engine)
    ready = prepare(result, resolution)
    nuclide = result.case.administration.radionuclide
    dose = CentreDose.of(kernel, ready.scan.fine, nuclide, density, reach)
    gauge = Gauge(ready.anatomy, ready.scan, dose, ready.perfused)
    means = gtm_means(ready.scan, ready.masks, ready.columns)
    activity, held = voxelwise(ready.scan, ready.masks, means)
    rbv = Draw(activity, {}, merged(ready.anatomy.partition.names, held))
    rbv_dose = gauge.dose_of(rbv)
    comparator = gauge.measure(rbv, rbv_dose)
    assumptions = _assumptions(ready, resolution)
    if resolution.method == "rbv":
        found = of_comparator(result, ready, comparator, rbv_dose)
    else:
        found = collect(result, ready, explore(ready, gauge, resolution, report), comparator, resolution)
    seconds = time.perf_counter() - started
    return replace(found, assumptions=(*assumptions, *found.assumptions), seconds=seconds)


def prepare(result: Assessment, resolution: Resolution) -> Prepared:
    """The scan around the regions of a result, its regions, and their means."""
    rois = result.case.rois
    scan = Scan.around(result.activity, box_regions(rois), resolution.psf, resolution.noise)
    anatomy, contrast = with_perfused_part(anatomy_of(rois, scan), scan)
    masks = anatomy.partition.masks({})
    k, j, i = (slice(0, n) for n in scan.fine.shape)
    columns = region_columns(scan, masks, [*(r.window for r in anatomy.partition.regions), (k, j, i)])
    scan = scan.in_units_of(scan.reference_bq_per_ml * float(scan.image.max()))
    means = labbe_means(scan, columns)
    reference = _reference(anatomy, masks, means, scan)
    scan = scan.in_units_of(scan.reference_bq_per_ml * reference)
    return Prepared(scan, anatomy, masks, columns, labbe_means(scan, columns), contrast)


def _reference(anatomy: Anatomy, masks: list[Floats], means: Doubles, scan: Scan) -> float:
    """The activity that 1 stands for: the hottest tissue that is no lesion, or what lies outside all regions."""
    found = [
        float(mean)
        for region, mask, mean in zip(anatomy.partition.regions, masks, means, strict=False)
        if anatomy.roles[region.name] in ("liver", "normal_liver", "perfused", "segment")
        and float(mask.sum(dtype=np.float64)) * scan.fine.voxel_ml > LEAST_REFERENCE_ML
    ]
    best = max(found, default=0.0)
    lesions = float(np.max(means[: len(anatomy.lesions)]))
    return max(best or float(means[-1]), 0.02 * lesions, 1e-6)


def _medium(result: Assessment, engine: Engine | None) -> tuple[PointKernel, float, float]:
    """Kernel, density and reach of the result's dose."""
    engine = engine or Convolution(point_kernel())
    density = result.case.density
    if not isinstance(engine, Convolution) or isinstance(density, DensityMap):
        msg = (
            'Resolution recovery works with engine = "dpk" in a uniform medium only; this run has the engine '
            f'"{engine.name}"{" and a density image" if isinstance(density, DensityMap) else ""}. Change it, or leave [resolution] out.'
        )
        raise InputError(msg, code="engine-not-supported", engine=engine.name)
    kernel = engine.kernel if isinstance(engine.kernel, PointKernel) else point_kernel()
    return kernel, density, engine.reach_mm


def _assumptions(ready: Prepared, resolution: Resolution) -> list[Remark]:
    psf, scan = resolution.psf, ready.scan
    k, j, i = psf.fwhm_mm
    remarks = [
        Remark(
            "resolution-stated",
            {"fwhm_k_mm": k, "fwhm_j_mm": j, "fwhm_i_mm": i, "sd_fraction": resolution.fwhm_sd_fraction},
            f"Resolution: a Gaussian of {k:g}, {j:g} and {i:g} mm (k, j, i) full width at half maximum, known to "
            f"{resolution.fwhm_sd_fraction:.0%}, the same everywhere ({resolution.source or 'source not stated'}).",
        ),
        Remark(
            "noise-correlation",
            {"fwhm_mm": scan.noise.fwhm_mm, "stated": resolution.noise_fwhm_mm is not None},
            f"Noise is alike over {scan.noise.fwhm_mm:.3g} mm"
            f"{'' if resolution.noise_fwhm_mm else ' (not stated: 0.77 of the resolution)'}; its level is found in the image.",
        ),
        Remark(
            "recovery-validated-in-simulation",
            {"phantoms": 10, "scans": 0},
            "Recovery has been compared with known truths in digital phantoms alone, with no real scan and with few realisations of "
            "noise (benchmarks/accuracy_recovery.py): not for decisions.",
        ),
        Remark(
            "texture-seen",
            {"finest_mm": 5.0},
            "Uptake inside a region may vary over 8 and 20 mm; texture below 5 mm cannot be seen and is not in these numbers.",
        ),
    ]
    if ready.contrast is not None:
        words = (
            "No perfused region is given, and the liver's image has a hot and a cold part "
            f"({ready.contrast:.1f} : 1); they are told apart by the image itself."
        )
        remarks.append(Remark("perfused-part-found", {"contrast": ready.contrast}, words))
    return remarks
