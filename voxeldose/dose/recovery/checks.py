"""What is refused, withheld or doubted: a recovery that cannot be right is not shown as if it were."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voxeldose.dose.recovery.spectra import apply, block_mean
from voxeldose.dose.recovery.texture import LEAST_LEVEL
from voxeldose.errors import QuantityError
from voxeldose.model.remarks import Remark

if TYPE_CHECKING:
    from voxeldose.dose.recovery.anatomy import Anatomy
    from voxeldose.dose.recovery.field import Parameter
    from voxeldose.dose.recovery.fit import Fit
    from voxeldose.dose.recovery.scan import Column, Scan
    from voxeldose.model.arrays import Doubles, Floats
    from voxeldose.model.remarks import Numbers

__all__ = [
    "Withheld",
    "cold_lesions",
    "far_moved",
    "require_chi_square",
    "require_energy",
    "require_no_hot_spot",
    "withheld_dvhs",
]

#: DVHs are withheld beyond this width in lesions smaller than that, below this recovery, and below so many cubes of the width.
WIDE_MM, WIDE_ML, LEAST_RECOVERY, LEAST_CUBES = 12.0, 60.0, 0.5, 1.5
#: Contrast at which recovery is stated, that of the NEMA phantom.
HOT_TO_COLD = 8.0
#: Chi-square per voxel that is believed.
CHI_SQUARE = (0.7, 1.3)
#: Difference of the image's and the recovered activity's sums that is believed, and in standard deviations of the noise.
ENERGY_PART, ENERGY_SD = 0.01, 4.0
#: A tumor is hotter than its surroundings by so many standard deviations, or its outline cannot be aligned.
HOTTER_SD = 4.0
#: Activity of no region: so hot after smoothing by so much, and so much of it.
HOT, HOT_SMOOTH_MM, HOT_ML, HOT_AWAY_MM = 1.0, 10.0, 2.0, 12.0
#: Prior standard deviations beyond which an outline has moved far.
FAR_SD = 2.0


@dataclass(frozen=True)
class Withheld:
    """Why a lesion's DVH numbers are not given."""

    roi: str
    remark: Remark


def withheld_dvhs(anatomy: Anatomy, scan: Scan) -> list[Withheld]:
    """Lesions whose DVH no method can know at this width; means and T/N stand."""
    fwhm = scan.psf.mean_fwhm_mm
    found = []
    for name in anatomy.lesions:
        region = anatomy.region(name)
        filled = region.occupancy()
        ml = float(filled.sum(dtype=np.float64)) * scan.fine.voxel_ml
        column = scan.column(filled, region.window)
        image = np.zeros(scan.fine.shape, np.float32)
        image[region.window] = filled
        alone = column.dot(block_mean(image, scan.factor)) / max(ml / scan.lattice.voxel_ml, 1e-9)
        recovery = (1 + (HOT_TO_COLD - 1) * alone) / HOT_TO_COLD
        code, why = "", ""
        if ml < LEAST_CUBES * fwhm**3 / 1000:
            code, why = "dvh-lesion-too-small", f"it is smaller than {LEAST_CUBES:g} cubes of that width"
        elif fwhm > WIDE_MM and ml < WIDE_ML:
            code, why = "dvh-resolution-too-wide", f"beyond {WIDE_MM:g} mm only lesions above {WIDE_ML:g} mL have one"
        elif recovery < LEAST_RECOVERY:
            code, why = "dvh-recovery-too-low", f"at 8:1 its image shows {recovery:.0%} of its activity concentration"
        if code:
            numbers: Numbers = {"roi": name, "volume_ml": ml, "fwhm_mm": fwhm, "recovery": recovery}
            words = f"{name} ({ml:.2g} mL): no recovered DVH numbers at {fwhm:.3g} mm resolution, as {why}; mean and T/N stand."
            found.append(Withheld(name, Remark(code, numbers, words)))
    return found


def cold_lesions(fit: Fit, columns: list[Column]) -> list[Remark]:
    """Tumors not clearly hotter than what surrounds them; their outlines stay where they were drawn."""
    model = fit.model
    scan = model.scan
    rows = np.stack([c.whole(scan.shape).ravel() for c in columns])
    weighted = rows / np.square(fit.linear.unit_deviation).ravel()
    inverse = np.linalg.inv((weighted @ rows.T).astype(np.float64) + 1e-9 * np.eye(len(rows)))
    alike = float(np.sqrt(fit.system.noise_power.max()))  # neighbours share noise: sums of it are so much larger
    found = []
    for n, kind in enumerate(model.kinds):
        if kind != "lesion":
            continue
        around = _surroundings(fit, n)
        sd = fit.state.noise_level * alike * float(np.sqrt(inverse[n, n]))
        apart = float(fit.state.means[n]) - around
        if abs(apart) < HOTTER_SD * sd:
            name = model.names[n]
            ratio, ratio_sd = float(fit.state.means[n]) / max(around, 1e-6), sd / max(around, 1e-6)
            words = (
                f"{name} is no hotter than its surroundings (ratio {ratio:.2f} ± {ratio_sd:.2f}), so the image "
                "cannot say where its outline lies; it stays as drawn, and its place is in the interval."
            )
            found.append(Remark("tumor-not-hotter", {"roi": name, "ratio": ratio, "ratio_sd": ratio_sd}, words))
    return found


