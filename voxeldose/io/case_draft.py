"""A case file drafted from what an inspection found: known keys filled in, unknown ones as comments that say what is needed."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Row = Mapping[str, Any]

__all__ = ["draft_case"]

_ROLES = "tumor, liver, normal_liver, perfused, segment, lung, other"
#: What a key that is left open could hold where it is a choice; a number or instant is the user's to fill in.
_CHOICES = {
    "activity.quantity": '"counts"',
    "activity.undo_suv": "true",
    "activity.image_nuclide": '"Y-90"',
    "ct.uneven": '"resample"',
}


def draft_case(rows: Sequence[Row], folder: Path) -> str:
    """The case file (TOML) that would assess what was found.

    Parameters
    ----------
    rows : sequence of dict
        Of :func:`voxeldose.io.inspection.inspect`.
    folder : path
        Where the case file is going to lie; paths are written relative to it.

    Returns
    -------
    str
        TOML. The activity is the Y-90 PET if there is one, else another PET, else a SPECT, else a file without units; what
        else could be meant stands beside it as a comment.
    """
    activities = sorted((r for r in rows if _emission_rank(r) is not None), key=lambda r: _emission_rank(r) or 0)
    cts = sorted((r for r in rows if r["kind"] == "CT"), key=lambda r: r["use"] is None)
    regions = [r for r in rows if r["use"] == "rois"]
    uids = Counter(str(r["path"]) for r in rows)
    lines = [
        "# Drafted by voxeldose inspect. What stands behind # is not known from the files: fill it in and take the # away.",
        "",
        "[case]",
        'id = ""  # a label for the results; never a patient identifier',
        "",
        *_image("activity", activities, folder, uids),
        *_image("ct", cts, folder, uids),
        *_regions(regions, folder),
        *_administration(activities[0] if activities else None),
    ]
    return "\n".join(lines) + "\n"


def _emission_rank(row: Row) -> int | None:
    """Order in which images stand for the activity; ``None`` for what is none."""
    usable = row["use"] is not None
    if row["kind"] == "PT":
        return (0 if row["nuclide"] == "Y-90" else 1) if usable else 3
    if row["kind"] == "NM":
        return 2 if usable else 4
    return 5 if usable and str(row["use"]).startswith("activity") else None


def _image(table: str, rows: Sequence[Row], folder: Path, uids: Counter[str]) -> list[str]:
    if not rows:
        what = "a PET or SPECT" if table == "activity" else "a CT is only needed for density = 'ct' and for display"
        return [f"# [{table}]", f'# path = ""  # none was found: {what}', ""]
    first = rows[0]
    lines = [f"[{table}]", *_path_of(first, folder, uids), f"# {_said(first)}"]
    if first["use"] is None:
        lines.append(f"# As it is, {_one_line(first['verdict'])}")
    for key, what in first["needs"].items():
        if key.startswith(f"{table}."):
            lines.append(f"# {key.partition('.')[2]} = {_example(key, first)}  # {what}")
    for other in rows[1:]:
        shown = "; ".join(_path_of(other, folder, uids))
        lines.append(f"# or: {shown}  # {_said(other)}{'' if other['use'] else ' (refused as it is)'}")
    return [*lines, ""]


def _regions(rows: Sequence[Row], folder: Path) -> list[str]:
    if not rows:
        return [
            "# [[rois]]",
            '# path = ""  # needed: label map, SEG, RTSTRUCT, .seg.nrrd or a folder of masks; none was found',
            f'# labels = {{ 1 = {{ name = "liver", role = "liver" }} }}  # roles: {_ROLES}',
            "",
        ]
    lines, taken = list[str](), set[str]()
    some_named = any(row["regions"] for row in rows)
    for row in sorted(rows, key=lambda r: not r["regions"]):
        path, said = _text(_relative(row["path"], folder)), _one_line(row["verdict"])
        twice = sorted(taken & set(row["regions"]))
        nameless = "rois.labels" in row["needs"] and some_named
        if twice or nameless:
            why = "needs labels = { 1 = { name, role } }" if nameless else f"{', '.join(twice)}: named above already"
            lines += [f"# [[rois]]  # {why}", f"# path = {path}", f"# {said}", ""]
            continue
        taken |= set(row["regions"])
        lines += ["[[rois]]", f"path = {path}", f"# {said}"]
        if "rois.labels" in row["needs"]:
            lines.append(f'# labels = {{ 1 = {{ name = "?", role = "?" }} }}  # needed: every label; roles: {_ROLES}')
        lines.append("")
    return lines


def _administration(activity: Row | None) -> list[str]:
    instants = activity["instants"] if activity else {}
    given = instants.get("administered", "")
    known = f"the image's header says {given}" if given else "the header does not say"
    zone = " (the header's times take its zone)" if _without_zone(activity) else ""
    absolute = activity is not None and activity["use"] and activity["units"] == "BQML" and not activity["needs"]
    choice = '  # or "absolute", which takes the image\'s own Bq/mL and needs at' if absolute else ""
    return [
        "[administration]",
        'radionuclide = "Y-90"',
        '# device = "glass"  # or "resin"; decides the thresholds compared',
        "# administered_mbq = ?  # needed: activity in the vial, decayed to the infusion",
        "# residual_mbq = ?  # left in vial and tubing, at the same instant",
        f"# at = ?  # the infusion, as 2024-05-02T10:15:00+02:00{zone}; {known}",
        "# lung_shunt_fraction = ?  # 0 to 1; none without it",
        "",
        "[dose]",
        f'calibration = "administered"{choice}',
    ]


def _without_zone(activity: Row | None) -> bool:
    return activity is not None and "no time zone stated" in activity["quirks"]


def _path_of(row: Row, folder: Path, uids: Counter[str]) -> list[str]:
    lines = [f"path = {_text(_relative(row['path'], folder))}"]
    if row["series_uid"] and uids[str(row["path"])] > 1:
        lines.append(f"series_uid = {_text(row['series_uid'])}")
    return lines


def _said(row: Row) -> str:
    facts: Iterable[object] = (row["kind"], row["vendor"], row["nuclide"], row["units"], row["decay"], row["grid"])
    return ", ".join(str(f) for f in facts if f)


def _example(key: str, row: Row) -> str:
    if key == "activity.undo_nuclide" and row["nuclide"] and row["nuclide"] != "Y-90":
        return _text(row["nuclide"])
    return _CHOICES.get(key, "?")


def _relative(path: object, folder: Path) -> str:
    return Path(os.path.relpath(Path(str(path)).absolute(), folder.absolute())).as_posix()


def _text(value: object) -> str:
    """A TOML basic string, whose escapes are those of JSON."""
    return json.dumps(str(value), ensure_ascii=False)


def _one_line(text: object) -> str:
    return " ".join(str(text).split())
