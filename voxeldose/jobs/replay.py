"""A run repeated from its manifest, and what differs from then: settings, inputs, software, numbers."""

from __future__ import annotations

import copy
import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from voxeldose import __version__
from voxeldose.errors import InputError, VoxeldoseError
from voxeldose.io.arrays import read_array
from voxeldose.io.config.case import case_file_again, input_files
from voxeldose.io.results.assessment import assessment_dict, write_json
from voxeldose.io.results.content import numbers_of, read_content
from voxeldose.io.results.manifest import SCHEMA as RUN_SCHEMA
from voxeldose.io.results.manifest import digests, find_with_results, read_manifest, relocate, sha256, software
from voxeldose.io.results.new_folder import new_folder
from voxeldose.jobs.run_case import run_case
from voxeldose.model.remarks import Remark

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from voxeldose.model.assessment import Assessment

__all__ = ["Replay", "replay"]

SCHEMA = "voxeldose/replay/1"


@dataclass(frozen=True)
class Replay:
    """How a repeated run compares with the first one.

    Parameters
    ----------
    identical : bool
        Whether every voxel of the dose and every number of the assessment is the same, to the last bit.
    remarks : tuple of Remark
        What differs; one says that nothing does.
    content : dict
        The same as ``replay.json``.
    """

    identical: bool
    remarks: tuple[Remark, ...]
    content: dict[str, Any]

    @property
    def sentences(self) -> tuple[str, ...]:
        """What differs, for people."""
        return tuple(one.sentence for one in self.remarks)


