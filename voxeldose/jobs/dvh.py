"""Exact dose-volume histograms of anyone's dose: an RTDOSE or image in Gy, and regions of any format."""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from voxeldose.dose.metrics import COVERAGES_GY, FRACTIONS
from voxeldose.dose.statistics import RegionDose, doses_in_regions
from voxeldose.errors import InputError
from voxeldose.io.arrays import SUFFIXES, read_array
from voxeldose.io.dicom.rtdose import read_rtdose
from voxeldose.io.regions import read_rois
from voxeldose.io.results.assessment import curve_step_gy, write_json
from voxeldose.io.results.new_folder import new_folder
from voxeldose.model.roi import RoiSet
from voxeldose.model.volume import DoseMap
from voxeldose.report.text import table_lines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["DoseVolumes", "DvhOptions", "dose_volumes", "read_dose", "write_dose_volumes"]

SCHEMA = "voxeldose/dvh/1"


@dataclass(frozen=True, eq=False)
class DoseVolumes:
    """Dose in every region of a study.

    Parameters
    ----------
    regions : mapping
        Name -> its dose, in the order of the files.
    not_reached : tuple of str
        Regions that the dose grid does not reach, and which have no numbers.
    """

    regions: Mapping[str, RegionDose]
    not_reached: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, keys as those of ``assessment.json`` where they are the same quantity."""
        return {
            "schema": SCHEMA,
            "rois": {name: _numbers(one) for name, one in self.regions.items()},
            "not_reached": list(self.not_reached),
        }

    def lines(self) -> list[str]:
        """A table for a terminal."""
        rows = []
        for name, one in self.regions.items():
            row = {
                "ROI": name,
                "role": one.role,
                "volume mL": f"{one.volume_ml:.2f}",
                "mean Gy": f"{one.dvh.mean_gy:.1f}",
            }
            row |= {f"D{100 * part:g}": f"{gy:.1f}" for part, gy in one.doses_gy.items()}
            rows.append(row | {f"V{gy:g} %": f"{100 * part:.1f}" for gy, part in one.coverages.items()})
        return table_lines(rows)

    def notes(self) -> list[str]:
        """What a reader of the table must know: regions that the dose does not reach, or not whole."""
        parts = {name: one.outside_fraction for name, one in self.regions.items() if one.outside_fraction > 1e-3}
        cut = [f"{name}: {100 * part:.1f} % of it lies outside the dose grid." for name, part in parts.items()]
        return cut + [f"{name}: lies outside the dose grid; it has no numbers." for name in self.not_reached]


@dataclass(frozen=True)
class DvhOptions:
    """What is asked of a dose besides the usual numbers.

    Parameters
    ----------
    labels : mapping, optional
        Label value or name in the files -> (name, role); only these are read.
    coverages_gy, volume_fractions : tuple of float
        Further doses for ``Vd`` and parts of the volume for ``Dx``.
    same_frame : bool
        The user states that dose and regions lie in one frame of reference, whatever the files say.
    """

    labels: Mapping[str, tuple[str, str]] | None = None
    coverages_gy: tuple[float, ...] = ()
    volume_fractions: tuple[float, ...] = ()
    same_frame: bool = False


def dose_volumes(dose: Path, regions: Sequence[Path], options: DvhOptions | None = None) -> DoseVolumes:
    """DVHs of a dose in regions; see :func:`voxeldose.dose.statistics.doses_in_regions` for how voxels are cut.

    Parameters
    ----------
    dose : path
        RTDOSE in Gy, or a NIfTI, NRRD or MHA image in Gy.
    regions : sequence of path
        DICOM SEG or RTSTRUCT, label maps, folders of masks.
    options : DvhOptions, optional
        Labels, further metrics, and what is stated of the frames.

    Raises
    ------
    InputError
        If a file cannot be read, or no region lies in the dose grid.
    GeometryError
        If the frames of reference differ.
    """
    asked = options or DvhOptions()
    sets = [read_rois([path], asked.labels) for path in regions]
    rois = sum(sets, RoiSet())
    given = read_dose(dose)
    if asked.same_frame:
        given = replace(given, grid=replace(given.grid, frame_uid=None))
    found = doses_in_regions(
        given,
        rois,
        coverages_gy=tuple(dict.fromkeys((*COVERAGES_GY, *asked.coverages_gy))),
        fractions=tuple(dict.fromkeys((*FRACTIONS, *asked.volume_fractions))),
    )
    reached = {name: one for name, one in found.items() if one is not None}
    if not reached:
        msg = f"None of the {len(found)} regions lies in the dose grid of {dose}. Give dose and regions of the same study."
        raise InputError(msg, code="regions-outside-dose", regions=list(found))
    return DoseVolumes(reached, tuple(name for name, one in found.items() if one is None))


def read_dose(path: Path) -> DoseMap:
    """A dose in Gy: RTDOSE, or NIfTI, NRRD or MHA, whose values are taken as Gy.

    Raises
    ------
    InputError
        If it is neither, or cannot be read.
    """
    if path.name.casefold().endswith(SUFFIXES):
        values, grid, _ = read_array(path)
        if values.ndim != 3:
            msg = f"{path}: one dose per voxel is needed, found {values.shape[-1]} components."
            raise InputError(msg, code="image-not-3d")
        return DoseMap(values, grid, method=f"image {path.suffix}")
    return read_rtdose(path)


def write_dose_volumes(found: DoseVolumes, out: Path, *, overwrite: bool = False) -> None:
    """Write ``dvh.json``, ``rois.csv`` (a row per region) and ``dvh.csv`` (cumulative curves) into a new folder.

    Raises
    ------
    InputError
        If ``out`` exists and may not be replaced, or cannot be written.
    """
    with new_folder(out, overwrite=overwrite, marker="dvh.json") as folder:
        content = found.as_dict()
        write_json(content, folder / "dvh.json")
        rows = content["rois"]
        with (folder / "rois.csv").open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, ["roi", *next(iter(rows.values()))])
            table.writeheader()
            table.writerows({"roi": name, **row} for name, row in rows.items())
        with (folder / "dvh.csv").open("w", encoding="utf-8", newline="") as file:
            curve = csv.writer(file)
            curve.writerow(["roi", "dose_gy", "volume_ml", "volume_fraction"])
            for name, one in found.regions.items():
                doses, volumes = one.dvh.curve(curve_step_gy(one.dvh.range_gy[1]))
                for dose, volume in zip(doses, volumes, strict=True):
                    curve.writerow([name, f"{dose:.10g}", f"{volume:.8g}", f"{volume / one.volume_ml:.8g}"])


def _numbers(one: RegionDose) -> dict[str, Any]:
    lowest, highest = one.dvh.range_gy
    return {
        "role": one.role,
        "volume_ml": one.volume_ml,
        "outside_grid_fraction": one.outside_fraction,
        "mean_dose_gy": one.dvh.mean_gy,
        "min_dose_gy": lowest,
        "max_dose_gy": highest,
        "sd_dose_gy": one.dvh.sd_gy,
        **{f"d{100 * part:g}_gy": gy for part, gy in one.doses_gy.items()},
        **{f"v{gy:g}_fraction": part for gy, part in one.coverages.items()},
    }
