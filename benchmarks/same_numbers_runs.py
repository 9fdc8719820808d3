"""The commands whose results are compared, and running them in one tree: each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["DEMO", "RUNS", "Run", "check_tree", "run_in"]

#: A command may take minutes on a busy machine, not longer.
LIMIT_S = 900


@dataclass(frozen=True, slots=True)
class Run:
    """A command by its words.

    Attributes
    ----------
    name : str
        Of its folder.
    words : str
        With ``{study}`` for the demonstration that both trees read, ``{inputs}`` for the small studies, ``{own}`` for the
        folder of all results of the same tree and ``{out}`` for what the command writes. ``--json`` keeps its answer.
    """

    name: str
    words: str


_SPREAD = "--uncertainty calibration_fraction=0.05 --uncertainty noise_fraction=0.2 --uncertainty noise_fwhm_mm=6 --uncertainty registration_mm=1 --uncertainty contour_mm=0.5 --uncertainty seed=3 --samples 30"
_GIVEN = "--administered-mbq 1850 --residual-mbq 12 --at 2024-05-02T10:15:00Z --lung-shunt 0.04 --device glass"
_WRITES = "--out {out} --json --quiet"
_TISSUE = "--set cremonesi-2008-tumor"
_LIVER = "--set cremonesi-2008-normal-liver"
_AT, _BEFORE = "2024-05-08T10:00:00Z", "2024-05-05T12:00:00Z"
_PARTITION = "plan partition --tumor-g 200 --tn 5 --normal-g 1300 --lung-shunt 0.08"
_DELIVERED = f"plan delivered --assay-mbq 3120 --assayed-at {_BEFORE} --at {_AT}"
_COUNTS = "--lung-anterior 120000 --lung-posterior 150000 --liver-anterior 1.5e6 --liver-posterior 1.1e6"
_BACKGROUND = (
    "--background-anterior 1e3 --background-posterior 1e3 --lung-pixels 900 --liver-pixels 800 --background-pixels 300"
)
_SPHERES = " ".join(
    f"--sphere {ml} {rc} 0.02"
    for ml, rc in ((0.5, 0.29), (1.2, 0.43), (2.6, 0.56), (5.6, 0.69), (11.5, 0.78), (26.5, 0.87))
)
_SPHERE = f"--sphere-bq-at-calibration 2500 --calibrated-at {_BEFORE} --at {_AT}"

#: Made first: the others read what the tree before wrote.
DEMO = Run("demo", "demo --out {out} --quiet")

_OF_THE_DEMO = {
    "assess-density": f"assess {{study}}/assess.toml --engine density --density ct {_WRITES}",
    "assess-local": f"assess {{study}}/assess.toml --engine local --rtstruct --bed-dose tumor {_WRITES}",
    "assess-ct-grid": f"assess {{study}}/assess.toml --grid ct --dose-bits 16 {_WRITES}",
    "assess-uncertainty": f"assess {{study}}/assess.toml {_SPREAD} {_WRITES}",
    "assess-seg": f"assess --activity {{study}}/pet --rois {{study}}/rois.seg.dcm {_GIVEN} --engine local {_WRITES}",
    "assess-rtstruct": f"assess --activity {{study}}/pet --rois {{own}}/assess-local/out/rois.rtstruct.dcm {_GIVEN} --engine local {_WRITES}",
    "replay": "replay {own}/demo/out/results/run.json --out {out} --json --quiet",
    "replay-changed": "replay {own}/small/out/run.json --set dose.constants=vendor --out {out} --json --quiet",
    "compare": "compare {own}/demo/out/planned {own}/demo/out/results --out {out} --json --quiet",
    "compare-add": "compare --add {own}/small/out {own}/small-legacy/out --out {out} --json --quiet --same-frame",
    # one series at a time: the order of several hangs on their UIDs, which are random
    "inspect-ct": "inspect {own}/demo/out/ct --json",
    "inspect-pet": "inspect {own}/demo/out/pet --json",
    "inspect-spect": "inspect {own}/demo/out/spect --json",
    "inspect-seg": "inspect {own}/demo/out/rois.seg.dcm --json",
    "card-results": f"card {{own}}/demo/out/results {_SPHERE} --json",
    "tn-results": "tn {own}/demo/out/results --json",
    "radiobiology-results": f"radiobiology --results {{own}}/demo/out/results --roi normal_liver {_LIVER} --td50-gy 60 --m 0.3 --source x --json",
}

_OF_SMALL_STUDIES = {
    "small": f"assess {{inputs}}/small.toml {_WRITES}",
    "small-legacy": f"assess {{inputs}}/small.toml --constants legacy --grid 3 {_WRITES}",
    "small-spread": f"assess {{inputs}}/spread.toml --device resin {_WRITES}",
    "small-turned": f"assess {{inputs}}/turned.toml --density-g-per-ml 1.06 {_WRITES}",
    "small-absolute": f"assess {{inputs}}/small.toml --calibration absolute --engine local {_WRITES}",
    "cohort": "cohort {inputs}/cohort/cases.csv --out {out} --scheduler processes --workers 2 --no-report --quiet",
    "plan-voxel": "plan voxel {inputs}/plan.toml --goal lesion_1.mean=400 --limit normal_liver.mean=75 --limit lung.mean=30 --json",
    "plan-voxel-d70": "plan voxel {inputs}/plan.toml --goal lesion_1.D70=205 --constants vendor --device resin --json",
    "plan-voxel-v300": "plan voxel {inputs}/plan.toml --goal lesion_1.V300=90% --lung-shunt 0.1 --json",
    "plan-partition-case": "plan partition {inputs}/plan.toml --tumor-gy 205 --json",
    "plan-mird-case": "plan mird {inputs}/plan.toml --roi liver --dose-gy 60 --json",
    "plan-vial-case": "plan vial {inputs}/small.toml --activity-mbq 50 --calibrated-at 2024-04-28T10:15:00Z --json",
    "plan-bsa-case": "plan bsa {inputs}/plan.toml --height-m 1.7 --weight-kg 70 --json",
    "tn-case": "tn {inputs}/plan.toml --json",
    "card-case": f"card {{inputs}}/small.toml {_SPHERE} --segments 1 --json",
    "radiobiology-case": f"radiobiology {{inputs}}/small.toml --roi lesion_1 {_TISSUE} --geud-a -5 --control jnm-2020-glass-bed --slope 2 --source x --json",
    "shunt-spect-case": "lung-shunt spect {inputs}/lungs.toml --dome-margin-mm 7 --json --quiet",
    "shunt-planar-views": "lung-shunt planar --image {inputs}/planar.dcm --rois {inputs}/planar.png --labels {inputs}/planar.json --mirrored --json",
    "recovery-results": "uncertainty recovery --results {own}/small-absolute/out --true-mbq-per-ml 2 --json",
}

_OF_NUMBERS = {
    "kernel-csv": "kernel --spacing-mm 4 3.5 3 --out {out}.csv",
    "kernel-npz": "kernel --spacing-mm 2.4 2.4 3 --density-g-per-ml 1.04 --range-factor 1.0122 --out {out}.npz",
    "kernel-nifti": "kernel --spacing-mm 3 3 3 --reach-mm 10 --constants vendor --out {out}.nii.gz",
    "mird": "plan mird --mass-g 200 --dose-gy 400 --lung-shunt 0.05 --lung-g 900 --bilirubin-mg-per-dl 0.9 --device glass --json",
    "mird-forward": "plan mird --mass-g 200 --activity-mbq 1700 --lung-shunt 0.05 --constants legacy --json",
    "partition": f"{_PARTITION} --unperfused-g 50 --lung-g 900 --activity-mbq 2500 --json",
    "partition-goal": f"{_PARTITION} --tumor-gy 205 --normal-limit-gy 20 --lung-limit-gy 30 --device resin --json",
    "partition-tumors": f"{_PARTITION} --tumor-g 30 --tn 3 --activity-mbq 2500 --constants icrp107 --json",
    "territories": "plan partition --territories {inputs}/territories.toml --lung-shunt 0.05 --json",
    "territories-goal": "plan partition --territories {inputs}/territories.toml --lung-shunt 0.05 --tumor-gy 205 --json",
    "vial-glass": f"plan vial --activity-mbq 1700 --at {_AT} --calibrated-at {_BEFORE} --device glass --residual-fraction 0.01 --tumor-ml 50 --json",
    "vial-resin": f"plan vial --activity-mbq 1700 --at {_AT} --device resin --json",
    "vial-own": f"plan vial --activity-mbq 1700 --at {_AT} --calibrated-at {_BEFORE} --device glass --vial-gbq 10 --sphere-bq-at-calibration 2500 --shelf-life-h 288 --lung-shunt 0.05 --json",
    "delivered": f"{_DELIVERED} --residual-mbq 45 --residual-at {_AT} --lung-shunt 0.05 --json",
    "delivered-vendor": f"{_DELIVERED} --constants vendor --json",
    "bsa": "plan bsa --height-m 1.7 --weight-kg 70 --tumor-part 0.2 --json",
    "shunt-planar": f"lung-shunt planar {_COUNTS} {_BACKGROUND} --activity-mbq 3000 --earlier-gy 12 --json",
    "shunt-spect": "lung-shunt spect --lung-counts 3.1e6 --liver-counts 58.9e6 --json",
    "shunt-dose": "lung-shunt dose --lung-shunt 0.08 --activity-mbq 3000 --lung-mass-g 822 --earlier-gy 12 --earlier-gy 20 --json",
    "tn-counts": "tn --tumor 4e6 40 --tumor 1e6 40 --normal 1e6 100 --json",
    "tn-doses": "tn --tumor-gy 300 40 --tumor-gy 100 10 --normal-gy 30 1000 --normal-is perfused --json",
    "card": f"card --perfused-gy 420 --treated-fraction 0.1 --tumor-diameter-mm 40 --tn 3 --tumor 0.8 350 --albi 2 --child-pugh b {_SPHERE} --json",
    "bed": f"radiobiology --dose-gy 100 --dose-gy 300 --volume-ml 3 --volume-ml 1 {_TISSUE} --geud-a -8 --json",
    "control": f"radiobiology --dose-gy 205 {_TISSUE} --control jnm-2020-glass-bed --slope 2 --clonogens 1e6 --source x --json",
    "complication": f"radiobiology --dose-gy 40 {_LIVER} --complication quoted-2014-resin-lobar --m 0.3 --source x --json",
    "complication-own": "radiobiology --dose-gy 40 --td50-gy 52 --m 0.3 --source x --json",
    "treatments": f"radiobiology --dose-gy 75 --earlier-gy 40 --earlier-gy 30 {_LIVER} --constants legacy --json",
    "mean": "uncertainty mean --dose-gy 200 --diameter-mm 30 --voxel-mm 4 --fwhm-mm 7 --phi 0.8 --recovery-b-ml 3 --recovery-c 0.9 --energy 0 --json",
    "mean-all": "uncertainty mean --dose-gy 220 --diameter-mm 40 --voxel-mm 3 --fwhm-mm 6 --recovery-b-ml 3 --recovery-c 0.9 --calibration 0.05 --statistics 0.03 --timing-h 0.5 --json",
    "recovery": f"uncertainty recovery {_SPHERES} --json",
}

#: In this order: some read what an earlier one wrote.
RUNS = tuple(Run(*pair) for table in (_OF_SMALL_STUDIES, _OF_THE_DEMO, _OF_NUMBERS) for pair in table.items())


def check_tree(tree: Path, work: Path) -> None:
    """Make sure that Python takes voxeldose from this tree and from nowhere else.

    Raises
    ------
    ValueError
        If it does not: nothing would be compared.
    """
    words = ("-c", "import voxeldose; print(voxeldose.__file__)")
    found = _python(words, tree, work, work).stdout.strip()
    if not found.startswith(str(tree.resolve())):
        msg = f"{tree}: Python takes voxeldose from {found or 'nowhere'}; give the folder that holds the package."
        raise ValueError(msg)


def run_in(tree: Path, results: Path, runs: Iterable[Run], places: dict[str, Path]) -> None:
    """Run commands with the program of one tree; each leaves a folder in ``results`` with its answer and exit code.

    Parameters
    ----------
    tree : Path
        Folder that holds the package.
    results : Path
        Folder of this tree's results.
    runs : iterable of Run
        In this order.
    places : dict
        Values of ``{study}`` and ``{inputs}``.
    """
    for run in runs:
        folder = results / run.name
        folder.mkdir(parents=True)
        words = [word.format(own=results, out=folder / "out", **places) for word in run.words.split()]
        done = _python(("-m", "voxeldose", *words), tree, folder, results)
        if "--json" in words:
            (folder / "answer.json").write_text(done.stdout or "null", "utf-8")
        (folder / "stderr.txt").write_text(done.stderr, "utf-8")
        (folder / "exit.json").write_text(json.dumps({"exit_code": done.returncode}), "utf-8")


def _python(words: Iterable[str], tree: Path, folder: Path, results: Path) -> subprocess.CompletedProcess[str]:
    """Run this Python with the tree ahead of any installed package; nothing is written into the tree."""
    environment = os.environ | {
        "PYTHONPATH": str(tree.resolve()),
        "PYTHONDONTWRITEBYTECODE": "1",
        "NUMBA_CACHE_DIR": str(results / ".numba"),
    }
    return subprocess.run(  # noqa: S603 - this Python with our own words
        [sys.executable, *words],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=folder,
        timeout=LIMIT_S,
    )
