"""From a point kernel to voxel S values, in closed form."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np

from voxeldose.errors import GeometryError, QuantityError
from voxeldose.model.arrays import Doubles
from voxeldose.model.kernel import DEFAULT_REACH_MM, PointKernel, VoxelKernel

__all__ = ["voxelise"]

#: Voxels (geometric mean of the spacings) within which weights are always integrated and never sampled.
_NEAR_VOXELS = 6

#: Energy fraction in the last, coarser part of the radial sum: too little to shape a weight above 1e-4 of the self weight.
_THIN = 1e-4

#: Radial terms worked on at once: their arrays stay in the processor's cache.
_PAIRS_AT_ONCE = 8192


Nodes = tuple[Doubles, Doubles]

Fade = tuple[float, float]  # radius where sampling begins to take over, and how far on it has done so

Directions = Callable[..., Doubles]


def voxelise(
    kernel: PointKernel,
    spacing_mm: tuple[float, float, float],
    *,
    density_g_per_ml: float | None = None,
    reach_mm: float = DEFAULT_REACH_MM,
) -> VoxelKernel:
    """Integrate a point kernel over a source voxel and over every target voxel around it.

    A uniformly filled voxel leaves ``f(n) = ∫ dF(r) ⟨Π tri(r u/a - n)⟩`` in the voxel at offset ``n``, with
    ``tri(t) = max(0, 1 - |t|)``, averaged over directions ``u``: the six-fold integral over pairs of points reduced to
    one over their difference. ``tri`` is a second difference of ramps ``max(0, t)``, and the product of three ramps has
    a closed form over directions (:func:`_three_ramps`). The point's 1/r² is gone; what is left to sum is energy over
    radius. The differences telescope, so all voxels together hold the energy within the reach, whatever the error.

    From 12 mm of water or 6 voxels on, whichever is more, the density of energy is sampled at eight points per voxel
    instead, the Gauss points of ``tri``, and scaled to the energy that is there.

    Parameters
    ----------
    kernel : PointKernel
        Made for any density.
    spacing_mm : tuple of float
        Voxel size ``(k, j, i)``; any aspect ratio.
    density_g_per_ml : float, optional
        Of the medium; the kernel's own without it.
    reach_mm : float
        Radius in water (times ρ: the same mass thickness) at which the kernel ends.

    Returns
    -------
    VoxelKernel
        With odd sizes. At spacings of 1 to 10 mm weights above 1e-4 of the self weight are within 1e-5 of the integral,
        the self weight within 1e-6 (``benchmarks/bench_kernel.py``).

    Raises
    ------
    GeometryError
        If a spacing is not positive.
    QuantityError
        If the density or the reach is not positive.
    """
    size = np.asarray(spacing_mm, np.float64)
    if size.shape != (3,) or not (np.isfinite(size).all() and (size > 0).all()):
        msg = f"A voxel needs three positive spacings in mm, found {spacing_mm}."
        raise GeometryError(msg, code="spacing-impossible")
    density = kernel.density_g_per_ml if density_g_per_ml is None else density_g_per_ml
    if not (math.isfinite(density) and density > 0 and reach_mm > 0):
        msg = f"Density and reach must be positive, found {density} g/mL and {reach_mm} mm."
        raise QuantityError(msg, code="value-out-of-range", field="density_g_per_ml, reach_mm")
    kernel, size = kernel.in_density(1.0), size * density  # from here on lengths are mass thicknesses: mm of water
    reach = min(reach_mm, float(kernel.radius_mm[-1]))
    sampled = max(DEFAULT_REACH_MM, _NEAR_VOXELS * float(size.prod()) ** (1 / 3))
    fade = sampled, 2 * float(size.max())
    octant = _near_weights(kernel, size, reach, fade)
    if reach > sampled:
        octant = _with_far_weights(octant, kernel, size, reach, fade)
    whole = _mirror(np.maximum(octant, 0))  # rounding, where a weight is 1e-16 of the largest
    whole *= kernel.within(reach) / (float(whole.sum()) or 1.0)
    spacing = (float(spacing_mm[0]), float(spacing_mm[1]), float(spacing_mm[2]))
    return VoxelKernel(
        whole,
        spacing,
        kernel.mev_per_decay,
        density,
        reach / density,
        kernel.source,
        medium=kernel.medium,
        range_factor=kernel.range_factor,
    )


def _near_weights(kernel: PointKernel, spacing: Doubles, reach_mm: float, fade_mm: Fade) -> Doubles:
    """Weights of one octant by closed forms over directions; energy beyond the fade is left out.

    ``terms`` holds, along each axis, first the plain 1 and then the ramps that begin at voxel 0, 1, 2 and so on:
    ``tri(t) = 1 - ramp(t) + ramp(t - 1)`` for the voxel of the source, seen from this octant.
    """
    edge = [np.arange(0, min(reach_mm, sum(fade_mm)), a) for a in spacing]  # where terms on an axis bend
    fine = _radial_nodes(kernel, reach_mm, min(spacing.min() / 24, 0.15), edge, fade_mm)
    coarse = _radial_nodes(kernel, reach_mm, min(spacing.min() / 10, 0.3), [], fade_mm)
    corners = np.array([e.size + 1 for e in edge])
    terms = np.zeros(tuple(corners + 1))
    for ramped in itertools.product((False, True), repeat=3):
        place = tuple(slice(1, None) if yes else 0 for yes in ramped)
        terms[place] = _terms(spacing[[*ramped]], tuple(corners[[*ramped]]), fine, coarse)
    for axis in range(3):
        part = np.moveaxis(terms, axis, 0)
        plain, ramp = part[0], part[1:] / spacing[axis]
        away = ramp[:-1] - 2 * ramp[1:] + np.concatenate((ramp[2:], np.zeros_like(ramp[:1])))
        terms = np.moveaxis(np.concatenate((2 * (plain - ramp[0] + ramp[1])[None], away)), 0, axis)
    return terms / (4 * np.pi)


def _terms(spacing: Doubles, corners: tuple[int, ...], fine: Nodes, coarse: Nodes) -> Doubles:
    """None to three ramps from every lattice corner; corners that equal spacings make alike are done once."""
    if not corners:
        return np.asarray(np.pi / 2 * fine[1].sum())
    index = np.indices(corners).reshape(len(corners), -1)
    alike = index.copy()
    for a, b in itertools.combinations(range(len(corners)), 2):
        if spacing[a] == spacing[b]:
            alike[a], alike[b] = np.minimum(alike[a], alike[b]), np.maximum(alike[a], alike[b])
    first, on_axis = (alike == index).all(axis=0), np.count_nonzero(index, axis=0) < 2
    result = np.zeros(corners)
    for chosen, of, nodes in ((first & on_axis, _ON_AXIS, fine), (first & ~on_axis, _OFF_AXIS, coarse)):
        some = index[:, chosen]  # off the axes the onset is smoother
        at = some * spacing[:, None]
        corner = [at.sum(axis=0)] if of is _ON_AXIS else list(at)
        result[tuple(some)] = _over_radius(of[len(corners) - 1], corner, nodes)
    return np.asarray(result[tuple(alike)].reshape(corners))


def _radial_nodes(kernel: PointKernel, reach_mm: float, width_mm: float, edges: list[Doubles], fade: Fade) -> Nodes:
    """Two radii and positive energies for each panel of radii, with the panel's energy and first three moments.

    That is the Gauss rule of the energy itself, so that steps inside a panel do no harm.
    """
    end = min(reach_mm, sum(fade))
    bulk = min(end, float(np.interp(kernel.within(end) - _THIN, kernel.energy_fraction_within, kernel.radius_mm)))
    even = np.linspace(0, bulk, math.ceil(bulk / width_mm) + 1)
    rest = np.linspace(bulk, end, math.ceil((end - bulk) / (3 * width_mm)) + 1)
    panel = np.unique(np.concatenate((even, rest, *edges)))
    edge = np.unique(np.concatenate((panel, kernel.radius_mm[kernel.radius_mm < end])))
    middle, half = (edge[1:, None] + edge[:-1, None]) / 2, np.diff(edge)[:, None] / 2
    point = (middle + half * (math.sqrt(0.6) * np.array([-1, 0, 1]))).ravel()
    energy = kernel.at(point)[1] * (half * (np.array([5, 8, 5]) / 9)).ravel()  # exact for the table's cubics
    start = 3 * np.searchsorted(edge[:-1], panel[:-1])
    total = np.add.reduceat(energy, start)
    per = 1 / np.where(total > 0, total, 1)
    mean = per * np.add.reduceat(energy * point, start)
    apart = point - np.repeat(mean, np.diff(np.append(start, energy.size)))
    sd = np.sqrt(per * np.add.reduceat(energy * apart**2, start))
    skew = per * np.add.reduceat(energy * apart**3, start) / np.where(sd > 0, sd, 1) ** 3
    root = np.sqrt(1 + skew**2 / 4)
    outer = 0.5 - skew / (4 * root)
    radius = np.stack((mean + sd * (skew / 2 - root), mean + sd * (skew / 2 + root)), axis=-1)[total > 0].ravel()
    share = (total[:, None] * np.stack((1 - outer, outer), axis=-1))[total > 0].ravel()
    return radius, share * (1 - _fade_out(radius, fade))


def _over_radius(directions: Directions, corner: list[Doubles], nodes: Nodes) -> Doubles:
    """Energy times the integral over directions, summed over the nodes farther out than each corner."""
    radius, energy = nodes
    distance = np.sqrt(sum(c * c for c in corner))
    order = np.argsort(distance, kind="stable")
    inward = np.searchsorted(radius, distance[order], side="right")
    result = np.zeros(distance.size)
    start, end = 0, int(np.searchsorted(inward, radius.size))  # corners beyond the last node get nothing
    while start < end:
        first = int(inward[start])
        some = order[start : min(end, start + 1 + _PAIRS_AT_ONCE // (radius.size - first))]
        value = directions(*(c[some, None] for c in corner), radius[first:])
        value *= radius[first:] > distance[some, None]
        result[some] = value @ energy[first:]
        start += some.size
    return result


def _three_ramps(x: Doubles, y: Doubles, z: Doubles, r: Doubles) -> Doubles:
    """``∫ (r u_x - x)(r u_y - y)(r u_z - z) dΩ`` over the directions where all three are positive; x, y, z >= 0.

    The region is a triangle of three small circles that meet at ``(x, y, w_z)``, ``(x, w_y, z)`` and ``(w_x, y, z)``,
    ``f_x`` the angle its side on the plane ``u_x = x/r`` spans about the x axis. Gauss-Bonnet gives its area (the sum of
    ``arctan2(r w_x, y z)`` and its like less π, here as the angle of one complex product), the vector area its first
    moments, Gauss's theorem on the sphere ``∫ u_x u_y dΩ = (w_z - z)² (2 w_z + z) / 6r³`` and the projection along z
    ``∫ u_x u_y u_z dΩ = (r² - x² - y² - z²)² / 8r⁴``; their sum is written with the fewest products.
    """
    rr, xx, yy, zz = r * r, x * x, y * y, z * z
    yz, zx, xy, xyz = y * z, z * x, x * y, x * y * z
    w_x, w_y, w_z = (np.sqrt(np.maximum(rr - both, 0)) for both in (yy + zz, zz + xx, xx + yy))
    to_x, to_y, to_z, near_x, near_y, near_z = x * w_x, y * w_y, z * w_z, w_y * w_z, w_z * w_x, w_x * w_y
    result = (rr + (xx + yy + zz)) ** 2 / 4 - (xx * xx + yy * yy + zz * zz) / 3
    result += (yz * rr + xx * yz) * np.arctan2(near_x - yz, to_y + to_z)
    result += (zx * rr + yy * zx) * np.arctan2(near_y - zx, to_z + to_x)
    result += (xy * rr + zz * xy) * np.arctan2(near_z - xy, to_x + to_y)
    twice = rr * (2 / 3)
    result -= to_x * (twice + (yy + zz) / 3) + to_y * (twice + (zz + xx) / 3) + to_z * (twice + (xx + yy) / 3)
    result /= 2 * r
    area = np.arctan2(
        r * (rr * (near_x * w_x) - xyz * (to_x + to_y + to_z)),
        rr * (yz * near_x + zx * near_y + xy * near_z) - xyz * xyz,
    )
    return np.asarray(result - xyz * area)


def _two_ramps(y: Doubles, z: Doubles, r: Doubles) -> Doubles:
    """``∫ (r u_y - y)(r u_z - z) dΩ`` over the directions of the octant where both are positive."""
    rr, yy, zz = r * r, y * y, z * z
    w = np.sqrt(np.maximum(rr - (yy + zz), 0))
    sides = z * (rr + yy) * np.arctan2(w, z) + y * (rr + zz) * np.arctan2(w, y)
    return np.asarray((w * (rr / 3 + (yy + zz) / 6) - sides / 2) / r + y * z * np.arctan2(w * r, y * z))


def _one_ramp(z: Doubles, r: Doubles) -> Doubles:
    """``∫ (r u_z - z) dΩ`` over the directions of the octant where it is positive."""
    return np.asarray(np.pi / 4 * (r - z) ** 2 / r)


def _two_from_axis(z: Doubles, r: Doubles) -> Doubles:
    """:func:`_two_ramps` for ``y = 0``."""
    rr, zz = r * r, z * z
    w = np.sqrt(np.maximum(rr - zz, 0))
    return np.asarray((w * (rr / 3 + zz / 6) - z * rr * np.arctan2(w, z) / 2) / r)


def _three_from_axis(z: Doubles, r: Doubles) -> Doubles:
    """:func:`_three_ramps` for ``x = y = 0``."""
    beyond = r - z
    return np.asarray(beyond * beyond * beyond * (3 * r + z) / (24 * r))


#: Integrals over directions of one, two and three ramps: from corners on an axis, all but one coordinate being 0, and others.
_ON_AXIS: tuple[Directions, ...] = (_one_ramp, _two_from_axis, _three_from_axis)

_OFF_AXIS: tuple[Directions, ...] = (_one_ramp, _two_ramps, _three_ramps)


def _fade_out(radius: Doubles, fade: Fade) -> Doubles:
    return np.clip((radius - fade[0]) / fade[1], 0, 1)


def _with_far_weights(near: Doubles, kernel: PointKernel, spacing: Doubles, reach_mm: float, fade_mm: Fade) -> Doubles:
    """The octant out to the reach: what the near weights leave out, sampled and scaled to the energy that is missing."""
    shape = np.ceil(reach_mm / spacing - 1e-9).astype(int) + 1
    far = np.zeros(shape)
    axes = [a * np.arange(n) for a, n in zip(spacing, shape, strict=True)]
    for sides in itertools.product((-1, 1), repeat=3):
        k, j, i = (np.square(x + side * a / math.sqrt(6)) for x, side, a in zip(axes, sides, spacing, strict=True))
        distance = np.sqrt(k[:, None, None] + j[:, None] + i)
        here = (distance > fade_mm[0]) & (distance < reach_mm)
        r = distance[here]
        far[here] += kernel.at(r)[1] * _fade_out(r, fade_mm) / r**2
    far *= max(0.0, kernel.within(reach_mm) - float(_mirror(near).sum())) / (float(_mirror(far).sum()) or 1.0)
    inner = tuple(slice(0, min(a, b)) for a, b in zip(near.shape, far.shape, strict=True))
    far[inner] += near[inner]
    return far


def _mirror(octant: Doubles) -> Doubles:
    """The whole kernel from the octant that begins at its middle voxel."""
    for axis in range(3):
        octant = np.concatenate((np.flip(np.delete(octant, 0, axis), axis), octant), axis)
    return octant
