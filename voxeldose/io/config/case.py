"""The case file (TOML): its keys, their checks, and errors that name the key and the nearest known one."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - pydantic needs it at run time
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from voxeldose.io.config.administration import AdministrationTable
from voxeldose.io.config.patient import PatientTable  # noqa: TC001 - pydantic needs it at run time
from voxeldose.io.config.protocol import check_protocol, lay_over
from voxeldose.io.config.report import ReportTable  # noqa: TC001 - pydantic needs it at run time
from voxeldose.io.config.toml import NotNegative, Positive, read_toml, table_from, table_from_json
from voxeldose.io.config.toml import Table as _Table
from voxeldose.io.config.uncertainty import UncertaintyTable  # noqa: TC001 - pydantic needs it at run time
from voxeldose.io.folders import files_below
from voxeldose.io.raster import RASTER_SUFFIXES, data_files
from voxeldose.model.densities import AIR_G_PER_ML, DENSEST_G_PER_ML
from voxeldose.model.roles import Role  # noqa: TC001 - pydantic needs it at run time

__all__ = [
    "CaseFile",
    "case_file_again",
    "case_file_from",
    "files_read_at",
    "input_files",
    "named_inputs",
    "read_case_file",
    "read_case_tables",
    "read_protocol",
    "resolve_paths",
]


class LabelTable(_Table):
    """Name and role of one label, and whether it is what the infusion went to."""

    name: str = Field(min_length=1)
    """What the region is called in the results. Example: `"lesion_1"`."""
    role: Role
    """What the region is; see the roles below."""
    treated: bool = False
    """Of a segment: the infusion went to it, so it counts as perfused, as with the role `perfused`. Example: `true`."""

    @model_validator(mode="after")
    def _is_a_segment(self) -> Self:
        if self.treated and self.role not in ("segment", "perfused"):
            msg = f"treated = true goes with the role segment (or perfused), and {self.name} has the role {self.role}."
            raise ValueError(msg)
        return self

    @property
    def used_role(self) -> str:
        """The role that the region has in results: a treated segment is perfused."""
        return "perfused" if self.treated else str(self.role)


class CaseTable(_Table):
    """``[case]``."""

    id: str = ""
    """A label for the results; never a patient identifier. Example: `"case-001"`."""
    bilirubin_mg_per_dl: Positive | None = None
    """Total bilirubin of the patient in mg/dL; decides limits that depend on it. Example: `0.9`."""


class ActivityTable(_Table):
    """``[activity]``."""

    path: str
    """PET or SPECT: DICOM folder or file, NIfTI, NRRD or MHA; relative to the case file. Example: `"pet"`."""
    quantity: Literal["bq_per_ml", "bq", "counts"] | None = None
    """What the image holds, for files that do not say (NIfTI, NRRD, MHA)."""
    measured_at: datetime | None = None
    """Instant to which the image's values hold, with its zone, for files that do not say. Example: `2024-05-02T14:05:00Z`."""
    image_nuclide: str | None = None
    """What the image shows; needed where its header names another nuclide than the administration's or Tc-99m. Example: `"Tc-99m"`."""
    series_uid: str | None = None
    """Series Instance UID, where a folder holds several series."""
    undo_nuclide: str | None = None
    """Nuclide as which the scanner computed its Bq/mL: its branching and decay are undone. Example: `"F-18"`."""
    undo_suv: bool = False
    """Turn SUV by body weight back into Bq/mL with the header's dose, administration and weight."""
    weight_kg: Positive | None = None
    """Weight of the patient in kg for `undo_suv`, where the header has none. Example: `72.0`."""
    energy_window: Annotated[int, Field(ge=1)] | None = None
    """Number of the energy window to read from a SPECT file that holds several, from 1. Example: `1`."""
    slice_spacing_mm: float | None = None
    """Spacing Between Slices in mm of a SPECT file that has none, positive if frames follow row × column. Example: `4.8`."""


class CtTable(_Table):
    """``[ct]``."""

    path: str
    """CT: DICOM folder, or a file in Hounsfield units; relative to the case file. Example: `"ct"`."""
    series_uid: str | None = None
    """Series Instance UID, where a folder holds several series."""
    uneven: Literal["refuse", "resample"] = "refuse"
    """What to do with unevenly spaced or tilted slices."""


