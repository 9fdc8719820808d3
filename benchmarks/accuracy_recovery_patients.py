"""The digital patients of the benchmark of resolution recovery: shapes, uptakes and scanners."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.accuracy_recovery_phantoms import Phantom
from voxeldose.demo.shapes import ellipsoid, sphere

if TYPE_CHECKING:
    from collections.abc import Callable

    from voxeldose.demo.shapes import Shape
    from voxeldose.model.arrays import Floats

__all__ = ["PHANTOMS", "ball"]


def ball(x: float, y: float, z: float, radius_mm: float) -> Shape:
    """A ball."""
    return sphere((x, y, z), radius_mm)


def blob(x: float, y: float, z: float, half: tuple[float, float, float]) -> Shape:
    """An ellipsoid with half axes along x, y and z."""
    return lambda p: ellipsoid(p, (x, y, z), half)


def half_space(normal: tuple[float, float, float], offset: float) -> Shape:
    """Where ``normal . p`` is below an offset."""
    n = np.array(normal) / np.linalg.norm(normal)
    a, b, c = (np.float32(v) for v in n)
    return lambda p: np.asarray(a * p.x + b * p.y + c * p.z - np.float32(offset), np.float32)


def both(*shapes: Shape) -> Shape:
    """Intersection."""
    return lambda p: _combined(np.maximum, [s(p) for s in shapes])


def either(*shapes: Shape) -> Shape:
    """Union."""
    return lambda p: _combined(np.minimum, [s(p) for s in shapes])


def without(first: Shape, second: Shape) -> Shape:
    """The first less the second."""
    return lambda p: _combined(np.maximum, [first(p), -second(p)])


def _combined(how: Callable[[Floats, Floats], Floats], values: list[Floats]) -> Floats:
    result = values[0]
    for other in values[1:]:
        result = how(result, other)
    return result


#: A liver that fills a box, with a rim of nothing around it.
def block(x: float, y: float, z: float) -> Shape:
    """A box with these half widths."""
    sides = [half_space(n, w) for a, w in ((0, x), (1, y), (2, z)) for n in _both_ways(a)]
    return both(*sides)


def _both_ways(axis: int) -> list[tuple[float, float, float]]:
    row = [0.0, 0.0, 0.0]
    row[axis] = 1.0
    return [(row[0], row[1], row[2]), (-row[0], -row[1], -row[2])]


def demo() -> Phantom:
    """Shapes and uptakes of ``voxeldose demo``: 45 mL with a cold core at 11 : 1, 9 mL at 4 : 1."""
    ox, oy, oz = -65.0, -1.0, 15.0

    def at(x: float, y: float, z: float) -> tuple[float, float, float]:
        return x - ox, y - oy, z - oz

    lobes = either(blob(*at(-74, 4, 2), (64, 76, 67)), blob(*at(-8, -38, 24), (72, 36, 32)))
    cut = half_space((0.45, 0, -1), (18.7 - 0.45 * ox + oz) / math.hypot(1, 0.45))
    regions = {
        "45 mL, core, 11:1": ("tumor", ball(*at(-84, 12, 14), 22)),
        "9 mL, 4:1": ("tumor", ball(*at(-38, -24, 18), 13)),
        "liver": ("liver", both(lobes, cut)),
    }
    return Phantom(
        "demo",
        (44, 42, 44),
        regions,
        {"45 mL, core, 11:1": 11, "9 mL, 4:1": 4, "liver": 1},
        41.9,
        cores={"45 mL, core, 11:1": (ball(*at(-78, 6, 17), 8), 0.0)},
    )


def nema() -> Phantom:
    """Six spheres at 8 : 1 in a warm body."""
    regions: dict[str, tuple[str, Shape]] = {}
    for n, d in enumerate((37, 28, 22, 17, 13, 10)):
        a = math.radians(60 * n)
        regions[f"{d} mm, 8:1"] = ("tumor", ball(57.2 * math.cos(a), 57.2 * math.sin(a), 0, d / 2))
    regions["liver"] = ("liver", block(86, 86, 40))
    uptake = dict.fromkeys(regions, 8.0) | {"liver": 1.0}
    return Phantom("nema", (42, 56, 56), regions, uptake, 74.1)


def dome() -> Phantom:
    """Tumors at the dome of the liver under an empty lung, one bulging."""
    regions = {
        "8 mL, 6:1": ("tumor", ball(-20, -12, -8.5, 12.4)),
        "34 mL, 3:1": ("tumor", ball(26, 10, -16, 20)),
    }
    regions["liver"] = (
        "liver",
        either(both(ball(0, 0, -75, 82), half_space((0, 0, -1), 60)), regions["34 mL, 3:1"][1]),
    )
    texture = {"8 mL, 6:1": 0.25, "34 mL, 3:1": 0.25, "liver": 0.2}
    return Phantom(
        "dome", (48, 56, 56), regions, {"8 mL, 6:1": 6, "34 mL, 3:1": 3, "liver": 1}, 80.0, cv=texture, noise=0.3
    )


def segment(*, outlined: bool = True) -> Phantom:
    """Radiation segmentectomy: 450 Gy in one segment, tumors 1.6 and 2.5 times that, hardly anything in the rest."""
    part = both(
        half_space((1, 0, 0), 30),
        half_space((-1, 0, 0), 26),
        half_space((0.2, 1, 0), 26),
        half_space((0, -1, 0.2), 26),
        ball(0, 0, 0, 44),
    )
    names = {"12 mL, 1.6:1": (8, 4, 2, 14.2), "5 mL, 2.5:1": (-12, -10, -14, 10.6)}
    regions: dict[str, tuple[str, Shape]] = {n: ("tumor", ball(*v)) for n, v in names.items()}
    regions["segment"] = ("segment", part)
    regions["liver"] = ("liver", either(ball(-10, 0, 0, 58), part))
    del outlined
    uptake = {"12 mL, 1.6:1": 1.6, "5 mL, 2.5:1": 2.5, "segment": 1.0, "liver": 0.02}
    texture = dict.fromkeys(("segment", *names), 0.3)
    return Phantom("segment", (54, 44, 48), regions, uptake, 450.0, cv=texture, noise=0.2)


def hetero(texture_mm: float = 8.0) -> Phantom:
    """Four tumors of 5 to 60 mL with a log-normal texture of 50 %."""
    places = {
        "60 mL, 6:1": ((-26, 14, 0), 24.3, 6.0),
        "25 mL, 2.5:1": ((32, -18, 2), 18.1, 2.5),
        "10 mL, 4:1": ((-18, -28, -8), 13.4, 4.0),
        "5 mL, 12:1": ((26, 24, 6), 10.6, 12.0),
    }
    regions: dict[str, tuple[str, Shape]] = {n: ("tumor", ball(*c, r)) for n, (c, r, _) in places.items()}
    regions["liver"] = ("liver", block(64, 56, 40))
    uptake = {n: u for n, (_, _, u) in places.items()} | {"liver": 1.0}
    texture = dict.fromkeys(places, 0.5) | {"liver": 0.25}
    return Phantom("hetero", (44, 44, 48), regions, uptake, 65.0, cv=texture, texture_mm=texture_mm, noise=0.3)


def necrotic() -> Phantom:
    """Two tumors with cores that nobody outlined."""
    regions = {
        "141 mL, core, 7:1": ("tumor", blob(-24, 0, 0, (35, 32, 30))),
        "20 mL, core, 5:1": ("tumor", ball(38, 2, 4, 16.8)),
        "liver": ("liver", block(70, 46, 46)),
    }
    names = ("141 mL, core, 7:1", "20 mL, core, 5:1")
    cores = {names[0]: (blob(-21, -3, 3, (20, 18, 16)), 0.3), names[1]: (ball(40, 2, 6, 8), 0.0)}
    uptake = {names[0]: 7.0, names[1]: 5.0, "liver": 1.0}
    texture = dict.fromkeys((*names, "liver"), 0.2)
    return Phantom("necrotic", (48, 40, 50), regions, uptake, 60.0, cores=cores, cv=texture, noise=0.3)


def lobulated() -> Phantom:
    """A tumor of three lobes and a flat one, with a rim of the liver."""
    lobes = either(ball(-20, 0, 0, 14), ball(-6, 10, 4, 11), ball(-10, -12, -6, 10))
    regions = {
        "lobes, 5:1": ("tumor", lobes),
        "flat, 6:1": ("tumor", blob(32, 0, 0, (8, 22, 20))),
        "liver": ("liver", blob(0, 0, 0, (62, 52, 46))),
    }
    texture = {"lobes, 5:1": 0.3, "flat, 6:1": 0.3, "liver": 0.2}
    uptake = {"lobes, 5:1": 5.0, "flat, 6:1": 6.0, "liver": 1.0}
    return Phantom("lobulated", (48, 44, 48), regions, uptake, 70.0, cv=texture, noise=0.3)


def crescent() -> Phantom:
    """A crescent around nothing of its own, and a ball whose uptake rises from one side to the other."""
    regions = {
        "crescent, 6:1": ("tumor", without(ball(-22, 0, 0, 22), ball(-12, 4, 0, 17))),
        "gradient, 5:1": ("tumor", ball(32, 0, 0, 17)),
        "liver": ("liver", blob(0, 0, 0, (66, 50, 48))),
    }
    uptake = {"crescent, 6:1": 6.0, "gradient, 5:1": 5.0, "liver": 1.0}
    return Phantom("crescent", (48, 42, 50), regions, uptake, 70.0, slope={"gradient, 5:1": 0.03}, noise=0.3)


def tails() -> Phantom:
    """The demo's tumors seen by a scanner with 15 % of its blur 13 mm wide; the method is told the Gaussian fitted to spheres."""
    return replace(demo(), name="tails", second_fwhm_mm=13.0, second_weight=0.15)


def spect() -> Phantom:
    """The demo's tumors in a SPECT of 12 mm."""
    return replace(
        demo(),
        name="spect",
        shape=(32, 36, 38),
        spacing_mm=(4.8, 4.8, 4.8),
        fwhm_mm=12.0,
        noise=0.15,
        noise_floor=0.05,
        noise_fwhm_mm=9.0,
    )


PHANTOMS: dict[str, Callable[[], Phantom]] = {
    "demo": demo,
    "nema": nema,
    "dome": dome,
    "segment": segment,
    "hetero": hetero,
    "necrotic": necrotic,
    "lobulated": lobulated,
    "crescent": crescent,
    "tails": tails,
    "spect": spect,
}
