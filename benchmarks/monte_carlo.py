"""Simulates the tables of tables/README.md anew with PenRed: PENELOPE-2018 physics, no code or file of it in here.

    pip install pypenred
    python -m benchmarks.monte_carlo touch --histories 2000000 --seed 7 --out FOLDER

``layers``, ``s-values``, ``touch``, ``wedge`` or ``rib``; histories are those of each source (a case has two to twelve). About
25,000 a second on one core. The table is written to ``FOLDER/mc-CASE.csv``; needs NumPy and pypenred, not voxeldose.
"""

# ruff: noqa: T201

from __future__ import annotations

import argparse
import math
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.monte_carlo_cases import (
    LAYERS,
    MEDIA,
    MEV_PER_DECAY,
    S_VALUES,
    SPHERES,
    TABLES,
    Floats,
    Integers,
    Layers,
    Medium,
    SphereCase,
)

__all__ = ["main", "mean_excitation_ev"]

#: Physics: absorption energies of electrons and photons, mixed-simulation constants C1 = C2, cutoffs for hard losses
#: (eV) and the longest step (cm). A 50 keV electron goes 0.04 mm in tissue and 0.17 mm in lung.
_ABSORPTION_EV, _PHOTON_EV, _C, _WCC, _WCR, _STEP_CM = 50e3, 5e3, 0.05, 10e3, 5e3, 0.05

#: Mean excitation energies (eV) of elements in solid and liquid compounds, ICRU 37 (1.13 times the element's, but for H, C, N,
#: O and Cl), and atomic weights.
_ELEMENT_EV = {
    1: 19.2, 6: 81.0, 7: 82.0, 8: 106.0, 11: 168.4, 12: 176.3, 15: 195.5, 16: 203.4, 17: 180.0, 19: 214.7, 20: 215.8,
}  # fmt: skip
_WEIGHT = {
    1: 1.008, 6: 12.011, 7: 14.007, 8: 15.999, 11: 22.990, 12: 24.305, 15: 30.974, 16: 32.06, 17: 35.45, 19: 39.098,
    20: 40.078,
}  # fmt: skip
_ELECTRON_EV = 510998.95

#: Half of the simulated body's width, mm: layers, and bodies of one medium.
_HALF_MM, _LAYER_MM, _BELOW_MM, _ABOVE_MM = 1000.0, 0.5, 40.0, 60.0

Source = tuple[Sequence[float], Sequence[float], float]  # middle (k, j, i), size (k, j, i), histories
Tally = tuple[Sequence[float], float | Sequence[float], Sequence[int]]  # first face, size, number


def mean_excitation_ev(medium: Medium) -> float:
    """As given, or by additivity over the electrons of the elements in compounds."""
    if medium.mean_excitation_ev is not None:
        return medium.mean_excitation_ev
    electrons = {z: part * z / _WEIGHT[z] for z, part in medium.weights.items()}
    logs = sum(n * math.log(_ELEMENT_EV[z]) for z, n in electrons.items())
    return math.exp(logs / sum(electrons.values()))