class RoisTable(_Table):
    """``[[rois]]``: one file, or several that share their labels."""

    path: str | Annotated[list[str], Field(min_length=1)]
    """Label map, DICOM SEG or RTSTRUCT, `.seg.nrrd`, folder of masks, or a list of such files that share their labels. Example: `"liver.nii.gz"`."""
    labels: dict[str, LabelTable] | None = None
    """Label value, or name in the file, to name and role; only these are read. Example: `{ 1 = { name = "liver", role = "liver" } }`."""
    drawn_on: Literal["activity", "ct"] | None = None
    """The image on which the regions were drawn, where a registration moves one of the images."""
    slice_mm: Positive | None = None
    """How thick a slice of a SEG or RTSTRUCT is in mm, where neither the file nor the images that it cites say it. Example: `3.0`."""

    @property
    def paths(self) -> list[str]:
        """The files, however many."""
        return [self.path] if isinstance(self.path, str) else self.path

    @property
    def names(self) -> dict[str, tuple[str, str]] | None:
        """Label -> name and role, as the readers of regions take them."""
        return {k: (v.name, v.used_role) for k, v in self.labels.items()} if self.labels is not None else None


class DerivedTable(_Table):
    """``[[derived]]``: a region made from others (``from``) or from the activity (``isocontour_…``)."""

    model_config: ClassVar[ConfigDict] = ConfigDict(populate_by_name=True)

    name: str = Field(min_length=1)
    """Of the new region. Example: `"shell"`."""
    role: Role
    """What the region is; see the roles below."""
    expression: str | None = Field(default=None, alias="from", min_length=1)
    """Names joined by `|` (union), `&` (intersection) and ` - ` (without), with parentheses. Example: `"liver - lesion_1"`."""
    isocontour_fraction: Annotated[float, Field(gt=0, le=1)] | None = None
    """Region above this fraction of `isocontour_of` in the activity, 0 to 1. Example: `0.4`."""
    isocontour_bq_per_ml: Positive | None = None
    """Region above this activity concentration in Bq/mL. Example: `5e5`."""
    isocontour_of: Annotated[str, Field(pattern=r"^(maximum|mean)( of \S.*)?$")] = "maximum"
    """What the fraction is of: the maximum or mean, of the image or of a region. Example: `"maximum of lesion_1"`."""
    image: str | None = None
    """Another image for the isocontour; the activity without it."""
    margin_mm: Annotated[float, Field(ge=-200, le=200)] = 0.0
    """Grow (positive) or shrink the region by this many mm. Example: `5.0`."""
    within: str | None = Field(default=None, min_length=1)
    """Region that the new one may not leave. Example: `"liver"`."""


class RegistrationTable(_Table):
    """``[registration]``: a transform in a file, or how to find one."""

    path: str | None = None
    """Rigid transform: DICOM Spatial Registration, or ITK `.tfm`, `.h5`, `.mat`. Example: `"registration.tfm"`."""
    method: Literal["rigid"] | None = None
    """Find the transform from the images."""
    moving: Literal["activity", "ct", "rois"] | None = None
    """What is moved: the activity (default with a CT) to the CT, the CT to the activity, or regions (default without a CT)."""
    image: str | None = None
    """Image of the moving frame that the search looks at, such as the CT of the PET/CT; the moving image itself without it."""


class LungsTable(_Table):
    """``[lungs]``: what is known of them besides the shunt fraction."""

    earlier_gy: list[NotNegative] = Field(default=[])
    """Lung doses of earlier treatments in Gy; they add up for the cumulative limit. Example: `[3.2]`."""
    mass_g: Positive | None = None
    """Mass of both lungs, whole, in g, for their dose beside the conventional 1000 g; counts of lungs that the image cuts are scaled to it where a CT is given. Example: `850.0`."""
    volume_ml: Positive | None = None
    """Volume of both lungs, whole, in mL: counts of lungs that the image cuts are scaled to it. Example: `4500.0`."""
    dome_margin_mm: NotNegative = 0.0
    """Lung this near to the liver is left out of a measured shunt fraction. Example: `15.0`."""


