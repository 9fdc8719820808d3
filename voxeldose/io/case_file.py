"""The case file (TOML): its keys, their checks, and errors that name the key and the nearest known one."""

from __future__ import annotations

import difflib
import tomllib
from datetime import datetime  # noqa: TC003 - pydantic needs it at run time
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from voxeldose.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["CaseFile", "case_file_from", "read_case_file"]

Fraction = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class LabelTable(_Table):
    """Name and role of one label."""

    name: str = Field(min_length=1)
    role: Literal["tumor", "liver", "normal_liver", "perfused", "segment", "lung", "other"]


class CaseTable(_Table):
    """``[case]``."""

    id: str = ""


class ActivityTable(_Table):
    """``[activity]``."""

    path: str
    quantity: Literal["bq_per_ml", "bq", "counts"] | None = None
    measured_at: datetime | None = None
    image_nuclide: str | None = None
    series_uid: str | None = None


class CtTable(_Table):
    """``[ct]``."""

    path: str
    series_uid: str | None = None


class RoisTable(_Table):
    """``[[rois]]``: one file, or several that share their labels."""

    path: str | Annotated[list[str], Field(min_length=1)]
    labels: dict[str, LabelTable] | None = None


class AdministrationTable(_Table):
    """``[administration]``."""

    radionuclide: Literal["Y-90"] = "Y-90"
    device: Literal["glass", "resin"] | None = None
    administered_mbq: Positive | None = None
    residual_mbq: NotNegative = 0.0
    at: datetime | None = None
    assayed_at: datetime | None = None
    residual_at: datetime | None = None
    lung_shunt_fraction: Fraction | None = None


class DoseTable(_Table):
    """``[dose]``."""

    engine: Literal["dpk", "local", "density"] = "dpk"
    calibration: Literal["administered", "absolute"] = "administered"
    calibration_region: str | None = None
    grid: Literal["activity", "ct", "rois"] | Positive = "activity"
    density: str = "uniform"
    density_g_per_ml: Annotated[float, Field(ge=0.05, le=25)] | None = None
    constants: Literal["ddep", "icrp107", "vendor"] = "ddep"


class RadiobiologyTable(_Table):
    """``[radiobiology]``: names of parameter sets."""

    tumor: str | None = None
    normal_liver: str | None = None


class RecoveryTable(_Table):
    """Recovery by volume: the curve's parameters, or measured spheres (mL, recovery, its uncertainty)."""

    b_ml: Positive | None = None
    c: Positive | None = None
    b_sd_ml: NotNegative = 0.0
    c_sd: NotNegative = 0.0
    correlation: Annotated[float, Field(ge=-1, le=1)] = 0.0
    spheres: list[tuple[Positive, Positive, Positive]] | None = None
    source: str | None = None

    @field_validator("spheres", mode="before")
    @classmethod
    def _rows(cls, value: Any) -> Any:
        return [tuple(row) if isinstance(row, list) else row for row in value] if isinstance(value, list) else value


class UncertaintyTable(_Table):
    """``[uncertainty]``: standard uncertainties; keys as in :class:`voxeldose.spread.Spread`."""

    samples: Annotated[int, Field(ge=20)] | None = None
    seed: Annotated[int, Field(ge=0)] | None = None
    calibration_fraction: NotNegative | None = None
    energy_fraction: NotNegative | None = None
    lung_shunt_sd: NotNegative | None = None
    timing_h: NotNegative | None = None
    noise_fraction: NotNegative | None = None
    noise_fwhm_mm: NotNegative | None = None
    noise_region: str | None = None
    noise_floor: NotNegative | None = None
    registration_mm: NotNegative | None = None
    contour_mm: NotNegative | None = None
    contour_fwhm_mm: NotNegative | None = None
    recovery: RecoveryTable | None = None
    probabilities: list[str] = []


class CaseFile(_Table):
    """A whole case file; paths are absolute after reading."""

    case: CaseTable = CaseTable()
    activity: ActivityTable
    ct: CtTable | None = None
    rois: list[RoisTable] = Field(min_length=1)
    administration: AdministrationTable = AdministrationTable()
    dose: DoseTable = DoseTable()
    radiobiology: RadiobiologyTable = RadiobiologyTable()
    uncertainty: UncertaintyTable | None = None


def read_case_file(path: Path) -> dict[str, Any]:
    """The tables of a TOML file, with paths made absolute from its folder; checked by :func:`case_file_from`.

    Raises
    ------
    InputError
        If there is no such file or it is not TOML.
    """
    path = path.absolute()
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        msg = f"{path}: there is no such case file."
        raise InputError(msg) from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        msg = f"{path}: cannot be read as TOML ({error})."
        raise InputError(msg) from error
    for table in (tables.get("activity"), tables.get("ct"), *_listed(tables.get("rois"))):
        if isinstance(table, dict) and isinstance(table.get("path"), str):
            table["path"] = str(path.parent / table["path"])
        elif isinstance(table, dict) and isinstance(table.get("path"), list):
            table["path"] = [str(path.parent / p) if isinstance(p, str) else p for p in table["path"]]
    dose = tables.get("dose")
    if isinstance(dose, dict) and isinstance(dose.get("density"), str) and dose["density"] not in ("uniform", "ct"):
        dose["density"] = str(path.parent / dose["density"])
    return tables


def case_file_from(tables: dict[str, Any], where: str) -> CaseFile:
    """Check the tables of a case.

    Raises
    ------
    InputError
        Names every wrong key, what was found, and for an unknown one the nearest known.
    """
    try:
        return CaseFile.model_validate(tables)
    except ValidationError as error:
        problems = "; ".join(dict.fromkeys(_said(problem) for problem in error.errors()))
        msg = f"{where}: {problems}."
        raise InputError(msg) from None


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _said(problem: Any) -> str:
    place = [str(p) for p in problem["loc"]]
    key = ".".join(p for p in place if not p.startswith(("literal[", "constrained-", "float")))
    if problem["type"] == "extra_forbidden":
        known = sorted(_known_keys(place[:-1]))
        near = difflib.get_close_matches(place[-1], known, 1, 0.4)
        hint = f"did you mean {near[0]!r}" if near else f"known keys are {', '.join(known)}"
        return f"unknown key {key!r}, {hint}"
    if problem["type"] == "missing":
        return f"{key} is missing"
    return f"{key}: {problem['msg'][0].lower()}{problem['msg'][1:]}, found {problem['input']!r}"


def _known_keys(place: list[str]) -> set[str]:
    table: type[BaseModel] = CaseFile
    tables: dict[str, type[BaseModel]] = {
        "case": CaseTable,
        "activity": ActivityTable,
        "ct": CtTable,
        "rois": RoisTable,
        "administration": AdministrationTable,
        "dose": DoseTable,
        "radiobiology": RadiobiologyTable,
        "uncertainty": UncertaintyTable,
        "recovery": RecoveryTable,
        "labels": LabelTable,
    }
    for name in place:
        table = tables.get(name, table)
    return set(table.model_fields)