def write_medium(name: str, medium: Medium, path: Path) -> None:
    """A PENELOPE material file; the program knows no other mean excitation energy than that of gases, so it is set here.

    Oscillator energies ``√((a U)² + …)`` get the ``a`` that gives the wanted mean, and collision stopping powers are scaled
    by Bethe's formula with the density effect of these oscillators. Water made so has the ranges of the program's own water
    of 78 eV within 0.03 % above 50 keV.
    """
    from pyPenred import simulation

    simulation.materials.create(name, medium.g_per_ml, list(medium.weights.items()), str(path))
    lines = path.read_text("latin-1").split("\n")
    elements = int(lines[3].split("=")[1])
    atoms = [re.findall(r"= *(\d+), *atoms/molecule = *(\S+)", line)[0] for line in lines[4 : 4 + elements]]
    charge = sum(int(z) * float(n) for z, n in atoms)
    plasma = 28.816 * math.sqrt(medium.g_per_ml * charge / sum(_WEIGHT[int(z)] * float(n) for z, n in atoms))
    at = 4 + elements
    old = float(lines[at].split("=")[1].split()[0])
    number = int(re.findall(r"= *(\d+)", lines[at + 1])[0])
    rows = [line.split() for line in lines[at + 2 : at + 2 + number]]
    strength, binding, before = (np.array([float(row[n]) for row in rows]) for n in (1, 2, 3))
    inner = int(binding.argmax())
    factor = math.sqrt(before[inner] ** 2 - 2 / 3 * strength[inner] / charge * plasma**2) / binding[inner]
    rest = np.maximum(before**2 - (factor * binding) ** 2, 0)
    wanted = mean_excitation_ev(medium)
    low, high = 0.3, 10.0
    for _ in range(80):
        factor = (low + high) / 2
        after = np.sqrt((factor * binding) ** 2 + rest)
        low, high = (factor, high) if strength @ np.log(after) < charge * math.log(wanted) else (low, factor)
    lines[at] = f" Mean excitation energy = {wanted:.8E} eV"
    for n, row in enumerate(rows):
        lines[at + 2 + n] = lines[at + 2 + n].replace(row[3], f"{after[n]:.8E}")
    first = next(n for n, line in enumerate(lines) if "Stopping powers for electrons" in line) + 1
    for n in range(first, first + int(lines[first - 1].split("=")[-1])):
        ev, electron, radiated, positron, radiated_too = (float(v) for v in lines[n].split())
        bethe = [_bethe(max(ev, 1e4), mean, strength, w, plasma) for mean, w in ((wanted, after), (old, before))]
        ratio = bethe[0] / bethe[1]
        lines[n] = f" {ev:9.3E} {electron * ratio:.5E} {radiated:.5E} {positron * ratio:.5E} {radiated_too:.5E}"
    path.write_text("\n".join(lines), "latin-1")


def _bethe(ev: float, mean_ev: float, strength: Floats, resonance_ev: Floats, plasma_ev: float) -> float:
    """Bracket of Bethe's formula for electrons, with the density effect of Sternheimer's oscillators."""
    gamma = 1 + ev / _ELECTRON_EV
    beta2, charge = 1 - 1 / gamma**2, float(strength.sum())
    low, high = 0.0, 1e16
    for _ in range(120):
        square = (low + high) / 2
        is_low = plasma_ev**2 / charge * float((strength / (resonance_ev**2 + square)).sum()) > 1 - beta2
        low, high = (square, high) if is_low else (low, square)
    polarised = float(strength @ np.log1p(high / resonance_ev**2)) / charge - high / plasma_ev**2 * (1 - beta2)
    form = 1 - beta2 - (2 * gamma - 1) / gamma**2 * math.log(2) + ((gamma - 1) / gamma) ** 2 / 8
    return math.log((ev / mean_ev) ** 2 * (gamma + 1) / 2) + form - max(polarised, 0.0)


