"""``[patient]`` of the case file: facts about the patient, off by default and never an identifier."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from voxeldose.io.config.toml import Positive, Table
from voxeldose.model.patient import Ascites, ChildPugh, Encephalopathy  # noqa: TC001 - pydantic needs them at run time

__all__ = ["PatientTable"]


class PatientTable(Table):
    """``[patient]``: what the selection for radiation segmentectomy goes by; never an identifier."""

    bilirubin_mg_per_dl: Positive | None = None
    """Total bilirubin in serum in mg/dL; also decides limits that depend on it. Example: `0.9`."""
    albumin_g_per_dl: Positive | None = None
    """Albumin in serum in g/dL; with bilirubin it gives the ALBI grade. Example: `3.9`."""
    inr: Positive | None = None
    """International normalized ratio; one of the five items of Child-Pugh. Example: `1.1`."""
    ascites: Ascites | None = None
    """`none`, `mild` (or controlled by diuretics), or `moderate` and more; an item of Child-Pugh. Example: `"none"`."""
    encephalopathy: Encephalopathy | None = None
    """`none`, or its grade; an item of Child-Pugh. Example: `"none"`."""
    child_pugh: ChildPugh | None = None
    """The class, where the five items are not all given. Example: `"A"`."""
    performance_status: Annotated[int, Field(ge=0, le=4)] | None = None
    """ECOG performance status, 0 to 4. Example: `0`."""
    macrovascular_invasion: bool | None = None
    """Whether the tumor invades large vessels. Example: `false`."""
    extrahepatic_disease: bool | None = None
    """Whether there is disease outside the liver. Example: `false`."""
    solitary: bool | None = None
    """Whether there is one tumor only. Example: `true`."""
    segments: Annotated[int, Field(ge=1, le=9)] | None = None
    """Liver segments treated; without it those of role `segment` that the perfused volume covers are counted. Example: `1`."""
    tumor_diameter_mm: Positive | None = None
    """Longest diameter of the largest tumor in mm, as measured; without it that of the regions. Example: `32.0`."""