class DoseTable(_Table):
    """``[dose]``."""

    engine: Literal["dpk", "local", "density"] = "dpk"
    """`dpk`: convolution with the beta dose point kernel; `local`: all energy stays in its voxel; `density`: rays through the density image."""
    calibration: Literal["administered", "absolute"] = "administered"
    """`administered`: the image is scaled to the net activity less the lung shunt; `absolute`: its own Bq/mL are taken."""
    calibration_region: str | None = None
    """Region that holds the net activity less the lung shunt, or `"image"` for the whole image; the liver's regions grown by 10 mm without it. Example: `"liver"`."""
    allow_activity_outside: bool = False
    """Accept that more than 30 % of the net activity lie outside the calibration region. Example: `true`."""
    grid: Literal["activity", "ct", "rois"] | Annotated[float, Field(gt=0, le=100)] = "activity"
    """Where dose is wanted: on the activity's voxels, the CT's, the label map's, or cubes of so many mm. Example: `2.0`."""
    density: str = "uniform"
    """`uniform`, `ct` (from CT numbers by `hu_table`), or an image in g/mL. Example: `"ct"`."""
    density_g_per_ml: Annotated[float, Field(ge=AIR_G_PER_ML, le=DENSEST_G_PER_ML)] | None = None
    """Uniform density in g/mL; 1.04 without it. Example: `1.06`."""
    hu_table: str | list[Annotated[list[float], Field(min_length=2, max_length=2)]] | None = None
    """CSV file, or rows of Hounsfield units and g/mL, in place of the shipped table. Example: `[[-1000, 0.001], [0, 1.0], [1500, 1.9]]`."""
    constants: Literal["ddep", "icrp107", "vendor", "legacy"] = "ddep"
    """Set of Y-90 constants that rules the run."""
    thresholds: str | None = None
    """TOML file with your site's own limits; they replace published ones of the same name. Example: `"limits.toml"`."""
    plausibility: str | None = None
    """TOML file with your site's own rules of plausibility, `[[rule]]` as in `tables/plausibility.toml`; a known code changes that rule's keys, such as its level (note, warning, refusal, off). Example: `"rules.toml"`."""


class OutputTable(_Table):
    """``[output]``: what is written with the usual results when the input was DICOM."""

    dose_bits: Literal[16, 32] = 16
    """Bits per voxel of `dose.dcm` and the other RTDOSE files; some readers stop at 32."""
    bed_dose: Literal["tumor", "liver"] | None = None
    """Also write `bed.dcm` and `bed.nii.gz`: the BED of every voxel with this tissue's parameters."""
    rtstruct: bool = False
    """Also write `rois.rtstruct.dcm`: the regions as contours."""
    rtstruct_holes: Literal["keyhole", "xor"] = "keyhole"
    """Holes: `keyhole` joins them to the outline by a channel of no width, `xor` writes CLOSEDPLANAR_XOR contours."""
    rtplan: bool = False
    """Also write `rtplan.dcm`: a plan without beams, for systems that import a dose only with its plan."""
    dose_on_ct: bool = False
    """Also write `dose_on_ct.dcm`: the dose interpolated at the CT's voxel centres, for viewers, not for numbers."""


class RadiobiologyTable(_Table):
    """``[radiobiology]``: names of parameter sets."""

    tumor: str | None = None
    """Name of a parameter set for BED and EUD of tumors; `voxeldose radiobiology sets` lists them."""
    normal_liver: str | None = None
    """Name of a parameter set for BED and EUD of normal liver."""


class ResolutionTable(_Table):
    """``[resolution]``: the scanner's blur, and how it is undone; as in :class:`voxeldose.dose.recovery.options.Resolution`."""

    method: Literal["field", "rbv", "none"] = "field"
    """`field`: with texture, outlines and intervals; `rbv`: region-based voxelwise correction, no intervals; `none`: nothing."""
    fwhm_mm: Positive | Annotated[list[Positive], Field(min_length=3, max_length=3)] | None = None
    """FWHM in mm of the scanner's blur, without the mean over voxels: slice, row, column, or one number; from a phantom scan with the patient's reconstruction. Example: `[5.6, 6.3, 6.3]`."""
    fwhm_sd_fraction: NotNegative | None = None
    """Standard uncertainty of the FWHM, relative; 0.08 without it. Example: `0.05`."""
    noise_fwhm_mm: Positive | None = None
    """FWHM in mm of the filter that gives the image's noise its correlation; 0.77 of the resolution without it. Example: `5.0`."""
    outlines: Literal["fitted", "fixed"] | None = None
    """`fitted` moves and grows tumors onto the image; `fixed` takes their outlines as exact; `fitted` without it."""
    shift_sd_mm: Positive | None = None
    """Standard uncertainty of a tumor's place along each axis in mm; 1.2 without it. Example: `2.0`."""
    growth_sd_mm: Positive | None = None
    """Standard uncertainty of a tumor's outline in mm, outwards; 1.0 without it. Example: `1.5`."""
    draws: Annotated[int, Field(ge=4)] | None = None
    """Posterior draws, an even number; 24 without it. Example: `48`."""
    seed: Annotated[int, Field(ge=0)] | None = None
    """Of the random numbers; 1 without it. Example: `1`."""
    source: str | None = None
    """Where the FWHM comes from. Example: `"NEMA scan of 3 May"`."""


