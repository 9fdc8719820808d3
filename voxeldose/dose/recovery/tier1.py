"""Known methods of region-based correction: the comparator of the field method, and a fallback of less than a second.

References
----------
Labbé, Koepp, Ashburner et al. in Physiological Imaging of the Brain with PET (2000) 59-66; Rousset, Ma, Evans, J. Nucl. Med. 39
(1998) 904-911 (GTM); Thomas, Erlandsson, Modat et al., Eur. J. Nucl. Med. 38 (2011) 1104-1119 (RBV);
Erlandsson, Buvat, Pretorius et al., Phys. Med. Biol. 57 (2012) R119 (review).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from voxeldose.dose.recovery.spectra import block_mean

if TYPE_CHECKING:
    from voxeldose.dose.recovery.scan import Column, Scan
    from voxeldose.dose.recovery.shapes import Window
    from voxeldose.model.arrays import Doubles, Floats

__all__ = ["gtm_means", "labbe_means", "region_columns", "voxelwise"]

#: Rounds of weights: variance follows the fitted image.
ROUNDS = 3


def region_columns(scan: Scan, masks: list[Floats], windows: list[Window] | None = None) -> list[Column]:
    """What the scanner shows of each region filled with 1; ``windows`` of the fine box hold all of each, if given."""
    k, j, i = (slice(0, n) for n in scan.fine.shape)
    windows = windows or [(k, j, i)] * len(masks)
    found = []
    for mask, window in zip(masks, windows, strict=True):
        found.append(scan.column(mask[window], window))
    return found


def labbe_means(scan: Scan, columns: list[Column]) -> Doubles:
    """Mean activity of each region by weighted least squares of the image, (n,)."""
    rows = np.stack([c.whole(scan.shape).ravel() for c in columns])
    means: Doubles = np.zeros(len(columns))
    clean = np.ones(scan.shape, np.float32)
    for _ in range(ROUNDS):
        weighted = rows / np.square(scan.unit_deviation(clean)).ravel()
        square = (weighted @ rows.T).astype(np.float64)
        square += 1e-9 * np.trace(square) * np.eye(len(columns))
        means = np.asarray(np.linalg.solve(square, (weighted @ scan.image.ravel()).astype(np.float64)), np.float64)
        clean = (means.astype(np.float32) @ rows).reshape(scan.shape)
    return np.asarray(means)


def gtm_means(scan: Scan, masks: list[Floats], columns: list[Column]) -> Doubles:
    """Mean activity of each region from the image's means over regions and the spill between them, (n,)."""
    weights = np.stack([(block_mean(m, scan.factor) * scan.measured).ravel() for m in masks])
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
    spill = np.array([[float(w @ c.whole(scan.shape).ravel()) for c in columns] for w in weights])
    found, *_ = np.linalg.lstsq(spill, (weights @ scan.image.ravel()).astype(np.float64))  # a region may be empty
    return np.asarray(found)


def voxelwise(scan: Scan, masks: list[Floats], means: Doubles) -> tuple[Floats, Doubles]:
    """Region-based voxelwise correction: sharp means times the ratio of the image to their blur.

    Returns
    -------
    activity, held
        On the fine box, and what each region holds of it: activity and number of voxels, (n, 2).
    """
    from scipy.ndimage import zoom

    sharp = np.zeros(scan.fine.shape, np.float32)
    for mask, mean in zip(masks, means, strict=True):
        sharp += np.float32(max(mean, 0.0)) * mask
    blurred = scan.forward(sharp)
    cut = np.float32(0.05 + 0.02 * float(blurred.max()))
    lifted = np.maximum(blurred, cut)
    ratio = np.where(blurred > cut, scan.image / lifted, 1 + (scan.image - blurred) / cut)
    ratio = np.where(scan.measured, ratio, 1).astype(np.float32)
    ratio = np.asarray(zoom(ratio, scan.factor, order=1, mode="nearest", grid_mode=True, prefilter=False))
    held = [
        (max(a, 0.0) * float((m * ratio).sum(dtype=float)), float(m.sum(dtype=float)))
        for m, a in zip(masks, means, strict=True)
    ]
    return sharp * ratio, np.array(held)
