"""Flags of a command in place of the keys of a case file, in one table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxeldose.io.arrays import SUFFIXES
from voxeldose.io.config.labels import read_labels_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from voxeldose.io.config.case import CaseFile

__all__ = ["idle_flag", "with_flags"]


def _absolute(path: Any) -> str:
    return str(Path(path).absolute())


def _density(word: str) -> str:
    return word if word in ("ct", "uniform") else _absolute(word)


#: Table -> flags that bear the name of a key there.
_SAME = {
    "activity": "quantity measured_at image_nuclide undo_nuclide undo_suv weight_kg energy_window slice_spacing_mm",
    "administration": "administered_mbq residual_mbq at assayed_at residual_at device",
    "case": "bilirubin_mg_per_dl",
    "dose": "calibration calibration_region allow_activity_outside engine grid density_g_per_ml density hu_table constants thresholds",
    "output": "dose_bits bed_dose rtstruct rtstruct_holes rtplan dose_on_ct",
    "uncertainty": "samples",
}

#: Flag -> table and key. ``registration`` replaces its table; ``rois``, ``labels`` and ``uncertainty`` make lists or several keys.
_KEYS = {flag: (table, flag) for table, flags in _SAME.items() for flag in flags.split()} | {
    "activity": ("activity", "path"),
    "ct": ("ct", "path"),
    "ct_uneven": ("ct", "uneven"),
    "lung_shunt": ("administration", "lung_shunt_fraction"),
    "case_id": ("case", "id"),
    "probability": ("uncertainty", "probabilities"),
}

#: Flags whose value is not that of the file, and what makes one of the other.
_VALUES: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("activity", "ct", "hu_table", "thresholds"), _absolute),
    "density": _density,
    "dose_bits": int,
    "probability": list,
}


def with_flags(tables: Mapping[str, Any], flags: Mapping[str, Any]) -> dict[str, Any]:
    """The tables of a case file with the flags that were given in place of its keys.

    A table that is none is left to the check of the case file.

    Parameters
    ----------
    tables : mapping
        As the TOML file has them.
    flags : mapping
        Flag -> value; ``None`` and an empty tuple are not given. ``uncertainty`` is pairs of a key and a value.
    """
    given = {flag: value for flag, value in flags.items() if value not in (None, ())}
    changed = {name: dict(table) if isinstance(table, dict) else table for name, table in tables.items()}
    changed |= {"protocol": _absolute(given["protocol"])} if "protocol" in given else {}
    if not all(isinstance(changed.get(table, {}), dict) for table, _ in _KEYS.values() if table != "uncertainty"):
        return changed
    if "uncertainty" in given and isinstance(changed.get("uncertainty", {}), dict):
        changed["uncertainty"] = {**changed.get("uncertainty", {}), **dict(given["uncertainty"])}
    for flag, (table, key) in _KEYS.items():
        if flag in given and isinstance(changed.get(table, {}), dict):
            value = _VALUES.get(flag, lambda same: same)(given[flag])
            changed[table] = {**changed.get(table, {}), key: value}
    _drop_replaced(changed, given)
    if "registration" in given:
        changed["registration"] = {"path": _absolute(given["registration"])}
    if "rois" in given:
        changed["rois"] = [{"path": _absolute(p)} for p in given["rois"]]
    if "labels" in given:
        paths = [t["path"] for t in changed.get("rois", []) if isinstance(t, dict) and "path" in t]
        files = [p for path in paths for p in ([path] if isinstance(path, str) else path)]
        changed["rois"] = [{"path": files, "labels": read_labels_file(given["labels"])}]
    return changed


def _drop_replaced(changed: dict[str, Any], given: Mapping[str, Any]) -> None:
    """Keys that would contradict a flag, as they say the same thing in another way."""
    if "density" in given and "density_g_per_ml" not in given:
        changed["dose"].pop("density_g_per_ml", None)
    if "density_g_per_ml" in given and "density" not in given:
        changed["dose"]["density"] = "uniform"
    if "bilirubin_mg_per_dl" in given and isinstance(changed.get("patient"), dict):
        changed["patient"].pop("bilirubin_mg_per_dl", None)


def _is_dicom(config: CaseFile) -> bool:
    return not config.activity.path.casefold().endswith(SUFFIXES)


#: Flag -> whether it acts in a case, and what it needs.
_NEEDS: dict[str, tuple[Callable[[CaseFile], object], str]] = {
    "weight_kg": (lambda c: c.activity.undo_suv, "--undo-suv"),
    "energy_window": (_is_dicom, "a DICOM SPECT"),
    "slice_spacing_mm": (_is_dicom, "a DICOM SPECT"),
    "hu_table": (lambda c: c.dose.density == "ct", "--density ct"),
    "allow_activity_outside": (lambda c: c.dose.calibration == "administered", "--calibration administered"),
    "residual_mbq": (lambda c: c.administration.administered_mbq, "--administered-mbq"),
    "residual_at": (lambda c: c.administration.residual_mbq, "--residual-mbq"),
    "dose_bits": (_is_dicom, "a DICOM image"),
    "rtstruct_holes": (lambda c: c.output.rtstruct, "--rtstruct"),
}


def idle_flag(flags: Mapping[str, Any], config: CaseFile) -> str | None:
    """What to tell of a flag that was given and does nothing in this case; ``None`` where every flag acts.

    Parameters
    ----------
    flags : mapping
        As in :func:`with_flags`.
    config : CaseFile
        With the flags in place of its keys.
    """
    given = [flag for flag, value in flags.items() if value not in (None, ())]
    idle = next((flag for flag in given if flag in _NEEDS and not _NEEDS[flag][0](config)), None)
    if idle is None:
        return None
    return f"--{idle.replace('_', '-')} does nothing without {_NEEDS[idle][1]}; leave it out."
