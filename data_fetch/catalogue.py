"""The catalogue of public sets: what is known of each, checked when it is read."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from voxeldose.errors import InputError

__all__ = ["DataSet", "FilePin", "SeriesPin", "catalogue", "entry"]

CATALOGUE = Path(__file__).with_name("catalogue.toml")

Checksum = Annotated[str, Field(pattern=r"^(md5:[0-9a-f]{32}|sha256:[0-9a-f]{64})$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class FilePin(_Table):
    """One file of a set. Without a checksum its SHA-256 is recorded at the first download and binds from then on."""

    name: Name
    url: str | None = Field(default=None, pattern=r"^https?://")
    size: int | None = Field(default=None, gt=0)
    checksum: Checksum | None = None
    unpack: bool = False


class SeriesPin(_Table):
    """One DICOM series: by its own UID, and by the archive's identifier that never changes its content."""

    uid: str = Field(pattern=r"^[0-9.]+$", max_length=64)
    content: str
    crdc_uuid: str | None = Field(default=None, pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
    bucket: Literal["idc-open-data", "idc-open-data-two", "idc-open-data-cr"] = "idc-open-data"


class DataSet(_Table):
    """One entry.

    ``method`` says how it is fetched: ``http`` (the files' own addresses), ``zenodo``, ``figshare``, ``dataverse`` (files
    listed by the archive's interface for ``record``), ``idc`` (pinned series from the Imaging Data Commons' public
    buckets), ``idc-collection`` (a whole collection, by the package idc-index), ``nbia`` (series from TCIA) or ``manual``
    (behind a login or a browser check: the user downloads, ``register`` checks).
    """

    title: str
    identifier: str
    version: str
    licence: str
    citation: str
    size: str
    landing: str = Field(pattern=r"^https://")
    method: Literal["http", "zenodo", "figshare", "dataverse", "idc", "idc-collection", "nbia", "manual"]
    record: str | None = None
    host: str | None = None
    files: tuple[FilePin, ...] = ()
    series: tuple[SeriesPin, ...] = ()
    instructions: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _tuples(cls, values: dict[str, object]) -> dict[str, object]:
        return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}

    @model_validator(mode="after")
    def _complete(self) -> DataSet:
        needs = {
            "http": bool(self.files) and all(f.url for f in self.files),
            "zenodo": bool(self.record and self.record.isdigit()),
            "figshare": bool(self.record),
            "dataverse": bool(self.record and self.host),
            "idc": bool(self.series) and all(s.crdc_uuid for s in self.series),
            "idc-collection": bool(self.record),
            "nbia": bool(self.series),
            "manual": bool(self.instructions),
        }
        if not needs[self.method]:
            msg = f"method {self.method} lacks what it fetches by (files with url, record, series or instructions)"
            raise ValueError(msg)
        return self

    @property
    def is_non_commercial(self) -> bool:
        """Whether the licence limits the use."""
        return "-NC" in self.licence or self.licence == "NOASSERTION"


@cache
def catalogue(path: Path = CATALOGUE) -> dict[str, DataSet]:
    """Every set by its name.

    Raises
    ------
    InputError
        If the catalogue breaks its own schema.
    """
    tables = tomllib.loads(path.read_text("utf-8"))["sets"]
    found = {}
    for name, table in tables.items():
        try:
            found[name] = DataSet.model_validate(table)
        except ValidationError as error:
            first = error.errors()[0]
            msg = f"{path.name}: {name}.{'.'.join(map(str, first['loc']))}: {first['msg']}."
            raise InputError(msg) from None
    return found


def entry(name: str) -> DataSet:
    """One set by its name.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    known = catalogue()
    if name not in known:
        msg = f"there is no set {name!r} in the catalogue; there are {', '.join(known)}."
        raise InputError(msg)
    return known[name]
