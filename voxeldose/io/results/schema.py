"""JSON Schema of ``assessment.json``."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, get_args

from voxeldose.io.results.assessment import SCHEMA, columns
from voxeldose.model.best_value import ValueKind
from voxeldose.model.recovered import RecoveredMetrics
from voxeldose.model.roles import ROLES
from voxeldose.model.territory import TerritoryActivity

__all__ = ["assessment_schema"]

_NUMBER: dict[str, Any] = {"type": ["number", "null"]}
_TEXT: dict[str, Any] = {"type": "string"}
_MAYBE_TEXT: dict[str, Any] = {"type": ["string", "null"]}
#: What a file must hold.
_REQUIRED = (
    *("schema", "version", "kind", "kind_text", "rois", "totals"),
    *("thresholds", "constants", "method", "assumptions", "warnings"),
)


def assessment_schema() -> dict[str, Any]:
    """What a file of schema 2 holds; ``null`` stands where a number is undefined or would mislead.

    Keys beyond those named may come: readers must not fail on them.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "voxeldose assessment",
        "type": "object",
        "required": list(_REQUIRED),
        "properties": {
            "schema": {"const": SCHEMA},
            "version": _TEXT,
            "kind": {"enum": ["predicted", "delivered", None]},
            "kind_text": _TEXT,
            "case": _object({"id": _TEXT}),
            "patient": {"type": ["object", "null"]},
            "rois": {"type": "object", "additionalProperties": _roi()},
            "tumor_to_normal_ratio": _NUMBER,
            "tumor_to_normal_region": _MAYBE_TEXT,
            "tumor_to_normal": _list(
                {
                    "roi": _TEXT,
                    "by_concentration": _NUMBER,
                    "by_dose": _NUMBER,
                    "normal": _TEXT,
                    "normal_volume_ml": _NUMBER,
                    "reached": {"type": "boolean"},
                }
            ),
            "totals": _totals(),
            "thresholds": _list(
                dict.fromkeys(("name", "roi", "metric", "source", "method", "differs"), _TEXT)
                | {"sense": _MAYBE_TEXT, "kind": {"enum": list(get_args(ValueKind))}, "image_value": _NUMBER}
                | {"limit": _NUMBER, "value": _NUMBER, "met": {"type": "boolean"}}
            ),
            "overlaps": _list({"first": _TEXT, "second": _TEXT, "volume_ml": _NUMBER}),
            "constants": _object(
                dict.fromkeys(("name", "radionuclide", "source"), _TEXT)
                | {key: {"type": "number"} for key in ("half_life_h", "mean_energy_mev", "gy_kg_per_gbq")}
            ),
            "method": _object(
                {"engine": _TEXT, "description": _TEXT, "calibration": _TEXT, "grid": {"type": "object"}}
            ),
            "radiobiology": {"type": "object"},
            "lungs": _lungs(),
            "uncertainty": {"type": ["object", "null"]},
            "resolution": {"type": "object"},
            "administration": _object(
                {
                    "administered_mbq": _NUMBER,
                    "residual_mbq": _NUMBER,
                    "at": _MAYBE_TEXT,
                    "lung_shunt_fraction": _NUMBER,
                    "device": _MAYBE_TEXT,
                }
            ),
            "reported": {"type": "object"},
            "registration": {"type": ["object", "null"]},
            "assumptions": _remarks(),
            "warnings": _remarks(),
        },
    }


_TOTALS = (
    *("activity_mbq", "administered_mbq", "net_mbq", "recovered_fraction", "energy_j", "energy_emitted_j", "held_mbq"),
    *("calibration_region_mbq", "outside_region_mbq", "outside_region_fraction", "liver_of_field_fraction"),
)


def _lungs() -> dict[str, Any]:
    """Dose to the lungs by the shunt fraction in 1 kg and in their own mass, and the fraction that the image shows."""
    numbers = (
        *("lung_shunt_fraction", "dose_gy", "mass_g", "dose_own_mass_gy", "own_mass_g", "cumulative_gy"),
        *("measured_shunt_fraction", "measured_part_seen"),
    )
    texts = ("mass_source", "own_mass_source", "limits_source", "formula", "measured_formula")
    limit = {"name": _TEXT, "limit_gy": _NUMBER, "value_gy": _NUMBER, "met": {"type": "boolean"}}
    others = {
        "earlier_gy": {"type": "array", "items": {"type": "number"}},
        "limits": _list(limit | {"mass_g": _NUMBER, "mass_source": _TEXT}),
        "measured_is_cut": {"type": ["boolean", "null"]},
    }
    found = _object(dict.fromkeys(numbers, _NUMBER) | dict.fromkeys(texts, _MAYBE_TEXT) | others)
    return found | {"type": ["object", "null"]}


def _totals() -> dict[str, Any]:
    """Sums, and what each territory got: a key that is absent where one vessel was infused."""
    numbers = dict.fromkeys((f.name for f in fields(TerritoryActivity)), _NUMBER)
    sums = _object(dict.fromkeys(_TOTALS, _NUMBER) | {"calibration_region": _MAYBE_TEXT})
    return sums | {
        "properties": sums["properties"] | {"territories": _list(numbers | {"roi": _TEXT, "at": _MAYBE_TEXT})}
    }


def _roi() -> dict[str, Any]:
    meanings = columns()["rois.csv"]
    numbers = {
        name: {**_NUMBER, "description": meaning["meaning"] + (f" ({meaning['unit']})" if meaning["unit"] else "")}
        for name, meaning in meanings.items()
        if name not in ("roi", "role")
    }
    rest = {
        "role": {"enum": list(ROLES)},
        "reached": {"type": ["boolean", "null"]},
        "outside_grid_fraction": _NUMBER,
        "source_name": _MAYBE_TEXT,
        "codes": {"type": "array"},
    }
    roi = _object(numbers | rest)
    return roi | {"properties": roi["properties"] | {"recovered": _recovered()}}


def _recovered() -> dict[str, Any]:
    """Recovered numbers of a tumor or of normal liver, where the case has ``[resolution]``: a key that may be absent."""
    interval = _object(dict.fromkeys(("value", "low", "high"), _NUMBER))
    numbers = dict.fromkeys(RecoveredMetrics.names(), interval)
    others = dict.fromkeys(("mean_dose_rbv_gy", "growth_mm", "cold_core_ml"), _NUMBER)
    curve = _object({key: {"type": "array"} for key in ("dose_gy", "fraction", "low_fraction", "high_fraction")})
    dvh = {**curve, "type": ["object", "null"]}
    rest = {"as_drawn": _object(numbers), "shift_lps_mm": {"type": "array"}, "dvh": dvh}
    return _object(numbers | others | rest)


def _remarks() -> dict[str, Any]:
    return _list({"code": _TEXT, "message": _TEXT, "numbers": {"type": "object"}})


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


def _list(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": _object(properties)}
