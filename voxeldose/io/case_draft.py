"""A case file drafted from what an inspection found: known keys filled in, unknown ones as comments that say what is needed."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from voxeldose.io.dicom.header import printable
from voxeldose.model.roles import ROLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from voxeldose.io.inspection import FoundSeries

__all__ = ["draft_case"]

_ROLES = ", ".join(ROLES)
#: What a key that is left open could hold where it is a choice; a number or instant is the user's to fill in.
_CHOICES = {
    "activity.quantity": '"counts"',
    "activity.undo_suv": "true",
    "activity.image_nuclide": '"Y-90"',
    "ct.uneven": '"resample"',
}
#: Codes of refusals of series that are no image of activity, whatever their modality says.
_NO_EMISSION = ("image-not-emission", "image-is-projection")
#: Remarks that put an image behind others of its kind, the worst highest.
_BEHIND = {"image-described-as-map": 4, "attenuation-uncorrected": 2, "image-derived": 1}


def draft_case(found: Sequence[FoundSeries], folder: Path) -> str:
    """The case file (TOML) that would assess what was found.

    Parameters
    ----------
    found : sequence of FoundSeries
        Of :func:`voxeldose.io.inspection.inspect`.
    folder : path
        Where the case file is going to lie; paths are written relative to it.

    Returns
    -------
    str
        TOML. The activity is the Y-90 PET if there is one, else another PET, else a SPECT, else a file without units; of
        several, one that was corrected for attenuation goes before one that was not, and an original before a derived one.
        What else could be meant stands below it as a comment; maps of attenuation and projections never do.
    """
    activities = sorted((s for s in found if _emission_rank(s) is not None), key=lambda s: _emission_rank(s) or (0, 0))
    cts = sorted((s for s in found if s.kind == "CT"), key=lambda s: not s.uses)
    regions = [s for s in found if s.uses == ("rois",)]
    uids = Counter(s.path for s in found)
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


def _emission_rank(series: FoundSeries) -> tuple[int, int] | None:
    """Order in which images stand for the activity, by kind and then by corrections; ``None`` for what is none."""
    if series.refusal is not None and series.refusal.code in _NO_EMISSION:
        return None
    corrections = sum(_BEHIND.get(remark.code, 0) for remark in series.remarks)
    if series.kind == "PT":
        return (0 if series.nuclide == "Y-90" else 1) if series.uses else 3, corrections
    if series.kind == "NM":
        return 2 if series.uses else 4, corrections
    return (5, corrections) if "activity" in series.uses else None


def _image(table: str, rows: Sequence[FoundSeries], folder: Path, uids: Counter[str]) -> list[str]:
    if not rows:
        what = "a PET or SPECT" if table == "activity" else "a CT is only needed for density = 'ct' and for display"
        return [f"# [{table}]", f'# path = ""  # none was found: {what}', ""]
    first = rows[0]
    lines = [f"[{table}]", *_path_of(first, folder, uids), f"# {_describe(first)}"]
    if not first.uses:
        lines.append(f"# As it is, {_one_line(first.verdict)}")
    for key, what in first.needs.items():
        if key.startswith(f"{table}."):
            lines.append(f"# {key.partition('.')[2]} = {_example(key, first)}  # {what}")
    for other in rows[1:]:
        place = "; ".join(_path_of(other, folder, uids))
        lines.append(f"# or: {place}  # {_describe(other)}{'' if other.uses else ' (refused as it is)'}")
    return [*lines, ""]


def _regions(rows: Sequence[FoundSeries], folder: Path) -> list[str]:
    if not rows:
        return [
            "# [[rois]]",
            '# path = ""  # needed: label map, SEG, RTSTRUCT, .seg.nrrd or a folder of masks; none was found',
            f'# labels = {{ 1 = {{ name = "liver", role = "liver" }} }}  # roles: {_ROLES}',
            "",
        ]
    lines, taken = list[str](), set[str]()
    some_named = any(row.regions for row in rows)
    for row in sorted(rows, key=lambda r: not r.regions):
        path, verdict = _text(_relative(row.path, folder)), _one_line(row.verdict)
        twice = sorted(taken & set(row.regions))
        nameless = "rois.labels" in row.needs and some_named
        if twice or nameless:
            why = "needs labels = { 1 = { name, role } }" if nameless else f"{', '.join(twice)}: named above already"
            lines += [f"# [[rois]]  # {why}", f"# path = {path}", f"# {verdict}", ""]
            continue
        taken |= set(row.regions)
        lines += ["[[rois]]", f"path = {path}", f"# {verdict}"]
        if "rois.labels" in row.needs:
            lines.append(f'# labels = {{ 1 = {{ name = "?", role = "?" }} }}  # needed: every label; roles: {_ROLES}')
        lines.append("")
    return lines


def _administration(activity: FoundSeries | None) -> list[str]:
    instants = activity.instants if activity else {}
    given = instants.get("administered", "")
    known = f"the image's header says {given}" if given else "the header does not say"
    zone = " (the header's times take its zone)" if activity is not None and activity.states_zone is False else ""
    is_absolute = activity is not None and activity.uses and activity.units == "BQML" and not activity.needs
    choice = '  # or "absolute", which takes the image\'s own Bq/mL and needs at' if is_absolute else ""
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


def _path_of(series: FoundSeries, folder: Path, uids: Counter[str]) -> list[str]:
    lines = [f"path = {_text(_relative(series.path, folder))}"]
    if series.series_uid and uids[series.path] > 1:
        lines.append(f"series_uid = {_text(series.series_uid)}")
    return lines


def _describe(series: FoundSeries) -> str:
    facts: Iterable[str | None] = (series.kind, series.vendor, series.nuclide, series.units, series.decay)
    return _one_line(", ".join(fact for fact in (*facts, series.grid_text) if fact))


def _example(key: str, series: FoundSeries) -> str:
    if key == "activity.undo_nuclide" and series.nuclide and series.nuclide != "Y-90":
        return _text(series.nuclide)
    return _CHOICES.get(key, "?")


def _relative(path: str, folder: Path) -> str:
    return Path(os.path.relpath(Path(path).absolute(), folder.absolute())).as_posix()


def _text(value: str) -> str:
    """A TOML basic string, whose escapes are those of JSON."""
    return json.dumps(value, ensure_ascii=False)


def _one_line(text: str) -> str:
    return printable(" ".join(text.split()))