def _surroundings(fit: Fit, lesion: int) -> float:
    """Mean activity of what lies within 4 to 8 mm around a lesion, by the fitted means of regions."""
    region = fit.model.partition.regions[lesion]
    shell = (region.distance_mm > 0) & (region.distance_mm < 6)
    shares: Doubles = np.array(
        [0.0 if n == lesion else float(m[region.window][shell].sum()) for n, m in enumerate(fit.linear.masks)]
    )
    return float(shares @ fit.state.means / max(shares.sum(), 1e-9))


def far_moved(parameters: tuple[Parameter, ...], motion_mm: Doubles) -> list[Remark]:
    """Outlines that the image moved by more than two prior standard deviations."""
    found = []
    worst: dict[str, tuple[float, float]] = {}
    for p, value in zip(parameters, motion_mm, strict=True):
        if p.region.startswith("core of "):
            continue
        if abs(value) > FAR_SD * p.sd_mm and abs(value) > abs(worst.get(p.region, (0.0, 0.0))[0]):
            worst[p.region] = (float(value), p.sd_mm)
    for name, (value, sd) in worst.items():
        words = (
            f"{name}: the image moves the outline by {value:.1f} mm, more than {FAR_SD:g} times the {sd:g} mm stated; look at "
            "registration and outline before the recovered numbers are used."
        )
        found.append(Remark("outline-moved-far", {"roi": name, "moved_mm": value, "prior_sd_mm": sd}, words))
    return found


def require_chi_square(fit: Fit) -> None:
    """Refuse a fit whose residual the noise does not explain; an image without noise may be nearer than that."""
    low, high = CHI_SQUARE
    found = fit.chi_square
    quiet = fit.state.noise_level < 1.5 * LEAST_LEVEL and found < low
    if not (quiet or low <= found <= high):
        msg = (
            f"Resolution recovery: chi-square per voxel is {found:.2f}, outside {low}-{high}, so the noise or the resolution stated is "
            "not that of this image. Check resolution.fwhm_mm and noise_fwhm_mm, and that hot organs have regions."
        )
        raise QuantityError(msg, code="chi-square-out-of-range", chi_square=found, lowest=low, highest=high)


def require_energy(scan: Scan, mean_activity: Floats, noise_level: float) -> None:
    """Refuse a recovery that does not hold the image's activity."""
    seen = scan.forward(mean_activity)
    inside = scan.measured
    total, wanted = float(seen[inside].sum(dtype=np.float64)), float(scan.image[inside].sum(dtype=np.float64))
    variance = noise_level**2 * (np.maximum(seen[inside], 0) + scan.noise.floor)
    alike = float(scan.lattice.unit_noise(scan.noise.fwhm_mm).max()) ** 2
    allowed = max(ENERGY_PART * abs(wanted), ENERGY_SD * float(np.sqrt(variance.sum(dtype=np.float64) * alike)))
    if abs(total - wanted) > allowed:
        part = total / wanted if wanted else float("nan")
        msg = (
            f"Resolution recovery: the recovered activity near the regions is {part:.3f} times the image's; it must be the same within "
            f"{ENERGY_PART:.0%}. Something in the image is in no region; outline it."
        )
        raise QuantityError(msg, code="activity-not-conserved", ratio=part)


def require_no_hot_spot(scan: Scan, outside: Floats, predicted: Floats) -> None:
    """Refuse an image with a hot organ that has no region: its spill would be put into a neighbour."""
    from scipy.ndimage import distance_transform_edt, label

    away = distance_transform_edt(outside > 0.97, sampling=scan.lattice.spacing_mm) > HOT_AWAY_MM
    rest = apply(np.where(scan.measured, scan.image - predicted, 0), scan.lattice.gaussian((HOT_SMOOTH_MM,) * 3))
    labels, count = label(away & scan.measured & (rest > HOT))
    if not count:
        return
    sizes = np.bincount(labels.ravel())[1:] * scan.lattice.voxel_ml
    if sizes.max() > HOT_ML:
        index = np.argwhere(labels == 1 + int(sizes.argmax())).mean(axis=0)
        x, y, z = (float(v) for v in scan.grid.points_lps_mm(index))
        msg = (
            f"Resolution recovery: {sizes.max():.1f} mL near the regions, at x {x:.0f}, y {y:.0f}, z {z:.0f} mm, are as hot as normal "
            "liver but belong to no region (gut, gallbladder, a lesion?). Give them a region (role other)."
        )
        raise QuantityError(msg, code="hot-region-not-outlined", volume_ml=float(sizes.max()), x_mm=x, y_mm=y, z_mm=z)
