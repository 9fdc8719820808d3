"""Resolution recovery against known truths: bias and rms of every metric for each tumor, beside the targets.

``python -m benchmarks.accuracy_recovery --seeds 3 --phantoms demo hetero`` prints one table for each phantom: no correction
(``dpk``), region-based voxelwise correction (``rbv``) and the field method (``field``), each against the truth of its own noise and
texture. With ``--errors`` outlines are shifted and grown and the resolution is stated wrong, as in a clinic.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.accuracy_recovery_patients import PHANTOMS
from benchmarks.accuracy_recovery_phantoms import Drawn, scan_of, truth_of
from voxeldose.dose.recovery import Resolution, recover
from voxeldose.errors import QuantityError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.accuracy_recovery_phantoms import Phantom
    from voxeldose.model.assessment import Assessment
    from voxeldose.model.recovered import Recovered

__all__ = ["Row", "compare", "main", "summary", "table"]

#: Metrics and their targets for lesions of 10 mL and more at 6.5 mm: percent of the truth, of the mean dose (D95), or points (V).
TARGETS = {
    "mean_dose_gy": 1.5,
    "d95_gy": 5.0,
    "d70_gy": 5.0,
    "d50_gy": 4.0,
    "v205_fraction": 4.0,
    "v400_fraction": 3.0,
    "tumor_to_normal": 2.0,
    "tumor_to_normal_by_dose": 2.0,
    "activity_mbq": 2.0,
}
#: Errors of outlines and resolution that --errors makes: standard deviations in mm, and of the width.
SHIFT_MM, GROWTH_MM, WIDTH = 1.2, 1.0, 0.08

Row = dict[str, float]


def compare(phantom: Phantom, seed: int, *, errors: bool, draws: int) -> dict[str, dict[str, Row]]:
    """Errors by method and tumor for one noise and texture, and for ``field`` whether the interval held the truth."""
    random = np.random.default_rng(seed)
    truth = truth_of(phantom, random)
    drawn: dict[str, Drawn] = {}
    width = phantom.fwhm_mm
    if errors:
        for name in phantom.tumors:
            x, y, z = random.normal(0, SHIFT_MM, 3).tolist()
            drawn[name] = Drawn((x, y, z), float(random.normal(0, GROWTH_MM)))
        width *= 1 + float(random.normal(0, WIDTH))
    run = scan_of(phantom, truth, random, drawn)
    stated = {"fwhm_mm": (width,) * 3, "noise_fwhm_mm": phantom.noise_fwhm_mm, "draws": draws, "source": "simulated"}
    found = {m: recover(run, Resolution(method=m, **stated)) for m in ("rbv", "field")}  # type: ignore[arg-type]  # a plain dict of options
    result: dict[str, dict[str, Row]] = {"dpk": {}, "rbv": {}, "field": {}, "held": {}}
    for name in (*phantom.tumors, "normal_liver"):
        wanted = truth.numbers[name]
        result["dpk"][name] = errors_of(_raw(run, name), wanted)
        for method, recovered in found.items():
            if recovered is not None:
                result[method][name] = errors_of(_values(recovered, name), wanted)
        if found["field"] is not None:
            result["held"][name] = _held(found["field"], name, wanted)
    return result


def errors_of(values: Row, wanted: Row) -> Row:
    """Percent of the truth, of the mean dose for D95, points for coverages."""
    found = {}
    for key in TARGETS:
        if key in values and key in wanted:
            unit = 1.0 if key.startswith("v") else wanted["mean_dose_gy" if key == "d95_gy" else key]
            found[key] = 100 * (values[key] - wanted[key]) / unit
    return found


def _raw(run: Assessment, name: str) -> Row:
    """The run's own numbers."""
    m = run.rois[name]
    found = {key: float(getattr(m, key)) for key in TARGETS if hasattr(m, key)}
    for ratio in run.tumor_to_normal:
        if ratio.roi == name and ratio.by_concentration is not None and ratio.by_dose is not None:
            found |= {"tumor_to_normal": ratio.by_concentration, "tumor_to_normal_by_dose": ratio.by_dose}
    return found


def _values(recovered: Recovered, name: str) -> Row:
    best = recovered.rois[name].best
    return {k: v for k in TARGETS if (v := getattr(best, k).value) is not None}