def replay(
    manifest: Path,
    out: Path,
    *,
    settings: Mapping[str, str] | None = None,
    moved: tuple[str, str] | None = None,
    overwrite: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Replay:
    """Repeat a run and write its results, with ``replay.json`` next to them, into ``out``.

    Parameters
    ----------
    manifest : Path
        ``run.json`` or the results folder that holds it.
    out : Path
        A new results folder.
    settings : mapping, optional
        Keys of the case to change first, such as ``{"dose.engine": "local"}``; values as in TOML.
    moved : (old, new), optional
        Start of the inputs' paths, where they have moved since.
    overwrite : bool
        Replace an earlier results folder.
    progress : callable, optional
        Called with a few words before each step.

    Returns
    -------
    Replay
        Numbers are compared bit by bit. How they differ is known in detail where ``assessment.json`` and ``dose.nii.gz``
        still lie next to the manifest as the run wrote them, else only whether they do.

    Raises
    ------
    InputError
        If the manifest cannot be used, or an input file is no longer there.
    VoxeldoseError
        If the case cannot be run.
    """
    folder = manifest if manifest.is_dir() else manifest.parent
    was, untouched = read_manifest(manifest)
    found_there = find_with_results(was, folder) if moved is None else None
    if (pair := moved or found_there) is not None:
        was = relocate(was, *pair)
    before = case_file_again(was["case"], f"{manifest}, case").model_dump(mode="json")
    config = case_file_again(_change_settings(was["case"], settings or {}), f"{manifest}, case")
    recorded = {str(item["path"]): str(item["sha256"]) for item in was["inputs"]}
    new_settings = _differences(before, config.model_dump(mode="json"))
    gone = sorted(p for p in recorded if not Path(p).is_file()) if not new_settings else []
    if gone:
        listed = ", ".join(gone[:3]) + (f" and {len(gone) - 3} more" if len(gone) > 3 else "")
        msg = f"{manifest}: input files of that run are no longer there: {listed}. Put them back, or say where they are (--moved OLD=NEW)."
        raise InputError(msg, code="file-missing", files=tuple(gone))
    with new_folder(out, overwrite=overwrite) as partial:
        result = run_case(config, partial, progress=progress)
        now = {str(p): sha256(p) for p in input_files(config)}
        inputs = {
            "changed": sorted(p for p in now if p in recorded and recorded[p] != now[p]),
            "added": sorted(p for p in now if p not in recorded),
            "left_out": sorted(p for p in recorded if p not in now),
        }
        numbers = _numbers(was, folder, result)
        content: dict[str, Any] = {
            "schema": SCHEMA,
            "manifest_untouched": untouched,
            "moved": list(found_there) if found_there is not None else None,
            "settings": new_settings,
            "inputs": inputs,
            "software": _software(was),
            "numbers": numbers,
            "identical": numbers["identical"],
        }
        remarks = tuple(_describe(content))
        content["sentences"] = [one.sentence for one in remarks]
        write_json(content, partial / "replay.json")
    return Replay(bool(content["identical"]), remarks, content)


def _change_settings(case: dict[str, Any], settings: Mapping[str, str]) -> dict[str, Any]:
    """The case with other settings; a value that is no TOML is taken as text."""
    new = copy.deepcopy(case)
    for key, text in settings.items():
        table, _, name = key.partition(".")
        if not name or not isinstance(new.get(table, {}), dict):
            msg = f"--set {key}: give a table and a key, such as dose.engine=local."
            raise InputError(msg, code="setting-malformed", found=key)
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        new[table] = {**(new.get(table) or {}), name: value}
    return new


def _leaves(content: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(content, dict):
        for key, value in content.items():
            yield from _leaves(value, f"{place}.{key}" if place else str(key))
    elif isinstance(content, list) and any(isinstance(v, (dict, list)) for v in content):
        for n, value in enumerate(content):
            yield from _leaves(value, f"{place}[{n}]")
    else:
        yield place, content


def _differences(was: Any, now: Any) -> dict[str, list[Any]]:
    """Every leaf that differs, as key -> [was, now]."""
    first, second = dict(_leaves(was)), dict(_leaves(now))
    keys = dict.fromkeys([*first, *second])
    return {k: [first.get(k), second.get(k)] for k in keys if first.get(k) != second.get(k)}


def _software(was: dict[str, Any]) -> dict[str, list[Any]]:
    here = {"voxeldose": __version__, **software()}
    there = {"voxeldose": was["version"], **{k: was.get(k) for k in ("python", "platform", "libraries")}}
    return _differences(there, here)


def _numbers(was: dict[str, Any], folder: Path, result: Assessment) -> dict[str, Any]:
    """Whether the numbers are the same, and how they differ; ``None`` where that is not known.

    A run of schema 1 sealed its sentences with its numbers, so the numbers are compared one by one.
    """
    recorded, now = was.get("numbers") or {}, digests(result)
    same_dose = recorded.get("dose_sha256") == now["dose_sha256"]
    same_numbers = (
        recorded.get("assessment_sha256") == now["assessment_sha256"] if was["schema"] == RUN_SCHEMA else None
    )
    changes = None
    if not same_numbers and _is_as_written(was, folder / "assessment.json"):
        before, after = read_content(folder), assessment_dict(result)
        schema = before["schema"]
        changes = _differences(numbers_of(before, schema=schema), numbers_of(after, schema=schema))
        same_numbers = not changes if same_numbers is None else same_numbers
    dose = None
    if not same_dose and _is_as_written(was, folder / "dose.nii.gz"):
        dose = _dose_change(folder / "dose.nii.gz", result)
    return {
        "identical": same_dose and same_numbers is True,
        "dose_identical": same_dose,
        "assessment_identical": same_numbers,
        "assessment": changes,
        "dose": dose,
    }


def _is_as_written(was: dict[str, Any], path: Path) -> bool:
    return path.is_file() and was["outputs"].get(path.name) == sha256(path)


def _dose_change(path: Path, result: Assessment) -> dict[str, Any]:
    """Where the dose differs from the earlier map, and by how much."""
    try:
        values, grid, _ = read_array(path)
    except VoxeldoseError:
        return {"grid_differs": True}
    if not grid.matches(result.dose.grid):
        return {"grid_differs": True}
    change = result.dose.gy.astype(np.float64) - values
    where = np.unravel_index(int(np.abs(change).argmax()), change.shape)
    return {
        "grid_differs": False,
        "voxels_changed": int((change != 0).sum()),
        "largest_change_gy": float(change[where]),
        "at_kji": [int(n) for n in where],
        "at_lps_mm": [round(float(v), 3) for v in result.dose.grid.points_lps_mm(where)],
    }


def _describe(content: dict[str, Any]) -> Iterator[Remark]:
    """What differs, how it was computed before what came out."""
    if not content["manifest_untouched"]:
        sentence = "The manifest is not as the run wrote it: it was edited, or made by a version that did not seal it."
        yield Remark("manifest-edited", {}, sentence)
    if content["moved"] is not None:
        old, new = content["moved"]
        sentence = f"Inputs are no longer where they were; those at {new} are taken for those at {old}."
        yield Remark("inputs-moved", {}, sentence)
    for key, (was, now) in content["settings"].items():
        yield Remark("setting-changed", {"key": key}, f"Setting {key}: {was!r} then, {now!r} now.")
    for group, code, predicate in (
        ("changed", "input-changed", "holds other bytes than then"),
        ("added", "input-added", "was not there then"),
        ("left_out", "input-left-out", "is not used now"),
    ):
        yield from (Remark(code, {}, f"Input {path} {predicate}.") for path in content["inputs"][group])
    for key, (was, now) in content["software"].items():
        yield Remark(
            "software-changed", {"key": key, "then": was, "now": now}, f"Software {key}: {was} then, {now} now."
        )
    if content["numbers"]["identical"]:
        yield Remark("numbers-identical", {}, "Every number is the same, to the last bit.")
        return
    yield _describe_dose(content["numbers"])
    yield from _describe_numbers(content["numbers"])


def _describe_dose(numbers: dict[str, Any]) -> Remark:
    if numbers["dose_identical"]:
        return Remark("dose-identical", {}, "The dose map is the same, to the last bit.")
    dose = numbers["dose"]
    if dose is None:
        sentence = (
            "The dose map differs; by how much is not known, as the earlier dose.nii.gz is not next to the manifest."
        )
        return Remark("dose-change-unknown", {}, sentence)
    if dose["grid_differs"]:
        return Remark("dose-grid-changed", {}, "The dose map lies on other voxels than then.")
    voxels, largest = dose["voxels_changed"], dose["largest_change_gy"]
    sentence = (
        f"The dose differs in {voxels} voxels, most by {largest:+.6g} Gy at k, j, i = "
        f"{tuple(dose['at_kji'])} ({', '.join(f'{v:g}' for v in dose['at_lps_mm'])} mm in x, y, z)."
    )
    return Remark("dose-differs", {"voxels": voxels, "largest_change_gy": largest}, sentence)


def _describe_numbers(numbers: dict[str, Any]) -> Iterator[Remark]:
    lost = "as the earlier assessment.json is not next to the manifest"
    if numbers["assessment_identical"] is None:
        yield Remark("numbers-unknown", {}, f"Whether numbers of the assessment differ is not known, {lost}.")
    elif not numbers["assessment_identical"] and numbers["assessment"] is None:
        sentence = f"Numbers of the assessment differ; which is not known, {lost}."
        yield Remark("numbers-change-unknown", {}, sentence)
    changed = numbers["assessment"] or {}
    results = ("rois.", "totals.", "thresholds", "overlaps", "tumor_to")
    for key in sorted(changed, key=lambda k: k.startswith(results)):
        was, now = changed[key]
        sentence = f"{key}: {_format(was)} then, {_format(now)} now."
        yield Remark("number-changed", {"key": key, "then": _as_number(was), "now": _as_number(now)}, sentence)


def _as_number(value: Any) -> float | str | bool | None:
    """A value as a remark can carry it; lists as text."""
    return value if value is None or isinstance(value, float | int | str | bool) else _format(value)


def _format(value: Any) -> str:
    return f"{value:.8g}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False)
