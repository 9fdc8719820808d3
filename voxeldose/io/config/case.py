"""The case file (TOML): its keys, their checks, and errors that name the key and the nearest known one."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - pydantic needs it at run time
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, field_validator

from voxeldose.io.config.toml import Fraction, NotNegative, Positive, read_toml, table_from, table_from_json
from voxeldose.io.config.toml import Table as _Table
from voxeldose.model.densities import AIR_G_PER_ML, DENSEST_G_PER_ML
from voxeldose.model.roles import Role  # noqa: TC001 - pydantic needs it at run time

__all__ = [
    "CaseFile",
    "case_file_again",
    "case_file_from",
    "input_files",
    "named_inputs",
    "read_case_file",
    "read_case_tables",
    "resolve_paths",
]


class LabelTable(_Table):
    """Name and role of one label."""

    name: str = Field(min_length=1)
    role: Role


class CaseTable(_Table):
    """``[case]``."""

    id: str = ""
    bilirubin_mg_per_dl: Positive | None = None


class ActivityTable(_Table):
    """``[activity]``."""

    path: str
    quantity: Literal["bq_per_ml", "bq", "counts"] | None = None
    measured_at: datetime | None = None
    image_nuclide: str | None = None
    series_uid: str | None = None
    undo_nuclide: str | None = None
    undo_suv: bool = False
    weight_kg: Positive | None = None
    energy_window: Annotated[int, Field(ge=1)] | None = None
    slice_spacing_mm: float | None = None


class CtTable(_Table):
    """``[ct]``."""

    path: str
    series_uid: str | None = None
    uneven: Literal["refuse", "resample"] = "refuse"


class RoisTable(_Table):
    """``[[rois]]``: one file, or several that share their labels."""

    path: str | Annotated[list[str], Field(min_length=1)]
    labels: dict[str, LabelTable] | None = None
    drawn_on: Literal["activity", "ct"] | None = None

    @property
    def paths(self) -> list[str]:
        """The files, however many."""
        return [self.path] if isinstance(self.path, str) else self.path

    @property
    def names(self) -> dict[str, tuple[str, str]] | None:
        """Label -> name and role, as the readers of regions take them."""
        return {k: (v.name, str(v.role)) for k, v in self.labels.items()} if self.labels is not None else None


class DerivedTable(_Table):
    """``[[derived]]``: a region made from others (``from``) or from the activity (``isocontour_…``)."""

    model_config: ClassVar[ConfigDict] = ConfigDict(populate_by_name=True)

    name: str = Field(min_length=1)
    role: Role
    expression: str | None = Field(default=None, alias="from", min_length=1)
    isocontour_fraction: Annotated[float, Field(gt=0, le=1)] | None = None
    isocontour_bq_per_ml: Positive | None = None
    isocontour_of: Annotated[str, Field(pattern=r"^(maximum|mean)( of \S.*)?$")] = "maximum"
    image: str | None = None
    margin_mm: Annotated[float, Field(ge=-200, le=200)] = 0.0
    within: str | None = Field(default=None, min_length=1)


class RegistrationTable(_Table):
    """``[registration]``: a transform in a file, or how to find one."""

    path: str | None = None
    method: Literal["rigid"] | None = None
    moving: Literal["activity", "ct", "rois"] | None = None
    image: str | None = None


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
    grid: Literal["activity", "ct", "rois"] | Annotated[float, Field(gt=0, le=100)] = "activity"
    density: str = "uniform"
    density_g_per_ml: Annotated[float, Field(ge=AIR_G_PER_ML, le=DENSEST_G_PER_ML)] | None = None
    hu_table: str | list[Annotated[list[float], Field(min_length=2, max_length=2)]] | None = None
    constants: Literal["ddep", "icrp107", "vendor", "legacy"] = "ddep"
    thresholds: str | None = None


class OutputTable(_Table):
    """``[output]``: what is written with the usual results when the input was DICOM."""

    dose_bits: Literal[16, 32] = 16
    """Bits per voxel of `dose.dcm` and the other RTDOSE files; some readers stop at 32."""
    bed_dose: Literal["tumor", "liver"] | None = None
    rtstruct: bool = False
    rtstruct_holes: Literal["keyhole", "xor"] = "keyhole"
    """Holes in `rois.rtstruct.dcm`: `keyhole` joins them to the outline by a channel of no width, which every reader fills
    right; `xor` writes them as contours of their own, as CLOSEDPLANAR_XOR."""
    rtplan: bool = False
    """Also write `rtplan.dcm`: a plan without beams, for systems that import a dose only with its plan."""
    dose_on_ct: bool = False
    """Also write `dose_on_ct.dcm`: the dose interpolated at the CT's voxel centres, for viewers that cannot overlay another
    grid; for display, not for numbers."""


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
    """``[uncertainty]``: standard uncertainties; keys as in :class:`voxeldose.dose.uncertainty.inputs.Spread`."""

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
    probabilities: list[str] = Field(default=[])


class CaseFile(_Table):
    """A whole case file; paths are absolute after reading."""

    case: CaseTable = CaseTable()
    activity: ActivityTable
    ct: CtTable | None = None
    rois: list[RoisTable] = Field(min_length=1)
    derived: list[DerivedTable] = Field(default=[])
    registration: RegistrationTable | None = None
    administration: AdministrationTable = AdministrationTable()
    dose: DoseTable = DoseTable()
    radiobiology: RadiobiologyTable = RadiobiologyTable()
    uncertainty: UncertaintyTable | None = None
    output: OutputTable = OutputTable()


def read_case_file(path: str | Path) -> CaseFile:
    """A case as its TOML file states it: checked, with paths made absolute from the file's folder.

    Raises
    ------
    InputError
        If there is no such file, it is not TOML, or a key is wrong.
    """
    return case_file_from(read_case_tables(Path(path)), str(path))


def read_case_tables(path: Path) -> dict[str, Any]:
    """The tables of a TOML file, with paths made absolute from its folder; checked by :func:`case_file_from`.

    Raises
    ------
    InputError
        If there is no such file or it is not TOML.
    """
    path = path.absolute()
    return resolve_paths(read_toml(path, "case file"), path)


def resolve_paths(tables: dict[str, Any], path: Path) -> dict[str, Any]:
    """The same tables, with paths made absolute from the folder that ``path``, a file's absolute path, lies in."""
    for table in (*_as_list(tables.get("derived")), tables.get("registration")):
        if isinstance(table, dict) and isinstance(table.get("image"), str):
            table["image"] = str(path.parent / table["image"])
    for table in (tables.get("activity"), tables.get("ct"), tables.get("registration"), *_as_list(tables.get("rois"))):
        if isinstance(table, dict) and isinstance(table.get("path"), str):
            table["path"] = str(path.parent / table["path"])
        elif isinstance(table, dict) and isinstance(table.get("path"), list):
            table["path"] = [str(path.parent / p) if isinstance(p, str) else p for p in table["path"]]
    dose = tables.get("dose")
    if isinstance(dose, dict) and isinstance(dose.get("density"), str) and dose["density"] not in ("uniform", "ct"):
        dose["density"] = str(path.parent / dose["density"])
    if isinstance(dose, dict) and isinstance(dose.get("hu_table"), str):
        dose["hu_table"] = str(path.parent / dose["hu_table"])
    if isinstance(dose, dict) and isinstance(dose.get("thresholds"), str):
        dose["thresholds"] = str(path.parent / dose["thresholds"])
    return tables