def _held(recovered: Recovered, name: str, wanted: Row) -> Row:
    """1 where the interval holds the truth, else 0."""
    best = recovered.rois[name].best
    held = {}
    for key in TARGETS:
        e = getattr(best, key)
        if e.low is not None and e.high is not None and key in wanted:
            held[key] = float(e.low - 1e-6 <= wanted[key] <= e.high + 1e-6)
    return held


def table(name: str, runs: Sequence[dict[str, dict[str, Row]]]) -> str:
    """Bias and rms by tumor and method; ``!`` where the bias of the field method misses its target."""
    lines = [
        f"\n{name}, {len(runs)} seeds: bias (rms), percent of the truth; D95 percent of the mean; V percentage points"
    ]
    for roi in runs[0]["dpk"]:
        lines.append(f"  {roi}")
        for method in ("dpk", "rbv", "field"):
            cells = []
            for key, target in TARGETS.items():
                e = np.array([r[method][roi][key] for r in runs if key in r[method].get(roi, {})])
                if not e.size:
                    continue
                mark = "!" if method == "field" and abs(e.mean()) > target else ""
                cells.append(f"{_short(key)} {e.mean():+.1f} ({np.sqrt((e**2).mean()):.1f}){mark}")
            lines.append(f"    {method:5s} " + "  ".join(cells))
        held = {k: np.mean([r["held"][roi][k] for r in runs if k in r["held"][roi]]) for k in runs[0]["held"][roi]}
        lines.append("    truth inside 95 % " + "  ".join(f"{_short(k)} {v:.2f}" for k, v in held.items()))
    return "\n".join(lines)


def summary(runs: dict[str, list[dict[str, dict[str, Row]]]]) -> str:
    """Worst bias over tumors of all phantoms, by method, and the targets."""
    lines = ["\nworst |bias| over all tumors; 95th percentile of |error| less that of dpk"]
    for method in ("dpk", "rbv", "field"):
        cells = []
        for key in TARGETS:
            by_roi = [
                [r[method][roi][key] for r in some if key in r[method].get(roi, {})]
                for some in runs.values()
                for roi in some[0]["dpk"]
                if roi != "normal_liver"
            ]
            worst = max((abs(float(np.mean(e))) for e in by_roi if e), default=float("nan"))
            regret = [
                abs(r[method][roi][key]) - abs(r["dpk"][roi][key])
                for some in runs.values()
                for r in some
                for roi in r["dpk"]
                if roi != "normal_liver" and key in r[method].get(roi, {}) and key in r["dpk"][roi]
            ]
            cells.append(f"{_short(key)} {worst:.1f} [{np.percentile(regret, 95) if regret else float('nan'):+.1f}]")
        lines.append(f"  {method:5s} " + "  ".join(cells))
    lines.append("  target " + "  ".join(f"{_short(k)} {v:g}" for k, v in TARGETS.items()))
    return "\n".join(lines)


def _short(key: str) -> str:
    """The head of a table's column."""
    names = {
        "mean_dose_gy": "mean",
        "tumor_to_normal": "T/N",
        "tumor_to_normal_by_dose": "T/N(Gy)",
        "activity_mbq": "MBq",
    }
    return names.get(key) or key.split("_", maxsplit=1)[0].upper()


def main() -> None:
    """Run the phantoms asked for and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=900)
    parser.add_argument("--draws", type=int, default=12)
    parser.add_argument("--errors", action="store_true", help="outlines and resolution wrong as in a clinic")
    parser.add_argument("--phantoms", nargs="*", default=list(PHANTOMS), choices=list(PHANTOMS))
    parser.add_argument("--json", type=Path, help="write every error here")
    words = parser.parse_args()
    every: dict[str, list[dict[str, dict[str, Row]]]] = {}
    for name in words.phantoms:
        start = time.perf_counter()
        phantom = PHANTOMS[name]()
        seeds = range(words.first_seed, words.first_seed + words.seeds)
        every[name] = []
        for seed in seeds:
            try:
                every[name].append(compare(phantom, seed, errors=words.errors, draws=words.draws))
            except QuantityError as error:  # a refusal is a result too
                sys.stdout.write(f"{name}, seed {seed}: refused, {error.code}: {error}\n")
        if not every[name]:
            del every[name]
            continue
        sys.stdout.write(f"{table(name, every[name])}\n  {time.perf_counter() - start:.0f} s\n")
        sys.stdout.flush()
    sys.stdout.write(summary(every) + "\n")
    if words.json is not None:
        words.json.write_text(json.dumps(every), "utf-8")


if __name__ == "__main__":
    main()
