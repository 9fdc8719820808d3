"""Flags in place of the keys of a case file, in one table."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["with_flags"]

_GRIDS = ("activity", "ct", "rois")


def _absolute(path: Any) -> str:
    return str(Path(path).absolute())


def _grid(word: str) -> str | float:
    if word in _GRIDS:
        return word
    try:
        return float(word)
    except ValueError:
        msg = f"--grid must be activity, ct, rois or a spacing in mm, found {word!r}."
        raise click.UsageError(msg) from None


def _density(word: str) -> str:
    return word if word in ("ct", "uniform") else _absolute(word)


@dataclass(frozen=True)
class _Key:
    """A key of the case file; ``value`` makes what the file would hold from the flag."""

    table: str
    key: str
    value: Callable[[Any], Any] = lambda given: given


#: Flag -> key. ``registration`` replaces its table; ``rois``, ``labels`` and ``uncertainty`` make lists or several keys.
_KEYS = {
    "activity": _Key("activity", "path", _absolute),
    "quantity": _Key("activity", "quantity"),
    "measured_at": _Key("activity", "measured_at"),
    "image_nuclide": _Key("activity", "image_nuclide"),
    "undo_nuclide": _Key("activity", "undo_nuclide"),
    "undo_suv": _Key("activity", "undo_suv"),
    "weight_kg": _Key("activity", "weight_kg"),
    "energy_window": _Key("activity", "energy_window"),
    "slice_spacing_mm": _Key("activity", "slice_spacing_mm"),
    "ct": _Key("ct", "path", _absolute),
    "ct_uneven": _Key("ct", "uneven"),
    "administered_mbq": _Key("administration", "administered_mbq"),
    "residual_mbq": _Key("administration", "residual_mbq"),
    "at": _Key("administration", "at"),
    "assayed_at": _Key("administration", "assayed_at"),
    "residual_at": _Key("administration", "residual_at"),
    "lung_shunt": _Key("administration", "lung_shunt_fraction"),
    "device": _Key("administration", "device"),
    "bilirubin_mg_per_dl": _Key("case", "bilirubin_mg_per_dl"),
    "case_id": _Key("case", "id"),
    "calibration": _Key("dose", "calibration"),
    "calibration_region": _Key("dose", "calibration_region"),
    "engine": _Key("dose", "engine"),
    "grid": _Key("dose", "grid", _grid),
    "density_g_per_ml": _Key("dose", "density_g_per_ml"),
    "density": _Key("dose", "density", _density),
    "hu_table": _Key("dose", "hu_table", _absolute),
    "constants": _Key("dose", "constants"),
    "thresholds": _Key("dose", "thresholds", _absolute),
    "dose_bits": _Key("output", "dose_bits", int),
    "bed_dose": _Key("output", "bed_dose"),
    "rtstruct": _Key("output", "rtstruct"),
    "rtstruct_holes": _Key("output", "rtstruct_holes"),
    "rtplan": _Key("output", "rtplan"),
    "dose_on_ct": _Key("output", "dose_on_ct"),
    "samples": _Key("uncertainty", "samples"),
    "probability": _Key("uncertainty", "probabilities", list),
}


def with_flags(tables: Mapping[str, Any], flags: Mapping[str, Any]) -> dict[str, Any]:
    """The tables of a case file with the flags that were given in place of its keys.

    A table that is none is left to the check of the case file.

    Parameters
    ----------
    tables : mapping
        As the TOML file has them.
    flags : mapping
        Flag -> value; ``None`` and an empty tuple are not given.
    """
    given = {flag: value for flag, value in flags.items() if value not in (None, ())}
    changed = {name: dict(table) if isinstance(table, dict) else table for name, table in tables.items()}
    if not all(isinstance(changed.get(key.table, {}), dict) for key in _KEYS.values() if key.table != "uncertainty"):
        return changed
    if "uncertainty" in given and isinstance(changed.get("uncertainty", {}), dict):
        changed["uncertainty"] = {**changed.get("uncertainty", {}), **_uncertainties(given["uncertainty"])}
    for flag, key in _KEYS.items():
        if flag in given and isinstance(changed.get(key.table, {}), dict):
            changed[key.table] = {**changed.get(key.table, {}), key.key: key.value(given[flag])}
    if "density" in given and "density_g_per_ml" not in given:
        changed["dose"].pop("density_g_per_ml", None)
    if "density_g_per_ml" in given and "density" not in given:
        changed["dose"]["density"] = "uniform"
    if "registration" in given:
        changed["registration"] = {"path": _absolute(given["registration"])}
    if "rois" in given:
        changed["rois"] = [{"path": _absolute(p)} for p in given["rois"]]
    if "labels" in given:
        from voxeldose.io.config.labels import read_labels_file

        paths = [t["path"] for t in changed.get("rois", []) if isinstance(t, dict) and "path" in t]
        files = [p for path in paths for p in ([path] if isinstance(path, str) else path)]
        changed["rois"] = [{"path": files, "labels": read_labels_file(given["labels"])}]
    return changed


def _uncertainties(words: tuple[str, ...]) -> dict[str, Any]:
    """``--uncertainty KEY=VALUE`` as a table."""
    table = {}
    for word in words:
        key, sign, value = (part.strip() for part in word.partition("="))
        if not sign or not value:
            msg = f"--uncertainty takes KEY=VALUE, such as calibration_fraction=0.05, found {word!r}."
            raise click.UsageError(msg)
        table[key] = _number(value)
    return table


def _number(word: str) -> int | float | str:
    """A whole number, a number, or the word itself."""
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(word)
    return word
