"""What lies in a folder or file, what voxeldose would do with it or why it would refuse, and what it still needs."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from voxeldose.errors import InputError, VoxeldoseError
from voxeldose.io.arrays import SUFFIXES, read_array
from voxeldose.io.damage import refusing_damage
from voxeldose.io.dicom.files import Series, scan_series
from voxeldose.io.dicom.header import drug_item, number, text
from voxeldose.io.dicom.instants import format_instant, instant, stated_zone, whole_instant
from voxeldose.io.dicom.nuclide import nuclide_of
from voxeldose.io.dicom.pet import units_of
from voxeldose.io.dicom.planes import whole_header
from voxeldose.io.dicom.quirks import quirks_of
from voxeldose.io.dicom.unread import packed_or_list
from voxeldose.io.folders import files_below
from voxeldose.io.images import load_activity, load_ct_image
from voxeldose.io.regions import list_regions, name_regions
from voxeldose.model.plausibility import facts_of_regions, judge_facts
from voxeldose.model.remark_groups import texts_of
from voxeldose.model.roi import RoiSet
from voxeldose.model.volume import ActivityMap, CountMap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pydicom.dataset import Dataset

    from voxeldose.io.dicom.files import Scanned
    from voxeldose.io.found_regions import FoundRegions
    from voxeldose.io.images import ImageRead
    from voxeldose.model.grid import Grid
    from voxeldose.model.remarks import Remark
    from voxeldose.model.roi import Roi
    from voxeldose.model.volume import Volume

__all__ = ["FoundLabel", "FoundSeries", "Use", "inspect"]

#: What a series or file can be in a case.
Use = Literal["activity", "ct", "density", "rois"]

_READERS: dict[str, Callable[..., ImageRead[Volume]]] = {"CT": load_ct_image, "PT": load_activity, "NM": load_activity}
_LATER = {"RTDOSE": "a dose; read with read_rtdose"}
#: Keys of the case file that a refusal names as its way out -> what they ask.
_WAYS_OUT = {
    "activity.undo_suv": "true turns SUV into Bq/mL with the header's dose, weight and times",
    "activity.energy_window": "number of the window to read",
    "activity.slice_spacing_mm": "with its sign",
    "ct.uneven": '"resample" interpolates the slices',
    "activity.quantity": '"counts" uses it as a relative image',
}


@dataclass(frozen=True)
class FoundLabel:
    """One label of a file of regions.

    Parameters
    ----------
    label : str
        Its number in the file, or what a case may call it by.
    name, role : str or None
        As the file or its name says; ``None`` where they do not.
    volume_ml : float or None
        ``None`` where it could not be read.
    problem : str
        Why not, for people.
    """

    label: str
    name: str | None
    role: str | None
    volume_ml: float | None
    problem: str = ""


@dataclass(frozen=True, eq=False, kw_only=True)
class FoundSeries:
    """One series, image file or file of regions: what it is, and the verdict. No patient data.

    Parameters
    ----------
    path : str
        The file, or the nearest folder that holds every file of the series.
    kind : str
        The modality of a DICOM series, else ``file``.
    files : int
        How many.
    verdict : str
        Whether it can be used and as what, or why it is refused, for people.
    uses : tuple of str
        What it can be in a case: one thing, or several where the file does not say what it is; nothing if it is refused.
    series_uid, vendor, nuclide, units, decay : str, optional
        As the header says.
    instants : mapping
        What the header dates, with a zone where it states one.
    states_zone : bool, optional
        Whether the header states its time zone; of a DICOM series.
    grid : Grid, optional
        Of what can be read.
    quirks : tuple of str
        What sets it apart, for people.
    regions : tuple of str
        Their names, where every label has one.
    labels : tuple of FoundLabel
        Every label of a file of regions with its volume, named or not.
    needs : mapping
        Key of the case file -> what the header leaves open.
    remarks : tuple of Remark
        What would be assumed in reading it.
    refusal : VoxeldoseError, optional
        Why it cannot be read as it is.
    """

    path: str
    kind: str
    files: int
    verdict: str
    uses: tuple[Use, ...] = ()
    series_uid: str | None = None
    vendor: str | None = None
    nuclide: str | None = None
    units: str | None = None
    decay: str | None = None
    instants: Mapping[str, str] = field(default_factory=dict)
    states_zone: bool | None = None
    grid: Grid | None = None
    quirks: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    labels: tuple[FoundLabel, ...] = ()
    needs: Mapping[str, str] = field(default_factory=dict)
    remarks: tuple[Remark, ...] = ()
    refusal: VoxeldoseError | None = None

    @property
    def grid_text(self) -> str | None:
        """Size and voxel for people."""
        if self.grid is None:
            return None
        size = " x ".join(str(n) for n in self.grid.shape)
        return f"{size} voxels of {' x '.join(f'{s:.4g}' for s in self.grid.spacing_mm)} mm (k, j, i)"

    @property
    def use_text(self) -> str | None:
        """What it can be, for people."""
        if len(self.uses) > 1:
            first, *others = self.uses
            return f"{first} (say its quantity), {' or '.join(others)}"
        return self.uses[0] if self.uses else None

    def as_dict(self) -> dict[str, Any]:
        """What ``voxeldose inspect --json`` prints of it."""
        return {
            "path": self.path,
            "kind": self.kind,
            "files": self.files,
            "series_uid": self.series_uid,
            "vendor": self.vendor,
            "nuclide": self.nuclide,
            "units": self.units,
            "decay": self.decay,
            "instants": dict(self.instants),
            "grid": self.grid_text,
            "quirks": list(self.quirks),
            "use": self.use_text,
            "regions": list(self.regions),
            "labels": [asdict(label) for label in self.labels],
            "needs": dict(self.needs),
            "verdict": self.verdict,
        }


@refusing_damage
def inspect(path: str | Path) -> list[FoundSeries]:
    """One record per series, image file or file of regions: what it is, and the verdict.

    Parameters
    ----------
    path : path
        A folder (subfolders included) or a file.

    Returns
    -------
    list of FoundSeries
        DICOM series first, then other files, each by path.

    Raises
    ------
    InputError
        If there is nothing there that could be read.
    """
    path = Path(path)
    scanned = scan_series(path)
    series = sorted(scanned.series, key=lambda s: (str(s.folder), s.uid))
    found = [_inspect_series(part, scanned) for one in series for part in _parts(one)]
    below = files_below(path)
    images = [p for p in (*below.files, *below.dangling) if p.name.casefold().endswith(SUFFIXES)]
    found += [_inspect_file(p) for p in images]
    if not found and scanned.unread:
        raise scanned.unread[0]
    packed = [why for p in scanned.unknown if p.suffix and (why := packed_or_list(p)) is not None]
    refused = {str(error.fields["path"]): error for error in (*packed, *scanned.unread)}
    found += [_refused_file(error) for _, error in sorted(refused.items())]
    if not found:
        msg = f"{path}: nothing here is DICOM, {', '.join(SUFFIXES)}."
        raise InputError(msg, code="nothing-readable")
    return found


def _parts(series: Series) -> list[Series]:
    """Files of regions one by one, as each can be used alone; images as they are."""
    if series.modality not in ("SEG", "RTSTRUCT"):
        return [series]
    return [Series(series.uid, (p,), (h,)) for p, h in zip(series.paths, series.headers, strict=True)]


def _refused_file(error: InputError) -> FoundSeries:
    """A file that may be a part of a series, or hold some, and is not read."""
    return FoundSeries(path=str(error.fields["path"]), kind="file", files=1, refusal=error, verdict=f"refused: {error}")


def _inspect_series(series: Series, scanned: Scanned) -> FoundSeries:
    header = whole_header(series)
    nuclide = nuclide_of(header)
    facts: dict[str, Any] = {
        "path": _place(series),
        "kind": series.modality,
        "files": len(series.paths),
        "series_uid": series.uid,
        "vendor": " ".join(text(header, k) for k in ("Manufacturer", "ManufacturerModelName")).strip(),
        "nuclide": nuclide.name if nuclide else None,
        "units": units_of(header) or None,
        "decay": text(header, "DecayCorrection") or None,
        "instants": _instants(header) if series.modality in ("PT", "NM") else {},
        "states_zone": stated_zone(header) is not None,
        "quirks": tuple(quirks_of(series)),
    }
    if series.modality in ("SEG", "RTSTRUCT"):
        return FoundSeries(**facts, **_regions_in(series.paths[0]))
    return FoundSeries(**facts, **_image_in(series, scanned.near(series)))


def _image_in(series: Series, near: InputError | None) -> dict[str, Any]:
    """Use, grid, needs and verdict of an image series; ``near`` is what could not be read beside it."""
    reader = _READERS.get(series.modality)
    if reader is None:
        return {"verdict": _LATER.get(series.modality, f"{series.modality} is not used")}
    try:
        if near is not None:
            raise near
        volume = reader(series.folder, series_uid=series.uid, scan=lambda _: [series]).volume
    except VoxeldoseError as error:
        keys = error.fields.get("keys")
        ways_out = {key: _WAYS_OUT[key] for key in keys if key in _WAYS_OUT} if isinstance(keys, tuple) else {}
        return {"needs": ways_out, "refusal": error, "verdict": f"refused: {error}"}
    at = volume.at if isinstance(volume, ActivityMap | CountMap) else None
    instants = [f"values hold at {at.astimezone(UTC).isoformat()}"] if at else []
    sentences = [remark.sentence for remark in volume.remarks]
    return {
        "grid": volume.grid,
        "uses": ("ct",) if series.modality == "CT" else ("activity",),
        "needs": _open_questions(volume),
        "remarks": volume.remarks,
        "verdict": "; ".join([_usable(volume), *instants, *sentences]),
    }


def _usable(volume: Volume) -> str:
    """The verdict on what could be read: a series that may be incomplete is no image to be used."""
    is_doubtful = any(remark.code == "series-may-be-incomplete" for remark in volume.remarks)
    return "readable, but slices may be missing" if is_doubtful else "can be used"


def _place(series: Series) -> str:
    """The file, or the nearest folder that holds every file of the series."""
    if len(series.paths) == 1:
        return str(series.paths[0])
    return os.path.commonpath([p.parent for p in series.paths])


def _instants(header: Dataset) -> dict[str, str]:
    """Series, acquisition and administration as the header dates them, with its zone if it states one."""
    stated = stated_zone(header)
    zone = stated or UTC
    drug = drug_item(header)
    given = whole_instant(drug.get("RadiopharmaceuticalStartDateTime"), zone) if drug is not None else None
    dated = {
        "series": instant(header, "SeriesDate", "SeriesTime", zone),
        "acquired": instant(header, "AcquisitionDate", "AcquisitionTime", zone)
        or whole_instant(header.get("FrameAcquisitionDateTime") or header.get("AcquisitionDateTime"), zone),
        "administered": given,
    }
    texts = {n: format_instant(at if stated else at.replace(tzinfo=None)) for n, at in dated.items() if at is not None}
    clock = text(drug, "RadiopharmaceuticalStartTime") if drug is not None else ""
    if given is None and clock:
        texts["administered"] = f"{clock[:2]}:{clock[2:4]} on an unknown day"
    seconds = number(header, "ActualFrameDuration") or number(header, "FrameAcquisitionDuration")
    if seconds and texts:
        texts["frame"] = f"{seconds / 1000:g} s"
    return texts


def _open_questions(volume: Volume) -> dict[str, str]:
    """Keys that a usable emission image still leaves to the user."""
    if not isinstance(volume, ActivityMap | CountMap):
        return {}
    needs = {}
    name = volume.radionuclide.name if volume.radionuclide else None
    if isinstance(volume, ActivityMap) and volume.at is None:
        needs["activity.measured_at"] = "instant to which the values hold; without it, administered calibration only"
    if name not in (None, "Y-90", "Tc-99m"):
        needs["activity.undo_nuclide"] = f'"{name}" if Y-90 was scanned under that name and Bq/mL are wanted'
        needs["activity.image_nuclide"] = f'"Y-90" if Y-90 was scanned as {name}, "{name}" if it stands for the spheres'
    elif isinstance(volume, ActivityMap) and volume.not_absolute:
        needs["activity.undo_nuclide"] = "the nuclide that the scanner computed with, if Bq/mL are wanted"
    return needs


def _inspect_file(path: Path) -> FoundSeries:
    facts: dict[str, Any] = {"path": str(path), "kind": "file", "files": 1}
    if (path.parent / "run.json").is_file():
        return FoundSeries(**facts, verdict="a result of voxeldose; not used")
    try:
        values, grid, _ = read_array(path)
    except VoxeldoseError as error:
        return FoundSeries(**facts, refusal=error, verdict=f"refused: {error}")
    is_labels = values.dtype.kind in "ui" and values.min() >= 0 and values.max() < 1000
    if is_labels:
        return FoundSeries(**facts, grid=grid, **_regions_in(path))
    return FoundSeries(
        **facts,
        grid=grid,
        uses=("activity", "ct", "density"),
        verdict=f"values from {values.min():g} to {values.max():g}; the file does not say what they are",
        needs={
            "activity.quantity": '"bq_per_ml", "bq" or "counts", if it is the activity',
            "activity.measured_at": "instant to which the values hold, if they are Bq",
        },
    )


def _regions_in(path: Path) -> dict[str, Any]:
    """Use, labels with their volumes, needs and verdict of a file of regions."""
    try:
        found = list_regions(path)
    except VoxeldoseError as error:
        return {"refusal": error, "verdict": f"refused: {error}"}
    try:
        rois = tuple(name_regions(found, [path], None))
    except VoxeldoseError as error:
        labels = tuple(_labels_in(found))
        if error.code != "label-without-name":
            return {"labels": labels, "refusal": error, "verdict": f"refused: {error}"}
        needs = {"rois.labels": "name and role of every label"}
        return {"uses": ("rois",), "labels": labels, "needs": needs, "verdict": f"labels need names: {error}"}
    described = f"{len(rois)} region{'s' * (len(rois) > 1)}"
    labels = tuple(_labels_in(found, rois))
    doubts = _hardly_plausible(RoiSet(rois))
    verdict = f"{described}. Hardly plausible: {doubts}" if doubts else described
    return {"uses": ("rois",), "regions": tuple(r.name for r in rois), "labels": labels, "verdict": verdict}


def _hardly_plausible(rois: RoiSet) -> str:
    """What the rules of plausibility say of the regions' volumes; empty where nothing is odd."""
    found = judge_facts(facts_of_regions(rois))
    return " ".join(texts_of((*found.warnings, *found.notes)))


def _labels_in(found: FoundRegions, rois: Sequence[Roi] = ()) -> Iterator[FoundLabel]:
    """Every label, with the names and roles that a case would take without being told; then what could not be read."""
    for n, region in enumerate(found.regions):
        name, role = (rois[n].name, rois[n].role) if rois else (region.own_name, region.role)
        yield FoundLabel(region.keys[-1], name, role, region.roi.volume_ml)
    for part in found.set_aside:
        yield FoundLabel(part.keys[-1], part.name, None, None, str(part.error))