#: Tables that came later, and are written into manifests only where a case has them.
_LATER = ("resolution", "patient", "report", "protocol")


class CaseFile(_Table):
    """A whole case file; paths are absolute after reading."""

    protocol: str | None = None
    """TOML file of the site, whose keys hold where the case has none; first line of the file, before every table. Example: `"site.toml"`."""
    case: CaseTable = CaseTable()
    """The case itself."""
    activity: ActivityTable
    """The image that shows where the activity is."""
    ct: CtTable | None = None
    """The CT, for display and density."""
    rois: list[RoisTable] = Field(min_length=1)
    """Files with regions."""
    derived: list[DerivedTable] = Field(default=[])
    """Regions made from others or from the activity."""
    registration: RegistrationTable | None = None
    """A rigid motion between images."""
    administration: AdministrationTable = AdministrationTable()
    """What was given."""
    lungs: LungsTable = LungsTable()
    """The lungs: earlier doses, and whole lungs where an image cuts them."""
    dose: DoseTable = DoseTable()
    """How dose is computed."""
    radiobiology: RadiobiologyTable = RadiobiologyTable()
    """Parameter sets for BED and EUD."""
    uncertainty: UncertaintyTable | None = None
    """Standard uncertainties; nothing is uncertain without the table."""
    resolution: ResolutionTable | None = None
    """The scanner's resolution, to recover the dose that blur and noise hid; nothing is recovered without the table."""
    output: OutputTable = OutputTable()
    """What is written besides the usual results."""
    patient: PatientTable | None = None
    """Facts about the patient for the radiation segmentectomy card; nothing is known without the table."""
    report: ReportTable | None = None
    """Facts for the record that no image can say; nothing is computed from them."""

    @model_serializer(mode="wrap")
    def _without_absent(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A case without a table that came later is written as it was before there was one."""
        content: dict[str, Any] = handler(self)
        return {key: value for key, value in content.items() if key not in _LATER or value is not None}


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


def read_protocol(path: Path) -> dict[str, Any]:
    """The tables of a site's protocol, checked, with paths made absolute from its folder.

    Raises
    ------
    InputError
        If it cannot be read, a key is wrong, or one belongs to a single case.
    """
    path = path.absolute()
    tables = resolve_paths(read_toml(path, "site protocol"), path)
    check_protocol(CaseFile, tables, str(path))
    return tables


def resolve_paths(tables: dict[str, Any], path: Path) -> dict[str, Any]:
    """The same tables, with paths made absolute from the folder that ``path``, a file's absolute path, lies in."""
    if isinstance(tables.get("protocol"), str):
        tables["protocol"] = str(path.parent / tables["protocol"])
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
    for key in ("hu_table", "thresholds", "plausibility"):
        if isinstance(dose, dict) and isinstance(dose.get(key), str):
            dose[key] = str(path.parent / dose[key])
    return tables


def case_file_from(tables: dict[str, Any], where: str) -> CaseFile:
    """Check the tables of a case, laid over those of its protocol where it names one.

    Raises
    ------
    InputError
        Names every wrong key, what was found, and for an unknown one the nearest known.
    """
    protocol = tables.get("protocol")
    if isinstance(protocol, str):
        tables = lay_over(read_protocol(Path(protocol)), tables)
    return table_from(CaseFile, tables, where)


def case_file_again(content: dict[str, Any], where: str) -> CaseFile:
    """A case from what a manifest holds of it, where instants are text and its protocol's keys are in place; checked."""
    return table_from_json(CaseFile, content, where)


def input_files(config: CaseFile) -> tuple[Path, ...]:
    """Every file that a case reads, or might read in the folders that it names."""
    return tuple(dict.fromkeys(f for p in named_inputs(config) for f in files_read_at(Path(p))))


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
    if config.protocol is not None:
        paths.append(config.protocol)
    paths += [path for path in (config.dose.thresholds, config.dose.plausibility) if path]
    return paths


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _data_behind(path: Path) -> tuple[Path, ...]:
    """The files of values that an image's header points to."""
    return data_files(path) if path.name.casefold().endswith(RASTER_SUFFIXES) else ()


def files_read_at(path: Path) -> list[Path]:
    """The files at a path that are read, or might be: those below a folder, or a file and the values that its header points to."""
    if path.is_file():
        return [path, *(file for file in _data_behind(path) if file.is_file())]
    return list(files_below(path).files)