def simulated(
    media: Sequence[str],
    blocks: Integers,
    block_mm: Sequence[float],
    sources: Sequence[Source],
    tally: Tally,
    seed: int,
) -> tuple[Floats, Floats]:
    """Dose in eV/g a decay in each voxel of the tally, with its standard error; the body's first corner is (0, 0, 0)."""
    from pyPenred import simulation

    lowest = {"electron": _ABSORPTION_EV, "positron": _ABSORPTION_EV, "gamma": _PHOTON_EV}
    settings: dict[str, Any] = {"eabs": lowest, "C1": _C, "C2": _C, "WCC": _WCC, "WCR": _WCR}
    for name in media:
        if not Path(f"{name}.mat").exists():
            write_medium(name, MEDIA[name], Path(f"{name}.mat"))
    lines = [" ".join(f"{n}" for n in blocks.shape[::-1]), " ".join(f"{x / 10:.8E}" for x in block_mm[::-1])]
    Path("body.vox").write_text("\n".join([*lines, *(f"{m + 1} 1.0" for m in blocks.ravel())]) + "\n")
    table = np.loadtxt(TABLES / "y90-spectrum.csv", delimiter=",", skiprows=1)
    spectrum = [f"{max(low * 1e6, 100):.6E} {p:.8E}" for low, _, p in table] + [f"{table[-1, 1] * 1e6:.6E} -1.0"]
    Path("y90.spc").write_text("\n".join(spectrum) + "\n")
    angles = {"theta0": 0.0, "theta1": 180.0, "phi0": 0.0, "dphi": 360.0}
    beams = {
        f"source{n}": {
            "nhist": float(histories),
            "kpar": "electron",
            "direction": {"type": "SOLID_ANGLE", "u": 0.0, "v": 0.0, "w": 1.0, **angles},
            "energy": {"type": "FILE_SPECTRUM", "filename": "y90.spc"},
            "spatial": {
                "type": "BOX",
                "position": {axis: float(x) / 10 for axis, x in zip("zyx", middle, strict=True)},
                "size": {f"d{axis}": float(x) / 10 for axis, x in zip("zyx", size, strict=True)},
            },
        }
        for n, (middle, size, histories) in enumerate(sources)
    }
    first, size, number = np.array(tally[0], float), np.array(tally[1], float) * np.ones(3), tally[2]
    bins: dict[str, Any] = {"type": "SPATIAL_DOSE_DISTRIB", "print-xyz": False}
    for axis, low, step, n in zip("zyx", first, size, number, strict=True):
        bins |= {f"{axis}min": low / 10, f"{axis}max": (low + step * n) / 10, f"n{axis}": int(n)}
    body = {"type": "VOXEL", "filename": "body.vox", "ascii": True, "enclosure-margin": 1e-3, "enclosure-material": 1}
    simulation.setConfigurationLog("configuration.log")
    simulation.setSimulationLog("simulation.log")
    run = simulation.create()
    run.configure(
        {
            "sources": {"generic": beams},
            "materials": {m: {"number": n, "filename": f"{m}.mat", **settings} for n, m in enumerate(media, 1)},
            "geometry": {**body, "dsmax": {str(n): _STEP_CM for n in range(len(media) + 1)}},
            "tallies": {"dose": bins},
            "simulation": {"threads": 1, "seedPair": seed, "max-time": 1e6},
        }
    )
    run.simulate(True)
    while run.isSimulating():
        time.sleep(1)
    found = run.getResults()["dose"][0].data()
    return np.asarray(found[0]), np.asarray(found[1])


def layer_rows(case: Layers, histories: float, seed: int) -> list[str]:
    """A line source stands for the active layer, and all of the plane is tallied; what lies by the border is apart."""
    inside = 300.0
    bands = [(0.0, case.near_mm), (case.near_mm, case.active_mm)]
    if case.active == case.below:
        bands = [(-high, -low) for low, high in bands]
    wide = 2 * _HALF_MM
    tally = (inside - _BELOW_MM, 0, 0), (_LAYER_MM, wide, wide), (round((_BELOW_MM + _ABOVE_MM) / _LAYER_MM), 1, 1)
    blocks = np.array([0, 1]).reshape(2, 1, 1)
    dose = variance = np.zeros(())
    for n, (low, high) in enumerate(bands):
        source = (inside + (low + high) / 2, _HALF_MM, _HALF_MM), (high - low, 0, 0), histories
        found, error = simulated((case.below, case.above), blocks, (inside, wide, wide), [source], tally, seed + n)
        per_layer = (high - low) * wide**2 * MEDIA[case.active].g_per_ml * 1e-3 / (MEV_PER_DECAY * 1e6)
        dose, variance = dose + found.ravel() * per_layer, variance + (error.ravel() * per_layer) ** 2
    depth = -_BELOW_MM + _LAYER_MM * (np.arange(dose.size) + 0.5)
    return [
        f"{case.name},{case.active},{z:g},{d:.5g},{100 * math.sqrt(v) / d:.2g}"
        for z, d, v in zip(depth, dose, variance, strict=True)
        if -16 < z < 24 and d > 1e-3
    ]


