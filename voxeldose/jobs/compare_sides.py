"""The results that a comparison is made of, in one frame of reference, on one grid and, if asked for, at one resolution."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from voxeldose.dose.comparison import registration_of
from voxeldose.dose.matching import Resolution, format_widths, match_to
from voxeldose.errors import InputError, VoxeldoseError
from voxeldose.geometry.register import find_rigid
from voxeldose.geometry.resample import moved_onto
from voxeldose.io.config.case import case_file_again, input_files
from voxeldose.io.regions import read_seg
from voxeldose.io.results.manifest import find_with_results, read_manifest, relocate, sha256
from voxeldose.jobs.open_case import open_case
from voxeldose.model.remarks import Remark
from voxeldose.model.roi import RoiSet

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from voxeldose.io.results.folder import StoredAssessment
    from voxeldose.model.arrays import Matrix
    from voxeldose.model.rigid import Registration
    from voxeldose.model.volume import CtImage, DoseMap

__all__ = ["Joining", "Matching", "Placed", "Side", "place"]


@dataclass(frozen=True)
class Matching:
    """At which width two doses are compared, and how sharp the user says that each image is.

    Parameters
    ----------
    fwhm_mm : float
        The width that both have afterwards.
    own_fwhm_mm : tuple of float or None
        Of the first and of the second image; ``None`` where the ``[resolution]`` table of its case states it.
    """

    fwhm_mm: float
    own_fwhm_mm: tuple[float | None, float | None] = (None, None)


@dataclass(frozen=True, eq=False)
class Joining:
    """How results are brought together.

    Parameters
    ----------
    matrices : tuple of ndarray or None
        For each result but the last: the rigid transform, (4, 4) in LPS millimetres, that takes its points to the last's.
    same_frame : bool
        The user states that all lie in one frame of reference.
    register : bool
        Find the transforms by the CTs of the cases.
    matching : Matching, optional
        Blur both doses to one width before they are compared; of two results only.
    """

    matrices: tuple[Matrix | None, ...] = ()
    same_frame: bool = False
    register: bool = False
    matching: Matching | None = None


@dataclass(frozen=True, eq=False)
class Side:
    """One result where it lies in the frame of reference of the last.

    Parameters
    ----------
    result : StoredAssessment
        Its numbers.
    dose : DoseMap
        On its own voxels.
    ct : CtImage or None
        Of its case; ``None`` without one, or where its files changed.
    rois : RoiSet or None
        The regions of its case; ``None`` where they cannot be read any more.
    source : str or None
        Where the regions are from: ``case`` or ``seg``.
    refusal : VoxeldoseError or None
        Why the case's own files were not taken.
    """

    result: StoredAssessment
    dose: DoseMap
    ct: CtImage | None = None
    rois: RoiSet | None = None
    source: str | None = None
    refusal: VoxeldoseError | None = None

    def moved(self, matrix_lps_mm: Matrix, frame_uid: str | None) -> Side:
        """All of it after a rigid motion; no value changes."""
        dose = self.dose.replaced(self.dose.gy, self.dose.grid.moved(matrix_lps_mm, frame_uid))
        ct = self.ct and self.ct.replaced(self.ct.hu, self.ct.grid.moved(matrix_lps_mm, frame_uid))
        rois = self.rois and RoiSet(tuple(replace(r, grid=r.grid.moved(matrix_lps_mm, frame_uid)) for r in self.rois))
        return replace(self, dose=dose, ct=ct, rois=rois)


@dataclass(frozen=True, eq=False)
class Placed:
    """Results side by side.

    Parameters
    ----------
    sides : list of Side
        In the frame of reference of the last.
    doses : list of DoseMap
        On the grid of the last; NaN where one does not reach.
    matrices : tuple of ndarray or None
        What took each but the last there.
    registration : dict
        How, as ``comparison.json`` says it.
    matching : dict or None
        At which width, as ``comparison.json`` says it.
    remarks : tuple of Remark
        What all that assumes.
    warnings : tuple of Remark
        What to doubt in it.
    """

    sides: list[Side]
    doses: list[DoseMap]
    matrices: tuple[Matrix | None, ...]
    registration: dict[str, Any]
    matching: dict[str, Any] | None
    remarks: tuple[Remark, ...]
    warnings: tuple[Remark, ...]

    @property
    def last(self) -> Side:
        """Whose grid and regions rule."""
        return self.sides[-1]


def place(
    results: Sequence[StoredAssessment], how: Joining, report_progress: Callable[[str], None] = lambda _: None
) -> Placed:
    """Bring results together.

    Parameters
    ----------
    results : sequence of StoredAssessment
        The last one rules.
    how : Joining
        Registration and resolution.
    report_progress : callable
        Called with a few words before each step.

    Raises
    ------
    InputError
        If a registration is wanted and a CT is not there, or a width is not stated.
    GeometryError
        If frames of reference differ and nothing says how they lie to each other, or the search fails.
    QuantityError
        If an image is less sharp than the width to match.
    """
    report_progress("reading the cases' regions and CTs")
    sides = [_open_side(one) for one in results]
    found: list[Registration] = []
    matrices = how.matrices
    if how.register:
        report_progress("registering the CTs")
        found = [_register(one, sides[-1]) for one in sides[:-1]]
        matrices = tuple(one.matrix_lps_mm for one in found)
    matrices = matrices or (None,) * (len(sides) - 1)
    last = results[-1].dose.grid
    if how.register:
        kinds = [_describe(one) for one in found]
    else:
        others = zip(sides[:-1], matrices, strict=True)
        kinds = [registration_of(one.dose.grid, last, m, same_frame=how.same_frame) for one, m in others]
    moved = [
        one.moved(np.eye(4) if m is None else m, last.frame_uid) for one, m in zip(sides[:-1], matrices, strict=True)
    ]
    sides = [*moved, sides[-1]]
    remarks: tuple[Remark, ...] = ()
    matched = None
    if how.matching is not None:
        report_progress("matching the resolution")
        sides, matched, remarks = _match(sides, how.matching)
    report_progress("placing doses on one grid")
    doses = [moved_onto(one.dose, last) for one in sides[:-1]]
    registration = {
        "kind": "; ".join(dict.fromkeys(kinds)),
        "matrices_lps_mm": [m.tolist() if m is not None else None for m in matrices],
        "found": [one.facts() for one in found],
    }
    doubts = tuple(doubt for one in found for doubt in one.doubts())
    return Placed(sides, [*doses, sides[-1].dose], matrices, registration, matched, remarks, doubts)


def _open_side(result: StoredAssessment) -> Side:
    """The dose of a result, with CT and regions of its case where those files are as they were."""
    try:
        case = _reopened(result)
    except VoxeldoseError as error:
        rois, source = _regions_alone(result)
        return Side(result, result.dose, rois=rois, source=source, refusal=error)
    return Side(result, result.dose, case.ct, case.rois, "case")


def _regions_alone(result: StoredAssessment) -> tuple[RoiSet | None, str | None]:
    """Regions where not every file of the case is as it was, and where they are from.

    The files of the regions are enough, unless the case moves regions or makes some: then only ``rois.dcm`` has them in place.
    """
    seg = result.path / "rois.dcm"
    try:
        case = read_manifest(result.path)[0]["case"]
        is_whole = not case.get("registration") and not case.get("derived")
    except VoxeldoseError:
        is_whole = False
    if is_whole:
        given = result.read_regions()
        return given.rois, given.source
    return (read_seg(seg), "seg") if seg.is_file() else (None, None)


def _reopened(result: StoredAssessment) -> Any:
    """The case of a result; refused unless every input is as it was."""
    manifest, _ = read_manifest(result.path)
    if (moved := find_with_results(manifest, result.path)) is not None:
        manifest = relocate(manifest, *moved)
    config = case_file_again(manifest["case"], str(result.path))
    recorded = {str(item["path"]): item["sha256"] for item in manifest["inputs"]}
    files = input_files(config)
    if {str(f) for f in files} != set(recorded) or any(sha256(f) != recorded[str(f)] for f in files):
        msg = f"{result.path}: the files of the case are not there as they were."
        raise InputError(msg, code="inputs-changed")
    return open_case(config).case


def _register(moving: Side, fixed: Side) -> Registration:
    return find_rigid(_ct_of(moving), _ct_of(fixed)).registration


def _describe(found: Registration) -> str:
    shift = ", ".join(f"{v:.1f}" for v in found.shift_mm)
    return f"{found.source} of the CTs: moves by ({shift}) mm in LPS, turns by {found.rotation_deg:.1f} degrees"


def _ct_of(side: Side) -> CtImage:
    if side.ct is None:
        why = f" ({side.refusal})" if side.refusal is not None else ""
        msg = (
            f"{side.result.path}: a registration is found on the CTs of both cases, and this one has none{why}. Register the "
            "images elsewhere and give the transform (--transform)."
        )
        raise InputError(msg, code="ct-missing")
    side.ct.grid.require_same_frame(side.dose.grid, f"{side.result.path.name}: CT and dose")
    return side.ct


def _match(sides: list[Side], matching: Matching) -> tuple[list[Side], dict[str, Any], tuple[Remark, ...]]:
    """Both sides at one width; what was done, as JSON holds it and as a sentence."""
    target, matched = matching.fwhm_mm, []
    content: dict[str, Any] = {"fwhm_mm": target}
    words = []
    for name, side, stated in zip(("pre", "post"), sides, matching.own_fwhm_mm, strict=True):
        own = _resolution_of(side, name, stated)
        by = own.blur_to(target)
        matched.append(replace(side, dose=match_to(side.dose, own, target)))
        content[name] = {"own_fwhm_mm_kji": list(own.fwhm_mm), "source": own.source, "blurred_by_fwhm_mm_kji": list(by)}
        change = f"is blurred by {format_widths(by)}" if max(by) > 0 else "is not blurred"
        words.append(f"{name} is stated to have {own} ({own.source}) and {change}")
    sentence = (
        f"Resolution matched at {target:g} mm FWHM: {'; '.join(words)} (the root of {target:g}² less the square of its own width). "
        "Matched numbers, gamma, the difference and the pictures are of the matched doses; all other numbers are those of the "
        "results as they stand."
    )
    numbers: dict[str, float | int | str | bool | None] = {"fwhm_mm": target}
    for name in ("pre", "post"):
        numbers |= {f"{name}_blurred_by_mm": max(content[name]["blurred_by_fwhm_mm_kji"])}
    return matched, content, (Remark("resolution-matched", numbers, sentence),)


def _resolution_of(side: Side, name: str, stated: float | None) -> Resolution:
    if stated is not None:
        return Resolution((stated, stated, stated), f"--{name}-fwhm")
    facts = side.result.content.get("resolution") or {}
    widths = facts.get("fwhm_mm_kji")
    if not widths:
        msg = (
            f"{side.result.path}: how sharp the {name} image is must be stated before it can be matched: --{name}-fwhm MM (its "
            "FWHM, from a phantom scan with the patient's reconstruction), or [resolution] fwhm_mm in its case."
        )
        raise InputError(msg, code="key-missing", key=f"--{name}-fwhm")
    k, j, i = widths
    return Resolution((k, j, i), "[resolution] of its case")