def case_file_from(tables: dict[str, Any], where: str) -> CaseFile:
    """Check the tables of a case.

    Raises
    ------
    InputError
        Names every wrong key, what was found, and for an unknown one the nearest known.
    """
    return table_from(CaseFile, tables, where)


def case_file_again(content: dict[str, Any], where: str) -> CaseFile:
    """A case from what a manifest holds of it, where instants are text; checked as :func:`case_file_from` does."""
    return table_from_json(CaseFile, content, where)


def input_files(config: CaseFile) -> tuple[Path, ...]:
    """Every file that a case reads, or might read in the folders that it names."""
    return tuple(dict.fromkeys(f for p in named_inputs(config) for f in _files(Path(p))))


def named_inputs(config: CaseFile) -> list[str]:
    """The files and folders that a case names."""
    paths = [config.activity.path, *([config.ct.path] if config.ct else [])]
    paths += [p for table in config.rois for p in table.paths]
    if config.dose.density not in ("uniform", "ct"):
        paths.append(config.dose.density)
    if config.registration is not None:
        paths += [p for p in (config.registration.path, config.registration.image) if p is not None]
    paths += [table.image for table in config.derived if table.image is not None]
    if isinstance(config.dose.hu_table, str):
        paths.append(config.dose.hu_table)
    if config.dose.thresholds:
        paths.append(config.dose.thresholds)
    return paths


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