def s_value_rows(medium: str, size_mm: Sequence[float], histories: float, seed: int) -> list[str]:
    """Alike offsets are averaged."""
    reach, middle = 3, (_HALF_MM,) * 3
    first = [_HALF_MM - (reach + 0.5) * s for s in size_mm]
    tally = first, size_mm, (2 * reach + 1,) * 3
    one = np.zeros((1, 1, 1), np.intp)
    dose, error = simulated((medium,), one, (2 * _HALF_MM,) * 3, [(middle, size_mm, histories)], tally, seed)
    alike: dict[tuple[int, ...], list[tuple[float, float]]] = {}
    for at in np.ndindex(dose.shape):
        away = [abs(n - reach) for n in at]
        j, i = sorted(away[1:])
        key = tuple(sorted(away)) if len(set(size_mm)) == 1 else (away[0], j, i)
        alike.setdefault(key, []).append((float(dose[at]), float(error[at])))
    part = MEDIA[medium].g_per_ml * math.prod(size_mm) * 1e-3 / (MEV_PER_DECAY * 1e6)
    rows = []
    for key, found in sorted(alike.items()):
        values = np.array(found)
        mean, spread = values[:, 0].mean(), math.sqrt((values[:, 1] ** 2).sum()) / len(found)
        rows.append(
            ",".join(
                [
                    medium,
                    *(f"{s:g}" for s in size_mm),
                    *map(str, key),
                    f"{mean * part:.5g}",
                    f"{100 * spread / mean if mean > 0 else 0:.2g}",
                ]
            )
        )
    return rows


def sphere_rows(case: SphereCase, histories: float, seed: int) -> list[str]:
    """The sphere row by row of voxels, and the background as one box; alike voxels are averaged."""
    shift, hot, normal = -np.array(case.first_mm), case.sphere(), case.background()
    at = np.stack(case.middles(), axis=-1) + shift
    boxes: dict[str, list[Source]] = {"sphere": [], "background": []}
    for k, j in np.argwhere(hot.any(axis=2)):
        row = at[k, j][hot[k, j]]
        size = case.voxel_mm, case.voxel_mm, case.voxel_mm * len(row)
        boxes["sphere"].append((row.mean(axis=0), size, round(histories * len(row) / hot.sum())))
    inside = at[normal]
    low, high = inside.min(axis=0) - case.voxel_mm / 2, inside.max(axis=0) + case.voxel_mm / 2
    boxes["background"].append(((low + high) / 2, high - low, histories))
    of = case.classes()
    kept, counts = np.unique(of.ravel(), return_index=True)[1], np.bincount(of.ravel())
    columns = [[f"{n}" for n in axis] for axis in np.unravel_index(kept, case.shape)]
    tally = np.array(case.low_mm) + shift, case.voxel_mm, case.shape
    for n, sources in enumerate(boxes.values()):
        found, error = simulated(case.media, case.media_of_blocks(), case.block_mm, sources, tally, seed + n)
        dose = np.bincount(of.ravel(), found.ravel()) / counts
        spread = np.sqrt(np.bincount(of.ravel(), error.ravel() ** 2)) / counts
        gy = dose * 1.602176634e-16
        columns += [[f"{v:.4e}" for v in gy], [f"{v:.2g}" for v in 100 * spread / np.where(dose > 0, dose, np.inf)]]
    return [",".join(row) for row in zip(*columns, strict=True)]


HEADERS = {
    "layers": "media,active,depth_mm,dose_of_deep,standard_error_percent",
    "s-values": "medium,size_k_mm,size_j_mm,size_i_mm,k,j,i,energy_fraction,standard_error_percent",
    **dict.fromkeys((c.name for c in SPHERES), "k,j,i,sphere_gy,sphere_percent,background_gy,background_percent"),
}


def main() -> None:
    """Simulate one case and write its table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.monte_carlo", description=__doc__)
    parser.add_argument("case", choices=HEADERS)
    parser.add_argument("--histories", type=float, default=1e5, help="of each source")
    parser.add_argument("--seed", type=int, default=1, help="0 to 900")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="of the table and working files")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    os.chdir(chosen.out)  # the program writes where it runs
    rows: list[str] = []
    for n, layers in enumerate(LAYERS if chosen.case == "layers" else ()):
        rows += layer_rows(layers, chosen.histories, chosen.seed + 2 * n)
    for n, (medium, size) in enumerate(S_VALUES if chosen.case == "s-values" else ()):
        rows += s_value_rows(medium, size, chosen.histories, chosen.seed + n)
    for case in SPHERES:
        if case.name == chosen.case:
            rows = sphere_rows(case, chosen.histories, chosen.seed)
    table = Path(f"mc-{chosen.case}.csv")
    table.write_text("\n".join([HEADERS[chosen.case], *rows]) + "\n")
    print(f"{len(rows)} rows in {chosen.out / table}")


if __name__ == "__main__":
    main()
